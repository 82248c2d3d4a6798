//! What stands on a terminal while a run goes on: a pure picture of a run.
//!
//! The order is that of need: what this is and how far it is, what people are
//! asked with the command that answers, what is at work, what comes next. It
//! is no higher than leaves room for the last events above it; what does not
//! fit is counted, never dropped in silence.

mod head;
mod steps;
#[cfg(test)]
mod tests;

use super::width;
use dr_engine::{
    clock::Time,
    duration::Dur,
    report::{self, Forecast},
    run::Run,
};
use std::collections::BTreeMap;

/// What a picture is made of.
pub struct Scene<'a> {
    /// The run.
    pub run: &'a Run,
    /// The present.
    pub now: Time,
    /// When it will be over, as far as that can be told; it may be a moment old.
    pub forecast: Option<Forecast>,
    /// What running steps say, by their ids.
    pub says: &'a BTreeMap<String, String>,
    /// Nobody drives the run.
    pub unattended: bool,
    /// The width of the terminal.
    pub columns: usize,
    /// Its height.
    pub rows: usize,
}

/// A line and how it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The text; in a picture no wider than the terminal.
    pub text: String,
    /// How it stands out.
    pub tone: Tone,
}

/// How a line stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// The state of it all.
    Head,
    /// A person is wanted.
    Ask,
    /// It is going well.
    Calm,
    /// It takes too long, or went wrong.
    Late,
    /// It waits.
    Dim,
}

/// The highest that a picture becomes, however high the terminal is.
const ROWS_MAX: usize = 30;
/// So many rows are left to the last events, on a terminal that has this many.
const EVENTS: (usize, usize) = (6, 20);
/// A picture that may be so high has an empty row below its head.
const GAP_MIN: usize = 16;
/// Rows that what is at work keeps, whatever is asked.
const WORKING_MIN: usize = 4;
/// What comes next is named for so many steps.
const WAITING_MAX: usize = 4;
/// A question takes at most so many rows where room is short; the last events have it in full.
const QUESTION_ROWS_MAX: usize = 3;

impl Scene<'_> {
    /// The picture, line by line.
    pub fn draw(&self) -> Vec<Line> {
        let rows = self.rows.saturating_sub(if self.rows >= EVENTS.1 { EVENTS.0 } else { 2 }).clamp(1, ROWS_MAX);
        let waiting = self.waiting();
        let names = self.names(&waiting);
        let working = self.working(names);
        let mut lines = self.head(rows);
        if rows >= GAP_MIN {
            lines.push(self.line("", Tone::Calm));
        }
        let room = rows.saturating_sub(lines.len());
        let kept = working.len().min(WORKING_MIN) + waiting.len().min(1);
        lines.extend(self.questions(room.saturating_sub(kept)));
        let room = rows.saturating_sub(lines.len() + waiting.len().min(1));
        let shown = fitting(working.len(), room);
        let more = working.len() - shown;
        lines.extend(working.into_iter().take(shown));
        lines.extend(self.more(more, "at work"));
        let shown = fitting(waiting.len(), rows.saturating_sub(lines.len()).min(WAITING_MAX));
        lines.extend(self.next(&waiting[..shown], names));
        lines.extend(self.more(waiting.len() - shown, "to come"));
        lines.truncate(rows);
        // A terminal of a few columns has no room for what is set in.
        for line in &mut lines {
            line.text = width::cut(&line.text, self.width());
        }
        lines
    }

    /// How many there are that are not shown.
    fn more(&self, count: usize, what: &str) -> Option<Line> {
        (count > 0).then(|| self.line(format!("   … and {count} more {what}"), Tone::Dim))
    }

    /// One row, cut where the terminal ends.
    fn line(&self, text: impl AsRef<str>, tone: Tone) -> Line {
        Line { text: width::cut(text.as_ref().trim_end(), self.width()), tone }
    }

    /// The last column stays free: what stands there wraps on some terminals.
    fn width(&self) -> usize {
        self.columns.saturating_sub(1).max(1)
    }
}

/// How many of so many are shown in this room, when what is left out is counted in its last row.
fn fitting(count: usize, room: usize) -> usize {
    if count <= room { count } else { room.saturating_sub(1) }
}

/// A text from elsewhere as one row of nothing but text.
fn clean(text: &str) -> String {
    report::clean(text)
}

/// A span in whole seconds: what is finer changes faster than anybody reads.
fn brief(span: Dur) -> String {
    let span = span.0.max(0);
    super::plan::brief(Dur(span - span % 1_000))
}
