//! Parameters: declared in a runbook, given on the command line or by the
//! runbook that includes it.

use super::{
    build::{Build, Part, pair},
    scope::{Names, way_out},
};
use crate::{
    duration::Dur,
    problem::{Problem, Span},
    runbook::{Param, ParamType},
    yaml::{Closed, Fields, R, read},
};
use indexmap::IndexMap;
use serde_json::{Map, Value};

impl Build<'_> {
    /// The parameters of a file, resolved.
    pub(super) fn params(&mut self, root: R<'_>, part: &Part, names: &mut Names) {
        names.params = Map::new();
        let section = pair(root, "params");
        let start = Span { start: root.span().start, end: root.span().start };
        let section_at = section.map_or(start, |(at, _)| at);
        let mut declared: IndexMap<String, (Span, Option<Param>)> = IndexMap::new();
        if let Some((at, node)) = section {
            match Fields::of(node, at, &Closed, &mut self.problems) {
                None => drop(names.told.insert("params".to_owned())),
                Some(mut fields) => {
                    for (key, node) in fields.entries() {
                        let param = read(node, key.span(), &Closed, &mut self.problems);
                        declared.insert(key.text().unwrap_or_default().to_owned(), (key.span(), param));
                    }
                    fields.finish(&mut self.problems);
                }
            }
        }
        let typed: &[_] = if part.params.is_some() { &[] } else { &self.options.params };
        let given = typed.iter().map(|(name, _)| (name, section_at, format!("`--param {name}`: ")));
        let handed = part.params.iter().flatten().map(|(name, (_, at))| (name, *at, String::new()));
        for (name, at, flag) in given.chain(handed) {
            if !declared.contains_key(name) && !names.told.contains("params") {
                let problem = Problem::new(at, format!("{flag}the runbook has no parameter `{name}`"));
                let known = declared.keys().map(String::as_str);
                self.problems.push(problem.help(way_out(name, "params", known)));
            }
        }
        for (name, (at, param)) in declared {
            let Some(param) = param else {
                names.told.insert(format!("params.{name}"));
                continue;
            };
            let handed = part.params.as_ref().and_then(|p| p.get(&name));
            let typed = typed.iter().rev().find(|(n, _)| *n == name);
            let (value, at, flag) = match (handed, typed, &param.default) {
                (Some((None, _)), _, _) => {
                    names.told.insert(format!("params.{name}"));
                    continue;
                }
                (Some((Some(value), at)), _, _) => (from_value(param.is, value), *at, format!("parameter `{name}`")),
                (None, Some((_, text)), _) => (from_text(param.is, text), at, format!("`--param {name}`")),
                (None, None, Some(default)) => {
                    (from_value(param.is, &default.value), default.span, format!("parameter `{name}`"))
                }
                (None, None, None) => {
                    let at = part.at.unwrap_or(at);
                    let problem = Problem::new(at, format!("parameter `{name}` has no default and was not given"));
                    self.problems.push(problem.help(match part.params {
                        Some(_) => format!("give it beside `include`: `params: {{ {name}: … }}`"),
                        None => format!("give it: --param {name}=VALUE"),
                    }));
                    names.told.insert(format!("params.{name}"));
                    continue;
                }
            };
            match value {
                Ok(value) => drop(names.params.insert(name, value)),
                Err(why) => {
                    self.problems.push(Problem::new(at, format!("{flag}: {why}")));
                    names.told.insert(format!("params.{name}"));
                }
            }
        }
    }
}

fn from_text(is: ParamType, text: &str) -> Result<Value, String> {
    let wrong = || format!("{} is wanted, this is `{text}`", wanted(is));
    match is {
        ParamType::String => Ok(text.into()),
        ParamType::Duration => text.parse::<Dur>().map(|d| d.to_string().into()).map_err(|e| e.to_string()),
        _ => from_value(is, &serde_json::from_str(text).map_err(|_| wrong())?).map_err(|_| wrong()),
    }
}

fn from_value(is: ParamType, value: &Value) -> Result<Value, String> {
    let fits = match is {
        ParamType::String => value.is_string(),
        ParamType::Number => value.is_number(),
        ParamType::Bool => value.is_boolean(),
        ParamType::List => value.is_array(),
        ParamType::Map => value.is_object(),
        ParamType::Duration => match value {
            Value::String(text) => return from_text(is, text),
            Value::Number(number) => return from_text(is, &number.to_string()),
            _ => false,
        },
    };
    if fits {
        return Ok(value.clone());
    }
    Err(match value {
        Value::Array(_) => format!("{} is wanted, this is a list", wanted(is)),
        Value::Object(_) => format!("{} is wanted, this is a map", wanted(is)),
        Value::String(text) => format!("{} is wanted, this is the text `{text}`", wanted(is)),
        scalar if is == ParamType::String => format!("text is wanted, this is `{scalar}`: put it in quotes"),
        scalar => format!("{} is wanted, this is `{scalar}`", wanted(is)),
    })
}

fn wanted(is: ParamType) -> &'static str {
    match is {
        ParamType::String => "text",
        ParamType::Number => "a number",
        ParamType::Bool => "`true` or `false`",
        ParamType::Duration => "a duration, as in 30s, 15m, 1h,",
        ParamType::List => "a list",
        ParamType::Map => "a map",
    }
}
