//! The inputs of a step: what the plan holds, with the values that only a run
//! knows put in. A value that was put in is never read as a reference again.

use crate::{
    event::Kind,
    plan::{Plan, StepIx},
    run::{Run, State},
    step::Steps,
    template::{Template, TemplateError},
};
use serde_json::{Map, Value, json};

/// The inputs with which the next attempt at a step begins, or the references
/// whose values have not come.
pub fn resolve(run: &Run, step: StepIx) -> Result<Value, Vec<String>> {
    changed(run, step, &Map::new())
}

/// Whether the step could be made with inputs that a person changes: what its kind does not take
/// is refused before it is written down. What is missing is asked for, and no reason to refuse.
pub fn accepted(run: &Run, steps: &dyn Steps, events: &[Kind]) -> Result<(), String> {
    events.iter().try_for_each(|kind| {
        let Kind::Amended { step, inputs, .. } = kind else { return Ok(()) };
        let Ok(with) = changed(run, *step, inputs) else { return Ok(()) };
        let planned = run.plan().step(*step);
        let made = steps.step(planned, with).map(drop);
        made.map_err(|failure| format!("`{}` takes no such input: {}", planned.id, failure.message))
    })
}

/// The inputs with more of them changed.
fn changed(run: &Run, step: StepIx, more: &Map<String, Value>) -> Result<Value, Vec<String>> {
    let mut missing = Vec::new();
    let mut with = run.plan().step(step).with.clone();
    let amended = &run.step(step).amended;
    if let Value::Object(fields) = &mut with {
        fields.retain(|name, _| !amended.contains_key(name) && !more.contains_key(name));
    }
    fill(&mut with, run, step, &mut missing);
    if let Value::Object(fields) = &mut with {
        fields.extend(amended.clone());
        fields.extend(more.clone());
    }
    if missing.is_empty() { Ok(with) } else { Err(missing) }
}

/// The references of a step whose values have not come.
pub fn missing(run: &Run, step: StepIx) -> Vec<String> {
    if has_reference(&run.plan().step(step).with) { resolve(run, step).err().unwrap_or_default() } else { Vec::new() }
}

/// The references that stand in a value, as paths.
pub fn references(value: &Value, found: &mut Vec<Vec<String>>) {
    match value {
        Value::String(text) if text.contains("${") => {
            if let Ok(template) = Template::parse(text) {
                found.extend(template.refs().map(|(path, _)| path.to_vec()));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(items) => items.iter().any(has_reference),
        Value::Object(fields) => fields.values().any(has_reference),
        _ => false,
    }
}

fn fill(value: &mut Value, run: &Run, step: StepIx, missing: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains("${") => {
            let Ok(template) = Template::parse(text) else {
                return;
            };
            let mut absent = Vec::new();
            let filled: Result<Value, TemplateError> = template.render(&mut |path| {
                Ok(lookup(run, step, path).unwrap_or_else(|| {
                    absent.push(path.join("."));
                    Value::String(String::new())
                }))
            });
            missing.append(&mut absent);
            match filled {
                Ok(filled) => *value = filled,
                Err(error) => missing.push(error.message),
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, run, step, missing)),
        Value::Object(fields) => fields.values_mut().for_each(|value| fill(value, run, step, missing)),
        _ => {}
    }
}

fn lookup(run: &Run, step: StepIx, path: &[String]) -> Option<Value> {
    // What was given to a gate is what somebody agreed to: it holds for the step behind it.
    let mut asked = run.gates(step).chain([step]).filter(|asked| !run.step(*asked).given.is_empty()).peekable();
    if asked.peek().is_some() {
        let path = path.join(".");
        if let Some(value) = asked.find_map(|asked| run.step(asked).given.get(&path)) {
            return Some(value.clone());
        }
    }
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["steps", id, rest @ ..] => {
            let of = run.step(run.plan().find(id)?);
            // What is taken back was there for whoever stands on it, and is to be taken back before it.
            if !matches!(of.state, State::Done | State::Bypassed { .. }) && !of.was_done {
                return None;
            }
            let (name, deeper) = rest.split_first()?;
            deeper.iter().try_fold(of.output.values.get(*name)?, |value, word| value.get(word)).cloned()
        }
        ["run", word] => about_run(run).get(*word).cloned(),
        _ => None,
    }
}

fn about_run(run: &Run) -> Map<String, Value> {
    let fields = json!({
        "id": run.opened.run,
        "kind": run.opened.kind,
        "mode": run.plan().mode,
        "incident_at": run.opened.incident_at.to_string(),
        "opened_at": run.opened_at.to_string(),
    });
    fields.as_object().cloned().unwrap_or_default()
}

/// Those of these references whose values have not come.
pub fn absent(run: &Run, step: StepIx, paths: &[Vec<String>]) -> Vec<String> {
    let absent = |path: &&Vec<String>| path[0] == "steps" && lookup(run, step, path).is_none();
    paths.iter().filter(absent).map(|path| path.join(".")).collect()
}

/// What the condition of a step may speak of, by name.
pub fn roots(run: &Run, step: StepIx) -> Vec<(&'static str, Value)> {
    let plan = run.plan();
    let mut outputs: Map<String, Value> = run
        .steps()
        .filter(|(_, it)| !it.output.values.is_empty())
        .map(|(step, it)| (plan.step(step).id.clone(), Value::Object(it.output.values.clone())))
        .collect();
    for (path, value) in run.gates(step).chain([step]).flat_map(|asked| &run.step(asked).given) {
        if let Some(words) = path.strip_prefix("steps.") {
            put(&mut outputs, &words.split('.').collect::<Vec<_>>(), value);
        }
    }
    let mut roots = planned(plan);
    roots.extend([("run", Value::Object(about_run(run))), ("steps", Value::Object(outputs))]);
    roots
}

/// What of it stands in the plan already.
pub fn planned(plan: &Plan) -> Vec<(&'static str, Value)> {
    vec![
        ("params", Value::Object(plan.params.clone())),
        ("regions", json!(plan.regions)),
        ("mode", plan.mode.word().into()),
    ]
}

/// Puts a value where a path leads, whatever stood in the way.
fn put(place: &mut Map<String, Value>, words: &[&str], value: &Value) {
    let Some((first, rest)) = words.split_first() else { return };
    if rest.is_empty() {
        place.insert((*first).to_owned(), value.clone());
        return;
    }
    let mut deeper = match place.remove(*first) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    put(&mut deeper, rest, value);
    place.insert((*first).to_owned(), Value::Object(deeper));
}
