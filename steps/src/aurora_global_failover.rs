//! `aurora.global_failover`: a secondary cluster of an Aurora global database
//! writes from now on, though the primary is lost.
//!
//! How that moves and is waited for stands in `aurora.rs`. It does not wait for
//! what had not arrived, and loses it: `AllowDataLoss`. How far the cluster was
//! behind (`AuroraGlobalDBRPOLag`, else `AuroraGlobalDBReplicationLag`, which
//! older versions of Aurora `MySQL` have) is written down before the call.
//!
//! It makes a second writer. Aurora stops the writes of the old primary where
//! it can ("write fencing"), and calls that a best effort: in a region that is
//! cut off and alive the old one goes on, and what it takes is thrown away when
//! it comes back as a secondary. So a fence is wanted, and where there can be
//! none, the word of two people (Amazon Aurora User Guide, Performing managed
//! failovers for Aurora global databases).
//!
//! A cluster that writes already is done: that it is the primary of this very
//! global database is seen, whoever made it so. What that lost is then unknown.
//!
//! Left out: `RemoveFromGlobalCluster`, which is for clusters of different
//! versions and takes the topology apart.

use crate::{
    aurora::{self, Target, Writer},
    aws::{Clients, error::code, limits},
    before,
    metrics::{Metric, Sample},
    promotion::{self, Found, Promotion, Stage, Writes},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes a secondary cluster of an Aurora global database the one that writes,
/// and loses what had not arrived there. For a primary that is lost.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalFailover {
    /// The global database.
    global_cluster: In<String>,
    /// The cluster in the step's region that is to write, by name or ARN.
    target: In<String>,
}

/// The metrics that say how far a cluster is behind, in milliseconds, the better first.
const LAGS: [&str; 2] = ["AuroraGlobalDBRPOLag", "AuroraGlobalDBReplicationLag"];

/// Up to when the cluster had what the primary had.
fn recovery_point(found: &Found) -> Option<RecoveryPoint> {
    found.lag.as_ref().map(|(metric, lag)| point(metric, lag))
}

/// What the step gives: of what it did not see before, it says so.
fn output(mut output: Output, found: Option<&Found>) -> Output {
    let lag = found.and_then(|found| found.lag.as_ref()).map(|(_, lag)| lag);
    let unseen = || String::from("it wrote already when this run looked first");
    output.values.insert("from".into(), found.and_then(|found| found.writer.clone()).into());
    output.values.insert("lag_ms".into(), lag.map_or(Value::Null, |lag| lag.value.into()));
    output.values.insert("lag_at".into(), lag.map_or(Value::Null, |lag| lag.at.to_string().into()));
    output.values.insert("lag_unknown".into(), found.map_or_else(|| Some(unseen()), |it| it.unknown.clone()).into());
    output.recovery_point = found.and_then(recovery_point);
    output
}

impl GlobalFailover {
    fn target<'a>(&self, clients: &'a Clients) -> Target<'a> {
        Target { clients, global: self.global().to_owned(), cluster: self.target.get().clone() }
    }

    fn global(&self) -> &str {
        self.global_cluster.get()
    }

    /// What was written down of this target, if the failover may have been asked for since.
    fn asked(&self, cx: &ReadCx) -> Option<Found> {
        promotion::asked(cx, self.global(), self.target.get())
    }

    /// How far the cluster is behind. Published are these metrics with the region that is
    /// written to as `SourceRegion`, as a workshop of AWS shows them and the reference of Neptune,
    /// which has the same; the guide of Aurora names no dimensions, so without it is asked too.
    async fn behind(
        cx: &ReadCx,
        clients: &Clients,
        arn: &str,
        writer: Option<&str>,
    ) -> Result<Option<(String, Sample)>, Failure> {
        let since = cx.clock.now().after(Dur(-limits::METRIC_SINCE.0));
        let cluster = ("DBClusterIdentifier", promotion::name(arn));
        let from = writer.and_then(promotion::region).map(|region| vec![cluster, ("SourceRegion", region)]);
        let dimensions: Vec<_> = from.into_iter().chain([vec![cluster]]).collect();
        for name in LAGS {
            for of in &dimensions {
                let metric = Metric { namespace: "AWS/RDS", name, of };
                if let Some(lag) = metric.newest(cx, clients, since, |lag| lag >= 0.0).await? {
                    return Ok(Some((name.into(), lag)));
                }
            }
        }
        Ok(None)
    }

    async fn measure(&self, cx: &ReadCx, clients: &Clients, arn: String, writer: Option<String>) -> Found {
        let (lag, unknown) = match Self::behind(cx, clients, &arn, writer.as_deref()).await {
            Ok(Some(lag)) => (Some(lag), None),
            Ok(None) => (None, Some(no_sample(&arn))),
            // A failover does not wait for a service that only measures.
            Err(failure) => (None, Some(failure.message)),
        };
        Found { global: self.global().into(), arn, writer, at: cx.clock.now(), lag, unknown }
    }

    /// Asks for it; gives the refusal where RDS said *not now*.
    async fn ask(
        &self,
        cx: &StepCx,
        clients: &Clients,
        found: &Found,
        first: bool,
    ) -> Result<Option<Failure>, StepError> {
        if first {
            before::write(cx, found).await;
        }
        let request = clients.rds.failover_global_cluster().global_cluster_identifier(self.global());
        let reply = request.target_db_cluster_identifier(&found.arn).allow_data_loss(true).send().await;
        let Err(e) = reply else {
            before::accepted(cx, &found.arn).await;
            return Ok(None);
        };
        match clients.call("rds", "FailoverGlobalCluster").wrote(&e) {
            StepError::Failed(failure) if aurora::not_now(code(&e)) => Ok(Some(failure)),
            StepError::Failed(failure) => {
                // Nothing has begun: the next call is measured anew.
                if first {
                    before::refused(cx).await;
                }
                Err(failure.into())
            }
            doubt => Err(doubt),
        }
    }
}

/// Up to when a cluster that was so many milliseconds behind has what the primary had.
fn point(metric: &str, lag: &Sample) -> RecoveryPoint {
    RecoveryPoint { at: lag.less(Dur(1)), source: metric.into() }
}

fn no_sample(arn: &str) -> String {
    format!("CloudWatch has no sample of how far `{}` is behind", promotion::name(arn))
}

impl Explained for GlobalFailover {
    const REFERENCE: Reference = Reference {
        check: "`DescribeGlobalClusters`. Nothing of it while the cluster follows another one; under way while it \
            becomes the writer; done when it is the writer, nothing moves, the cluster and the instance that \
            writes are available (`DescribeDBClusters`, `DescribeDBInstances`). A cluster that is no member, or a \
            move to another one, is refused.",
        run: "Waits while the global database is changed by somebody, for half an hour at most; `GetMetricData` for the \
            newest sample of `AuroraGlobalDBRPOLag`; writes down who wrote and how far the cluster was behind; \
            `FailoverGlobalCluster` with `AllowDataLoss`, called in the step's region; waits until it writes.",
        undo: None,
        recovery_point: Some(
            "The time of the newest sample of `AuroraGlobalDBRPOLag` before the call, less the lag; without one, of \
             `AuroraGlobalDBReplicationLag`. Without either it is unknown, and so is the run's RPO.",
        ),
        time: "Some minutes (general knowledge, not measured); other secondaries are built anew for hours.",
        traps: &[
            "Aurora stops the old primary's writes where it can, and does not promise it: fence it, or keep \
             applications off it.",
            "What the old primary had and did not send is in a snapshot that Aurora tries to take when its region \
             is back (`rds:unplanned-global-failover-…`), kept as long as its backups: copy it.",
            "The way home is `aurora.global_switchover`, once the old primary is connected again.",
            "Both clusters need the same major and minor version, and the target an instance.",
            "Parameter groups, alarms and integrations are the target's own.",
            "Names that are cached send writers to the old one: `global_endpoint` follows the writer.",
        ],
        example: "
            ledger:
              do:
                aurora.global_failover:
                  global_cluster: ledger
                  target: ledger-eu-central-1
              fence: old_writer
              data_loss: acknowledge
              timeout: 1h
              rpo: 1m
            old_writer:
              do:
                fence.command:
                  argv: [./old-writer, stop]
                  check: { argv: [./old-writer, cannot-write] }
              timeout: 5m
        ",
    };
}

#[async_trait]
impl Step for GlobalFailover {
    fn describe(&self) -> Description {
        Description {
            summary: format!("let `{}` write for Aurora global database `{}`", self.target, self.global_cluster),
            actions: aurora::LOOKS
                .into_iter()
                .chain(["rds:FailoverGlobalCluster", "cloudwatch:GetMetricData"])
                .collect(),
            irreversible: true,
            second_writer: true,
            loses_data: true,
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        let mut outputs = aurora::outputs(&["from", "lag_at", "lag_unknown"]);
        outputs.push(OutputName::number("lag_ms"));
        outputs
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let known = self.asked(cx);
        Ok(match self.target(&clients).check(cx, self.asked(cx).map(|found| found.ask(cx))).await? {
            Check::Done(done) => Check::Done(output(done, known.as_ref())),
            check => check,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let target = self.target(&clients);
        let asked = promotion::pending(&cx.read, self.global(), self.target.get());
        let first = asked.is_none();
        let (found, writer): (Option<Found>, Box<Writer>) = match target.at_rest(&cx.read).await? {
            Stage::Follows { arn, writer } => {
                promotion::not_past(&cx.read, asked.as_ref())?;
                let found = match asked {
                    Some(found) => found,
                    None => self.measure(&cx.read, &clients, arn, writer).await,
                };
                let refused = AtomicBool::new(false);
                let ask = async {
                    // What was taken is waited for, and never asked for twice.
                    if !first && found.ask(&cx.read).accepted {
                        return Ok(None);
                    }
                    let answer = self.ask(cx, &clients, &found, first).await?;
                    refused.store(answer.is_some(), Ordering::Relaxed);
                    Ok(answer)
                };
                let ended = Box::pin(target.write(cx, ask)).await;
                if ended.is_err() && refused.load(Ordering::Relaxed) {
                    // Nothing has begun: the next call is measured anew.
                    before::refused(cx).await;
                }
                (Some(found), ended?)
            }
            _ => (self.asked(&cx.read), Box::pin(target.write(cx, async { Ok(None) })).await?),
        };
        Ok(output(writer.output(), found.as_ref()))
    }

    async fn would_keep(&self, cx: &ReadCx) -> Result<RecoveryPoint, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        if let Some(found) = promotion::pending(cx, self.global(), self.target.get()) {
            return recovery_point(&found).ok_or_else(|| Failure::new(no_sample(&found.arn)));
        }
        let (arn, writer) = match self.target(&clients).see(cx).await? {
            Stage::Follows { arn, writer } => (arn, writer),
            Stage::Elsewhere(failure) => return Err(failure),
            Stage::Busy(says) | Stage::Moving(says) => return Err(Failure::new(says)),
            Stage::Writes(_) => return Err(Failure::new(format!("`{}` writes already", self.target))),
        };
        let lag = Self::behind(cx, &clients, &arn, writer.as_deref()).await?;
        lag.map(|(metric, lag)| point(&metric, &lag)).ok_or_else(|| Failure::new(no_sample(&arn)))
    }
}
