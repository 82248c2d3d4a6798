//! `DR_CRASH_AT`: the power goes at a chosen point.
//!
//! Kept in every build, because what is tested must be what runs. Without the
//! variable nothing here does anything.

use std::sync::atomic::{AtomicU64, Ordering};

/// A point at which this process kills itself: `commit:N:before|after` its Nth
/// commit, `call:N:before|after` its Nth mutating request, or `tell:N:before|after`
/// its Nth message to people.
#[derive(Debug, Default)]
pub struct CrashAt {
    point: Option<(Place, u64, Edge)>,
    commits: Passed,
    calls: Passed,
    tellings: Passed,
}

/// How often each side was passed: calls overlap, so a reply is counted by itself.
#[derive(Debug, Default)]
struct Passed {
    before: AtomicU64,
    after: AtomicU64,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Commits of the journal.
    Commit,
    /// Requests that change the world.
    Call,
    /// Messages to people.
    Telling,
}

/// Which side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Just before it is sent.
    Before,
    /// Just after its reply.
    After,
}

impl CrashAt {
    /// Reads the point; an empty text is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("DR_CRASH_AT is `{text}`; it takes commit, call or tell, as in commit:N:before|after");
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut words = text.split(':');
        let place = match words.next() {
            Some("commit") => Place::Commit,
            Some("call") => Place::Call,
            Some("tell") => Place::Telling,
            _ => return Err(wrong()),
        };
        let at = words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0).ok_or_else(wrong)?;
        let edge = match (words.next(), words.next()) {
            (Some("before"), None) => Edge::Before,
            (Some("after"), None) => Edge::After,
            _ => return Err(wrong()),
        };
        Ok(Self { point: Some((place, at, edge)), ..Self::default() })
    }

    /// Passes a point. Does not return when it is the chosen one.
    pub fn pass(&self, place: Place, edge: Edge) {
        let passed = match place {
            Place::Commit => &self.commits,
            Place::Call => &self.calls,
            Place::Telling => &self.tellings,
        };
        let counter = if edge == Edge::Before { &passed.before } else { &passed.after };
        let at = counter.fetch_add(1, Ordering::SeqCst) + 1;
        if self.point == Some((place, at, edge)) {
            let me = rustix::process::getpid();
            // SIGKILL cannot be caught: nothing is flushed, as when the power goes.
            rustix::process::kill_process(me, rustix::process::Signal::KILL).ok();
        }
    }

    /// How many commits and mutating calls there were.
    pub fn counts(&self) -> (u64, u64) {
        (self.commits.before.load(Ordering::SeqCst), self.calls.before.load(Ordering::SeqCst))
    }
}
