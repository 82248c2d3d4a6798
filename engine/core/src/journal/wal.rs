//! What a killed controller left in the write-ahead file beside its journal.
//!
//! `SQLite` reads that file up to the first frame that is not sound and takes
//! the rest for a commit that never ended. After a power cut that is right; a
//! bit that flipped in the middle looks just the same, and would shorten the
//! history without a word. A commit is on disk before the next one begins, so a
//! sound frame of a *later* commit tells the two apart.
//!
//! The form is that of <https://www.sqlite.org/fileformat2.html#walformat>.

use std::{fs, io, path::Path};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// Whether commits that were on disk would go unread.
///
/// Damage within the very last commit cannot be told from a power cut that
/// fell into it.
pub(super) fn hides_commits(journal: &Path) -> io::Result<bool> {
    let read = || match fs::read(journal.with_extension("db-wal")) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    };
    let seen = read()?;
    // A controller that began the file anew under our eyes leaves it whole the second time.
    Ok(hides(&seen) && hides(&read()?))
}

fn hides(bytes: &[u8]) -> bool {
    let Some((header, frames)) = bytes.split_at_checked(HEADER) else {
        return false;
    };
    // The header is on disk before the first commit is.
    let (magic, salts, page) = (word(header, 0), &header[16..24], word(header, 8) as usize);
    let sum = if magic & 1 == 1 { sum::<true> } else { sum::<false> };
    let form = magic & !1 == 0x377f_0682 && page.is_power_of_two() && (512..=65_536).contains(&page);
    if !form || sum((0, 0), &header[..24]) != stored(header, 24) {
        return !frames.is_empty();
    }
    let mut before = stored(header, 24);
    // Whether a frame was unsound, and whether the commit it was part of has ended since.
    let (mut broken, mut ended) = (false, false);
    for frame in frames.chunks_exact(FRAME_HEADER + page) {
        let ours = &frame[8..16] == salts;
        let sound = ours && sum(sum(before, &frame[..8]), &frame[FRAME_HEADER..]) == stored(frame, 16);
        if sound && ended {
            return true;
        }
        broken |= !sound;
        ended |= broken && ours && word(frame, 4) != 0;
        before = stored(frame, 16);
    }
    false
}

/// Two sums over pairs of words, each going into the other.
fn sum<const BIG: bool>((mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    for pair in bytes.chunks_exact(8) {
        let read = |four: &[u8]| {
            let four = four.try_into().expect("four bytes");
            if BIG { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        };
        a = a.wrapping_add(read(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(read(&pair[4..])).wrapping_add(a);
    }
    (a, b)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn stored(bytes: &[u8], at: usize) -> (u32, u32) {
    (word(bytes, at), word(bytes, at + 4))
}
