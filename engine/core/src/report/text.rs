//! Words for people: lengths, persons, values; nothing in them can move a
//! cursor, open a table cell or load an image.

use crate::{clock::Time, duration::Dur, event::Person};
use serde_json::Value;

/// The longest value that stands in a line for people; JSON has it whole.
const VALUE_CHARS_MAX: usize = 160;

/// Whether a character cannot be seen and turns around or joins what stands beside it.
pub fn turns(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// One line without control characters, and without those that turn a text around.
pub fn clean(text: &str) -> String {
    let words: String = text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same, short enough for a line.
pub(super) fn clipped(text: &str) -> String {
    let text = clean(text);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A value as JSON, or as itself if it is a text.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => clipped(text),
        other => clipped(&other.to_string()),
    }
}

/// Text as Markdown that is nothing but text.
pub(super) fn escaped(text: &str) -> String {
    clean(text).replace('|', "\\|").replace('<', "\\<").replace("](", "]\\(")
}

/// Who it was: names are as claimed.
pub(super) fn who(person: &Person) -> String {
    let account = identity(person);
    match &person.name {
        Some(name) => format!("{} ({account})", clean(name)),
        None => account,
    }
}

/// The account of the operating system.
pub(super) fn identity(person: &Person) -> String {
    format!("{}@{}", clean(&person.user), clean(&person.host))
}

/// A length at a glance: whole minutes from ten minutes on, whole seconds from one second on.
pub fn brief(dur: Dur) -> String {
    let grain = if dur.0.abs() >= 600_000 { 60_000 } else { 1_000 };
    if dur.0.abs() < 1_000 { dur.to_string() } else { Dur(dur.0 - dur.0 % grain).to_string() }
}

/// A length in seconds, or below one as it is.
pub(super) fn seconds(dur: Dur) -> String {
    if dur.0.abs() < 1_000 { dur.to_string() } else { Dur(dur.0 - dur.0 % 1_000).to_string() }
}

/// A length beside what it is measured against: never so brief that a miss looks like a hit.
pub(super) fn beside(dur: Dur, objective: Option<Dur>) -> String {
    if objective.is_some_and(|objective| dur != objective && brief(dur) == brief(objective)) {
        return dur.to_string();
    }
    brief(dur)
}

/// The place of a moment behind another: `+41m30s`, `-5m`.
pub(super) fn offset(at: Time, from: Time) -> String {
    let dur = at.since(from);
    if dur < Dur(0) { seconds(dur) } else { format!("+{}", seconds(dur)) }
}

/// A moment in full, as RFC 3339.
pub(super) fn stamp(at: Time) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.to_string(), |stamp| stamp.to_string())
}

/// The time of day.
pub(super) fn of_day(at: Time) -> String {
    let stamp = jiff::Timestamp::from_millisecond(at.0);
    stamp.map_or_else(|_| at.to_string(), |stamp| stamp.strftime("%H:%M:%S").to_string())
}

/// Breaks a line at 80 columns where it can; the lines after the first begin at `indent`.
pub(super) fn wrapped(line: &str, indent: usize) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in line.split(' ') {
        let wide = word.chars().count();
        if column > indent && column + 1 + wide > 80 {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !text.is_empty() {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += wide;
    }
    text
}

/// A Markdown table whose columns also line up in a terminal.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let wide = |text: &str| text.chars().count();
    let widths: Vec<_> = head
        .iter()
        .enumerate()
        .map(|(at, name)| rows.iter().map(|row| wide(&row[at])).chain([wide(name)]).max().unwrap_or_default())
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<_> =
            cells.zip(&widths).map(|(cell, width)| format!(" {cell}{} ", " ".repeat(width - wide(cell)))).collect();
        format!("|{}|\n", cells.join("|"))
    };
    let rules: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let mut text = line(&mut head.iter().copied());
    text.push_str(&line(&mut rules.iter().map(String::as_str)));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}
