//! What `make bench` prints: how fast `dr` is, beside what the machine and
//! other programs do with the same work.
//!
//! Nothing is compared across time. A block of ours, then one of the limit,
//! then one of each peer, again and again: a slow minute of the machine is slow
//! for all of them, and the median of the ratios of blocks is told. A goal that
//! is missed is printed as missed.
//!
//! `make bench`; or one part: `cargo bench -p dr-cli --bench bench -- chain`.
#![expect(unreachable_pub, reason = "in a binary nothing is reachable; `pub` says what other files use")]
#![expect(clippy::cast_precision_loss, reason = "counts, bytes and milliseconds here are far below 2^52")]
#![expect(clippy::print_stdout, reason = "a bench speaks to a terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

mod chain;
mod faces;
mod graph;
mod layers;
mod limits;
mod live;
mod measure;
mod ours;
mod peers;
mod plan;
mod polling;
mod resume;
mod sleeps;
mod startup;
mod telling;

fn main() {
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, fn()); 10] = [
        ("chain", chain::bench),
        ("layers", layers::bench),
        ("sleeps", sleeps::bench),
        ("plan", plan::bench),
        ("resume", resume::bench),
        ("startup", startup::bench),
        ("polling", polling::bench),
        ("live", live::bench),
        ("faces", faces::bench),
        ("telling", telling::bench),
    ];
    measure::head();
    for (name, bench) in parts {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            bench();
        }
    }
    ours::clean();
}
