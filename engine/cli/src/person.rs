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

/// The user who logged in, as the kernel keeps it from the login on: two who
/// work as one account, by `sudo -u`, are two. Else whose process this is, as
/// in a container, which knows no logins.
fn user() -> String {
    let login = fs::read_to_string("/proc/self/loginuid").ok();
    named(login.and_then(|text| logged_in(&text)).unwrap_or_else(|| rustix::process::geteuid().as_raw()))
}

/// The user that the kernel has as logged in; `None` where nobody did, which it
/// writes as the largest number (Linux, `Documentation/ABI/stable/procfs-audit_loginuid`).
fn logged_in(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

/// A user as the system knows them: by number if it has no name for it.
fn named(uid: u32) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_logged_in_counts_and_nobody_is_no_user() {
        assert_eq!(logged_in("1000"), Some(1000));
        assert_eq!(logged_in("4294967295\n"), None);
        assert_eq!(logged_in(""), None);
        assert_eq!(named(0), "root");
        assert_eq!(named(4_000_000_000), "uid 4000000000");
    }
}
