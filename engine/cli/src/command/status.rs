//! `dr status`: one run, or all of them.

use super::Here;
use crate::{
    control,
    failure::{self, Failure},
    show, state,
};
use dr_comms::book::{self, Lane, Page};
use dr_engine::{
    clock::Time,
    duration::Dur,
    inbox::Inbox,
    journal::sqlite,
    message::Message,
    question,
    run::{Run, State},
};
use serde_json::{Value, json};
use std::path::Path;

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
    // While a controller lives it takes what is said at once.
    let unattended = holder.is_none() && run.finished.is_none();
    let waiting = if unattended { waiting(&folder, &run) } else { Vec::new() };
    if here.json {
        let mut status = as_json(&run, now, holder, &waiting);
        let page = book::read(&folder).ok().flatten();
        status["undelivered"] = page.map_or(Value::Null, |page| undelivered(&page));
        show::print(&format!("{status}\n"));
        return Ok(failure::DONE);
    }
    let mut lines = vec![show::lines::head(&run), dr_engine::report::headline(&run, now)];
    match holder {
        Some(holder) => lines.push(format!("held by {holder}")),
        None if unattended => lines.push(format!("NO CONTROLLER RUNS, nothing goes on: dr resume {id}")),
        None => {}
    }
    for message in &waiting {
        let said = show::lines::said(message);
        lines.push(format!("  {said}, waits for a controller: dr resume {id}"));
    }
    lines.extend(behind);
    lines.push(String::new());
    let says = show::says::read(&folder);
    let width = run.plan().steps.iter().map(|s| s.id.len()).max().unwrap_or(4).min(40);
    for (step, it) in run.steps() {
        let more = match &it.state {
            State::Asking { .. } if run.finished.is_none() => {
                let id = run.plan().step(step).id.as_str();
                let answered = waiting.iter().any(|message| message.ask.step() == Some(id));
                if answered { "  answered, see above".into() } else { "  see below".into() }
            }
            State::Asking { question, .. } => format!("  nobody answered: {}", question.text),
            State::Failed { error } if it.in_doubt() => {
                format!("  nobody knows what became of it: {}", error.message)
            }
            State::Failed { error } | State::Stuck { error } | State::InDoubt { error, .. } => {
                format!("  {}", show::lines::why(error))
            }
            State::Unneeded { because } => format!("  {because}"),
            State::Owed { error, next, said_by, .. } => {
                let again = match next {
                    _ if run.finished.is_some() => "nobody tries it again".into(),
                    _ if !run.may_begin(step) => "not tried again".into(),
                    _ if unattended => "nobody tries it while no controller runs".into(),
                    Some(at) => format!("tried again in {}", show::plan::brief(at.since(now).max(Dur(0)))),
                    None => "being tried just now".into(),
                };
                let who = said_by.join(" and ");
                format!(
                    "  NOT FENCED, {again}; {who} said that the old writer cannot write: {}",
                    show::lines::why(error)
                )
            }
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
            let whom = show::asked::asked(&run, step, now).unwrap_or_default();
            lines.extend([String::new(), format!("{whom}: {}", show::lines::in_full(question))]);
            let commands = question::commands(&run, step, question);
            lines.extend(commands.iter().map(|command| format!("    {command}")));
        }
    }
    for step in run.owed().filter(|_| run.finished.is_none()) {
        let fence = question::word(&run.plan().step(step).id);
        lines.extend([
            String::new(),
            format!("`{fence}` is tried each minute, and keeps the run open; to try it now, or to leave it so:"),
            format!("    dr answer {id} {fence} retry"),
            format!("    dr answer {id} {fence} skip --why TEXT --as NAME"),
        ]);
    }
    lines.extend(untold(&folder, now));
    let text = lines.join("\n") + "\n";
    show::print(&show::plain(&text));
    Ok(failure::DONE)
}

/// What has not arrived where it was sent.
fn untold(folder: &Path, now: Time) -> Vec<String> {
    let page = match book::read(folder) {
        Ok(page) => page.unwrap_or_default(),
        Err(error) => return vec![String::new(), format!("what was told to people cannot be read: {error}")],
    };
    let lanes = page.channels.iter().filter(|(_, lane)| lane.trouble.is_some() && !lane.waiting.is_empty());
    let line = |(name, lane): (&String, &Lane)| {
        let ids: Vec<_> = lane.waiting.iter().map(String::as_str).collect();
        let (tries, next) = (lane.attempts, show::plan::brief(lane.next.since(now).max(Dur(0))));
        let why = lane.trouble.as_deref().unwrap_or_default();
        format!("NOT TOLD by {name}: {} ({tries} tries, next in {next}): {why}", ids.join(", "))
    };
    let given_up = page.channels.iter().flat_map(|(name, lane)| {
        lane.not_brought.iter().map(move |(id, why)| format!("NOT TOLD by {name}, and given up: {id}: {why}"))
    });
    let told: Vec<_> = lanes.map(line).chain(given_up).collect();
    if told.is_empty() { told } else { std::iter::once(String::new()).chain(told).collect() }
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
            Ok((run, _)) if here.json => {
                let holder = holder();
                let unattended = holder.is_none() && run.finished.is_none();
                let waiting = if unattended { waiting(&folder, &run) } else { Vec::new() };
                as_json(&run, now, holder, &waiting).to_string()
            }
            Ok((run, _)) => {
                let headline = dr_engine::report::headline(&run, now);
                let unattended = run.finished.is_none() && holder().is_none();
                let waiting = if unattended { waiting(&folder, &run).len() } else { 0 };
                let said = if waiting == 0 { String::new() } else { format!(", said and not taken: {waiting}") };
                let unattended = if unattended { " · NO CONTROLLER RUNS" } else { "" };
                format!("{id}  {headline}{unattended}{said}")
            }
            Err(failure) => format!("{id}  cannot be read: {}", failure.message),
        };
        show::print(&format!("{line}\n"));
    }
    Ok(failure::DONE)
}

/// What waits for which channel.
fn undelivered(page: &Page) -> Value {
    let lane = |(name, lane): (&String, &Lane)| {
        let next = (lane.attempts > 0).then(|| lane.next.to_string());
        let given_up = lane.not_brought.iter().map(|(item, why)| json!({ "item": item, "why": why }));
        json!({ "channel": name, "items": lane.waiting, "attempts": lane.attempts, "next_try": next,
                "trouble": lane.trouble, "silent_since": lane.silent_since.map(|at| at.to_string()),
                "not_brought": given_up.collect::<Vec<_>>() })
    };
    let worth = |lane: &Lane| !lane.waiting.is_empty() || !lane.not_brought.is_empty();
    page.channels.iter().filter(|(_, it)| worth(it)).map(lane).collect()
}

/// What was said to a run that nobody drives: an inbox that cannot be read holds nothing for whoever looks.
fn waiting(folder: &Path, run: &Run) -> Vec<Message> {
    Inbox::of(folder).untaken(run).unwrap_or_default()
}

/// The status, who drives the run (null when nobody does), and what waits for that.
fn as_json(run: &Run, now: Time, holder: Option<String>, waiting: &[Message]) -> Value {
    let mut status = dr_engine::report::status(run, now);
    status["controller"] = holder.into();
    status["waiting"] = waiting
        .iter()
        .map(|message| json!({ "step": message.ask.step(), "said": show::lines::said(message) }))
        .collect();
    status
}
