//! A value of whatever type is asked for, so that a pass comes past a gap.
//!
//! Nothing read with it is ever handed out.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::fault::Fault;

/// The value.
pub(super) struct Blank;

macro_rules! blanks {
    ($($method:ident $visit:ident($value:expr))*) => { $(
        fn $method<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit($value)
        }
    )* };
}

impl<'d> Deserializer<'d> for Blank {
    type Error = Fault;

    blanks! {
        // A duration, an identifier and a text at once.
        deserialize_any visit_borrowed_str("1s")
        deserialize_str visit_borrowed_str("1s")
        deserialize_string visit_borrowed_str("1s")
        deserialize_identifier visit_borrowed_str("1s")
        deserialize_char visit_char('1')
        deserialize_bytes visit_borrowed_bytes(b"")
        deserialize_byte_buf visit_borrowed_bytes(b"")
        deserialize_bool visit_bool(false)
        deserialize_i8 visit_i8(1)
        deserialize_i16 visit_i16(1)
        deserialize_i32 visit_i32(1)
        deserialize_i64 visit_i64(1)
        deserialize_u8 visit_u8(1)
        deserialize_u16 visit_u16(1)
        deserialize_u32 visit_u32(1)
        deserialize_u64 visit_u64(1)
        deserialize_f32 visit_f32(1.0)
        deserialize_f64 visit_f64(1.0)
        deserialize_seq visit_seq(Blanks { left: 0, fields: &[] })
        deserialize_map visit_map(Blanks { left: 0, fields: &[] })
    }

    fn deserialize_option<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'d>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'d>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'d>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Blanks { left: len, fields: &[] })
    }

    fn deserialize_tuple_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(Blanks { left: 0, fields })
    }

    fn deserialize_enum<V: Visitor<'d>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let first = variants.first().ok_or_else(|| Fault::said("an enum without variants"))?;
        visitor.visit_enum(BlankVariant(first))
    }

    fn deserialize_ignored_any<V: Visitor<'d>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

struct Blanks {
    left: usize,
    fields: &'static [&'static str],
}

impl<'d> SeqAccess<'d> for Blanks {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'d>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(Blank).map(Some)
    }
}

impl<'d> MapAccess<'d> for Blanks {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'d>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let [field, rest @ ..] = self.fields else {
            return Ok(None);
        };
        self.fields = rest;
        let name: StrDeserializer<'_, Fault> = field.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'d>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(Blank)
    }
}

struct BlankVariant(&'static str);

impl<'d> EnumAccess<'d> for BlankVariant {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'d>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name: StrDeserializer<'_, Fault> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'d> VariantAccess<'d> for BlankVariant {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'d>>(self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(Blank)
    }

    fn tuple_variant<V: Visitor<'d>>(self, len: usize, visitor: V) -> Result<V::Value, Fault> {
        Blank.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'d>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        Blank.deserialize_struct("", fields, visitor)
    }
}
