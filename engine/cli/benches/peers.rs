//! Other programs that run a graph of commands. None of them is durable.

use crate::measure::timed;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// A peer and the file it reads.
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    file: &'static str,
}

/// GNU make.
pub const MAKE: Peer = Peer { name: "make", file: "Makefile" };
/// Ninja.
pub const NINJA: Peer = Peer { name: "ninja", file: "build.ninja" };

impl Peer {
    /// Whether it is on this machine.
    pub fn is_here(&self) -> bool {
        Command::new(self.name).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Writes its file and gives what runs it once, timed.
    pub fn at<'a>(&'a self, folder: &'a Path, text: &str, args: &'a [&'a str]) -> impl Fn() -> f64 + use<'a> {
        std::fs::write(folder.join(self.file), text).expect("a file can be written");
        move || {
            let mut command = Command::new(self.name);
            command.arg("-C").arg(folder).args(args).stdout(Stdio::null());
            let (status, time) = timed(|| command.status().expect("it was there before"));
            assert!(status.success(), "{} {args:?} succeeds", self.name);
            time
        }
    }
}
