//! How people reach a run from another terminal: a folder of files.
//!
//! A message is written aside and renamed in, so that it is there whole or not
//! at all. The controller takes it, writes the event, and only then removes the
//! file: a message found again after a crash is known by its id. Nobody but the
//! controller ever opens the journal for writing.

use crate::{message::Message, run::Run};
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The inbox of a run.
#[derive(Debug, Clone)]
pub struct Inbox {
    folder: PathBuf,
}

impl Inbox {
    /// The inbox in a run's folder.
    pub fn of(run_folder: &Path) -> Self {
        Self { folder: run_folder.join("inbox") }
    }

    /// Puts a message in. Its id is `by.message`.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        let id = id_of(message)?;
        let aside = self.folder.join(format!(".{id}"));
        let text = serde_json::to_vec(message)?;
        let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
        io::Write::write_all(&mut file, &text)?;
        file.sync_all()?;
        fs::rename(&aside, self.path(id))
    }

    /// The messages that this run has not taken, oldest first, for whoever
    /// only looks. A controller that ended may have left one that it took.
    pub fn untaken(&self, run: &Run) -> io::Result<Vec<Message>> {
        let read = |name: String| serde_json::from_slice(&fs::read(self.folder.join(name)).ok()?).ok();
        let taken = |message: &Message| message.by.message.as_ref().is_some_and(|id| run.taken.contains(id));
        Ok(self.names()?.into_iter().filter_map(read).filter(|message| !taken(message)).collect())
    }

    /// The messages that wait, oldest first. What cannot be read is refused.
    pub fn waiting(&self) -> io::Result<Vec<Message>> {
        let mut messages = Vec::new();
        for name in self.names()? {
            let id = name.trim_end_matches(".json");
            let Ok(text) = fs::read(self.folder.join(&name)) else { continue };
            match serde_json::from_slice::<Message>(&text) {
                Ok(message) if message.by.message.as_deref() == Some(id) => messages.push(message),
                Ok(_) => self.refuse(id, "the message is not filed under its own id")?,
                Err(error) => self.refuse(id, &format!("the message cannot be read: {error}"))?,
            }
        }
        Ok(messages)
    }

    /// The files of the messages that wait, oldest first.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| Path::new(name).extension().is_some_and(|e| e == "json") && !name.starts_with('.'))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Takes a message out, once what it led to is durable.
    pub fn done(&self, message: &Message) -> io::Result<()> {
        fs::remove_file(self.path(id_of(message)?))
    }

    /// Takes a message out and leaves word for its sender why nothing follows.
    pub fn refuse(&self, id: &str, why: &str) -> io::Result<()> {
        fs::write(self.folder.join(format!("{id}.refused")), why)?;
        fs::remove_file(self.path(id))
    }

    /// Why a message was refused, if it was; the word is taken out.
    pub fn refused(&self, id: &str) -> Option<String> {
        let path = self.folder.join(format!("{id}.refused"));
        let why = fs::read_to_string(&path).ok()?;
        fs::remove_file(path).ok();
        Some(why)
    }

    /// Takes a message back that nobody has taken.
    pub fn withdraw(&self, id: &str) -> bool {
        fs::remove_file(self.path(id)).is_ok()
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

fn id_of(message: &Message) -> io::Result<&str> {
    let id = message.by.message.as_deref();
    id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a message needs an id"))
}
