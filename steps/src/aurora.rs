//! An Aurora global database: who writes, and how that moves to another cluster.
//!
//! What `DescribeGlobalClusters` says decides: `IsWriter` of the members, and
//! `FailoverState` while something moves. Its states are not all in the model
//! (`switching-over` is not), so that none is taken for an error: what names a
//! target moves. The writer has changed before its instance works again, so
//! that is looked at too (Amazon Aurora User Guide, Using switchover or
//! failover in Amazon Aurora Global Database). How it is asked for and waited for
//! stands in `promotion.rs`.

use crate::{
    aws::{Clients, error::code},
    promotion::{Promotion, Stage, Writes, name, region},
    rds,
};
use async_trait::async_trait;
use aws_sdk_rds::types::{DbCluster, GlobalCluster, GlobalClusterMember};
use dr_engine::{
    outcome::{Failure, Output},
    step::{OutputName, ReadCx},
};

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

/// A cluster that writes, and works.
pub(crate) struct Writer {
    arn: String,
    endpoint: Option<String>,
    port: Option<i32>,
    global_endpoint: Option<String>,
}

/// What both kinds need to look.
pub(crate) const LOOKS: [&str; 3] = ["rds:DescribeGlobalClusters", "rds:DescribeDBClusters", "rds:DescribeDBInstances"];

impl Writes for Writer {
    /// By the names in [`outputs`].
    fn output(&self) -> Output {
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
}

#[async_trait]
impl Promotion for Target<'_> {
    type Writer = Writer;

    async fn see(&self, cx: &ReadCx) -> Result<Stage<Writer>, Failure> {
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
}

/// What RDS says when a global database cannot be moved now, as it does also of one that moves.
pub(crate) fn not_now(code: &str) -> bool {
    code.starts_with("InvalidGlobalClusterState") || code.starts_with("InvalidDBClusterState")
}
