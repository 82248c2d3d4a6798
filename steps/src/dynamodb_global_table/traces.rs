//! By what a replica is told to be one that this step added.
//!
//! A change of replicas takes neither tokens nor tags. So it is written down
//! when there was none, what the call was answered with, and the id of the
//! table that was then seen. A call without an answer may have added the
//! replica that came into being within a few minutes of it: `DynamoDB` makes one
//! change at a time, so somebody else's would have had ours refused. One that
//! came later somebody else has added.

use crate::aws::{limits, time};
use aws_sdk_dynamodb::types::TableDescription;
use dr_engine::{
    clock::Time,
    step::{ReadCx, StepCx},
};
use serde_json::{Value, json};

/// The fact that a replica is about to be added, and was not there.
const ASKED: &str = "asked";
/// The fact of how that was answered: true, or false where it was refused.
const ADDED: &str = "added";
/// The fact that holds the replica.
const REPLICA: &str = "replica";

/// What the step wrote down of its replica.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// When it was first asked for, of those times that may have had an effect.
    asked: Vec<Time>,
    added: bool,
    id: Option<String>,
}

impl Traces {
    pub(super) fn of(cx: &ReadCx) -> Self {
        let mut traces = Self::default();
        for fact in &cx.facts {
            match (fact.name.as_str(), &fact.value) {
                (ASKED, at) => traces.asked.extend(at.as_i64().map(Time)),
                (ADDED, Value::Bool(true)) => traces.added = true,
                (ADDED, _) => drop(traces.asked.pop()),
                (REPLICA, table) => traces.id = table["table_id"].as_str().map(Into::into),
                _ => {}
            }
        }
        traces
    }

    /// Whether a replica may be this step's, as far as is written down.
    pub(super) fn any(&self) -> bool {
        self.id.is_some() || !self.asked.is_empty()
    }

    /// Whether this step has added one for certain: the change was accepted,
    /// or the replica was seen to come into being.
    pub(super) fn sure(&self) -> bool {
        self.added || self.id.is_some()
    }

    /// Whether this step added this replica, for all that is known.
    pub(super) fn is(&self, table: &TableDescription) -> bool {
        if let Some(id) = &self.id {
            return table.table_id() == Some(id);
        }
        let made = table.creation_date_time().and_then(time);
        made.is_some_and(|made| self.asked.iter().any(|at| made.since(*at).0.abs() <= limits::SKEW_MAX.0))
    }

    /// Writes down that a replica is about to be added.
    pub(super) async fn ask(&mut self, cx: &StepCx) {
        let now = cx.read.clock.now();
        cx.record(ASKED, now.0).await;
        self.asked.push(now);
    }

    /// Writes down that the change was accepted.
    pub(super) async fn accepted(&mut self, cx: &StepCx) {
        cx.record_handle(ADDED, true).await;
        self.added = true;
    }

    /// Writes down that the change was refused, for certain.
    pub(super) async fn refused(&mut self, cx: &StepCx) {
        cx.record(ADDED, false).await;
        self.asked.pop();
    }

    /// Writes the replica down, once, if it is this step's.
    pub(super) async fn note(&mut self, cx: &StepCx, table: &TableDescription) {
        if self.id.is_none() && self.is(table) {
            cx.record_handle(REPLICA, json!({ "arn": table.table_arn(), "table_id": table.table_id() })).await;
            self.id = table.table_id().map(Into::into);
        }
    }
}
