//! Laws that hold for every plan, every script and every history.

mod support;

use dr_engine::{
    clock::Time,
    decide::decide,
    duration::Dur,
    event::{Audience, Controller, Deadline, Doubt, Event, Kind, Moment, Outcome, Person, Proof, Skipper},
    executor::Exit,
    journal,
    outcome::{Call, Fact, Failure, Learned, Output, RecoveryPoint},
    plan::{Estimate, StepIx},
    question::{About, Choice, Question},
    run::{Run, State},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use support::{
    random::{self, scenario},
    script::{BEGIN, Scenario, place},
    sim::{Life, Sim, fold, person},
};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Runs a scenario to its end, with a person who looks and answers.
fn run(scenario: Scenario, parallel: usize) -> Sim {
    let mut sim = Sim::new(scenario, VecDeque::new());
    (sim.parallel, sim.answerer) = (parallel, Some(random::answerer()));
    sim.go();
    sim
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn no_step_starts_before_its_needs_are_satisfied_and_every_attempt_ends(
        scenario in scenario(40, true), parallel in 1_usize..12
    ) {
        let sim = run(scenario, parallel);
        let events = &sim.book.memory.events;
        let mut run = Run::open(events[0].clone()).expect("opened");
        let mut under_way = vec![0_u32; run.plan().steps.len()];
        for event in &events[1..] {
            if let Kind::Started { step, attempt } = event.kind {
                for need in &run.plan().step(step).needs {
                    prop_assert!(run.satisfied(*need), "{} started before {:?}", run.plan().step(step).id, need);
                }
                prop_assert_eq!(under_way[step.ix()], 0, "one attempt at a time");
                under_way[step.ix()] = attempt;
                prop_assert!(under_way.iter().filter(|attempt| **attempt > 0).count() <= parallel);
            }
            if let Some(step) = event.kind.step()
                && !matches!(event.kind, Kind::Started { .. } | Kind::Recorded { .. })
            {
                under_way[step.ix()] = 0;
            }
            run.apply(event).expect("what was written can be read");
        }
        prop_assert!(under_way.iter().all(|attempt| *attempt == 0), "every attempt has an end");
        prop_assert!(run.finished.is_some(), "it ends: {}", sim.told());
        // Nothing that mutates runs twice by itself, and what was done was done once.
        for (id, site) in sim.world.sites().iter() {
            prop_assert!(site.effects <= 1, "{} had its effect {} times", id, site.effects);
        }
    }

    #[test]
    fn nothing_begins_behind_a_fence_that_is_neither_proven_nor_passed_by_two_people(
        scenario in scenario(40, true), parallel in 1_usize..12
    ) {
        let sim = run(scenario, parallel);
        let run = sim.run().expect("it ran");
        let plan = run.plan();
        let (mut proven, mut said) = (BTreeSet::new(), BTreeMap::<StepIx, BTreeSet<String>>::new());
        for event in &sim.book.memory.events {
            match &event.kind {
                Kind::Succeeded { step, .. } | Kind::Bypassed { step, proof: Proof::Proven, .. } => {
                    proven.insert(*step);
                }
                Kind::Answered { step, choice: Choice::Impossible, by, .. } => {
                    said.entry(*step).or_default().insert(by.user.clone());
                }
                Kind::Started { step, .. } => {
                    for fence in plan.step(*step).needs.iter().filter(|need| plan.step(**need).fences) {
                        let two = said.get(fence).is_some_and(|people| people.len() >= 2);
                        prop_assert!(proven.contains(fence) || two, "{:?} began: {}", step, sim.told());
                    }
                }
                _ => {}
            }
        }
        // What was owed is set in the end, or the run does not end well.
        for fence in said.keys().filter(|fence| !proven.contains(fence)) {
            prop_assert!(!matches!(run.step(*fence).state, State::Done), "{:?}: {}", fence, sim.told());
        }
    }

    #[test]
    fn any_prefix_of_a_history_can_be_folded_and_decided_upon(scenario in scenario(15, true), parallel in 1_usize..6) {
        let sim = run(scenario, parallel);
        let events = &sim.book.memory.events;
        for length in 1..=events.len() {
            let mut run = fold(&events[..length]).expect("not empty");
            for free in [0, 1, 100] {
                for later in [0, 1_000, 86_400_000] {
                    let now = run.at.after(Dur(later));
                    for effect in decide(&run, free, now) {
                        if let Some(kind) = effect.event() {
                            let mut next = run.clone();
                            let event = Event { seq: run.seq + 1, at: now, kind };
                            prop_assert!(next.apply(&event).is_ok(), "what is decided is legal");
                        }
                    }
                }
            }
            // The power went here: a fresh controller joins and goes on.
            let (seq, at) = (run.seq + 1, run.at);
            let joined = Controller { host: "ops".into(), pid: 1, epoch: 9, version: "0".into(), why: None, break_glass: None };
            run.apply(&Event { seq, at, kind: Kind::Joined(joined) }).expect("anybody may join");
            let running = |state: &State| matches!(state, State::Running { .. } | State::Undoing { since: Some(_) });
            prop_assert!(!run.steps().any(|(_, it)| running(&it.state)), "nobody runs anything yet");
        }
    }

    #[test]
    fn an_event_that_is_refused_changes_nothing(
        scenario in scenario(8, true), kinds in prop::collection::vec(kind(10), 60), cut in 0_usize..100
    ) {
        let sim = run(scenario, 4);
        let events = &sim.book.memory.events;
        let events = &events[..=cut % events.len()];
        let mut run = fold(events).expect("not empty");
        let undoes = |kind: &Kind| matches!(kind, Kind::UndoAsked { .. });
        let mut undone = events.iter().any(|event| undoes(&event.kind));
        for kind in kinds {
            let before = format!("{run:?}");
            let event = Event { seq: run.seq + 1, at: run.at, kind };
            let taken = run.apply(&event);
            undone |= taken.is_ok() && undoes(&event.kind);
            if taken.is_err() {
                prop_assert_eq!(&before, &format!("{run:?}"));
            } else {
                // What is derived is right after any legal history, and deciding is total.
                let again: Vec<StepIx> = run.ready.iter().map(|(_, step)| *step).collect();
                for step in run.plan().places() {
                    let plan = run.plan().step(step);
                    let met = plan.needs.iter().all(|need| run.satisfied(*need));
                    let ready = matches!(run.step(step).state, State::Waiting) && met;
                    let listed = again.contains(&step);
                    // What stands on something that was to be taken back begins no more, whatever became of that.
                    prop_assert!(ready == listed || (ready && undone), "{}: {} and {}", plan.id, ready, listed);
                }
                decide(&run, 3, run.at);
            }
        }
    }

    #[test]
    fn an_event_out_of_its_place_is_refused(kind in kind(3), seq in 0_u64..9, back in -5_i64..5) {
        let sim = Sim::new(Scenario::parse("a ok; b needs a ok; c ok"), VecDeque::new());
        let mut run = Run::open(Event { seq: 1, at: BEGIN, kind: sim.opened() }).expect("opened");
        let event = Event { seq, at: BEGIN.after(Dur(-back)), kind };
        let taken = run.apply(&event).is_ok();
        prop_assert!(!taken || (seq == 2 && back <= 0));
    }

    #[test]
    fn every_event_reads_back_as_it_was_written(kind in kind(50)) {
        let body = journal::body(&kind);
        let back: Kind = serde_json::from_slice(&body).expect("it reads back");
        prop_assert_eq!(&back, &kind);
        prop_assert_eq!(journal::body(&back), body);
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn with_enough_hands_a_recovery_takes_as_long_as_its_longest_path(scenario in scenario(40, false)) {
        let plan = scenario.plan.clone();
        let mut ends = vec![0_i64; plan.steps.len()];
        for step in plan.places() {
            let begins = plan.step(step).needs.iter().map(|need| ends[need.ix()]).max().unwrap_or(0);
            ends[step.ix()] = begins + scenario.scripts[&plan.step(step).id].runs[0].takes.0;
        }
        let longest = ends.into_iter().max().unwrap_or(0);
        let mut sim = Sim::new(scenario, VecDeque::new());
        let life = sim.go();
        prop_assert!(matches!(life, Life::Ended(Exit::Finished(Outcome::Unverified))), "{:?}", life);
        let run = sim.run().expect("it ran");
        prop_assert_eq!(run.at.since(BEGIN).0, longest);
        let remaining = plan.places().map(|step| run.graph.remaining(step).0).max().unwrap_or(0);
        prop_assert_eq!(remaining, longest, "the estimates say the same");
    }
}

/// Any event about one of so many steps, sensible or not.
fn kind(steps: u32) -> impl Strategy<Value = Kind> {
    let step = || (0..steps).prop_map(StepIx);
    let attempt = || 0_u32..4;
    let time = || (0_i64..10_000_000).prop_map(|ms| BEGIN.after(Dur(ms)));
    let text =
        || prop::sample::select(vec!["", "plain", "döts…", "\u{0}\u{7f}\"\\", "${steps.a.b}"]).prop_map(String::from);
    let person = || {
        (any::<bool>(), text()).prop_map(|(named, message)| Person {
            name: named.then(|| "bob".into()),
            message: Some(message).filter(|m| !m.is_empty()),
            ..person("sue")
        })
    };
    let steps_of = move || prop::collection::vec((0..steps).prop_map(StepIx), 0..4);
    prop_oneof![
        (any::<u32>(), any::<u64>(), text(), any::<bool>()).prop_map(|(pid, epoch, host, why)| Kind::Joined(
            Controller {
                host,
                pid,
                epoch,
                version: "0.1.0".into(),
                why: why.then(|| "it hangs".into()),
                break_glass: None
            }
        )),
        (step(), attempt()).prop_map(|(step, attempt)| Kind::Started { step, attempt }),
        (step(), attempt(), value(), any::<bool>()).prop_map(|(step, attempt, value, handle)| {
            Kind::Recorded { step, attempt, fact: Fact { name: "resolved".into(), value, handle } }
        }),
        (step(), attempt(), output(), any::<bool>()).prop_map(|(step, attempt, output, found)| Kind::Succeeded {
            step,
            attempt,
            output,
            found
        }),
        (step(), attempt(), failure(), time()).prop_map(|(step, attempt, error, retry_at)| Kind::AttemptFailed {
            step,
            attempt,
            error,
            retry_at
        }),
        (step(), attempt(), failure()).prop_map(|(step, attempt, error)| Kind::Failed { step, attempt, error }),
        (step(), attempt(), doubt(), failure(), prop::option::of(time()))
            .prop_map(|(step, attempt, doubt, error, look_at)| Kind::InDoubt { step, attempt, doubt, error, look_at }),
        (step(), prop::option::of(person()), text()).prop_map(|(step, by, why)| {
            Kind::Skipped { step, by: by.map_or(Skipper::Condition, Skipper::Person), why }
        }),
        (step(), person(), text(), output(), any::<bool>()).prop_map(|(step, by, why, output, proven)| {
            Kind::Bypassed { step, by, why, output, proof: if proven { Proof::Proven } else { Proof::Vouched } }
        }),
        (step(), question()).prop_map(|(step, question)| Kind::Asked { step, question }),
        (step(), person(), choice(), text()).prop_map(|(step, by, choice, why)| Kind::Answered {
            step,
            by,
            choice,
            why
        }),
        deadline(steps).prop_map(|which| Kind::DeadlinePassed { which }),
        (steps_of(), any::<bool>(), person(), text()).prop_map(|(steps, whole, by, why)| Kind::UndoAsked {
            steps,
            whole,
            by,
            why
        }),
        (step(), attempt()).prop_map(|(step, attempt)| Kind::UndoStarted { step, attempt }),
        (step(), attempt()).prop_map(|(step, attempt)| Kind::UndoDone { step, attempt }),
        (step(), attempt(), failure()).prop_map(|(step, attempt, error)| Kind::UndoFailed { step, attempt, error }),
        (person(), text(), any::<bool>(), learned()).prop_map(|(by, text, help_wanted, learned)| Kind::Noted {
            by,
            text,
            help_wanted,
            learned
        }),
        (person(), text()).prop_map(|(by, text)| Kind::Affected { by, text }),
        (text(), text(), person(), text()).prop_map(|(role, to, by, why)| Kind::RoleSet { role, to, by, why }),
        (person(), text(), any::<bool>()).prop_map(|(by, text, send)| Kind::Worded { by, text, send }),
        (person(), text(), audience(), text(), text()).prop_map(|(by, item, audience, channel, reference)| {
            Kind::Told { by, item, audience, channel, reference }
        }),
        (step(), value(), person(), text()).prop_map(|(step, value, by, why)| {
            Kind::Amended { step, inputs: Map::from_iter([("class".to_owned(), value)]), by, why }
        }),
        (moment(), time(), person(), text()).prop_map(|(which, at, by, why)| Kind::ClockSet { which, at, by, why }),
        person().prop_map(|by| Kind::Paused { by }),
        person().prop_map(|by| Kind::Continued { by }),
        (person(), text()).prop_map(|(by, why)| Kind::Reopened { by, why }),
        person().prop_map(|by| Kind::CancelAsked { by }),
        outcome().prop_map(|outcome| Kind::Finished { outcome }),
        Just(Sim::new(Scenario::parse("a ok; b needs a when=params.fast est=5m out=x:1 ok"), VecDeque::new()).opened()),
    ]
}

fn audience() -> impl Strategy<Value = Audience> {
    prop_oneof![Just(Audience::Responders), Just(Audience::Executives), Just(Audience::Customers)]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,3}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn output() -> impl Strategy<Value = Output> {
    (value(), prop::option::of(any::<i64>())).prop_map(|(value, point)| Output {
        values: Map::from_iter([("endpoint".to_owned(), value)]),
        recovery_point: point.map(|at| RecoveryPoint { at: Time(at), source: "SnapshotCreateTime".into() }),
    })
}

fn failure() -> impl Strategy<Value = Failure> {
    (".{0,20}", any::<bool>(), prop::collection::vec(".{0,5}", 0..3), any::<bool>()).prop_map(
        |(message, transient, causes, call)| Failure {
            message,
            transient,
            causes,
            call: call.then(|| Call { service: "rds".into(), code: Some("Throttling".into()), ..Call::default() }),
            hint: call.then(|| "wait".into()),
        },
    )
}

fn question() -> impl Strategy<Value = Question> {
    let about = prop_oneof![
        failure().prop_map(About::Failure),
        failure().prop_map(About::Doubt),
        failure().prop_map(About::Slow),
        failure().prop_map(About::Undo),
        prop::collection::vec(".{0,5}", 0..3).prop_map(About::Missing),
        Just(About::Approval),
        Just(About::Work),
    ];
    let words = ["retry", "wait", "skip", "undo", "stop", "set", "approve", "decline", "impossible", "done"];
    let choices = prop::sample::subsequence(words.to_vec(), 1..10);
    (about, choices, 0_u32..3, any::<bool>(), prop::option::of(0_i64..99_999)).prop_map(
        |(about, choices, count, not_starter, late)| Question {
            count,
            not_starter,
            late_after: late.map(Dur),
            late_at: late.map(|ms| BEGIN.after(Dur(ms))),
            ..Question::new(about, "what now?".into(), &choices)
        },
    )
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Retry),
        Just(Choice::Wait),
        Just(Choice::Skip),
        Just(Choice::Undo),
        Just(Choice::Stop),
        value().prop_map(|value| Choice::Set { name: "steps.a.b".into(), value }),
        Just(Choice::Approve),
        Just(Choice::Decline),
        Just(Choice::Impossible),
        value().prop_map(|value| Choice::Done { values: Map::from_iter([("x".to_owned(), value)]) }),
    ]
}

fn deadline(steps: u32) -> impl Strategy<Value = Deadline> {
    prop_oneof![
        Just(Deadline::Rto),
        (0..steps).prop_map(|at| Deadline::Rpo(StepIx(at))),
        (0..steps).prop_map(|at| Deadline::Estimate(StepIx(at))),
        (0..steps).prop_map(|at| Deadline::Question(StepIx(at))),
    ]
}

fn doubt() -> impl Strategy<Value = Doubt> {
    prop::sample::select(vec![Doubt::Lost, Doubt::Timeout, Doubt::NoAnswer, Doubt::Unknown])
}

fn moment() -> impl Strategy<Value = Moment> {
    prop::sample::select(vec![Moment::Incident, Moment::Detected, Moment::Declared])
}

fn learned() -> impl Strategy<Value = Option<Learned>> {
    let said = || prop::option::of("[a-z]{1,4}");
    let action = (said(), said()).prop_map(|(owner, due)| Learned::Action { owner, due });
    prop::option::of(prop_oneof![Just(Learned::Lesson), action])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::{Failed, Recovered, RecoveredWithExceptions, Stopped, Undone, Unverified};
    prop::sample::select(vec![Recovered, RecoveredWithExceptions, Unverified, Failed, Stopped, Undone])
}

#[test]
fn looking_for_what_stands_on_a_step_is_quick_in_a_deep_plan() {
    let mut scenario = Scenario::parse("");
    for at in 0..400_usize {
        let mut step = support::script::step(&format!("s{at}"));
        step.can_undo = true;
        step.estimate = Some(Estimate { p50: Dur(1000), p90: Dur(2000) });
        // Layers of four, each step needing all of the layer before.
        step.needs = if at < 4 { Vec::new() } else { (at / 4 * 4 - 4..at / 4 * 4).map(place).collect() };
        scenario.scripts.insert(step.id.clone(), random::ok(Dur(1000)));
        scenario.plan.steps.push(step);
    }
    let mut sim = Sim::new(scenario, support::sim::actions("10:00 ann undo"));
    sim.go();
    let run = sim.run().expect("it ran");
    assert_eq!(run.finished, Some(Outcome::Undone));
    assert!(run.steps().all(|(_, it)| it.state == State::Undone));
}
