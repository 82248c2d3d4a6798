//! What a step saw before a call whose effect hides what was there: whom a
//! replica followed, how far it was behind.
//!
//! It is written down before the call, and stays through every doubt: what is
//! seen after says nothing of what was lost. Only where the call was refused
//! for certain it is seen anew.

use dr_engine::step::{ReadCx, StepCx};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// The name of the fact that holds it; empty when the call that it was for was
/// refused for certain.
pub(crate) const BEFORE: &str = "before";
/// The name of the fact that the call was accepted.
const ACCEPTED: &str = "accepted";

/// The newest that was written down and is of `this`.
pub(crate) fn known<T: DeserializeOwned>(cx: &ReadCx, this: impl Fn(&T) -> bool) -> Option<T> {
    let facts = cx.facts.iter().rev().filter(|fact| fact.name == BEFORE);
    facts.filter_map(|fact| T::deserialize(&fact.value).ok()).find(|seen| this(seen))
}

/// The same, if the call may have been made since.
pub(crate) fn asked<T: DeserializeOwned>(cx: &ReadCx, this: impl Fn(&T) -> bool) -> Option<T> {
    if cx.fact(BEFORE).is_some_and(Value::is_null) { None } else { known(cx, this) }
}

/// Writes it down.
pub(crate) async fn write(cx: &StepCx, seen: &impl Serialize) {
    cx.record(BEFORE, json!(seen)).await;
}

/// Writes down that the call it was for had no effect, for certain.
pub(crate) async fn refused(cx: &StepCx) {
    cx.record(BEFORE, Value::Null).await;
}

/// Writes down that the call was accepted, by what the service works on since.
pub(crate) async fn accepted(cx: &StepCx, handle: &str) {
    cx.record_handle(ACCEPTED, handle).await;
}

/// Whether the call for this was accepted, since the fact of this name was written down.
pub(crate) fn is_accepted(cx: &ReadCx, since: &str, handle: &str) -> bool {
    let after = cx.facts.iter().rev().take_while(|fact| fact.name != since);
    after.filter(|fact| fact.name == ACCEPTED).any(|fact| fact.value == handle)
}
