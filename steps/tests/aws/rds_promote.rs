//! `rds.promote_replica`.

use crate::{
    drive::{Drive, by_hand, config, looking},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, MetricDatum},
};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    duration::Dur,
    executor::Exit,
    outcome::{Fact, RecoveryPoint},
    plan::StepIx,
    run::State,
    step::{Check, ReadCx, Step},
};
use serde_json::{Value, json};
use std::sync::Arc;

const KIND: &str = "rds.promote_replica";

fn with(_: &Estate) -> Value {
    json!({ "replica": "Orders-Replica", "source": "orders", "backup_retention": 7, "backup_window": "02:00-03:00" })
}

pub(crate) const TRIAL: Trial = Trial { kind: KIND, with, before: |_| () };

fn replica(estate: &Estate) -> Value {
    estate.state()["rds"]["eu-central-1"]["instances"]["orders-replica"].clone()
}

/// A step as the engine makes it.
fn step(with: &Value) -> Arc<dyn Step> {
    dr_steps::registry().make(KIND, with.clone()).expect("its inputs are good")
}

/// What a controller that begins now sees.
fn view(estate: &Estate) -> ReadCx {
    looking(config(&estate.lab.endpoint, &format!("LAB{}", estate.account)))
}

fn now() -> Time {
    SystemClock::new().now()
}

/// Somebody measures how far a replica is behind, some minutes ago.
async fn measured(estate: &Estate, name: &str, minutes_ago: i64, lag: f64) {
    let at = now().after(Dur(-minutes_ago * 60_000));
    let of = Dimension::builder().name("DBInstanceIdentifier").value(name).build();
    let sample = MetricDatum::builder().metric_name("ReplicaLag").dimensions(of).value(lag);
    let sample = sample.timestamp(DateTime::from_millis(at.0)).build();
    let cloudwatch = by_hand(estate).await.cloudwatch;
    cloudwatch.put_metric_data().namespace("AWS/RDS").metric_data(sample).send().await.expect("it is measured");
}

fn asked(estate: &Estate, operation: &str) -> usize {
    estate.calls().iter().filter(|call| call["operation"] == operation).count()
}

#[tokio::test]
async fn a_replica_is_promoted_and_what_is_lost_was_measured_before() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let ended = Drive::new(&estate, KIND, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let Some(RecoveryPoint { at, source }) = &output.recovery_point else { panic!("no recovery point") };
    assert_eq!(source, "ReplicaLag");
    // The newest sample is of the minute before the seed, and four seconds behind.
    let behind = ended.run.opened_at.since(*at).0;
    assert!((-60_000..=120_000 + 4_000).contains(&(behind - 4_000)), "{behind} ms");
    assert_eq!((at.0 + 4_000) % 60_000, 0, "a sample is of a whole minute: {at}");
    assert_eq!(output.values["lag_seconds"], 4.0);
    assert_eq!(output.values["lag_at"], Time(at.0 + 4_000).to_string());
    assert_eq!((&output.values["lag_unknown"], &output.values["replication"]), (&Value::Null, &"replicating".into()));
    let source = output.values["source"].as_str().expect("an ARN");
    assert!(source.starts_with("arn:aws:rds:eu-west-1:") && source.ends_with(":db:orders"), "{source}");
    assert_eq!(output.values["port"], 5432);
    let after = replica(&estate);
    assert_eq!((&after["replica_of"], &after["status"]), (&Value::Null, &json!("available")));
    assert_eq!(after["backup_retention"], 7);
}

#[tokio::test]
async fn a_lost_source_is_no_obstacle_and_a_replication_that_stopped_is_no_sample() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region("eu-west-1", "down");
    measured(&estate, "orders-replica", -1, -1.0).await;
    let ended = Drive::new(&estate, KIND, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!((&output.values["lag_seconds"], &output.values["replication"]), (&json!(4.0), &json!("error")));
    assert!(output.recovery_point.is_some());
}

#[tokio::test]
async fn what_nobody_measured_is_unknown_and_holds_nothing_up() {
    let Some(lab) = lab() else { return };
    // CloudWatch refuses.
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "GetMetricData", "every": true, "do": "access_denied" }]));
    let ended = Drive::new(&estate, KIND, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!((&output.recovery_point, &output.values["lag_seconds"]), (&None, &Value::Null));
    let why = output.values["lag_unknown"].as_str().expect("a reason");
    assert!(why.starts_with("cloudwatch GetMetricData in eu-central-1: AccessDenied"), "{why}");
    // CloudWatch fails for a while, and is asked again.
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "GetMetricData", "nth": [1, 2], "do": "fail_before" }]));
    let ended = Drive::new(&estate, KIND, &with(&estate)).go(None).await;
    assert!(ended.run.step(StepIx(0)).output.recovery_point.is_some());
    assert_eq!(asked(&estate, "GetMetricData"), 3);
    // A replica that was made a moment ago; what an older one of its name measured is not its own.
    let estate = lab.estate();
    measured(&estate, "orders-young", 10, 3.0).await;
    let source = format!("arn:aws:rds:eu-west-1:{}:db:orders", estate.account);
    let rds = by_hand(&estate).await.rds;
    let request = rds.create_db_instance_read_replica().db_instance_identifier("orders-young");
    request.source_db_instance_identifier(source).send().await.expect("it is made");
    let ended = Drive::new(&estate, KIND, &json!({ "replica": "orders-young" })).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.recovery_point, None);
    assert_eq!(output.values["lag_unknown"], "CloudWatch has no sample of how far `orders-young` is behind");
}

#[tokio::test]
async fn what_was_measured_before_the_call_stays_unless_the_call_surely_did_nothing() {
    let Some(lab) = lab() else { return };
    for (fault, measurements) in [("drop_after", 1), ("fail_before", 1), ("throttle", 2), ("access_denied", 1)] {
        let estate = lab.estate();
        estate.faults(&json!([{ "operation": "PromoteReadReplica", "nth": 1, "do": fault }]));
        let mut drive = Drive::new(&estate, KIND, &with(&estate));
        let mut ended = drive.go(None).await;
        let mut wanted = measurements;
        if fault == "access_denied" {
            assert!(ended.failure().message.contains("AccessDenied"), "{:?}", ended.failure());
            ended = drive.again().await;
            wanted = 2;
        }
        assert!(matches!(ended.state(), State::Done), "{fault}: {:?}", ended.state());
        assert_eq!(asked(&estate, "GetMetricData"), wanted, "{fault}");
        assert_eq!(estate.changes(), ["PromoteReadReplica"], "{fault}");
    }
}

#[tokio::test]
async fn one_that_is_busy_is_waited_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let change = by_hand(&estate).await.rds.modify_db_instance().db_instance_identifier("orders-replica");
    change.apply_immediately(true).send().await.expect("it is changed");
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let said = drive.said.lock().expect("whole").join("\n");
    assert!(said.contains("`orders-replica` is modifying, and is not promoted until that is over"), "{said}");
    assert_eq!(asked(&estate, "PromoteReadReplica"), 1);
}

#[tokio::test]
async fn check_says_what_it_sees_and_takes_no_stranger_for_promoted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let step = step(&with(&estate));
    let mut cx = view(&estate);
    assert_eq!(step.check(&cx).await, Ok(Check::Absent));
    // Somebody else promotes it, before this run has written anything down.
    let rds = by_hand(&estate).await.rds;
    let id = rds.describe_db_instances().db_instance_identifier("orders-replica").send().await.expect("it is there");
    let id = id.db_instances()[0].dbi_resource_id().expect("an id").to_owned();
    let now = SystemClock::new().now();
    let found = |id: &str, at: Time| {
        let lag = json!({ "at": 60_000, "value": 2.5 });
        let value = json!({ "replica": "orders-replica", "resource_id": id, "source": "orders",
            "replication": "replicating", "lag": lag, "unknown": null, "at": at });
        Fact { name: "before".into(), value, handle: false }
    };
    let accepted = Fact { name: "accepted".into(), value: "orders-replica".into(), handle: true };
    let refused = Fact { name: "before".into(), value: Value::Null, handle: false };
    // Asked for long ago, and it follows: to ask again is for a person to say.
    let before = now.after(Dur(-3_600_000));
    cx.facts = vec![found(&id, before), accepted.clone()];
    let Ok(Check::Unknown(why)) = step.check(&cx).await else { panic!("a person has to say") };
    assert!(why.starts_with(&format!("`orders-replica` was to be promoted at {before}, and is still")), "{why}");
    rds.promote_read_replica().db_instance_identifier("orders-replica").send().await.expect("it is promoted");
    // It is `available` still, and then it is not; it follows its source all that time.
    cx.facts = vec![found(&id, now)];
    assert_eq!(step.check(&cx).await, Ok(Check::Absent));
    cx.facts = vec![found(&id, now), accepted];
    assert_eq!(step.check(&cx).await, Ok(Check::InProgress));
    let output = loop {
        match step.check(&cx).await {
            Ok(Check::InProgress) => assert_ne!(replica(&estate)["replica_of"], Value::Null),
            Ok(Check::Done(output)) => break output,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(replica(&estate)["replica_of"], Value::Null);
    assert_eq!(output.recovery_point, Some(RecoveryPoint { at: Time(57_500), source: "ReplicaLag".into() }));
    // That it was a replica is known also when the last call was refused.
    cx.facts = vec![found(&id, now), refused];
    assert!(matches!(step.check(&cx).await, Ok(Check::Done(_))));
    // Nobody has seen it as a replica, or another instance had its name.
    for facts in [vec![], vec![found("db-ANOTHER", now)]] {
        cx.facts = facts;
        let Ok(Check::Unknown(why)) = step.check(&cx).await else { panic!("a stranger is not promoted") };
        let says = "`orders-replica` is no replica, and this run has not seen it as one: it was one, 4 s behind at 20";
        assert!(why.starts_with(says), "{why}");
        let failure = step.would_keep(&cx).await.expect_err("nothing is lost any more");
        assert!(failure.message.starts_with(says), "{failure:?}");
    }
}

#[tokio::test]
async fn a_database_that_never_was_a_replica_is_asked_about_and_never_touched() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, KIND, &json!({ "replica": "users" }));
    drive.step().region = Some("eu-west-1".into());
    let held = drive.go(None).await;
    assert!(matches!(held.exit, Ok(Exit::Held)), "{:?}", held.state());
    let question = format!("{:?}", held.state());
    assert!(question.contains("CloudWatch has never measured how far it is behind"), "{question}");
    // Whoever says all the same that it is to be done learns why that cannot be.
    let failure = drive.again().await.failure();
    assert!(failure.message.starts_with("`users` is no replica"), "{failure:?}");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("dr done")), "{failure:?}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_promoted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let arn = format!("arn:aws:rds:eu-north-1:{}:db:orders", estate.account);
    for (field, value, says) in [
        ("replica", "nothing", "there is no database instance `nothing` in eu-central-1"),
        ("source", "users", ":db:orders`, not of `users`"),
        ("source", &arn, &format!(":db:orders`, not of `{arn}`")),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let failure = Drive::new(&estate, KIND, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
        assert!(failure.hint.is_some(), "{failure:?}");
    }
    assert_eq!(estate.writes(), []);
    // A person names the right one.
    let mut drive = Drive::new(&estate, KIND, &json!({ "replica": "orders-replica", "source": "users" }));
    drive.go(None).await.failure();
    let ended = drive.again_with(&json!({ "source": "orders" })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn the_live_number_says_up_to_when_the_data_would_be_there() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let (step, mut cx) = (step(&with(&estate)), view(&estate));
    let before = step.would_keep(&cx).await.expect("it is measured");
    assert_eq!(((before.at.0 + 4_000) % 60_000, before.source.as_str()), (0, "ReplicaLag"));
    // It is live: a newer sample is a newer number.
    measured(&estate, "orders-replica", 0, 31.0).await;
    let after = step.would_keep(&cx).await.expect("it is measured");
    assert_eq!((after.at.0 + 31_000) % 60_000, 0, "{after:?}");
    estate.faults(&json!([{ "operation": "GetMetricData", "every": true, "do": "access_denied" }]));
    let failure = step.would_keep(&cx).await.expect_err("CloudWatch refuses");
    assert!(failure.message.contains("AccessDenied"), "{failure:?}");
    assert_eq!(estate.writes().iter().filter(|(name, _)| name != "PutMetricData").count(), 0);
    // Whoever reads it without a sample hears that there is none.
    estate.faults(&json!([]));
    let source = format!("arn:aws:rds:eu-west-1:{}:db:orders", estate.account);
    let request = by_hand(&estate).await.rds.create_db_instance_read_replica().db_instance_identifier("orders-young");
    request.source_db_instance_identifier(source).send().await.expect("it is made");
    cx.facts = Vec::new();
    let failure = self::step(&json!({ "replica": "orders-young" })).would_keep(&cx).await.expect_err("no sample");
    assert_eq!(failure.message, "CloudWatch has no sample of how far `orders-young` is behind");
}

#[test]
fn a_promotion_says_of_itself_what_it_is() {
    let step = step(&json!({ "replica": "orders-replica", "source": "orders" }));
    let is = step.describe();
    assert!(is.irreversible && is.second_writer && is.loses_data && !is.fences && !step.can_undo());
    assert_eq!(is.summary, "promote replica `orders-replica` of `orders` to a database of its own");
    let step = self::step(&json!({ "replica": "orders-replica", "backup_retention": 40 }));
    let mistakes = step.mistakes();
    let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
    assert_eq!((mistake.field, mistake.help.as_str()), ("backup_retention", "35 are the most"));
    assert_eq!(mistake.message, "RDS keeps no automated backups for 40 days");
    assert_eq!(self::step(&json!({ "replica": "orders-replica", "backup_retention": 35 })).mistakes(), []);
}
