//! Events as lines, for tables.

use super::script::BEGIN;
use dr_engine::{
    clock::Time,
    event::{Deadline, Doubt, Kind, Moment, Person, Proof, Skipper},
    outcome::Output,
    plan::{Plan, StepIx},
    question::{About, Choice, Question},
    run::Run,
};

/// Minutes and seconds since the beginning.
pub fn time(at: Time) -> String {
    let ms = at.since(BEGIN).0;
    let (sign, ms) = if ms < 0 { ("-", -ms) } else { ("", ms) };
    let text = format!("{sign}{:02}:{:02}", ms / 60_000, ms / 1000 % 60);
    if ms % 1000 == 0 { text } else { format!("{text}.{:03}", ms % 1000) }
}

fn who(by: &Person) -> &str {
    by.name.as_deref().unwrap_or(&by.user)
}

fn output(output: &Output) -> String {
    let values = output.values.iter().map(|(name, value)| format!("{name}={value}"));
    let point = output.recovery_point.as_ref().map(|point| format!("data up to {}", time(point.at)));
    let all: Vec<_> = values.chain(point).collect();
    if all.is_empty() { String::new() } else { format!(" {{{}}}", all.join(", ")) }
}

fn number(attempt: u32) -> String {
    if attempt == 1 { String::new() } else { format!(" #{attempt}") }
}

/// What a question is about, in a word.
fn about(question: &Question) -> &'static str {
    match question.about {
        About::Failure(_) => "failure",
        About::Doubt(_) => "doubt",
        About::Slow(_) => "slow",
        About::Missing(_) => "missing",
        About::Approval => "approval",
        About::Work => "work",
        About::Undo(_) => "undo",
    }
}

fn question(id: &str, question: &Question) -> String {
    let about = match &question.about {
        About::Failure(error) => format!("held: {id} failed: {}", error.message),
        About::Doubt(error) => format!("asked: {id} is in doubt: {}", error.message),
        About::Slow(_) => format!("asked: {id} is slow"),
        About::Missing(what) => format!("asked: {id} misses {}", what.join("; ")),
        About::Approval => format!("asked: {id} wants {} approvals", question.count),
        About::Work => format!("asked: {id} is to be done by hand"),
        About::Undo(error) => format!("asked: {id} cannot be undone: {}", error.message),
    };
    format!("{about} ({})", question.choices.join(", "))
}

/// One event.
pub fn event(plan: &Plan, kind: &Kind) -> String {
    let id = |step: &StepIx| plan.step(*step).id.clone();
    match kind {
        Kind::Opened(_) => "opened".into(),
        Kind::Joined(controller) => format!("joined {}", controller.epoch),
        Kind::Started { step, attempt } => format!("{} started{}", id(step), number(*attempt)),
        Kind::Recorded { step, fact, .. } => format!("{} wrote {}", id(step), fact.name),
        Kind::Succeeded { step, output: o, found: false, .. } => format!("{} done{}", id(step), output(o)),
        Kind::Succeeded { step, output: o, found: true, .. } => format!("{} found done{}", id(step), output(o)),
        Kind::AttemptFailed { step, error, retry_at, .. } => {
            format!("{} failed: {}, again at {}", id(step), error.message, time(*retry_at))
        }
        Kind::Failed { step, error, .. } => format!("{} failed: {}", id(step), error.message),
        Kind::InDoubt { step, doubt, error, look_at, .. } => {
            let doubt = match doubt {
                Doubt::Lost => "lost",
                Doubt::Timeout => "timeout",
                Doubt::NoAnswer => "no answer",
                Doubt::Unknown => "unknown",
            };
            let next = look_at.map_or("nobody can tell".into(), |at| format!("look at {}", time(at)));
            format!("{} in doubt ({doubt}: {}), {next}", id(step), error.message)
        }
        Kind::Skipped { step, by: Skipper::Condition, why } => format!("{} skipped: {why}", id(step)),
        Kind::Skipped { step, by: Skipper::Person(by), .. } => format!("{}: skip {}", who(by), id(step)),
        Kind::Bypassed { step, by, output: o, proof, .. } => {
            let proof = if *proof == Proof::Proven { "proven" } else { "vouched" };
            format!("{}: {} done by hand, {proof}{}", who(by), id(step), output(o))
        }
        Kind::Asked { step, question: q } => question(&id(step), q),
        Kind::Answered { step, by, choice, .. } => {
            let more = match choice {
                Choice::Set { name, value } => format!(" {name}={value}"),
                Choice::Done { values } if !values.is_empty() => format!(" {}", serde_json::json!(values)),
                _ => String::new(),
            };
            format!("{}: {} {}{more}", who(by), choice.word(), id(step))
        }
        Kind::DeadlinePassed { which } => match which {
            Deadline::Rto => "late: rto".into(),
            Deadline::Rpo(step) => format!("too much lost: {}", id(step)),
            Deadline::Estimate(step) => format!("late: {}", id(step)),
            Deadline::Question(step) => format!("late: answer to {}", id(step)),
        },
        Kind::UndoAsked { steps, by, .. } => {
            format!("{}: undo {}", who(by), steps.iter().map(id).collect::<Vec<_>>().join(" "))
        }
        Kind::UndoStarted { step, attempt } => format!("{} undo started{}", id(step), number(*attempt)),
        Kind::UndoDone { step, .. } => format!("{} undone", id(step)),
        Kind::UndoFailed { step, error, .. } => format!("{} not undone: {}", id(step), error.message),
        Kind::Affected { by, text } => format!("{}: impact {text}", who(by)),
        Kind::RoleSet { role, to, by, .. } => format!("{}: {role} is {to}", who(by)),
        Kind::Worded { by, text, send } => format!("{}: words {text:?}, send {send}", who(by)),
        Kind::Told { item, channel, .. } => format!("told {item} by {channel}"),
        Kind::Noted { by, text, .. } => format!("{}: note {text}", who(by)),
        Kind::Amended { step, inputs, by, .. } => {
            format!("{}: amend {} {}", who(by), id(step), serde_json::json!(inputs))
        }
        Kind::ClockSet { which, at, by, .. } => {
            let which = match which {
                Moment::Incident => "incident",
                Moment::Detected => "detected",
                Moment::Declared => "declared",
            };
            format!("{}: {which} at {}", who(by), time(*at))
        }
        Kind::Paused { by } => format!("{}: pause", who(by)),
        Kind::Continued { by } => format!("{}: continue", who(by)),
        Kind::Reopened { by, .. } => format!("{}: reopen", who(by)),
        Kind::CancelAsked { by } => format!("{}: cancel", who(by)),
        Kind::Finished { outcome } => format!("finished: {}", word(outcome)),
    }
}

/// The word for a plain enum, as it is written.
pub fn word(of: &impl serde::Serialize) -> String {
    serde_json::to_value(of).expect("it is JSON").as_str().expect("it is a word").to_owned()
}

/// Every step that is not done, with its state.
pub fn states(run: &Run) -> String {
    let not_done = run.steps().filter(|(_, it)| it.state.word() != "done");
    let all: Vec<_> = not_done.map(|(step, it)| format!("{} {}", run.plan().step(step).id, it.state.word())).collect();
    if all.is_empty() { "all done".into() } else { all.join(", ") }
}
