//! `rds.restore_snapshot`: a database from one of its snapshots.
//!
//! How an instance is made, waited for and taken back stands in `rds.rs`.
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
    aws::Clients,
    rds::{self, Made, Wanted},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Restores a database instance from a snapshot under a new name, and waits
/// until it is available.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreSnapshot {
    /// The database that the snapshot is of.
    source: In<String>,
    /// The region in which that database ran: another one can have its name in
    /// another region. With `latest` else the runbook's `primary`, where it has one.
    #[serde(default)]
    from: Option<In<String>>,
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

impl RestoreSnapshot {
    fn instance(&self) -> Wanted {
        Wanted {
            name: self.target.get().to_lowercase(),
            class: self.class.as_ref().map(|class| class.get().clone()),
            subnet_group: self.subnet_group.get().clone(),
            security_groups: self.security_groups.iter().map(|group| group.get().clone()).collect(),
            parameter_group: self.parameter_group.get().clone(),
            multi_az: self.multi_az.as_ref().is_some_and(|wanted| *wanted.get()),
            follows: false,
        }
    }

    async fn make(&self, cx: &StepCx, clients: &Clients, choice: &Chosen) -> Result<Made, StepError> {
        if chosen(&cx.read).as_ref() != Some(choice) {
            cx.record(CHOSEN, json!(choice)).await;
        }
        let Wanted { name, class, subnet_group, security_groups, parameter_group, multi_az, .. } = self.instance();
        let reply = clients
            .rds
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier(name)
            .db_snapshot_identifier(&choice.id)
            .set_db_instance_class(class)
            .db_subnet_group_name(subnet_group)
            .set_vpc_security_group_ids(Some(security_groups))
            .db_parameter_group_name(parameter_group)
            .multi_az(multi_az)
            .publicly_accessible(false)
            .set_tags(Some(Wanted::tags(&cx.read, &choice.origin())))
            .send()
            .await;
        let call = clients.call("rds", "RestoreDBInstanceFromDBSnapshot");
        Made::of(reply.map(|reply| reply.db_instance), |e| call.wrote(e))
    }

    fn output(mut output: Output, choice: &Chosen) -> Output {
        output.values.insert("snapshot".into(), choice.id.clone().into());
        output
    }
}

impl Explained for RestoreSnapshot {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBInstances` on the target. Nothing of it while the name is free; under way while the \
            instance is being made, or differs from what is asked for in class, security groups, parameter \
            group or zones; done when it is available and differs in nothing. An instance that is not this \
            run's, was made from another snapshot, stands in another subnet group, or is in a state out of \
            which it does not come by itself, is refused.",
        run: "`DescribeDBSnapshots`; writes down which snapshot it is; `RestoreDBInstanceFromDBSnapshot`; \
            waits until the instance is available; `ModifyDBInstance` for what differs from what is asked \
            for, and waits again. A snapshot that was chosen stays chosen in that run.",
        undo: Some(rds::UNDO),
        recovery_point: Some(
            "`SnapshotDatabaseTime`, else `OriginalSnapshotCreateTime`; never `SnapshotCreateTime`, which \
            changes when a snapshot is copied.",
        ),
        time: "10 to 60 minutes (general knowledge, not measured).",
        traps: &[
            "The snapshot has to be in the step's region: `rds.copy_snapshot` brings one there, while its \
             own region answers.",
            "Snapshots of databases of that name that ran in other regions are not looked at with `latest`. \
             Where it is not known which region is meant, or they are of several accounts, it is refused \
             and names them: say `from`, or name the snapshot. Of those that had the name one after the \
             other in one region the newest counts, also one that was made since: `before` excludes it.",
            "Of a snapshot that was copied again within the region only that region is known: with its \
             original gone, say that region in `from`, or name the snapshot.",
            "`kms_key` encrypts nothing: it refuses a snapshot that has another key.",
            "Storage is read in from S3 as it is asked for: the first queries after a restore are slow.",
            "An instance that waits for a reboot to take its parameter group is held, with the way out.",
            "The instance is never publicly accessible, and stands in one availability zone unless \
             `multi_az` says so.",
        ],
        example: r#"
            orders_db:
              do:
                rds.restore_snapshot:
                  source: orders
                  from: eu-west-1
                  snapshot: latest
                  before: "${run.incident_at}"
                  target: orders-dr
                  class: db.r6g.large
                  subnet_group: dr-private
                  security_groups: [sg-0123456789abcdef0]
                  parameter_group: dr-pg15
              timeout: 2h
              rpo: 15m
        "#,
    };
}

#[async_trait]
impl Step for RestoreSnapshot {
    fn describe(&self) -> Description {
        let snapshot = self.snapshot.as_ref().map_or("latest".into(), ToString::to_string);
        Description {
            summary: format!("restore database `{}` as `{}` from snapshot {snapshot}", self.source, self.target),
            actions: ["rds:DescribeDBSnapshots", "rds:RestoreDBInstanceFromDBSnapshot"]
                .into_iter()
                .chain(rds::ACTIONS)
                .collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        rds::outputs(&["snapshot"])
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let mut choice = None;
        let decide = async { Ok(choice.insert(self.decide(cx, &clients).await?).origin()) };
        let check = self.instance().check(cx, &clients, decide).await?;
        Ok(match (check, choice) {
            (Check::Done(output), Some(choice)) => Check::Done(Self::output(output, &choice)),
            (check, _) => check,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let choice = self.decide(&cx.read, &clients).await?;
        let make = self.make(cx, &clients, &choice);
        let output = Box::pin(self.instance().run(cx, &clients, &choice.origin(), make)).await?;
        Ok(Self::output(output, &choice))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        self.instance().check_undone(cx, &clients).await
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        self.instance().undo(cx, &clients).await
    }
}
