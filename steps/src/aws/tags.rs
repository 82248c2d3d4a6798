//! Whose a thing is: the tags that say which step of which run made it.

use super::limits::TAG_CHARS_MAX;
use dr_engine::{plan::hex, step::ReadCx};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The run that made it.
pub const RUN: &str = "dr:run";
/// The step of that run.
pub const STEP: &str = "dr:step";
/// The runbook.
pub const PLAN: &str = "dr:plan";

/// What it was made from, where the service itself does not say that.
pub const FROM: &str = "dr:from";

/// The tags of what a step makes.
pub fn of(cx: &ReadCx) -> [(&'static str, String); 3] {
    [(RUN, text(&cx.run.id)), (STEP, text(&cx.step.id)), (PLAN, text(&cx.run.runbook))]
}

/// Whose something is, by its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// This step of this run.
    Us,
    /// Somebody else; the words say who.
    Other(String),
}

/// Reads the tags of something that exists.
pub fn owner<'a>(cx: &ReadCx, tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Owner {
    let (mut run, mut step) = (None, None);
    for (key, value) in tags {
        match key {
            RUN => run = Some(value),
            STEP => step = Some(value),
            _ => {}
        }
    }
    let [(_, my_run), (_, my_step), _] = of(cx);
    match (run, step) {
        (Some(run), Some(step)) if run == my_run && step == my_step => Owner::Us,
        (Some(run), Some(step)) if run == my_run => Owner::Other(format!("step `{step}` of this run")),
        (Some(run), _) => Owner::Other(format!("run {run}")),
        _ => Owner::Other("somebody else: it has no tag of a run".into()),
    }
}

/// A token for the same call in every attempt, of hexadecimal digits.
pub fn token(cx: &ReadCx, what: &str) -> String {
    hex(&Sha256::digest(format!("{}/{what}", cx.token())))[..32].to_owned()
}

/// A text as a tag value: AWS takes letters, digits, blanks and `_.:/=+-@`.
/// Everything else is written as `=` and its code, so that two ids never
/// become one.
pub fn text(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for letter in raw.chars() {
        if letter.is_ascii_alphanumeric() || " _.:/+-@".contains(letter) {
            text.push(letter);
        } else {
            write!(text, "={:X}=", u32::from(letter)).expect("writing to a String");
        }
    }
    if text.len() > TAG_CHARS_MAX {
        let hash = hex(&Sha256::digest(raw));
        text.truncate(TAG_CHARS_MAX - hash.len() - 1);
        text = format!("{text}:{hash}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn an_id_becomes_a_tag_value_and_stays_itself() {
        assert_eq!(text("20261122-061532-evacuate-3fa9"), "20261122-061532-evacuate-3fa9");
        assert_eq!(text("restore[eu]"), "restore=5B=eu=5D=");
        assert_ne!(text("a[b]"), text("a=5B=b=5D="));
        assert_eq!(text(&"é".repeat(300)).len(), 256);
        assert_ne!(text(&"é".repeat(300)), text(&"é".repeat(301)));
    }
}
