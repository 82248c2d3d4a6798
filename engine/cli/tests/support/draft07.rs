//! Whether a value is valid under a JSON Schema, draft 7, as far as ours uses
//! it: a word that is not known here is an error of the test, never a silent yes.

use regex_lite::Regex;
use serde_json::{Map, Value};

/// Words that speak of a value and rule nothing out.
const NOTES: [&str; 6] = ["$schema", "default", "definitions", "description", "format", "title"];

/// Why a value is not valid: the path to each place, and the word that refuses it.
pub(crate) fn faults(root: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Schema { root }.check(root, value, "", &mut found);
    found
}

struct Schema<'a> {
    root: &'a Value,
}

impl Schema<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        let rules = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return found.push(format!("{at}: nothing may stand here")),
            schema => schema.as_object().expect("a schema is a map or a bool"),
        };
        // Whatever stands beside a $ref is ignored in draft 7.
        if let Some(path) = rules.get("$ref") {
            let path = path.as_str().and_then(|path| path.strip_prefix('#')).expect("a path within the document");
            return self.check(self.root.pointer(path).expect("a definition"), value, at, found);
        }
        for (word, rule) in rules {
            if !self.holds(rules, word, rule, value, at, found) {
                found.push(format!("{at}: {word}"));
            }
        }
    }

    fn good(&self, schema: &Value, value: &Value) -> bool {
        let mut found = Vec::new();
        self.check(schema, value, "", &mut found);
        found.is_empty()
    }

    fn holds(
        &self,
        rules: &Map<String, Value>,
        word: &str,
        rule: &Value,
        value: &Value,
        at: &str,
        found: &mut Vec<String>,
    ) -> bool {
        let all = || rule.as_array().expect("a list of schemas").iter();
        let number = || rule.as_f64().expect("a number");
        let count = || usize::try_from(rule.as_u64().expect("a count")).expect("a small one");
        match word {
            "type" => types(rule).any(|name| is(name, value)),
            "const" => value == rule,
            "enum" => all().any(|one| one == value),
            "anyOf" => all().any(|one| self.good(one, value)),
            "oneOf" => all().filter(|one| self.good(one, value)).count() == 1,
            "allOf" => {
                all().for_each(|one| self.check(one, value, at, found));
                true
            }
            "minimum" => value.as_f64().is_none_or(|it| it >= number()),
            "maximum" => value.as_f64().is_none_or(|it| it <= number()),
            "minLength" => value.as_str().is_none_or(|it| it.chars().count() >= count()),
            "pattern" => value.as_str().is_none_or(|it| matches(rule.as_str().expect("a pattern"), it)),
            "minProperties" => value.as_object().is_none_or(|it| it.len() >= count()),
            "required" => {
                value.as_object().is_none_or(|it| all().all(|name| it.contains_key(name.as_str().expect("a name"))))
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(rule, item, &format!("{at}/{n}"), found);
                }
                true
            }
            "properties" | "patternProperties" | "additionalProperties" => {
                for (name, field) in value.as_object().into_iter().flatten() {
                    for schema in under(rules, word, rule, name) {
                        self.check(schema, field, &format!("{at}/{name}"), found);
                    }
                }
                true
            }
            _ if NOTES.contains(&word) => true,
            _ => panic!("the schema uses `{word}`, which this test does not know"),
        }
    }
}

/// The schemas that one word has for a field.
fn under<'a>(rules: &'a Map<String, Value>, word: &str, rule: &'a Value, name: &str) -> Vec<&'a Value> {
    let by_pattern = |rule: &'a Value| {
        let patterns = rule.as_object().into_iter().flatten();
        patterns.filter(|(pattern, _)| matches(pattern, name)).map(|(_, schema)| schema).collect::<Vec<_>>()
    };
    match word {
        "properties" => rule.get(name).into_iter().collect(),
        "patternProperties" => by_pattern(rule),
        _ => {
            let known = rules.get("properties").is_some_and(|known| known.get(name).is_some());
            let matched = rules.get("patternProperties").is_some_and(|rule| !by_pattern(rule).is_empty());
            if known || matched { Vec::new() } else { vec![rule] }
        }
    }
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let many = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
    rule.as_str().into_iter().chain(many)
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        _ => panic!("`{name}` is no type"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).expect("a pattern").is_match(text)
}
