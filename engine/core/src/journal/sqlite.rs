//! The journal of a run in its folder: `SQLite` in WAL mode, one file per run,
//! one row per event.
//!
//! Written by its controller alone, under a lock that says whether the holder
//! lives and an epoch that fences a holder that was taken for dead. Anyone may
//! read at any time. WAL, because other modes starve readers and cost three to
//! six times as much; FULL, because a commit that is not on disk is no commit.

use super::{Error, Hash, Journal, body, hash, wal};
use crate::{
    clock::Time,
    crash::{CrashAt, Edge, Place},
    event::Event,
};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use rustix::{
    fs::{FlockOperation, fcntl_lock},
    process::{FlockType, fcntl_getlk},
};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The version of the tables and of the events in them.
pub const FORMAT: u32 = 2;

/// How long a commit waits for another process that sits inside one.
const BUSY: Duration = Duration::from_secs(5);

/// The journal of a run, held by its controller.
#[derive(Debug)]
pub struct Sqlite {
    db: Connection,
    path: PathBuf,
    epoch: u64,
    head: Hash,
    crash: Arc<CrashAt>,
    // Held, never read: letting go of it is the sign that this controller is gone.
    _lock: File,
}

/// Who holds a run, as the lock file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `pid N on HOST`, or that the file does not say.
    pub text: String,
}

/// A run's folder as it was read.
#[derive(Debug)]
pub struct Read {
    /// All events, in order.
    pub events: Vec<Event>,
    /// The hash of the last.
    pub head: Hash,
}

/// How far a journal was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// The number of the last event.
    pub seq: u64,
    /// Its hash.
    pub head: Hash,
}

impl Sqlite {
    /// Makes the folder of a new run and its journal, and takes the lock.
    pub fn create(folder: &Path, who: &str, crash: Arc<CrashAt>) -> Result<Self, Error> {
        let parent = folder.parent().unwrap_or(folder);
        let store = |action| move |cause: std::io::Error| store(folder, action, &cause);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(store("created"))?;
        refuse_network(parent)?;
        fs::DirBuilder::new().mode(0o700).create(folder).map_err(store("created"))?;
        for name in ["inbox", "logs"] {
            fs::DirBuilder::new().mode(0o700).create(folder.join(name)).map_err(store("created"))?;
        }
        let lock = take_lock(folder, who)?;
        let path = folder.join("journal.db");
        private(&path).map_err(store("created"))?;
        make_tables(&path).map_err(sql(&path, "created"))?;
        // All of the file at once, and before SQLite has it open again: whoever
        // closes a file lets go of every lock that its process has on it.
        File::open(&path).and_then(|f| f.sync_all()).map_err(store("created"))?;
        let db = Connection::open(&path).map_err(sql(&path, "created"))?;
        settle(&db).map_err(sql(&path, "created"))?;
        // A folder whose name did not reach the disk is a run that never was.
        File::open(folder).and_then(|f| f.sync_all()).map_err(store("created"))?;
        File::open(parent).and_then(|f| f.sync_all()).map_err(store("created"))?;
        Ok(Self { db, path, epoch: 1, head: [0; 32], crash, _lock: lock })
    }

    /// Takes the lock of a run and raises its epoch; gives what had happened.
    ///
    /// With `take_over`, a holder that still lives is fenced instead of being
    /// an error. It can have calls under way: wait out its lease
    /// ([`crate::limits::LEASE`]) before the first mutating call.
    pub fn take(folder: &Path, who: &str, crash: Arc<CrashAt>, take_over: bool) -> Result<(Self, Read), Error> {
        Self::take_after(folder, who, crash, take_over, Mark::default())
    }

    /// Like [`Self::take`]; gives only what was written since it was read.
    pub fn take_after(
        folder: &Path,
        who: &str,
        crash: Arc<CrashAt>,
        take_over: bool,
        known: Mark,
    ) -> Result<(Self, Read), Error> {
        let path = folder.join("journal.db");
        owned(&path)?;
        refuse_network(folder)?;
        // Two that take over at the same time would put their locks in the wrong order.
        let _turn = if take_over { Some(turn(folder)?) } else { None };
        let lock = match take_lock(folder, who) {
            Err(Error::Locked) if take_over => None,
            taken => Some(taken?),
        };
        if lock.is_some() {
            whole(&path)?;
        }
        let mut db = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        settle(&db).map_err(sql(&path, "opened"))?;
        // The epoch first: what is read afterwards cannot be added to by anyone else.
        let raise = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql(&path, "opened"))?;
        // Whoever goes on with an older journal may write what an older `dr` does not know.
        raise.pragma_update(None, "user_version", FORMAT).map_err(sql(&path, "written"))?;
        raise.execute("UPDATE lease SET epoch = epoch + 1", []).map_err(sql(&path, "written"))?;
        let epoch = raise.query_row("SELECT epoch FROM lease", [], |row| row.get(0)).map_err(sql(&path, "read"))?;
        raise.commit().map_err(sql(&path, "written"))?;
        // Only a holder that is fenced loses its lock: one that is not is still the controller.
        let lock = match lock {
            Some(lock) => lock,
            None => replace_lock(folder, who)?,
        };
        let read = collect(&db, &path, known)?;
        Ok((Self { db, path, epoch, head: read.head, crash, _lock: lock }, read))
    }

    /// The fencing token of this controller.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The hash of the last event.
    pub fn head(&self) -> Hash {
        self.head
    }

    fn write(&mut self, events: &[Event]) -> Result<Hash, Error> {
        let (path, epoch) = (self.path.clone(), self.epoch);
        let failed = || sql(&path, "written");
        let batch = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed())?;
        let mut head = self.head;
        {
            let mut insert = batch
                .prepare_cached(
                    "INSERT INTO event SELECT ?1, ?2, ?3, ?4 WHERE (SELECT epoch FROM lease WHERE id = 1) = ?5",
                )
                .map_err(failed())?;
            for event in events {
                let body = body(&event.kind);
                let next = hash(&head, event, &body);
                let rows = insert.execute(params![event.seq, event.at.0, body, next, epoch]).map_err(failed())?;
                if rows == 0 {
                    let theirs = batch.query_row("SELECT epoch FROM lease", [], |row| row.get(0)).map_err(failed())?;
                    return Err(Error::Fenced { ours: epoch, theirs });
                }
                head = next;
            }
        }
        self.crash.pass(Place::Commit, Edge::Before);
        batch.commit().map_err(failed())?;
        self.crash.pass(Place::Commit, Edge::After);
        Ok(head)
    }
}

impl Journal for Sqlite {
    fn append(&mut self, events: &[Event]) -> Result<(), Error> {
        self.head = self.write(events)?;
        Ok(())
    }
}

/// Reads a run's journal, from another process or after its end, and checks
/// its hash chain.
pub fn read(folder: &Path) -> Result<Read, Error> {
    let path = folder.join("journal.db");
    let db = reader(&path)?;
    whole(&path)?;
    collect(&db, &path, Mark::default())
}

/// Like [`read`], handing over one event after the other: a long history need
/// not be held to be folded.
pub fn each<E: From<Error>>(folder: &Path, take: impl FnMut(Event) -> Result<(), E>) -> Result<Mark, E> {
    let path = folder.join("journal.db");
    let db = reader(&path)?;
    whole(&path)?;
    rows(&db, &path, Mark::default(), take)
}

/// Reads a journal again and again, from where it stopped.
#[derive(Debug)]
pub struct Feed {
    db: Connection,
    path: PathBuf,
    mark: Mark,
}

impl Feed {
    /// Begins with the first event.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("journal.db");
        Ok(Self { db: reader(&path)?, path, mark: Mark::default() })
    }

    /// The hash of the last event that was read.
    pub fn head(&self) -> Hash {
        self.mark.head
    }

    /// What was written since.
    pub fn fresh(&mut self) -> Result<Vec<Event>, Error> {
        let Read { events, head } = collect(&self.db, &self.path, self.mark)?;
        self.mark = Mark { seq: self.mark.seq + events.len() as u64, head };
        Ok(events)
    }
}

/// The epoch in force, for the lease.
pub fn epoch(folder: &Path) -> Result<u64, Error> {
    let path = folder.join("journal.db");
    reader(&path)?.query_row("SELECT epoch FROM lease", [], |row| row.get(0)).map_err(sql(&path, "read"))
}

/// Who holds the run, or `None` when no other living process does.
///
/// It asks and takes nothing: a bystander that locked the file to find out,
/// and was stopped there, would keep every controller out.
pub fn holder(folder: &Path) -> Result<Option<Holder>, Error> {
    let path = folder.join("lock");
    let Ok(file) = File::open(&path) else {
        return Ok(None);
    };
    let held = fcntl_getlk(&file, &FlockType::WriteLock.into()).map_err(|cause| store(&path, "read", &cause.into()))?;
    Ok(held.map(|_| {
        let text = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
        let text = if text.is_empty() { "a process that did not say which".into() } else { text };
        Holder { text }
    }))
}

/// Refuses a journal whose last controller left commits that would go unread.
fn whole(path: &Path) -> Result<(), Error> {
    match wal::hides_commits(path) {
        Ok(false) => Ok(()),
        Ok(true) => {
            Err(damaged(path, 0, "journal.db-wal was changed after it was written: its later events would be lost"))
        }
        Err(cause) => Err(store(&path.with_extension("db-wal"), "read", &cause)),
    }
}

fn reader(path: &Path) -> Result<Connection, Error> {
    owned(path)?;
    // A reader of a WAL journal shares its index, so it opens for writing where
    // it may; it never writes an event. A copy in a read-only place has no
    // writer, and is read as it lies.
    match connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Err(Error::Store { cause, .. }) if cause.contains("readonly") || cause.contains("unable to open") => {
            let beside = path.with_extension("db-wal");
            if fs::metadata(&beside).is_ok_and(|wal| wal.len() > 0) {
                // Read as it lies, it would lack its last events, and nothing would say so.
                let cause =
                    format!("its last events are in {}: copy both to where files can be made", beside.display());
                return Err(Error::Store { path: path.display().to_string(), action: "read", cause });
            }
            let url = format!("file:{}?immutable=1", path.display());
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let db = Connection::open_with_flags(url, flags).map_err(sql(path, "opened"))?;
            check_format(&db, path)?;
            Ok(db)
        }
        opened => opened,
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let db = Connection::open_with_flags(path, flags).map_err(sql(path, "opened"))?;
    db.busy_timeout(BUSY).map_err(sql(path, "opened"))?;
    check_format(&db, path)?;
    Ok(db)
}

fn check_format(db: &Connection, path: &Path) -> Result<(), Error> {
    let theirs: u32 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(sql(path, "read"))?;
    if theirs > FORMAT {
        return Err(Error::Newer { path: path.display().to_string(), ours: FORMAT, theirs });
    }
    if theirs == 0 {
        return Err(damaged(path, 0, "it holds nothing: it was emptied, or its first controller died as it made it"));
    }
    Ok(())
}

/// Nothing depends on the tables before the first event, so that `SQLite` need
/// not make each of its own steps durable.
fn make_tables(path: &Path) -> rusqlite::Result<()> {
    let db = Connection::open(path)?;
    db.execute_batch(&format!(
        "PRAGMA synchronous = OFF;
         BEGIN IMMEDIATE;
         CREATE TABLE event(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL);
         CREATE TABLE lease(id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL);
         INSERT INTO lease VALUES (1, 1);
         PRAGMA user_version = {FORMAT};
         COMMIT;
         PRAGMA journal_mode = WAL;"
    ))?;
    db.close().map_err(|(_, error)| error)
}

fn settle(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY)?;
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")
}

fn collect(db: &Connection, path: &Path, after: Mark) -> Result<Read, Error> {
    let mut events = Vec::new();
    let keep = |event| {
        events.push(event);
        Ok::<_, Error>(())
    };
    let Mark { head, .. } = rows(db, path, after, keep)?;
    Ok(Read { events, head })
}

/// Hands over each event after a mark, once the chain was found whole up to it.
fn rows<E: From<Error>>(
    db: &Connection,
    path: &Path,
    after: Mark,
    mut take: impl FnMut(Event) -> Result<(), E>,
) -> Result<Mark, E> {
    let failed = || sql(path, "read");
    let mut select =
        db.prepare_cached("SELECT seq, at, body, hash FROM event WHERE seq > ?1 ORDER BY seq").map_err(failed())?;
    let mut rows = select.query([after.seq]).map_err(failed())?;
    let Mark { seq: mut expected, mut head } = after;
    while let Some(row) = rows.next().map_err(failed())? {
        expected += 1;
        let wrong = |_| damaged(path, expected, "a row has the wrong form");
        let seq: u64 = row.get(0).map_err(wrong)?;
        let at = Time(row.get(1).map_err(wrong)?);
        let body = row.get_ref(2).map_err(wrong)?;
        let body = body.as_blob().map_err(|_| damaged(path, expected, "a row has the wrong form"))?;
        let written: Hash = row.get(3).map_err(wrong)?;
        if seq != expected {
            return Err(damaged(path, expected, "it is missing").into());
        }
        let kind = serde_json::from_slice(body).map_err(|e| damaged(path, seq, &format!("it cannot be read: {e}")))?;
        let event = Event { seq, at, kind };
        head = hash(&head, &event, body);
        if written != head {
            return Err(damaged(path, seq, "it was changed after it was written").into());
        }
        take(event)?;
    }
    Ok(Mark { seq: expected, head })
}

/// Takes the lock, or says that somebody else has it.
fn take_lock(folder: &Path, who: &str) -> Result<File, Error> {
    let path = folder.join("lock");
    let failed = |cause: std::io::Error| store(&path, "locked", &cause);
    let mut file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Locked),
        Err(TryLockError::Error(cause)) => return Err(failed(cause)),
    }
    ask_able(&file).map_err(failed)?;
    // Whoever took over since it was opened put another file in its place.
    if fs::metadata(&path).and_then(|named| Ok(named.ino() != file.metadata()?.ino())).map_err(failed)? {
        return Err(Error::Locked);
    }
    file.set_len(0).and_then(|()| writeln!(file, "{who}")).map_err(failed)?;
    Ok(file)
}

/// Puts a lock of our own in the place of one whose holder is fenced: the old
/// one stays locked on a file that has no name any more.
fn replace_lock(folder: &Path, who: &str) -> Result<File, Error> {
    let (aside, path) = (folder.join(format!("lock.{}", std::process::id())), folder.join("lock"));
    let failed = |cause: std::io::Error| store(&path, "locked", &cause);
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&aside).map_err(failed)?;
    file.try_lock().map_err(|_| Error::Locked)?;
    ask_able(&file).map_err(failed)?;
    writeln!(file, "{who}").map_err(failed)?;
    fs::rename(&aside, &path).map_err(failed)?;
    Ok(file)
}

/// Which file is the lock now: it changes when somebody takes over. Asked of
/// its name, because whoever opens the lock a second time and closes it lets go
/// of it: see [`ask_able`].
pub fn lock_file(folder: &Path) -> Option<u64> {
    fs::metadata(folder.join("lock")).ok().map(|lock| lock.ino())
}

/// Adds the kind of lock that others can ask about: see [`holder`]. It alone
/// would not do: it is let go when any handle of the file that this process
/// has is closed.
fn ask_able(lock: &File) -> std::io::Result<()> {
    Ok(fcntl_lock(lock, FlockOperation::NonBlockingLockExclusive)?)
}

/// The turn of one that takes over: let go when it has.
fn turn(folder: &Path) -> Result<File, Error> {
    let failed = |cause: std::io::Error| store(folder, "locked", &cause);
    let turn = File::open(folder).map_err(failed)?;
    match turn.try_lock() {
        Ok(()) => Ok(turn),
        Err(TryLockError::WouldBlock) => Err(Error::Locked),
        Err(TryLockError::Error(cause)) => Err(failed(cause)),
    }
}

/// Makes a file that only its owner can read. `SQLite` gives the files beside it
/// the same rights.
fn private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map(drop)
}

/// Refuses a journal that somebody else could have put there.
fn owned(path: &Path) -> Result<(), Error> {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return Err(Error::Missing { path: path.display().to_string() });
    };
    if meta.file_type().is_symlink() {
        return Err(damaged(path, 0, "it is a link, and a journal never is"));
    }
    let (owner, me) = (meta.uid(), rustix::process::geteuid().as_raw());
    if owner != me {
        return Err(Error::Foreign { path: path.display().to_string(), owner, me });
    }
    Ok(())
}

/// Magic numbers of statfs(2) for file systems on the other side of a network.
const NETWORK: [(i64, &str); 6] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x00c3_6400, "Ceph"),
    (0x6b41_4653, "AFS"),
];

fn refuse_network(folder: &Path) -> Result<(), Error> {
    let Ok(stat) = rustix::fs::statfs(folder) else {
        return Ok(());
    };
    match NETWORK.iter().find(|(magic, _)| *magic == stat.f_type) {
        Some((_, kind)) => Err(Error::Network { path: folder.display().to_string(), kind: (*kind).into() }),
        None => Ok(()),
    }
}

fn sql<'a>(path: &'a Path, action: &'static str) -> impl Fn(rusqlite::Error) -> Error + 'a {
    move |cause| match &cause {
        rusqlite::Error::SqliteFailure(code, _)
            if matches!(code.code, rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) =>
        {
            damaged(path, 0, &cause.to_string())
        }
        // Nothing that is written here breaks a rule of the tables, if they are as they were made.
        rusqlite::Error::SqliteFailure(code, _) if code.code == rusqlite::ErrorCode::ConstraintViolation => {
            damaged(path, 0, &cause.to_string())
        }
        rusqlite::Error::SqliteFailure(code, _) if code.code == rusqlite::ErrorCode::DatabaseBusy => {
            Error::Busy { path: path.display().to_string() }
        }
        _ => Error::Store { path: path.display().to_string(), action, cause: cause.to_string() },
    }
}

fn store(path: &Path, action: &'static str, cause: &std::io::Error) -> Error {
    Error::Store { path: path.display().to_string(), action, cause: cause.to_string() }
}

fn damaged(path: &Path, seq: u64, what: &str) -> Error {
    Error::Damaged { path: path.display().to_string(), seq, what: what.into() }
}

/// Makes the epoch of a journal that was taken in from elsewhere later than
/// that of every controller before.
pub fn set_epoch(folder: &Path, epoch: u64) -> Result<(), Error> {
    let path = folder.join("journal.db");
    let db = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.execute("UPDATE lease SET epoch = ?1", [epoch]).map_err(sql(&path, "written"))?;
    Ok(())
}
