//! The power goes at every commit, before it and after it; a fresh controller
//! folds what is on disk and goes on. Whatever was cut off, the end is the
//! same: every effect once, nothing in doubt.

mod support;

use dr_engine::{event::Kind, plan::OnFailure, run::State};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use std::collections::{BTreeMap, VecDeque};
use support::{
    random::{answerer, scenario},
    script::{End, Scenario},
    sim::{Cut, Sim},
    tell,
};

/// What counts of a run once it is over: how each step ended.
type Ends = BTreeMap<String, &'static str>;

fn ends(sim: &Sim) -> Ends {
    let run = sim.run().expect("it ran");
    assert!(run.finished.is_some(), "it did not end:\n{}", sim.told());
    let end = |state: &State| match state {
        // Somebody who looked said so, or the step's own look did: it is done.
        State::Done | State::Bypassed { .. } => "done",
        other => other.word(),
    };
    run.steps().map(|(step, it)| (run.plan().step(step).id.clone(), end(&it.state))).collect()
}

/// How often people said to run a step again.
fn granted(sim: &Sim) -> BTreeMap<String, u32> {
    let mut granted = BTreeMap::new();
    let run = sim.run().expect("it ran");
    for event in &sim.book.memory.events {
        if let Kind::Answered { step, .. } = &event.kind {
            *granted.entry(run.plan().step(*step).id.clone()).or_default() += 1;
        }
    }
    granted
}

fn run(scenario: &Scenario, parallel: usize, cuts: &[Cut]) -> Sim {
    let mut sim = Sim::new(scenario.clone(), VecDeque::new());
    sim.parallel = parallel;
    sim.answerer = Some(answerer());
    sim.cut(cuts.iter().copied());
    sim.go();
    sim
}

/// A scenario whose end does not hang on which of its attempts was cut off:
/// a failure that is tolerated might not come a second time.
fn draw(runner: &mut TestRunner) -> Scenario {
    let mut scenario = scenario(12, true).new_tree(runner).expect("it draws").current();
    scenario.plan.steps.iter_mut().for_each(|step| step.on_failure = OnFailure::Hold);
    scenario
}

/// Cuts the power at every commit of a scenario; says at how many points.
fn cut_everywhere(scenario: &Scenario, parallel: usize) -> usize {
    let undisturbed = run(scenario, parallel, &[]);
    let expected = ends(&undisturbed);
    let mut points = 0;
    for append in 1..=undisturbed.book.appends {
        for after in [false, true] {
            let cut = Cut { append, after };
            let sim = run(scenario, parallel, &[cut]);
            judge(scenario, &sim, &expected, &format!("{cut:?}"));
            points += 1;
        }
    }
    points
}

fn judge(scenario: &Scenario, sim: &Sim, expected: &Ends, cut: &str) {
    assert_eq!(&ends(sim), expected, "{cut}:\n{}", sim.told());
    let granted = granted(sim);
    for (id, site) in sim.world.sites().iter() {
        let told = || format!("{cut}: {id} had its effect {} times:\n{}", site.effects, sim.told());
        let once = u32::from(expected[id] == "done");
        assert_eq!(site.effects, once, "{}", told());
        // Whoever cannot see the effect runs once, and again only when a person says so.
        // (It may say for certain that it had none, or go on with what it sees to be under way.)
        let script = &scenario.scripts[id];
        let adopted = script.runs.iter().any(|act| matches!(act.end, End::Flaky | End::Provider));
        if !script.sees_effect && !adopted {
            let allowed = 1 + granted.get(id).copied().unwrap_or(0);
            assert!(u32::try_from(site.runs).expect("few") <= allowed, "{}", told());
        }
    }
}

/// Thirty steps as in a real recovery: stores side by side, services on top of
/// each other, some slow, some unlucky, some that nobody can see into.
const THIRTY: &str = "
    page ok 1m; freeze nocheck ok 2m; announce needs page nocheck ok 1m;
    db1 needs freeze records provider 40m; db2 needs freeze records provider 25m;
    db3 needs freeze records flaky then provider 15m; table1 needs freeze records ok 20m;
    table2 needs freeze lost 10m; bucket1 needs freeze timeout=50m ok 45m; bucket2 needs freeze stuck timeout=30m;
    check1 needs db1 ok 1m; check2 needs db2 ok 1m; check3 needs db3 ok 1m;
    cache needs check1 nocheck ok 5m; queue needs check2 ok 3m; config needs check1,check2,check3 ok 1m;
    auth needs config,table1 ok 6m; payments needs config,auth ok 8m; orders needs config,auth,cache ok 7m;
    search needs table2 flaky then flaky then ok 12m; media needs bucket1,bucket2 ok 4m;
    mail needs queue nocheck doubt then ok 2m; web needs payments,orders,search ok 5m; api needs payments,orders ok 5m;
    admin needs auth on_failure=continue fails; probe1 needs web ok 2m; probe2 needs api ok 2m;
    dns needs probe1,probe2,media panics then ok 3m; cdn needs dns doubt then ok 2m; resume needs cdn,mail nocheck ok 1m";

#[test]
fn the_power_goes_at_every_commit_of_a_recovery_of_thirty_steps() {
    let scenario = Scenario::parse(THIRTY);
    assert_eq!(scenario.plan.steps.len(), 30);
    let points: usize = [100, 3].into_iter().map(|parallel| cut_everywhere(&scenario, parallel)).sum();
    println!("power cuts in a recovery of thirty steps: {points} points");
    assert!(points > 150, "only {points} points");
}

#[test]
fn the_power_goes_at_every_commit_of_random_recoveries() {
    let mut runner = TestRunner::deterministic();
    let mut points = 0;
    for _ in 0..20 {
        let scenario = draw(&mut runner);
        let parallel = (1_usize..8).new_tree(&mut runner).expect("it draws").current();
        points += cut_everywhere(&scenario, parallel);
    }
    println!("power cuts in 20 random recoveries: {points} points");
}

#[test]
fn the_power_goes_again_and_again() {
    let mut runner = TestRunner::deterministic();
    let mut lives = 0;
    for _ in 0..40 {
        let scenario = draw(&mut runner);
        let expected = ends(&run(&scenario, 4, &[]));
        let cuts = prop::collection::vec((1_usize..6, any::<bool>()), 1..12);
        let cuts = cuts.new_tree(&mut runner).expect("it draws").current();
        let mut append = 0;
        let cuts: Vec<Cut> = cuts
            .into_iter()
            .map(|(later, after)| {
                append += later;
                Cut { append, after }
            })
            .collect();
        let sim = run(&scenario, 4, &cuts);
        judge(&scenario, &sim, &expected, &format!("{cuts:?}"));
        lives += sim.controllers();
    }
    println!("power cuts again and again: 40 recoveries by {lives} controllers");
}

/// An undo is cut off like anything else.
#[test]
fn the_power_goes_at_every_commit_of_an_undo() {
    let text = "a undoable ok 5m; b undoable needs a ok 5m; c undoable needs a ok 5m; d undoable needs b,c ok 5m";
    let scenario = Scenario::parse(text);
    let people = "30:00 ann undo";
    let undisturbed = {
        let mut sim = Sim::new(scenario.clone(), support::sim::actions(people));
        sim.go();
        sim
    };
    let mut points = 0;
    for append in 1..=undisturbed.book.appends {
        for after in [false, true] {
            let mut sim = Sim::new(scenario.clone(), support::sim::actions(people));
            sim.cut([Cut { append, after }]);
            sim.go();
            let run = sim.run().expect("it ran");
            // A person whose words were lost says them again.
            let asked = sim.book.memory.events.iter().any(|event| matches!(event.kind, Kind::UndoAsked { .. }));
            let state = if asked { "undone" } else { "done" };
            assert!(run.steps().all(|(_, it)| it.state.word() == state), "{append} {after}:\n{}", sim.told());
            let back = u32::from(asked);
            let sites = sim.world.sites();
            assert!(sites.values().all(|site| site.effects == 1 && site.taken_back == back), "{}", tell::states(&run));
            points += 1;
        }
    }
    println!("power cuts in an undo: {points} points");
    assert!(points > 15, "only {points} points");
}
