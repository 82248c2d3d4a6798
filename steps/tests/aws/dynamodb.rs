//! `dynamodb.restore_backup`.

use crate::{
    drive::{self, Drive, Ended},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_dynamodb::types::TableStatus;
use dr_engine::{
    crash::{Edge, Place},
    event::Kind,
    plan::StepIx,
    run::State,
    step::{Check, Steps},
};
use serde_json::{Value, json};
use std::sync::Arc;

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

pub(crate) const TRIAL: Trial = Trial { kind: "dynamodb.restore_backup", with, before: |_| () };

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

fn minutes_lost(ended: &Ended) -> i64 {
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    (ended.run.at.0 - output.recovery_point.as_ref().expect("a recovery point").at.0) / 60_000
}

fn table(estate: &Estate) -> Value {
    estate.state()["dynamodb"]["eu-central-1"]["tables"]["sessions-dr"].clone()
}

#[tokio::test]
async fn a_retry_with_another_backup_restores_that_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{
        "operation": "RestoreTableFromBackup", "nth": 1,
        "do": "fail_before", "code": "ValidationException", "status": 400,
    }]));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("ValidationException"), "{failure:?}");
    let ended = drive.again_with(&json!({ "backup": "sessions-2026-b75" })).await;
    let lost = minutes_lost(&ended);
    assert!((74..=77).contains(&lost), "the older backup is 75 minutes old, not {lost}");
    assert_eq!(table(&estate)["from"], ended.run.step(StepIx(0)).output.values["backup"]);
}

#[tokio::test]
async fn what_was_made_before_the_inputs_changed_does_not_pass_for_what_they_ask_now() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // The third look is the first after the restore.
    estate.faults(&json!([{ "operation": "DescribeTable", "nth": 3, "do": "access_denied" }]));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("AccessDenied"), "{failure:?}");
    let failure = drive.again_with(&json!({ "backup": "sessions-2026-b75" })).await.failure();
    assert!(failure.message.starts_with("`sessions-dr` was made from `arn:"), "{failure:?}");
    assert!(failure.message.contains("before the inputs changed"), "{failure:?}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("by hand")));
    // A wish that comes to the same backup is met by what is there.
    let ended = drive.again_with(&json!({ "backup": "sessions-2026-a15" })).await;
    let lost = minutes_lost(&ended);
    assert!((14..=17).contains(&lost), "{lost}");
}

/// Somebody deletes a table, past every runbook, and waits until it is gone.
async fn delete(estate: &Estate, table: &str) {
    let dynamodb = drive::by_hand(estate).await.dynamodb;
    let look = || async { dynamodb.describe_table().table_name(table).send().await.ok()?.table?.table_status };
    while look().await.is_some_and(|status| status != TableStatus::Active) {}
    dynamodb.delete_table().table_name(table).send().await.expect("it is deleted");
    while look().await.is_some() {}
}

/// Another run of the same runbook, whose restore is under way and whose
/// controller is gone: nothing tells yet whose the table is.
async fn another_run(estate: &Estate) -> Drive {
    let mut other = Drive::new(estate, TRIAL.kind, &with(estate));
    other.id = "20261122-070000-evacuate-0000".into();
    let killed = other.go(Some((Place::Call, 1, Edge::After))).await;
    assert!(killed.life.is_over());
    assert_eq!(table(estate)["tags"], json!({}));
    other
}

#[tokio::test]
async fn a_table_that_another_run_made_is_not_taken_for_ours() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut theirs = another_run(&estate).await;
    // Both looked before either had made anything.
    estate.faults(&json!([{
        "operation": "DescribeTable", "nth": 1, "times": 2,
        "do": "fail_before", "code": "ResourceNotFoundException", "status": 400,
    }]));
    let mut ours = Drive::new(&estate, TRIAL.kind, &with(&estate));
    for ended in [ours.go(None).await, ours.again().await] {
        let failure = ended.failure();
        assert!(failure.message.contains("`sessions-dr` already exists in eu-central-1 and belongs to"), "{failure:?}");
    }
    let ended = theirs.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(table(&estate)["tags"]["dr:run"], theirs.id);
    assert!(ours.again().await.failure().message.contains(&theirs.id));
}

#[tokio::test]
async fn what_may_be_anothers_is_gone_on_with_and_not_deleted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut ours = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // It has written down what it will restore, and dies before the call, or after it: who can tell?
    ours.go(Some((Place::Call, 1, Edge::Before))).await;
    another_run(&estate).await;
    let config = drive::config(&estate.lab.endpoint, &format!("LAB{}", estate.account));
    let mut cx = drive::looking(config);
    Arc::make_mut(&mut cx.step).kind = TRIAL.kind.into();
    cx.facts.extend(ours.events.iter().filter_map(|event| match &event.kind {
        Kind::Recorded { fact, .. } => Some(fact.clone()),
        _ => None,
    }));
    assert!(!cx.facts.is_empty());
    let work = dr_steps::registry().step(&cx.step, with(&estate)).expect("a step");
    assert_eq!(work.check(&cx).await, Ok(Check::InProgress));
    let undone = work.check_undone(&cx).await;
    assert!(matches!(&undone, Ok(Check::Impossible(why)) if why.message.contains("belongs to")), "{undone:?}");
}

#[tokio::test]
async fn a_call_that_was_refused_makes_no_table_ours() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut ours = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{
        "operation": "RestoreTableFromBackup", "nth": 1,
        "do": "fail_before", "code": "ValidationException", "status": 400,
    }]));
    assert!(ours.go(None).await.failure().message.contains("ValidationException"));
    let mut theirs = another_run(&estate).await;
    let failure = ours.again().await.failure();
    assert!(failure.message.contains("belongs to somebody else"), "{failure:?}");
    assert!(matches!(theirs.go(None).await.state(), State::Done));
}

#[tokio::test]
async fn a_table_of_the_same_name_and_backup_is_another_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut ours = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // The restore was answered, and the controller died before the table had its tags.
    assert!(ours.go(Some((Place::Call, 2, Edge::Before))).await.life.is_over());
    delete(&estate, "sessions-dr").await;
    another_run(&estate).await;
    let failure = ours.go(None).await.failure();
    assert!(failure.message.contains("belongs to somebody else"), "{failure:?}");
    // When that one has gone as well, the step makes its own.
    delete(&estate, "sessions-dr").await;
    let ended = ours.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(table(&estate)["tags"]["dr:run"], ours.id);
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
