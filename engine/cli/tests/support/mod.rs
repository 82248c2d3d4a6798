//! What the tests of the binary share: a folder of their own, real processes,
//! and waiting with an end.

#![allow(dead_code, reason = "each file of tests uses its part of this")]

pub(crate) mod lab;
pub(crate) mod pty;
pub(crate) mod scene;
pub(crate) mod shim;
pub(crate) mod terminal;

use dr_engine::{
    event::Event,
    journal::sqlite,
    question::Question,
    run::{Run, State},
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tempfile::TempDir;

/// The longest that anything is waited for, on two cores that have other work.
const PATIENCE: Duration = Duration::from_secs(90);

/// A folder with a runbook, what its commands leave, and the state of `dr`.
pub(crate) struct Place {
    folder: TempDir,
    count: AtomicU32,
}

/// Appends its step's id to a file of its own.
const WORK: &str = r#"echo "$DR_STEP" >> "effects/$DR_STEP""#;
/// The same, once it may; ends without, when the test's folder is gone.
const WAIT: &str = r#"echo "$$" >> "began/$DR_STEP"
until [ -e "go/$DR_STEP" ]; do [ -d go ] || exit 9; sleep 0.02; done
echo "$DR_STEP" >> "effects/$DR_STEP""#;
/// Whether that file is there.
const SEEN: &str = r#"[ -s "effects/$DR_STEP" ] || exit 3"#;

impl Place {
    /// A fresh folder with the usual scripts.
    pub(crate) fn new() -> Self {
        let place = Self { folder: TempDir::new().expect("a folder"), count: AtomicU32::new(0) };
        for folder in ["effects", "began", "go", "said", "home"] {
            fs::create_dir(place.path(folder)).expect("a folder");
        }
        place.write("work", WORK);
        place.write("wait", WAIT);
        place.write("seen", SEEN);
        place
    }

    /// A fresh folder with a runbook.
    pub(crate) fn with(runbook: &str) -> Self {
        let place = Self::new();
        place.write("runbook.yaml", runbook);
        place
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// Writes a program.
    pub(crate) fn program(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("rights");
    }

    /// Reads a file; empty if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// `dr` with nothing of this machine's settings.
    pub(crate) fn dr(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dr"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        self.clean(&mut command);
        command
    }

    /// Gives a command the environment of this place and nothing else.
    pub(crate) fn clean(&self, command: &mut Command) {
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("DR_STATE", self.path("state")).env("TERM", "dumb");
    }

    /// Runs `dr` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        self.end(self.dr(args))
    }

    /// Runs a command to its end.
    pub(crate) fn end(&self, command: Command) -> Said {
        self.begin(command).end()
    }

    /// Starts `dr`.
    pub(crate) fn start(&self, args: &[&str]) -> Living {
        self.begin(self.dr(args))
    }

    /// Starts a command; what it says goes to files.
    pub(crate) fn begin(&self, mut command: Command) -> Living {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        let (out, err) = (self.path(&format!("said/{number}.out")), self.path(&format!("said/{number}.err")));
        command.stdout(fs::File::create(&out).expect("a file")).stderr(fs::File::create(&err).expect("a file"));
        let what = format!("{command:?}");
        Living { child: command.spawn().expect("it starts"), what, out, err }
    }

    /// Executes the runbook of this place as a drill, to its end.
    pub(crate) fn drill(&self) -> Said {
        self.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes"])
    }

    /// Begins to execute the runbook of this place as a drill.
    pub(crate) fn begin_drill(&self) -> Living {
        self.start(&["execute", "runbook.yaml", "--kind", "drill", "--yes"])
    }

    /// The ids of all runs.
    pub(crate) fn runs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("state/runs")).into_iter().flatten().flatten();
        let mut ids: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        ids.retain(|id| !id.starts_with('.'));
        ids.sort();
        ids
    }

    /// The id of the only run, once there is one.
    pub(crate) fn id(&self) -> String {
        until("a run", || !self.events().is_empty());
        self.runs().remove(0)
    }

    /// The folder of the only run.
    pub(crate) fn run_folder(&self) -> PathBuf {
        let id = self.runs().into_iter().next().expect("a run");
        self.path("state/runs").join(id)
    }

    /// The events of the only run so far; none when it cannot be read yet.
    pub(crate) fn events(&self) -> Vec<Event> {
        let Some(id) = self.runs().into_iter().next() else { return Vec::new() };
        sqlite::read(&self.path("state/runs").join(id)).map(|read| read.events).unwrap_or_default()
    }

    /// The only run so far.
    pub(crate) fn fold(&self) -> Option<Run> {
        let events = self.events();
        let (first, rest) = events.split_first()?;
        let mut run = Run::open(first.clone()).expect("it opens");
        for event in rest {
            run.apply(event).expect("a legal event");
        }
        Some(run)
    }

    /// Every step's state.
    pub(crate) fn states(&self) -> BTreeMap<String, &'static str> {
        let run = self.fold().expect("a run");
        run.steps().map(|(at, it)| (run.plan().step(at).id.clone(), it.state.word())).collect()
    }

    /// The state of a step; `none` while there is no run.
    pub(crate) fn state(&self, id: &str) -> &'static str {
        self.fold().map_or("none", |run| run.step(run.plan().find(id).expect("a step")).state.word())
    }

    /// The steps that ask, with their questions.
    pub(crate) fn asking(&self) -> Vec<(String, Question)> {
        let Some(run) = self.fold() else { return Vec::new() };
        let asks = run.steps().filter_map(|(at, it)| match &it.state {
            State::Asking { question, .. } => Some((run.plan().step(at).id.clone(), question.clone())),
            _ => None,
        });
        asks.collect()
    }

    /// How many steps nobody knows the outcome of.
    pub(crate) fn in_doubt(&self) -> usize {
        self.fold().map_or(0, |run| run.in_doubt().len())
    }

    /// How often a step had its effect.
    pub(crate) fn effects(&self, step: &str) -> usize {
        self.read(&format!("effects/{step}")).lines().count()
    }

    /// Whether the command of a waiting step has begun.
    pub(crate) fn began(&self, step: &str) -> bool {
        self.path("began").join(step).exists()
    }

    /// How often the command of a waiting step was started.
    pub(crate) fn starts(&self, step: &str) -> usize {
        self.read(&format!("began/{step}")).lines().count()
    }

    /// Lets a waiting step end.
    pub(crate) fn go(&self, step: &str) {
        self.write(&format!("go/{step}"), "");
    }
}

/// What a process said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
    what: String,
}

impl Said {
    /// The exit code, or minus the signal.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().expect("a code or a signal"))
    }

    /// Panics unless it ended with this code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}\n--- out\n{}--- err\n{}", self.what, self.out, self.err);
        self
    }

    /// Panics unless it said all of this to people.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.err.contains(text),
                "no {text:?} from {}\n--- out\n{}--- err\n{}",
                self.what,
                self.out,
                self.err
            );
        }
        self
    }

    /// Panics unless it printed all of this.
    #[track_caller]
    pub(crate) fn prints(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(
                self.out.contains(text),
                "no {text:?} from {}\n--- out\n{}--- err\n{}",
                self.what,
                self.out,
                self.err
            );
        }
        self
    }

    /// The last line for people.
    pub(crate) fn last(&self) -> &str {
        self.err.trim_end().lines().last().unwrap_or_default()
    }
}

/// A process that was started here; killed when the test ends without it.
pub(crate) struct Living {
    child: Child,
    what: String,
    out: PathBuf,
    err: PathBuf,
}

impl Living {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Stops it, and waits until it stands.
    pub(crate) fn stop(&self) {
        self.signal("STOP");
        until("a stopped process", || process_state(self.pid()) == Some('T'));
    }

    pub(crate) fn over(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Kills it at once, and waits.
    pub(crate) fn kill(mut self) -> Said {
        self.child.kill().expect("it lived");
        self.end()
    }

    /// What it said so far.
    pub(crate) fn so_far(&self) -> (String, String) {
        (read(&self.out), read(&self.err))
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Said {
        let mut status = None;
        let what = self.what.clone();
        let (out, err) = (self.out.clone(), self.err.clone());
        let ended = waited(|| {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        assert!(ended, "no end of {what}\n--- out\n{}--- err\n{}", read(&out), read(&err));
        Said { status: status.expect("it ended"), out: read(&out), err: read(&err), what }
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Sends a signal to a process that this test started.
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status().expect("kill(1)");
    assert!(status.success(), "kill -s {name} {pid}");
}

/// The state letter of a process, if it is there.
pub(crate) fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Waits until something is so; panics when it does not become so.
#[track_caller]
pub(crate) fn until(what: &str, so: impl FnMut() -> bool) {
    assert!(waited(so), "no {what} after {PATIENCE:?}");
}

#[expect(clippy::disallowed_methods, reason = "real processes keep the machine's time")]
fn waited(mut so: impl FnMut() -> bool) -> bool {
    let began = std::time::Instant::now();
    while !so() {
        if began.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The machine's seconds since some moment, for what must take a time.
#[expect(clippy::disallowed_methods, reason = "real processes keep the machine's time")]
pub(crate) fn took<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = std::time::Instant::now();
    let given = work();
    (began.elapsed(), given)
}

/// Says that a test could not be made here, so that nobody takes it for passed.
pub(crate) fn skipped(what: &str, why: &str) {
    use std::io::Write;
    // Past the capture of the test harness: a skipped test must be seen.
    let text = format!("SKIPPED, NOT TESTED: {what}: {why}\n");
    let tty = fs::OpenOptions::new().write(true).open("/proc/self/fd/2");
    tty.and_then(|mut err| err.write_all(text.as_bytes())).ok();
}
