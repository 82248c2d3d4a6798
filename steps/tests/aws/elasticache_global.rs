//! `elasticache.global_failover`.

use crate::{
    drive::{Drive, acting, looking, of},
    lab::{Estate, Lab, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    executor::Exit,
    outcome::{Fact, Output, RecoveryPoint},
    plan::StepIx,
    run::State,
    step::{Check, Step},
};
use dr_steps::world::World;
use serde_json::{Value, json};
use std::sync::Arc;

const FAILOVER: &str = "elasticache.global_failover";
const CALL: &str = "FailoverGlobalReplicationGroup";
const NEW: &str = "sessions-eu-central-1";

fn with(_: &Estate) -> Value {
    json!({ "global_datastore": "ldgnf-sessions", "target": "Sessions-eu-central-1" })
}

fn seed(estate: &Estate) {
    estate.seed(json!({ "cache_global": true }));
}

pub(crate) const TRIAL: Trial = Trial { kind: FAILOVER, with, before: seed };

fn estate(lab: &'static Lab) -> Estate {
    lab.estate_with(json!({ "cache_global": true }))
}

fn primary(estate: &Estate) -> Value {
    estate.state()["elasticache"]["globals"]["ldgnf-sessions"]["primary"].clone()
}

fn arn(estate: &Estate, region: &str) -> String {
    format!("arn:aws:elasticache:{region}:{}:replicationgroup:sessions-{region}", estate.account)
}

fn step(estate: &Estate) -> Arc<dyn Step> {
    dr_steps::registry().make(FAILOVER, with(estate)).expect("its inputs are good")
}

/// Somebody else moves it, by hand.
async fn moved(estate: &Estate, region: &str) {
    let cx = acting(of(estate));
    let clients = World::of(&cx.read).aws.write_in(&cx, Some(region)).await.expect("clients");
    let request = clients.elasticache.failover_global_replication_group().primary_region(region);
    let request = request.global_replication_group_id("ldgnf-sessions");
    request.primary_replication_group_id(format!("sessions-{region}")).send().await.expect("it moves");
}

#[tokio::test]
async fn a_cache_writes_though_the_primary_is_lost_and_what_that_cost_was_measured_before() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    estate.region("eu-west-1", "down");
    let mut drive = Drive::new(&estate, FAILOVER, &with(&estate));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let Some(RecoveryPoint { at, source }) = &output.recovery_point else { panic!("no recovery point") };
    assert_eq!((source.as_str(), (at.0 + 250) % 60_000), ("GlobalDatastoreReplicationLag", 0));
    assert_eq!(output.values["lag_seconds"], 0.25);
    assert_eq!(output.values["lag_at"], Time(at.0 + 250).to_string());
    assert_eq!(
        (&output.values["lag_unknown"], &output.values["from"]),
        (&Value::Null, &arn(&estate, "eu-west-1").into())
    );
    assert_eq!((&output.values["cache"], &output.values["port"]), (&json!(NEW), &json!(6379)));
    let endpoint = output.values["endpoint"].as_str().expect("an endpoint");
    assert_eq!(endpoint, "master.sessions-eu-central-1.eu-central-1.cache.amazonaws.com");
    assert_eq!(primary(&estate), "eu-central-1/sessions-eu-central-1");
    let calls = estate.calls();
    let call = calls.iter().find(|call| call["operation"] == CALL).expect("it was asked for");
    assert_eq!((&call["request"]["PrimaryRegion"], &call["region"]), (&json!("eu-central-1"), &json!("eu-central-1")));
    // Not done before the cache itself is available.
    let said = drive.said.lock().expect("whole").join("\n");
    assert!(said.contains("`sessions-eu-central-1`, which is to write, is modifying"), "{said}");
}

#[tokio::test]
async fn check_says_what_it_sees() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let (step, mut cx) = (step(&estate), looking(of(&estate)));
    assert_eq!(step.check(&cx).await, Ok(Check::Absent));
    let (new, old) = (arn(&estate, "eu-central-1"), arn(&estate, "eu-west-1"));
    let value = json!({ "global": "ldgnf-sessions", "arn": new, "writer": old, "at": SystemClock::new().now(),
        "lag": ["GlobalDatastoreReplicationLag", { "at": 60_000, "value": 2.5 }], "unknown": null });
    let found = Fact { name: "before".into(), value, handle: false };
    let accepted = Fact { name: "accepted".into(), value: new.into(), handle: true };
    cx.facts = vec![found.clone()];
    assert_eq!(step.check(&cx).await, Ok(Check::Absent));
    // Accepted, and not seen yet.
    cx.facts.push(accepted.clone());
    assert_eq!(step.check(&cx).await, Ok(Check::InProgress));
    // Somebody moves it there: where it goes nobody is told, so a run that asked for nothing waits in `run`.
    moved(&estate, "eu-central-1").await;
    cx.facts = Vec::new();
    for _ in 0..3 {
        assert_eq!(step.check(&cx).await, Ok(Check::Absent));
    }
    cx.facts = vec![found, accepted];
    let output: Output = loop {
        match step.check(&cx).await {
            Ok(Check::InProgress) => {}
            Ok(Check::Done(output)) => break output,
            other => panic!("{other:?}"),
        }
    };
    let point = RecoveryPoint { at: Time(57_500), source: "GlobalDatastoreReplicationLag".into() };
    assert_eq!(output.recovery_point, Some(point));
    // Whoever did not see it before says that nobody knows what was lost.
    cx.facts = Vec::new();
    let Ok(Check::Done(output)) = step.check(&cx).await else { panic!("it writes") };
    assert_eq!(output.recovery_point, None);
    let says = "it wrote already when this run looked first, or somebody else let it";
    assert_eq!(output.values["lag_unknown"], says);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_moves() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    for (field, value, says) in [
        ("global_datastore", "sessions", "there is no global datastore `sessions` with a cache in eu-central-1"),
        ("target", "sessions-eu-west-1", "`sessions-eu-west-1` is no cache of `ldgnf-sessions` in eu-central-1"),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let failure = Drive::new(&estate, FAILOVER, &with).go(None).await.failure();
        assert_eq!(failure.message, says);
        assert!(failure.hint.is_some(), "{failure:?}");
    }
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn what_was_measured_before_the_call_stays_unless_the_call_surely_did_nothing() {
    let Some(lab) = lab() else { return };
    for (fault, measurements) in [("drop_after", 1), ("fail_before", 1), ("throttle", 2)] {
        let estate = estate(lab);
        estate.faults(&json!([{ "operation": CALL, "nth": 1, "do": fault }]));
        let ended = Drive::new(&estate, FAILOVER, &with(&estate)).go(None).await;
        assert!(matches!(ended.state(), State::Done), "{fault}: {:?}", ended.state());
        let asked = estate.calls().iter().filter(|call| call["operation"] == "GetMetricData").count();
        assert_eq!(asked, measurements, "{fault}: only what is of this cache, once");
        assert_eq!(estate.changes(), [CALL], "{fault}");
    }
}

#[tokio::test]
async fn the_live_number_is_of_the_newest_sample_and_its_lack_is_said() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let (step, cx) = (step(&estate), looking(of(&estate)));
    let point = step.would_keep(&cx).await.expect("it is measured");
    assert_eq!(((point.at.0 + 250) % 60_000, point.source.as_str()), (0, "GlobalDatastoreReplicationLag"));
    estate.faults(&json!([{ "operation": "ListMetrics", "every": true, "do": "access_denied" }]));
    let failure = step.would_keep(&cx).await.expect_err("CloudWatch refuses");
    assert!(failure.message.contains("AccessDenied"), "{failure:?}");
    // A failover does not wait for CloudWatch, and says that it did not hear of it.
    let ended = Drive::new(&estate, FAILOVER, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!((&output.recovery_point, &output.values["lag_seconds"]), (&None, &Value::Null));
    assert!(output.values["lag_unknown"].as_str().is_some_and(|why| why.contains("AccessDenied")), "{output:?}");
    let failure = step.would_keep(&cx).await.expect_err("nothing is lost any more");
    assert_eq!(failure.message, "`Sessions-eu-central-1` writes already");
    assert_eq!(estate.changes(), [CALL]);
}

#[tokio::test]
async fn of_what_somebody_else_moved_after_a_refusal_nobody_knows_the_loss() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    estate.faults(&json!([{ "operation": CALL, "nth": 1, "do": "access_denied" }]));
    let mut drive = Drive::new(&estate, FAILOVER, &with(&estate));
    assert!(matches!(drive.go(None).await.exit, Ok(Exit::Held)));
    estate.faults(&json!([]));
    moved(&estate, "eu-central-1").await;
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!((&output.recovery_point, &output.values["from"]), (&None, &Value::Null));
    assert_eq!(estate.changes(), [CALL]);
}

#[test]
fn it_says_of_itself_what_it_is() {
    let with = json!({ "global_datastore": "ldgnf-sessions", "target": NEW });
    let step = dr_steps::registry().make(FAILOVER, with).expect("its inputs are good");
    let is = step.describe();
    assert!(is.second_writer && is.loses_data && is.irreversible && !step.can_undo());
    assert_eq!(is.summary, "let `sessions-eu-central-1` write for global datastore `ldgnf-sessions`");
}
