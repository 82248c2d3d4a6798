//! `elasticache.start_empty` with a program that warms the cache.

use crate::{
    drive::{self, Drive},
    elasticache::{EMPTY, empty},
    lab::{Estate, Lab, lab},
    sweep::Trial,
};
use dr_engine::{
    attempt::Ended,
    clock::{Clock, SystemClock},
    duration::Dur,
    event::Doubt,
    executor::Exit,
    outcome::{Failure, Output},
    run::State,
    step::{Check, Step, StepError},
    testing::Bench,
};
use dr_steps::{aws::Aws, registry, world::World};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tempfile::TempDir;

/// Says where it was told that the cache is, once for each time that it runs.
const FILL: &str = "echo $DR_CACHE_HOST $DR_CACHE_PORT $DR_CACHE_TLS >> warmed";
/// Warm is what was filled once; filled twice, nobody could say what it is.
const IS_WARM: &str = "[ -e warmed ] || exit 3; [ $(wc -l < warmed) = 1 ]";

fn sh(script: &str) -> Value {
    json!(["/bin/sh", "-c", script])
}

fn warmed(estate: &Estate, fill: &str, check: &str) -> Value {
    let mut with = empty(estate);
    with["warm"] = json!({ "argv": sh(fill), "check": { "argv": sh(check) } });
    with
}

pub(crate) const WARMED: Trial =
    Trial { kind: EMPTY.kind, with: |estate| warmed(estate, FILL, IS_WARM), before: |_| () };

/// What a file of a drive's folder says.
fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// A bench in an account that has the cache already, made by the step's own run.
struct Scene {
    estate: Estate,
    bench: Bench,
    folder: TempDir,
}

impl Scene {
    async fn new(lab: &'static Lab) -> Self {
        let estate = lab.estate();
        let mut made = Drive::new(&estate, EMPTY.kind, &empty(&estate));
        assert!(matches!(made.go(None).await.state(), State::Done));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut world = World::new(folder.path(), folder.path());
        world.aws = Aws::given(drive::of(&estate));
        let mut bench = Bench::new("it", Arc::new(SystemClock::new()), Arc::new(world));
        bench.run.id = made.id;
        bench.step.region = Some("eu-central-1".into());
        bench.step.timeout = Dur(20_000);
        Self { estate, bench, folder }
    }

    fn work(&self, fill: &str, check: &str) -> Arc<dyn Step> {
        registry().make(EMPTY.kind, warmed(&self.estate, fill, check)).expect("its inputs are right")
    }

    fn read(&self, name: &str) -> String {
        read(self.folder.path(), name)
    }

    async fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let clock = &self.bench.clock;
        let waited = clock.timeout(Dur(10_000), async {
            while !so(self) {
                clock.sleep(Dur(5)).await;
            }
        });
        waited.await.unwrap_or_else(|| panic!("waited for: {what}"));
    }

    /// A controller that leaves while its warm-up runs.
    async fn left(&self, fill: &str, check: &str) {
        tokio::select! {
            biased;
            () = self.until("it is being warmed", |scene| !scene.read("begun").is_empty()) => {}
            ended = self.bench.attempt(self.work(fill, check), None) => panic!("it ended before: {ended:?}"),
        }
    }
}

#[tokio::test]
async fn it_is_told_where_the_cache_is_and_what_it_prints_is_kept() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = warmed(&estate, &format!("{FILL}; echo warm; echo $X >&2; [ $X = six ]"), IS_WARM);
    with["warm"]["env"] = json!({ "X": "six", "DR_CACHE_PORT": "1" });
    with["warm"]["cwd"] = json!("sub");
    let mut drive = Drive::new(&estate, EMPTY.kind, &with);
    let folder = drive.folder.path().to_path_buf();
    fs::create_dir(folder.join("sub")).expect("a folder");
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let told = "master.sessions-dr.eu-central-1.cache.amazonaws.com 6379 false\n";
    assert_eq!(read(&folder, "sub/warmed"), told, "what the runbook sets never hides where the cache is");
    assert_eq!((read(&folder, "logs/it.1.out"), read(&folder, "logs/it.1.err")), ("warm\n".into(), "six\n".into()));
    assert_eq!(estate.changes(), ["CreateReplicationGroup"]);
}

#[tokio::test]
async fn an_available_cache_is_done_when_its_check_says_so() {
    let Some(lab) = lab() else { return };
    let scene = Scene::new(lab).await;
    let unknown = |end: &str| {
        Check::Unknown(format!("the cache is available, its warm-up is not done: its check ended with {end}"))
    };
    for (check, seen) in [
        ("exit 3", Check::Absent),
        ("exit 75", Check::InProgress),
        ("echo why >&2; exit 1", unknown("exit code 1: why")),
        ("kill -9 $$", unknown("signal KILL")),
    ] {
        assert_eq!(scene.work("touch ran", check).check(&scene.bench.cx().read).await, Ok(seen), "{check}");
    }
    let warm = scene.work("touch ran", "[ $DR_CACHE_TLS = false ]").check(&scene.bench.cx().read).await;
    assert!(matches!(&warm, Ok(Check::Done(output)) if output.values["port"] == 6379), "{warm:?}");
    let broken = scene.work("touch ran", "x").check(&scene.bench.cx().read).await;
    assert!(matches!(broken, Ok(Check::Unknown(_))), "{broken:?}");
    assert!(!scene.folder.path().join("ran").exists(), "a look warms nothing");
    assert_eq!(scene.bench.calls.before.load(Ordering::SeqCst), 0);
    what_is_no_good_end_is_told_and_leaves_the_cache(&scene).await;
    where_its_check_cannot_tell_it_is_started_only_by_a_persons_word(&scene).await;
}

async fn what_is_no_good_end_is_told_and_leaves_the_cache(scene: &Scene) {
    for (fill, check, says) in [
        ("echo no way >&2; exit 7", "exit 3", "exit code 7: no way"),
        ("true", "exit 3", "it ended well, and its check says that the cache is cold"),
    ] {
        let ended = scene.bench.attempt(scene.work(fill, check), None).await;
        let message = format!("the cache is available, its warm-up is not done: {says}");
        assert_eq!(ended, Ended::Error(StepError::Failed(Failure::new(message))), "{fill}");
    }
    fs::write(scene.folder.path().join("token"), "canary-41a7\n").expect("a file");
    let mut with = warmed(&scene.estate, "echo $T >&2; exit 7", "exit 3");
    with["warm"]["env"] = json!({ "T": { "secret": "file:token" } });
    let work = registry().make(EMPTY.kind, with).expect("its inputs are right");
    let failure = scene.bench.attempt(work, None).await.failure();
    assert!(failure.message.ends_with("exit code 7: [secret]"), "{failure:?}");
    scene.bench.calls.refuse.store(true, Ordering::SeqCst);
    let ended = scene.bench.attempt(scene.work("touch ran", IS_WARM), None).await.failure();
    assert!(ended.message.ends_with("this controller may not act"), "{ended:?}");
    scene.bench.calls.refuse.store(false, Ordering::SeqCst);
    assert!(!scene.folder.path().join("ran").exists());
    assert_eq!(scene.estate.changes(), ["CreateReplicationGroup"]);
}

async fn where_its_check_cannot_tell_it_is_started_only_by_a_persons_word(scene: &Scene) {
    let (fill, check) = ("echo x >> begun", "[ -e warm ] || exit 1");
    let attempt = |doubt| scene.bench.attempt(scene.work(fill, check), doubt);
    for doubt in [None, Some(Doubt::Lost)] {
        assert!(matches!(attempt(doubt).await, Ended::Unknown(_)));
    }
    assert_eq!(scene.read("begun"), "");
    let fill = "echo x >> begun; touch warm";
    let ended = scene.bench.granted(scene.work(fill, check), Doubt::Lost).await;
    assert!(matches!(ended, Ended::Done { found: false, .. }), "{ended:?}");
    assert_eq!(scene.read("begun"), "x\n");
}

#[tokio::test]
async fn one_that_outlives_its_controller_is_waited_for_and_not_started_again() {
    let Some(lab) = lab() else { return };
    let scene = Scene::new(lab).await;
    let fill = format!("echo x >> begun; while ! [ -e go ]; do sleep 0.01; done; {FILL}");
    scene.left(&fill, IS_WARM).await;
    let (ended, ()) = tokio::join!(scene.bench.attempt(scene.work(&fill, IS_WARM), Some(Doubt::Lost)), async {
        let found = |_: &_| scene.bench.heard().iter().any(|text| text.contains("of an earlier attempt still runs"));
        scene.until("it is found", found).await;
        fs::write(scene.folder.path().join("go"), "").expect("a file");
    });
    assert!(matches!(ended, Ended::Done { found: false, .. }), "{ended:?}");
    assert_eq!((scene.read("begun").as_str(), scene.read("warmed").lines().count()), ("x\n", 1));
    taking_the_cache_back_ends_what_warms_it(&scene).await;
}

async fn taking_the_cache_back_ends_what_warms_it(scene: &Scene) {
    fs::remove_file(scene.folder.path().join("begun")).expect("it was there");
    let fill = "echo $$ >> begun; while :; do sleep 0.05; done";
    scene.left(fill, "exit 3").await;
    let process = format!("/proc/{}/environ", scene.read("begun").trim());
    assert!(!read(Path::new("/"), &process).is_empty());
    let cx = scene.bench.cx();
    scene.work(fill, "exit 3").undo(&cx, &Output::default()).await.expect("it is taken back");
    assert_eq!(read(Path::new("/"), &process), "", "nothing warms what is gone");
    assert_eq!(scene.estate.changes(), ["CreateReplicationGroup", "DeleteReplicationGroup"]);
}

/// The look that began the attempt saw no cache: whether one is warm is looked at when it is there.
#[tokio::test]
async fn a_cache_that_has_just_come_is_looked_at_before_it_is_warmed() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut blind = Drive::new(&estate, EMPTY.kind, &warmed(&estate, "touch ran", "exit 1"));
    let failure = blind.go(None).await.failure();
    assert!(failure.message.ends_with("its check ended with exit code 1"), "{failure:?}");
    assert!(!blind.folder.path().join("ran").exists());
    assert_eq!(estate.changes(), ["CreateReplicationGroup"]);
    let estate = lab.estate();
    let mut warm = Drive::new(&estate, EMPTY.kind, &warmed(&estate, "touch ran", "exit 0"));
    assert!(matches!(warm.go(None).await.state(), State::Done));
    assert!(!warm.folder.path().join("ran").exists(), "what is warm is not warmed");
    leaving_waits_for_no_warm_up(&lab.estate()).await;
}

/// It goes on, and whoever resumes finds it.
async fn leaving_waits_for_no_warm_up(estate: &Estate) {
    let fill = format!("while ! [ -e go ]; do sleep 0.01; done; {FILL}");
    let mut drive = Drive::new(estate, EMPTY.kind, &warmed(estate, &fill, IS_WARM));
    let (clock, said) = (SystemClock::new(), Duration::from_millis(1_500));
    let began = clock.now();
    let left = drive.leave(said).await;
    let took = clock.now().since(began);
    assert!(matches!(left.exit, Ok(Exit::Left)), "{:?}", left.state());
    assert!(took.0 < 2_500, "a second after it was said, not {took}");
    fs::write(drive.folder.path().join("go"), "").expect("a file");
    assert!(matches!(drive.go(None).await.state(), State::Done));
    assert_eq!(read(drive.folder.path(), "warmed").lines().count(), 1);
}

#[tokio::test]
async fn a_warm_up_for_which_no_time_is_left_is_not_begun() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut scene = Scene::new(lab).await;
    // No cache yet: it comes within the step's time, and its look takes the rest.
    scene.bench.run.id = "20261122-070000-evacuate-0000".into();
    let mut world = World::new(scene.folder.path(), scene.folder.path());
    world.aws = Aws::given(drive::of(&estate));
    (scene.bench.world, scene.bench.step.timeout) = (Arc::new(world), Dur(800));
    let ended = scene.bench.attempt(scene.work("touch ran", "sleep 1; exit 3"), None).await;
    let says = "the step's time was up before the cache could be warmed";
    assert_eq!(ended, Ended::Error(StepError::Doubt(Failure::new(says))));
    assert!(!scene.folder.path().join("ran").exists());
}
