//! What a virtual terminal shows of what it is sent.

use super::{super::frame::Line, Painter, Tone};
use vt100::Parser;

fn lines(texts: &[&str]) -> Vec<Line> {
    texts.iter().map(|text| Line { text: (*text).into(), tone: Tone::Calm }).collect()
}

/// A terminal, and what draws on it.
struct Screen {
    terminal: Parser,
    painter: Painter,
    columns: usize,
}

impl Screen {
    fn new(rows: u16, columns: u16) -> Self {
        let terminal = Parser::new(rows, columns, 1_000);
        Self { terminal, painter: Painter::default(), columns: columns.into() }
    }

    /// Paints, and gives what was sent.
    fn paint(&mut self, news: &[&str], picture: &[&str]) -> String {
        let bytes = self.painter.paint(&lines(news), lines(picture), self.columns);
        self.terminal.process(bytes.as_bytes());
        bytes
    }

    fn clear(&mut self) {
        let bytes = self.painter.clear();
        self.terminal.process(bytes.as_bytes());
    }

    fn shows(&self, expected: &[&str]) {
        let (_, columns) = self.terminal.screen().size();
        let mut rows: Vec<_> = self.terminal.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
        assert_eq!(rows, expected);
    }

    /// All rows, also those that have scrolled away.
    fn history(&mut self) -> Vec<String> {
        self.terminal.screen_mut().set_scrollback(usize::MAX);
        let mut rows = Vec::new();
        loop {
            let above = self.terminal.screen().scrollback();
            let (_, columns) = self.terminal.screen().size();
            let screen: Vec<_> = self.terminal.screen().rows(0, columns).collect();
            if above == 0 {
                rows.extend(screen);
                return rows.into_iter().map(|row| row.trim_end().to_owned()).filter(|row| !row.is_empty()).collect();
            }
            rows.push(screen[0].clone());
            self.terminal.screen_mut().set_scrollback(above - 1);
        }
    }
}

#[test]
fn a_picture_stands_below_what_happened() {
    let mut screen = Screen::new(10, 20);
    screen.paint(&["opened"], &["RECOVERING", " > one"]);
    screen.shows(&["opened", "", "RECOVERING", " > one"]);
    screen.paint(&["one: done", "two: done"], &["RECOVERING", " > three"]);
    screen.shows(&["opened", "one: done", "two: done", "", "RECOVERING", " > three"]);
    assert_eq!(screen.terminal.screen().cursor_position(), (3, 0), "it rests above the picture");
}

#[test]
fn only_what_changed_is_sent() {
    let mut screen = Screen::new(10, 40);
    screen.paint(&[], &["RECOVERING", " > one    4s of about 20s", " > two    waits"]);
    let sent = screen.paint(&[], &["RECOVERING", " > one    5s of about 20s", " > two    waits"]);
    assert_eq!(sent, "\x1b[?2026h\x1b[2B\r\x1b[10C5s of about 20s\x1b[K\x1b[2A\r\x1b[?2026l");
    screen.shows(&["", "RECOVERING", " > one    5s of about 20s", " > two    waits"]);
    assert_eq!(screen.paint(&[], &["RECOVERING", " > one    5s of about 20s", " > two    waits"]), "");
}

#[test]
fn nothing_is_left_of_a_longer_picture() {
    let mut screen = Screen::new(10, 20);
    screen.paint(&[], &["a long first row", "second", "third"]);
    screen.paint(&[], &["short", "second"]);
    screen.shows(&["", "short", "second"]);
    screen.paint(&[], &["東京 one", "second"]);
    screen.paint(&[], &["東京 two", "second"]);
    screen.shows(&["", "東京 two", "second"]);
    screen.clear();
    screen.shows(&[]);
}

#[test]
fn nothing_that_happened_is_lost_when_it_scrolls_away() {
    let mut screen = Screen::new(8, 20);
    let mut told = Vec::new();
    for step in 0..50 {
        let line = format!("step {step}: done, and this is long enough for more than one row");
        let picture: Vec<_> = (0..=step % 5).map(|row| format!("row {row}")).collect();
        screen.paint(&[&line], &picture.iter().map(String::as_str).collect::<Vec<_>>());
        told.push(line);
    }
    screen.clear();
    assert_eq!(screen.history().concat(), told.concat(), "each once, in order, whole");
}

#[test]
fn a_row_that_is_just_full_keeps_its_last_letter() {
    let mut screen = Screen::new(6, 10);
    screen.paint(&["0123456789", "0123456789ab"], &["picture"]);
    screen.shows(&["0123456789", "0123456789", "ab", "", "picture"]);
}

#[test]
fn a_window_may_become_smaller_or_larger_at_any_time() {
    let mut screen = Screen::new(12, 40);
    screen.paint(&["FAILED: one"], &["first row of a picture", "second row of it", "third"]);
    for (rows, columns) in [(12, 15), (6, 30), (12, 80), (5, 20)] {
        screen.terminal.screen_mut().set_size(rows, columns);
        screen.columns = columns.into();
        screen.painter.doubt();
        screen.paint(&[], &["new", "picture"]);
        let shown = screen.terminal.screen().contents();
        assert!(shown.ends_with("\n\nnew\npicture"), "{shown}");
        assert_eq!(shown.matches("picture").count(), 1, "{shown}");
        assert!(shown.contains("FAILED: one"), "{shown}");
    }
}

#[test]
fn whatever_comes_here_a_terminal_obeys_none_of_it() {
    let mut screen = Screen::new(6, 40);
    screen.paint(&["bad \x1b[2J\x1b]0;title\x07\u{9b}H\rworse"], &["x\x1b[10;10Hy"]);
    screen.shows(&["bad  [2J ]0;title  H worse", "", "x [10;10Hy"]);
}
