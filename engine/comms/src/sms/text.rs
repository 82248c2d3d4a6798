//! What stands in an SMS, and how many parts it takes.

use crate::parcel::{Meet, Notice, Parcel};
use dr_engine::report::clean;

/// An SMS takes at most so many parts; each is paid for, and a telephone shows the first lines.
pub const PARTS_MAX: usize = 3;
/// Where to meet may be so long, in bytes: half of what SNS takes at once (1,600; "Publishing to a mobile phone",
/// Amazon SNS Developer Guide).
pub const BRIDGE_BYTES_MAX: usize = 800;

/// The alphabet of an SMS, and with it how much fits (3GPP TS 23.038, 23.040): the whole of one part, and of each
/// of several, which say where they belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// The GSM 7-bit default alphabet.
    Gsm,
    /// UCS-2, as soon as one character is not in the other; in it what lies beyond 16 bits takes two.
    Ucs2,
}

/// The GSM 7-bit default alphabet (3GPP TS 23.038, 6.2.1), without its escape character.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                   ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Those that stand in its extension table (6.2.1.1): an escape before each, so two places.
const GSM_TWICE: &str = "\u{c}^{}\\[~]|€";

impl Alphabet {
    fn of(text: &str) -> Self {
        let gsm = text.chars().all(|c| GSM.contains(c) || GSM_TWICE.contains(c));
        if gsm { Self::Gsm } else { Self::Ucs2 }
    }

    /// How many places a part has that is the only one, and one of several.
    fn places(self) -> (usize, usize) {
        match self {
            Self::Gsm => (160, 153),
            Self::Ucs2 => (70, 67),
        }
    }

    fn takes(self, c: char) -> usize {
        match self {
            Self::Gsm => 1 + usize::from(GSM_TWICE.contains(c)),
            Self::Ucs2 => c.len_utf16(),
        }
    }
}

/// In how many parts a text is sent. What takes two places is never torn apart.
pub fn parts(text: &str) -> usize {
    let alphabet = Alphabet::of(text);
    let (alone, each) = alphabet.places();
    if text.chars().map(|c| alphabet.takes(c)).sum::<usize>() <= alone {
        return 1;
    }
    let (mut parts, mut left) = (1, each);
    for takes in text.chars().map(|c| alphabet.takes(c)) {
        if takes > left {
            (parts, left) = (parts + 1, each);
        }
        left -= takes;
    }
    parts
}

/// What a notice says by SMS: LIVE or DRILL first, what it is, where to meet, how to reach the Incident Commander.
///
/// At most [`PARTS_MAX`] parts. Where that is too little, the least important goes first: the last known state, the
/// runbook's name, the commander, the subject. Where to meet stands there whole, whatever it takes.
pub fn text(parcel: &Parcel, notice: &Notice) -> String {
    let Meet { bridge, commander, last } = &notice.meet;
    let bridge = match bridge.as_deref().map(clean) {
        // A link is a link only as it was written.
        Some(bridge) if (1..=BRIDGE_BYTES_MAX).contains(&bridge.len()) => bridge,
        Some(bridge) if !bridge.is_empty() => "as the runbook says, which is too long for an SMS".into(),
        _ => "the runbook names no bridge".into(),
    };
    let mut draft = Draft {
        mark: parcel.mark(),
        runbook: plain(&parcel.runbook),
        subject: plain(&notice.subject),
        // In a trial there is nothing to meet for.
        bridge: if parcel.trial { String::new() } else { format!("Meet: {bridge}") },
        commander: commander.as_deref().map(|it| format!("IC: {}", plain(it))).unwrap_or_default(),
        last: last.as_deref().map(plain).unwrap_or_default(),
    };
    draft.shorten(|draft| &mut draft.last, words);
    draft.shorten(|draft| &mut draft.runbook, words);
    draft.shorten(|draft| &mut draft.commander, |_| vec![String::new()]);
    draft.shorten(|draft| &mut draft.subject, words);
    draft.text()
}

/// A text on its way to fit.
struct Draft {
    mark: String,
    runbook: String,
    subject: String,
    bridge: String,
    commander: String,
    last: String,
}

impl Draft {
    fn text(&self) -> String {
        let head = [&self.mark, &self.runbook].map(String::as_str).into_iter().filter(|it| !it.is_empty());
        let head = head.collect::<Vec<_>>().join(" ");
        let head = if self.subject.is_empty() { head } else { format!("{head}: {}", self.subject) };
        // Each on a line of its own: a full stop behind a link would become a part of it.
        let lines = [head.as_str(), &self.bridge, &self.commander, &self.last];
        lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn fits(&self) -> bool {
        parts(&self.text()) <= PARTS_MAX
    }

    /// Puts the first of the shorter forms of a part in its place with which the whole fits, else the last of them.
    fn shorten(&mut self, part: fn(&mut Self) -> &mut String, shorter: fn(&str) -> Vec<String>) {
        if self.fits() {
            return;
        }
        for form in shorter(part(self)) {
            *part(self) = form;
            if self.fits() {
                return;
            }
        }
    }
}

/// The text without its last word, without the last two, and so on down to nothing. No word is cut: it could be a
/// link or a number.
fn words(text: &str) -> Vec<String> {
    let ends = text.char_indices().filter(|(_, c)| *c == ' ').map(|(at, _)| at);
    let mut shorter: Vec<_> = ends.map(|at| format!("{} ...", &text[..at])).collect();
    shorter.reverse();
    shorter.push(String::new());
    shorter
}

/// One line, its dashes and quotation marks those of a typewriter: one long dash would more than halve what fits.
/// Letters stay as they are, since names are made of them.
fn plain(text: &str) -> String {
    let plain: String = clean(text)
        .chars()
        .map(|c| match c {
            '–' | '—' | '‑' | '·' => '-',
            '“' | '”' | '„' => '"',
            '‘' | '’' => '\'',
            other => other,
        })
        .collect();
    plain.replace('…', "...")
}
