//! One attempt at a step: look, then act, within its time.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    clock::Clock,
    duration::Dur,
    event::Doubt,
    fence::Beside,
    inputs, limits,
    outcome::{Failure, Output},
    plan::{PlanStep, StepIx},
    run::Run,
    step::{Check, Guard, ReadCx, Report, RunInfo, Said, Step, StepCx, StepError, Steps},
};
use futures_util::FutureExt;
use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The goal is reached; `found` when it already was.
    Done { output: Output, found: bool },
    /// It is not.
    Error(StepError),
    /// `check` looked and could not tell.
    Unknown(String),
    /// The time is up; with what the step said last.
    TimedOut(Option<String>),
    /// The time of an earlier attempt was up, and what it began still goes on.
    Slow(Failure),
    /// It is taken back.
    Undone,
}

impl Ended {
    /// The end as a failure, where nothing else will do.
    pub fn failure(self) -> Failure {
        match self {
            Self::Error(StepError::Failed(failure) | StepError::Doubt(failure)) | Self::Slow(failure) => failure,
            Self::Unknown(why) => Failure::new(format!("it is not known whether it is taken back: {why}")),
            Self::TimedOut(last) => Failure::new(out_of_time("its time", last)),
            Self::Error(StepError::Ask(question)) => Failure::new(question.text.clone()),
            Self::Done { .. } | Self::Undone => Failure::new("an end that cannot be"),
        }
    }
}

/// That there was no end, and what was said last: why it was no end yet.
pub(crate) fn out_of_time(time: impl std::fmt::Display, last: Option<String>) -> String {
    last.map_or_else(|| format!("no end within {time}"), |last| format!("no end within {time}; last: {last}"))
}

/// What the attempt is for, and what is known of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Find out how the last one ended and go on with what is under way, but
    /// begin nothing anew.
    pub settle: bool,
    /// Take the step back.
    pub undo: bool,
    /// How the attempt before left matters, if it left them open.
    pub doubt: Option<Doubt>,
    /// A person who knew of the doubt said to go on.
    pub granted: bool,
    /// How long a look that fails is repeated.
    pub patience: Dur,
}

/// Who hears what running steps say: a step's id and a text.
pub type Hearing = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// What attempts work with.
pub struct Tools {
    /// The kinds of work.
    pub steps: Arc<dyn Steps>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What lies behind the kinds of work.
    pub world: Arc<dyn Any + Send + Sync>,
    /// What every mutating call passes.
    pub guard: Arc<dyn Guard>,
    /// Who hears what running steps say.
    pub chatter: Hearing,
    /// The shortest gap between two looks at a provider.
    pub poll_gap_min: Dur,
}

impl Tools {
    /// The step with its inputs, as they are now.
    pub(crate) fn work(&self, run: &Run, step: StepIx) -> Result<Arc<dyn Step>, Failure> {
        let with = inputs::resolve(run, step)
            .map_err(|missing| Failure::new(format!("a value is missing: {}", missing.join(", "))))?;
        self.steps.step(run.plan().step(step), with)
    }

    /// What the step's own `check` sees, if it sees that the goal is reached.
    pub(crate) async fn prove(&self, run: &Run, step: StepIx) -> Option<Output> {
        let (tell, _) = mpsc::unbounded_channel();
        let work = self.work(run, step).ok()?;
        let cx = self.context(run, step, run.step(step).attempt, &tell);
        let looking = AssertUnwindSafe(work.check(&cx.read)).catch_unwind();
        let looked = self.clock.timeout(limits::PROOF_TIMEOUT, looking).await?;
        if let Ok(Ok(Check::Done(output))) = looked { Some(output) } else { None }
    }

    /// What an attempt at the step is given; what it says goes to `tell`.
    pub(crate) fn context(
        &self,
        run: &Run,
        step: StepIx,
        attempt: u32,
        tell: &mpsc::UnboundedSender<Report>,
    ) -> StepCx {
        let plan: &PlanStep = run.plan().step(step);
        let (chatter, id) = (self.chatter.clone(), plan.id.clone());
        StepCx {
            read: ReadCx {
                run: Arc::new(RunInfo {
                    id: run.opened.run.clone(),
                    runbook: run.plan().name.clone(),
                    kind: run.opened.kind,
                    incident_at: run.opened.incident_at,
                    incident_assumed: run.opened.incident_assumed,
                }),
                step: Arc::new(plan.clone()),
                attempt,
                facts: run.step(step).facts.clone(),
                clock: self.clock.clone(),
                world: self.world.clone(),
                fenced_at: run.fenced_at(step),
                poll_gap_min: self.poll_gap_min,
                chatter: Arc::new(move |text| chatter(&id, text)),
            },
            deadline: self.clock.now().after(plan.timeout),
            output: run.step(step).output.clone(),
            guard: self.guard.clone(),
            facts: tell.clone(),
            me: (step, attempt),
        }
    }
}

/// Makes the attempt and tells the loop how it ended, whatever happens in it.
pub(crate) async fn attempt(work: Result<Arc<dyn Step>, Failure>, beside: Beside, cx: StepCx, terms: Terms) {
    let (me, tell) = (cx.me, cx.facts.clone());
    let (cx, last) = remembering(cx);
    let ended = match work {
        // Nobody could look: what was in doubt still is.
        Err(failure) if terms.doubt.is_some() => Ended::Unknown(failure.message),
        Err(failure) => Ended::Error(failure.into()),
        Ok(work) => {
            let made = AssertUnwindSafe(make(&*work, &beside, &cx, terms, &last)).catch_unwind().await;
            made.unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<&str>().map(ToString::to_string);
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                Ended::Error(StepError::Doubt(Failure::new(format!("the step panicked: {said}"))))
            })
        }
    };
    // Nobody hears it when the loop has stopped; the journal then holds the attempt as in doubt.
    tell.send(Report { step: me.0, attempt: me.1, what: Said::Ended(ended) }).ok();
}

/// The last thing that a step said.
type Last = Arc<Mutex<Option<String>>>;

/// The same context, and what the step says last through it.
fn remembering(cx: StepCx) -> (StepCx, Last) {
    let last = Last::default();
    let (heard, on) = (last.clone(), cx.read.chatter.clone());
    let chatter: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(move |text| {
        *heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
        on(text);
    });
    (StepCx { read: ReadCx { chatter, ..cx.read }, ..cx }, last)
}

async fn make(work: &dyn Step, beside: &Beside, cx: &StepCx, terms: Terms, last: &Last) -> Ended {
    let timed_out = || Ended::TimedOut(last.lock().unwrap_or_else(PoisonError::into_inner).take());
    let check = match look(work, cx, terms).await {
        Ok(check) => check,
        // The look itself failed. A doubt stays a doubt; without one, nothing was done yet.
        Err(failure) if terms.doubt.is_some() => return Ended::Unknown(failure.message),
        Err(failure) => {
            return Ended::Error(StepError::Failed(Failure { transient: false, ..failure }));
        }
    };
    let (under_way, unsure) = (matches!(check, Check::InProgress), matches!(check, Check::Unknown(_)));
    match check {
        Check::Done(_) if terms.undo => return Ended::Undone,
        Check::Done(output) => {
            return Ended::Done { output, found: true };
        }
        Check::Impossible(failure) => return Ended::Error(Failure { transient: false, ..failure }.into()),
        Check::Unknown(why) if !terms.granted => return Ended::Unknown(why),
        Check::InProgress if terms.doubt == Some(Doubt::Timeout) && !terms.undo => {
            return Ended::Slow(Failure::new("the attempt's time is up, and what it began still goes on"));
        }
        Check::Absent if terms.settle => {
            return Ended::Error(Failure::new("the last attempt had no effect, and no attempt is left").into());
        }
        Check::Absent | Check::InProgress | Check::Unknown(_) => {}
    }
    // What is under way goes on, whatever is seen beside it now.
    if !under_way && !terms.undo {
        match beside.allow(cx).await {
            Ok(()) => {}
            Err(failure) if unsure => return Ended::Unknown(failure.message),
            Err(failure) => return Ended::Error(failure.into()),
        }
    }
    let act = async {
        if terms.undo {
            let done = cx.output.clone();
            work.undo(cx, &done).await.map(|()| Ended::Undone)
        } else {
            work.run(cx).await.map(|output| Ended::Done { output, found: false })
        }
    };
    if cx.deadline <= cx.read.clock.now() {
        // The look took all of it: what cannot be waited for is not begun.
        return timed_out();
    }
    let left = cx.deadline.after(work.grace()).since(cx.read.clock.now());
    match cx.read.clock.timeout(left, act).await {
        Some(Ok(ended)) => limited(ended),
        Some(Err(error)) => Ended::Error(error),
        None => timed_out(),
    }
}

/// The look that begins an attempt. A look that fails is repeated for a while.
async fn look(work: &dyn Step, cx: &StepCx, terms: Terms) -> Result<Check, Failure> {
    if !work.sees_effect() && terms.doubt.is_none() && !terms.undo {
        return Ok(Check::Absent);
    }
    let ReadCx { clock, step, .. } = &cx.read;
    let until = clock.now().after(terms.patience);
    loop {
        let looking = async { if terms.undo { work.check_undone(&cx.read).await } else { work.check(&cx.read).await } };
        let looked = clock.timeout(step.check_timeout, looking).await;
        match looked.unwrap_or_else(|| Err(Failure::new("the look got no answer"))) {
            Err(failure) if failure.transient && clock.now() < until => {
                cx.read.progress(&failure.message);
                clock.sleep(limits::CHECK_PAUSE).await;
            }
            looked => return looked,
        }
    }
}

/// An output that nobody could store or read is refused, not cut.
fn limited(ended: Ended) -> Ended {
    if let Ended::Done { output, .. } = &ended {
        let bytes = serde_json::to_vec(&output.values).map_or(0, |json| json.len());
        if bytes > limits::OUTPUT_BYTES_MAX {
            let text = format!("the outputs are {bytes} bytes of JSON; at most {} are kept", limits::OUTPUT_BYTES_MAX);
            return Ended::Error(StepError::Failed(Failure::new(text)));
        }
    }
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::SystemClock, testing::Bench};

    #[tokio::test]
    async fn what_is_in_doubt_stays_so_when_nobody_can_look() {
        let bench = Bench::new("a", Arc::new(SystemClock::new()), Arc::new(()));
        for (doubt, unknown) in [(Some(Doubt::Lost), true), (None, false)] {
            let (tell, mut told) = mpsc::unbounded_channel();
            let cx = StepCx { facts: tell, ..bench.cx() };
            let terms = Terms { settle: false, undo: false, doubt, granted: false, patience: Dur(0) };
            attempt(Err(Failure::new("this version has no such kind")), Beside::default(), cx, terms).await;
            let Some(Report { what: Said::Ended(ended), .. }) = told.recv().await else { panic!("it says nothing") };
            assert_eq!(matches!(ended, Ended::Unknown(_)), unknown, "{ended:?}");
        }
    }
}
