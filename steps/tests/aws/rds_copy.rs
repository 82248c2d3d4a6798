//! `rds.copy_snapshot`.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{plan::StepIx, run::State};
use serde_json::{Value, json};

fn with(_: &Estate) -> Value {
    json!({ "source": "Orders", "from": "eu-west-1", "target": "Orders-Copied" })
}

pub(crate) const TRIAL: Trial = Trial { kind: "rds.copy_snapshot", with, before: |_| () };

fn copy(estate: &Estate) -> Value {
    estate.state()["rds"]["eu-central-1"]["snapshots"]["orders-copied"].clone()
}

#[tokio::test]
async fn one_of_another_region_is_copied_and_is_no_store_that_is_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["snapshot"] = "orders-2026-h05".into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["snapshot"], "orders-copied");
    let from = output.values["copied_from"].as_str().expect("an ARN");
    assert!(from.starts_with("arn:aws:rds:eu-west-1:") && from.ends_with(":snapshot:orders-2026-h05"), "{from}");
    let data: jiff::Timestamp = output.values["data_of"].as_str().expect("a time").parse().expect("a time");
    let lost = (ended.run.at.0 - data.as_millisecond()) / 60_000;
    assert!((4..=7).contains(&lost), "the data is five minutes old, not {lost}");
    assert_eq!(output.recovery_point, None);
    let copy = copy(&estate);
    assert_eq!((&copy["status"], &copy["of"]), (&json!("available"), &json!("orders")));
}

#[tokio::test]
async fn within_a_region_one_is_copied_by_its_name() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let with = json!({ "source": "orders", "snapshot": "orders-2026-b70", "target": "orders-copied" });
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let from = &ended.run.step(StepIx(0)).output.values["copied_from"];
    assert!(
        from.as_str().is_some_and(
            |arn| arn.ends_with("eu-central-1:orders-2026-b70") || arn.ends_with(":snapshot:orders-2026-b70")
        ),
        "{from}"
    );
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("snapshot", "nothing", "there is no snapshot `nothing` in eu-west-1"),
        ("snapshot", "users-2026-h05", "`users-2026-h05` is a snapshot of `users`, not of `orders`"),
        ("before", "2001-01-01T00:00:00Z", "no available snapshot of `orders` not later than 2001-01-01"),
        ("target", "orders-2026-a10", "`orders-2026-a10` already exists in eu-central-1 and belongs to somebody else"),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn a_region_that_is_lost_gives_none_and_one_that_is_lost_later_does_not_matter() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region("eu-west-1", "down");
    let failure = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await.failure();
    assert!(failure.message.contains("eu-west-1"), "{failure:?}");
    assert_eq!(estate.writes(), []);
    // The copy has begun, and nobody could look at it; then the region is lost.
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let looks = json!([{ "operation": "DescribeDBSnapshots", "nth": 6, "do": "access_denied" }]);
    estate.faults(&looks);
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    assert_eq!(estate.changes(), ["CopyDBSnapshot"]);
    estate.region("eu-west-1", "down");
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["CopyDBSnapshot"]);
}

#[tokio::test]
async fn what_was_made_before_the_inputs_changed_does_not_pass_for_what_they_ask_now() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{ "operation": "DescribeDBSnapshots", "nth": 6, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let failure = drive.again_with(&json!({ "from": "eu-central-1" })).await.failure();
    assert!(failure.message.contains("before the inputs changed, not from"), "{failure:?}");
    assert_eq!(estate.changes(), ["CopyDBSnapshot"]);
}
