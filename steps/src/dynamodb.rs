//! A table under a name that is restored: what it should be, how far it is,
//! what a restore loses and is set again, how it is taken back. What every kind
//! shares that restores one.
//!
//! A restore has no idempotency token and takes no tags: the name is the
//! token. Until the tags are there, a table is ours if a restore of ours was
//! answered with its id. A restore that was never answered may have made the
//! table that came from the very origin that was written down, after that was
//! written down, under a name that was free then: such a table is gone on with,
//! and not deleted by an undo that meets it first. Two runs that restore one
//! origin under one name, the one unanswered and the other not yet at its tags,
//! cannot be told apart.
//!
//! A restored table comes back without tags, TTL, streams and point-in-time
//! recovery (Amazon `DynamoDB` API Reference, `RestoreTableFromBackup`,
//! `RestoreTableToPointInTime`): each is set again, where the runbook asks for
//! it. Auto scaling, policies and alarms are lost too, and are not set here.

mod lost;
mod marks;

use self::{
    lost::tags_of,
    marks::{Marks, TABLE},
};
use crate::aws::{
    Clients,
    error::code,
    limits,
    tags::{self, Owner},
};
use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{IndexStatus, RestoreSummary, TableDescription, TableStatus},
};
use dr_engine::{
    clock::Time,
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Look, OutputName, ReadCx, StepCx, StepError},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeMap, future::Future};

/// What a table should be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its name.
    pub(crate) name: String,
    /// The attribute that says when an item's time is over.
    pub(crate) ttl: Option<String>,
    /// What its stream shows.
    pub(crate) stream: Option<String>,
    /// Whether point-in-time recovery is switched on.
    pub(crate) pitr: bool,
    /// Its tags, beside those that say which run made it.
    pub(crate) tags: BTreeMap<String, String>,
}

/// What a table is made from: chosen once, and written down before the restore.
pub(crate) trait Origin: Serialize + DeserializeOwned + PartialEq + Clone + Send + Sync {
    /// The name of the fact that holds it.
    const FACT: &'static str;
    /// The operation that restores it.
    const OPERATION: &'static str;

    /// When it was written down: the target's name was free then.
    fn written_at(&self) -> Time;

    /// The same, written down at this moment.
    #[must_use]
    fn written(self, at: Time) -> Self;

    /// What a table says that it was made from, and whether that is this;
    /// `None` where it does not say.
    fn is(&self, summary: &RestoreSummary) -> Option<(String, bool)>;

    /// For people.
    fn name(&self) -> String;

    /// The moment of its data.
    fn recovery_point(&self) -> RecoveryPoint;
}

/// What [`Wanted::undo`] does, for the pages of the kinds.
pub(crate) const UNDO: &str = "Waits until the table no longer moves, takes its deletion protection off, \
    `DeleteTable`, and waits until it is gone. Only a table that is known to be this step's is deleted.";

/// The actions that every kind needs that restores a table.
pub(crate) const ACTIONS: [&str; 19] = [
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:ListTagsOfResource",
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
];

/// What stands under the target's name.
enum Seen {
    Nothing,
    Theirs(String),
    Ours(Box<TableDescription>),
}

/// How the one call that restores was answered.
pub(crate) enum Answer {
    /// With a table that is being made.
    Begun(Option<Box<TableDescription>>),
    /// With a refusal, or with nothing; and whether the name is taken.
    Failed { error: StepError, taken: bool },
}

impl Answer {
    /// Reads the answer to a call.
    pub(crate) fn of<E: ProvideErrorMetadata>(
        reply: Result<Option<TableDescription>, SdkError<E, HttpResponse>>,
        failed: impl FnOnce(&SdkError<E, HttpResponse>) -> StepError,
    ) -> Self {
        match reply {
            Ok(table) => Self::Begun(table.map(Box::new)),
            Err(e) => Self::Failed { error: failed(&e), taken: code(&e) == "TableAlreadyExistsException" },
        }
    }
}

/// How far a table is.
pub(crate) enum Stage {
    /// It moves; the words say how.
    Moving(String),
    /// It is there, and so are its indexes.
    Active,
    /// It will not become active by itself.
    Broken(Failure),
}

impl Wanted {
    async fn see(&self, cx: &ReadCx, clients: &Clients, marks: &Marks<impl Origin>) -> Result<Seen, Failure> {
        let Some(table) = describe(clients, &self.name).await? else { return Ok(Seen::Nothing) };
        let tags = tags_of(clients, &table).await?;
        let pairs = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Ok(match tags::owner(cx, pairs) {
            Owner::Us => Seen::Ours(Box::new(table)),
            Owner::Other(_) if !tags.contains_key(tags::RUN) && marks.made(&table) => Seen::Ours(Box::new(table)),
            Owner::Other(who) => Seen::Theirs(who),
        })
    }

    fn theirs(&self, clients: &Clients, who: &str) -> Failure {
        Failure::new(format!("the table `{}` already exists in {} and belongs to {who}", self.name, clients.region))
            .hint("choose another `target`, or remove that table by hand")
    }

    /// Refuses a table of ours that was made from something else.
    fn made_from(&self, table: &TableDescription, origin: &impl Origin) -> Result<(), Failure> {
        match table.restore_summary().and_then(|summary| origin.is(summary)) {
            Some((from, false)) => {
                let (name, to) = (&self.name, origin.name());
                let text = format!("`{name}` was made from `{from}` before the inputs changed, not from `{to}`");
                Err(Failure::new(text).hint("remove that table by hand, or set the inputs back; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }

    /// Begins the restore. A table of ours that is already there is as good.
    async fn begin<O: Origin>(
        &self,
        cx: &StepCx,
        clients: &Clients,
        origin: &O,
        marks: &mut Marks<O>,
        restore: impl Future<Output = Answer>,
    ) -> Result<(), StepError> {
        // Where no restore from it is still unanswered, the answer to this one tells all.
        let first = !marks.open.contains(origin);
        if first {
            cx.record(O::FACT, json!(origin.clone().written(cx.read.clock.now()))).await;
        }
        let (error, taken) = match restore.await {
            Answer::Begun(table) => {
                let table = table.filter(|table| table.table_id().is_some());
                let nameless = || StepError::Doubt(Failure::passing("the restore was answered without a table"));
                marks.note(cx, &*table.ok_or_else(nameless)?).await;
                return Ok(());
            }
            Answer::Failed { error, taken } => (error, taken),
        };
        if first && !matches!(error, StepError::Doubt(_)) {
            cx.record(TABLE, Value::Null).await;
        }
        if !taken {
            return Err(error);
        }
        match self.see(&cx.read, clients, marks).await? {
            Seen::Ours(table) => {
                self.made_from(&table, origin)?;
                marks.note(cx, &table).await;
                Ok(())
            }
            Seen::Theirs(who) => Err(self.theirs(clients, &who).into()),
            Seen::Nothing => Err(Failure::passing(format!("`{}` is being made or removed", self.name)).into()),
        }
    }

    /// Waits until the table is active.
    async fn active(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        marks: &Marks<impl Origin>,
    ) -> Result<Box<TableDescription>, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx, clients, marks).await? {
                Seen::Ours(table) => match stage(&self.name, &table) {
                    Stage::Moving(says) => Ok(Look::Pending(says)),
                    Stage::Active => Ok(Look::Ready(table)),
                    Stage::Broken(failure) => Err(failure),
                },
                Seen::Theirs(who) => Err(self.theirs(clients, &who)),
                Seen::Nothing if cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("`{}` is not seen yet", self.name)))
                }
                Seen::Nothing => Err(Failure::new(format!("`{}` has gone", self.name))),
            }
        })
        .await
    }

    fn output(&self, table: &TableDescription, origin: &impl Origin) -> Output {
        let mut values = serde_json::Map::new();
        values.insert("table".into(), self.name.clone().into());
        values.insert("arn".into(), table.table_arn().into());
        values.insert("table_id".into(), table.table_id().into());
        if let Some(stream) = table.latest_stream_arn() {
            values.insert("stream_arn".into(), stream.into());
        }
        Output { values, recovery_point: Some(origin.recovery_point()) }
    }

    /// How far it is, for [`dr_engine::step::Step::check`]; `decide` says what it is to be made from.
    pub(crate) async fn check<O: Origin>(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        decide: impl Future<Output = Result<O, Failure>>,
    ) -> Result<(Check, Option<O>), Failure> {
        let seen = self.see(cx, clients, &Marks::<O>::of(cx)).await?;
        if let Seen::Theirs(who) = &seen {
            return Ok((Check::Impossible(self.theirs(clients, who)), None));
        }
        let origin = match decide.await {
            Err(failure) if !failure.transient => return Ok((Check::Impossible(failure), None)),
            origin => origin?,
        };
        let Seen::Ours(table) = seen else { return Ok((Check::Absent, None)) };
        if let Err(failure) = self.made_from(&table, &origin) {
            return Ok((Check::Impossible(failure), None));
        }
        let check = match stage(&self.name, &table) {
            Stage::Broken(failure) => Check::Impossible(failure),
            Stage::Active if self.lost(cx, clients, &table).await?.is_empty() => {
                Check::Done(self.output(&table, &origin))
            }
            Stage::Moving(_) | Stage::Active => Check::InProgress,
        };
        Ok((check, Some(origin)))
    }

    /// Restores it where it is not there, and waits until it has all that was
    /// asked for. `restore` makes the one call.
    pub(crate) async fn run<O: Origin>(
        &self,
        cx: &StepCx,
        clients: &Clients,
        origin: &O,
        restore: impl Future<Output = Answer>,
    ) -> Result<Output, StepError> {
        let mut marks = Marks::of(&cx.read);
        match self.see(&cx.read, clients, &marks).await? {
            Seen::Theirs(who) => return Err(self.theirs(clients, &who).into()),
            Seen::Ours(table) => {
                self.made_from(&table, origin)?;
                marks.note(cx, &table).await;
            }
            Seen::Nothing => self.begin(cx, clients, origin, &mut marks, restore).await?,
        }
        let mut table = self.active(&cx.read, clients, &marks).await?;
        for lost in self.lost(&cx.read, clients, &table).await? {
            self.give_back(cx, clients, &table, lost).await?;
            table = self.active(&cx.read, clients, &marks).await?;
        }
        // A change that was accepted may not be seen at once.
        let since = cx.read.clock.now();
        let whole = || async {
            let table = self.active(&cx.read, clients, &marks).await?;
            let lost = self.lost(&cx.read, clients, &table).await?;
            if lost.is_empty() {
                return Ok(Look::Ready(table));
            }
            let says = format!("`{}` still lacks {lost:?}", self.name);
            if cx.read.clock.now().since(since) < limits::UNSEEN {
                Ok(Look::Pending(says))
            } else {
                Err(Failure::new(says))
            }
        };
        let table = cx.read.poll(whole).await?;
        Ok(self.output(&table, origin))
    }

    /// Whether it is gone.
    pub(crate) async fn check_undone<O: Origin>(&self, cx: &ReadCx, clients: &Clients) -> Result<Check, Failure> {
        Ok(match self.see(cx, clients, &Marks::<O>::sure(cx)).await? {
            Seen::Nothing => Check::Done(Output::default()),
            Seen::Theirs(who) => Check::Impossible(self.theirs(clients, &who)),
            Seen::Ours(table) if table.table_status() == Some(&TableStatus::Deleting) => Check::InProgress,
            Seen::Ours(_) => Check::Absent,
        })
    }

    /// Removes it.
    pub(crate) async fn undo<O: Origin>(&self, cx: &StepCx, clients: &Clients) -> Result<(), StepError> {
        let (marks, name) = (Marks::<O>::sure(&cx.read), &self.name);
        // A table that moves can be neither changed nor deleted.
        let rest = || async {
            match self.see(&cx.read, clients, &marks).await? {
                Seen::Nothing => Ok(Look::Ready(None)),
                Seen::Theirs(who) => Err(self.theirs(clients, &who)),
                Seen::Ours(table) => Ok(match stage(&self.name, &table) {
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
            match self.see(&cx.read, clients, &marks).await? {
                Seen::Ours(_) => Ok(Look::Pending(format!("`{name}` is being deleted"))),
                Seen::Nothing | Seen::Theirs(_) => Ok(Look::Ready(())),
            }
        };
        Ok(cx.read.poll(gone).await?)
    }
}

/// The table of this name in the clients' region.
pub(crate) async fn describe(clients: &Clients, name: &str) -> Result<Option<TableDescription>, Failure> {
    match clients.dynamodb.describe_table().table_name(name).send().await {
        Err(e) if code(&e) == "ResourceNotFoundException" => Ok(None),
        reply => Ok(reply.map_err(|e| clients.call("dynamodb", "DescribeTable").read(&e))?.table),
    }
}

/// How far a table that is being made is, its indexes included.
pub(crate) fn stage(name: &str, table: &TableDescription) -> Stage {
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

/// What a table gives to other steps.
pub(crate) fn outputs(more: &[&'static str]) -> Vec<OutputName> {
    ["table", "arn", "table_id", "stream_arn"].iter().chain(more).copied().map(OutputName::text).collect()
}
