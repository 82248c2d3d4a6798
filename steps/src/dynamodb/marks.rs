//! By what a table without tags is told to be ours.

use super::Origin;
use crate::aws::{limits, time};
use aws_sdk_dynamodb::types::TableDescription;
use dr_engine::step::{ReadCx, StepCx};
use serde_json::json;

/// The name of the fact that holds the answer: the new table, or null where the
/// restore was refused.
pub(super) const TABLE: &str = "table";

/// By what a table without tags is told to be ours.
pub(super) struct Marks<O> {
    /// The tables that restores of ours were answered with.
    ids: Vec<String>,
    /// What restores of ours were to be made from whose answer never came.
    pub(super) open: Vec<O>,
}

impl<O: Origin> Marks<O> {
    /// From what the step wrote down in its attempts before this one.
    pub(super) fn of(cx: &ReadCx) -> Self {
        let mut marks = Self { ids: Vec::new(), open: Vec::new() };
        for fact in &cx.facts {
            match (fact.name.as_str(), fact.value["table_id"].as_str()) {
                (name, _) if name == O::FACT => marks.open.extend(serde_json::from_value(fact.value.clone())),
                (TABLE, None) => drop(marks.open.pop()),
                (TABLE, Some(id)) => {
                    marks.open.clear();
                    marks.ids.push(id.to_owned());
                }
                _ => {}
            }
        }
        marks
    }

    /// The same without what is only likely: enough to go on with a table, and
    /// not to delete it.
    pub(super) fn sure(cx: &ReadCx) -> Self {
        Self { open: Vec::new(), ..Self::of(cx) }
    }

    pub(super) fn made(&self, table: &TableDescription) -> bool {
        let known = table.table_id().is_some_and(|id| self.ids.iter().any(|known| known == id));
        known || self.open.iter().any(|origin| made(table, origin))
    }

    /// Writes the handle of a table of ours down, once.
    pub(super) async fn note(&mut self, cx: &StepCx, table: &TableDescription) {
        let Some(id) = table.table_id().filter(|id| !self.ids.iter().any(|known| known == id)) else { return };
        self.ids.push(id.to_owned());
        cx.record_handle(TABLE, json!({ "arn": table.table_arn(), "table_id": id })).await;
    }
}

/// Whether a table was made from this since it was chosen.
fn made<O: Origin>(table: &TableDescription, origin: &O) -> bool {
    let at = table.creation_date_time().and_then(time);
    let since = at.is_some_and(|at| at.after(limits::SKEW_MAX) >= origin.written_at());
    since && table.restore_summary().and_then(|summary| origin.is(summary)).is_some_and(|(_, same)| same)
}
