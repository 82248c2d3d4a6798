//! `dynamodb.restore_backup`: a table from one of its backups.
//!
//! How a table is made, given back what a restore loses, and taken back stands
//! in `dynamodb.rs`.
//!
//! The recovery point is `BackupCreationDateTime`.

mod choice;

use self::choice::Chosen;
use crate::{
    aws::Clients,
    dynamodb::{self, Answer, Origin, Wanted},
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

impl RestoreBackup {
    fn wanted_table(&self) -> Wanted {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        Wanted {
            name: self.target.get().clone(),
            ttl: text(&self.ttl),
            stream: text(&self.stream),
            pitr: self.pitr.as_ref().is_some_and(|wanted| *wanted.get()),
            tags: self.tags.iter().map(|(key, value)| (key.clone(), value.get().clone())).collect(),
        }
    }

    async fn restore(&self, clients: &Clients, chosen: &Chosen) -> Answer {
        let request = clients.dynamodb.restore_table_from_backup().target_table_name(self.target.get());
        let reply = request.backup_arn(&chosen.arn).send().await;
        let call = clients.call("dynamodb", Chosen::OPERATION);
        Answer::of(reply.map(|reply| reply.table_description), |e| call.wrote(e))
    }

    fn output(mut output: Output, chosen: &Chosen) -> Output {
        output.values.insert("backup".into(), chosen.arn.clone().into());
        output
    }
}

impl Explained for RestoreBackup {
    const REFERENCE: Reference = Reference {
        check: "`DescribeTable` and `ListTagsOfResource` on the target, then `DescribeTimeToLive` and \
            `DescribeContinuousBackups` where those are asked for. Nothing of it while the name is free; \
            under way while the table or an index is not active, or lacks something that a restore loses; \
            done when it has all. A table that is not this step's, or was made from another backup, is \
            refused.",
        run: "`ListBackups`, or `DescribeBackup` for an ARN; writes down which backup it is; \
            `RestoreTableFromBackup`; waits until the table and its indexes are active; sets tags, stream, \
            TTL and point-in-time recovery again, as far as they are asked for. A backup that was chosen \
            stays chosen in that run.",
        undo: Some(dynamodb::UNDO),
        recovery_point: Some("`BackupCreationDateTime` of the backup."),
        time: "10 minutes to hours, not in proportion to the size (general knowledge, not measured).",
        traps: &[
            "The name of the new table must be free, so that it is another than the application knows, or \
             the old table is gone.",
            "Auto scaling, policies and alarms are lost in a restore and are not set again here.",
            "`ttl` counts as set while DynamoDB is still switching it on, which may take an hour.",
            "DynamoDB's own backups do not leave their region: after the loss of a region only those help that \
             a replica of the table had of its own in the step's region. What AWS Backup made or copied is a \
             recovery point (`arn:aws:backup:…`): it is not listed here, and `backup.restore_job` restores it.",
            "The backups are of the table of that name in the step's region, whichever that is: nothing tells a \
             replica of the lost one from a table of its own. Of tables that had the name one after the other \
             the newest backup counts, also one of a table that was made since: `before` excludes it.",
            "A restore has no idempotency token. Two runs that restore one backup under one name at the same \
             time cannot be told apart until the tags are there.",
        ],
        example: r#"
            sessions:
              do:
                dynamodb.restore_backup:
                  table: sessions
                  backup: latest
                  before: "${run.incident_at}"
                  target: sessions-dr
                  ttl: expires_at
                  pitr: true
              timeout: 3h
              rpo: 24h
        "#,
    };
}

#[async_trait]
impl Step for RestoreBackup {
    fn describe(&self) -> Description {
        let backup = self.backup.as_ref().map_or("latest".into(), ToString::to_string);
        Description {
            summary: format!("restore table `{}` as `{}` from backup {backup}", self.table, self.target),
            actions: ["dynamodb:ListBackups", "dynamodb:DescribeBackup", "dynamodb:RestoreTableFromBackup"]
                .into_iter()
                .chain(dynamodb::ACTIONS)
                .collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        dynamodb::outputs(&["backup"])
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let (check, chosen) = Box::pin(self.wanted_table().check(cx, &clients, self.decide(cx, &clients))).await?;
        Ok(match (check, chosen) {
            (Check::Done(output), Some(chosen)) => Check::Done(Self::output(output, &chosen)),
            (check, _) => check,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let chosen = self.decide(&cx.read, &clients).await?;
        let output = Box::pin(self.wanted_table().run(cx, &clients, &chosen, self.restore(&clients, &chosen))).await?;
        Ok(Self::output(output, &chosen))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        self.wanted_table().check_undone::<Chosen>(cx, &clients).await
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        self.wanted_table().undo::<Chosen>(cx, &clients).await
    }
}
