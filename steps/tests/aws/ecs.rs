//! `ecs.scale_service`.

use crate::{
    drive::{self, Drive},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    crash::{Edge, Place},
    executor::Exit,
    plan::StepIx,
    run::State,
};
use dr_steps::world::World;
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({ "cluster": estate.param("cluster"), "service": "orders", "desired": 2 })
}

pub(crate) const TRIAL: Trial = Trial { kind: "ecs.scale_service", with, before: |_| () };

/// Somebody sets the count, past every runbook.
async fn by_hand(estate: &Estate, count: i32) {
    let cx = drive::acting(drive::config(&estate.lab.endpoint, &format!("LAB{}", estate.account)));
    let clients = World::of(&cx.read).aws.write(&cx).await.expect("clients");
    let request = clients.ecs.update_service().cluster(estate.param("cluster")).service("orders");
    request.desired_count(count).send().await.expect("the lab takes it");
}

#[tokio::test]
async fn a_service_that_is_not_there_cannot_be_scaled() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["service"] = "nothing".into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    let failure = ended.failure();
    assert_eq!(failure.message, "there is no service `prod/nothing` in eu-central-1: MISSING");
    assert_eq!(ended.life.counts().0, 0);
}

#[tokio::test]
async fn it_ends_when_the_rollout_does_and_not_before() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(ended.run.step(StepIx(0)).output.values["running"], 2);
    let said = drive.said.lock().expect("whole").clone();
    assert!(said.iter().any(|text| text.starts_with("`prod/orders` runs 0 of 2, 2 pending")), "{said:?}");
}

#[tokio::test]
async fn a_count_that_somebody_else_has_just_set_is_waited_for_and_not_taken_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    by_hand(&estate, 2).await;
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(ended.life.counts().0, 0, "it is on its way already");
    let undone = drive.undo(None).await;
    assert!(matches!(undone.state(), State::Undone), "{:?}", undone.state());
    assert_eq!(undone.life.counts().0, 0, "it was not this step that set it");
}

#[tokio::test]
async fn undo_does_not_overwrite_what_somebody_set_later() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.go(None).await;
    by_hand(&estate, 5).await;
    let ended = drive.undo(None).await;
    assert!(matches!(ended.exit, Ok(Exit::Held)), "{:?}", ended.state());
    assert_eq!(ended.failure().message, "somebody set `prod/orders` to 5 after this step");
    assert_eq!(ended.life.counts().0, 0);
}

#[tokio::test]
async fn a_region_without_answers_is_asked_again_and_scaled_once() {
    let Some(lab) = lab() else { return };
    TRIAL.down(lab, "eu-central-1").await;
    TRIAL.lost(lab, "DescribeServices", 3).await;
}

#[tokio::test]
async fn undo_restores_what_stood_before_the_first_attempt() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let killed = drive.go(Some((Place::Call, 1, Edge::After))).await;
    assert!(killed.life.is_over());
    // An autoscaler moves the count before the next controller comes.
    by_hand(&estate, 5).await;
    assert!(matches!(drive.go(None).await.state(), State::Done));
    let undone = drive.undo(None).await;
    assert!(matches!(undone.state(), State::Undone), "{:?}", undone.state());
    let services = estate.state()["ecs"].to_string();
    let last = estate.calls().into_iter().rfind(|call| call["operation"] == "UpdateService").expect("a call");
    assert_eq!(last["request"]["desiredCount"], 0, "{services}");
}
