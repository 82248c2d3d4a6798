//! A controller is killed at every point of its journal, and from outside; what
//! is left afterwards is what an undisturbed run leaves.

mod support;

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};
use support::{Place, Said, until};

/// What a step of the runbook is like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Like {
    /// Its `check` sees its effect.
    Seen,
    /// It has no `check`.
    Blind,
    /// It leaves an output.
    Gives,
    /// It takes that output.
    Takes,
    /// It fails, and the run goes on.
    Fails,
    /// Its condition is false.
    LeftOut,
}

/// Thirty steps: a chain, diamonds, things side by side, and an end that needs all.
fn steps() -> Vec<(&'static str, Like, &'static [&'static str])> {
    use Like::{Blind, Fails, Gives, LeftOut, Seen, Takes};
    vec![
        ("chain_1", Seen, &[]),
        ("chain_2", Seen, &["chain_1"]),
        ("chain_3", Seen, &["chain_2"]),
        ("chain_4", Blind, &["chain_3"]),
        ("chain_5", Seen, &["chain_4"]),
        ("top", Seen, &[]),
        ("left", Seen, &["top"]),
        ("right", Seen, &["top"]),
        ("bottom", Seen, &["left", "right"]),
        ("under_left", Seen, &["bottom"]),
        ("under_middle", Blind, &["bottom"]),
        ("under_right", Seen, &["bottom"]),
        ("ground", Seen, &["under_left", "under_middle", "under_right"]),
        ("side_1", Seen, &[]),
        ("side_2", Seen, &[]),
        ("side_3", Seen, &[]),
        ("side_4", Blind, &[]),
        ("side_5", Seen, &[]),
        ("side_6", Seen, &[]),
        ("gives", Gives, &["side_1"]),
        ("takes", Takes, &["gives"]),
        ("after_takes", Seen, &["takes"]),
        ("fails", Fails, &["side_2"]),
        ("after_fails", Seen, &["fails"]),
        ("left_out", LeftOut, &["side_3"]),
        ("after_left_out", Seen, &["left_out"]),
        ("both", Seen, &["chain_2", "left"]),
        ("third", Seen, &["both", "side_5"]),
        ("joined", Seen, &["ground", "third", "side_6"]),
        ("last", Seen, &["joined", "chain_5", "side_4", "after_takes", "after_fails", "after_left_out"]),
    ]
}

fn runbook() -> String {
    let mut text = "dr: v1\nname: thirty\nparams: { env: { type: string, default: test } }\n\
        defaults: { timeout: 2m, retry: { attempts: 5, backoff: 10ms..50ms } }\nsteps:\n"
        .to_owned();
    for (id, like, needs) in steps() {
        let needs = needs.join(", ");
        write!(text, "  {id}:\n    needs: [{needs}]\n").expect("a String");
        text.push_str(match like {
            Like::Fails => "    on_failure: continue\n",
            Like::LeftOut => "    when: params.env == \"production\"\n",
            _ => "",
        });
        text.push_str("    do:\n      command:\n");
        text.push_str(match like {
            Like::Gives => "        argv: [sh, ./give]\n        outputs: { size: { json: /size } }\n",
            Like::Takes => "        argv: [sh, ./take, \"${steps.gives.size}\"]\n",
            Like::Fails => "        argv: [sh, -c, exit 7]\n",
            _ => "        argv: [sh, ./work]\n",
        });
        if !matches!(like, Like::Blind | Like::Fails) {
            text.push_str("        check: { argv: [sh, ./seen] }\n");
        }
    }
    text
}

fn place() -> Place {
    let place = Place::with(&runbook());
    place.write("give", "echo '{\"size\": 42}'\necho \"$DR_STEP\" >> \"effects/$DR_STEP\"\n");
    place.write("take", "echo \"$DR_STEP $1\" >> \"effects/$DR_STEP\"\n");
    place
}

/// What is left of a run: how every step ended and how often it had its effect.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    states: BTreeMap<String, &'static str>,
    effects: BTreeMap<String, String>,
    outcome: Option<&'static str>,
}

impl Left {
    fn of(place: &Place) -> Self {
        let run = place.fold().expect("a run");
        let mut states = place.states();
        for (id, like, _) in steps() {
            // A person who saw the effect of an unseen step says so: that is done, too.
            if like == Like::Blind && states[id] == "bypassed" {
                states.insert(id.into(), "done");
            }
        }
        let effects = steps().into_iter().map(|(id, ..)| (id.into(), place.read(&format!("effects/{id}")))).collect();
        Self { states, effects, outcome: run.finished.map(|_| "finished") }
    }
}

/// Answers every open question: done where the effect is there, else again.
fn answer(place: &Place, id: &str, code: i32) {
    for (step, question) in place.asking() {
        assert!(question.choices.iter().any(|c| c == "retry"), "{step} asks {question:?}");
        if place.effects(&step) > 0 {
            place.run(&["done", id, &step, "--why", "it is there"]).ends(code);
        } else {
            place.run(&["answer", id, &step, "retry", "--why", "nothing is there"]).ends(code);
        }
    }
}

/// Goes on with a killed run until it is over, answering between controllers.
fn finish(place: &Place, id: &str) -> Said {
    for _ in 0..30 {
        let said = place.run(&["resume", id, "--no-wait"]);
        match said.code() {
            4 => answer(place, id, 4),
            _ => return said,
        }
    }
    panic!("no end of {id}: {:?}", place.asking());
}

/// Goes on with a killed run until it is over, answering a living controller.
fn finish_live(place: &Place, id: &str) -> Said {
    let mut controller = place.start(&["resume", id]);
    let mut answered = Vec::new();
    until("an end", || {
        for (step, _) in place.asking() {
            if answered.contains(&step) {
                continue;
            }
            if place.effects(&step) > 0 {
                place.run(&["done", id, &step, "--why", "it is there"]).ends(0);
            } else {
                place.run(&["answer", id, &step, "retry", "--why", "nothing is there"]).ends(0);
                continue;
            }
            answered.push(step);
        }
        controller.over()
    });
    controller.end()
}

fn check(place: &Place, id: &str, undisturbed: &Left, at: &str) {
    assert_eq!(place.in_doubt(), 0, "{at}: something is in doubt");
    assert_eq!(&Left::of(place), undisturbed, "{at}");
    place.run(&["audit", "verify", id]).ends(0).prints(&["chain whole"]);
}

/// What an undisturbed run leaves.
fn undisturbed() -> Left {
    let place = place();
    place.drill().ends(0);
    let left = Left::of(&place);
    for (id, like, _) in steps() {
        let lines = usize::from(!matches!(like, Like::Fails | Like::LeftOut));
        assert_eq!(place.effects(id), lines, "{id}");
    }
    assert_eq!(left.effects["takes"], "takes 42\n");
    assert_eq!((left.states["fails"], left.states["left_out"], left.states["last"]), ("failed", "skipped", "done"));
    left
}

/// Kills a run at every commit and both sides of it, two runs at a time, until
/// a run has no such commit; gives how many commits there were.
fn sweep(parallel: &'static str) -> u32 {
    let undisturbed = undisturbed();
    let (next, last) = (AtomicU32::new(1), AtomicU32::new(u32::MAX));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let killed =
                        || ["before", "after"].iter().all(|edge| killed_at(number, edge, parallel, &undisturbed));
                    if number >= last.load(Ordering::SeqCst) {
                        return;
                    }
                    if !killed() {
                        last.fetch_min(number, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    last.into_inner() - 1
}

#[test]
fn killed_at_every_commit_a_run_ends_as_if_it_had_not_been() {
    let commits = sweep("1");
    println!("one step at a time: {commits} commits, each killed before and after");
    // One at a time, every end of a step is a commit of its own.
    assert!(commits >= 30, "{commits} commits");
}

#[test]
fn killed_at_every_commit_with_all_at_once_a_run_ends_as_if_it_had_not_been() {
    let commits = sweep("100");
    println!("all at once: {commits} commits, each killed before and after");
    assert!(commits >= 6, "{commits} commits: no path of the plan is shorter");
}

/// Kills a run at a commit and goes on with it; false if it made no such commit.
fn killed_at(number: u32, edge: &str, parallel: &str, undisturbed: &Left) -> bool {
    let (place, at) = (place(), format!("commit:{number}:{edge}"));
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--parallel", parallel]);
    command.env("DR_CRASH_AT", &at);
    let said = place.end(command);
    if said.code() == 0 {
        assert_eq!(&Left::of(&place), undisturbed, "{at}, not reached");
        return false;
    }
    said.ends(-9);
    if place.events().is_empty() {
        // Killed before the run was opened: there is no run, and nothing was done.
        assert_eq!(at, "commit:1:before");
        place.run(&["resume"]).ends(2).says(&["no run is unfinished"]);
        place.run(&["resume", &place.runs()[0]]).ends(1).says(&["never opened", "nothing was done", "dr execute"]);
        assert!(steps().iter().all(|(id, ..)| place.effects(id) == 0), "{at}");
        return true;
    }
    let id = place.id();
    let said = if number.is_multiple_of(3) { finish_live(&place, &id) } else { finish(&place, &id) };
    said.ends(0);
    check(&place, &id, undisturbed, &at);
    true
}

#[test]
fn killed_again_while_it_goes_on_a_run_still_ends_the_same() {
    let undisturbed = undisturbed();
    let numbers = AtomicU32::new(1);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    // Every fourth commit, and what goes on with it at each of its first three.
                    let number = numbers.fetch_add(4, Ordering::SeqCst);
                    if !killed_again(number, &undisturbed) {
                        return;
                    }
                }
            });
        }
    });
}

fn killed_again(number: u32, undisturbed: &Left) -> bool {
    let place = place();
    let mut command = place.dr(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--parallel", "1"]);
    command.env("DR_CRASH_AT", format!("commit:{number}:after"));
    if place.end(command).code() == 0 {
        return false;
    }
    let (id, at) = (place.id(), format!("commit:{number}:after, then commits of what goes on"));
    for (again, edge) in [(1, "after"), (2, "before"), (3, "after")] {
        let mut command = place.dr(&["resume", &id, "--no-wait"]);
        command.env("DR_CRASH_AT", format!("commit:{again}:{edge}"));
        match place.end(command).code() {
            -9 | 0 => {}
            4 => answer(&place, &id, 4),
            code => panic!("{at}: exit {code}"),
        }
    }
    finish(&place, &id).ends(0);
    check(&place, &id, undisturbed, &at);
    true
}

#[test]
fn killed_from_outside_at_any_moment_a_run_ends_the_same() {
    let undisturbed = undisturbed();
    let seeds = AtomicU32::new(1);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = seeds.fetch_add(1, Ordering::SeqCst);
                    if seed > 10 {
                        return;
                    }
                    killed_by_seed(seed, &undisturbed);
                }
            });
        }
    });
}

/// Kills a run and then what goes on with it, each after a number of events that the seed gives.
fn killed_by_seed(seed: u32, undisturbed: &Left) {
    let (place, mut noise) = (place(), u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut draw = |below: u64| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise % below
    };
    let mut controller = place.begin_drill();
    let mut kills = 0;
    for _ in 0..4 {
        let after = place.events().len() + usize::try_from(draw(25)).expect("few");
        let mut over = false;
        until("events, a question or an end", || {
            over = controller.over();
            over || place.events().len() > after || !place.asking().is_empty()
        });
        if over {
            break;
        }
        controller.kill();
        kills += 1;
        let id = place.id();
        answer(&place, &id, 4);
        controller = place.start(&["resume", &id]);
    }
    drop(controller);
    let id = place.id();
    finish(&place, &id).ends(0);
    check(&place, &id, undisturbed, &format!("seed {seed}, {kills} kills"));
}
