//! `route53.upsert`.

use crate::{
    drive::{Drive, Ended},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    crash::{Edge, Place},
    plan::StepIx,
    run::State,
};
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({
        "zone": estate.param("zone_id"),
        "records": [
            { "name": estate.param("record"), "type": "CNAME", "ttl": 60, "values": [estate.param("recovery_target")] },
            { "name": format!("*.dev.{}", estate.param("zone_name")), "type": "A", "ttl": 60, "values": ["198.51.100.9"] },
            { "name": format!("new.{}", estate.param("zone_name")), "type": "TXT", "ttl": 60, "values": ["\"hello\""] },
        ],
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "route53.upsert", with, before: |_| () };

/// What was there is changed, and nothing is new: the lab serves a change when
/// it is asked about that very change, and a deletion has none that could
/// stand in for it.
pub(crate) const CHANGES: Trial = Trial {
    with: |estate| {
        let mut with = with(estate);
        with["records"].as_array_mut().expect("a list").pop();
        with
    },
    ..TRIAL
};

async fn ended(estate: &Estate, with: &Value) -> (Drive, Ended) {
    let mut drive = Drive::new(estate, TRIAL.kind, with);
    let ended = drive.go(None).await;
    (drive, ended)
}

fn one(estate: &Estate, record: &Value) -> Value {
    json!({ "zone": estate.param("zone_name"), "records": [record] })
}

fn records(estate: &Estate, name: &str) -> Vec<Value> {
    let state = estate.state();
    let zones = state["route53"]["zones"].as_object().or(state["route53"].as_object()).expect("zones").clone();
    let zone = zones.values().find(|zone| zone["records"].is_array()).expect("a zone").clone();
    let all = zone["records"].as_array().expect("records").clone();
    all.into_iter().filter(|r| r["Name"].as_str().is_some_and(|n| n.starts_with(name))).collect()
}

#[tokio::test]
async fn a_cname_becomes_an_alias_in_one_batch_and_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let before = estate.dump();
    let alias = json!({ "zone": "Z2FDTNDATAQYW2", "target": "D111.cloudfront.net" });
    let with = one(&estate, &json!({ "name": estate.param("record"), "type": "A", "alias": alias }));
    let (mut drive, done) = ended(&estate, &with).await;
    assert!(matches!(done.state(), State::Done), "{:?}", done.state());
    assert_eq!(done.run.step(StepIx(0)).output.values["old_ttl_max"], 60);
    let now = records(&estate, "app.");
    assert_eq!(now.len(), 1, "{now:?}");
    assert_eq!(now[0]["AliasTarget"]["DNSName"], "d111.cloudfront.net.");
    assert_eq!(estate.changes(), ["ChangeResourceRecordSets"]);
    let undone = drive.undo(None).await;
    assert!(matches!(undone.state(), State::Undone), "{:?}", undone.state());
    crate::sweep::assert_same(&estate.dump(), &before, "undone");
}

#[tokio::test]
async fn a_member_of_a_set_keeps_its_policy() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let name = format!("pay.{}", estate.param("zone_name"));
    let record = json!({ "name": name, "type": "A", "ttl": 30, "values": ["203.0.113.7"], "set": "eu-central-1" });
    let (_, done) = ended(&estate, &one(&estate, &record)).await;
    assert!(matches!(done.state(), State::Done), "{:?}", done.state());
    let now = records(&estate, "pay.");
    assert_eq!(now.len(), 2);
    let it = now.iter().find(|r| r["SetIdentifier"] == "eu-central-1").expect("it");
    assert_eq!((&it["Weight"], &it["TTL"]), (&json!(0), &json!(30)));
    for (set, says) in [(json!("nowhere"), "has no member `nowhere`"), (Value::Null, "is a routing set")] {
        let mut record = record.clone();
        record["set"] = set;
        let (_, failed) = ended(&estate, &one(&estate, &record)).await;
        assert!(failed.failure().message.contains(says), "{:?}", failed.failure());
    }
}

#[tokio::test]
async fn what_is_so_already_is_not_changed() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let name = estate.param("record").to_uppercase();
    let record = json!({ "name": name, "type": "cname", "ttl": 60, "values": [estate.param("primary_target")] });
    let (_, done) = ended(&estate, &one(&estate, &record)).await;
    assert!(matches!(done.state(), State::Done));
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn a_change_by_somebody_else_is_never_overwritten() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let record = |value: &str| json!({ "name": estate.param("record"), "type": "CNAME", "ttl": 60, "values": [value] });
    let mut ours = Drive::new(&estate, TRIAL.kind, &one(&estate, &record("ours.example.com")));
    // It has written down what it will overwrite, and dies before the call.
    ours.go(Some((Place::Call, 1, Edge::Before))).await;
    let mut theirs = Drive::new(&estate, TRIAL.kind, &one(&estate, &record("theirs.example.com")));
    theirs.id = "20261122-070000-evacuate-0000".into();
    assert!(matches!(theirs.go(None).await.state(), State::Done));
    let failure = ours.go(None).await.failure();
    assert!(failure.message.contains("theirs.example.com"), "{failure:?}");
    assert_eq!(records(&estate, "app.")[0]["ResourceRecords"][0]["Value"], "theirs.example.com");
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_refused_here() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let values: Vec<_> = (0..200).map(|n| format!("\"{n:0>200}\"")).collect();
    let name = format!("large.{}", estate.param("zone_name"));
    let (_, failed) =
        ended(&estate, &one(&estate, &json!({ "name": name, "type": "TXT", "ttl": 60, "values": values }))).await;
    assert!(failed.failure().message.contains("Route 53 takes 32000"), "{:?}", failed.failure());
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn a_change_whose_answer_and_the_look_after_it_are_lost_stays_in_doubt() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let record = json!({ "name": estate.param("record"), "type": "CNAME", "ttl": 60, "values": ["ours.example.com"] });
    let mut drive = Drive::new(&estate, TRIAL.kind, &one(&estate, &record));
    // The check looks, the plan looks, the change is sent: that answer is lost, and the look that follows.
    let lost = json!([
        { "operation": "ChangeResourceRecordSets", "nth": 1, "do": "drop_after" },
        { "operation": "ListResourceRecordSets", "nth": 3, "do": "drop_before" },
    ]);
    estate.faults(&lost);
    // Nothing is left to try: only a doubt is looked at once more.
    drive.step().retry.attempts = 1;
    let done = drive.go(None).await;
    assert!(matches!(done.state(), State::Done), "{:?}", done.state());
    assert_eq!(estate.changes(), ["ChangeResourceRecordSets"]);
    estate.faults(&lost);
    let stuck = drive.undo(None).await.failure();
    assert!(stuck.message.starts_with("route53 ChangeResourceRecordSets"), "what is in doubt is named: {stuck:?}");
    estate.faults(&json!([]));
    assert!(matches!(drive.again().await.state(), State::Undone));
}
