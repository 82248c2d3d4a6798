//! Signals, and readers that go away: what ends a controller, and what does not.

mod support;

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};
use support::{Place, until};

/// Two that wait to be let go, one after them, one beside them.
const RUNBOOK: &str = "
dr: v1
name: waits
steps:
  one:
    do: { command: { argv: [sh, ./wait], check: { argv: [sh, ./seen] } } }
  two:
    do: { command: { argv: [sh, ./wait], check: { argv: [sh, ./seen] } } }
  after:
    needs: [one, two]
    do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } }
";

/// A run whose two first commands have begun.
fn begun() -> (Place, support::Living, String) {
    let place = Place::with(RUNBOOK);
    let controller = place.begin_drill();
    until("both commands", || place.began("one") && place.began("two"));
    let id = place.id();
    (place, controller, id)
}

/// The first signal: what runs may end, nothing new starts.
fn once(name: &str) {
    let (place, controller, id) = begun();
    controller.signal(name);
    until("the request to leave", || place.fold().is_some_and(|run| run.leaving));
    place.go("one");
    until("the first command's end", || place.state("one") == "done");
    place.go("two");
    let said = controller.end().ends(130);
    assert_eq!(said.last(), format!("interrupted, state saved: dr resume {id}"));
    assert!(said.out.contains("still running: one for"), "{}", said.out);
    assert_eq!((place.state("two"), place.state("after")), ("done", "waiting"));
    assert_eq!(place.effects("after"), 0, "nothing new starts");
    place.run(&["status", &id]).ends(0).prints(&[&format!("dr resume {id}")]);
    place.run(&["resume"]).ends(0);
    assert_eq!((place.effects("one"), place.effects("two"), place.effects("after")), (1, 1, 1));
}

/// The second signal: the controller leaves, the commands go on living, and
/// whoever goes on waits for them.
fn twice(first: &str, second: &str) {
    let (place, controller, id) = begun();
    controller.signal(first);
    until("the request to leave", || place.fold().is_some_and(|run| run.leaving));
    controller.signal(second);
    let said = controller.end().ends(130).says(&["one, two"]);
    assert_eq!(said.last(), format!("interrupted, state saved: dr resume {id}"));
    let resumed = place.start(&["resume", &id]);
    until("the second attempt", || place.fold().is_some_and(|run| run.steps().all(|(_, it)| it.attempt != 1)));
    place.go("one");
    until("the end of what lived on", || place.state("one") == "done");
    assert_eq!(place.state("two"), "running", "what lives is waited for");
    place.go("two");
    resumed.end().ends(0);
    for step in ["one", "two"] {
        assert_eq!((place.starts(step), place.effects(step)), (1, 1), "{step} was started once");
    }
}

#[test]
fn one_interrupt_lets_what_runs_end() {
    once("INT");
}

#[test]
fn one_terminate_lets_what_runs_end() {
    once("TERM");
}

#[test]
fn two_interrupts_leave_at_once_and_lose_nothing() {
    twice("INT", "INT");
}

#[test]
fn two_terminates_leave_at_once_and_lose_nothing() {
    twice("TERM", "TERM");
}

#[test]
fn an_interrupt_and_a_terminate_are_two() {
    twice("INT", "TERM");
}

#[test]
fn an_interrupt_of_a_held_run_ends_it_at_once() {
    let place = Place::with("dr: v1\nname: held\nsteps:\n  bad:\n    do: { command: { argv: [sh, -c, exit 1] } }\n");
    let controller = place.begin_drill();
    until("a question", || !place.asking().is_empty());
    controller.signal("INT");
    let said = controller.end().ends(130);
    assert_eq!(said.last(), format!("interrupted, state saved: dr resume {}", place.id()));
    assert_eq!(place.state("bad"), "asking", "the question stands");
}

#[test]
fn a_hangup_ends_nothing() {
    let (place, controller, _) = begun();
    for _ in 0..3 {
        controller.signal("HUP");
    }
    place.go("one");
    place.go("two");
    controller.end().ends(0);
    assert_eq!(place.effects("after"), 1);
}

/// Runs with this as standard output and standard error.
fn said_to(place: &Place, out: Stdio, err: Stdio) -> std::process::Child {
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.stdout(out).stderr(err).spawn().expect("it starts")
}

/// Lets the commands of a run go and waits for its end.
fn goes_on(place: &Place, child: &mut std::process::Child) {
    until("both commands", || place.began("one") && place.began("two"));
    place.go("one");
    place.go("two");
    let mut code = None;
    until("an end", || {
        code = child.try_wait().expect("a child");
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(0));
    assert_eq!(place.effects("after"), 1);
}

#[test]
fn a_closed_screen_ends_nothing() {
    let place = Place::with(RUNBOOK);
    let (out_reader, out) = std::io::pipe().expect("a pipe");
    let (err_reader, err) = std::io::pipe().expect("a pipe");
    let mut child = said_to(&place, out.into(), err.into());
    until("both commands", || place.began("one") && place.began("two"));
    drop((out_reader, err_reader));
    goes_on(&place, &mut child);
}

#[test]
fn no_screen_at_all_ends_nothing() {
    let place = Place::with(RUNBOOK);
    let mut command = Command::new("sh");
    let line = format!("exec '{}' execute runbook.yaml --kind drill --yes >&- 2>&-", env!("CARGO_BIN_EXE_dr"));
    command.args(["-c", &line]).current_dir(place.path("."));
    place.clean(&mut command);
    let mut child = command.spawn().expect("it starts");
    goes_on(&place, &mut child);
}

#[test]
fn a_pipe_that_is_full_and_that_nobody_reads_holds_up_nothing() {
    let place = Place::with(RUNBOOK);
    let (full, said) = std::io::pipe().expect("a pipe");
    fill(&said);
    let mut child = said_to(&place, said.try_clone().expect("a handle").into(), said.into());
    goes_on(&place, &mut child);
    drop(full);
}

#[test]
fn signals_are_obeyed_though_nobody_reads_what_is_said() {
    let place = Place::with(RUNBOOK);
    let (full, said) = std::io::pipe().expect("a pipe");
    fill(&said);
    let mut child = said_to(&place, said.try_clone().expect("a handle").into(), said.into());
    until("both commands", || place.began("one") && place.began("two"));
    support::signal(child.id(), "INT");
    until("the request to leave", || place.fold().is_some_and(|run| run.leaving));
    support::signal(child.id(), "INT");
    let mut code = None;
    until("an end", || {
        code = child.try_wait().expect("a child");
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(130));
    drop(full);
}

/// Fills a pipe until nothing more goes in.
fn fill(pipe: &std::io::PipeWriter) {
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(pipe));
    let mut options = std::fs::OpenOptions::new();
    // O_NONBLOCK, on a handle of its own: the one that `dr` is given blocks.
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, 0o4000);
    let mut writer = options.write(true).open(path).expect("the pipe");
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
}

/// Runs `dr` on a terminal of its own that python3 keeps, and hangs it up when told.
const TERMINAL: &str = r"
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
open('terminal', 'w').write(str(pid))
while not os.path.exists('go/hangup'):
    time.sleep(0.02)
os.close(terminal)
open('hungup', 'w').write('')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[test]
fn a_terminal_that_went_away_ends_nothing() {
    went_away("dumb");
}

#[test]
fn a_terminal_that_went_away_with_its_picture_ends_nothing() {
    went_away("xterm");
}

fn went_away(term: &str) {
    let place = Place::with(RUNBOOK);
    let mut command = Command::new("python3");
    let dr = env!("CARGO_BIN_EXE_dr");
    command.args(["-c", TERMINAL, dr, "execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.current_dir(place.path("."));
    place.clean(&mut command);
    command.env("TERM", term);
    if Command::new("python3").arg("--version").output().is_err() {
        return support::skipped("a terminal that goes away", "there is no python3 for a pty");
    }
    let terminal = place.begin(command);
    until("both commands", || place.began("one") && place.began("two"));
    place.go("hangup");
    until("the end of the terminal", || place.path("hungup").exists());
    place.go("one");
    place.go("two");
    terminal.end().ends(0);
    assert_eq!(place.effects("after"), 1);
}

#[test]
fn ctrl_c_on_a_terminal_reaches_the_controller_and_not_the_commands() {
    // A process group of its own stands for the terminal's foreground group.
    let place = Place::with(RUNBOOK);
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.process_group(0);
    let controller = place.begin(command);
    until("both commands", || place.began("one") && place.began("two"));
    let status = Command::new("kill").args(["-s", "INT", "--", &format!("-{}", controller.pid())]).status();
    assert!(status.expect("kill(1)").success());
    until("the request to leave", || place.fold().is_some_and(|run| run.leaving));
    place.go("one");
    place.go("two");
    controller.end().ends(130);
    assert_eq!((place.state("one"), place.state("two")), ("done", "done"));
}

#[test]
fn the_whole_story_is_read_when_the_reader_is_slow() {
    let place = Place::with(RUNBOOK);
    let (mut reader, out) = std::io::pipe().expect("a pipe");
    let mut child = said_to(&place, out.into(), File::create(place.path("err")).expect("a file").into());
    goes_on(&place, &mut child);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    for line in ["one: started", "two: done", "after: done"] {
        assert!(text.contains(line), "{text}");
    }
}
