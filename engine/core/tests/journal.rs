//! The journal on a real disk: damaged, full, fenced, cut off, read-only.

mod support;

use dr_engine::{
    clock::{Clock, SystemClock, Time},
    crash::{CrashAt, Edge, Place},
    duration::Dur,
    event::{Event, Kind},
    journal::{
        self, Error, Journal,
        sqlite::{self, Sqlite},
    },
    plan::StepIx,
};
use rusqlite::Connection;
use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use support::{
    script::{BEGIN, Scenario},
    sim::{Sim, fold},
};

fn never() -> Arc<CrashAt> {
    Arc::default()
}

/// A history of so many events that a run could have.
fn history(events: u64) -> Vec<Event> {
    let sim = Sim::new(Scenario::parse("db ok; web needs db ok"), std::collections::VecDeque::new());
    let kind = |seq: u64| match seq {
        1 => sim.opened(),
        _ => Kind::Noted {
            by: support::sim::person("ann"),
            text: format!("line {seq}"),
            help_wanted: false,
            learned: None,
        },
    };
    (1..=events)
        .map(|seq| Event { seq, at: BEGIN.after(Dur(i64::try_from(seq).expect("few"))), kind: kind(seq) })
        .collect()
}

/// A run's folder with so many events in it, and no controller.
fn written(parent: &Path, events: u64) -> PathBuf {
    let folder = parent.join("runs/r1");
    let mut journal = Sqlite::create(&folder, "pid 1 on ops", never()).expect("it can be made");
    for event in history(events) {
        journal.append(&[event]).expect("it can be written");
    }
    folder
}

/// Does nothing unless [`holder`] runs it in a process of its own.
#[test]
fn child_that_asks_who_holds_a_run() {
    if let Ok(folder) = std::env::var("DR_TEST_HOLDER") {
        let holder = sqlite::holder(Path::new(&folder)).expect("it says");
        println!("HOLDER {}.", holder.map_or("nobody".into(), |holder| holder.text));
    }
}

/// Who holds a run, asked from another process: a holder does not see its own lock.
fn holder(folder: &Path) -> String {
    let mut child = Command::new(std::env::current_exe().expect("it is known"));
    child.args(["--exact", "child_that_asks_who_holds_a_run", "--nocapture"]).env("DR_TEST_HOLDER", folder);
    let said = String::from_utf8(child.output().expect("it runs").stdout).expect("it is text");
    let (_, said) = said.split_once("HOLDER ").expect("it says");
    said.split_once('.').expect("to the end").0.to_owned()
}

/// Changes the database behind the journal's back.
fn meddle(folder: &Path, sql: &str) {
    let db = Connection::open(folder.join("journal.db")).expect("it opens");
    db.execute_batch(sql).expect("it is SQL");
}

fn flip(path: &Path, at: usize, bit: u8) {
    let mut bytes = fs::read(path).expect("it is there");
    bytes[at] ^= bit;
    let mut file = OpenOptions::new().write(true).open(path).expect("it opens");
    file.seek(SeekFrom::Start(at as u64)).and_then(|_| file.write_all(&bytes[at..=at])).expect("it can be written");
}

fn damage(read: Result<sqlite::Read, Error>) -> (u64, String) {
    match read {
        Err(Error::Damaged { seq, what, .. }) => (seq, what),
        other => panic!("not refused as damaged: {other:?}"),
    }
}

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 30);
    let read = sqlite::read(&folder).expect("it can be read");
    assert_eq!(read.events, history(30));
    let (mut journal, taken) = Sqlite::take(&folder, "pid 2 on ops", never(), false).expect("it is free");
    assert_eq!((taken.events, taken.head, journal.epoch()), (read.events, read.head, 2));
    let more = &history(33)[30..];
    journal.append(more).expect("it goes on");
    let again = sqlite::read(&folder).expect("it can be read beside its controller");
    assert_eq!((again.events.len(), again.head), (33, journal.head()));
    fold(&again.events).expect("it is a run");
    assert_eq!(sqlite::epoch(&folder).expect("it says"), 2);
    assert_eq!(holder(&folder), "pid 2 on ops");
    drop(journal);
    assert_eq!(holder(&folder), "nobody");
}

#[test]
fn a_feed_gives_what_was_written_since() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 5);
    let mut feed = sqlite::Feed::open(&folder).expect("it opens");
    assert_eq!(feed.fresh().expect("it reads").len(), 5);
    assert_eq!(feed.fresh().expect("it reads").len(), 0);
    let (mut journal, _) = Sqlite::take(&folder, "pid 2 on ops", never(), false).expect("it is free");
    journal.append(&history(8)[5..]).expect("it goes on");
    assert_eq!(feed.fresh().expect("it reads"), &history(8)[5..]);
}

#[test]
fn a_flipped_bit_in_any_row_is_found_and_its_event_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 6);
    let lengths: Vec<usize> = history(6).iter().map(|event| journal::body(&event.kind).len()).collect();
    let db = Connection::open(folder.join("journal.db")).expect("it opens");
    let mut flips = 0;
    for seq in 1..=6_u64 {
        let columns = [("body", lengths[usize::try_from(seq).expect("few") - 1]), ("hash", 32)];
        for (column, length) in columns {
            for at in (0..length).step_by(if length > 500 { 97 } else { 7 }) {
                let before: Vec<u8> = db
                    .query_row(&format!("SELECT {column} FROM event WHERE seq = {seq}"), [], |row| row.get(0))
                    .expect("it is there");
                let mut after = before.clone();
                after[at] ^= 1 << (at % 8);
                let set = format!("UPDATE event SET {column} = ?1 WHERE seq = {seq}");
                db.execute(&set, [&after]).expect("it can be changed");
                let (named, _) = damage(sqlite::read(&folder));
                assert_eq!(named, seq, "byte {at} of {column}");
                let taken = Sqlite::take(&folder, "pid 2 on ops", never(), false);
                assert!(matches!(taken, Err(Error::Damaged { .. })), "a controller refuses it as well");
                db.execute(&set, [&before]).expect("it can be changed back");
                flips += 1;
            }
        }
        for bit in (0..44).step_by(5) {
            meddle(&folder, &format!("UPDATE event SET at = at + {} WHERE seq = {seq}", 1_i64 << bit));
            assert_eq!(damage(sqlite::read(&folder)).0, seq, "bit {bit} of the time");
            meddle(&folder, &format!("UPDATE event SET at = at - {} WHERE seq = {seq}", 1_i64 << bit));
            flips += 1;
        }
    }
    sqlite::read(&folder).expect("it is whole again");
    println!("flipped bits in rows, each found: {flips}");
}

#[test]
fn a_missing_doubled_or_foreign_event_is_found() {
    let cases = [
        ("DELETE FROM event WHERE seq = 3", 3),
        ("DELETE FROM event WHERE seq = 1", 1),
        ("UPDATE event SET seq = 9 WHERE seq = 4", 4),
        ("UPDATE event SET seq = -1 WHERE seq = 4", 4),
        ("UPDATE event SET body = 'text' WHERE seq = 2", 2),
        ("UPDATE event SET body = x'' WHERE seq = 2", 2),
        ("UPDATE event SET at = 'noon' WHERE seq = 2", 2),
        ("UPDATE event SET hash = x'00' WHERE seq = 5", 5),
        ("INSERT INTO event SELECT 7, at, body, hash FROM event WHERE seq = 6", 7),
    ];
    for (sql, seq) in cases {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = written(dir.path(), 6);
        meddle(&folder, sql);
        assert_eq!(damage(sqlite::read(&folder)).0, seq, "{sql}");
    }
}

#[test]
fn a_file_that_is_cut_short_or_flipped_is_refused_or_whole_and_never_a_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 300);
    let path = folder.join("journal.db");
    assert!(!folder.join("journal.db-wal").exists(), "a controller that ends leaves one file");
    let whole = fs::read(&path).expect("it is there");
    let pages = whole.len() / 4096;
    let expected = history(300);
    let (mut refused, mut points) = (0, 0);
    let mut judge = |what: &str| {
        points += 1;
        match sqlite::read(&folder) {
            // Bytes that hold nothing may change.
            Ok(read) => assert_eq!(read.events, expected, "{what}"),
            Err(_) => refused += 1,
        }
    };
    for page in 0..pages {
        for length in [page * 4096, page * 4096 + 1, page * 4096 + 4095] {
            fs::write(&path, &whole[..length]).expect("it can be written");
            judge(&format!("cut at {length}"));
        }
        for at in [0, 3, 5, 8, 18, 28, 56, 63, 100, 103, 105, 108, 2048, 4095] {
            fs::write(&path, &whole).expect("it can be written");
            flip(&path, page * 4096 + at, 1 << (at % 8));
            judge(&format!("flipped {at} of page {page}"));
        }
    }
    println!("{points} cuts and flips in {pages} pages: {refused} refused, the others harmless");
    assert!(refused > pages * 3);
}

#[test]
fn a_flipped_bit_in_what_a_killed_controller_left_beside_is_never_read_as_something_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("runs/r1");
    let mut journal = Sqlite::create(&folder, "pid 1 on ops", never()).expect("it can be made");
    for event in history(20) {
        journal.append(&[event]).expect("it can be written");
    }
    let wal = fs::read(folder.join("journal.db-wal")).expect("it is there");
    let (mut whole, mut shorter, mut refused) = (0, 0, 0);
    // The header, the first frame's own, that of the frame in the middle, and every 1,237th byte.
    let middle = 32 + (wal.len() - 32) / (4096 + 24) / 2 * (4096 + 24);
    let headers = (0..56).chain(middle..middle + 24);
    for at in headers.chain((0..wal.len()).step_by(1_237)) {
        let copy = dir.path().join("copy");
        fs::create_dir(&copy).expect("it can be made");
        for name in ["journal.db", "journal.db-wal"] {
            fs::copy(folder.join(name), copy.join(name)).expect("it can be copied");
        }
        flip(&copy.join("journal.db-wal"), at, 1 << (at % 8));
        match sqlite::read(&copy) {
            Ok(read) if read.events.len() == 20 => whole += 1,
            // SQLite ends the file at the first frame that is not whole. In the last
            // commit nothing can tell that from a power cut.
            Ok(read) => {
                assert!(read.events.len() >= 18, "byte {at} hid {} events", 20 - read.events.len());
                assert_eq!(read.events, history(read.events.len() as u64), "byte {at}");
                shorter += 1;
            }
            Err(_) => refused += 1,
        }
        fs::remove_dir_all(&copy).expect("it can be removed");
    }
    assert!(refused > 100 && shorter < 20, "{whole} harmless, {shorter} shorten, {refused} refused");
    println!("flips beside the database: {whole} harmless, {shorter} shorten the history, {refused} refused");
}

#[test]
fn what_is_not_a_journal_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(sqlite::read(dir.path()), Err(Error::Missing { .. })));
    let take = |folder: &Path| Sqlite::take(folder, "pid 2 on ops", never(), false).map(drop);
    assert!(matches!(take(dir.path()), Err(Error::Missing { .. })));
    assert!(!dir.path().join("lock").exists(), "nothing is made where nothing is");
    fs::write(dir.path().join("journal.db"), b"").expect("it can be written");
    assert_eq!(
        damage(sqlite::read(dir.path())).1,
        "it holds nothing: it was emptied, or its first controller died as it made it"
    );
    fs::write(dir.path().join("journal.db"), b"not a database at all, but a text").expect("it can be written");
    damage(sqlite::read(dir.path()));
    assert!(matches!(take(dir.path()), Err(Error::Damaged { .. })));
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 3);
    meddle(&folder, "PRAGMA user_version = 3");
    assert!(matches!(sqlite::read(&folder), Err(Error::Newer { ours: 2, theirs: 3, .. })));
    let taken = Sqlite::take(&folder, "pid 2 on ops", never(), false);
    assert!(matches!(taken, Err(Error::Newer { ours: 2, theirs: 3, .. })));
}

#[test]
fn a_link_in_the_place_of_a_journal_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 3);
    let other = dir.path().join("other");
    fs::create_dir(&other).expect("it can be made");
    symlink(folder.join("journal.db"), other.join("journal.db")).expect("it can be linked");
    assert_eq!(damage(sqlite::read(&other)).1, "it is a link, and a journal never is");
    assert!(matches!(Sqlite::take(&other, "pid 2 on ops", never(), false), Err(Error::Damaged { .. })));
}

#[test]
fn nobody_else_can_read_a_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("runs/r1");
    let mut journal = Sqlite::create(&folder, "pid 1 on ops", never()).expect("it can be made");
    journal.append(&history(3)).expect("it can be written");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    for name in ["", "inbox", "logs", "../../runs"] {
        assert_eq!(mode(&folder.join(name)), 0o700, "{name}");
    }
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "lock"] {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_run_has_one_controller() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 3);
    let (mut first, _) = Sqlite::take(&folder, "pid 1 on ops", never(), false).expect("it is free");
    assert_eq!(holder(&folder), "pid 1 on ops");
    let second = Sqlite::take(&folder, "pid 2 on ops", never(), false).map(drop);
    assert!(matches!(second, Err(Error::Locked)));
    assert!(matches!(Sqlite::create(&folder, "pid 2 on ops", never()).map(drop), Err(Error::Store { .. })));
    let name = fs::read_to_string(folder.join("lock")).expect("it is there");
    assert_eq!(name, "pid 1 on ops\n", "whoever is refused leaves no name");

    let (mut second, read) = Sqlite::take(&folder, "pid 2 on ops", never(), true).expect("it is taken over");
    assert_eq!((read.events.len(), second.epoch()), (3, 3));
    let fenced = first.append(&history(4)[3..]);
    assert!(matches!(fenced, Err(Error::Fenced { ours: 2, theirs: 3 })), "{fenced:?}");
    assert_eq!(sqlite::read(&folder).expect("it reads").events.len(), 3, "no row of the fenced one");
    second.append(&history(5)[3..]).expect("it goes on");
    assert!(first.append(&history(4)[3..]).is_err(), "it stays fenced");
    // The one that was fenced goes away; the lock is the other's.
    drop(first);
    assert_eq!(holder(&folder), "pid 2 on ops");
    assert!(matches!(Sqlite::take(&folder, "pid 3 on ops", never(), false).map(drop), Err(Error::Locked)));
    // Taken over once more by the same process.
    let (third, read) = Sqlite::take(&folder, "pid 3 on ops", never(), true).expect("it is taken over");
    assert_eq!((read.events.len(), third.epoch()), (5, 4));
}

#[test]
fn a_batch_is_written_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 3);
    let (mut journal, read) = Sqlite::take(&folder, "pid 1 on ops", never(), false).expect("it is free");
    let events = history(9);
    // The last of the batch is there already.
    assert!(journal.append(&[events[3].clone(), events[4].clone(), events[1].clone()]).is_err());
    let after = sqlite::read(&folder).expect("it reads");
    assert_eq!((after.events.len(), after.head), (3, read.head));
}

#[test]
fn a_copy_in_a_place_that_cannot_be_written_can_be_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 40);
    let mount = |options: &str| {
        let mut command = Command::new("mount");
        command.args(["--bind", "-o", options]).arg(&folder).arg(&folder).stderr(std::process::Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !mount("ro") {
        println!("SKIPPED: a read-only mount takes rights that this test has not");
        return;
    }
    let unmount = Unmount(folder.clone());
    assert!(fs::write(folder.join("x"), b"").is_err(), "it is read-only");
    assert_eq!(sqlite::read(&folder).expect("it reads").events.len(), 40);
    assert!(Sqlite::take(&folder, "pid 1 on ops", never(), false).is_err());
    drop(unmount);

    // The controller was killed: the last events stand in the file beside.
    let copy = dir.path().join("copy");
    {
        let (mut journal, _) = Sqlite::take(&folder, "pid 1 on ops", never(), false).expect("it is free");
        journal.append(&history(50)[40..]).expect("it goes on");
        fs::create_dir(&copy).expect("it can be made");
        for name in ["journal.db", "journal.db-wal"] {
            fs::copy(folder.join(name), copy.join(name)).expect("it can be copied");
        }
    }
    let mounted = Command::new("mount").args(["--bind", "-o", "ro"]).args([&copy, &copy]).status();
    assert!(mounted.is_ok_and(|status| status.success()));
    let unmount = Unmount(copy.clone());
    match sqlite::read(&copy) {
        Ok(read) => assert_eq!(read.events.len(), 50, "nothing is left out in silence"),
        Err(error) => assert!(error.to_string().contains("copy"), "{error}"),
    }
    drop(unmount);
    assert_eq!(sqlite::read(&copy).expect("it reads").events.len(), 50);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_stops_the_controller_and_keeps_what_was_there() {
    let dir = tempfile::tempdir().expect("a folder");
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).expect("it can be made");
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=400k", "tmpfs"]).arg(&disk).stderr(std::process::Stdio::null());
    if !mount.status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: a small disk takes rights that this test has not");
        return;
    }
    let _unmount = Unmount(disk.clone());
    let folder = disk.join("runs/r1");
    let mut journal = Sqlite::create(&folder, "pid 1 on ops", never()).expect("it can be made");
    let mut acknowledged = 0;
    let error = history(5_000).into_iter().find_map(|event| match journal.append(&[event]) {
        Ok(()) => {
            acknowledged += 1;
            None
        }
        Err(error) => Some(error),
    });
    let error = error.expect("a small disk is full soon");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(acknowledged > 10, "{acknowledged}");
    let read = sqlite::read(&folder).expect("it can be read on a full disk");
    assert!((acknowledged..=acknowledged + 1).contains(&read.events.len()), "{} {acknowledged}", read.events.len());
    assert_eq!(read.events, history(read.events.len() as u64));
    drop(journal);
    // Somebody makes room.
    let remount = Command::new("mount").args(["-o", "remount,size=8m"]).arg(&disk).status();
    assert!(remount.is_ok_and(|status| status.success()));
    let (mut journal, again) = Sqlite::take(&folder, "pid 2 on ops", never(), false).expect("it is free");
    assert!((acknowledged..=acknowledged + 1).contains(&again.events.len()));
    let from = again.events.len();
    journal.append(&history(from as u64 + 20)[from..]).expect("it goes on");
    println!("full disk after {acknowledged} events: `{error}`");
}

/// The part of the next test that runs in a process whose disk fails. It does
/// nothing unless that process says so.
#[test]
fn child_on_a_disk_that_fails() {
    let Ok(folder) = std::env::var("DR_TEST_FAILING_DISK") else {
        return;
    };
    let folder = PathBuf::from(folder);
    let opened = if folder.exists() {
        Sqlite::take(&folder, "pid 2 on ops", never(), false).map(|(journal, read)| (journal, read.events.len()))
    } else {
        Sqlite::create(&folder, "pid 1 on ops", never()).map(|journal| (journal, 0))
    };
    let (mut journal, from) = match opened {
        Ok(opened) => opened,
        Err(error) => return println!("ERROR {error}"),
    };
    for event in history(12).into_iter().skip(from) {
        let seq = event.seq;
        match journal.append(&[event]) {
            Ok(()) => println!("ACKNOWLEDGED {seq}"),
            Err(error) => return println!("ERROR {error}"),
        }
    }
    println!("ENDED");
}

const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
static int calls;
static int fails(void) { const char *n = getenv("SHIM_FAIL"); return n && ++calls == atoi(n); }
int fsync(int fd) {
    static int (*real)(int); if (!real) real = dlsym(RTLD_NEXT, "fsync");
    if (fails()) { errno = EIO; return -1; }
    return real(fd);
}
int fdatasync(int fd) {
    static int (*real)(int); if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    if (fails()) { errno = EIO; return -1; }
    return real(fd);
}
"#;

#[test]
fn a_sync_that_fails_stops_the_controller_and_a_fresh_open_is_consistent() {
    let dir = tempfile::tempdir().expect("a folder");
    let (source, shim) = (dir.path().join("shim.c"), dir.path().join("shim.so"));
    fs::write(&source, SHIM).expect("it can be written");
    let mut compiler = Command::new("gcc");
    compiler.args(["-shared", "-fPIC", "-o"]).args([&shim, &source]).arg("-ldl");
    if !compiler.status().is_ok_and(|status| status.success()) {
        println!("SKIPPED: no C compiler");
        return;
    }
    let child = |folder: &Path, fail: usize| {
        let me = std::env::current_exe().expect("it is known");
        let mut command = Command::new(me);
        command.args(["--exact", "child_on_a_disk_that_fails", "--nocapture"]).env("DR_TEST_FAILING_DISK", folder);
        command.env("LD_PRELOAD", &shim).env("SHIM_FAIL", fail.to_string());
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "a failing disk is no panic: {output:?}");
        String::from_utf8(output.stdout).expect("it is text")
    };
    let (mut failed, mut unacknowledged) = (0, 0);
    for fail in 1..40 {
        let folder = dir.path().join(format!("runs{fail}/r1"));
        let said = child(&folder, fail);
        let acknowledged = said.matches("ACKNOWLEDGED").count();
        if said.contains("ENDED") {
            assert_eq!(acknowledged, 12);
            continue;
        }
        assert!(said.contains("ERROR"), "sync {fail}: {said}");
        failed += 1;
        let read = match sqlite::read(&folder) {
            Ok(read) => read,
            // The run was never made.
            Err(error) => {
                assert_eq!(acknowledged, 0, "sync {fail}: {error}");
                continue;
            }
        };
        let there = read.events.len();
        assert!((acknowledged..=acknowledged + 1).contains(&there), "sync {fail}: {there} of {acknowledged}: {said}");
        assert_eq!(read.events, history(there as u64), "sync {fail}");
        unacknowledged += there - acknowledged;
        // What is found by a fresh open is gone on from, whether it was acknowledged or not.
        let again = child(&folder, 0);
        assert!(again.contains("ENDED"), "sync {fail}: {again}");
        assert_eq!(sqlite::read(&folder).expect("it reads").events, history(12), "sync {fail}");
    }
    println!("{failed} failing syncs; {unacknowledged} events were there although their commit had failed");
    assert!(failed > 10, "{failed}");
}

#[test]
fn an_event_takes_little_room_and_a_long_history_little_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("runs/r1");
    let mut journal = Sqlite::create(&folder, "pid 1 on ops", never()).expect("it can be made");
    let mut events = history(1);
    let (mut payload, mut at) = (0, BEGIN);
    // A step that fails and is tried again, over and over: the shortest events there are.
    let mut attempt = 0;
    while events.len() < 100_000 {
        attempt += 1;
        at = at.after(Dur(1000));
        let (step, seq) = (StepIx(0), events.len() as u64 + 1);
        events.push(Event { seq, at, kind: Kind::Started { step, attempt } });
        let error = dr_engine::outcome::Failure::passing("no reply");
        let kind = Kind::AttemptFailed { step, attempt, error, retry_at: Time(at.0 + 1000) };
        events.push(Event { seq: seq + 1, at, kind });
    }
    for batch in events.chunks(50) {
        payload += batch.iter().map(|event| journal::body(&event.kind).len()).sum::<usize>();
        journal.append(batch).expect("it can be written");
    }
    drop(journal);
    let bytes = fs::metadata(folder.join("journal.db")).expect("it is there").len();
    let clock = SystemClock::new();
    let begin = clock.now();
    let read = sqlite::read(&folder).expect("it reads");
    let read_at = clock.now();
    let run = fold(&read.events).expect("it is a run");
    let end = clock.now();
    assert_eq!(run.seq, events.len() as u64);
    let (count, payload) = (events.len() as u64, payload as u64);
    let beside = (bytes - payload) / count;
    let flavour = if cfg!(debug_assertions) { "debug" } else { "release" };
    println!(
        "{} events ({flavour}): read and verified in {}, folded in {}; {} bytes an event, {beside} beside its payload",
        events.len(),
        read_at.since(begin),
        end.since(read_at),
        bytes / count,
    );
    assert!(beside <= 200, "{beside}");
}

#[test]
fn a_point_at_which_the_power_goes_is_written_exactly() {
    for good in ["", "commit:1:before", "commit:12:after", "call:3:before", "call:1:after"] {
        CrashAt::parse(good).unwrap_or_else(|why| panic!("{why}"));
    }
    for bad in [
        "commit",
        "commit:0:before",
        "commit:1",
        "commit:-1:after",
        "commit:x:after",
        "commit:1:after:",
        "write:1:after",
        "commit:1:later",
        " commit:1:after",
    ] {
        assert!(CrashAt::parse(bad).is_err_and(|why| why.contains("commit:N:before|after")), "{bad}");
    }
    let crash = CrashAt::parse("commit:5:after").expect("a point");
    for place in [Place::Commit, Place::Call, Place::Call] {
        crash.pass(place, Edge::Before);
        crash.pass(place, Edge::After);
    }
    assert_eq!(crash.counts(), (1, 2));
}

/// Does nothing unless a test runs it in a process of its own.
#[test]
fn child_that_loses_its_power() {
    let (Ok(folder), Ok(point)) = (std::env::var("DR_TEST_POWER"), std::env::var("DR_CRASH_AT")) else {
        return;
    };
    let crash = Arc::new(CrashAt::parse(&point).expect("a point"));
    let mut journal = Sqlite::create(Path::new(&folder), "pid 1 on ops", crash).expect("it can be made");
    for events in history(12).chunks(3) {
        journal.append(events).expect("it can be written");
        println!("ACKNOWLEDGED {}", events.len());
    }
}

#[test]
fn a_process_that_is_killed_at_a_commit_leaves_a_whole_journal() {
    let dir = tempfile::tempdir().expect("a folder");
    for commit in 1..=4_usize {
        for (edge, there) in [("before", commit * 3 - 3), ("after", commit * 3)] {
            let folder = dir.path().join(format!("{edge}{commit}/r1"));
            let mut child = Command::new(std::env::current_exe().expect("it is known"));
            child.args(["--exact", "child_that_loses_its_power", "--nocapture"]).env("DR_TEST_POWER", &folder);
            let output = child.env("DR_CRASH_AT", format!("commit:{commit}:{edge}")).output().expect("it runs");
            let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
            assert_eq!(signal, Some(9), "{output:?}");
            assert_eq!(sqlite::read(&folder).expect("it reads").events, history(there as u64));
            let (mut journal, read) = Sqlite::take(&folder, "pid 2 on ops", never(), false).expect("the lock is free");
            journal.append(&history(12)[read.events.len()..]).expect("it goes on");
        }
    }
}

#[test]
fn an_empty_append_writes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = written(dir.path(), 3);
    let (mut journal, read) = Sqlite::take(&folder, "pid 1 on ops", never(), false).expect("it is free");
    journal.append(&[]).expect("nothing is written");
    assert_eq!(journal.head(), read.head);
}
