//! What is brought to people as messages of Slack's Block Kit.
//!
//! Facts stand in `plain_text`, which Slack shows as it is: whatever somebody
//! wrote into a note or a runbook mentions nobody, links nowhere and formats
//! nothing. Only what is to be typed stands in `mrkdwn`, escaped, because only
//! that has code blocks.
//!
//! The limits are Slack's, counted in UTF-16 units, which are never fewer than
//! characters. What has no room is counted.

use crate::{
    parcel::{Body, Parcel},
    update::{Update, text::of_day},
};
use dr_engine::{clock::Time, report::clean};
use serde::Serialize;
use serde_json::{Value, json};

/// Blocks of a message.
pub const BLOCKS_MAX: usize = 50;
/// The text of a header.
pub const HEADER_MAX: usize = 150;
/// The text of a section.
pub const SECTION_MAX: usize = 3_000;
/// The text of a footer: ours, Slack's is not known.
pub const CONTEXT_MAX: usize = 500;
/// The text of a notification, beyond which Slack recommends not to go.
pub const TEXT_MAX: usize = 4_000;

/// The text of all blocks together. Slack documents no limit; messages were refused
/// (`msg_blocks_too_long`) from 11,300 on: <https://github.com/slackapi/bolt-js/issues/2867>.
pub const MESSAGE_MAX: usize = 9_000;

/// Lines of the timeline in a message; the whole stands in the mail.
const TIMELINE_MAX: usize = 10;
/// Decisions of which the commands are shown.
const DECISIONS_MAX: usize = 6;
/// How long a single line may be: a note of a novel must not push out all others.
const LINE_MAX: usize = 1_000;
/// How much one titled part may say: as much as lets the whole message fit.
const ROOMS: [usize; 5] = [6_000, 3_000, 1_200, 600, 300];
/// Room for the words that say how much was left out.
const MORE: usize = 24;

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// What notifications and screen readers say, escaped.
    pub text: String,
    /// What is shown.
    pub blocks: Vec<Value>,
}

/// What is at the head of the channel all the time: where the recovery stands.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Anything of the run: its name and kind are taken from it.
    pub parcel: &'a Parcel,
    /// The newest update, once there is one.
    pub update: Option<&'a Update>,
    /// Where people meet when Slack fails.
    pub bridge: Option<&'a str>,
    /// What could not be done to the channel, for whoever can.
    pub undone: &'a [String],
}

/// Parcels for everybody, the oldest first, in one message. Of several the newest
/// update is shown whole, of the others what they said in a line; and since when
/// they were held up, if they were.
///
/// # Panics
/// Without a parcel.
pub fn message(parcels: &[Parcel], silent_since: Option<Time>) -> Message {
    let newest = parcels.iter().rposition(|parcel| matches!(parcel.body, Body::Update(_)));
    let shown = &parcels[newest.unwrap_or(parcels.len() - 1)];
    let missed = parcels.iter().filter(|parcel| !std::ptr::eq(*parcel, shown));
    let missed: Vec<_> = missed.map(|it| missed_line(it, shown.made_at)).collect();
    let told = (!missed.is_empty()).then(|| match silent_since {
        Some(since) => format!("Slack could not be reached since {}: what was missed", of_day(since, shown.made_at)),
        None => "Told together".to_owned(),
    });
    let blocks = fitted(|room| {
        let mut blocks = Vec::new();
        if let Some(told) = &told {
            blocks.push(header(&format!("[{}] {told}", shown.mark())));
            blocks.extend(sections("", &missed, room));
            blocks.push(json!({ "type": "divider" }));
        }
        blocks.extend(whole(shown, room));
        blocks
    });
    Message { text: notification(shown, told.as_deref()), blocks }
}

/// What happened, line by line: for the thread below the head.
pub fn thread(parcels: &[Parcel]) -> Message {
    let lines: Vec<_> = parcels.iter().flat_map(detail_lines).collect();
    let text = parcels.last().map_or(String::new(), Parcel::subject);
    Message { text: fit(&escape(&text), TEXT_MAX), blocks: sections("", &lines, MESSAGE_MAX) }
}

/// The message at the head.
pub fn head(head: Head<'_>) -> Message {
    let Head { parcel, update, bridge, undone } = head;
    let blocks = fitted(|room| {
        let mut blocks = vec![header(&title(parcel, update))];
        match update {
            Some(update) => {
                let wanted = ["Headline", "Status", "Impact", "Clock", "Next update"];
                // The usual ones, whatever the runbook's template says: the head is for a glance.
                let parts = update.usual(TIMELINE_MAX).into_iter();
                let parts = parts.filter(|part| wanted.contains(&part.title.as_str()));
                blocks.extend(parts.flat_map(|it| sections(&it.title, &it.lines, room)));
            }
            None => blocks.extend(sections("", &["The newest message below says where it stands.".to_owned()], room)),
        }
        let mut links = vec![format!("Status: dr status {}", parcel.run)];
        links.extend(bridge.map(|bridge| format!("Bridge, should Slack fail: {bridge}")));
        blocks.extend(sections("Links", &links, room));
        if !undone.is_empty() {
            blocks.extend(sections("Not done to this channel", undone, room));
        }
        blocks.push(context(&match update {
            Some(update) => format!("As of update {}. {} {}", update.number, update.signed(), update.provenance()),
            None => format!("Run {}, {}.", parcel.run, time(parcel.made_at)),
        }));
        blocks
    });
    Message { text: fit(&escape(&title(parcel, update)), TEXT_MAX), blocks }
}

/// The same in the fewest words, for when Slack takes no blocks: better than silence.
pub fn short(parcels: &[Parcel]) -> Message {
    let lines = parcels.iter().map(|parcel| match &parcel.body {
        Body::Update(update) => format!("{}\n{}", parcel.subject(), update.to_short()),
        Body::Notice(notice) => format!("{}\n{}", parcel.subject(), notice.lines.join("\n")),
        Body::Announcement(said) => format!("{}\n{}", parcel.subject(), said.message),
        Body::Details(_) => parcel.subject(),
    });
    // The newest first: of what is too long the middle is lost.
    let lines: Vec<_> = lines.collect::<Vec<_>>().into_iter().rev().collect();
    let run = parcels.first().map_or("RUN", |parcel| parcel.run.as_str());
    let rest = format!("\nSlack took no longer message: dr status {run}");
    let room = TEXT_MAX - width(&rest);
    Message { text: format!("{}{rest}", fit(&escape(&lines.join("\n")), room)), blocks: Vec::new() }
}

/// A text that Slack reads as `mrkdwn`, without any meaning to it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text of at most so many UTF-16 units: what is too long loses its middle,
/// because the mark stands at the beginning and where it stands at the end.
pub fn fit(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let half = (max - 1) / 2;
    let end = text.len() - prefix(text.chars().rev(), half);
    format!("{}…{}", &text[..prefix(text.chars(), half)], &text[end..])
}

/// The blocks with as much in each part as lets all of them fit.
fn fitted(blocks: impl Fn(usize) -> Vec<Value>) -> Vec<Value> {
    let all = ROOMS.into_iter().map(&blocks);
    let fits = |blocks: &Vec<Value>| blocks.len() <= BLOCKS_MAX && size(blocks) <= MESSAGE_MAX;
    all.into_iter().find(fits).unwrap_or_else(|| blocks(ROOMS[ROOMS.len() - 1]))
}

/// What all blocks say, in UTF-16 units.
fn size(blocks: &[Value]) -> usize {
    let texts = blocks.iter().flat_map(|block| {
        let elements = block["elements"].as_array().into_iter().flatten();
        std::iter::once(&block["text"]).chain(elements).filter_map(|text| text["text"].as_str())
    });
    texts.map(width).sum()
}

fn whole(parcel: &Parcel, room: usize) -> Vec<Value> {
    let mut blocks = vec![header(&parcel.subject())];
    match &parcel.body {
        Body::Update(update) => {
            for section in update.sections(TIMELINE_MAX) {
                let command = |line: &String| line.starts_with("  ");
                if section.lines.iter().any(command) && !section.lines.first().is_some_and(command) {
                    blocks.extend(decisions(&section.title, &section.lines, room, &parcel.run));
                } else {
                    blocks.extend(sections(&section.title, &section.lines, room));
                }
            }
            blocks.push(context(&format!("{} {}", update.signed(), update.provenance())));
        }
        Body::Notice(notice) => {
            blocks.extend(sections("", &notice.lines, room));
            let run = if parcel.trial { "No run".into() } else { format!("Run {}", parcel.run) };
            blocks.push(context(&format!("{run}, {}.", time(parcel.made_at))));
        }
        Body::Details(_) | Body::Announcement(_) => blocks.extend(sections("", &detail_lines(parcel), room)),
    }
    blocks
}

fn detail_lines(parcel: &Parcel) -> Vec<String> {
    match &parcel.body {
        Body::Details(lines) => lines.iter().map(|line| format!("{} {}", time(line.at), line.text)).collect(),
        Body::Announcement(said) => said.message.lines().map(str::to_owned).collect(),
        Body::Update(_) | Body::Notice(_) => vec![parcel.subject()],
    }
}

/// What people have to decide, each with what to type as code. In the lines of
/// an update commands are those that are indented.
fn decisions(title: &str, lines: &[String], room: usize, run: &str) -> Vec<Value> {
    let mut blocks = Vec::new();
    let groups: Vec<_> = lines.chunk_by(|_, next| next.starts_with("  ")).collect();
    for (at, group) in groups.iter().take(DECISIONS_MAX).enumerate() {
        let (question, commands) = group.split_at(1);
        let title = if at == 0 { title } else { "" };
        blocks.extend(sections(title, question, room));
        blocks.extend((!commands.is_empty()).then(|| code(commands, room.min(SECTION_MAX))));
    }
    if let Some(more) = groups.len().checked_sub(DECISIONS_MAX).filter(|more| *more > 0) {
        blocks.extend(sections("", &[format!("… and {more} more: dr status {run}")], room));
    }
    blocks
}

fn code(lines: &[String], room: usize) -> Value {
    const FENCE: &str = "```";
    // A grave accent would end the code; another command in its place would be worse than none.
    let plain = |line: &String| {
        if line.contains('`') { "# shown by dr status".to_owned() } else { escape(line.trim()) }
    };
    let (mut text, room) = (String::new(), room - 2 * FENCE.len());
    for (at, line) in lines.iter().map(plain).enumerate() {
        // So would be a command that was cut.
        let more = format!("# … and {} more: dr status", lines.len() - at);
        if width(&text) + width(&line) + width(&more) + 2 > room {
            text = format!("{text}{more}\n");
            break;
        }
        text = format!("{text}{line}\n");
    }
    let text = format!("{FENCE}{}{FENCE}", text.trim_end());
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text, "verbatim": true } })
}

/// What was missed, in a line.
fn missed_line(parcel: &Parcel, on: Time) -> String {
    let what = match &parcel.body {
        Body::Update(update) => format!("Update {}: {}: {}", update.number, update.rag.word(), update.headline),
        Body::Notice(notice) => {
            std::iter::once(&notice.subject).chain(&notice.lines).cloned().collect::<Vec<_>>().join(" ")
        }
        Body::Details(lines) => format!("{} events", lines.len()),
        Body::Announcement(said) => said.title.clone(),
    };
    format!("{} {what}", of_day(parcel.made_at, on))
}

fn notification(shown: &Parcel, told: Option<&str>) -> String {
    let told = told.map_or(String::new(), |told| format!(" ({told})"));
    let said = match &shown.body {
        Body::Update(update) => update.headline.clone(),
        Body::Notice(notice) => notice.lines.first().cloned().unwrap_or_default(),
        Body::Announcement(said) => said.title.clone(),
        Body::Details(_) => String::new(),
    };
    fit(&escape(&clean(&format!("{}{told} — {said}", shown.subject()))), TEXT_MAX)
}

fn title(parcel: &Parcel, update: Option<&Update>) -> String {
    // Without an update in hand nothing is known of those that were given.
    let stands = update.map_or_else(|| format!("run {}", parcel.run), |update| clean(&update.subject()));
    format!("[{}] {}: {stands}", parcel.mark(), clean(&parcel.runbook))
}

/// Lines below a title, in sections; those for which there is no room are counted.
fn sections(title: &str, lines: &[String], room: usize) -> Vec<Value> {
    let titled = (!title.is_empty()).then(|| title.to_uppercase());
    let lines = lines.iter().map(|line| fit(&clean(line), LINE_MAX.min(room / 2)));
    let mut lines: Vec<_> = titled.into_iter().chain(lines).filter(|line| !line.is_empty()).collect();
    let mut used = 0;
    let kept = lines.iter().take_while(|line| {
        used += width(line) + 1;
        used + MORE <= room
    });
    let kept = kept.count();
    if kept < lines.len() {
        let more = format!("… and {} more", lines.len() - kept);
        lines.truncate(kept);
        lines.push(more);
    }
    let mut texts: Vec<String> = Vec::new();
    for line in lines {
        match texts.last_mut().filter(|text| width(text) + 1 + width(&line) <= SECTION_MAX) {
            Some(text) => *text = format!("{text}\n{line}"),
            None => texts.push(line),
        }
    }
    texts.iter().map(|text| json!({ "type": "section", "text": plain(text) })).collect()
}

fn header(text: &str) -> Value {
    json!({ "type": "header", "text": plain(&fit(text, HEADER_MAX)) })
}

fn context(text: &str) -> Value {
    json!({ "type": "context", "elements": [plain(&fit(&clean(text), CONTEXT_MAX))] })
}

fn plain(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

fn time(at: Time) -> String {
    of_day(at, at)
}

fn width(text: &str) -> usize {
    text.encode_utf16().count()
}

/// How many bytes of these characters make at most so many UTF-16 units.
fn prefix(chars: impl Iterator<Item = char>, max: usize) -> usize {
    let mut units = 0;
    let fits = chars.take_while(|c| {
        units += c.len_utf16();
        units <= max
    });
    fits.map(char::len_utf8).sum()
}
