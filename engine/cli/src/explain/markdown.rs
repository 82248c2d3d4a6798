//! The pages of the reference, for whoever reads them without `dr`.

use super::Page;
use std::fmt::Write;

/// What keeps people from editing a page.
const MADE: &str = "<!-- Written by `dr explain --pages`, from the kinds themselves. -->\n";

/// The list of all pages.
pub fn index(pages: &[Page]) -> String {
    let mut out = format!(
        "{MADE}# Kinds of work\n\nWhat can stand under `do:` of a step. `dr explain KIND` says the same on a \
         terminal.\n\n| kind | what it does | undo |\n|---|---|---|\n"
    );
    for page in pages {
        let undo = if page.undo.is_some() { "yes" } else { "" };
        line(&mut out, &format!("| [{0}]({0}.md) | {1} | {undo} |", page.kind, cell(page.brief())));
    }
    out
}

/// The page of a kind.
pub fn page(page: &Page) -> String {
    let mut out = format!("{MADE}# `{}`\n\n{}\n\n{}\n", page.kind, page.purpose, page.notes.join(" "));
    section(&mut out, "Example", &format!("```yaml\nsteps:\n{}\n```", textwrap::indent(&page.example, "  ")));
    fields(&mut out, page);
    for (title, text) in page.texts() {
        section(&mut out, title, text);
    }
    for (title, items) in page.lists(|name| format!("`{name}`")) {
        section(&mut out, title, &format!("- {}", items.join("\n- ")));
    }
    out
}

fn fields(out: &mut String, page: &Page) {
    section(out, "Fields", "Any value may be a reference, as in `${params.NAME}`.\n");
    line(out, "| field | takes | default | what it is |\n|---|---|---|---|");
    for field in &page.fields {
        let default = match &field.default {
            _ if field.required => "required",
            Some(default) => default,
            None => "",
        };
        let cells = [&field.takes, default, &field.text].map(cell).join(" | ");
        line(out, &format!("| `{}` | {cells} |", field.name));
    }
}

fn section(out: &mut String, title: &str, text: &str) {
    line(out, &format!("\n## {title}\n\n{text}"));
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a String");
}

/// A text within a table, where a bar would begin the next cell.
fn cell(text: &str) -> String {
    text.replace('|', r"\|")
}
