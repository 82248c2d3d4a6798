//! `elasticache.restore_snapshot` and `elasticache.start_empty`.

use crate::{
    drive::{Drive, by_hand},
    lab::{Estate, lab},
    sweep::Trial,
};
use dr_engine::{outcome::Output, plan::StepIx, question::Choice, run::State};
use serde_json::{Value, json};

fn place(estate: &Estate, more: &Value) -> Value {
    let mut with = json!({
        "target": "Sessions-DR",
        "node_type": "cache.r7g.large",
        "subnet_group": estate.param("cache_subnet_group"),
        "security_groups": [estate.param("security_group_id")],
        "parameter_group": estate.param("cache_parameter_group"),
    });
    for (name, value) in more.as_object().expect("fields") {
        with[name] = value.clone();
    }
    with
}

fn restored(estate: &Estate) -> Value {
    place(estate, &json!({ "source": "Sessions-Cache" }))
}

pub(crate) fn empty(estate: &Estate) -> Value {
    place(estate, &json!({ "engine": "valkey", "engine_version": "8.0", "replicas": 0, "tls": false }))
}

pub(crate) const RESTORE: Trial = Trial { kind: "elasticache.restore_snapshot", with: restored, before: |_| () };
pub(crate) const EMPTY: Trial = Trial { kind: "elasticache.start_empty", with: empty, before: |_| () };

fn group(estate: &Estate, name: &str) -> Value {
    estate.state()["elasticache"]["groups"][format!("eu-central-1/{name}")].clone()
}

async fn done(estate: &Estate, kind: &str, with: &Value) -> Output {
    let ended = Drive::new(estate, kind, with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    ended.run.step(StepIx(0)).output.clone()
}

async fn refused(estate: &Estate, kind: &str, with: &Value) -> String {
    Drive::new(estate, kind, with).go(None).await.failure().message
}

#[tokio::test]
async fn the_newest_available_snapshot_is_restored_with_all_that_was_asked_for() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let ended = Drive::new(&estate, RESTORE.kind, &restored(&estate)).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    let output = &ended.run.step(StepIx(0)).output;
    assert_eq!(output.values["restored_from"], "sessions-cache-2026-a10");
    assert_eq!(output.values["endpoint"], "master.sessions-dr.eu-central-1.cache.amazonaws.com");
    assert_eq!((&output.values["port"], &output.values["cache"]), (&json!(6379), &json!("sessions-dr")));
    let point = output.recovery_point.as_ref().expect("a recovery point");
    let lost = ended.run.at.since(point.at).0 / 60_000;
    assert!((9..=12).contains(&lost), "the data is ten minutes old, not {lost}");
    let made = group(&estate, "sessions-dr");
    assert_eq!((&made["keys"], &made["status"]), (&json!(20), &json!("available")));
    let asked = &made["asked"];
    for (name, value) in [
        ("SnapshotName", json!("sessions-cache-2026-a10")),
        ("Engine", json!("redis")),
        ("EngineVersion", json!("7.1")),
        ("NumNodeGroups", json!(1)),
        ("ReplicasPerNodeGroup", json!(1)),
        ("AutomaticFailoverEnabled", json!(true)),
        ("MultiAZEnabled", json!(true)),
        ("TransitEncryptionEnabled", json!(true)),
        ("CacheSubnetGroupName", json!("dr-cache")),
        ("CacheParameterGroupName", json!("dr-redis7")),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
}

#[tokio::test]
async fn a_snapshot_of_several_shards_is_as_old_as_the_oldest_of_them() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let carts = json!({ "source": "carts-cache", "target": "carts-dr", "parameter_group": "dr-redis7-cluster" });
    let ended = Drive::new(&estate, RESTORE.kind, &place(&estate, &carts)).go(None).await;
    let output = &ended.run.step(StepIx(0)).output;
    let lost = ended.run.at.since(output.recovery_point.as_ref().expect("a recovery point").at).0 / 60_000;
    assert!((30..=33).contains(&lost), "the first shard is 30 minutes old, the second 31, not {lost}");
    assert_eq!(output.values["endpoint"], "clustercfg.carts-dr.eu-central-1.cache.amazonaws.com");
}

#[tokio::test]
async fn before_excludes_what_is_too_new_and_a_choice_stays() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let at = jiff::Timestamp::from_second(estate_now() - 3_600).expect("a time").to_string();
    let mut with = restored(&estate);
    with["before"] = at.into();
    let mut drive = Drive::new(&estate, RESTORE.kind, &with);
    estate.faults(&json!([{ "operation": "DescribeReplicationGroups", "nth": 3, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    assert_eq!(group(&estate, "sessions-dr")["asked"]["SnapshotName"], "sessions-cache-2026-b70");
    // What was made before the inputs changed does not pass for what they ask now.
    let failure = drive.again_with(&json!({ "before": null })).await.failure();
    assert!(
        failure.message.contains("was made from `sessions-cache-2026-b70` before the inputs changed"),
        "{failure:?}"
    );
    assert_eq!(estate.changes(), ["CreateReplicationGroup"]);
}

fn estate_now() -> i64 {
    use dr_engine::clock::{Clock, SystemClock};
    SystemClock::new().now().0 / 1_000
}

#[tokio::test]
async fn exported_files_are_restored_and_do_not_say_of_when_they_are() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let bucket = estate.param("bucket_assets_target");
    let files = |name: &str| {
        place(
            &estate,
            &json!({ "files": [format!("arn:aws:s3:::{bucket}/{name}")], "engine": "redis", "engine_version": "7.1" }),
        )
    };
    let says = refused(&estate, RESTORE.kind, &files("missing.rdb")).await;
    assert!(says.contains("Unable to fetch metadata from S3"), "{says}");
    let hand = by_hand(&estate).await;
    hand.s3.put_object().bucket(bucket).key("dump.rdb").body(vec![1].into()).send().await.expect("written");
    let output = done(&estate, RESTORE.kind, &files("dump.rdb")).await;
    assert_eq!(output.recovery_point, None);
    assert_eq!(output.values["restored_from"], format!("arn:aws:s3:::{bucket}/dump.rdb"));
    assert_eq!(group(&estate, "sessions-dr")["keys"], 7);
}

#[tokio::test]
async fn an_empty_cache_is_there_and_gives_no_recovery_point() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let output = done(&estate, EMPTY.kind, &empty(&estate)).await;
    assert_eq!(output.recovery_point, None);
    let made = group(&estate, "sessions-dr");
    assert_eq!((&made["keys"], &made["asked"]["Engine"]), (&json!(0), &json!("valkey")));
    let asked = &made["asked"];
    assert_eq!(
        (&asked["AutomaticFailoverEnabled"], &asked["TransitEncryptionEnabled"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_made() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    for (field, value, says) in [
        ("snapshot", "nothing", "there is no snapshot `nothing` in eu-central-1"),
        ("snapshot", "carts-cache-2026-a30", "is a snapshot of `carts-cache`, not of `sessions-cache`"),
        ("source", "nothing", "there is no available snapshot of `nothing` in eu-central-1, of 0"),
        ("before", "2001-01-01T00:00:00Z", "no available snapshot of `sessions-cache` not later than 2001-01-01"),
        ("subnet_group", "nothing", "CacheSubnetGroupNotFoundFault"),
    ] {
        let mut with = restored(&estate);
        with[field] = value.into();
        let message = refused(&estate, RESTORE.kind, &with).await;
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(estate.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cache_of_another_run_is_never_touched() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut first = Drive::new(&estate, EMPTY.kind, &empty(&estate));
    assert!(matches!(first.go(None).await.state(), State::Done));
    let mut other = Drive::new(&estate, EMPTY.kind, &empty(&estate));
    other.id = "20261122-070000-evacuate-0000".into();
    let says = format!("the cache `sessions-dr` already exists in eu-central-1 and belongs to run {}", first.id);
    assert_eq!(other.go(None).await.failure().message, says);
    assert!(!matches!(other.undo(None).await.state(), State::Undone));
    assert_eq!(estate.changes(), ["CreateReplicationGroup"]);
}

#[tokio::test]
async fn one_that_fails_is_said_to_and_can_be_taken_back() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate_with(json!({ "cache_rests": ["create-failed"] }));
    let mut drive = Drive::new(&estate, EMPTY.kind, &empty(&estate));
    let failure = drive.go(None).await.failure();
    assert_eq!(failure.message, "`sessions-dr` is create-failed");
    let ended = drive.answer(Choice::Undo).await;
    assert!(matches!(ended.state(), State::Undone), "{:?}", ended.state());
    assert_eq!(group(&estate, "sessions-dr"), Value::Null);
}

#[tokio::test]
async fn inputs_that_were_changed_after_it_was_made_are_not_passed_over() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let mut drive = Drive::new(&estate, EMPTY.kind, &empty(&estate));
    // The third look is the first after it was begun.
    estate.faults(&json!([{ "operation": "DescribeReplicationGroups", "nth": 3, "do": "access_denied" }]));
    assert!(drive.go(None).await.failure().message.contains("AccessDenied"));
    let mut back = json!({});
    for (field, value, was, says) in [
        (
            "node_type",
            json!("cache.r7g.xlarge"),
            json!("cache.r7g.large"),
            "has nodes of the type cache.r7g.large, not",
        ),
        ("replicas", json!(1), json!(0), "has 1 nodes in a shard, not 2"),
        ("tls", json!(true), json!(false), "speaks no TLS, other than `tls` says"),
        ("user_groups", json!(["readers"]), json!([]), "has the user groups {}, not {\"readers\"}"),
    ] {
        back[field] = value;
        let failure = drive.again_with(&back).await.failure();
        assert!(failure.message.starts_with(&format!("`sessions-dr` {says}")), "{failure:?}");
        back = json!({ field: was });
    }
    let ended = drive.again_with(&back).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    assert_eq!(estate.changes(), ["CreateReplicationGroup"]);
}
