//! `rds.restore_pitr`.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    duration::Dur,
    outcome::RecoveryPoint,
    plan::StepIx,
    run::State,
};
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({
        "source": "Orders",
        "target": "Orders-DR",
        "class": "db.r6g.large",
        "subnet_group": estate.param("subnet_group"),
        "security_groups": [estate.param("security_group_id")],
        "parameter_group": estate.param("parameter_group"),
        "multi_az": true,
    })
}

/// The newest moment not later than ten minutes ago: one that stays the same, as that of `dynamodb.restore_pitr`.
fn settled(estate: &Estate) -> Value {
    let mut with = with(estate);
    with["before"] = SystemClock::new().now().after(Dur::seconds(-600)).to_string().into();
    with
}

pub(crate) const TRIAL: Trial = Trial { kind: "rds.restore_pitr", with: settled, before: |_| () };

/// The moments that restores asked for, as they were sent.
fn asked(estate: &Estate) -> Vec<Value> {
    let restores = estate.calls().into_iter().filter(|call| call["operation"] == "RestoreDBInstanceToPointInTime");
    restores
        .map(|call| {
            let request = &call["request"];
            assert!(request["UseLatestRestorableTime"].is_null(), "a concrete time is wanted: {request}");
            request["RestoreTime"].clone()
        })
        .collect()
}

#[tokio::test]
async fn the_latest_moment_is_made_concrete_and_is_the_recovery_point() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let Some(RecoveryPoint { at, source }) = &output.recovery_point else { panic!("no recovery point") };
    assert_eq!((source.as_str(), output.values["restored_to"].clone()), ("RestoreTime", at.to_string().into()));
    let stamp = |value: &Value| {
        let text = value.as_str().expect("a time");
        let stamp: jiff::Timestamp = text.replace(' ', "T").replace("+00:00", "Z").parse().expect(text);
        Time(stamp.as_millisecond())
    };
    let restored = &estate.state()["rds"]["eu-central-1"]["instances"]["orders-dr"]["restored_to"];
    assert_eq!(stamp(restored), *at);
    let behind = ended.run.opened_at.since(*at);
    assert!(behind.0 > 200_000 && behind.0 < 320_000, "the window ends four minutes ago: {behind}");
}

#[tokio::test]
async fn a_second_attempt_asks_for_the_very_same_moment() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "RestoreDBInstanceToPointInTime", "nth": 1, "do": "throttle" }]));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // The window's end moves on in whole seconds, and must have moved before the second attempt.
    drive.step().retry.backoff_min = Dur(2_100);
    drive.step().retry.backoff_max = Dur(2_200);
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let asked = asked(&estate);
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test]
async fn a_region_that_is_lost_leaves_the_moments_up_to_its_end() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region("eu-west-1", "down");
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    assert!(matches!(drive.go(None).await.state(), State::Done));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("source", "carts", "there is no automated backup of `carts` in eu-central-1 to restore from"),
        ("at", "2001-01-01T00:00:00Z", "`orders` cannot be restored to 2001-01-01T00:00:00Z, only from "),
        ("at", "2101-01-01T00:00:00Z", "`orders` cannot be restored to 2101-01-01T00:00:00Z, only from "),
        ("before", "2001-01-01T00:00:00Z", "`orders` cannot be restored to a moment not later than 2001-01-01"),
        ("before", "yesterday", "`before` is `yesterday`"),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn an_instance_of_another_run_is_never_touched() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    assert!(matches!(Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await.state(), State::Done));
    let mut other = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let first = std::mem::replace(&mut other.id, "20261122-070000-evacuate-0000".into());
    let failure = other.go(None).await.failure();
    let says = format!("`orders-dr` already exists in eu-central-1 and belongs to run {first}");
    assert_eq!(failure.message, says);
    assert!(!matches!(other.undo(None).await.state(), State::Undone));
    assert_eq!(estate.changes(), ["RestoreDBInstanceToPointInTime"]);
}

#[tokio::test]
async fn what_was_made_before_the_inputs_changed_does_not_pass_for_what_they_ask_now() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // The third look is the first after the restore.
    estate.faults(&json!([{ "operation": "DescribeDBInstances", "nth": 3, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let earlier = SystemClock::new().now().after(Dur::seconds(-3_600)).to_string();
    let failure = drive.again_with(&json!({ "before": earlier })).await.failure();
    assert!(failure.message.contains("before the inputs changed, not from"), "{failure:?}");
    assert_eq!(estate.changes(), ["RestoreDBInstanceToPointInTime"]);
}
