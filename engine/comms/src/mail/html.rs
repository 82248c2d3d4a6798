//! A parcel as a page in a mail: one column, readable on a telephone and in the dark.
//!
//! Mail programs drop style sheets, so every style stands at its element.
//! Text and ground have no colour of their own: the program's are right in the
//! light and in the dark. The few coloured words are white on a ground of at
//! least 4.5 : 1, and are words: nobody has to see the colour.

use super::text;
use crate::{
    parcel::{Body, Parcel},
    update::{
        Rag, Update,
        text::{Section, of_day},
    },
};
use dr_engine::{event::RunKind, report::clean};
use maud::{DOCTYPE, Markup, html};

const COLUMN: &str = "max-width:640px;margin:0 auto;padding:12px 16px;\
    font:16px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;overflow-wrap:anywhere";
const FIRST: &str = "margin:0 0 8px;font-size:15px";
const HEADLINE: &str = "margin:0 0 4px;font-size:20px;line-height:1.3";
const TITLE: &str = "margin:18px 0 2px;font-size:13px;letter-spacing:.04em;text-transform:uppercase;opacity:.75";
const LEAD: &str = "margin:0 0 4px";
/// The only style of many lines: Gmail cuts a page off after 102 KB.
const LIST: &str = "margin:0;padding-left:20px";
const COMMAND: &str = "margin:2px 0 4px;padding:4px 8px;border:1px solid #8888;border-radius:4px;\
    font:13px/1.4 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere";
const FOOT: &str = "margin:20px 0 0;padding-top:8px;border-top:1px solid #8888;font-size:13px";
const WIDE: &str = "max-width:1080px;margin:18px auto 0;padding:0 16px;overflow-x:auto";
const PICTURE: &str = "display:block;width:100%;min-width:720px;height:auto;border:0";
/// What stands where the picture cannot be shown.
const INSTEAD: &str = "A picture that this mail program does not show: the steps as bars over time. \
    The same is told in words here, and `dr report` shows it.";

/// The page; `picture` is the name of its picture within the mail.
pub(super) fn page(parcel: &Parcel, picture: Option<&str>) -> Markup {
    let subject = clean(&parcel.subject());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="supported-color-schemes" content="light dark";
                title { (subject) }
            }
            body style="margin:0;padding:0" {
                @match &parcel.body {
                    Body::Update(update) => (of_update(parcel, update, picture)),
                    other => {
                        div style=(COLUMN) {
                            p style=(FIRST) { (mark(parcel)) " " (clean(&parcel.runbook)) }
                            h1 style=(HEADLINE) { (subject) }
                            @for line in text::lines(other) { (kept(&line)) }
                        }
                        (shown(picture))
                    }
                }
            }
        }
    }
}

fn of_update(parcel: &Parcel, update: &Update, picture: Option<&str>) -> Markup {
    let sections = update.sections(text::TIMELINE_MAX);
    let (headline, rest) = sections.split_first().expect("an update has a headline");
    let (before, after) = rest.split_at(rest.iter().position(|part| part.title == "Timeline").unwrap_or(rest.len()));
    html! {
        div style=(COLUMN) {
            p style=(FIRST) {
                (mark(parcel)) " " (badge(update.rag.word(), ground(update.rag))) " " strong { (update.course.words()) }
                ". " (clean(&parcel.runbook)) ", update " (update.number) ", " (of_day(update.made_at, update.made_at))
            }
            // The Incident Commander's words, where there are any, before what the facts say.
            @for (nth, line) in headline.lines.iter().enumerate() {
                @if nth == 0 { h1 style=(HEADLINE) { (line) } } @else { p style=(LEAD) { (line) } }
            }
            @for section in before { (part(section)) }
        }
        (shown(picture))
        div style=(COLUMN) {
            @for section in after { (part(section)) }
            p style=(FOOT) { (update.signed()) br; (update.provenance()) }
        }
    }
}

fn part(section: &Section) -> Markup {
    html! {
        @if !section.title.is_empty() { h2 style=(TITLE) { (section.title) } }
        @if section.title == "Links" {
            ul style=(LIST) { @for line in &section.lines { li { (linked(line)) } } }
        } @else {
            (said(&section.lines))
        }
    }
}

/// A line with its spaces: what stands in a notice was set by whoever wrote it, a whole draft among it.
fn kept(line: &str) -> Markup {
    // A page takes several spaces for one, and Outlook knows no `white-space`.
    let line = line.replace("  ", "\u{a0} ");
    html! { div { @if line.is_empty() { br; } @else { (line) } } }
}

/// `Bridge: https://…`, to be tapped. Only what the runbook names: an address within a message of somebody else's is text.
fn linked(line: &str) -> Markup {
    match line.split_once(": ") {
        Some((name, address)) if address.starts_with("https://") || address.starts_with("http://") => {
            html! { (name) ": " a href=(address) style="color:inherit" { (address) } }
        }
        _ => html! { (line) },
    }
}

/// The lines of a part, as a list where there are several. One that is set in is a command to be copied.
fn said(lines: &[String]) -> Markup {
    let command = |line: &str| line.strip_prefix("  ").map(str::to_owned);
    html! {
        @if lines.len() > 1 && lines.iter().all(|line| command(line).is_none()) {
            ul style=(LIST) { @for line in lines { li { (line) } } }
        } @else {
            @for line in lines {
                @match command(line) {
                    Some(command) => pre style=(COMMAND) { (command) },
                    None => div { (line) },
                }
            }
        }
    }
}

/// The picture, wider than the text: its letters are small. A telephone moves it sideways.
fn shown(picture: Option<&str>) -> Markup {
    html! {
        @if let Some(name) = picture {
            div style=(WIDE) { img src={ "cid:" (name) } style=(PICTURE) alt=(INSTEAD); }
        }
    }
}

/// LIVE, DRILL, LAB or TEST: in the dark as in the light told from its ground by a border.
fn mark(parcel: &Parcel) -> Markup {
    badge(
        &parcel.mark(),
        match parcel.kind {
            _ if parcel.trial => "#5b6573",
            RunKind::Live => "#1b2430",
            RunKind::Drill => "#2458a6",
            RunKind::Lab => "#5b6573",
        },
    )
}

fn ground(rag: Rag) -> &'static str {
    match rag {
        Rag::Green => "#1b6e3c",
        Rag::Amber => "#8a5a00",
        Rag::Red => "#b3261e",
    }
}

fn badge(word: &str, ground: &str) -> Markup {
    let style = format!(
        "display:inline-block;padding:1px 8px;border:1px solid #8888;border-radius:4px;color:#fff;background:{ground}"
    );
    html! { strong style=(style) { (word) } }
}
