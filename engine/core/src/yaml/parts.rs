//! serde's view of what holds other values: lists, maps, and enums written as
//! maps with one key.

use std::marker::PhantomData;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::blank::Blank;
use super::de::De;
use super::fault::Fault;
use super::seen::Seen;
use super::walk::Walk;
use super::{Kids, Pairs, R};
use crate::problem::Span;

/// First byte, last byte, value: what [`super::Spanned`] asks for.
pub(super) struct WithPlace<'w, 'a, 'd> {
    pub(super) de: Option<De<'w, 'a, 'd>>,
    pub(super) ends: u8,
}

impl<'d> SeqAccess<'d> for WithPlace<'_, '_, 'd> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'d>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(de) = &self.de else { return Ok(None) };
        let span = de.node.span();
        self.ends += 1;
        match self.ends {
            1 => seed.deserialize(span.start.into_deserializer()).map(Some),
            2 => seed.deserialize(span.end.into_deserializer()).map(Some),
            _ => self.de.take().map(|de| seed.deserialize(de)).transpose(),
        }
    }
}

pub(super) struct List<'w, 'a, 'd> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) kids: Kids<'d>,
}

impl<'d> SeqAccess<'d> for List<'_, '_, 'd> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'d>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        for kid in self.kids.by_ref() {
            if self.walk.bad.contains(&kid.id()) {
                self.walk.holes += 1;
                continue;
            }
            return self.walk.value(seed, kid, opening(kid)).map(Some);
        }
        Ok(None)
    }
}

/// Where an entry of a list begins: nothing names it, so its first key must.
pub(super) fn opening(node: R<'_>) -> Span {
    node.pairs().next().map_or_else(|| node.span(), |(key, _)| key.span())
}

pub(super) struct Map<'w, 'a, 'd> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) pairs: Pairs<'d>,
    pub(super) seen: Seen<'d>,
    pub(super) fields: Option<&'static [&'static str]>,
    pub(super) blanks: Vec<&'static str>,
    pub(super) next: Next<'d>,
}

/// The value that serde will ask for next.
pub(super) enum Next<'d> {
    Nothing,
    Blank,
    Value { key: R<'d>, value: R<'d> },
}

impl<'d> MapAccess<'d> for Map<'_, '_, 'd> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'d>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        for (key, value) in self.pairs.by_ref() {
            if self.walk.skips(key, value, &mut self.seen, self.fields) {
                continue;
            }
            self.next = Next::Value { key, value };
            if self.fields.is_some() {
                // A name of the type's own list cannot fail.
                let name: StrDeserializer<'_, Fault> = key.text().unwrap_or_default().into_deserializer();
                return seed.deserialize(name).map(Some);
            }
            return self.walk.value(seed, key, key.span()).map(Some);
        }
        let Some(field) = self.blanks.pop() else {
            return Ok(None);
        };
        self.walk.holes += 1;
        self.next = Next::Blank;
        let name: StrDeserializer<'_, Fault> = field.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'d>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Value { key, value } => self.walk.value(seed, value, key.span()),
            // A blank that does not fit hides the rest of this map, no more.
            Next::Blank => seed.deserialize(Blank).map_err(|_| Fault::said("a blank")),
            Next::Nothing => Err(Fault::said("a key comes before its value")),
        }
    }
}

/// A map with one key, as serde writes an enum.
pub(super) struct Choice<'w, 'a, 'd> {
    pub(super) walk: &'w mut Walk<'a>,
    pub(super) key: R<'d>,
    pub(super) content: R<'d>,
}

impl<'d> EnumAccess<'d> for Choice<'_, '_, 'd> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'d>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.key.text().unwrap_or_default().into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'d> Choice<'_, '_, 'd> {
    fn content<S: DeserializeSeed<'d>>(self, seed: S) -> Result<S::Value, Fault> {
        if self.walk.bad.contains(&self.content.id()) {
            self.walk.holes += 1;
            return Err(Fault::said("a gap"));
        }
        self.walk.value(seed, self.content, self.key.span())
    }
}

impl<'d> VariantAccess<'d> for Choice<'_, '_, 'd> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.content(PhantomData)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'d>>(self, seed: S) -> Result<S::Value, Fault> {
        self.content(seed)
    }

    fn tuple_variant<V: Visitor<'d>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content(Shape { fields: None, len, visitor })
    }

    fn struct_variant<V: Visitor<'d>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.content(Shape { fields: Some(fields), len: 0, visitor })
    }
}

/// A name without anything under it, as serde writes a unit variant.
pub(super) struct Bare<'t>(pub(super) &'t str);

impl Bare<'_> {
    fn incomplete<T>(&self) -> Result<T, Fault> {
        Err(Fault::said(format!("`{}` needs something under it: `{}: …`", self.0, self.0)))
    }
}

impl<'d> EnumAccess<'d> for Bare<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'d>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'d> VariantAccess<'d> for Bare<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'d>>(self, _: S) -> Result<S::Value, Fault> {
        self.incomplete()
    }

    fn tuple_variant<V: Visitor<'d>>(self, _: usize, _: V) -> Result<V::Value, Fault> {
        self.incomplete()
    }

    fn struct_variant<V: Visitor<'d>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Fault> {
        self.incomplete()
    }
}

/// The body of a variant, to be read like any value.
pub(super) struct Shape<V> {
    pub(super) fields: Option<&'static [&'static str]>,
    pub(super) len: usize,
    pub(super) visitor: V,
}

impl<'d, V: Visitor<'d>> DeserializeSeed<'d> for Shape<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'d>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        match self.fields {
            Some(fields) => deserializer.deserialize_struct("", fields, self.visitor),
            None => deserializer.deserialize_tuple(self.len, self.visitor),
        }
    }
}
