//! What to do next: total, pure, without a clock.
//!
//! `decide` reads a run and says what follows from it; `settle` turns the end
//! of an attempt into the event that it is. Neither does anything.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    attempt::{Ended, Terms, out_of_time},
    clock::Time,
    duration::Dur,
    event::{Deadline, Doubt, Kind, Outcome, Skipper},
    inputs, limits,
    outcome::Failure,
    plan::{OnUnknown, StepIx},
    question::Question,
    run::{Run, State, StepRun},
    step::StepError,
    when,
};
use std::{cmp::Reverse, collections::BTreeSet};

/// Something to be done because of the state of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Begin an attempt at a step, or at taking it back.
    Begin { step: StepIx, attempt: u32, terms: Terms },
    /// Ask people.
    Ask { step: StepIx, question: Question },
    /// Leave a step out, because its condition is false.
    Skip { step: StepIx, why: String },
    /// Say that a deadline passed.
    Pass(Deadline),
    /// Decide again at this time, whatever happens before.
    WakeAt(Time),
    /// Nothing goes on without a person.
    Hold,
    /// The run is over.
    Finish(Outcome),
}

impl Effect {
    /// The event that is written before the effect is performed.
    pub fn event(&self) -> Option<Kind> {
        Some(match self.clone() {
            Self::Begin { step, attempt, terms } if terms.undo => Kind::UndoStarted { step, attempt },
            Self::Begin { step, attempt, .. } => Kind::Started { step, attempt },
            Self::Ask { step, question } => Kind::Asked { step, question },
            Self::Skip { step, why } => Kind::Skipped { step, by: Skipper::Condition, why },
            Self::Pass(which) => Kind::DeadlinePassed { which },
            Self::Finish(outcome) => Kind::Finished { outcome },
            Self::WakeAt(_) | Self::Hold => return None,
        })
    }
}

/// Everything that follows from the state of a run. `free` is how many more
/// attempts may run at the same time.
pub fn decide(run: &Run, mut free: usize, now: Time) -> Vec<Effect> {
    let mut effects = Vec::new();
    if run.finished.is_some() {
        return effects;
    }
    let halted = run.paused || run.leaving;
    let mut alive = false; // something goes on, or will by itself
    let mut held = run.stopping.is_none() && (run.leaving || (run.paused && !run.ready.is_empty()));
    let under = what_something_stands_on(run);
    let under = |step: StepIx| under.get(step.ix()) == Some(&true);
    let mut due = BTreeSet::new(); // what goes on, if there is a hand for it
    let ask = |step, question: Question| Effect::Ask { step, question: question.of(run, step) };
    for &step in &run.open {
        let (it, plan) = (run.step(step), run.plan().step(step));
        let effect = match &it.state {
            State::Running { since } => {
                alive = true;
                let overrun = plan.estimate.map(|e| since.after(e.p90));
                pass(run, Deadline::Estimate(step), overrun, now)
            }
            State::Backoff { until: at } | State::InDoubt { look_at: Some(at), .. }
                if run.may_begin(step) || matches!(it.state, State::InDoubt { .. }) =>
            {
                *(if run.paused { &mut held } else { &mut alive }) = true;
                // An attempt too many may still find out what became of the last one.
                let settle = it.state != State::Backoff { until: *at }
                    && (!run.may_begin(step) || it.failures >= plan.retry.attempts);
                if *at <= now {
                    due.insert((Reverse(run.graph.remaining(step)), step, settle));
                }
                Some(Effect::WakeAt(*at)).filter(|_| *at > now)
            }
            State::InDoubt { error, .. } => Some(ask(step, Question::doubt(plan, error))),
            State::Failed { error } if run.stopping.is_none() => Some(ask(step, Question::failure(plan, error))),
            State::Stuck { error } => Some(ask(step, Question::stuck(plan, error))),
            State::Asking { question, .. } => {
                held |= run.stopping.is_none() || it.state.being_undone();
                pass(run, Deadline::Question(step), question.late_at, now)
            }
            State::Undoing { since: Some(_) } | State::Owed { next: None, .. } => {
                alive = true;
                None
            }
            // The run stays open for it: nobody else tries it again once the run is over.
            State::Owed { next: Some(at), .. } if run.stopping.is_none() => {
                held = true;
                // What it stands on may have been taken back: then it is not tried any more.
                let may = run.may_begin(step);
                if may && *at <= now {
                    due.insert((Reverse(run.graph.remaining(step)), step, false));
                }
                Some(Effect::WakeAt(*at)).filter(|_| may && *at > now)
            }
            State::Undoing { since: None } => {
                held = true;
                if !under(step) {
                    due.insert((Reverse(run.graph.remaining(step)), step, false));
                }
                None
            }
            _ => None,
        };
        effects.extend(effect);
    }
    // What the rest waits for longest goes first, be it begun or taken up again.
    let mut due = due.into_iter().filter(|_| !halted).peekable();
    let mut ready = run.ready.iter().copied().filter(|_| !halted && run.stopping.is_none()).peekable();
    while free > 0 {
        let first = due.peek().map(|(path, step, _)| (*path, *step));
        if let Some((_, step, settle)) = due.next_if(|_| ready.peek().is_none_or(|other| first <= Some(*other))) {
            free -= 1;
            effects.push(begin(run, step, settle));
            continue;
        }
        let Some((_, step)) = ready.next() else { break };
        let condition = run.plan().step(step).when.as_deref().map(|text| when::evaluate(text, run, step));
        let missing = inputs::missing(run, step);
        effects.push(match condition {
            Some(Ok(false)) => Effect::Skip { step, why: "its condition is false".into() },
            Some(Err(missing)) => ask(step, Question::missing(missing)),
            _ if !missing.is_empty() => ask(step, Question::missing(missing)),
            _ => {
                free -= 1;
                begin(run, step, false)
            }
        });
    }
    let verified = || run.verify.is_some_and(|verify| run.satisfied(verify));
    let rto = run.plan().objectives.rto.filter(|_| !verified()).map(|rto| run.opened.incident_at.after(rto));
    effects.extend(pass(run, Deadline::Rto, rto, now));
    // Judged here, not when the store came back: the time of the incident may be corrected later.
    effects.extend(
        run.stores
            .iter()
            .filter(|step| lost_too_much(run, **step))
            .filter_map(|step| pass(run, Deadline::Rpo(*step), Some(now), now)),
    );
    let moving = effects.iter().any(|e| !matches!(e, Effect::WakeAt(_) | Effect::Pass(_)));
    if !moving && !alive {
        effects.push(if held { Effect::Hold } else { Effect::Finish(outcome(run)) });
    }
    effects
}

/// The next attempt at a step, in the light of how the last one ended.
fn begin(run: &Run, step: StepIx, settle: bool) -> Effect {
    let (it, plan) = (run.step(step), run.plan().step(step));
    let undo = it.state == State::Undoing { since: None };
    let patience = match () {
        // It is tried again in a minute.
        () if run.is_owed(step) => Dur(0),
        () if plan.fences && !undo => plan.check_timeout.min(limits::FENCE_PATIENCE),
        () => plan.check_timeout,
    };
    let terms = Terms { settle, undo, doubt: it.doubt, granted: it.granted, patience };
    Effect::Begin { step, attempt: it.attempt + 1, terms }
}

/// A deadline is told once, when it has passed.
fn pass(run: &Run, which: Deadline, at: Option<Time>, now: Time) -> Option<Effect> {
    let at = at.filter(|_| !run.passed.contains(&which))?;
    Some(if at <= now { Effect::Pass(which) } else { Effect::WakeAt(at) })
}

/// Whether what a store came back with is older than its RPO allows.
fn lost_too_much(run: &Run, step: StepIx) -> bool {
    let point = run.step(step).output.recovery_point.as_ref().filter(|_| run.satisfied(step));
    let lost = point.map(|point| run.opened.incident_at.since(point.at));
    lost.zip(run.plan().step(step).rpo.or(run.plan().objectives.rpo)).is_some_and(|(lost, allowed)| lost > allowed)
}

/// For every step, whether something that was built on it is still to be
/// taken back: that comes before the step itself. Empty when nothing is.
fn what_something_stands_on(run: &Run) -> Vec<bool> {
    let mut under = Vec::new();
    if run.open.iter().any(|step| run.step(*step).state.being_undone()) {
        under.resize(run.plan().steps.len(), false);
        for step in run.plan().places().rev() {
            under[step.ix()] =
                run.graph.dependents(step).iter().any(|d| under[d.ix()] || run.step(*d).state.being_undone());
        }
    }
    under
}

/// How the run ends if it ends now.
fn outcome(run: &Run) -> Outcome {
    let states = || run.steps().map(|(_, it)| &it.state);
    let left = |which: fn(&StepRun) -> bool| run.steps().any(|(_, it)| it.left && which(it));
    match run.stopping {
        // Something may still be there: to call that taken back would be a green light for it.
        Some(Outcome::Undone) if left(|_| true) || !run.in_doubt().is_empty() || run.owed().next().is_some() => {
            return Outcome::Stopped;
        }
        Some(stopped) => return stopped,
        // What was done may be there no more.
        None if left(|it| it.was_done) || !run.plan().places().all(|step| run.satisfied(step)) => {
            return Outcome::Stopped;
        }
        None => {}
    }
    let exception = |s: &State| {
        matches!(
            s,
            State::Failed { .. }
                | State::Skipped { by_person: true }
                | State::Bypassed { vouched: true }
                | State::Owed { .. }
        )
    };
    // A fence that came late left a time in which two could write.
    let owed = || run.steps().any(|(_, it)| it.was_owed);
    match run.plan().when_all_done() {
        Outcome::Recovered if states().any(exception) || owed() => Outcome::RecoveredWithExceptions,
        all_done => all_done,
    }
}

/// The event that the end of an attempt is.
pub fn settle(run: &Run, step: StepIx, attempt: u32, ended: Ended, now: Time) -> Kind {
    let (it, plan) = (run.step(step), run.plan().step(step));
    if matches!(it.state, State::Undoing { .. }) {
        return match ended {
            Ended::Undone => Kind::UndoDone { step, attempt },
            other => Kind::UndoFailed { step, attempt, error: other.failure() },
        };
    }
    if matches!(it.state, State::Owed { .. }) {
        return match ended {
            Ended::Done { output, found } => Kind::Succeeded { step, attempt, output, found },
            // Whatever became of it, the next attempt begins with a look.
            other => {
                let error = match other {
                    Ended::Unknown(why) => Failure::new(why),
                    Ended::TimedOut(last) => Failure::new(out_of_time(plan.timeout, last)),
                    other => other.failure(),
                };
                Kind::AttemptFailed { step, attempt, error, retry_at: now.after(limits::FENCE_PAUSE) }
            }
        };
    }
    let left = it.failures + 1 < plan.retry.attempts;
    let pause = Dur(plan.retry.backoff_min.0.saturating_mul(1 << it.failures.min(20)).min(plan.retry.backoff_max.0));
    let retry_at = now.after(pause);
    let doubt = |doubt, error, look_at| Kind::InDoubt { step, attempt, doubt, error, look_at };
    // Looking again and again helps nobody: after the last attempt and one look more, a person is asked.
    let soon = |at| (it.failures < plan.retry.attempts).then_some(at);
    match ended {
        Ended::Done { output, found } => Kind::Succeeded { step, attempt, output, found },
        Ended::Error(StepError::Failed(error)) if error.transient && left => {
            Kind::AttemptFailed { step, attempt, error, retry_at }
        }
        Ended::Error(StepError::Failed(error)) => Kind::Failed { step, attempt, error },
        Ended::Error(StepError::Doubt(error)) => doubt(Doubt::NoAnswer, error, soon(retry_at)),
        Ended::Error(StepError::Ask(mut question)) => {
            question.late_at = question.late_after.map(|after| now.after(after));
            Kind::Asked { step, question: *question }
        }
        Ended::TimedOut(last) => {
            let error = Failure::new(out_of_time(plan.timeout, last));
            // What changes nothing leaves nothing in doubt; and it has looked again and again all that time.
            if !plan.changes {
                return Kind::Failed { step, attempt, error };
            }
            doubt(Doubt::Timeout, error, Some(now))
        }
        Ended::Unknown(why) => match plan.on_unknown {
            OnUnknown::Ask => doubt(Doubt::Unknown, Failure::new(why), None),
            OnUnknown::Retry => doubt(Doubt::Unknown, Failure::new(why), soon(now.after(limits::UNKNOWN_PAUSE))),
        },
        Ended::Slow(error) => Kind::Asked { step, question: Question::slow(plan, &error).of(run, step) },
        Ended::Undone => doubt(Doubt::NoAnswer, Failure::new("undone without being asked to"), None),
    }
}
