//! `fence.command`, with real processes.

use crate::support::{Scene, done, doubted, failed, leave, obeys, read, refused, step};
use dr_engine::{attempt::Ended, event::Doubt, step::Check};
use dr_steps::fence_command::FenceCommand;
use serde_json::{Value, json};

fn sh(script: &str) -> Value {
    json!({ "argv": ["/bin/sh", "-c", script] })
}

/// A fence is a file; what proves it looks for that.
fn fence(script: &str, check: &str) -> Value {
    let mut with = sh(script);
    with["check"] = sh(check);
    with["undo"] = sh("rm fence");
    with["undo"]["check"] = sh("test ! -e fence || exit 3");
    with
}

const PROOF: &str = "test -e fence || exit 3";

#[tokio::test]
async fn it_obeys_the_contract_and_says_that_it_fences() {
    let scene = Scene::new("fence");
    let inputs = fence("echo x >> fence", PROOF);
    let work = step::<FenceCommand>(inputs.clone());
    assert!(work.describe().fences && work.changes() && work.sees_effect());
    obeys(&scene, || step::<FenceCommand>(inputs.clone()), || read(&scene.book("fence")) == "x\n").await;
}

#[tokio::test]
async fn a_good_end_is_no_proof() {
    let scene = Scene::new("fence");
    let failure = failed(scene.bench.attempt(step::<FenceCommand>(fence("true", PROOF)), None).await);
    assert_eq!(failure.message, "it ended well, and its check says that the old writer can write");
    assert!(!failure.transient);
    // A look that cannot tell leaves it open.
    let scene = Scene::new("fence");
    let check = "test -e ran || exit 3; echo the region does not answer >&2; exit 1";
    let failure = doubted(scene.bench.attempt(step::<FenceCommand>(fence("touch ran", check)), None).await);
    assert_eq!(failure.message, "its check ended with exit code 1: the region does not answer");
}

#[tokio::test]
async fn a_region_that_is_silent_from_the_beginning_is_no_fence() {
    let scene = Scene::new("fence");
    let cx = scene.bench.cx();
    let seen = step::<FenceCommand>(fence("touch fence", "exit 1")).check(&cx.read).await;
    assert_eq!(seen, Ok(Check::Unknown("its check ended with exit code 1".into())));
    assert_eq!(scene.calls(), (0, 0));
}

#[tokio::test]
async fn what_is_being_set_is_waited_for() {
    let scene = Scene::new("fence");
    // It takes effect a while after the program has ended.
    let check = "test -e fence && exit 0; test -e asked && { mv asked fence; exit 75; }; exit 3";
    done(scene.bench.attempt(step::<FenceCommand>(fence("touch asked", check)), None).await);
    assert!(scene.book("fence").exists());
}

#[tokio::test]
async fn one_that_a_controller_left_behind_is_waited_for_and_not_set_twice() {
    let scene = Scene::new("fence");
    let inputs = || fence("echo x >> began; sleep 1; touch fence", PROOF);
    let work = scene.bench.attempt(step::<FenceCommand>(inputs()), None);
    leave(&scene, work, "it has begun", || scene.book("began").exists()).await;
    let ended = scene.bench.attempt(step::<FenceCommand>(inputs()), Some(Doubt::Lost)).await;
    assert!(matches!(ended, Ended::Done { .. }), "{ended:?}");
    assert_eq!(read(&scene.book("began")), "x\n");
}

#[tokio::test]
async fn it_is_taken_away_when_that_is_seen() {
    let scene = Scene::new("fence");
    let work = || step::<FenceCommand>(fence("touch fence", PROOF));
    done(scene.bench.attempt(work(), None).await);
    assert!(work().can_undo());
    assert!(matches!(scene.bench.undo(work(), None).await, Ended::Undone));
    assert!(!scene.book("fence").exists());
    // It is gone already: nothing is run.
    let calls = scene.calls();
    assert!(matches!(scene.bench.undo(work(), None).await, Ended::Undone));
    assert_eq!(scene.calls(), calls);
    // A program that only says so.
    done(scene.bench.attempt(work(), None).await);
    let mut lies = fence("touch fence", PROOF);
    lies["undo"]["argv"] = json!(["true"]);
    let failure = failed(scene.bench.undo(step::<FenceCommand>(lies), None).await);
    assert_eq!(failure.message, "it ended well, and its check says that the fence still stands");
    let mut forever = fence("touch fence", PROOF);
    forever.as_object_mut().expect("fields").remove("undo");
    assert!(!step::<FenceCommand>(forever).can_undo());
}

#[test]
fn without_a_proof_it_is_no_fence() {
    assert!(refused::<FenceCommand>(sh("true")).contains("missing field `check`"));
}
