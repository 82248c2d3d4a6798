//! `dr plan` of large runbooks, beside Ninja's dry run of the same graph and a
//! bare scan of the same text.

use crate::{
    graph::TEXT,
    measure::{Blocks, beside, goal, missing, number, timed},
    ours,
    peers::NINJA,
};
use std::{fmt::Write, fs, path::Path};

/// How many stand beside each other.
const WIDE: usize = 20;

/// Prints its lines.
pub fn bench() {
    let small = planning(1_000, 50);
    let large = planning(10_000, 11);
    let times = large / small;
    let met = goal(times <= 11.0, "linear, at most 11");
    number("dr plan: 10,000 steps over 1,000", &format!("{times:.2} x"), "", "", Some(met));
    if cfg!(target_os = "linux") {
        let folder = ours::folder("memory");
        fs::write(folder.join("runbook.yaml"), runbook(1)).expect("a file can be written");
        let empty = ours::peak(&folder, &["plan", "runbook.yaml"]);
        for steps in [1_000, 10_000] {
            memory(&folder, steps, empty);
        }
    } else {
        missing("dr plan: peak of memory", "only Linux tells it");
    }
}

fn planning(steps: usize, rounds: usize) -> f64 {
    let folder = ours::folder("plan");
    let text = runbook(steps);
    fs::write(folder.join("runbook.yaml"), &text).expect("a file can be written");
    let ninja = NINJA.is_here().then(|| NINJA.at(&folder, &ninja(steps), &["-n"]));
    let (mut plans, mut scans, mut dry) = (Blocks::default(), Blocks::default(), Blocks::default());
    for _ in 0..rounds {
        let mut plan = ours::dr(&folder, "state", &["plan", "runbook.yaml"]);
        let (status, time) = timed(|| plan.status().expect("the binary is there"));
        assert!(status.success(), "the plan succeeds");
        plans.push(time);
        scans.push(timed(|| scan(&text)).1);
        if let Some(ninja) = &ninja {
            dry.push(ninja());
        }
    }
    let what = format!("dr plan of {steps} steps, {} KiB", text.len() / 1024);
    if ninja.is_some() {
        beside(&what, &plans, "ninja -n + 1.3 scans", &dry.plus(1.3, &scans), Some(1.0));
        beside("  beside ninja -n alone", &plans, "ninja -n", &dry, None);
    } else {
        missing(&what, "there is no ninja");
    }
    beside("  beside the scan alone", &plans, "scan", &scans, None);
    plans.median()
}

fn memory(folder: &Path, steps: usize, empty: u64) {
    let text = runbook(steps);
    fs::write(folder.join("runbook.yaml"), &text).expect("a file can be written");
    let peak = ours::peak(folder, &["plan", "runbook.yaml"]).saturating_sub(empty);
    let most = 3 * text.len() as u64 + 3 * 1024 * steps as u64;
    let kib = |bytes: u64| format!("{} KiB", bytes / 1024);
    let met = goal(peak <= most, "at most 1");
    let what = format!("  its peak of memory beyond an empty one, {steps}");
    number(
        &what,
        &kib(peak),
        &format!("3 files + 3 KiB a step {}", kib(most)),
        &format!("{:.3}", peak as f64 / most as f64),
        Some(met),
    );
}

/// The parser's events, and nothing made of them: what reading cannot do without.
fn scan(text: &str) -> usize {
    let options = granit_parser::options! { emit_comments: false };
    granit_parser::Parser::new_from_str_with_options(text, options).count()
}

/// Steps as people write them: needs, a reference, an estimate, a look.
fn runbook(steps: usize) -> String {
    let mut text = String::from(
        "dr: v1\nname: bench\nregions: { primary: eu-west-1, recovery: eu-central-1 }\n\
         objectives: { rto: 400h, rpo: 15m }\nparams:\n  env: { type: string, default: prod }\nsteps:\n",
    );
    for step in 0..steps {
        write!(text, "  restore_{step}:\n    phase: datastores\n").expect(TEXT);
        let from = match needs(step).as_slice() {
            [] => "primary".to_owned(),
            [above, rest @ ..] => {
                let rest: Vec<_> = rest.iter().map(|need| format!("restore_{need}")).collect();
                writeln!(text, "    needs: [{}]", rest.join(", ")).expect(TEXT);
                format!("${{steps.restore_{above}.id}}")
            }
        };
        write!(
            text,
            "    timeout: 45m\n    estimate: {{ p50: 18m, p90: 35m }}\n    retry: {{ attempts: 3, backoff: 5s..2m }}\n    \
             do:\n      command:\n        \
             argv: [bin/restore, --from, \"{from}\", --to, \"orders-{step}-${{params.env}}\", --class, db.r6g.large]\n        \
             check: {{ argv: [bin/restored, \"orders-{step}-${{params.env}}\"] }}\n        \
             outputs: {{ id: {{ json: /id }} }}\n"
        )
        .expect(TEXT);
    }
    text
}

/// The step above, whose output is used, and its neighbour.
fn needs(step: usize) -> Vec<usize> {
    if step < WIDE { Vec::new() } else { vec![step - WIDE, step - step % WIDE - WIDE + (step + 7) % WIDE] }
}

/// The same graph with the same words.
fn ninja(steps: usize) -> String {
    let mut text = String::from("rule restore\n  command = bin/restore --from $in --to $to --class db.r6g.large\n");
    for step in 0..steps {
        let needs: Vec<_> = needs(step).iter().map(|need| format!(" restore_{need}")).collect();
        writeln!(text, "build restore_{step}: restore{}\n  to = orders-{step}-prod", needs.concat()).expect(TEXT);
    }
    text
}
