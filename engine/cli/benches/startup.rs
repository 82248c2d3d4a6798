//! The smallest durable run, from the start of the program to its end.

use crate::{
    graph::Graph,
    limits::{Appends, spawns},
    measure::{Blocks, beside, within},
    ours,
};

const ROUNDS: usize = 60;
/// The file, its two folders, the journal's head and folder, three commits, and two when it is closed.
const SYNCS: u32 = 10;

/// Prints its lines.
pub fn bench() {
    let folder = ours::folder("startup");
    let dr = ours::execute(&folder, &Graph::Chain(1).runbook(), "1");
    let mut appends = Appends::begin(&folder);
    let (mut times, mut starts, mut limits) = (Blocks::default(), Blocks::default(), Blocks::default());
    for _ in 0..ROUNDS {
        times.push(dr());
        starts.push(spawns(1));
        limits.push(2.0 * spawns(1) + appends.syncs(SYNCS));
    }
    within("a one-step durable run, from start to exit", &times, 0.010);
    beside("  beside starting `true`", &times, "S", &starts, None);
    // Two processes and the syncs: what the disk of this minute leaves of the goal.
    beside("  beside its processes and syncs", &times, &format!("2S + {SYNCS}F"), &limits, None);
}
