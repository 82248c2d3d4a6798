//! Mistakes of a runbook, each with its place.

use dr_engine::{
    plan::build::Problems,
    problem::{Place, Problem, Source},
};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use std::{collections::BTreeMap, fmt, io, sync::Arc};
use textwrap::WordSplitter;

/// All mistakes as text.
pub fn render(problems: &Problems) -> String {
    let width = terminal_width();
    let handler = |theme| {
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        // A name or a command that is broken in the middle cannot be typed.
        handler.with_word_splitter(WordSplitter::NoHyphenation)
    };
    let plain = handler(GraphicalTheme::unicode_nocolor());
    let coloured = super::colour(&io::stderr()).then(|| handler(GraphicalTheme::unicode()));
    let mut text = String::new();
    let mut clean: BTreeMap<u32, Arc<str>> = BTreeMap::new();
    for problem in problems.problems.iter().take(SHOWN_MAX) {
        let source = problems.sources.source(problem.span);
        let shown_text = clean.entry(source.base).or_insert_with(|| printable(&source.text).into());
        let shown = Shown {
            message: message(problem, source),
            help: problem.help.as_deref().map(super::plain),
            problem,
            source,
            named: NamedSource::new(super::plain(&source.path), shown_text.clone()),
        };
        let picture = Rendered(&plain, &shown).to_string();
        match &coloured {
            // What is cut has no colours: a cut between the signs that begin and end them would smear them.
            Some(coloured) if !picture.lines().any(long) => text.push_str(&Rendered(coloured, &shown).to_string()),
            _ => fit(&picture, &mut text),
        }
    }
    let count = problems.problems.len();
    let what = if count == 1 { "mistake" } else { "mistakes" };
    let left = if count > SHOWN_MAX { format!(", the first {SHOWN_MAX} of them shown") } else { String::new() };
    text + &format!("{count} {what}{left}; nothing was planned\n")
}

/// All mistakes for programs, each with its place; both numbers of it count from one.
pub fn as_json(problems: &Problems) -> Vec<serde_json::Value> {
    let mistake = |problem: &Problem| {
        let Place { path, line, column } = problems.sources.place(problem.span);
        serde_json::json!({
            "file": path, "line": line, "column": column, "message": problem.message, "help": problem.help,
        })
    };
    problems.problems.iter().map(mistake).collect()
}

/// What is wrong. A file without a text has no line to show it at.
fn message(problem: &Problem, source: &Source) -> String {
    let message = super::plain(&problem.message);
    if source.text.is_empty() && !message.contains(&source.path) {
        return format!("{}: {message}", super::plain(&source.path));
    }
    message
}

/// Mistakes that are shown. Nobody mends more before looking again.
const SHOWN_MAX: usize = 100;
/// The longest stretch that is underlined.
const LABEL_MAX: usize = 72;
/// A longer line of a runbook is shown around the mistake only.
const LINE_MAX: usize = 160;

/// The text, byte for byte as long, without anything a terminal would obey.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\r' | '\t') {
            out.extend(std::iter::repeat_n('?', c.len_utf8()));
        } else {
            out.push(c);
        }
    }
    out
}

/// The number of a line and its bar; what follows is the runbook's.
fn margin(line: &str) -> Option<usize> {
    let bar = line.chars().position(|c| matches!(c, '│' | '·'))?;
    let number = line.chars().take(bar).all(|c| c == ' ' || c.is_ascii_digit());
    (number && line.chars().count() > bar + 2).then_some(bar + 2)
}

/// Whether a line of a runbook is far too long.
fn long(line: &str) -> bool {
    margin(line).is_some() && line.chars().count() > LINE_MAX
}

/// Cuts the lines of a runbook that are far too long, all of one picture alike.
fn fit(picture: &str, text: &mut String) {
    if !picture.lines().any(long) {
        text.push_str(picture);
        return;
    }
    let begins = |line: &str| {
        line.contains('·').then(|| line.chars().skip(margin(line).unwrap_or(0)).take_while(|c| *c == ' ').count())
    };
    let first = picture.lines().filter_map(begins).min().unwrap_or(0);
    let cut = if first > LINE_MAX / 2 { first - LINE_MAX / 4 } else { 0 };
    for line in picture.lines() {
        if let Some(margin) = margin(line) {
            text.extend(line.chars().take(margin));
            let rest: Vec<char> = line.chars().skip(margin + cut).collect();
            if cut > 0 {
                text.push(if line.contains('·') { ' ' } else { '…' });
            }
            text.extend(rest.iter().take(LINE_MAX));
            if rest.len() > LINE_MAX {
                text.push('…');
            }
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(io::stderr()).map_or(80, |size| usize::from(size.ws_col)).clamp(60, 120)
}

struct Rendered<'a>(&'a GraphicalReportHandler, &'a Shown<'a>);

impl fmt::Display for Rendered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.render_report(f, self.1)
    }
}

struct Shown<'a> {
    problem: &'a Problem,
    message: String,
    help: Option<String>,
    source: &'a Source,
    named: NamedSource<Arc<str>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.named as &dyn SourceCode).filter(|_| !self.source.text.is_empty())
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.source.text.is_empty() {
            return None;
        }
        let label = |span: dr_engine::problem::Span, text: &str| {
            let start = (span.start.saturating_sub(self.source.base)) as usize;
            // An empty place would not be underlined.
            let len = (span.end.saturating_sub(span.start) as usize)
                .clamp(1, (self.source.text.len() - start.min(self.source.text.len())).max(1));
            // A place over many lines is shown by its first.
            let rest = self.source.text.get(start..).unwrap_or_default();
            let line = rest.find('\n').unwrap_or(len).max(1);
            let most = rest.char_indices().nth(LABEL_MAX).map_or(len, |(end, _)| end);
            LabeledSpan::new(Some(text.into()), start, len.min(line).min(most))
        };
        let here = label(self.problem.span, if self.problem.via.is_some() { "written here" } else { "here" });
        let via = self.problem.via.map(|via| label(via, "used here"));
        Some(Box::new(std::iter::once(here).chain(via)))
    }
}
