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
