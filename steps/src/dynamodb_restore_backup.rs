//! `dynamodb.restore_backup`: a table from one of its backups.
//!
//! A restore has no idempotency token and takes no tags: the name is the
//! token. Until the tags are there, a table is ours if it came from the very
//! backup that was written down, after that was written down, under a name
//! that was free then.
//!
//! A restored table comes back without tags, TTL, streams and point-in-time
//! recovery (Amazon `DynamoDB` API Reference, `RestoreTableFromBackup`): each is
//! set again, where the runbook asks for it. Auto scaling, policies and alarms
//! are lost too, and are not set here.
//!
//! The recovery point is `BackupCreationDateTime`.

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
use aws_sdk_dynamodb::types::{
    BackupStatus, IndexStatus, PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, RestoreSummary,
    SourceTableDetails, StreamSpecification, StreamViewType, TableDescription, TableStatus, Tag,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use dr_engine::{
    clock::Time,
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Restores a table from a backup under a new name, waits until it is active,
/// and gives it back what a restore loses.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreBackup {
    /// The table that the backup is of.
    table: In<String>,
    /// `latest`, or a backup's name or ARN.
    #[serde(default)]
    backup: Option<In<String>>,
    /// Only a backup not later than this, as in `${run.incident_at}`: for corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// The name of the new table; it must be free.
    target: In<String>,
    /// The attribute that says when an item's time is over.
    #[serde(default)]
    ttl: Option<In<String>>,
    /// What its stream shows, as in `NEW_AND_OLD_IMAGES`; without it there is no stream.
    #[serde(default)]
    stream: Option<In<String>>,
    /// Whether point-in-time recovery is switched on.
    #[serde(default)]
    pitr: Option<In<bool>>,
    /// Its tags, beside those that say which run made it.
    #[serde(default)]
    tags: BTreeMap<String, In<String>>,
}

/// What the step resolved, and will not resolve again in this run.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Chosen {
    arn: String,
    created_at: Time,
    /// When it was written down: the target's name was free then.
    at: Time,
}

const CHOSEN: &str = "backup";
const TABLE: &str = "table";

/// How far the clocks of AWS and of this host may be apart.
const SKEW: dr_engine::duration::Dur = dr_engine::duration::Dur(5 * 60_000);

/// What stands under the target's name.
enum Seen {
    Nothing,
    Theirs(String),
    Ours(Box<TableDescription>),
}

/// How far a table of ours is.
enum Stage {
    Moving(String),
    Active,
    Broken(Failure),
}

/// Something that a restore loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Tags,
    Stream,
    Ttl,
    Pitr,
}

impl RestoreBackup {
    async fn see(&self, cx: &ReadCx, clients: &Clients, chosen: Option<&Chosen>) -> Result<Seen, Failure> {
        let reply = match clients.dynamodb.describe_table().table_name(self.target.get()).send().await {
            Err(e) if code(&e) == "ResourceNotFoundException" => return Ok(Seen::Nothing),
            reply => reply.map_err(|e| clients.call("dynamodb", "DescribeTable").read(&e))?,
        };
        let Some(table) = reply.table else {
            return Ok(Seen::Nothing);
        };
        let tags = tags_of(clients, &table).await?;
        let pairs = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Ok(match tags::owner(cx, pairs) {
            Owner::Us => Seen::Ours(Box::new(table)),
            Owner::Other(_) if !tags.contains_key(tags::RUN) && chosen.is_some_and(|c| c.made(&table)) => {
                Seen::Ours(Box::new(table))
            }
            Owner::Other(who) => Seen::Theirs(who),
        })
    }

    fn theirs(&self, clients: &Clients, who: &str) -> Failure {
        Failure::new(format!("the table `{}` already exists in {} and belongs to {who}", self.target, clients.region))
            .hint("choose another `target`, or remove that table by hand")
    }

    fn stage(&self, table: &TableDescription) -> Stage {
        let name = self.target.get();
        let restoring = table.restore_summary().is_some_and(RestoreSummary::restore_in_progress);
        match table.table_status() {
            Some(TableStatus::Active) if restoring => Stage::Moving(format!("`{name}` is being restored")),
            Some(TableStatus::Active) => {
                let indexes = table.global_secondary_indexes();
                match indexes.iter().find(|i| i.index_status().is_some_and(|s| *s != IndexStatus::Active)) {
                    Some(index) => Stage::Moving(format!(
                        "index `{}` of `{name}` is not active yet",
                        index.index_name().unwrap_or_default()
                    )),
                    None => Stage::Active,
                }
            }
            Some(TableStatus::Creating | TableStatus::Updating) | None => {
                let status = table.table_status().map_or("CREATING", TableStatus::as_str);
                Stage::Moving(format!("`{name}` is {status}"))
            }
            // INACCESSIBLE_ENCRYPTION_CREDENTIALS, ARCHIVED, DELETING, and what may come.
            Some(other) => Stage::Broken(Failure::new(format!("`{name}` is {other}"))),
        }
    }

    /// Which backup it will be. Looks only.
    async fn choose(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        let before = self.before.as_ref().map(|text| moment("before", text.get())).transpose()?;
        let wanted = self.backup.as_ref().map_or("latest", |b| b.get());
        let chosen = |arn: String, created_at| Chosen { arn, created_at, at: cx.clock.now() };
        if wanted.starts_with("arn:") {
            let reply = match clients.dynamodb.describe_backup().backup_arn(wanted).send().await {
                Err(e) if code(&e) == "BackupNotFoundException" => {
                    return Err(Failure::new(format!("there is no backup `{wanted}` in {}", clients.region)));
                }
                reply => reply.map_err(|e| clients.call("dynamodb", "DescribeBackup").read(&e))?,
            };
            let found = reply.backup_description();
            let of =
                found.and_then(|b| b.source_table_details()).map(SourceTableDetails::table_name).unwrap_or_default();
            let details = found.and_then(|b| b.backup_details());
            let details = details.ok_or_else(|| Failure::new(format!("`{wanted}` says nothing of itself")))?;
            self.fits(wanted, of, details.backup_status())?;
            let at = time(details.backup_creation_date_time());
            let at = at.ok_or_else(|| Failure::new(format!("`{wanted}` does not say of when its data is")))?;
            if before.is_some_and(|before| at > before) {
                return Err(Failure::new(format!("the backup `{wanted}` is of {at}, later than `before` allows")));
            }
            return Ok(chosen(wanted.to_owned(), at));
        }
        let mut known = Vec::new();
        let mut request = clients.dynamodb.list_backups().table_name(self.table.get());
        loop {
            let reply = request.clone().send().await;
            let reply = reply.map_err(|e| clients.call("dynamodb", "ListBackups").read(&e))?;
            known.extend(reply.backup_summaries().iter().filter_map(|b| {
                let at = time(b.backup_creation_date_time()?)?;
                Some((at, b.backup_name()?.to_owned(), b.backup_arn()?.to_owned(), b.backup_status()?.clone()))
            }));
            match reply.last_evaluated_backup_arn() {
                Some(last) => request = request.exclusive_start_backup_arn(last),
                None => break,
            }
        }
        let named: Vec<_> = known.iter().filter(|(_, name, _, _)| wanted == "latest" || name == wanted).collect();
        let good = named
            .iter()
            .filter(|(at, _, _, status)| *status == BackupStatus::Available && before.is_none_or(|b| *at <= b))
            .max_by_key(|(at, _, arn, _)| (*at, arn));
        good.map(|(at, _, arn, _)| chosen(arn.clone(), *at)).ok_or_else(|| {
            let which = if wanted == "latest" { String::new() } else { format!(" `{wanted}`") };
            let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
            let nearest =
                named.iter().min_by_key(|(at, ..)| *at).map_or("none at all".into(), |(at, name, _, status)| {
                    format!("the oldest one is `{name}` of {at}, {status}")
                });
            Failure::new(format!("there is no available backup{which} of `{}`{limit}: {nearest}", self.table))
        })
    }

    fn fits(&self, named: &str, of: &str, status: &BackupStatus) -> Result<(), Failure> {
        if of != self.table.get() {
            return Err(Failure::new(format!("`{named}` is a backup of `{of}`, not of `{}`", self.table)));
        }
        match status {
            BackupStatus::Available => Ok(()),
            BackupStatus::Creating => Err(Failure::passing(format!("the backup `{named}` is CREATING"))),
            other => Err(Failure::new(format!("the backup `{named}` is {other}"))),
        }
    }

    async fn begin(&self, cx: &StepCx, clients: &Clients, chosen: &Chosen) -> Result<(), StepError> {
        let request = clients.dynamodb.restore_table_from_backup().target_table_name(self.target.get());
        match request.backup_arn(&chosen.arn).send().await {
            Ok(reply) => {
                if let Some(table) = reply.table_description() {
                    note(cx, table).await;
                }
                Ok(())
            }
            Err(e) if code(&e) == "TableAlreadyExistsException" => {
                match self.see(&cx.read, clients, Some(chosen)).await? {
                    Seen::Ours(_) => Ok(()),
                    Seen::Theirs(who) => Err(self.theirs(clients, &who).into()),
                    Seen::Nothing => {
                        Err(Failure::passing(format!("`{}` is being made or removed", self.target)).into())
                    }
                }
            }
            Err(e) => Err(clients.call("dynamodb", "RestoreTableFromBackup").wrote(&e)),
        }
    }

    /// Waits until the table is active.
    async fn active(&self, cx: &ReadCx, clients: &Clients, chosen: &Chosen) -> Result<Box<TableDescription>, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx, clients, Some(chosen)).await? {
                Seen::Ours(table) => match self.stage(&table) {
                    Stage::Moving(says) => Ok(Look::Pending(says)),
                    Stage::Active => Ok(Look::Ready(table)),
                    Stage::Broken(failure) => Err(failure),
                },
                Seen::Theirs(who) => Err(self.theirs(clients, &who)),
                Seen::Nothing if cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("`{}` is not seen yet", self.target)))
                }
                Seen::Nothing => Err(Failure::new(format!("`{}` has gone", self.target))),
            }
        })
        .await
    }

    fn tags(&self, cx: &ReadCx) -> BTreeMap<String, String> {
        let own = self.tags.iter().map(|(key, value)| (key.clone(), value.get().clone()));
        own.chain(tags::of(cx).map(|(key, value)| (key.to_owned(), value))).collect()
    }

    /// What the table still lacks of what a restore loses.
    async fn lost(&self, cx: &ReadCx, clients: &Clients, table: &TableDescription) -> Result<Vec<Lost>, Failure> {
        let mut lost = Vec::new();
        let has = tags_of(clients, table).await?;
        if !self.tags(cx).iter().all(|(key, value)| has.get(key) == Some(value)) {
            lost.push(Lost::Tags);
        }
        if let Some(wanted) = &self.stream {
            let stream = table.stream_specification().filter(|s| s.stream_enabled());
            if stream.and_then(|s| s.stream_view_type()).map(StreamViewType::as_str) != Some(wanted.get().as_str()) {
                lost.push(Lost::Stream);
            }
        }
        let name = self.target.get();
        if let Some(wanted) = &self.ttl {
            let reply = clients.dynamodb.describe_time_to_live().table_name(name).send().await;
            let reply = reply.map_err(|e| clients.call("dynamodb", "DescribeTimeToLive").read(&e))?;
            // ENABLING may last an hour, and is as good.
            let on = reply.time_to_live_description().is_some_and(|ttl| {
                ttl.attribute_name() == Some(wanted.get().as_str())
                    && matches!(ttl.time_to_live_status(), Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling))
            });
            if !on {
                lost.push(Lost::Ttl);
            }
        }
        if self.pitr.as_ref().is_some_and(|wanted| *wanted.get()) {
            let reply = clients.dynamodb.describe_continuous_backups().table_name(name).send().await;
            let reply = reply.map_err(|e| clients.call("dynamodb", "DescribeContinuousBackups").read(&e))?;
            let pitr = reply
                .continuous_backups_description()
                .and_then(|d| d.point_in_time_recovery_description())
                .and_then(|d| d.point_in_time_recovery_status());
            if pitr != Some(&PointInTimeRecoveryStatus::Enabled) {
                lost.push(Lost::Pitr);
            }
        }
        Ok(lost)
    }

    async fn give_back(
        &self,
        cx: &StepCx,
        clients: &Clients,
        table: &TableDescription,
        lost: Lost,
    ) -> Result<(), StepError> {
        let (db, name) = (&clients.dynamodb, self.target.get());
        let invalid = |e: aws_sdk_dynamodb::error::BuildError| Failure::new(e.to_string());
        let wrote = |operation| clients.call("dynamodb", operation);
        match lost {
            Lost::Tags => {
                let tag = |(key, value)| Tag::builder().key(key).value(value).build().map_err(invalid);
                let tags = self.tags(&cx.read).into_iter().map(tag).collect::<Result<Vec<_>, _>>()?;
                let request =
                    db.tag_resource().set_tags(Some(tags)).set_resource_arn(table.table_arn().map(Into::into));
                request.send().await.map(drop).map_err(|e| wrote("TagResource").wrote(&e))
            }
            Lost::Stream => {
                let view = self.stream.as_ref().map(|s| StreamViewType::from(s.get().as_str()));
                let stream = StreamSpecification::builder().stream_enabled(true).set_stream_view_type(view).build();
                let request = db.update_table().table_name(name).stream_specification(stream.map_err(invalid)?);
                request.send().await.map(drop).map_err(|e| wrote("UpdateTable").wrote(&e))
            }
            Lost::Ttl => {
                let attribute = self.ttl.as_ref().map(|ttl| ttl.get().clone());
                let ttl = TimeToLiveSpecification::builder().enabled(true).set_attribute_name(attribute).build();
                let request = db.update_time_to_live().table_name(name);
                let request = request.time_to_live_specification(ttl.map_err(invalid)?);
                request.send().await.map(drop).map_err(|e| wrote("UpdateTimeToLive").wrote(&e))
            }
            Lost::Pitr => {
                let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
                let request = db.update_continuous_backups().table_name(name);
                let request = request.point_in_time_recovery_specification(on.map_err(invalid)?);
                request.send().await.map(drop).map_err(|e| wrote("UpdateContinuousBackups").wrote(&e))
            }
        }
    }

    fn output(&self, table: &TableDescription, chosen: Option<&Chosen>) -> Output {
        let mut values = serde_json::Map::new();
        values.insert("table".into(), self.target.get().clone().into());
        values.insert("arn".into(), table.table_arn().into());
        values.insert("table_id".into(), table.table_id().into());
        values.insert("backup".into(), chosen.map(|c| c.arn.clone()).into());
        if let Some(stream) = table.latest_stream_arn() {
            values.insert("stream_arn".into(), stream.into());
        }
        let point = |c: &Chosen| RecoveryPoint { at: c.created_at, source: "BackupCreationDateTime".into() };
        Output { values, recovery_point: chosen.map(point) }
    }
}

impl Chosen {
    /// Whether a table was made from this backup since it was chosen.
    fn made(&self, table: &TableDescription) -> bool {
        let since = table.creation_date_time().and_then(time).is_some_and(|at| at.after(SKEW) >= self.at);
        since && table.restore_summary().and_then(|r| r.source_backup_arn()) == Some(self.arn.as_str())
    }
}

async fn tags_of(clients: &Clients, table: &TableDescription) -> Result<BTreeMap<String, String>, Failure> {
    let mut tags = BTreeMap::new();
    let mut request = clients.dynamodb.list_tags_of_resource().resource_arn(table.table_arn().unwrap_or_default());
    loop {
        let reply = match request.clone().send().await {
            // A table that is just being made or has just gone has none.
            Err(e) if code(&e) == "ResourceNotFoundException" => return Ok(tags),
            reply => reply.map_err(|e| clients.call("dynamodb", "ListTagsOfResource").read(&e))?,
        };
        tags.extend(reply.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())));
        match reply.next_token() {
            Some(next) => request = request.next_token(next),
            None => return Ok(tags),
        }
    }
}

/// Writes the handle of the table down, once.
async fn note(cx: &StepCx, table: &TableDescription) {
    if cx.read.fact(TABLE).is_none() {
        cx.record_handle(TABLE, json!({ "arn": table.table_arn(), "table_id": table.table_id() })).await;
    }
}

fn time(at: &aws_sdk_dynamodb::primitives::DateTime) -> Option<Time> {
    at.to_millis().ok().map(Time)
}

fn chosen(cx: &ReadCx) -> Option<Chosen> {
    cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

#[async_trait]
impl Step for RestoreBackup {
    fn describe(&self) -> Description {
        let backup = self.backup.as_ref().map_or("latest".into(), ToString::to_string);
        Description {
            summary: format!("restore table `{}` as `{}` from backup {backup}", self.table, self.target),
            actions: vec![
                "dynamodb:ListBackups",
                "dynamodb:DescribeBackup",
                "dynamodb:DescribeTable",
                "dynamodb:DescribeTimeToLive",
                "dynamodb:DescribeContinuousBackups",
                "dynamodb:ListTagsOfResource",
                "dynamodb:RestoreTableFromBackup",
                "dynamodb:TagResource",
                "dynamodb:UpdateTable",
                "dynamodb:UpdateTimeToLive",
                "dynamodb:UpdateContinuousBackups",
                "dynamodb:DeleteTable",
                // A restore is authorised through the items that it writes.
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:BatchWriteItem",
                "kms:Decrypt",
                "kms:CreateGrant",
                "kms:DescribeKey",
            ],
            control_plane: None,
            regions: Vec::new(),
            irreversible: false,
            moves_traffic: false,
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["table", "arn", "table_id", "backup", "stream_arn"].map(OutputName::text).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let chosen = chosen(cx);
        let table = match self.see(cx, &clients, chosen.as_ref()).await? {
            Seen::Ours(table) => table,
            Seen::Theirs(who) => return Ok(Check::Impossible(self.theirs(&clients, &who))),
            Seen::Nothing if chosen.is_some() => return Ok(Check::Absent),
            Seen::Nothing => {
                return match self.choose(cx, &clients).await {
                    Ok(_) => Ok(Check::Absent),
                    Err(failure) if failure.transient => Err(failure),
                    Err(failure) => Ok(Check::Impossible(failure)),
                };
            }
        };
        Ok(match self.stage(&table) {
            Stage::Broken(failure) => Check::Impossible(failure),
            Stage::Active if self.lost(cx, &clients, &table).await?.is_empty() => {
                Check::Done(self.output(&table, chosen.as_ref()))
            }
            Stage::Moving(_) | Stage::Active => Check::InProgress,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let known = chosen(&cx.read);
        let seen = self.see(&cx.read, &clients, known.as_ref()).await?;
        let chosen = match (known, &seen) {
            (_, Seen::Theirs(who)) => return Err(self.theirs(&clients, who).into()),
            (Some(chosen), _) => chosen,
            (None, _) => {
                let chosen = self.choose(&cx.read, &clients).await?;
                cx.record(CHOSEN, json!(chosen)).await;
                chosen
            }
        };
        match seen {
            Seen::Ours(table) => note(cx, &table).await,
            _ => self.begin(cx, &clients, &chosen).await?,
        }
        let mut table = self.active(&cx.read, &clients, &chosen).await?;
        for lost in self.lost(&cx.read, &clients, &table).await? {
            self.give_back(cx, &clients, &table, lost).await?;
            table = self.active(&cx.read, &clients, &chosen).await?;
        }
        // A change that was accepted may not be seen at once.
        let since = cx.read.clock.now();
        let whole = || async {
            let table = self.active(&cx.read, &clients, &chosen).await?;
            let lost = self.lost(&cx.read, &clients, &table).await?;
            if lost.is_empty() {
                return Ok(Look::Ready(table));
            }
            let says = format!("`{}` still lacks {lost:?}", self.target);
            if cx.read.clock.now().since(since) < limits::UNSEEN {
                Ok(Look::Pending(says))
            } else {
                Err(Failure::new(says))
            }
        };
        let table = cx.read.poll(whole).await?;
        Ok(self.output(&table, Some(&chosen)))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.see(cx, &clients, chosen(cx).as_ref()).await? {
            Seen::Nothing => Check::Done(Output::default()),
            Seen::Theirs(who) => Check::Impossible(self.theirs(&clients, &who)),
            Seen::Ours(table) if table.table_status() == Some(&TableStatus::Deleting) => Check::InProgress,
            Seen::Ours(_) => Check::Absent,
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let (known, name) = (chosen(&cx.read), self.target.get());
        // A table that moves can be neither changed nor deleted.
        let rest = || async {
            match self.see(&cx.read, &clients, known.as_ref()).await? {
                Seen::Nothing => Ok(Look::Ready(None)),
                Seen::Theirs(who) => Err(self.theirs(&clients, &who)),
                Seen::Ours(table) => Ok(match self.stage(&table) {
                    Stage::Moving(says) => Look::Pending(says),
                    Stage::Active | Stage::Broken(_) => Look::Ready(Some(table)),
                }),
            }
        };
        let mut table = cx.read.poll(rest).await?;
        if table.as_ref().is_some_and(|t| t.deletion_protection_enabled() == Some(true)) {
            let change = clients.dynamodb.update_table().table_name(name).deletion_protection_enabled(false);
            change.send().await.map_err(|e| clients.call("dynamodb", "UpdateTable").wrote(&e))?;
            table = cx.read.poll(rest).await?;
        }
        if table.is_some_and(|t| t.table_status() != Some(&TableStatus::Deleting)) {
            match clients.dynamodb.delete_table().table_name(name).send().await {
                Err(e) if code(&e) == "ResourceNotFoundException" => return Ok(()),
                reply => drop(reply.map_err(|e| clients.call("dynamodb", "DeleteTable").wrote(&e))?),
            }
            cx.record_handle("deleting", name.as_str()).await;
        }
        let gone = || async {
            match self.see(&cx.read, &clients, known.as_ref()).await? {
                Seen::Ours(_) => Ok(Look::Pending(format!("`{name}` is being deleted"))),
                Seen::Nothing | Seen::Theirs(_) => Ok(Look::Ready(())),
            }
        };
        Ok(cx.read.poll(gone).await?)
    }
}
