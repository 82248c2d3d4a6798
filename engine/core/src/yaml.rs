//! Reading YAML: a tree with places, and values read from it.
//!
//! A runbook is read by people under stress and written by people in a hurry,
//! so its mistakes are all told at once, each with its exact place. Types say
//! what they want with `#[derive(Deserialize)]` and know nothing of YAML; the
//! two they may ask for by name are [`Spanned`], a value that knows its place,
//! and [`In`], a value that may be known only while the run is under way.
//!
//! `flatten`, `untagged` and `tag` of serde lose the place; do not use them in
//! a type that is read here.

mod blank;
mod build;
mod de;
mod fault;
mod fields;
mod found;
mod parts;
mod read;
mod seen;
mod tree;
mod walk;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use self::found::json_int;

pub use self::build::parse;
pub use self::fields::{Fields, One};
pub(crate) use self::found::may_refer;
pub use self::read::{Closed, Lookup, Scope, exact_json, frozen, json, read};
pub use self::tree::{Doc, Kids, Kind, Limits, Pairs, R};
use crate::problem::Span;
use crate::template::Template;

/// The name by which [`Spanned`] asks our reader for a place.
const SPANNED: &str = "$spanned";
/// The name by which [`In`] asks our reader whether a value is known yet.
const IN: &str = "$in";
/// The name by which a type that is a text or something else asks our reader
/// for a text just as it was written: `0755` and `1.10` are numbers to YAML,
/// and would be written otherwise after.
pub const TEXT: &str = "$text";

/// A value and where it was written.
///
/// Read from anything but YAML it has the default place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Serialize> Serialize for Spanned<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(SPANNED, SpannedVisitor(PhantomData))
    }
}

struct SpannedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
    type Value = Spanned<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    /// Our reader: first byte, last byte, value.
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Spanned<T>, A::Error> {
        let missing = || A::Error::custom("a place has two ends");
        let start = parts.next_element()?.ok_or_else(missing)?;
        let end = parts.next_element()?.ok_or_else(missing)?;
        let value = parts.next_element()?.ok_or_else(missing)?;
        Ok(Spanned { value, span: Span { start, end } })
    }

    /// Every other reader.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Spanned<T>, D::Error> {
        T::deserialize(deserializer).map(|value| Spanned { value, span: Span::default() })
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// An input of a step: known now, or once other steps have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum In<T> {
    /// Known.
    Lit(T),
    /// A text with references to what is not known yet.
    Later(Template),
}

impl<T> In<T> {
    /// The value of an input that is known. The engine resolves all inputs
    /// before it makes a step of them, so a step asks without care.
    ///
    /// # Panics
    /// When the value is not known yet.
    pub fn get(&self) -> &T {
        match self {
            Self::Lit(value) => value,
            Self::Later(_) => panic!("inputs are resolved before a step is made"),
        }
    }

    /// The template of an input that is not known yet.
    pub fn later(&self) -> Option<&Template> {
        match self {
            Self::Lit(_) => None,
            Self::Later(template) => Some(template),
        }
    }
}

impl<T: fmt::Display> fmt::Display for In<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lit(value) => value.fmt(f),
            Self::Later(template) => template.fmt(f),
        }
    }
}

impl<T: Serialize> Serialize for In<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Lit(value) => value.serialize(serializer),
            Self::Later(template) => template.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for In<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(IN, InVisitor(PhantomData))
    }
}

struct InVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for InVisitor<T> {
    type Value = In<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a reference")
    }

    /// Our reader, which gives a text only for what is not known yet.
    fn visit_str<E: Error>(self, text: &str) -> Result<In<T>, E> {
        Template::parse(text).map(In::Later).map_err(E::custom)
    }

    /// What is known, and every other reader.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<In<T>, D::Error> {
        T::deserialize(deserializer).map(In::Lit)
    }
}

impl<T: JsonSchema> JsonSchema for In<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("In_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let known = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [known, { "type": "string", "pattern": r"\$\{" }] })
    }
}

/// What a plain scalar means by the core schema of YAML 1.2: no `yes`, no
/// octal by a leading zero, no base sixty, no dates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Core<'d> {
    /// `null`, `~`, nothing at all.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Any other number, and whole ones beyond all use.
    Float(f64),
    /// Everything else.
    Text(&'d str),
}

impl<'d> Core<'d> {
    /// The meaning of a plain text.
    pub fn of(text: &'d str) -> Self {
        match text.as_bytes() {
            [] | b"~" | b"null" | b"Null" | b"NULL" => Self::Null,
            b"true" | b"True" | b"TRUE" => Self::Bool(true),
            b"false" | b"False" | b"FALSE" => Self::Bool(false),
            [b'0'..=b'9' | b'+' | b'-' | b'.', ..] => Self::number(text),
            _ => Self::Text(text),
        }
    }

    /// The number that a plain text stands for, where that is written otherwise:
    /// `0755` is 755, `1.10` is 1.1, and whoever meant a text has lost it.
    pub(super) fn rewritten(text: &str) -> Option<String> {
        let shown = match Core::of(text) {
            Core::Int(int) => json_int(int).to_string(),
            Core::Float(float) if float.is_finite() => Value::from(float).to_string(),
            _ => return None,
        };
        let digits = text.strip_prefix('-').unwrap_or(text);
        let zero_first = digits.strip_prefix('0').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let zero_last = digits.split_once('.').is_some_and(|(_, rest)| rest.len() > 1 && rest.ends_with('0'));
        let exponent = digits.contains(['e', 'E']);
        let rounded =
            matches!(Core::of(text), Core::Int(int) if i64::try_from(int).is_err() && u64::try_from(int).is_err());
        (text.starts_with('+') || zero_first || zero_last && !exponent || rounded).then_some(shown)
    }

    fn number(text: &'d str) -> Self {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let radix = |prefix, radix| {
            let digits = text.strip_prefix(prefix).filter(|digits: &&str| !digits.starts_with(['+', '-']))?;
            i128::from_str_radix(digits, radix).ok()
        };
        if let Some(int) = radix("0x", 16).or_else(|| radix("0o", 8)) {
            return Self::Int(int);
        }
        if digits(unsigned) {
            let float = || text.parse().map_or(Self::Text(text), Self::Float);
            return text.parse().map_or_else(|_| float(), Self::Int);
        }
        match unsigned {
            ".inf" | ".Inf" | ".INF" if text.starts_with('-') => {
                return Self::Float(f64::NEG_INFINITY);
            }
            ".inf" | ".Inf" | ".INF" => return Self::Float(f64::INFINITY),
            ".nan" | ".NaN" | ".NAN" if unsigned == text => return Self::Float(f64::NAN),
            _ => {}
        }
        // Rust also reads `infinity` and the like: only these letters are ours.
        let ours = unsigned.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
        let begins = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        match text.parse() {
            Ok(float) if ours && begins => Self::Float(float),
            _ => Self::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
    struct Input {
        id: Spanned<String>,
        desired: In<u32>,
        class: Option<In<String>>,
    }

    #[test]
    fn what_was_read_goes_to_json_and_back() {
        let input = Input {
            id: Spanned { value: "web".to_owned(), span: Span { start: 3, end: 6 } },
            desired: In::Lit(6),
            class: None,
        };
        let written = json!({"id": "web", "desired": 6, "class": null});
        assert_eq!(serde_json::to_value(&input).ok(), Some(written.clone()));
        let back: Input = serde_json::from_value(written).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((back.id.value.as_str(), back.id.span), ("web", Span::default()));
        assert_eq!(*back.desired.get(), 6);

        let later: In<u32> = In::Later(Template::parse("${steps.a.n}").expect("a good template"));
        assert_eq!(serde_json::to_value(&later).ok(), Some(json!("${steps.a.n}")));
        assert_eq!((later.to_string(), input.desired.to_string()), ("${steps.a.n}".to_owned(), "6".to_owned()));
        assert!(serde_json::from_str::<In<u32>>("\"${steps.a.n}\"").is_err());
    }

    #[test]
    fn the_schema_shows_the_value_and_the_reference() {
        let schema = schemars::generate::SchemaSettings::draft07().into_generator().into_root_schema_for::<Input>();
        let at = |path: &str| schema.pointer(path).cloned().unwrap_or(Value::Null);
        assert_eq!(at("/properties/id/type"), json!("string"));
        assert_eq!(at("/properties/desired/anyOf/0/type"), json!("integer"));
        assert_eq!(at("/properties/desired/anyOf/1"), json!({"type": "string", "pattern": r"\$\{"}));
    }
}
