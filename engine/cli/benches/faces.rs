//! The report of a large run, from its events to the last byte of its page.

use crate::{
    graph::Graph,
    measure::{Blocks, goal, number, timed, within},
    ours,
};
use dr_engine::{
    clock::Time,
    event::{Event, Kind},
    outcome::Output,
    plan::StepIx,
    report::Report,
};

const STEPS: u32 = 2_000;
const ROUNDS: usize = 20;

/// Prints its lines.
pub fn bench() {
    let begin = Time(1_767_225_600_000);
    let plan = ours::planned(&Graph::Chain(STEPS as usize).runbook());
    let mut events = vec![ours::opened(plan, begin), Event { seq: 2, at: begin, kind: ours::joined() }];
    for step in (0..STEPS).map(StepIx) {
        let done = Kind::Succeeded { step, attempt: 1, output: Output::default(), found: false };
        for kind in [Kind::Started { step, attempt: 1 }, done] {
            let seq = events.len() as u64 + 1;
            events.push(Event { seq, at: Time(begin.0 + 500 * i64::from(step.0)), kind });
        }
    }
    let page = || Report::of(&events, "c0ffee", begin).expect("a legal history").to_html();
    let mut times = Blocks::default();
    let mut size = 0;
    for _ in 0..ROUNDS {
        let (page, time) = timed(page);
        size = page.len();
        times.push(time);
    }
    within("the page of a run of 2,000 steps", &times, 1.0);
    let met = goal(size <= 3 * 1024 * 1024, "at most 3 MB");
    number("  its size", &format!("{} KiB", size / 1024), "", "", Some(met));
}
