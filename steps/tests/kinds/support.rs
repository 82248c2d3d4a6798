//! What the tests of step kinds share: a bench with real folders and the real
//! clock, and the contract that each kind must obey.

use dr_engine::{
    attempt::Ended,
    clock::{Clock, SystemClock},
    duration::Dur,
    outcome::Failure,
    step::{Check, Step, StepError},
    testing::Bench,
};
use dr_steps::world::World;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};
use tempfile::TempDir;

/// A bench whose run has folders of its own.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) folder: TempDir,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Scene {
    pub(crate) fn new(id: &str) -> Self {
        Self::with(id, |_| {})
    }

    /// A scene in a world that the test has changed.
    pub(crate) fn with(id: &str, change: impl FnOnce(&mut World)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut world = World::new(folder.path().join("run"), folder.path().join("book"));
        std::fs::create_dir(&world.runbook_folder).expect("a folder for the runbook");
        change(&mut world);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let mut bench = Bench::new(id, clock.clone(), Arc::new(world));
        // Unique, so that no test finds the processes of another.
        bench.run.id = format!("test-{}-{}", std::process::id(), folder.path().display());
        bench.step.timeout = Dur(20_000);
        Self { bench, folder, clock }
    }

    pub(crate) fn book(&self, name: &str) -> PathBuf {
        self.folder.path().join("book").join(name)
    }

    pub(crate) fn log(&self, attempt: u32, end: &str) -> PathBuf {
        self.folder.path().join("run/logs").join(format!("{}.{attempt}.{end}", self.bench.step.id))
    }

    pub(crate) fn calls(&self) -> (u32, u32) {
        (self.bench.calls.before.load(Ordering::SeqCst), self.bench.calls.after.load(Ordering::SeqCst))
    }

    /// Waits until something is so; a test that waits longer has failed.
    pub(crate) async fn until(&self, what: &str, so: impl Fn() -> bool) {
        self.bench
            .clock
            .timeout(Dur(10_000), async {
                while !so() {
                    self.clock.sleep(Dur(5)).await;
                }
            })
            .await
            .unwrap_or_else(|| panic!("waited for: {what}"));
    }
}

/// A step from its inputs.
pub(crate) fn step<S: Step + DeserializeOwned + 'static>(with: Value) -> Arc<dyn Step> {
    Arc::new(serde_json::from_value::<S>(with).expect("inputs that the kind takes"))
}

/// Why inputs are not what the kind takes.
pub(crate) fn refused<S: Step + DeserializeOwned>(with: Value) -> String {
    serde_json::from_value::<S>(with).map(|_| ()).expect_err("inputs that the kind refuses").to_string()
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The output of an attempt that reached its goal.
#[track_caller]
pub(crate) fn done(ended: Ended) -> Value {
    match ended {
        Ended::Done { output, .. } => Value::Object(output.values),
        other => panic!("it is not done: {other:?}"),
    }
}

/// The failure of an attempt that failed for certain.
#[track_caller]
pub(crate) fn failed(ended: Ended) -> Failure {
    match ended {
        Ended::Error(StepError::Failed(failure)) => failure,
        other => panic!("it has not failed: {other:?}"),
    }
}

/// The failure of an attempt that nobody knows the end of.
#[track_caller]
pub(crate) fn doubted(ended: Ended) -> Failure {
    match ended {
        Ended::Error(StepError::Doubt(failure)) => failure,
        other => panic!("it is not in doubt: {other:?}"),
    }
}

/// What every kind must obey, shown on one whose `run` makes `there` true:
/// looking changes nothing, acting makes it so, and a second attempt finds it
/// so without acting again.
pub(crate) async fn obeys(scene: &Scene, work: impl Fn() -> Arc<dyn Step>, there: impl Fn() -> bool) {
    let before = scene.bench.cx();
    assert_eq!(work().check(&before.read).await, Ok(Check::Absent), "before anything was done");
    assert_eq!(work().check(&before.read).await, Ok(Check::Absent), "a look changes nothing");
    assert!(!there(), "a look changes nothing");
    assert_eq!(scene.calls(), (0, 0), "a look asks no leave");
    assert!(matches!(scene.bench.attempt(work(), None).await, Ended::Done { found: false, .. }));
    let calls = scene.calls();
    assert!(there() && calls.0 >= 1 && calls.0 == calls.1, "{calls:?}");
    let again = scene.bench.attempt(work(), Some(dr_engine::event::Doubt::Lost)).await;
    assert!(matches!(again, Ended::Done { found: true, .. }), "{again:?}");
    assert_eq!(scene.calls(), calls, "what is done is not done again");
}

/// Drops a future that never ends by itself once something is so, as a
/// controller does that leaves.
pub(crate) async fn leave<T>(scene: &Scene, work: impl Future<Output = T>, what: &str, so: impl Fn() -> bool) {
    tokio::select! {
        biased;
        () = scene.until(what, so) => {}
        _ = work => panic!("it ended before: {what}"),
    }
}
