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

use crate::{
    aws::{
        Clients,
        error::code,
        limits, moment,
        tags::{self, Owner},
    },
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::types::{DbInstance, DbSnapshot, Filter, PendingModifiedValues, Tag};
use dr_engine::{
    clock::Time,
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chosen {
    id: String,
    #[serde(default)]
    recovery_point: Option<RecoveryPoint>,
    /// What was asked for; version 0.1.0 did not write it down.
    #[serde(default)]
    asked: Option<Asked>,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    source: String,
    snapshot: String,
    before: Option<String>,
    kms_key: Option<String>,
}

/// The name of the fact that holds it.
const CHOSEN: &str = "snapshot";
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

    fn asked(&self) -> Asked {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        Asked {
            source: self.source.get().clone(),
            snapshot: self.wanted().to_owned(),
            before: text(&self.before),
            kms_key: text(&self.kms_key),
        }
    }

    fn wanted(&self) -> &str {
        self.snapshot.as_ref().map_or("latest", |s| s.get())
    }

    /// What is to be restored: what was written down, or what the inputs ask
    /// for where nothing was, or where a person changed them since.
    async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        match chosen(cx) {
            Some(known) if known.asked.as_ref().is_none_or(|asked| *asked == self.asked()) => Ok(known),
            _ => self.choose(clients).await,
        }
    }

    /// Refuses an instance of ours that was made from something else.
    fn made_from(&self, db: &DbInstance, chosen: &Chosen) -> Result<(), Failure> {
        let tag = db.tag_list().iter().find(|tag| tag.key() == Some(tags::FROM));
        match tag.and_then(Tag::value) {
            Some(from) if from != tags::text(&chosen.id) => {
                let (name, id) = (self.target(), &chosen.id);
                let text = format!("`{name}` was made from `{from}` before the inputs changed, not from `{id}`");
                Err(Failure::new(text)
                    .hint("remove that instance by hand, or set the inputs back; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }

    /// Which snapshot it will be. Looks only.
    async fn choose(&self, clients: &Clients) -> Result<Chosen, Failure> {
        let before = self.before.as_ref().map(|text| moment("before", text.get())).transpose()?;
        let source = self.source.get();
        match self.wanted() {
            "latest" => {
                let pages = clients.rds.describe_db_snapshots().db_instance_identifier(source).into_paginator();
                let all = pages.items().send().collect::<Result<Vec<DbSnapshot>, _>>().await;
                let all = all.map_err(|e| clients.call("rds", "DescribeDBSnapshots").read(&e))?;
                latest(source, &all, before)
            }
            named => {
                let request = clients.rds.describe_db_snapshots().db_snapshot_identifier(named);
                let request = if named.starts_with("arn:") { request.include_shared(true) } else { request };
                let none = || {
                    let text = format!("there is no snapshot `{named}` in {}", clients.region);
                    Failure::new(text).hint("copy it to this region first, or take `latest`")
                };
                let found = match request.send().await {
                    Err(e) if code(&e).starts_with("DBSnapshotNotFound") => return Err(none()),
                    reply => reply.map_err(|e| clients.call("rds", "DescribeDBSnapshots").read(&e))?,
                };
                let found = found.db_snapshots.unwrap_or_default().into_iter().next().ok_or_else(none)?;
                self.fits(named, &found, before)
            }
        }
        .and_then(|snapshot| self.key_fits(snapshot))
        .map(|snapshot| Chosen {
            id: snapshot.id,
            recovery_point: snapshot.recovery_point,
            asked: Some(self.asked()),
        })
    }

    fn fits(&self, named: &str, found: &DbSnapshot, before: Option<Time>) -> Result<Candidate, Failure> {
        let of = found.db_instance_identifier().unwrap_or_default();
        if of != self.source.get() {
            return Err(Failure::new(format!("`{named}` is a snapshot of `{of}`, not of `{}`", self.source)));
        }
        let status = found.status().unwrap_or_default();
        if status != "available" {
            let text = format!("the snapshot `{named}` is {status}");
            return Err(if status == "creating" { Failure::passing(text) } else { Failure::new(text) });
        }
        let candidate = Candidate::of(found, named.to_owned());
        match (before, &candidate.recovery_point) {
            (Some(before), Some(point)) if point.at > before => {
                Err(Failure::new(format!("the data in `{named}` is of {}, later than {before}", point.at)))
            }
            (Some(_), None) => Err(Failure::new(format!("`{named}` does not say of when its data is"))),
            _ => Ok(candidate),
        }
    }

    fn key_fits(&self, candidate: Candidate) -> Result<Candidate, Failure> {
        let Some(wanted) = self.kms_key.as_ref().map(|key| key.get().as_str()) else {
            return Ok(candidate);
        };
        // A snapshot names its key by ARN; the runbook may give the id at its end.
        match &candidate.key {
            Some(key) if key == wanted || key.rsplit('/').next() == Some(wanted) => Ok(candidate),
            key => {
                let is = key.as_deref().map_or("not encrypted".into(), |key| format!("encrypted with {key}"));
                let text = format!("the snapshot `{}` is {is}, not with {wanted}", candidate.id);
                Err(Failure::new(text).hint("copy the snapshot with that key, and name the copy"))
            }
        }
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

fn chosen(cx: &ReadCx) -> Option<Chosen> {
    cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

/// A snapshot that could be restored.
#[derive(Debug, Clone)]
struct Candidate {
    id: String,
    key: Option<String>,
    recovery_point: Option<RecoveryPoint>,
}

impl Candidate {
    fn of(snapshot: &DbSnapshot, id: String) -> Self {
        let point = |at: Option<&aws_sdk_rds::primitives::DateTime>, source: &str| {
            let at = Time(at?.to_millis().ok()?);
            Some(RecoveryPoint { at, source: source.into() })
        };
        let recovery_point = point(snapshot.snapshot_database_time(), "SnapshotDatabaseTime")
            .or_else(|| point(snapshot.original_snapshot_create_time(), "OriginalSnapshotCreateTime"));
        Self { id, key: snapshot.kms_key_id().map(Into::into), recovery_point }
    }
}

/// The newest by the time of its data, available, not later than `before`.
fn latest(source: &str, all: &[DbSnapshot], before: Option<Time>) -> Result<Candidate, Failure> {
    let known = all.iter().filter_map(|s| {
        let candidate = Candidate::of(s, s.db_snapshot_identifier()?.to_owned());
        let at = candidate.recovery_point.as_ref()?.at;
        Some((at, s.status().unwrap_or_default(), candidate))
    });
    let (good, rest): (Vec<_>, Vec<_>) =
        known.partition(|(at, status, _)| *status == "available" && before.is_none_or(|before| *at <= before));
    good.into_iter().max_by(|a, b| (a.0, &a.2.id).cmp(&(b.0, &b.2.id))).map(|(_, _, candidate)| candidate).ok_or_else(
        || {
            let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
            let nearest = rest.into_iter().min_by_key(|(at, _, _)| *at);
            let nearest = nearest.map_or("none at all".into(), |(at, status, c)| {
                format!("the oldest other one is `{}` of {at}, {status}", c.id)
            });
            Failure::new(format!("there is no available snapshot of `{source}`{limit}: {nearest}"))
        },
    )
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
