//! What a terminal is sent so that it shows a picture below what has happened.
//!
//! The cursor rests on an empty row above the picture, never below it: when a
//! window is resized, every terminal keeps the cursor where it stands in the
//! text, so that the picture is found again without counting rows that may
//! have been wrapped. Only what changed is sent, nothing is erased before it
//! is written anew, and each picture is one write: no flicker, and few bytes
//! over a slow line. Nothing above the cursor is ever touched again.

use super::{
    frame::{Line, Tone},
    width,
};
use std::fmt::Write;

/// Until the end of it, a terminal that knows this shows nothing half drawn; others pass it over.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
const ERASE_ROW: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// Knows what stands on the terminal.
#[derive(Default)]
pub struct Painter {
    shown: Vec<Line>,
    /// All of it has to be drawn.
    anew: bool,
}

impl Painter {
    /// What makes the terminal show these news above this picture; nothing, when it does already.
    pub fn paint(&mut self, news: &[Line], picture: Vec<Line>, columns: usize) -> String {
        let whole = self.anew || !news.is_empty() || picture.len() != self.shown.len();
        let bytes = if whole { all(news, &picture, columns) } else { self.changed(&picture) };
        self.shown = picture;
        self.anew = false;
        if bytes.is_empty() { bytes } else { format!("{BEGIN}{bytes}{END}") }
    }

    /// Something else may have written to the terminal: the next picture is drawn whole.
    pub fn doubt(&mut self) {
        self.anew = true;
    }

    /// Takes the picture away; what comes then stands in its place.
    pub fn clear(&mut self) -> String {
        let shown = !std::mem::take(&mut self.shown).is_empty();
        if shown { format!("\r{ERASE_BELOW}") } else { String::new() }
    }

    /// Writes anew what is different, from where it is.
    fn changed(&self, picture: &[Line]) -> String {
        let mut out = String::new();
        let mut at = 0;
        for (row, (old, new)) in self.shown.iter().zip(picture).enumerate() {
            if old == new {
                continue;
            }
            // The picture begins one row below the cursor.
            let row = row + 1;
            write!(out, "\x1b[{}B\r", row - at).expect("a text takes all");
            at = row;
            let same = if old.tone == new.tone { common(&old.text, &new.text) } else { 0 };
            if same > 0 {
                write!(out, "\x1b[{}C", width::of(&new.text[..same])).expect("a text takes all");
            }
            styled(&mut out, &new.text[same..], new.tone);
            out.push_str(ERASE_ROW);
        }
        if at > 0 {
            write!(out, "\x1b[{at}A\r").expect("a text takes all");
        }
        out
    }
}

/// News and picture whole, over whatever stands there.
fn all(news: &[Line], picture: &[Line], columns: usize) -> String {
    let mut out = String::from("\r");
    for line in news {
        for text in line.text.trim_end_matches('\n').split('\n') {
            let wraps = width::of(text) >= columns;
            // To erase the rest of a row that is full would take its last letter.
            out.push_str(if wraps { ERASE_BELOW } else { "" });
            styled(&mut out, text, line.tone);
            out.push_str(if wraps { "\r\n" } else { "\x1b[K\r\n" });
        }
    }
    out.push_str(ERASE_ROW);
    for line in picture {
        out.push_str("\r\n");
        styled(&mut out, &line.text, line.tone);
        out.push_str(ERASE_ROW);
    }
    out.push_str(ERASE_BELOW);
    out.push('\r');
    if !picture.is_empty() {
        write!(out, "\x1b[{}A", picture.len()).expect("a text takes all");
    }
    out
}

/// How many bytes two texts have in common, up to where a letter of its own begins in both.
fn common(old: &str, new: &str) -> usize {
    let same = old.char_indices().zip(new.chars()).find(|((_, a), b)| a != b);
    let end = same.map_or(old.len().min(new.len()), |((at, _), _)| at);
    // A sign that joins the letter before it must not be parted from it.
    if new[..end].is_ascii() && new[end..].chars().next().is_none_or(|c| c.is_ascii()) { end } else { 0 }
}

/// A text as it stands out, and nothing that a terminal would obey in it.
fn styled(out: &mut String, text: &str, tone: Tone) {
    let style = match tone {
        Tone::Head => "\x1b[1m",
        Tone::Ask => "\x1b[1;33m",
        Tone::Calm => "",
        Tone::Late => "\x1b[31m",
        Tone::Dim => "\x1b[2m",
    };
    out.push_str(style);
    out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    out.push_str(if style.is_empty() { "" } else { "\x1b[0m" });
}

#[cfg(test)]
mod tests;
