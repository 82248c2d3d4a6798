//! `s3.replication_check`: whether what is written into a bucket comes into its
//! replica, and how far behind that is.
//!
//! It looks and changes nothing. The rules are in the region of the source
//! (Amazon S3 API Reference, `GetBucketReplication`); what is measured is in
//! the region of the target (Amazon S3 User Guide, Using S3 Replication
//! metrics), so that it can still be read when the source is lost, if the
//! runbook names the rule. Whether single objects arrived is looked at for the
//! newest of one page of a list: a sample, and called so.
//!
//! Left out: rules by tags, of which nobody could say what they cover; owners
//! in other accounts; Multi-Region Access Points; and filling up what was
//! written before there was a rule, which is S3 Batch Replication's.

mod rule;

use self::rule::{Rule, Wanted};
use crate::{
    aws::{self, Clients, error::code, limits},
    metrics::{Metric, Sample},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_s3::types::{BucketVersioningStatus, ReplicationStatus};
use dr_engine::{
    clock::Time,
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Look, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Looks whether a bucket is replicated into another one, and how far behind
/// that is; or waits until nothing is pending.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicationCheck {
    /// The bucket that is written to.
    source: In<String>,
    /// The region of the source.
    from: In<String>,
    /// The bucket that it is replicated to, in the step's region.
    target: In<String>,
    /// Only keys that begin so have to be replicated. Default: all.
    #[serde(default)]
    prefix: Option<In<String>>,
    /// The rule that replicates them, by its ID. With it, how far behind the
    /// target was is known even when the source is lost.
    #[serde(default)]
    rule: Option<In<String>>,
    /// Whether to wait until nothing is pending any more. Who writes must be
    /// stopped before. The rule has to publish metrics. Default: false.
    #[serde(default)]
    wait: bool,
    /// Whether the source need not answer: then it is enough what the target
    /// alone tells. Default: false.
    #[serde(default)]
    source_may_be_lost: bool,
}

/// For how long before now it is looked what was measured last: of a region
/// that was lost, that is what was measured before.
const AGE_MAX: Dur = Dur(6 * 3_600_000);
/// How many names of objects a message carries.
const KEYS_SAID: usize = 3;

/// What some of the newest objects of a bucket say.
#[derive(Default)]
struct Sampled {
    looked_at: usize,
    pending: usize,
    /// Those that will not be replicated by themselves.
    failed: Vec<String>,
    newest_replica: Option<Time>,
}

/// What was measured of a rule last.
struct Measured {
    pending: Option<Sample>,
    bytes: Option<Sample>,
    /// In seconds.
    latency: Option<Sample>,
}

/// The newest minute in which operations failed, or why nobody knows.
type Failed = Result<Option<Sample>, String>;

impl ReplicationCheck {
    fn prefix(&self) -> &str {
        self.prefix.as_ref().map_or("", |prefix| prefix.get())
    }

    async fn keeps_versions(&self, clients: &Clients, bucket: &str) -> Result<(), Failure> {
        let reply = clients.s3.get_bucket_versioning().bucket(bucket).send().await;
        let reply = reply.map_err(|e| clients.call("s3", "GetBucketVersioning").read(&e))?;
        if reply.status() == Some(&BucketVersioningStatus::Enabled) {
            return Ok(());
        }
        let text = format!("the bucket `{bucket}` keeps no versions: nothing is replicated");
        Err(Failure::new(text).hint("switch versioning on, then see what was written meanwhile"))
    }

    /// The rule, as the source has it.
    async fn rule(&self, there: &Clients) -> Result<Rule, Failure> {
        let source = self.source.get();
        self.keeps_versions(there, source).await?;
        let reply = there.s3.get_bucket_replication().bucket(source).send().await;
        let rules = match reply {
            Err(e) if code(&e) == "ReplicationConfigurationNotFoundError" => Vec::new(),
            reply => {
                let reply = reply.map_err(|e| there.call("s3", "GetBucketReplication").read(&e))?;
                reply.replication_configuration.map_or_else(Vec::new, |config| config.rules)
            }
        };
        let id = self.rule.as_ref().map(|rule| rule.get().as_str());
        Wanted { source, target: self.target.get(), prefix: self.prefix(), id }.of(&rules)
    }

    /// How replication went of the newest objects of one page of the list.
    async fn sample(&self, clients: &Clients, bucket: &str) -> Result<Sampled, Failure> {
        let listed = clients.s3.list_objects_v2().bucket(bucket).prefix(self.prefix()).send().await;
        let listed = listed.map_err(|e| clients.call("s3", "ListObjectsV2").read(&e))?;
        let mut objects: Vec<_> = listed.contents.unwrap_or_default();
        objects.sort_by_key(|object| std::cmp::Reverse(object.last_modified().and_then(aws::time)));
        let objects = objects.into_iter().take(limits::REPLICATION_SAMPLE).filter_map(|object| object.key);
        let look = |key: String| async move {
            match clients.s3.head_object().bucket(bucket).key(&key).send().await {
                // Deleted since it was listed.
                Err(e) if matches!(code(&e), "NotFound" | "NoSuchKey") => Ok(None),
                reply => reply.map(|head| Some((key, head))).map_err(|e| clients.call("s3", "HeadObject").read(&e)),
            }
        };
        let heads: Vec<_> = stream::iter(objects).map(look).buffered(limits::HEADS_MAX).try_collect().await?;
        let mut sampled = Sampled::default();
        for (key, head) in heads.into_iter().flatten() {
            sampled.looked_at += 1;
            match head.replication_status() {
                Some(ReplicationStatus::Complete | ReplicationStatus::Completed) => {}
                Some(ReplicationStatus::Pending) => sampled.pending += 1,
                Some(ReplicationStatus::Replica) => {
                    let newest = head.last_modified().and_then(aws::time);
                    sampled.newest_replica = sampled.newest_replica.max(newest);
                }
                // FAILED, what was written before there was a rule, and what may come.
                _ => sampled.failed.push(key),
            }
        }
        Ok(sampled)
    }

    fn of<'a>(&'a self, rule: &'a str) -> [(&'static str, &'a str); 3] {
        [("SourceBucket", self.source.get()), ("DestinationBucket", self.target.get()), ("RuleId", rule)]
    }

    async fn measured(&self, cx: &ReadCx, here: &Clients, rule: &str) -> Result<Measured, Failure> {
        let (of, since) = (self.of(rule), cx.clock.now().after(Dur(-AGE_MAX.0)));
        let newest = async |name| Metric { namespace: "AWS/S3", name, of: &of }.newest(cx, here, since, |_| true).await;
        Ok(Measured {
            pending: newest("OperationsPendingReplication").await?,
            bytes: newest("BytesPendingReplication").await?,
            latency: newest("ReplicationLatency").await?,
        })
    }

    /// What failed counts in the source's region, unlike the rest (Amazon S3 User Guide,
    /// Using S3 Replication metrics); a minute without failures after one with some
    /// brings nothing back.
    async fn failed(&self, cx: &ReadCx, there: &Clients, rule: &str) -> Result<Option<Sample>, Failure> {
        let (of, since) = (self.of(rule), cx.clock.now().after(Dur(-AGE_MAX.0)));
        let metric = Metric { namespace: "AWS/S3", name: "OperationsFailedReplication", of: &of };
        metric.newest_sum(cx, there, since, |failed| failed > 0.0).await
    }

    /// One look at all of it.
    async fn look(&self, cx: &ReadCx) -> Result<Output, Failure> {
        let aws = &World::of(cx).aws;
        let here = aws.read(cx).await?;
        self.keeps_versions(&here, self.target.get()).await?;
        let there = aws.read_in(cx, Some(self.from.get())).await?;
        let rule = match self.rule(&there).await {
            // Not to answer is one thing, to have no such rule another.
            Err(failure) if failure.transient && self.source_may_be_lost => Err(failure),
            rule => Ok(rule?),
        };
        let id = rule.as_ref().ok().map(|rule| &rule.id).or_else(|| self.rule.as_ref().map(In::get));
        let measured = match id {
            // It does not wait for a service that only measures.
            Some(id) => self.measured(cx, &here, id).await.map_err(|failure| failure.message),
            None => Err("nobody knows the rule; name it as `rule`".into()),
        };
        let failed = match (id, &rule) {
            (Some(id), Ok(_)) => self.failed(cx, &there, id).await.map_err(|failure| failure.message),
            _ => Err("the source does not answer".into()),
        };
        let sampled = match &rule {
            Ok(_) => Some(self.sample(&there, self.source.get()).await?),
            Err(_) => None,
        };
        if let Some(sampled) = sampled.as_ref().filter(|sampled| !sampled.failed.is_empty()) {
            return Err(self.not_replicated(sampled));
        }
        let arrived = self.sample(&here, self.target.get()).await?;
        Ok(self.output(rule.as_ref(), measured.as_ref(), &failed, sampled.as_ref(), &arrived))
    }

    fn not_replicated(&self, sampled: &Sampled) -> Failure {
        let first: Vec<_> = sampled.failed.iter().take(KEYS_SAID).map(|key| format!("`{key}`")).collect();
        let (failed, all) = (sampled.failed.len(), sampled.looked_at);
        let text = format!(
            "{failed} of {all} objects of `{}` that were looked at were not replicated, {} first",
            self.source,
            first.join(", ")
        );
        Failure::new(text).hint(
            "they failed, or are older than the rule: S3 does not try them again; S3 Batch Replication brings them",
        )
    }

    fn output(
        &self,
        rule: Result<&Rule, &Failure>,
        measured: Result<&Measured, &String>,
        failed: &Failed,
        sampled: Option<&Sampled>,
        arrived: &Sampled,
    ) -> Output {
        let value = |pick: fn(&Measured) -> Option<Sample>| measured.ok().and_then(pick).map(|sample| sample.value);
        let latency = measured.ok().and_then(|measured| measured.latency);
        let silent = || String::from("CloudWatch has no sample of how far the target is behind");
        let unmeasured = match (measured, failed) {
            (Err(why), _) => Some(why.clone()),
            // What failed is neither pending nor in the latency.
            (Ok(_), Ok(Some(failed))) => {
                Some(format!("{}: the latency does not count what they would have brought", never_arrived(*failed)))
            }
            (Ok(_), _) if latency.is_none() => Some(silent()),
            (Ok(_), Ok(None)) => None,
            (Ok(_), Err(why)) => Some(format!("whether operations failed to replicate is not known: {why}")),
        };
        let Value::Object(values) = json!({
            "source": rule.map_or_else(|failure| format!("not seen: {}", failure.message), |_| "seen".into()),
            "rule": rule.map_or(self.rule.as_ref().map(In::get), |rule| Some(&rule.id)),
            "delete_markers": rule.ok().map(|rule| if rule.delete_markers { "replicated" } else { "not replicated" }),
            "pending": value(|measured| measured.pending),
            "pending_bytes": value(|measured| measured.bytes),
            "latency_s": latency.map(|sample| sample.value),
            "failed": failed.as_ref().ok().and_then(|failed| failed.map(|sample| sample.value)),
            "unmeasured": unmeasured,
            "sampled": sampled.map(|sampled| sampled.looked_at),
            "sampled_pending": sampled.map(|sampled| sampled.pending),
            "newest_replica_sampled": arrived.newest_replica.map(|at| at.to_string()),
        }) else {
            unreachable!("outputs have names")
        };
        let doubt = if failed.is_err() { ", whether operations failed is not known" } else { "" };
        let point = latency.filter(|_| !matches!(failed, Ok(Some(_)))).map(|sample| RecoveryPoint {
            at: sample.less(Dur::seconds(1)),
            source: format!("ReplicationLatency measured at {}{doubt}", sample.at),
        });
        Output { values, recovery_point: point }
    }

    /// Why the wait goes on; `None` where nothing has been pending in a minute
    /// that began when the wait had.
    async fn still(&self, cx: &ReadCx, since: Time) -> Result<Option<String>, Failure> {
        let aws = &World::of(cx).aws;
        let there = aws.read_in(cx, Some(self.from.get())).await?;
        let rule = self.rule(&there).await?;
        if !rule.metrics {
            let text = format!("the rule `{}` publishes no metrics: nobody can say when nothing is pending", rule.id);
            return Err(Failure::new(text).hint("switch its metrics on; they begin a quarter of an hour later"));
        }
        if let Some(failed) = self.failed(cx, &there, &rule.id).await? {
            return Err(Failure::new(never_arrived(failed)).hint(
                "S3 does not try them again; S3 Batch Replication brings them, and after that `skip` goes on without \
                 this look",
            ));
        }
        let pending = self.measured(cx, &aws.read(cx).await?, &rule.id).await?.pending;
        if let Some(why) = undrained(pending, since) {
            return Ok(Some(why));
        }
        let sampled = self.sample(&there, self.source.get()).await?;
        let some = format!("{} of {} objects that were looked at are pending", sampled.pending, sampled.looked_at);
        Ok((sampled.pending > 0).then_some(some))
    }
}

/// What failed is not tried again by S3.
fn never_arrived(Sample { at, value }: Sample) -> String {
    format!("{value} operations failed to replicate in the minute of {at}")
}

/// Why what was measured does not show that nothing is pending.
fn undrained(pending: Option<Sample>, since: Time) -> Option<String> {
    match pending {
        Some(Sample { at, value }) if value > 0.0 => Some(format!("{value} operations were pending at {at}")),
        Some(Sample { at, .. }) if at >= since => None,
        Some(Sample { at, .. }) => Some(format!("nothing was pending at {at}, and nothing was measured since {since}")),
        None => Some("nothing was measured yet".into()),
    }
}

impl Explained for ReplicationCheck {
    const REFERENCE: Reference = Reference {
        check: "`GetBucketVersioning` on both buckets, `GetBucketReplication` on the source, `GetMetricData` in the \
            target's region and, of what failed, in the source's, and `HeadObject` on the 32 newest objects of one page of the list of either bucket. Done \
            when both keep versions, an enabled rule without tags replicates the prefix to the target, and none of \
            the objects that were looked at in the source failed or is older than the rule. With `wait` it only says \
            what is wrong, and the wait begins anew in each attempt.",
        run: "The same. With `wait` it looks again until `OperationsPendingReplication` was 0 in a whole minute that \
            began after the step, and none of the objects that were looked at is pending; operations that failed within \
            the last six hours (`OperationsFailedReplication`) fail it.",
        undo: None,
        recovery_point: Some(
            "The beginning of the minute in which `ReplicationLatency` was measured last, less that latency; \
             CloudWatch keeps it in the target's region. Unknown where the rule publishes no metrics, CloudWatch does not \
             answer, operations failed in the last six hours, or the source is lost and `rule` is not named; the \
             output `unmeasured` says why. Where the source's region does not answer, nobody knows whether operations \
             failed, and the recovery point says so.",
        ),
        time: "Seconds. With `wait` as long as replication takes, mostly minutes; S3 promises 15 minutes only with \
            Replication Time Control (Amazon S3 User Guide).",
        traps: &[
            "Without `source_may_be_lost` a source that does not answer fails the step; with it, the output `source` \
             says that nobody saw the rule.",
            "32 objects are a sample: that nothing is missing among them does not say that nothing is missing.",
            "Deletions of versions are never replicated; other deletions only where the rule says so, see the output \
             `delete_markers`.",
            "What was written before there was a rule is not replicated, and is told as missing.",
        ],
        example: r#"
            media_arrived:
              region: eu-central-1
              when: run.mode == "graceful"
              do:
                s3.replication_check:
                  source: media-eu-west-1
                  from: eu-west-1
                  target: media-eu-central-1
                  wait: true
              timeout: 30m
            media_as_far_as_known:
              region: eu-central-1
              do:
                s3.replication_check:
                  source: media-eu-west-1
                  from: eu-west-1
                  target: media-eu-central-1
                  rule: all
                  source_may_be_lost: true
              rpo: 15m
        "#,
    };
}

#[async_trait]
impl Step for ReplicationCheck {
    fn describe(&self) -> Description {
        let verb = if self.wait { "wait until" } else { "look whether" };
        Description {
            summary: format!("{verb} bucket `{}` of {} is replicated to `{}`", self.source, self.from, self.target),
            actions: vec![
                "s3:GetBucketVersioning",
                "s3:GetReplicationConfiguration",
                "s3:ListBucket",
                "s3:GetObject",
                "cloudwatch:GetMetricData",
            ],
            regions: vec![self.from.to_string()],
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        if !(self.wait && self.source_may_be_lost) {
            return Vec::new();
        }
        let message = "a source that may be lost cannot be waited for".into();
        let help = "take `wait` or `source_may_be_lost` away; or make two steps, each with its `when`".into();
        vec![Mistake { field: "source_may_be_lost", message, help }]
    }

    fn outputs(&self) -> Vec<OutputName> {
        let any = [
            "rule",
            "delete_markers",
            "pending",
            "pending_bytes",
            "latency_s",
            "failed",
            "unmeasured",
            "sampled",
            "sampled_pending",
        ];
        let any = any.into_iter().chain(["newest_replica_sampled"]);
        let any = any.map(|name| OutputName { name: name.into(), is: OutputType::Any });
        any.chain([OutputName::text("source")]).collect()
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        match self.look(cx).await {
            Ok(_) if self.wait => Ok(Check::Absent),
            Ok(output) => Ok(Check::Done(output)),
            Err(failure) if !failure.transient => Ok(Check::Impossible(failure)),
            Err(failure) => Err(failure),
        }
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        if self.wait {
            let since = cx.read.clock.now();
            let drained = || async {
                Ok(match self.still(&cx.read, since).await? {
                    Some(why) => Look::Pending(why),
                    None => Look::Ready(()),
                })
            };
            cx.read.poll(drained).await?;
        }
        Ok(self.look(&cx.read).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_pending_only_where_that_was_measured_after_the_wait_began() {
        let since = Time(120_000);
        let told = |at, value| undrained(Some(Sample { at: Time(at), value }), since);
        assert_eq!(told(120_000, 0.0), None);
        assert_eq!(told(180_000, 0.0), None);
        let says = "nothing was pending at 1970-01-01T00:01:00Z, and nothing was measured since 1970-01-01T00:02:00Z";
        assert_eq!(told(60_000, 0.0).as_deref(), Some(says));
        assert_eq!(told(180_000, 2.0).as_deref(), Some("2 operations were pending at 1970-01-01T00:03:00Z"));
        assert_eq!(undrained(None, since).as_deref(), Some("nothing was measured yet"));
    }
}
