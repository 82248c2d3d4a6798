//! The book of deliveries: what waits for which channel, durable before and
//! after each attempt, in a folder of its own beside the journal.
//!
//! What was told has to survive a crash, and what was begun must be known to
//! have been begun: whether it arrived is for the channel to find out.

pub use crate::lane::Lane;

use crate::{
    parcel::{Body, Parcel},
    update::{Update, customers::Announced},
};
use dr_engine::clock::Time;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The book of one run.
#[derive(Debug)]
pub struct Book {
    folder: PathBuf,
    /// What stands in it.
    pub page: Page,
    /// Held, never read: one process delivers at a time.
    _lock: fs::File,
}

/// What a book holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The last update that was made.
    pub update: Option<u32>,
    /// So many parcels were made, updates apart.
    pub notices: u32,
    /// What customers were told last.
    #[serde(default)]
    pub announced: Option<Announced>,
    /// Up to this event details were made.
    pub details: u64,
    /// For which promise the technical lead was asked, and when.
    pub asked: Option<(Time, Time)>,
    /// For which promise a draft was shown.
    pub drafted: Option<Time>,
    /// Notices that hold until an update is made: the question and the draft before a promise, and that promise.
    #[serde(default)]
    pub passing: Vec<(String, Time)>,
    /// Notices of what is over: nobody hears of it any more who has not.
    #[serde(default)]
    pub over: BTreeSet<String>,
    /// Channel by channel.
    pub channels: BTreeMap<String, Lane>,
}

impl Book {
    /// Opens the book in a run's folder; `None` while another process has it open.
    pub fn open(run_folder: &Path) -> io::Result<Option<Self>> {
        let folder = run_folder.join("comms");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let lock =
            fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        let page = page(&folder)?.unwrap_or_default();
        Ok(Some(Self { folder, page, _lock: lock }))
    }

    /// Makes what stands in it durable.
    pub fn write(&self) -> io::Result<()> {
        put(&self.folder, "book.json", &serde_json::to_vec(&self.page)?)
    }

    /// Keeps a parcel, before the book says that it waits.
    pub fn keep(&self, parcel: &Parcel) -> io::Result<()> {
        put(&self.folder, &format!("{}.json", parcel.id), &serde_json::to_vec(parcel)?)
    }

    /// A parcel that was kept.
    pub fn parcel(&self, id: &str) -> io::Result<Parcel> {
        parcel(&self.folder, id)
    }

    /// An update that was kept.
    pub(crate) fn update(&self, number: u32) -> io::Result<Option<Update>> {
        update_in(&self.folder, number)
    }
}

/// An update of a run, for whoever only looks.
pub(crate) fn update(run_folder: &Path, number: u32) -> io::Result<Option<Update>> {
    update_in(&run_folder.join("comms"), number)
}

fn update_in(folder: &Path, number: u32) -> io::Result<Option<Update>> {
    match parcel(folder, &format!("update-{number}"))?.body {
        Body::Update(update) => Ok(Some(*update)),
        Body::Notice(_) | Body::Details(_) | Body::Announcement(_) => Ok(None),
    }
}

fn parcel(folder: &Path, id: &str) -> io::Result<Parcel> {
    Ok(serde_json::from_slice(&fs::read(folder.join(format!("{id}.json")))?)?)
}

/// What stands in the book of a run, for whoever only looks; `None` if there is none.
pub fn read(run_folder: &Path) -> io::Result<Option<Page>> {
    page(&run_folder.join("comms"))
}

fn page(folder: &Path) -> io::Result<Option<Page>> {
    match fs::read(folder.join("book.json")) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whole or not at all, and durable.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let aside = folder.join(format!(".{name}"));
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&aside, folder.join(name))?;
    fs::File::open(folder)?.sync_all()
}
