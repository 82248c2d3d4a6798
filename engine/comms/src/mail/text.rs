//! A parcel as plain text.

use crate::{
    parcel::{Body, Parcel},
    update::Line,
};
use dr_engine::report::{clean, turns};

/// A mail holds no more lines of a timeline: servers refuse what is too large, and an update that is refused
/// tells nobody anything. What is left out is counted, and stands in the report.
pub(super) const TIMELINE_MAX: usize = 5_000;

/// The whole, its subject first: LIVE or DRILL, and how it stands.
pub(super) fn text(parcel: &Parcel) -> String {
    let body = match &parcel.body {
        Body::Update(update) => update.to_text(TIMELINE_MAX),
        body => lines(body).join("\n") + "\n",
    };
    format!("{}\n\n{body}", clean(&parcel.subject()))
}

/// The lines of what is no update.
pub(super) fn lines(body: &Body) -> Vec<String> {
    match body {
        Body::Update(_) => Vec::new(),
        Body::Notice(notice) => notice.lines.iter().map(|line| plain(line)).collect(),
        Body::Details(lines) => lines.iter().map(|Line { at, text, .. }| format!("{at} {}", clean(text))).collect(),
        // Customers get no mail of `dr`; whoever hears of it sees what they read.
        Body::Announcement(said) => said.message.lines().map(plain).collect(),
    }
}

/// One line with its spaces, which set in and line up, and without what cannot be seen.
fn plain(line: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect();
    line.trim_end().to_owned()
}
