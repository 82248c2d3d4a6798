//! What to do next: total, pure, without a clock.
//!
//! `decide` reads a run and says what follows from it; `settle` turns the end
//! of an attempt into the event that it is. Neither does anything.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    attempt::Ended,
    clock::Time,
    duration::Dur,
    event::{Deadline, Doubt, Kind, Outcome, Skipper},
    inputs, limits,
    outcome::Failure,
    plan::{OnUnknown, StepIx, VERIFY},
    question::Question,
    run::{Run, State},
    step::StepError,
    when,
};

/// Something to be done because of the state of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Begin an attempt. With `settle`, find out how the last one ended and
    /// go on with what is under way, but begin nothing anew.
    Start { step: StepIx, attempt: u32, settle: bool },
    /// Begin to take a step back.
    Undo { step: StepIx, attempt: u32 },
    /// Ask people.
    Ask { step: StepIx, question: Question },
    /// Leave a step out, because its condition is false.
    Skip { step: StepIx, why: String },
    /// Say that a deadline passed.
    Pass(Deadline),
    /// Decide again at this time, whatever happens before.
    WakeAt(Time),
    /// The run is over.
    Finish(Outcome),
}

impl Effect {
    /// The event that is written before the effect is performed.
    pub fn event(&self) -> Option<Kind> {
        Some(match self.clone() {
            Self::Start { step, attempt, .. } => Kind::Started { step, attempt },
            Self::Undo { step, attempt } => Kind::UndoStarted { step, attempt },
            Self::Ask { step, question } => Kind::Asked { step, question },
            Self::Skip { step, why } => Kind::Skipped { step, by: Skipper::Condition, why },
            Self::Pass(which) => Kind::DeadlinePassed { which },
            Self::Finish(outcome) => Kind::Finished { outcome },
            Self::WakeAt(_) => return None,
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
    for &step in &run.open {
        let (it, plan) = (run.step(step), run.plan().step(step));
        let attempt = it.attempt + 1;
        match &it.state {
            State::Running { since } => {
                alive = true;
                let overrun = plan.estimate.map(|e| since.after(e.p90));
                pass(run, Deadline::Estimate(step), overrun, now, &mut effects);
            }
            State::Backoff { until } if run.may_begin(step) => {
                alive = true;
                if *until > now {
                    effects.push(Effect::WakeAt(*until));
                } else if !halted && free > 0 {
                    free -= 1;
                    effects.push(Effect::Start { step, attempt, settle: false });
                }
            }
            State::InDoubt { look_at: Some(look_at), .. } => {
                alive = true;
                if *look_at > now {
                    effects.push(Effect::WakeAt(*look_at));
                } else if !halted && free > 0 {
                    free -= 1;
                    // An attempt too many may still find out what became of the last one.
                    let settle = !run.may_begin(step) || it.failures >= plan.retry.attempts;
                    effects.push(Effect::Start { step, attempt, settle });
                }
            }
            State::InDoubt { error, .. } => {
                effects.push(Effect::Ask { step, question: Question::doubt(plan, error).of(plan) });
            }
            State::Failed { error } if run.stopping.is_none() => {
                effects.push(Effect::Ask { step, question: Question::failure(plan, error).of(plan) });
            }
            State::Asking { question, .. } => {
                held |= run.stopping.is_none() || run.being_undone(step);
                pass(run, Deadline::Question(step), question.late_at, now, &mut effects);
            }
            State::Undoing { since: Some(_) } => alive = true,
            State::Undoing { since: None } => {
                held = true;
                if !halted && free > 0 && !under[step.ix()] {
                    free -= 1;
                    effects.push(Effect::Undo { step, attempt });
                }
            }
            State::Stuck { error } => {
                effects.push(Effect::Ask { step, question: Question::stuck(plan, error) });
            }
            _ => {}
        }
    }
    let startable = run.ready.iter().filter(|_| run.stopping.is_none());
    for &(_, step) in startable.take_while(|_| !halted) {
        if free == 0 {
            break;
        }
        let (it, plan) = (run.step(step), run.plan().step(step));
        let condition = plan.when.as_deref().map(|text| when::evaluate(text, run, step));
        let ask = |what| Effect::Ask { step, question: Question::missing(what).of(plan) };
        let missing = inputs::missing(run, step);
        effects.push(match condition {
            Some(Ok(false)) => Effect::Skip { step, why: "its condition is false".into() },
            Some(Err(missing)) => ask(missing),
            _ if !missing.is_empty() => ask(missing),
            _ => {
                free -= 1;
                Effect::Start { step, attempt: it.attempt + 1, settle: false }
            }
        });
    }
    if let Some(rto) = run.plan().objectives.rto
        && !run.plan().find(VERIFY).is_some_and(|verify| run.satisfied(verify))
    {
        pass(run, Deadline::Rto, Some(run.opened.incident_at.after(rto)), now, &mut effects);
    }
    let moving = effects.iter().any(|e| !matches!(e, Effect::WakeAt(_) | Effect::Pass(_)));
    if !moving && !alive && !held {
        effects.push(Effect::Finish(outcome(run)));
    }
    effects
}

/// A deadline is told once, when it has passed.
fn pass(run: &Run, which: Deadline, at: Option<Time>, now: Time, effects: &mut Vec<Effect>) {
    if let Some(at) = at.filter(|_| !run.passed.contains(&which)) {
        effects.push(if at <= now { Effect::Pass(which) } else { Effect::WakeAt(at) });
    }
}

/// For every step, whether something that was built on it is still to be
/// taken back: that comes before the step itself.
fn what_something_stands_on(run: &Run) -> Vec<bool> {
    let mut under = vec![false; run.plan().steps.len()];
    if run.open.iter().any(|step| run.being_undone(*step)) {
        for step in run.plan().places().rev() {
            under[step.ix()] = run.graph.dependents(step).iter().any(|d| under[d.ix()] || run.being_undone(*d));
        }
    }
    under
}

/// How the run ends if it ends now.
fn outcome(run: &Run) -> Outcome {
    if let Some(stopped) = run.stopping {
        return stopped;
    }
    let states = || run.steps().map(|(_, it)| &it.state);
    if !run.plan().places().all(|step| run.satisfied(step)) {
        return Outcome::Stopped;
    }
    let exception = |s: &State| {
        matches!(s, State::Failed { .. } | State::Skipped { by_person: true } | State::Bypassed { vouched: true })
    };
    match run.plan().when_all_done() {
        Outcome::Recovered if states().any(exception) => Outcome::RecoveredWithExceptions,
        all_done => all_done,
    }
}

/// The event that the end of an attempt is, and what it makes known beside.
pub fn settle(run: &Run, step: StepIx, attempt: u32, ended: Ended, now: Time) -> Vec<Kind> {
    let (it, plan) = (run.step(step), run.plan().step(step));
    if matches!(it.state, State::Undoing { .. }) {
        return vec![match ended {
            Ended::Undone => Kind::UndoDone { step, attempt },
            other => Kind::UndoFailed { step, attempt, error: other.failure() },
        }];
    }
    let left = it.failures + 1 < plan.retry.attempts;
    let pause = Dur(plan.retry.backoff_min.0.saturating_mul(1 << it.failures.min(20)).min(plan.retry.backoff_max.0));
    let retry_at = now.after(pause);
    let doubt = |doubt, error, look_at| vec![Kind::InDoubt { step, attempt, doubt, error, look_at }];
    // Looking again and again helps nobody: after the last attempt and one look more, a person is asked.
    let soon = |at| (it.failures < plan.retry.attempts).then_some(at);
    match ended {
        Ended::Done { output, found } => {
            let lost = output.recovery_point.as_ref().map(|point| run.opened.incident_at.since(point.at));
            let allowed = plan.rpo.or(run.plan().objectives.rpo);
            let too_much = lost.zip(allowed).is_some_and(|(lost, allowed)| lost > allowed);
            let passed = too_much.then_some(Kind::DeadlinePassed { which: Deadline::Rpo(step) });
            let succeeded = Kind::Succeeded { step, attempt, output, found };
            std::iter::once(succeeded).chain(passed.filter(|_| !run.passed.contains(&Deadline::Rpo(step)))).collect()
        }
        Ended::Error(StepError::Failed(error)) if error.transient && left => {
            vec![Kind::AttemptFailed { step, attempt, error, retry_at }]
        }
        Ended::Error(StepError::Failed(error)) => vec![Kind::Failed { step, attempt, error }],
        Ended::Error(StepError::Doubt(error)) => doubt(Doubt::NoAnswer, error, soon(retry_at)),
        Ended::Error(StepError::Ask(mut question)) => {
            question.late_at = question.late_after.map(|after| now.after(after));
            vec![Kind::Asked { step, question: *question }]
        }
        Ended::TimedOut => {
            let error = Failure::new(format!("no end within {}", plan.timeout));
            doubt(Doubt::Timeout, error, Some(now))
        }
        Ended::Unknown(why) => match plan.on_unknown {
            OnUnknown::Ask => doubt(Doubt::Unknown, Failure::new(why), None),
            OnUnknown::Retry => doubt(Doubt::Unknown, Failure::new(why), soon(now.after(limits::UNKNOWN_PAUSE))),
        },
        Ended::Slow(error) => vec![Kind::Asked { step, question: Question::slow(plan, &error).of(plan) }],
        Ended::Undone => doubt(Doubt::NoAnswer, Failure::new("undone without being asked to"), None),
    }
}
