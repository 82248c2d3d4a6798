//! The lab itself, started as `dr lab` starts it. Needs Python and what
//! `drills/lab/requirements.txt` names: `make test` sees to both.

use dr_drills::lab::{Account, Error, Lab, Options, Ports};
use serde_json::{Map, Value, json};
use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
};

/// Whether there is an environment to run it in; `make test` insists on one.
#[expect(clippy::print_stderr, reason = "whoever runs the tests by hand learns what was not run")]
fn at_hand() -> bool {
    let at_hand = env::var_os("DR_LAB_VENV").is_some_and(|path| !path.is_empty());
    assert!(at_hand || env::var_os("DR_LAB_REQUIRED").is_none(), "DR_LAB_VENV is not set: `make test` sets it");
    if !at_hand {
        eprintln!("skipped: DR_LAB_VENV is not set; `make test` sets it");
    }
    at_hand
}

/// A lab that ends with this test, however that ends.
fn up(dir: &Path, options: &Options) -> Result<Lab, Error> {
    Lab::up(dir, &Options { with_parent: true, ..options.clone() }, &|_| {})
}

/// What RDS says to a client in this lab, as bare HTTP; nothing if it hangs up.
fn databases(lab: &Lab, account: &str, region: &str) -> String {
    let host = lab.place.endpoint.strip_prefix("http://").expect("it is plain HTTP");
    let mut stream = TcpStream::connect(host).expect("the lab listens");
    let body = "Action=DescribeDBInstances&Version=2014-10-31";
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=LAB{account}/20260101/{region}/rds/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=0\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok();
    answer
}

#[test]
fn a_lab_is_started_seeded_called_broken_and_ended() {
    if !at_hand() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().canonicalize().expect("it is there");
    let account: Account = "000000000001".parse().expect("twelve digits");
    let state = Some(dir.join("state"));
    let lab = up(&dir, &Options { looks: Some(1), state, ..Options::default() }).expect("it starts");

    // A second one in the same folder is refused, by its process and not by a file.
    let again = up(&dir, &Options::default()).expect_err("one is up");
    assert!(again.to_string().contains(&format!("already: process {}", lab.place.pid)), "{again}");
    assert_eq!(Lab::at(&dir).expect("it is up").place.pid, lab.place.pid);
    let settings = fs::read_to_string(lab.settings()).expect("it was written");
    assert_eq!(
        settings,
        format!(
            "# Written by `dr lab up`, each time anew: settings for runs against this lab.\n\
             [state]\ndir = \"{}/state\"\n\n[dns]\nnameservers = [\"{}\"]\n\n[limits]\npoll_gap_min = \"20ms\"\n\
             # Nobody else calls here: the rates that spare an account's quotas would only be waited for.\n\
             rds_per_second = 1000\nroute53_per_second = 1000\ndynamodb_per_second = 1000\n\
             ecs_per_second = 1000\ncloudfront_per_second = 1000\nsns_per_second = 1000\nsts_per_second = 1000\n\
             \n# An SMS goes no further than the lab: `dr lab dump` shows it.\n[sms]\n",
            dir.display(),
            lab.place.dns
        )
    );

    assert!(matches!(lab.seeded(&account), Err(Error::Unseeded(_))));
    let params = lab.seed(&account, Map::new()).expect("it is seeded");
    assert_eq!(params["zone_id"], "Z0LAB000000000001");
    assert_eq!(lab.seeded(&account).expect("it is kept"), params);
    let refused = lab.seed(&account, Map::from_iter([("looks".into(), "many".into())])).expect_err("not a number");
    assert!(refused.to_string().starts_with("the lab refused: ValueError"), "{refused}");
    lab.seed(&account, Map::new()).expect("it is seeded");

    assert!(databases(&lab, "000000000001", "eu-west-1").contains("<DBInstanceIdentifier>orders<"));
    let calls = lab.calls(Some(&account), 0).expect("it tells");
    let call: Value = serde_json::from_str(calls.lines().next().expect("one call")).expect("a JSON line");
    assert_eq!(
        (&call["operation"], &call["region"], &call["rw"]),
        (&json!("DescribeDBInstances"), &json!("eu-west-1"), &json!("read"))
    );
    let after = call["n"].as_u64().expect("a number");
    assert_eq!(lab.calls(None, after).expect("it tells"), "");

    lab.region(&json!({ "region": "eu-west-1", "state": "down" })).expect("it goes down");
    assert_eq!(databases(&lab, "000000000001", "eu-west-1"), "");
    lab.region(&json!({ "region": "eu-west-1", "state": "up" })).expect("it comes back");
    let rule = json!({ "service": "rds", "every": true, "do": "access_denied" });
    lab.fault(&json!({ "account": "000000000001", "rules": [rule] })).expect("it is taken");
    assert!(databases(&lab, "000000000001", "eu-west-1").contains("<Code>AccessDenied</Code>"));
    lab.fault(&json!({ "rules": [] })).expect("it is cleared");
    assert!(databases(&lab, "000000000001", "eu-west-1").contains("<DBInstanceIdentifier>orders<"));

    let dump = lab.dump(&account, true).expect("it tells");
    assert_eq!(dump, lab.dump(&account, true).expect("it tells"));
    assert_eq!(lab.status().expect("it tells")["accounts"], json!(["000000000001"]));

    let pid = lab.place.pid;
    lab.down().expect("it ends");
    assert!(matches!(Lab::at(&dir), Err(Error::NotUp(_))));
    assert!(!dir.join("lab.json").exists());
    // It was our child: ended, and kept as a name until we end.
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn a_port_that_is_taken_is_named_as_such() {
    if !at_hand() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let ports = Ports { aws: taken.local_addr().expect("it has one").port(), ..Ports::default() };
    let dir = tempfile::tempdir().expect("a folder");
    let error = up(dir.path(), &Options { ports, ..Options::default() }).expect_err("the port is taken");
    assert!(matches!(error, Error::PortTaken(_)), "{error}");
    assert_eq!(error.hint().expect("a way out"), "leave the port out and a free one is taken, or give another");
}

#[test]
fn what_lab_json_says_is_believed_only_of_a_lab() {
    let dir = tempfile::tempdir().expect("a folder");
    // A number that was given to another process since: this one.
    let place = json!({
        "pid": std::process::id(), "endpoint": "http://127.0.0.1:1", "admin": "http://127.0.0.1:1",
        "dns": "127.0.0.1:1", "health": "http://127.0.0.1:1",
    });
    fs::write(dir.path().join("lab.json"), place.to_string()).expect("it can be written");
    let error = Lab::at(dir.path()).expect_err("no lab is up");
    assert_eq!(error.to_string(), format!("no lab is up in {}", dir.path().display()));
    assert_eq!(error.hint().expect("a way out"), format!("dr lab up --dir {}", dir.path().display()));
}

#[test]
fn an_account_is_twelve_digits() {
    for wrong in ["", "1", "00000000000x", "0000000000001"] {
        assert!(wrong.parse::<Account>().is_err(), "{wrong}");
    }
}
