//! What is said when a run leaves the screen: how it stands, every failure and
//! every open question once more, and where the report is. What scrolled away
//! in the night is read here.

use super::{lines, plain, plan::brief};
use crate::state;
use dr_engine::{
    clock::Time,
    event::Event,
    question,
    report::Report,
    run::{Run, State},
};
use std::fmt::Write;

/// The summary of a run with these events; `None` when they tell what cannot have happened.
pub fn summary(events: &[Event], now: Time) -> Option<String> {
    // The hash of the last event stands in the report, not here.
    let report = Report::of(events, "", now).ok()?;
    let run = state::fold(events).ok()?;
    let mut text = format!("{}\n", plain(&report.headline));
    failures(&mut text, &report);
    questions(&mut text, &run, now);
    let id = &run.opened.run;
    let so_far = if run.finished.is_some() { "the report" } else { "the report so far" };
    line(&mut text, &format!("{so_far}: dr report {id}"));
    Some(text)
}

/// Each step in which something went wrong: what, when, and what became of it.
fn failures(text: &mut String, report: &Report) {
    let failed: Vec<_> = report.story.steps.iter().filter(|step| !step.errors.is_empty()).collect();
    if failed.is_empty() {
        return;
    }
    let what = if failed.len() == 1 { "1 step".into() } else { format!("{} steps", failed.len()) };
    line(text, &format!("{what} in which something went wrong:"));
    for step in failed {
        line(text, &format!("  {}, now {}:", step.id, step.state.replace('_', " ")));
        for error in &step.errors {
            let clock = error.at.to_string();
            let clock = clock.get(11..19).unwrap_or_default();
            let word = error.word.replace('_', " ");
            line(text, &format!("    {clock} attempt {} {word}: {}", error.attempt, lines::why(&error.failure)));
        }
    }
}

/// Each open question with the commands that answer it.
fn questions(text: &mut String, run: &Run, now: Time) {
    let asked: Vec<_> = run
        .steps()
        .filter_map(|(step, it)| match &it.state {
            State::Asking { question, since, .. } if run.finished.is_none() => Some((step, question, since)),
            _ => None,
        })
        .collect();
    if asked.is_empty() {
        return;
    }
    let what = if asked.len() == 1 { "1 question is".into() } else { format!("{} questions are", asked.len()) };
    line(text, &format!("{what} open:"));
    for (step, question, since) in asked {
        let id = &run.plan().step(step).id;
        line(text, &format!("  {id}, asked {} ago: {}", brief(now.max(run.at).since(*since)), question.text));
        for command in question::commands(run, step, question) {
            line(text, &format!("    {command}"));
        }
    }
}

fn line(text: &mut String, what: &str) {
    writeln!(text, "{}", plain(what)).expect("a text takes all");
}
