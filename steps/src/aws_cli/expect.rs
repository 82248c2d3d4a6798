//! What an answer has to be: values in its JSON.

use crate::{
    output::Pointer,
    redact::Redactor,
    text,
    web::{self, Json},
};
use dr_engine::yaml::In;
use serde_json::Value;
use std::collections::BTreeMap;

/// Values by where they stand in the answer.
pub(crate) type Wanted = BTreeMap<Pointer, In<Json>>;

/// An answer of the command line. One that says nothing is empty.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(text).map_err(|error| format!("the answer is not JSON: {error}"))
}

/// The first value that is not as wanted, in words that are harmless.
pub(crate) fn unmet(wanted: &Wanted, answer: &Value, redactor: &Redactor) -> Option<String> {
    web::unmet(wanted, answer, |found, wanted| found.map_or(wanted.is_null(), |found| same(found, wanted)), redactor)
}

/// The first value that ends the wait, in words that are harmless.
pub(crate) fn ended(failed: &BTreeMap<Pointer, Vec<In<Json>>>, answer: &Value, redactor: &Redactor) -> Option<String> {
    failed.iter().find_map(|(Pointer(pointer), values)| {
        let found = answer.pointer(pointer)?;
        let hit = values.iter().any(|value| same(found, &value.get().value()));
        hit.then(|| text::short(&redactor.text(&text::clean(&format!("`{pointer}` is {found}")))).into_owned())
    })
}

/// `"30"` and `30` are one value: which services write a number as a text,
/// nobody who writes a runbook should have to know.
fn same(found: &Value, wanted: &Value) -> bool {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    };
    web::same(found, wanted) || scalar(found).is_some_and(|found| Some(found) == scalar(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_compared_by_what_they_say() {
        let answer = json!({ "A": "30", "B": 2, "C": true, "D": null, "E": { "F": [1, "x"] } });
        for (wanted, why) in [
            (json!({ "/A": 30, "/B": 2.0, "/C": true }), None),
            (json!({ "/A": "30", "/B": "2", "/C": "true" }), None),
            (json!({ "/D": null, "/G": null, "/E/F/1": "x", "/E": { "F": [1, "x"] } }), None),
            (json!({}), None),
            (json!({ "/A": 31 }), Some("`/A` is \"30\", wanted 31")),
            (json!({ "/G": 1 }), Some("`/G` is not in its answer, wanted 1")),
            (json!({ "/B": null }), Some("`/B` is 2, wanted null")),
        ] {
            let parsed: Wanted = serde_json::from_value(wanted.clone()).expect("expectations");
            assert_eq!(unmet(&parsed, &answer, &Redactor::default()).as_deref(), why, "{wanted}");
        }
    }

    #[test]
    fn an_empty_answer_is_an_answer() {
        assert_eq!(read(" \n"), Ok(Value::Null));
        assert!(read("upload: ./a to s3://b").is_err_and(|why| why.starts_with("the answer is not JSON")));
    }
}
