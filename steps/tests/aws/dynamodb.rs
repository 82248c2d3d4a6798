//! `dynamodb.restore_backup`.

use crate::{
    drive::{self, Drive, Ended},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_dynamodb::types::TableStatus;
use dr_engine::{plan::StepIx, run::State};
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({
        "table": estate.param("table_sessions"),
        "backup": "latest",
        "target": "sessions-dr",
        "ttl": estate.param("ttl_sessions"),
        "stream": estate.param("stream_view_type"),
        "pitr": true,
        "tags": { "service": "shop" },
    })
}

const TRIAL: Trial = Trial { kind: "dynamodb.restore_backup", with, before: |_| () };

#[tokio::test]
async fn a_table_comes_back_with_what_a_restore_loses() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let point = output.recovery_point.as_ref().expect("a recovery point");
    assert_eq!(point.source, "BackupCreationDateTime");
    let lost = (ended.run.at.0 - point.at.0) / 60_000;
    assert!((14..=17).contains(&lost), "the newest backup is a quarter of an hour old, not {lost} minutes");
    let dump: Value = serde_json::from_str(&estate.dump()).expect("JSON");
    let table = &dump["dynamodb"]["eu-central-1"]["tables"]["sessions-dr"];
    assert_eq!(table["ttl"]["AttributeName"], "expires");
    assert_eq!(table["pitr"], "ENABLED");
    assert_eq!(table["stream"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert_eq!(table["tags"]["service"], "shop");
    assert_eq!(table["items"], 20);
}

#[tokio::test]
async fn a_table_of_somebody_else_is_never_touched() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["target"] = "carts".into();
    let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
    assert!(failure.message.contains("`carts` already exists in eu-central-1"), "{failure:?}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn before_excludes_what_is_too_new() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["before"] = "2020-01-01T00:00:00Z".into();
    let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
    assert!(failure.message.contains("not later than 2020-01-01T00:00:00Z"), "{failure:?}");
}

#[tokio::test]
async fn a_restore_survives_whatever_happens_at_whichever_call() {
    let Some(lab) = lab() else { return };
    TRIAL.sweep(lab).await;
}

#[tokio::test]
async fn so_does_taking_it_back() {
    let Some(lab) = lab() else { return };
    TRIAL.sweep_undo(lab).await;
}

fn minutes_lost(ended: &Ended) -> i64 {
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    (ended.run.at.0 - output.recovery_point.as_ref().expect("a recovery point").at.0) / 60_000
}

fn table(estate: &Estate) -> Value {
    estate.state()["dynamodb"]["eu-central-1"]["tables"]["sessions-dr"].clone()
}

/// Somebody deletes a table, past every runbook, and waits until it is gone.
async fn delete(estate: &Estate, table: &str) {
    let dynamodb = drive::by_hand(estate).await.dynamodb;
    let look = || async { dynamodb.describe_table().table_name(table).send().await.ok()?.table?.table_status };
    while look().await.is_some_and(|status| status != TableStatus::Active) {}
    dynamodb.delete_table().table_name(table).send().await.expect("it is deleted");
    while look().await.is_some() {}
}

#[tokio::test]
async fn the_backup_that_a_deleted_table_left_is_the_latest() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    delete(&estate, "sessions").await;
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(minutes_lost(&ended) < 5, "{}", minutes_lost(&ended));
    // With the item that was written after the last backup that a person made.
    assert_eq!(table(&estate)["items"], 21);
}

#[tokio::test]
async fn backups_that_are_still_being_enabled_are_asked_for_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{
        "operation": "UpdateContinuousBackups", "nth": 1,
        "do": "fail_before", "code": "ContinuousBackupsUnavailableException", "status": 400,
    }]));
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(table(&estate)["pitr"], "ENABLED");
}
