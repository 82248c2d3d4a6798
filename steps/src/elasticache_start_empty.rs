//! `elasticache.start_empty`: a cache that holds nothing yet.
//!
//! How a group is made, waited for and taken back stands in `elasticache.rs`.
//!
//! For what can be read again from its store, an empty cache that is there in
//! ten minutes is often better than an old one. It is no store that is back,
//! and gives no recovery point. What it costs comes after: until it is warm,
//! every miss goes to the store behind it. So it can be given a program that
//! warms it, and is then done when that program's `check` says so.

use crate::{
    elasticache::{
        self, Origin, Wanted, one,
        warm::{self, Warm},
        yes,
    },
    work,
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroU8;

/// Makes an empty cache under a new name, waits until it is available, and warms it where a program for that is named.
#[derive(Debug, Deserialize, JsonSchema)]
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
    /// A program that fills it once it is available. Default: the step is done while the cache is cold.
    #[serde(default)]
    warm: Option<Warm>,
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
        check: elasticache::check_page!(
            " With `warm`, an available group is done only when the program under its `check` says so: exit 0 is warm, \
             3 is cold, 75 under way, all else cannot tell. From the second attempt on, a warm-up that an earlier one \
             left on this host is looked for first, and is under way while it lives."
        ),
        run: "`CreateReplicationGroup` with no data; waits until the group is available. With `warm`, its program is \
            then run as `command` runs one: once, in a process group of its own, what it prints in files of the run \
            (`dr logs RUN STEP`). It is told where the cache is: `DR_CACHE_HOST` and `DR_CACHE_PORT` (of the \
            configuration endpoint, where there are several shards) and `DR_CACHE_TLS` (`true` or `false`), beside \
            `DR_RUN`, `DR_STEP` and `DR_ATTEMPT`. However well it ends, its `check` decides.",
        undo: Some(
            "Ends a warm-up that an earlier attempt left on this host. Waits until the group no longer moves, \
             `DeleteReplicationGroup` without a final snapshot, and waits until it is gone. Only this run's group is \
             deleted.",
        ),
        recovery_point: None,
        time: "10 to 40 minutes (general knowledge, not measured), then as long as the warm-up takes.",
        traps: &[
            "Without `warm` it is done before it is useful: every miss goes to the store behind it, which may not \
             bear all of them. Warm it, or let users in by degrees.",
            "A warm-up reads from the store behind the cache, which is recovering as well: let it read at a pace that \
             the store bears, and name the store's step in `needs`.",
            "The time of the step is that of the cache and of its warm-up together. A warm-up whose time is up is \
             ended; one that fails leaves the cache as it is, and a person is asked.",
            "The warm-up runs where `dr` runs: from there the cache has to be reached.",
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
                  warm:
                    argv: [./cache, fill]
                    check: { argv: [./cache, is-warm] }
              timeout: 1h
        "#,
    };
}

#[async_trait]
impl Step for StartEmpty {
    fn describe(&self) -> Description {
        let warmed = self.warm.as_ref().map(|warm| format!(", and warm it by `{}`", warm.words()));
        Description {
            summary: format!("make an empty cache `{}`{}", self.target, warmed.unwrap_or_default()),
            actions: elasticache::ACTIONS.into(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        elasticache::outputs(&[])
    }

    fn grace(&self) -> Dur {
        self.warm.as_ref().map_or(Dur(0), |_| warm::GRACE)
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = self.group().check(cx, &clients, async { Ok(self.origin()) }).await?;
        let (Check::Done(cache), Some(warm)) = (&seen, &self.warm) else { return Ok(seen) };
        Ok(match warm.check(cx, cache, self.tls).await? {
            Check::Done(_) => seen,
            cold => cold,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let cache = Box::pin(self.group().run(cx, &clients, &self.origin(), async |request| request)).await?;
        if let Some(warm) = &self.warm {
            Box::pin(warm.run(cx, &cache, self.tls)).await?;
        }
        Ok(cache)
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        self.group().check_undone(cx, &clients).await
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        work::end_living(cx).await?;
        let clients = World::of(&cx.read).aws.write(cx).await?;
        self.group().undo(cx, &clients).await
    }
}
