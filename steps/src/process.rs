//! Processes: started without a shell, marked with the step they belong to,
//! found again by that mark, ended as a group.
//!
//! A process outlives its controller: it writes to files, never to a pipe, and
//! it has a process group of its own, so that no terminal's Ctrl-C reaches it.
//! Nothing here can hear the exit code of a process that another `dr` started.

use crate::{limits, redact::Redactor, text};
use dr_engine::{clock::Clock, duration::Dur, outcome::Failure, step::ReadCx};
use rustix::process::{Pid, Signal, getpgrp, kill_process_group, test_kill_process_group};
use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
};
use tokio::process::Child;

/// The run a process belongs to.
const RUN: &str = "DR_RUN";
/// The step it belongs to.
const STEP: &str = "DR_STEP";
/// The attempt it belongs to.
const ATTEMPT: &str = "DR_ATTEMPT";
/// It only looks: it is not the work of the step.
const CHECK: &str = "DR_CHECK";

/// A process to be started.
pub(crate) struct Job {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    pub(crate) redactor: Redactor,
}

/// What a process that only looks left.
pub(crate) struct Looked {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) said: String,
    /// The end of what it complained about: to be understood, not to be shown. Secrets still stand in it.
    pub(crate) complaint: String,
}

/// Which log of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// What it printed.
    Out,
    /// What it complained about.
    Err,
}

/// Where the output of a step's attempt is kept, under the folder of logs.
pub fn log_path(logs: &Path, step: &str, attempt: u32, stream: Stream) -> PathBuf {
    let end = if stream == Stream::Out { "out" } else { "err" };
    logs.join(format!("{}.{attempt}.{end}", file_name(step)))
}

/// An id as part of a file name: different ids give different names.
pub fn file_name(id: &str) -> String {
    use std::fmt::Write;
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02X}").expect("writing to a String");
        }
    }
    if name.len() > limits::LOG_NAME_BYTES_MAX {
        // FNV-1a: the same in every version, which the standard library's hash is not.
        let hash = id
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        name.truncate(limits::LOG_NAME_BYTES_MAX);
        write!(name, "-{hash:016x}").expect("writing to a String");
    }
    name
}

impl Job {
    /// Starts it as the work of a step.
    pub(crate) fn start(&self, cx: &ReadCx, out: Stdio, err: Stdio) -> Result<Child, Failure> {
        self.command(cx, out, err).spawn().map_err(|error| self.not_started(&error))
    }

    /// Runs it to its end as a look; dropped, it is killed, since nobody would
    /// hear what it saw.
    pub(crate) async fn look(&self, cx: &ReadCx, logs: Option<&Path>) -> Result<Looked, Failure> {
        let paths = logs.map(|logs| {
            let stem = format!("{}.{}.check", file_name(&cx.step.id), cx.attempt);
            (logs.join(format!("{stem}.out")), logs.join(format!("{stem}.err")))
        });
        let (out, err) = match &paths {
            Some((out, err)) => (open_log(out, true)?.into(), open_log(err, true)?.into()),
            None => (Stdio::null(), Stdio::null()),
        };
        let mut command = self.command(cx, out, err);
        let mut child = command.env(CHECK, "1").spawn().map_err(|error| self.not_started(&error))?;
        let mut kill = KillOnDrop(child.id());
        let status = child.wait().await;
        kill.0 = None;
        let status = status.map_err(|error| Failure::passing(format!("its end was not heard: {error}")))?;
        let Some((out, err)) = &paths else {
            return Ok(Looked { status, stdout: String::new(), said: String::new(), complaint: String::new() });
        };
        let said = last_line(err, &self.redactor);
        // Some programs say what is wrong where others print what they found.
        let said = if said.is_empty() { last_line(out, &self.redactor) } else { said };
        let stdout = read_out(out).unwrap_or_default();
        Ok(Looked { status, stdout, said, complaint: complaint(err) })
    }

    // Plain settings only, so that the standard library can use posix_spawn:
    // a hook before exec would make it fork all of this process.
    fn command(&self, cx: &ReadCx, out: Stdio, err: Stdio) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.program());
        command.args(&self.argv[1..]).current_dir(&self.cwd).process_group(0);
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env(RUN, &cx.run.id).env(STEP, &cx.step.id).env(ATTEMPT, cx.attempt.to_string()).env_remove(CHECK);
        command
    }

    /// A path is relative to the folder it runs in; a bare name is looked up.
    fn program(&self) -> OsString {
        let name = &self.argv[0];
        if name.contains('/') { self.cwd.join(name).into_os_string() } else { name.into() }
    }

    fn not_started(&self, error: &io::Error) -> Failure {
        if !self.cwd.is_dir() {
            return Failure::new(format!("the folder `{}` is not there", self.cwd.display()));
        }
        let program = self.redactor.text(&text::clean(&self.argv[0]));
        let failure = Failure::new(format!("`{}` cannot be started: {error}", text::short(&program)));
        // Too many processes or files, too little memory: that can pass.
        let passes = matches!(error.raw_os_error(), Some(11 | 12 | 23 | 24));
        Failure { transient: passes, ..failure }
    }
}

/// Kills the group of a process that looks, when nobody waits for it any more.
struct KillOnDrop(Option<u32>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            signal(group, Signal::KILL);
        }
    }
}

/// A living process of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Living {
    pub(crate) pid: u32,
    pub(crate) group: i32,
}

/// The living processes of a step, of whatever attempt, that this user may see.
pub(crate) fn living(run: &str, step: &str) -> Vec<Living> {
    let me = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| *id != me).filter_map(|id| is_of(id, run, step)).collect()
}

impl Living {
    /// Whether it still lives, and is no other process with its number.
    pub(crate) fn lives(self, run: &str, step: &str) -> bool {
        is_of(self.pid, run, step).is_some()
    }
}

fn is_of(id: u32, run: &str, step: &str) -> Option<Living> {
    let folder = PathBuf::from(format!("/proc/{id}"));
    // Empty for a process that has ended and is not yet reaped.
    let environ = fs::read(folder.join("environ")).ok()?;
    let has = |name: &str, value: &str| {
        environ.split(|byte| *byte == 0).any(|variable| {
            variable.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) == Some(value.as_bytes())
        })
    };
    if !has(RUN, run) || !has(STEP, step) || has(CHECK, "1") {
        return None;
    }
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // `pid (name) state parent group …`; the name may hold anything, brackets too.
    let group = stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()?;
    Some(Living { pid: id, group })
}

/// Ends process groups: TERM, and KILL for what is left some time later.
pub(crate) async fn end(clock: &Arc<dyn Clock>, mut groups: Vec<i32>) {
    groups.sort_unstable();
    groups.dedup();
    for (what, time) in [(Signal::TERM, limits::TERM_TO_KILL), (Signal::KILL, limits::KILL_TO_END)] {
        groups.retain(|group| signal(*group, what));
        let until = clock.now().after(time);
        while !groups.is_empty() && clock.now() < until {
            clock.sleep(limits::PROCESS_PAUSE).await;
            groups.retain(|group| pid(*group).is_some_and(|group| test_kill_process_group(group).is_ok()));
        }
    }
}

fn signal(group: i32, what: Signal) -> bool {
    pid(group).is_some_and(|group| kill_process_group(group, what).is_ok())
}

// Group 1 would be everybody, and our own would be us.
fn pid(group: i32) -> Option<Pid> {
    Pid::from_raw(group).filter(|group| group.as_raw_nonzero().get() > 1 && *group != getpgrp())
}

/// Opens a log for a process to write, readable by its owner alone.
pub(crate) fn open_log(path: &Path, anew: bool) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    if anew {
        options.write(true).truncate(true)
    } else {
        options.append(true)
    };
    let opened = options.open(path).or_else(|error| {
        let folder = path.parent().filter(|_| error.kind() == ErrorKind::NotFound).ok_or(error)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        options.open(path)
    });
    opened.map_err(|error| Failure::new(format!("the log `{}` cannot be opened: {error}", path.display())))
}

/// What a process printed, if that is short enough to be read for values.
pub(crate) fn read_out(path: &Path) -> Result<String, String> {
    let wrong = |error| format!("`{}` cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path).map_err(wrong)?.take(limits::STDOUT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > limits::STDOUT_BYTES_MAX {
        return Err(format!("it printed more than {} bytes; no value is looked for in that", limits::STDOUT_BYTES_MAX));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last line with something in it, harmless and without secrets.
pub(crate) fn last_line(path: &Path, redactor: &Redactor) -> String {
    let all = complaint(path);
    let line = all.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    text::short(&redactor.text(line)).into_owned()
}

/// The end of a log, without what would move a cursor: to be understood, not to
/// be shown. Secrets still stand in it.
pub(crate) fn complaint(path: &Path) -> String {
    let read = || -> io::Result<(bool, Vec<u8>)> {
        let mut file = File::open(path)?;
        let from = file.metadata()?.len().saturating_sub(limits::STDERR_TAIL_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(limits::STDERR_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok((from > 0, bytes))
    };
    let (cut, bytes) = read().unwrap_or_default();
    let text = text::clean(&String::from_utf8_lossy(&bytes));
    // The first line lost its head, perhaps in the middle of a secret.
    let whole = if cut { text.split_once('\n').unwrap_or_default().1 } else { &text };
    whole.to_owned()
}

/// How a process ended, in words.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => {
            let names = [(1, "HUP"), (2, "INT"), (6, "ABRT"), (9, "KILL"), (11, "SEGV"), (13, "PIPE"), (15, "TERM")];
            match names.iter().find(|(number, _)| *number == signal) {
                Some((_, name)) => format!("signal {name}"),
                None => format!("signal {signal}"),
            }
        }
        (None, None) => "an end of its own kind".into(),
    }
}

/// The time that a group may take to end, with some room.
pub(crate) const GRACE: Dur = Dur(limits::TERM_TO_KILL.0 + limits::KILL_TO_END.0 + 3_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_named_after_its_step_and_stays_in_its_folder() {
        let long = "x".repeat(400);
        let name = |id: &str| log_path(Path::new("/l"), id, 2, Stream::Out).display().to_string();
        for (id, path) in [
            ("restore_db", "/l/restore_db.2.out"),
            ("restore[eu]", "/l/restore%5Beu%5D.2.out"),
            ("billing/restore_db", "/l/billing%2Frestore_db.2.out"),
            ("../../etc/x", "/l/%2E%2E%2F%2E%2E%2Fetc%2Fx.2.out"),
        ] {
            assert_eq!(name(id), path);
        }
        assert!(name(&long).len() < 200);
        assert_ne!(name(&long), name(&format!("{long}y")));
    }

    #[test]
    fn the_last_line_is_harmless_and_holds_no_secret() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut redactor = Redactor::default();
        redactor.add("canary-7");
        let last = |bytes: &[u8]| {
            fs::write(file.path(), bytes).expect("a file");
            last_line(file.path(), &redactor)
        };
        assert_eq!(last(b""), "");
        assert_eq!(last(b"one\n\x1b[31mno \x1b[1mcan\x1b[0mary-7\x1b[0m \xff\n\n"), "no [secret] \u{fffd}");
        let half = [b"canary-7".repeat(10_000), b"\n".to_vec()].concat();
        assert_eq!(last(&half), "", "a line without its head may begin within a secret");
    }
}
