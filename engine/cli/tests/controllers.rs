//! Two controllers, a stopped one, one that wakes up; and what people say to a
//! run that one of them holds.

mod support;

use dr_engine::event::Kind;
use std::time::Duration;
use support::{Living, Place, shim::shim, took, until};

/// Two that wait to be let go, and one after them.
const WAITS: &str = "
dr: v1
name: waits
roles: { technical_lead: { name: Ada, deputies: [Grace] } }
steps:
  one:
    do: { command: { argv: [sh, ./wait], check: { argv: [sh, ./seen] } } }
  two:
    do: { command: { argv: [sh, ./wait], check: { argv: [sh, ./seen] } } }
  after:
    needs: [one, two]
    do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } }
";

/// One that fails until there is a file, and one after it.
const ASKS: &str = "
dr: v1
name: asks
roles: { technical_lead: { name: Ada, deputies: [Grace] } }
steps:
  bad:
    do: { command: { argv: [sh, -c, \"[ -e mended ] && sh ./work\"], check: { argv: [sh, ./seen] } } }
  after:
    needs: [bad]
    do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } }
";

/// A run whose two first commands have begun.
fn begun() -> (Place, Living, String) {
    let place = Place::with(WAITS);
    let controller = place.begin_drill();
    until("both commands", || place.began("one") && place.began("two"));
    let id = place.id();
    (place, controller, id)
}

/// A run that asks about a step.
fn asks() -> (Place, Living, String) {
    let place = Place::with(ASKS);
    let controller = place.begin_drill();
    until("a question", || !place.asking().is_empty());
    let id = place.id();
    (place, controller, id)
}

/// The epochs of all controllers so far.
fn epochs(place: &Place) -> Vec<u64> {
    let joined = |kind| if let Kind::Joined(controller) = kind { Some(controller.epoch) } else { None };
    place.events().into_iter().filter_map(|event| joined(event.kind)).collect()
}

#[test]
fn a_second_controller_is_refused_and_told_who_holds_the_run() {
    let (place, controller, id) = begun();
    let holder = format!("held by pid {} on ", controller.pid());
    place.run(&["resume", &id]).ends(6).says(&[&holder, &format!("dr resume {id} --take-over --why")]);
    place.run(&["resume"]).ends(6).says(&[&holder]);
    place.run(&["resume", &id, "--take-over"]).ends(2).says(&["--why"]);
    place.run(&["status", &id]).ends(0).prints(&[&holder]);
    assert_eq!(epochs(&place), [1]);
    place.go("one");
    place.go("two");
    controller.end().ends(0);
}

#[test]
fn a_stopped_controller_is_taken_over_after_its_lease_and_does_nothing_when_it_wakes() {
    let (place, first, id) = begun();
    first.stop();
    place.go("one");
    let second = place.start(&["resume", &id, "--take-over", "--why", "it does not answer"]);
    let (waited, ()) = took(|| until("the second controller", || epochs(&place) == [1, 2]));
    assert!(waited >= Duration::from_secs(15), "the lease was waited out, not {waited:?}");
    until("the first command's end", || place.state("one") == "done");
    let before = place.events().len();
    first.signal("CONT");
    first.end().ends(6).says(&["taken this run", "dr watch"]);
    assert_eq!(place.events().len(), before, "the one that woke wrote nothing");
    assert_eq!(place.effects("after"), 0, "and began nothing");
    place.go("two");
    second.end().ends(0);
    for step in ["one", "two"] {
        assert_eq!((place.starts(step), place.effects(step)), (1, 1), "{step}");
    }
    assert_eq!(place.effects("after"), 1);
    place.run(&["audit", "verify", &id]).ends(0);
}

#[test]
fn one_that_wakes_within_its_lease_ends_before_the_other_begins() {
    let (place, first, id) = begun();
    first.stop();
    let second = place.start(&["resume", &id, "--take-over", "--why", "it does not answer"]);
    until("the other's wait", || second.so_far().1.contains("lease"));
    place.go("one");
    place.go("two");
    until("both effects", || place.effects("one") == 1 && place.effects("two") == 1);
    first.signal("CONT");
    first.end().ends(6);
    assert_eq!((epochs(&place), place.effects("after")), (vec![1], 0));
    second.end().ends(0);
    assert_eq!((epochs(&place), place.effects("after")), (vec![1, 2], 1));
    assert_eq!((place.starts("one"), place.starts("two")), (1, 1));
}

#[test]
fn one_that_waits_for_people_learns_that_it_was_taken_over() {
    let (place, first, id) = asks();
    first.stop();
    let second = place.start(&["resume", &id, "--take-over", "--why", "it does not answer"]);
    until("the second controller", || epochs(&place) == [1, 2]);
    first.signal("CONT");
    first.end().ends(6).says(&["taken this run over"]);
    place.write("mended", "");
    place.run(&["answer", &id, "bad", "retry", "--why", "mended"]).ends(0);
    second.end().ends(0);
    assert_eq!(place.effects("after"), 1);
}

#[test]
fn a_take_over_that_dies_is_waited_out_by_the_next() {
    let (place, first, id) = begun();
    first.stop();
    let second = place.start(&["resume", &id, "--take-over", "--why", "it does not answer"]);
    until("the second's wait", || second.so_far().1.contains("lease"));
    second.kill();
    let third = place.start(&["resume", &id]);
    let (waited, ()) = took(|| until("the third controller", || epochs(&place) == [1, 3]));
    assert!(waited >= Duration::from_secs(14), "the lease of the first was waited out, not {waited:?}");
    first.kill();
    place.go("one");
    place.go("two");
    third.end().ends(0).says(&["died before it began"]);
    assert_eq!((place.starts("one"), place.effects("after")), (1, 1));
}

#[test]
fn a_holder_that_is_stopped_inside_a_write_is_named_with_the_way_out() {
    let place = Place::with(WAITS);
    let Some(shim) = shim(&place, "a controller that stopped inside a write") else { return };
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes"]);
    // The journal is made with a few syncs; later ones are commits of events.
    command.env("LD_PRELOAD", shim).env("SHIM_STOP_SYNC", "7");
    let first = place.begin(command);
    until("some events, or a stop", || !place.events().is_empty());
    place.go("one");
    place.go("two");
    let id = place.id();
    for note in 0..20 {
        if support::process_state(first.pid()) == Some('T') {
            break;
        }
        place.run(&["note", &id, &format!("note {note}"), "--within", "2s"]);
    }
    until("a stopped controller", || support::process_state(first.pid()) == Some('T'));
    let kill = format!("kill -9 {}", first.pid());
    place.run(&["resume", &id, "--take-over", "--why", "it does not answer"]).ends(6).says(&[&kill, "stopped"]);
    // The one that could not be fenced still holds the run.
    place.run(&["resume", &id]).ends(6).says(&[&format!("held by pid {}", first.pid())]);
    first.kill();
    place.run(&["resume", &id]).ends(0);
    assert_eq!((place.effects("one"), place.effects("after")), (1, 1));
    place.run(&["audit", "verify", &id]).ends(0);
}

#[test]
fn a_bystander_that_stands_in_the_middle_of_a_read_holds_up_nobody() {
    let (place, controller, id) = begun();
    let Some(shim) = shim(&place, "a bystander that stopped inside a read") else { return };
    let mut bystanders = Vec::new();
    for (point, args) in [(1, "status"), (1, "watch"), (2, "status"), (3, "status"), (5, "status")] {
        let mut command = place.dr(&[args, &id]);
        command.env("LD_PRELOAD", &shim).env("SHIM_STOP_READ", point.to_string());
        bystanders.push(place.begin(command));
    }
    for one in &mut bystanders {
        until("a stop, or an end", || support::process_state(one.pid()) == Some('T') || one.over());
    }
    assert!(bystanders.iter().any(|one| support::process_state(one.pid()) == Some('T')), "one stands");
    place.go("one");
    until("one end", || place.state("one") == "done");
    controller.kill();
    let next = place.start(&["resume", &id]);
    place.go("two");
    next.end().ends(0);
    place.run(&["note", &id, "all is well"]).ends(0);
    assert_eq!(place.effects("after"), 1);
    for mut one in bystanders {
        if !one.over() {
            one.signal("CONT");
        }
    }
}

#[test]
fn looking_at_a_run_again_and_again_keeps_no_controller_out() {
    let place = Place::with(ASKS);
    place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]).ends(4);
    let id = place.id();
    let mut looking: Vec<_> = (0..4).map(|_| place.start(&["status", &id])).collect();
    for _ in 0..6 {
        place.run(&["resume", &id, "--no-wait"]).ends(4);
        looking.push(place.start(&["status", &id]));
        looking.remove(0).end().ends(0);
    }
}

#[test]
fn a_living_controller_takes_what_people_say() {
    let (place, controller, id) = asks();
    place.run(&["note", &id, "the network team is called", "--as", "Grace"]).ends(0);
    place.run(&["note", &id, "who knows this host", "--help-wanted"]).ends(0);
    place
        .run(&["note", &id, "--incident-at", "-25m", "--why", "the first alarm"])
        .ends(0)
        .says(&["noted: the outage began at 20", "Z, 25m ago"]);
    place.run(&["pause", &id]).ends(0);
    place.run(&["pause", &id]).ends(1).says(&["paused already"]);
    place.write("mended", "");
    place.run(&["answer", &id, "bad", "retry", "--why", "mended"]).ends(0);
    assert_eq!(place.effects("bad"), 0, "paused: nothing starts");
    place.run(&["undo", &id, "--yes"]).ends(1).says(&["nothing was done"]);
    place.run(&["resume", &id]).ends(0);
    let said = controller.end().ends(0);
    for line in ["note by Grace: the network", "HELP WANTED", "PAUSED", "continued", "answered by", "after: done"] {
        assert!(said.out.contains(line), "{line:?} in {}", said.out);
    }
    let run = place.fold().expect("a run");
    assert_eq!((run.opened.incident_assumed, place.effects("after")), (false, 1));
}

#[test]
fn work_done_by_hand_is_proven_where_the_check_sees_it_and_vouched_for_where_not() {
    for (seen, proof) in [(true, "proven by its check"), (false, "vouched for, not proven")] {
        let (place, controller, id) = asks();
        if seen {
            place.write("effects/bad", "bad\n");
        }
        place.run(&["done", &id, "bad"]).ends(2).says(&["--why TEXT"]);
        place.run(&["done", &id, "bad", "--why", "restored by hand", "--as", "Ada"]).ends(0);
        let said = controller.end().ends(0);
        assert!(said.out.contains(&format!("done by hand by Ada: {proof}")), "{}", said.out);
        assert_eq!((place.state("bad"), place.effects("after")), ("bypassed", 1));
    }
}

#[test]
fn a_step_is_taken_back_through_the_inbox_or_not_with_the_reason() {
    let (place, controller, id) = begun();
    place.go("one");
    until("one end", || place.state("one") == "done");
    // A command cannot be taken back; the words name it.
    place.run(&["undo", &id, "one", "--yes"]).ends(1).says(&["nothing that was done can be taken back: `one`"]);
    place.run(&["undo", &id, "two", "--yes"]).ends(1).says(&["`two` is running"]);
    place.go("two");
    controller.end().ends(0);
    place.run(&["undo", &id, "--yes"]).ends(1).says(&["can be taken back"]);
}

#[test]
fn what_is_said_while_no_controller_runs_is_kept_or_refused_with_the_command_that_starts_one() {
    let place = Place::with(ASKS);
    place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]).ends(4);
    let id = place.id();
    let resume = format!("dr resume {id}");
    place.run(&["status"]).ends(0).prints(&[&id, "NO CONTROLLER RUNS"]);
    place.run(&["status", &id]).ends(0).prints(&[&format!("NO CONTROLLER RUNS, nothing goes on: {resume}")]);
    place.run(&["status", &id, "--json"]).ends(0).prints(&[r#""controller":null"#]);
    place.run(&["pause", &id]).ends(0).says(&["no controller runs", &resume]);
    place.run(&["note", &id, "nobody is here"]).ends(0);
    place.run(&["answer", &id, "after", "retry"]).ends(1).says(&["`after` asks nothing"]);
    place.run(&["answer", &id, "bad", "retry", "--why", "again"]).ends(4).says(&["no controller", &resume]);
    assert_eq!(place.state("bad"), "asking");
    // It is asked anew, because it fails again; the answer was taken once.
    place.run(&["resume", &id, "--no-wait"]).ends(4);
    let again = || place.events().iter().filter(|e| matches!(e.kind, Kind::Answered { .. })).count();
    assert_eq!(again(), 1);
    place.run(&["resume", &id, "--no-wait"]).ends(4);
    assert_eq!(again(), 1);
    place.run(&["done", &id, "bad", "--why", "by hand"]).ends(4).says(&[&resume]);
    place.run(&["resume", &id]).ends(0);
    assert_eq!(place.effects("after"), 1);
    place.run(&["answer", &id, "bad", "retry"]).ends(1);
    place.run(&["note", &id, "afterwards"]).ends(0);
    place.run(&["resume", &id]).ends(0).says(&["is over"]);
}

#[test]
fn a_step_left_out_before_the_controller_comes_is_not_begun() {
    let place = Place::with(WAITS);
    place.go("one");
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--parallel", "1"]);
    command.env("DR_CRASH_AT", "commit:2:before");
    place.end(command).ends(-9);
    let id = place.id();
    for step in ["one", "two"] {
        place.run(&["answer", &id, step, "skip", "--why", "not wanted"]).ends(4);
    }
    place.run(&["resume", &id]).ends(0);
    assert_eq!((place.began("one"), place.began("two"), place.effects("after")), (false, false, 1));
}

#[test]
fn a_controller_that_does_not_take_a_message_gives_it_back() {
    let (place, controller, id) = asks();
    controller.stop();
    let said = place.run(&["answer", &id, "bad", "retry", "--within", "300ms"]).ends(6);
    said.says(&["taken back", &format!("dr resume {id} --take-over --why")]);
    controller.signal("CONT");
    place.run(&["note", &id, "it lives"]).ends(0);
    assert_eq!(place.state("bad"), "asking", "what was taken back is not heard");
}

/// The hash of a runbook's plan, as `dr plan --json` tells it.
fn hash(place: &Place) -> String {
    let said = place.run(&["plan", "runbook.yaml", "--json"]).ends(0);
    let plan: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    plan["hash"].as_str().expect("a hash").to_owned()
}

#[test]
fn two_live_runs_of_one_runbook_are_refused_unless_that_is_meant() {
    let place = Place::with(WAITS);
    let hash = hash(&place);
    let live = ["execute", "runbook.yaml", "--confirm", &hash];
    let first = place.start(&live);
    until("both commands", || place.began("one") && place.began("two"));
    let id = place.id();
    place.run(&live).ends(6).says(&[&format!("the live run {id}"), &format!("dr resume {id}"), "--also"]);
    assert_eq!(place.runs().len(), 1);
    // A drill beside it is named, and holds nobody up.
    let drill = place.begin_drill();
    until("the note", || drill.so_far().1.contains(&format!("note: the live run {id}")));
    let also = place.start(&[&live[..], &["--also"]].concat());
    until("three runs", || place.runs().len() == 3);
    place.go("one");
    place.go("two");
    for controller in [first, drill, also] {
        controller.end().ends(0);
    }
    assert_eq!(place.runs().len(), 3);
    place.run(&live).ends(0);
}

#[test]
fn a_live_run_is_confirmed_by_the_hash_of_the_plan_that_was_reviewed() {
    let place = Place::with("dr: v1\nname: small\nsteps:\n  one:\n    do: { command: { argv: [sh, ./work] } }\n");
    let hash = hash(&place);
    let execute = |more: &[&str]| place.run(&[&["execute", "runbook.yaml"], more].concat());
    execute(&["--confirm", "0123456789ab"]).ends(2).says(&[&hash[..12], "0123456789ab", "changed since", "dr plan"]);
    execute(&["--confirm", &hash[..7]]).ends(2);
    execute(&[]).ends(2).says(&["nobody can be asked here", &format!("--confirm {}", &hash[..12])]);
    execute(&["--yes"]).ends(2).says(&["--yes is for drills and labs", &format!("--confirm {}", &hash[..12])]);
    assert_eq!((place.runs().len(), place.effects("one")), (0, 0));
    execute(&["--confirm", &hash[..8]]).ends(0).says(&["LIVE"]);
    assert_eq!(place.effects("one"), 1);
}

#[test]
fn a_live_run_is_confirmed_on_a_terminal_by_the_runbooks_name() {
    let place = Place::with("dr: v1\nname: small\nsteps:\n  one:\n    do: { command: { argv: [sh, ./work] } }\n");
    if !support::terminal::at_hand() {
        return support::skipped("a name typed on a terminal", "there is no python3 for a pty");
    }
    let (name, outage) = ("type the runbook's name", "when did the outage begin");
    let execute = ["execute", "runbook.yaml"];
    let said = place.on_terminal(80, &[(name, "smal")], &execute).end().ends(1);
    assert!(said.out.contains("nothing was started") && said.out.contains("LIVE"), "{}", said.out);
    assert_eq!(place.runs().len(), 0);
    let said = place.on_terminal(80, &[(name, "small"), (outage, "tomorrow")], &execute).end();
    assert_eq!((said.code(), place.runs().len()), (2, 0), "{}", said.out);
    let said = place.on_terminal(80, &[(name, "small"), (outage, "-25m")], &execute).end().ends(0);
    assert!(said.out.contains("+25m"), "{}", said.out);
    let run = place.fold().expect("a run");
    assert!(!run.opened.incident_assumed);
    assert_eq!(place.effects("one"), 1);
}
