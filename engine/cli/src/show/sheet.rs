//! A sheet of findings, one line each: what is well, what is not, what nobody knows.

use crate::{failure, show};
use dr_engine::outcome::Failure;

/// How a thing is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Good,
    /// Not as it should be.
    Bad,
    /// It could not be looked at: that is no yes.
    Unknown,
    /// Worth knowing; a recovery does not lean on it.
    Aside,
}

impl From<bool> for Mark {
    fn from(good: bool) -> Self {
        if good { Self::Good } else { Self::Bad }
    }
}

/// The sheet that is filled in, and printed as it is.
#[derive(Debug)]
pub struct Sheet {
    json: bool,
    bad: bool,
    unknown: bool,
}

impl Sheet {
    /// An empty one.
    pub fn new(json: bool) -> Self {
        Self { json, bad: false, unknown: false }
    }

    /// Prints a finding.
    pub fn say(&mut self, mark: Mark, what: &str, found: &str) {
        self.bad |= mark == Mark::Bad;
        self.unknown |= mark == Mark::Unknown;
        let (word, state) = match mark {
            Mark::Good => ("ok  ", "ok"),
            Mark::Bad => ("BAD ", "bad"),
            Mark::Unknown => ("?   ", "unknown"),
            Mark::Aside => ("-   ", "aside"),
        };
        let line = if self.json {
            serde_json::json!({ "check": what, "state": state, "found": found }).to_string()
        } else {
            show::plain(&format!("{word} {what:<10} {found}"))
        };
        show::print(&format!("{line}\n"));
    }

    /// Prints what was found, or what is in the way.
    pub fn found(&mut self, what: &str, found: &Result<String, String>) {
        match found {
            Ok(found) => self.say(Mark::Good, what, found),
            Err(why) => self.say(Mark::Bad, what, why),
        }
    }

    /// Prints a failure, with its way out.
    pub fn failed(&mut self, what: &str, failure: &Failure) {
        let hint = failure.hint.as_ref().map_or(String::new(), |hint| format!(" — {hint}"));
        self.say(Mark::Bad, what, &format!("{}{hint}", failure.message));
    }

    /// The exit code: what is not known takes a person.
    pub fn end(&self) -> u8 {
        match (self.bad, self.unknown) {
            (true, _) => failure::BEFORE,
            (false, true) => failure::HELD,
            (false, false) => failure::DONE,
        }
    }
}
