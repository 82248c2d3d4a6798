//! `dr schema`: the JSON Schema of runbooks, from the types that read them.

use crate::{
    failure::{self, Failure},
    show,
};
use dr_engine::runbook::Runbook;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Prints the schema. Draft 7, because editors read no later one.
pub fn schema() -> Result<u8, Failure> {
    let text = serde_json::to_string_pretty(&document()).map_err(|e| Failure::before(e.to_string()))?;
    show::print(&format!("{text}\n"));
    Ok(failure::DONE)
}

fn document() -> Value {
    let mut generator = SchemaSettings::draft07().into_generator();
    let kinds: Map<String, Value> = dr_steps::registry()
        .schemas(&mut generator)
        .into_iter()
        .map(|(name, schema)| (name.into(), schema.into()))
        .collect();
    let mut root: Value = generator.into_root_schema_for::<Runbook>().into();
    // `minProperties` alone: `maxProperties` would end completion in editors. dr itself says "exactly one".
    let act = json!({ "type": "object", "additionalProperties": false, "minProperties": 1, "properties": kinds });
    if let Some(definitions) = root.get_mut("definitions").and_then(Value::as_object_mut) {
        definitions.insert("Do".into(), act);
    }
    without_null(&mut root);
    root
}

/// An optional field is left out, not null: editors would offer `null`.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(fields) => {
            fields.values_mut().for_each(without_null);
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    fields.insert("type".into(), one);
                }
            }
            let is_null = |v: &Value| v.get("type").is_some_and(|t| t == "null");
            if let Some(Value::Array(any)) = fields.get_mut("anyOf") {
                any.retain(|v| !is_null(v));
                if let [one] = any.as_slice() {
                    let one = one.clone();
                    fields.remove("anyOf");
                    // Draft 7 ignores what stands beside a $ref: wrapped, the description is kept.
                    fields.insert("allOf".into(), json!([one]));
                }
            }
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
        }
        _ => {}
    }
}
