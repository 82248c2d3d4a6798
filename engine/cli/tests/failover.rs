//! The power goes at every commit and at every mutating call of the region
//! failover, against the lab; each time the recovery is resumed, and ends as
//! if nothing had happened.
//!
//! One account of the lab per run: they share nothing. `DR_SWEEP_EVERY=N`
//! takes every Nth point only, for a quick look.

mod support;

use dr_drills::lab::{Account, Lab};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};
use support::{
    Place, Said,
    lab::{Estate, lab},
};

/// As many recoveries as the machine has cores to spare.
const AT_ONCE: usize = 2;

fn runbook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks/region_failover.yaml").canonicalize().expect("a runbook")
}

/// One recovery: an account, a folder of runs, the words that start it.
struct Recovery {
    lab: &'static Lab,
    account: Account,
    place: Place,
    start: Vec<String>,
}

impl Recovery {
    fn new(lab: &'static Lab) -> Self {
        let Estate { account, params, .. } = Estate::new(lab);
        lab.region(&json!({ "region": "eu-west-1", "state": "down", "account": account.to_string() }))
            .expect("it falls");
        let text = std::fs::read_to_string(runbook()).expect("a runbook");
        let mut start = vec!["execute".to_owned(), runbook().display().to_string(), "--yes".into()];
        for (name, value) in &params {
            if text.contains(&format!("\n  {name}:")) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                start.extend(["--param".into(), format!("{name}={value}")]);
            }
        }
        start.extend(["--param".into(), "hold=60ms".into(), "--param".into(), "every=20ms".into()]);
        start.push("--no-wait".into());
        Self { lab, account, place: Place::new(), start }
    }

    fn command(&self, args: &[&str], crash: Option<&str>) -> Command {
        let mut command = self.place.dr(args);
        for (name, value) in self.lab.env(&self.account, "eu-central-1") {
            command.env(name, value);
        }
        command.env("DR_STATE", self.place.path("state"));
        if let Some(crash) = crash {
            command.env("DR_CRASH_AT", crash);
        }
        command
    }

    fn run(&self, args: &[&str], crash: Option<&str>) -> Said {
        self.place.end(self.command(args, crash))
    }

    fn begin(&self, crash: Option<&str>) -> Said {
        let words: Vec<&str> = self.start.iter().map(String::as_str).collect();
        self.run(&words, crash)
    }

    /// Resumes until the end; what is asked is answered with `retry`.
    fn finish(&self) {
        for _ in 0..20 {
            let ids = self.place.runs();
            let Some(id) = ids.first() else {
                // The power went before there was a run: nothing had been done.
                self.begin(None).ends(0);
                return;
            };
            if self.place.fold().is_none() {
                // The folder was made, the run was not: it is begun anew beside it.
                std::fs::remove_dir_all(self.place.path("state")).expect("a folder");
                continue;
            }
            let said = self.run(&["resume", id, "--no-wait"], None);
            match said.code() {
                0 => return,
                4 => {
                    for (step, question) in self.place.asking() {
                        assert!(question.choices.iter().any(|c| c == "retry"), "{step} asks {question:?}");
                        self.run(&["answer", id, &step, "retry", "--why", "the sweep"], None).ends(4);
                    }
                }
                _ => drop(said.ends(0)),
            }
        }
        panic!("no end: {:?}", self.place.asking());
    }

    fn left(&self) -> Left {
        let calls = self.lab.calls(Some(&self.account), 0).expect("calls");
        let mut writes: BTreeMap<String, u32> = BTreeMap::new();
        let mut kinds = BTreeSet::new();
        for call in calls.lines().map(|line| serde_json::from_str::<Value>(line).expect("a call")) {
            let violated = call["fault"].as_str().is_some_and(|f| f.starts_with("model-violation"));
            assert!(!violated, "a request that AWS would refuse: {call}");
            if call["rw"] == "write" {
                let name =
                    format!("{} {}", call["service"].as_str().unwrap_or(""), call["operation"].as_str().unwrap_or(""));
                kinds.insert(name.clone());
                if call["effect"] == "changed" {
                    *writes.entry(name).or_default() += 1;
                }
            }
        }
        Left { dump: self.lab.dump(&self.account, true).expect("a dump"), writes, kinds }
    }
}

/// What a recovery leaves in the lab.
struct Left {
    dump: String,
    /// How often each operation changed something.
    writes: BTreeMap<String, u32>,
    /// Every operation that could have.
    kinds: BTreeSet<String>,
}

/// Everything must be as after the undisturbed run.
fn compare(point: &str, recovery: &Recovery, undisturbed: &Left) {
    let left = recovery.left();
    let run = recovery.place.fold().expect("a run");
    assert!(run.in_doubt().is_empty(), "{point}: in doubt");
    if left.dump != undisturbed.dump {
        let (a, b) = (&undisturbed.dump, &left.dump);
        let at = a.bytes().zip(b.bytes()).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
        let part = |text: &str| text.get(at.saturating_sub(300)..(at + 300).min(text.len())).unwrap_or("").to_owned();
        panic!("{point}: the lab differs\n--- undisturbed\n{}\n--- this\n{}", part(a), part(b));
    }
    assert!(
        left.kinds.is_subset(&undisturbed.kinds),
        "{point}: a write that the undisturbed run lacks: {:?}",
        left.kinds
    );
    assert_eq!(left.writes, undisturbed.writes, "{point}: something was changed twice, or never");
}

/// Every point, unless somebody wants a quick look.
fn every() -> u32 {
    std::env::var("DR_SWEEP_EVERY").ok().and_then(|n| n.parse().ok()).unwrap_or(1)
}

fn sweep(place: &str) -> usize {
    let Some(lab) = lab() else { return 0 };
    let undisturbed = Recovery::new(lab);
    undisturbed.begin(None).ends(0);
    let expected = undisturbed.left();
    let every = every();
    let (next, points, over) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(u32::MAX));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst) * every + 1;
                    if number >= over.load(Ordering::SeqCst) {
                        return;
                    }
                    for edge in ["before", "after"] {
                        let point = format!("{place}:{number}:{edge}");
                        let recovery = Recovery::new(lab);
                        let said = recovery.begin(Some(&point));
                        if said.status.signal() != Some(9) {
                            // It ended by itself: there is no such point, nor any later one.
                            said.ends(0);
                            over.fetch_min(number, Ordering::SeqCst);
                            return;
                        }
                        recovery.finish();
                        compare(&point, &recovery, &expected);
                        points.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let points = points.load(Ordering::SeqCst) as usize;
    assert!(points > 0, "a sweep that met no point shows nothing");
    points
}

#[test]
fn killed_at_every_commit_the_region_is_recovered_as_if_it_had_not_been() {
    let points = sweep("commit");
    println!("{points} points: before and after each commit");
}

#[test]
fn killed_at_every_mutating_call_the_region_is_recovered_as_if_it_had_not_been() {
    let points = sweep("call");
    println!("{points} points: before and after each mutating call");
}

#[test]
fn a_reply_lost_after_each_mutating_call_changes_nothing() {
    let Some(lab) = lab() else { return };
    let undisturbed = Recovery::new(lab);
    undisturbed.begin(None).ends(0);
    let expected = undisturbed.left();
    let calls: u32 = expected.writes.values().sum();
    let next = AtomicU32::new(1);
    let strike = |number: u32| {
        let recovery = Recovery::new(lab);
        let account = recovery.account.to_string();
        let rule = json!({ "account": account, "rules": [{ "write_nth": number, "do": "fail_after" }] });
        lab.fault(&rule).expect("a script");
        if recovery.begin(None).code() != 0 {
            recovery.finish();
        }
        compare(&format!("fail_after on write {number}"), &recovery, &expected);
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(every(), Ordering::SeqCst);
                    if number > calls {
                        return;
                    }
                    strike(number);
                }
            });
        }
    });
    println!("{calls} mutating calls, each failing after its effect");
}

#[test]
fn a_recovery_is_taken_back_and_users_are_sent_back_only_on_a_second_word() {
    let Some(lab) = lab() else { return };
    let recovery = Recovery::new(lab);
    let before: Value = serde_json::from_str(&recovery.left().dump).expect("a dump");
    recovery.begin(None).ends(0);
    let (id, recovered) = (recovery.place.runs().remove(0), recovery.left().dump);
    let undo = |more: &[&str]| recovery.run(&[&["undo", &id, "--yes"], more].concat(), None);
    undo(&[]).ends(1).says(&["`say_investigating`, `say_resolved` cannot be taken back", "--around"]);
    undo(&["--around"])
        .ends(2)
        .says(&["app_dns, cdn will send users back toward eu-west-1: does it serve again?", "--traffic-back"]);
    assert_eq!(recovery.left().dump, recovered, "nothing was taken back");
    undo(&["--around", "--traffic-back"]).ends(0).says(&["TAKEN BACK"]);
    let after: Value = serde_json::from_str(&recovery.left().dump).expect("a dump");
    for service in ["cloudfront", "dynamodb", "ecs", "rds", "route53"] {
        assert_eq!(after[service], before[service], "{service} is as it was before the recovery");
    }
}
