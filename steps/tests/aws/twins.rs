//! Another store of the same name: it lives in the region of the recovery, and
//! its data is newer than all that is left of the one that was lost.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
};
use dr_engine::{plan::StepIx, run::State};
use serde_json::{Value, json};

const PRIMARY: &str = "eu-west-1";

fn lost() -> Option<Estate> {
    let estate = lab()?.estate_with(json!({ "twins": true, "aurora": true }));
    estate.region(PRIMARY, "down");
    Some(estate)
}

fn place(estate: &Estate, more: &Value) -> Value {
    let mut with = json!({
        "source": "orders",
        "target": "orders-dr",
        "subnet_group": estate.param("subnet_group"),
        "security_groups": [estate.param("security_group_id")],
        "parameter_group": estate.param("parameter_group"),
    });
    with.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
    with
}

/// What it was restored from, by its output.
async fn restored(drive: &mut Drive, output: &str) -> String {
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    ended.run.step(StepIx(0)).output.values[output].as_str().expect("a text").to_owned()
}

/// Refused for certain, with both stores named, before anything is made.
async fn refused(estate: &Estate, kind: &str, with: &Value, both: [&str; 2], way_out: &str) {
    let ended = Drive::new(estate, kind, with).go(None).await;
    let failure = ended.failure();
    assert!(!failure.transient, "{failure:?}");
    assert!(failure.message.contains(" are of more than one: "), "{failure:?}");
    for (id, region) in both.iter().zip([PRIMARY, "eu-central-1"]) {
        assert!(failure.message.contains(&format!("{id}` in {region} of account {}", estate.account)), "{failure:?}");
    }
    assert!(failure.hint.is_some_and(|hint| hint.starts_with(way_out)));
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn a_moment_is_of_the_database_that_was_lost() {
    let Some(estate) = lost() else { return };
    let with = place(&estate, &json!({}));
    refused(&estate, "rds.restore_pitr", &with, ["ORDERS", "TWIN"], "say with `from`").await;
    // Of what ran elsewhere nothing is taken, though it is all there is.
    let elsewhere = place(&estate, &json!({ "from": "us-east-1" }));
    let failure = Drive::new(&estate, "rds.restore_pitr", &elsewhere).go(None).await.failure();
    let says = "the automated backups of `orders` in eu-central-1 are of none that ran in us-east-1: `db-LAB";
    assert!(failure.message.starts_with(says), "{failure:?}");
    assert_eq!(estate.writes(), []);
    // The runbook says where the primary is: the step need not.
    let mut drive = Drive::new(&estate, "rds.restore_pitr", &with);
    drive.primary = Some(PRIMARY.into());
    assert!(restored(&mut drive, "backup").await.ends_with(":auto-backup:ab-LABORDERSEXAMPLE"));
    // Where somebody means the other, it is restored.
    let twin = place(&estate, &json!({ "from": "eu-central-1", "target": "orders-twin-dr" }));
    let mut drive = Drive::new(&estate, "rds.restore_pitr", &twin);
    drive.primary = Some(PRIMARY.into());
    assert_eq!(restored(&mut drive, "backup").await, estate.param("twin_orders"));
}

#[tokio::test]
async fn the_newest_snapshot_is_of_the_database_that_was_lost() {
    let Some(estate) = lost() else { return };
    let with = place(&estate, &json!({}));
    refused(&estate, "rds.restore_snapshot", &with, ["ORDERS", "TWIN"], "say with `from`").await;
    // A person answers the question.
    let mut drive = Drive::new(&estate, "rds.restore_snapshot", &with);
    drive.go(None).await.failure();
    let ended = drive.again_with(&json!({ "from": PRIMARY })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let taken = &ended.run.step(StepIx(0)).output.values["snapshot"];
    assert_eq!(taken, estate.param("snapshot_orders_newest"));
    // What is named is taken whoever it is of, but not against what is written beside it.
    let named = json!({ "snapshot": "orders-twin", "target": "orders-twin-dr" });
    let mut drive = Drive::new(&estate, "rds.restore_snapshot", &place(&estate, &named));
    drive.primary = Some(PRIMARY.into());
    assert_eq!(restored(&mut drive, "snapshot").await, "orders-twin");
    let against = json!({ "snapshot": "orders-twin", "from": PRIMARY, "target": "orders-other" });
    let failure = Drive::new(&estate, "rds.restore_snapshot", &place(&estate, &against)).go(None).await.failure();
    assert_eq!(failure.message, "`orders-twin` is of eu-central-1, not of eu-west-1");
}

#[tokio::test]
async fn a_copy_is_not_of_whichever_is_newest() {
    let Some(estate) = lost() else { return };
    let with = json!({ "source": "orders", "target": "orders-copied" });
    refused(&estate, "rds.copy_snapshot", &with, ["ORDERS", "TWIN"], "name the snapshot").await;
    let named = json!({ "source": "orders", "snapshot": "orders-2026-a10", "target": "orders-copied" });
    let from = restored(&mut Drive::new(&estate, "rds.copy_snapshot", &named), "copied_from").await;
    assert!(from.ends_with("orders-2026-a10"), "{from}");
}

#[tokio::test]
async fn a_cluster_is_the_one_that_was_lost() {
    let Some(estate) = lost() else { return };
    let aurora = json!({
        "source": "ledger-eu-west-1", "target": "ledger-dr", "class": "db.r6g.large", "parameter_group": "dr-aurora-pg15",
    });
    let with = place(&estate, &aurora);
    refused(&estate, "aurora.restore_cluster", &with, ["", ""], "say with `from`").await;
    let mut drive = Drive::new(&estate, "aurora.restore_cluster", &with);
    drive.primary = Some(PRIMARY.into());
    assert!(restored(&mut drive, "restored_from").await.ends_with(":cluster-snapshot:ledger-2026-copy"));
    let mut against = place(&estate, &aurora);
    (against["snapshot"], against["from"]) = ("ledger-twin".into(), PRIMARY.into());
    against["target"] = "ledger-other".into();
    let failure = Drive::new(&estate, "aurora.restore_cluster", &against).go(None).await.failure();
    assert_eq!(failure.message, "`ledger-twin` is of eu-central-1, not of eu-west-1");
}
