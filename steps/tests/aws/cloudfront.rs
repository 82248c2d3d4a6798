//! `cloudfront.update_origin`.

use crate::{
    drive::{self, Drive},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    duration::Dur,
    executor::Exit,
    plan::StepIx,
    run::State,
};
use dr_steps::world::World;
use serde_json::{Value, json};
use std::sync::Arc;

fn with(estate: &Estate) -> Value {
    json!({
        "distribution": estate.param("distribution_id"),
        "origin": estate.param("origin_id"),
        "domain": estate.param("recovery_origin"),
        "path": "/v2",
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "cloudfront.update_origin", with, before: |_| () };

/// Somebody edits the distribution, past every runbook.
async fn by_hand(estate: &Estate, origin: &str, domain: &str) {
    let cx = drive::acting(drive::config(&estate.lab.endpoint, &format!("LAB{}", estate.account)));
    let clients = World::of(&cx.read).aws.write(&cx).await.expect("clients");
    let id = estate.param("distribution_id");
    let reply = clients.cloudfront.get_distribution_config().id(id).send().await.expect("it is there");
    let etag = reply.e_tag().expect("a version").to_owned();
    let mut config = reply.distribution_config.expect("a configuration");
    let origins = &mut config.origins.as_mut().expect("origins").items;
    origins.iter_mut().find(|o| o.id == origin).expect("the origin").domain_name = domain.into();
    let request = clients.cloudfront.update_distribution().id(id).if_match(etag).distribution_config(config);
    request.send().await.expect("the lab takes it");
}

#[tokio::test]
async fn two_fields_change_and_nothing_else_of_the_configuration() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let before = estate.dump();
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output.values;
    assert_eq!(output["old_domain"], estate.params["primary_origin"]);
    assert_eq!(output["distribution_domain"], estate.params["distribution_domain"]);
    let after = estate.dump();
    let changed: Vec<_> = before.lines().zip(after.lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(changed.len(), 2, "{changed:#?}");
    assert_eq!(changed[0].0.replace("app-eu-west-1.", "app-eu-central-1."), changed[0].1);
    assert!(changed[1].1.contains("\"OriginPath\": \"/v2\""), "{changed:#?}");
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_named_with_those_that_are() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says, hint) in [
        ("origin", "nothing", "`nothing` is not an origin of", Some("its origins are app, static")),
        ("origin", "static-or-app", "`static-or-app` is an origin group, not", Some("its origins are app, static")),
        ("distribution", "ENOTHING", "there is no distribution `ENOTHING`", None),
        ("path", "v2/", "`path` is `v2/`; it begins with `/`", Some("for no path, write an empty text")),
    ] {
        let mut with = with(&estate);
        with[field] = value.into();
        let ended = Drive::new(&estate, TRIAL.kind, &with).go(None).await;
        let failure = ended.failure();
        assert!(failure.message.starts_with(says), "{failure:?}");
        assert_eq!(failure.hint.as_deref(), hint);
        assert_eq!(ended.life.counts().0, 0);
    }
}

#[tokio::test]
async fn a_change_by_somebody_else_between_our_read_and_our_write_is_kept() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // Our write is long on its way, and theirs overtakes it.
    estate.faults(&json!([{ "operation": "UpdateDistribution", "nth": 1, "do": "slow", "seconds": 4 }]));
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let meanwhile = async {
        // Once both of its reads are answered, its write is on its way.
        while estate.calls().iter().filter(|call| call["operation"] == "GetDistributionConfig").count() < 2 {
            clock.sleep(Dur(50)).await;
        }
        clock.sleep(Dur(800)).await;
        by_hand(&estate, "static", "static.elsewhere.test").await;
    };
    let (ended, ()) = tokio::join!(drive.go(None), meanwhile);
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let refused = estate.calls().iter().filter(|call| call["status"] == 412).count();
    assert_eq!(refused, 1, "the old version was refused once");
    let dump = estate.dump();
    assert!(dump.contains("static.elsewhere.test"), "their change is kept");
    assert!(dump.contains("\"OriginPath\": \"/v2\""), "ours is made");
    assert_eq!(estate.changes(), ["UpdateDistribution"; 2]);
}

#[tokio::test]
async fn a_version_that_is_always_stale_is_not_fought_for_ever() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{
        "operation": "UpdateDistribution", "every": true, "do": "fail_before", "code": "PreconditionFailed", "status": 412
    }]));
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.exit, Ok(Exit::Held)), "{:?}", ended.state());
    let failure = ended.failure();
    assert!(failure.message.starts_with("somebody keeps changing distribution"), "{failure:?}");
    assert_eq!(ended.life.counts().0, 15, "five tries in each of three attempts");
    assert_eq!(estate.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn an_origin_that_somebody_else_pointed_elsewhere_is_left_alone() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.go(None).await;
    by_hand(&estate, "app", "third.example.test").await;
    let ended = drive.undo(None).await;
    assert!(matches!(ended.exit, Ok(Exit::Held)), "{:?}", ended.state());
    let failure = ended.failure();
    assert!(failure.message.contains("at third.example.test/v2 meanwhile"), "{failure:?}");
    assert_eq!(ended.life.counts().0, 0);
}

#[tokio::test]
async fn a_control_plane_without_answers_is_asked_again_and_changed_once() {
    let Some(lab) = lab() else { return };
    TRIAL.down(lab, "global").await;
    TRIAL.lost(lab, "GetDistribution", 2).await;
}
