//! `dynamodb.restore_backup`: a table from one of its backups.
//!
//! A restore has no idempotency token and takes no tags: the name is the
//! token. Until the tags are there, a table is ours if a restore of ours was
//! answered with its id. A restore that was never answered may have made the
//! table that came from the very backup that was written down, after that was
//! written down, under a name that was free then: such a table is gone on with,
//! and not deleted by an undo that meets it first. Two runs that restore one
//! backup under one name, the one unanswered and the other not yet at its tags,
//! cannot be told apart.
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
    BackupStatus, BackupTypeFilter, ContinuousBackupsDescription, ContinuousBackupsStatus, IndexStatus,
    PointInTimeRecoverySpecification, PointInTimeRecoveryStatus, RestoreSummary, SourceTableDetails,
    StreamSpecification, StreamViewType, TableDescription, TableStatus, Tag, TimeToLiveSpecification, TimeToLiveStatus,
};
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

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chosen {
    arn: String,
    created_at: Time,
    /// When it was written down: the target's name was free then.
    at: Time,
    /// What was asked for; version 0.1.0 did not write it down.
    #[serde(default)]
    asked: Option<Asked>,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Asked {
    table: String,
    backup: String,
    before: Option<String>,
}

/// The name of the fact that holds it, written before the restore that follows.
const CHOSEN: &str = "backup";
/// The name of the fact that holds the answer: the new table, or null where the
/// restore was refused.
const TABLE: &str = "table";

/// How far the clocks of AWS and of this host may be apart.
const SKEW: dr_engine::duration::Dur = dr_engine::duration::Dur(5 * 60_000);

/// What stands under the target's name.
enum Seen {
    Nothing,
    Theirs(String),
    Ours(Box<TableDescription>),
}

/// By what a table without tags is told to be ours.
#[derive(Default)]
struct Marks {
    /// The tables that restores of ours were answered with.
    ids: Vec<String>,
    /// What restores of ours were to be made from whose answer never came.
    open: Vec<Chosen>,
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
    async fn see(&self, cx: &ReadCx, clients: &Clients, marks: &Marks) -> Result<Seen, Failure> {
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
            Owner::Other(_) if !tags.contains_key(tags::RUN) && marks.made(&table) => Seen::Ours(Box::new(table)),
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

    fn asked(&self) -> Asked {
        Asked {
            table: self.table.get().clone(),
            backup: self.wanted().to_owned(),
            before: self.before.as_ref().map(|before| before.get().clone()),
        }
    }

    fn wanted(&self) -> &str {
        self.backup.as_ref().map_or("latest", |b| b.get())
    }

    /// What is to be restored: what was written down, or what the inputs ask
    /// for where nothing was, or where a person changed them since.
    async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        match chosen(cx) {
            Some(known) if known.asked.as_ref().is_none_or(|asked| *asked == self.asked()) => Ok(known),
            _ => self.choose(cx, clients).await,
        }
    }

    /// Refuses a table of ours that was made from something else.
    fn made_from(&self, table: &TableDescription, chosen: &Chosen) -> Result<(), Failure> {
        match table.restore_summary().and_then(RestoreSummary::source_backup_arn) {
            Some(from) if from != chosen.arn => {
                let (name, arn) = (self.target.get(), &chosen.arn);
                let text = format!("`{name}` was made from `{from}` before the inputs changed, not from `{arn}`");
                Err(Failure::new(text).hint("remove that table by hand, or set the inputs back; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }

    /// Which backup it will be. Looks only.
    async fn choose(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        let before = self.before.as_ref().map(|text| moment("before", text.get())).transpose()?;
        let wanted = self.wanted();
        let asked = Some(self.asked());
        let chosen = |arn: String, created_at| Chosen { arn, created_at, at: cx.clock.now(), asked: asked.clone() };
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
        // Without a type only those are listed that people made; a table that is
        // deleted with point-in-time recovery leaves a newer one behind.
        let all = BackupTypeFilter::All;
        let mut request = clients.dynamodb.list_backups().table_name(self.table.get()).backup_type(all);
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

    /// Begins the restore. A table of ours that is already there is as good.
    async fn begin(
        &self,
        cx: &StepCx,
        clients: &Clients,
        chosen: &mut Chosen,
        marks: &mut Marks,
    ) -> Result<(), StepError> {
        // Where no restore from it is still unanswered, the answer to this one tells all.
        let first = !marks.open.contains(chosen);
        if first {
            chosen.at = cx.read.clock.now();
            cx.record(CHOSEN, json!(chosen)).await;
        }
        let call = clients.call("dynamodb", "RestoreTableFromBackup");
        let request = clients.dynamodb.restore_table_from_backup().target_table_name(self.target.get());
        let error = match request.backup_arn(&chosen.arn).send().await {
            Ok(reply) => {
                let table = reply.table_description.filter(|table| table.table_id().is_some());
                let nameless = || StepError::Doubt(Failure::passing("the restore was answered without a table"));
                marks.note(cx, &table.ok_or_else(nameless)?).await;
                return Ok(());
            }
            Err(error) => error,
        };
        let refused = call.wrote(&error);
        if first && !matches!(refused, StepError::Doubt(_)) {
            cx.record(TABLE, Value::Null).await;
        }
        if code(&error) != "TableAlreadyExistsException" {
            return Err(refused);
        }
        match self.see(&cx.read, clients, marks).await? {
            Seen::Ours(table) => {
                self.made_from(&table, chosen)?;
                marks.note(cx, &table).await;
                Ok(())
            }
            Seen::Theirs(who) => Err(self.theirs(clients, &who).into()),
            Seen::Nothing => Err(Failure::passing(format!("`{}` is being made or removed", self.target)).into()),
        }
    }

    /// Waits until the table is active.
    async fn active(&self, cx: &ReadCx, clients: &Clients, marks: &Marks) -> Result<Box<TableDescription>, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx, clients, marks).await? {
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
            let backups = self.continuous_backups(clients).await?;
            let pitr = backups.as_ref().and_then(|b| b.point_in_time_recovery_description());
            if pitr.and_then(|pitr| pitr.point_in_time_recovery_status()) != Some(&PointInTimeRecoveryStatus::Enabled) {
                lost.push(Lost::Pitr);
            }
        }
        Ok(lost)
    }

    async fn continuous_backups(&self, clients: &Clients) -> Result<Option<ContinuousBackupsDescription>, Failure> {
        let reply = clients.dynamodb.describe_continuous_backups().table_name(self.target.get()).send().await;
        let reply = reply.map_err(|e| clients.call("dynamodb", "DescribeContinuousBackups").read(&e))?;
        Ok(reply.continuous_backups_description)
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
                // A table is active before its backups are enabled, and until then the call is refused.
                let enabled = || async {
                    let backups = self.continuous_backups(clients).await?;
                    Ok(match backups.as_ref().map(ContinuousBackupsDescription::continuous_backups_status) {
                        Some(ContinuousBackupsStatus::Enabled) => Look::Ready(()),
                        _ => Look::Pending(format!("the continuous backups of `{name}` are being enabled")),
                    })
                };
                cx.read.poll(enabled).await?;
                let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build();
                let request = db.update_continuous_backups().table_name(name);
                let request = request.point_in_time_recovery_specification(on.map_err(invalid)?);
                request.send().await.map(drop).map_err(|e| wrote("UpdateContinuousBackups").wrote(&e))
            }
        }
    }

    fn output(&self, table: &TableDescription, chosen: Chosen) -> Output {
        let mut values = serde_json::Map::new();
        values.insert("table".into(), self.target.get().clone().into());
        values.insert("arn".into(), table.table_arn().into());
        values.insert("table_id".into(), table.table_id().into());
        values.insert("backup".into(), chosen.arn.into());
        if let Some(stream) = table.latest_stream_arn() {
            values.insert("stream_arn".into(), stream.into());
        }
        let point = RecoveryPoint { at: chosen.created_at, source: "BackupCreationDateTime".into() };
        Output { values, recovery_point: Some(point) }
    }
}

impl Marks {
    /// From what the step wrote down in its attempts before this one.
    fn of(cx: &ReadCx) -> Self {
        let mut marks = Self::default();
        for fact in &cx.facts {
            match (fact.name.as_str(), fact.value["table_id"].as_str()) {
                (CHOSEN, _) => marks.open.extend(serde_json::from_value(fact.value.clone())),
                (TABLE, None) => drop(marks.open.pop()),
                (TABLE, Some(id)) => {
                    marks.open.clear();
                    marks.ids.push(id.to_owned());
                }
                _ => {}
            }
        }
        marks
    }

    /// The same without what is only likely: enough to go on with a table, and
    /// not to delete it.
    fn sure(cx: &ReadCx) -> Self {
        Self { open: Vec::new(), ..Self::of(cx) }
    }

    fn made(&self, table: &TableDescription) -> bool {
        let known = table.table_id().is_some_and(|id| self.ids.iter().any(|known| known == id));
        known || self.open.iter().any(|chosen| chosen.made(table))
    }

    /// Writes the handle of a table of ours down, once.
    async fn note(&mut self, cx: &StepCx, table: &TableDescription) {
        let Some(id) = table.table_id().filter(|id| !self.ids.iter().any(|known| known == id)) else { return };
        self.ids.push(id.to_owned());
        cx.record_handle(TABLE, json!({ "arn": table.table_arn(), "table_id": id })).await;
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
        let seen = self.see(cx, &clients, &Marks::of(cx)).await?;
        if let Seen::Theirs(who) = &seen {
            return Ok(Check::Impossible(self.theirs(&clients, who)));
        }
        let chosen = match self.decide(cx, &clients).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            chosen => chosen?,
        };
        let Seen::Ours(table) = seen else { return Ok(Check::Absent) };
        if let Err(failure) = self.made_from(&table, &chosen) {
            return Ok(Check::Impossible(failure));
        }
        Ok(match self.stage(&table) {
            Stage::Broken(failure) => Check::Impossible(failure),
            Stage::Active if self.lost(cx, &clients, &table).await?.is_empty() => {
                Check::Done(self.output(&table, chosen))
            }
            Stage::Moving(_) | Stage::Active => Check::InProgress,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let mut marks = Marks::of(&cx.read);
        let seen = self.see(&cx.read, &clients, &marks).await?;
        let mut chosen = self.decide(&cx.read, &clients).await?;
        match seen {
            Seen::Theirs(who) => return Err(self.theirs(&clients, &who).into()),
            Seen::Ours(table) => {
                self.made_from(&table, &chosen)?;
                marks.note(cx, &table).await;
            }
            Seen::Nothing => self.begin(cx, &clients, &mut chosen, &mut marks).await?,
        }
        let mut table = self.active(&cx.read, &clients, &marks).await?;
        for lost in self.lost(&cx.read, &clients, &table).await? {
            self.give_back(cx, &clients, &table, lost).await?;
            table = self.active(&cx.read, &clients, &marks).await?;
        }
        // A change that was accepted may not be seen at once.
        let since = cx.read.clock.now();
        let whole = || async {
            let table = self.active(&cx.read, &clients, &marks).await?;
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
        Ok(self.output(&table, chosen))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.see(cx, &clients, &Marks::sure(cx)).await? {
            Seen::Nothing => Check::Done(Output::default()),
            Seen::Theirs(who) => Check::Impossible(self.theirs(&clients, &who)),
            Seen::Ours(table) if table.table_status() == Some(&TableStatus::Deleting) => Check::InProgress,
            Seen::Ours(_) => Check::Absent,
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let (marks, name) = (Marks::sure(&cx.read), self.target.get());
        // A table that moves can be neither changed nor deleted.
        let rest = || async {
            match self.see(&cx.read, &clients, &marks).await? {
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
            match self.see(&cx.read, &clients, &marks).await? {
                Seen::Ours(_) => Ok(Look::Pending(format!("`{name}` is being deleted"))),
                Seen::Nothing | Seen::Theirs(_) => Ok(Look::Ready(())),
            }
        };
        Ok(cx.read.poll(gone).await?)
    }
}
