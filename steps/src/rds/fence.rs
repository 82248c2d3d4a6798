//! A database instance that is to write no more: what keeps it from that is
//! set, and the instance is restarted, so that nothing goes on that began
//! before.
//!
//! The restart comes after the setting has arrived. What connects again while
//! the old rules still hold goes on for as long as it likes, and a restart of
//! that time would prove nothing.
//!
//! That RDS says that a setting is there does not prove that the engine has
//! it, and what was open before may go on: a transaction, a connection. So the
//! fence stands when the run saw the instance restart after the setting was
//! made, and it works again. RDS also sends an event about a restart, but of
//! its events it says itself that they may be missing (AWS RDS User Guide,
//! Monitoring Amazon RDS events).

use super::{broken, usable};
use crate::{
    aws::{Clients, limits},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::types::DbInstance;
use dr_engine::{
    clock::Time,
    duration::Dur,
    event::RunKind,
    outcome::{Failure, Output},
    step::{Check, Look, ReadCx, StepCx, StepError},
};
use serde_json::{Value, json};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// The instance as it is now.
pub(crate) struct Writer {
    /// Which one it is.
    pub(crate) which: Which,
    /// Its status.
    pub(crate) status: String,
    /// What keeps it from writing is set.
    pub(crate) set: bool,
    /// RDS says that it has taken it over, but for what waits for a restart.
    pub(crate) arrived: bool,
    /// RDS says that it is in force.
    pub(crate) in_force: bool,
    /// What stands there now, for whoever takes the fence away.
    pub(crate) stands: Value,
    /// What the step leaves.
    pub(crate) output: Output,
}

/// One instance of all that have its name one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Which {
    name: String,
    resource: String,
}

/// The field of a fact that names the instance it is about.
const INSTANCE: &str = "instance";
/// The field that tells it from another one of this name.
const RESOURCE: &str = "resource_id";
/// The field that holds what the fact says.
const SAYS: &str = "is";

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

impl Which {
    /// The instance of a description.
    pub(crate) fn of(db: &DbInstance) -> Self {
        Self {
            name: db.db_instance_identifier().unwrap_or_default().to_owned(),
            resource: db.dbi_resource_id().unwrap_or_default().to_owned(),
        }
    }

    /// A fact about this instance.
    fn fact(&self, says: impl Into<Value>) -> Value {
        json!({ INSTANCE: self.name, RESOURCE: self.resource, SAYS: says.into() })
    }

    /// The instance that a fact is about.
    fn told(fact: &Value) -> Option<Self> {
        let text = |field: &str| fact[field].as_str().map(ToOwned::to_owned);
        Some(Self { name: text(INSTANCE)?, resource: text(RESOURCE)? })
    }

    /// The newest fact of this name about this instance: the inputs may have
    /// named another one before, and its facts prove nothing of this one.
    fn newest<'a>(&self, cx: &'a ReadCx, name: &str) -> Option<&'a Value> {
        let mut ours = cx.facts.iter().rev().filter(|fact| fact.name == name);
        ours.find(|fact| Self::told(&fact.value).as_ref() == Some(self)).map(|fact| &fact.value[SAYS])
    }

    /// What stood there before this run changed this instance.
    pub(crate) fn before<'a>(&self, cx: &'a ReadCx) -> Option<&'a Value> {
        self.newest(cx, BEFORE)
    }

    fn restart<'a>(&self, cx: &'a ReadCx) -> Option<&'a str> {
        self.newest(cx, RESTART).and_then(Value::as_str)
    }
}

impl Writer {
    /// What is common to all: its status; the rest is not known yet.
    pub(crate) fn of(db: &DbInstance) -> Self {
        Self {
            which: Which::of(db),
            status: db.db_instance_status().unwrap_or("unknown").to_owned(),
            set: false,
            arrived: false,
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
        self.which.restart(cx) == Some(SEEN) && self.set && self.in_force && self.works()
    }
}

/// The instances that this run fenced, that are there still, and that do not have
/// the name now which the inputs give, each with what stood there before: whoever
/// restores in place renames the old one, and gives its name to the new one.
pub(crate) fn others<'a>(cx: &'a ReadCx, all: &'a [DbInstance], name: &str) -> Vec<(&'a DbInstance, &'a Value)> {
    let own = |db: &DbInstance| db.db_instance_identifier() == Some(name) && Which::of(db).before(cx).is_some();
    let stood = |db: &DbInstance| {
        let resource = db.dbi_resource_id()?;
        // Under whichever name: somebody may have given it another one since.
        let mut facts = cx.facts.iter().rev().filter(|fact| fact.name == BEFORE);
        facts.find(|fact| fact.value[RESOURCE] == resource).map(|fact| &fact.value[SAYS])
    };
    all.iter().filter(|db| !own(db)).filter_map(|db| Some((db, stood(db)?))).collect()
}

/// Whether this run fenced any instance.
pub(crate) fn fenced(cx: &ReadCx) -> bool {
    cx.fact(BEFORE).is_some()
}

/// That an instance is fenced still which does not have the name any more that the
/// inputs give: it is not for this step to change, and not to be forgotten.
pub(crate) fn left(name: &str, former: &str) -> Failure {
    let text = format!("this run fenced `{name}` too, which is not what the step names now, and it still is");
    Failure::new(text).hint(format!(
        "put it back by hand to what it had, {former}, and answer `retry`; or `skip` if it is to stay fenced"
    ))
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
    let asked = writer.set && writer.which.restart(cx) == Some(ASKED);
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
    if writer.set && writer.which.before(cx).is_none() {
        let so = fence.so();
        let text = format!("`{name}` {so} already, not by this run, and was perhaps not restarted since");
        return Ok(Check::Unknown(format!("{text}; `retry` restarts it")));
    }
    // One that was proven is so when it works again: a backup, or a group that is being applied, lifts nothing.
    let proven = writer.set && writer.which.restart(cx) == Some(SEEN);
    Ok(if proven || (asked && !writer.works()) { Check::InProgress } else { Check::Absent })
}

/// Sets a fence, and sees the restart that proves it.
pub(crate) async fn run(fence: &impl Fence, cx: &StepCx) -> Result<Output, StepError> {
    let clients = World::of(&cx.read).aws.write(cx).await?;
    let restarting = fence.restarting().load(Ordering::Relaxed);
    let which = fence.see(&clients).await??.which;
    if restarting {
        cx.record(RESTART, which.fact(SEEN)).await;
    }
    let writer = at_work(fence, &cx.read, &clients).await?;
    same(&which, &writer)?;
    if writer.set && (restarting || which.restart(&cx.read) == Some(SEEN)) {
        return at_work_again(fence, &which, &cx.read, &clients).await;
    }
    if let Some(failure) = fence.lacks(&cx.read).await? {
        return Err(failure.into());
    }
    if which.before(&cx.read).is_none() {
        cx.record(BEFORE, which.fact(writer.stands)).await;
    }
    if !writer.set {
        cx.record(RESTART, which.fact(DUE)).await;
        fence.set(&clients).await?;
    }
    let writer = arrived(fence, &cx.read, &clients).await?;
    same(&which, &writer)?;
    cx.record(RESTART, which.fact(ASKED)).await;
    let site = clients.call("rds", "RebootDBInstance");
    let asked = clients.rds.reboot_db_instance().db_instance_identifier(fence.name()).send().await;
    asked.map_err(|e| site.wrote(&e))?;
    let seen = cx.read.poll(|| async {
        let writer = fence.see(&clients).await??;
        let pending = format!("`{}` is {}, and was not seen to restart yet", fence.name(), writer.status);
        Ok(if writer.restarts() { Look::Ready(()) } else { Look::Pending(pending) })
    });
    seen.await.map_err(StepError::Doubt)?;
    cx.record(RESTART, which.fact(SEEN)).await;
    at_work_again(fence, &which, &cx.read, &clients).await
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

/// Waits until what was set has arrived: what is restarted before that may be
/// connected to again under the old rules. RDS may show the change late, and
/// where its word is not exact, it has to hold for a while.
async fn arrived(fence: &impl Fence, cx: &ReadCx, clients: &Clients) -> Result<Writer, Failure> {
    let settling = match cx.run.kind {
        // Time passes there with each look.
        RunKind::Lab => Dur(0),
        _ => limits::FENCE_SETTLES,
    };
    // Since when it is waited for, and since when and for how many looks it is there.
    let (begun, there) = (Mutex::new(cx.clock.now()), Mutex::new(None::<(Time, u32)>));
    cx.poll(|| async {
        let writer = fence.see(clients).await??;
        let (name, now) = (fence.name(), cx.clock.now());
        let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
        let mut there = there.lock().unwrap_or_else(PoisonError::into_inner);
        if broken(&writer.status) {
            return Err(Failure::new(format!("`{name}` is {}: it cannot be restarted", writer.status)));
        }
        if !writer.works() {
            // How long a change of the instance takes, the time of the step bounds.
            (*begun, *there) = (now, None);
            return Ok(Look::Pending(format!("`{name}` is {}", writer.status)));
        }
        if writer.set && writer.arrived {
            let (since, looks) = there.map_or((now, 1), |(since, looks)| (since, looks + 1));
            *there = Some((since, looks));
            let settled = looks >= limits::SETTLED_LOOKS && now.since(since) >= settling;
            let pending = format!("`{name}` {}, by the word of RDS; that has to hold before it restarts", fence.so());
            return Ok(if settled { Look::Ready(writer) } else { Look::Pending(pending) });
        }
        *there = None;
        let text = if writer.set {
            format!("`{name}` was told so, and RDS does not say yet that it {}", fence.so())
        } else {
            format!("`{name}` was told so, and RDS does not show it")
        };
        if now.since(*begun) >= limits::ARRIVES {
            let hint = "did somebody set it back? `retry` sets it again and waits anew";
            return Err(Failure::new(format!("{text} after {}", limits::ARRIVES)).hint(hint));
        }
        Ok(Look::Pending(text))
    })
    .await
}

/// That it is still the same instance: another one may have taken its name meanwhile.
fn same(which: &Which, writer: &Writer) -> Result<(), Failure> {
    if writer.which == *which {
        return Ok(());
    }
    let text = format!("`{}` is another instance than it was when the step began", which.name);
    Err(Failure::new(text).hint("see which of them is the old writer, and answer `retry`"))
}

/// Waits until it works again after a restart that was seen.
async fn at_work_again(fence: &impl Fence, which: &Which, cx: &ReadCx, clients: &Clients) -> Result<Output, StepError> {
    let back = cx.poll(|| async {
        let writer = fence.see(clients).await??;
        let ready = writer.which == *which && writer.set && writer.in_force && writer.works();
        let pending = format!("`{}` is {}", fence.name(), writer.status);
        Ok(if ready { Look::Ready(writer.output) } else { Look::Pending(pending) })
    });
    let output = back.await.map_err(StepError::Doubt)?;
    match fence.lacks(cx).await.map_err(StepError::Doubt)? {
        Some(failure) => Err(failure.into()),
        None => Ok(output),
    }
}
