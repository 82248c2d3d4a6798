//! What was measured, what it is measured against, and what nobody knows.
//!
//! A length that is not known is never a zero: it is a [`Measure`] that says why.

use crate::{
    clock::Time,
    data_loss::DATA_LOSS,
    duration::Dur,
    event::Opened,
    outcome::RecoveryPoint,
    plan::{StepIx, VERIFY},
    question::APPROVED_BY,
    run::{Run, State},
    verify::HEALTHY_SINCE,
};

/// A length of time, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measure {
    /// It was measured.
    Known(Dur),
    /// It could not be measured.
    Unknown {
        /// What was in the way.
        why: String,
    },
    /// It was for people to say, and nobody did.
    NotRecorded,
}

impl Measure {
    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// The length, if it is known.
    pub fn known(&self) -> Option<Dur> {
        if let Self::Known(dur) = self { Some(*dur) } else { None }
    }

    /// Why there is no length.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Known(_) => None,
            Self::Unknown { why } => Some(why),
            Self::NotRecorded => Some("not recorded"),
        }
    }
}

/// Whether an objective was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// What it is about could not be measured; never a pass.
    Unknown,
    /// There is none.
    NoObjective,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Unknown => "unknown",
            Self::NoObjective => "no_objective",
        }
    }

    fn of(actual: &Measure, objective: Option<Dur>) -> Self {
        match (actual.known(), objective) {
            (_, None) => Self::NoObjective,
            (None, Some(_)) => Self::Unknown,
            (Some(actual), Some(objective)) if actual <= objective => Self::Met,
            (Some(_), Some(_)) => Self::Missed,
        }
    }
}

/// The time the business was down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rto {
    /// At most this long.
    pub objective: Option<Dur>,
    /// From the incident until service was back for good.
    pub actual: Measure,
    /// The comparison of the two.
    pub verdict: Verdict,
    /// When service was back, if `verify` saw it.
    pub healthy_since: Option<Time>,
}

/// The data that one store lost, counted in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// The step that brought the store back.
    pub step: String,
    /// Up to when its data is there.
    pub recovery_point: Option<RecoveryPoint>,
    /// From there to the incident; zero when the point is later than the incident.
    pub loss: Measure,
    /// What no RPO counts, of a store that took over from a writer: from the incident, or from
    /// the recovery point where that is later, until the old writer was fenced. At most so much is lost too.
    pub late: Option<Measure>,
    /// How long two could write: from when this one did until the old writer was fenced. None where it was before.
    pub two_writers: Option<Measure>,
    /// Who took the loss on.
    pub acknowledged_by: Vec<String>,
    /// At most this much.
    pub objective: Option<Dur>,
    /// The comparison of the two.
    pub verdict: Verdict,
}

/// The data that was lost, counted in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Rpo {
    /// Store by store, in the order of the plan.
    pub stores: Vec<Store>,
    /// Of all of them; unknown when it is unknown of one.
    pub worst: Measure,
    /// The largest loss that is known, as a place in `stores`.
    pub worst_known: Option<usize>,
    /// Missed when one is missed, met when all are met.
    pub verdict: Verdict,
}

impl Rpo {
    /// The store that lost most, of those of which it is known.
    pub fn worst_store(&self) -> Option<(&Store, Dur)> {
        let store = &self.stores[self.worst_known?];
        store.loss.known().map(|loss| (store, loss))
    }
}

/// The time the business was down, by a run that stands where it stood when
/// the recovery ended, and by the clocks as people have corrected them since.
pub(super) fn rto(run: &Run, clocks: &Opened, now: Time) -> Rto {
    let objective = run.plan().objectives.rto;
    let healthy = healthy_since(run);
    let actual = match &healthy {
        Ok(since) if *since < clocks.incident_at => Measure::unknown(format!(
            "service was healthy from {since}, before the incident: one of the clocks is wrong"
        )),
        Ok(since) => Measure::Known(since.since(clocks.incident_at)),
        Err(why) => Measure::unknown(why.clone()),
    };
    let hold = run.plan().objectives.hold.unwrap_or_default();
    let hopeless = |rto: Dur| now > clocks.incident_at.after(rto).after(hold);
    let verdict = match Verdict::of(&actual, objective) {
        // A stretch that began in time would have lasted long enough by now.
        Verdict::Unknown if run.finished.is_none() && healthy.is_err() && objective.is_some_and(hopeless) => {
            Verdict::Missed
        }
        verdict => verdict,
    };
    Rto { objective, actual, verdict, healthy_since: healthy.ok() }
}

/// When service was back for good, or why that is not known.
fn healthy_since(run: &Run) -> Result<Time, String> {
    let verify = run.plan().find(VERIFY).ok_or("the runbook has no `verify`")?;
    let it = run.step(verify);
    let why = match &it.state {
        State::Done => {
            let since = it.output.values.get(HEALTHY_SINCE).and_then(serde_json::Value::as_i64).map(Time);
            return match since.filter(|since| *since <= run.at) {
                Some(since) => Ok(since),
                None => Err("`verify` did not say since when service is healthy".into()),
            };
        }
        state if *state == State::Undone || state.being_undone() => "what was verified was taken back",
        State::Bypassed { .. } => "a person said so in place of `verify`: nothing measured since when",
        State::Skipped { by_person: true } => "`verify` was skipped by a person",
        State::Skipped { by_person: false } => "`verify` was left out by its condition",
        State::Failed { .. } => "`verify` failed",
        State::Unneeded { .. } => "the run ended before `verify` could begin",
        _ if run.finished.is_some() => "the run ended without `verify`",
        _ => "`verify` has not succeeded yet",
    };
    Err(why.into())
}

/// The data that was lost; `run` and `clocks` as for [`rto`].
pub(super) fn rpo(run: &Run, clocks: &Opened) -> Rpo {
    let stores: Vec<_> = run.plan().places().filter_map(|step| store(run, step, clocks)).collect();
    let known = |(at, store): (usize, &Store)| store.loss.known().map(|loss| (loss, std::cmp::Reverse(at)));
    let worst_known = stores.iter().enumerate().filter_map(known).max();
    let unknown: Vec<_> = stores.iter().filter(|s| s.loss.known().is_none()).map(|s| format!("`{}`", s.step)).collect();
    let worst = match worst_known {
        _ if !unknown.is_empty() => Measure::unknown(format!("it is unknown of {}", unknown.join(", "))),
        Some((loss, _)) => Measure::Known(loss),
        None => Measure::unknown("no step of this plan brought data back"),
    };
    let any = |verdict| stores.iter().any(|s| s.verdict == verdict);
    let verdict = match () {
        () if any(Verdict::Missed) => Verdict::Missed,
        () if any(Verdict::Unknown) => Verdict::Unknown,
        () if any(Verdict::Met) => Verdict::Met,
        () if run.plan().objectives.rpo.is_some() => Verdict::Unknown,
        () => Verdict::NoObjective,
    };
    Rpo { worst_known: worst_known.map(|(_, at)| at.0), stores, worst, verdict }
}

/// What a step did for a store, if it is one that brings data back: it has a
/// recovery point, an objective of its own, or changes something in the phase
/// `datastores`.
fn store(run: &Run, step: StepIx, clocks: &Opened) -> Option<Store> {
    let (plan, it) = (run.plan().step(step), run.step(step));
    let point = it.output.recovery_point.clone();
    let expected = plan.rpo.is_some() || (plan.phase.as_deref() == Some("datastores") && plan.changes);
    let left_out = matches!(it.state, State::Skipped { by_person: false });
    // A fence brings nothing back, whatever phase it is shown under.
    if plan.gates.is_some() || plan.fences || left_out || (point.is_none() && !expected) {
        return None;
    }
    let loss = match (&point, &it.state) {
        (_, state) if *state == State::Undone || state.being_undone() => Measure::unknown("it was taken back"),
        (Some(point), _) => Measure::Known(clocks.incident_at.since(point.at).max(Dur(0))),
        (None, State::Done | State::Bypassed { .. }) => Measure::unknown("done, and no recovery point was told"),
        (None, State::Skipped { .. }) => Measure::unknown("skipped by a person"),
        (None, State::Unneeded { .. }) => Measure::unknown("the run ended before it could begin"),
        (None, state) => Measure::unknown(format!("the step is {}", state.word().replace('_', " "))),
    };
    let objective = plan.rpo.or(run.plan().objectives.rpo);
    let verdict = Verdict::of(&loss, objective);
    let took_over = !plan.fenced_by.is_empty() && matches!(it.state, State::Done | State::Bypassed { .. });
    let late = took_over.then(|| match run.fenced_at(step) {
        Some(fenced) => {
            let from = point.as_ref().map_or(clocks.incident_at, |point| point.at.max(clocks.incident_at));
            Measure::Known(fenced.since(from).max(Dur(0)))
        }
        None => Measure::unknown("its old writer was not proven to be fenced"),
    });
    let two_writers = it.done_at.filter(|_| took_over).and_then(|done| match run.fenced_at(step) {
        Some(fenced) => (fenced > done).then(|| Measure::Known(fenced.since(done))),
        None => Some(Measure::unknown(format!("since {done}, and the old writer is not fenced"))),
    });
    let acknowledged_by = run.gates(step).filter(|gate| run.plan().step(*gate).kind == DATA_LOSS);
    let acknowledged_by = acknowledged_by.flat_map(|gate| names(&run.step(gate).output.values)).collect();
    let step = plan.id.clone();
    Some(Store { step, recovery_point: point, loss, late, two_writers, acknowledged_by, objective, verdict })
}

/// Who approved, as a gate keeps it.
fn names(output: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    let names = output.get(APPROVED_BY).and_then(serde_json::Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str()).map(ToOwned::to_owned).collect()
}
