//! The dry run: the very loop of a recovery, on a simulated clock, with steps
//! that take their estimates. There is no second path that could disagree.

use crate::{
    clock::{Clock, SimClock, Time},
    duration::Dur,
    event::{Event, Kind, Opened, Person, RunKind},
    executor::{Executor, Exit, Observer, Stopped, Tools},
    journal::{self, Journal},
    outcome::{Failure, Output},
    plan::{Estimate, Objectives, OnFailure, Plan, PlanStep, Selection, StepIx},
    run::Run,
    step::{Check, Description, Guard, ReadCx, Step, StepCx, StepError, Steps},
};
use async_trait::async_trait;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::mpsc;

/// When a step would begin and end, counted from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// The step.
    pub step: StepIx,
    /// It begins.
    pub start: Dur,
    /// It ends.
    pub end: Dur,
}

/// Which estimate a rehearsal takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// The usual case.
    P50,
    /// One in ten takes longer.
    P90,
}

/// Runs a plan on a simulated clock: every step succeeds and takes its
/// estimate, a step without one takes no time, conditions hold.
///
/// # Panics
/// When not even a runtime without input and output can be made.
pub fn rehearse(plan: &Plan, draw: Draw, parallel: usize) -> Result<Vec<Slot>, Stopped> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of timers needs nothing of the machine");
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(Time(0)));
        let mut journal = Forgotten;
        let mut observer = Times { slots: Vec::with_capacity(plan.steps.len()), started: vec![None; plan.steps.len()] };
        let opened = Opened {
            run: "rehearsal".into(),
            plan: bare(plan),
            folder: String::new(),
            kind: RunKind::Drill,
            incident_at: Time(0),
            incident_assumed: true,
            detected_at: None,
            declared_at: None,
            declared_by: None,
            by: Person { name: None, user: String::new(), host: String::new(), message: None },
        };
        let mut run = Run::open(Event { seq: 1, at: Time(0), kind: Kind::Opened(Box::new(opened)) })?;
        let mut executor = Executor {
            journal: &mut journal,
            observer: &mut observer,
            tools: Tools {
                steps: Arc::new(Estimates(draw)),
                clock,
                world: Arc::new(()),
                guard: Arc::new(Open),
                chatter: Arc::new(|_, _| {}),
                poll_gap_min: Dur(1_000),
            },
            parallel,
            no_wait: true,
        };
        let (_keep, mut arrivals) = mpsc::unbounded_channel();
        let exit = executor.execute(&mut run, Vec::new(), &mut arrivals).await?;
        debug_assert!(matches!(exit, Exit::Finished(_)), "a rehearsal has nothing to wait for");
        Ok(observer.slots)
    })
}

/// The plan without what only a real run can know.
fn bare(plan: &Plan) -> Plan {
    let strip = |step: &PlanStep| PlanStep {
        with: Value::Null,
        when: None,
        on_failure: OnFailure::Hold,
        timeout: Dur(i64::MAX / 4),
        id: String::new(),
        kind: String::new(),
        phase: None,
        region: None,
        account: None,
        evidence: crate::plan::Evidence::None,
        gates: None,
        control_plane: None,
        regions: Vec::new(),
        needs: step.needs.clone(),
        ..*step
    };
    Plan {
        format: plan.format,
        name: String::new(),
        description: None,
        owner: None,
        regions: IndexMap::new(),
        accounts: IndexMap::new(),
        objectives: Objectives::default(),
        roles: IndexMap::new(),
        params: Map::new(),
        mode: plan.mode,
        comms: None,
        claim: None,
        failback: None,
        phases: Vec::new(),
        selection: Selection::default(),
        steps: plan.steps.iter().map(strip).collect(),
    }
}

/// A journal that keeps nothing: nobody resumes a rehearsal.
struct Forgotten;

impl Journal for Forgotten {
    fn append(&mut self, _: &[Event]) -> Result<(), journal::Error> {
        Ok(())
    }
}

struct Times {
    slots: Vec<Slot>,
    started: Vec<Option<Time>>,
}

impl Observer for Times {
    fn told(&mut self, events: &[Event], _: &Run) {
        for event in events {
            match &event.kind {
                Kind::Started { step, .. } => self.started[step.ix()] = Some(event.at),
                Kind::Succeeded { step, .. } => {
                    let start = self.started[step.ix()].unwrap_or(event.at);
                    self.slots.push(Slot { step: *step, start: start.since(Time(0)), end: event.at.since(Time(0)) });
                }
                _ => {}
            }
        }
    }
}

/// Steps that do nothing but take their time.
struct Estimates(Draw);

impl Steps for Estimates {
    fn step(&self, step: &PlanStep, _: Value) -> Result<Arc<dyn Step>, Failure> {
        let pick = |e: Estimate| if self.0 == Draw::P50 { e.p50 } else { e.p90 };
        Ok(Arc::new(Takes(step.estimate.map_or(Dur(0), pick))))
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

/// A guard with nothing behind it.
struct Open;

impl Guard for Open {
    fn before(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn after(&self) {}
}
