//! Why a value is not what its reader wants, in words for its author.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::found::Found;
use crate::problem::did_you_mean;

/// Why a pass ended.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something that is noted already.
    Gone,
    /// A field is missing, serde says.
    Missing(&'static str),
    /// A sentence and a way out, to be placed at the value being read. Boxed,
    /// because every result carries the room for it.
    Said(Box<(String, Option<String>)>),
}

impl Fault {
    pub(super) fn told(message: String, help: Option<String>) -> Self {
        Self::Said(Box::new((message, help)))
    }

    pub(super) fn said(message: impl Into<String>) -> Self {
        Self::told(message.into(), None)
    }

    pub(super) fn wanted(what: impl fmt::Display, found: &Found<'_>) -> Self {
        Self::said(format!("{what} is wanted, this is {found}"))
    }

    pub(super) fn list_wanted(found: &Found<'_>) -> Self {
        let help = "a list is written `[one, two]`, or on lines that begin with `- `";
        Self::told(format!("a list is wanted, this is {found}"), Some(help.to_owned()))
    }

    pub(super) fn map_wanted(found: &Found<'_>) -> Self {
        Self::told(format!("a map is wanted, this is {found}"), Some(MAP.to_owned()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("a mistake"),
            Self::Missing(field) => write!(f, "`{field}` is missing"),
            Self::Said(said) => f.write_str(&said.0),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::said(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Bool(it) => format!("`{it}`"),
            Unexpected::Unsigned(it) => format!("`{it}`"),
            Unexpected::Signed(it) => format!("`{it}`"),
            Unexpected::Float(it) => format!("`{it}`"),
            Unexpected::Str(it) => format!("`{}`", short(it)),
            Unexpected::Unit => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a map".to_owned(),
            other => other.to_string(),
        };
        let wanted = wanted.to_string();
        // The words of serde for `NonZero…`, which are a programmer's.
        let wanted = if wanted.starts_with("a nonzero ") { "a whole number above 0" } else { &wanted };
        Self::said(format!("{wanted} is wanted, this is {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn invalid_length(len: usize, wanted: &dyn Expected) -> Self {
        Self::said(format!("{wanted} is wanted, this has {len}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let (message, help) = unknown("value", variant, expected);
        Self::told(message, help)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let (message, help) = unknown("key", field, expected);
        Self::told(message, help)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::said(format!("`{field}` is written twice"))
    }
}

/// How a map is written.
pub(super) const MAP: &str = "a map is written `{ key: value }`, or on indented lines `key: value`";

/// Message and help for a name that is none of the known ones.
pub(super) fn unknown(what: &str, written: &str, known: &[&str]) -> (String, Option<String>) {
    let message = format!("unknown {what} `{}`", short(written));
    (message, suggestion(written, known))
}

/// The name that was meant, or all names if they are few.
pub(super) fn suggestion(written: &str, known: &[&str]) -> Option<String> {
    if let Some(meant) = did_you_mean(written, known.iter().copied()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    match known {
        [only] => Some(format!("only `{only}` can stand here")),
        [first @ .., last] if known.len() <= 12 => Some(format!("it is one of `{}` and `{last}`", first.join("`, `"))),
        _ => None,
    }
}

/// Enough of a text to know it again.
pub(super) fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
