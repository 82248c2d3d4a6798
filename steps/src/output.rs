//! Values for other steps, read from what a command printed or a server said.

use crate::text;
use dr_engine::step::{OutputName, OutputType};
use regex_lite::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::{borrow::Cow, collections::BTreeMap, num::NonZeroU32};

/// The outputs of a step, by name, and where each is found.
pub type Outputs = BTreeMap<String, Pick>;

/// Where an output is found.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The whole is JSON; this JSON pointer names the value, as in `/size`.
    Json(Pointer),
    /// The line with this number, from one.
    Line(NonZeroU32),
    /// What the one group of this expression matches first.
    Regex(Pattern),
}

/// A JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(pub String);

/// A regular expression with one group.
#[derive(Debug)]
pub struct Pattern(Regex);

/// The names of outputs and what they are.
pub(crate) fn names(outputs: &Outputs) -> Vec<OutputName> {
    let is = |from: &Pick| if matches!(from, Pick::Json(_)) { OutputType::Any } else { OutputType::Text };
    outputs.iter().map(|(name, from)| OutputName { name: name.clone(), is: is(from) }).collect()
}

/// The outputs found in a text, or a sentence about the first that is not there.
pub(crate) fn read(outputs: &Outputs, text: &str) -> Result<Map<String, Value>, String> {
    let mut json = None;
    let mut found = Map::new();
    for (name, from) in outputs {
        let value = match from {
            Pick::Json(Pointer(pointer)) => {
                let json = json.get_or_insert_with(|| serde_json::from_str::<Value>(text));
                let json =
                    json.as_ref().map_err(|error| format!("no output `{name}`: what came is not JSON: {error}"))?;
                json.pointer(pointer).cloned().ok_or_else(|| format!("`{pointer}` is not in the JSON"))
            }
            Pick::Line(number) => {
                let at = usize::try_from(number.get() - 1).expect("32 bits fit");
                text.lines().nth(at).map(Value::from).ok_or_else(|| format!("there is no line {number}"))
            }
            Pick::Regex(Pattern(regex)) => {
                let group = regex.captures(text).and_then(|captures| captures.get(1));
                group.map(|group| group.as_str().into()).ok_or_else(|| format!("nothing matches `{regex}`"))
            }
        };
        found.insert(name.clone(), value.map_err(|why| format!("no output `{name}`: {}", text::short(&why)))?);
    }
    Ok(found)
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() || text.starts_with('/') {
            return Ok(Self(text));
        }
        Err(de::Error::custom(format!("`{text}` is not a JSON pointer: it begins with `/`, as in `/{text}`")))
    }
}

impl JsonSchema for Pointer {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pointer".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(/.*)?$" })
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let regex = Regex::new(&text).map_err(|error| de::Error::custom(format!("`{text}`: {error}")))?;
        match regex.captures_len() {
            2 => Ok(Self(regex)),
            n => {
                let groups = n - 1;
                Err(de::Error::custom(format!("`{text}` has {groups} groups; the one group is the output: `(…)`")))
            }
        }
    }
}

impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(from: &Value, text: &str) -> Result<Value, String> {
        let outputs: Outputs = serde_json::from_value(json!({ "x": from })).map_err(|e| e.to_string())?;
        read(&outputs, text).map(|mut found| found["x"].take())
    }

    #[test]
    fn an_output_is_a_pointer_a_line_or_a_group() {
        let said = "{\"a\": {\"b\": [1, 2]}}";
        for (from, text, value) in [
            (json!({"json": "/a/b/1"}), said, Ok(json!(2))),
            (json!({"json": ""}), "[1]", Ok(json!([1]))),
            (json!({"json": "/a/c"}), said, Err("no output `x`: `/a/c` is not in the JSON")),
            (json!({"line": 2}), "one\r\ntwo\r\n", Ok(json!("two"))),
            (json!({"line": 3}), "one\ntwo\n", Err("no output `x`: there is no line 3")),
            (json!({"regex": "id=([a-z]+)"}), "x id=abc id=def", Ok(json!("abc"))),
            (json!({"regex": "id=([0-9]+)"}), "id=abc", Err("no output `x`: nothing matches `id=([0-9]+)`")),
        ] {
            assert_eq!(run(&from, text), value.map_err(ToOwned::to_owned));
        }
        assert!(run(&json!({"json": "/a"}), "oops").is_err_and(|e| e.contains("what came is not JSON")));
    }

    #[test]
    fn a_wrong_output_is_found_when_it_is_read() {
        for (from, why) in [
            (json!({"json": "size"}), "`size` is not a JSON pointer: it begins with `/`, as in `/size`"),
            (json!({"regex": "x"}), "`x` has 0 groups; the one group is the output: `(…)`"),
            (json!({"regex": "("}), "`(`: "),
            (json!({"line": 0}), "invalid value: integer `0`, expected a nonzero u32"),
            (json!({"yaml": "x"}), "unknown variant `yaml`, expected one of `json`, `line`, `regex`"),
        ] {
            let error = run(&from, "").expect_err("it is wrong");
            assert!(error.starts_with(why), "{error}");
        }
    }
}
