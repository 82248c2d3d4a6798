//! `dr doctor`: what it says of a machine that could recover, and of ones that
//! could not.

mod support;

use serde_json::json;
use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    time::Duration,
};
use support::{
    Place,
    lab::{Estate, lab},
    took,
};

/// Services of four kinds, and a claim.
const RUNBOOK: &str = "
dr: v1
name: evacuate
regions: { recovery: eu-central-1 }
accounts: { production: { id: \"${params.account}\" } }
params: { account: { type: string }, bucket: { type: string } }
claim: \"s3://${params.bucket}/claims/production\"
steps:
  orders: { do: { ecs.scale_service: { cluster: prod, service: orders, desired: 2 } } }
  dns:
    do:
      route53.upsert:
        zone: Z1
        records: [{ name: app.example.com, type: CNAME, ttl: 60, values: [\"${steps.orders.running}\"] }]
";

/// A command about the runbook.
fn about(estate: &Estate, place: &Place, words: &[&str]) -> Command {
    let account = format!("account={}", estate.account);
    let bucket = format!("bucket={}", estate.param("bucket_claim"));
    estate.dr(place, &[words, &["runbook.yaml", "--param", &account, "--param", &bucket]].concat())
}

fn doctor(estate: &Estate, place: &Place) -> Command {
    about(estate, place, &["doctor"])
}

#[test]
fn a_machine_that_could_recover_is_told_so_on_one_screen() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = Place::with(RUNBOOK);
    let said = place.end(doctor(&estate, &place)).ends(0);
    let account = format!("ok   account    {} (arn:aws:", estate.account);
    let claim = format!("ok   claim      s3://{}/claims/production.lab is free", estate.param("bucket_claim"));
    let said = said.prints(&[&account, ", asked in eu-central-1", &claim, "ok   runbook    runbook.yaml, 2 steps"]);
    let said = said.prints(&["ok   clock      20", "as AWS has it, to within 5", "ok   services   "]);
    let services = said.out.lines().find(|line| line.contains("services")).expect("a line");
    for service in ["ecs ", "route53 ", "s3 ", "sts "] {
        assert!(services.contains(service), "{services}");
    }
    assert!(services.contains("ms (us-east-1)") && !services.contains("rds"), "{services}");
    assert!(said.out.lines().count() <= 12 && !said.out.contains("BAD"), "{}", said.out);
    assert_eq!(estate.writes(), [], "it only looks");
    let mut json = doctor(&estate, &place);
    json.arg("--json");
    for line in place.end(json).ends(0).out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["state"], "ok", "{line}");
    }
}

#[test]
fn a_claim_that_somebody_holds_and_a_service_that_is_silent_are_bad() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = Place::with(RUNBOOK);
    let mut start = about(&estate, &place, &["execute", "--yes"]);
    start.env("DR_CRASH_AT", "call:1:after");
    place.end(start).ends(-9);
    estate.faults(&json!([
        { "service": "ecs", "every": true, "do": "drop_before" },
        { "service": "route53", "every": true, "do": "access_denied" },
    ]));
    let said = place.end(doctor(&estate, &place)).ends(1);
    let services = said.out.lines().find(|line| line.starts_with("ok   services")).expect("a line");
    assert!(services.contains("route53"), "an answer is an answer, whatever it allows: {services}");
    let held = format!("production.lab is held by the lab run {}, started by ", place.id());
    said.prints(&["BAD  services   ecs ListClusters in eu-central-1", "impaired?", "BAD  claim ", &held]);
}

#[test]
fn the_wrong_account_and_no_credentials_are_bad_and_what_was_not_asked_is_unknown() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = Place::with(RUNBOOK);
    let bucket = format!("bucket={}", estate.param("bucket_claim"));
    let wrong = ["doctor", "runbook.yaml", "--param", "account=999999999999", "--param", &bucket];
    let said = estate.run(&place, &wrong).ends(1);
    said.prints(&[&format!("BAD  account    {}", estate.account), "`production` is 999999999999", "AWS_PROFILE"]);
    let mut nobody = doctor(&estate, &place);
    nobody.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let said = place.end(nobody).ends(1).prints(&["BAD  account    ", "no AWS credentials", "aws sso login"]);
    said.prints(&["?    services   not asked, for want of credentials: ecs, route53, s3, sts", "?    clock "]);
}

/// Answers `GetCallerIdentity`, with the time that it is given.
fn sts(date: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let Ok(1..) = stream.read(&mut [0; 8192]) else { continue };
            let body = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                <GetCallerIdentityResult><Arn>arn:aws:iam::1:user/x</Arn><UserId>x</UserId><Account>111122223333</Account>\
                </GetCallerIdentityResult></GetCallerIdentityResponse>";
            let head = format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: text/xml\r\nConnection: close\r\n");
            write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).ok();
        }
    });
    address
}

/// `dr doctor` without a runbook, against an address.
fn at(place: &Place, address: &str) -> Command {
    let mut command = place.dr(&["doctor"]);
    command.env("AWS_ENDPOINT_URL", address).env("AWS_REGION", "eu-central-1");
    command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x").env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

#[test]
fn a_clock_that_aws_would_not_believe_is_bad() {
    let place = Place::new();
    let said = place.end(at(&place, &sts("Sun, 01 Mar 2026 00:00:00 GMT"))).ends(1);
    said.prints(&["BAD  clock      20", "ahead of AWS: beyond 5m AWS refuses what is signed here", "timedatectl"]);
}

#[test]
fn without_a_network_it_says_so_within_seconds() {
    let place = Place::new();
    // A port that nobody listens on, and one that takes connections and says nothing.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let (dead, said) = took(|| place.end(at(&place, &format!("http://{closed}"))));
    said.ends(1)
        .prints(&["BAD  account    sts GetCallerIdentity in eu-central-1 was not sent: no connection", "?    clock "]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    let (hung, said) = took(|| place.end(at(&place, &address)));
    said.ends(1).prints(&["BAD  account    sts GetCallerIdentity in eu-central-1 got no answer within 5s"]);
    assert!(dead < Duration::from_secs(15) && hung < Duration::from_secs(25), "{dead:?} {hung:?}");
}

#[test]
fn a_runbook_that_calls_no_service_needs_no_credentials() {
    let place = Place::with("dr: v1\nname: small\nsteps: { one: { do: { command: { argv: [sh, ./work] } } } }\n");
    let said = place.run(&["doctor", "runbook.yaml"]).ends(4).prints(&["ok   runbook", "?    clock "]);
    assert!(!said.out.contains("account"), "{}", said.out);
    place.run(&["doctor", "missing.yaml"]).ends(1).prints(&["BAD  runbook"]);
}

/// Steps and a probe that lean on all sorts of things of this machine.
const LEANING: &str = r#"
dr: v1
name: leaning
roles:
  executive: { name: Cem Acar, deputies: [Dana Vogt] }
steps:
  ready:
    do:
      command:
        argv: [./good]
        check: { argv: [sh, -c, "true"] }
        env: { TOKEN: { secret: env:DR_TEST_SET }, KEY: { secret: file:keys/key } }
        outputs: { name: { line: 1 } }
  charge:
    do: { http: { method: POST, url: "https://billing.example.com/x", headers: { authorization: { secret: env:DR_TEST_UNSET } } } }
  refund:
    do: { http: { method: POST, url: "https://billing.example.com/y", headers: { authorization: { secret: env:DR_TEST_UNSET } } } }
  sign:
    do: { command: { argv: [./plain], env: { A: { secret: file:keys/none }, B: { secret: file:keys/empty } } } }
  count:
    do:
      verify.sql:
        engine: postgres
        host: db.example.com
        database: orders
        user: reader
        password: { secret: env:DR_TEST_SET }
        ca: keys/key
        query: SELECT 1
        expect: { value: 1 }
  stop:
    do:
      fence.command:
        argv: [./no-such, stop]
        check: { argv: [no-such-program] }
        undo: { argv: [./windows], check: { argv: [sh] } }
  told: { needs: [ready], do: { command: { argv: ["${steps.ready.name}"] } } }
  elsewhere: { do: { wait_until: { probe: { command: { argv: [./good], cwd: none } } } } }
verify:
  probed: { verify.http: { url: "https://www.example.com", headers: { x-key: { secret: env:DR_TEST_PROBE } } } }
"#;

#[test]
fn what_steps_need_on_this_machine_is_told_before_it_is_too_late() {
    let place = Place::with(LEANING);
    std::fs::create_dir(place.path("keys")).expect("a folder");
    place.write("keys/key", "hush-key");
    place.write("keys/empty", "\n");
    place.program("good", "#!/bin/sh\necho ./good\n");
    place.write("plain", "#!/bin/sh\n");
    place.program("windows", "#!/bin/sh\r\n");
    let mut command = place.dr(&["doctor", "runbook.yaml"]);
    command.env("DR_TEST_SET", "hush-set");
    let said = place.end(command).ends(1);
    assert!(!said.out.contains("hush"), "{}", said.out);
    said.prints(&[
        "ok   secrets    env:DR_TEST_SET, file:keys/key\n",
        "ok   programs   ./good, sh\n",
        "BAD  secrets    the secret `env:DR_TEST_UNSET` is not set, and `charge`, `refund` need it — export DR_TEST_UNSET where",
        "BAD  secrets    the secret `env:DR_TEST_PROBE` is not set, and `verify` needs it",
        "BAD  secrets    the secret `file:keys/none` cannot be read: No such file",
        "BAD  secrets    the secret `file:keys/empty` is empty, and `sign` needs it",
        "BAD  ca         the file of `ca`, `keys/key`, holds no certificates that can be trusted",
        "and `count` needs it — it takes certificates as PEM",
        "BAD  programs   the program `./no-such` cannot be started: ",
        "no-such is not there, and `stop` needs it",
        "BAD  programs   there is no program `no-such-program` in PATH, and `stop` needs it — install it",
        "plain may not be executed by this user, and `sign` needs it — chmod +x ",
        r"windows names `/bin/sh\r` in its first line, which is not there",
        "none`, in which `./good` is started, is not there, and `elsewhere` needs it",
        "?    program    which program `${steps.ready.name}` is, only a run knows; `told` needs it",
    ]);
}

#[test]
fn every_service_is_asked_and_answers_in_the_lab() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = Place::new();
    let said = estate.run(&place, &["doctor"]).ends(0);
    let services = said.out.lines().find(|line| line.starts_with("ok   services")).expect("a line");
    for service in dr_steps::aws::survey::SERVICES {
        assert!(services.contains(&format!("{service} ")), "{service}: {services}");
    }
    assert_eq!(estate.writes(), [], "it only looks");
}

#[test]
fn regions_that_steps_name_are_asked_and_the_one_that_is_given_up_may_be_dark() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let place = Place::with(
        "
dr: v1
name: evacuate
regions: { primary: eu-west-1, recovery: eu-central-1, third: eu-north-1 }
steps:
  old: { region: primary, do: { ecs.scale_service: { cluster: prod, service: orders, desired: 0 } } }
  here: { do: { ecs.scale_service: { cluster: prod, service: orders, desired: 2 } } }
  table: { region: third, do: { dynamodb.global_table: { table: orders, from: eu-central-1 } } }
",
    );
    let whole = estate.run(&place, &["doctor", "runbook.yaml"]).ends(0);
    let said = whole.prints(&["ms (eu-west-1)", "ms (eu-north-1)"]);
    let home = said.out.lines().find(|line| line.starts_with("ok   services")).expect("a line");
    for asked in ["dynamodb", "ecs", "sts"] {
        assert!(home.contains(&format!("{asked} ")), "{home}");
    }
    estate.region("eu-west-1", "down");
    let said = estate.run(&place, &["doctor", "runbook.yaml"]).ends(0);
    said.prints(&[
        "-    services   ecs ListClusters in eu-west-1",
        "eu-west-1 is the primary, and this runbook is for its loss",
    ]);
    estate.region("eu-north-1", "down");
    estate
        .run(&place, &["doctor", "runbook.yaml"])
        .ends(1)
        .prints(&["BAD  services   dynamodb ListTables in eu-north-1"]);
}
