//! `s3.replication_check`.

use crate::{
    drive::{self, Drive, by_hand},
    lab::{Estate, lab},
};
use async_trait::async_trait;
use aws_sdk_cloudwatch::{
    config::Region,
    primitives::DateTime,
    types::{Dimension, MetricDatum},
};
use aws_sdk_s3::types::{
    BucketVersioningStatus, DeleteMarkerReplication, DeleteMarkerReplicationStatus, Destination,
    ReplicationConfiguration, ReplicationRule, ReplicationRuleFilter, ReplicationRuleStatus, VersioningConfiguration,
};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    duration::Dur,
    outcome::Output,
    plan::StepIx,
    run::State,
    step::Steps as _,
};
use serde_json::{Value, json};
use std::sync::Arc;

const KIND: &str = "s3.replication_check";
const HOME: &str = "eu-west-1";
const FAILED: &str = "OperationsFailedReplication";

fn with(estate: &Estate) -> Value {
    json!({ "source": estate.param("bucket_media"), "from": HOME, "target": estate.param("bucket_media_replica") })
}

async fn done(estate: &Estate, with: &Value) -> Output {
    let ended = Drive::new(estate, KIND, with).go(None).await;
    assert!(matches!(ended.state(), State::Done), "{:?}", ended.state());
    ended.run.step(StepIx(0)).output.clone()
}

async fn refused(estate: &Estate, with: &Value) -> String {
    Drive::new(estate, KIND, with).go(None).await.failure().message
}

/// What S3 has measured of the seed's rule: name, value, and when.
async fn measured(estate: &Estate, samples: &[(&str, f64, Time)]) {
    let hand = by_hand(estate).await;
    let there = Region::new(HOME);
    let there = aws_sdk_cloudwatch::Client::from_conf(hand.cloudwatch.config().to_builder().region(there).build());
    for (name, value, at) in samples {
        // Of the four only this one is the source's.
        let cloudwatch = if *name == FAILED { &there } else { &hand.cloudwatch };
        let dimension = |name, value: &str| Dimension::builder().name(name).value(value).build();
        let datum = MetricDatum::builder()
            .metric_name(*name)
            .value(*value)
            .timestamp(DateTime::from_millis(at.0))
            .dimensions(dimension("SourceBucket", estate.param("bucket_media")))
            .dimensions(dimension("DestinationBucket", estate.param("bucket_media_replica")))
            .dimensions(dimension("RuleId", estate.param("media_rule")));
        cloudwatch.put_metric_data().namespace("AWS/S3").metric_data(datum.build()).send().await.expect("kept");
    }
}

fn home(hand: &dr_steps::aws::Clients) -> aws_sdk_s3::Client {
    let there = hand.s3.config().to_builder().region(aws_sdk_s3::config::Region::new(HOME)).build();
    aws_sdk_s3::Client::from_conf(there)
}

async fn written(estate: &Estate, bucket: &str, key: &str) {
    let hand = by_hand(estate).await;
    home(&hand).put_object().bucket(estate.param(bucket)).key(key).body(vec![1].into()).send().await.expect("written");
}

/// The beginning of the minute so many minutes from now.
fn minute(from_now: i64) -> Time {
    Time((SystemClock::new().now().0 / 60_000 + from_now) * 60_000)
}

#[tokio::test]
async fn what_is_seen_of_both_sides_is_told_and_no_more() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let output = done(&estate, &with(&estate)).await;
    assert_eq!(output.recovery_point, None, "nothing was measured");
    for (name, value) in [
        ("source", json!("seen")),
        ("rule", json!("all")),
        ("delete_markers", json!("replicated")),
        ("pending", Value::Null),
        ("sampled", json!(3)),
        ("sampled_pending", json!(0)),
    ] {
        assert_eq!(output.values[name], value, "{name}");
    }
    assert!(output.values["newest_replica_sampled"].is_string());
    assert_eq!(output.values["unmeasured"], "CloudWatch has no sample of how far the target is behind");
    assert_eq!(estate.writes(), []);
    // Who may not ask CloudWatch is told so, and all the rest.
    estate.faults(&json!([{ "operation": "GetMetricData", "every": true, "do": "access_denied" }]));
    let unmeasured = done(&estate, &with(&estate)).await.values["unmeasured"].clone();
    assert!(unmeasured.as_str().is_some_and(|why| why.contains("AccessDenied")), "{unmeasured}");
    estate.faults(&json!([]));
    written(&estate, "bucket_media", "new").await;
    let at = minute(-3);
    measured(&estate, &[("OperationsPendingReplication", 1.0, at), ("ReplicationLatency", 42.0, at)]).await;
    let output = done(&estate, &with(&estate)).await;
    assert_eq!(
        (&output.values["pending"], &output.values["sampled_pending"], &output.values["pending_bytes"]),
        (&json!(1.0), &json!(1), &Value::Null)
    );
    let point = output.recovery_point.expect("measured");
    assert_eq!(point.at, at.after(Dur::seconds(-42)));
    assert_eq!(point.source, format!("ReplicationLatency measured at {at}"));
    assert_eq!(output.values["unmeasured"], Value::Null);
}

#[tokio::test]
async fn of_a_lost_source_what_the_target_alone_tells_is_told_as_that() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    // Once: the minute may pass meanwhile.
    let then = minute(-90);
    measured(&estate, &[("ReplicationLatency", 7.0, then)]).await;
    estate.region(HOME, "down");
    let mut drive = Drive::new(&estate, KIND, &with(&estate));
    drive.step().check_timeout = Dur(3_000);
    let failure = drive.go(None).await.failure();
    assert!(failure.message.contains("GetBucketVersioning in eu-west-1"), "{failure:?}");
    let mut lost = with(&estate);
    lost["source_may_be_lost"] = true.into();
    let output = done(&estate, &lost).await;
    let source = output.values["source"].as_str().expect("a text");
    assert!(source.starts_with("not seen: s3 GetBucketVersioning in eu-west-1"), "{source}");
    assert_eq!((&output.values["rule"], &output.values["sampled"]), (&Value::Null, &Value::Null));
    assert!(output.values["newest_replica_sampled"].is_string());
    assert_eq!(output.recovery_point, None, "nobody knows the rule");
    assert_eq!(output.values["unmeasured"], "nobody knows the rule; name it as `rule`");
    // Whoever names the rule is told how far behind the target was when it was measured last.
    lost["rule"] = estate.param("media_rule").into();
    let point = done(&estate, &lost).await.recovery_point.expect("measured");
    assert_eq!(point.at, then.after(Dur::seconds(-7)));
    assert!(point.source.ends_with(", whether operations failed is not known"), "{point:?}");
    // What failed is neither pending nor in the latency: a point that leaves it out would not be true.
    estate.region(HOME, "up");
    let failed = |value, from_now| (FAILED, value, minute(from_now));
    measured(&estate, &[failed(0.0, -95)]).await;
    let point = done(&estate, &lost).await.recovery_point.expect("measured");
    assert!(!point.source.contains("not known"), "{point:?}");
    measured(&estate, &[failed(2.0, -94), failed(0.0, -90)]).await;
    let output = done(&estate, &lost).await;
    assert_eq!((&output.recovery_point, &output.values["failed"]), (&None, &json!(2.0)));
    let says = format!("2 operations failed to replicate in the minute of {}", minute(-94));
    assert!(output.values["unmeasured"].as_str().is_some_and(|why| why.starts_with(&says)), "{output:?}");
    // Nor is such a source drained, whatever is pending.
    let mut wait = with(&estate);
    wait["wait"] = true.into();
    let failure = Drive::new(&estate, KIND, &wait).go(None).await.failure();
    assert!(failure.message.starts_with(&says), "{failure:?}");
    assert_eq!(estate.writes().iter().filter(|(name, _)| name != "PutMetricData").count(), 0);
}

#[tokio::test]
async fn what_is_not_replicated_is_no_green() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    let field = |name: &str, value: &str| {
        let mut with = with(&estate);
        with[name] = value.into();
        with
    };
    let nothing = field("source", estate.param("bucket_assets"));
    assert!(refused(&estate, &nothing).await.contains("has no rule that replicates everything to"));
    let other = field("rule", "other");
    assert!(refused(&estate, &other).await.contains("has no rule `other` that replicates everything to"));
    let claim = field("target", estate.param("bucket_claim"));
    assert!(refused(&estate, &claim).await.contains("keeps no versions: nothing is replicated"));
    let elsewhere = field("from", "eu-north-1");
    assert!(refused(&estate, &elsewhere).await.contains("the bucket is in eu-west-1"));
    assert_eq!(estate.writes(), []);
    // What was written before there was a rule stays in the source alone.
    let hand = by_hand(&estate).await;
    let (source, target) = (estate.param("bucket_assets"), estate.param("bucket_assets_replica"));
    let there = Destination::builder().bucket(format!("arn:aws:s3:::{target}")).build().expect("whole");
    let markers = DeleteMarkerReplication::builder().status(DeleteMarkerReplicationStatus::Disabled).build();
    let rule = ReplicationRule::builder().id("late").priority(1).status(ReplicationRuleStatus::Enabled);
    let filter = ReplicationRuleFilter::builder().prefix("").build();
    let rule = rule.filter(filter).delete_marker_replication(markers).destination(there).build().expect("whole");
    let rules = ReplicationConfiguration::builder().role("arn:aws:iam::123456789012:role/r").rules(rule);
    let rules = rules.build().expect("whole");
    let put = home(&hand).put_bucket_replication().bucket(source).replication_configuration(rules).send().await;
    put.expect("a rule");
    let mut late = field("source", source);
    late["target"] = target.into();
    let says = refused(&estate, &late).await;
    assert!(says.contains("objects of") && says.contains("were not replicated, `"), "{says}");
    // A rule by which nothing is measured cannot be waited for.
    late["prefix"] = "nothing/".into();
    assert_eq!(done(&estate, &late).await.values["delete_markers"], "not replicated");
    late["wait"] = true.into();
    assert!(refused(&estate, &late).await.contains("publishes no metrics: nobody can say when nothing is pending"));
    // Versions that are suspended in the source bring nothing any more.
    let off = VersioningConfiguration::builder().status(BucketVersioningStatus::Suspended).build();
    let put = home(&hand).put_bucket_versioning().bucket(estate.param("bucket_media")).versioning_configuration(off);
    put.send().await.expect("suspended");
    assert!(refused(&estate, &with(&estate)).await.contains("keeps no versions"));
}

/// A clock by which a minute is a tenth of a second.
struct Fast {
    clock: SystemClock,
    began: Time,
}

const TIMES: i64 = 600;

#[async_trait]
impl Clock for Fast {
    fn now(&self) -> Time {
        Time(self.began.0 + self.clock.now().since(self.began).0 * TIMES)
    }

    async fn sleep_until(&self, until: Time) {
        self.clock.sleep_until(Time(self.began.0 + until.since(self.began).0 / TIMES + 1)).await;
    }
}

#[tokio::test]
async fn it_waits_until_nothing_was_pending_in_a_minute_after_it_began() {
    let Some(lab) = lab() else { return };
    let estate = lab.estate();
    written(&estate, "bucket_media", "new").await;
    let pending = |value, from_now| ("OperationsPendingReplication", value, minute(from_now));
    // The first zero is of before; of the minutes to come each is seen when it has come.
    measured(&estate, &[pending(0.0, -2), pending(3.0, 4), pending(1.0, 20), pending(0.0, 40)]).await;
    let mut with = with(&estate);
    with["wait"] = true.into();
    let clock = SystemClock::new();
    let fast = Arc::new(Fast { began: clock.now(), clock });
    let mut bench = drive::bench(drive::of(&estate));
    (bench.clock, bench.step.kind) = (fast.clone(), KIND.into());
    let cx = bench.cx();
    let work = dr_steps::registry().step(&cx.read.step, with).expect("a step");
    assert_eq!(work.check(&cx.read).await, Ok(dr_engine::step::Check::Absent));
    let output = work.run(&cx).await.expect("drained");
    assert!(fast.now() >= minute(39), "it waited for the minute in which nothing was pending");
    assert_eq!((&output.values["pending"], &output.values["sampled_pending"]), (&json!(0.0), &json!(0)));
    assert!(!work.changes());
}
