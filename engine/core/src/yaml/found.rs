//! What stands at a node once its references are resolved.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde_json::Value;

use super::fault::short;
use super::{Core, R};
use crate::problem::Span;
use crate::template::Template;

/// What stands at a node, references resolved.
pub(super) enum Found<'d> {
    Plain(&'d str),
    Text(Cow<'d, str>),
    /// The value of a reference.
    Value(Value),
    List,
    Map,
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain("") => f.write_str("nothing"),
            Self::Plain(text) => write!(f, "`{}`", short(text)),
            Self::Text(text) => write!(f, "the text `{}`", short(text)),
            Self::Value(Value::String(text)) => write!(f, "the text `{}`", short(text)),
            Self::Value(Value::Array(_)) | Self::List => f.write_str("a list"),
            Self::Value(Value::Object(_)) | Self::Map => f.write_str("a map"),
            Self::Value(scalar) => write!(f, "`{scalar}`"),
        }
    }
}

/// What a text with dollars stands for.
pub(super) enum Resolved {
    Value(Value),
    Text(String),
    Later { template: Template, first: Range<usize> },
}

/// A whole number as JSON has it: beyond 64 bits it is rounded, as every JSON
/// reader does.
#[expect(clippy::cast_precision_loss, reason = "JSON readers round too")]
pub(super) fn json_int(int: i128) -> Value {
    if let Ok(int) = i64::try_from(int) {
        int.into()
    } else if let Ok(int) = u64::try_from(int) {
        int.into()
    } else {
        (int as f64).into()
    }
}

/// What to say of a number that would be written otherwise after.
pub(super) fn rewritten(text: &str) -> Option<(String, String)> {
    let number = Core::rewritten(text)?;
    let message = format!("`{}` would be read as the number {number}", short(text));
    Some((message, format!("to keep it as it stands put it in quotes; else write {number}")))
}

pub(super) fn not_finite(text: &str) -> String {
    format!("a number is wanted, this is `{text}`")
}

/// Makes every text of a value the template that stands for it.
pub(super) fn quote_all(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("${") => *text = Template::quote(text),
        Value::Array(list) => list.iter_mut().for_each(quote_all),
        Value::Object(map) => map.values_mut().for_each(quote_all),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a text may hold references. Asked of every text: the look for one
/// byte is what makes it cheap.
pub(crate) fn may_refer(text: &str) -> bool {
    text.as_bytes().contains(&b'$') && text.contains("${")
}

/// A part of a scalar's text, or all of it if the source spells it otherwise.
pub(super) fn inside(node: R<'_>, part: &Range<usize>) -> Span {
    let Some(start) = node.text_start() else {
        return node.span();
    };
    let byte = |n: usize| start + u32::try_from(n).expect("a text lies in its file");
    Span { start: byte(part.start), end: byte(part.end) }
}

/// The place of a value; of one that is not there, the key that has none.
pub(super) fn whole(node: R<'_>, at: Span) -> Span {
    let span = node.span();
    if span.start == span.end { at } else { span }
}
