//! `fence.security_group`.

use crate::{
    drive::Drive,
    fence_rds::by_hand_now,
    lab::{Estate, Lab, aws_cli, lab},
    sweep::Trial,
};
use dr_engine::{
    crash::{Edge, Place},
    question::Choice,
    run::State,
};
use serde_json::{Value, json};
use std::process::Command;

fn with(estate: &Estate) -> Value {
    json!({ "instance": "Books", "group": estate.param("isolated_group_id") })
}

pub(crate) const TRIAL: Trial = Trial { kind: "fence.security_group", with, before: plant };

/// A `PostgreSQL` instance that services reach: the old writer.
fn plant(estate: &Estate) {
    make(estate, "books", estate.param("security_group_id"));
}

fn make(estate: &Estate, name: &str, group: &str) {
    by_hand_now(estate, async |rds| {
        let writer = rds.create_db_instance().db_instance_identifier(name).db_instance_class("db.r6g.large");
        let writer = writer.engine("postgres").engine_version("15.4").allocated_storage(20).master_username("lab");
        let writer = writer.vpc_security_group_ids(group);
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
async fn it_is_restarted_once_the_rules_hold_however_late_they_are_shown() {
    let Some(lab) = lab() else { return };
    for late in [0, 3] {
        let estate = lab.estate_with(json!({ "db_groups_late": late }));
        plant(&estate);
        let ended = fence(&estate).go(None).await;
        assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
        let books = estate.state()["rds"]["eu-central-1"]["instances"]["books"].clone();
        assert_eq!(books["security_groups"], json!([estate.param("isolated_group_id")]));
        assert_eq!(books["restarted_early"], Value::Null, "what connected again did so under the old rules");
    }
}

#[tokio::test]
async fn what_was_seen_of_one_instance_proves_nothing_of_another() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    let (group, open) = (estate.param("isolated_group_id"), estate.param("security_group_id"));
    let former = groups(&estate);
    let restarts = || estate.changes().iter().filter(|name| *name == "RebootDBInstance").count();
    let mut drive = fence(&estate);
    // It was seen to restart; then somebody lets traffic in, and the fence is a question.
    assert!(drive.go(Some((Place::Commit, 5, Edge::After))).await.life.is_over());
    assert_eq!((restarts(), groups(&estate)), (1, json!([group])));
    let rule = ["--protocol", "tcp", "--port", "5432", "--cidr", "10.0.0.0/8"];
    ec2(&estate, &[&["authorize-security-group-ingress", "--group-id", group][..], &rule].concat());
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("has rules"), "{failure:?}");
    ec2(&estate, &[&["revoke-security-group-ingress", "--group-id", group][..], &rule].concat());
    // Somebody gives its name to another one, cut off by hand and not restarted.
    make(&estate, "books-new", group);
    for (name, new) in [("books", "books-old"), ("books-new", "books")] {
        by_hand_now(&estate, async |rds| {
            let call = rds.modify_db_instance().db_instance_identifier(name).new_db_instance_identifier(new);
            call.apply_immediately(true).send().await.expect("it is renamed");
            while rds.describe_db_instances().db_instance_identifier(name).send().await.is_ok() {}
        });
    }
    let failure = drive.again().await.failure();
    assert!(failure.message.contains("`books` is cut off already, not by this run"), "{failure:?}");
    let ended = drive.answer(Choice::Retry).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(restarts(), 2, "the other one is restarted for itself");
    // Taken back is the one that has the name, to what it had itself; the first is not forgotten.
    let failure = drive.undo(None).await.failure();
    assert!(
        failure.message.contains("this run fenced `books-old` too, which is not what the step names"),
        "{failure:?}"
    );
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains(open)), "{failure:?}");
    let old = || estate.state()["rds"]["eu-central-1"]["instances"]["books-old"]["security_groups"].clone();
    assert_eq!((old(), groups(&estate)), (json!([group]), json!([group])));
    by_hand_now(&estate, async |rds| {
        let call = rds.modify_db_instance().db_instance_identifier("books-old").vpc_security_group_ids(open);
        call.send().await.expect("it is changed");
    });
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Undone), "{:?}", ended.state());
    assert_eq!((old(), groups(&estate)), (former, json!([group])));
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
