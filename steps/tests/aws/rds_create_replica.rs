//! `rds.create_replica`.

use crate::{
    drive::{Drive, by_hand},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{plan::StepIx, run::State};
use serde_json::{Value, json};

const KIND: &str = "rds.create_replica";

fn with(estate: &Estate) -> Value {
    json!({
        "source": "Orders",
        "from": "eu-west-1",
        "target": "Orders-Second",
        "class": "db.r6g.large",
        "subnet_group": estate.param("subnet_group"),
        "security_groups": [estate.param("security_group_id")],
        "parameter_group": estate.param("parameter_group"),
        "multi_az": true,
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: KIND, with, before: |_| () };

fn second(estate: &Estate) -> Value {
    estate.state()["rds"]["eu-central-1"]["instances"]["orders-second"].clone()
}

#[tokio::test]
async fn a_replica_is_made_and_is_done_when_it_follows() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let source = output.values["source"].as_str().expect("an ARN");
    assert!(source.starts_with("arn:aws:rds:eu-west-1:") && source.ends_with(":db:orders"), "{source}");
    assert_eq!(output.recovery_point, None);
    let made = second(&estate);
    assert_eq!(
        (&made["replica_of"], &made["multi_az"], &made["public"]),
        (&json!(source), &json!(true), &json!(false))
    );
    let said = drive.said.lock().expect("whole").join("\n");
    assert!(said.contains("`orders-second` does not follow its source yet"), "{said}");
}

#[tokio::test]
async fn within_a_region_it_is_asked_for_by_the_sources_name() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // What was promoted, and keeps backups, is followed in its own region.
    let promoted = json!({ "replica": "orders-replica", "backup_retention": 1 });
    let ended = Drive::new(&estate, "rds.promote_replica", &promoted).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let mut with = with(&estate);
    with["source"] = "orders-replica".into();
    with["from"] = Value::Null;
    let ended = Drive::new(&estate, KIND, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(second(&estate)["replica_of"], "orders-replica");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("source", "nothing", "there is no database instance `nothing` in eu-west-1"),
        ("from", "eu-central-1", "there is no database instance `orders` in eu-central-1"),
        ("target", "orders-replica", "`orders-replica` already exists in eu-central-1 and belongs to somebody else"),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let failure = Drive::new(&estate, KIND, &with).go(None).await.failure();
        assert!(failure.message.contains(says) && failure.hint.is_some(), "{failure:?}");
    }
    // A replica keeps no backups, and nothing can follow it.
    let mut with = with(&estate);
    with["source"] = "orders-replica".into();
    with["from"] = "eu-central-1".into();
    let failure = Drive::new(&estate, KIND, &with).go(None).await.failure();
    let says = "`orders-replica` in eu-central-1 keeps no automated backups, and nothing can follow it without";
    assert_eq!(failure.message, says);
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn what_is_encrypted_wants_a_key_of_this_region() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "encrypted": true }));
    let failure = Drive::new(&estate, KIND, &with(&estate)).go(None).await.failure();
    assert_eq!(failure.message, "`orders` is encrypted, and a key of eu-west-1 is none in eu-central-1");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("`kms_key`")), "{failure:?}");
    let mut with = with(&estate);
    with["kms_key"] = "alias/recovery".into();
    let ended = Drive::new(&estate, KIND, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn a_lost_region_gives_no_replica() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region("eu-west-1", "down");
    let failure = Drive::new(&estate, KIND, &with(&estate)).go(None).await.failure();
    assert!(failure.message.contains("eu-west-1"), "{failure:?}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn one_that_was_promoted_since_is_never_deleted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    assert!(matches!(drive.go(None).await.state(), State::Done));
    let promoted = Drive::new(&estate, "rds.promote_replica", &json!({ "replica": "orders-second" })).go(None).await;
    assert!(matches!(promoted.state(), State::Done), "{:?}", promoted.state());
    let failure = drive.undo(None).await.failure();
    let says = "`orders-second` follows nothing: it was promoted, and may hold what was written since";
    assert_eq!(failure.message, says);
    assert_eq!(second(&estate)["status"], "available");
    assert_eq!(estate.changes(), ["CreateDBInstanceReadReplica", "PromoteReadReplica"]);
}

#[tokio::test]
async fn one_that_was_promoted_and_does_not_work_is_never_deleted_either() {
    let Some(lab) = lab() else { return };
    for status in
        ["storage-full", "stopped", "incompatible-parameters", "inaccessible-encryption-credentials", "failed"]
    {
        let estate = lab.estate_with(json!({ "db_rests": ["available", status] }));
        let mut drive = Drive::new(&estate, KIND, &with(&estate));
        assert!(matches!(drive.go(None).await.state(), State::Done), "{status}");
        // Somebody promotes it by hand, and then it comes to rest in a state in which it does not serve.
        let rds = by_hand(&estate).await.rds;
        rds.promote_read_replica().db_instance_identifier("orders-second").send().await.expect("it is promoted");
        for _ in 0..20 {
            rds.describe_db_instances().db_instance_identifier("orders-second").send().await.expect("it is there");
        }
        let is = second(&estate);
        assert_eq!((&is["replica_of"], &is["status"]), (&Value::Null, &json!(status)));
        let failure = drive.undo(None).await.failure();
        let says = "`orders-second` follows nothing: it was promoted, and may hold what was written since";
        assert_eq!(failure.message, says, "{status}");
        assert_eq!(estate.changes(), ["CreateDBInstanceReadReplica", "PromoteReadReplica"], "{status}");
    }
}

#[tokio::test]
async fn a_replica_that_stopped_to_follow_is_not_done() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    estate.faults(
        &json!([{ "operation": "DescribeDBInstances", "region": "eu-central-1", "nth": 6, "do": "access_denied" }]),
    );
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    // Meanwhile somebody promotes it.
    let rds = by_hand(&estate).await.rds;
    while second(&estate)["status"] != "available" {
        rds.describe_db_instances().db_instance_identifier("orders-second").send().await.expect("it is there");
    }
    rds.promote_read_replica().db_instance_identifier("orders-second").send().await.expect("it is promoted");
    while second(&estate)["replica_of"] != Value::Null {
        rds.describe_db_instances().db_instance_identifier("orders-second").send().await.expect("it is there");
    }
    let failure = drive.again().await.failure();
    assert_eq!(failure.message, "`orders-second` follows nothing: it was promoted, or never was a replica");
}
