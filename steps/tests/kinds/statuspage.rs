//! `status_page.statuspage`, beside a Statuspage on this machine.

#[path = "../../../engine/comms/tests/support/statuspage.rs"]
mod fake;
#[path = "../../../engine/comms/tests/support/hasty.rs"]
mod hasty;

use crate::support::{Scene, done, failed, leave, obeys, step};
use dr_comms::{
    secret::Source,
    statuspage::{Access, SETTLES},
};
use dr_engine::{
    attempt::Ended,
    clock::{Clock, SystemClock},
    duration::Dur,
    event::{Doubt, RunKind},
    outcome::Failure,
    step::{Check, Step, StepError},
};
use dr_steps::{status_page_statuspage::Statuspage, world::World};
use fake::{Fake, Fault, Hit, PAGE, TOKEN};
use hasty::{HASTE, Hasty};
use serde_json::{Value, json};
use std::sync::Arc;

fn access(api: &str, folder: &std::path::Path) -> Access {
    std::fs::write(folder.join("token"), TOKEN).expect("a token");
    Access::new(Source::File("token".into()), api, folder)
}

/// A step's scene, in a world that knows this Statuspage.
fn scene_at(api: &str, id: &str) -> Scene {
    let change = |world: &mut World| world.statuspage = Some(access(api, &world.runbook_folder));
    let mut scene = Scene::with(id, change);
    scene.bench.clock = Arc::new(Hasty::new(SystemClock::new().now(), HASTE));
    scene.bench.step.timeout = Dur::seconds(3_600);
    scene
}

/// The same by a clock that makes it give up too soon now and then.
fn hurried(scene: Scene) -> Scene {
    let mut scene = scene;
    scene.bench.clock = Arc::new(Hasty::new(SystemClock::new().now(), 4 * HASTE));
    scene
}

fn scene(fake: &Fake, id: &str) -> Scene {
    scene_at(&fake.api(), id)
}

/// Another step of the same run.
fn also(fake: &Fake, first: &Scene, id: &str) -> Scene {
    let mut scene = scene(fake, id);
    scene.bench.run = first.bench.run.clone();
    scene
}

fn says(state: &str, message: &str) -> Value {
    json!({
        "page": PAGE, "state": state, "title": "Orders fail", "message": message, "impact": "major",
        "components": { "website": "major_outage", "c2pay": "partial_outage" },
    })
}

fn work(inputs: &Value) -> Arc<dyn Step> {
    step::<Statuspage>(inputs.clone())
}

/// Attempt after attempt, as the loop makes them, until the step is done.
async fn until_done(scene: &Scene, inputs: &Value, mut doubt: Option<Doubt>, of: &str) {
    for _ in 0..6 {
        match scene.bench.attempt(work(inputs), doubt).await {
            Ended::Done { .. } => return,
            Ended::Error(StepError::Doubt(_)) => doubt = Some(Doubt::NoAnswer),
            Ended::Unknown(_) => doubt = Some(Doubt::Unknown),
            Ended::Error(StepError::Failed(Failure { transient: true, .. })) => doubt = None,
            other => panic!("{of}: {other:?}"),
        }
    }
    panic!("{of}: it is never done");
}

#[tokio::test]
async fn an_update_obeys_the_contract_and_says_what_it_was_told() {
    let fake = Fake::start();
    let scene = scene(&fake, "say_identified");
    let inputs = says("identified", "We are moving.");
    let description = work(&inputs).describe();
    assert_eq!(description.summary, format!("say `Orders fail` on the page {PAGE} of Statuspage"));
    assert_eq!(fake.state().asked, [""; 0], "a description touches nothing");
    work(&inputs).check(&scene.bench.cx().read).await.expect("a look");
    assert!(fake.state().asked.iter().all(|it| it.starts_with("GET ")), "{:?}", fake.state().asked);

    obeys(&scene, || work(&inputs), || !fake.changes().is_empty()).await;
    assert_eq!((fake.complaints(), fake.changes().len()), (Vec::new(), 1));
    let state = fake.state();
    let it = &state.incidents[0];
    assert_eq!(
        (it.name.as_str(), it.status.as_str(), it.impact.as_deref()),
        ("Orders fail", "identified", Some("major"))
    );
    assert_eq!(it.updates[0].2, "We are moving.");
    assert!(it.updates[0].3, "those who subscribed are told");
    assert_eq!(it.components, ["c1web", "c2pay"]);
    assert_eq!(json!(state.health), json!({ "c1web": "major_outage", "c2pay": "partial_outage" }));
    assert_eq!(it.metadata["dr"]["run"], scene.bench.run.id);
    let said = scene.bench.said.lock().expect("whole").join("\n");
    assert!(!said.contains(TOKEN), "{said}");
}

/// One incident of the run, with all three updates, and what others keep there.
fn ours_alone(fake: &Fake, run: &str) {
    let state = fake.state();
    let ours: Vec<_> = state.incidents.iter().filter(|it| it.metadata.contains_key("dr")).collect();
    assert_eq!(ours.len(), 1, "one incident");
    let updates: Vec<_> = ours[0].updates.iter().rev().map(|it| (it.1.as_str(), it.3)).collect();
    assert_eq!(updates, [("investigating", true), ("resolved", false), ("monitoring", true)]);
    assert_eq!(ours[0].metadata["jira"], json!({ "issue_id": "OPS-1" }));
    assert_eq!(ours[0].metadata["dr"]["run"], run, "though a step has that name");
}

#[tokio::test]
async fn the_steps_of_a_run_speak_on_one_incident_and_leave_what_others_keep_there() {
    for replaces_metadata in [false, true] {
        let fake = Fake::start();
        fake.state().replaces_metadata = replaces_metadata;
        let first = scene(&fake, "one");
        let ended = done(first.bench.attempt(work(&says("investigating", "We look.")), None).await);
        let id = fake.state().incidents[0].id.clone();
        assert_eq!(ended, json!({ "incident": id, "url": format!("https://stspg.io/{id}") }));
        fake.state().incidents[0].metadata.insert("jira".into(), json!({ "issue_id": "OPS-1" }));
        // More than a page of others, still open; and those that are over.
        fake.others(130, "identified");
        let quiet = json!({ "page": PAGE, "state": "resolved", "title": "Over", "message": "Over.", "notify": false });
        done(also(&fake, &first, "two").bench.attempt(work(&quiet), None).await);
        // It is over, and so are others; what is open is somebody else's.
        fake.state().incidents.retain(|it| it.metadata.contains_key("dr"));
        fake.others(20, "resolved");
        fake.others(60, "identified");
        let three = also(&fake, &first, "run");
        done(three.bench.attempt(work(&says("monitoring", "We watch again.")), None).await);
        ours_alone(&fake, &first.bench.run.id);
        assert_eq!(fake.complaints(), Vec::<String>::new());
        // What was said stays said, whatever was said after it.
        let again = first.bench.attempt(work(&says("investigating", "We look.")), Some(Doubt::Lost)).await;
        assert!(matches!(again, Ended::Done { found: true, .. }), "{again:?}");
    }
}

#[tokio::test]
async fn two_steps_at_once_make_one_incident() {
    let fake = Fake::start();
    let (one, mut two) = (scene(&fake, "one"), scene(&fake, "two"));
    // One world, as in a run: it is there that they take turns.
    (two.bench.run, two.bench.world) = (one.bench.run.clone(), one.bench.world.clone());
    let (first, second) = (says("identified", "A."), says("identified", "B."));
    let (a, b) = tokio::join!(one.bench.attempt(work(&first), None), two.bench.attempt(work(&second), None));
    done(a);
    done(b);
    assert_eq!(fake.said(), [["identified: A.", "identified: B."]]);
}

/// Every fault, at every request, for a step that makes the incident and for one that finds it.
#[tokio::test]
async fn whatever_fails_at_whichever_request_it_is_said_once() {
    let faults = [
        Fault::Wait(420, None),
        Fault::Wait(429, Some(2)),
        Fault::Status(500),
        Fault::StatusAfter(503),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::HangBefore,
        Fault::HangAfter,
    ];
    let mut points = 0;
    for existing in [false, true] {
        for fault in faults {
            for nth in 1.. {
                let (fake, of) = (Fake::start(), format!("{fault:?} at request {nth}, existing: {existing}"));
                let first = scene(&fake, "first");
                let mut said = vec!["identified: Now.".to_owned()];
                if existing {
                    done(first.bench.attempt(work(&says("investigating", "Before.")), None).await);
                    said.insert(0, "investigating: Before.".into());
                }
                // What was made is seen late: another must not be made beside it.
                fake.state().lists_late = 2;
                let (scene, before) = (hurried(also(&fake, &first, "it")), fake.state().asked.len());
                fake.fail(Hit::Nth(before + nth), fault);
                until_done(&scene, &says("identified", "Now."), None, &of).await;
                assert_eq!(fake.said(), [said], "{of}");
                assert_eq!(fake.complaints(), Vec::<String>::new(), "{of}");
                if fake.state().asked.len() < before + nth {
                    break;
                }
                points += 1;
            }
        }
    }
    println!("{points} points");
    assert!(points > 60, "{points}");
}

#[tokio::test]
async fn left_while_a_request_hangs_it_ends_at_once_and_is_gone_on_with() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        for nth in 1..=6 {
            let fake = Fake::start();
            let scene = scene(&fake, "it");
            let inputs = says("identified", "Now.");
            fake.fail(Hit::Nth(nth), fault);
            // Slow enough for the test to leave before the call gives up.
            let patient = Scene { bench: scene_of_patience(&scene), ..self::scene(&fake, "it") };
            leave(&patient, patient.bench.attempt(work(&inputs), None), "a request that hangs", || fake.hanging() > 0)
                .await;
            *scene.bench.facts.lock().expect("whole") = patient.bench.facts.lock().expect("whole").clone();
            fake.state().faults.clear();
            until_done(&scene, &inputs, Some(Doubt::Lost), &format!("{fault:?} at {nth}")).await;
            assert_eq!(fake.said(), [["identified: Now."]], "{fault:?} at {nth}");
        }
    }
}

/// The same bench by the machine's own clock, but that requests follow each other without a pause.
fn scene_of_patience(of: &Scene) -> dr_engine::testing::Bench {
    let world = of.bench.world.downcast_ref::<World>().expect("the world of dr-steps");
    let mut calm = World::new(of.folder.path().join("run"), of.folder.path().join("book"));
    calm.statuspage = world.statuspage.clone().map(|it| it.paced(Dur(0)));
    let mut bench = dr_engine::testing::Bench::new("it", of.clock.clone(), Arc::new(calm));
    bench.run = of.bench.run.clone();
    bench
}

#[tokio::test]
async fn a_resumed_step_never_speaks_over_what_somebody_said_since() {
    for fault in [Fault::DropBefore, Fault::HangBefore] {
        let fake = Fake::start();
        let first = scene(&fake, "first");
        done(first.bench.attempt(work(&says("investigating", "Before.")), None).await);
        let late = also(&fake, &first, "late");
        fake.fail(Hit::Change(2), fault);
        let inputs = says("identified", "Late.");
        let ended = late.bench.attempt(work(&inputs), None).await;
        assert!(matches!(ended, Ended::Error(StepError::Doubt(_))), "{ended:?}");
        // A later step, and a person by hand, say how it is.
        done(also(&fake, &first, "later").bench.attempt(work(&says("monitoring", "Later.")), None).await);
        fake.by_hand("resolved", "By hand.");
        let said = fake.said();
        let why = failed(late.bench.attempt(work(&inputs), Some(Doubt::NoAnswer)).await);
        assert!(why.message.contains("it is not spoken over") && !why.transient, "{why:?}");
        assert_eq!(fake.said(), said);
        assert_eq!(fake.said()[0].last().map(String::as_str), Some("resolved: By hand."));
    }
}

#[tokio::test]
async fn what_was_taken_away_by_hand_is_not_made_again_by_a_resumed_step() {
    let fake = Fake::start();
    let first = scene(&fake, "first");
    done(first.bench.attempt(work(&says("investigating", "Before.")), None).await);
    let late = also(&fake, &first, "late");
    fake.fail(Hit::Change(2), Fault::DropBefore);
    let ended = late.bench.attempt(work(&says("identified", "Late.")), None).await;
    assert!(matches!(ended, Ended::Error(StepError::Doubt(_))), "{ended:?}");
    fake.state().incidents.clear();
    failed(late.bench.attempt(work(&says("identified", "Late.")), Some(Doubt::NoAnswer)).await);
    assert_eq!(fake.state().incidents.len(), 0);
}

#[tokio::test]
async fn what_is_refused_says_what_to_mend_and_never_the_token() {
    for (status, way_out) in [
        (401, "make one under API info"),
        (403, "the right to manage incidents"),
        (404, "https://manage.statuspage.io/pages/ID"),
        (422, "Statuspage refused it (422"),
    ] {
        let fake = Fake::start();
        fake.fail(Hit::Change(1), Fault::Status(status));
        let scene = scene(&fake, "it");
        let why = failed(scene.bench.attempt(work(&says("identified", "Now.")), None).await);
        assert!(why.message.contains(way_out) && !why.transient, "{why:?}");
        assert_eq!(fake.changes().len(), 1, "{status}: it is not tried again");
    }
    // A server that repeats what it was given does not get it into a message.
    let fake = Fake::start();
    let scene = scene(&fake, "it");
    std::fs::write(scene.book("token"), "canary-of-another").expect("a token");
    let why = failed(scene.bench.attempt(work(&says("identified", "Now.")), None).await);
    assert!(why.message.contains("Could not authenticate: OAuth [secret]"), "{why:?}");
    let shown = format!("{:?}", access(&fake.api(), scene.folder.path()));
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_component_that_there_is_not_and_a_text_that_is_too_long_are_told_before_anything_is_said() {
    let fake = Fake::start();
    let scene = scene(&fake, "it");
    let mut inputs = says("identified", "Now.");
    inputs["components"] = json!({ "Webshop": "operational", "Everything": "operational" });
    let why = failed(scene.bench.attempt(work(&inputs), None).await);
    let wanted = "the page has no component `Everything`, no component `Webshop`; it has API, Payments, Website";
    assert_eq!(why.message, wanted);
    let mut inputs = says("identified", "Now.");
    inputs["title"] = "x".repeat(256).into();
    let why = failed(scene.bench.attempt(work(&inputs), None).await);
    assert_eq!(why.message, "the title has 256 characters, and Statuspage takes 255: shorten it");
    assert_eq!(fake.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_rehearsal_tells_no_customer() {
    for kind in [RunKind::Drill, RunKind::Lab] {
        let mut scene = scene_at(Access::API, "it");
        scene.bench.run.kind = kind;
        let look = work(&says("identified", "Now.")).check(&scene.bench.cx().read).await;
        let Ok(Check::Impossible(why)) = look else { panic!("{look:?}") };
        assert!(why.message.contains(&kind.word().to_uppercase()), "{why:?}");
        assert!(why.hint.as_deref().is_some_and(|hint| hint.contains("run.kind == \"live\"")), "{why:?}");
    }
}

#[tokio::test]
async fn without_access_a_doubt_stays_a_doubt() {
    let scene = Scene::new("it");
    let inputs = says("identified", "Now.");
    let why = failed(scene.bench.attempt(work(&inputs), None).await);
    assert!(why.message.contains("there is no [statuspage] in the settings"), "{why:?}");
    let ended = scene.bench.attempt(work(&inputs), Some(Doubt::Lost)).await;
    assert!(matches!(ended, Ended::Unknown(_)), "{ended:?}");
}

#[tokio::test]
async fn what_may_not_act_says_nothing() {
    let fake = Fake::start();
    let scene = scene(&fake, "it");
    scene.bench.calls.refuse.store(true, std::sync::atomic::Ordering::SeqCst);
    failed(scene.bench.attempt(work(&says("identified", "Now.")), None).await);
    assert_eq!(fake.changes(), Vec::<String>::new());
}

#[test]
fn a_lost_call_gets_more_time_than_it_takes() {
    assert!(SETTLES > dr_comms::statuspage::CALL_MAX);
}
