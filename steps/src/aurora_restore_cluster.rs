//! `aurora.restore_cluster`: an Aurora cluster out of a snapshot, or as it was
//! at a moment, with its instances.
//!
//! RDS restores a cluster without instances, so that nobody can connect to it:
//! they are made here too, one after another, named after the cluster. Neither
//! call has an idempotency token: the names are the tokens, and the tags say
//! whose they are and what the cluster was made from (AWS RDS API Reference,
//! `RestoreDBClusterFromSnapshot`, `RestoreDBClusterToPointInTime`).
//!
//! A moment is of a cluster of this region alone; after the loss of a region
//! there are only snapshots that were copied before.
//!
//! Left out: serverless capacity, backtrack, a change of engine, and snapshots
//! of instances.

mod choice;
mod members;

use self::choice::{CHOSEN, Chosen};
use crate::{
    aws::{Clients, error::code, tags},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::{
    primitives::DateTime,
    types::{DbCluster, Tag},
};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Restores an Aurora cluster under a new name, with its instances, and waits
/// until they work.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreCluster {
    /// The cluster that the snapshot, or the moment, is of.
    source: In<String>,
    /// The region in which that cluster ran: another one can have its name in
    /// another region. With `latest` else the runbook's `primary`, where it has one.
    #[serde(default)]
    from: Option<In<String>>,
    /// `latest`, or a snapshot's name or ARN. Without it and without `at` the latest one.
    #[serde(default)]
    snapshot: Option<In<String>>,
    /// In place of a snapshot: `latest`, or a moment as in 2026-11-22T06:15:00Z.
    #[serde(default)]
    at: Option<In<String>>,
    /// With `latest`: not later than this, as in `${run.incident_at}`: for corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// The name of the new cluster; its instances are called by it, and `-1`, `-2` and so on.
    target: In<String>,
    /// The class of its instances.
    class: In<String>,
    /// How many instances it has, 15 at most; else one. The first of them writes.
    #[serde(default)]
    instances: Option<In<u8>>,
    /// Its subnet group.
    subnet_group: In<String>,
    /// Its security groups; without them AWS would take the default one.
    security_groups: Vec<In<String>>,
    /// Its cluster parameter group; without it AWS would take the default one.
    parameter_group: In<String>,
    /// The key that it is encrypted with; else that of the snapshot, or of the cluster.
    #[serde(default)]
    kms_key: Option<In<String>>,
}

/// What stands under the target's name.
enum Seen {
    Nothing,
    Theirs(String),
    Ours(Box<DbCluster>),
}

/// How far a cluster of ours is.
enum Stage {
    Moving(String),
    /// It works and has not all its instances: these are missing.
    Lacks(Vec<String>),
    Ready,
    Broken(Failure),
}

/// How many instances a cluster can have (Amazon Aurora User Guide, Quotas).
const INSTANCES_MAX: u8 = 15;
/// The name of the fact that holds the cluster.
const CLUSTER: &str = "cluster";

impl RestoreCluster {
    /// RDS keeps identifiers in lower case.
    fn name(&self) -> String {
        self.target.get().to_lowercase()
    }

    fn members(&self) -> Vec<String> {
        let count = self.instances.as_ref().map_or(1, |count| *count.get());
        (1..=count).map(|number| format!("{}-{number}", self.name())).collect()
    }

    /// Refuses a cluster of ours that was made from something else.
    fn made_from(&self, cluster: &DbCluster, choice: &Chosen) -> Result<(), Failure> {
        let tag = cluster.tag_list().iter().find(|tag| tag.key() == Some(tags::FROM)).and_then(Tag::value);
        match tag {
            Some(from) if from != tags::text(&choice.origin()) => {
                let (name, wanted) = (self.name(), choice.origin());
                let text = format!("`{name}` was made from `{from}` before the inputs changed, not from `{wanted}`");
                Err(Failure::new(text).hint("remove that cluster by hand, or set the inputs back; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }

    /// Begins the restore. A cluster of ours that is already there is as good.
    async fn begin(&self, cx: &StepCx, clients: &Clients, choice: &Chosen) -> Result<(), StepError> {
        if cx.read.fact(CHOSEN) != Some(&json!(choice)) {
            cx.record(CHOSEN, json!(choice)).await;
        }
        let tag = |(key, value)| Tag::builder().key(key).value(value).build();
        let tags = tags::of(&cx.read).into_iter().chain([(tags::FROM, tags::text(&choice.origin()))]);
        let tags: Vec<_> = tags.map(tag).collect();
        let groups: Vec<_> = self.security_groups.iter().map(|group| group.get().clone()).collect();
        let (name, rds) = (self.name(), &clients.rds);
        let (begun, exists) = match &choice.from {
            choice::From::Snapshot(arn) => {
                let request = rds.restore_db_cluster_from_snapshot().db_cluster_identifier(name).engine(&choice.engine);
                let request = request.snapshot_identifier(arn).db_subnet_group_name(self.subnet_group.get());
                let request = request.db_cluster_parameter_group_name(self.parameter_group.get()).set_tags(Some(tags));
                let request =
                    request.set_vpc_security_group_ids(Some(groups)).set_kms_key_id(choice.asked.kms_key.clone());
                let reply = request.send().await;
                let exists = reply.as_ref().is_err_and(|e| code(e).starts_with("DBClusterAlreadyExists"));
                let call = clients.call("rds", "RestoreDBClusterFromSnapshot");
                (reply.map(|reply| reply.db_cluster).map_err(|e| call.wrote(&e)), exists)
            }
            choice::From::Moment(at) => {
                let request = rds.restore_db_cluster_to_point_in_time().db_cluster_identifier(name);
                let request = request.source_db_cluster_identifier(&choice.asked.source);
                let request = request.restore_to_time(DateTime::from_millis(at.0)).set_tags(Some(tags));
                let request =
                    request.db_subnet_group_name(self.subnet_group.get()).set_vpc_security_group_ids(Some(groups));
                let request = request.db_cluster_parameter_group_name(self.parameter_group.get());
                let reply = request.set_kms_key_id(choice.asked.kms_key.clone()).send().await;
                let exists = reply.as_ref().is_err_and(|e| code(e).starts_with("DBClusterAlreadyExists"));
                let call = clients.call("rds", "RestoreDBClusterToPointInTime");
                (reply.map(|reply| reply.db_cluster).map_err(|e| call.wrote(&e)), exists)
            }
        };
        if !exists {
            let arn = begun?.and_then(|cluster| cluster.db_cluster_arn);
            cx.record_handle(CLUSTER, arn.unwrap_or_else(|| self.name())).await;
            return Ok(());
        }
        match self.see(&cx.read, clients).await? {
            Seen::Ours(cluster) => Ok(self.made_from(&cluster, choice)?),
            Seen::Theirs(who) => Err(Self::theirs(&self.name(), &clients.region, &who).into()),
            Seen::Nothing => Err(Failure::passing(format!("`{}` is being made or removed", self.name())).into()),
        }
    }

    fn output(cluster: &DbCluster, choice: &Chosen) -> Output {
        let mut output = Output { recovery_point: choice.recovery_point.clone(), ..Output::default() };
        output.values.insert("endpoint".into(), cluster.endpoint().into());
        output.values.insert("reader_endpoint".into(), cluster.reader_endpoint().into());
        output.values.insert("port".into(), cluster.port().into());
        output.values.insert("arn".into(), cluster.db_cluster_arn().into());
        output.values.insert("restored_from".into(), choice.origin().into());
        output
    }
}

impl Explained for RestoreCluster {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBClusters` on the target, and `DescribeDBInstances` on its instances. Nothing of it while the \
            name is free; under way while the cluster is being made, or an instance is missing or being made; \
            done when the cluster and all its instances are available and one of them writes. A cluster that is not \
            this run's, was made from something else, has other groups than asked for, or instances of another class, is \
            refused, and nothing of it is changed. Its key is not looked at again.",
        run: "`DescribeDBClusterSnapshots`, or with `at` `DescribeDBClusters` on the source; writes down what it will \
            be; `RestoreDBClusterFromSnapshot` or `RestoreDBClusterToPointInTime`; waits until the cluster is \
            available; `CreateDBInstance` for each instance; waits until they are available.",
        undo: Some(
            "Waits until nothing is being made, `DeleteDBInstance` for each instance, waits until they are gone, takes \
             the cluster's deletion protection off (`ModifyDBCluster`), `DeleteDBCluster` without a final snapshot, \
             and waits until it is gone. A cluster that has an instance that is not this run's is left as it is.",
        ),
        recovery_point: Some(
            "With `at` the `RestoreToTime` that was written down and given. Of a snapshot its `SnapshotCreateTime`, \
             but of a copy: nobody documents whether that is the moment of the data, so it is unknown then.",
        ),
        time: "20 minutes to hours, and 5 to 15 minutes for the instances (general knowledge, not measured).",
        traps: &[
            "A moment (`at`) is of a cluster of the step's region: after the loss of a region only copied snapshots \
             are there.",
            "Snapshots of clusters of that name that ran in other regions are not looked at with `latest`. Where it \
             is not known which region is meant, or they are of several accounts, it is refused and names them: say \
             `from`, or name the snapshot. Of those that had the name one after the other in one region the newest \
             counts, also one that was made since: `before` excludes it.",
            "Of a snapshot that was copied again within the region only that region is known: with its original \
             gone, say that region in `from`, or name the snapshot.",
            "`latest` goes by when snapshots were taken; of copies the one that was copied last may not have the \
             newest data. Name the snapshot where that matters.",
            "A restored cluster is in no global database.",
            "Data is read in as it is asked for: the first queries are slow.",
        ],
        example: r#"
            ledger:
              do:
                aurora.restore_cluster:
                  source: ledger
                  from: eu-west-1
                  before: "${run.incident_at}"
                  target: ledger-dr
                  class: db.r6g.large
                  instances: 2
                  subnet_group: dr-private
                  security_groups: [sg-0123456789abcdef0]
                  parameter_group: dr-aurora-pg15
              timeout: 3h
        "#,
    };
}

#[async_trait]
impl Step for RestoreCluster {
    fn describe(&self) -> Description {
        let from = match (&self.at, &self.snapshot) {
            (Some(at), _) => format!("to {at}"),
            (None, snapshot) => {
                format!("from snapshot {}", snapshot.as_ref().map_or("latest".into(), ToString::to_string))
            }
        };
        Description {
            summary: format!("restore Aurora cluster `{}` as `{}` {from}", self.source, self.target),
            actions: vec![
                "rds:DescribeDBClusterSnapshots",
                "rds:DescribeDBClusters",
                "rds:DescribeDBInstances",
                "rds:RestoreDBClusterFromSnapshot",
                "rds:RestoreDBClusterToPointInTime",
                "rds:CreateDBInstance",
                "rds:AddTagsToResource",
                "rds:DeleteDBInstance",
                "rds:ModifyDBCluster",
                "rds:DeleteDBCluster",
                "kms:DescribeKey",
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:GenerateDataKey*",
            ],
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if self.at.is_some() && self.snapshot.is_some() {
            let message = "a moment and a snapshot are two ways to restore a cluster".into();
            mistakes.push(Mistake { field: "at", message, help: "take `at` or `snapshot` away".into() });
        }
        if self.at.is_some() && self.from.is_some() {
            let message = "a moment is of a cluster of the step's region, wherever others ran".into();
            mistakes.push(Mistake { field: "from", message, help: "take `from` away, or `at`".into() });
        }
        if let Some(In::Lit(count)) = &self.instances
            && !(1..=INSTANCES_MAX).contains(count)
        {
            let message = format!("an Aurora cluster has 1 to {INSTANCES_MAX} instances, not {count}");
            mistakes.push(Mistake { field: "instances", message, help: "without one nobody can connect to it".into() });
        }
        mistakes
    }

    fn outputs(&self) -> Vec<OutputName> {
        let texts = ["endpoint", "reader_endpoint", "arn", "restored_from"].map(OutputName::text);
        texts.into_iter().chain([OutputName::number("port")]).collect()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = self.see(cx, &clients).await?;
        if let Seen::Theirs(who) = &seen {
            return Ok(Check::Impossible(Self::theirs(&self.name(), &clients.region, who)));
        }
        let choice = match self.decide(cx, &clients).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            choice => choice?,
        };
        let Seen::Ours(cluster) = seen else { return Ok(Check::Absent) };
        if let Err(failure) = self.made_from(&cluster, &choice) {
            return Ok(Check::Impossible(failure));
        }
        Ok(match self.stage(cx, &clients, &cluster).await? {
            Stage::Ready => Check::Done(Self::output(&cluster, &choice)),
            Stage::Moving(_) | Stage::Lacks(_) => Check::InProgress,
            Stage::Broken(failure) => Check::Impossible(failure),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let choice = self.decide(&cx.read, &clients).await?;
        match self.see(&cx.read, &clients).await? {
            Seen::Theirs(who) => return Err(Self::theirs(&self.name(), &clients.region, &who).into()),
            Seen::Ours(cluster) => self.made_from(&cluster, &choice)?,
            Seen::Nothing => Box::pin(self.begin(cx, &clients, &choice)).await?,
        }
        let mut made = vec![self.name()];
        loop {
            let (cluster, stage) = Box::pin(self.settled(&cx.read, &clients, &made)).await?;
            match stage {
                Stage::Ready => return Ok(Self::output(&cluster, &choice)),
                Stage::Lacks(missing) if missing.iter().all(|name| !made.contains(name)) => {
                    for name in missing {
                        Box::pin(self.add(cx, &clients, &name, &choice.engine)).await?;
                        made.push(name);
                    }
                }
                Stage::Lacks(missing) => {
                    let text = format!("`{}` was made and has gone", missing.join("`, `"));
                    return Err(Failure::new(text).into());
                }
                Stage::Broken(failure) => return Err(failure.into()),
                Stage::Moving(says) => return Err(Failure::passing(says).into()),
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
            Seen::Theirs(who) => Check::Impossible(Self::theirs(&self.name(), &clients.region, &who)),
            Seen::Ours(cluster) if cluster.status() == Some("deleting") => Check::InProgress,
            Seen::Ours(_) => Check::Absent,
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let name = self.name();
        let rest = || async {
            Ok(match self.see(&cx.read, &clients).await? {
                Seen::Nothing => Look::Ready(None),
                Seen::Theirs(who) => return Err(Self::theirs(&name, &clients.region, &who)),
                Seen::Ours(cluster) => match cluster.status().unwrap_or("creating") {
                    "creating" | "modifying" => Look::Pending(format!("`{name}` is not at rest")),
                    _ => Look::Ready(Some(cluster)),
                },
            })
        };
        let Some(cluster) = cx.read.poll(rest).await? else { return Ok(()) };
        if cluster.status() != Some("deleting") {
            Box::pin(self.empty(cx, &clients, &cluster)).await?;
            if cluster.deletion_protection() == Some(true) {
                let change = clients.rds.modify_db_cluster().db_cluster_identifier(&name).deletion_protection(false);
                let reply = change.apply_immediately(true).send().await;
                reply.map_err(|e| clients.call("rds", "ModifyDBCluster").wrote(&e))?;
            }
            let request = clients.rds.delete_db_cluster().db_cluster_identifier(&name).skip_final_snapshot(true);
            // What users wrote into it since can still be restored from its automated backups.
            match request.delete_automated_backups(false).send().await {
                Err(e) if code(&e).starts_with("DBClusterNotFound") => return Ok(()),
                reply => drop(reply.map_err(|e| clients.call("rds", "DeleteDBCluster").wrote(&e))?),
            }
        }
        let gone = || async {
            Ok(match self.see(&cx.read, &clients).await? {
                Seen::Ours(_) => Look::Pending(format!("`{name}` is being deleted")),
                Seen::Nothing | Seen::Theirs(_) => Look::Ready(()),
            })
        };
        Ok(cx.read.poll(gone).await?)
    }
}
