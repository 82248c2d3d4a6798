//! `dynamodb.global_table`: a healthy replica of a table in the step's region,
//! or one that is added there.
//!
//! The step's region is asked, and it alone as long as the table stands there:
//! what it says holds when all others are lost (Amazon `DynamoDB` API
//! Reference, `DescribeTable`). A replica is added by the region that holds the
//! table, one change at a time (`UpdateTable`, `ReplicaUpdates`). Global tables
//! of version 2019.11.21 are meant.
//!
//! Every replica takes writes, so there is nothing to promote. Replication lags
//! behind, by how much `CloudWatch` in the sending region alone has measured
//! (`ReplicationLatency`): where that does not answer, the recovery point is
//! unknown. A table of strong consistency loses nothing.
//!
//! Left out: capacity, auto scaling and TTL of the replica, which are each
//! region's own; adding to a table of strong consistency, which is made with
//! all its replicas; and global tables of version 2017.11.29.

mod health;
mod traces;

use self::traces::Traces;
use crate::{
    aws::{Clients, error::code, limits},
    dynamodb::{self, Stage},
    metrics::Metric,
    world::World,
};
use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    CreateReplicationGroupMemberAction, DeleteReplicationGroupMemberAction, ReplicationGroupUpdate, TableDescription,
    TableStatus,
};
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Looks whether a table has a healthy replica in the step's region, or adds
/// one there and waits until it has all items.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalTable {
    /// The table.
    table: In<String>,
    /// The region that it is a replica of: asked how far behind the replica
    /// is, as far as it answers, and told to add one.
    #[serde(default)]
    from: Option<In<String>>,
    /// Whether a replica is added where there is none. `from`, which holds the
    /// table, then has to answer. Default: false.
    #[serde(default)]
    add: bool,
    /// The key of the step's region that an added replica is encrypted with,
    /// where the table has a key of its own.
    #[serde(default)]
    kms_key: Option<In<String>>,
}

/// How old a measured latency may be: older ones say nothing of now.
const AGE_MAX: Dur = Dur(15 * 60_000);

/// What there is of a replica in the step's region.
enum Seen {
    Nothing,
    Moving(String),
    Healthy(Box<TableDescription>),
    Broken(Failure),
}

/// What there is of a replica that this step added.
enum Left {
    Nothing,
    /// It can be removed when it no longer moves: whether it does.
    Ours(bool),
    /// It is being removed.
    Going,
    Unsure(Failure),
}

impl GlobalTable {
    fn from(&self) -> Option<&str> {
        self.from.as_ref().map(|from| from.get().as_str())
    }

    async fn see(&self, cx: &ReadCx, here: &Clients) -> Result<Seen, Failure> {
        let (name, region) = (self.table.get(), here.region.as_str());
        if self.from() == Some(region) {
            let text = format!("`from` is {region}, and so is the step's region: it is where the replica should be");
            return Ok(Seen::Broken(Failure::new(text).hint("give the step the region of the replica")));
        }
        if let Some(table) = dynamodb::describe(here, name).await? {
            return Ok(match health::of(name, &table, region, self.from()) {
                Stage::Moving(says) => Seen::Moving(says),
                Stage::Active => Seen::Healthy(Box::new(table)),
                Stage::Broken(failure) => Seen::Broken(failure),
            });
        }
        let Some(from) = self.from().filter(|_| self.add) else {
            let text = format!("there is no table `{name}` in {region}");
            let hint = "a replica has to be there before the region of the table is lost; `add: true` adds one";
            return Ok(Seen::Broken(Failure::new(text).hint(hint)));
        };
        let there = World::of(cx).aws.read_in(cx, Some(from)).await?;
        let Some(table) = dynamodb::describe(&there, name).await? else {
            let text = format!("there is no table `{name}` in {from} to add a replica of");
            return Ok(Seen::Broken(Failure::new(text)));
        };
        Ok(match (health::listed(&table, region), dynamodb::stage(name, &table)) {
            (Some(replica), _) => match health::of_replica(name, replica) {
                Stage::Active => Seen::Moving(format!("`{name}` is not seen yet in {region}")),
                Stage::Moving(says) => Seen::Moving(says),
                Stage::Broken(failure) => Seen::Broken(failure),
            },
            (None, Stage::Active) if health::streams(&table) => Seen::Nothing,
            (None, Stage::Active) => {
                let text = format!("`{name}` in {from} has no stream of NEW_AND_OLD_IMAGES: no replica can be added");
                Seen::Broken(Failure::new(text).hint("switch its stream on, then answer `retry`"))
            }
            (None, Stage::Moving(says)) => Seen::Moving(format!("in {from}, {says}")),
            (None, Stage::Broken(failure)) => Seen::Broken(failure),
        })
    }

    /// Waits until nothing moves: the table, or nothing where there is none.
    /// What was just asked for may not be seen at once.
    async fn settled(
        &self,
        cx: &ReadCx,
        here: &Clients,
        asked: bool,
    ) -> Result<Option<Box<TableDescription>>, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx, here).await? {
                Seen::Moving(says) => Ok(Look::Pending(says)),
                Seen::Nothing if asked && cx.clock.now().since(since) < limits::UNSEEN => {
                    Ok(Look::Pending(format!("the replica of `{}` is not seen yet", self.table)))
                }
                Seen::Nothing => Ok(Look::Ready(None)),
                Seen::Healthy(table) => Ok(Look::Ready(Some(table))),
                Seen::Broken(failure) => Err(failure),
            }
        })
        .await
    }

    /// Asks the region of the table for one change of its replicas.
    async fn change(&self, there: &Clients, change: ReplicationGroupUpdate) -> Result<(), (StepError, bool)> {
        let request = there.dynamodb.update_table().table_name(self.table.get()).replica_updates(change);
        let reply = request.send().await;
        let refused = |e| (there.call("dynamodb", "UpdateTable").wrote(&e), code(&e) == "ValidationException");
        reply.map(drop).map_err(refused)
    }

    async fn add(&self, cx: &StepCx, here: &Clients, traces: &mut Traces) -> Result<(), StepError> {
        let there = World::of(&cx.read).aws.write_in(cx, self.from()).await?;
        let replica = CreateReplicationGroupMemberAction::builder()
            .region_name(&here.region)
            .set_kms_master_key_id(self.kms_key.as_ref().map(|key| key.get().clone()));
        let replica = replica.build().map_err(|e| Failure::new(e.to_string()))?;
        // Where no change is still unanswered, the answer to this one tells all.
        let first = !traces.any();
        traces.ask(cx).await;
        match self.change(&there, ReplicationGroupUpdate::builder().create(replica).build()).await {
            Ok(()) => {
                traces.accepted(cx).await;
                Ok(())
            }
            Err((error, invalid)) => {
                if first && !matches!(error, StepError::Doubt(_)) {
                    traces.refused(cx).await;
                }
                // What somebody else has added meanwhile is as good.
                let there_now = invalid && !matches!(self.see(&cx.read, here).await?, Seen::Nothing | Seen::Broken(_));
                if there_now { Ok(()) } else { Err(error) }
            }
        }
    }

    /// Up to when the data is there, as far as anybody knows.
    async fn recovery_point(&self, cx: &ReadCx, table: &TableDescription, region: &str) -> Option<RecoveryPoint> {
        let now = cx.clock.now();
        if health::is_strong(table) {
            return Some(RecoveryPoint { at: now, source: "MultiRegionConsistency STRONG".into() });
        }
        let from = self.from()?;
        let look = async {
            let there = World::of(cx).aws.read_in(cx, Some(from)).await?;
            let of = [("TableName", self.table.get().as_str()), ("ReceivingRegion", region)];
            let latency = Metric { namespace: "AWS/DynamoDB", name: "ReplicationLatency", of: &of };
            latency.newest(cx, &there, now.after(Dur(-AGE_MAX.0)), |_| true).await
        };
        // A region that is lost is no reason to wait, and not to know is no failure.
        let sample = cx.clock.timeout(limits::MEASURED, Box::pin(look)).await?.ok()??;
        let source = format!("ReplicationLatency of {from}, measured at {}", sample.at);
        Some(RecoveryPoint { at: sample.less(Dur(1)), source })
    }

    async fn output(&self, cx: &ReadCx, table: &TableDescription, region: &str) -> Output {
        let mut values = serde_json::Map::new();
        values.insert("table".into(), self.table.get().clone().into());
        values.insert("arn".into(), table.table_arn().into());
        values.insert("table_id".into(), table.table_id().into());
        if let Some(stream) = table.latest_stream_arn() {
            values.insert("stream_arn".into(), stream.into());
        }
        let others = health::others(table, region).into_iter();
        let others: Vec<_> = others.map(|(region, status)| format!("{region} {status}")).collect();
        values.insert("replicates_with".into(), others.join(", ").into());
        Output { values, recovery_point: self.recovery_point(cx, table, region).await }
    }

    /// What there is still of what this step added.
    async fn left(&self, cx: &ReadCx, here: &Clients) -> Result<Left, Failure> {
        let (name, region, traces) = (self.table.get(), here.region.as_str(), Traces::of(cx));
        let Some(from) = self.from().filter(|_| traces.any()) else { return Ok(Left::Nothing) };
        let unsure = || {
            let text = format!(
                "the call that adds a replica of `{name}` in {region} got no answer: nobody can say whose that one is"
            );
            Left::Unsure(Failure::new(text).hint("remove it by hand if it is not wanted, or leave it"))
        };
        if let Some(table) = dynamodb::describe(here, name).await? {
            let moving = matches!(dynamodb::stage(name, &table), Stage::Moving(_));
            return Ok(match (traces.is(&table), table.table_status()) {
                (false, _) => Left::Nothing,
                (true, _) if !traces.sure() => unsure(),
                (true, Some(TableStatus::Deleting)) => Left::Going,
                (true, _) => Left::Ours(moving),
            });
        }
        // A replica that failed has no table, and one that goes has none at the end.
        let there = World::of(cx).aws.read_in(cx, Some(from)).await?;
        let table = dynamodb::describe(&there, name).await?;
        let Some(replica) = table.as_ref().and_then(|table| health::listed(table, region)) else {
            return Ok(Left::Nothing);
        };
        Ok(match health::of_replica(name, replica) {
            _ if !traces.sure() => unsure(),
            _ if replica.replica_status().is_some_and(|status| status.as_str() == "DELETING") => Left::Going,
            stage => Left::Ours(matches!(stage, Stage::Moving(_))),
        })
    }
}

impl Explained for GlobalTable {
    const REFERENCE: Reference = Reference {
        check: "`DescribeTable` in the step's region alone, as long as the table stands there. Done when table and \
            indexes are ACTIVE, its version is 2019.11.21, it replicates with another region (with `from`, if that \
            is named), its stream has NEW_AND_OLD_IMAGES unless it is strongly consistent, and its own region, if it \
            is listed, is ACTIVE. How the other regions are does not count. Where the table is missing, `add` asks \
            `from` how far a replica is. A failed or unreachable replica, an older version or a table of its own is \
            refused.",
        run: "Waits until nothing moves. With `add`, where there is no replica: writes that down, `UpdateTable` in \
            `from`, and waits until the replica is healthy. Last, `GetMetricData` in `from`, where that answers.",
        undo: Some(
            "`UpdateTable` in `from` removes the replica with its items, and waits until it is gone. Only a replica \
             that this run is known to have added is removed.",
        ),
        recovery_point: Some(
            "With strong consistency the moment of the look. Otherwise what CloudWatch in `from` measured last: the \
             beginning of that minute less `ReplicationLatency`. Writes that never arrived are not in it. Unknown \
             where `from` is not named, does not answer, or measured nothing within a quarter of an hour.",
        ),
        time: "At once where the replica is there. Adding one takes minutes to hours, by the size of the table \
            (general knowledge, not measured).",
        traps: &[
            "Every replica takes writes: whoever still writes in the old region changes the same items, and of two \
             writes to one item the later wins.",
            "Capacity, auto scaling, TTL, tags, alarms and point-in-time recovery are each region's own: a replica \
             that is healthy may still be too small.",
            "Without `add` a missing replica fails the step: it has to be there before the region is lost.",
            "DynamoDB does not delete a replica that lately was what another was made from.",
        ],
        example: "
            carts_home:
              region: eu-west-1
              do:
                dynamodb.global_table:
                  table: carts
                  from: eu-central-1
                  add: true
              timeout: 6h
            carts_there:
              region: eu-central-1
              do:
                dynamodb.global_table:
                  table: carts
        ",
    };
}

#[async_trait]
impl Step for GlobalTable {
    fn describe(&self) -> Description {
        let from = self.from.as_ref().map_or(String::new(), |from| format!(" of {from}"));
        let summary = if self.add {
            format!("add a replica of table `{}`{} where there is none", self.table, from.replace(" of ", " from "))
        } else {
            format!("look for a healthy replica{from} of table `{}`", self.table)
        };
        let adds = [
            "dynamodb:UpdateTable",
            "dynamodb:CreateTableReplica",
            "dynamodb:DeleteTableReplica",
            // A replica is filled through the rights of whoever adds it.
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:BatchWriteItem",
            "iam:CreateServiceLinkedRole",
            "kms:DescribeKey",
            "kms:CreateGrant",
        ];
        let mut actions = vec!["dynamodb:DescribeTable"];
        actions.extend(self.from.is_some().then_some("cloudwatch:GetMetricData"));
        actions.extend(adds.into_iter().filter(|_| self.add));
        Description {
            summary,
            actions,
            regions: self.from.iter().map(ToString::to_string).collect(),
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mistake = |field, message: &str, help: &str| Mistake { field, message: message.into(), help: help.into() };
        let mut mistakes = Vec::new();
        if self.add && self.from.is_none() {
            let message = "`add` does not say from where: a replica is added by the region that holds the table";
            mistakes.push(mistake("add", message, "name that region: `from`"));
        }
        if self.kms_key.is_some() && !self.add {
            let message = "`kms_key` is for a replica that is added";
            mistakes.push(mistake("kms_key", message, "say `add: true`, or take `kms_key` away"));
        }
        mistakes
    }

    fn outputs(&self) -> Vec<OutputName> {
        dynamodb::outputs(&["replicates_with"])
    }

    fn changes(&self) -> bool {
        self.add
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let here = World::of(cx).aws.read(cx).await?;
        Ok(match self.see(cx, &here).await? {
            Seen::Nothing => Check::Absent,
            Seen::Moving(_) => Check::InProgress,
            Seen::Healthy(table) => Check::Done(self.output(cx, &table, &here.region).await),
            Seen::Broken(failure) => Check::Impossible(failure),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let here = World::of(&cx.read).aws.read(&cx.read).await?;
        let mut traces = Traces::of(&cx.read);
        let mut found = self.settled(&cx.read, &here, false).await?;
        if found.is_none() {
            self.add(cx, &here, &mut traces).await?;
            found = self.settled(&cx.read, &here, true).await?;
        }
        let gone = || Failure::passing(format!("`{}` has gone from {}", self.table, here.region));
        let table = found.ok_or_else(gone)?;
        traces.note(cx, &table).await;
        Ok(self.output(&cx.read, &table, &here.region).await)
    }

    fn can_undo(&self) -> bool {
        self.add
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let here = World::of(cx).aws.read(cx).await?;
        Ok(match self.left(cx, &here).await? {
            Left::Nothing => Check::Done(Output::default()),
            Left::Ours(_) => Check::Absent,
            Left::Going => Check::InProgress,
            Left::Unsure(failure) => Check::Impossible(failure),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let here = World::of(&cx.read).aws.read(&cx.read).await?;
        let left = || async {
            Ok(match self.left(&cx.read, &here).await? {
                Left::Nothing => Look::Ready(false),
                Left::Ours(false) => Look::Ready(true),
                Left::Ours(true) => Look::Pending(format!("`{}` still moves", self.table)),
                Left::Going => Look::Pending(format!("`{}` is being removed from {}", self.table, here.region)),
                Left::Unsure(failure) => return Err(failure),
            })
        };
        if !cx.read.poll(left).await? {
            return Ok(());
        }
        let there = World::of(&cx.read).aws.write_in(cx, self.from()).await?;
        let replica = DeleteReplicationGroupMemberAction::builder().region_name(&here.region).build();
        let replica = replica.map_err(|e| Failure::new(e.to_string()))?;
        let change = ReplicationGroupUpdate::builder().delete(replica).build();
        self.change(&there, change).await.map_err(|(error, _)| error)?;
        cx.record_handle("removing", here.region.as_str()).await;
        let gone = || async {
            Ok(match self.left(&cx.read, &here).await? {
                Left::Nothing => Look::Ready(()),
                Left::Ours(_) | Left::Going => Look::Pending(format!("`{}` is being removed", self.table)),
                Left::Unsure(failure) => return Err(failure),
            })
        };
        Ok(cx.read.poll(gone).await?)
    }
}
