//! Whom a question is for, since when it is open, and who has agreed so far.

use super::plan::brief;
use dr_engine::{
    clock::Time,
    duration::Dur,
    event::Deadline,
    plan::StepIx,
    question::{About, Question},
    report::clean,
    run::{Run, State},
};

/// `for executive (Ada, Ben), asked 1m ago (Ada agrees, 1 of 2)`, if the step asks something.
pub fn asked(run: &Run, step: StepIx, now: Time) -> Option<String> {
    let State::Asking { question, approved_by, since } = &run.step(step).state else { return None };
    let people: Vec<_> = question.roles.iter().map(|name| role(run, name)).collect();
    let whom = if people.is_empty() { String::new() } else { format!("for {}, ", people.join(" or ")) };
    let late = if run.passed.contains(&Deadline::Question(step)) { ", LATE" } else { "" };
    let names: Vec<_> = approved_by.iter().map(super::lines::name).collect();
    let ago = now.since(*since).0.max(0);
    Some(format!("{whom}asked {} ago{late}{}", brief(Dur(ago - ago % 1_000)), agreed(question, &names)))
}

fn agreed(question: &Question, names: &[String]) -> String {
    let what = if matches!(question.about, About::Approval) { "agreed" } else { "said `impossible`" };
    match (names, question.count) {
        ([], count @ 2..) if matches!(question.about, About::Approval) => format!(" (0 of {count} {what})"),
        ([], _) => String::new(),
        (names, count) => format!(" ({} of {count} {what}: {})", names.len(), clean(&names.join(", "))),
    }
}

/// A role with the people who can speak for it.
fn role(run: &Run, name: &str) -> String {
    let role = run.plan().roles.get(name);
    // Whoever has it now may be a deputy, and whoever had it may not answer any more.
    let holder = run.holder(name);
    let deputies = role.into_iter().flat_map(|role| role.deputies.iter().map(String::as_str));
    let people: Vec<_> = holder.into_iter().chain(deputies.filter(|deputy| holder != Some(*deputy))).collect();
    if people.is_empty() { clean(name) } else { clean(&format!("{name} ({})", people.join(", "))) }
}
