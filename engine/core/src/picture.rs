//! Pictures as SVG: a plan as lanes, a run as bars. One module draws, so that
//! the report, the mail and the wiki show the same.
//!
//! Pure, and of texts alone: no font is measured, so that the same input gives
//! the same bytes everywhere. Whatever comes from outside is cleaned of control
//! characters, shortened to its room and escaped; the whole of it stands in the
//! `<title>`, which browsers show under the pointer and screen readers say.

mod bars;
mod fold;
mod lanes;
mod words;

pub use bars::bars;
pub use lanes::lanes;
pub use words::{dot, mermaid};

use crate::report::clean;
use maud::{Markup, PreEscaped, html};

/// How a text stands in a picture.
#[derive(Clone, Copy)]
enum Face {
    Plain,
    Bold,
    /// Bold, and larger.
    Head,
}

impl Face {
    /// Its letters against those of `advance`, in percent.
    fn percent(self) -> i64 {
        match self {
            Self::Plain => 95,
            Self::Bold => 100,
            Self::Head => 125,
        }
    }
}

/// How far a letter reaches, in tenths of a unit, bold and 12 units high: that
/// of `DejaVu` Sans, the widest of the usual fonts, so that a text never runs out
/// of its box.
fn advance(letter: char) -> i64 {
    match letter {
        'I' | 'f' | 'i' | 'j' | 'l' | 'r' | 't' | ' ' | '!' | '\'' | '(' | ')' | ',' | '-' | '.' | '/' | ':' | ';'
        | '[' | '\\' | ']' | '`' | '|' | '·' => 60,
        'M' | 'W' | 'm' | 'w' | '@' | '%' | '&' | '…' | '—' => 133,
        'a'..='z' | '0'..='9' | '"' | '$' | '*' | '?' | '{' | '}' => 86,
        '\0'..='\u{24f}' => 103,
        // Scripts and signs whose letters fill a square.
        _ => 160,
    }
}

/// The colours, for light, dark and paper. Blue and orange are told apart by
/// everybody; what matters is told by shape and words as well.
const STYLE: &str = "\
.pic{font:12px ui-sans-serif,system-ui,'DejaVu Sans',Arial,sans-serif}\
.pic text{fill:#1b2430}.pic .soft{fill:#566070}.pic .loud{fill:#b3261e;font-weight:600}.pic .bold{font-weight:600}\
.pic .ground{fill:#fff}.pic .stripe{fill:#f3f5f8}.pic .box{fill:#fff;stroke:#7a8699}\
.pic .rule{stroke:#d5dae2}.pic .planned{fill:#c3cbd6}.pic .work{fill:#2f6db3}.pic .ask{fill:#e9b949;stroke:#8a6500}\
.pic .path{stroke:#c2570c;stroke-width:2.5}.pic .edge{stroke:#9aa5b5;fill:none}.pic .edge.path{stroke:#c2570c}\
.pic .head{fill:#9aa5b5}.pic .head.path{fill:#c2570c;stroke:none}\
.pic .wrong{stroke:#b3261e;stroke-width:2.5}.pic .limit{stroke:#b3261e;stroke-width:1.5;stroke-dasharray:6 4}\
.pic .mark{stroke:#566070;stroke-dasharray:2 3}\
@media screen and (prefers-color-scheme:dark){\
.pic text{fill:#e4e8ee}.pic .soft{fill:#a3adbb}.pic .loud{fill:#ff8a80}\
.pic .ground{fill:#14181e}.pic .stripe{fill:#1c222a}.pic .box{fill:#1f2630;stroke:#7a8699}\
.pic .rule{stroke:#333c48}.pic .planned{fill:#48525f}.pic .work{fill:#5b9bde}.pic .ask{fill:#e9b949;stroke:#ffe29a}\
.pic .path,.pic .edge.path{stroke:#ff9a4d}.pic .edge{stroke:#66717f}.pic .head{fill:#66717f}.pic .head.path{fill:#ff9a4d}\
.pic .wrong,.pic .limit{stroke:#ff8a80}.pic .mark{stroke:#a3adbb}}";

/// A whole picture: `title` is what it shows, `what` says it in words for who cannot see it.
fn picture(width: i64, height: i64, title: &str, what: &str, body: &Markup) -> Markup {
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class="pic" role="img" width=(width) height=(height)
            viewBox={ "0 0 " (width) " " (height) } aria-label={ (clean(title)) ": " (clean(what)) } {
            title { (clean(title)) }
            desc { (clean(what)) }
            style { (PreEscaped(STYLE)) }
            rect class="ground" width=(width) height=(height) {}
            (body)
        }
    }
}

/// How many units a text takes at most.
fn reach(text: &str, face: Face) -> i64 {
    text.chars().map(advance).sum::<i64>() * face.percent() / 1_000
}

/// So much of a text as fits into this many units.
fn fit(text: &str, room: i64, face: Face) -> String {
    let text = clean(text);
    let room = room * 1_000 / face.percent();
    // Where it ends if it must be cut, with what says so behind it.
    let (mut reached, mut end) = (0, 0);
    for (at, letter) in text.char_indices() {
        if reached + advance('…') <= room {
            end = at;
        }
        reached += advance(letter);
        if reached > room {
            return format!("{}…", &text[..end]);
        }
    }
    text
}
