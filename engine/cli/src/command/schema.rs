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
    let kinds = dr_steps::registry().schemas(&mut generator);
    let mut root: Value = generator.into_root_schema_for::<Runbook>().into();
    without_null(&mut root);
    for definition in root.get_mut("definitions").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        with_references(definition);
    }
    in_one_line(&mut root);
    let mut properties = Map::new();
    for (name, schema) in kinds {
        let schema = Value::from(schema);
        // Editors show a title over a field's text: the kind as it is written, not our type for it.
        let definition = schema.get("$ref").and_then(Value::as_str).and_then(|path| root.pointer_mut(&path[1..]));
        if let Some(Value::Object(definition)) = definition {
            definition.insert("title".into(), name.into());
        }
        properties.insert(name.into(), schema);
    }
    // `minProperties` alone: `maxProperties` would end completion in editors. dr itself says "exactly one".
    let act = json!({ "type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties });
    if let Some(definitions) = root.get_mut("definitions").and_then(Value::as_object_mut) {
        definitions.insert("Do".into(), act);
    }
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
                    match one {
                        Value::Object(inner) if !inner.contains_key("$ref") => {
                            beside(fields, inner);
                        }
                        // Draft 7 ignores what stands beside a $ref: wrapped, the description is kept.
                        one => drop(fields.insert("allOf".into(), json!([one]))),
                    }
                }
            }
            if fields.get("default").is_some_and(Value::is_null) {
                fields.remove("default");
            }
        }
        _ => {}
    }
}

/// Lays one schema into another, whose own words stay.
fn beside(fields: &mut Map<String, Value>, other: Map<String, Value>) {
    for (key, value) in other {
        fields.entry(key).or_insert(value);
    }
}

/// What speaks of a field and says nothing of its value.
const NOTES: [&str; 3] = ["title", "description", "default"];

/// Any value may be a reference to one: `timeout: ${params.patience}`. A map of
/// known fields may not, nor may what is free text already, which is one.
fn with_references(schema: &mut Value) {
    let reference = json!({ "type": "string", "pattern": r"\$\{" });
    let Value::Object(fields) = schema else { return };
    for key in ["properties", "patternProperties"] {
        fields
            .get_mut(key)
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(with_references);
    }
    for key in ["items", "additionalProperties"] {
        fields.get_mut(key).into_iter().for_each(with_references);
    }
    if let Some(Value::Array(any)) = fields.get_mut("anyOf") {
        let referring = any.contains(&reference);
        any.retain(|one| *one != reference);
        for one in any.iter_mut() {
            with_references(one);
        }
        match any.as_slice() {
            // Free text, or what was given its reference just now.
            [Value::Object(one)] => {
                let one = one.clone();
                fields.remove("anyOf");
                beside(fields, one);
            }
            _ if referring && !any.iter().any(free_text) => any.push(reference),
            _ => {}
        }
        return;
    }
    if let Some(Value::Array(choices)) = fields.get_mut("oneOf") {
        // The words of an enumeration; a choice between maps stays as it is.
        if choices.iter().all(|choice| choice.get("const").is_some()) {
            choices.push(reference);
        }
        return;
    }
    let is = fields.get("type").and_then(Value::as_str);
    let restricted = ["pattern", "enum", "const", "format"].iter().any(|key| fields.contains_key(*key));
    let map_of_names =
        !fields.contains_key("properties") && fields.get("additionalProperties").is_some_and(Value::is_object);
    if matches!(is, Some("integer" | "number" | "boolean" | "array"))
        || is == Some("string") && restricted
        || is == Some("object") && map_of_names
    {
        let (notes, rest): (Map<_, _>, Map<_, _>) =
            std::mem::take(fields).into_iter().partition(|(key, _)| NOTES.contains(&key.as_str()));
        *fields = notes;
        fields.insert("anyOf".into(), json!([rest, reference]));
    }
}

fn free_text(schema: &Value) -> bool {
    let string = match schema.get("type") {
        Some(Value::Array(types)) => types.contains(&"string".into()),
        one => one == Some(&"string".into()),
    };
    string && schema.get("pattern").is_none()
}

/// The lines of a description were broken for those who read the source.
fn in_one_line(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(in_one_line),
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                let paragraphs: Vec<_> = text.split("\n\n").map(|part| part.replace('\n', " ")).collect();
                *text = paragraphs.join("\n\n");
            }
            fields.values_mut().for_each(in_one_line);
        }
        _ => {}
    }
}
