//! Durations as people write them: `30s`, `15m`, `1h30m`.
//!
//! Whole milliseconds, because timers have no finer grain, and always with a
//! unit: a bare `30` has meant seconds to one reader and minutes to the next.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Dur(pub i64);

/// From long to short, as they must follow each other in a text.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Nothing in a recovery is meant to take longer; a longer text is a slip of
/// the finger, and sums of a few stay far from the end of an `i64`.
const LONGEST: Dur = Dur(366 * 86_400_000);

impl Dur {
    /// A number of seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1000)
    }

    /// The sum, if it can be told.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, if it can be told.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// So many times this, if it can be told.
    pub fn checked_mul(self, times: i64) -> Option<Self> {
        self.0.checked_mul(times).map(Self)
    }
}

/// Why a text is not a duration: a sentence for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotADuration(String);

impl FromStr for Dur {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotADuration(format!(
                "`{text}` has no unit: a duration is written {text}s, {text}m or {text}h"
            )));
        }
        let sum = sum(text).ok_or_else(|| {
            NotADuration(format!("`{text}` is not a duration: a number and a unit, as in 30s, 15m, 1h"))
        })?;
        if sum > LONGEST {
            return Err(NotADuration(format!("`{text}` is longer than 366 days")));
        }
        Ok(sum)
    }
}

/// The sum of the numbers with units; each unit at most once, long ones first.
fn sum(text: &str) -> Option<Dur> {
    let mut total = Dur(0);
    let mut rest = text;
    let mut units = UNITS.iter();
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (_, length) = units.find(|(unit, _)| *unit == &rest[..letters])?;
        rest = &rest[letters..];
        total = Dur(*length).checked_mul(number).and_then(|more| total.checked_add(more))?;
        if rest.is_empty() {
            return Some(total);
        }
    }
}

impl fmt::Display for Dur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.unsigned_abs();
        if left == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (unit, length) in UNITS {
            let length = length.unsigned_abs();
            if left >= length {
                write!(f, "{}{unit}", left / length)?;
                left %= length;
            }
        }
        Ok(())
    }
}

impl Serialize for Dur {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Dur {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any, not text: a bare number is to be told that it lacks a unit.
        deserializer.deserialize_any(DurVisitor)
    }
}

struct DurVisitor;

impl Visitor<'_> for DurVisitor {
    type Value = Dur;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Dur, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Dur, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Dur, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Dur, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Dur, E> {
        Err(E::invalid_type(Unexpected::Unit, &self))
    }
}

impl JsonSchema for Dur {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 2,
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        for (text, milliseconds, shown) in [
            ("30s", 30_000, "30s"),
            ("800ms", 800, "800ms"),
            ("15m", 900_000, "15m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("90m", 5_400_000, "1h30m"),
            ("2d", 172_800_000, "2d"),
            ("1500ms", 1500, "1s500ms"),
            ("0s", 0, "0s"),
            ("366d", 31_622_400_000, "366d"),
        ] {
            let dur: Dur = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((dur, dur.to_string().as_str()), (Dur(milliseconds), shown));
            assert_eq!(dur.to_string().parse(), Ok(dur));
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_sentence() {
        for (text, message) in [
            ("18 minutes", "`18 minutes` is not a duration: a number and a unit, as in 30s, 15m, 1h"),
            ("", "`` is not a duration: a number and a unit, as in 30s, 15m, 1h"),
            ("-5s", "`-5s` is not a duration: a number and a unit, as in 30s, 15m, 1h"),
            ("1.5h", "`1.5h` is not a duration: a number and a unit, as in 30s, 15m, 1h"),
            ("1m1h", "`1m1h` is not a duration: a number and a unit, as in 30s, 15m, 1h"),
            ("5é", "`5é` is not a duration: a number and a unit, as in 30s, 15m, 1h"),
            (
                "99999999999999999999s",
                "`99999999999999999999s` is not a duration: a number and a unit, as in 30s, 15m, 1h",
            ),
            ("367d", "`367d` is longer than 366 days"),
            ("30", "`30` has no unit: a duration is written 30s, 30m or 30h"),
        ] {
            assert_eq!(text.parse::<Dur>().map_err(|e| e.to_string()), Err(message.to_owned()));
        }
        let bare = serde_json::from_str::<Dur>("30").map_err(|e| e.to_string());
        assert_eq!(bare, Err("`30` has no unit: a duration is written 30s, 30m or 30h at line 1 column 2".to_owned()));
    }
}
