//! `elasticache.start_empty`: a cache that holds nothing yet.
//!
//! How a group is made, waited for and taken back stands in `elasticache.rs`.
//!
//! For what can be read again from its store, an empty cache that is there in
//! ten minutes is often better than an old one. It is no store that is back,
//! and gives no recovery point. What it costs comes after: until it is warm,
//! every miss goes to the store behind it. This kind does not warm it.

use crate::{
    elasticache::{self, Origin, Wanted, one, yes},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroU8;

/// Makes an empty cache under a new name, and waits until it is available.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartEmpty {
    /// The name of the new cache.
    target: In<String>,
    /// `redis` or `valkey`.
    engine: In<String>,
    /// The version of the engine, as in `7.1`: a text.
    engine_version: In<String>,
    /// The type of its nodes, as in cache.r7g.large.
    node_type: In<String>,
    /// How many shards it has. More than one wants a parameter group with cluster mode. Default: 1.
    #[serde(default = "one_shard")]
    shards: NonZeroU8,
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

/// What the tag of a cache says that was made from nothing.
const EMPTY: &str = "nothing";

fn one_shard() -> NonZeroU8 {
    NonZeroU8::MIN
}

impl StartEmpty {
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
            kms_key: self.kms_key.as_ref().map(|key| key.get().clone()),
        }
    }

    fn origin(&self) -> Origin {
        Origin {
            from: EMPTY.into(),
            engine: (self.engine.get().clone(), self.engine_version.get().clone()),
            shards: self.shards.get().into(),
            recovery_point: None,
        }
    }
}

impl Explained for StartEmpty {
    const REFERENCE: Reference = Reference {
        check: elasticache::CHECK,
        run: "`CreateReplicationGroup` with no data; waits until the group is available.",
        undo: Some(elasticache::UNDO),
        recovery_point: None,
        time: "10 to 40 minutes (general knowledge, not measured). How long it stays cold after that nobody measures \
            here.",
        traps: &[
            "It is available before it is useful: every miss goes to the store behind it, which may not bear all of \
             them. Warm it in a step of its own (`command`, `http`) before users come, or let them in by degrees.",
            "What was only in the cache (sessions, locks, queues) is gone: that is no cache, and wants \
             `elasticache.restore_snapshot` or a global datastore.",
            "Passwords are not set: who may do what is said by `user_groups`.",
            "A new cache has a new endpoint: clients need a setting or a name for it.",
        ],
        example: r#"
            sessions_cache:
              do:
                elasticache.start_empty:
                  target: sessions-dr
                  engine: redis
                  engine_version: "7.1"
                  node_type: cache.r7g.large
                  subnet_group: dr-cache
                  security_groups: [sg-0123456789abcdef0]
                  parameter_group: dr-redis7
              timeout: 1h
        "#,
    };
}

#[async_trait]
impl Step for StartEmpty {
    fn describe(&self) -> Description {
        Description {
            summary: format!("make an empty cache `{}`", self.target),
            actions: elasticache::ACTIONS.into(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        elasticache::outputs(&[])
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        self.group().check(cx, &clients, async { Ok(self.origin()) }).await
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        Box::pin(self.group().run(cx, &clients, &self.origin(), async |request| request)).await
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
