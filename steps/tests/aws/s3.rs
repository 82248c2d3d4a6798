//! `s3.sync_point_in_time`.

use crate::{
    drive::{self, Drive},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{RestoreRequest, StorageClass},
};
use dr_engine::{
    clock::{Clock, SystemClock},
    crash::{Edge, Place},
    duration::Dur,
    plan::StepIx,
    question::Choice,
    run::State,
};
use dr_steps::{aws::Clients, world::World};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

fn with(estate: &Estate) -> Value {
    json!({
        "source": estate.param("bucket_assets_replica"),
        "target": estate.param("bucket_assets_target"),
        "prefix": "docs/",
        "at": estate.param("sync_at"),
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "s3.sync_point_in_time", with, before: |_| () };

/// What each key holds at a moment, by the lab's own account of it.
fn held(state: &Value, bucket: &str, at: &str) -> BTreeMap<String, String> {
    let keys = state["s3"][bucket]["keys"].as_object().expect("keys");
    let held = keys.iter().filter_map(|(key, versions)| {
        let time = |v: &Value| v["at"].as_str().unwrap_or_default().trim_end_matches('Z').to_owned();
        let limit = at.trim_end_matches('Z');
        let last = versions.as_array()?.iter().rfind(|v| time(v).get(..19) <= limit.get(..19))?;
        Some((key.clone(), last["sha256"].as_str()?.to_owned()))
    });
    held.collect()
}

#[tokio::test]
async fn every_key_is_as_it_was_at_the_moment() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with.as_object_mut().expect("fields").remove("prefix");
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let state = estate.state();
    let wanted = held(&state, estate.param("bucket_assets_replica"), estate.param("sync_at"));
    let is = held(&state, estate.param("bucket_assets_target"), "9999-01-01T00:00:00Z");
    assert!(wanted.len() > 40, "{}", wanted.len());
    assert_eq!(is, wanted);
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["objects"], wanted.len());
    assert_eq!(output.recovery_point, None, "how far a replica lags behind is not known");
    assert_eq!(output.values["newest"], with["at"], "but the newest object of it is");
    let object = &state["s3"][estate.param("bucket_assets_target")]["keys"]["index.html"][0];
    assert_eq!((&object["metadata"]["label"], &object["type"]), (&json!("better"), &json!("text/html")));
}

#[tokio::test]
async fn a_bucket_without_versions_is_refused() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["target"] = estate.params["bucket_claim"].clone();
    let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
    assert!(failure.message.contains("keeps no versions"), "{failure:?}");
}

/// Clients for what others do, past every runbook.
async fn by_hand(estate: &Estate) -> Clients {
    let cx = drive::acting(drive::config(&estate.lab.endpoint, &format!("LAB{}", estate.account)));
    World::of(&cx.read).aws.write(&cx).await.expect("clients")
}

async fn put(estate: &Estate, bucket: &str, key: &str, class: StorageClass) {
    let clients = by_hand(estate).await;
    let request = clients.s3.put_object().bucket(bucket).key(key).storage_class(class);
    request.body(ByteStream::from_static(b"by hand")).send().await.expect("the lab takes it");
}

fn keys(estate: &Estate, bucket: &str, prefix: &str) -> Vec<String> {
    let state = estate.state();
    let keys = state["s3"][bucket]["keys"].as_object().expect("keys");
    keys.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
}

#[tokio::test]
async fn a_source_that_is_no_replica_gives_back_the_moment_itself() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let source = estate.param("bucket_invoices_target");
    put(&estate, source, "mine/one.txt", StorageClass::Standard).await;
    let mut with = with(&estate);
    (with["source"], with["prefix"]) = (source.into(), "mine/".into());
    // What the lab calls now lies within its second.
    with["at"] = SystemClock::new().now().after(Dur(1_000)).to_string().into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    let point = ended.run.step(StepIx(0)).output.recovery_point.as_ref().map(|point| point.at.to_string());
    assert_eq!(point.as_deref(), with["at"].as_str(), "{:?}", ended.state());
}

#[tokio::test]
async fn a_sync_that_was_begun_is_gone_on_with_without_a_long_look() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.step().check_timeout = Dur(2_500);
    let killed = drive.go(Some((Place::Call, 3, Edge::After))).await;
    assert!(killed.life.is_over());
    // From here on a listing takes longer than a look may.
    estate.faults(&json!([{ "operation": "ListObjectVersions", "every": true, "do": "slow", "seconds": 3 }]));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let undone = drive.undo(None).await;
    assert!(matches!(undone.state(), State::Undone), "{:?}", undone.state());
}

#[tokio::test]
async fn a_moment_that_is_changed_before_anything_was_copied_counts() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{ "operation": "CopyObject", "every": true, "do": "access_denied" }]));
    drive.go(None).await.failure();
    estate.faults(&json!([]));
    // Before the odd half of the documents was corrupted, and after.
    let later = SystemClock::new().now().after(Dur(-60_000)).to_string();
    let ended = drive.again_with(&json!({ "at": later })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let state = estate.state();
    let mut wanted = held(&state, estate.param("bucket_assets_replica"), &later);
    wanted.retain(|key, _| key.starts_with("docs/"));
    assert_eq!(held(&state, estate.param("bucket_assets_target"), "9999-01-01T00:00:00Z"), wanted);
}

#[tokio::test]
async fn a_moment_that_is_changed_after_something_was_copied_is_refused_with_the_way_out() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.step().retry.attempts = 1;
    // The first copy is made, and nothing after it.
    let rules = json!([{ "operation": "CopyObject", "nth": 2, "times": 1000, "do": "access_denied" }]);
    estate.faults(&rules);
    drive.go(None).await.failure();
    estate.faults(&json!([]));
    let later = SystemClock::new().now().after(Dur(-60_000)).to_string();
    let failure = drive.again_with(&json!({ "at": later })).await.failure();
    assert!(failure.message.contains(&format!("as of {}", estate.param("sync_at"))), "{failure:?}");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("answer `undo`")), "{failure:?}");
    // Another target does not hide what was copied into the first.
    let failure = drive.again_with(&json!({ "target": estate.param("bucket_invoices_target") })).await.failure();
    assert!(failure.message.contains(estate.param("bucket_assets_target")), "{failure:?}");
    let undone = drive.answer(Choice::Undo).await;
    assert!(matches!(undone.state(), State::Undone), "{:?}", undone.state());
    assert_eq!(keys(&estate, estate.param("bucket_assets_target"), ""), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_that_meets_another_one_under_way_is_tried_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let conflict = json!({ "operation": "CopyObject", "nth": 2, "do": "fail_before", "code": "ConditionalRequestConflict", "status": 409 });
    estate.faults(&json!([conflict]));
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn copies_in_flight_end_when_one_fails_and_a_doubt_outweighs_a_refusal() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.step().retry.attempts = 1;
    // All are under way together: the answer of one is lost, others are refused.
    estate.faults(&json!([
        { "operation": "CopyObject", "nth": [1, 2, 3, 4, 6, 7], "do": "access_denied" },
        { "operation": "CopyObject", "nth": 5, "do": "drop_after" },
    ]));
    // Nothing is left to try: only a doubt is looked at once more, and gone on with.
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn of_one_second_what_came_last_counts() {
    let Some(lab) = lab() else { return };
    // Times are told to the second, as AWS does.
    let estate = lab.estate_with(json!({ "s3_seconds": true }));
    let source = estate.param("bucket_assets_replica");
    let clients = by_hand(&estate).await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    clock.sleep(Dur(1_000 - clock.now().0 % 1_000)).await;
    for key in ["same/deleted", "same/undeleted"] {
        put(&estate, source, key, StorageClass::Standard).await;
        clients.s3.delete_object().bucket(source).key(key).send().await.expect("the lab takes it");
    }
    put(&estate, source, "same/undeleted", StorageClass::Standard).await;
    let at = clock.now();
    clock.sleep(Dur(1_000 - at.0 % 1_000)).await;
    // Something newer hides which of them was the newest.
    for key in ["same/deleted", "same/undeleted"] {
        put(&estate, source, key, StorageClass::Standard).await;
    }
    let mut with = with(&estate);
    (with["prefix"], with["at"]) = ("same/".into(), at.to_string().into());
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(keys(&estate, estate.param("bucket_assets_target"), "same/"), ["same/undeleted"]);
}

#[tokio::test]
async fn an_archived_object_is_refused_until_it_is_restored() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let source = estate.param("bucket_assets_replica");
    put(&estate, source, "old/one.txt", StorageClass::Glacier).await;
    let mut with = with(&estate);
    (with["prefix"], with["at"]) = ("old/".into(), SystemClock::new().now().after(Dur(1_000)).to_string().into());
    let mut drive = Drive::new(&estate, TRIAL.kind, &with);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("archived"), "{failure:?}");
    let clients = by_hand(&estate).await;
    let back = RestoreRequest::builder().days(1).build();
    let request = clients.s3.restore_object().bucket(source).key("old/one.txt").restore_request(back);
    request.send().await.expect("the lab takes it");
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}
