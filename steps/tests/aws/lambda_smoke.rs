//! `lambda.smoke`: nobody can see whether a function ran, so it has a contract of its own.

use crate::{
    drive::{Drive, Ended, Point},
    lab::{Estate, Lab, lab},
};
use dr_engine::{
    crash::{Edge, Place},
    executor::Exit,
    plan::StepIx,
    question::{About, Choice},
    run::State,
    step::Step,
};
use dr_steps::registry;
use serde_json::{Value, json};
use std::sync::Arc;

const KIND: &str = "lambda.smoke";

fn with(safe: bool) -> Value {
    json!({
        "function": "orders-api", "qualifier": "live", "payload": { "path": "/health" },
        "expect": { "json": { "/status": "ok" } }, "safe_to_repeat": safe,
    })
}

/// With what the function was invoked in the region of the recovery.
fn invoked(estate: &Estate) -> Vec<Value> {
    let arn = format!("arn:aws:lambda:eu-central-1:{}:function:orders-api", estate.account);
    estate.state()["functions"]["functions"][arn]["invoked"].as_array().expect("a list").clone()
}

fn estate(lab: &'static Lab, invokes: &Value) -> Estate {
    lab.estate_with(json!({ "invokes": invokes }))
}

fn is_done(ended: &Ended) -> bool {
    matches!(ended.state(), State::Done)
}

/// A person is asked what became of it.
fn is_in_doubt(ended: &Ended) -> bool {
    matches!(ended.state(), State::Asking { question, .. } if matches!(question.about, About::Doubt(_)))
}

#[tokio::test]
async fn an_answer_as_expected_is_done_and_names_the_version() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let ended = Drive::new(&estate, KIND, &with(false)).go(None).await;
    assert!(is_done(&ended), "{:?}", ended.state());
    assert_eq!(ended.run.step(StepIx(0)).output.values["executed_version"], "1");
    assert_eq!(invoked(&estate), [json!({ "version": "1", "payload": { "path": "/health" } })]);
    assert_eq!(ended.life.counts().0, 1, "it asked for leave");
}

#[tokio::test]
async fn a_function_error_is_a_failure_with_the_end_of_its_log() {
    let Some(lab) = lab() else { return };
    let log = (0..20).map(|n| format!("line {n} \u{1b}[31mof hunter2-hunter2\n")).collect::<Vec<_>>().concat();
    let answer = json!({ "errorType": "KeyError", "errorMessage": "no hunter2-hunter2" });
    let estate = estate(lab, &json!([{ "error": "Unhandled", "answer": answer, "log": log }]));
    let mut with = with(false);
    with["redact"] = json!([{ "secret": "file:token" }]);
    let mut drive = Drive::new(&estate, KIND, &with);
    std::fs::write(drive.folder.path().join("token"), "hunter2-hunter2\n").expect("a file");
    let ended = drive.go(None).await;
    assert!(matches!(ended.exit, Ok(Exit::Held)), "{:?}", ended.state());
    let failure = ended.failure();
    assert_eq!(failure.message, "`orders-api` was invoked, and it failed (Unhandled): KeyError: no [secret]");
    let lines: Vec<_> = (10..20).map(|n| format!("line {n} of [secret]")).collect();
    assert_eq!(failure.causes, lines);
    assert_eq!(invoked(&estate).len(), 1, "it is not invoked again by itself");
}

#[tokio::test]
async fn another_answer_is_a_failure_too() {
    let Some(lab) = lab() else { return };
    for (answer, expect, says) in [
        (json!({ "status": "no" }), json!({ "json": { "/status": "ok" } }), "`/status` is \"no\", wanted \"ok\""),
        (json!({}), json!({ "json": { "/status": "ok" } }), "`/status` is not in its answer, wanted \"ok\""),
        (json!("fine"), json!({ "text": "good" }), "its answer does not contain `good`"),
    ] {
        let estate = estate(lab, &json!([{ "answer": answer }]));
        let mut with = with(false);
        with["expect"] = expect;
        let ended = Drive::new(&estate, KIND, &with).go(None).await;
        assert_eq!(ended.failure().message, format!("`orders-api` was invoked, and {says}"));
    }
}

#[tokio::test]
async fn what_is_safe_to_repeat_is_repeated_until_it_is_as_expected() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab, &json!([{ "error": "Unhandled" }, { "answer": { "status": "starting" } }, {}]));
    let ended = Drive::new(&estate, KIND, &with(true)).go(None).await;
    assert!(is_done(&ended), "{:?}", ended.state());
    assert_eq!(invoked(&estate).len(), 3);
}

#[tokio::test]
async fn whatever_happens_at_whichever_call_it_runs_once_or_a_person_is_asked() {
    let Some(lab) = lab() else { return };
    let undisturbed = Drive::new(&lab.estate(), KIND, &with(false)).go(None).await;
    let (calls, commits) = undisturbed.life.counts();
    let mut points: Vec<Point> = Vec::new();
    for edge in [Edge::Before, Edge::After] {
        points.extend((1..=calls).map(|n| (Place::Call, n, edge)));
        points.extend((1..=commits).map(|n| (Place::Commit, n, edge)));
    }
    for point in points {
        let estate = lab.estate();
        let mut drive = Drive::new(&estate, KIND, &with(false));
        assert!(drive.go(Some(point)).await.life.is_over(), "{point:?} is not reached");
        let before = invoked(&estate).len();
        let ended = drive.go(None).await;
        assert!(is_done(&ended) || is_in_doubt(&ended), "{point:?}: {:?}", ended.state());
        assert!(invoked(&estate).len() <= 1, "{point:?}: it ran twice");
        assert!(before == 0 || invoked(&estate).len() == before, "{point:?}");
        // Who says that it is safe has it repeated.
        let estate = lab.estate();
        let mut drive = Drive::new(&estate, KIND, &with(true));
        drive.go(Some(point)).await;
        let ended = drive.go(None).await;
        assert!(is_done(&ended), "{point:?}: {:?}", ended.state());
    }
    for fault in ["drop_after", "garbage", "fail_after", "drop_before", "fail_before", "throttle", "expired_token"] {
        let (estate, again) = (lab.estate(), lab.estate());
        for estate in [&estate, &again] {
            estate.faults(&json!([{ "write_nth": 1, "do": fault }]));
        }
        let ended = Drive::new(&estate, KIND, &with(false)).go(None).await;
        assert!(!matches!(ended.state(), State::Failed { .. } | State::Stuck { .. }), "{fault}: {:?}", ended.state());
        assert!(invoked(&estate).len() <= 1, "{fault}: it ran twice");
        let ended = Drive::new(&again, KIND, &with(true)).go(None).await;
        assert!(is_done(&ended), "{fault}: {:?}", ended.state());
    }
}

#[tokio::test]
async fn a_person_who_says_retry_has_it_invoked_once_more() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{ "write_nth": 1, "do": "drop_after" }]));
    let mut drive = Drive::new(&estate, KIND, &with(false));
    let held = drive.go(None).await;
    assert!(is_in_doubt(&held), "{:?}", held.state());
    assert_eq!(invoked(&estate).len(), 1);
    let ended = drive.answer(Choice::Retry).await;
    assert!(is_done(&ended), "{:?}", ended.state());
    assert_eq!(invoked(&estate).len(), 2);
}

#[tokio::test]
async fn what_cannot_be_invoked_is_told_and_never_begun() {
    let Some(lab) = lab() else { return };
    for (seed, function, qualifier, says) in [
        (json!({}), "nothing", "live", "there is no function `nothing:live` in eu-central-1"),
        (json!({}), "orders-api", "9", "there is no function `orders-api:9` in eu-central-1"),
        (json!({ "function_is": "Failed" }), "orders-api", "live", "`orders-api:live` is Failed"),
    ] {
        let estate = lab.estate_with(seed);
        for safe in [true, false] {
            let mut with = with(safe);
            (with["function"], with["qualifier"]) = (function.into(), qualifier.into());
            let ended = Drive::new(&estate, KIND, &with).go(None).await;
            assert_eq!(ended.failure().message, says);
            assert_eq!(ended.life.counts().0, 0);
        }
    }
}

#[test]
fn an_empty_qualifier_is_a_mistake_and_a_look_changes_nothing() {
    let step = |with: Value| -> Arc<dyn Step> { registry().make(KIND, with).expect("its inputs are right") };
    let mistakes = step(json!({ "function": "f", "qualifier": "" })).mistakes();
    assert_eq!((mistakes.len(), &*mistakes[0].message), (1, "`qualifier` is empty"));
    let (once, again) = (step(with(false)), step(with(true)));
    assert_eq!((once.changes(), once.sees_effect()), (true, false));
    assert_eq!((again.changes(), again.sees_effect()), (false, true));
    assert_eq!(once.describe().actions, ["lambda:GetFunctionConfiguration", "lambda:InvokeFunction"]);
}
