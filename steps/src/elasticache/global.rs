//! An `ElastiCache` global datastore: which cache writes, and how that moves to
//! another one.
//!
//! What `DescribeGlobalReplicationGroups` says decides: the role of each member,
//! and the status of the whole, which does not say where a move goes. The roles
//! have changed before the cache itself is available again, so that is looked at
//! too (Amazon `ElastiCache` API Reference, `FailoverGlobalReplicationGroup`).
//! How it is asked for and waited for stands in `promotion.rs`.

use crate::{
    aws::{Clients, error::code, limits},
    metrics::{self, Metric, Sample},
    promotion::{Promotion, Stage, Writes},
};
use async_trait::async_trait;
use aws_sdk_elasticache::types::{GlobalReplicationGroup, GlobalReplicationGroupMember, ReplicationGroup};
use dr_engine::{
    duration::Dur,
    outcome::{Failure, Output},
    step::ReadCx,
};

/// The cache that is to write, of a global datastore.
#[derive(Clone)]
pub(crate) struct Target<'a> {
    /// Clients of its region: a move is asked for there.
    pub(crate) clients: &'a Clients,
    /// The global datastore.
    pub(crate) global: String,
    /// The cache, by name.
    pub(crate) cache: String,
}

/// A cache that writes, and works.
pub(crate) struct Writer(ReplicationGroup);

/// What both directions need to look.
pub(crate) const LOOKS: [&str; 2] =
    ["elasticache:DescribeGlobalReplicationGroups", "elasticache:DescribeReplicationGroups"];

/// The metric that says how far a cache is behind, in seconds.
pub(crate) const LAG: &str = "GlobalDatastoreReplicationLag";
/// The unit of it.
pub(crate) const LAG_UNIT: Dur = Dur(1_000);

impl Writes for Writer {
    fn output(&self) -> Output {
        Output { values: super::values(&self.0), ..Output::default() }
    }
}

/// The ARN of a member: the datastore's own says the partition and the account.
fn arn(global: &GlobalReplicationGroup, member: &GlobalReplicationGroupMember) -> Option<String> {
    let mut parts = global.arn()?.split(':');
    let (partition, account) = (parts.nth(1)?, parts.nth(2)?);
    let (region, id) = member.replication_group_region().zip(member.replication_group_id())?;
    Some(format!("arn:{partition}:elasticache:{region}:{account}:replicationgroup:{id}"))
}

fn is_primary(member: &GlobalReplicationGroupMember) -> bool {
    member.role().is_some_and(|role| role.eq_ignore_ascii_case("primary"))
}

/// What `ElastiCache` says when a global datastore cannot be moved now, as it does also of one that moves.
pub(crate) fn not_now(code: &str) -> bool {
    code.starts_with("InvalidGlobalReplicationGroupState") || code.starts_with("InvalidReplicationGroupState")
}

impl Target<'_> {
    async fn global(&self) -> Result<GlobalReplicationGroup, Failure> {
        let (global, region) = (&self.global, &self.clients.region);
        let missing = || {
            let text = format!("there is no global datastore `{global}` with a cache in {region}");
            Failure::new(text).hint(
                "is `global_datastore` its whole id (it begins with letters that AWS put there), and does the \
                       step's region have a cache of it?",
            )
        };
        let request = self.clients.elasticache.describe_global_replication_groups().show_member_info(true);
        match request.global_replication_group_id(global).send().await {
            Err(e) if code(&e).starts_with("GlobalReplicationGroupNotFound") => Err(missing()),
            reply => {
                let site = self.clients.call("elasticache", "DescribeGlobalReplicationGroups");
                let found = reply.map_err(|e| site.read(&e))?;
                found.global_replication_groups.unwrap_or_default().into_iter().next().ok_or_else(missing)
            }
        }
    }

    /// The member that is meant.
    fn member<'g>(&self, global: &'g GlobalReplicationGroup) -> Result<&'g GlobalReplicationGroupMember, Failure> {
        let (wanted, here) = (&self.cache, &self.clients.region);
        let members = global.members().iter().filter(|it| it.replication_group_region() == Some(here));
        let id = |it: &'g GlobalReplicationGroupMember| it.replication_group_id().unwrap_or_default();
        let of_here: Vec<_> = members.collect();
        let meant = of_here.iter().find(|it| id(it).eq_ignore_ascii_case(wanted));
        meant.copied().ok_or_else(|| {
            let names: Vec<_> = of_here.iter().map(|it| format!("`{}`", id(it))).collect();
            let text = format!("`{wanted}` is no cache of `{}` in {here}", self.global);
            Failure::new(text).hint(format!("there it has {}", names.join(", ")))
        })
    }

    /// The cache itself.
    async fn group(&self) -> Result<ReplicationGroup, Failure> {
        let gone = || Failure::passing(format!("`{}` is not seen", self.cache));
        let request = self.clients.elasticache.describe_replication_groups().replication_group_id(&self.cache);
        let site = self.clients.call("elasticache", "DescribeReplicationGroups");
        let found = request.send().await.map_err(|e| site.read(&e))?;
        found.replication_groups.unwrap_or_default().into_iter().next().ok_or_else(gone)
    }

    /// How far the cache is behind, as its own region measured it last.
    ///
    /// Nobody documents by which dimension that is measured, so `CloudWatch` is asked which there are;
    /// those count that name the cache, one of its nodes, or the datastore. Where there are several,
    /// as of shards, the worst of the newest minutes counts.
    pub(crate) async fn behind(&self, cx: &ReadCx) -> Result<Option<Sample>, Failure> {
        let nodes = self.group().await?.member_clusters.unwrap_or_default();
        let ours = |value: &str| {
            let names = nodes.iter().chain([&self.cache, &self.global]);
            names.into_iter().any(|name| name.eq_ignore_ascii_case(value))
        };
        let since = cx.clock.now().after(Dur(-limits::METRIC_SINCE.0));
        let mut samples = Vec::new();
        for dimensions in metrics::dimensions(cx, self.clients, "AWS/ElastiCache", LAG).await? {
            if !dimensions.iter().any(|(_, value)| ours(value)) {
                continue;
            }
            let of: Vec<_> = dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let metric = Metric { namespace: "AWS/ElastiCache", name: LAG, of: &of };
            samples.extend(metric.newest(cx, self.clients, since, |lag| lag >= 0.0).await?);
        }
        Ok(metrics::worst_of_newest(&samples, LAG_UNIT))
    }
}

#[async_trait]
impl Promotion for Target<'_> {
    type Writer = Writer;

    async fn see(&self, _: &ReadCx) -> Result<Stage<Writer>, Failure> {
        let global = self.global().await?;
        let member = self.member(&global)?;
        let (whole, status) = (&self.global, global.status().unwrap_or("unknown"));
        if !["available", "primary-only"].contains(&status) {
            let says = format!("`{whole}` is {status}");
            return Ok(if is_primary(member) { Stage::Moving(says) } else { Stage::Busy(says) });
        }
        if !is_primary(member) {
            let nameless = || Failure::new(format!("`{whole}` does not say its ARN"));
            let writer = global.members().iter().find(|it| is_primary(it));
            let writer = writer.and_then(|writer| arn(&global, writer));
            return Ok(Stage::Follows { arn: arn(&global, member).ok_or_else(nameless)?, writer });
        }
        let group = self.group().await?;
        Ok(match group.status().unwrap_or("unknown") {
            "available" => Stage::Writes(Box::new(Writer(group))),
            status => Stage::Moving(format!("`{}`, which is to write, is {status}", self.cache)),
        })
    }
}
