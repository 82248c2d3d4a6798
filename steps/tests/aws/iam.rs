//! `iam.check`.

use crate::{
    drive::{Drive, looking, of},
    lab::{Estate, Lab, lab},
};
use dr_engine::{
    duration::Dur,
    executor::Exit,
    plan::StepIx,
    question::About,
    run::State,
    step::{Check, Step},
};
use serde_json::{Value, json};
use std::sync::Arc;

const CHECK: &str = "iam.check";
const ROLE: &str = "orders-eu-central-1";

fn with(estate: &Estate) -> Value {
    json!({
        "roles": [{
            "role": ROLE,
            "like": "orders-eu-west-1",
            "may": [{
                "actions": ["s3:GetObject", "s3:PutObject"],
                "on": [format!("arn:aws:s3:::{}-orders-eu-central-1/a", estate.account)],
            }],
        }],
        "rename": [{ "from": "eu-west-1", "to": "eu-central-1" }],
    })
}

fn estate(lab: &'static Lab) -> Estate {
    lab.estate_with(json!({ "iam": true }))
}

/// Each call is a process of its own, and a machine that builds is slow.
fn drive(estate: &Estate, with: &Value) -> Drive {
    let mut drive = Drive::new(estate, CHECK, with);
    drive.step().check_timeout = Dur(120_000);
    drive.step().timeout = Dur(120_000);
    drive
}

fn step(with: &Value) -> Arc<dyn Step> {
    dr_steps::registry().make(CHECK, with.clone()).expect("its inputs are good")
}

async fn check(estate: &Estate, with: &Value) -> Check {
    step(with).check(&looking(of(estate))).await.expect("IAM answers")
}

async fn wrong(estate: &Estate, with: &Value) -> String {
    match check(estate, with).await {
        Check::Impossible(failure) => failure.message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn roles_that_are_alike_and_may_do_what_they_have_to_are_good() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let ended = drive(&estate, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let told = &ended.run.step(StepIx(0)).output.values["roles"][ROLE];
    let arn = format!("arn:aws:iam::{}:role/{ROLE}", estate.account);
    assert_eq!(*told, json!({ "arn": arn, "like": "orders-eu-west-1", "policies": 3 }));
}

#[tokio::test]
async fn whatever_is_not_alike_or_not_allowed_is_told() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "iam": "drifted" }));
    let held = drive(&estate, &with(&estate)).go(None).await;
    assert!(matches!(held.exit, Ok(Exit::Held)), "{:?}", held.state());
    let (says, account) = (held.failure().message, &estate.account);
    for part in [
        r#"`orders-eu-central-1` is not like `orders-eu-west-1`: its trust policy has {"Action":["sts:assumerole"],"#,
        &format!("its permissions boundary is none, not `arn:aws:iam::{account}:policy/orders-boundary`"),
        "it has the policy `more` more",
        r#"its policy `objects-eu-central-1` has {"Action":["s3:getobject"],"#,
        &format!("it lacks the policy `arn:aws:iam::{account}:policy/queues-eu-central-1`"),
        &format!(
            "may not do what it has to: `s3:PutObject` on `arn:aws:s3:::{account}-orders-eu-central-1/a` is implicitDeny"
        ),
    ] {
        assert!(says.contains(part), "{part} in {says}");
    }
    assert!(!says.contains("orders-logs") && !says.contains("s3:GetObject` on"), "what is right is not told: {says}");
}

#[tokio::test]
async fn a_role_that_is_not_there_is_told_and_one_that_depends_is_nobodys_green_light() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let missing = json!({ "roles": [{ "role": "nobody" }, { "role": ROLE, "like": "nobody-else" }] });
    let says = wrong(&estate, &missing).await;
    let wanted =
        "there is no role `nobody`; there is no role `nobody-else`, which `orders-eu-central-1` should be like";
    assert_eq!(says, wanted);
    let depends = json!({ "roles": [{ "role": ROLE, "may": [{ "actions": ["sqs:PurgeQueue"] }] }] });
    let says = "nobody can say what `orders-eu-central-1` may do: \
        `sqs:PurgeQueue` depends on \"aws:MultiFactorAuthPresent\"";
    // A person is asked, and saying to go on is no answer for IAM.
    let mut drive = drive(&estate, &depends);
    for look in 0..2 {
        let asked = if look == 0 { drive.go(None).await } else { drive.again().await };
        let State::Asking { question, .. } = asked.state() else { panic!("{:?}", asked.state()) };
        assert!(matches!(question.about, About::Doubt(_)), "{question:?}");
        assert_eq!(asked.failure().message, says);
    }
}

#[tokio::test]
async fn iam_that_does_not_answer_or_refuses_is_no_green_light() {
    let Some(lab) = lab() else { return };
    let estate = estate(lab);
    let role = json!({ "roles": [{ "role": ROLE }] });
    estate.region("global", "down");
    let failure = step(&role).check(&looking(of(&estate))).await.expect_err("us-east-1 is gone");
    assert!(failure.transient, "{failure:?}");
    estate.region("global", "up");
    estate.faults(&json!([{ "operation": "GetRole", "nth": 1, "do": "access_denied" }]));
    let failure = step(&role).check(&looking(of(&estate))).await.expect_err("it is refused");
    assert!(!failure.transient && failure.message.contains("AccessDenied"), "{failure:?}");
    assert_eq!(failure.hint.as_deref(), Some("the caller needs the permission `iam:GetRole`"));
    assert!(matches!(check(&estate, &role).await, Check::Done(_)));
    assert_eq!(estate.writes(), []);
}

#[test]
fn what_does_not_go_together_is_a_mistake_and_permissions_are_those_that_are_used() {
    let mistakes = |with: &Value| {
        step(with).mistakes().into_iter().map(|mistake| (mistake.field, mistake.message)).collect::<Vec<_>>()
    };
    let role = json!([{ "role": "a", "like": "b" }]);
    let rename = json!([{ "from": "x", "to": "y" }]);
    assert_eq!(mistakes(&json!({ "roles": role, "rename": rename })), []);
    let many: Vec<_> = (0..11).map(|n| json!({ "role": format!("r{n}") })).collect();
    for (with, field, says) in [
        (json!({ "roles": [] }), "roles", "`roles` names 0 roles; one step takes from 1 to 10"),
        (json!({ "roles": many }), "roles", "`roles` names 11 roles; one step takes from 1 to 10"),
        (json!({ "roles": [{ "role": "a", "may": [{ "actions": [] }] }] }), "roles", "`may` names no action"),
        (json!({ "roles": role, "rename": [{ "from": "", "to": "y" }] }), "rename", "`from` is empty"),
        (
            json!({ "roles": [{ "role": "a" }], "rename": rename }),
            "rename",
            "nothing is renamed where nothing is compared",
        ),
    ] {
        assert_eq!(mistakes(&with), [(field, says.to_owned())]);
    }
    let is = |with: &Value| step(with).describe();
    assert_eq!(is(&json!({ "roles": [{ "role": "a" }] })).actions, ["iam:GetRole"]);
    let all = is(&json!({ "roles": [{ "role": "a", "like": "b", "may": [{ "actions": ["s3:GetObject"] }] }] }));
    assert_eq!((all.actions.len(), all.control_plane), (7, Some("us-east-1")));
    assert!(!step(&json!({ "roles": role })).changes());
}
