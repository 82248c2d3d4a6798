//! A replication group of `ElastiCache` under a name: what it should be, how
//! far it is, how it is taken back. What every kind shares that makes one.
//!
//! Nothing that makes a group has an idempotency token: the name is the token,
//! and the tags say whose it is and what it was made from. They cannot be
//! listed while it is being made, so that until then nobody can tell whose it
//! is: it is waited for (Amazon `ElastiCache` API Reference,
//! `CreateReplicationGroup`, `ListTagsForResource`).
//!
//! Left out: passwords (`AuthToken`; user groups are set), serverless caches,
//! data tiering, Memcached.

pub(crate) mod global;
pub(crate) mod snapshots;
pub(crate) mod warm;

use crate::aws::{
    Clients,
    error::code,
    limits,
    tags::{self, Owner},
};
use aws_sdk_elasticache::{
    operation::create_replication_group::builders::CreateReplicationGroupFluentBuilder,
    types::{ReplicationGroup, Tag},
};
use dr_engine::{
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Look, OutputName, ReadCx, StepCx, StepError},
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

/// What a group should be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its name, in lower case: `ElastiCache` keeps identifiers so.
    pub(crate) name: String,
    /// The type of its nodes.
    pub(crate) node_type: String,
    /// Its subnet group.
    pub(crate) subnet_group: String,
    /// Its security groups.
    pub(crate) security_groups: Vec<String>,
    /// Its parameter group.
    pub(crate) parameter_group: String,
    /// How many replicas each shard has, beside its primary.
    pub(crate) replicas: u8,
    /// Whether clients speak TLS.
    pub(crate) tls: bool,
    /// Who may do what in it.
    pub(crate) user_groups: Vec<String>,
    /// The key that it is encrypted with.
    pub(crate) kms_key: Option<String>,
}

/// What it is made from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// What a tag of the group says of it, and a person reads.
    pub(crate) from: String,
    /// The engine and its version.
    pub(crate) engine: (String, String),
    /// How many shards it has.
    pub(crate) shards: i32,
    /// The moment of its data.
    pub(crate) recovery_point: Option<RecoveryPoint>,
}

/// What [`Wanted::undo`] does, for the pages of the kinds.
pub(crate) const UNDO: &str = "Waits until the group no longer moves, `DeleteReplicationGroup` without a final \
    snapshot, and waits until it is gone. Only this run's group is deleted.";

/// What `check` looks at, for the pages of the kinds, with what one looks at beside.
macro_rules! check_page {
    ($more:literal) => {
        concat!(
            "`DescribeReplicationGroups` and `ListTagsForResource` on the target. Nothing of it while the name is free; \
             under way while the group is being made; done when it is available. A group that is not this run's, was \
             made from something else, failed, or differs from what is asked for in node type, replicas, TLS or user \
             groups, is refused. Its subnet, security and parameter groups and its key are given when it is made, and \
             not looked at again: `retry --set` of those changes nothing afterwards.",
            $more
        )
    };
}
pub(crate) use check_page;

/// The actions that every kind needs that makes a group.
pub(crate) const ACTIONS: [&str; 8] = [
    "elasticache:DescribeReplicationGroups",
    "elasticache:ListTagsForResource",
    "elasticache:CreateReplicationGroup",
    "elasticache:AddTagsToResource",
    "elasticache:DeleteReplicationGroup",
    "ec2:CreateNetworkInterface",
    "kms:DescribeKey",
    "kms:CreateGrant",
];

/// The name of the fact that holds the new group.
const GROUP: &str = "group";

/// What stands under the target's name.
enum Seen {
    Nothing,
    /// It moves, and does not say yet whose it is.
    Nameless(String),
    Theirs(String),
    Ours(Box<Ours>),
}

/// A group of ours.
struct Ours {
    group: ReplicationGroup,
    from: Option<String>,
}

/// How far a group of ours is.
enum Stage {
    Moving(String),
    Ready,
    Broken(Failure),
}

impl Wanted {
    async fn see(&self, cx: &ReadCx, clients: &Clients) -> Result<Seen, Failure> {
        let found = clients.elasticache.describe_replication_groups().replication_group_id(&self.name).send().await;
        let found = match found {
            Err(e) if code(&e).starts_with("ReplicationGroupNotFound") => return Ok(Seen::Nothing),
            reply => reply.map_err(|e| clients.call("elasticache", "DescribeReplicationGroups").read(&e))?,
        };
        let Some(group) = found.replication_groups.unwrap_or_default().into_iter().next() else {
            return Ok(Seen::Nothing);
        };
        let status = group.status().unwrap_or("creating");
        let tags = match clients.elasticache.list_tags_for_resource().set_resource_name(group.arn.clone()).send().await
        {
            Err(e) if code(&e).starts_with("InvalidReplicationGroupState") => {
                return Ok(Seen::Nameless(format!("`{}` is {status}", self.name)));
            }
            Err(e) if code(&e).starts_with("ReplicationGroupNotFound") => return Ok(Seen::Nothing),
            reply => reply.map_err(|e| clients.call("elasticache", "ListTagsForResource").read(&e))?,
        };
        let tags: BTreeMap<_, _> = tags.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value())).collect();
        Ok(match tags::owner(cx, tags.iter().map(|(key, value)| (*key, *value))) {
            Owner::Us => Seen::Ours(Box::new(Ours { group, from: tags.get(tags::FROM).map(|&from| from.into()) })),
            Owner::Other(who) => Seen::Theirs(who),
        })
    }

    fn theirs(&self, clients: &Clients, who: &str) -> Failure {
        let text = format!("the cache `{}` already exists in {} and belongs to {who}", self.name, clients.region);
        Failure::new(text).hint("choose another `target`, or remove that cache by hand")
    }

    /// Refuses a group of ours that was made from something else.
    fn made_from(&self, ours: &Ours, origin: &Origin) -> Result<(), Failure> {
        match &ours.from {
            Some(from) if *from != tags::text(&origin.from) => {
                let (name, to) = (&self.name, &origin.from);
                let text = format!("`{name}` was made from `{from}` before the inputs changed, not from `{to}`");
                Err(Failure::new(text).hint("remove that cache by hand, or set the inputs back; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }

    /// What of a group is not what is asked for, as far as it says it itself: its subnet, security
    /// and parameter groups are those of its nodes, and a key may be given by another of its names.
    fn differs(&self, group: &ReplicationGroup) -> Option<Failure> {
        let (has, wants): (BTreeSet<_>, BTreeSet<_>) =
            (group.user_group_ids().iter().collect(), self.user_groups.iter().collect());
        let tls = group.transit_encryption_enabled() == Some(true);
        let nodes = usize::from(self.replicas) + 1;
        let mut shards = group.node_groups().iter().map(|shard| shard.node_group_members().len());
        let text = if let Some(is) = group.cache_node_type().filter(|is| *is != self.node_type) {
            format!("has nodes of the type {is}, not {}", self.node_type)
        } else if let Some(has) = shards.find(|has| *has != nodes) {
            format!("has {has} nodes in a shard, not {nodes}")
        } else if tls != self.tls {
            format!("speaks {}, other than `tls` says", if tls { "TLS" } else { "no TLS" })
        } else if has != wants {
            format!("has the user groups {has:?}, not {wants:?}")
        } else {
            return None;
        };
        let hint = "change it by hand, or set the inputs back; then answer `retry`";
        Some(Failure::new(format!("`{}` {text}", self.name)).hint(hint))
    }

    fn stage(&self, group: &ReplicationGroup) -> Stage {
        let (name, status) = (&self.name, group.status().unwrap_or("creating"));
        match status {
            "available" => self.differs(group).map_or(Stage::Ready, Stage::Broken),
            "creating" | "modifying" | "snapshotting" => Stage::Moving(format!("`{name}` is {status}")),
            other => Stage::Broken(Failure::new(format!("`{name}` is {other}"))),
        }
    }

    /// The request that makes it, without what it is made from.
    fn request(&self, cx: &ReadCx, clients: &Clients, origin: &Origin) -> CreateReplicationGroupFluentBuilder {
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        let tags = tags::of(cx).into_iter().chain([(tags::FROM, tags::text(&origin.from))]).map(tag);
        let (engine, version) = &origin.engine;
        let several = self.replicas > 0;
        clients
            .elasticache
            .create_replication_group()
            .replication_group_id(&self.name)
            .replication_group_description(format!("made by dr, run {}", cx.run.id))
            .cache_node_type(&self.node_type)
            .engine(engine)
            .engine_version(version)
            .num_node_groups(origin.shards)
            .replicas_per_node_group(self.replicas.into())
            .automatic_failover_enabled(several)
            .multi_az_enabled(several)
            .cache_subnet_group_name(&self.subnet_group)
            .set_security_group_ids(Some(self.security_groups.clone()))
            .cache_parameter_group_name(&self.parameter_group)
            .transit_encryption_enabled(self.tls)
            .at_rest_encryption_enabled(true)
            .set_kms_key_id(self.kms_key.clone())
            .set_user_group_ids(Some(self.user_groups.clone()).filter(|groups| !groups.is_empty()))
            .set_tags(Some(tags.collect()))
    }

    /// Begins it. A group of that name that is already there is looked at again.
    async fn begin(
        &self,
        cx: &StepCx,
        clients: &Clients,
        request: CreateReplicationGroupFluentBuilder,
    ) -> Result<(), StepError> {
        match request.send().await {
            Ok(reply) => {
                if let Some(arn) = reply.replication_group().and_then(ReplicationGroup::arn) {
                    cx.record_handle(GROUP, arn).await;
                }
                Ok(())
            }
            Err(e) if code(&e).starts_with("ReplicationGroupAlreadyExists") => Ok(()),
            Err(e) => Err(clients.call("elasticache", "CreateReplicationGroup").wrote(&e)),
        }
    }

    /// Waits until the group no longer moves.
    async fn settled(&self, cx: &ReadCx, clients: &Clients, origin: &Origin) -> Result<Box<Ours>, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx, clients).await? {
                Seen::Ours(ours) => {
                    self.made_from(&ours, origin)?;
                    match self.stage(&ours.group) {
                        Stage::Moving(says) => Ok(Look::Pending(says)),
                        Stage::Ready => Ok(Look::Ready(ours)),
                        Stage::Broken(failure) => Err(failure),
                    }
                }
                Seen::Nameless(says) => Ok(Look::Pending(says)),
                Seen::Theirs(who) => Err(self.theirs(clients, &who)),
                Seen::Nothing if cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("`{}` is not seen yet", self.name)))
                }
                Seen::Nothing => Err(Failure::new(format!("`{}` has gone", self.name))),
            }
        })
        .await
    }

    fn output(&self, group: &ReplicationGroup, origin: &Origin) -> Output {
        let mut values = values(group);
        values.insert("cache".into(), self.name.clone().into());
        Output { values, recovery_point: origin.recovery_point.clone() }
    }

    /// How far it is, for [`dr_engine::step::Step::check`]; `decide` says what it is to be made from.
    pub(crate) async fn check(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        decide: impl Future<Output = Result<Origin, Failure>>,
    ) -> Result<Check, Failure> {
        let ours = match self.see(cx, clients).await? {
            Seen::Theirs(who) => return Ok(Check::Impossible(self.theirs(clients, &who))),
            Seen::Nameless(_) => return Ok(Check::InProgress),
            Seen::Nothing => None,
            Seen::Ours(ours) => Some(ours),
        };
        let origin = match decide.await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            origin => origin?,
        };
        let Some(ours) = ours else { return Ok(Check::Absent) };
        if let Err(failure) = self.made_from(&ours, &origin) {
            return Ok(Check::Impossible(failure));
        }
        Ok(match self.stage(&ours.group) {
            Stage::Ready => Check::Done(self.output(&ours.group, &origin)),
            Stage::Moving(_) => Check::InProgress,
            Stage::Broken(failure) => Check::Impossible(failure),
        })
    }

    /// Makes it where it is not there, and waits until it is available. `fill`
    /// writes the choice down, and says in the request what it is made from.
    pub(crate) async fn run<F>(
        &self,
        cx: &StepCx,
        clients: &Clients,
        origin: &Origin,
        fill: impl FnOnce(CreateReplicationGroupFluentBuilder) -> F,
    ) -> Result<Output, StepError>
    where
        F: Future<Output = CreateReplicationGroupFluentBuilder>,
    {
        if matches!(self.see(&cx.read, clients).await?, Seen::Nothing) {
            let request = fill(self.request(&cx.read, clients, origin)).await;
            self.begin(cx, clients, request).await?;
        }
        let ours = self.settled(&cx.read, clients, origin).await?;
        Ok(self.output(&ours.group, origin))
    }

    /// Whether it is gone.
    pub(crate) async fn check_undone(&self, cx: &ReadCx, clients: &Clients) -> Result<Check, Failure> {
        Ok(match self.see(cx, clients).await? {
            Seen::Nothing => Check::Done(Output::default()),
            Seen::Theirs(who) => Check::Impossible(self.theirs(clients, &who)),
            Seen::Nameless(_) => Check::InProgress,
            Seen::Ours(ours) if ours.group.status() == Some("deleting") => Check::InProgress,
            Seen::Ours(_) => Check::Absent,
        })
    }

    /// Removes it.
    pub(crate) async fn undo(&self, cx: &StepCx, clients: &Clients) -> Result<(), StepError> {
        let rest = || async {
            Ok(match self.see(&cx.read, clients).await? {
                Seen::Nothing => Look::Ready(false),
                Seen::Nameless(says) => Look::Pending(says),
                Seen::Theirs(who) => return Err(self.theirs(clients, &who)),
                Seen::Ours(ours) => match self.stage(&ours.group) {
                    Stage::Moving(says) => Look::Pending(says),
                    Stage::Ready => Look::Ready(true),
                    Stage::Broken(_) => Look::Ready(ours.group.status() != Some("deleting")),
                },
            })
        };
        if cx.read.poll(rest).await? {
            let request = clients.elasticache.delete_replication_group().replication_group_id(&self.name);
            match request.retain_primary_cluster(false).send().await {
                Err(e) if code(&e).starts_with("ReplicationGroupNotFound") => return Ok(()),
                reply => drop(reply.map_err(|e| clients.call("elasticache", "DeleteReplicationGroup").wrote(&e))?),
            }
            cx.record_handle("deleting", self.name.as_str()).await;
        }
        let gone = || async {
            Ok(match self.see(&cx.read, clients).await? {
                Seen::Nameless(says) => Look::Pending(says),
                Seen::Ours(_) => Look::Pending(format!("`{}` is being deleted", self.name)),
                Seen::Nothing | Seen::Theirs(_) => Look::Ready(()),
            })
        };
        Ok(cx.read.poll(gone).await?)
    }
}

/// What a group says of itself, by the names in [`outputs`].
pub(crate) fn values(group: &ReplicationGroup) -> Map<String, Value> {
    let first = group.node_groups().first();
    let endpoint = group.configuration_endpoint().or_else(|| first.and_then(|shard| shard.primary_endpoint()));
    let mut values = Map::new();
    values.insert("cache".into(), group.replication_group_id().into());
    values.insert("arn".into(), group.arn().into());
    if let Some((address, port)) = endpoint.and_then(|it| it.address().zip(it.port())) {
        values.insert("endpoint".into(), address.into());
        values.insert("port".into(), port.into());
    }
    if let Some(reader) = first.and_then(|shard| shard.reader_endpoint()?.address()) {
        values.insert("reader_endpoint".into(), reader.into());
    }
    values
}

/// What a group gives to other steps.
pub(crate) fn outputs(more: &[&'static str]) -> Vec<OutputName> {
    let texts = ["cache", "arn", "endpoint", "reader_endpoint"].iter().chain(more).copied().map(OutputName::text);
    texts.chain([OutputName::number("port")]).collect()
}

/// One replica, unless the runbook says otherwise.
pub(crate) fn one() -> u8 {
    1
}

/// TLS, unless the runbook says otherwise.
pub(crate) fn yes() -> bool {
    true
}
