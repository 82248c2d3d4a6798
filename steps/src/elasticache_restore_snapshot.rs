//! `elasticache.restore_snapshot`: a cache from one of its snapshots, or from
//! files that were exported to a bucket.
//!
//! How a group is made, waited for and taken back stands in `elasticache.rs`.
//!
//! A snapshot is of one region. Out of it goes only what was exported to a
//! bucket before, and brought to a bucket of the step's region by that bucket's
//! replication: such files are named, and do not say of when their data is.
//!
//! Left out: exporting (`CopySnapshot`), and snapshots of serverless caches.

use crate::{
    aws::{Clients, moment},
    elasticache::{
        self, Origin, Wanted, one,
        snapshots::{self, Candidate},
        yes,
    },
    world::World,
};
use async_trait::async_trait;
use aws_sdk_elasticache::operation::create_replication_group::builders::CreateReplicationGroupFluentBuilder;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::num::NonZeroU8;

/// Restores a cache from a snapshot or from exported files under a new name,
/// and waits until it is available.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSnapshot {
    /// The cache that the snapshot is of, which lies in the step's region.
    #[serde(default)]
    source: Option<In<String>>,
    /// `latest`, or a snapshot's name.
    #[serde(default)]
    snapshot: Option<In<String>>,
    /// Only a snapshot whose data is not later than this, as in
    /// `${run.incident_at}`: for corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// In place of a snapshot: exported files in buckets of the step's region,
    /// one for each shard, as in `arn:aws:s3:::bucket/sessions.rdb`.
    #[serde(default, deserialize_with = "crate::form::list::<crate::form::Arn, _>")]
    files: Vec<In<String>>,
    /// With `files`: `redis` or `valkey`.
    #[serde(default)]
    engine: Option<In<String>>,
    /// With `files`: the version of the engine, as in `7.1`: a text.
    #[serde(default)]
    engine_version: Option<In<String>>,
    /// With `files`: how many shards it has. Default: 1.
    #[serde(default)]
    shards: Option<NonZeroU8>,
    /// The name of the new cache.
    target: In<String>,
    /// The type of its nodes, as in cache.r7g.large.
    node_type: In<String>,
    /// How many replicas each shard has, in other availability zones. Default: 1.
    #[serde(default = "one")]
    replicas: u8,
    /// Its subnet group.
    subnet_group: In<String>,
    /// Its security groups; without them AWS would take the default one.
    security_groups: Vec<In<String>>,
    /// Its parameter group; without it AWS would take the default one.
    parameter_group: In<String>,
    /// Whether clients speak TLS to it. Default: true.
    #[serde(default = "yes")]
    tls: bool,
    /// The user groups that say who may do what in it; with them goes TLS.
    #[serde(default)]
    user_groups: Vec<In<String>>,
    /// The key that it is encrypted with; else one of AWS.
    #[serde(default)]
    kms_key: Option<In<String>>,
}

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chosen {
    name: String,
    engine: (String, String),
    shards: i32,
    recovery_point: RecoveryPoint,
    asked: Asked,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    source: String,
    snapshot: String,
    before: Option<String>,
}

/// The name of the fact that holds it.
const CHOSEN: &str = "snapshot";

fn text(input: Option<&In<String>>) -> Option<String> {
    input.map(|text| text.get().clone())
}

impl RestoreSnapshot {
    fn group(&self) -> Wanted {
        Wanted {
            name: self.target.get().to_lowercase(),
            node_type: self.node_type.get().clone(),
            subnet_group: self.subnet_group.get().clone(),
            security_groups: self.security_groups.iter().map(|group| group.get().clone()).collect(),
            parameter_group: self.parameter_group.get().clone(),
            replicas: self.replicas,
            tls: self.tls,
            user_groups: self.user_groups.iter().map(|group| group.get().clone()).collect(),
            kms_key: text(self.kms_key.as_ref()),
        }
    }

    fn files(&self) -> Vec<String> {
        self.files.iter().map(|file| file.get().clone()).collect()
    }

    /// Which snapshot it will be: what was written down, or what the inputs
    /// ask for. `None` where files are named.
    async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Option<Chosen>, Failure> {
        let Some(source) = &self.source else { return Ok(None) };
        let asked = Asked {
            source: source.get().to_lowercase(),
            snapshot: text(self.snapshot.as_ref()).unwrap_or_else(|| "latest".into()),
            before: text(self.before.as_ref()),
        };
        let known = cx.fact(CHOSEN).and_then(|fact| serde_json::from_value::<Chosen>(fact.clone()).ok());
        if let Some(known) = known.filter(|known| known.asked == asked) {
            return Ok(Some(known));
        }
        let before = asked.before.as_deref().map(|text| moment("before", text)).transpose()?;
        let found = snapshots::find(clients, &asked.source, &asked.snapshot, before).await?;
        let Candidate { name, engine, shards, recovery_point } = found;
        Ok(Some(Chosen { name, engine, shards, recovery_point, asked }))
    }

    fn origin(&self, chosen: Option<&Chosen>) -> Origin {
        match chosen {
            Some(Chosen { name, engine, shards, recovery_point, .. }) => Origin {
                from: name.clone(),
                engine: engine.clone(),
                shards: *shards,
                recovery_point: Some(recovery_point.clone()),
            },
            None => Origin {
                from: self.files().join(" "),
                engine: (
                    text(self.engine.as_ref()).unwrap_or_default(),
                    text(self.engine_version.as_ref()).unwrap_or_default(),
                ),
                shards: self.shards.map_or(1, |shards| shards.get().into()),
                recovery_point: None,
            },
        }
    }

    fn output(mut output: Output, origin: &Origin) -> Output {
        output.values.insert("restored_from".into(), origin.from.clone().into());
        output
    }
}

impl Explained for RestoreSnapshot {
    const REFERENCE: Reference = Reference {
        check: elasticache::check_page!(""),
        run: "`DescribeSnapshots`; writes down which snapshot it is; `CreateReplicationGroup`; waits until the group is \
            available. A snapshot that was chosen stays chosen in that run. With `files` nothing is chosen.",
        undo: Some(elasticache::UNDO),
        recovery_point: Some(
            "The oldest `SnapshotCreateTime` of the snapshot's shards, which are saved one after the other. Unknown \
             with `files`: they do not say of when their data is.",
        ),
        time: "10 to 40 minutes, by the size (general knowledge, not measured).",
        traps: &[
            "A snapshot is of one region: after its loss only exported files (`CopySnapshot` into a bucket that \
             replicates) bring the data back.",
            "The snapshots are of the cache of that name in the step's region, whichever that is: a snapshot does not \
             say more of its cache than the name. Of caches that had it one after the other the newest snapshot \
             counts, also one of a cache that was made since: `before` excludes it.",
            "The new cache has as many shards as the snapshot; more than one wants a parameter group with cluster mode.",
            "A snapshot serves one restore at a time: while it is being restored, another one waits.",
            "ElastiCache reads files only where the bucket lets it: its grant or policy has to be there beforehand.",
            "Passwords are not set: who may do what is said by `user_groups`.",
            "A new cache has a new endpoint: clients need a setting or a name for it.",
        ],
        example: r#"
            sessions_cache:
              do:
                elasticache.restore_snapshot:
                  source: sessions-cache
                  before: "${run.incident_at}"
                  target: sessions-dr
                  node_type: cache.r7g.large
                  subnet_group: dr-cache
                  security_groups: [sg-0123456789abcdef0]
                  parameter_group: dr-redis7
              timeout: 2h
              rpo: 1h
            carts_cache:
              do:
                elasticache.restore_snapshot:
                  files: ["arn:aws:s3:::shop-cache-exports-eu-central-1/carts.rdb"]
                  engine: redis
                  engine_version: "7.1"
                  target: carts-dr
                  node_type: cache.r7g.large
                  subnet_group: dr-cache
                  security_groups: [sg-0123456789abcdef0]
                  parameter_group: dr-redis7
              timeout: 2h
        "#,
    };
}

#[async_trait]
impl Step for RestoreSnapshot {
    fn describe(&self) -> Description {
        let from = match &self.source {
            Some(source) => {
                let snapshot = self.snapshot.as_ref().map_or("latest".into(), ToString::to_string);
                format!("snapshot {snapshot} of `{source}`")
            }
            None => format!("{} exported files", self.files.len()),
        };
        Description {
            summary: format!("restore cache `{}` from {from}", self.target),
            actions: ["elasticache:DescribeSnapshots"].into_iter().chain(elasticache::ACTIONS).collect(),
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mistake =
            |field, message: &str, help: &str| vec![Mistake { field, message: message.into(), help: help.into() }];
        let described = self.engine.is_some() && self.engine_version.is_some();
        match (&self.source, self.files.is_empty()) {
            (Some(_), false) => {
                mistake("files", "a cache is restored from a snapshot or from files", "take `files` or `source` away")
            }
            (None, true) => mistake("target", "it is not said what to restore", "name `source`, or `files`"),
            (None, false) if !described => {
                mistake("files", "files do not say what they are", "name `engine` and `engine_version`")
            }
            (Some(_), true) if self.engine.is_some() || self.engine_version.is_some() || self.shards.is_some() => {
                mistake(
                    "source",
                    "a snapshot says itself what it is",
                    "take `engine`, `engine_version` and `shards` away",
                )
            }
            _ => Vec::new(),
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        elasticache::outputs(&["restored_from"])
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let mut origin = None;
        let decide = async { Ok(origin.insert(self.origin(self.decide(cx, &clients).await?.as_ref())).clone()) };
        let check = self.group().check(cx, &clients, decide).await?;
        Ok(match (check, origin) {
            (Check::Done(output), Some(origin)) => Check::Done(Self::output(output, &origin)),
            (check, _) => check,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let chosen = self.decide(&cx.read, &clients).await?;
        let origin = self.origin(chosen.as_ref());
        let fill = async |request: CreateReplicationGroupFluentBuilder| match &chosen {
            Some(chosen) => {
                if cx.read.fact(CHOSEN) != Some(&json!(chosen)) {
                    cx.record(CHOSEN, json!(chosen)).await;
                }
                request.snapshot_name(&chosen.name)
            }
            None => request.set_snapshot_arns(Some(self.files())),
        };
        let output = Box::pin(self.group().run(cx, &clients, &origin, fill)).await?;
        Ok(Self::output(output, &origin))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        self.group().check_undone(cx, &clients).await
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        self.group().undo(cx, &clients).await
    }
}
