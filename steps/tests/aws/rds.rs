//! `rds.restore_snapshot`.

use crate::{
    drive::{self, Drive, Ended},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{plan::StepIx, run::State};
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({
        "source": "Orders",
        "snapshot": "latest",
        "target": "Orders-DR",
        "class": "db.r6g.large",
        "subnet_group": estate.param("subnet_group"),
        "security_groups": [estate.param("security_group_id")],
        "parameter_group": estate.param("parameter_group"),
        "multi_az": true,
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "rds.restore_snapshot", with, before: |_| () };

#[tokio::test]
async fn the_newest_data_is_restored_and_its_moment_is_the_recovery_point() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, "rds.restore_snapshot", &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["snapshot"], estate.params["snapshot_orders_newest"]);
    assert_eq!(output.values["port"], 5432);
    assert_eq!(output.recovery_point.as_ref().map(|p| p.source.as_str()), Some("SnapshotDatabaseTime"));
}

#[tokio::test]
async fn before_takes_an_older_snapshot() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    // The newest data but one is seventy minutes old.
    let stamp = |minutes: i64| {
        let newest = estate.param("sync_at").parse::<jiff::Timestamp>().expect("a time");
        (newest - jiff::SignedDuration::from_mins(minutes)).to_string()
    };
    with["before"] = stamp(0).into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["snapshot"], "orders-2026-b70");
    with["before"] = stamp(600).into();
    with["target"] = "other".into();
    let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
    assert!(failure.message.contains("no available snapshot of `orders` not later than"), "{failure:?}");
    assert!(failure.message.contains("`orders-2026-c130`"), "{failure:?}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("snapshot", "users-2026-a10", "`users-2026-a10` is a snapshot of `users`, not of `orders`"),
        ("snapshot", "nothing", "there is no snapshot `nothing` in eu-central-1"),
        ("kms_key", "some-key", "is not encrypted, not with some-key"),
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
    let done = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(done.state(), State::Done));
    let mut other = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let first = std::mem::replace(&mut other.id, "20261122-070000-evacuate-0000".into());
    let failure = other.go(None).await.failure();
    let says = format!("`orders-dr` already exists in eu-central-1 and belongs to run {first}");
    assert_eq!(failure.message, says);
    let undone = other.undo(None).await;
    assert!(!matches!(undone.state(), State::Undone));
    assert_eq!(estate.changes(), ["RestoreDBInstanceFromDBSnapshot"]);
}

fn taken(ended: &Ended) -> &Value {
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    &ended.run.step(StepIx(0)).output.values["snapshot"]
}

#[tokio::test]
async fn a_retry_with_another_snapshot_restores_that_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{
        "operation": "RestoreDBInstanceFromDBSnapshot", "nth": 1,
        "do": "fail_before", "code": "InvalidRestoreFault", "status": 400,
    }]));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("InvalidRestoreFault"), "{failure:?}");
    let ended = drive.again_with(&json!({ "snapshot": "orders-2026-b70" })).await;
    assert_eq!(taken(&ended), "orders-2026-b70");
    assert_eq!(estate.state()["rds"]["eu-central-1"]["instances"]["orders-dr"]["from_snapshot"], "orders-2026-b70");
    assert_eq!(estate.changes(), ["RestoreDBInstanceFromDBSnapshot"]);
}

#[tokio::test]
async fn what_was_made_before_the_inputs_changed_does_not_pass_for_what_they_ask_now() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // The third look is the first after the restore.
    estate.faults(&json!([{ "operation": "DescribeDBInstances", "nth": 3, "do": "access_denied" }]));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("AccessDenied"), "{failure:?}");
    let failure = drive.again_with(&json!({ "snapshot": "orders-2026-b70" })).await.failure();
    let says = "`orders-dr` was made from `orders-2026-a10` before the inputs changed, not from `orders-2026-b70`";
    assert_eq!(failure.message, says);
    assert!(failure.hint.is_some_and(|hint| hint.contains("by hand")));
    // A wish that comes to the same snapshot is met by what is there.
    let ended = drive.again_with(&json!({ "snapshot": "orders-2026-a10" })).await;
    assert_eq!(taken(&ended), "orders-2026-a10");
    assert_eq!(estate.changes(), ["RestoreDBInstanceFromDBSnapshot"]);
}

#[tokio::test]
async fn an_instance_that_works_is_not_waited_for() {
    let Some(lab) = lab() else { return };
    for status in ["storage-optimization", "storage-initialization"] {
        let estate = lab.estate_with(json!({ "db_rests": [status] }));
        let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
        let ended = drive.go(None).await;
        assert!(matches!(ended.state(), State::Done), "{status}: {:?}", ended.state());
        assert_eq!(estate.state()["rds"]["eu-central-1"]["instances"]["orders-dr"]["status"], status);
        let undone = drive.undo(None).await;
        assert!(matches!(undone.state(), State::Undone), "{status}: {:?}", undone.state());
    }
}

#[tokio::test]
async fn an_instance_that_lost_its_key_after_the_restore_is_still_taken_back() {
    let Some(lab) = lab() else { return };
    let rests = ["available", "inaccessible-encryption-credentials-recoverable"];
    let estate = lab.estate_with(json!({ "db_rests": rests }));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    assert!(matches!(drive.go(None).await.state(), State::Done));
    let clients = drive::by_hand(&estate).await;
    let change = clients.rds.modify_db_instance().db_instance_identifier("orders-dr").apply_immediately(true);
    change.send().await.expect("it begins to move");
    let undone = drive.undo(None).await;
    assert!(matches!(undone.state(), State::Undone), "{:?}", undone.state());
}

#[tokio::test]
async fn a_list_that_refuses_a_name_it_does_not_know_says_that_nothing_is_there() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{
        "operation": "DescribeDBInstances", "nth": 1, "times": 2,
        "do": "fail_before", "code": "DBInstanceNotFound", "status": 404,
    }]));
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn taking_it_back_keeps_the_automated_backups() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    assert!(matches!(drive.go(None).await.state(), State::Done));
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    let calls = estate.calls();
    let deleted: Vec<_> = calls.iter().filter(|call| call["operation"] == "DeleteDBInstance").collect();
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert_eq!(deleted[0]["request"]["DeleteAutomatedBackups"], false);
}
