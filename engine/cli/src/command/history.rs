//! `dr history`: what past runs took, and what the next estimate should be.

use super::{Files, Here, bytes_max};
use crate::{
    args::History,
    control,
    failure::{self, Failure},
    show::{self, plan::brief},
    state,
};
use dr_engine::{
    clock::Time,
    event::RunKind,
    plan::build::Sources,
    report::{
        Report,
        history::{Measured, Past, measured},
    },
    yaml::{self, Limits, R},
};
use serde_json::json;
use std::{collections::BTreeMap, fmt::Write, path::Path};

/// Steps are shown up to here; `--json` has them all.
const STEPS_MAX: usize = 20;

/// Shows past runs, or proposes estimates from them.
pub fn history(here: &Here, args: &History) -> Result<u8, Failure> {
    let kind = args.kind.map(RunKind::from);
    let mut runs: BTreeMap<String, Vec<Past>> = BTreeMap::new();
    for past in pasts(here)? {
        if kind.is_none_or(|kind| kind == past.kind) {
            runs.entry(past.runbook.clone()).or_default().push(past);
        }
    }
    if let Some(path) = &args.estimates {
        show::print(&estimates(path, &runs, kind)?);
    } else if here.json {
        for (runbook, runs) in &runs {
            show::print(&format!("{}\n", as_json(runbook, runs)));
        }
    } else if runs.is_empty() {
        let of_kind = kind.map_or("", RunKind::word);
        let there = here.state.ids()?.len();
        if kind.is_some() && there > 0 {
            show::aside(&format!("no {of_kind} run is among the {there} that are here: leave out --kind"));
        } else {
            show::aside(&format!("{}: `dr execute RUNBOOK` makes the first", here.state.none()));
        }
    } else {
        let parts: Vec<_> = runs.iter().map(|(runbook, runs)| table(runbook, runs)).collect();
        show::print(&show::plain(&parts.join("\n")));
    }
    Ok(failure::DONE)
}

/// Every run that can be read, the oldest first; the others are named.
fn pasts(here: &Here) -> Result<Vec<Past>, Failure> {
    let now = control::clock().now();
    let past = |id: &String| {
        let report = state::history(&here.state.folder(id))
            .and_then(|read| Report::of(&read.events, "", now).map_err(|error| state::illegal(&error)));
        match report {
            Ok(report) => Some(Past::of(&report)),
            Err(failure) => {
                show::aside(&format!("left out: {id} cannot be read: {}", failure.message));
                None
            }
        }
    };
    Ok(here.state.ids()?.iter().filter_map(past).collect())
}

/// The runs whose times say something about a real recovery: a lab's databases come back in seconds.
fn telling(runs: &[Past], kind: Option<RunKind>) -> Vec<&Past> {
    runs.iter().filter(|past| kind.is_some() || past.kind != RunKind::Lab).collect()
}

fn table(runbook: &str, runs: &[Past]) -> String {
    let count = if runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs, the newest first", runs.len()) };
    let mut text = format!("{runbook} · {count}\n\n");
    let rows = runs.iter().rev().map(|past| {
        let (rto, rpo) = (&past.rto, &past.rpo);
        let time =
            |known: Option<_>, least: &str| known.map_or("unknown".into(), |time| format!("{least}{}", brief(time)));
        let limit = |limit: Option<_>| limit.map_or(String::new(), |limit| format!(" of {limit}"));
        let least = if rpo.worst.known().is_some() { "" } else { "≥ " };
        let worst = rpo.worst_store();
        [
            began(past.opened_at),
            past.kind.word().to_uppercase(),
            past.outcome.replace('_', " "),
            format!("{}{}", time(rto.actual.known(), ""), limit(rto.objective)),
            format!(
                "{}{}",
                time(worst.map(|(_, loss)| loss), least),
                limit(worst.and_then(|(store, _)| store.objective))
            ),
        ]
    });
    text.push_str(&columns(&["began (UTC)", "kind", "outcome", "RTO", "RPO at worst"], &rows.collect::<Vec<_>>()));
    let runs: Vec<_> = runs.iter().collect();
    let mut steps = measured(&runs);
    steps.retain(|step| !step.times.is_empty());
    if steps.is_empty() {
        return text + "\n  no time of a step was measured\n";
    }
    steps.sort_by_key(|step| std::cmp::Reverse(step.against_estimate()));
    let more = steps.len().saturating_sub(STEPS_MAX);
    let rows: Vec<_> = steps.iter().take(STEPS_MAX).map(row).collect();
    text.push_str("\n  slowest against their estimates first\n\n");
    text.push_str(&columns(&["step", "runs", "p50", "p90", "last", "trend", "estimate"], &rows));
    if more > 0 {
        writeln!(text, "  … and {more} more: dr history --json").expect("writing to a String");
    }
    text
}

fn row(step: &Measured) -> [String; 7] {
    let time = |time: Option<_>| time.map_or("unknown".into(), brief);
    let trend = match step.trend() {
        None => "too few runs".into(),
        Some(percent @ -10..=10) => format!("steady, {percent:+}%"),
        Some(percent @ 11..) => format!("slower, {percent:+}%"),
        Some(percent) => format!("faster, {percent:+}%"),
    };
    let planned = step.planned.map_or("none".into(), |it| format!("{}, {}", brief(it.p50), brief(it.p90)));
    [
        step.id.clone(),
        step.times.len().to_string(),
        time(step.percentile(50)),
        time(step.percentile(90)),
        time(step.times.last().copied()),
        trend,
        planned,
    ]
}

/// Columns that line up, two spaces apart.
fn columns<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let wide = |text: &str| text.chars().count();
    let width = |at: usize| rows.iter().map(|row| wide(&row[at])).chain([wide(head[at])]).max().unwrap_or(0);
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<_> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

fn began(at: Time) -> String {
    at.to_string().get(..16).unwrap_or_default().replace('T', " ")
}

fn as_json(runbook: &str, runs: &[Past]) -> serde_json::Value {
    let steps = measured(&runs.iter().collect::<Vec<_>>());
    let past = |past: &Past| {
        json!({
            "run": past.run, "kind": past.kind.word(), "opened_at": past.opened_at.to_string(), "outcome": past.outcome,
            "rto_actual_ms": past.rto.actual.known().map(|it| it.0), "rto_verdict": past.rto.verdict.word(),
            "rpo_worst_ms": past.rpo.worst.known().map(|it| it.0), "rpo_verdict": past.rpo.verdict.word(),
            "steps": past.steps.iter().map(|step| json!({ "id": step.id, "took_ms": step.took.map(|it| it.0) })).collect::<Vec<_>>(),
        })
    };
    let step = |step: &Measured| {
        json!({
            "id": step.id, "runs": step.times.len(), "times_ms": step.times.iter().map(|it| it.0).collect::<Vec<_>>(),
            "p50_ms": step.percentile(50).map(|it| it.0), "p90_ms": step.percentile(90).map(|it| it.0),
            "trend_percent": step.trend(), "against_estimate_percent": step.against_estimate(),
            "estimate": step.planned.map(|it| json!({ "p50_ms": it.p50.0, "p90_ms": it.p90.0 })),
        })
    };
    json!({
        "format": "dr-history", "version": 1, "runbook": runbook,
        "runs": runs.iter().map(past).collect::<Vec<_>>(),
        "steps": steps.iter().map(step).collect::<Vec<_>>(),
    })
}

/// The lines for a runbook: an estimate of each step and service of which
/// times are known, and the others by name.
fn estimates(path: &Path, runs: &BTreeMap<String, Vec<Past>>, kind: Option<RunKind>) -> Result<String, Failure> {
    let (shown, text) = Files.read(&path.display().to_string(), None).map_err(Failure::usage)?;
    let limits = Limits { bytes_max: bytes_max(), ..Limits::default() };
    let unread = |what: &str| Failure::usage(format!("{shown} {what}")).hint(format!("dr lint {shown}"));
    let doc =
        yaml::parse(&text, 0, &limits).map_err(|problem| unread(&format!("is no runbook: {}", problem.message)))?;
    let root = doc.root();
    let name = root.get("name").and_then(R::text).ok_or_else(|| unread("has no `name`"))?;
    let past = telling(runs.get(name).map_or(&[], Vec::as_slice), kind);
    let (Some(first), Some(last)) = (past.first(), past.last()) else {
        let hint = "runs in the lab say nothing about a real recovery; `--kind lab` takes them all the same";
        return Err(Failure::before(format!("no run of `{name}` is remembered here")).hint(hint));
    };
    let measured = measured(&past);
    let find = |id: &str| measured.iter().find(|step| step.id == id || step.id.starts_with(&format!("{id}[")));
    let count = if past.len() == 1 { "1 run".to_owned() } else { format!("{} runs", past.len()) };
    let mut text = format!("# from {count} of {name}, {} to {}\n", began(first.opened_at), began(last.opened_at));
    let mut unknown = Vec::new();
    for (part, keys) in
        [("steps", &[("estimate", "")][..]), ("services", &[("estimate", ""), ("healthy_estimate", "_healthy")])]
    {
        let ids = root.get(part).into_iter().flat_map(R::pairs).filter_map(|(key, _)| key.text());
        let mut head = Some(part);
        for id in ids {
            let mut own = Some(id);
            for (key, suffix) in keys {
                let Some(estimate) = find(&format!("{id}{suffix}")).and_then(proposal) else {
                    unknown.push(format!("{id}{suffix}"));
                    continue;
                };
                let heads = [head.take().map(|part| format!("{part}:\n")), own.take().map(|id| format!("  {id}:\n"))];
                text.extend(heads.into_iter().flatten());
                writeln!(text, "    {key}: {estimate}").expect("writing to a String");
            }
        }
    }
    if !unknown.is_empty() {
        writeln!(text, "# not measured: {}", unknown.join(", ")).expect("writing to a String");
    }
    Ok(text)
}

/// An estimate as a runbook writes it, with what it is made of; none without a measurement.
fn proposal(step: &Measured) -> Option<String> {
    let (p50, p90) = (round(step.percentile(50)?), round(step.percentile(90)?));
    let runs = step.times.len();
    let count = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    let now = step.planned.map_or("none".into(), |planned| format!("{}, {}", planned.p50, planned.p90));
    Some(format!("{{ p50: {p50}, p90: {p90} }}  # {count}; now {now}"))
}

/// Whole seconds, upward: an estimate is no stopwatch.
fn round(time: dr_engine::duration::Dur) -> dr_engine::duration::Dur {
    dr_engine::duration::Dur::seconds((time.0 + 999).div_euclid(1000).max(1))
}
