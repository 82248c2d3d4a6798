//! `cloudfront.kvs_flag`.

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
    question::Choice,
    run::State,
    step::Step,
};
use dr_steps::registry;
use serde_json::{Value, json};
use std::sync::Arc;

fn edge(estate: &Estate) -> String {
    format!("{}/{}/edge/origin", estate.param("health"), estate.account)
}

fn with(estate: &Estate) -> Value {
    json!({
        "store": estate.param("key_value_store"),
        "key": "origin",
        "value": "eu-central-1",
        "seen_at": { "url": edge(estate), "expect": { "headers": { "x-lab-edge": "eu-central-1" } } },
    })
}

/// A key that was not there, and nobody looks at the edge.
fn with_new(estate: &Estate) -> Value {
    json!({ "store": estate.param("key_value_store"), "key": "evacuated", "value": "yes" })
}

pub(crate) const TRIAL: Trial = Trial { kind: "cloudfront.kvs_flag", with, before: |_| () };
pub(crate) const NEW: Trial = Trial { with: with_new, ..TRIAL };

/// Somebody sets a key, past every runbook.
async fn by_hand(estate: &Estate, key: &str, value: &str) {
    let clients = drive::by_hand(estate).await;
    let store = estate.param("key_value_store");
    let seen = clients.key_values.describe_key_value_store().kvs_arn(store).send().await.expect("it is there");
    let request = clients.key_values.put_key().kvs_arn(store).key(key).value(value).if_match(seen.e_tag());
    request.send().await.expect("the lab takes it");
}

/// What a key holds.
fn held(estate: &Estate, key: &str) -> Value {
    estate.state()["key_values"][estate.param("key_value_store")]["pairs"][key].clone()
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

#[tokio::test]
async fn a_flag_is_turned_while_every_control_plane_is_lost() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for region in ["eu-west-1", "us-east-1", "global"] {
        estate.region(region, "down");
    }
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let ended = drive.go(None).await;
    assert_done(&ended);
    assert_eq!(ended.run.step(StepIx(0)).output.values["old_value"], "eu-west-1");
    assert_eq!(held(&estate, "origin"), "eu-central-1");
    assert!(drive.said.lock().expect("whole").iter().any(|text| text.starts_with("not seen at http")), "it was waited");
    let put: Vec<_> = estate.calls().into_iter().filter(|call| call["operation"] == "PutKey").collect();
    assert_eq!((put.len(), &put[0]["region"]), (1, &json!("*")), "it is signed for all regions");
}

#[tokio::test]
async fn another_key_that_is_changed_between_our_read_and_our_write_is_kept() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // Our write is long on its way, and theirs overtakes it.
    estate.faults(&json!([{ "operation": "PutKey", "nth": 1, "do": "slow", "seconds": 2 }]));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let meanwhile = async {
        // Once the third of its reads is answered (check, run, the write's own), its write is on its way.
        while estate.calls().iter().filter(|call| call["operation"] == "GetKey").count() < 3 {
            clock.sleep(Dur(20)).await;
        }
        clock.sleep(Dur(300)).await;
        by_hand(&estate, "maintenance", "on").await;
    };
    let (ended, ()) = tokio::join!(drive.go(None), meanwhile);
    assert_done(&ended);
    assert_eq!(
        estate.calls().iter().filter(|call| call["status"] == 409).count(),
        1,
        "the old version was refused once"
    );
    assert_eq!((held(&estate, "maintenance"), held(&estate, "origin")), (json!("on"), json!("eu-central-1")));
}

#[tokio::test]
async fn what_somebody_else_set_is_left_alone() {
    let Some(lab) = lab() else { return };
    // Before an undo.
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    assert_done(&drive.go(None).await);
    by_hand(&estate, "origin", "eu-north-1").await;
    assert_left_alone(&drive.undo(None).await, "meanwhile: it is `eu-north-1`");
    // Between the first try, which was refused, and the second.
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "PutKey", "every": true, "do": "access_denied" }]));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let ended = drive.go(None).await;
    assert!(ended.failure().hint.is_some_and(|hint| hint.contains("`cloudfront-keyvaluestore:PutKey`")));
    estate.faults(&json!([]));
    by_hand(&estate, "origin", "eu-north-1").await;
    assert_left_alone(&drive.again().await, "key `origin` of");
    assert_eq!(held(&estate, "origin"), "eu-north-1");
}

#[tokio::test]
async fn what_was_set_and_is_the_old_value_again_is_not_turned_a_second_time() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["seen_at"]["expect"] = json!({ "text": "what the edge never says" });
    let mut drive = Drive::new(&estate, TRIAL.kind, &with);
    drive.step().timeout = Dur(700);
    let slow = drive.go(None).await;
    assert!(matches!(slow.exit, Ok(Exit::Held)), "{:?}", slow.state());
    assert_eq!(held(&estate, "origin"), "eu-central-1");
    by_hand(&estate, "origin", "eu-west-1").await;
    // The call was taken longer ago than a look may lag.
    for event in &mut drive.events {
        if let dr_engine::event::Kind::Recorded { fact, .. } = &mut event.kind
            && fact.name == "set"
        {
            fact.value["at"] = json!(fact.value["at"].as_i64().expect("milliseconds") - 61_000);
        }
    }
    assert_left_alone(&drive.answer(Choice::Wait).await, "meanwhile: it is `eu-west-1`");
}

#[tokio::test]
async fn a_refusal_that_is_not_for_the_version_is_told_and_not_repeated() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // The store's version is still the one that was named.
    estate.faults(&json!([{
        "operation": "PutKey", "every": true, "do": "fail_before", "code": "ConflictException", "status": 409
    }]));
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    let failure = ended.failure();
    assert!(failure.message.starts_with("cloudfront-keyvaluestore PutKey in all regions: Conflict"), "{failure:?}");
    assert_eq!(ended.life.counts().0, 1);
}

#[tokio::test]
async fn a_store_that_is_not_there_is_named() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["store"] = format!("arn:aws:cloudfront::{}:key-value-store/nothing", estate.account).into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert_left_alone(&ended, "there is no key value store `arn:aws:cloudfront::");
}

#[tokio::test]
async fn a_store_without_answers_is_asked_again_and_changed_once() {
    let Some(lab) = lab() else { return };
    NEW.lost(lab, "DescribeKeyValueStore", 4).await;
}

fn step(with: &Value) -> Arc<dyn Step> {
    registry().make(TRIAL.kind, with.clone()).expect("its inputs are right")
}

#[test]
fn mistakes_are_told_when_planning() {
    let right = json!({ "store": "arn:aws:cloudfront::111122223333:key-value-store/x", "key": "k", "value": "" });
    assert_eq!(step(&right).mistakes(), []);
    for (field, value, says) in [
        ("key", json!(""), "`key` has 0 bytes"),
        ("key", json!("é".repeat(257)), "`key` has 514 bytes"),
        ("value", json!("x".repeat(1025)), "`value` has 1025 bytes"),
        ("seen_at", json!({ "url": "https://x.test/" }), "a status alone does not show which value the edge has"),
    ] {
        let mut with = right.clone();
        with[field] = value;
        let mistakes = step(&with).mistakes();
        let found: Vec<_> = mistakes.iter().map(|mistake| (mistake.field, &*mistake.message)).collect();
        assert_eq!(found, [(field, says)]);
    }
    for store in [
        "flags",
        "arn:aws:cloudfront:us-east-1:111122223333:key-value-store/x",
        "arn:aws:cloudfront::1111:key-value-store/x",
        "arn:aws:cloudfront::111122223333:distribution/E1",
        "arn:aws:cloudfront::111122223333:key-value-store/",
    ] {
        let mut with = right.clone();
        with["store"] = store.into();
        let why = registry().make(TRIAL.kind, with).err().expect("it is no store").message;
        assert!(why.contains(&format!("`{store}` is not the ARN of a key value store")), "{why}");
    }
}
