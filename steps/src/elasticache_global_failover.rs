//! `elasticache.global_failover`: a secondary cache of a global datastore writes
//! from now on, though the primary is lost.
//!
//! How that moves and is waited for stands in `elasticache/global.rs` and
//! `promotion.rs`. Replication is asynchronous: what had not arrived is lost. How
//! far the cache was behind (`GlobalDatastoreReplicationLag`) is written down
//! before the call; where nobody measured it, that is unknown and said.
//!
//! It makes a second writer: an old primary in a region that is cut off and alive
//! goes on, and what it takes is thrown away when it comes back as a secondary. So
//! a fence is wanted, and where there can be none, the word of two people.
//!
//! A cache that writes already is done: that it is the primary of this very
//! datastore is seen, whoever made it so. What that lost is then unknown. It is not
//! taken back: the way home loses as the way there did, and wants the same fence
//! and the same question, so that it is a step of its own.
//!
//! Left out: `DisassociateGlobalReplicationGroup`, which makes a cache stand alone
//! and takes the datastore apart.

use crate::{
    aws::{Clients, error::code},
    before,
    elasticache::{
        self,
        global::{self, LAG, LAG_UNIT, Target},
    },
    metrics::Sample,
    promotion::{self, Found, Promotion, Stage, Writes},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes a secondary cache of an `ElastiCache` global datastore the one that
/// writes, and loses what had not arrived there. For a primary that is lost.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalFailover {
    /// The global datastore: its whole id, with the letters that AWS put before the name.
    global_datastore: In<String>,
    /// The cache (replication group) in the step's region that is to write.
    target: In<String>,
}

/// Up to when a cache that was so far behind has what the primary had.
fn point(lag: &Sample) -> RecoveryPoint {
    RecoveryPoint { at: lag.less(LAG_UNIT), source: LAG.into() }
}

/// What the step gives: of what it did not see before, it says so.
fn output(mut output: Output, found: Option<&Found>) -> Output {
    let lag = found.and_then(|found| found.lag.as_ref()).map(|(_, lag)| lag);
    let unseen = || String::from("it wrote already when this run looked first, or somebody else let it");
    output.values.insert("from".into(), found.and_then(|found| found.writer.clone()).into());
    output.values.insert("lag_seconds".into(), lag.map_or(Value::Null, |lag| lag.value.into()));
    output.values.insert("lag_at".into(), lag.map_or(Value::Null, |lag| lag.at.to_string().into()));
    output.values.insert("lag_unknown".into(), found.map_or_else(|| Some(unseen()), |it| it.unknown.clone()).into());
    output.recovery_point = lag.map(point);
    output
}

impl GlobalFailover {
    fn target<'a>(&self, clients: &'a Clients) -> Target<'a> {
        Target { clients, global: self.global().to_owned(), cache: self.target.get().to_lowercase() }
    }

    fn global(&self) -> &str {
        self.global_datastore.get()
    }

    /// What was written down of this target, if the failover may have been asked for since.
    fn asked(&self, cx: &ReadCx) -> Option<Found> {
        promotion::asked(cx, self.global(), self.target.get())
    }

    fn no_sample(&self) -> String {
        format!("CloudWatch has no sample of how far `{}` is behind", self.target)
    }

    async fn measure(&self, cx: &ReadCx, target: &Target<'_>, arn: String, writer: Option<String>) -> Found {
        let (lag, unknown) = match target.behind(cx).await {
            Ok(Some(lag)) => (Some((LAG.into(), lag)), None),
            Ok(None) => (None, Some(self.no_sample())),
            // A failover does not wait for a service that only measures.
            Err(failure) => (None, Some(failure.message)),
        };
        Found { global: self.global().into(), arn, writer, at: cx.clock.now(), lag, unknown }
    }

    /// Asks for it; gives the refusal where `ElastiCache` said *not now*.
    async fn ask(&self, cx: &StepCx, clients: &Clients, arn: &str) -> Result<Option<Failure>, StepError> {
        let request = clients.elasticache.failover_global_replication_group();
        let request = request.global_replication_group_id(self.global()).primary_region(&clients.region);
        let Err(e) = request.primary_replication_group_id(promotion::name(arn)).send().await else {
            before::accepted(cx, arn).await;
            return Ok(None);
        };
        match clients.call("elasticache", "FailoverGlobalReplicationGroup").wrote(&e) {
            StepError::Failed(failure) if global::not_now(code(&e)) => Ok(Some(failure)),
            error => Err(error),
        }
    }
}

impl Explained for GlobalFailover {
    const REFERENCE: Reference = Reference {
        check: "`DescribeGlobalReplicationGroups`. Nothing of it while the cache follows another one; under way while \
            it becomes the primary; done when it is the primary, the datastore is available, and so is the cache \
            (`DescribeReplicationGroups`). A cache that is no member is refused.",
        run: "Waits while the datastore is changed by somebody, for half an hour at most; `ListMetrics` and \
            `GetMetricData` for the newest sample of `GlobalDatastoreReplicationLag`; writes down which cache wrote \
            and how far the target was behind; `FailoverGlobalReplicationGroup`, called in the step's region; waits \
            until the target writes.",
        undo: None,
        recovery_point: Some(
            "The time of the newest sample of `GlobalDatastoreReplicationLag` before the call, less the lag; of several \
             shards the worst. Without a sample it is unknown, and so is the run's RPO.",
        ),
        time: "About a minute or two (general knowledge, not measured).",
        traps: &[
            "AWS does not promise that the old primary stops: fence it, or keep applications off it. What it takes \
             while it is cut off is thrown away when it comes back.",
            "By which dimension the lag is measured AWS does not document: `CloudWatch` is asked which there are, in \
             the step's region. Look once, before it counts, whether it has samples.",
            "The way home is the same step with the old primary as the target, once it follows again; it loses what \
             had not arrived.",
            "Parameter groups, security groups, users and alarms are the target's own.",
            "Each cache has its own endpoint, and none follows the writer: a name in front of it, or a setting, has to \
             move.",
            "Where no failover is possible any more, `DisassociateGlobalReplicationGroup` makes the secondary stand \
             alone; this step does not do it, since the datastore has to be built anew after.",
        ],
        example: "
            sessions_cache:
              do:
                elasticache.global_failover:
                  global_datastore: ldgnf-sessions
                  target: sessions-eu-central-1
              fence: old_cache
              data_loss: acknowledge
              timeout: 30m
              rpo: 1m
            old_cache:
              do:
                fence.command:
                  argv: [./old-cache, stop]
                  check: { argv: [./old-cache, cannot-write] }
              timeout: 5m
        ",
    };
}

#[async_trait]
impl Step for GlobalFailover {
    fn describe(&self) -> Description {
        let calls =
            ["elasticache:FailoverGlobalReplicationGroup", "cloudwatch:ListMetrics", "cloudwatch:GetMetricData"];
        Description {
            summary: format!("let `{}` write for global datastore `{}`", self.target, self.global_datastore),
            actions: global::LOOKS.into_iter().chain(calls).collect(),
            irreversible: true,
            second_writer: true,
            loses_data: true,
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        let mut outputs = elasticache::outputs(&["from", "lag_at", "lag_unknown"]);
        outputs.push(OutputName::number("lag_seconds"));
        outputs
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let asked = self.asked(cx);
        Ok(match self.target(&clients).check(cx, asked.as_ref().map(|found| found.ask(cx))).await? {
            Check::Done(done) => Check::Done(output(done, asked.as_ref())),
            check => check,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let target = self.target(&clients);
        let (asked, pending) = (self.asked(&cx.read), promotion::pending(&cx.read, self.global(), self.target.get()));
        let Stage::Follows { arn, writer } = target.at_rest(&cx.read).await? else {
            let writer = Box::pin(target.write(cx, async { Ok(None) })).await?;
            return Ok(output(writer.output(), asked.as_ref()));
        };
        promotion::not_past(&cx.read, pending.as_ref())?;
        let asked = pending;
        let first = asked.is_none();
        let found = match asked {
            Some(found) => found,
            None => self.measure(&cx.read, &target, arn, writer).await,
        };
        if first {
            before::write(cx, &found).await;
        }
        let refused = AtomicBool::new(false);
        let ask = async {
            // What was taken is waited for, and never asked for twice.
            if !first && found.ask(&cx.read).accepted {
                return Ok(None);
            }
            let answer = self.ask(cx, &clients, &found.arn).await;
            // Nothing has begun: whoever moves it from now on, it is not this call, and the next one is
            // measured anew.
            if first && matches!(answer, Ok(Some(_)) | Err(StepError::Failed(_))) {
                refused.store(true, Ordering::Relaxed);
                before::refused(cx).await;
            }
            answer
        };
        let writer = Box::pin(target.write(cx, ask)).await?;
        Ok(output(writer.output(), (!refused.load(Ordering::Relaxed)).then_some(&found)))
    }

    async fn would_keep(&self, cx: &ReadCx) -> Result<RecoveryPoint, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let unmeasured = || Failure::new(self.no_sample());
        if let Some(found) = promotion::pending(cx, self.global(), self.target.get()) {
            return found.lag.as_ref().map(|(_, lag)| point(lag)).ok_or_else(unmeasured);
        }
        let target = self.target(&clients);
        match target.see(cx).await? {
            Stage::Follows { .. } => {}
            Stage::Elsewhere(failure) => return Err(failure),
            Stage::Busy(says) | Stage::Moving(says) => return Err(Failure::new(says)),
            Stage::Writes(_) => return Err(Failure::new(format!("`{}` writes already", self.target))),
        }
        target.behind(cx).await?.as_ref().map(point).ok_or_else(unmeasured)
    }
}
