//! What running steps say just now, for whoever watches from another terminal:
//! a small file in the run's folder, renamed in, once a second at most. No part
//! of what happened: it is never synced, and lost without harm.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

/// The file's name in the run's folder.
const FILE: &str = "says.json";
/// The pause between two writes.
const PAUSE: Duration = Duration::from_secs(1);
/// So much may wait to be written; more is left out, since newer words follow.
const BEHIND_MAX: usize = 1_000;

/// Words by the id of the step that says them.
pub type Words = BTreeMap<String, String>;

/// Begins to keep what steps say; gives the way to tell it, which never waits.
pub fn keep(folder: &Path) -> impl Fn(&str, &str) + Send + Sync + use<> {
    let (to, said) = mpsc::sync_channel::<(String, String)>(BEHIND_MAX);
    let folder = folder.to_path_buf();
    // What an earlier controller's steps said is over.
    fs::remove_file(path(&folder)).ok();
    thread::spawn(move || {
        let mut words = Words::new();
        while let Ok((step, text)) = said.recv() {
            words.insert(step, text);
            // A full disk costs those who watch these words, nobody else anything.
            write(&folder, &words).ok();
            pause();
            words.extend(said.try_iter());
            write(&folder, &words).ok();
        }
    });
    move |step, text| drop(to.try_send((step.to_owned(), text.to_owned())))
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, for which nothing waits")]
fn pause() {
    thread::sleep(PAUSE);
}

/// What is said now; nothing, when that cannot be read.
pub fn read(folder: &Path) -> Words {
    let text = fs::read(path(folder)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn write(folder: &Path, words: &Words) -> std::io::Result<()> {
    let aside = folder.join(".says");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&serde_json::to_vec(words)?)?;
    fs::rename(&aside, path(folder))
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::{keep, read};

    #[test]
    fn what_is_said_can_be_read_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(read(folder.path()).is_empty(), "nobody has said anything");
        let tell = keep(folder.path());
        tell("restore_db", "creating");
        tell("restore_db", "45 %\x1b[2J");
        tell("scale_api", "1 of 3");
        let mut looks = 0;
        while !read(folder.path()).contains_key("scale_api") {
            looks += 1;
            assert!(looks < 1_000, "{:?}", read(folder.path()));
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        assert_eq!(read(folder.path())["restore_db"], "45 %\x1b[2J", "the newest word counts");
    }
}
