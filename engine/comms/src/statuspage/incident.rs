//! An incident as Statuspage tells it, and how a run knows its own: by its metadata.

use dr_engine::comms::State;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The metadata that is ours. "All top-level values in the object must also be objects" (Statuspage API).
const OURS: &str = "dr";
const RUN: &str = "run";
const STATE: &str = "state";

/// An incident.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: String,
    /// How far it is.
    #[serde(default)]
    status: String,
    /// Where people read it.
    #[serde(default)]
    pub shortlink: Option<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default, rename = "incident_updates")]
    updates: Vec<Named>,
    #[serde(default)]
    components: Vec<Named>,
}

/// What is known by its id.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Named {
    id: String,
}

/// Who says something on a page, and what: the same when it is said again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark<'a> {
    /// The run.
    pub run: &'a str,
    /// Who: a step, or the updates that are made by themselves.
    pub who: &'a str,
    /// What: its name, or what it amounts to.
    pub what: &'a str,
}

impl Incident {
    /// Whether it is that of a run.
    pub fn is_of(&self, run: &str) -> bool {
        self.ours(RUN) == Some(run)
    }

    /// What somebody said last on it.
    pub fn said_by(&self, who: &str) -> Option<&str> {
        self.ours(who)
    }

    /// How far it is, in the words of an incident that was not planned.
    pub fn state(&self) -> Option<State> {
        // A story of what happened is written when it is over.
        if self.status == "postmortem" { Some(State::Resolved) } else { State::named(&self.status) }
    }

    /// How far the updates that are made by themselves said last that it is.
    pub fn announced(&self) -> Option<State> {
        self.ours(STATE).and_then(State::named)
    }

    /// The ids of what was said on it, by whomever.
    pub fn updates(&self) -> BTreeSet<String> {
        self.updates.iter().map(|update| update.id.clone()).collect()
    }

    /// The ids of its components.
    pub(super) fn components(&self) -> impl Iterator<Item = &String> {
        self.components.iter().map(|component| &component.id)
    }

    fn ours(&self, name: &str) -> Option<&str> {
        self.metadata.get(OURS)?.get(name)?.as_str()
    }
}

/// The metadata after something is said: whether Statuspage replaces it or merges into it, nothing that stood
/// there is lost.
pub(super) fn metadata(before: Option<&Incident>, mark: Mark<'_>, announced: Option<State>) -> Value {
    let mut all = before.and_then(|it| it.metadata.as_object().cloned()).unwrap_or_default();
    let mut ours = all.get(OURS).and_then(|it| it.as_object().cloned()).unwrap_or_default();
    ours.insert(RUN.into(), mark.run.into());
    ours.insert(mark.who.into(), mark.what.into());
    if let Some(state) = announced {
        ours.insert(STATE.into(), state.word().into());
    }
    all.insert(OURS.into(), Value::Object(ours));
    Value::Object(Map::from_iter(all))
}
