//! What a template may name: the facts of an update, as people read them.
//!
//! The names are a promise to whoever wrote a template: none is taken away.
//! What nobody knows is `none`, which `{% if %}` takes for false.

use crate::update::{Decision, Doing, Line, Rag, Said, StoreFacts, Update, text::of_day};
use dr_engine::{clock::Time, duration::Dur, report::brief};
use serde_json::{Map, Value, json};

/// Of the timeline the most important lines, as `important`.
const IMPORTANT_MAX: usize = 10;

pub(super) fn of(update: &Update, run: &str, runbook: &str) -> Value {
    let at = |at: Time| of_day(at, update.made_at);
    let some = |moment: Option<Time>| moment.map(at);
    let span = |span: Option<Dur>| span.map(brief);
    let said = |it: &Said| json!({ "at": at(it.at), "by": it.by, "text": it.text });
    let line = |it: &Line| json!({ "at": at(it.at), "text": it.text });
    let store = |it: &StoreFacts| {
        let allowed = it.allowed.map(|allowed| allowed.to_string());
        json!({ "step": it.step, "lost": it.lost, "allowed": allowed, "verdict": it.verdict.replace('_', " ") })
    };
    let doing = |it: &Doing| json!({ "what": it.what, "owner": it.owner, "due": some(it.due) });
    let decision = |it: &Decision| {
        let (since, late) = (at(it.since), some(it.late_at));
        json!({ "what": it.what, "who": it.who, "since": since, "late": late, "commands": it.commands })
    };
    let role = |(role, name): &(String, String)| json!({ "role": role, "name": name });
    let way = |(name, address): &(String, String)| json!({ "name": name, "address": address });
    let clock = &update.clock;
    let usual = |max| {
        let parts = update.usual(max).into_iter();
        parts.map(|part| (part.title.to_lowercase().replace(' ', "_"), json!(part.lines))).collect::<Map<_, _>>()
    };
    let mut parts = usual(usize::MAX);
    parts.insert("important".into(), usual(IMPORTANT_MAX)["timeline"].clone());
    json!({
        "run": run,
        "runbook": runbook,
        "number": update.number,
        "made_at": at(update.made_at),
        "why": update.why,
        "from": update.regions.as_ref().map(|(from, _)| from),
        "to": update.regions.as_ref().map(|(_, to)| to),
        "headline": update.headline,
        "words": update.words.as_ref().map(said),
        "rag": update.rag.word(),
        "rag_before": update.rag_before.map(Rag::word),
        "rag_why": update.rag_why,
        "course": update.course.words(),
        "phase": update.phase,
        "done": update.done.0,
        "steps": update.done.1,
        "not_done": update.not_done,
        "roles": update.roles.iter().map(role).collect::<Vec<_>>(),
        "impact": update.impact.as_ref().map(said),
        "clock": {
            "incident": at(clock.incident_at),
            "incident_assumed": clock.incident_assumed,
            "declared": clock.declared.as_ref().map(|(moment, _)| at(*moment)),
            "declared_by": clock.declared.as_ref().and_then(|(_, by)| by.clone()),
            "elapsed": brief(clock.elapsed),
            "rto": clock.rto.map(|rto| rto.to_string()),
            "deadline": some(clock.deadline()),
            "back": some(clock.back_at),
            "forecast": some(clock.forecast.map(|(p50, ..)| p50)),
            "forecast_latest": some(clock.forecast.filter(|(.., later)| !later).map(|(_, p90, _)| p90)),
            "margin": span(clock.margin().filter(|margin| *margin >= Dur(0))),
            "late_by": span(clock.margin().filter(|margin| *margin < Dur(0)).map(|margin| Dur(-margin.0))),
        },
        "stores": update.stores.iter().map(store).collect::<Vec<_>>(),
        "since_last": update.since_last.iter().filter(|line| line.weight > 0).map(line).collect::<Vec<_>>(),
        "timeline": update.timeline.iter().map(line).collect::<Vec<_>>(),
        "doing": update.doing.iter().map(doing).collect::<Vec<_>>(),
        "decisions": update.decisions.iter().map(decision).collect::<Vec<_>>(),
        "help": update.help.iter().map(said).collect::<Vec<_>>(),
        "lead": update.lead.as_ref().map(|lead| {
            json!({ "asked": at(lead.asked_at), "said": lead.said.iter().map(said).collect::<Vec<_>>() })
        }),
        "risks": update.risks,
        "next": some(update.next_at),
        "over": update.over,
        "links": update.links.iter().map(way).collect::<Vec<_>>(),
        "parts": parts,
    })
}
