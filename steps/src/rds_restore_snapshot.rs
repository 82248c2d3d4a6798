//! `rds.restore_snapshot`: a database from one of its snapshots.
//!
//! Restoring has no idempotency token: the name is the token, and the tags say
//! whose it is and which snapshot it was made from: RDS does not say that of an
//! instance. What exists under the name without our tags is never touched.
//! AWS silently defaults the security groups and the parameter group, so all
//! of them are given (AWS RDS API Reference, `RestoreDBInstanceFromDBSnapshot`).
//!
//! The recovery point is `SnapshotDatabaseTime`, else
//! `OriginalSnapshotCreateTime`; never `SnapshotCreateTime`, which changes when
//! a snapshot is copied (AWS RDS API Reference, `DBSnapshot`).
//!
//! Left out: clusters, copies from another region or under another key (a
//! snapshot must lie in the step's region), and a final snapshot on undo; the
//! automated backups of the instance are kept for their own time.

mod choice;

use self::choice::{CHOSEN, Chosen, chosen};
use crate::{
    aws::{
        Clients,
        error::code,
        limits,
        tags::{self, Owner},
    },
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::types::{DbInstance, Filter, PendingModifiedValues, Tag};
use dr_engine::{
    outcome::{Failure, Output},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Restores a database instance from a snapshot under a new name, and waits
/// until it is available.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSnapshot {
    /// The database that the snapshot is of.
    source: In<String>,
    /// `latest`, or a snapshot's name or ARN.
    #[serde(default)]
    snapshot: Option<In<String>>,
    /// Only a snapshot whose data is not later than this, as in
    /// `${run.incident_at}`: for corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// The name of the new instance.
    target: In<String>,
    /// Its class; else that of the snapshot's source.
    #[serde(default)]
    class: Option<In<String>>,
    /// Its subnet group.
    subnet_group: In<String>,
    /// Its security groups; without them AWS would take the default one.
    security_groups: Vec<In<String>>,
    /// Its parameter group; without it AWS would take the default one.
    parameter_group: In<String>,
    /// Whether it stands in two availability zones; else in one.
    #[serde(default)]
    multi_az: Option<In<bool>>,
    /// The key that the snapshot must be encrypted with.
    #[serde(default)]
    kms_key: Option<In<String>>,
}

/// The name of the fact that holds the new instance.
const INSTANCE: &str = "instance";

/// What stands under the target's name.
enum Seen {
    Nothing,
    Theirs(String),
    Ours(Box<DbInstance>),
}

/// How far an instance of ours is.
enum Stage {
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
fn broken(status: &str) -> bool {
    BROKEN.contains(&status) || status.starts_with("incompatible-") || status.starts_with("inaccessible-")
}

/// Whether an instance works and can be changed in this state. Its storage may
/// be arranged anew meanwhile, which can take more than a day (AWS RDS User
/// Guide, Viewing DB instance status).
fn usable(status: &str) -> bool {
    matches!(status, "available" | "storage-optimization" | "storage-initialization")
}

impl RestoreSnapshot {
    /// RDS keeps identifiers in lower case.
    fn target(&self) -> String {
        self.target.get().to_lowercase()
    }

    async fn see(&self, cx: &ReadCx, clients: &Clients) -> Result<Seen, Failure> {
        let instances = &World::of(cx).aws.instances;
        let Some(found) = instances.look(&clients.region, &self.target(), |names| list(clients, names)).await? else {
            return Ok(Seen::Nothing);
        };
        let tags = found.tag_list().iter().filter_map(|t| t.key().zip(t.value()));
        Ok(match tags::owner(cx, tags) {
            Owner::Us => Seen::Ours(Box::new(found)),
            Owner::Other(who) => Seen::Theirs(who),
        })
    }

    fn theirs(&self, cx: &ReadCx, who: &str) -> Failure {
        let region = cx.step.region.as_deref().unwrap_or("this region");
        Failure::new(format!("`{}` already exists in {region} and belongs to {who}", self.target()))
            .hint("choose another `target`, or remove that instance by hand")
    }

    fn stage(&self, db: &DbInstance) -> Stage {
        let (name, status) = (self.target(), db.db_instance_status().unwrap_or("creating"));
        if broken(status) {
            return Stage::Broken(Failure::new(format!("`{name}` is {status}")));
        }
        if !usable(status) {
            return Stage::Moving(format!("`{name}` is {status}"));
        }
        let subnets = db.db_subnet_group().and_then(|g| g.db_subnet_group_name());
        if subnets != Some(self.subnet_group.get().as_str()) {
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
            .find(|g| g.db_parameter_group_name() == Some(self.parameter_group.get().as_str()));
        match group.map(|g| g.parameter_apply_status().unwrap_or("in-sync")) {
            Some("pending-reboot") => {
                let text = format!("`{name}` runs without its parameter group `{}`", self.parameter_group);
                return Stage::Broken(Failure::new(text).hint("reboot the instance, then answer `retry`"));
            }
            Some("applying") => return Stage::Moving(format!("`{name}` applies its parameter group")),
            _ => {}
        }
        let mut has: Vec<_> = db.vpc_security_groups().iter().filter_map(|g| g.vpc_security_group_id()).collect();
        let mut wants: Vec<_> = self.security_groups.iter().map(|g| g.get().as_str()).collect();
        has.sort_unstable();
        wants.sort_unstable();
        let class = self.class.as_ref().is_none_or(|class| db.db_instance_class() == Some(class.get()));
        let zones = db.multi_az().unwrap_or(false) == self.multi_az();
        if group.is_none() || has != wants || !class || !zones { Stage::Differs } else { Stage::Ready }
    }

    fn multi_az(&self) -> bool {
        self.multi_az.as_ref().is_some_and(|wanted| *wanted.get())
    }

    /// Begins the restore. An instance of ours that is already there is as good.
    async fn begin(&self, cx: &StepCx, clients: &Clients, chosen: &Chosen) -> Result<(), StepError> {
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        let tags = tags::of(&cx.read).into_iter().chain([(tags::FROM, tags::text(&chosen.id))]);
        let groups = self.security_groups.iter().map(|g| g.get().clone()).collect();
        let reply = clients
            .rds
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier(self.target())
            .db_snapshot_identifier(&chosen.id)
            .set_db_instance_class(self.class.as_ref().map(|class| class.get().clone()))
            .db_subnet_group_name(self.subnet_group.get())
            .set_vpc_security_group_ids(Some(groups))
            .db_parameter_group_name(self.parameter_group.get())
            .multi_az(self.multi_az())
            .publicly_accessible(false)
            .set_tags(Some(tags.map(tag).collect()))
            .send()
            .await;
        match reply {
            Ok(reply) => {
                if let Some(db) = reply.db_instance() {
                    note(cx, db).await;
                }
                Ok(())
            }
            Err(e) if code(&e).starts_with("DBInstanceAlreadyExists") => match self.see(&cx.read, clients).await? {
                Seen::Ours(db) => Ok(self.made_from(&db, chosen)?),
                Seen::Theirs(who) => Err(self.theirs(&cx.read, &who).into()),
                Seen::Nothing => Err(Failure::passing(format!("`{}` is being made or removed", self.target())).into()),
            },
            Err(e) => Err(clients.call("rds", "RestoreDBInstanceFromDBSnapshot").wrote(&e)),
        }
    }

    /// Gives an instance of ours what differs from what was asked for.
    async fn mend(&self, clients: &Clients) -> Result<(), StepError> {
        let groups = self.security_groups.iter().map(|g| g.get().clone()).collect();
        let change = clients
            .rds
            .modify_db_instance()
            .db_instance_identifier(self.target())
            .set_db_instance_class(self.class.as_ref().map(|class| class.get().clone()))
            .set_vpc_security_group_ids(Some(groups))
            .db_parameter_group_name(self.parameter_group.get())
            .multi_az(self.multi_az())
            .apply_immediately(true);
        let reply = change.send().await;
        reply.map(drop).map_err(|e| clients.call("rds", "ModifyDBInstance").wrote(&e))
    }

    /// Waits until the instance no longer moves.
    async fn settled(&self, cx: &ReadCx, clients: &Clients, mended: bool) -> Result<(Box<DbInstance>, Stage), Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx, clients).await? {
                Seen::Ours(db) => Ok(match self.stage(&db) {
                    Stage::Moving(says) => Look::Pending(says),
                    // A change that was accepted may not be seen at once.
                    Stage::Differs if mended && cx.clock.now().since(since) < limits::UNSEEN => {
                        Look::Pending(format!("`{}` is still as it was before the change", self.target()))
                    }
                    stage => Look::Ready((db, stage)),
                }),
                Seen::Theirs(who) => Err(self.theirs(cx, &who)),
                // What was just made may not be seen at once.
                Seen::Nothing if cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("`{}` is not seen yet", self.target())))
                }
                Seen::Nothing => Err(Failure::new(format!("`{}` has gone", self.target()))),
            }
        })
        .await
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
            let status = db.db_instance_status().unwrap_or("creating");
            let is_protected = db.deletion_protection().unwrap_or(false);
            if (usable(status) || broken(status)) && (protected || !is_protected) {
                return Ok(Look::Ready(Some((status.to_owned(), is_protected))));
            }
            Ok(Look::Pending(format!("`{}` is {status}", self.target())))
        };
        cx.read.poll(rest).await
    }

    fn output(db: &DbInstance, chosen: Chosen) -> Output {
        let mut values = serde_json::Map::new();
        if let Some((address, port)) = db.endpoint().and_then(|e| e.address().zip(e.port())) {
            values.insert("endpoint".into(), address.into());
            values.insert("port".into(), port.into());
        }
        values.insert("arn".into(), db.db_instance_arn().into());
        values.insert("resource_id".into(), db.dbi_resource_id().into());
        values.insert("snapshot".into(), chosen.id.into());
        Output { values, recovery_point: chosen.recovery_point }
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

#[async_trait]
impl Step for RestoreSnapshot {
    fn describe(&self) -> Description {
        let snapshot = self.snapshot.as_ref().map_or("latest".into(), ToString::to_string);
        Description {
            summary: format!("restore database `{}` as `{}` from snapshot {snapshot}", self.source, self.target),
            actions: vec![
                "rds:DescribeDBSnapshots",
                "rds:DescribeDBInstances",
                "rds:RestoreDBInstanceFromDBSnapshot",
                "rds:AddTagsToResource",
                "rds:ModifyDBInstance",
                "rds:DeleteDBInstance",
                "kms:DescribeKey",
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:GenerateDataKey*",
            ],
            control_plane: None,
            regions: Vec::new(),
            irreversible: false,
            moves_traffic: false,
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["endpoint", "arn", "resource_id", "snapshot"]
            .map(OutputName::text)
            .into_iter()
            .chain([OutputName::number("port")])
            .collect()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = self.see(cx, &clients).await?;
        if let Seen::Theirs(who) = &seen {
            return Ok(Check::Impossible(self.theirs(cx, who)));
        }
        let chosen = match self.decide(cx, &clients).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            chosen => chosen?,
        };
        let Seen::Ours(db) = seen else { return Ok(Check::Absent) };
        if let Err(failure) = self.made_from(&db, &chosen) {
            return Ok(Check::Impossible(failure));
        }
        Ok(match self.stage(&db) {
            Stage::Ready => Check::Done(Self::output(&db, chosen)),
            Stage::Moving(_) | Stage::Differs => Check::InProgress,
            Stage::Broken(failure) => Check::Impossible(failure),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let seen = self.see(&cx.read, &clients).await?;
        let choice = self.decide(&cx.read, &clients).await?;
        match seen {
            Seen::Theirs(who) => return Err(self.theirs(&cx.read, &who).into()),
            Seen::Ours(db) => {
                self.made_from(&db, &choice)?;
                note(cx, &db).await;
            }
            Seen::Nothing => {
                if chosen(&cx.read).as_ref() != Some(&choice) {
                    cx.record(CHOSEN, json!(choice)).await;
                }
                self.begin(cx, &clients, &choice).await?;
            }
        }
        let (mut db, mut stage) = self.settled(&cx.read, &clients, false).await?;
        if matches!(stage, Stage::Differs) {
            self.mend(&clients).await?;
            (db, stage) = self.settled(&cx.read, &clients, true).await?;
        }
        match stage {
            Stage::Ready => Ok(Self::output(&db, choice)),
            Stage::Broken(failure) => Err(failure.into()),
            Stage::Differs | Stage::Moving(_) => {
                Err(Failure::new(format!("`{}` does not become what was asked for", self.target())).into())
            }
        }
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.see(cx, &clients).await? {
            Seen::Nothing => Check::Done(Output::default()),
            Seen::Theirs(who) => Check::Impossible(self.theirs(cx, &who)),
            Seen::Ours(db) if db.db_instance_status() == Some("deleting") => Check::InProgress,
            Seen::Ours(_) => Check::Absent,
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let target = self.target();
        if let Some((_, true)) = self.at_rest(cx, &clients, true).await? {
            let change = clients.rds.modify_db_instance().db_instance_identifier(&target).deletion_protection(false);
            let reply = change.apply_immediately(true).send().await;
            reply.map_err(|e| clients.call("rds", "ModifyDBInstance").wrote(&e))?;
        }
        if let Some((status, _)) = self.at_rest(cx, &clients, false).await?
            && status != "deleting"
        {
            // What users wrote into it since can still be restored from them.
            let request = clients.rds.delete_db_instance().delete_automated_backups(false);
            match request.db_instance_identifier(&target).skip_final_snapshot(true).send().await {
                Err(e) if code(&e).starts_with("DBInstanceNotFound") => return Ok(()),
                reply => drop(reply.map_err(|e| clients.call("rds", "DeleteDBInstance").wrote(&e))?),
            }
            cx.record_handle("deleting", Value::from(target)).await;
        }
        let gone = || async {
            match self.see(&cx.read, &clients).await? {
                Seen::Ours(db) => {
                    let status = db.db_instance_status().unwrap_or("deleting");
                    Ok(Look::Pending(format!("`{}` is {status}", self.target())))
                }
                Seen::Nothing | Seen::Theirs(_) => Ok(Look::Ready(())),
            }
        };
        Ok(cx.read.poll(gone).await?)
    }
}
