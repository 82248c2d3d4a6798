//! `backup.copy_job`.

use crate::{
    drive::{Drive, looking, of},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
    outcome::{Fact, Output},
    plan::StepIx,
    run::State,
    step::{Check, Step},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn with(estate: &Estate) -> Value {
    json!({
        "vault": estate.param("vault"),
        "resource": estate.param("arn_profiles"),
        "to": estate.param("vault_second_arn"),
        "role": format!("arn:aws:iam::{}:role/backup-copy", estate.account),
        "delete_after_days": 35,
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "backup.copy_job", with, before: |_| () };

fn copies(estate: &Estate) -> Vec<Value> {
    estate.state()["backup"]["copies"].as_array().expect("a list").clone()
}

fn step(with: &Value) -> Arc<dyn Step> {
    dr_steps::registry().make(TRIAL.kind, with.clone()).expect("its inputs are good")
}

async fn done(estate: &Estate, with: &Value) -> Output {
    let ended = Drive::new(estate, TRIAL.kind, with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    ended.run.step(StepIx(0)).output.clone()
}

#[tokio::test]
async fn the_newest_whole_recovery_point_comes_into_the_other_vault_and_can_be_restored_there() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let output = done(&estate, &with(&estate)).await;
    assert_eq!(output.values["copied_from"], estate.param("backup_point_profiles"));
    assert_eq!(output.recovery_point, None, "a copy is no store that is back");
    let data_of: jiff::Timestamp = output.values["data_of"].as_str().expect("a time").parse().expect("a time");
    let old = SystemClock::new().now().0 - data_of.as_millisecond();
    assert!(old > 19 * 60_000 && old < 22 * 60_000, "of 20 minutes ago, not {old} ms");
    let [job] = &copies(&estate)[..] else { panic!("one job") };
    assert_eq!((&job["status"], &job["lifecycle"]), (&json!("COMPLETED"), &json!({ "DeleteAfterDays": 35 })));
    let copy = output.values["recovery_point_arn"].as_str().expect("an ARN");
    assert_eq!(estate.state()["backup"]["vaults"]["eu-north-1 second-vault"], json!({ copy: "COMPLETED" }));
    // The copy is as old as what it was made from.
    let mut restore = Drive::new(
        &estate,
        "backup.restore_job",
        &json!({
            "vault": estate.param("vault_second"), "resource": estate.param("arn_profiles"), "recovery_point": copy,
            "role": "arn:aws:iam::1:role/restore", "metadata": { "targetTableName": "profiles-dr" },
        }),
    );
    restore.step().region = Some("eu-north-1".into());
    let ended = restore.go(None).await;
    let point = ended.run.step(StepIx(0)).output.recovery_point.clone().expect("data came back");
    assert_eq!(point.at.to_string(), output.values["data_of"]);
}

#[tokio::test]
async fn what_is_not_there_is_told_before_anything_is_begun() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("vault", json!("nothing"), "there is no backup vault `nothing` in eu-central-1"),
        ("resource", json!("arn:aws:dynamodb:eu-west-1:1:table/none"), "none at all"),
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
async fn a_job_that_failed_is_not_taken_for_the_next_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut missing = with(&estate);
    let (right, wrong) = (estate.param("vault_second_arn"), format!("{}-not", estate.param("vault_second_arn")));
    missing["to"] = wrong.clone().into();
    let mut drive = Drive::new(&estate, TRIAL.kind, &missing);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.ends_with(&format!("is FAILED: Backup vault {wrong} does not exist")), "{failure:?}");
    // The same again is a job of its own, and fails as well: the first one's token is not sent again.
    assert!(drive.again().await.failure().message.contains("is FAILED"));
    assert_eq!(copies(&estate).len(), 2);
    let ended = drive.again_with(&json!({ "to": right })).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["StartCopyJob"; 3]);
}

#[tokio::test]
async fn a_look_tells_what_was_begun_from_what_was_not() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    estate.faults(&json!([{ "operation": "DescribeCopyJob", "nth": 1, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let facts = |name: &str| {
        let written = drive.events.iter().filter_map(|event| match &event.kind {
            dr_engine::event::Kind::Recorded { fact, .. } if fact.name == name => Some(fact.clone()),
            _ => None,
        });
        written.collect::<Vec<Fact>>()
    };
    let (chosen, job) = (facts("recovery_point"), facts("copy_job"));
    assert_eq!((chosen.len(), job.len()), (1, 1));
    let right = step(&with(&estate));
    let mut cx = looking(of(&estate));
    assert_eq!(right.check(&cx).await, Ok(Check::Absent), "of a run that wrote nothing down it knows nothing");
    // The answer was lost: there is a job of it since, whose id nobody knows.
    cx.facts = chosen.clone();
    assert_eq!(right.check(&cx).await, Ok(Check::InProgress));
    cx.facts = [chosen, job].concat();
    assert_eq!(right.check(&cx).await, Ok(Check::InProgress));
    // It is not the job of what is asked for now.
    let mut changed = with(&estate);
    changed["delete_after_days"] = 36.into();
    let Ok(Check::Impossible(failure)) = step(&changed).check(&cx).await else { panic!("it was begun for 35 days") };
    assert!(failure.message.ends_with("was begun before the inputs changed"), "{failure:?}");
    let done = loop {
        match right.check(&cx).await {
            Ok(Check::InProgress) => {}
            other => break other,
        }
    };
    assert!(matches!(done, Ok(Check::Done(_))), "{done:?}");
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["StartCopyJob"]);
}

#[tokio::test]
async fn a_moment_before_the_damage_takes_an_older_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut with = with(&estate);
    with["before"] = SystemClock::new().now().after(Dur(-3_600_000)).to_string().into();
    let output = done(&estate, &with).await;
    assert!(output.values["copied_from"].as_str().is_some_and(|arn| arn.ends_with("-80")), "{output:?}");
}

#[test]
fn what_does_not_go_together_is_a_mistake() {
    let mistakes = |field: &str, value: Value| {
        let mut with = json!({
            "vault": "v", "resource": "arn:aws:dynamodb:eu-central-1:111122223333:table/r",
            "role": "arn:aws:iam::111122223333:role/r",
            "to": "arn:aws:backup:eu-north-1:111122223333:backup-vault:v", "cold_after_days": 10,
        });
        with[field] = value;
        step(&with).mistakes().into_iter().map(|mistake| (mistake.message, mistake.help)).collect::<Vec<_>>()
    };
    assert_eq!(mistakes("delete_after_days", 100.into()), []);
    assert_eq!(mistakes("delete_after_days", (-1).into()), [], "-1 is for ever");
    let cold = ("cold storage holds at least 90 days", "name at least 100, or take `cold_after_days` away");
    assert_eq!(mistakes("delete_after_days", 99.into()), [(cold.0.into(), cold.1.into())]);
    let is = ("`dr` is not the ARN of a vault", "it looks like arn:aws:backup:REGION:ACCOUNT:backup-vault:NAME");
    assert_eq!(mistakes("to", "dr".into()), [(is.0.into(), is.1.into())]);
}
