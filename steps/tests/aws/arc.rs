//! `arc.routing_control`.

use crate::{
    drive::{self, Drive},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    crash::{Edge, Place},
    duration::Dur,
    event::{Event, Kind, RunKind},
    plan::StepIx,
    run::State,
    step::{Check, Step, Steps},
};
use dr_steps::{registry, world::World};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

const CODE: &str = "EndpointTemporarilyUnavailableException";

fn endpoints(estate: &Estate) -> Value {
    let at = |n| {
        let (url, region) = (format!("cluster_endpoint_{n}"), format!("cluster_region_{n}"));
        json!({ "endpoint": estate.param(&url), "region": estate.param(&region) })
    };
    (1..=5).map(at).collect()
}

fn set(estate: &Estate, primary: &str, recovery: &str) -> Value {
    json!({
        "controls": [
            { "arn": estate.param("control_primary"), "state": primary },
            { "arn": estate.param("control_recovery"), "state": recovery },
        ],
        "endpoints": endpoints(estate),
    })
}

fn with(estate: &Estate) -> Value {
    set(estate, "Off", "On")
}

pub(crate) const TRIAL: Trial = Trial { kind: "arc.routing_control", with, before: |_| () };

fn drive(estate: &Estate) -> Drive {
    Drive::new(estate, TRIAL.kind, &with(estate))
}

fn work(with: &Value) -> Arc<dyn Step> {
    let step = drive::plan(TRIAL.kind, with).steps.remove(0);
    registry().step(&step, step.with.clone()).expect("its inputs are right")
}

/// What the controls of the two regions are, primary first.
fn states(estate: &Estate) -> (Value, Value) {
    let all = estate.state()["routing_controls"].clone();
    (all["shop-eu-west-1"].clone(), all["shop-eu-central-1"].clone())
}

fn region(estate: &Estate, n: usize) -> String {
    estate.param(&format!("cluster_region_{n}")).to_owned()
}

/// The regions of the endpoints that were asked to change something, in order.
fn writes(estate: &Estate) -> Vec<String> {
    let calls = estate.calls().into_iter().filter(|call| call["operation"] == "UpdateRoutingControlStates");
    calls.map(|call| call["region"].as_str().unwrap_or("?").to_owned()).collect()
}

/// Somebody who sets a control by hand, at one endpoint, and waits until all show it.
async fn by_hand(estate: &Estate, pairs: [(&str, &str); 2]) {
    let clients = drive::by_hand(estate).await;
    let url = |n: usize| estate.param(&format!("cluster_endpoint_{n}")).to_owned();
    let mut request = clients.routing_controls_at(&url(1), &region(estate, 1)).update_routing_control_states();
    for (arn, state) in pairs {
        let entry = aws_sdk_route53recoverycluster::types::UpdateRoutingControlStateEntry::builder();
        let entry = entry.routing_control_arn(estate.param(arn)).routing_control_state(state.into());
        request = request.update_routing_control_state_entries(entry.build().expect("whole"));
    }
    request.send().await.expect("it is set");
    for n in 1..=5 {
        for _ in 0..3 {
            let read = clients.routing_controls_at(&url(n), &region(estate, n)).get_routing_control_state();
            read.routing_control_arn(estate.param(pairs[0].0)).send().await.expect("it is read");
        }
    }
}

#[tokio::test]
async fn users_are_moved_by_one_call_and_back_by_another() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let before = estate.dump();
    let mut drive = drive(&estate);
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(states(&estate), (json!("Off"), json!("On")));
    assert_eq!(ended.run.step(StepIx(0)).output.values["endpoints"], 5);
    assert_eq!(estate.writes(), [("UpdateRoutingControlStates".into(), "changed".into())]);
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    crate::sweep::assert_same(&estate.dump(), &before, "undone");
    // What is so already is not set, and there is nothing of it to take back.
    let mut idle = Drive::new(&estate, TRIAL.kind, &set(&estate, "On", "Off"));
    assert!(matches!(idle.go(None).await.state(), State::Done));
    assert!(matches!(idle.undo(None).await.state(), State::Undone));
    assert_eq!(writes(&estate).len(), 2);
}

#[tokio::test]
async fn two_endpoints_may_be_down_for_good_in_whatever_way() {
    let Some(lab) = lab() else { return };
    let answers = |region: &str, rule: Value| {
        let mut rule = rule;
        rule["service"] = "route53-recovery-cluster".into();
        (rule["region"], rule["every"]) = (region.into(), true.into());
        rule
    };
    let unavailable = json!({ "do": "fail_before", "code": CODE, "status": 400 });
    let broken = json!({ "do": "fail_before" });
    let throttled = json!({ "do": "throttle", "code": "ThrottlingException" });
    for (first, second) in [(1, 2), (2, 3), (3, 4), (4, 5), (5, 1)] {
        let estate = lab.estate();
        let gone = [region(&estate, first), region(&estate, second)];
        match first {
            1 | 2 => gone.iter().for_each(|region| estate.region(region, "down")),
            3 => estate.faults(&json!([answers(&gone[0], unavailable.clone()), answers(&gone[1], broken.clone())])),
            _ => estate.faults(&json!([answers(&gone[0], throttled.clone()), answers(&gone[1], unavailable.clone())])),
        }
        let mut drive = drive(&estate);
        let ended = drive.go(None).await;
        assert!(matches!(ended.state(), State::Done), "{gone:?}: {:?}", ended.state());
        assert_eq!(ended.run.step(StepIx(0)).output.values["endpoints"], 3);
        assert_eq!(states(&estate), (json!("Off"), json!("On")));
        assert!(matches!(drive.undo(None).await.state(), State::Undone), "{gone:?}");
        assert_eq!(states(&estate), (json!("On"), json!("Off")));
    }
}

#[tokio::test]
async fn runs_begin_at_different_endpoints_and_an_attempt_elsewhere_than_the_one_before() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let rule = json!({ "operation": "UpdateRoutingControlStates", "every": true, "do": "fail_before", "code": CODE,
        "status": 400 });
    estate.faults(&json!([rule]));
    let mut one = drive(&estate);
    one.id = "20261122-070000-evacuate-0000".into();
    one.step().retry.attempts = 2;
    let failure = one.go(None).await.failure();
    assert!(failure.message.contains(CODE), "{failure:?}");
    let asked = writes(&estate);
    assert_eq!(asked.len(), 30, "two attempts, three rounds, five endpoints");
    let each: BTreeSet<_> = asked[..5].iter().collect();
    assert_eq!(each.len(), 5, "{asked:?}");
    assert_ne!(asked[0], asked[15], "the second attempt begins where the first did");
    assert_eq!(estate.changes(), [""; 0]);
    estate.faults(&json!([]));
    let mut another = drive(&estate);
    another.id = "20261122-070000-evacuate-0002".into();
    assert!(matches!(another.go(None).await.state(), State::Done));
    assert_ne!(writes(&estate)[30], asked[0], "both runs begin there");
}

#[tokio::test]
async fn a_safety_rule_is_named_and_never_overridden() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &set(&estate, "Off", "Off"));
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("ConflictException") && failure.message.contains(estate.param("safety_rule")));
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("override the rule")), "{failure:?}");
    assert_eq!(states(&estate), (json!("On"), json!("Off")));
    assert_eq!(writes(&estate).len(), 3, "asked again, since a rule waits after a change, and of one endpoint");
    // Nothing was set, so there is nothing to take back.
    let ended = drive.again_with(&set(&estate, "Off", "On")).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!(states(&estate), (json!("On"), json!("Off")));
}

#[tokio::test]
async fn it_is_done_when_two_endpoints_say_so_and_unknown_when_they_differ() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "looks": 1_000_000 }));
    let (cx, work) = (drive::looking(drive::of(&estate)), work(&with(&estate)));
    assert!(matches!(work.check(&cx).await, Ok(Check::Absent)));
    let clients = drive::by_hand(&estate).await;
    let (url, at) = (estate.param("cluster_endpoint_3"), region(&estate, 3));
    for (control, state) in [("control_recovery", "On"), ("control_primary", "Off")] {
        let one = clients.routing_controls_at(url, &at).update_routing_control_state();
        one.routing_control_arn(estate.param(control)).routing_control_state(state.into()).send().await.expect("set");
    }
    // One endpoint shows it, the others do not yet.
    let Ok(Check::Unknown(says)) = work.check(&cx).await else { panic!("it is known") };
    assert!(says.contains("do not agree") && says.contains(&format!("{at}: ")), "{says}");
    // One alone proves nothing, though it says what is wanted.
    for n in [1, 2, 4, 5] {
        estate.region(&region(&estate, n), "down");
    }
    let Err(failure) = work.check(&cx).await else { panic!("one endpoint was enough") };
    assert!(failure.transient && failure.message.contains("1 of 5 endpoints"), "{failure:?}");
    // Who only looks cannot set anything, at whichever endpoint.
    let looking = World::of(&cx).aws.read(&cx).await.expect("clients").routing_controls_at(url, &at);
    let arn = estate.param("control_primary");
    let refused = looking.update_routing_control_state().routing_control_arn(arn).routing_control_state("On".into());
    let error = refused.send().await.expect_err("this only looks");
    assert!(format!("{error:?}").contains("is refused here: this only looks"), "{error:?}");
    assert_eq!(states(&estate).0, json!("Off"));
}

#[tokio::test]
async fn what_somebody_set_back_since_is_a_question() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = drive(&estate);
    // It was asked for and taken, then the power went, and people moved users back.
    assert!(drive.go(Some((Place::Call, 1, Edge::After))).await.life.is_over());
    by_hand(&estate, [("control_primary", "On"), ("control_recovery", "Off")]).await;
    // As if that had been an hour ago.
    for Event { kind, .. } in &mut drive.events {
        if let Kind::Recorded { fact, .. } = kind
            && let Some(at) = fact.value.get_mut("at")
        {
            *at = json!(at.as_i64().expect("a time") - Dur(3_600_000).0);
        }
    }
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("somebody may have set them since"), "{failure:?}");
    assert_eq!(states(&estate), (json!("On"), json!("Off")));
    assert!(matches!(drive.again().await.state(), State::Done));
    assert_eq!(states(&estate), (json!("Off"), json!("On")));
    assert!(matches!(drive.undo(None).await.state(), State::Undone));
    assert_eq!(states(&estate), (json!("On"), json!("Off")));
}

#[tokio::test]
async fn a_rehearsal_calls_no_endpoint_of_aws_and_a_recovery_none_of_this_machine() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut bench = drive::bench(drive::of(&estate));
    let mut real = with(&estate);
    for at in real["endpoints"].as_array_mut().expect("a list") {
        let region = at["region"].as_str().expect("a text");
        at["endpoint"] = format!("https://aaaaaaaa.route53-recovery-cluster.{region}.amazonaws.com/v1").into();
    }
    let Ok(Check::Impossible(failure)) = work(&real).check(&bench.cx().read).await else { panic!("it looks") };
    assert!(failure.message.contains("is not of the lab: it is not called"), "{failure:?}");
    bench.run.kind = RunKind::Live;
    let Ok(Check::Impossible(failure)) = work(&with(&estate)).check(&bench.cx().read).await else { panic!("it looks") };
    assert!(failure.message.contains("is on this machine"), "{failure:?}");
    let mut gone = with(&estate);
    gone["controls"][0]["arn"] = format!("{}x", estate.param("control_primary")).into();
    let failure = Drive::new(&estate, TRIAL.kind, &gone).go(None).await.failure();
    assert!(failure.message.contains("ResourceNotFoundException"), "{failure:?}");
    assert_eq!(writes(&estate), [""; 0]);
}

#[test]
fn mistakes_are_told_when_planning() {
    let at = |region: &str| {
        json!({ "endpoint": format!("https://a.route53-recovery-cluster.{region}.amazonaws.com/v1"),
        "region": region })
    };
    let three = json!([at("us-east-1"), at("us-west-2"), at("eu-west-1")]);
    let arn = "arn:aws:route53-recovery-control::123456789012:controlpanel/0aa/routingcontrol/1bb";
    let control = json!({ "arn": arn, "state": "On" });
    let told = |controls: &Value, endpoints: &Value| -> Vec<String> {
        let found = work(&json!({ "controls": controls, "endpoints": endpoints })).mistakes();
        found.into_iter().map(|mistake| mistake.message).collect()
    };
    assert_eq!(told(&json!([control]), &three), [""; 0]);
    let with = |third: Value| json!([three[0], three[1], third]);
    for (controls, endpoints, says) in [
        (json!([]), three.clone(), "there is no control to set"),
        (json!([control, control]), three.clone(), "is there twice"),
        (json!([{ "arn": "shop", "state": "On" }]), three.clone(), "is not the ARN of a routing control"),
        (json!([control]), json!([three[0], three[1]]), "2 endpoints are too few"),
        (json!([control]), with(three[0].clone()), "is there twice"),
        (json!([control]), with(json!({ "endpoint": "http://a.example.com", "region": "eu-west-1" })), "is not https"),
        (json!([control]), with(json!({ "endpoint": "a.example.com", "region": "eu-west-1" })), "is no URL"),
        (json!([control]), with(json!({ "endpoint": "https://a.example.com", "region": "ireland" })), "is no region"),
        (
            json!([control]),
            with(json!({ "endpoint": at("eu-west-1")["endpoint"], "region": "eu-west-2" })),
            "is in eu-west-1",
        ),
    ] {
        let told = told(&controls, &endpoints);
        assert!(told.iter().any(|told| told.contains(says)), "{says}: {told:?}");
    }
}
