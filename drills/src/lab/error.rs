//! Why the lab did not do what was asked, and the way out.

use std::{io, path::PathBuf};
use thiserror::Error;

/// Why the lab did not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// Nothing answers for this folder.
    #[error("no lab is up in {}", .0.display())]
    NotUp(PathBuf),
    /// There is one already.
    #[error("a lab is up in {} already: process {pid}, {endpoint}", dir.display())]
    AlreadyUp {
        /// Its folder.
        dir: PathBuf,
        /// Its process.
        pid: u32,
        /// Where it answers.
        endpoint: String,
    },
    /// Another command works on the same folder.
    #[error("another command starts or ends the lab in {}", .0.display())]
    Busy(PathBuf),
    /// There is no Python.
    #[error("the lab needs Python 3, and `{0}` was not found")]
    NoPython(String),
    /// `python3 -m venv` failed.
    #[error("python3 could not make an environment for the lab:\n{0}")]
    Venv(String),
    /// pip failed.
    #[error("pip could not install what the lab needs:\n{0}")]
    Pip(String),
    /// A port that was asked for is in use.
    #[error("a port that was asked for is taken: {0}")]
    PortTaken(String),
    /// It ended before it was ready.
    #[error("the lab ended before it was ready; the end of {}:\n{lines}", log.display())]
    Ended {
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        lines: String,
    },
    /// It was not ready in time.
    #[error("the lab was not ready after {seconds} s and was ended; its log is {}", log.display())]
    Slow {
        /// How long was waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// It was killed and lives on.
    #[error("the lab's process {0} does not end")]
    Undying(u32),
    /// It refused what was asked.
    #[error("the lab refused: {0}")]
    Refused(String),
    /// It does not answer.
    #[error("the lab at {address} does not answer: {source}")]
    Silent {
        /// Where it was asked.
        address: String,
        /// What went wrong.
        source: io::Error,
    },
    /// It answered something else.
    #[error("the lab's answer cannot be read: {0}")]
    Unreadable(String),
    /// The account was never seeded from this folder.
    #[error("account {0} was not seeded in this lab")]
    Unseeded(String),
    /// A file.
    #[error("{what}: {source}")]
    File {
        /// What was done to which.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::File { what, source }
    }

    /// The way out.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotUp(dir) => format!("dr lab up --dir {}", dir.display()),
            Self::AlreadyUp { .. } => "`dr lab down` ends it; `dr lab status` shows it; --dir starts another".into(),
            Self::Busy(_) => "wait until it has ended, then ask again".into(),
            Self::NoPython(_) => "install it (Debian: apt-get install python3 python3-venv), or point DR_LAB_VENV at an \
                                  environment that has what drills/lab/requirements.txt names"
                .into(),
            Self::Venv(_) => "Debian has it in a package of its own: apt-get install python3-venv".into(),
            Self::Pip(_) => "it needs a package index once (PIP_INDEX_URL, PIP_FIND_LINKS or a network), or DR_LAB_VENV: an \
                             environment that has what drills/lab/requirements.txt names"
                .into(),
            Self::PortTaken(_) => "leave the port out and a free one is taken, or give another".into(),
            Self::Ended { lines, .. } if lines.contains("ModuleNotFoundError") => {
                "its environment lacks a package: remove `venv` in the lab's folder (or mend DR_LAB_VENV), then dr lab up"
                    .into()
            }
            Self::Slow { .. } | Self::Silent { .. } => "dr lab down, then dr lab up".into(),
            Self::Undying(pid) => format!("kill -9 {pid}"),
            Self::Unseeded(account) => format!("dr lab seed {account}"),
            Self::Ended { .. } | Self::Refused(_) | Self::Unreadable(_) | Self::File { .. } => return None,
        })
    }
}

/// The last lines of what a program said, indented.
pub(super) fn last_lines(text: &str) -> String {
    // Enough for the sentence in which pip and Python say what is wrong.
    const LINES: usize = 8;
    let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let from = lines.len().saturating_sub(LINES);
    lines[from..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
