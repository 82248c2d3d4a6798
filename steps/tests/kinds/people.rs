//! `approve` and `manual`: they ask, and asking is no effect.

use crate::support::{Scene, refused, step};
use dr_engine::{
    attempt::Ended,
    duration::Dur,
    event::Doubt,
    question::{About, Question},
    step::{Check, Step, StepError},
};
use dr_steps::{approve::Approve, manual::Manual};
use serde_json::json;
use std::sync::Arc;

/// What a step asks, the same before and after a crash.
async fn asks(work: impl Fn() -> Arc<dyn Step>) -> Question {
    let scene = Scene::new("ask");
    let mut asked = Vec::new();
    for doubt in [None, Some(Doubt::Lost), Some(Doubt::Timeout)] {
        assert_eq!(work().check(&scene.bench.cx().read).await, Ok(Check::Absent));
        match scene.bench.attempt(work(), doubt).await {
            Ended::Error(StepError::Ask(question)) => asked.push(*question),
            other => panic!("it asks nothing: {other:?}"),
        }
    }
    assert!(asked.windows(2).all(|pair| pair[0].choices == pair[1].choices));
    assert_eq!(scene.calls(), (0, 0));
    asked.remove(0)
}

#[tokio::test]
async fn an_approval_is_asked_for() {
    let question = asks(|| {
        step::<Approve>(json!({ "question": "Move DNS?", "roles": ["executive"], "count": 2, "not_starter": true, "timeout": "15m" }))
    })
    .await;
    let mut wanted = Question::new(About::Approval, "Move DNS?".into(), &["approve", "decline"]);
    (wanted.roles, wanted.count, wanted.not_starter) = (vec!["executive".into()], 2, true);
    wanted.late_after = Some(Dur::seconds(15 * 60));
    assert_eq!(question, wanted);
    assert_eq!(asks(|| step::<Approve>(json!({ "question": "?" }))).await.count, 1);
    assert!(refused::<Approve>(json!({ "question": "?", "count": 0 })).contains("nonzero"));
}

#[tokio::test]
async fn work_by_hand_is_asked_of_its_owner() {
    let question =
        asks(|| step::<Manual>(json!({ "instructions": "Call the carrier.", "owner": "technical_lead" }))).await;
    let mut wanted = Question::new(About::Work, "Call the carrier.".into(), &["done", "skip", "stop"]);
    wanted.roles = vec!["technical_lead".into()];
    assert_eq!(question, wanted);
    for (asked, outputs) in [("none", &[][..]), ("text", &["evidence"]), ("file", &["evidence", "evidence_sha256"])] {
        let work = step::<Manual>(json!({ "instructions": "Call.", "owner": "x", "evidence": asked }));
        let names: Vec<_> = work.outputs().into_iter().map(|output| output.name).collect();
        assert_eq!(
            (serde_json::to_value(work.evidence()).ok(), names.as_slice()),
            (Some(json!(asked)), &outputs.iter().map(ToString::to_string).collect::<Vec<_>>()[..])
        );
    }
    assert!(
        refused::<Manual>(json!({ "instructions": "Call.", "owner": "x", "evidence": "photo" }))
            .starts_with("unknown variant `photo`")
    );
}
