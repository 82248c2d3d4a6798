//! What somebody who is new to `dr` stumbled over, so that the next one does
//! not.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, process::Command};
use support::{Place, skipped};

const SMALL: &str = "
dr: v1
name: small
objectives: { rto: 45m }
steps:
  hello: { do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } } }
";

/// Fails at once, and a step that stands on it.
const HELD: &str = "
dr: v1
name: held
steps:
  one: { do: { command: { argv: [sh, -c, 'exit 4'] } }, on_failure: stop }
  two: { do: { command: { argv: [sh, -c, 'exit 5'] } } }
";

fn done() -> (Place, String) {
    let place = Place::with(SMALL);
    place.drill().ends(0);
    let id = place.id();
    (place, id)
}

#[test]
fn a_probe_whose_time_is_up_says_what_it_saw_and_is_not_in_doubt() {
    let place = Place::with(
        "
dr: v1
name: probe
steps:
  port: { do: { verify.tcp: { address: '127.0.0.1:9', every: 50ms } }, timeout: 1s }
",
    );
    let said = place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]).ends(4);
    assert!(said.out.contains("port: FAILED: no end within 1s; last: "), "{}", said.out);
    assert!(said.out.contains("refused"), "{}", said.out);
    assert!(!said.out.contains("in doubt") && !said.out.contains("attempt 2"), "{}", said.out);
    assert_eq!(place.in_doubt(), 0);
}

#[test]
fn a_state_folder_that_is_empty_or_cannot_be_read_says_so() {
    let place = Place::new();
    place.run(&["status"]).ends(0).says(&["there are no runs under", "/state/runs"]);
    place.write("file", "");
    let said = place.run(&["--state", "file", "status"]).ends(1);
    said.says(&["the runs under file/runs cannot be read", "--state DIR"]);
}

#[test]
fn a_journal_of_another_user_is_not_called_damaged() {
    if !rustix::process::geteuid().is_root() {
        return skipped("the journal of another user", "only root can make one");
    }
    let (place, id) = done();
    let journal = place.run_folder().join("journal.db");
    std::os::unix::fs::chown(&journal, Some(65_534), None).expect("root may");
    let said = place.run(&["status", &id]).ends(1);
    assert!(!said.err.contains("damaged"), "{}", said.err);
    said.says(&["belongs to user 65534, and this is user 0", "sudo -u '#65534' dr"]);
}

#[test]
fn what_cannot_be_printed_is_an_error_and_not_a_green_light() {
    let (place, id) = done();
    for args in [vec!["export", &id], vec!["report", &id], vec!["plan", "runbook.yaml"], vec!["status"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let mut command: Command = place.dr(&args);
        let ended = command.stdout(full).output().expect("it starts");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("not all of it could be printed: No space left on device"), "{said}");
    }
}

#[test]
fn a_plan_is_never_written_over_a_runbook() {
    let place = Place::with(SMALL);
    let said = place.run(&["plan", "runbook.yaml", "--out", "runbook.yaml"]).ends(2);
    said.says(&["runbook.yaml is there already and is no saved plan: nothing was written"]);
    assert_eq!(place.read("runbook.yaml"), SMALL);
    for _ in 0..2 {
        place.run(&["plan", "runbook.yaml", "--out", "small.plan"]).ends(0);
    }
}

#[test]
fn a_saved_plan_can_be_looked_at_with_every_command_that_plans() {
    let place = Place::with(SMALL);
    place.run(&["plan", "runbook.yaml", "--out", "small.plan"]).ends(0);
    let shown = place.run(&["plan", "runbook.yaml"]).ends(0).out;
    assert_eq!(place.run(&["plan", "small.plan"]).ends(0).out, shown);
    place.run(&["lint", "small.plan"]).ends(0).prints(&["small.plan: 1 step, no mistakes"]);
    place.run(&["graph", "small.plan"]).ends(0).prints(&["<svg"]);
    place.run(&["plan", "small.plan", "--param", "a=1"]).ends(2).says(&["takes no parameters or selection"]);
}

#[test]
fn an_rto_that_nobody_will_measure_is_told_before_the_night() {
    let place = Place::with(SMALL);
    for command in ["plan", "lint"] {
        place.run(&[command, "runbook.yaml"]).ends(0).prints(&["no `verify`", "the RTO stays unmeasured"]);
    }
}

#[test]
fn doctor_tries_whether_the_state_can_be_written() {
    if rustix::process::geteuid().is_root() {
        // Root may write anywhere: a folder that is none stands in for one without the right.
        let place = Place::new();
        place.write("file", "");
        let said = place.run(&["--state", "file", "doctor"]).ends(1);
        said.prints(&["cannot be made"]);
        return;
    }
    let place = Place::new();
    fs::create_dir(place.path("locked")).expect("a folder");
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o500)).expect("rights");
    place.run(&["--state", "locked", "doctor"]).ends(1).prints(&["nothing can be written to locked"]);
}

#[test]
fn a_run_that_is_over_asks_nothing_and_says_so() {
    let place = Place::with(HELD);
    let ended = place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--parallel", "1"]);
    assert_ne!(ended.code(), 0);
    let id = place.id();
    let said = place.run(&["status", &id]).ends(0);
    assert!(!said.out.contains("dr answer"), "{}", said.out);
    place.run(&["answer", &id, "one", "retry"]).ends(1).says(&["the run is over, and asks nothing any more"]);
    place.run(&["pause", &id]).ends(1).says(&["the run is over"]);
}

#[test]
fn what_stays_unknown_after_a_stop_stays_so_for_everybody_who_looks() {
    let place = Place::with(
        "
dr: v1
name: doubt
steps:
  blind: { do: { command: { argv: [sh, ./wait] } } }
",
    );
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.env("DR_CRASH_AT", "call:1:after");
    place.end(command).ends(-9);
    let id = place.id();
    place.go("blind");
    support::until("its end", || place.effects("blind") == 1);
    place.run(&["resume", &id, "--no-wait"]).ends(4);
    place.run(&["answer", &id, "blind", "stop"]);
    for _ in 0..2 {
        place.run(&["resume", &id, "--no-wait"]).ends(5).says(&["nobody knows what became of: blind"]);
    }
    place.run(&["status", &id]).ends(0).prints(&["nobody knows what became of it"]);
}

#[test]
fn an_undo_that_has_nothing_to_go_around_does_not_offer_it() {
    let (place, id) = done();
    let said = place.run(&["undo", &id, "--yes", "--why", "x"]).ends(1);
    assert!(!said.err.contains("--around"), "{}", said.err);
    said.says(&["nothing that was done can be taken back: `hello`"]);
}

#[test]
fn an_undo_of_what_nobody_drives_says_who_finds_out() {
    let place = Place::with(SMALL);
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.env("DR_CRASH_AT", "call:1:before");
    place.end(command).ends(-9);
    let id = place.id();
    place
        .run(&["undo", &id, "--yes", "--why", "x"])
        .ends(1)
        .says(&["no controller runs; dr resume", "finds out first"]);
}

#[test]
fn a_hash_that_is_too_short_is_told_as_that() {
    let place = Place::with(SMALL);
    let said = place.run(&["execute", "runbook.yaml", "--kind", "drill", "--confirm", "96c11"]).ends(2);
    said.says(&["`--confirm 96c11` is too short: at least 8 digits"]);
}

#[test]
fn a_phase_without_steps_is_told_as_that() {
    let place = Place::with(
        "dr: v1\nname: x\nphases: [data, dns]\nsteps: { a: { phase: data, do: { command: { argv: [sh, ./work] } } } }\n",
    );
    let said = place.run(&["plan", "runbook.yaml", "--only", "phase.dns"]).ends(2);
    assert!(!said.err.contains("did you mean"), "{}", said.err);
    said.says(&["--only phase.dns: no step is in this phase"]);
}

#[test]
fn a_question_that_is_still_asked_stands_on_lines_of_its_own() {
    let place = Place::with(
        "dr: v1\nname: x\nroles: { lead: { name: Ada } }\nsteps: { a: { do: { manual: { instructions: look, owner: lead } } } }\n",
    );
    place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]).ends(4);
    let said = place.run(&["resume", &place.id(), "--no-wait"]).ends(4);
    for line in said.out.lines().filter(|line| line.trim_start().starts_with("dr ")) {
        assert!(!line.contains("controller"), "{line}");
    }
    assert!(said.out.contains("STILL ASKED"), "{}", said.out);
}

#[test]
fn an_attempt_that_only_looks_is_not_told_as_a_start() {
    let place = Place::with(SMALL);
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    command.env("DR_CRASH_AT", "call:1:after");
    place.end(command).ends(-9);
    support::until("its effect", || place.effects("hello") == 1);
    let said = place.run(&["resume", &place.id()]).ends(0);
    assert!(said.out.contains("hello: attempt 2: looks first what became of the last"), "{}", said.out);
    assert_eq!(place.effects("hello"), 1);
}

#[test]
fn a_state_that_was_named_once_is_named_for_the_commands_that_follow() {
    let place = Place::with(SMALL);
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--state", "else where"]);
    command.env_remove("DR_STATE");
    place.end(command).ends(0).says(&["every command about it wants --state 'else where', or DR_STATE='else where'"]);
    let quiet = place.drill().ends(0);
    assert!(!quiet.err.contains("DR_STATE"), "{}", quiet.err);
}

#[test]
fn status_says_what_a_running_probe_sees() {
    let probe = "dr: v1\nname: x\nsteps: { port: { do: { verify.tcp: { address: '127.0.0.1:9', every: 50ms } } } }\n";
    let place = Place::with(probe);
    let controller = place.begin_drill();
    support::until("what it sees", || place.run(&["status", &place.id()]).out.contains("refused"));
    controller.kill().ends(-9);
}
