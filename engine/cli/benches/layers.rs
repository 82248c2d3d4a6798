//! Ten layers of a hundred `true`, 64 at a time: here events share commits.

use crate::{
    graph::Graph,
    measure::{Blocks, beside, goal, missing, number},
    ours,
    peers::{MAKE, NINJA},
};
use std::{fs, path::Path, process::Command};

const STEPS: f64 = 1_000.0;
const ROUNDS: usize = 15;

/// Prints its lines.
pub fn bench() {
    let graph = Graph::Layers(10, 100);
    let folder = ours::folder("layers");
    let runbook = graph.runbook();
    let dr = ours::execute(&folder, &runbook, "64");
    let what = "10 layers of 100 `true`, 64 in flight";
    let make = MAKE.is_here().then(|| MAKE.at(&folder, &graph.makefile(), &["-j64"]));
    let ninja = NINJA.is_here().then(|| NINJA.at(&folder, &graph.ninja(), &["-j64"]));
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(dr());
        times[1].extend(make.as_ref().map(|make| make()));
        times[2].extend(ninja.as_ref().map(|ninja| ninja()));
    }
    let [dr, make, ninja] = times.map(Blocks::from_iter);
    for (peer, times, most) in [(&MAKE, make, Some(1.1)), (&NINJA, ninja, None)] {
        if peer.is_here() {
            beside(what, &dr, &format!("{} -j64", peer.name), &times, most);
        } else {
            missing(what, &format!("there is no {}", peer.name));
        }
    }

    let counts: Blocks = (0..5)
        .map(|n| ours::run_here(ours::planned(&runbook), &folder.join(n.to_string()), 64, &mut ours::Nobody))
        .map(|commits| commits as f64 / STEPS)
        .collect();
    let met = goal(counts.median() <= 0.125, "at most 1 in 8 steps");
    let each = |n: f64| format!("1 in {:.1}", 1.0 / n);
    number("  commits a step", &each(counts.median()), "", "", Some(met));
    match syncs(&folder) {
        Some(syncs) => {
            let met = goal(syncs / STEPS <= 0.125, "at most 1 in 8 steps");
            number("  fsync and fdatasync a step, under strace", &each(syncs / STEPS), "", "", Some(met));
        }
        None => missing("  fsync and fdatasync a step", "there is no strace"),
    }
}

/// The syncs of one run, counted by the kernel's own view of the process.
fn syncs(folder: &Path) -> Option<f64> {
    let counted = folder.join("syncs");
    let mut strace = Command::new("strace");
    strace.args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync,fdatasync", "-o"]).arg(&counted);
    let dr = ours::dr(folder, "traced", &["execute", "runbook.yaml", "--kind", "drill", "--yes", "--parallel", "64"]);
    strace.arg(dr.get_program()).args(dr.get_args()).current_dir(folder).env("DR_STATE", folder.join("traced"));
    strace.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let status = strace.status().ok()?;
    assert!(status.success(), "the run succeeds under strace");
    let text = fs::read_to_string(counted).ok()?;
    Some(text.lines().filter(|line| line.contains("sync(") || line.contains("sync resumed")).count() as f64)
}
