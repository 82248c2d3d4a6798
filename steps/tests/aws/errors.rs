//! What errors of AWS mean, and what keeps a look from doing anything.

use crate::{
    drive::{self, Drive},
    lab::{Estate, lab},
};
use dr_engine::{executor::Exit, run::State};
use serde_json::{Value, json};
use std::{
    io::Read,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

fn upsert(estate: &Estate) -> Value {
    json!({
        "zone": estate.param("zone_id"),
        "records": [
            { "name": estate.param("record"), "type": "CNAME", "ttl": 60, "values": [estate.param("recovery_target")] },
        ],
    })
}

#[tokio::test]
async fn the_wrong_account_is_refused_before_anything_is_changed() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, "route53.upsert", &upsert(&estate));
    drive.account = "111122223333".into();
    let failure = drive.go(None).await.failure();
    assert!(!failure.transient);
    assert!(failure.message.contains(&estate.account), "{}", failure.message);
    assert!(failure.message.contains("`production` is account 111122223333"), "{}", failure.message);
    assert_eq!(estate.writes(), [], "nothing was sent");
}

#[tokio::test]
async fn a_refusal_names_the_permission() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{ "rw": "write", "every": true, "do": "access_denied" }]));
    let ended = Drive::new(&estate, "route53.upsert", &upsert(&estate)).go(None).await;
    let failure = ended.failure();
    assert_eq!(failure.hint.as_deref(), Some("the caller needs the permission `route53:ChangeResourceRecordSets`"));
    let call = failure.call.expect("a call");
    assert_eq!((call.service.as_str(), call.operation.as_str()), ("route53", "ChangeResourceRecordSets"));
    assert_eq!((call.region.as_str(), call.code.as_deref()), ("us-east-1", Some("AccessDenied")));
    assert!(call.request_id.is_some());
    assert_eq!(ended.life.counts().0, 1, "what is refused for good is not tried again");
}

#[tokio::test]
async fn old_credentials_are_refused_with_a_way_out() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.faults(&json!([{ "rw": "write", "every": true, "do": "expired_token" }]));
    let ended = Drive::new(&estate, "route53.upsert", &upsert(&estate)).go(None).await;
    let failure = ended.failure();
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("aws sso login")), "{failure:?}");
    assert_eq!(ended.life.counts().0, 3, "three attempts, since somebody may sign in meanwhile");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent_and_the_way_out_is_named() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, "route53.upsert", &upsert(&estate));
    drive.config = drive::nobody(&lab.endpoint);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("no AWS credentials"), "{failure:?}");
    assert!(failure.hint.as_deref().is_some_and(|hint| hint.contains("AWS_PROFILE")), "{failure:?}");
    assert_eq!(estate.calls(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_region_that_goes_down_after_the_look_leaves_the_step_in_doubt_until_it_is_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let with = json!({
        "source": "orders", "target": "orders-dr", "subnet_group": estate.param("subnet_group"),
        "security_groups": [estate.param("security_group_id")], "parameter_group": estate.param("parameter_group"),
    });
    let mut drive = Drive::new(&estate, "rds.restore_snapshot", &with);
    drive.step().check_timeout = dr_engine::duration::Dur(2_500);
    // Everything after the first write is lost, the looks too.
    estate.faults(&json!([
        { "write_nth": 1, "do": "drop_after" },
        { "operation": "DescribeDBInstances", "nth": 3, "times": 1000, "do": "drop_before" },
    ]));
    let held = drive.go(None).await;
    assert!(matches!(held.exit, Ok(Exit::Held)), "{:?}", held.state());
    assert!(matches!(held.state(), State::Asking { .. }));
    estate.faults(&json!([]));
    let ended = drive.again().await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["RestoreDBInstanceFromDBSnapshot"]);
}

#[tokio::test]
async fn a_region_that_is_down_is_no_reason_to_doubt() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    estate.region("eu-central-1", "down");
    let with = json!({
        "source": "orders", "target": "orders-dr", "subnet_group": "g", "security_groups": ["sg-1"],
        "parameter_group": "p",
    });
    let mut drive = Drive::new(&estate, "rds.restore_snapshot", &with);
    drive.step().check_timeout = dr_engine::duration::Dur(1_500);
    let ended = drive.go(None).await;
    let failure = ended.failure();
    assert!(failure.message.contains(" in eu-central-1 got no answer"), "{failure:?}");
    assert_eq!(ended.life.counts().0, 0);
}

/// Listens, counts connections and bytes, and says nothing.
fn trap() -> (String, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (connections, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, sum) = (connections.clone(), bytes.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            let sum = sum.clone();
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 4096];
                // One mouthful, then the line goes dead.
                if let Ok(read) = stream.read(&mut buffer) {
                    sum.fetch_add(read, Ordering::SeqCst);
                }
            });
        }
    });
    (address, connections, bytes)
}

#[tokio::test]
async fn no_client_for_looking_lets_a_change_out() {
    let (address, connections, bytes) = trap();
    let cx = drive::looking(drive::config(&address, "LAB000000000001"));
    let clients = dr_steps::world::World::of(&cx).aws.read(&cx).await.expect("clients");
    let mut refused = Vec::new();
    let mut note = |what: &str, error: String| refused.push((what.to_owned(), error));
    macro_rules! refuse {
        ($($name:literal: $call:expr),* $(,)?) => { $(
            note($name, format!("{:?}", $call.send().await.err().expect($name)));
        )* };
    }
    refuse! {
        "rds delete": clients.rds.delete_db_instance().db_instance_identifier("x"),
        "rds restore": clients.rds.restore_db_instance_from_db_snapshot().db_instance_identifier("x"),
        "route53 delete": clients.route53.delete_hosted_zone().id("Z"),
        "dynamodb delete": clients.dynamodb.delete_table().table_name("x"),
        "s3 put": clients.s3.put_object().bucket("x").key("x"),
        "s3 delete": clients.s3.delete_object().bucket("x").key("x"),
        "ecs update": clients.ecs.update_service().service("x"),
        "cloudfront delete": clients.cloudfront.delete_distribution().id("x"),
        "sts assume": clients.sts.assume_role().role_arn("arn:aws:iam::1:role/x").role_session_name("x"),
        "sts session": clients.sts.get_session_token(),
    }
    for (what, error) in &refused {
        assert!(error.contains("this only looks"), "{what}: {error}");
    }
    assert_eq!(refused.len(), 10);
    assert_eq!((connections.load(Ordering::SeqCst), bytes.load(Ordering::SeqCst)), (0, 0), "not one byte has left");
    // The trap is not simply deaf: a read gets through.
    clients.sts.get_caller_identity().send().await.expect_err("the trap does not answer");
    assert!(bytes.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_call_that_nobody_takes_was_not_sent_and_one_that_was_cut_is_in_doubt() {
    use dr_engine::step::StepError;
    let site = |clients: &dr_steps::aws::Clients| clients.call("sts", "AssumeRole");
    let role = "arn:aws:iam::111122223333:role/x";
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let cx = drive::acting(drive::config(&format!("http://{closed}"), "LAB000000000001"));
    let clients = dr_steps::world::World::of(&cx.read).aws.write(&cx).await.expect("clients");
    let error = clients.sts.assume_role().role_arn(role).role_session_name("xx").send().await.expect_err("closed");
    match site(&clients).wrote(&error) {
        StepError::Failed(failure) => assert!(failure.transient && failure.message.contains("not sent"), "{failure:?}"),
        other => panic!("{other:?}"),
    }
    let (address, _, _) = trap();
    let cx = drive::acting(drive::config(&address, "LAB000000000001"));
    let clients = dr_steps::world::World::of(&cx.read).aws.write(&cx).await.expect("clients");
    let error = clients.sts.assume_role().role_arn(role).role_session_name("xx").send().await.expect_err("cut");
    match site(&clients).wrote(&error) {
        StepError::Doubt(failure) => assert!(failure.transient, "{failure:?}"),
        other => panic!("{other:?}"),
    }
}
