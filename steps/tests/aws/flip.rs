//! `route53.failover_flip`.

use crate::{
    drive::{self, Drive},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_s3::primitives::ByteStream;
use dr_engine::{
    crash::{Edge, Place},
    plan::StepIx,
    run::State,
    step::{Check, Step, Steps},
};
use dr_steps::registry;
use serde_json::{Value, json};
use std::sync::Arc;

const STANDBY: &str = "198.51.100.50";

fn flip(estate: &Estate, key: &str, state: &str, record: &str) -> Value {
    json!({
        "bucket": estate.param("bucket_flip"), "key": key, "state": state,
        "name": estate.param(record), "type": "A", "values": [STANDBY], "servers": [estate.param("dns")],
    })
}

fn present(estate: &Estate) -> Value {
    flip(estate, "failover/shop", "present", "record_flip")
}

fn absent(estate: &Estate) -> Value {
    flip(estate, "serving/shop", "absent", "record_hold")
}

/// An object is put, and an inverted health check sees it.
pub(crate) const PRESENT: Trial = Trial { kind: "route53.failover_flip", with: present, before: |_| () };
/// An object is deleted, and a plain health check misses it.
pub(crate) const ABSENT: Trial = Trial { with: absent, ..PRESENT };

fn drive(estate: &Estate, with: &Value) -> Drive {
    Drive::new(estate, PRESENT.kind, with)
}

fn work(kind: &str, with: &Value) -> Arc<dyn Step> {
    let step = drive::plan(kind, with).steps.remove(0);
    registry().step(&step, step.with.clone()).expect("its inputs are right")
}

/// Whether users of a name are at the standby now.
async fn at_standby(estate: &Estate, record: &str) -> bool {
    let asks =
        json!({ "name": estate.param(record), "type": "A", "values": [STANDBY], "servers": [estate.param("dns")] });
    let check = work("dns.verify", &asks).check(&drive::looking(drive::of(estate))).await;
    matches!(check, Ok(Check::Done(_)))
}

/// Somebody who puts the object by hand.
async fn put(estate: &Estate, key: &str, body: String) {
    let clients = drive::by_hand(estate).await;
    let request = clients.s3.put_object().bucket(estate.param("bucket_flip")).key(key);
    request.body(ByteStream::from(body.into_bytes())).send().await.expect("it is put");
}

/// Somebody who deletes it.
async fn delete(estate: &Estate, key: &str) {
    let clients = drive::by_hand(estate).await;
    clients.s3.delete_object().bucket(estate.param("bucket_flip")).key(key).send().await.expect("it is deleted");
}

fn keys(estate: &Estate) -> Value {
    estate.state()["s3"][estate.param("bucket_flip")]["keys"].clone()
}

#[tokio::test]
async fn users_go_to_the_standby_and_back_without_us_east_1() {
    let Some(lab) = lab() else { return };
    for (with, record, write) in
        [(present as fn(&Estate) -> Value, "record_flip", "PutObject"), (absent, "record_hold", "DeleteObject")]
    {
        let estate = lab.estate();
        estate.region("us-east-1", "down");
        estate.region("global", "down");
        let former = keys(&estate);
        assert!(!at_standby(&estate, record).await);
        let mut drive = drive(&estate, &with(&estate));
        let ended = drive.go(None).await;
        assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
        assert!(at_standby(&estate, record).await);
        let values = ended.run.step(StepIx(0)).output.values.clone();
        assert_eq!((&values["servers"], &values["ttl"]), (&json!(1), &json!(30)));
        assert_eq!(estate.changes(), [write]);
        assert!(matches!(drive.undo(None).await.state(), State::Undone));
        assert!(!at_standby(&estate, record).await);
        let now = keys(&estate);
        assert_eq!(now["serving/shop"][0]["sha256"], former["serving/shop"][0]["sha256"], "{now}");
        let services: Vec<_> = estate.calls().into_iter().map(|call| call["service"].clone()).collect();
        assert!(services.iter().all(|service| service == "s3" || service == "sts"), "{services:?}");
    }
}

#[tokio::test]
async fn nobody_elses_object_is_written_over_or_deleted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // It is there already, by somebody: users go, and there is nothing of ours to take back.
    put(&estate, "failover/shop", "theirs".into()).await;
    let mut adopted = drive(&estate, &present(&estate));
    assert!(matches!(adopted.go(None).await.state(), State::Done));
    assert!(matches!(adopted.undo(None).await.state(), State::Undone));
    assert_eq!(estate.changes(), ["PutObject"]);
    delete(&estate, "failover/shop").await;
    while at_standby(&estate, "record_flip").await {}
    // Ours is replaced by somebody: it is theirs to delete.
    let mut ours = drive(&estate, &present(&estate));
    ours.id = "20261122-070000-evacuate-0000".into();
    let ended = ours.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    put(&estate, "failover/shop", "theirs again".into()).await;
    let failure = ours.undo(None).await.failure();
    assert!(failure.message.contains("somebody else wrote"), "{failure:?}");
    assert!(keys(&estate)["failover/shop"].as_array().is_some_and(|all| all.len() == 1));
    delete(&estate, "failover/shop").await;
    assert!(matches!(ours.again().await.state(), State::Undone));
    assert!(!at_standby(&estate, "record_flip").await);
}

#[tokio::test]
async fn what_could_not_be_put_back_is_not_deleted() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    put(&estate, "serving/shop", "x".repeat(5_000)).await;
    let failure = drive(&estate, &absent(&estate)).go(None).await.failure();
    assert!(failure.message.contains("has more than 4096 bytes"), "{failure:?}");
    let clients = drive::by_hand(&estate).await;
    let request = clients.s3.put_object().bucket(estate.param("bucket_flip")).key("serving/shop");
    request.body(ByteStream::from_static(b"\xff\xfe")).send().await.expect("it is put");
    let failure = drive(&estate, &absent(&estate)).go(None).await.failure();
    assert!(failure.message.contains("is no text"), "{failure:?}");
    assert!(!estate.changes().contains(&"DeleteObject".to_owned()));
}

#[tokio::test]
async fn the_object_and_the_name_servers_both_have_a_say() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "looks": 1_000_000 }));
    let cx = drive::looking(drive::of(&estate));
    let check = async |with: &Value| work(PRESENT.kind, with).check(&cx).await;
    let mut deaf = present(&estate);
    deaf["servers"] = json!(["127.0.0.1:9"]);
    assert!(matches!(check(&present(&estate)).await, Ok(Check::Absent)));
    assert!(matches!(check(&deaf).await, Ok(Check::Absent)), "nothing was put, whatever is heard");
    put(&estate, "failover/shop", "theirs".into()).await;
    // The health checkers have not noticed yet.
    assert!(matches!(check(&present(&estate)).await, Ok(Check::InProgress)));
    let Ok(Check::Unknown(says)) = check(&deaf).await else { panic!("silence says nothing") };
    assert!(says.contains("127.0.0.1:9 does not answer"), "{says}");
    let mut elsewhere = present(&estate);
    elsewhere["bucket"] = estate.param("bucket_status_1").into();
    let failure = check(&elsewhere).await.expect_err("the bucket is in another region");
    assert!(failure.hint.is_some_and(|hint| hint.contains("region of its buckets")), "{}", failure.message);
    for (field, wrong, says) in
        [("type", json!("SPF"), "cannot be compared"), ("values", json!(["x"]), "is not a value")]
    {
        let mut with = present(&estate);
        with[field] = wrong;
        let Ok(Check::Impossible(failure)) = check(&with).await else { panic!("{field}") };
        assert!(failure.message.contains(says), "{failure:?}");
    }
}

#[tokio::test]
async fn what_somebody_took_back_since_is_a_question() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = drive(&estate, &present(&estate));
    // It was taken, and that was written down; then the power went, and people moved users back.
    assert!(drive.go(Some((Place::Commit, 3, Edge::After))).await.life.is_over());
    assert_eq!(estate.changes(), ["PutObject"]);
    delete(&estate, "failover/shop").await;
    let ended = drive.go(None).await;
    let failure = ended.failure();
    assert!(failure.message.contains("somebody may have changed it since"), "{failure:?}");
    assert!(matches!(drive.again().await.state(), State::Done));
    assert!(at_standby(&estate, "record_flip").await);
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
}

#[tokio::test]
async fn an_object_of_inputs_that_were_changed_is_not_forgotten() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut wrong = present(&estate);
    wrong["key"] = "failover/typo".into();
    let mut drive = drive(&estate, &wrong);
    assert!(drive.go(Some((Place::Commit, 3, Edge::After))).await.life.is_over());
    delete(&estate, "failover/typo").await;
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("somebody may have changed it since"), "{failure:?}");
    // It is there again when a person gives the right key.
    put(&estate, "failover/typo", "ours or theirs".into()).await;
    let ended = drive.again_with(&json!({ "key": "failover/shop" })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let failure = drive.undo(None).await.failure();
    assert!(failure.message.contains("failover/typo` too"), "{failure:?}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("delete it by hand")));
    assert!(at_standby(&estate, "record_flip").await, "nothing is half taken back");
    delete(&estate, "failover/typo").await;
    assert!(matches!(drive.again().await.state(), State::Undone));
    assert!(!at_standby(&estate, "record_flip").await);
}

#[test]
fn mistakes_are_told_when_planning() {
    let with = |values: Value, servers: Value| {
        json!({ "bucket": "b", "key": "k", "state": "present", "name": "a.example.com", "type": "A", "values": values,
            "servers": servers })
    };
    let told = |with: &Value| -> Vec<_> {
        work(PRESENT.kind, with).mistakes().into_iter().map(|mistake| mistake.field).collect()
    };
    assert_eq!(told(&with(json!([STANDBY]), json!(["192.0.2.1"]))), [""; 0]);
    assert_eq!(told(&with(json!([]), json!([]))), ["values", "servers"]);
}
