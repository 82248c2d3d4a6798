//! Runs that earlier versions began: of each format an export and the folder of
//! a run whose controller was killed lie under `journals/`, and are never
//! written anew. Whoever must change a format adds both; a run that an older
//! version began goes on all the same.

mod support;

use std::{fs, path::Path};
use support::Place;

const RUN: &str = "20261122-105559-golden-36cd";

/// A run that was killed twice: questions open, one approval of two given,
/// inputs amended, a clock corrected, a step under way.
#[test]
fn a_run_that_version_0_1_0_left_goes_on_to_its_end() {
    let place = Place::new();
    place.write("run.export", include_str!("journals/0.1.0.jsonl"));
    place.run(&["import", "run.export"]).ends(0).prints(&[RUN]);
    place.run(&["audit", "verify", RUN]).ends(0).prints(&["chain whole", "33 events"]);
    let exported = place.run(&["export", RUN, "--out", "again.export"]).ends(0);
    assert_eq!(place.read("again.export"), include_str!("journals/0.1.0.jsonl"), "{}", exported.err);
    let resume = |more: &[&str], code: i32| place.run(&[&["resume", RUN, "--no-wait"], more].concat()).ends(code);
    resume(&["--moved"], 4)
        .prints(&["dr answer 20261122-105559-golden-36cd cut_off retry", "agree: STILL ASKED: Shall users move?"]);
    let twice = place.run(&["answer", RUN, "agree", "approve", "--as", "Ada", "--why", "again"]).ends(1);
    twice.says(&["you have agreed already, as ", "1 of 2 so far"]);
    place.run(&["answer", RUN, "agree", "approve", "--as", "Ben", "--why", "so it be"]).ends(4);
    let set = r#"argv=["/bin/true"]"#;
    place.run(&["answer", RUN, "cut_off", "retry", "--set", set, "--why", "it never ends"]).ends(4);
    resume(&[], 0).prints(&["last: done"]);
    let states = ["again", "agree", "by_hand", "cut_off", "easy", "last", "left_out", "never", "tolerated", "uses"];
    let states = states.map(|step| format!("{step} {}", place.state(step)));
    assert_eq!(
        states.join(", "),
        "again done, agree done, by_hand done, cut_off done, easy done, last done, left_out skipped, never skipped, \
         tolerated failed, uses done"
    );
    place.run(&["report", RUN]).ends(0).prints(&["2026-11-22T10:49:19.393Z", "the carrier was slow"]);
}

const KILLED: &str = "20261122-141031-golden-699c";

/// Copies a folder, as it lay on the disk when the power went.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("a file");
        }
    }
}

/// The program was replaced while its controller lay dead: tables, write-ahead
/// file, inbox and logs are as 0.1.0 left them. Three steps were under way, and
/// an approval was given that no controller had taken.
#[test]
fn a_run_whose_controller_of_0_1_0_was_killed_is_looked_at_and_goes_on() {
    let place = Place::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals/0.1.0.killed");
    copy(&golden, &place.path("state/runs").join(KILLED));
    place.run(&["status", KILLED]).ends(0).prints(&["NO CONTROLLER RUNS", "1/7 done", "agree!approve"]);
    place.run(&["report", KILLED]).ends(0).prints(&["with dr 0.1.0, epoch 1"]);
    for form in ["json", "html"] {
        place.run(&["report", KILLED, "--format", form]).ends(0).prints(&["0.1.0", KILLED]);
    }
    place.run(&["history"]).ends(0).prints(&["2026-11-22 14:10", "running"]);
    place.run(&["logs", KILLED, "easy"]).ends(0).prints(&["{\"size\": 3}"]);
    let said = "9 events, chain whole, head c757488b538131c310ed4f17d346f8eacc7d84312168897b20c9ee91af6eb4a9";
    place.run(&["audit", "verify", KILLED]).ends(0).prints(&[said]);
    place.run(&["export", KILLED, "--out", "elsewhere.export"]).ends(0);

    // With this its check finds `adopted` done, and `anew` ends at once.
    let resume = |more: &[&str]| {
        let mut dr = place.dr(&[&["resume", KILLED, "--no-wait"], more].concat());
        dr.env("GOLDEN_ON", "1");
        place.end(dr)
    };
    resume(&["--moved"]).ends(4).prints(&["blind retry"]);
    let states = || {
        let states = place.states().into_iter().map(|(step, state)| format!("{step} {state}"));
        states.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(
        states(),
        "adopted done, agree done, agree!approve done, anew done, blind asking, easy done, last waiting",
        "what can look is settled, what cannot is asked about, the approval counts"
    );
    let log = |name: &str| place.path("state/runs").join(KILLED).join("logs").join(name);
    assert_eq!(fs::read_to_string(log("anew.2.out")).expect("it ran again"), "again\n");
    assert!(!log("adopted.2.out").exists(), "what was found done ran again");
    place.run(&["done", KILLED, "blind", "--why", "it had ended"]).ends(4);
    resume(&[]).ends(0);
    assert_eq!(
        states(),
        "adopted done, agree done, agree!approve done, anew done, blind bypassed, easy done, last done"
    );
    place.run(&["report", KILLED]).ends(0).prints(&["with dr 0.1.0, epoch 1", "epoch 2", "it had ended"]);
    place.run(&["audit", "verify", KILLED]).ends(0).prints(&["chain whole"]);

    // What an older version left can also go on elsewhere, from its export.
    let other = Place::new();
    other.write("run.export", &place.read("elsewhere.export"));
    other.run(&["import", "run.export"]).ends(0);
    other.run(&["audit", "verify", KILLED]).ends(0).prints(&[said]);
}
