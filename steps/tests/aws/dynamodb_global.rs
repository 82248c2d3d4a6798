//! `dynamodb.global_table`.

use crate::{
    drive::{Drive, by_hand, config, looking},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
use aws_sdk_dynamodb::types::{CreateReplicationGroupMemberAction, ReplicationGroupUpdate};
use dr_engine::{
    clock::{Clock, SystemClock},
    crash::{Edge, Place},
    event::Kind,
    outcome::Output,
    plan::StepIx,
    question::Choice,
    run::State,
    step::{Check, Steps as _},
};
use serde_json::{Value, json};
use std::sync::Arc;

const HOME: &str = "eu-west-1";
const AWAY: &str = "eu-central-1";

fn adding(estate: &Estate) -> Value {
    json!({ "table": estate.param("table_profiles"), "from": HOME, "add": true })
}

pub(crate) const TRIAL: Trial = Trial { kind: "dynamodb.global_table", with: adding, before: |_| () };

fn replicas(estate: &Estate, region: &str, table: &str) -> Value {
    estate.state()["dynamodb"][region]["tables"][table]["replicas"].clone()
}

fn looks(estate: &Estate) -> Vec<(String, String)> {
    let text = |call: &Value, key: &str| call[key].as_str().expect("a text").to_owned();
    let calls = estate.calls().into_iter().filter(|call| call["service"] != "sts");
    calls.map(|call| (text(&call, "region"), text(&call, "operation"))).collect()
}

#[tokio::test]
async fn a_replica_that_is_there_is_seen_from_its_own_region_alone_when_the_other_is_lost() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region(HOME, "down");
    let ended = Drive::new(&estate, TRIAL.kind, &json!({ "table": "catalog" })).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["replicates_with"], "eu-west-1 ACTIVE");
    assert_eq!(output.recovery_point, None, "nobody measured it");
    assert_eq!(looks(&estate), [(AWAY.into(), "DescribeTable".into())]);
    // To be told how far behind it is, that region is asked, and need not answer.
    let ended = Drive::new(&estate, TRIAL.kind, &json!({ "table": "catalog", "from": HOME })).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(ended.run.step(StepIx(0)).output.recovery_point, None);
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn how_far_behind_it_is_is_what_the_sending_region_measured() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let hand = by_hand(&estate).await;
    let there = hand.cloudwatch.config().to_builder().region(aws_sdk_cloudwatch::config::Region::new(HOME)).build();
    let home = aws_sdk_cloudwatch::Client::from_conf(there);
    let at = SystemClock::new().now().0 / 60_000 * 60 - 120;
    for (table, latency) in [("catalog", 1_500.2), ("ledger", 9e9)] {
        let dimension = |name, value| Dimension::builder().name(name).value(value).build();
        let datum = MetricDatum::builder().metric_name("ReplicationLatency").value(latency);
        let datum = datum.timestamp(aws_sdk_cloudwatch::primitives::DateTime::from_secs(at + 7));
        let datum = datum.dimensions(dimension("TableName", table)).dimensions(dimension("ReceivingRegion", AWAY));
        home.put_metric_data().namespace("AWS/DynamoDB").metric_data(datum.build()).send().await.expect("kept");
    }
    let ended = Drive::new(&estate, TRIAL.kind, &json!({ "table": "catalog", "from": HOME })).go(None).await;
    let point = ended.run.step(StepIx(0)).output.recovery_point.clone().expect("measured");
    assert_eq!(point.at.0, at * 1_000 - 1_501);
    assert!(point.source.starts_with("ReplicationLatency of eu-west-1, measured at 20"), "{}", point.source);
    // What is strongly consistent loses nothing, whatever was measured.
    let ended = Drive::new(&estate, TRIAL.kind, &json!({ "table": "ledger", "from": HOME })).go(None).await;
    let point = ended.run.step(StepIx(0)).output.recovery_point.clone().expect("known");
    assert_eq!(point.source, "MultiRegionConsistency STRONG");
    assert!(point.at >= ended.run.opened_at);
}

#[tokio::test]
async fn a_replica_is_added_and_waited_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let ended = Drive::new(&estate, TRIAL.kind, &adding(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["arn"], format!("arn:aws:dynamodb:eu-central-1:{}:table/profiles", estate.account));
    for region in [HOME, AWAY] {
        assert_eq!(replicas(&estate, region, "profiles"), json!({ AWAY: "ACTIVE", HOME: "ACTIVE" }));
    }
    assert_eq!(estate.changes(), ["UpdateTable"]);
    let calls = estate.calls();
    let added = calls.iter().find(|call| call["operation"] == "UpdateTable").expect("added");
    assert_eq!(added["region"], HOME);
}

#[tokio::test]
async fn what_this_run_has_not_added_it_does_not_remove() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // It was there before.
    let mut drive = Drive::new(&estate, TRIAL.kind, &json!({ "table": "catalog", "from": HOME, "add": true }));
    assert!(matches!(drive.go(None).await.state(), State::Done));
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!(replicas(&estate, AWAY, "catalog"), json!({ AWAY: "ACTIVE", HOME: "ACTIVE" }));
    assert_eq!(estate.writes(), []);
    // Somebody added it while this run was about to: ours is refused, and the replica is as good.
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &adding(&estate));
    let slow = json!([{ "operation": "UpdateTable", "nth": 1, "do": "throttle" }]);
    estate.faults(&slow);
    drive.step().retry.attempts = 1;
    assert!(drive.go(None).await.failure().message.contains("UpdateTable"));
    add_by_hand(&estate).await;
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!(replicas(&estate, AWAY, "profiles"), json!({ AWAY: "ACTIVE", HOME: "ACTIVE" }));
}

async fn add_by_hand(estate: &Estate) {
    let hand = by_hand(estate).await;
    let there = hand.dynamodb.config().to_builder().region(aws_sdk_dynamodb::config::Region::new(HOME)).build();
    let create = CreateReplicationGroupMemberAction::builder().region_name(AWAY).build().expect("whole");
    let change = ReplicationGroupUpdate::builder().create(create).build();
    let home = aws_sdk_dynamodb::Client::from_conf(there);
    home.update_table().table_name("profiles").replica_updates(change).send().await.expect("added");
}

#[tokio::test]
async fn a_replica_that_fails_is_said_to_and_can_be_taken_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "replica_rests": ["CREATION_FAILED"] }));
    let mut drive = Drive::new(&estate, TRIAL.kind, &adding(&estate));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("the replica of `profiles` in eu-central-1 is CREATION_FAILED"), "{failure:?}");
    assert_eq!(estate.changes(), ["UpdateTable"]);
    let ended = drive.answer(Choice::Undo).await;
    assert!(matches!(ended.state(), State::Undone), "{:?}", ended.state());
    assert_eq!(replicas(&estate, HOME, "profiles"), Value::Null);
    // One that loses its key is there, and not healthy.
    let estate = lab.estate_with(json!({ "replica_rests": ["INACCESSIBLE_ENCRYPTION_CREDENTIALS"] }));
    let failure = Drive::new(&estate, TRIAL.kind, &adding(&estate)).go(None).await.failure();
    assert!(failure.message.contains("is INACCESSIBLE_ENCRYPTION_CREDENTIALS"), "{failure:?}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (with, says) in [
        (json!({ "table": "profiles" }), "there is no table `profiles` in eu-central-1"),
        (json!({ "table": "profiles", "from": HOME }), "there is no table `profiles` in eu-central-1"),
        (json!({ "table": "sessions" }), "`sessions` in eu-central-1 is a table of its own"),
        (json!({ "table": "sessions", "from": HOME, "add": true }), "is a table of its own"),
        (json!({ "table": "nothing", "from": HOME, "add": true }), "there is no table `nothing` in eu-west-1 to add"),
        (
            json!({ "table": "catalog", "from": AWAY, "add": true }),
            "`from` is eu-central-1, and so is the step's region",
        ),
        (json!({ "table": "catalog", "from": "eu-west-3" }), "replicates with eu-west-1, not with eu-west-3"),
    ] {
        let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    assert_eq!(estate.writes(), []);
    // The region of the table has to answer only where a replica is to be added.
    estate.region(HOME, "down");
    let failure = Drive::new(&estate, TRIAL.kind, &adding(&estate)).go(None).await.failure();
    assert!(failure.message.contains("dynamodb DescribeTable in eu-west-1"), "{failure:?}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn a_replica_of_a_call_without_an_answer_is_gone_on_with_and_not_removed() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut ours = Drive::new(&estate, TRIAL.kind, &adding(&estate));
    // It dies when the call is over, before it has written down how that was answered.
    ours.go(Some((Place::Call, 1, Edge::After))).await;
    let mut cx = looking(config(&estate.lab.endpoint, &format!("LAB{}", estate.account)));
    Arc::make_mut(&mut cx.step).kind = TRIAL.kind.into();
    cx.facts.extend(ours.events.iter().filter_map(|event| match &event.kind {
        Kind::Recorded { fact, .. } => Some(fact.clone()),
        _ => None,
    }));
    let work = dr_steps::registry().step(&cx.step, adding(&estate)).expect("a step");
    assert_eq!(work.check(&cx).await, Ok(Check::InProgress));
    let undone = work.check_undone(&cx).await;
    let unsure = "got no answer: nobody can say whose that one is";
    assert!(matches!(&undone, Ok(Check::Impossible(why)) if why.message.contains(unsure)), "{undone:?}");
    // Had the call been long before the replica came into being, it would be somebody else's for certain.
    let asked = cx.facts.iter_mut().find(|fact| fact.name == "asked").expect("written down");
    asked.value = (asked.value.as_i64().expect("a time") - 600_000).into();
    while work.check(&cx).await == Ok(Check::InProgress) {}
    assert_eq!(work.check_undone(&cx).await, Ok(Check::Done(Output::default())));
    // A run that goes on with it sees it come into being, and takes it back.
    let estate = lab.estate();
    let mut ours = Drive::new(&estate, TRIAL.kind, &adding(&estate));
    ours.go(Some((Place::Call, 1, Edge::After))).await;
    assert!(matches!(ours.go(None).await.state(), State::Done));
    assert!(matches!(ours.undo(None).await.state(), State::Undone));
    assert_eq!(replicas(&estate, HOME, "profiles"), Value::Null);
}
