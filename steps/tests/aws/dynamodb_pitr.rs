//! `dynamodb.restore_pitr`.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
    plan::StepIx,
    run::State,
};
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({
        "table": estate.param("table_sessions"),
        "target": "sessions-dr",
        "ttl": estate.param("ttl_sessions"),
        "stream": estate.param("stream_view_type"),
        "pitr": true,
        "tags": { "service": "shop" },
    })
}

/// The newest moment not later than ten minutes ago: one that stays the same. What is newest of all moves on with
/// each second, and a run that has lost its journal rightly does not take an older table for it.
fn settled(estate: &Estate) -> Value {
    let mut with = with(estate);
    with["before"] = SystemClock::new().now().after(Dur::seconds(-600)).to_string().into();
    with
}

pub(crate) const TRIAL: Trial = Trial { kind: "dynamodb.restore_pitr", with: settled, before: |_| () };

#[tokio::test]
async fn a_table_comes_back_as_of_a_concrete_moment_with_what_a_restore_loses() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    let point = output.recovery_point.as_ref().expect("a recovery point");
    assert_eq!(
        (point.source.as_str(), &output.values["restored_to"]),
        ("RestoreDateTime", &point.at.to_string().into())
    );
    let lost = ended.run.opened_at.since(point.at);
    assert!(lost.0 > 240_000 && lost.0 < 420_000, "the newest moment is five minutes old, not {lost}");
    let table = &estate.state()["dynamodb"]["eu-central-1"]["tables"]["sessions-dr"];
    assert_eq!(table["ttl"]["AttributeName"], "expires");
    assert_eq!(table["pitr"], "ENABLED");
    assert_eq!(table["stream"]["StreamViewType"], "NEW_AND_OLD_IMAGES");
    assert_eq!(table["tags"]["service"], "shop");
}

#[tokio::test]
async fn a_second_attempt_asks_for_the_very_same_moment() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{ "operation": "RestoreTableToPointInTime", "nth": 1, "do": "throttle" }]));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // The window's end moves on in whole seconds, and must have moved before the second attempt.
    drive.step().retry.backoff_min = Dur(2_100);
    drive.step().retry.backoff_max = Dur(2_200);
    assert!(matches!(drive.go(None).await.state(), State::Done));
    let calls = estate.calls().into_iter().filter(|call| call["operation"] == "RestoreTableToPointInTime");
    let asked: Vec<_> = calls.map(|call| call["request"]["RestoreDateTime"].clone()).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(!asked[0].is_null(), "a concrete time is wanted");
    assert_eq!(asked[0], asked[1]);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("table", "nothing", "there is no table `nothing` in eu-central-1 to restore from"),
        ("at", "2001-01-01T00:00:00Z", "`sessions` cannot be restored to 2001-01-01T00:00:00Z, only from "),
        ("before", "2001-01-01T00:00:00Z", "`sessions` cannot be restored to a moment not later than 2001-01-01"),
        ("target", "carts", "`carts` already exists in eu-central-1 and belongs to somebody else"),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    assert_eq!(estate.writes(), []);
    // A table that was restored has none until it is switched on again.
    let mut without = with(&estate);
    without["pitr"] = false.into();
    assert!(matches!(Drive::new(&estate, TRIAL.kind, &without).go(None).await.state(), State::Done));
    let mut again = with(&estate);
    again["table"] = "sessions-dr".into();
    again["target"] = "sessions-dr-2".into();
    let failure = Drive::new(&estate, TRIAL.kind, &again).go(None).await.failure();
    assert!(failure.message.contains("`sessions-dr` has no point-in-time recovery"), "{failure:?}");
}

#[tokio::test]
async fn what_was_made_before_the_inputs_changed_does_not_pass_for_what_they_ask_now() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    // The fourth look is after the restore.
    estate.faults(&json!([{ "operation": "DescribeTable", "nth": 5, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let earlier = SystemClock::new().now().after(Dur::seconds(-3_600)).to_string();
    let failure = drive.again_with(&json!({ "before": earlier })).await.failure();
    assert!(failure.message.contains("before the inputs changed, not from"), "{failure:?}");
    assert_eq!(estate.changes().iter().filter(|name| *name == "RestoreTableToPointInTime").count(), 1);
}
