//! What it costs a recovery to tell people of it when nobody answers: its
//! makespan, by the journal, with a Slack and a mail server that take
//! connections and never say a word, beside the same run that tells nobody.

use crate::{
    graph::Graph,
    measure::{Blocks, beside},
    ours,
};
use dr_engine::{journal::sqlite, run::Run};
use std::{fs, io, net::TcpListener, path::Path, thread};

const STEPS: usize = 400;
/// Each round is two runs.
const ROUNDS: usize = 7;

/// Prints its line.
pub fn bench() {
    let (telling, silent) = (ours::folder("telling"), ours::folder("telling-nobody"));
    let runbook = Graph::Chain(STEPS).runbook();
    fs::write(silent.join("runbook.yaml"), &runbook).expect("a file can be written");
    let comms = "comms: { slack: { channel: dr }, email: { to: [board@example.com] } }\nsteps:";
    fs::write(telling.join("runbook.yaml"), runbook.replacen("steps:", comms, 1)).expect("a file can be written");
    let settings = format!(
        "[limits]\nlast_words_max = \"100ms\"\n[slack]\ntoken = {{ secret = \"file:token\" }}\n\
         api = \"http://127.0.0.1:{}/api\"\n[mail]\nurl = \"smtp://127.0.0.1:{}\"\nfrom = \"dr@example.com\"\n",
        silence(),
        silence(),
    );
    fs::write(telling.join("dr.toml"), settings).expect("a file can be written");
    fs::write(telling.join("token"), "xoxb-bench").expect("a file can be written");
    let (mut with, mut without) = (Blocks::default(), Blocks::default());
    for round in 0..ROUNDS {
        with.push(makespan(&telling, &format!("state-{round}")));
        without.push(makespan(&silent, &format!("state-{round}")));
    }
    // As far as two runs of the same thing differ on this machine.
    beside(&format!("a run of {STEPS} steps, Slack and mail silent"), &with, "telling nobody", &without, Some(1.02));
}

/// From the opening of a run to its end, in seconds.
fn makespan(folder: &Path, state: &str) -> f64 {
    let status = ours::dr(folder, state, &["execute", "runbook.yaml", "--kind", "drill", "--yes"]).status();
    assert!(status.expect("the binary is there").success(), "the run succeeds");
    let runs = fs::read_dir(folder.join(state).join("runs")).expect("runs");
    let run = runs.flatten().next().expect("one run").path();
    let read = sqlite::read(&run).expect("a journal");
    let opened = Run::open(read.events[0].clone()).expect("opened").opened_at;
    let finished = read.events.iter().rfind(|event| matches!(event.kind, dr_engine::event::Kind::Finished { .. }));
    finished.expect("it finished").at.since(opened).0 as f64 / 1_000.0
}

/// Takes connections and never says a word; gives the port.
fn silence() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || io::copy(&mut stream, &mut io::sink()));
        }
    });
    port
}
