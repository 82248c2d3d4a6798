//! `backup.restore_job`.

use crate::{
    drive::{Drive, looking, of},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
    executor::Exit,
    plan::StepIx,
    run::State,
    step::Check,
};
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    json!({
        "vault": estate.param("vault"),
        "resource": estate.param("arn_profiles"),
        "role": format!("arn:aws:iam::{}:role/backup-restore", estate.account),
        "metadata": { "targetTableName": "profiles-dr" },
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "backup.restore_job", with, before: |_| () };

fn jobs(estate: &Estate) -> Vec<Value> {
    estate.state()["backup"]["jobs"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn the_newest_whole_recovery_point_is_restored_with_what_is_to_differ() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["restored_from"], estate.param("backup_point_profiles"));
    let made = format!("arn:aws:dynamodb:eu-central-1:{}:table/profiles-dr", estate.account);
    assert_eq!(output.values["created"], made);
    let point = output.recovery_point.as_ref().expect("data came back");
    let old = ended.run.at.since(point.at);
    assert!(old > Dur(19 * 60_000) && old < Dur(22 * 60_000), "of 20 minutes ago, not {old}");
    let [job] = &jobs(&estate)[..] else { panic!("one job") };
    // What was backed up is passed on, and what is to differ over it.
    assert_eq!(job["metadata"]["originalTableName"], "profiles");
    assert_eq!(job["metadata"]["targetTableName"], "profiles-dr");
}

#[tokio::test]
async fn what_is_too_new_or_is_not_there_is_told_before_anything_is_begun() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let part = estate.param("backup_point_profiles").replace("-20", "-5");
    for (field, value, says) in [
        ("vault", json!("nothing"), "there is no backup vault `nothing` in eu-central-1"),
        ("resource", json!("arn:aws:dynamodb:eu-west-1:1:table/none"), "none at all"),
        ("recovery_point", json!(part), "has no whole recovery point"),
        ("before", json!("2001-01-01T00:00:00Z"), "not later than 2001-01-01T00:00:00Z: the oldest one is of"),
    ] {
        let mut with = with(&estate);
        with[field] = value;
        let failure = Drive::new(&estate, TRIAL.kind, &with).go(None).await.failure();
        assert!(failure.message.contains(says), "{failure:?}");
    }
    assert_eq!(estate.writes(), []);
}

#[tokio::test]
async fn a_moment_before_the_damage_takes_an_older_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    let hour_ago = SystemClock::new().now().after(Dur(-3_600_000));
    with["before"] = hour_ago.to_string().into();
    let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert!(output.values["restored_from"].as_str().is_some_and(|arn| arn.ends_with("-80")), "{output:?}");
}

#[tokio::test]
async fn a_job_that_failed_is_not_taken_for_the_next_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut taken = with(&estate);
    taken["metadata"]["targetTableName"] = "sessions".into();
    let mut drive = Drive::new(&estate, TRIAL.kind, &taken);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("is FAILED: Table already exists: sessions"), "{failure:?}");
    // The same again is a job of its own, and fails as well: the first one's token is not sent again.
    let failure = drive.again().await.failure();
    assert!(failure.message.contains("is FAILED"), "{failure:?}");
    assert_eq!(jobs(&estate).len(), 2);
    let ended = drive.again_with(&json!({ "metadata": { "targetTableName": "profiles-dr" } })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["StartRestoreJob"; 3]);
}

#[tokio::test]
async fn a_job_that_was_begun_with_other_inputs_is_not_taken_for_what_they_ask_now() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{ "operation": "DescribeRestoreJob", "nth": 1, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let other = json!({ "metadata": { "targetTableName": "profiles-other" } });
    let failure = drive.again_with(&other).await.failure();
    assert!(failure.message.contains("was begun before the inputs changed"), "{failure:?}");
    let ended = drive.again_with(&json!({ "metadata": { "targetTableName": "profiles-dr" } })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["StartRestoreJob"]);
}

#[tokio::test]
async fn a_job_whose_answer_was_lost_is_not_begun_again_with_other_inputs_or_without_its_token() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([
        { "operation": "StartRestoreJob", "nth": 1, "do": "drop_after" },
        { "operation": "ListRestoreJobs", "every": true, "do": "access_denied" },
    ]));
    let held = drive.go(None).await;
    assert!(matches!(held.exit, Ok(Exit::Held)), "{:?}", held.state());
    estate.faults(&json!([]));
    let failure = drive.again_with(&json!({ "metadata": { "targetTableName": "profiles-other" } })).await.failure();
    assert!(failure.message.contains("may have been begun by this step before the inputs changed"), "{failure:?}");
    // An hour later AWS Backup may not know the token any more.
    let mut cx = looking(of(&estate));
    cx.facts = held.run.step(StepIx(0)).facts.clone();
    let chosen = cx.facts.iter_mut().find(|fact| fact.name == "recovery_point").expect("it was written down");
    chosen.value["at"] = json!(SystemClock::new().now().after(Dur(-3_600_000)));
    let step = dr_steps::registry().make(TRIAL.kind, with(&estate)).expect("its inputs are good");
    let Ok(Check::Unknown(why)) = step.check(&cx).await else { panic!("a person has to say") };
    assert!(why.contains("may not know any more whether by this step"), "{why}");
    let ended = drive.again_with(&json!({ "metadata": { "targetTableName": "profiles-dr" } })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["StartRestoreJob"]);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_again_under_the_same_token() {
    let Some(lab) = lab() else { return };
    TRIAL.lost(lab, "DescribeRestoreJob", 1).await;
}
