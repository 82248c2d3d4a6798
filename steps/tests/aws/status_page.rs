//! `status_page.static`.

use crate::{
    drive::Drive,
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{
    crash::{Edge, Place},
    plan::StepIx,
    run::State,
};
use serde_json::{Value, json};

fn with(estate: &Estate) -> Value {
    let bucket = |n: u32| {
        let region = estate.param(&format!("bucket_status_{n}_region"));
        json!({ "bucket": estate.param(&format!("bucket_status_{n}")), "region": region })
    };
    json!({
        "buckets": [bucket(1), bucket(2)],
        "state": "identified",
        "title": "We are moving to another region",
        "message": "Orders are delayed; none is lost.",
        "components": { "Website": "major_outage" },
    })
}

pub(crate) const TRIAL: Trial = Trial { kind: "status_page.static", with, before: |_| () };

/// The same, over a page that stands already.
pub(crate) const OVER: Trial =
    Trial { before: |estate| by_another(estate, "20261101-000000-before-0001", "investigating"), ..TRIAL };

/// Another run puts a page into the buckets.
fn by_another(estate: &Estate, run: &str, state: &str) {
    let mut page = with(estate);
    page["state"] = state.into();
    let mut drive = Drive::new(estate, TRIAL.kind, &page);
    drive.id = run.into();
    // Called from inside a runtime, which lends its thread to no other.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let go = move || runtime.block_on(drive.go(None));
    let ended = std::thread::scope(|scope| scope.spawn(go).join()).expect("no panic");
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
}

#[tokio::test]
async fn a_page_goes_over_an_older_one_and_not_over_a_newer_one() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    (OVER.before)(&estate);
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    let killed = drive.go(Some((Place::Call, 1, Edge::Before))).await;
    assert!(killed.life.is_over());
    // Somebody is faster, in another run.
    by_another(&estate, "20261122-070000-after-0002", "resolved");
    let dump = estate.dump();
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("somebody wrote a page after this step began"), "{failure:?}");
    assert_eq!(estate.dump(), dump, "the newer page stands");
}

#[tokio::test]
async fn one_bucket_that_takes_the_page_is_enough_and_the_other_is_named() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region(estate.param("bucket_status_1_region"), "down");
    let mut drive = Drive::new(&estate, TRIAL.kind, &with(&estate));
    drive.step().timeout = dr_engine::duration::Dur(60_000);
    let ended = drive.go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["taken_by"], json!([estate.param("bucket_status_2")]));
    let missed = output.values["missed"].to_string();
    assert!(missed.contains(estate.param("bucket_status_1")), "{missed}");
    assert_eq!(estate.changes(), ["PutObject", "PutObject"]);
}

#[tokio::test]
async fn a_write_that_meets_another_one_under_way_is_tried_again() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let rule = json!({ "operation": "PutObject", "nth": 1, "do": "fail_before", "code": "ConditionalRequestConflict", "status": 409 });
    estate.faults(&json!([rule]));
    let ended = Drive::new(&estate, TRIAL.kind, &with(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(ended.run.step(StepIx(0)).output.values["missed"], json!([]));
}
