//! What reading costs: the bare scan, the tree, the tree and typed steps.
//!
//! `cargo run --release -p dr-engine --example read_bench -- 10000 20`
#![expect(clippy::print_stdout, reason = "a bench speaks to a terminal")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dr_engine::duration::Dur;
use dr_engine::problem::Span;
use dr_engine::yaml::{Closed, In, Limits, Spanned, json, parse, read};
use indexmap::IndexMap;
use serde::Deserialize;

#[expect(dead_code, reason = "only reading is measured")]
#[derive(Deserialize)]
struct Book {
    dr: String,
    steps: IndexMap<String, Step>,
}

#[expect(dead_code, reason = "only reading is measured")]
#[derive(Deserialize)]
struct Step {
    phase: String,
    #[serde(default)]
    needs: Vec<Spanned<String>>,
    timeout: Option<Dur>,
    #[serde(rename = "do")]
    act: Act,
    estimate: Estimate,
}

#[expect(dead_code, reason = "only reading is measured")]
#[derive(Deserialize)]
enum Act {
    #[serde(rename = "rds.restore_snapshot")]
    Restore { source: In<String>, snapshot: In<String>, target: In<String>, class: In<String>, port: In<u16> },
}

#[expect(dead_code, reason = "only reading is measured")]
#[derive(Deserialize)]
struct Estimate {
    p50: Dur,
    p90: Dur,
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<usize>().ok());
    let steps = numbers.next().unwrap_or(10_000);
    let rounds = numbers.next().unwrap_or(10);
    let mut text = "dr: v1\nsteps:\n".to_owned();
    for n in 0..steps {
        let before = n.saturating_sub(1);
        write!(
            text,
            "  orders_db_{n}:\n    phase: datastores\n    needs: [orders_db_{before}]\n    timeout: 45m\n    do:\n      rds.restore_snapshot:\n        source: orders-{n}\n        snapshot: latest\n        target: \"orders-{n}-recovered\"\n        class: db.r6g.large\n        port: 5432\n    estimate: {{ p50: 18m, p90: 35m }}\n"
        )
        .expect("a text can be written to");
    }
    let limits = Limits { bytes_max: usize::MAX, ..Limits::default() };
    let at = Span::default();
    let doc = parse(&text, 0, &limits).expect("good YAML");
    let nodes = doc.nodes();
    drop(doc);
    println!("{steps} steps, {} bytes, {nodes} nodes, tree {} bytes", text.len(), nodes * 16);
    // In turns, so that a slow minute of the machine is slow for all.
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        times[0].push(timed(|| {
            let options = granit_parser::options! { emit_comments: false };
            granit_parser::Parser::new_from_str_with_options(&text, options).count()
        }));
        times[1].push(timed(|| parse(&text, 0, &limits)));
        times[2].push(timed(|| {
            let doc = parse(&text, 0, &limits).expect("good YAML");
            let book: Option<Book> = read(doc.root(), at, &Closed, &mut Vec::new());
            book.expect("a good book")
        }));
        times[3].push(timed(|| {
            let doc = parse(&text, 0, &limits).expect("good YAML");
            json(doc.root(), &Closed, &mut Vec::new())
        }));
    }
    for (name, mut times) in ["events", "tree", "tree + typed", "tree + json"].into_iter().zip(times) {
        times.sort();
        println!("{name:<13} median {:>8.2?}  best {:>8.2?}", times[rounds / 2], times[0]);
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn timed<T>(act: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let value = black_box(act());
    let time = start.elapsed();
    // Whoever reads a runbook keeps it: freeing it is not part of reading.
    drop(value);
    time
}
