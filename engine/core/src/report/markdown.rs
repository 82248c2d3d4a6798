//! The report for people: the first ten lines for whoever is frightened, the
//! rest for whoever audits. Readable at 80 columns without a renderer.

use super::{
    Report, StepStory,
    text::{escaped, of_day, offset, table, wrapped},
    timeline::failure,
    words::{NO_SPLIT, STEP_HEAD, STORE_HEAD, measure, question},
};
use crate::duration::Dur;
use std::fmt::Write;

impl StepStory {
    /// From its first attempt to its end.
    pub fn took(&self) -> Option<Dur> {
        self.ended.zip(self.started).map(|(ended, started)| ended.since(started))
    }
}

impl Report {
    /// The report for people.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n", escaped(&self.headline));
        for line in self.summary() {
            text.push_str(&bullet(&line));
        }
        let story = &self.story;
        let sections = [
            ("Clock", self.moments()),
            ("Where the time went", self.where_the_time_went()),
            ("Data loss", self.stores()),
            ("Timeline", self.timeline()),
            ("Steps", self.steps()),
            ("Questions and answers", bullets(story.questions.iter().map(question))),
            ("Deviations from the plan", bullets(self.deviation_lines())),
            ("Requests for help", bullets(self.note_lines(true))),
            ("Notes", bullets(self.note_lines(false))),
            ("Lessons and actions", bullets(self.learned_lines())),
            ("Integrity", bullets(self.record_lines())),
        ];
        for (title, body) in sections {
            // No store is no measurement: "none" would read as nothing lost.
            let nothing = if title == "Data loss" { "Not measured: no step brought data back.\n" } else { "None.\n" };
            let body = if body.is_empty() { nothing } else { &body };
            write!(text, "\n## {title}\n\n{body}").expect("writing to a String");
        }
        text
    }

    fn moments(&self) -> String {
        let row = |row: [String; 3]| row.map(|cell| escaped(&cell)).to_vec();
        table(&["Moment", "UTC", "After the incident"], &self.moment_rows().into_iter().map(row).collect::<Vec<_>>())
    }

    fn where_the_time_went(&self) -> String {
        let Some(parts) = self.parts() else {
            return format!("{NO_SPLIT}\n");
        };
        let rows: Vec<_> = parts.iter().map(|(name, part)| vec![(*name).to_owned(), escaped(&measure(part))]).collect();
        let path = self.path_line().map_or(String::new(), |path| wrapped(&format!("\n{path}"), 0) + "\n");
        table(&["Part", "Time"], &rows) + &path
    }

    fn stores(&self) -> String {
        if self.rpo.stores.is_empty() {
            return String::new();
        }
        let row = |row: [String; 6]| row.map(|cell| escaped(&cell)).to_vec();
        table(&STORE_HEAD, &self.store_rows().into_iter().map(row).collect::<Vec<_>>())
    }

    /// In a code block: every line begins with a time, so that no text can end the block.
    fn timeline(&self) -> String {
        let mut text = String::from("```text\n");
        for line in &self.story.timeline {
            let after = offset(line.at, self.opened.incident_at);
            let line = wrapped(&format!("{} {after:>9}  {}", of_day(line.at), line.text), 20);
            writeln!(text, "{line}").expect("writing to a String");
        }
        text + "```\n"
    }

    fn steps(&self) -> String {
        let rows: Vec<_> = self.step_rows().into_iter().map(Vec::from).collect();
        let mut text = table(&STEP_HEAD, &rows);
        text.push_str("\n`*`: the run waited for it.\n");
        let errors = self.story.steps.iter().flat_map(|it| it.errors.iter().map(move |error| (it, error)));
        for (at, (it, error)) in errors.enumerate() {
            text.push_str(if at == 0 { "\n" } else { "" });
            let line = format!(
                "`{}` attempt {} {}: {}",
                it.id,
                error.attempt,
                error.word.replace('_', " "),
                escaped(&failure(&error.failure))
            );
            text.push_str(&bullet(&line));
        }
        text
    }
}

fn bullets(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| bullet(&line)).collect()
}

fn bullet(line: &str) -> String {
    wrapped(&format!("- {}", escaped(line).trim_start()), 2) + "\n"
}
