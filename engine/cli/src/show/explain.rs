//! Kinds of work, explained on a terminal.

use super::width;
use crate::explain::{Page, fields::Field};

/// As wide as the narrowest terminal that people have, so that what is copied
/// from one is the same everywhere.
const COLUMNS: usize = 80;

/// All kinds, a line or two each; those of one service together.
pub fn list(pages: &[Page]) -> String {
    let widest = pages.iter().map(|page| width::of(page.kind)).max().unwrap_or_default() + 4;
    let service = |page: &Page| page.kind.split_once('.').map(|(service, _)| service);
    let mut sorted: Vec<_> = pages.iter().collect();
    sorted.sort_by_key(|page| (service(page), page.kind));
    let mut out = String::new();
    let mut last = None;
    for page in sorted {
        if last.is_some_and(|last| last != service(page)) {
            out.push('\n');
        }
        last = Some(service(page));
        let first = width::padded(&format!("  {}", page.kind), widest);
        rows(&mut out, page.brief(), &first, &" ".repeat(widest));
    }
    out + "\ndr explain KIND says all about one.\n"
}

/// All about one.
pub fn page(page: &Page) -> String {
    let mut out = format!("{}\n\n", page.kind);
    rows(&mut out, &page.purpose, "", "");
    rows(&mut out, &page.notes.join(" "), "", "");
    out.push_str("\nFields (any value may be a reference, as in ${params.NAME})\n");
    for field in &page.fields {
        rows(&mut out, &format!("{} ({})", field.name, given(field)), "  ", "    ");
        if !field.text.is_empty() {
            rows(&mut out, &field.text, "      ", "      ");
        }
    }
    for (title, text) in page.texts() {
        line(&mut out, &format!("\n{title}"));
        rows(&mut out, text, "  ", "  ");
    }
    for (title, items) in page.lists(str::to_owned) {
        line(&mut out, &format!("\n{title}"));
        for item in items {
            rows(&mut out, &item, "  - ", "    ");
        }
    }
    line(&mut out, "\nExample");
    for text in page.example.lines() {
        line(&mut out, &format!("  {text}"));
    }
    out
}

/// What a field takes, and whether it has to be given.
fn given(field: &Field) -> String {
    match &field.default {
        _ if field.required => format!("{}, required", field.takes),
        Some(default) => format!("{}, default {default}", field.takes),
        None => field.takes.clone(),
    }
}

fn rows(out: &mut String, text: &str, first: &str, indent: &str) {
    for row in width::wrapped(text, COLUMNS, first, indent) {
        line(out, row.trim_end());
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
