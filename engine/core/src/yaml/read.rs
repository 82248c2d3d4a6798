//! Values from a tree: a `T`, or all the mistakes that keep it from being one.
//!
//! serde stops at the first mistake, so a read that fails is repeated: what
//! failed is noted and left out, and the next pass goes on to what lies behind
//! it. A required field that was left out, or is missing, is filled with a
//! blank so that the pass reaches the fields after it. A value without
//! mistakes is read once; only a runbook with mistakes pays.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::R;
use super::walk::Walk;
use crate::problem::{Problem, Span};

/// The values that references can name, at the place where something is read.
pub trait Scope {
    /// What a path names.
    fn lookup(&self, path: &[&str]) -> Lookup;
}

/// What a reference names.
#[derive(Debug, Clone, PartialEq)]
pub enum Lookup {
    /// A value known now.
    Known(Value),
    /// A value known only while running.
    Later,
    /// Something whose own mistake is told already: the reference is no second one.
    Told,
    /// Nothing.
    Unknown {
        /// What is wrong with the reference.
        message: String,
        /// A way out.
        help: Option<String>,
    },
}

/// The scope where nothing can be named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Closed;

impl Scope for Closed {
    fn lookup(&self, _: &[&str]) -> Lookup {
        Lookup::Unknown { message: "a reference cannot stand here".to_owned(), help: None }
    }
}

/// Passes over one value. Each finds a mistake or fills a gap; whoever has
/// more mistakes than this in one value sees the rest after mending some.
const PASSES_MAX: usize = 200;

/// Nodes looked at in all passes over one value together: about a second.
const LOOKS_MAX: usize = 20_000_000;

/// Reads a value. `at` is the key under which it stands: the place to say what
/// is missing.
pub fn read<T: DeserializeOwned>(node: R<'_>, at: Span, scope: &dyn Scope, problems: &mut Vec<Problem>) -> Option<T> {
    read_with(&mut Walk::new(scope), node, at, problems)
}

/// Reads a value, and gives it as [`json`] too. There a text that was written
/// without quotes is the text that was written, whatever YAML makes of it.
pub fn frozen<T: DeserializeOwned>(
    node: R<'_>,
    at: Span,
    scope: &dyn Scope,
    problems: &mut Vec<Problem>,
) -> Option<(T, Value)> {
    let mut walk = Walk::new(scope);
    let value = read_with(&mut walk, node, at, problems)?;
    as_json(&mut walk, node, problems).map(|json| (value, json))
}

fn read_with<T: DeserializeOwned>(
    walk: &mut Walk<'_>,
    node: R<'_>,
    at: Span,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let passes = (LOOKS_MAX / node.nodes()).clamp(10, PASSES_MAX);
    for _ in 0..passes {
        walk.died = false;
        walk.gained = false;
        match walk.value(PhantomData::<T>, node, at) {
            Ok(value) if walk.noted.is_empty() && !walk.lost => return Some(value),
            Err(_) if walk.gained && !walk.bad.contains(&node.id()) => {}
            Ok(_) | Err(_) => break,
        }
    }
    // A later pass may come across a mistake again.
    walk.noted.sort_by_key(|problem| (problem.span, problem.via));
    walk.noted.dedup();
    problems.append(&mut walk.noted);
    None
}

/// The node as JSON whose texts are templates: references to what is known are
/// replaced, those to what comes later stay, and `$${` stays escaped, so that
/// rendering the texts once more gives the values.
pub fn json(node: R<'_>, scope: &dyn Scope, problems: &mut Vec<Problem>) -> Option<Value> {
    as_json(&mut Walk::new(scope), node, problems)
}

/// The same, and a number that would be written otherwise after is a mistake:
/// a text may have been meant.
pub fn exact_json(node: R<'_>, scope: &dyn Scope, problems: &mut Vec<Problem>) -> Option<Value> {
    as_json(&mut Walk { exact: true, ..Walk::new(scope) }, node, problems)
}

fn as_json(walk: &mut Walk<'_>, node: R<'_>, problems: &mut Vec<Problem>) -> Option<Value> {
    let value = walk.json(node);
    let good = walk.noted.is_empty() && !walk.lost;
    problems.append(&mut walk.noted);
    good.then_some(value)
}

#[cfg(test)]
mod tests;
