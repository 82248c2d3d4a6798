//! Files that show that work was done by hand: a copy is kept with the run, so
//! that what an auditor opens later is what was shown.

use crate::failure::Failure;
use dr_engine::plan::hex;
use sha2::{Digest, Sha256};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The folder of a run in which they lie.
const FOLDER: &str = "evidence";
/// The largest file that is kept.
const BYTES_MAX: u64 = 64 << 20;
/// How much of its hash stands in the name of a copy.
const HASH_IN_NAME: usize = 12;

/// A copy that is kept.
#[derive(Debug)]
pub struct Kept {
    /// Its path within the folder of the run.
    pub name: String,
    /// The hash of what it holds, in hexadecimal.
    pub sha256: String,
    /// The file that was made for it, if it was not kept already.
    made: Option<PathBuf>,
}

impl Kept {
    /// Takes the copy away again: nothing that was said speaks of it.
    pub fn drop(self) {
        self.made.map(fs::remove_file);
    }
}

/// Keeps a copy of a file with a run. It is on the disk when this returns.
pub fn keep(run: &Path, step: &str, shown: &Path) -> Result<Kept, Failure> {
    let wrong = |why: String| {
        Failure::before(format!("`{}` cannot be shown: {why}", shown.display())).hint("--evidence names a file")
    };
    let mut bytes = Vec::new();
    let read = File::open(shown).and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| wrong(error.to_string()))?;
    match bytes.len() as u64 {
        0 => return Err(wrong("it is empty".into())),
        length if length > BYTES_MAX => return Err(wrong(format!("it is longer than {} MiB", BYTES_MAX >> 20))),
        _ => {}
    }
    let sha256 = hex(&Sha256::digest(&bytes));
    // The end of a name says how to open it, where it is one that names a type.
    let end =
        shown.extension().and_then(|end| end.to_str()).filter(|end| end.chars().all(|c| c.is_ascii_alphanumeric()));
    let end = end.map_or(String::new(), |end| format!(".{end}"));
    let name = format!("{FOLDER}/{}-{}{end}", dr_steps::process::file_name(step), &sha256[..HASH_IN_NAME]);
    let path = run.join(&name);
    let made = write(&path, &bytes)
        .map_err(|error| Failure::before(format!("`{}` cannot be written: {error}", path.display())))?;
    Ok(Kept { name, sha256, made: made.then_some(path) })
}

/// Writes a file that only its owner reads; false if the same one is there already.
fn write(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Written aside and renamed in: half a file is never taken for the whole.
    let aside = path.with_extension(format!("part-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| fs::rename(&aside, path)).and_then(|()| File::open(folder)?.sync_all());
    if renamed.is_err() {
        fs::remove_file(&aside).ok();
    }
    renamed.map(|()| true)
}
