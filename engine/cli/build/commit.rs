//! Which commit the sources are, as far as git knows.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// What goes into the program. A test or a text beside them changes nothing in it.
const SOURCES: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "drills/Cargo.toml",
    "drills/build.rs",
    "drills/lab",
    "drills/src",
    "engine/cli/Cargo.toml",
    "engine/cli/src",
    "engine/core/Cargo.toml",
    "engine/core/src",
    "steps/Cargo.toml",
    "steps/src",
];

/// How many digits of its hash name a commit.
const DIGITS: usize = 12;

/// The commit that a program is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// The first digits of its hash.
    pub(crate) hash: String,
    /// The day it was made, in UTC, where that is known.
    pub(crate) date: Option<String>,
    /// The sources differ from it.
    pub(crate) changed: bool,
}

impl Commit {
    /// The commit that is checked out at the root of a repository; none where there is no git.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        // Sources that were unpacked inside somebody else's repository are not that one's commit.
        let top = git(root, &["rev-parse", "--show-toplevel"])?;
        if Path::new(&top).canonicalize().ok()? != root.canonicalize().ok()? {
            return None;
        }
        let head = git(root, &["log", "-1", "--format=%H %cd", "--date=format-local:%Y-%m-%d"])?;
        let (hash, date) = head.split_once(' ')?;
        let changes = git(root, &[&["status", "--porcelain", "--"], &SOURCES[..]].concat())?;
        Some(Self { hash: hash.get(..DIGITS)?.into(), date: Some(date.into()), changed: !changes.is_empty() })
    }

    /// A commit by its hash alone, for sources that came without git; none if that is no hash.
    pub(crate) fn named(hash: &str) -> Option<Self> {
        let hex = hash.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        Some(Self { hash: hash.get(..DIGITS).filter(|_| hex)?.into(), date: None, changed: false })
    }
}

/// The version for people: `0.1.0 (commit abcdef123456, 2026-11-22)`.
pub(crate) fn shown(version: &str, commit: Option<&Commit>) -> String {
    let Some(Commit { hash, date, changed }) = commit else { return format!("{version} (commit unknown)") };
    let changes = if *changed { " with changes" } else { "" };
    let date = date.as_ref().map(|date| format!(", {date}")).unwrap_or_default();
    format!("{version} (commit {hash}{changes}{date})")
}

/// The version for journals, as semver adds to one what it was built from: `0.1.0+abcdef123456`.
pub(crate) fn written(version: &str, commit: Option<&Commit>) -> String {
    let Some(Commit { hash, changed, .. }) = commit else { return version.into() };
    format!("{version}+{hash}{}", if *changed { ".changed" } else { "" })
}

/// The files whose change makes another answer of [`Commit::of`]: git's own and the sources.
pub(crate) fn watched(root: &Path) -> Vec<PathBuf> {
    // Whatever moves the head writes into its log; without one, a commit shows in the branch.
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD".into(), "logs/HEAD".into()].into_iter().chain(branch);
    let asked = names.filter_map(|name: String| git(root, &["rev-parse", "--git-path", &name]));
    // Cargo takes a path that is not there for one that has changed.
    asked.chain(SOURCES.map(String::from)).map(|path| root.join(path)).filter(|path| path.exists()).collect()
}

/// What git answers, if it does.
fn git(root: &Path, args: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    // A hook of git names the repository to all that it starts; a look leaves the index alone.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE").env("GIT_OPTIONAL_LOCKS", "0");
    let output = git.current_dir(root).env("TZ", "UTC").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim_end().to_owned())
}
