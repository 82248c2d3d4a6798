//! The loop: the only place that writes the journal and the only one where
//! anything begins.
//!
//! One turn: hear what has arrived, fold it into the run, decide what follows,
//! write all of that down in one transaction, and only then tell and act. When
//! the power goes at any line, the journal holds what was begun, and the next
//! controller asks each such step's `check` what became of it.

pub use crate::{
    attempt::{Hearing, Tools},
    message::{Arrival, Reply},
};
use crate::{
    attempt::{Terms, attempt},
    clock::Time,
    decide::{Effect, decide, settle},
    event::{Event, Kind, Outcome, Proof, Skipper},
    inputs,
    journal::{self, Journal},
    message::{self, Taken},
    plan::StepIx,
    run::{Illegal, Run},
    step::{Report, Said},
};
use std::collections::BTreeMap;
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
};

/// Hears what happens, after it is durable. It must not block and cannot fail.
pub trait Observer {
    /// These events are written; `run` has taken them in.
    fn told(&mut self, events: &[Event], run: &Run);
}

/// The attempts that go on, by their numbers.
type Busy = BTreeMap<StepIx, (u32, AbortHandle)>;

/// Everything the loop works with.
pub struct Executor<'a> {
    /// Where events are kept.
    pub journal: &'a mut dyn Journal,
    /// Who hears of events.
    pub observer: &'a mut dyn Observer,
    /// What attempts work with, and the clock of the loop.
    pub tools: Tools,
    /// How many attempts may run at the same time.
    pub parallel: usize,
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
    wake: Option<Time>,
    held: bool,
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
        let mut busy = Busy::new();
        let mut turn = Turn::default();
        for kind in first {
            self.add(run, &mut turn, kind)?;
        }
        // What people said before this controller came counts before anything begins.
        while let Ok(arrival) = arrivals.try_recv() {
            self.arrive(run, &mut turn, arrival).await?;
        }
        loop {
            // What somebody left out while it was tried is tried no more.
            busy.retain(|step, (_, task)| {
                run.step(*step).is_tried() || {
                    task.abort();
                    false
                }
            });
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
            for (step, number, terms) in turn.begin.drain(..) {
                let cx = self.tools.context(run, step, number, &tell);
                let beside = self.tools.beside(run, step, &tell);
                let task = tasks.spawn(attempt(self.tools.work(run, step), beside, cx, terms));
                busy.insert(step, (number, task));
            }
            if let Some(outcome) = run.finished {
                return Ok(Exit::Finished(outcome));
            }
            if busy.is_empty() && run.leaving {
                return Ok(Exit::Left);
            }
            if turn.held && self.no_wait {
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
                () = self.tools.clock.sleep_until(wake.unwrap_or_default()), if wake.is_some() => {}
            }
            while let Ok(report) = reports.try_recv() {
                self.report(run, &mut turn, &mut busy, report)?;
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Time never runs backward in a journal, whatever the clock of this host says.
    fn now(&self, run: &Run) -> Time {
        self.tools.clock.now().max(run.at)
    }

    /// Folds an event into the run; it is written at the end of the turn.
    fn add(&self, run: &mut Run, turn: &mut Turn, kind: Kind) -> Result<(), Illegal> {
        let event = Event { seq: run.seq + 1, at: self.now(run), kind };
        run.apply(&event)?;
        turn.events.push(event);
        Ok(())
    }

    /// Decides until nothing more follows.
    fn follow(&self, run: &mut Run, turn: &mut Turn, busy: usize) -> Result<(), Illegal> {
        loop {
            let before = turn.events.len();
            let free = self.parallel.saturating_sub(busy + turn.begin.len());
            (turn.wake, turn.held) = (None, false);
            for effect in decide(run, free, self.now(run)) {
                match effect {
                    Effect::WakeAt(at) => turn.wake = Some(turn.wake.map_or(at, |wake| wake.min(at))),
                    Effect::Hold => turn.held = true,
                    Effect::Begin { step, attempt, terms } => turn.begin.push((step, attempt, terms)),
                    _ => {}
                }
                if let Some(kind) = effect.event() {
                    self.add(run, turn, kind)?;
                }
            }
            if turn.events.len() == before {
                return Ok(());
            }
        }
    }

    fn report(&self, run: &mut Run, turn: &mut Turn, busy: &mut Busy, report: Report) -> Result<(), Illegal> {
        let Report { step, attempt, what } = report;
        // An attempt that the run no longer waits for has nothing to say.
        if !run.step(step).is_tried() || busy.get(&step).is_none_or(|(mine, _)| *mine != attempt) {
            return Ok(());
        }
        match what {
            Said::Fact(fact, durable) => {
                self.add(run, turn, Kind::Recorded { step, attempt, fact })?;
                turn.acks.push(durable);
            }
            Said::Ended(ended) => {
                busy.remove(&step);
                let kind = settle(run, step, attempt, ended, self.now(run));
                self.add(run, turn, kind)?;
            }
        }
        Ok(())
    }

    async fn arrive(&self, run: &mut Run, turn: &mut Turn, arrival: Arrival) -> Result<(), Illegal> {
        let (message, reply) = match arrival {
            Arrival::Message(message, reply) => (message, reply),
            Arrival::Cancel(by) if !run.leaving => return self.add(run, turn, Kind::CancelAsked { by }),
            Arrival::Cancel(_) | Arrival::Leave => return Ok(()),
        };
        let known = message.by.message.as_ref().is_some_and(|id| run.taken.contains(id));
        let said = match message::take(run, &message) {
            _ if known => Ok(Vec::new()),
            Ok(Taken::Prove { step, gates, values, by, why }) => {
                let seen = self.tools.prove(run, step).await;
                if seen.is_none() && run.plan().step(step).fences {
                    turn.replies.push((reply, Err(message::unproven(run, step))));
                    return Ok(());
                }
                let proof = if seen.is_some() { Proof::Proven } else { Proof::Vouched };
                let mut output = seen.unwrap_or_default();
                // What the check sees counts; what it cannot see is taken from the person.
                output.values = values.into_iter().chain(output.values).collect();
                let skip = |step| Kind::Skipped { step, by: Skipper::Person(by.clone()), why: why.clone() };
                let gates: Vec<_> = gates.into_iter().map(skip).collect();
                Ok(std::iter::once(Kind::Bypassed { step, by, why, output, proof }).chain(gates).collect())
            }
            Ok(Taken::Events(kinds)) => inputs::accepted(run, &*self.tools.steps, &kinds).map(|()| kinds),
            Err(why) => Err(why),
        };
        let (kinds, said) = said.map_or_else(|why| (Vec::new(), Err(why)), |kinds| (kinds, Ok(())));
        kinds.into_iter().try_for_each(|kind| self.add(run, turn, kind))?;
        turn.replies.push((reply, said));
        Ok(())
    }
}
