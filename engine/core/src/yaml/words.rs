//! Mistakes of YAML itself, in words for the author of a runbook.

use granit_parser::{ErrorKind, ErrorKind as E, ScanError};

use super::build::index;
use super::tree::Limits;
use crate::problem::{Problem, Span};

/// A reference that YAML takes apart: inside `{ }` and `[ ]` a brace is its
/// own. `start` is where the text with the reference begins.
pub(super) fn unquoted_reference(src: &str, base: u32, start: usize) -> Problem {
    let rest = &src[start..];
    let mut end = 0;
    while let Some(c) = rest[end..].chars().next() {
        if rest[end..].starts_with("${") {
            end += rest[end..].find(['}', '\n']).map_or(2, |n| n + 1);
        } else if matches!(c, ',' | '{' | '}' | '[' | ']' | '\n' | '\r') || rest[end..].starts_with(" #") {
            break;
        } else {
            end += c.len_utf8();
        }
    }
    let text = rest[..end].trim_end();
    let quote = if text.contains(['"', '\\']) { '\'' } else { '"' };
    let place = Span { start: base + index(start), end: base + index(start + text.len()) };
    Problem::new(place, "inside `{ }` and `[ ]` a reference must be quoted")
        .help(format!("write `{quote}{text}{quote}`"))
}

pub(super) fn too_deep(limits: &Limits) -> String {
    format!("lists and maps nest at most {} deep", limits.depth_max)
}

/// A mistake of YAML itself, in words for the author of a runbook.
pub(super) fn syntax(src: &str, base: u32, limits: &Limits, error: &ScanError, bracket: Option<usize>) -> Problem {
    let mut at = error.marker().byte_offset().unwrap_or(0).min(src.len());
    while !src.is_char_boundary(at) {
        at -= 1;
    }
    // A new line of `key:` inside brackets: they were meant to end before it.
    if let (
        E::MappingValueNotAllowed
        | E::InvalidColonPlacement
        | E::ExpectedFlowMappingSeparator
        | E::ExpectedFlowSequenceSeparator,
        Some(open),
    ) = (error.kind(), bracket)
        && src[open..at].contains('\n')
    {
        let place = Span { start: base + index(open), end: base + index(open + 1) };
        let (open, close) = if src[open..].starts_with('[') { ("[", "]") } else { ("{", "}") };
        return Problem::new(place, format!("this `{open}` is never closed"))
            .help(format!("a `{close}` ends it, before the next `key:` line"));
    }
    let mut len = src[at..].chars().next().map_or(0, char::len_utf8);
    let rest = src[at..].trim();
    let (message, help) = match error.kind() {
        E::TabNotAllowed
        | E::TabInBlockIndentation
        | E::TabInIndentation
        | E::TabAtBlockScalarStart
        | E::TabInPlainScalar => {
            // The parser has already stepped over the tab.
            if !src[at..].starts_with('\t') && src[..at].ends_with('\t') {
                (at, len) = (at - 1, 1);
            }
            words("a tab stands where YAML wants spaces", "indent with spaces")
        }
        E::UnknownAnchor => {
            let ends = |c: char| c.is_whitespace() || ",[]{}".contains(c);
            let name = src[at + len..].split(ends).next().unwrap_or("");
            len += name.len();
            let help = "an anchor `&name` stands before the aliases `*name` that use it";
            words(format!("nothing before it is named `&{name}`"), help)
        }
        E::RecursionLimitExceeded => words(too_deep(limits), ""),
        // The parser's name for two commas in a row.
        E::UnexpectedEofImplicitFlowMapping if !rest.is_empty() => words("a value is wanted before this", ""),
        kind => in_brackets(kind)
            .or_else(|| in_quotes(kind))
            .or_else(|| in_lines(kind))
            .unwrap_or_else(|| words(format!("this is not YAML: {kind}"), "")),
    };
    let (start, end) = (base + index(at), base + index(at + len));
    let problem = Problem::new(Span { start, end }, message);
    if help.is_empty() { problem } else { problem.help(help) }
}

/// A message and a way out, empty if there is none to tell.
type Words = (String, &'static str);

fn words(message: impl Into<String>, help: &'static str) -> Words {
    (message.into(), help)
}

fn in_brackets(kind: &ErrorKind) -> Option<Words> {
    let quote = "quote a text that holds `{`, `}`, `[`, `]` or `,`";
    Some(match kind {
        E::UnclosedFlowCollection { open } => words(format!("this `{open}` is never closed"), ""),
        E::MismatchedFlowCollectionEnd { open, close } => words(format!("this `{open}` is closed by `{close}`"), ""),
        E::MisplacedFlowCollectionEnd => words("this bracket closes nothing", ""),
        E::UnexpectedEofFlowSequence => words("the file ends inside `[ ]`", ""),
        E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping => words("the file ends inside `{ }`", ""),
        E::ExpectedFlowMappingSeparator => words("`,` or `}` is wanted here", quote),
        E::ExpectedFlowSequenceSeparator => words("`,` or `]` is wanted here", quote),
        _ => return None,
    })
}

fn in_quotes(kind: &ErrorKind) -> Option<Words> {
    Some(match kind {
        E::UnclosedQuotedScalar => words("a quoted text is never closed", ""),
        E::InvalidQuotedScalarIndent => {
            words("a quoted text goes on here without indentation", "close the quote above, or indent the line")
        }
        E::DocumentIndicatorInQuotedScalar => words("a quoted text is not closed before `---` or `...`", ""),
        E::InvalidTrailingSingleQuotedScalar => {
            words("something follows the closing quote", "inside single quotes a quote is written twice: `''`")
        }
        E::InvalidTrailingDoubleQuotedScalar => {
            words("something follows the closing quote", "inside double quotes a quote is written `\\\"`")
        }
        E::UnknownQuotedScalarEscape
        | E::InvalidQuotedScalarHexEscape
        | E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate
        | E::InvalidUnicodeEscape => words(
            "this is not an escape YAML knows",
            "a backslash is written `\\\\`; single quotes take it as it stands",
        ),
        _ => return None,
    })
}

fn in_lines(kind: &ErrorKind) -> Option<Words> {
    Some(match kind {
        E::MappingValueNotAllowed
        | E::InvalidColonPlacement
        | E::MappingKeyNotAllowed
        | E::InvalidMappingValueWhitespace => words(
            "a `key:` cannot stand here",
            "quote a text that holds a colon and a space; else check the indentation here and above",
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            words("a key without its `:`", "a key is followed by a colon and a space")
        }
        E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection | E::InvalidBlockEntryWhitespace => {
            words("a list entry `- ` cannot stand here", "put each entry on a line of its own under the key")
        }
        E::ExpectedBlockSequenceEntry => words("`- ` is wanted here, as in the lines above", "check the indentation"),
        E::ExpectedBlockMappingKey => words("a key is wanted here", "check the indentation"),
        E::InvalidIndentation | E::InvalidFlowScalarIndent | E::InvalidBlockScalarIndent => {
            words("the indentation does not fit the lines above", "")
        }
        E::UnexpectedCharacter { character } if character.is_control() => {
            let number = u32::from(*character);
            words(format!("a control character (U+{number:04X}) stands here"), "take it out; a runbook is plain text")
        }
        E::UnexpectedCharacter { character } => words(format!("a text cannot begin with `{character}`"), "quote it"),
        E::CommentNotSeparated => words("a comment needs a space before its `#`", ""),
        E::InvalidDocumentEnd | E::ExpectedDocumentStart => {
            words("something follows the end of the document", "one file holds one runbook")
        }
        _ => return None,
    })
}
