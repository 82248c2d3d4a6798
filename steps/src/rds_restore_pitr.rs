//! `rds.restore_pitr`: a database as it was at a moment, from its automated backups.
//!
//! How an instance is made, waited for and taken back stands in `rds.rs`.
//!
//! A concrete time is always given and written down before the call, also for
//! `latest`: an instance does not say to which moment it was restored, and a
//! resumed step must not choose a later one. That time is the recovery point.
//!
//! In the region of the recovery there are automated backups only if they were
//! replicated there beforehand (AWS RDS User Guide, Replicating automated
//! backups to another AWS Region; `StartDBInstanceAutomatedBackupsReplication`,
//! called there). `dr` does not set that up.
//!
//! Left out: Aurora clusters, and a change of engine, storage or options.

mod choice;

use self::choice::{CHOSEN, Chosen, chosen};
use crate::{
    aws::Clients,
    rds::{self, Made, Wanted},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_rds::primitives::DateTime;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// Restores a database instance to a moment under a new name, and waits until
/// it is available.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestorePitr {
    /// The database that the automated backups are of.
    source: In<String>,
    /// The region in which that database ran: another one can have its name in
    /// another region. Else the runbook's `primary`, where it has one.
    #[serde(default)]
    from: Option<In<String>>,
    /// `latest`, or a moment as in 2026-11-22T06:15:00Z.
    #[serde(default)]
    at: Option<In<String>>,
    /// With `latest`: not later than this, as in `${run.incident_at}`: for
    /// corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// The name of the new instance.
    target: In<String>,
    /// Its class; else that of the source.
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
}

impl RestorePitr {
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
        // A replicated backup is known by its own ARN, one of this region by the resource that it is of.
        let (arn, resource) = match &choice.arn {
            Some(arn) => (Some(arn.clone()), None),
            None => (None, Some(choice.resource_id.clone())),
        };
        let reply = clients
            .rds
            .restore_db_instance_to_point_in_time()
            .target_db_instance_identifier(name)
            .set_source_db_instance_automated_backups_arn(arn)
            .set_source_dbi_resource_id(resource)
            .restore_time(DateTime::from_millis(choice.at.0))
            .set_db_instance_class(class)
            .db_subnet_group_name(subnet_group)
            .set_vpc_security_group_ids(Some(security_groups))
            .db_parameter_group_name(parameter_group)
            .multi_az(multi_az)
            .publicly_accessible(false)
            .set_tags(Some(Wanted::tags(&cx.read, &choice.origin())))
            .send()
            .await;
        let call = clients.call("rds", "RestoreDBInstanceToPointInTime");
        Made::of(reply.map(|reply| reply.db_instance), |e| call.wrote(e))
    }

    fn output(mut output: Output, choice: &Chosen) -> Output {
        output.values.insert("restored_to".into(), choice.at.to_string().into());
        output.values.insert("backup".into(), choice.id().into());
        output
    }
}

impl Explained for RestorePitr {
    const REFERENCE: Reference = Reference {
        check: "`DescribeDBInstances` on the target. Nothing of it while the name is free; under way while the \
            instance is being made, or differs from what is asked for in class, security groups, parameter \
            group or zones; done when it is available and differs in nothing. An instance that is not this \
            run's, was made from another backup or moment, stands in another subnet group, or is in a state \
            out of which it does not come by itself, is refused.",
        run: "`DescribeDBInstanceAutomatedBackups`; chooses a concrete moment, also for `latest`, and writes \
            it down; `RestoreDBInstanceToPointInTime`; waits until the instance is available; \
            `ModifyDBInstance` for what differs from what is asked for, and waits again.",
        undo: Some(rds::UNDO),
        recovery_point: Some(
            "The `RestoreTime` that was written down and given. With `latest` it lies one second before the \
            end of the window, which is usually some minutes behind.",
        ),
        time: "10 to 60 minutes, and the replay of the log (general knowledge, not measured).",
        traps: &[
            "Automated backups stand in the recovery region only if they were replicated there beforehand; \
             `dr` does not set that up.",
            "Automated backups of databases of that name that ran in other regions are not looked at. Where it \
             is not known which region is meant, it is refused and names them: say `from`. Of those that had \
             the name one after the other in one region the newest counts that has the moment, also one that \
             was made since: `before` excludes it.",
            "A moment outside the window is refused, and the window is named.",
            "Storage is read in from S3 as it is asked for: the first queries after a restore are slow.",
            "An instance that waits for a reboot to take its parameter group is held, with the way out.",
            "The instance is never publicly accessible, and stands in one availability zone unless \
             `multi_az` says so.",
        ],
        example: r#"
            orders_db:
              do:
                rds.restore_pitr:
                  source: orders
                  from: eu-west-1
                  before: "${run.incident_at}"
                  target: orders-dr
                  class: db.r6g.large
                  subnet_group: dr-private
                  security_groups: [sg-0123456789abcdef0]
                  parameter_group: dr-pg15
              timeout: 2h
              rpo: 10m
        "#,
    };
}

#[async_trait]
impl Step for RestorePitr {
    fn describe(&self) -> Description {
        let at = self.at.as_ref().map_or("the latest moment".into(), ToString::to_string);
        Description {
            summary: format!("restore database `{}` as `{}` to {at}", self.source, self.target),
            actions: ["rds:DescribeDBInstanceAutomatedBackups", "rds:RestoreDBInstanceToPointInTime"]
                .into_iter()
                .chain(rds::ACTIONS)
                .collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        rds::outputs(&["restored_to", "backup"])
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
