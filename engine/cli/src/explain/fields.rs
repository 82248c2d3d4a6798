//! The inputs of a kind in words, from its schema.

use dr_engine::duration::Dur;
use dr_steps::{
    probe::{HostPort, Place},
    secret::TextOrSecret,
    text::Word,
    web::WebUrl,
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value;

/// An input of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name, with those of the fields that it stands under: `records[].name`.
    pub name: String,
    /// What it takes, in words.
    pub takes: String,
    /// Whether it has to be given wherever what it stands under is.
    pub required: bool,
    /// What holds where it is left out, if that can be said in a word.
    pub default: Option<String>,
    /// What it is for.
    pub text: String,
}

/// The fields of a schema, each followed by those that stand under it.
pub fn of(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    under("", schema, &mut fields);
    fields
}

/// A text whose lines were broken for those who read the source.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn under(prefix: &str, schema: &Value, fields: &mut Vec<Field>) {
    let required = |name: &str| texts(schema, "required").any(|it| it == name);
    for (name, field) in properties(schema) {
        add(&format!("{prefix}{name}"), field, required(name), fields);
    }
}

/// A field, and what stands under it.
fn add(name: &str, field: &Value, required: bool, fields: &mut Vec<Field>) {
    let (text, said) = without_default(&description(field));
    let default = said.or_else(|| default(field.get("default")?));
    fields.push(Field { name: name.to_owned(), takes: takes(field), required, default, text });
    below(name, field, fields);
}

/// What stands under a field: the fields of a map, of each map in a list or
/// under a name of one's own, of each of several forms.
fn below(name: &str, field: &Value, fields: &mut Vec<Field>) {
    let field = plain(field);
    if known(&field).is_some() {
        return;
    }
    under(&format!("{name}."), &field, fields);
    if let Some(items) = field.get("items") {
        below(&format!("{name}[]"), items, fields);
    }
    if let Some(value) = value(&field) {
        below(&format!("{name}.NAME"), value, fields);
    }
    for form in forms(&field) {
        // Of the fields of a choice one is given: none of them is required.
        for (choice, inner) in properties(form) {
            let mut inner = inner.clone();
            if let (Value::Object(inner), Some(text)) = (&mut inner, form.get("description")) {
                inner.insert("description".into(), text.clone());
            }
            add(&format!("{name}.{choice}"), &inner, false, fields);
        }
    }
}

/// What a field takes, in words.
fn takes(field: &Value) -> String {
    let field = plain(field);
    if let Some(word) = known(&field) {
        return word.to_owned();
    }
    let choices: Vec<_> = forms(&field).filter_map(choice).chain(texts(&field, "enum")).collect();
    if !choices.is_empty() {
        return format!("one of `{}`", choices.join("`, `"));
    }
    let mut forms: Vec<_> = forms(&field).map(takes).collect();
    forms.dedup();
    if !forms.is_empty() {
        return forms.join(" or ");
    }
    match field.get("type").and_then(Value::as_str) {
        Some("string") => "text".into(),
        Some("boolean") => "true or false".into(),
        Some("number") => "number".into(),
        Some("integer") => match field.get("minimum").and_then(Value::as_u64) {
            Some(least) if least > 0 => format!("whole number from {least}"),
            _ => "whole number".into(),
        },
        Some("array") => field.get("items").map_or("list".into(), |items| format!("list of {}", several(items))),
        Some("object") => value(&field).map_or("map".into(), |value| format!("map of names to {}", takes(value))),
        _ => "any value".into(),
    }
}

/// What each of several takes, in words.
fn several(schema: &Value) -> String {
    match takes(schema).as_str() {
        one @ ("text" | "number" | "whole number" | "map" | "URL") => format!("{one}s"),
        one => one.to_owned(),
    }
}

/// One word of an enumeration, or the one field of a form.
fn choice(form: &Value) -> Option<&str> {
    let word = form.get("const").and_then(Value::as_str);
    word.or_else(|| {
        let mut fields = properties(form);
        let (name, _) = fields.next().filter(|_| fields.next().is_none())?;
        Some(name.as_str())
    })
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// What stands under each name of a map whose names are one's own.
fn value(schema: &Value) -> Option<&Value> {
    let by_pattern = || schema.get("patternProperties")?.as_object()?.values().next();
    by_pattern().or_else(|| schema.get("additionalProperties").filter(|value| **value != false))
}

/// What a schema says of itself.
pub fn description(schema: &Value) -> String {
    in_one_line(schema.get("description").and_then(Value::as_str).unwrap_or_default())
}

/// The forms that a value may have.
fn forms(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten()
}

/// A schema without what is only a remark, without null (a field is left out
/// instead), and without the reference that may stand for any value.
fn plain(schema: &Value) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    let mut schema = schema.clone();
    for remark in ["title", "description", "default"] {
        schema.remove(remark);
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|it| it != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(forms)) = schema.get_mut("anyOf") {
        forms.retain(|form| form.get("type").is_none_or(|it| it != "null") && !reference(form));
        if let [one] = forms.as_slice() {
            let one = plain(one);
            schema.remove("anyOf");
            let Value::Object(one) = one else { return one };
            schema.extend(one);
        }
    }
    Value::Object(schema)
}

/// `${a.b}` in place of a value.
fn reference(form: &Value) -> bool {
    form.get("pattern").is_some_and(|it| it == r"\$\{")
}

/// A type that people know by a name: the schema says only how it is written.
fn known(plain: &Value) -> Option<&'static str> {
    fn is<T: JsonSchema>(schema: &Value) -> bool {
        self::plain(T::json_schema(&mut SchemaGenerator::default()).as_value()) == *schema
    }
    [
        (is::<Dur> as fn(&Value) -> bool, "duration, as in `1h30m`"),
        (is::<WebUrl>, "URL"),
        (is::<HostPort>, "`host:port`"),
        (is::<Place>, "address"),
        (is::<Word>, "text"),
        (is::<TextOrSecret>, "text or `{ secret: env:NAME }`"),
    ]
    .into_iter()
    .find_map(|(is, word)| is(plain).then_some(word))
}

/// A default as a runbook would write it; what is empty goes without saying.
fn default(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Object(fields) if fields.values().all(|field| default(field).is_none()) => None,
        Value::String(text) => Some(format!("`{text}`")),
        other => Some(format!("`{other}`")),
    }
}

/// A description that ends with `Default: ….`, and what that says.
fn without_default(text: &str) -> (String, Option<String>) {
    match text.split_once("Default: ") {
        Some((rest, said)) if said.ends_with('.') && !said.trim_end_matches('.').contains(". ") => {
            (rest.trim_end().to_owned(), Some(said.trim_end_matches('.').to_owned()))
        }
        _ => (text.to_owned(), None),
    }
}

/// The texts of a list in a schema.
fn texts<'s>(schema: &'s Value, key: &str) -> impl Iterator<Item = &'s str> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_engine::yaml::In;
    use serde::Deserialize;
    use std::{collections::BTreeMap, num::NonZeroU32};

    /// A field of each sort.
    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Sorts {
        /// Text, over
        /// two lines.
        text: In<String>,
        /// Where.
        url: Option<In<WebUrl>>,
        /// The pause. Default: 10s.
        #[serde(default)]
        every: Option<Dur>,
        /// How many.
        #[serde(default = "two")]
        count: NonZeroU32,
        #[serde(default)]
        flag: bool,
        #[serde(default)]
        way: Way,
        parts: Vec<Part>,
        by_name: BTreeMap<String, In<TextOrSecret>>,
        form: Form,
    }

    #[derive(Default, Deserialize, serde::Serialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum Way {
        /// There.
        #[default]
        There,
        /// And back.
        Back,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Part {
        /// Its name.
        name: In<String>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Form {
        One(Part),
        Other(In<u32>),
    }

    fn two() -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(1)
    }

    #[test]
    fn a_field_is_told_in_words() {
        let settings = schemars::generate::SchemaSettings::draft07().with(|it| it.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<Sorts>();
        let told: Vec<_> = of(schema.as_value())
            .into_iter()
            .map(|Field { name, takes, required, default, text }| {
                let default = default.unwrap_or_else(|| if required { "required" } else { "-" }.into());
                format!("{name} | {takes} | {default} | {text}").trim_end_matches([' ', '|']).to_owned()
            })
            .collect();
        let expected = expect_test::expect![[r"
            text | text | required | Text, over two lines.
            url | URL | - | Where.
            every | duration, as in `1h30m` | 10s | The pause.
            count | whole number from 1 | `2` | How many.
            flag | true or false | `false`
            way | one of `there`, `back` | `there`
            parts | list of maps | required
            parts[].name | text | required | Its name.
            by_name | map of names to text or `{ secret: env:NAME }` | required
            form | one of `one`, `other` | required
            form.one | map | -
            form.one.name | text | required | Its name.
            form.other | whole number | -"]];
        expected.assert_eq(&told.join("\n"));
    }
}
