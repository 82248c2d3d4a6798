//! The journal: what happened, in order, durable before anyone hears of it.
//!
//! Synchronous, and called by the loop itself: it alone decides when something
//! is written, and nothing is acted upon before.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

pub mod sqlite;
mod wal;

use crate::event::{Event, Kind};
use sha2::{Digest, Sha256};

/// The hash of an event and, through it, of every event before.
pub type Hash = [u8; 32];

/// Where the events of one run are kept.
pub trait Journal {
    /// Makes the events durable, all or none.
    ///
    /// After an error other than [`Error::Fenced`] it is unknown whether they
    /// are there: in `SQLite`'s WAL mode a row whose commit failed was found
    /// present on reopening. Only a fresh open knows.
    fn append(&mut self, events: &[Event]) -> Result<(), Error>;
}

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another controller has taken the run.
    #[error("another controller has taken this run (epoch {theirs}, this one's is {ours})")]
    Fenced { ours: u64, theirs: u64 },
    /// Another controller holds the lock.
    #[error("another controller holds this run")]
    Locked,
    /// Another process sits inside a write and does not come out of it.
    #[error("the journal {path} is being written by another process, which does not come to an end")]
    Busy { path: String },
    /// The store failed.
    #[error("the journal {path} could not be {action}: {cause}")]
    Store { path: String, action: &'static str, cause: String },
    /// What is there was not written by `dr`, or was damaged since.
    #[error("the journal {path} is damaged at event {seq}: {what}")]
    Damaged { path: String, seq: u64, what: String },
    /// It was written by a newer version.
    #[error("the journal {path} has format {theirs}; this version of dr reads up to {ours}")]
    Newer { path: String, ours: u32, theirs: u32 },
    /// It is another user's, who may be writing it.
    #[error("the journal {path} belongs to user {owner}, and this is user {me}")]
    Foreign { path: String, owner: u32, me: u32 },
    /// It is not there.
    #[error("there is no journal at {path}")]
    Missing { path: String },
    /// Its file system does not keep the promises that a journal needs.
    #[error("{path} is on a network file system ({kind}), on which locks and syncs cannot be relied upon")]
    Network { path: String, kind: String },
}

/// The hash of an event, given the hash of the one before.
pub fn hash(prev: &Hash, event: &Event, body: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(prev);
    hasher.update(event.seq.to_le_bytes());
    hasher.update(event.at.0.to_le_bytes());
    hasher.update(body);
    hasher.finalize().into()
}

/// A journal that is gone when the process ends: for dry runs and tests.
#[derive(Debug, Default)]
pub struct Memory {
    /// What was written.
    pub events: Vec<Event>,
}

impl Journal for Memory {
    fn append(&mut self, events: &[Event]) -> Result<(), Error> {
        self.events.extend_from_slice(events);
        Ok(())
    }
}

/// The form in which an event is stored: JSON of what happened.
///
/// # Panics
/// Never: every part of an event is JSON.
pub fn body(kind: &Kind) -> Vec<u8> {
    serde_json::to_vec(kind).expect("events are JSON")
}
