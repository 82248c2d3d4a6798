//! A database instance under a name: what it should be, how far it is, how it
//! is taken back. What every kind shares that makes one.
//!
//! Nothing that makes an instance has an idempotency token: the name is the
//! token, and the tags say whose it is and what it was made from, since RDS
//! does not say that of an instance. What exists under the name without our
//! tags is never touched. AWS silently defaults the security groups and the
//! parameter group, so all of them are given (AWS RDS API Reference,
//! `RestoreDBInstanceFromDBSnapshot`).

pub(crate) mod fence;
pub(crate) mod replica;
pub(crate) mod snapshots;

use crate::{
    aws::{
        Clients,
        error::code,
        limits,
        tags::{self, Owner},
    },
    world::World,
};
use aws_sdk_rds::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{DbInstance, Filter, PendingModifiedValues, Tag},
};
use dr_engine::{
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Look, OutputName, ReadCx, StepCx, StepError},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, future::Future};

/// What an instance should be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its name, in lower case: RDS keeps identifiers so.
    pub(crate) name: String,
    /// Its class; else that of what it is made from.
    pub(crate) class: Option<String>,
    /// Its subnet group.
    pub(crate) subnet_group: String,
    /// Its security groups.
    pub(crate) security_groups: Vec<String>,
    /// Its parameter group.
    pub(crate) parameter_group: String,
    /// Whether it stands in two availability zones.
    pub(crate) multi_az: bool,
    /// Whether it is a replica, which follows what it was made from.
    pub(crate) follows: bool,
}

/// What it is made from: chosen once, and written down.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// What a tag of the instance says of it, and a person reads.
    pub(crate) from: String,
    /// The moment of its data.
    pub(crate) recovery_point: Option<RecoveryPoint>,
}

/// What [`Wanted::undo`] does, for the pages of the kinds.
pub(crate) const UNDO: &str = "Waits until the instance can be changed, takes its deletion protection off, \
    `DeleteDBInstance` without a final snapshot, and waits until it is gone. Its automated backups stay for \
    their own time. Only this run's instance is deleted.";

/// The actions that every kind needs that makes an instance.
pub(crate) const ACTIONS: [&str; 8] = [
    "rds:DescribeDBInstances",
    "rds:AddTagsToResource",
    "rds:ModifyDBInstance",
    "rds:DeleteDBInstance",
    "kms:DescribeKey",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:GenerateDataKey*",
];

/// The name of the fact that holds the new instance.
const INSTANCE: &str = "instance";
/// The name of the fact that a replica was seen to work and to name its source.
const FOLLOWED: &str = "followed";

/// What stands under the target's name.
pub(crate) enum Seen {
    Nothing,
    Theirs(String),
    Ours(Box<DbInstance>),
}

/// How far an instance of ours is.
pub(crate) enum Stage {
    /// It is not what was asked for yet, and moves by itself.
    Moving(String),
    /// It works, and something of it differs from what was asked for.
    Differs,
    /// It is what was asked for.
    Ready,
    /// It will not become so by itself.
    Broken(Failure),
}

/// States out of which an instance does not come by itself (AWS RDS User
/// Guide, Viewing DB instance status), beside `incompatible-…` and `inaccessible-…`.
const BROKEN: [&str; 7] =
    ["failed", "deleting", "deleted", "insufficient-capacity", "restore-error", "storage-full", "stopped"];

/// Whether an instance does not come out of this state by itself.
pub(crate) fn broken(status: &str) -> bool {
    BROKEN.contains(&status) || status.starts_with("incompatible-") || status.starts_with("inaccessible-")
}

/// Whether an instance works and can be changed in this state. Its storage may
/// be arranged anew meanwhile, which can take more than a day (AWS RDS User
/// Guide, Viewing DB instance status).
pub(crate) fn usable(status: &str) -> bool {
    matches!(status, "available" | "storage-optimization" | "storage-initialization")
}

impl Seen {
    fn of(cx: &ReadCx, found: Option<DbInstance>) -> Self {
        let Some(found) = found else { return Self::Nothing };
        let tags = found.tag_list().iter().filter_map(|tag| tag.key().zip(tag.value()));
        match tags::owner(cx, tags) {
            Owner::Us => Self::Ours(Box::new(found)),
            Owner::Other(who) => Self::Theirs(who),
        }
    }
}

/// What the one call that makes an instance gave.
pub(crate) enum Made {
    /// It is being made.
    Begun(Option<Box<DbInstance>>),
    /// Something has its name already.
    Exists,
}

impl Made {
    /// Tells an instance that is there already from a failure.
    pub(crate) fn of<E: ProvideErrorMetadata>(
        reply: Result<Option<DbInstance>, SdkError<E, HttpResponse>>,
        failed: impl FnOnce(&SdkError<E, HttpResponse>) -> StepError,
    ) -> Result<Self, StepError> {
        match reply {
            Ok(instance) => Ok(Self::Begun(instance.map(Box::new))),
            Err(e) if code(&e).starts_with("DBInstanceAlreadyExists") => Ok(Self::Exists),
            Err(e) => Err(failed(&e)),
        }
    }
}

impl Wanted {
    async fn see(&self, cx: &ReadCx, clients: &Clients) -> Result<Seen, Failure> {
        Ok(Seen::of(cx, find(cx, clients, &self.name).await?))
    }

    fn theirs(&self, cx: &ReadCx, who: &str) -> Failure {
        let region = cx.step.region.as_deref().unwrap_or("this region");
        Failure::new(format!("`{}` already exists in {region} and belongs to {who}", self.name))
            .hint("choose another `target`, or remove that instance by hand")
    }

    /// Refuses an instance of ours that was made from something else.
    fn made_from(&self, db: &DbInstance, origin: &Origin) -> Result<(), Failure> {
        let tag = db.tag_list().iter().find(|tag| tag.key() == Some(tags::FROM));
        match tag.and_then(Tag::value) {
            Some(from) if from != tags::text(&origin.from) => {
                let (name, id) = (&self.name, &origin.from);
                let text = format!("`{name}` was made from `{from}` before the inputs changed, not from `{id}`");
                Err(Failure::new(text)
                    .hint("remove that instance by hand, or set the inputs back; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }

    /// The tags of what is made.
    pub(crate) fn tags(cx: &ReadCx, origin: &Origin) -> Vec<Tag> {
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        tags::of(cx).into_iter().chain([(tags::FROM, tags::text(&origin.from))]).map(tag).collect()
    }

    fn stage(&self, db: &DbInstance) -> Stage {
        let (name, status) = (&self.name, db.db_instance_status().unwrap_or("creating"));
        if broken(status) {
            return Stage::Broken(Failure::new(format!("`{name}` is {status}")));
        }
        if !usable(status) {
            return Stage::Moving(format!("`{name}` is {status}"));
        }
        let subnets = db.db_subnet_group().and_then(|g| g.db_subnet_group_name());
        if subnets != Some(self.subnet_group.as_str()) {
            let is = subnets.unwrap_or("the default subnet group");
            let text = format!("`{name}` stands in {is}, not in `{}`", self.subnet_group);
            return Stage::Broken(Failure::new(text));
        }
        if db.pending_modified_values().is_some_and(|p| *p != PendingModifiedValues::builder().build()) {
            return Stage::Moving(format!("`{name}` has changes that are still to be applied"));
        }
        let group = db
            .db_parameter_groups()
            .iter()
            .find(|g| g.db_parameter_group_name() == Some(self.parameter_group.as_str()));
        match group.map(|g| g.parameter_apply_status().unwrap_or("in-sync")) {
            Some("pending-reboot") => {
                let text = format!("`{name}` runs without its parameter group `{}`", self.parameter_group);
                return Stage::Broken(Failure::new(text).hint("reboot the instance, then answer `retry`"));
            }
            Some("applying") => return Stage::Moving(format!("`{name}` applies its parameter group")),
            _ => {}
        }
        let mut has: Vec<_> = db.vpc_security_groups().iter().filter_map(|g| g.vpc_security_group_id()).collect();
        let mut wants: Vec<_> = self.security_groups.iter().map(String::as_str).collect();
        has.sort_unstable();
        wants.sort_unstable();
        let class = self.class.as_ref().is_none_or(|class| db.db_instance_class() == Some(class));
        let zones = db.multi_az().unwrap_or(false) == self.multi_az;
        if group.is_none() || has != wants || !class || !zones {
            return Stage::Differs;
        }
        if self.follows { replica::stage(name, db) } else { Stage::Ready }
    }

    /// Why a replica of ours is not deleted: it is one no more.
    ///
    /// In whichever state it is: one that is full, stopped or without its key
    /// holds what was written as well as one that works. Only what RDS is still
    /// making or already deleting need not name a source, and what failed before
    /// it ever worked: that has no address, and nobody wrote into it.
    fn of_its_own(&self, cx: &ReadCx, db: &DbInstance) -> Option<Failure> {
        let never_was = match db.db_instance_status() {
            Some("creating" | "deleting") => true,
            Some("failed") => db.endpoint().is_none() && cx.fact(FOLLOWED).is_none(),
            _ => false,
        };
        (self.follows && !never_was && replica::source(db).is_none()).then(|| {
            let text = format!("`{}` follows nothing: it was promoted, and may hold what was written since", self.name);
            Failure::new(text).hint("it is not deleted; remove it by hand if nobody needs it")
        })
    }

    /// Gives an instance of ours what differs from what was asked for.
    async fn mend(&self, clients: &Clients) -> Result<(), StepError> {
        let change = clients
            .rds
            .modify_db_instance()
            .db_instance_identifier(&self.name)
            .set_db_instance_class(self.class.clone())
            .set_vpc_security_group_ids(Some(self.security_groups.clone()))
            .db_parameter_group_name(&self.parameter_group)
            .multi_az(self.multi_az)
            .apply_immediately(true);
        let reply = change.send().await;
        reply.map(drop).map_err(|e| clients.call("rds", "ModifyDBInstance").wrote(&e))
    }

    /// Waits until the instance no longer moves.
    async fn settled(&self, cx: &StepCx, clients: &Clients, mended: bool) -> Result<(Box<DbInstance>, Stage), Failure> {
        let (cx, step) = (&cx.read, cx);
        let since = cx.clock.now();
        let settled = cx.poll(|| async {
            match self.see(cx, clients).await? {
                Seen::Ours(db) => Ok(match self.stage(&db) {
                    Stage::Moving(says) => Look::Pending(says),
                    // A change that was accepted may not be seen at once.
                    Stage::Differs if mended && cx.clock.now().since(since) < limits::UNSEEN => {
                        Look::Pending(format!("`{}` is still as it was before the change", self.name))
                    }
                    stage => Look::Ready((db, stage)),
                }),
                Seen::Theirs(who) => Err(self.theirs(cx, &who)),
                // What was just made may not be seen at once.
                Seen::Nothing if cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("`{}` is not seen yet", self.name)))
                }
                Seen::Nothing => Err(Failure::new(format!("`{}` has gone", self.name))),
            }
        });
        let settled = settled.await?;
        let works = usable(settled.0.db_instance_status().unwrap_or("creating"));
        if works && replica::source(&settled.0).is_some() && cx.fact(FOLLOWED).is_none() {
            step.record(FOLLOWED, true).await;
        }
        Ok(settled)
    }

    /// Waits until the instance can be changed or deleted: its status and
    /// whether it is protected, `None` when it has gone.
    async fn at_rest(
        &self,
        cx: &StepCx,
        clients: &Clients,
        protected: bool,
    ) -> Result<Option<(String, bool)>, Failure> {
        let rest = || async {
            let db = match self.see(&cx.read, clients).await? {
                Seen::Nothing => return Ok(Look::Ready(None)),
                Seen::Theirs(who) => return Err(self.theirs(&cx.read, &who)),
                Seen::Ours(db) => db,
            };
            if let Some(failure) = self.of_its_own(&cx.read, &db) {
                return Err(failure);
            }
            let status = db.db_instance_status().unwrap_or("creating");
            let is_protected = db.deletion_protection().unwrap_or(false);
            if (usable(status) || broken(status)) && (protected || !is_protected) {
                return Ok(Look::Ready(Some((status.to_owned(), is_protected))));
            }
            Ok(Look::Pending(format!("`{}` is {status}", self.name)))
        };
        cx.read.poll(rest).await
    }

    fn output(db: &DbInstance, origin: &Origin) -> Output {
        Output { values: values(db), recovery_point: origin.recovery_point.clone() }
    }

    /// How far it is, for [`dr_engine::step::Step::check`]; `decide` says what it is to be made from.
    pub(crate) async fn check(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        decide: impl Future<Output = Result<Origin, Failure>>,
    ) -> Result<Check, Failure> {
        let seen = self.see(cx, clients).await?;
        if let Seen::Theirs(who) = &seen {
            return Ok(Check::Impossible(self.theirs(cx, who)));
        }
        let origin = match decide.await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            origin => origin?,
        };
        let Seen::Ours(db) = seen else { return Ok(Check::Absent) };
        if let Err(failure) = self.made_from(&db, &origin) {
            return Ok(Check::Impossible(failure));
        }
        Ok(match self.stage(&db) {
            Stage::Ready => Check::Done(Self::output(&db, &origin)),
            Stage::Moving(_) | Stage::Differs => Check::InProgress,
            Stage::Broken(failure) => Check::Impossible(failure),
        })
    }

    /// Makes it where it is not there, and waits until it is what was asked
    /// for. `make` writes its choice down and makes the one call.
    pub(crate) async fn run(
        &self,
        cx: &StepCx,
        clients: &Clients,
        origin: &Origin,
        make: impl Future<Output = Result<Made, StepError>>,
    ) -> Result<Output, StepError> {
        match self.see(&cx.read, clients).await? {
            Seen::Theirs(who) => return Err(self.theirs(&cx.read, &who).into()),
            Seen::Ours(db) => {
                self.made_from(&db, origin)?;
                note(cx, &db).await;
            }
            Seen::Nothing => match make.await? {
                Made::Begun(db) => {
                    if let Some(db) = db {
                        note(cx, &db).await;
                    }
                }
                // An instance of ours that is already there is as good.
                Made::Exists => match self.see(&cx.read, clients).await? {
                    Seen::Ours(db) => self.made_from(&db, origin)?,
                    Seen::Theirs(who) => return Err(self.theirs(&cx.read, &who).into()),
                    Seen::Nothing => {
                        return Err(Failure::passing(format!("`{}` is being made or removed", self.name)).into());
                    }
                },
            },
        }
        let (mut db, mut stage) = self.settled(cx, clients, false).await?;
        if matches!(stage, Stage::Differs) {
            self.mend(clients).await?;
            (db, stage) = self.settled(cx, clients, true).await?;
        }
        match stage {
            Stage::Ready => Ok(Self::output(&db, origin)),
            Stage::Broken(failure) => Err(failure.into()),
            Stage::Differs | Stage::Moving(_) => {
                Err(Failure::new(format!("`{}` does not become what was asked for", self.name)).into())
            }
        }
    }

    /// Whether it is gone.
    pub(crate) async fn check_undone(&self, cx: &ReadCx, clients: &Clients) -> Result<Check, Failure> {
        Ok(match self.see(cx, clients).await? {
            Seen::Nothing => Check::Done(Output::default()),
            Seen::Theirs(who) => Check::Impossible(self.theirs(cx, &who)),
            Seen::Ours(db) if db.db_instance_status() == Some("deleting") => Check::InProgress,
            Seen::Ours(db) => self.of_its_own(cx, &db).map_or(Check::Absent, Check::Impossible),
        })
    }

    /// Removes it; its automated backups stay for their own time.
    pub(crate) async fn undo(&self, cx: &StepCx, clients: &Clients) -> Result<(), StepError> {
        let target = &self.name;
        if let Some((_, true)) = self.at_rest(cx, clients, true).await? {
            let change = clients.rds.modify_db_instance().db_instance_identifier(target).deletion_protection(false);
            let reply = change.apply_immediately(true).send().await;
            reply.map_err(|e| clients.call("rds", "ModifyDBInstance").wrote(&e))?;
        }
        if let Some((status, _)) = self.at_rest(cx, clients, false).await?
            && status != "deleting"
        {
            // What users wrote into it since can still be restored from them.
            let request = clients.rds.delete_db_instance().delete_automated_backups(false);
            match request.db_instance_identifier(target).skip_final_snapshot(true).send().await {
                Err(e) if code(&e).starts_with("DBInstanceNotFound") => return Ok(()),
                reply => drop(reply.map_err(|e| clients.call("rds", "DeleteDBInstance").wrote(&e))?),
            }
            cx.record_handle("deleting", Value::from(target.clone())).await;
        }
        let gone = || async {
            match self.see(&cx.read, clients).await? {
                Seen::Ours(db) => {
                    let status = db.db_instance_status().unwrap_or("deleting");
                    Ok(Look::Pending(format!("`{}` is {status}", self.name)))
                }
                Seen::Nothing | Seen::Theirs(_) => Ok(Look::Ready(())),
            }
        };
        Ok(cx.read.poll(gone).await?)
    }
}

/// The instances of these names that there are: one list, in as many pages as it takes.
///
/// Should RDS refuse a name that it does not know, in place of leaving it out,
/// then that is the answer for this name; several are then asked for one by one.
async fn list(clients: &Clients, names: Vec<String>) -> Result<BTreeMap<String, DbInstance>, Failure> {
    let alone = names.len() == 1;
    let these = Filter::builder().name("db-instance-id").set_values(Some(names)).build();
    let pages = clients.rds.describe_db_instances().filters(these).into_paginator();
    let found: Vec<DbInstance> = match pages.items().send().try_collect().await {
        Err(e) if alone && code(&e).starts_with("DBInstanceNotFound") => Vec::new(),
        found => found.map_err(|e| clients.call("rds", "DescribeDBInstances").read(&e))?,
    };
    Ok(found.into_iter().filter_map(|db| Some((db.db_instance_identifier()?.to_owned(), db))).collect())
}

/// Writes the handle of the instance down, once.
async fn note(cx: &StepCx, db: &DbInstance) {
    if cx.read.fact(INSTANCE).is_none() {
        let handle = json!({ "arn": db.db_instance_arn(), "resource_id": db.dbi_resource_id() });
        cx.record_handle(INSTANCE, handle).await;
    }
}

/// The instance of this name, if there is one. Whoever looks at the same time shares one list.
pub(crate) async fn find(cx: &ReadCx, clients: &Clients, name: &str) -> Result<Option<DbInstance>, Failure> {
    World::of(cx).aws.instances.look(&clients.place, name, |names| list(clients, names)).await
}

/// What an instance gives to other steps, by the names in [`outputs`].
pub(crate) fn values(db: &DbInstance) -> serde_json::Map<String, Value> {
    let mut values = serde_json::Map::new();
    if let Some((address, port)) = db.endpoint().and_then(|e| e.address().zip(e.port())) {
        values.insert("endpoint".into(), address.into());
        values.insert("port".into(), port.into());
    }
    values.insert("arn".into(), db.db_instance_arn().into());
    values.insert("resource_id".into(), db.dbi_resource_id().into());
    values
}

/// What an instance gives to other steps.
pub(crate) fn outputs(more: &[&'static str]) -> Vec<OutputName> {
    let texts = ["endpoint", "arn", "resource_id"].iter().chain(more).copied().map(OutputName::text);
    texts.chain([OutputName::number("port")]).collect()
}
