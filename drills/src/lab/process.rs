//! The lab's process, seen by any `dr` and not only by the one that began it.
//!
//! It is held by a descriptor and not by its number: a number is given to
//! another process when its bearer has ended, and that one must not be ended.

use super::Error;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A process that was alive when it was opened.
#[derive(Debug)]
pub(super) struct Process {
    fd: OwnedFd,
    /// Its number.
    pub(super) id: u32,
}

impl Process {
    /// The process of this number, if there is one.
    pub(super) fn open(id: u32) -> Result<Option<Self>, Error> {
        let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Self { fd, id })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(Error::file(format!("process {id} cannot be watched"))(error.into())),
        }
    }

    /// The process of this number, if it is the lab of this folder.
    pub(super) fn of_lab(id: u32, dir: &Path) -> Result<Option<Self>, Error> {
        let Some(process) = Self::open(id)? else { return Ok(None) };
        let ours = serves(id, dir);
        // Looked at after the name: as long as it lives, the number was its own.
        let alive = !process.ended_within(0)?;
        Ok(Some(process).filter(|_| ours && alive))
    }

    /// Whether it has ended; waits so many milliseconds for it.
    pub(super) fn ended_within(&self, milliseconds: u32) -> Result<bool, Error> {
        let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
        let time = Timespec { tv_sec: seconds.into(), tv_nsec: (rest * 1_000_000).into() };
        match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&time)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(Error::file(format!("process {} cannot be watched", self.id))(error.into())),
        }
    }

    /// Ends it: in order, and if that takes too long, at once.
    pub(super) fn end(&self) -> Result<(), Error> {
        // It closes its sockets and removes its file in well under a second.
        for (signal, milliseconds) in [(Signal::TERM, 10_000), (Signal::KILL, 5_000)] {
            match pidfd_send_signal(&self.fd, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(Error::file(format!("process {} cannot be ended", self.id))(error.into())),
            }
            if self.ended_within(milliseconds)? {
                return Ok(());
            }
        }
        Err(Error::Undying(self.id))
    }
}

/// Whether the process is Python with the lab's server for this folder.
fn serves(id: u32, dir: &Path) -> bool {
    let proc = PathBuf::from(format!("/proc/{id}"));
    // Empty for a process that has ended and was not waited for.
    let line = fs::read(proc.join("cmdline")).unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == 0).map(OsStr::from_bytes).collect();
    let server = words.iter().any(|word| Path::new(word).file_name() == Some(OsStr::new("serve.py")));
    let folder = words.windows(2).find(|pair| pair[0] == "--dir").map(|pair| pair[1]);
    // Somebody may have started it by hand, with a path of their own.
    let cwd = fs::read_link(proc.join("cwd")).unwrap_or_default();
    server && folder.is_some_and(|folder| cwd.join(folder).canonicalize().is_ok_and(|folder| folder == dir))
}
