//! A parcel as plain text.

use crate::{
    parcel::{Body, Parcel},
    update::Line,
};
use dr_engine::report::{clean, turns};

/// The whole, its subject first: LIVE or DRILL, and how it stands.
pub(super) fn text(parcel: &Parcel) -> String {
    let body = match &parcel.body {
        Body::Update(update) => update.to_text(),
        body => lines(body).iter().map(|line| format!("{line}\n")).collect(),
    };
    format!("{}\n\n{body}", clean(&parcel.subject()))
}

/// The lines of what is no update.
pub(super) fn lines(body: &Body) -> Vec<String> {
    match body {
        Body::Update(_) => Vec::new(),
        Body::Notice(notice) => notice.lines.iter().map(|line| plain(line)).collect(),
        Body::Details(lines) => lines.iter().map(|Line { at, text, .. }| format!("{at} {}", clean(text))).collect(),
    }
}

/// One line with its spaces, which set in and line up, and without what cannot be seen.
fn plain(line: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect();
    line.trim_end().to_owned()
}
