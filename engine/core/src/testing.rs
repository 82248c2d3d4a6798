//! A bench for tests of step kinds: the loop's side of a step, without a run.
//!
//! What an attempt goes through here (the look, the act, the time that is up)
//! is the very code that the loop uses. Facts are kept in memory, and every
//! call that changes the world is counted.

use crate::{
    attempt::{self, Ended, Terms},
    clock::{Clock, Time},
    duration::Dur,
    event::{Doubt, RunKind},
    fence::Beside,
    kind::Reference,
    outcome::{Fact, Failure, Output},
    plan::{PlanStep, StepIx},
    step::{Guard, ReadCx, Report, RunInfo, Said, Step, StepCx},
};
use serde_json::Value;
use std::{
    any::Any,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use tokio::sync::mpsc;

/// For kinds that only a test knows: nobody reads a page of theirs.
pub const UNEXPLAINED: Reference =
    Reference { check: "", run: "", undo: None, recovery_point: None, time: "", traps: &[], example: "" };

/// One step on the bench.
pub struct Bench {
    /// The run it believes to be in.
    pub run: RunInfo,
    /// The step as it was planned.
    pub step: PlanStep,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Since when its old writer is fenced, if that was proven.
    pub fenced_at: Option<Time>,
    /// What lies behind its kind.
    pub world: Arc<dyn Any + Send + Sync>,
    /// What it asked leave for.
    pub calls: Arc<Calls>,
    /// What it wrote down, in all attempts.
    pub facts: Arc<Mutex<Vec<Fact>>>,
    /// What it said to whoever watches.
    pub said: Arc<Mutex<Vec<String>>>,
    /// The number of the last attempt.
    pub attempts: AtomicU32,
    /// What the last attempt that reached its goal left, for `undo`.
    pub output: Mutex<Output>,
}

/// A guard that counts, and can refuse.
#[derive(Debug, Default)]
pub struct Calls {
    /// How often leave was asked for a call that changes something.
    pub before: AtomicU32,
    /// How many of those calls came back.
    pub after: AtomicU32,
    /// Leave is refused, as in a dry run.
    pub refuse: AtomicBool,
}

impl Guard for Calls {
    fn before(&self) -> Result<(), Failure> {
        self.before.fetch_add(1, Ordering::SeqCst);
        if self.refuse.load(Ordering::SeqCst) { Err(Failure::new("this controller may not act")) } else { Ok(()) }
    }

    fn after(&self) {
        self.after.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bench {
    /// A bench for the step `id`.
    pub fn new(id: &str, clock: Arc<dyn Clock>, world: Arc<dyn Any + Send + Sync>) -> Self {
        let run = RunInfo {
            id: "20260101-000000-bench-0000".into(),
            runbook: "bench".into(),
            kind: RunKind::Lab,
            incident_at: clock.now(),
            incident_assumed: false,
        };
        let step = PlanStep::plain(id, "bench", Value::Null);
        Self {
            run,
            step,
            clock,
            fenced_at: None,
            world,
            calls: Arc::default(),
            facts: Arc::default(),
            said: Arc::default(),
            attempts: AtomicU32::new(0),
            output: Mutex::default(),
        }
    }

    /// The view of the next attempt, for calling a step by hand. Facts are
    /// durable at once.
    pub fn cx(&self) -> StepCx {
        let (tell, mut reports) = mpsc::unbounded_channel();
        let facts = self.facts.clone();
        tokio::spawn(async move {
            while let Some(Report { what, .. }) = reports.recv().await {
                keep(&facts, what);
            }
        });
        self.view(tell)
    }

    /// The next attempt, as the loop makes it. `doubt` is how the attempt
    /// before left matters, if it left them open.
    pub async fn attempt(&self, work: Arc<dyn Step>, doubt: Option<Doubt>) -> Ended {
        self.make(work, Terms { doubt, ..self.terms() }).await
    }

    fn terms(&self) -> Terms {
        Terms { settle: false, undo: false, doubt: None, granted: false, patience: self.step.check_timeout }
    }

    /// The next attempt, after a person who knew of the doubt said to go on.
    pub async fn granted(&self, work: Arc<dyn Step>, doubt: Doubt) -> Ended {
        self.make(work, Terms { doubt: Some(doubt), granted: true, ..self.terms() }).await
    }

    /// The next attempt at taking the step back from what it left.
    pub async fn undo(&self, work: Arc<dyn Step>, doubt: Option<Doubt>) -> Ended {
        self.make(work, Terms { undo: true, doubt, ..self.terms() }).await
    }

    async fn make(&self, work: Arc<dyn Step>, terms: Terms) -> Ended {
        let (tell, mut reports) = mpsc::unbounded_channel();
        let cx = self.view(tell);
        let listen = async {
            while let Some(Report { what, .. }) = reports.recv().await {
                if let Some(ended) = keep(&self.facts, what) {
                    return ended;
                }
            }
            unreachable!("an attempt always tells how it ended")
        };
        let ((), ended) = tokio::join!(attempt::attempt(Ok(work), Beside::default(), cx, terms), listen);
        if let Ended::Done { output, .. } = &ended {
            held(&self.output).clone_from(output);
        }
        ended
    }

    /// What it said to whoever watches, and forgets it.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *held(&self.said))
    }

    fn view(&self, facts: mpsc::UnboundedSender<Report>) -> StepCx {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst) + 1;
        let said = self.said.clone();
        let known = held(&self.facts).clone();
        StepCx {
            read: ReadCx {
                run: Arc::new(self.run.clone()),
                step: Arc::new(self.step.clone()),
                attempt,
                facts: known,
                clock: self.clock.clone(),
                world: self.world.clone(),
                fenced_at: self.fenced_at,
                poll_gap_min: Dur(20),
                chatter: Arc::new(move |text| {
                    held(&said).push(text.to_owned());
                }),
            },
            deadline: Time::after(self.clock.now(), self.step.timeout),
            output: held(&self.output).clone(),
            guard: self.calls.clone(),
            facts,
            me: (StepIx(0), attempt),
        }
    }
}

/// What the loop does with what a step tells it.
fn keep(facts: &Mutex<Vec<Fact>>, what: Said) -> Option<Ended> {
    match what {
        Said::Fact(fact, durable) => {
            held(facts).push(fact);
            // Nobody waits any more when the attempt was dropped meanwhile.
            durable.send(()).ok();
            None
        }
        Said::Ended(ended) => Some(ended),
    }
}

/// A test that panics has failed; what it held is nobody's concern.
fn held<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
