//! `cognito.replica_activate`.

use crate::{
    drive::{Drive, by_hand, looking, of},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_cognitoidentityprovider::types::UpdateReplicaStatusType;
use dr_engine::{
    plan::StepIx,
    run::State,
    step::{Check, Steps as _},
};
use dr_steps::registry;
use serde_json::{Value, json};

const HOME: &str = "eu-west-1";
const AWAY: &str = "eu-central-1";

fn with(estate: &Estate) -> Value {
    json!({ "pool": estate.param("pool") })
}

pub(crate) const TRIAL: Trial = Trial { kind: "cognito.replica_activate", with, before: |_| () };

fn replica(estate: &Estate) -> Value {
    estate.state()["cognito"]["replicas"]["shop"][AWAY].clone()
}

async fn checked(estate: &Estate, with: &Value) -> Check {
    let step = crate::drive::plan(TRIAL.kind, with).steps.remove(0);
    let work = registry().step(&step, step.with.clone()).expect("its inputs are right");
    work.check(&looking(of(estate))).await.expect("a look")
}

#[tokio::test]
async fn it_is_activated_from_its_own_region_when_the_primary_is_gone() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region(HOME, "down");
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(replica(&estate), "SECONDARY ACTIVE");
    let output = &ended.run.step(StepIx(0)).output;
    let arn = format!("arn:aws:cognito-idp:{AWAY}:{}:userpool/{}", estate.account, estate.param("pool"));
    assert_eq!(output.values["arn"], arn);
    assert!(output.values["lacks"].as_str().is_some_and(|lacks| lacks.contains("password reset")));
    assert_eq!(output.recovery_point, None, "nobody measures it");
    assert!(estate.calls().iter().all(|call| call["region"] == AWAY));
}

#[tokio::test]
async fn a_look_tells_how_it_stands() {
    let Some(lab) = lab() else { return };
    for (status, right) in [("INACTIVE", "Absent"), ("CREATING", "InProgress"), ("PENDING_CREATE", "Unknown")] {
        let estate = lab.estate_with(json!({ "replica_is": status }));
        let check = checked(&estate, &with(&estate)).await;
        assert!(format!("{check:?}").starts_with(right), "{status}: {check:?}");
    }
    let estate = lab.estate_with(json!({ "replica_is": "ACTIVE" }));
    assert!(matches!(checked(&estate, &with(&estate)).await, Check::Done(_)), "whoever activated it");
    let going = lab.estate_with(json!({ "replica_is": "DELETING" }));
    let Check::Impossible(failure) = checked(&going, &with(&going)).await else { panic!("it goes") };
    assert!(failure.message.ends_with("in eu-central-1 is being deleted"), "{failure:?}");
    for (pool, says) in [
        (estate.param("pool_standby"), "none of its replicas is in eu-central-1"),
        ("eu-west-1_none", "there is nothing of it in eu-central-1"),
    ] {
        let Check::Impossible(failure) = checked(&estate, &json!({ "pool": pool })).await else { panic!("{pool}") };
        assert!(failure.message.ends_with(says), "{failure:?}");
        assert!(failure.hint.is_some_and(|hint| hint.contains("create-user-pool-replica")));
    }
    estate.faults(&json!([{
        "operation": "ListUserPoolReplicas", "every": true, "do": "fail_before", "status": 400,
        "code": "OperationNotEnabledException",
    }]));
    let Check::Impossible(failure) = checked(&estate, &with(&estate)).await else { panic!("not switched on") };
    assert!(failure.message.ends_with("multi-region replication is not switched on for it"), "{failure:?}");
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn the_primary_itself_is_refused() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.step().region = Some(HOME.into());
    let failure = drive.go(None).await.failure();
    assert!(failure.message.starts_with("eu-west-1 is where the primary of user pool"), "{failure:?}");
}

#[tokio::test]
async fn one_that_is_being_made_is_waited_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "replica_is": "CREATING" }));
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!((replica(&estate), estate.changes()), ("SECONDARY ACTIVE".into(), vec!["UpdateUserPoolReplica".into()]));
}

#[tokio::test]
async fn what_somebody_else_activated_is_not_taken_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "replica_is": "ACTIVE" }));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    assert!(matches!(drive.go(None).await.state(), State::Done));
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!((replica(&estate), estate.writes()), ("SECONDARY ACTIVE".into(), Vec::new()));
    // Ours was refused, and then somebody else's was not.
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.step().retry.attempts = 1;
    estate.faults(&json!([{ "operation": "UpdateUserPoolReplica", "nth": 1, "do": "throttle" }]));
    assert!(drive.go(None).await.failure().message.contains("TooManyRequestsException"));
    let hand = by_hand(&estate).await.cognito;
    let theirs = hand.update_user_pool_replica().user_pool_id(estate.param("pool")).region_name(AWAY);
    theirs.status(UpdateReplicaStatusType::Active).send().await.expect("theirs is taken");
    for _ in 0..3 {
        hand.list_user_pool_replicas().user_pool_id(estate.param("pool")).send().await.expect("it is there");
    }
    assert!(matches!(drive.again().await.state(), State::Done));
    let changes = estate.changes();
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!((replica(&estate), estate.changes()), ("SECONDARY ACTIVE".into(), changes));
}
