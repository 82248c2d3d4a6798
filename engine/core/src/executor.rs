//! The loop: the only place that writes the journal and the only one where
//! anything begins.
//!
//! One turn: hear what has arrived, fold it into the run, decide what follows,
//! write all of that down in one transaction, and only then tell and act. When
//! the power goes at any line, the journal holds what was begun, and the next
//! controller asks each such step's `check` what became of it.

use crate::{
    attempt::{self, Terms},
    clock::Clock,
    decide::{Effect, decide, settle},
    duration::Dur,
    event::{Event, Kind, Outcome, Person},
    inputs,
    journal::{self, Journal},
    message::{self, Message, Taken},
    outcome::{Failure, Output},
    plan::{PlanStep, StepIx},
    question::About,
    run::{Illegal, Run, State, StepRun},
    step::{Check, Guard, ReadCx, Report, RunInfo, Said, StepCx, Steps},
};
use futures_util::FutureExt;
use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

/// Hears what happens, after it is durable. It must not block and cannot fail.
pub trait Observer {
    /// These events are written; `run` has taken them in.
    fn told(&mut self, events: &[Event], run: &Run);
}

/// Where the sender of a message hears what became of it.
pub type Reply = oneshot::Sender<Result<(), String>>;

/// Who hears what running steps say: a step's id and a text.
pub type Hearing = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What can arrive from outside while a run goes on.
pub enum Arrival {
    /// A message, and where to say what became of it, once that is durable.
    Message(Message, Reply),
    /// A signal asks to leave: start nothing new.
    Cancel(Person),
    /// A second signal: leave now.
    Leave,
}

/// Everything the loop works with.
pub struct Executor<'a> {
    /// Where events are kept.
    pub journal: &'a mut dyn Journal,
    /// The kinds of work.
    pub steps: Arc<dyn Steps>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What lies behind the kinds of work.
    pub world: Arc<dyn Any + Send + Sync>,
    /// What every mutating call passes.
    pub guard: Arc<dyn Guard>,
    /// Who hears of events.
    pub observer: &'a mut dyn Observer,
    /// Who hears what running steps say: a step's id and a text.
    pub chatter: Hearing,
    /// How many attempts may run at the same time.
    pub parallel: usize,
    /// The shortest gap between two looks at a provider.
    pub poll_gap_min: Dur,
    /// End when nothing goes on without a person.
    pub no_wait: bool,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The run is over.
    Finished(Outcome),
    /// Nothing goes on without a person, and nobody wants to wait.
    Held,
    /// A signal ended it; these many steps are in doubt.
    Left,
}

/// Why the loop stopped without an end: nothing was begun after it.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// What was written is unknown.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Our own mistake.
    #[error("this is a defect of dr: {0}")]
    Illegal(#[from] Illegal),
}

/// What is still to be told once a batch is durable.
#[derive(Default)]
struct Turn {
    events: Vec<Event>,
    acks: Vec<oneshot::Sender<()>>,
    replies: Vec<(Reply, Result<(), String>)>,
    begin: Vec<(StepIx, u32, Terms)>,
    wake: Option<crate::clock::Time>,
}

impl Executor<'_> {
    /// Goes on with a run until it ends, is held, or is left. `first` are the
    /// events that the caller brings: `Joined`, and what it has to say.
    pub async fn execute(
        &mut self,
        run: &mut Run,
        first: Vec<Kind>,
        arrivals: &mut mpsc::UnboundedReceiver<Arrival>,
    ) -> Result<Exit, Stopped> {
        let (tell, mut reports) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let mut busy: BTreeMap<StepIx, u32> = BTreeMap::new();
        let mut turn = Turn::default();
        for kind in first {
            self.add(run, &mut turn, kind)?;
        }
        // What people said before this controller came counts before anything begins.
        while let Ok(arrival) = arrivals.try_recv() {
            self.arrive(run, &mut turn, arrival).await?;
        }
        loop {
            self.follow(run, &mut turn, busy.len())?;
            if !turn.events.is_empty() {
                self.journal.append(&turn.events)?;
                self.observer.told(&turn.events, run);
            }
            for ack in turn.acks.drain(..) {
                // Whoever asked may be gone by now; what it asked for is durable all the same.
                let _: Result<(), ()> = ack.send(());
            }
            turn.replies.drain(..).for_each(|(reply, said)| drop(reply.send(said)));
            for (step, attempt, terms) in turn.begin.drain(..) {
                busy.insert(step, attempt);
                let cx = self.context(run, step, attempt, &tell);
                let work = self.work(run, step);
                tasks.spawn(attempt::attempt(work, cx, terms));
            }
            if let Some(outcome) = run.finished {
                return Ok(Exit::Finished(outcome));
            }
            if busy.is_empty() && run.leaving {
                return Ok(Exit::Left);
            }
            if busy.is_empty() && self.no_wait && !run.moves_alone() {
                return Ok(Exit::Held);
            }
            let wake = turn.wake.take();
            turn = Turn::default();
            tokio::select! {
                biased;
                Some(report) = reports.recv() => self.report(run, &mut turn, &mut busy, report)?,
                Some(arrival) = arrivals.recv() => match arrival {
                    Arrival::Leave => return Ok(Exit::Left),
                    other => self.arrive(run, &mut turn, other).await?,
                },
                () = self.clock.sleep_until(wake.unwrap_or_default()), if wake.is_some() => {}
            }
            while let Ok(report) = reports.try_recv() {
                self.report(run, &mut turn, &mut busy, report)?;
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Folds an event into the run; it is written at the end of the turn.
    fn add(&self, run: &mut Run, turn: &mut Turn, kind: Kind) -> Result<(), Illegal> {
        // Time never runs backward in a journal, whatever the clock of this host says.
        let event = Event { seq: run.seq + 1, at: self.clock.now().max(run.at), kind };
        run.apply(&event)?;
        turn.events.push(event);
        Ok(())
    }

    /// Decides until nothing more follows.
    fn follow(&self, run: &mut Run, turn: &mut Turn, busy: usize) -> Result<(), Illegal> {
        loop {
            let free = self.parallel.saturating_sub(busy + turn.begin.len());
            let effects = decide(run, free, self.clock.now().max(run.at));
            let mut moved = false;
            turn.wake = None;
            for effect in effects {
                if let Effect::WakeAt(at) = effect {
                    turn.wake = Some(turn.wake.map_or(at, |wake| wake.min(at)));
                }
                let terms = match effect {
                    Effect::Start { step, attempt, settle } => Some((step, attempt, settle, false)),
                    Effect::Undo { step, attempt } => Some((step, attempt, false, true)),
                    _ => None,
                };
                if let Some((step, attempt, settle, undo)) = terms {
                    let it = run.step(step);
                    let terms = Terms { settle, undo, doubt: it.doubt, granted: it.granted };
                    turn.begin.push((step, attempt, terms));
                }
                if let Some(kind) = effect.event() {
                    moved = true;
                    self.add(run, turn, kind)?;
                }
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn report(
        &self,
        run: &mut Run,
        turn: &mut Turn,
        busy: &mut BTreeMap<StepIx, u32>,
        report: Report,
    ) -> Result<(), Illegal> {
        let Report { step, attempt, what } = report;
        // An attempt that the run no longer waits for has nothing to say.
        if busy.get(&step) != Some(&attempt) {
            return Ok(());
        }
        match what {
            Said::Fact(fact, durable) => {
                self.add(run, turn, Kind::Recorded { step, attempt, fact })?;
                turn.acks.push(durable);
            }
            Said::Ended(ended) => {
                busy.remove(&step);
                for kind in settle(run, step, attempt, ended, self.clock.now().max(run.at)) {
                    self.add(run, turn, kind)?;
                }
            }
        }
        Ok(())
    }

    async fn arrive(&self, run: &mut Run, turn: &mut Turn, arrival: Arrival) -> Result<(), Illegal> {
        let (message, reply) = match arrival {
            Arrival::Cancel(by) if !run.leaving => {
                return self.add(run, turn, Kind::CancelAsked { by });
            }
            Arrival::Message(message, reply) => (message, reply),
            Arrival::Cancel(_) | Arrival::Leave => return Ok(()),
        };
        if message.by.message.as_ref().is_some_and(|id| run.taken.contains(id)) {
            turn.replies.push((reply, Ok(())));
            return Ok(());
        }
        let taken = match message::take(run, &message) {
            Ok(Taken::Prove { step, values, by, why }) => {
                let proof = self.prove(run, step).await;
                let (output, proof) = proof.map_or_else(
                    || (Output { values, recovery_point: None }, crate::event::Proof::Vouched),
                    |output| (output, crate::event::Proof::Proven),
                );
                Ok(vec![Kind::Bypassed { step, by, why, output, proof }])
            }
            Ok(Taken::Events(kinds)) => Ok(kinds),
            Err(why) => Err(why),
        };
        match taken {
            Ok(kinds) => {
                for kind in kinds {
                    self.add(run, turn, kind)?;
                }
                turn.replies.push((reply, Ok(())));
            }
            Err(why) => turn.replies.push((reply, Err(why))),
        }
        Ok(())
    }

    /// What the step's own `check` sees, if it sees that the goal is reached.
    async fn prove(&self, run: &Run, step: StepIx) -> Option<Output> {
        let (tell, _) = mpsc::unbounded_channel();
        let work = self.work(run, step).ok()?;
        let cx = self.context(run, step, run.step(step).attempt, &tell);
        let looking = AssertUnwindSafe(work.check(&cx.read)).catch_unwind();
        let looked = self.clock.timeout(Dur(5_000), looking).await?;
        if let Ok(Ok(Check::Done(output))) = looked { Some(output) } else { None }
    }

    fn work(&self, run: &Run, step: StepIx) -> Result<Arc<dyn crate::step::Step>, Failure> {
        let with = inputs::resolve(run, step)
            .map_err(|missing| Failure::new(format!("a value is missing: {}", missing.join(", "))))?;
        self.steps.step(run.plan().step(step), with)
    }

    fn context(&self, run: &Run, step: StepIx, attempt: u32, tell: &mpsc::UnboundedSender<Report>) -> StepCx {
        let plan: &PlanStep = run.plan().step(step);
        let (chatter, id) = (self.chatter.clone(), plan.id.clone());
        StepCx {
            read: ReadCx {
                run: Arc::new(RunInfo {
                    id: run.opened.run.clone(),
                    runbook: run.plan().name.clone(),
                    kind: run.opened.kind,
                    incident_at: run.opened.incident_at,
                }),
                step: Arc::new(plan.clone()),
                attempt,
                facts: run.step(step).facts.clone(),
                clock: self.clock.clone(),
                world: self.world.clone(),
                poll_gap_min: self.poll_gap_min,
                chatter: Arc::new(move |text| chatter(&id, text)),
            },
            deadline: attempt::deadline(&*self.clock, plan.timeout),
            output: run.step(step).output.clone(),
            guard: self.guard.clone(),
            facts: tell.clone(),
            me: (step, attempt),
        }
    }
}

/// The steps that nobody knows the outcome of.
pub fn in_doubt(run: &Run) -> Vec<StepIx> {
    let doubtful = |it: &StepRun| match &it.state {
        State::InDoubt { .. } | State::Running { .. } | State::Undoing { since: Some(_) } => true,
        State::Asking { question, .. } => matches!(question.about, About::Doubt(_) | About::Slow(_)),
        // It was asked about, and the answer was to stop, or nobody has tried again yet.
        State::Failed { .. } | State::Backoff { .. } => it.doubt.is_some(),
        _ => false,
    };
    run.steps().filter(|(_, it)| doubtful(it)).map(|(step, _)| step).collect()
}
