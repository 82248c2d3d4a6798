//! One event as one line.

use super::{
    story::moment,
    text::{clean, clipped, value, who},
};
use crate::{
    event::{ADDS, Controller, Deadline, Doubt, Event, Kind, Opened, Outcome, Proof, Skipper},
    outcome::{Failure, Learned},
    plan::{EVIDENCE, StepIx},
    question::Choice,
    run::Run,
};
use serde_json::Value;

/// A controller that drives the run from here on.
fn joined(it: &Controller) -> String {
    let reason = it.why.as_deref().map_or(String::new(), |text| format!(", taking over: {}", clipped(text)));
    let glass = it.break_glass.as_ref();
    let glass =
        glass.map(|it| format!("; BREAK GLASS {}: {}", clean(&it.profile), clipped(&it.why))).unwrap_or_default();
    format!("controller {} joined (dr {}, epoch {}){reason}{glass}", clean(&it.host), clean(&it.version), it.epoch)
}

/// The event for people; `run` has taken it in.
pub(super) fn line(run: &Run, event: &Event) -> String {
    let id = |step: &StepIx| run.plan().steps.get(step.ix()).map_or("?", |step| step.id.as_str());
    let why = |why: &str| if why.is_empty() { String::new() } else { format!(": {}", clipped(why)) };
    let again = |attempt: &u32| if *attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
    match &event.kind {
        Kind::Opened(opened) => opened_line(opened),
        Kind::Joined(it) if it.why.as_deref() == Some(ADDS) => format!("{} joined {ADDS}", clean(&it.host)),
        Kind::Joined(it) => joined(it),
        Kind::Started { step, attempt } => format!("{} started{}", id(step), again(attempt)),
        Kind::Recorded { step, fact, .. } => {
            let verb = if fact.handle { "is with the provider" } else { "noted" };
            format!("{} {verb}: {} = {}", id(step), clean(&fact.name), value(&fact.value))
        }
        Kind::Succeeded { step, output, found, .. } => {
            let found = if *found { " already: found so, nothing was run" } else { "" };
            let point = output.recovery_point.as_ref();
            let point = point.map_or(String::new(), |p| format!("; data up to {} ({})", p.at, clean(&p.source)));
            format!("{} done{found}{point}", id(step))
        }
        Kind::AttemptFailed { step, attempt, error, retry_at } => {
            format!("{} attempt {attempt} failed: {}; again at {retry_at}", id(step), failure(error))
        }
        Kind::Failed { step, error, .. } => format!("{} FAILED: {}", id(step), failure(error)),
        Kind::InDoubt { step, doubt, error, .. } => {
            format!("{} IN DOUBT ({}): {}", id(step), doubt_word(*doubt), failure(error))
        }
        Kind::Skipped { step, by: Skipper::Condition, why: text } => format!("{} left out{}", id(step), why(text)),
        Kind::Skipped { step, by: Skipper::Person(by), why: text } => {
            format!("{} SKIPPED by {}{}", id(step), who(by), why(text))
        }
        Kind::Bypassed { step, by, why: text, proof, output } => {
            let proof = if *proof == Proof::Proven { "proven by its check" } else { "VOUCHED, not proven" };
            let shown = output.values.get(EVIDENCE).map_or(String::new(), shown);
            format!("{} done by hand by {}, {proof}{shown}{}", id(step), who(by), why(text))
        }
        Kind::Asked { step, question } => {
            format!("{} ASKS: {} [{}]", id(step), clipped(&question.text), clean(&question.choices.join(", ")))
        }
        Kind::Answered { step, by, choice, why: text } => {
            let set = match choice {
                Choice::Set { name, value: given } => format!(" {} = {}", clean(name), value(given)),
                Choice::Done { values } => values.get(EVIDENCE).map_or(String::new(), shown),
                _ => String::new(),
            };
            format!("{} answered by {}: {}{set}{}", id(step), who(by), choice.word(), why(text))
        }
        Kind::DeadlinePassed { which } => match which {
            Deadline::Rto => "the RTO has PASSED; work goes on".into(),
            Deadline::Rpo(step) => format!("{} lost more data than its RPO allows", id(step)),
            Deadline::Estimate(step) => format!("{} takes longer than nine of ten times", id(step)),
            Deadline::Question(step) => format!("the answer to {} is late", id(step)),
        },
        Kind::UndoAsked { steps, whole, by, why: text } => {
            let ids: Vec<_> = steps.iter().map(id).collect();
            let what = if *whole { "everything".into() } else { ids.join(", ") };
            format!("undo of {what} asked for by {}{}", who(by), why(text))
        }
        Kind::UndoStarted { step, attempt } => format!("{} undo started{}", id(step), again(attempt)),
        Kind::UndoDone { step, .. } => format!("{} undone", id(step)),
        Kind::UndoFailed { step, error, .. } => format!("{} UNDO FAILED: {}", id(step), failure(error)),
        Kind::Noted { by, text, help_wanted, learned } => {
            let verb = match learned {
                Some(Learned::Lesson) => "noted a lesson",
                Some(Learned::Action { .. }) => "noted an action",
                None if *help_wanted => "asks for HELP",
                None => "noted",
            };
            format!("{} {verb}: {}", who(by), clean(text))
        }
        Kind::Affected { by, text } => format!("{} says what is affected: {}", who(by), clean(text)),
        Kind::RoleSet { role, to, by, why: text } => {
            format!("{} is now {}, as {} says{}", clean(to), clean(role), who(by), why(text))
        }
        Kind::Worded { by, text, send } => {
            let verb = if *send { "sends the update now" } else { "words the next update" };
            format!("{} {verb}{}", who(by), why(text))
        }
        Kind::Told { item, audience, channel, .. } => {
            format!("{} for {}", telling(item, channel), audience.word())
        }
        Kind::Amended { step, inputs, by, why: text } => {
            let inputs: Vec<_> = inputs.iter().map(|(name, to)| format!("{} = {}", clean(name), value(to))).collect();
            format!("{} inputs changed by {}: {}{}", id(step), who(by), inputs.join(", "), why(text))
        }
        Kind::ClockSet { which, at, by, why: text } => {
            format!("{} set to {at} by {}{}", moment(*which), who(by), why(text))
        }
        Kind::Paused { by } => format!("paused by {}: nothing new starts", who(by)),
        Kind::Continued { by } => format!("continued by {}", who(by)),
        Kind::Reopened { by, why: text } => format!("reopened by {}{}", who(by), why(text)),
        Kind::CancelAsked { by } => format!("interrupted by {}: nothing new starts", who(by)),
        Kind::Finished { outcome } => format!("finished: {}", outcome_word(*outcome).replace('_', " ")),
    }
}

fn opened_line(opened: &Opened) -> String {
    let (plan, by) = (&opened.plan, who(&opened.by));
    let (kind, mode, steps) = (opened.kind.word(), plan.mode.word(), plan.steps.len());
    let steps = if steps == 1 { "1 step".into() } else { format!("{steps} steps") };
    format!("run of {} opened by {by}: {kind}, {mode}, {steps}", clean(&plan.name))
}

/// That something was told by a channel, or kept as a file where there was none.
pub fn telling(item: &str, channel: &str) -> String {
    let (item, channel) = (clean(item), clean(channel));
    match channel.strip_suffix("-file") {
        Some(channel) => format!("{item} kept as a file, not sent by {channel}"),
        None => format!("{item} told by {channel}"),
    }
}

/// A failure and the call it came from.
pub(super) fn failure(failure: &Failure) -> String {
    let causes = failure.causes.iter().map(|cause| clipped(cause));
    let text = std::iter::once(clipped(&failure.message)).chain(causes).collect::<Vec<_>>().join("; ");
    match failure.reference() {
        Some(reference) => format!("{text} ({})", clean(&reference)),
        None => text,
    }
}

/// The word for how a run ended.
pub(super) fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Recovered => "recovered",
        Outcome::RecoveredWithExceptions => "recovered_with_exceptions",
        Outcome::Unverified => "unverified",
        Outcome::Failed => "failed",
        Outcome::Stopped => "stopped",
        Outcome::Undone => "undone",
    }
}

fn doubt_word(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Lost => "the controller was lost",
        Doubt::Timeout => "its time was up",
        Doubt::NoAnswer => "no answer",
        Doubt::Unknown => "its check cannot tell",
    }
}

/// What was shown for work done by hand.
fn shown(evidence: &Value) -> String {
    format!(", shown: {}", value(evidence))
}
