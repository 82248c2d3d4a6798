//! Where a channel is not configured: what it would send is kept as files, and said to be.

use crate::{
    channel::{Channel, Memory, Trouble},
    mail::word,
    parcel::Parcel,
};
use async_trait::async_trait;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What a parcel looks like in a file, or why it cannot be shown.
type Render = dyn Fn(&Parcel) -> Result<Vec<u8>, String> + Send + Sync;

/// How the name of a folder in the place of a channel ends.
const SUFFIX: &str = "-file";

/// Whether a channel of this name is a folder: nobody was told by it.
pub(crate) fn is_file(channel: &str) -> bool {
    channel.ends_with(SUFFIX)
}

/// The way that a channel of this name stands for, be it a folder in its place.
pub(crate) fn way(channel: &str) -> &str {
    channel.trim_end_matches(SUFFIX)
}

/// A folder in the place of a channel.
pub struct Files {
    name: &'static str,
    folder: PathBuf,
    extension: &'static str,
    takes: fn(&Parcel) -> bool,
    render: Box<Render>,
}

impl Files {
    /// Files `NNNN-PARCEL.extension` in `folder`, for the parcels that a channel would take; `name` is that of
    /// the channel with `-file` behind it, because nobody was told by it.
    pub fn new(
        name: &'static str,
        folder: PathBuf,
        extension: &'static str,
        takes: fn(&Parcel) -> bool,
        render: impl Fn(&Parcel) -> Result<Vec<u8>, String> + Send + Sync + 'static,
    ) -> Self {
        Self { name, folder, extension, takes, render: Box::new(render) }
    }
}

#[async_trait]
impl Channel for Files {
    fn name(&self) -> &'static str {
        self.name
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        (self.takes)(parcel)
    }

    /// A parcel that is there already is written over with the same.
    async fn deliver(&self, parcels: &[Parcel], _again: bool, _memory: &mut Memory) -> Result<String, Trouble> {
        let mut paths = Vec::new();
        for parcel in parcels {
            let bytes = (self.render)(parcel).map_err(Trouble::refused)?;
            let (folder, stem, extension) = (self.folder.clone(), word(&parcel.id), self.extension);
            // A disk can be slow, and the loop that carries the recovery must not wait for it.
            let written = tokio::task::spawn_blocking(move || write(&folder, &stem, extension, &bytes)).await;
            let path = written.map_err(|error| Trouble::passing(error.to_string()))?;
            let path = path
                .map_err(|error| Trouble::passing(format!("{} cannot be written: {error}", self.folder.display())))?;
            paths.push(path.display().to_string());
        }
        Ok(paths.join(", "))
    }

    async fn check(&self) -> Result<String, Trouble> {
        Ok(format!("kept in {}: nobody is told", self.folder.display()))
    }
}

/// Writes a file that only its owner reads, whole or not at all.
fn write(folder: &Path, stem: &str, extension: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(format!("{:04}-{stem}.{extension}", number(folder, stem)?));
    let aside = folder.join(format!(".{stem}.{extension}"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&aside, &path)).and_then(|()| File::open(folder)?.sync_all());
    if renamed.is_err() {
        fs::remove_file(&aside).ok();
    }
    renamed.map(|()| path)
}

/// The number that a parcel has in the folder, whatever the kind of file, else the next: files stand in the order
/// in which people would have been told.
fn number(folder: &Path, stem: &str) -> io::Result<u32> {
    let mut next = 1;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some((number, rest)) = name.to_str().and_then(|name| name.split_once('-')) else { continue };
        let Ok(number) = number.parse::<u32>() else { continue };
        if rest.rsplit_once('.').is_some_and(|(same, _)| same == stem) {
            return Ok(number);
        }
        next = next.max(number.saturating_add(1));
    }
    Ok(next)
}
