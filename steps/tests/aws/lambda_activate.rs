//! `lambda.activate`.

use crate::{
    drive::{self, Drive, Ended},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
    executor::Exit,
    plan::StepIx,
    run::State,
    step::Step,
};
use dr_steps::registry;
use serde_json::{Value, json};
use std::sync::Arc;

fn with(_: &Estate) -> Value {
    json!({ "function": "orders-api", "alias": "live", "version": "2", "concurrency": 200, "provisioned": 50 })
}

pub(crate) const TRIAL: Trial = Trial { kind: "lambda.activate", with, before: |_| () };

/// The function of a region, as it stands.
fn function(estate: &Estate, region: &str) -> Value {
    let arn = format!("arn:aws:lambda:{region}:{}:function:orders-api", estate.account);
    estate.state()["functions"]["functions"][arn].clone()
}

fn assert_done(ended: &Ended) {
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

fn assert_left_alone(ended: &Ended, says: &str) {
    assert!(matches!(ended.exit, Ok(Exit::Held)), "{:?}", ended.state());
    let failure = ended.failure();
    assert!(failure.message.contains(says), "{failure:?}");
    assert_eq!(ended.life.counts().0, 0, "nothing is changed");
}

/// Somebody points the alias elsewhere, past every runbook.
async fn by_hand(estate: &Estate, version: &str) {
    let request = drive::by_hand(estate).await.lambda.update_alias().function_name("orders-api").name("live");
    request.function_version(version).send().await.expect("the lab takes it");
}

#[tokio::test]
async fn alias_and_concurrency_are_set_here_while_the_other_region_is_lost() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let there = function(&estate, "eu-west-1");
    estate.region("eu-west-1", "down");
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert_done(&ended);
    assert_eq!(ended.run.step(StepIx(0)).output.values["old_version"], "1");
    let here = function(&estate, "eu-central-1");
    assert_eq!((&here["aliases"]["live"]["version"], &here["reserved"]), (&json!("2"), &json!(200)));
    assert_eq!(here["provisioned"]["live"], json!({ "wanted": 50, "status": "READY" }));
    assert_eq!(function(&estate, "eu-west-1"), there);
}

#[tokio::test]
async fn what_is_said_nothing_of_stays_as_it_is() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let clients = drive::by_hand(&estate).await.lambda;
    let reserved = clients.put_function_concurrency().function_name("orders-api").reserved_concurrent_executions(7);
    reserved.send().await.expect("the lab takes it");
    let with = json!({ "function": "orders-api", "alias": "live", "version": "2" });
    let mut drive = Drive::new(&estate, TRIAL.kind, &with);
    assert_done(&drive.go(None).await);
    assert_eq!(function(&estate, "eu-central-1")["reserved"], 7);
    let looked: Vec<_> =
        estate.calls().into_iter().filter(|call| call["operation"] == "GetFunctionConcurrency").collect();
    assert_eq!(looked, Vec::<Value>::new());
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    let here = function(&estate, "eu-central-1");
    assert_eq!((&here["aliases"]["live"]["version"], &here["reserved"]), (&json!("1"), &json!(7)));
}

#[tokio::test]
async fn an_alias_that_somebody_points_elsewhere_between_our_read_and_our_write_is_not_overwritten() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // Our write is long on its way, and theirs overtakes it.
    estate.faults(&json!([{ "operation": "UpdateAlias", "nth": 1, "do": "slow", "seconds": 2 }]));
    let mut with = with(&estate);
    (with["concurrency"], with["provisioned"]) = (Value::Null, Value::Null);
    let mut drive = Drive::new(&estate, TRIAL.kind, &with);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let meanwhile = async {
        // Once both of its looks are answered (check, run), its write is on its way.
        while estate.calls().iter().filter(|call| call["operation"] == "GetAlias").count() < 2 {
            clock.sleep(Dur(20)).await;
        }
        clock.sleep(Dur(300)).await;
        by_hand(&estate, "3").await;
    };
    let (ended, ()) = tokio::join!(drive.go(None), meanwhile);
    assert_eq!(ended.failure().message, "somebody pointed alias `live` at version 3 meanwhile");
    assert_eq!(function(&estate, "eu-central-1")["aliases"]["live"]["version"], "3");
}

#[tokio::test]
async fn what_somebody_else_set_between_two_tries_or_before_an_undo_is_left_alone() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{ "operation": "UpdateAlias", "every": true, "do": "access_denied" }]));
    let denied = drive.go(None).await;
    assert!(denied.failure().hint.is_some_and(|hint| hint.contains("`lambda:UpdateAlias`")), "{:?}", denied.state());
    estate.faults(&json!([]));
    by_hand(&estate, "3").await;
    assert_left_alone(&drive.again().await, "alias `live` (it serves 3) of `orders-api` meanwhile");
    by_hand(&estate, "1").await;
    assert_done(&drive.again().await);
    by_hand(&estate, "3").await;
    assert_left_alone(&drive.undo(None).await, "alias `live` (it serves 3) of `orders-api` meanwhile");
}

#[tokio::test]
async fn a_revision_that_is_stale_is_read_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{
        "operation": "UpdateAlias", "nth": 1, "do": "fail_before", "code": "PreconditionFailedException", "status": 412
    }]));
    assert_done(&Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await);
    estate.faults(&json!([{
        "operation": "UpdateAlias", "every": true, "do": "fail_before", "code": "PreconditionFailedException", "status": 412
    }]));
    let mut other = with(&estate);
    other["version"] = "3".into();
    let failure = Drive::new(&estate, TRIAL.kind, &other).go(None).await.failure();
    assert!(failure.message.starts_with("somebody keeps changing alias `live`"), "{failure:?}");
}

#[tokio::test]
async fn what_does_not_become_ready_says_why_and_is_asked_for_anew_by_a_person() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "provisioned_rests": "FAILED" }));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    for _ in 0..2 {
        let ended = if drive.events.is_empty() { drive.go(None).await } else { drive.again().await };
        let failure = ended.failure();
        let says = "nothing is kept ready for alias `live` of `orders-api`: FUNCTION_ERROR_INIT_FAILURE";
        assert_eq!(failure.message, says);
    }
    let puts = estate.changes().into_iter().filter(|name| name == "PutProvisionedConcurrencyConfig").count();
    assert_eq!(puts, 2);
}

#[tokio::test]
async fn what_is_not_there_or_too_much_is_told() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("function", json!("nothing"), "there is no function `nothing:2` in eu-central-1"),
        ("version", json!("7"), "there is no function `orders-api:7` in eu-central-1"),
        ("alias", json!("green"), "function `orders-api` has no alias `green` in eu-central-1"),
    ] {
        let mut with = with(&estate);
        with[field] = value;
        assert_left_alone(&Drive::new(&estate, TRIAL.kind, &with).go(None).await, says);
    }
    let mut with = with(&estate);
    with["concurrency"] = 950.into();
    let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
    assert!(failure.message.contains("UnreservedConcurrentExecution below its minimum"), "{failure:?}");
}

#[tokio::test]
async fn a_region_without_answers_is_asked_again_and_changed_once() {
    let Some(lab) = lab() else { return };
    TRIAL.lost(lab, "GetAlias", 3).await;
}

#[test]
fn mistakes_are_told_when_planning() {
    let step =
        |with: &Value| -> Arc<dyn Step> { registry().make(TRIAL.kind, with.clone()).expect("its inputs are right") };
    let right = json!({ "function": "f", "alias": "a", "version": "1", "concurrency": 5, "provisioned": 5 });
    assert_eq!(step(&right).mistakes(), []);
    for (field, value, says) in [
        ("version", json!("$LATEST"), "`$LATEST` is not a published version"),
        ("provisioned", json!(0), "`provisioned` is at least 1"),
        ("provisioned", json!(6), "6 cannot be kept ready where 5 are reserved"),
    ] {
        let mut with = right.clone();
        with[field] = value;
        let mistakes = step(&with).mistakes();
        let found: Vec<_> = mistakes.iter().map(|mistake| (mistake.field, &*mistake.message)).collect();
        assert_eq!(found, [(field, says)]);
    }
}
