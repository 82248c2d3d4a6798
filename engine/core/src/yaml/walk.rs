//! What one read of a value knows of its mistakes, over all passes.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeSeed;
use serde_json::Value;

use super::de::De;
use super::fault::{Fault, unknown};
use super::found::{Found, Resolved, inside, json_int, may_refer, not_finite, quote_all, rewritten, whole};
use super::read::{Lookup, Scope};
use super::seen::Seen;
use super::{Core, Kind, R};
use crate::problem::{Problem, Span};
use crate::template::{Template, TemplateError};

/// Mistakes told of one value: a file made of nothing else is not worth more.
pub(super) const NOTED_MAX: usize = 1000;

pub(super) type Id = (u32, Option<u32>);

/// What one read knows of its mistakes, over all passes.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a read")]
pub(super) struct Walk<'a> {
    pub(super) scope: &'a dyn Scope,
    pub(super) noted: Vec<Problem>,
    /// Keys that are unknown or doubled; their entries are skipped.
    pub(super) flagged: HashSet<Id>,
    /// Values with a mistake of their own; their entries are skipped.
    pub(super) bad: HashSet<Id>,
    /// Fields to be filled with a blank, by their map.
    pub(super) blanks: HashMap<Id, Vec<&'static str>>,
    /// Scalars that were read as text, though by themselves they are none: as JSON they stay text.
    pub(super) texts: HashSet<Id>,
    /// A number that JSON would write otherwise is told.
    pub(super) exact: bool,
    /// Skipped entries and blanks of this pass.
    pub(super) holes: usize,
    /// A reference names what is told already: there is no value, and nothing to say.
    pub(super) lost: bool,
    /// This pass has met its mistake; whatever is said after is an echo.
    pub(super) died: bool,
    /// This pass has learned something, so that another makes sense.
    pub(super) gained: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(scope: &'a dyn Scope) -> Self {
        Self {
            scope,
            noted: Vec::new(),
            flagged: HashSet::new(),
            bad: HashSet::new(),
            blanks: HashMap::new(),
            texts: HashSet::new(),
            exact: false,
            holes: 0,
            lost: false,
            died: false,
            gained: false,
        }
    }

    /// Reads one value, and settles what its failure means.
    pub(super) fn value<'d, S: DeserializeSeed<'d>>(
        &mut self,
        seed: S,
        node: R<'d>,
        at: Span,
    ) -> Result<S::Value, Fault> {
        let holes = self.holes;
        let fault = match seed.deserialize(De { walk: &mut *self, node }) {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        if self.died {
            return Err(Fault::Gone);
        }
        self.died = true;
        match fault {
            Fault::Missing(field) if self.blank(node, field) => {
                if node.get(field).is_none() {
                    self.note(at, node.via(), format!("`{field}` is missing"), None);
                }
                return Err(Fault::Gone);
            }
            // A type that looks at its parts as a whole has seen a gap of
            // ours: the gap is noted, its complaint says nothing.
            Fault::Said(said) if self.holes == holes => {
                let (message, help) = *said;
                self.note(whole(node, at), node.via(), message, help);
            }
            Fault::Said(_) | Fault::Missing(_) | Fault::Gone => {}
        }
        self.gained |= self.bad.insert(node.id());
        Err(Fault::Gone)
    }

    /// Has a field filled with a blank from now on; false if it was already.
    fn blank(&mut self, node: R<'_>, field: &'static str) -> bool {
        let blanks = self.blanks.entry(node.id()).or_default();
        if blanks.contains(&field) {
            return false;
        }
        blanks.push(field);
        self.gained = true;
        true
    }

    pub(super) fn note(&mut self, span: Span, via: Option<Span>, message: String, help: Option<String>) {
        if self.noted.len() < NOTED_MAX {
            self.noted.push(Problem { span, via, message, help });
        }
    }

    /// Whether an entry of a map is to be skipped, noting why the first time.
    pub(super) fn skips<'d>(
        &mut self,
        key: R<'d>,
        value: R<'d>,
        seen: &mut Seen<'d>,
        fields: Option<&[&'static str]>,
    ) -> bool {
        let name = key.text().unwrap_or_default();
        let field = fields.map(|fields| fields.iter().position(|field| *field == name));
        let first = match field {
            None => seen.first(key, name),
            Some(Some(field)) => seen.first_field(key, field),
            Some(None) => None,
        };
        let refers = may_refer(name);
        if first.is_none() && !refers && field != Some(None) {
            let bad = self.bad.contains(&value.id()) || self.bad.contains(&key.id());
            self.holes += usize::from(bad);
            return bad;
        }
        if self.flagged.insert(key.id()) && self.noted.len() < NOTED_MAX {
            let (message, help) = if let Some(first) = first {
                let help = format!("it stands in line {} already", first.line());
                (format!("`{name}` is written twice"), Some(help))
            } else if refers {
                let help = "write the key out; references stand in values";
                ("a key cannot hold a reference".to_owned(), Some(help.to_owned()))
            } else {
                unknown("key", name, fields.unwrap_or_default())
            };
            self.note(key.span(), key.via(), message, help);
        }
        true
    }

    pub(super) fn found<'d>(&mut self, node: R<'d>) -> Result<Found<'d>, Fault> {
        let text = match (node.kind(), node.text()) {
            (Kind::List, _) => return Ok(Found::List),
            (Kind::Map, _) => return Ok(Found::Map),
            (Kind::Scalar, text) => text.unwrap_or_default(),
        };
        match self.resolve(node, text)? {
            None if node.is_plain() => Ok(Found::Plain(text)),
            None => Ok(Found::Text(text.into())),
            Some(Resolved::Value(value)) => Ok(Found::Value(value)),
            Some(Resolved::Text(text)) => Ok(Found::Text(text.into())),
            Some(Resolved::Later { first, .. }) => {
                let message = "a value that is known only while running cannot stand here";
                let help = "write the value out, or take one of `params`";
                self.note(inside(node, &first), node.via(), message.to_owned(), Some(help.to_owned()));
                Err(Fault::Gone)
            }
        }
    }

    /// What the references of a scalar come to; nothing if it has none.
    pub(super) fn resolve(&mut self, node: R<'_>, text: &str) -> Result<Option<Resolved>, Fault> {
        if !may_refer(text) {
            return Ok(None);
        }
        self.template(node, text).map(Some).map_err(|error| {
            if let Some(TemplateError { at, message, help }) = error {
                self.note(inside(node, &at), node.via(), message, help);
            }
            Fault::Gone
        })
    }

    fn template(&mut self, node: R<'_>, text: &str) -> Result<Resolved, Option<TemplateError>> {
        let template = Template::parse(text)?;
        // What each reference names, in their order; nothing where that comes later.
        let mut named = Vec::new();
        let (mut later, mut lost) = (None, false);
        for (path, at) in template.refs() {
            let words: Vec<&str> = path.iter().map(String::as_str).collect();
            match self.scope.lookup(&words) {
                Lookup::Known(value) => named.push(Some(value)),
                Lookup::Later => {
                    named.push(None);
                    later = later.or(Some(at));
                }
                Lookup::Told => {
                    self.lost = true;
                    lost = true;
                }
                Lookup::Unknown { message, help } => {
                    lost = true;
                    self.note(inside(node, &at), node.via(), message, help);
                }
            }
        }
        if lost {
            return Err(None);
        }
        let some_known = named.iter().any(Option::is_some);
        let mut named = named.into_iter();
        if let Some(first) = later {
            let template = if some_known { template.fill(&mut |_| named.next().flatten())? } else { template };
            return Ok(Resolved::Later { template, first });
        }
        let value = template
            .render(&mut |_| Ok::<_, TemplateError>(named.next().flatten().expect("every reference was looked up")))?;
        Ok(match value {
            Value::String(text) if template.whole().is_none() => Resolved::Text(text),
            value => Resolved::Value(value),
        })
    }

    pub(super) fn json(&mut self, node: R<'_>) -> Value {
        match node.kind() {
            // Lists and maps exactly as long as they are: a large plan holds tens of thousands.
            Kind::List => {
                let mut list = Vec::with_capacity(node.kids().count());
                list.extend(node.kids().map(|kid| self.json(kid)));
                Value::Array(list)
            }
            Kind::Map => {
                let mut seen = Seen::new(node);
                let mut map = serde_json::Map::with_capacity(node.pairs().count());
                for (key, value) in node.pairs() {
                    if !self.skips(key, value, &mut seen, None) {
                        map.insert(key.text().unwrap_or_default().to_owned(), self.json(value));
                    }
                }
                Value::Object(map)
            }
            Kind::Scalar => {
                let text = node.text().unwrap_or_default();
                match self.resolve(node, text) {
                    Ok(None) if node.is_plain() && !self.texts.contains(&node.id()) => self.plain_json(node, text),
                    Ok(None) => text.into(),
                    Ok(Some(Resolved::Later { template, .. })) => template.text().into(),
                    Ok(Some(Resolved::Text(text))) => Template::quote(&text).into(),
                    Ok(Some(Resolved::Value(value @ (Value::Number(_) | Value::Bool(_)))))
                        if self.texts.contains(&node.id()) =>
                    {
                        value.to_string().into()
                    }
                    Ok(Some(Resolved::Value(mut value))) => {
                        quote_all(&mut value);
                        value
                    }
                    Err(_) => Value::Null,
                }
            }
        }
    }

    fn plain_json(&mut self, node: R<'_>, text: &str) -> Value {
        if self.exact
            && let Some((message, help)) = rewritten(text)
        {
            self.note(node.span(), node.via(), message, Some(help));
        }
        match Core::of(text) {
            Core::Null => Value::Null,
            Core::Bool(it) => it.into(),
            Core::Int(int) => json_int(int),
            Core::Float(float) if float.is_finite() => float.into(),
            Core::Float(_) => {
                self.note(node.span(), node.via(), not_finite(text), None);
                Value::Null
            }
            Core::Text(text) => text.into(),
        }
    }
}
