//! `verify.canary`.

use crate::{
    drive::{Drive, by_hand},
    lab::{Estate, lab},
};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    duration::Dur,
    outcome::Output,
    plan::StepIx,
    run::State,
};
use serde_json::{Value, json};

const KIND: &str = "verify.canary";
const HOME: &str = "eu-west-1";

fn in_table() -> Value {
    json!({ "table": "catalog", "key": { "id": "canary" }, "field": "at", "age_max": "5m" })
}

fn in_bucket(estate: &Estate) -> Value {
    json!({ "bucket": estate.param("bucket_media_replica"), "object": "canary.txt", "age_max": "5m" })
}

fn ago(minutes: i64) -> Time {
    SystemClock::new().now().after(Dur(-minutes * 60_000))
}

/// Writes into the table of the primary region, as its heartbeat does.
async fn beat(estate: &Estate, at: AttributeValue) {
    let hand = by_hand(estate).await;
    let there = hand.dynamodb.config().to_builder().region(aws_sdk_dynamodb::config::Region::new(HOME)).build();
    let home = aws_sdk_dynamodb::Client::from_conf(there);
    let item = home.put_item().table_name("catalog").item("id", AttributeValue::S("canary".into())).item("at", at);
    item.send().await.expect("written");
}

/// The same into the bucket; what is there is on its way to the replica.
async fn beat_in_bucket(estate: &Estate, text: &str) {
    let hand = by_hand(estate).await;
    let there = hand.s3.config().to_builder().region(aws_sdk_s3::config::Region::new(HOME)).build();
    let home = aws_sdk_s3::Client::from_conf(there);
    let bucket = estate.param("bucket_media");
    let body = text.as_bytes().to_vec().into();
    home.put_object().bucket(bucket).key("canary.txt").body(body).send().await.expect("written");
    for _ in 0..3 {
        home.head_object().bucket(bucket).key("canary.txt").send().await.expect("there");
    }
}

async fn done(estate: &Estate, with: &Value) -> Output {
    let ended = Drive::new(estate, KIND, with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    ended.run.step(StepIx(0)).output.clone()
}

#[tokio::test]
async fn what_was_written_before_is_found_after_and_its_time_is_the_recovery_point() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let at = ago(3);
    for value in [
        AttributeValue::N(at.0.to_string()),
        AttributeValue::N((at.0 / 1_000).to_string()),
        AttributeValue::S(at.to_string()),
    ] {
        beat(&estate, value).await;
        estate.region(HOME, "down");
        let output = done(&estate, &in_table()).await;
        estate.region(HOME, "up");
        let point = output.recovery_point.expect("measured");
        assert_eq!((point.at.0 / 1_000, point.source.as_str()), (at.0 / 1_000, "canary `at` of catalog"));
        assert_eq!(output.values["written_at"], at.to_string());
        let before = output.values["before_incident_ms"].as_i64().expect("a number");
        assert!((170_000..190_000).contains(&before), "three minutes, not {before}");
    }
    beat_in_bucket(&estate, &format!("{at}\n")).await;
    let point = done(&estate, &in_bucket(&estate)).await.recovery_point.expect("measured");
    assert_eq!(point.at.0 / 1_000, at.0 / 1_000);
    assert!(point.source.starts_with("canary `canary.txt` of "), "{}", point.source);
    // A writer that still writes has lost nothing.
    beat(&estate, AttributeValue::S(SystemClock::new().now().to_string())).await;
    let mut strict = in_table();
    strict["age_max"] = "0s".into();
    assert_eq!(done(&estate, &strict).await.values["before_incident_ms"].as_i64().map(|ms| ms < 1_001), Some(true));
}

/// A table of readings, whose key is a text and a number.
async fn plant_readings(estate: &Estate, at: Time) {
    let dynamodb = by_hand(estate).await.dynamodb;
    let mut table = dynamodb.create_table().table_name("readings").billing_mode(BillingMode::PayPerRequest);
    let parts = [("site", KeyType::Hash, ScalarAttributeType::S), ("shard", KeyType::Range, ScalarAttributeType::N)];
    for (name, role, of) in parts {
        let element = KeySchemaElement::builder().attribute_name(name).key_type(role).build().expect("whole");
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(of).build().expect("whole");
        table = table.key_schema(element).attribute_definitions(attribute);
    }
    table.send().await.expect("a table");
    let looks = async || dynamodb.describe_table().table_name("readings").send().await.expect("a table").table;
    while looks().await.and_then(|table| table.table_status) != Some(TableStatus::Active) {}
    let item = dynamodb.put_item().table_name("readings").item("site", AttributeValue::S("7".into()));
    let item = item.item("shard", AttributeValue::N("0".into())).item("at", AttributeValue::S(at.to_string()));
    item.send().await.expect("written");
}

#[tokio::test]
async fn a_key_is_of_texts_and_numbers() {
    let Some(lab) = lab() else { return };
    let (estate, at) = (lab.estate(), ago(1));
    plant_readings(&estate, at).await;
    let key = json!({ "site": "7", "shard": 0 });
    let output = done(&estate, &json!({ "table": "readings", "key": key, "field": "at", "age_max": "5m" })).await;
    assert_eq!(output.values["written_at"], at.to_string());
}

#[tokio::test]
async fn one_that_is_too_old_or_missing_is_waited_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (old, says) in [(None, "`catalog` has no item of this key"), (Some(ago(30)), "older than the incident, of 20")]
    {
        if let Some(old) = old {
            beat(&estate, AttributeValue::S(old.to_string())).await;
        }
        let mut drive = Drive::new(&estate, KIND, &in_table());
        drive.step().timeout = Dur(300);
        drive.step().retry.attempts = 1;
        let ended = drive.go(None).await;
        assert!(!matches!(ended.state(), State::Done), "{:?}", ended.state());
        let said = drive.said.lock().expect("whole").join("\n");
        assert!(said.contains(says), "{said}");
    }
    // It comes while it is waited for.
    let mut drive = Drive::new(&estate, KIND, &in_table());
    let (ended, ()) = tokio::join!(Box::pin(drive.go(None)), async {
        beat(&estate, AttributeValue::S(ago(1).to_string())).await;
    });
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.writes().iter().filter(|(name, _)| name != "PutItem").count(), 0);
}

#[tokio::test]
async fn what_is_no_time_fails_and_is_not_taken_for_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (value, says) in [
        (AttributeValue::S("ok".into()), "what is written there is no time: `ok`"),
        (AttributeValue::S(ago(-60).to_string()), "in the future"),
    ] {
        beat(&estate, value).await;
        let failure = Drive::new(&estate, KIND, &in_table()).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    let mut nowhere = in_table();
    nowhere["table"] = "nothing".into();
    let failure = Drive::new(&estate, KIND, &nowhere).go(None).await.failure();
    assert!(failure.message.contains("dynamodb GetItem in eu-central-1: ResourceNotFoundException"), "{failure:?}");
    beat_in_bucket(&estate, &"x".repeat(2_000)).await;
    let mut drive = Drive::new(&estate, KIND, &in_bucket(&estate));
    drive.step().timeout = Dur(200);
    drive.step().retry.attempts = 1;
    assert!(!matches!(drive.go(None).await.state(), State::Done));
    assert!(drive.said.lock().expect("whole").join("\n").contains("is 2000 bytes long, which is no time"));
}
