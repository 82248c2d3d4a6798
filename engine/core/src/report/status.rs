//! Where a run stands: a line for people, an object for machines, and when it
//! will be over.

use super::{
    json, measure,
    measure::{Rpo, Rto},
    progress, story,
    text::{beside, brief, clean, identity, stamp},
    timeline::outcome_word,
};
use crate::{
    clock::Time,
    duration::Dur,
    event::{Opened, Outcome, RunKind},
    plan::{Estimate, PlanStep, VERIFY},
    run::{Run, State, StepRun},
    when,
};
use serde_json::{Map, Value, json};

/// How a run ended, or where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    /// Something goes on.
    Running,
    /// Nothing goes on without a person.
    Held,
    /// All is done but a fence, which is tried again and again.
    Unfenced,
    /// Somebody paused it.
    Paused,
    /// Nothing goes on, and nobody knows what became of a step.
    InDoubt,
    /// The controller was told to leave.
    Interrupted,
    /// It is being taken back.
    Undoing,
    /// It is over.
    Over(Outcome),
}

impl Present {
    /// Where a run stands.
    pub fn of(run: &Run) -> Self {
        let any = |wanted: fn(&State) -> bool| run.open.iter().any(|step| wanted(&run.step(*step).state));
        let alive = any(|s| matches!(s, State::Running { .. } | State::Backoff { .. }));
        let doubt = any(|s| matches!(s, State::InDoubt { .. }));
        match run.finished {
            Some(outcome) => Self::Over(outcome),
            None if run.leaving && (alive || doubt) => Self::InDoubt,
            None if run.leaving => Self::Interrupted,
            None if run.paused => Self::Paused,
            None if any(|s| matches!(s, State::Undoing { .. })) => Self::Undoing,
            None if !alive && any(State::being_undone) => Self::Held,
            None if alive => Self::Running,
            None if doubt => Self::InDoubt,
            None if run.stopping.is_none() && run.ready.is_empty() && !run.open.is_empty() => {
                if run.open.iter().all(|step| run.is_owed(*step)) { Self::Unfenced } else { Self::Held }
            }
            None => Self::Running,
        }
    }

    /// The word for it, as `--json` uses it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Held => "held",
            Self::Unfenced => "not_fenced",
            Self::Paused => "paused",
            Self::InDoubt => "in_doubt",
            Self::Interrupted => "interrupted",
            Self::Undoing => "undoing",
            Self::Over(outcome) => outcome_word(outcome),
        }
    }

    /// Nothing more happens by itself.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Over(_))
    }

    /// The word for it, as people meet it first.
    pub fn shout(self) -> &'static str {
        match self {
            Self::Running => "RECOVERING",
            Self::Held => "HELD",
            Self::Unfenced => "NOT FENCED",
            Self::Paused => "PAUSED",
            Self::InDoubt => "IN DOUBT",
            Self::Interrupted => "INTERRUPTED",
            Self::Undoing => "UNDOING",
            Self::Over(Outcome::Recovered) => "RECOVERED",
            Self::Over(Outcome::RecoveredWithExceptions) => "RECOVERED WITH EXCEPTIONS",
            Self::Over(Outcome::Unverified) => "UNVERIFIED",
            Self::Over(Outcome::Failed) => "FAILED",
            Self::Over(Outcome::Stopped) => "STOPPED",
            Self::Over(Outcome::Undone) => "UNDONE",
        }
    }
}

/// When service will be back, by the estimates of what is left on the longest path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// Half of the times no later.
    pub p50: Time,
    /// Nine times of ten no later.
    pub p90: Time,
    /// It will be later: a step has no estimate, or a person has to answer.
    pub at_least: bool,
}

/// When service will be back. Of `verify` nothing is counted: its estimate is
/// the stretch that service has to stay good, which is no part of the RTO.
/// `None` when the run is over, stops or is taken back.
pub fn forecast(run: &Run, now: Time) -> Option<Forecast> {
    if run.finished.is_some() || run.stopping.is_some() {
        return None;
    }
    let mut at_least = run.paused || run.leaving;
    let mut ends: Vec<[i64; 2]> = Vec::with_capacity(run.plan().steps.len());
    let goal = run.plan().find(VERIFY);
    let leads_to_goal = needed_by(run, goal);
    let left_out = when::left_out(run.plan());
    for (step, it) in run.steps() {
        let plan = run.plan().step(step);
        let skipped = left_out[step.ix()] && it.state == State::Waiting;
        let left =
            if run.satisfied(step) || goal == Some(step) || skipped { Some([0, 0]) } else { left(plan, it, now) };
        let asks = matches!(it.state, State::Asking { .. } | State::Failed { .. }) && !run.at_rest(step);
        at_least |= leads_to_goal[step.ix()] && (asks || left.is_none());
        let left = left.unwrap_or_default();
        let before = |at: usize| plan.needs.iter().map(|need| ends[need.ix()][at]).max().unwrap_or_default();
        ends.push([before(0).saturating_add(left[0]), before(1).saturating_add(left[1])]);
    }
    let end = |at: usize| match goal {
        Some(goal) => ends[goal.ix()][at],
        None => ends.iter().map(|end| end[at]).max().unwrap_or_default(),
    };
    Some(Forecast { p50: now.after(Dur(end(0))), p90: now.after(Dur(end(1))), at_least })
}

/// What is left of a step's estimate, if it has one.
fn left(plan: &PlanStep, it: &StepRun, now: Time) -> Option<[i64; 2]> {
    let Estimate { p50, p90 } = match plan.estimate {
        Some(estimate) => estimate,
        // Nothing is left to do once the answer is there.
        None if plan.gates.is_some() => Estimate { p50: Dur(0), p90: Dur(0) },
        None => return None,
    };
    let spent = match it.state {
        State::Running { since } => now.since(since).0,
        State::Backoff { until } => -until.since(now).0.max(0),
        _ => 0,
    };
    Some([(p50.0 - spent).max(0), (p90.0 - spent).max(0)])
}

/// Which steps stand before the goal; all, when there is none.
fn needed_by(run: &Run, goal: Option<crate::plan::StepIx>) -> Vec<bool> {
    let mut needed = vec![goal.is_none(); run.plan().steps.len()];
    if let Some(goal) = goal {
        needed[goal.ix()] = true;
    }
    for step in run.plan().places().rev() {
        if needed[step.ix()] {
            run.plan().step(step).needs.iter().for_each(|need| needed[need.ix()] = true);
        }
    }
    needed
}

/// A run that is over, at a glance; or how far it is, and for whom it waits:
/// `RECOVERING region-failover · 41m of 2h · 7/12 done · waiting for: approve_dns (asked 6m ago)`.
pub fn headline(run: &Run, now: Time) -> String {
    let now = now.max(run.at);
    let present = Present::of(run);
    let rto = measure::rto(run, &run.opened, now);
    let unfenced = not_fenced(run);
    if present.is_over() {
        let over = over(&run.opened, present, &rto, &measure::rpo(run, &run.opened));
        return std::iter::once(over).chain(unfenced).collect::<Vec<_>>().join(" · ");
    }
    let glance = glance(run, now);
    let done = format!("{}/{} done", glance.done, glance.of);
    let mut parts = vec![head(&run.opened, present), glance.clock, done];
    let asked: Vec<_> = asking(run)
        .map(|(id, it)| match &it.state {
            State::Asking { since, .. } => format!("{id} (asked {} ago)", brief(now.since(*since))),
            _ => id.into(),
        })
        .collect();
    if !asked.is_empty() {
        parts.push(format!("waiting for: {}", asked.join(", ")));
    }
    parts.extend(unfenced);
    parts.join(" · ")
}

/// The fences that are owed, or were left so, as every screen shows them.
pub fn not_fenced(run: &Run) -> Option<String> {
    let ids: Vec<_> = run.unfenced().map(|step| clean(&run.plan().step(step).id)).collect();
    (!ids.is_empty()).then(|| format!("NOT FENCED: {}", ids.join(", ")))
}

/// How far a run is, in the parts that a screen sets for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glance {
    /// Where it stands.
    pub present: Present,
    /// The time so far against the objective, as `41m of 2h`; or the RTO, once service is back.
    pub clock: String,
    /// Service is back, for as long as it has to stay.
    pub back: bool,
    /// So many steps are out of the way.
    pub done: usize,
    /// Of so many.
    pub of: usize,
}

/// How far a run is.
pub fn glance(run: &Run, now: Time) -> Glance {
    let now = now.max(run.at);
    let rto = measure::rto(run, &run.opened, now);
    let back = rto.actual.known().is_some();
    let clock = if back { format!("service back, {}", self::back(&rto)) } else { clock(run, now) };
    let (done, of) = progress(run);
    Glance { present: Present::of(run), clock, back, done, of }
}

/// A run that is over.
pub(super) fn over(opened: &Opened, present: Present, rto: &Rto, rpo: &Rpo) -> String {
    [head(opened, present), back(rto), lost(rpo)].join(" · ")
}

/// The state and the name; a rehearsal says so first.
fn head(opened: &Opened, present: Present) -> String {
    let what = format!("{} {}", present.shout(), clean(&opened.plan.name));
    if opened.kind == RunKind::Live { what } else { format!("{} · {what}", opened.kind.word().to_uppercase()) }
}

/// The time so far, against the objective.
fn clock(run: &Run, now: Time) -> String {
    let spent = now.since(run.opened.incident_at).max(Dur(0));
    let rto = run.plan().objectives.rto;
    let assumed = if run.opened.incident_assumed { " (incident time assumed)" } else { "" };
    format!("{}{}{assumed}", beside(spent, rto), of(rto))
}

fn of(objective: Option<Dur>) -> String {
    objective.map_or(String::new(), |objective| format!(" of {objective}"))
}

/// The RTO at a glance.
fn back(rto: &Rto) -> String {
    match rto.actual.known() {
        Some(actual) => format!("RTO {}{}", beside(actual, rto.objective), of(rto.objective)),
        None => format!("RTO unknown{}", of(rto.objective)),
    }
}

/// The RPO at a glance.
fn lost(rpo: &Rpo) -> String {
    match rpo.worst_store() {
        Some((store, loss)) => {
            let least = if rpo.worst.known().is_some() { "worst" } else { "unknown, at least" };
            format!("RPO {least} {} ({}){}", beside(loss, store.objective), store.step, of(store.objective))
        }
        None if rpo.stores.is_empty() => "no data brought back".into(),
        None => "RPO unknown".into(),
    }
}

fn asking(run: &Run) -> impl Iterator<Item = (&str, &StepRun)> {
    let open = run.open.iter().map(|step| (run.plan().step(*step).id.as_str(), run.step(*step)));
    open.filter(|(_, it)| matches!(it.state, State::Asking { .. }))
}

/// Where a run stands, for machines.
pub fn status(run: &Run, now: Time) -> Value {
    let now = now.max(run.at);
    let (rto, rpo) = (measure::rto(run, &run.opened, now), measure::rpo(run, &run.opened));
    let (done, all) = progress(run);
    let steps: Map<_, _> =
        run.steps().map(|(step, it)| (run.plan().step(step).id.clone(), it.state.word().into())).collect();
    let questions: Vec<_> = asking(run)
        .filter(|_| run.finished.is_none())
        .filter_map(|(id, it)| match &it.state {
            State::Asking { question, approved_by, since } => Some(json!({
                "step": id,
                "about": story::about(&question.about),
                "text": clean(&question.text),
                "choices": question.choices,
                "roles": question.roles,
                "count": question.count,
                "approved_by": approved_by.iter().map(|p| p.name.clone().unwrap_or_else(|| identity(p))).collect::<Vec<_>>(),
                "asked_at": stamp(*since),
                "late_at": question.late_at.map(stamp),
            })),
            _ => None,
        })
        .collect();
    json!({
        "run": run.opened.run,
        "runbook": run.plan().name,
        "kind": run.opened.kind.word(),
        "outcome": Present::of(run).word(),
        "headline": headline(run, now),
        "now": stamp(now),
        "incident_at": stamp(run.opened.incident_at),
        "incident_assumed": run.opened.incident_assumed,
        "opened_at": stamp(run.opened_at),
        "not_fenced": run.unfenced().map(|step| run.plan().step(step).id.as_str()).collect::<Vec<_>>(),
        "elapsed_ms": now.since(run.opened.incident_at).0,
        "rto": json::rto(&rto),
        "rpo": json::rpo(&rpo),
        "forecast": json::forecast(forecast(run, now)),
        "done": done,
        "of": all,
        "steps": steps,
        "questions": questions,
    })
}
