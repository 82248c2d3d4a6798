//! A durable chain of `true`: each step is a process and a commit.

use crate::{
    graph::Graph,
    limits::{Appends, spawns},
    measure::{Blocks, beside, missing},
    ours,
    peers::{MAKE, NINJA},
};
use dr_engine::{
    event::{Event, Kind},
    executor::Observer,
    run::Run,
};
use std::time::Instant;

const STEPS: usize = 200;
const BLOCK: u32 = 20;
/// Ten blocks a run.
const RUNS: usize = 6;
const ROUNDS: usize = 12;

/// Prints its lines.
pub fn bench() {
    let graph = Graph::Chain(STEPS);
    let folder = ours::folder("chain");
    let appends = Appends::begin(&folder);
    let mut blocks =
        InTurn { appends, since: Instant::now(), done: 0, steps: Blocks::default(), limits: Blocks::default() };
    for run in 0..RUNS {
        blocks.done = 0;
        ours::run_here(ours::planned(&graph.runbook()), &folder.join(run.to_string()), 100, &mut blocks);
    }
    beside("a step of a durable chain of 200 `true`", &blocks.steps, "S + 2F", &blocks.limits, Some(1.2));

    let dr = ours::execute(&folder, &graph.runbook(), "64");
    let whole = "the whole chain, start of the program included";
    for (peer, text) in [(MAKE, graph.makefile()), (NINJA, graph.ninja())] {
        if !peer.is_here() {
            missing(whole, &format!("there is no {}", peer.name));
            continue;
        }
        let theirs = peer.at(&folder, &text, &["-j1"]);
        let pairs = (0..ROUNDS).map(|_| (dr(), theirs()));
        let (dr, theirs): (Vec<_>, Vec<_>) = pairs.unzip();
        beside(whole, &dr.into_iter().collect(), peer.name, &theirs.into_iter().collect(), None);
    }
}

/// Stops between two steps after every block, and measures the limits there:
/// in a chain nothing else is under way then.
struct InTurn {
    appends: Appends,
    since: Instant,
    done: u32,
    steps: Blocks,
    limits: Blocks,
}

impl Observer for InTurn {
    fn told(&mut self, events: &[Event], _: &Run) {
        for event in events {
            match event.kind {
                Kind::Joined(_) => self.since = Instant::now(),
                Kind::Succeeded { .. } => self.done += 1,
                _ => continue,
            }
            if self.done > 0 && self.done.is_multiple_of(BLOCK) {
                let each = |seconds: f64| seconds / f64::from(BLOCK);
                self.steps.push(each(self.since.elapsed().as_secs_f64()));
                let (s, f) = (spawns(BLOCK), self.appends.syncs(BLOCK));
                self.limits.push(each(s) + 2.0 * each(f));
                self.since = Instant::now();
            }
        }
    }
}
