//! serde's view of a node.

use std::borrow::Cow;

use serde::de::{self, Deserializer, Visitor};
use serde_json::Value;

use super::fault::{Fault, suggestion, unknown};
use super::found::{Found, Resolved, json_int, not_finite, rewritten};
use super::parts::{Bare, Choice, List, Map, Next, WithPlace};
use super::seen::Seen;
use super::walk::Walk;
use super::{Core, IN, R, SPANNED, TEXT};

/// serde's view of a node.
pub(super) struct De<'w, 'a, 'd> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) node: R<'d>,
}

impl<'d> De<'_, '_, 'd> {
    fn found(&mut self) -> Result<Found<'d>, Fault> {
        self.walk.found(self.node)
    }

    /// A whole number between two bounds.
    fn whole(&mut self, min: i128, max: i128) -> Result<i128, Fault> {
        let found = self.found()?;
        let int = match &found {
            Found::Plain(text) => match Core::of(text) {
                Core::Int(int) => Some(int),
                _ => None,
            },
            Found::Value(Value::Number(number)) => {
                number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
            }
            _ => None,
        };
        match int {
            Some(int) if (min..=max).contains(&int) => Ok(int),
            int => Err(Fault::told(
                format!("a whole number is wanted, this is {found}"),
                int.map(|_| format!("from {min} to {max}")),
            )),
        }
    }

    /// A text. What is none by itself is taken as it was written, and remembered as text.
    fn text<V: Visitor<'d>>(self, found: Found<'d>, visitor: V) -> Result<V::Value, Fault> {
        match found {
            Found::Plain(text) => match Core::of(text) {
                // Whoever means the four letters of `null` quotes them.
                Core::Null => Err(Fault::wanted("text", &Found::Plain(text))),
                Core::Text(_) => visitor.visit_borrowed_str(text),
                _ => {
                    self.walk.texts.insert(self.node.id());
                    visitor.visit_borrowed_str(text)
                }
            },
            Found::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Found::Text(Cow::Owned(text)) | Found::Value(Value::String(text)) => visitor.visit_string(text),
            // As `6` without quotes may be text, so may a reference to it.
            Found::Value(scalar @ (Value::Number(_) | Value::Bool(_))) => {
                self.walk.texts.insert(self.node.id());
                visitor.visit_string(scalar.to_string())
            }
            found => Err(Fault::wanted("text", &found)),
        }
    }

    fn list<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(List { kids: self.node.kids(), walk: self.walk })
    }

    fn map<V: Visitor<'d>>(self, fields: Option<&'static [&'static str]>, visitor: V) -> Result<V::Value, Fault> {
        let blanks = match fields {
            Some(_) if !self.walk.blanks.is_empty() => {
                self.walk.blanks.get(&self.node.id()).cloned().unwrap_or_default()
            }
            _ => Vec::new(),
        };
        visitor.visit_map(Map {
            walk: self.walk,
            pairs: self.node.pairs(),
            seen: Seen::new(self.node),
            fields,
            blanks,
            next: Next::Nothing,
        })
    }
}

/// A JSON value for whoever takes any. Scalars are handed over here, so that
/// what is said of them is in our words.
pub(super) fn scalar<'d, V: Visitor<'d>>(value: Value, visitor: V) -> Result<V::Value, Fault> {
    match value {
        Value::Null => visitor.visit_unit(),
        Value::Bool(it) => visitor.visit_bool(it),
        Value::String(text) => visitor.visit_string(text),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(int), _) => visitor.visit_u64(int),
            (None, Some(int)) => visitor.visit_i64(int),
            (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(_) | Value::Object(_) => value.deserialize_any(visitor).map_err(foreign),
    }
}

/// What `serde_json` says of the value of a reference.
#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
pub(super) fn foreign(error: serde_json::Error) -> Fault {
    Fault::said(error.to_string())
}

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ident)*) => { $(
        fn $method<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
            let int = self.whole($type::MIN.into(), $type::MAX.into())?;
            visitor.$visit($type::try_from(int).expect("the bounds were checked"))
        }
    )* };
}

impl<'d> Deserializer<'d> for De<'_, '_, 'd> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.found()? {
            Found::List => self.list(visitor),
            Found::Map => self.map(None, visitor),
            Found::Text(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Found::Text(Cow::Owned(text)) => visitor.visit_string(text),
            Found::Value(value) => scalar(value, visitor),
            Found::Plain(text) if let Some((message, help)) = rewritten(text) => Err(Fault::told(message, Some(help))),
            Found::Plain(text) => match Core::of(text) {
                Core::Null => visitor.visit_unit(),
                Core::Bool(it) => visitor.visit_bool(it),
                Core::Int(int) => scalar(json_int(int), visitor),
                Core::Float(float) if float.is_finite() => visitor.visit_f64(float),
                Core::Float(_) => Err(Fault::said(not_finite(text))),
                Core::Text(text) => visitor.visit_borrowed_str(text),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let found = self.found()?;
        match &found {
            Found::Plain(text) => match Core::of(text) {
                Core::Bool(it) => visitor.visit_bool(it),
                _ => Err(Fault::wanted("`true` or `false`", &found)),
            },
            Found::Value(Value::Bool(it)) => visitor.visit_bool(*it),
            _ => Err(Fault::wanted("`true` or `false`", &found)),
        }
    }

    whole_numbers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
    }

    fn deserialize_f32<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    #[expect(clippy::cast_precision_loss, reason = "whoever asks for a float gets one")]
    fn deserialize_f64<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let found = self.found()?;
        let float = match &found {
            Found::Plain(text) => match Core::of(text) {
                Core::Int(int) => Some(int as f64),
                Core::Float(float) => Some(float),
                _ => None,
            },
            Found::Value(Value::Number(number)) => number.as_f64(),
            _ => None,
        };
        float.map_or_else(|| Err(Fault::wanted("a number", &found)), |float| visitor.visit_f64(float))
    }

    fn deserialize_char<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let found = self.found()?;
        self.text(found, visitor)
    }

    fn deserialize_string<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Some(text) = self.node.text() else {
            return visitor.visit_some(self);
        };
        let none = if self.node.is_plain() && Core::of(text) == Core::Null {
            true
        } else if text.starts_with("${") {
            // Whether a reference may come later is for the type inside to say.
            let resolved = self.walk.resolve(self.node, text)?;
            matches!(resolved, Some(Resolved::Value(Value::Null)))
        } else {
            false
        };
        if none { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.found()? {
            Found::Plain(text) if Core::of(text) == Core::Null => visitor.visit_unit(),
            Found::Value(Value::Null) => visitor.visit_unit(),
            found => Err(Fault::wanted("nothing", &found)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'d>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'d>>(mut self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        if name == SPANNED {
            return visitor.visit_seq(WithPlace { de: Some(self), ends: 0 });
        }
        if name == TEXT {
            return match self.found()? {
                found @ (Found::Plain(_) | Found::Value(Value::Number(_) | Value::Bool(_))) => {
                    self.text(found, visitor)
                }
                _ => visitor.visit_newtype_struct(self),
            };
        }
        if name == IN
            && let Some(text) = self.node.text()
            && let Some(Resolved::Later { template, .. }) = self.walk.resolve(self.node, text)?
        {
            return visitor.visit_str(template.text());
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.found()? {
            Found::List => self.list(visitor),
            Found::Value(value @ Value::Array(_)) => value.deserialize_seq(visitor).map_err(foreign),
            found => Err(Fault::list_wanted(&found)),
        }
    }

    fn deserialize_tuple<V: Visitor<'d>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'d>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        match self.found()? {
            Found::Map => self.map(None, visitor),
            Found::Value(value @ Value::Object(_)) => value.deserialize_map(visitor).map_err(foreign),
            found => Err(Fault::map_wanted(&found)),
        }
    }

    fn deserialize_struct<V: Visitor<'d>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.found()? {
            Found::Map => self.map(Some(fields), visitor),
            Found::Value(value @ Value::Object(_)) => value.deserialize_struct(name, fields, visitor).map_err(foreign),
            found => Err(Fault::map_wanted(&found)),
        }
    }

    fn deserialize_enum<V: Visitor<'d>>(
        mut self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let unit = |variant: &str| {
            if variants.contains(&variant) {
                return Ok(());
            }
            Err(<Fault as de::Error>::unknown_variant(variant, variants))
        };
        match self.found()? {
            Found::Map => {
                let mut pairs = self.node.pairs();
                let (Some((key, content)), None) = (pairs.next(), pairs.next()) else {
                    let keys = self.node.pairs().count();
                    let message = format!("exactly one key is wanted, this map has {keys}");
                    return Err(Fault::told(message, suggestion("", variants)));
                };
                let variant = key.text().unwrap_or_default();
                if !variants.contains(&variant) {
                    let (message, help) = unknown("key", variant, variants);
                    self.walk.note(key.span(), key.via(), message, help);
                    return Err(Fault::Gone);
                }
                visitor.visit_enum(Choice { walk: self.walk, key, content })
            }
            Found::Plain(text) if Core::of(text) != Core::Null => {
                unit(text)?;
                visitor.visit_enum(Bare(text))
            }
            Found::Text(text) => {
                unit(&text)?;
                visitor.visit_enum(Bare(&text))
            }
            Found::Value(Value::String(text)) => {
                unit(&text)?;
                visitor.visit_enum(Bare(&text))
            }
            Found::Value(value @ Value::Object(_)) => value.deserialize_enum(name, variants, visitor).map_err(foreign),
            found => Err(Fault::told(format!("a name is wanted, this is {found}"), suggestion("", variants))),
        }
    }

    fn deserialize_identifier<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}
