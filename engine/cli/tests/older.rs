//! Runs that earlier versions began: one export of each format lies under
//! `journals/`, and is never written anew. Whoever must change a format adds
//! one; a run whose plan was made by an older version goes on all the same.

mod support;

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
    let resume = |more: &[&str], code: i32| place.run(&[&["resume", RUN, "--no-wait"], more].concat()).ends(code);
    resume(&["--moved"], 4)
        .prints(&["dr answer 20261122-105559-golden-36cd cut_off retry", "agree: STILL ASKED: Shall users move?"]);
    let twice = place.run(&["answer", RUN, "agree", "approve", "--as", "Ada", "--why", "again"]).ends(1);
    twice.says(&["you have approved already; 1 of 2 so far"]);
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
