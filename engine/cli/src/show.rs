//! Everything that a person sees.

pub mod asked;
pub mod explain;
mod frame;
pub mod lines;
mod live;
mod paint;
pub mod plan;
pub mod problems;
pub mod says;
pub mod screen;
pub mod sheet;
mod summary;
mod width;

use crate::failure::Failure;
use std::{
    io::{self, IsTerminal, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// Prints a text. A reader that went away ends the printing, quietly; a disk
/// that is full does not ([`unprinted`]).
pub fn print(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        UNPRINTED.get_or_init(|| error.to_string());
    }
}

/// Why something that was to be printed is not.
static UNPRINTED: OnceLock<String> = OnceLock::new();

/// Why something that was to be printed is not, if that is so.
pub fn unprinted() -> Option<&'static str> {
    UNPRINTED.get().map(String::as_str)
}

/// Prints a text, and says whether somebody reads it still.
pub fn printed(text: &str) -> bool {
    io::stdout().lock().write_all(text.as_bytes()).is_ok()
}

/// How long a terminal may take before nothing more is said to it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints for people beside what is printed for programs.
///
/// A terminal that is stopped, or a pipe that nobody reads, holds up no
/// recovery: it is waited for once, and then left alone.
pub fn aside(text: &str) {
    static STUCK: AtomicBool = AtomicBool::new(false);
    if STUCK.load(Ordering::Relaxed) {
        return;
    }
    // What is said on the terminal of a picture goes above it.
    if io::stderr().is_terminal() && live::above(text) {
        return;
    }
    let text = format!("{text}\n");
    let (written, wait) = mpsc::channel();
    thread::spawn(move || {
        io::stderr().lock().write_all(text.as_bytes()).ok();
        written.send(()).ok();
    });
    if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        STUCK.store(true, Ordering::Relaxed);
    }
}

/// The version of an error as JSON.
const ERROR: (&str, u32) = ("dr-error", 1);

/// Prints why a command ended badly, and the way out; with `json` as one
/// object. Either goes beside what is printed for programs.
pub fn failure(failure: &Failure, json: bool) {
    let problems = failure.problems.as_deref();
    if json {
        let (format, version) = ERROR;
        aside(
            &serde_json::json!({
                "format": format, "version": version, "exit": failure.code,
                "error": failure.message, "hint": failure.hint,
                "mistakes": problems.map_or_else(Vec::new, problems::as_json),
            })
            .to_string(),
        );
        return;
    }
    if let Some(problems) = problems {
        aside(problems::render(problems).trim_end());
        return;
    }
    aside(&format!("error: {}", failure.message));
    if let Some(hint) = &failure.hint {
        aside(&format!("hint: {hint}"));
    }
}

/// Whether people see colours here.
pub fn colour(stream: &impl IsTerminal) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    stream.is_terminal() && !set("NO_COLOR") && std::env::var("TERM").is_ok_and(|term| term != "dumb")
}

/// A text from elsewhere without anything a terminal would obey, or that would
/// turn it around.
pub fn plain(text: &str) -> String {
    let obeyed = |c: char| (c.is_control() && c != '\n' && c != '\t') || dr_engine::report::turns(c);
    text.chars().filter(|c| !obeyed(*c)).collect()
}
