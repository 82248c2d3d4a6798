//! Texts on a terminal: how wide they are, and how they are made to fit.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a text takes.
pub fn of(text: &str) -> usize {
    text.width()
}

/// So much of a text as fits; that something is missing shows.
pub fn cut(text: &str, columns: usize) -> String {
    if of(text) <= columns {
        return text.to_owned();
    }
    let mut out = text[..fitting(text, columns.saturating_sub(1))].to_owned();
    out.push('…');
    out
}

/// A text over as many rows as it needs, broken at spaces where that is
/// possible; each begins with its indent, the first with its own.
pub fn wrapped(text: &str, columns: usize, first: &str, indent: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = first.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        let mut word = word;
        if !empty && of(&row) + 1 + of(word) > columns {
            rows.push(std::mem::replace(&mut row, indent.to_owned()));
        } else if !empty {
            row.push(' ');
        }
        // A word wider than a row is broken where the row ends.
        while !word.is_empty() && of(&row) + of(word) > columns {
            let end = fitting(word, columns.saturating_sub(of(&row)));
            let end = if end == 0 { word.chars().next().map_or(0, char::len_utf8) } else { end };
            row.push_str(&word[..end]);
            word = &word[end..];
            rows.push(std::mem::replace(&mut row, indent.to_owned()));
        }
        row.push_str(word);
        empty = false;
    }
    rows.push(row);
    rows
}

/// How many bytes of a text fit into so many columns.
fn fitting(text: &str, columns: usize) -> usize {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or_default();
        if taken > columns {
            return at;
        }
    }
    text.len()
}

/// A text with spaces behind it, so that the next column begins where it does everywhere.
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(of(text))))
}

/// A command over as many rows as it needs, each of which a shell joins to the
/// next; `None` when a word of it is wider than a row.
pub fn command(text: &str, columns: usize, indent: &str) -> Option<Vec<String>> {
    let mut rows = vec![indent.to_owned()];
    let mut words = words(text).into_iter().peekable();
    while let Some(word) = words.next() {
        // Where more follows there must be room for the sign that says so.
        let end = if words.peek().is_some() { 2 } else { 0 };
        let row = rows.last_mut().expect("there is a first row");
        let begun = row.trim_start().is_empty();
        if begun && of(row) + of(word) + end > columns {
            return None;
        }
        if begun {
            row.push_str(word);
        } else if of(row) + 1 + of(word) + end <= columns {
            row.push(' ');
            row.push_str(word);
        } else {
            row.push_str(" \\");
            let next = format!("{indent}  {word}");
            if of(&next) + end > columns {
                return None;
            }
            rows.push(next);
        }
    }
    Some(rows)
}

/// The words of a command as a shell reads them, with their quotes.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if !quoted => escaped = true,
            '\'' => quoted = !quoted,
            ' ' if !quoted => {
                words.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    words.push(&text[begin..]);
    words
}

#[cfg(test)]
mod tests {
    use super::{command, cut, of, wrapped};

    #[test]
    fn what_is_cut_says_so_and_fits() {
        assert_eq!(cut("restore", 7), "restore");
        assert_eq!(cut("restore", 6), "resto…");
        // A wide letter takes two columns: half of one is none.
        assert_eq!(cut("東京東京", 6), "東京…");
    }

    #[test]
    fn a_text_is_broken_at_spaces_and_a_long_word_where_the_row_ends() {
        assert_eq!(wrapped("one two three", 9, " ? ", "   "), [" ? one", "   two", "   three"]);
        assert_eq!(wrapped("abcdefgh", 5, "- ", "  "), ["- abc", "  def", "  gh"]);
        assert!(wrapped("東京東京東京", 5, "", "").iter().all(|row| of(row) <= 5));
        assert_eq!(wrapped("ab", 1, "   ", "   ").concat().replace(' ', ""), "ab", "it ends, however narrow");
    }

    #[test]
    fn the_rows_of_a_command_are_one_command_for_a_shell() {
        let text = r"dr answer run 'a b'\''c' retry";
        assert_eq!(command(text, 80, "  ").expect("it fits"), [format!("  {text}")]);
        let rows = command(text, 17, "  ").expect("it fits");
        assert!(rows.len() > 1 && rows.iter().all(|row| of(row) <= 17), "{rows:?}");
        let read = |text: &str| {
            let script = format!("set -- {text}; printf '<%s>' \"$@\"");
            let said = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
            String::from_utf8(said.stdout).expect("text")
        };
        assert_eq!(read(&rows.join("\n")), "<dr><answer><run><a b'c><retry>");
        assert_eq!(command(text, 10, "  "), None, "a word that is cut could not be typed");
    }
}
