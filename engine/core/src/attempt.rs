//! One attempt at a step: look, then act, within its time.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    clock::{Clock, Time},
    duration::Dur,
    event::Doubt,
    limits,
    outcome::{Failure, Output},
    step::{Check, ReadCx, Report, Said, Step, StepCx, StepError},
};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, sync::Arc};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    /// The goal is reached; `found` when it already was.
    Done { output: Output, found: bool },
    /// It is not.
    Error(StepError),
    /// `check` looked and could not tell.
    Unknown(String),
    /// The time is up.
    TimedOut,
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
            Self::TimedOut => Failure::new("no end within its time"),
            Self::Error(StepError::Ask(question)) => Failure::new(question.text.clone()),
            Self::Done { .. } | Self::Undone => Failure::new("an end that cannot be"),
        }
    }
}

/// What the attempt is for, and what is known of the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Begin nothing anew.
    pub(crate) settle: bool,
    /// Take the step back.
    pub(crate) undo: bool,
    /// How the attempt before left matters, if it left them open.
    pub(crate) doubt: Option<Doubt>,
    /// A person who knew of the doubt said to go on.
    pub(crate) granted: bool,
}

/// Makes the attempt and tells the loop how it ended, whatever happens in it.
pub(crate) async fn attempt(work: Result<Arc<dyn Step>, Failure>, cx: StepCx, terms: Terms) {
    let (me, tell) = (cx.me, cx.facts.clone());
    let ended = match work {
        Err(failure) => Ended::Error(failure.into()),
        Ok(work) => {
            let made = AssertUnwindSafe(make(&*work, &cx, terms)).catch_unwind().await;
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

async fn make(work: &dyn Step, cx: &StepCx, terms: Terms) -> Ended {
    let check = match look(work, cx, terms).await {
        Ok(check) => check,
        // The look itself failed. A doubt stays a doubt; without one, nothing was done yet.
        Err(failure) if terms.doubt.is_some() => return Ended::Unknown(failure.message),
        Err(failure) => {
            return Ended::Error(StepError::Failed(Failure { transient: false, ..failure }));
        }
    };
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
        return Ended::TimedOut;
    }
    let left = cx.deadline.after(work.grace()).since(cx.read.clock.now());
    match cx.read.clock.timeout(left, act).await {
        Some(Ok(ended)) => limited(ended),
        Some(Err(error)) => Ended::Error(error),
        None => Ended::TimedOut,
    }
}

/// The look that begins an attempt. A look that fails is repeated for a while.
async fn look(work: &dyn Step, cx: &StepCx, terms: Terms) -> Result<Check, Failure> {
    if !work.sees_effect() && terms.doubt.is_none() && !terms.undo {
        return Ok(Check::Absent);
    }
    let ReadCx { clock, step, .. } = &cx.read;
    let until = clock.now().after(step.check_timeout);
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

/// When an attempt that begins now has to end.
pub(crate) fn deadline(clock: &dyn Clock, timeout: Dur) -> Time {
    clock.now().after(timeout)
}
