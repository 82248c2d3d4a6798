//! Text from elsewhere: made harmless for a terminal, and short.

use crate::limits;
use dr_engine::yaml::{In, TEXT};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::{borrow::Cow, fmt};

/// A text that may be written as a number or as `true`: an argument of a
/// command, a header. A reference to a number fits it too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(pub String);

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(TEXT, WordVisitor)
    }
}

/// The words of a command, of which the first is its program.
pub(crate) fn argv<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<In<Word>>, D::Error> {
    let argv = Vec::<In<Word>>::deserialize(deserializer)?;
    match argv.first() {
        None => Err(de::Error::custom("`argv` names no program, as in `[./restore, orders]`")),
        Some(In::Lit(Word(program))) if program.is_empty() => {
            Err(de::Error::custom("`argv` names no program: its first text is empty"))
        }
        Some(_) => Ok(argv),
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    /// What is no scalar of a runbook: JSON, whose numbers are texts here.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Word, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, it: bool) -> Result<Word, E> {
        Ok(Word(it.to_string()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Word, E> {
        Ok(Word(number.to_string()))
    }
}

impl JsonSchema for Word {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The text without anything that would move a cursor, colour a screen or turn
/// the direction of reading; lines and tabs stay.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                // A control sequence: parameters, then one letter.
                Some('[') => drop(rest.by_ref().find(|c| ('\u{40}'..='\u{7e}').contains(c))),
                // A string for the terminal itself, a title or a link: up to a bell or ESC \.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(c) = rest.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                Some(_) | None => {}
            },
            '\n' | '\t' => out.push(c),
            c if c.is_control() || turns(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Whether a character changes the direction of its neighbours.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

/// A text cut to what a message can carry.
pub(crate) fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(limits::QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        for (dirty, clean_) in [
            ("plain é 漢 \t x\ny", "plain é 漢 \t x\ny"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;https://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("a\u{9b}31mb", "a31mb"),
            ("over\rwrite\u{8}\u{0}\u{7f}", "overwrite"),
            ("\u{202e}desrever\u{202c}", "desrever"),
            ("cut \u{1b}[3", "cut "),
            ("cut \u{1b}", "cut "),
        ] {
            assert_eq!(clean(dirty), clean_, "{dirty:?}");
        }
    }
}
