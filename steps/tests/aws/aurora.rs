//! `aurora.global_failover` and `aurora.global_switchover`.

use crate::{
    drive::{Drive, by_hand, config, looking},
    lab::{Estate, lab},
    sweep::Trial,
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

const FAILOVER: &str = "aurora.global_failover";
const SWITCHOVER: &str = "aurora.global_switchover";

fn with(_: &Estate) -> Value {
    json!({ "global_cluster": "ledger", "target": "ledger-eu-central-1" })
}

fn seed(estate: &Estate) {
    estate.seed(json!({ "aurora": true }));
}

pub(crate) const LOSING: Trial = Trial { kind: FAILOVER, with, before: seed };
pub(crate) const KEEPING: Trial = Trial { kind: SWITCHOVER, with, before: seed };

fn estate(lab: &'static crate::lab::Lab) -> Estate {
    lab.estate_with(json!({ "aurora": true }))
}

fn global(estate: &Estate) -> Value {
    estate.state()["rds"]["global"]["ledger"].clone()
}

fn arn(estate: &Estate, region: &str) -> String {
    format!("arn:aws:rds:{region}:{}:cluster:ledger-{region}", estate.account)
}

fn step(kind: &str, with: &Value) -> Arc<dyn Step> {
    dr_steps::registry().make(kind, with.clone()).expect("its inputs are good")
}

/// What a controller that begins now sees.
fn view(estate: &Estate) -> ReadCx {
    looking(config(&estate.lab.endpoint, &format!("LAB{}", estate.account)))
}

fn asked(estate: &Estate, operation: &str) -> usize {
    estate.calls().iter().filter(|call| call["operation"] == operation).count()
}

#[tokio::test]
async fn a_cluster_writes_though_the_primary_is_lost_and_what_that_cost_was_measured_before() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    estate.region("eu-west-1", "down");
    let mut drive = Drive::new(&estate, FAILOVER, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let Some(RecoveryPoint { at, source }) = &output.recovery_point else { panic!("no recovery point") };
    assert_eq!((source.as_str(), (at.0 + 250) % 60_000), ("AuroraGlobalDBRPOLag", 0));
    assert_eq!(output.values["lag_ms"], 250.0);
    assert_eq!(output.values["lag_at"], Time(at.0 + 250).to_string());
    assert_eq!(
        (&output.values["lag_unknown"], &output.values["from"]),
        (&Value::Null, &arn(&estate, "eu-west-1").into())
    );
    let endpoint = output.values["endpoint"].as_str().expect("an endpoint");
    assert!(endpoint.starts_with("ledger-eu-central-1.cluster-"), "{endpoint}");
    assert_eq!(output.values["global_endpoint"], "ledger.global-lab.global.rds.amazonaws.com");
    assert_eq!(global(&estate)["writer"], arn(&estate, "eu-central-1"));
    let calls = estate.calls();
    let call = calls.iter().find(|call| call["operation"] == "FailoverGlobalCluster").expect("it was asked for");
    assert_eq!((&call["request"]["AllowDataLoss"], &call["region"]), (&json!(true), &json!("eu-central-1")));
    // Not done before the instance that is to write works.
    let said = drive.said.lock().expect("whole").join("\n");
    assert!(said.contains("`ledger-eu-central-1-1`, which is to write, is rebooting"), "{said}");
}

#[tokio::test]
async fn a_switchover_loses_nothing_and_wants_all_clusters() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    estate.region("eu-west-1", "down");
    // It is refused in the words of RDS; the wait for what may be under way unseen is cut short here.
    estate.faults(&json!([{ "operation": "DescribeGlobalClusters", "nth": 9, "do": "access_denied" }]));
    let mut drive = Drive::new(&estate, SWITCHOVER, &with(&estate));
    let held = drive.go(None).await;
    assert!(matches!(held.exit, Ok(Exit::Held)), "{:?}", held.state());
    let said = drive.said.lock().expect("whole").join("\n");
    assert!(said.contains("InvalidGlobalClusterStateFault: Not every cluster of ledger is connected."), "{said}");
    assert_eq!((estate.changes(), global(&estate)["writer"].clone()), (vec![], arn(&estate, "eu-west-1").into()));
    estate.region("eu-west-1", "up");
    estate.faults(&json!([]));
    let ended = Drive::new(&estate, SWITCHOVER, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let point = output.recovery_point.as_ref().expect("a recovery point");
    assert_eq!(point.source, "SwitchoverGlobalCluster");
    assert!(point.at >= ended.run.opened.incident_at && point.at <= ended.run.at, "{point:?}");
    assert_eq!(estate.changes(), ["SwitchoverGlobalCluster"]);
}

#[tokio::test]
async fn a_failover_by_somebody_else_is_not_a_switchover_that_was_refused() {
    let Some(lab) = lab() else { return };
    let call = "SwitchoverGlobalCluster";
    for faults in [
        json!([{ "operation": call, "nth": 1, "do": "access_denied" }]),
        json!([
            { "operation": call, "nth": 1, "do": "fail_before", "code": "InvalidGlobalClusterStateFault", "status": 400 },
            { "operation": "DescribeGlobalClusters", "nth": 9, "do": "access_denied" },
        ]),
    ] {
        let estate = estate(lab);
        estate.faults(&faults);
        let mut drive = Drive::new(&estate, SWITCHOVER, &with(&estate));
        assert!(matches!(drive.go(None).await.exit, Ok(Exit::Held)));
        estate.faults(&json!([]));
        let new = arn(&estate, "eu-central-1");
        let rds = by_hand(&estate).await.rds;
        let request = rds.failover_global_cluster().global_cluster_identifier("ledger");
        request.target_db_cluster_identifier(&new).allow_data_loss(true).send().await.expect("it moves");
        let ended = drive.again().await;
        assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
        let output = &ended.run.step(StepIx(0)).output;
        assert_eq!((&output.recovery_point, &output.values["from"]), (&None, &Value::Null), "{faults}");
        // Nor is it taken back as one.
        let failure = drive.undo(None).await.failure();
        assert_eq!(failure.message, "the switchover of `ledger` was refused, and somebody else moved its writer");
        assert_eq!(estate.changes(), ["FailoverGlobalCluster"]);
    }
}

#[tokio::test]
async fn check_says_what_it_sees() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let (lossy, keeping) = (step(FAILOVER, &with(&estate)), step(SWITCHOVER, &with(&estate)));
    let mut cx = view(&estate);
    for step in [&lossy, &keeping] {
        assert_eq!(step.check(&cx).await, Ok(Check::Absent));
    }
    let (new, old) = (arn(&estate, "eu-central-1"), arn(&estate, "eu-west-1"));
    let now = SystemClock::new().now();
    let found = |at: Time| {
        let value = json!({ "global": "ledger", "arn": new, "writer": old, "at": at,
            "lag": ["AuroraGlobalDBRPOLag", { "at": 60_000, "value": 2_000.5 }], "unknown": null });
        Fact { name: "before".into(), value, handle: false }
    };
    let accepted = Fact { name: "accepted".into(), value: new.clone().into(), handle: true };
    cx.facts = vec![found(now)];
    assert_eq!(lossy.check(&cx).await, Ok(Check::Absent));
    // Accepted, and not seen yet.
    cx.facts = vec![found(now), accepted.clone()];
    for step in [&lossy, &keeping] {
        assert_eq!(step.check(&cx).await, Ok(Check::InProgress));
    }
    // Long ago: whoever moved the writer back must not see it moved again by a run that is resumed.
    let before = now.after(Dur(-3_600_000));
    for (facts, taken) in
        [(vec![found(before), accepted.clone()], "that was taken"), (vec![accepted, found(before)], "is not known")]
    {
        cx.facts = facts;
        for step in [&lossy, &keeping] {
            let Ok(Check::Unknown(why)) = step.check(&cx).await else { panic!("a person has to say") };
            let says = format!("`ledger-eu-central-1` was asked to write at {before}, ");
            assert!(why.starts_with(&says) && why.contains(taken), "{why}");
        }
    }
    // Somebody moves it there: under way for whoever looks, until its instance works.
    let rds = by_hand(&estate).await.rds;
    let request = rds.failover_global_cluster().global_cluster_identifier("ledger").target_db_cluster_identifier(&new);
    request.allow_data_loss(true).send().await.expect("it moves");
    cx.facts = vec![found(now)];
    let mut looks = 0;
    let output = loop {
        match lossy.check(&cx).await {
            Ok(Check::InProgress) => looks += 1,
            Ok(Check::Done(output)) => break output,
            other => panic!("{other:?}"),
        }
    };
    assert!(looks >= 4, "three looks while it moves, and then a restart: {looks}");
    let point = RecoveryPoint { at: Time(57_999), source: "AuroraGlobalDBRPOLag".into() };
    assert_eq!(output.recovery_point, Some(point));
    // Whoever did not see it before says that nobody knows what was lost.
    cx.facts = Vec::new();
    let Ok(Check::Done(output)) = lossy.check(&cx).await else { panic!("it writes") };
    assert_eq!(output.recovery_point, None);
    assert_eq!(output.values["lag_unknown"], "it wrote already when this run looked first");
    let Ok(Check::Done(output)) = keeping.check(&cx).await else { panic!("it writes") };
    assert_eq!(output.recovery_point, None);
    // A move to another cluster is none to this one.
    let there = by_hand_in(&estate, "eu-west-1").await;
    let request = there.failover_global_cluster().global_cluster_identifier("ledger");
    request.target_db_cluster_identifier(old).allow_data_loss(true).send().await.expect("it moves back");
    let Ok(Check::Impossible(failure)) = lossy.check(&cx).await else { panic!("it moves elsewhere") };
    assert_eq!(failure.message, "`ledger` is failing-over: `ledger-eu-west-1` becomes its writer");
}

async fn by_hand_in(estate: &Estate, region: &str) -> aws_sdk_rds::Client {
    let cx = crate::drive::acting(config(&estate.lab.endpoint, &format!("LAB{}", estate.account)));
    let world = dr_steps::world::World::of(&cx.read);
    world.aws.write_in(&cx, Some(region)).await.expect("clients").rds
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_moves() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    for kind in [FAILOVER, SWITCHOVER] {
        for (field, value, says) in [
            (
                "global_cluster",
                "nothing",
                "there is no Aurora global database `nothing` with a cluster in eu-central-1",
            ),
            ("target", "ledger-eu-west-1", "`ledger-eu-west-1` is no cluster of `ledger` in eu-central-1"),
        ] {
            let mut with = with(&estate);
            with[field] = value.into();
            let failure = Drive::new(&estate, kind, &with).go(None).await.failure();
            assert_eq!(failure.message, says);
            assert!(failure.hint.is_some(), "{failure:?}");
        }
    }
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn what_was_measured_before_the_call_stays_unless_the_call_surely_did_nothing() {
    let Some(lab) = lab() else { return };
    for (fault, measurements) in [("drop_after", 1), ("fail_before", 1), ("throttle", 2)] {
        let estate = estate(lab);
        estate.faults(&json!([{ "operation": "FailoverGlobalCluster", "nth": 1, "do": fault }]));
        let ended = Drive::new(&estate, FAILOVER, &with(&estate)).go(None).await;
        assert!(matches!(ended.state(), State::Done), "{fault}: {:?}", ended.state());
        assert_eq!(asked(&estate, "GetMetricData"), measurements, "{fault}");
        assert_eq!(estate.changes(), ["FailoverGlobalCluster"], "{fault}");
    }
}

#[tokio::test]
async fn the_live_number_is_of_the_newest_sample_and_its_lack_is_said() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let (step, cx) = (step(FAILOVER, &with(&estate)), view(&estate));
    let point = step.would_keep(&cx).await.expect("it is measured");
    assert_eq!(((point.at.0 + 250) % 60_000, point.source.as_str()), (0, "AuroraGlobalDBRPOLag"));
    estate.faults(&json!([{ "operation": "GetMetricData", "every": true, "do": "access_denied" }]));
    let failure = step.would_keep(&cx).await.expect_err("CloudWatch refuses");
    assert!(failure.message.contains("AccessDenied"), "{failure:?}");
    // A failover does not wait for CloudWatch, and says that it did not hear of it.
    let ended = Drive::new(&estate, FAILOVER, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!((&output.recovery_point, &output.values["lag_ms"]), (&None, &Value::Null));
    assert!(output.values["lag_unknown"].as_str().is_some_and(|why| why.contains("AccessDenied")), "{output:?}");
    let failure = step.would_keep(&cx).await.expect_err("nothing is lost any more");
    assert_eq!(failure.message, "`ledger-eu-central-1` writes already");
    assert_eq!(estate.changes(), ["FailoverGlobalCluster"]);
}

#[test]
fn each_says_of_itself_what_it_is() {
    let with = json!({ "global_cluster": "ledger", "target": "ledger-eu-central-1" });
    let (lossy, keeping) = (step(FAILOVER, &with), step(SWITCHOVER, &with));
    let is = lossy.describe();
    assert!(is.irreversible && is.second_writer && is.loses_data && !lossy.can_undo());
    assert_eq!(is.summary, "let `ledger-eu-central-1` write for Aurora global database `ledger`");
    let is = keeping.describe();
    assert!(!is.irreversible && !is.second_writer && !is.loses_data && keeping.can_undo());
    assert_eq!(is.summary, "switch Aurora global database `ledger` over to `ledger-eu-central-1`");
}
