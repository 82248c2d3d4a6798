//! `dr` itself: the binary, and its loop in this process with a real journal.

use crate::measure::timed;
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    crash::CrashAt,
    event::{Controller, Event, Kind, Opened, Person, RunKind},
    executor::{Executor, Exit, Observer, Tools},
    journal::{Journal, sqlite::Sqlite},
    kind::Registry,
    lease::Lease,
    limits,
    plan::{
        Plan,
        build::{Options, Sources, plan},
    },
    run::Run,
};
use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};
use tokio::sync::mpsc;

/// A folder of its own on a real disk, empty.
///
/// Nothing is removed before everything is measured ([`clean`]): ext4 without a
/// journal keeps a freed inode back for a minute, and walks past all of them at
/// each file that is made. What a bench cleared away would be charged to the next.
pub fn folder(name: &str) -> PathBuf {
    let folder = root().join(std::process::id().to_string()).join(name);
    fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Removes what was measured in, now and in runs that were interrupted.
pub fn clean() {
    fs::remove_dir_all(root()).ok();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench")
}

/// The binary in `folder`, its runs kept under `folder/state`.
pub fn dr(folder: &Path, state: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dr"));
    command.current_dir(folder).args(args).env("DR_STATE", folder.join(state));
    command.env_remove("DR_CRASH_AT").stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Writes a runbook and gives what executes it once, timed, in a state folder without other runs.
pub fn execute<'a>(folder: &'a Path, text: &str, parallel: &'a str) -> impl Fn() -> f64 + use<'a> {
    fs::write(folder.join("runbook.yaml"), text).expect("a file can be written");
    let times = Cell::new(0_u32);
    move || {
        let state = format!("state-{}", times.replace(times.get() + 1));
        let args = ["execute", "runbook.yaml", "--kind", "drill", "--yes", "--parallel", parallel];
        let mut command = dr(folder, &state, &args);
        let (status, time) = timed(|| command.status().expect("the binary is there"));
        assert!(status.success(), "the run succeeds: {status}");
        time
    }
}

/// An observer that hears nothing.
pub struct Nobody;

impl Observer for Nobody {
    fn told(&mut self, _: &[Event], _: &Run) {}
}

/// The plan of a runbook.
pub fn planned(text: &str) -> Plan {
    struct Text<'a>(&'a str);
    impl Sources for Text<'_> {
        fn read(&self, path: &str, _: Option<&str>) -> Result<(String, String), String> {
            Ok((path.to_owned(), self.0.to_owned()))
        }
    }
    plan("bench.yaml", &Text(text), &dr_steps::registry(), &Options::default()).expect("a good runbook")
}

/// The first event of a run of this plan.
pub fn opened(plan: Plan, at: Time) -> Event {
    let opened = Opened {
        run: "20260101-000000-bench-0000".into(),
        plan,
        folder: "/".into(),
        kind: RunKind::Drill,
        incident_at: at,
        incident_assumed: true,
        detected_at: None,
        declared_at: None,
        declared_by: None,
        by: Person { name: None, user: "bench".into(), host: "bench".into(), message: None },
    };
    Event { seq: 1, at, kind: Kind::Opened(Box::new(opened)) }
}

/// The event of the controller that this process is.
pub fn joined() -> Kind {
    let version = env!("CARGO_PKG_VERSION").into();
    Kind::Joined(Controller {
        host: "bench".into(),
        pid: std::process::id(),
        epoch: 1,
        version,
        why: None,
        break_glass: None,
    })
}

/// Runs a plan in this process to its end, durably, in `folder/NAME`; gives how often it committed.
pub fn run_here(plan: Plan, folder: &Path, parallel: usize, observer: &mut dyn Observer) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let crash = Arc::new(CrashAt::default());
    let mut journal = Sqlite::create(folder, "bench", crash.clone()).expect("a journal");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let first = opened(plan, clock.now());
    let mut run = Run::open(first.clone()).expect("a good plan");
    journal.append(&[first]).expect("a journal that can be written");
    let lease = Lease::new(folder.to_path_buf(), journal.epoch(), crash.clone());
    let registry: Registry = dr_steps::registry();
    let mut executor = Executor {
        journal: &mut journal,
        observer,
        tools: Tools {
            steps: Arc::new(registry),
            clock,
            world: Arc::new(dr_steps::world::World::new(folder, "/")),
            guard: Arc::new(lease),
            chatter: Arc::new(|_, _| {}),
            poll_gap_min: limits::POLL_GAP_MIN,
        },
        parallel,
        no_wait: true,
    };
    let (_keep, mut arrivals) = mpsc::unbounded_channel();
    let exit = runtime.block_on(executor.execute(&mut run, vec![joined()], &mut arrivals));
    assert!(matches!(exit, Ok(Exit::Finished(_))), "the run ends: {exit:?}");
    crash.counts().0
}

/// The peak of memory of `dr` with these arguments, in bytes.
///
/// Read when it has done everything and cannot print: its standard output is a
/// pipe that is full already.
#[cfg(target_os = "linux")]
pub fn peak(folder: &Path, args: &[&str]) -> u64 {
    use std::io::{Read, Write};
    const PIPE: usize = 64 * 1024;
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(&vec![b' '; PIPE]).expect("an empty pipe takes that much");
    let mut child = dr(folder, "state", args).stdout(writer).spawn().expect("the binary is there");
    let status = || fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it waits to print");
    let waits = || fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default();
    let mut looks = 0;
    while !(status().contains("State:\tS") && (waits().contains("pipe") || looks > 2_000)) {
        std::thread::sleep(std::time::Duration::from_millis(5));
        looks += 1;
    }
    let kib = status().lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).expect("what it prints");
    assert!(child.wait().expect("it ends").success(), "dr {args:?} succeeds");
    kib.map(|kib: u64| kib * 1024).expect("Linux tells the peak")
}
