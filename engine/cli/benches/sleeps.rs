//! Steps whose times are known: how much longer the whole takes than its
//! longest path has to.

use crate::{
    graph::TEXT,
    measure::{Blocks, beside},
    ours,
};
use std::fmt::Write;

const LAYERS: usize = 20;
const WIDE: usize = 10;
const ROUNDS: usize = 2;

/// Prints its line.
pub fn bench() {
    let mut noise = 7_u64;
    let mut draw = |below: u64| {
        // The minimal standard generator: the same graph on every machine.
        noise = noise * 48_271 % 0x7fff_ffff;
        noise % below
    };
    let mut text = String::from("dr: v1\nname: bench\nsteps:\n");
    let mut ends = Vec::<u64>::new();
    for layer in 0..LAYERS {
        for at in 0..WIDE {
            let millis = 100 + 10 * draw(80);
            let needs: Vec<_> = if layer == 0 {
                Vec::new()
            } else {
                let before = (layer - 1) * WIDE;
                vec![before + at, before + usize::try_from(draw(WIDE as u64)).expect("it is below ten")]
            };
            let start = needs.iter().map(|need| ends[*need]).max().unwrap_or_default();
            ends.push(start + millis);
            let names: Vec<_> = needs.iter().map(|need| format!("s{need}")).collect();
            writeln!(text, "  s{}:\n    needs: [{}]", ends.len() - 1, names.join(", ")).expect(TEXT);
            let span = format!("{}.{:03}", millis / 1000, millis % 1000);
            // With the bare sleep as its p90 every step would be late by its own start, and be told as late.
            writeln!(text, "    estimate: {{ p50: {millis}ms, p90: {}ms }}", 2 * millis).expect(TEXT);
            writeln!(text, "    do: {{ command: {{ argv: [sleep, \"{span}\"] }} }}").expect(TEXT);
        }
    }
    let longest = ends.iter().max().copied().unwrap_or_default();
    let folder = ours::folder("sleeps");
    let dr = ours::execute(&folder, &text, "100");
    let makespans: Blocks = (0..ROUNDS).map(|_| dr()).collect();
    let path: Blocks = (0..ROUNDS).map(|_| longest as f64 / 1000.0).collect();
    beside("200 steps with known sleeps, from start to exit", &makespans, "critical path", &path, Some(1.007));
}
