//! `dr status`: one run, or all of them.

use super::Here;
use crate::{
    control,
    failure::{self, Failure},
    show, state,
};
use dr_engine::{
    clock::Time,
    journal::sqlite,
    run::{Run, State},
};
use serde_json::Value;

/// Shows a run; without one, all of them.
pub fn status(here: &Here, run: Option<&str>) -> Result<u8, Failure> {
    let Some(run) = run else { return all(here) };
    let id = here.state.find(run)?;
    let folder = here.state.folder(&id);
    let (run, _) = state::load(&folder)?;
    let now = control::clock().now();
    let behind = show::lines::behind(&run, now);
    // Nothing has gone on for a negative time, whatever the clock here says.
    let now = now.max(run.at);
    let holder = sqlite::holder(&folder)?.map(|holder| holder.text);
    if here.json {
        show::print(&format!("{}\n", as_json(&run, now, holder)));
        return Ok(failure::DONE);
    }
    let mut lines = vec![show::lines::head(&run), dr_engine::report::headline(&run, now)];
    let unattended = holder.is_none() && run.finished.is_none();
    match holder {
        Some(holder) => lines.push(format!("held by {holder}")),
        None if unattended => lines.push(format!("NO CONTROLLER RUNS, nothing goes on: dr resume {id}")),
        None => {}
    }
    lines.extend(behind);
    lines.push(String::new());
    let says = show::says::read(&folder);
    let width = run.plan().steps.iter().map(|s| s.id.len()).max().unwrap_or(4).min(40);
    for (step, it) in run.steps() {
        let more = match &it.state {
            State::Asking { .. } if run.finished.is_none() => "  see below".into(),
            State::Asking { question, .. } => format!("  nobody answered: {}", question.text),
            State::Failed { error } if it.in_doubt() => {
                format!("  nobody knows what became of it: {}", error.message)
            }
            State::Failed { error } | State::Stuck { error } | State::InDoubt { error, .. } => {
                format!("  {}", error.message)
            }
            State::Unneeded { because } => format!("  {because}"),
            // Nobody waits for it: what became of it is found out by whoever resumes.
            State::Running { .. } if unattended => "  when its controller ended".into(),
            State::Running { since } => {
                let says = says.get(&run.plan().step(step).id).map_or(String::new(), |says| format!(": {says}"));
                format!("  for {}{says}", show::plan::brief(now.since(*since)))
            }
            _ => String::new(),
        };
        lines.push(format!("  {:<width$}  {:<9}{more}", run.plan().step(step).id, it.state.word()).trim_end().into());
    }
    for (step, it) in run.steps() {
        if let State::Asking { question, .. } = &it.state
            && run.finished.is_none()
        {
            lines.push(String::new());
            lines.push(question.text.clone());
            let commands = dr_engine::question::commands(&run, step, question);
            lines.extend(commands.iter().map(|command| format!("    {command}")));
        }
    }
    let text = lines.join("\n") + "\n";
    show::print(&show::plain(&text));
    Ok(failure::DONE)
}

fn all(here: &Here) -> Result<u8, Failure> {
    let now = control::clock().now();
    let ids = here.state.ids()?;
    if ids.is_empty() {
        show::aside(&here.state.none());
    }
    for id in ids {
        let folder = here.state.folder(&id);
        let holder = || sqlite::holder(&folder).ok().flatten().map(|holder| holder.text);
        let line = match state::load(&folder) {
            Ok((run, _)) if here.json => as_json(&run, now, holder()).to_string(),
            Ok((run, _)) => {
                let headline = dr_engine::report::headline(&run, now);
                let unattended = run.finished.is_none() && holder().is_none();
                format!("{id}  {headline}{}", if unattended { " · NO CONTROLLER RUNS" } else { "" })
            }
            Err(failure) => format!("{id}  cannot be read: {}", failure.message),
        };
        show::print(&format!("{line}\n"));
    }
    Ok(failure::DONE)
}

/// The status, and who drives the run: null when nobody does.
fn as_json(run: &Run, now: Time, holder: Option<String>) -> Value {
    let mut status = dr_engine::report::status(run, now);
    status["controller"] = holder.into();
    status
}
