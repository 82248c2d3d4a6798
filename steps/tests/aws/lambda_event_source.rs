//! `lambda.event_source`.

use crate::{
    drive::{self, Drive, Ended},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    executor::Exit,
    plan::StepIx,
    question::{About, Choice},
    run::State,
};
use dr_steps::registry;
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({ "mapping": estate.param("mapping_recovery"), "enabled": true })
}

pub(crate) const TRIAL: Trial = Trial { kind: "lambda.event_source", with, before: |_| () };

/// Turns off what takes events in the region that is left.
fn off(estate: &Estate) -> Drive {
    let with = json!({ "mapping": estate.param("mapping_primary"), "enabled": false });
    let mut drive = Drive::new(estate, TRIAL.kind, &with);
    drive.step().region = Some("eu-west-1".into());
    drive
}

fn state(estate: &Estate, region: &str, param: &str) -> Value {
    estate.state()["functions"]["mappings"][format!("{region} {}", estate.param(param))]["State"].clone()
}

fn assert_done(ended: &Ended) {
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

/// Somebody turns the mapping of the recovery, past every runbook, and it rests.
async fn by_hand(estate: &Estate, enabled: bool) {
    let clients = drive::by_hand(estate).await;
    let mapping = estate.param("mapping_recovery");
    clients.lambda.update_event_source_mapping().uuid(mapping).enabled(enabled).send().await.expect("the lab takes it");
    for _ in 0..3 {
        clients.lambda.get_event_source_mapping().uuid(mapping).send().await.expect("it is there");
    }
}

#[tokio::test]
async fn on_here_and_off_there_and_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let (mut here, mut there) = (Drive::new(&estate, TRIAL.kind, &with(&estate)), off(&estate));
    let states =
        || (state(&estate, "eu-west-1", "mapping_primary"), state(&estate, "eu-central-1", "mapping_recovery"));
    assert_done(&there.go(None).await);
    let ended = here.go(None).await;
    assert_done(&ended);
    assert_eq!(states(), (json!("Disabled"), json!("Enabled")));
    let source = &ended.run.step(StepIx(0)).output.values["event_source"];
    assert_eq!(*source, format!("arn:aws:sqs:eu-central-1:{}:orders", estate.account));
    for drive in [&mut here, &mut there] {
        assert!(matches!(drive.undo(None).await.state(), State::Undone));
    }
    assert_eq!(states(), (json!("Enabled"), json!("Disabled")));
}

#[tokio::test]
async fn in_a_region_that_is_lost_it_is_unknown_and_that_is_told_soon() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region("eu-west-1", "down");
    let mut drive = off(&estate);
    // It takes half of the time for a look at most.
    drive.step().check_timeout = dr_engine::duration::Dur(2_000);
    let held = drive.go(None).await;
    assert!(matches!(held.exit, Ok(Exit::Held)), "{:?}", held.state());
    let State::Asking { question, .. } = held.state() else { panic!("{:?}", held.state()) };
    assert!(matches!(question.about, About::Doubt(_)), "{question:?}");
    assert!(format!("{question:?}").contains("eu-west-1 does not answer, and nobody can tell whether"), "{question:?}");
    assert_eq!(held.life.counts().0, 0);
    estate.region("eu-west-1", "up");
    assert_done(&drive.answer(Choice::Retry).await);
}

#[tokio::test]
async fn what_somebody_turned_back_is_not_turned_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "looks": 1_000_000 }));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.step().timeout = dr_engine::duration::Dur(700);
    let slow = drive.go(None).await;
    assert!(matches!(slow.exit, Ok(Exit::Held)), "{:?}", slow.state());
    // It arrives, and somebody does not want it.
    estate.seed(json!({ "looks": 0 }));
    by_hand(&estate, true).await;
    by_hand(&estate, false).await;
    for event in &mut drive.events {
        if let dr_engine::event::Kind::Recorded { fact, .. } = &mut event.kind
            && fact.name == "turned"
        {
            fact.value = json!(fact.value.as_i64().expect("milliseconds") - 61_000);
        }
    }
    let ended = drive.answer(Choice::Wait).await;
    let failure = ended.failure();
    assert!(failure.message.contains("is Disabled, though it was changed: somebody turned it back"), "{failure:?}");
    assert_eq!(ended.life.counts().0, 0);
}

#[tokio::test]
async fn one_that_is_being_changed_is_waited_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    by_hand(&estate, true).await;
    let clients = drive::by_hand(&estate).await;
    let request = clients.lambda.update_event_source_mapping().uuid(estate.param("mapping_recovery")).enabled(false);
    request.send().await.expect("the lab takes it");
    assert_done(&Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await);
    assert_eq!(state(&estate, "eu-central-1", "mapping_recovery"), "Enabled");
    assert!(estate.calls().iter().all(|call| call["error"] != "ResourceInUseException"), "nothing was sent meanwhile");
}

#[tokio::test]
async fn a_mapping_that_is_not_there_is_named() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let with = json!({ "mapping": estate.param("mapping_primary"), "enabled": true });
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    let says = format!("there is no event source mapping `{}` in eu-central-1", estate.param("mapping_primary"));
    assert_eq!(ended.failure().message, says);
}

#[test]
fn a_mapping_is_known_by_its_uuid() {
    let step = |mapping: &str| {
        let with = json!({ "mapping": mapping, "enabled": true });
        registry().make(TRIAL.kind, with).expect("its inputs are right").mistakes()
    };
    assert_eq!(step("14e0db71-6c9f-4a3a-9a4e-0f3d3a9e3f10"), []);
    assert_eq!(step("orders")[0].message, "`orders` is not the UUID of an event source mapping");
}
