//! `s3.sync_point_in_time`.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{plan::StepIx, run::State};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn with(estate: &Estate) -> Value {
    json!({
        "source": estate.param("bucket_assets_replica"),
        "target": estate.param("bucket_assets_target"),
        "prefix": "docs/",
        "at": estate.param("sync_at"),
    })
}

const TRIAL: Trial = Trial { kind: "s3.sync_point_in_time", with, before: |_| () };

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
    assert_eq!(output.recovery_point.as_ref().map(|p| p.at.to_string()), with["at"].as_str().map(Into::into));
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

#[tokio::test]
async fn a_sync_survives_whatever_happens_at_whichever_call() {
    let Some(lab) = lab() else { return };
    TRIAL.sweep(lab).await;
}

#[tokio::test]
async fn so_does_taking_it_back() {
    let Some(lab) = lab() else { return };
    TRIAL.sweep_undo(lab).await;
}
