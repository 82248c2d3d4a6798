//! The lease: what keeps a controller that was stopped and wakes up from
//! acting beside the one that took over.
//!
//! Fencing the journal does not fence the calls of a process that wakes up in
//! the middle of one. So a mutating call is sent only while this controller
//! has read its own epoch from the journal within [`limits::LEASE`]; whoever
//! takes over raises the epoch and waits that long.

use crate::{
    clock::boottime,
    crash::{CrashAt, Edge, Place},
    journal::sqlite,
    limits,
    outcome::Failure,
    step::Guard,
};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// The lease of one controller.
#[derive(Debug)]
pub struct Lease {
    folder: PathBuf,
    epoch: u64,
    /// On `CLOCK_BOOTTIME`, which goes on while the machine sleeps.
    until: AtomicI64,
    crash: Arc<CrashAt>,
}

impl Lease {
    /// The lease of the controller that holds this epoch now.
    pub fn new(folder: PathBuf, epoch: u64, crash: Arc<CrashAt>) -> Self {
        Self { folder, epoch, until: AtomicI64::new(boottime() + limits::LEASE.0), crash }
    }

    /// Reads the epoch in force; no reading, no renewal.
    fn renew(&self) -> Result<(), Failure> {
        // The time before the reading: what is read was so no later than that.
        let now = boottime();
        match sqlite::epoch(&self.folder) {
            Ok(epoch) if epoch == self.epoch => {
                self.until.store(now + limits::LEASE.0, Ordering::SeqCst);
                Ok(())
            }
            Ok(epoch) => Err(Failure::new(format!(
                "another controller took this run over (epoch {epoch}, this one's is {}): nothing was sent",
                self.epoch
            ))),
            Err(error) => Err(Failure::passing(format!("the lease could not be renewed, nothing was sent: {error}"))),
        }
    }
}

impl Guard for Lease {
    fn before(&self) -> Result<(), Failure> {
        if boottime() >= self.until.load(Ordering::SeqCst) {
            self.renew()?;
        }
        self.crash.pass(Place::Call, Edge::Before);
        Ok(())
    }

    fn after(&self) {
        self.crash.pass(Place::Call, Edge::After);
    }
}
