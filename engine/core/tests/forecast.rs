//! A forecast is what the loop itself would do: the same slots for the same draws.

mod support;

use async_trait::async_trait;
use dr_engine::{
    clock::{Clock, SimClock, Time},
    duration::Dur,
    event::{Event, Kind, Opened, Person, RunKind},
    executor::{Executor, Exit, Observer, Tools},
    forecast::{Draw, Slot, forecast},
    journal::Memory,
    limits,
    outcome::{Failure, Output},
    plan::{Estimate, Plan, PlanStep},
    run::Run,
    step::{Check, Description, Guard, ReadCx, Step, StepCx, StepError, Steps},
    when::left_out,
};
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;
use support::script;
use tokio::sync::mpsc;

/// Runs a plan through the loop on a simulated clock, with steps that do nothing but take their estimates.
fn rehearsed(plan: &Plan, draw: Draw, parallel: usize) -> Vec<Slot> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime of timers").block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(Time(0)));
        let opened = Opened {
            run: "rehearsal".into(),
            plan: plan.clone(),
            folder: String::new(),
            kind: RunKind::Drill,
            incident_at: Time(0),
            incident_assumed: true,
            detected_at: None,
            declared_at: None,
            declared_by: None,
            by: Person { name: None, user: String::new(), host: String::new(), message: None },
        };
        let opened = Event { seq: 1, at: Time(0), kind: Kind::Opened(Box::new(opened)) };
        let mut run = Run::open(opened).expect("a good plan");
        let mut times = Times(vec![Slot { start: Dur(-1), end: Dur(-1) }; plan.steps.len()]);
        let mut executor = Executor {
            journal: &mut Memory::default(),
            observer: &mut times,
            tools: Tools {
                steps: Arc::new(Estimates(draw)),
                clock,
                world: Arc::new(()),
                guard: Arc::new(Open),
                chatter: Arc::new(|_, _| {}),
                poll_gap_min: limits::POLL_GAP_MIN,
            },
            parallel,
            no_wait: true,
        };
        let (_keep, mut arrivals) = mpsc::unbounded_channel();
        let exit = executor.execute(&mut run, Vec::new(), &mut arrivals).await;
        assert!(matches!(exit, Ok(Exit::Finished(_))), "a rehearsal has nothing to wait for: {exit:?}");
        times.0
    })
}

struct Times(Vec<Slot>);

impl Observer for Times {
    fn told(&mut self, events: &[Event], _: &Run) {
        for event in events {
            match &event.kind {
                Kind::Started { step, .. } => self.0[step.ix()].start = event.at.since(Time(0)),
                Kind::Succeeded { step, .. } => self.0[step.ix()].end = event.at.since(Time(0)),
                Kind::Skipped { step, .. } => {
                    let at = event.at.since(Time(0));
                    self.0[step.ix()] = Slot { start: at, end: at };
                }
                _ => {}
            }
        }
    }
}

struct Estimates(Draw);

impl Steps for Estimates {
    fn step(&self, step: &PlanStep, _: Value) -> Result<Arc<dyn Step>, Failure> {
        Ok(Arc::new(Takes(self.0.takes(step.estimate))))
    }
}

struct Takes(Dur);

#[async_trait]
impl Step for Takes {
    fn describe(&self) -> Description {
        Description::default()
    }

    fn sees_effect(&self) -> bool {
        false
    }

    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        cx.read.clock.sleep(self.0).await;
        Ok(Output::default())
    }
}

#[test]
fn a_step_is_left_out_for_certain_only_by_what_the_plan_holds() {
    for (condition, certain) in [
        ("params.fast", false),
        ("!params.fast", true),
        ("mode == 'graceful'", true),
        ("size(regions) > 0", true),
        ("false", true),
        // These a run alone can tell.
        ("run.kind == 'lab'", false),
        ("!params.fast && steps.a.lag > 5", false),
        // These nobody can.
        ("params.none", false),
        ("params.fast ? 1 : 0", false),
        ("(", false),
    ] {
        let step = PlanStep { when: Some(condition.into()), ..script::step("a") };
        assert_eq!(left_out(&script::plan(vec![step])), [certain], "{condition}");
    }
}

/// A guard with nothing behind it.
struct Open;

impl Guard for Open {
    fn before(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn after(&self) {}
}

/// A random plan. Its times are few, so that many steps begin and end together.
fn plans() -> impl Strategy<Value = Plan> {
    let step = || {
        let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
        // `fast` is a parameter that is true.
        let when = prop::option::weighted(0.3, prop::sample::select(vec!["params.fast", "!params.fast"]));
        (needs, prop::option::of((0_i64..5, 0_i64..3)), when)
    };
    prop::collection::vec(step(), 1..60).prop_map(|drawn| {
        let mut steps = Vec::new();
        for (at, (needs, times, when)) in drawn.into_iter().enumerate() {
            let mut step = script::step(&format!("s{at}"));
            step.needs = needs.iter().filter(|_| at > 0).map(|need| script::place(need.index(at.max(1)))).collect();
            step.needs.sort();
            step.needs.dedup();
            step.estimate = times.map(|(p50, more)| Estimate { p50: Dur(p50 * 1_000), p90: Dur((p50 + more) * 1_000) });
            step.when = when.map(Into::into);
            steps.push(step);
        }
        script::plan(steps)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_loop_takes_exactly_as_long_as_forecast(plan in plans(), parallel in 1_usize..9) {
        for draw in [Draw::P50, Draw::P90] {
            prop_assert_eq!(forecast(&plan, draw, parallel), rehearsed(&plan, draw, parallel));
        }
        prop_assert_eq!(forecast(&plan, Draw::P50, limits::PARALLEL_MAX), rehearsed(&plan, Draw::P50, limits::PARALLEL_MAX));
    }
}
