//! `claim:`: two state folders stand for two laptops, one account of the lab
//! for the company that both want to recover.

mod support;

use dr_engine::event::Kind;
use serde_json::{Value, json};
use std::{os::unix::process::ExitStatusExt, process::Command, time::Duration};
use support::{
    Living, Place, Said,
    lab::{Estate, lab},
    skipped, took, until,
};

/// A command that waits to be let go, then a change of the estate.
const RUNBOOK: &str = "
dr: v1
name: evacuate
regions: { recovery: eu-central-1 }
accounts: { production: { id: \"${params.account}\" } }
roles: { technical_lead: { name: Ada, deputies: [Grace] } }
claim: \"s3://${params.bucket}/claims/production\"
params:
  account: { type: string }
  bucket: { type: string }
  how: { type: string, default: wait }
steps:
  prepare:
    do: { command: { argv: [sh, \"./${params.how}\"], check: { argv: [sh, ./seen] } } }
  orders:
    needs: [prepare]
    do: { ecs.scale_service: { cluster: prod, service: orders, desired: 2 } }
";
const KEY: &str = "claims/production.lab";

/// A laptop: a state folder, and what its commands leave.
struct Laptop<'a> {
    estate: &'a Estate,
    place: Place,
}

impl<'a> Laptop<'a> {
    fn new(estate: &'a Estate) -> Self {
        Self { estate, place: Place::with(RUNBOOK) }
    }

    fn command(&self, args: &[&str]) -> Command {
        self.estate.dr(&self.place, args)
    }

    fn run(&self, args: &[&str]) -> Said {
        self.estate.run(&self.place, args)
    }

    /// The words that start the runbook.
    fn start(&self, how: &str, more: &[&str]) -> Command {
        let account = self.estate.account.to_string();
        let params = [format!("account={account}"), format!("bucket={}", self.bucket()), format!("how={how}")];
        let mut words = vec!["execute", "runbook.yaml", "--yes", "--no-wait"];
        words.extend(params.iter().flat_map(|param| ["--param", param.as_str()]));
        words.extend(more);
        self.command(&words)
    }

    fn execute(&self, more: &[&str]) -> Said {
        self.place.end(self.start("work", more))
    }

    /// A run whose command waits to be let go.
    fn begin(&self) -> Living {
        let living = self.place.begin(self.start("wait", &[]));
        until("the command", || self.place.began("prepare"));
        living
    }

    fn bucket(&self) -> &str {
        self.estate.param("bucket_claim")
    }

    /// Whether the claim stands.
    fn claimed(&self) -> bool {
        self.estate.keys(self.bucket()).contains(&KEY.to_owned())
    }

    /// What was noted in the only run.
    fn notes(&self) -> Vec<String> {
        let noted = |kind| if let Kind::Noted { text, .. } = kind { Some(text) } else { None };
        self.place.events().into_iter().filter_map(|event| noted(event.kind)).collect()
    }
}

#[test]
fn a_second_laptop_is_refused_and_told_who_holds_the_recovery() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    let first = one.begin();
    assert!(one.claimed());
    let (id, host) = (one.place.id(), one.place.fold().expect("a run").controller.expect("a controller").host);
    let holder = format!("the lab run {id}, started by ");
    let on = format!("on {host} (pid {}) since 2", first.pid());
    let before = estate.dump();
    two.execute(&[]).ends(6).says(&["begun already", &holder, &on, &format!("dr watch {id}"), "--break-claim --why"]);
    assert_eq!(two.place.runs(), Vec::<String>::new(), "who is refused leaves nothing behind");
    assert_eq!(estate.dump(), before);
    one.place.go("prepare");
    first.end().ends(0).says(&[&format!("claimed: s3://{}/{KEY}", one.bucket())]);
    assert!(!one.claimed(), "it is let go of at the end");
    two.execute(&[]).ends(0);
    assert!(!one.claimed());
}

#[test]
fn the_plan_names_the_claim_and_a_drill_has_its_own() {
    let place = Place::with(RUNBOOK);
    let words = ["plan", "runbook.yaml", "--param", "account=000000000001", "--param", "bucket=the-bucket"];
    let line = "claimed before anything begins: s3://the-bucket/claims/production in eu-central-1\n";
    place.run(&words).ends(0).prints(&[line]);
    let json = place.run(&[&words[..], &["--json"]].concat()).ends(0).out;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["claim"], "s3://the-bucket/claims/production");
}

#[test]
fn a_resume_goes_on_with_the_claim_of_the_controller_that_died() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    one.begin().kill();
    two.execute(&[]).ends(6);
    one.place.go("prepare");
    one.run(&["resume", "--no-wait"]).ends(0).says(&["claimed: "]);
    assert!(!one.claimed());
    assert_eq!(one.place.effects("prepare"), 1);
}

#[test]
fn of_two_copies_of_a_run_only_the_first_to_resume_goes_on() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    one.begin().kill();
    let (id, copy) = (one.place.id(), two.place.path("copy").display().to_string());
    one.run(&["export", &id, "--out", &copy]).ends(0);
    two.run(&["import", &copy]).ends(0);
    let second = two.place.begin(two.command(&["resume", "--no-wait"]));
    until("the copy", || two.place.events().iter().filter(|e| matches!(e.kind, Kind::Joined(_))).count() == 2);
    let before = one.place.events().len();
    one.run(&["resume"]).ends(6).says(&["this run went on elsewhere", &format!("(pid {})", second.pid())]);
    assert_eq!(one.place.events().len(), before, "the copy that is behind writes nothing");
    // A run keeps the folder of its runbook, wherever it goes on.
    one.place.go("prepare");
    second.end().ends(0);
}

#[test]
fn a_run_that_moves_to_another_host_takes_its_claim_along() {
    if !Command::new("unshare").args(["-u", "true"]).output().is_ok_and(|done| done.status.success()) {
        return skipped("a run that moves to another host", "`unshare -u` is not allowed here");
    }
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    let first = one.begin();
    let (id, copy) = (one.place.id(), two.place.path("copy").display().to_string());
    // Exported while it goes on: nobody thought of the first host any more.
    one.run(&["export", &id, "--out", &copy]).ends(0);
    two.run(&["import", &copy]).ends(0);
    two.place.write("script", &format!("hostname elsewhere || exit 77\nexec \"$DR\" resume {id} --moved --no-wait"));
    let resume = two.command(&["resume"]);
    let mut apart = Command::new("unshare");
    apart.args(["-u", "sh", "./script"]).current_dir(two.place.path(".")).env_clear();
    apart.envs(resume.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("DR", env!("CARGO_BIN_EXE_dr"));
    let (waited, said) = took(|| {
        let second = two.place.begin(apart);
        first.end().ends(6).says(&["this run went on elsewhere", "on elsewhere (pid ", "this controller ends"]);
        // A run keeps the folder of its runbook, wherever it goes on.
        one.place.go("prepare");
        second.end()
    });
    said.ends(0).says(&["waiting 15s until whoever held it before has stopped"]);
    assert!(waited >= Duration::from_secs(15), "{waited:?}");
    assert!(!two.claimed());
}

#[test]
fn a_claim_is_broken_with_a_reason_and_who_held_it_does_nothing_more() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    let first = one.begin();
    let id = one.place.id();
    // Asleep: it cannot learn of anything, and wakes up later.
    first.stop();
    two.execute(&["--break-claim"]).ends(2).says(&["--why"]);
    let (waited, second) = took(|| {
        let second =
            two.place.begin(two.start("wait", &["--break-claim", "--why", "its laptop burnt", "--as", "Grace"]));
        until("the second's command", || two.place.began("prepare"));
        second
    });
    assert!(waited >= Duration::from_secs(15), "the first had no time to stop: {waited:?}");
    let notes = two.notes();
    assert!(notes[0].starts_with(&format!("wants the claim s3://{}/{KEY} broken, of the lab run {id}", one.bucket())));
    assert!(notes[0].ends_with(": its laptop burnt"), "{notes:?}");
    one.place.go("prepare");
    until("the first's effect", || one.place.effects("prepare") == 1);
    // It wakes up, begins its next step, and its look at the claim takes its time.
    estate.faults(&json!([{ "operation": "GetObject", "every": true, "do": "hang_before" }]));
    first.signal("CONT");
    let refused = |event: dr_engine::event::Event| matches!(event.kind, Kind::AttemptFailed { error, .. } if error.message.ends_with("nothing was sent"));
    until("a step that may not act", || one.place.events().into_iter().any(refused));
    estate.faults(&json!([]));
    let ours = two.place.id();
    first.end().ends(6).says(&[&format!("is now held by the lab run {ours}"), "this controller ends"]);
    assert_eq!(estate.changes(), ["PutObject", "PutObject"], "the one that woke changed nothing");
    assert!(one.claimed());
    two.place.go("prepare");
    second.end().ends(0);
    assert!(!one.claimed());
    two.run(&["report", &ours]).ends(0).prints(&["its laptop burnt"]);
}

#[test]
fn an_undo_of_a_finished_run_takes_the_claim_again() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    one.execute(&[]).ends(0);
    let (id, events) = (one.place.id(), one.place.events().len());
    let other = two.begin();
    one.run(&["undo", &id, "--around", "--yes"]).ends(6).says(&[&two.place.id()]);
    assert_eq!(one.place.events().len(), events, "a run that may not be reopened is not");
    other.kill();
    two.place.go("prepare");
    two.run(&["resume", "--no-wait"]).ends(0);
    one.run(&["undo", &id, "--around", "--yes"]).ends(0).says(&["claimed: "]);
    let last: Vec<_> = estate.changes().into_iter().rev().take(3).collect();
    assert_eq!(last, ["DeleteObject", "UpdateService", "PutObject"], "claimed before, let go of after");
}

#[test]
fn a_claim_that_cannot_be_had_refuses_the_start_until_a_person_says_otherwise() {
    let Some(lab) = lab() else { return };
    for (faults, region, says) in [
        (
            json!([{ "service": "s3", "rw": "read", "every": true, "do": "access_denied" }]),
            "up",
            "cannot be read: s3 GetObject",
        ),
        (
            json!([{ "service": "s3", "rw": "write", "every": true, "do": "access_denied" }]),
            "up",
            "cannot be taken: s3 PutObject",
        ),
        (json!([{ "service": "s3", "every": true, "do": "throttle" }]), "up", "SlowDown"),
        (json!([{ "service": "s3", "every": true, "do": "drop_before" }]), "up", "cannot be read: s3 GetObject"),
        (json!([]), "down", "cannot be read: s3 GetObject"),
    ] {
        let estate = Estate::new(lab);
        let laptop = Laptop::new(&estate);
        let before = estate.dump();
        estate.faults(&faults);
        estate.region("eu-central-1", region);
        laptop.execute(&[]).ends(1).says(&[says, "--without-claim --why TEXT"]);
        assert_eq!(laptop.place.runs(), Vec::<String>::new(), "{says}: nothing is left behind");
        assert_eq!((estate.dump(), estate.changes()), (before, vec![]), "{says}");
        laptop.execute(&["--without-claim"]).ends(2).says(&["--why"]);
        if region == "up" {
            laptop.execute(&["--without-claim", "--why", "the bucket is gone"]).ends(0);
            let notes = laptop.notes();
            assert!(notes[0].contains(": the bucket is gone (s3 "), "{notes:?}");
            assert_eq!(estate.changes(), ["UpdateService"]);
        }
    }
}

#[test]
fn going_without_the_claim_is_no_way_around_somebody_who_holds_it() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    let first = one.begin();
    two.execute(&["--without-claim", "--why", "in a hurry"]).ends(6).says(&[&one.place.id()]);
    let place = Place::with(&RUNBOOK.replace("claim:", "owner:"));
    let words =
        ["execute", "runbook.yaml", "--param", "account=1", "--param", "bucket=b", "--break-claim", "--why", "x"];
    place.run(&words).ends(2);
    first.kill();
}

#[test]
fn killed_at_every_mutating_call_or_commit_it_is_claimed_once_and_let_go_of() {
    let Some(lab) = lab() else { return };
    let right = Estate::new(lab);
    let undisturbed = Laptop::new(&right);
    undisturbed.execute(&[]).ends(0);
    assert_eq!(right.changes(), ["PutObject", "UpdateService", "DeleteObject"]);
    let (mut points, dump) = (0, right.dump());
    for place in ["call", "commit"] {
        for number in 1.. {
            let mut over = false;
            for edge in ["before", "after"] {
                let point = format!("{place}:{number}:{edge}");
                let estate = Estate::new(lab);
                let laptop = Laptop::new(&estate);
                let mut start = laptop.start("work", &[]);
                start.env("DR_CRASH_AT", &point);
                let said = laptop.place.end(start);
                if said.status.signal() != Some(9) {
                    said.ends(0);
                    over = true;
                    break;
                }
                points += 1;
                if laptop.place.fold().is_none() {
                    // There was no run yet, and nothing that would be resumed.
                    assert_eq!(estate.writes(), []);
                    continue;
                }
                laptop.run(&["resume", &laptop.place.id(), "--no-wait"]).ends(0);
                assert!(!laptop.claimed(), "{point}: it still stands");
                assert_eq!(estate.dump(), dump, "{point}");
                assert_eq!(laptop.place.effects("prepare"), 1, "{point}");
                let scaled = estate.changes().iter().filter(|name| *name == "UpdateService").count();
                assert_eq!(scaled, 1, "{point}");
            }
            if over {
                break;
            }
        }
    }
    assert!(points > 20, "{points}");
    println!("{points} points");
}

#[test]
fn whatever_goes_wrong_with_its_calls_it_is_claimed_once_and_let_go_of() {
    let Some(lab) = lab() else { return };
    let faults = ["fail_after", "drop_after", "garbage", "fail_before", "drop_before", "throttle", "expired_token"];
    for fault in faults {
        let estate = Estate::new(lab);
        let laptop = Laptop::new(&estate);
        estate.faults(&json!([
            { "operation": "PutObject", "nth": 1, "do": fault },
            { "operation": "GetObject", "nth": 2, "do": if fault.ends_with("before") { fault } else { "throttle" } },
            { "operation": "DeleteObject", "nth": 1, "do": fault },
        ]));
        laptop.execute(&[]).ends(0);
        assert!(!laptop.claimed(), "{fault}: it still stands");
        assert_eq!(estate.changes(), ["PutObject", "UpdateService", "DeleteObject"], "{fault}");
    }
}

#[test]
fn a_claim_whose_fate_is_unknown_leaves_a_run_that_can_be_resumed() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let (one, two) = (Laptop::new(&estate), Laptop::new(&estate));
    estate.faults(&json!([
        { "operation": "PutObject", "nth": 1, "do": "drop_after" },
        { "operation": "GetObject", "nth": 3, "times": 100, "do": "drop_before" },
    ]));
    let said = one.execute(&[]).ends(5);
    let id = one.place.id();
    said.says(&["whether the claim s3://", "is unknown", &format!("dr resume {id}")]);
    assert_eq!((estate.changes(), one.place.effects("prepare")), (vec!["PutObject".to_owned()], 0));
    estate.faults(&json!([]));
    two.execute(&[]).ends(6).says(&[&id]);
    one.run(&["resume", &id, "--no-wait"]).ends(0);
    assert!(!one.claimed());
}

#[test]
fn a_claim_that_could_not_be_let_go_of_fails_no_recovery_and_goes_with_a_resume() {
    let Some(lab) = lab() else { return };
    let estate = Estate::new(lab);
    let laptop = Laptop::new(&estate);
    estate.faults(&json!([{ "operation": "DeleteObject", "every": true, "do": "access_denied" }]));
    let said = laptop.execute(&[]).ends(0);
    let id = laptop.place.id();
    let said = said.says(&["may still stand", "s3:DeleteObject", &format!("dr resume {id}")]);
    drop(said);
    assert!(laptop.claimed());
    estate.faults(&json!([]));
    laptop.run(&["resume", &id]).ends(0).says(&["is over"]);
    assert!(!laptop.claimed());
    laptop.run(&["audit", "verify", &id]).ends(0);
}
