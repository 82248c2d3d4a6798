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
    let texts = [
        ("Check", Some(page.check)),
        ("Run", Some(page.run)),
        ("Undo", page.undo),
        ("Recovery point", page.recovery_point),
        ("Time", Some(page.time)),
    ];
    for (title, text) in texts.into_iter().filter_map(|(title, text)| Some((title, text?))) {
        out.push_str(&format!("\n{title}\n"));
        rows(&mut out, text, "  ", "  ");
    }
    let lists: [(&str, Vec<String>); 3] = [
        ("Traps", page.traps.iter().map(ToString::to_string).collect()),
        ("Permissions", page.permissions.iter().map(ToString::to_string).collect()),
        ("Outputs", page.outputs.iter().map(|(name, is)| format!("{name} ({is})")).collect()),
    ];
    for (title, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
        out.push_str(&format!("\n{title}\n"));
        for item in items {
            rows(&mut out, &item, "  - ", "    ");
        }
    }
    out.push_str("\nExample\n");
    for line in page.example.lines() {
        out.push_str(&format!("  {line}\n"));
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
        out.push_str(row.trim_end());
        out.push('\n');
    }
}
