//! A step on its way from the runbook into the plan: read and checked by
//! itself, its needs still names.

use super::{
    PlanStep, Retry, VERIFY,
    scope::{Names, way_out},
};
use crate::{
    duration::Dur,
    inputs, limits,
    problem::{Problem, Span},
    runbook::{Defaults, RetryText},
    step::{OutputName, Step},
    template::{Part, Template},
    yaml::{Kind, R, may_refer},
};
use serde_json::Value;
use std::{collections::BTreeSet, num::NonZeroU32};

/// A step that was read.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a step")]
pub(super) struct Draft {
    pub(super) span: Span,
    pub(super) step: PlanStep,
    /// Names of what comes before, as the author wrote them, made whole.
    pub(super) needs: Vec<(String, Span)>,
    /// References to outputs: the step's id, the output, the place.
    pub(super) refs: Vec<(Vec<String>, Span)>,
    pub(super) outputs: Vec<OutputName>,
    /// Roles whose approval it asks for, each with its place.
    pub(super) roles: Vec<(String, Span)>,
    /// What stands before the ids of its file: `billing/` in an included one.
    pub(super) prefix: String,
    pub(super) irreversible: bool,
    pub(super) approved: bool,
    /// The step that fences the old writer, made whole.
    pub(super) fence: Option<(String, Span)>,
    /// What the kind says of itself: it makes a second writer, it loses data.
    pub(super) second_writer: bool,
    pub(super) loses_data: bool,
    /// Somebody is asked for the data that it loses.
    pub(super) acknowledged: bool,
    /// It is the gate that asks, because of what stands here.
    pub(super) asks_about_loss: Option<Span>,
    /// What it was read from had a mistake: what is said of it is not complete.
    pub(super) broken: bool,
}

/// What every step of a file takes that does not say otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    pub(super) timeout: Dur,
    pub(super) retry: Retry,
}

impl Usual {
    pub(super) fn of(defaults: Option<&Defaults>) -> Self {
        let usual = Self { timeout: limits::TIMEOUT, retry: Retry::default() };
        let Some(defaults) = defaults else { return usual };
        Self { timeout: defaults.timeout.unwrap_or(usual.timeout), retry: retry(defaults.retry, usual.retry) }
    }
}

pub(super) fn retry(text: Option<RetryText>, usual: Retry) -> Retry {
    let Some(text) = text else { return usual };
    let (backoff_min, backoff_max) = text.backoff.map_or((usual.backoff_min, usual.backoff_max), |b| (b.0, b.1));
    Retry { attempts: text.attempts.map_or(usual.attempts, NonZeroU32::get), backoff_min, backoff_max }
}

/// A plan's step with nothing but the usual.
pub(super) fn plain(id: String, kind: &str, with: Value, usual: Usual) -> PlanStep {
    PlanStep { retry: usual.retry, timeout: usual.timeout, ..PlanStep::plain(id, kind, with) }
}

impl Draft {
    pub(super) fn new(span: Span, step: PlanStep) -> Self {
        Self {
            span,
            step,
            needs: Vec::new(),
            refs: Vec::new(),
            outputs: Vec::new(),
            roles: Vec::new(),
            prefix: String::new(),
            irreversible: false,
            approved: false,
            fence: None,
            second_writer: false,
            loses_data: false,
            acknowledged: false,
            asks_about_loss: None,
            broken: false,
        }
    }

    /// A name as the author of its file wrote it.
    pub(super) fn local<'a>(&self, name: &'a str) -> &'a str {
        name.strip_prefix(self.prefix.as_str()).unwrap_or(name)
    }

    /// Its id as the author wrote it: every instance of a `for_each` by the one name.
    pub(super) fn written(&self) -> &str {
        let id = self.local(self.step.gates.as_ref().unwrap_or(&self.step.id));
        id.split('[').next().unwrap_or(id)
    }

    /// Takes over what the kind says of itself.
    pub(super) fn describe(&mut self, work: &dyn Step) {
        let description = work.describe();
        self.irreversible |= description.irreversible;
        self.step.irreversible |= description.irreversible;
        self.step.evidence = work.evidence();
        self.step.changes = work.changes();
        self.step.blind = work.changes() && !work.sees_effect();
        self.step.can_undo = work.can_undo();
        self.step.moves_traffic = description.moves_traffic;
        self.step.fences = description.fences;
        (self.second_writer, self.loses_data) = (description.second_writer, description.loses_data);
        self.step.calls_provider = !description.actions.is_empty();
        self.step.control_plane = description.control_plane.map(ToOwned::to_owned);
        self.step.regions = description.regions;
        self.outputs = work.outputs();
    }
}

/// The references to outputs in a node, each with its place.
pub(super) fn references(node: R<'_>, found: &mut Vec<(Vec<String>, Span)>) {
    match node.kind() {
        Kind::Map => return node.pairs().for_each(|(_, value)| references(value, found)),
        Kind::List => return node.kids().for_each(|kid| references(kid, found)),
        Kind::Scalar => {}
    }
    let Some(text) = node.text().filter(|text| may_refer(text) && text.contains("${steps.")) else { return };
    let Ok(template) = Template::parse(text) else { return };
    for (path, at) in template.refs().filter(|(path, _)| path.first().is_some_and(|root| root == "steps")) {
        let span = node.text_start().map_or(node.span(), |start| {
            let offset = |at: usize| start + u32::try_from(at).unwrap_or_default();
            Span { start: offset(at.start), end: offset(at.end) }
        });
        found.push((path[1..].to_vec(), span));
    }
}

/// The values that templates without references stand for.
pub(super) fn unquote(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => {
            let Ok(template) = Template::parse(text) else { return };
            let plain = template.parts().iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Ref { .. } => "",
            });
            *text = plain.collect();
        }
        Value::Array(items) => items.iter_mut().for_each(unquote),
        Value::Object(fields) => fields.values_mut().for_each(unquote),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Makes the references of an included runbook's step name its own steps.
pub(super) fn prefix(value: &mut Value, before: &str) {
    match value {
        Value::String(text) if text.contains("${steps.") => {
            let Ok(template) = Template::parse(text) else { return };
            let parts = template.parts().iter().map(|part| match part {
                Part::Text(text) => Template::quote(text),
                Part::Ref { path, .. } if path[0] == "steps" => {
                    format!("${{steps.{before}{}}}", path[1..].join("."))
                }
                Part::Ref { path, .. } => format!("${{{}}}", path.join(".")),
            });
            *text = parts.collect();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| prefix(item, before)),
        Value::Object(fields) => fields.values_mut().for_each(|value| prefix(value, before)),
        _ => {}
    }
}

/// The keys and values of a `for_each`, which is `value` as JSON; they come
/// from the runbook, never from a run.
pub(super) fn each(node: R<'_>, value: &Value, at: Span, problems: &mut Vec<Problem>) -> Option<Vec<(Value, Value)>> {
    let mut later = Vec::new();
    inputs::references(value, &mut later);
    if let Some(path) = later.first() {
        problems.push(
            Problem::new(at, format!("`for_each` cannot come from `{}`, which only a run knows", path.join(".")))
                .help("take the list from the runbook or from `params`"),
        );
        return None;
    }
    let mut value = value.clone();
    unquote(&mut value);
    match &value {
        Value::Object(fields) => Some(fields.iter().map(|(key, value)| (key.clone().into(), value.clone())).collect()),
        Value::Array(items) => {
            let key = |(n, item): (usize, &Value)| item.as_str().map_or_else(|| n.to_string(), ToOwned::to_owned);
            let keys: Vec<String> = items.iter().enumerate().map(key).collect();
            let mut seen = BTreeSet::new();
            if let Some(n) = keys.iter().position(|key| !seen.insert(key)) {
                // A list that a reference gave has no items of its own to point to.
                let place = node.kids().nth(n).map_or(at, R::span);
                let problem = Problem::new(place, format!("`for_each` has `{}` twice", keys[n]));
                problems.push(problem.help("every item makes one instance: leave one out"));
                return None;
            }
            Some(keys.into_iter().map(Value::from).zip(items.iter().cloned()).collect())
        }
        _ => {
            let problem = Problem::new(at, "`for_each` takes a list or a map");
            problems.push(problem.help("a list is written `[one, two]`, or on lines that begin with `- `"));
            None
        }
    }
}

/// The region a step works in: a name of the runbook, or a region.
pub(super) fn region(text: &str, at: Span, names: &Names, problems: &mut Vec<Problem>) -> Option<String> {
    if let Some(known) = names.regions.get(text).and_then(Value::as_str) {
        return Some(known.into());
    }
    // As the provider writes them: eu-central-1, us-gov-west-1.
    let looks_like_one = text.split('-').count() >= 3 && text.ends_with(|c: char| c.is_ascii_digit());
    if looks_like_one {
        return Some(text.into());
    }
    if !names.is_told("regions", text) {
        let mut help = way_out(text, "regions", names.regions.keys().map(String::as_str));
        if !help.starts_with("did you") {
            help = format!("{help}; or name a region such as eu-central-1");
        }
        problems.push(Problem::new(at, format!("there is no region `{text}`")).help(help));
    }
    None
}

/// An id as people can type it at night: lower case, digits, underscores.
pub(super) fn check_id(id: &str, at: Span, what: &str, problems: &mut Vec<Problem>) -> bool {
    let good = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !good {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let suggestion: String = id.to_lowercase().chars().map(letter).collect();
        let suggestion = match suggestion.trim_matches('_') {
            "" => format!("{what}_one"),
            it if it.starts_with(|c: char| c.is_ascii_digit()) => format!("{what}_{it}"),
            it => it.to_owned(),
        };
        let message = format!("`{id}` is no id of a {what}: lower case letters, digits and `_`, a letter first");
        problems.push(Problem::new(at, message).help(format!("for example `{suggestion}`")));
    } else if id == VERIFY && what != "probe" {
        let problem = Problem::new(at, format!("`{VERIFY}` is what the probes under `verify:` become"));
        problems.push(problem.help(format!("give this {what} another id")));
        return false;
    }
    good
}
