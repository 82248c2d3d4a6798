//! Why a command did not do what was asked, the exit code for it, a way out.

use dr_engine::{event::Outcome, executor::Stopped, journal, plan::build::Problems, run::Run};

/// Everything was done.
pub const DONE: u8 = 0;
/// An error before anything was changed.
pub const BEFORE: u8 = 1;
/// A wrong use, or a defective runbook.
pub const USAGE: u8 = 2;
/// The run failed and stopped safely.
pub const FAILED: u8 = 3;
/// It needs a person.
pub const HELD: u8 = 4;
/// An outcome is unknown, or the journal could not be written.
pub const UNKNOWN: u8 = 5;
/// Another controller holds the run, or another run the claim.
pub const TAKEN: u8 = 6;
/// Interrupted, state saved.
pub const INTERRUPTED: u8 = 130;

/// The exit codes and what they say, for the manual.
pub const CODES: [(u8, &str); 8] = [
    (DONE, "Done."),
    (BEFORE, "An error before anything was changed."),
    (USAGE, "A wrong use, or a defective runbook."),
    (FAILED, "The run failed and stopped safely."),
    (HELD, "It needs a person."),
    (UNKNOWN, "An outcome is unknown, or the journal could not be written."),
    (TAKEN, "Another controller holds the run, or another run the claim."),
    (INTERRUPTED, "Interrupted, state saved."),
];

/// Why a command ended badly.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// A way out.
    pub hint: Option<String>,
    /// The mistakes of a runbook, which say it place by place.
    pub problems: Option<Box<Problems>>,
}

impl Failure {
    /// A failure with an exit code.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, problems: None }
    }

    /// A wrong use.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// An error before anything was changed.
    pub fn before(message: impl Into<String>) -> Self {
        Self::new(BEFORE, message)
    }

    /// The same failure with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<journal::Error> for Failure {
    fn from(error: journal::Error) -> Self {
        use journal::Error::{Busy, Damaged, Fenced, Foreign, Locked, Missing, Network, Newer, Store};
        let message = error.to_string();
        match error {
            Locked | Fenced { .. } => Self::new(TAKEN, message)
                .hint("`dr status` shows it; `dr resume RUN --take-over --why TEXT` takes it from a holder that does not answer"),
            Newer { .. } => Self::before(message).hint("use the version of dr that wrote it, or a newer one"),
            Damaged { .. } => Self::new(UNKNOWN, message)
                .hint("nothing was touched; go on from a copy (`dr import`), or by hand from the report of the last good copy"),
            Foreign { owner, .. } => Self::before(message)
                .hint(format!("run dr as whoever began the recovery: sudo -u '#{owner}' dr …")),
            Missing { .. } => Self::before(message).hint("`dr status` lists the runs that are here"),
            Network { .. } => Self::before(message).hint("point --state or DR_STATE at a local disk"),
            Busy { .. } => Self::new(TAKEN, message)
                .hint("`dr status` names the controller; one that is stopped in the middle of a write has to be ended"),
            // On resume the lock is the first thing that is written.
            Store { action: "written" | "locked", .. } => Self::new(UNKNOWN, message)
                .hint("nothing was begun; mend the disk, or go on from a copy elsewhere: dr export, dr import"),
            Store { action: "created", .. } => {
                Self::before(message).hint("nothing was begun; say where runs are kept: --state DIR, or DR_STATE")
            }
            Store { .. } => Self::before(message),
        }
    }
}

impl From<dr_drills::lab::Error> for Failure {
    fn from(error: dr_drills::lab::Error) -> Self {
        Self { hint: error.hint(), ..Self::before(error.to_string()) }
    }
}

/// A controller that stopped: what it wrote last is unknown.
pub fn stopped(stopped: Stopped, run: &str) -> Failure {
    match stopped {
        Stopped::Journal(error @ journal::Error::Fenced { .. }) => Failure::from(error),
        Stopped::Journal(error) => {
            Failure::new(UNKNOWN, format!("{error}; this controller stopped and began nothing more")).hint(format!(
                "mend the disk, then `dr resume {run}`: every step that was under way is looked at first"
            ))
        }
        Stopped::Illegal(error) => Failure::new(UNKNOWN, format!("this is a defect of dr: {error}"))
            .hint(format!("`dr export {run}` keeps what is known; `dr resume {run}` looks at what was under way")),
    }
}

/// The exit code of a run that ended so.
pub fn code(run: &Run, outcome: Outcome, strict: bool) -> u8 {
    match outcome {
        Outcome::Recovered | Outcome::Undone => DONE,
        // Two may write, and nobody tries any more to keep the old one from it.
        Outcome::RecoveredWithExceptions | Outcome::Unverified if !strict && run.unfenced().next().is_some() => HELD,
        Outcome::RecoveredWithExceptions | Outcome::Unverified => {
            if strict {
                FAILED
            } else {
                DONE
            }
        }
        Outcome::Failed | Outcome::Stopped => FAILED,
    }
}
