//! An Aurora global database: who writes, and how that moves to another cluster.
//!
//! What `DescribeGlobalClusters` says decides: `IsWriter` of the members, and
//! `FailoverState` while something moves. Its states are not all in the model
//! (`switching-over` is not), so that none is taken for an error: what names a
//! target moves. The writer has changed before its instance works again, so
//! that is looked at too (Amazon Aurora User Guide, Using switchover or
//! failover in Amazon Aurora Global Database).

use crate::{
    aws::{Clients, error::code, limits},
    before::{self, BEFORE},
    metrics::Sample,
    rds,
};
use aws_sdk_rds::types::{DbCluster, GlobalCluster, GlobalClusterMember};
use dr_engine::{
    clock::Time,
    outcome::{Failure, Output},
    step::{Check, Look, OutputName, ReadCx, StepCx, StepError},
};
use serde::{Deserialize, Serialize};
use std::future::Future;

/// The cluster that is to write, of a global database.
#[derive(Clone)]
pub(crate) struct Target<'a> {
    /// Clients of its region: a move is asked for there.
    pub(crate) clients: &'a Clients,
    /// The global database.
    pub(crate) global: String,
    /// The cluster, by name or ARN.
    pub(crate) cluster: String,
}

/// How it stands with a global database and the cluster that is to write.
pub(crate) enum Stage {
    /// It follows another one, and nothing moves.
    Follows {
        /// Its ARN.
        arn: String,
        /// Who writes.
        writer: Option<String>,
    },
    /// The global database is changed by somebody, not in who writes.
    Busy(String),
    /// It is becoming the writer, or is and does not work yet.
    Moving(String),
    /// Another one is becoming the writer.
    Elsewhere(Failure),
    /// It writes.
    Writes(Box<Writer>),
}

/// A cluster that writes, and works.
pub(crate) struct Writer {
    arn: String,
    endpoint: Option<String>,
    port: Option<i32>,
    global_endpoint: Option<String>,
}

/// What was seen before a move was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) global: String,
    /// The cluster that is to write.
    pub(crate) arn: String,
    /// The one that wrote.
    pub(crate) writer: Option<String>,
    /// When it was asked for.
    pub(crate) at: Time,
    /// How far the cluster was behind, by which metric, where that counts.
    pub(crate) lag: Option<(String, Sample)>,
    /// Why that is not known.
    pub(crate) unknown: Option<String>,
}

impl Found {
    fn is_of(&self, global: &str, cluster: &str) -> bool {
        self.global == global && (self.arn == cluster || name(&self.arn).eq_ignore_ascii_case(cluster))
    }

    /// The move as it was asked for.
    pub(crate) fn ask(&self, cx: &ReadCx) -> Asked {
        Asked { at: self.at, accepted: before::is_accepted(cx, BEFORE, &self.arn) }
    }
}

/// What was written down of a cluster that is to write, though the call was refused since.
pub(crate) fn known(cx: &ReadCx, global: &str, cluster: &str) -> Option<Found> {
    before::known(cx, |found: &Found| found.is_of(global, cluster))
}

/// The same, if the move may have been asked for since.
pub(crate) fn asked(cx: &ReadCx, global: &str, cluster: &str) -> Option<Found> {
    before::asked(cx, |found: &Found| found.is_of(global, cluster))
}

/// A move that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// When.
    pub(crate) at: Time,
    /// RDS took it, for certain.
    pub(crate) accepted: bool,
}

impl Asked {
    /// Whether it would be seen by now. A cluster that follows then was never made
    /// to write, or somebody moved the writer back: to ask again is a new move, and
    /// a person's to decide.
    pub(crate) fn is_past(self, cx: &ReadCx) -> bool {
        cx.clock.now().since(self.at) >= limits::BEGINS
    }
}

/// What both kinds need to look.
pub(crate) const LOOKS: [&str; 3] = ["rds:DescribeGlobalClusters", "rds:DescribeDBClusters", "rds:DescribeDBInstances"];

impl Writer {
    /// What it gives to other steps, by the names in [`outputs`].
    pub(crate) fn output(&self) -> Output {
        let mut output = Output::default();
        output.values.insert("endpoint".into(), self.endpoint.clone().into());
        output.values.insert("port".into(), self.port.into());
        output.values.insert("global_endpoint".into(), self.global_endpoint.clone().into());
        output.values.insert("arn".into(), self.arn.clone().into());
        output
    }
}

/// What a cluster that writes gives to other steps.
pub(crate) fn outputs(more: &[&'static str]) -> Vec<OutputName> {
    let texts = ["endpoint", "global_endpoint", "arn"].iter().chain(more).copied().map(OutputName::text);
    texts.chain([OutputName::number("port")]).collect()
}

/// The region in an ARN.
pub(crate) fn region(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|region| !region.is_empty())
}

/// The name in an ARN, or what is a name already.
pub(crate) fn name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

impl Target<'_> {
    async fn global(&self) -> Result<GlobalCluster, Failure> {
        let (global, region) = (&self.global, &self.clients.region);
        let missing = || {
            let text = format!("there is no Aurora global database `{global}` with a cluster in {region}");
            Failure::new(text).hint("is `global_cluster` its name, and does the step's region have a cluster of it?")
        };
        let reply = self.clients.rds.describe_global_clusters().global_cluster_identifier(global).send().await;
        match reply {
            Err(e) if code(&e).starts_with("GlobalClusterNotFound") => Err(missing()),
            reply => {
                let found = reply.map_err(|e| self.clients.call("rds", "DescribeGlobalClusters").read(&e))?;
                found.global_clusters.unwrap_or_default().into_iter().next().ok_or_else(missing)
            }
        }
    }

    /// The member that is meant.
    fn member<'g>(&self, global: &'g GlobalCluster) -> Result<(&'g str, &'g GlobalClusterMember), Failure> {
        let (wanted, here) = (&self.cluster, &self.clients.region);
        let members = global.global_cluster_members().iter().filter_map(|m| Some((m.db_cluster_arn()?, m)));
        let of_here: Vec<_> = members.filter(|(arn, _)| region(arn) == Some(here)).collect();
        let meant = of_here.iter().find(|(arn, _)| arn == wanted || name(arn).eq_ignore_ascii_case(wanted));
        meant.copied().ok_or_else(|| {
            let names: Vec<_> = of_here.iter().map(|(arn, _)| format!("`{}`", name(arn))).collect();
            let text = format!("`{wanted}` is no cluster of `{}` in {here}", self.global);
            Failure::new(text).hint(format!("there it has {}", names.join(", ")))
        })
    }

    /// How it stands.
    pub(crate) async fn see(&self, cx: &ReadCx) -> Result<Stage, Failure> {
        let global = self.global().await?;
        let (arn, member) = self.member(&global)?;
        let (whole, status) = (&self.global, global.status().unwrap_or("unknown"));
        if let Some(to) = global.failover_state().and_then(|state| state.to_db_cluster_arn()) {
            let says = format!("`{whole}` is {status}: `{}` becomes its writer", name(to));
            return Ok(if to == arn { Stage::Moving(says) } else { Stage::Elsewhere(Failure::new(says)) });
        }
        if status != "available" {
            let says = format!("`{whole}` is {status}");
            return Ok(if member.is_writer() == Some(true) { Stage::Moving(says) } else { Stage::Busy(says) });
        }
        if member.is_writer() != Some(true) {
            let writer = global.global_cluster_members().iter().find(|member| member.is_writer() == Some(true));
            let writer = writer.and_then(|member| member.db_cluster_arn()).map(Into::into);
            return Ok(Stage::Follows { arn: arn.to_owned(), writer });
        }
        Ok(match self.works(cx, arn).await? {
            Ok(cluster) => Stage::Writes(Box::new(Writer {
                arn: arn.to_owned(),
                endpoint: cluster.endpoint,
                port: cluster.port,
                global_endpoint: global.endpoint,
            })),
            Err(says) => Stage::Moving(says),
        })
    }

    /// The cluster, or why it does not write yet though it is the one to do so.
    async fn works(&self, cx: &ReadCx, arn: &str) -> Result<Result<DbCluster, String>, Failure> {
        let (clients, name) = (self.clients, name(arn));
        let reply = clients.rds.describe_db_clusters().db_cluster_identifier(name).send().await;
        let found = reply.map_err(|e| clients.call("rds", "DescribeDBClusters").read(&e))?;
        let Some(cluster) = found.db_clusters.unwrap_or_default().into_iter().next() else {
            return Ok(Err(format!("`{name}` is not seen")));
        };
        let status = cluster.status().unwrap_or("unknown");
        if status != "available" {
            return Ok(Err(format!("`{name}` is {status}")));
        }
        let writer = cluster.db_cluster_members().iter().find(|member| member.is_cluster_writer() == Some(true));
        let Some(writer) = writer.and_then(|member| member.db_instance_identifier()) else {
            return Ok(Err(format!("no instance of `{name}` writes yet")));
        };
        let db = rds::find(cx, clients, writer).await?;
        let status = db.as_ref().and_then(|db| db.db_instance_status()).unwrap_or("not seen").to_owned();
        Ok(if rds::usable(&status) { Ok(cluster) } else { Err(format!("`{writer}`, which is to write, is {status}")) })
    }

    /// How far it is, for [`dr_engine::step::Step::check`]; `asked` is the move, where it may have
    /// been asked for. `Done` has what the writer gives.
    pub(crate) async fn check(&self, cx: &ReadCx, asked: Option<Asked>) -> Result<Check, Failure> {
        Ok(match self.see(cx).await {
            Err(failure) if !failure.transient && failure.call.is_none() => Check::Impossible(failure),
            Err(failure) => return Err(failure),
            Ok(Stage::Elsewhere(failure)) => Check::Impossible(failure),
            Ok(Stage::Follows { arn, writer }) => match asked {
                Some(asked) if asked.is_past(cx) => Check::Unknown(moved_back(&arn, writer.as_deref(), asked)),
                Some(Asked { accepted: true, .. }) => Check::InProgress,
                _ => Check::Absent,
            },
            Ok(Stage::Busy(_)) if asked.is_some() => Check::InProgress,
            Ok(Stage::Busy(_)) => Check::Absent,
            Ok(Stage::Moving(_)) => Check::InProgress,
            Ok(Stage::Writes(writer)) => Check::Done(writer.output()),
        })
    }

    /// Waits until nothing else moves: how it stands then.
    pub(crate) async fn at_rest(&self, cx: &ReadCx) -> Result<Stage, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx).await? {
                Stage::Elsewhere(failure) => Err(failure),
                Stage::Busy(says) if cx.clock.now().since(since) < limits::BUSY => Ok(Look::Pending(says)),
                Stage::Busy(says) => Err(Failure::new(says).hint("wait for it, then answer `retry`")),
                stage => Ok(Look::Ready(stage)),
            }
        })
        .await
    }

    /// Makes the one call, unless it was made: `send` gives what was refused as *not now*.
    /// Then waits until the cluster writes.
    pub(crate) async fn write(
        &self,
        cx: &StepCx,
        send: impl Future<Output = Result<Option<Failure>, StepError>>,
    ) -> Result<Box<Writer>, StepError> {
        let refusal = send.await?;
        let since = cx.read.clock.now();
        let patience = if refusal.is_some() { limits::UNSEEN } else { limits::BEGINS };
        let ended = cx.read.poll(|| async {
            Ok(match self.see(&cx.read).await? {
                Stage::Writes(writer) => Look::Ready(Ok(writer)),
                Stage::Moving(says) | Stage::Busy(says) => Look::Pending(says),
                Stage::Elsewhere(failure) => return Err(failure),
                Stage::Follows { arn, .. } => {
                    let says = format!("`{}` follows still", name(&arn));
                    let says = refusal.as_ref().map_or(says, |failure| failure.message.clone());
                    if cx.read.clock.now().since(since) < patience {
                        return Ok(Look::Pending(says));
                    }
                    Look::Ready(Err(refusal.clone().unwrap_or_else(|| Failure::passing(says))))
                }
            })
        });
        Ok(ended.await??)
    }
}

fn moved_back(arn: &str, writer: Option<&str>, asked: Asked) -> String {
    let taken = if asked.accepted { "and RDS took that" } else { "and whether RDS took that is not known" };
    let whom = writer.map_or_else(String::new, |writer| format!(" `{}`", self::name(writer)));
    format!(
        "`{}` was asked to write at {}, {taken}, and it follows{whom}: somebody may have moved the writer since; \
         `retry` moves it anew",
        self::name(arn),
        asked.at
    )
}

/// What RDS says when a global database cannot be moved now, as it does also of one that moves.
pub(crate) fn not_now(code: &str) -> bool {
    code.starts_with("InvalidGlobalClusterState") || code.starts_with("InvalidDBClusterState")
}

#[cfg(test)]
mod tests {
    use super::{name, region};

    #[test]
    fn an_arn_has_a_name_and_a_region_and_a_name_has_itself() {
        let arn = "arn:aws:rds:eu-west-1:123456789012:cluster:ledger-eu-west-1";
        assert_eq!((name(arn), region(arn)), ("ledger-eu-west-1", Some("eu-west-1")));
        assert_eq!((name("ledger"), region("ledger")), ("ledger", None));
        assert_eq!(region("arn:aws:rds::123456789012:global-cluster:ledger"), None);
    }
}
