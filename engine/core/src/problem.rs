//! One defect of a runbook: where it is, what is wrong, a way out.
//!
//! A problem is the user's mistake and is always worth a place and a hint.
//! Line and column are worked out only when a problem is printed.

use std::sync::Arc;

/// A range of bytes in the texts of one plan.
///
/// The texts (a runbook and what it includes) lie one behind the other in one
/// numbering, as [`SourceMap`] hands it out: a place needs eight bytes and no
/// name of a file, and an include costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

/// What is wrong with a runbook, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place to underline.
    pub span: Span,
    /// Where a YAML alias brought the place in, if one did.
    pub via: Option<Span>,
    /// What is wrong: lower case, no full stop, names in back-ticks.
    pub message: String,
    /// A way out.
    pub help: Option<String>,
}

impl Problem {
    /// A problem at `span`.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, via: None, message: message.into(), help: None }
    }

    /// The same problem with a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The nearest of `candidates` to what was written, if one is near enough to
/// have been meant.
pub fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (edits(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, a swap of neighbours counted as one
/// (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// The texts of one plan, one behind the other.
#[derive(Debug, Default)]
pub struct SourceMap {
    files: Vec<Source>,
}

/// One text, and where its bytes begin in the numbering of the plan.
#[derive(Debug)]
pub struct Source {
    /// The path as the user wrote it.
    pub path: String,
    /// The text.
    pub text: Arc<str>,
    /// The number of its first byte.
    pub base: u32,
}

/// A place as people name it; both count from one, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place<'a> {
    /// The path as the user wrote it.
    pub path: &'a str,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl SourceMap {
    /// Takes a text in and gives the number of its first byte.
    ///
    /// # Panics
    /// When all texts together are longer than 4 GiB; reading limits each to far less.
    pub fn add(&mut self, path: &str, text: &Arc<str>) -> u32 {
        self.try_add(path, text).expect("texts are limited")
    }

    /// The same, or nothing when the numbers are used up. A text that is in
    /// already is not taken twice: its places are the same ones.
    pub(crate) fn try_add(&mut self, path: &str, text: &Arc<str>) -> Option<u32> {
        if let Some(known) = self.files.iter().find(|file| file.path == path && file.text == *text) {
            return Some(known.base);
        }
        // One byte between two texts, so that an empty place at an end is unambiguous.
        let after = |f: &Source| f.base.checked_add(u32::try_from(f.text.len()).ok()?)?.checked_add(1);
        let base = self.files.last().map_or(Some(0), after)?;
        self.files.push(Source { path: path.to_owned(), text: text.clone(), base });
        Some(base)
    }

    /// The text that holds a place.
    pub fn source(&self, span: Span) -> &Source {
        let after = self.files.partition_point(|f| f.base <= span.start);
        &self.files[after.saturating_sub(1)]
    }

    /// The text that begins at `base`.
    pub fn text(&self, base: u32) -> &str {
        &self.source(Span { start: base, end: base }).text
    }

    /// All texts, in the order they were read.
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// Path, line and column of a place.
    pub fn place(&self, span: Span) -> Place<'_> {
        let source = self.source(span);
        let mut at = ((span.start - source.base) as usize).min(source.text.len());
        while !source.text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &source.text[..at];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        Place {
            path: &source.path,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}
