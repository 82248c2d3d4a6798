//! What references can name while a runbook is read.

use crate::{
    plan::Mode,
    problem::did_you_mean,
    yaml::{Lookup, Scope},
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The names of one file: its parameters, regions, accounts, and the item of a
/// `for_each`. What a run knows comes later.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) params: Map<String, Value>,
    pub(super) regions: Map<String, Value>,
    pub(super) accounts: Map<String, Value>,
    pub(super) mode: Mode,
    pub(super) each: Option<(Value, Value)>,
    /// What is declared with a mistake, as `params.env`; a whole section as
    /// `params`. That mistake is told where it stands, not at every use.
    pub(super) told: BTreeSet<String>,
}

const ROOTS: [&str; 6] = ["params", "regions", "accounts", "run", "steps", "each"];
const OF_RUN: [&str; 5] = ["id", "kind", "mode", "incident_at", "opened_at"];

impl Names {
    /// Whether what is named was declared with a mistake.
    pub(super) fn is_told(&self, root: &str, name: &str) -> bool {
        !self.told.is_empty() && (self.told.contains(root) || self.told.contains(&format!("{root}.{name}")))
    }
}

impl Scope for Names {
    fn lookup(&self, path: &[&str]) -> Lookup {
        match path {
            [root @ ("params" | "regions" | "accounts"), name, ..] if self.is_told(root, name) => Lookup::Told,
            ["params", name, deeper @ ..] => known(&self.params, "parameter", "params", name, deeper),
            ["regions", name] => known(&self.regions, "region", "regions", name, &[]),
            ["accounts", name, "id"] => known(&self.accounts, "account", "accounts", name, &[]),
            ["accounts", name, ..] => unknown(
                format!("there is no value `{}`", path.join(".")),
                Some(format!("of an account its number can be named: `accounts.{name}.id`")),
            ),
            ["run", "mode"] => Lookup::Known(self.mode.word().into()),
            ["run", "id" | "kind" | "incident_at" | "opened_at"] | ["steps", _, _, ..] => Lookup::Later,
            ["run", rest @ ..] => {
                let near = did_you_mean(rest.first().unwrap_or(&""), OF_RUN);
                let help =
                    near.map_or_else(|| one_of("of a run there are", OF_RUN), |near| mean(&format!("run.{near}")));
                unknown(format!("there is no value `{}`", path.join(".")), Some(help))
            }
            ["steps", id] => unknown(
                format!("`steps.{id}` is a step, not a value"),
                Some(format!("name one of its outputs: `steps.{id}.OUTPUT`")),
            ),
            ["each", word, deeper @ ..] => match (&self.each, *word) {
                (Some((key, _)), "key") if deeper.is_empty() => Lookup::Known(key.clone()),
                (Some((_, value)), "value") => within(value, || "`each.value`".into(), deeper),
                (Some(_), word) => {
                    unknown(format!("`each` has no `{word}`"), Some("there are `each.key` and `each.value`".into()))
                }
                (None, _) => unknown(
                    "`each` is known only in a step with `for_each`".into(),
                    Some("give the step `for_each: […]`, or write the value out".into()),
                ),
            },
            ["from", ..] => unknown(
                "`from` is not in this version: it belongs to `dr failback`".into(),
                Some("hand the value over as a parameter: --param NAME=VALUE".into()),
            ),
            [root @ ("params" | "regions"), ..] => unknown(
                format!("there is no value `{}`", path.join(".")),
                Some(format!("a name under `{root}` follows, and nothing after it")),
            ),
            [root, rest @ ..] => {
                let near = did_you_mean(root, ROOTS).filter(|near| near != root);
                let help = match near {
                    Some(near) => mean(&[&[near], rest].concat().join(".")),
                    None if *root == "env" || root.chars().all(|c| c.is_ascii_uppercase() || c == '_') => {
                        "the environment is not read: declare a parameter, and give it with --param NAME=VALUE".into()
                    }
                    None => one_of("a reference begins with", ROOTS),
                };
                unknown(format!("there is no value `{}`", path.join(".")), Some(help))
            }
            [] => unknown("a reference names nothing".into(), None),
        }
    }
}

fn mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

fn one_of<const N: usize>(what: &str, names: [&str; N]) -> String {
    format!("{what} {}", names.join(", "))
}

/// A way out for a name that is none of those under `section`.
pub(super) fn way_out<'a>(name: &str, section: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match did_you_mean(name, known.clone()) {
        Some(near) => mean(near),
        None if known.clone().count() == 0 => format!("there is nothing under `{section}`: declare it there"),
        None if known.clone().count() > 12 => format!("look under `{section}`"),
        None => format!("under `{section}` there are: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

fn known(values: &Map<String, Value>, what: &str, section: &str, name: &str, deeper: &[&str]) -> Lookup {
    let Some(value) = values.get(name) else {
        let help = way_out(name, section, values.keys().map(String::as_str));
        return unknown(format!("there is no {what} `{name}`"), Some(help));
    };
    within(value, || format!("{what} `{name}`"), deeper)
}

fn within(value: &Value, what: impl Fn() -> String, deeper: &[&str]) -> Lookup {
    match deeper.iter().try_fold(value, |value, word| value.get(word)) {
        Some(value) => Lookup::Known(value.clone()),
        None => unknown(format!("{} has no `{}`", what(), deeper.join(".")), None),
    }
}

fn unknown(message: String, help: Option<String>) -> Lookup {
    Lookup::Unknown { message, help }
}
