//! `fence.security_group`.

use crate::{
    drive::Drive,
    fence_rds::by_hand_now,
    lab::{Estate, Lab, aws_cli, lab},
    sweep::Trial,
};
use dr_engine::{question::Choice, run::State};
use serde_json::{Value, json};
use std::process::Command;

fn with(estate: &Estate) -> Value {
    json!({ "instance": "Books", "group": estate.param("isolated_group_id") })
}

pub(crate) const TRIAL: Trial = Trial { kind: "fence.security_group", with, before: plant };

/// A `PostgreSQL` instance that services reach: the old writer.
fn plant(estate: &Estate) {
    by_hand_now(estate, async |rds| {
        let writer = rds.create_db_instance().db_instance_identifier("books").db_instance_class("db.r6g.large");
        let writer = writer.engine("postgres").engine_version("15.4").allocated_storage(20).master_username("lab");
        let writer = writer.vpc_security_group_ids(estate.param("security_group_id"));
        writer.master_user_password("not-a-secret").send().await.expect("an instance");
        for _ in 0..3 {
            rds.describe_db_instances().send().await.expect("instances");
        }
    });
}

fn planted(lab: &'static Lab) -> Estate {
    let estate = lab.estate();
    plant(&estate);
    estate
}

fn fence(estate: &Estate) -> Drive {
    Drive::new(estate, TRIAL.kind, &with(estate))
}

fn groups(estate: &Estate) -> Value {
    estate.state()["rds"]["eu-central-1"]["instances"]["books"]["security_groups"].clone()
}

/// Somebody who works with EC2 by hand.
fn ec2(estate: &Estate, words: &[&str]) {
    let mut aws = Command::new(aws_cli());
    aws.env("AWS_ACCESS_KEY_ID", format!("LAB{}", estate.account)).env("AWS_SECRET_ACCESS_KEY", "any");
    aws.args(["--region", "eu-central-1", "--endpoint-url", &estate.lab.endpoint, "ec2"]).args(words);
    let said = aws.output().expect("aws runs");
    assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
}

#[tokio::test]
async fn the_writer_is_cut_off_restarted_and_let_back_as_it_was() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    let former = groups(&estate);
    let before = estate.changes().len();
    let mut drive = fence(&estate);
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(groups(&estate), json!([estate.param("isolated_group_id")]));
    let made = estate.changes();
    assert_eq!(made.len(), before + 2, "{made:?}");
    assert!(made.contains(&"RebootDBInstance".to_owned()), "what was connected is not any more: {made:?}");
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!(groups(&estate), former);
}

#[tokio::test]
async fn a_group_that_lets_somebody_in_is_no_fence() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    let group = estate.param("isolated_group_id");
    let rule = ["--protocol", "tcp", "--port", "5432", "--cidr", "10.0.0.0/8"];
    ec2(&estate, &[&["authorize-security-group-ingress", "--group-id", group][..], &rule].concat());
    let before = estate.changes();
    let mut drive = fence(&estate);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("has rules: 1 for traffic in, 0 for traffic out"), "{failure:?}");
    assert_eq!(estate.changes(), before);
    ec2(&estate, &[&["revoke-security-group-ingress", "--group-id", group][..], &rule].concat());
    assert!(matches!(drive.again().await.state(), State::Done));
    // Somebody opens it again: who looks anew is not told that it stands.
    ec2(&estate, &[&["authorize-security-group-egress", "--group-id", group][..], &rule].concat());
    let failure = fence(&estate).go(None).await.failure();
    assert!(failure.message.contains("is cut off already, not by this run"), "{failure:?}");
}

#[tokio::test]
async fn one_that_was_cut_off_and_not_restarted_is_no_fence() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    by_hand_now(&estate, async |rds| {
        let group = estate.param("isolated_group_id");
        let call = rds.modify_db_instance().db_instance_identifier("books").vpc_security_group_ids(group);
        call.send().await.expect("it is changed");
    });
    let mut drive = fence(&estate);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("is cut off already, not by this run"), "{failure:?}");
    assert!(!estate.changes().contains(&"RebootDBInstance".to_owned()));
    let ended = drive.answer(Choice::Retry).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn what_cannot_be_fenced_so_is_told_and_left_alone() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    let before = estate.changes();
    let mut gone = with(&estate);
    gone["instance"] = "nothing".into();
    let failure = Drive::new(&estate, TRIAL.kind, &gone).go(None).await.failure();
    assert!(failure.message.contains("there is no database instance `nothing`"), "{failure:?}");
    let mut nowhere = with(&estate);
    nowhere["group"] = "sg-0123456789abcdef0".into();
    let failure = Drive::new(&estate, TRIAL.kind, &nowhere).go(None).await.failure();
    assert!(failure.message.contains("InvalidGroup.NotFound"), "{failure:?}");
    assert_eq!(estate.changes(), before);
}
