//! `fence.rds_read_only`.

use crate::{
    drive::{Drive, by_hand},
    lab::{Estate, lab},
    sweep::Trial,
};
use aws_sdk_rds::types::{ApplyMethod, Parameter};
use dr_engine::{
    crash::{Edge, Place},
    plan::StepIx,
    question::Choice,
    run::State,
};
use serde_json::{Value, json};

fn with(_: &Estate) -> Value {
    json!({ "instance": "Ledger" })
}

pub(crate) const TRIAL: Trial = Trial { kind: "fence.rds_read_only", with, before: |estate| plant(estate, "ledger") };

/// Work by hand, from where nobody can wait.
pub(crate) fn by_hand_now<T: Send>(estate: &Estate, work: impl AsyncFnOnce(aws_sdk_rds::Client) -> T + Send) -> T {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    std::thread::scope(|scope| {
        let all = move || runtime().block_on(async { work(by_hand(estate).await.rds).await });
        scope.spawn(all).join().expect("it does not panic")
    })
}

/// A `MySQL` instance with a parameter group of its own: the old writer.
fn plant(estate: &Estate, name: &str) {
    by_hand_now(estate, async |rds| {
        let group = rds.create_db_parameter_group().db_parameter_group_name("ledger").description("the writer's own");
        if name == "ledger" {
            group.db_parameter_group_family("mysql8.0").send().await.expect("a group");
        }
        let writer = rds.create_db_instance().db_instance_identifier(name).db_instance_class("db.r6g.large");
        let writer = writer.engine("mysql").engine_version("8.0.36").allocated_storage(20).master_username("lab");
        let writer = writer.master_user_password("not-a-secret").db_parameter_group_name("ledger");
        writer.send().await.expect("an instance");
        for _ in 0..3 {
            rds.describe_db_instances().send().await.expect("instances");
        }
    });
}

fn set_by_hand(estate: &Estate, value: &str) {
    by_hand_now(estate, async |rds| {
        let parameter = Parameter::builder().parameter_name("read_only").parameter_value(value);
        let parameter = parameter.apply_method(ApplyMethod::Immediate).build();
        let call = rds.modify_db_parameter_group().db_parameter_group_name("ledger").parameters(parameter);
        call.send().await.expect("it is set");
    });
}

fn parameters(estate: &Estate) -> Value {
    estate.state()["rds"]["eu-central-1"]["parameters"].clone()
}

fn planted(lab: &'static crate::lab::Lab) -> Estate {
    let estate = lab.estate();
    plant(&estate, "ledger");
    estate
}

fn fence(estate: &Estate) -> Drive {
    Drive::new(estate, TRIAL.kind, &with(estate))
}

#[tokio::test]
async fn the_writer_is_set_and_restarted_and_put_back_as_it_was() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    set_by_hand(&estate, "0");
    let before = estate.changes();
    let mut drive = fence(&estate);
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(ended.run.step(StepIx(0)).output.values["parameter_group"], "ledger");
    assert_eq!(parameters(&estate), json!({ "ledger": { "read_only": "1" } }));
    assert_eq!(estate.changes().len(), before.len() + 2);
    let early = &estate.state()["rds"]["eu-central-1"]["instances"]["ledger"]["restarted_early"];
    assert!(early.is_null(), "it was restarted while the group was being applied");
    let ended = drive.undo(None).await;
    assert!(matches!(ended.state(), State::Undone), "{:?}", ended.state());
    assert_eq!(parameters(&estate), json!({ "ledger": { "read_only": "0" } }), "what somebody had set comes back");
}

#[tokio::test]
async fn what_was_set_and_not_restarted_is_no_fence() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    set_by_hand(&estate, "1");
    let mut drive = fence(&estate);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("read-only already, not by this run"), "{failure:?}");
    assert!(!estate.changes().contains(&"RebootDBInstance".to_owned()));
    let ended = drive.answer(Choice::Retry).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert!(estate.changes().contains(&"RebootDBInstance".to_owned()));
    // What was so before is so after.
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!(parameters(&estate), json!({ "ledger": { "read_only": "1" } }));
}

#[tokio::test]
async fn a_restart_of_before_proves_nothing_of_what_was_set_anew() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    let mut drive = fence(&estate);
    let restarts = || estate.changes().iter().filter(|name| *name == "RebootDBInstance").count();
    // The power goes when it is written down that it was seen to restart; somebody lets it write again.
    assert!(drive.go(Some((Place::Commit, 5, Edge::After))).await.life.is_over());
    assert_eq!(restarts(), 1);
    set_by_hand(&estate, "0");
    // It is set once more, and the power goes with the answer.
    assert!(drive.go(Some((Place::Call, 1, Edge::After))).await.life.is_over());
    assert_eq!((restarts(), &parameters(&estate)["ledger"]["read_only"]), (1, &json!("1")));
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(restarts(), 2);
}

#[tokio::test]
async fn what_cannot_be_fenced_so_is_told_with_a_way_out_and_left_alone() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    plant(&estate, "other");
    let before = estate.changes();
    for (instance, says) in [
        ("nothing", "there is no database instance `nothing` in eu-central-1"),
        ("ledger", "`ledger` is also the parameter group of other: they would stop too"),
    ] {
        let failure = Drive::new(&estate, TRIAL.kind, &json!({ "instance": instance })).go(None).await.failure();
        assert!(failure.message.contains(says) && failure.hint.is_some(), "{failure:?}");
    }
    let mut primary = Drive::new(&estate, TRIAL.kind, &json!({ "instance": "orders" }));
    primary.step().region = Some("eu-west-1".into());
    let failure = primary.go(None).await.failure();
    assert!(failure.message.contains("any session can turn its `default_transaction_read_only` off"), "{failure:?}");
    assert_eq!(estate.changes(), before);
}

#[tokio::test]
async fn where_the_group_is_gone_the_way_out_is_one_that_is_taken() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    let gone = json!([{
        "operation": "DescribeDBParameters", "every": true, "do": "fail_before",
        "code": "DBParameterGroupNotFound", "status": 404,
    }]);
    estate.faults(&gone);
    let mut drive = fence(&estate);
    drive.step().check_timeout = dr_engine::duration::Dur(500);
    let ended = drive.go(None).await;
    let hint = ended.failure().hint.expect("a way out");
    assert!(hint.contains("`impossible`") && !hint.contains("`done`"), "{hint}");
    estate.faults(&json!([]));
    let mut drive = fence(&estate);
    drive.step().check_timeout = dr_engine::duration::Dur(500);
    assert!(matches!(drive.go(None).await.state(), State::Done));
    estate.faults(&gone);
    let hint = drive.undo(None).await.failure().hint.expect("a way out");
    assert!(hint.contains("`skip`") && !hint.contains("`impossible`"), "{hint}");
}

#[tokio::test]
async fn a_region_that_does_not_answer_is_no_proof() {
    let Some(lab) = lab() else { return };
    let estate = planted(lab);
    let mut drive = fence(&estate);
    assert!(matches!(drive.go(None).await.state(), State::Done));
    estate.region("eu-central-1", "down");
    let mut other = fence(&estate);
    other.step().check_timeout = dr_engine::duration::Dur(500);
    let ended = other.go(None).await;
    assert!(!matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert!(ended.failure().message.contains("in eu-central-1 got no answer"), "{:?}", ended.failure());
}
