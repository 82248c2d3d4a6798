//! What the machine itself takes: S, a process, and F, a durable append.

use crate::measure::timed;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    process::Command,
};

/// S: starts `true` and waits for it, this many times. A command without a
/// hook before exec is started with `posix_spawn`.
pub fn spawns(times: u32) -> f64 {
    let all = || {
        for _ in 0..times {
            let status = Command::new("true").status().expect("`true` can be started");
            assert!(status.success(), "`true` succeeds");
        }
    };
    timed(all).1
}

/// A file to append to.
pub struct Appends(File);

impl Appends {
    /// In this folder: what a sync costs depends on the disk.
    pub fn begin(folder: &Path) -> Self {
        let path = folder.join("appends");
        Self(OpenOptions::new().create(true).append(true).open(path).expect("a file can be made"))
    }

    /// F: appends 200 bytes and waits until they are on disk, this many times.
    pub fn syncs(&mut self, times: u32) -> f64 {
        let all = || {
            for _ in 0..times {
                self.0.write_all(&[b'x'; 200]).and_then(|()| self.0.sync_data()).expect("a file can be written");
            }
        };
        timed(all).1
    }
}
