//! A database instance that is to write no more: what keeps it from that is
//! set, and the instance is restarted, so that nothing goes on that began
//! before.
//!
//! That RDS says that a setting is there does not prove that the engine has
//! it, and what was open before may go on: a transaction, a connection. So the
//! fence stands when the run saw the instance restart after the setting was
//! made, and it works again. RDS also sends an event about a restart, but of
//! its events it says itself that they may be missing (AWS RDS User Guide,
//! Monitoring Amazon RDS events).

use super::{broken, usable};
use crate::{aws::Clients, world::World};
use async_trait::async_trait;
use aws_sdk_rds::types::DbInstance;
use dr_engine::{
    outcome::{Failure, Output},
    step::{Check, Look, ReadCx, StepCx, StepError},
};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};

/// The instance as it is now.
pub(crate) struct Writer {
    /// Its status.
    pub(crate) status: String,
    /// What keeps it from writing is set.
    pub(crate) set: bool,
    /// RDS says that it is in force.
    pub(crate) in_force: bool,
    /// What stands there now, for whoever takes the fence away.
    pub(crate) stands: Value,
    /// What the step leaves.
    pub(crate) output: Output,
}

/// The fact of what stood there before.
const BEFORE: &str = "before";
/// The fact of how far the restart is that proves it; the newest counts.
const RESTART: &str = "restart";
/// It is about to be set: what was restarted before proves nothing.
const DUE: &str = "due";
/// With all set and the instance at work, a restart is about to be asked for.
const ASKED: &str = "asked";
/// After that, it was seen under way.
const SEEN: &str = "seen";

/// A way to keep an instance from writing.
#[async_trait]
pub(crate) trait Fence: Sync {
    /// The instance, in lower case: RDS keeps identifiers so.
    fn name(&self) -> String;

    /// What an instance is that is fenced, as in "`orders` is read-only".
    fn so(&self) -> &'static str;

    /// Where the look that began this attempt keeps that it saw a restart.
    fn restarting(&self) -> &AtomicBool;

    /// The instance, or why it cannot be fenced so.
    async fn see(&self, clients: &Clients) -> Result<Result<Writer, Failure>, Failure>;

    /// What else has to hold, told where it does not. Asked before anything is
    /// set, and before it is said to be done: such a look may be dear.
    async fn lacks(&self, _cx: &ReadCx) -> Result<Option<Failure>, Failure> {
        Ok(None)
    }

    /// Sets it.
    async fn set(&self, clients: &Clients) -> Result<(), StepError>;
}

impl Writer {
    /// What is common to all: its status; the rest is not known yet.
    pub(crate) fn of(db: &DbInstance) -> Self {
        Self {
            status: db.db_instance_status().unwrap_or("unknown").to_owned(),
            set: false,
            in_force: false,
            stands: Value::Null,
            output: Output::default(),
        }
    }

    /// Whether it works and can be changed.
    pub(crate) fn works(&self) -> bool {
        usable(&self.status)
    }

    fn restarts(&self) -> bool {
        self.status == "rebooting"
    }

    /// Whether it cannot write, by all that was seen.
    fn is_proven(&self, cx: &ReadCx) -> bool {
        restart(cx) == Some(SEEN) && self.set && self.in_force && self.works()
    }
}

/// What stood there before this run changed it.
pub(crate) fn before(cx: &ReadCx) -> Option<&Value> {
    cx.fact(BEFORE)
}

fn restart(cx: &ReadCx) -> Option<&str> {
    cx.fact(RESTART).and_then(Value::as_str)
}

/// All instances of the region.
pub(crate) async fn instances(clients: &Clients) -> Result<Vec<DbInstance>, Failure> {
    let pages = clients.rds.describe_db_instances().into_paginator().items().send();
    pages.try_collect().await.map_err(|e| clients.call("rds", "DescribeDBInstances").read(&e))
}

/// That an instance is not there: who has lost a region looks in another one.
pub(crate) fn missing(name: &str, region: &str) -> Failure {
    Failure::new(format!("there is no database instance `{name}` in {region}"))
        .hint("is this its region? give the step `region: primary`")
}

/// The look of a fence.
pub(crate) async fn check(fence: &impl Fence, cx: &ReadCx) -> Result<Check, Failure> {
    let clients = World::of(cx).aws.read(cx).await?;
    let writer = match fence.see(&clients).await? {
        Ok(writer) => writer,
        Err(impossible) => return Ok(Check::Impossible(impossible)),
    };
    let asked = writer.set && restart(cx) == Some(ASKED);
    fence.restarting().store(asked && writer.restarts(), Ordering::Relaxed);
    let name = fence.name();
    if writer.is_proven(cx) {
        return Ok(fence.lacks(cx).await?.map_or(Check::Done(writer.output), Check::Impossible));
    }
    if broken(&writer.status) {
        // Nothing says that it will stay so.
        let status = &writer.status;
        return Ok(Check::Unknown(format!("`{name}` is {status}: it cannot be restarted, so nothing is proven")));
    }
    if writer.set && before(cx).is_none() {
        let so = fence.so();
        let text = format!("`{name}` {so} already, not by this run, and was perhaps not restarted since");
        return Ok(Check::Unknown(format!("{text}; `retry` restarts it")));
    }
    Ok(if asked && !writer.works() { Check::InProgress } else { Check::Absent })
}

/// Sets a fence, and sees the restart that proves it.
pub(crate) async fn run(fence: &impl Fence, cx: &StepCx) -> Result<Output, StepError> {
    let clients = World::of(&cx.read).aws.write(cx).await?;
    let restarting = fence.restarting().load(Ordering::Relaxed);
    if restarting {
        cx.record(RESTART, SEEN).await;
    }
    let writer = at_work(fence, &cx.read, &clients).await?;
    if writer.set && (restarting || restart(&cx.read) == Some(SEEN)) {
        return at_work_again(fence, &cx.read, &clients).await;
    }
    if let Some(failure) = fence.lacks(&cx.read).await? {
        return Err(failure.into());
    }
    if before(&cx.read).is_none() {
        cx.record(BEFORE, writer.stands).await;
    }
    if !writer.set {
        cx.record(RESTART, DUE).await;
        fence.set(&clients).await?;
    }
    let writer = at_work(fence, &cx.read, &clients).await?;
    if !writer.set {
        let text = format!("`{}` was fenced, and is not: somebody set it back", fence.name());
        return Err(Failure::new(text).into());
    }
    cx.record(RESTART, ASKED).await;
    let site = clients.call("rds", "RebootDBInstance");
    let asked = clients.rds.reboot_db_instance().db_instance_identifier(fence.name()).send().await;
    asked.map_err(|e| site.wrote(&e))?;
    let seen = cx.read.poll(|| async {
        let writer = fence.see(&clients).await??;
        let pending = format!("`{}` is {}, and was not seen to restart yet", fence.name(), writer.status);
        Ok(if writer.restarts() { Look::Ready(()) } else { Look::Pending(pending) })
    });
    seen.await.map_err(StepError::Doubt)?;
    cx.record(RESTART, SEEN).await;
    at_work_again(fence, &cx.read, &clients).await
}

/// The instance, once it works: out of nothing else can it be changed or restarted.
async fn at_work(fence: &impl Fence, cx: &ReadCx, clients: &Clients) -> Result<Writer, Failure> {
    cx.poll(|| async {
        let writer = fence.see(clients).await??;
        let is = format!("`{}` is {}", fence.name(), writer.status);
        if broken(&writer.status) {
            return Err(Failure::new(format!("{is}: it cannot be restarted")));
        }
        Ok(if writer.works() { Look::Ready(writer) } else { Look::Pending(is) })
    })
    .await
}

/// Waits until it works again after a restart that was seen.
async fn at_work_again(fence: &impl Fence, cx: &ReadCx, clients: &Clients) -> Result<Output, StepError> {
    let back = cx.poll(|| async {
        let writer = fence.see(clients).await??;
        let ready = writer.set && writer.in_force && writer.works();
        let pending = format!("`{}` is {}", fence.name(), writer.status);
        Ok(if ready { Look::Ready(writer.output) } else { Look::Pending(pending) })
    });
    let output = back.await.map_err(StepError::Doubt)?;
    match fence.lacks(cx).await.map_err(StepError::Doubt)? {
        Some(failure) => Err(failure.into()),
        None => Ok(output),
    }
}
