//! A map walked key by key, each value read by itself.

use serde::de::DeserializeOwned;

use super::fault::MAP;
use super::found::whole;
use super::read::{Scope, read};
use super::seen::Seen;
use super::walk::Walk;
use super::{Core, Kind, R};
use crate::problem::{Problem, Span};

/// A map walked key by key, each value read by itself.
pub struct Fields<'d> {
    node: R<'d>,
    at: Span,
    scope: &'d dyn Scope,
    asked: Vec<&'static str>,
    all: bool,
}

/// The only entry of a map, as under `do:`.
#[derive(Debug, Clone, Copy)]
pub struct One<'d> {
    /// The key.
    pub key: &'d str,
    /// Its place.
    pub key_span: Span,
    /// What stands under it.
    pub with: R<'d>,
}

impl<'d> Fields<'d> {
    /// Opens a map. `at` is the key under which it stands: the place to say
    /// what is missing.
    pub fn of(node: R<'d>, at: Span, scope: &'d dyn Scope, problems: &mut Vec<Problem>) -> Option<Self> {
        if node.kind() == Kind::Map {
            return Some(Self { node, at, scope, asked: Vec::new(), all: false });
        }
        let mut walk = Walk::new(scope);
        if let Ok(found) = walk.found(node) {
            let message = format!("a map is wanted, this is {found}");
            walk.note(whole(node, at), node.via(), message, Some(MAP.to_owned()));
        }
        problems.append(&mut walk.noted);
        None
    }

    /// The key and the value of a field, unread.
    pub fn node(&mut self, name: &'static str) -> Option<(Span, R<'d>)> {
        self.asked.push(name);
        let found = self.node.pairs().find(|(key, _)| key.text() == Some(name));
        found.map(|(key, value)| (key.span(), value))
    }

    /// A field that must be there.
    pub fn req<T: DeserializeOwned>(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<T> {
        let (at, node) = self.needed(name, problems)?;
        read(node, at, self.scope, problems)
    }

    /// A field that may be there; nothing, too, when it holds a mistake.
    pub fn opt<T: DeserializeOwned>(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<T> {
        let (at, node) = self.node(name)?;
        read::<Option<T>>(node, at, self.scope, problems).flatten()
    }

    /// A field that must be there and holds a map with exactly one key.
    pub fn one(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<One<'d>> {
        let (at, node) = self.needed(name, problems)?;
        if node.is_plain() && Core::of(node.text().unwrap_or_default()) == Core::Null {
            problems.push(Problem {
                span: at,
                via: node.via(),
                message: format!("`{name}` holds nothing"),
                help: None,
            });
            return None;
        }
        Fields::of(node, at, self.scope, problems)?;
        let mut pairs = node.pairs();
        let message = match (pairs.next(), pairs.next()) {
            (Some((key, with)), None) => {
                return Some(One { key: key.text().unwrap_or_default(), key_span: key.span(), with });
            }
            (None, _) => format!("`{name}` holds nothing"),
            (Some(_), Some(_)) => {
                let keys: Vec<&str> = node.pairs().filter_map(|(key, _)| key.text()).collect();
                format!("`{name}` holds exactly one key, here are {}: `{}`", keys.len(), keys.join("`, `"))
            }
        };
        problems.push(Problem { span: at, via: node.via(), message, help: None });
        None
    }

    /// All entries, a doubled one only the first time: for maps whose keys are
    /// names. No key is unknown then.
    pub fn entries(&mut self) -> impl Iterator<Item = (R<'d>, R<'d>)> + use<'d> {
        self.all = true;
        let mut seen = Seen::new(self.node);
        self.node.pairs().filter(move |(key, _)| seen.first(*key, key.text().unwrap_or_default()).is_none())
    }

    /// Notes the keys nobody asked for, and those written twice.
    pub fn finish(self, problems: &mut Vec<Problem>) {
        let mut walk = Walk::new(self.scope);
        let mut seen = Seen::new(self.node);
        let fields = (!self.all).then_some(self.asked.as_slice());
        for (key, value) in self.node.pairs() {
            walk.skips(key, value, &mut seen, fields);
        }
        problems.append(&mut walk.noted);
    }

    fn needed(&mut self, name: &'static str, problems: &mut Vec<Problem>) -> Option<(Span, R<'d>)> {
        let found = self.node(name);
        if found.is_none() {
            let message = format!("`{name}` is missing");
            problems.push(Problem { span: self.at, via: self.node.via(), message, help: None });
        }
        found
    }
}
