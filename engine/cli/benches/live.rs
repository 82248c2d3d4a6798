//! What the picture costs: a run of 5,000 steps on a terminal that draws it,
//! beside the same run with plain lines into a file; and how soon an event is
//! on the screen.

use crate::{
    graph::Graph,
    measure::{Blocks, beside, timed, within},
    ours,
};
use rustix::pty::OpenptFlags;
use std::{
    fs::{self, File},
    io::Read,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const LAYERS: usize = 50;
const WIDE: usize = 100;
const PARALLEL: &str = "16";
/// Each round is two runs.
const ROUNDS: usize = 3;
/// Runs whose events are waited for on the screen.
const LOOKS: usize = 20;
/// No event takes longer to the screen.
const SEEN: f64 = 0.2;

/// Prints its lines.
pub fn bench() {
    let folder = ours::folder("live");
    fs::write(folder.join("runbook.yaml"), Graph::Layers(LAYERS, WIDE).runbook()).expect("a file can be written");
    let (mut drawn, mut plain) = (Blocks::default(), Blocks::default());
    for round in 0..ROUNDS {
        drawn.push(timed(|| on_terminal(command(&folder, &format!("drawn-{round}")), |_| {})).1);
        let out = File::create(folder.join("lines")).expect("a file can be made");
        let (status, time) = timed(|| command(&folder, &format!("plain-{round}")).stdout(out).status());
        assert!(status.expect("the binary is there").success(), "the run succeeds");
        plain.push(time);
    }
    let what = format!("a run of {} steps on a terminal", LAYERS * WIDE);
    // As far as two runs of the same thing differ on this machine.
    beside(&what, &drawn, "as lines into a file", &plain, Some(1.02));
    within("from an event to the screen", &latency(&folder), SEEN);
}

fn command(folder: &Path, state: &str) -> Command {
    let mut command =
        ours::dr(folder, state, &["execute", "runbook.yaml", "--kind", "drill", "--yes", "--parallel", PARALLEL]);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    command
}

/// Runs a command on a terminal, and hands over what it writes as it comes.
fn on_terminal(mut command: Command, mut seen: impl FnMut(&[u8])) {
    let terminal = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
    rustix::pty::grantpt(&terminal).expect("a pty");
    rustix::pty::unlockpt(&terminal).expect("a pty");
    let name = rustix::pty::ptsname(&terminal, Vec::new()).expect("a pty");
    let side = File::options().read(true).write(true).open(name.to_str().expect("a path")).expect("a terminal");
    let mut child = command.stdout(Stdio::from(side)).spawn().expect("the binary is there");
    // With the command its handle goes: the terminal ends when the program does.
    drop(command);
    let mut terminal = File::from(terminal);
    let mut read = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = terminal.read(&mut read) {
        seen(&read[..count]);
    }
    assert!(child.wait().expect("it ends").success(), "the run succeeds");
}

/// From the end of a step's process, which it tells by a file, until the screen says that it is done.
/// The journal and the process are in it: it is what a person waits for.
fn latency(folder: &Path) -> Blocks {
    let folder = folder.join("latency");
    fs::create_dir_all(&folder).expect("a folder can be made");
    let runbook = "dr: v1\nname: seen\nsteps:\n  \
        one: { do: { command: { argv: [sh, -c, 'sleep 0.3; touch ended'] } } }\n  \
        two: { needs: [one], do: { command: { argv: [sleep, '0.5'] } } }\n";
    fs::write(folder.join("runbook.yaml"), runbook).expect("a file can be written");
    let ended = folder.join("ended");
    let look = |look: usize| {
        fs::remove_file(&ended).ok();
        let path = ended.clone();
        let watch = thread::spawn(move || {
            while !path.exists() {
                thread::sleep(Duration::from_millis(1));
            }
            Instant::now()
        });
        let (mut text, mut shown) = (Vec::new(), None);
        on_terminal(command(&folder, &format!("state-{look}")), |bytes| {
            text.extend_from_slice(bytes);
            if shown.is_none() && String::from_utf8_lossy(&text).contains("one: done") {
                shown = Some(Instant::now());
            }
        });
        let shown = shown.expect("the screen says that it is done");
        shown.saturating_duration_since(watch.join().expect("it ended")).as_secs_f64()
    };
    (0..LOOKS).map(look).collect()
}
