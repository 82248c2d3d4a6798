//! Who says something: the name that was given, the user, the host.

use dr_engine::event::Person;
use std::{fs, process};

/// The person at this terminal. A claim: there is no sign-in.
pub fn here(name: Option<&str>) -> Person {
    Person { name: name.map(str::to_owned), user: user(), host: host(), message: None }
}

/// The name of this host.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The user as the system knows them: by number if it has no name for it.
fn user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut entries = passwd.lines().map(|line| line.split(':'));
    let name = entries.find_map(|mut entry| {
        let name = entry.next()?;
        (entry.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}

/// This process, for the lock file: `pid N on HOST`.
pub fn process() -> String {
    format!("pid {} on {}", process::id(), host())
}
