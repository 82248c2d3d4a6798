//! Conditions: a CEL expression over params, mode, regions and earlier outputs.
//!
//! The only place that knows the library. Its input is capped, because the
//! library panics on absurd nesting.

use crate::{
    inputs, limits,
    plan::{Plan, StepIx},
    run::Run,
};
use cel::{Context, Program, Value as Cel};
use serde_json::Value;
use std::collections::BTreeMap;

/// Why a condition cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Where in its text, counted in bytes, if one place is to blame.
    pub at: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// A way out.
    pub help: String,
}

/// What a condition names, as paths.
pub fn references(text: &str) -> Result<Vec<Vec<String>>, Wrong> {
    roomy(|| {
        let program = compile(text)?;
        let mut found = Vec::new();
        walk(program.expression(), &mut found);
        Ok(found)
    })
    .unwrap_or_else(|message| Err(Wrong { at: None, message, help: "try again".into() }))
}

/// Does something on a stack that is large enough for every condition: that
/// of the caller may be small.
fn roomy<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(limits::WHEN_STACK_BYTES);
        let thread =
            thread.spawn_scoped(scope, work).map_err(|e| format!("there is no room to read a condition: {e}"))?;
        thread.join().map_err(|_| "the library that reads conditions failed".to_owned())
    })
}

/// The library's complaint in words for an author: its own speak of tokens.
fn wrong(text: &str, errors: &cel::ParseErrors) -> Wrong {
    let usual = || "a condition is CEL, as in `params.full && mode == 'graceful'`".to_owned();
    let Some(error) = errors.errors.first() else {
        return Wrong { at: None, message: "this condition cannot be read".into(), help: usual() };
    };
    let place = |number: isize| usize::try_from(number - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(place(error.pos.0)).map(str::len).sum();
    let at = text[before.min(text.len())..].char_indices().nth(place(error.pos.1)).map(|(at, _)| before + at);
    let rest = at.map_or("", |at| &text[at..]);
    let said = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    let (message, help) = if said.contains("'<EOF>'") && rest.trim().is_empty() {
        ("this condition ends too early".to_owned(), usual())
    } else if rest.starts_with('=') && !rest.starts_with("==") {
        ("`=` cannot stand in a condition".to_owned(), "equal is `==`".to_owned())
    } else if let Some(word) = ["and", "or", "not"].into_iter().find(|word| rest.split(' ').next() == Some(word)) {
        (format!("`{word}` is no word of a condition"), "and is `&&`, or is `||`, not is `!`".to_owned())
    } else if let Some(first) = rest.chars().next() {
        (format!("a condition cannot be read at `{first}`"), usual())
    } else {
        (format!("this condition cannot be read: {said}"), usual())
    };
    Wrong { at, message, help }
}

/// The value of a step's condition in a run, or what is missing for it.
pub fn evaluate(text: &str, run: &Run, step: StepIx) -> Result<bool, Vec<String>> {
    value(text, run, step).map_err(|why| {
        let absent = inputs::absent(run, step, &references(text).unwrap_or_default());
        if absent.is_empty() { vec![why] } else { absent }
    })
}

/// Which steps a run of this plan will leave out whatever happens: those with
/// a condition that is false and speaks of nothing but what the plan holds.
pub fn left_out(plan: &Plan) -> Vec<bool> {
    if plan.steps.iter().all(|step| step.when.is_none()) {
        return vec![false; plan.steps.len()];
    }
    let roots = inputs::planned(plan);
    let foretold = |text: &str| {
        let mut names = Vec::new();
        walk(compile(text).ok()?.expression(), &mut names);
        let planned = |path: &Vec<String>| roots.iter().any(|(root, _)| path[0] == *root);
        if names.iter().all(planned) { result(text, &roots).ok() } else { None }
    };
    let all = roomy(|| {
        // `for_each` and includes repeat their conditions.
        let mut known = BTreeMap::new();
        let mut settled = |text| *known.entry(text).or_insert_with(|| foretold(text) == Some(false));
        plan.steps.iter().map(|step| step.when.as_deref().is_some_and(&mut settled)).collect()
    });
    // What cannot be foretold is found out when it is time.
    all.unwrap_or_else(|_| vec![false; plan.steps.len()])
}

fn value(text: &str, run: &Run, step: StepIx) -> Result<bool, String> {
    let roots = inputs::roots(run, step);
    roomy(|| result(text, &roots)).flatten().map_err(|why| format!("`when: {text}`: {why}"))
}

/// What a condition comes to, with what its names stand for.
fn result(text: &str, roots: &[(&'static str, Value)]) -> Result<bool, String> {
    let program = compile(text).map_err(|wrong| wrong.message)?;
    let mut context = Context::default();
    for (name, value) in roots {
        context.add_variable(*name, value).map_err(|e| e.to_string())?;
    }
    match program.execute(&context) {
        Ok(Cel::Bool(value)) => Ok(value),
        Ok(other) => Err(format!("this is {other:?}, not true or false")),
        Err(error) => Err(error.to_string()),
    }
}

fn compile(text: &str) -> Result<Program, Wrong> {
    let refuse = |what: &str, most: usize, found: usize| {
        let message = format!("a condition has at most {most} {what}, this has {found}");
        let help = "let a command find it out, and ask its output: steps.NAME.OUTPUT".into();
        Err(Wrong { at: None, message, help })
    };
    if text.len() > limits::WHEN_BYTES_MAX {
        return refuse("bytes", limits::WHEN_BYTES_MAX, text.len());
    }
    // All of them, those in texts too: how deep they stand only the parser
    // knows, and it must not be asked.
    let brackets = text.matches(['(', '[', '{']).count();
    if brackets > limits::WHEN_BRACKETS_MAX {
        return refuse("opening brackets", limits::WHEN_BRACKETS_MAX, brackets);
    }
    Program::compile(text).map_err(|errors| wrong(text, &errors))
}

fn walk(expression: &cel::common::ast::IdedExpr, found: &mut Vec<Vec<String>>) {
    use cel::common::ast::{EntryExpr, Expr};
    if let Some(path) = path(expression) {
        found.push(path);
        return;
    }
    match &expression.expr {
        Expr::Select(select) => walk(&select.operand, found),
        Expr::Call(call) => {
            call.target.iter().for_each(|target| walk(target, found));
            call.args.iter().for_each(|arg| walk(arg, found));
        }
        Expr::List(list) => list.elements.iter().for_each(|e| walk(e, found)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                walk(&entry.key, found);
                walk(&entry.value, found);
            }
            EntryExpr::StructField(field) => walk(&field.value, found),
        }),
        Expr::Struct(made) => made.entries.iter().for_each(|entry| {
            if let EntryExpr::StructField(field) = &entry.expr {
                walk(&field.value, found);
            }
        }),
        // `list.exists(x, …)` and its kin: their own variables are no names of the run.
        Expr::Comprehension(over) => {
            walk(&over.iter_range, found);
            let mut inner = Vec::new();
            for part in [&over.accu_init, &over.loop_cond, &over.loop_step, &over.result] {
                walk(part, &mut inner);
            }
            let own = |root: &String| {
                *root == over.iter_var || *root == over.accu_var || over.iter_var2.as_ref() == Some(root)
            };
            found.extend(inner.into_iter().filter(|path| !path.first().is_some_and(own)));
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn path(expression: &cel::common::ast::IdedExpr) -> Option<Vec<String>> {
    use cel::common::ast::Expr;
    match &expression.expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) => {
            let mut path = path(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> String {
        match references(text) {
            Ok(paths) => paths.iter().map(|path| path.join(".")).collect::<Vec<_>>().join(" "),
            Err(wrong) => format!("{:?} {}", wrong.at, wrong.message),
        }
    }

    #[test]
    fn a_condition_tells_all_it_names() {
        for (text, names) in [
            ("mode == 'graceful' && !params.full", "mode params.full"),
            ("steps.a.lag > 5 || steps.b.c.d", "steps.a.lag steps.b.c.d"),
            ("has(steps.a.lag)", "steps.a.lag"),
            ("steps.a.list.exists(x, x == params.n)", "steps.a.list params.n"),
            ("[params.a, {'k': params.b}['k']].size() == 2", "params.a params.b"),
            ("steps['a'].lag", "steps"),
            ("true", ""),
        ] {
            assert_eq!(named(text), names, "{text}");
        }
    }

    #[test]
    fn a_condition_that_cannot_be_read_is_told_in_words() {
        for (text, told) in [
            ("mode = 'graceful'", "Some(5) `=` cannot stand in a condition"),
            ("mode ==", "None this condition ends too early"),
            ("", "None this condition ends too early"),
            ("params.a and params.b", "Some(9) `and` is no word of a condition"),
            ("params.a ? 1", "Some(0) a condition cannot be read at `p`"),
            ("'é' + ) ", "Some(7) a condition cannot be read at `)`"),
            ("(1", "None this condition ends too early"),
            ("'open", "Some(0) a condition cannot be read at `'`"),
        ] {
            assert_eq!(named(text), told, "{text}");
        }
        let many = "None a condition has at most 32 opening brackets, this has 1000";
        assert_eq!(named(&"(".repeat(1000)), many);
        assert_eq!(named(&"x".repeat(1025)), "None a condition has at most 1024 bytes, this has 1025");
    }
}
