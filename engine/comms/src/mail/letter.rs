//! A parcel as a mail, byte for byte the same however often it is made.

use super::{html, text};
use crate::parcel::{Body, Parcel};
use dr_engine::report::clean;
use lettre::{
    Address, Message,
    error::Error,
    message::{
        Body as Encoded, Mailbox, MessageBuilder, MultiPart, MultiPartKind, SinglePart,
        header::{ContentDisposition, ContentId, ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};
use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

/// Where ids live. Not the sender's domain: what is told again after somebody
/// changed `from` has to be the same mail. `.invalid` belongs to nobody (RFC 2606).
const DOMAIN: &str = "dr.invalid";

/// The picture's name within a mail.
const PICTURE: &str = "bars@dr.invalid";

/// The lines between parts, where lettre would draw random ones. `=_` stands in no text that is
/// quoted-printable (RFC 2045, 6.7), so no content can end its part.
const OUTER: &str = "=_dr-alternative";
const INNER: &str = "=_dr-related";

/// By what a parcel's mail is known: the same for every attempt, so that a
/// mailbox that got it twice shows it once.
pub fn message_id(parcel: &Parcel) -> String {
    format!("<{}.{}@{DOMAIN}>", word(&parcel.run), word(&parcel.id))
}

/// What all mails of a run answer to, so that they stand together. No mail has
/// this id. (Gmail asks for equal subjects too, and shows each mail by itself.)
fn thread_id(parcel: &Parcel) -> String {
    format!("<{}@{DOMAIN}>", word(&parcel.run))
}

/// Letters, digits, `-` and `_` as they are, all else in hexadecimal digits: no
/// two texts become one, and none can end an id or leave a folder.
pub(crate) fn word(text: &str) -> String {
    let mut word = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => word.push(char::from(byte)),
            other => write!(word, "={other:02X}").expect("a text takes all"),
        }
    }
    word
}

/// The mail of a parcel, from one to several.
pub(super) fn letter(parcel: &Parcel, from: &Mailbox, to: &[Mailbox]) -> Result<Message, Error> {
    let head = Message::builder()
        .from(from.clone())
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(parcel.made_at.0).unwrap_or(0)))
        .message_id(Some(message_id(parcel)))
        .in_reply_to(thread_id(parcel))
        .references(thread_id(parcel))
        .subject(clean(&parcel.subject()))
        // RFC 3834: nobody's out-of-office note is wanted.
        .raw_header(header("Auto-Submitted", "auto-generated"));
    let head = match &parcel.body {
        Body::Update(update) => {
            head.raw_header(header("X-DR-Chain", &format!("{} {}", update.seq, word(&update.head))))
        }
        Body::Notice(notice) if notice.urgent => head.raw_header(header("Importance", "high")),
        Body::Notice(_) | Body::Details(_) | Body::Announcement(_) => head,
    };
    // Nobody to write to: such a mail is only ever kept as a file.
    let all = if to.is_empty() { vec![nobody_at("nobody")] } else { to.to_vec() };
    all.into_iter().fold(head, MessageBuilder::to).multipart(parts(parcel))
}

/// A sender or recipient for what is never sent.
pub(super) fn nobody_at(user: &str) -> Mailbox {
    Mailbox::new(None, Address::new(user, DOMAIN).expect("it is an address"))
}

/// Text and page with the same facts. Whoever shows the page shows the picture in it.
fn parts(parcel: &Parcel) -> MultiPart {
    let picture = parcel.picture.as_ref();
    let page = part(ContentType::TEXT_HTML, html::page(parcel, picture.map(|_| PICTURE)).into_string());
    let both = bounded(MultiPartKind::Alternative, OUTER).singlepart(part(ContentType::TEXT_PLAIN, text::text(parcel)));
    match picture {
        None => both.singlepart(page),
        // Shown by Apple Mail (macOS 14, iOS 15), Thunderbird, Outlook on the web, on telephones and on macOS, and
        // Samsung's; not by Gmail nor by Outlook on Windows, whose readers get its text instead (caniemail.com,
        // "SVG image format", as tested until 2024). A bitmap would need a font and a renderer of our own.
        Some(svg) => both.multipart(
            bounded(MultiPartKind::Related, INNER).singlepart(page).singlepart(
                SinglePart::builder()
                    .header(ContentType::parse("image/svg+xml").expect("it is a type"))
                    .header(ContentDisposition::inline_with_name("bars.svg"))
                    .header(ContentId::from(format!("<{PICTURE}>")))
                    .body(quoted(svg.clone())),
            ),
        ),
    }
}

fn bounded(kind: MultiPartKind, boundary: &str) -> MultiPart {
    MultiPart::builder().kind(kind).boundary(boundary).build()
}

fn part(kind: ContentType, text: String) -> SinglePart {
    SinglePart::builder().header(kind).body(quoted(text))
}

/// Always quoted-printable: lines stay short whatever is in them, and are still read where they are kept.
fn quoted(text: String) -> Encoded {
    Encoded::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable).expect("any text can be quoted")
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), clean(value))
}
