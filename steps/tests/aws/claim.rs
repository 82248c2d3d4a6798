//! `claim:`: the object itself, by hand of several controllers.

use crate::{
    drive::config,
    lab::{Estate, lab},
};
use dr_engine::{
    clock::{SystemClock, Time},
    event::RunKind,
    outcome::Failure,
    step::Guard,
    testing::Calls,
};
use dr_steps::{
    aws::{Aws, pace::Pace},
    claim::{Claim, Held, Holder, Refused, Stands},
    world::{Accounts, World},
};
use serde_json::json;
use std::sync::Arc;

fn claim(estate: &Estate) -> Claim {
    let mut world = World::default();
    world.aws = Aws::given(config(&estate.lab.endpoint, &format!("LAB{}", estate.account))).paced(Pace::per_second([]));
    world.accounts = Accounts {
        default: Some("production".into()),
        ids: [("production".to_owned(), estate.account.clone())].into(),
        ..Accounts::default()
    };
    Claim {
        world: Arc::new(world),
        clock: Arc::new(SystemClock::new()),
        region: "eu-central-1".into(),
        bucket: estate.param("bucket_claim").into(),
        key: "claims/production".into(),
    }
}

fn holder(run: &str, host: &str, epoch: u64) -> Holder {
    Holder {
        dr_claim: Holder::FORM,
        run: run.into(),
        runbook: "evacuate".into(),
        kind: RunKind::Lab,
        by: "Ada".into(),
        host: host.into(),
        pid: 7,
        epoch,
        since: Time(1_795_331_990_000 + i64::try_from(epoch).expect("small")),
    }
}

fn guard() -> Arc<dyn Guard> {
    Arc::new(Calls::default())
}

async fn take(claim: &Claim, me: &Holder) -> Result<Option<Holder>, Refused> {
    claim.take(me, None, &guard()).await
}

async fn held(claim: &Claim) -> Held {
    match claim.look().await.expect("it can be seen") {
        Stands::Held(held) => held,
        Stands::Free => panic!("it is free"),
    }
}

/// Puts anything in the place of the claim, past every condition.
async fn put(claim: &Claim, body: &[u8]) {
    let accounts = Accounts::default();
    let clients = claim.world.aws.acting(&claim.region, &claim.clock, &accounts, guard()).await.expect("clients");
    let put = clients.s3.put_object().bucket(&claim.bucket).key(&claim.key).body(body.to_vec().into());
    put.send().await.expect("the lab takes it");
}

#[test]
fn only_a_later_controller_of_the_same_run_goes_on_with_a_claim() {
    let first = holder("a", "here", 1);
    for (next, yields) in [
        (holder("a", "here", 2), true),
        (holder("a", "there", 2), true),
        // Its own, seen again after a lost answer.
        (first.clone(), true),
        // A copy of the run that began at the same time, and one that is behind.
        (holder("a", "there", 1), false),
        (Holder { pid: 8, ..first.clone() }, false),
        (holder("a", "here", 0), false),
        (holder("b", "here", 2), false),
    ] {
        assert_eq!(first.yields_to(&next), yields, "{next:?}");
    }
}

#[tokio::test]
async fn of_many_that_claim_at_the_same_time_one_does() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let claim = claim(&estate);
    let me: Vec<_> = (0..8).map(|n| holder(&format!("run-{n}"), "here", 1)).collect();
    let took = futures_util::future::join_all(me.iter().map(|me| take(&claim, me))).await;
    let by = held(&claim).await.by.expect("a claim");
    for (me, took) in me.iter().zip(took) {
        match took {
            Ok(before) => assert_eq!((&by, before), (me, None)),
            Err(Refused::Held(held)) => assert_eq!(held.by.as_ref(), Some(&by)),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(estate.changes(), ["PutObject"]);
}

#[tokio::test]
async fn a_later_controller_adopts_it_and_keeps_since_when() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let claim = claim(&estate);
    let (first, second) = (holder("a", "here", 1), holder("a", "there", 2));
    assert_eq!(take(&claim, &first).await.expect("free"), None);
    assert_eq!(take(&claim, &second).await.expect("adopted"), Some(first.clone()));
    let by = held(&claim).await.by.expect("a claim");
    assert_eq!(by, Holder { since: first.since, ..second.clone() });
    assert!(matches!(take(&claim, &first).await, Err(Refused::Held(held)) if held.by == Some(by)));
    // Neither the one that is behind nor somebody else lets go of it.
    for other in [&first, &holder("b", "here", 9)] {
        assert!(matches!(claim.let_go(other, &guard()).await, Ok(Stands::Held(_))));
    }
    assert_eq!(claim.let_go(&holder("a", "there", 3), &guard()).await, Ok(Stands::Free));
    assert_eq!(claim.let_go(&second, &guard()).await, Ok(Stands::Free));
    assert_eq!(estate.changes(), ["DeleteObject", "PutObject", "PutObject"]);
}

#[tokio::test]
async fn what_s3_says_of_conditions_is_looked_into_and_never_believed() {
    let Some(lab) = lab() else { return };
    for (code, status) in [("ConditionalRequestConflict", 409), ("PreconditionFailed", 412), ("NoSuchKey", 404)] {
        let estate = lab.estate();
        let claim = claim(&estate);
        let fails = |operation: &str, nth: u32| json!({ "operation": operation, "nth": nth, "do": "fail_before", "code": code, "status": status });
        estate.faults(&json!([fails("PutObject", 1), fails("PutObject", 3), fails("DeleteObject", 1)]));
        take(&claim, &holder("a", "here", 1)).await.unwrap_or_else(|e| panic!("{code}: {e:?}"));
        take(&claim, &holder("a", "here", 2)).await.unwrap_or_else(|e| panic!("{code}: {e:?}"));
        assert_eq!(held(&claim).await.by.map(|by| by.epoch), Some(2));
        assert_eq!(claim.let_go(&holder("a", "here", 2), &guard()).await, Ok(Stands::Free), "{code}");
        assert_eq!(estate.writes().len(), 6, "{code}: each was tried twice");
    }
}

#[tokio::test]
async fn a_write_whose_answer_and_fate_are_both_unknown_is_not_called_a_refusal() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let claim = claim(&estate);
    estate.faults(&json!([
        { "operation": "PutObject", "nth": 1, "do": "drop_after" },
        { "operation": "GetObject", "nth": 2, "times": 100, "do": "drop_before" },
    ]));
    let me = holder("a", "here", 1);
    assert!(matches!(take(&claim, &me).await, Err(Refused::Doubt(_))));
    estate.faults(&json!([]));
    assert_eq!(take(&claim, &me).await.expect("it finds itself"), None);
    assert_eq!(estate.changes(), ["PutObject"]);
}

#[tokio::test]
async fn a_claim_is_broken_as_it_was_seen_and_not_when_another_has_come() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let claim = claim(&estate);
    let (old, new, me) = (holder("a", "here", 1), holder("b", "there", 1), holder("c", "here", 1));
    take(&claim, &old).await.expect("free");
    let seen = held(&claim).await;
    claim.let_go(&old, &guard()).await.expect("its own");
    take(&claim, &new).await.expect("free again");
    match claim.take(&me, Some(&seen), &guard()).await {
        Err(Refused::Held(held)) => assert_eq!(held.by.as_ref(), Some(&new)),
        other => panic!("{other:?}"),
    }
    let seen = held(&claim).await;
    assert_eq!(claim.take(&me, Some(&seen), &guard()).await.expect("broken"), Some(new));
    assert_eq!(held(&claim).await.by, Some(me));
}

#[tokio::test]
async fn what_is_no_claim_is_left_alone_until_a_person_says_otherwise() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let claim = claim(&estate);
    let me = holder("a", "here", 1);
    for body in [b"a shopping list".to_vec(), Vec::new(), vec![b' '; 100_000]] {
        put(&claim, &body).await;
        assert!(matches!(take(&claim, &me).await, Err(Refused::Held(Held { by: None, .. }))));
        assert!(matches!(claim.let_go(&me, &guard()).await, Ok(Stands::Held(Held { by: None, .. }))));
    }
    let seen = held(&claim).await;
    assert_eq!(claim.take(&me, Some(&seen), &guard()).await.expect("written over"), None);
}

#[tokio::test]
async fn nothing_is_claimed_in_another_account_or_past_the_guard() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut other = claim(&estate);
    let world = Arc::get_mut(&mut other.world).expect("nobody else's");
    world.accounts.ids = [("production".to_owned(), "111122223333".to_owned())].into();
    let me = holder("a", "here", 1);
    match take(&other, &me).await {
        Err(Refused::Failed(Failure { message, hint, .. })) => {
            assert!(message.contains("`production` is account 111122223333"), "{message}");
            assert!(hint.is_some_and(|hint| hint.contains("AWS_PROFILE")));
        }
        other => panic!("{other:?}"),
    }
    let calls = Arc::new(Calls::default());
    calls.refuse.store(true, std::sync::atomic::Ordering::SeqCst);
    let stopped: Arc<dyn Guard> = calls;
    let refused = claim(&estate).take(&me, None, &stopped).await;
    assert!(matches!(refused, Err(Refused::Failed(failure)) if failure.message == "this controller may not act"));
    assert_eq!(estate.writes(), []);
}
