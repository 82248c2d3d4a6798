//! `aurora.restore_cluster`.

use crate::{
    drive::{Drive, by_hand},
    lab::{Estate, Lab, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
    outcome::RecoveryPoint,
    plan::StepIx,
    run::State,
};
use serde_json::{Value, json};

const KIND: &str = "aurora.restore_cluster";

fn with(estate: &Estate) -> Value {
    json!({
        "source": "Ledger-EU-Central-1",
        "target": "Ledger-DR",
        "class": "db.r6g.large",
        "instances": 2,
        "subnet_group": estate.param("subnet_group"),
        "security_groups": [estate.param("security_group_id")],
        "parameter_group": "dr-aurora-pg15",
    })
}

fn moment(estate: &Estate) -> Value {
    let mut with = with(estate);
    with["at"] = "latest".into();
    with
}

fn seed(estate: &Estate) {
    estate.seed(json!({ "aurora": true }));
}

pub(crate) const TRIAL: Trial = Trial { kind: KIND, with, before: seed };
const MOMENT: Trial = Trial { kind: KIND, with: moment, before: seed };

fn estate(lab: &'static Lab) -> Estate {
    lab.estate_with(json!({ "aurora": true }))
}

fn restored(estate: &Estate) -> Value {
    estate.state()["rds"]["eu-central-1"]["clusters"]["ledger-dr"].clone()
}

#[tokio::test]
async fn the_newest_snapshot_becomes_a_cluster_with_its_instances() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let ended = Drive::new(&estate, KIND, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let Some(RecoveryPoint { at, source }) = &output.recovery_point else { panic!("no recovery point") };
    assert_eq!(source, "SnapshotCreateTime");
    let behind = ended.run.opened_at.since(*at).0;
    assert!((600_000..700_000).contains(&behind), "it is ten minutes old: {behind} ms");
    let from = output.values["restored_from"].as_str().expect("an ARN");
    assert!(from.ends_with(":cluster-snapshot:ledger-2026-a10"), "{from}");
    let endpoint = output.values["endpoint"].as_str().expect("an endpoint");
    assert!(endpoint.starts_with("ledger-dr.cluster-"), "{endpoint}");
    let cluster = restored(&estate);
    assert_eq!(cluster["members"], json!(["ledger-dr-1", "ledger-dr-2"]));
    assert_eq!(cluster["parameter_group"], "dr-aurora-pg15");
    let changes = estate.changes();
    assert_eq!(changes, ["CreateDBInstance", "CreateDBInstance", "RestoreDBClusterFromSnapshot"]);
}

#[tokio::test]
async fn a_moment_is_made_concrete_and_is_the_recovery_point() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let ended = Drive::new(&estate, KIND, &moment(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let Some(RecoveryPoint { at, source }) = &output.recovery_point else { panic!("no recovery point") };
    assert_eq!((source.as_str(), at.0 % 1_000), ("RestoreToTime", 0));
    assert_eq!(output.values["restored_from"], format!("ledger-eu-central-1 at {at}"));
    let calls = estate.calls();
    let call = calls.iter().find(|call| call["operation"] == "RestoreDBClusterToPointInTime").expect("a call");
    assert!(call["request"]["UseLatestRestorableTime"].is_null(), "{call}");
    let asked = call["request"]["RestoreToTime"].as_str().expect("a time").replace(' ', "T").replace("+00:00", "Z");
    assert_eq!(asked.parse::<jiff::Timestamp>().expect(&asked).as_millisecond(), at.0);
}

#[tokio::test]
async fn restoring_a_moment_survives_whatever_happens_at_whichever_call() {
    let Some(lab) = lab() else { return };
    MOMENT.sweep(lab).await;
}

#[tokio::test]
async fn of_a_copy_nobody_knows_of_when_its_data_is_and_before_takes_an_older_one() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let mut copied = with(&estate);
    (copied["source"], copied["instances"]) = ("ledger-eu-west-1".into(), 1.into());
    let ended = Drive::new(&estate, KIND, &copied).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.recovery_point, None);
    assert!(output.values["restored_from"].as_str().is_some_and(|arn| arn.ends_with(":ledger-2026-copy")));
    let mut older = with(&estate);
    (older["target"], older["instances"]) = ("ledger-older".into(), Value::Null);
    older["before"] = SystemClock::new().now().after(Dur(-30 * 60_000)).to_string().into();
    let ended = Drive::new(&estate, KIND, &older).go(None).await;
    let from = &ended.run.step(StepIx(0)).output.values["restored_from"];
    assert!(from.as_str().is_some_and(|arn| arn.ends_with(":ledger-2026-b70")), "{from}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    for (field, value, says) in [
        ("snapshot", "nothing", "there is no snapshot `nothing` in eu-central-1"),
        ("snapshot", "ledger-2026-copy", "`ledger-2026-copy` is a snapshot of `ledger-eu-west-1`, not of `ledger-eu-c"),
        ("source", "nothing", "there is no available snapshot of `nothing` in eu-central-1"),
        ("before", "2001-01-01T00:00:00Z", "no available snapshot of `ledger-eu-central-1` in eu-central-1 not later"),
        ("before", "yesterday", "`before` is `yesterday`"),
        ("at", "2001-01-01T00:00:00Z", "`ledger-eu-central-1` cannot be restored to 2001-01-01T00:00:00Z, only from "),
        (
            "target",
            "ledger-eu-central-1",
            "`ledger-eu-central-1` already exists in eu-central-1 and belongs to somebody",
        ),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let failure = Drive::new(&estate, KIND, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    let mut elsewhere = moment(&estate);
    elsewhere["source"] = "ledger-eu-west-1".into();
    let failure = Drive::new(&estate, KIND, &elsewhere).go(None).await.failure();
    assert_eq!(failure.message, "there is no cluster `ledger-eu-west-1` in eu-central-1 to restore a moment of");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn what_is_not_this_runs_is_never_touched() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    assert!(matches!(drive.go(None).await.state(), State::Done));
    // Another run finds the cluster.
    let mut other = Drive::new(&estate, KIND, &with(&estate));
    other.id = "20261122-070000-evacuate-0000".into();
    let failure = other.go(None).await.failure();
    let says = format!("`ledger-dr` already exists in eu-central-1 and belongs to run {}", drive.id);
    assert_eq!(failure.message, says);
    // Somebody adds an instance by hand: then the cluster is somebody's.
    let request = by_hand(&estate).await.rds.create_db_instance().db_instance_identifier("ledger-dr-reports");
    let request = request.db_cluster_identifier("ledger-dr").engine("aurora-postgresql");
    request.db_instance_class("db.r6g.large").send().await.expect("it is made");
    let before = estate.changes();
    let failure = drive.undo(None).await.failure();
    let says = "`ledger-dr` has the instance `ledger-dr-reports`, which belongs to somebody else";
    assert!(failure.message.starts_with(says), "{failure:?}");
    assert_eq!(estate.changes(), before);
}

#[tokio::test]
async fn an_instance_of_somebody_else_is_not_taken_and_a_person_can_ask_for_fewer() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let rds = by_hand(&estate).await.rds;
    // The name of the second instance is somebody else's.
    let request = rds.create_db_instance().db_instance_identifier("ledger-dr-2").engine("postgres");
    let request = request.db_instance_class("db.r6g.large").allocated_storage(20).master_username("lab");
    request.master_user_password("not-a-secret").send().await.expect("it is made");
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.starts_with("`ledger-dr-2` already exists in eu-central-1 and belongs to"), "{failure:?}");
    // A person asks for one instance, and it goes on with what is there.
    let ended = drive.again_with(&json!({ "instances": 1 })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(restored(&estate)["members"], json!(["ledger-dr-1"]));
    assert_eq!(estate.changes().iter().filter(|name| *name == "RestoreDBClusterFromSnapshot").count(), 1);
}

#[tokio::test]
async fn inputs_that_were_changed_after_it_was_made_are_not_passed_over() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    // Nobody can look at the second instance after it was begun.
    estate.faults(&json!([{ "operation": "DescribeDBInstances", "nth": 6, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let made = estate.changes();
    let failure = drive.again_with(&json!({ "security_groups": ["sg-0000", "sg-1111"] })).await.failure();
    let says =
        format!("`ledger-dr` has the security groups {}, not sg-0000, sg-1111", estate.param("security_group_id"));
    assert_eq!(failure.message, says);
    assert!(failure.hint.is_some_and(|hint| hint.starts_with("change it by hand, or set the inputs back")));
    let back = json!({ "security_groups": [estate.param("security_group_id")], "class": "db.r6g.xlarge" });
    let failure = drive.again_with(&back).await.failure();
    assert_eq!(failure.message, "`ledger-dr-1` is db.r6g.large, not db.r6g.xlarge");
    let ended = drive.again_with(&json!({ "class": "db.r6g.large" })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(made, ["CreateDBInstance", "CreateDBInstance", "RestoreDBClusterFromSnapshot"]);
    assert_eq!(estate.changes(), made);
}

#[tokio::test]
async fn one_that_is_protected_is_taken_back_all_the_same() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    assert!(matches!(drive.go(None).await.state(), State::Done));
    let change = by_hand(&estate).await.rds.modify_db_cluster().db_cluster_identifier("ledger-dr");
    change.deletion_protection(true).apply_immediately(true).send().await.expect("it is protected");
    let ended = drive.undo(None).await;
    assert!(matches!(ended.state(), State::Undone), "{:?}", ended.state());
    assert_eq!(restored(&estate), Value::Null);
    let writes: Vec<_> = estate.writes().into_iter().map(|(name, _)| name).collect();
    let taken = &writes[writes.len() - 4..];
    assert_eq!(taken, ["DeleteDBInstance", "DeleteDBInstance", "ModifyDBCluster", "DeleteDBCluster"]);
}

#[test]
fn inputs_that_do_not_go_together_are_told() {
    let inputs = |more: Value| {
        let mut with = json!({ "source": "ledger", "target": "ledger-dr", "class": "db.r6g.large",
            "subnet_group": "g", "security_groups": ["sg-1"], "parameter_group": "p" });
        with.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        let step = dr_steps::registry().make(KIND, with).expect("each is good by itself");
        step.mistakes().into_iter().map(|mistake| (mistake.field, mistake.message)).collect::<Vec<_>>()
    };
    assert_eq!(inputs(json!({ "at": "latest", "instances": 15 })), []);
    let both = inputs(json!({ "at": "latest", "snapshot": "x" }));
    assert_eq!(both, [("at", "a moment and a snapshot are two ways to restore a cluster".to_owned())]);
    let from = inputs(json!({ "at": "latest", "from": "eu-west-1" }));
    assert_eq!(from, [("from", "a moment is of a cluster of the step's region, wherever others ran".to_owned())]);
    for count in [0, 16] {
        let said = inputs(json!({ "instances": count }));
        assert_eq!(said, [("instances", format!("an Aurora cluster has 1 to 15 instances, not {count}"))]);
    }
}
