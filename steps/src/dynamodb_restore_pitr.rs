//! `dynamodb.restore_pitr`: a table as it was at a moment.
//!
//! How a table is made, given back what a restore loses, and taken back stands
//! in `dynamodb.rs`.
//!
//! It answers corruption, not the loss of a region: a restore reads what is
//! kept beside the table that it is made from, so that table has to stand in
//! the step's region, for instance as a replica of a global table.
//!
//! A concrete time is always given and written down before the call, also for
//! `latest`: a resumed step must not choose a later one. That time is the
//! recovery point; the table says it too (`RestoreSummary.RestoreDateTime`).

mod choice;

use self::choice::Chosen;
use crate::{
    aws::Clients,
    dynamodb::{self, Answer, Origin, Wanted},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_dynamodb::primitives::DateTime;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Restores a table to a moment under a new name, waits until it is active,
/// and gives it back what a restore loses.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestorePitr {
    /// The table, which stands in the step's region and has point-in-time
    /// recovery switched on.
    table: In<String>,
    /// `latest`, or a moment as in 2026-11-22T06:15:00Z.
    #[serde(default)]
    at: Option<In<String>>,
    /// With `latest`: not later than this, as in `${run.incident_at}`: for
    /// corruption.
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

impl RestorePitr {
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
        let request = clients.dynamodb.restore_table_to_point_in_time().target_table_name(self.target.get());
        let request = request.source_table_arn(&chosen.table).restore_date_time(DateTime::from_millis(chosen.at.0));
        let reply = request.send().await;
        let call = clients.call("dynamodb", Chosen::OPERATION);
        Answer::of(reply.map(|reply| reply.table_description), |e| call.wrote(e))
    }

    fn output(mut output: Output, chosen: &Chosen) -> Output {
        output.values.insert("restored_to".into(), chosen.at.to_string().into());
        output
    }
}

impl Explained for RestorePitr {
    const REFERENCE: Reference = Reference {
        check: "`DescribeTable` and `ListTagsOfResource` on the target, then `DescribeTimeToLive` and \
            `DescribeContinuousBackups` where those are asked for. Nothing of it while the name is free; \
            under way while the table or an index is not active, or lacks something that a restore loses; \
            done when it has all. A table that is not this step's, or was made from another table or moment, \
            is refused.",
        run: "`DescribeTable` and `DescribeContinuousBackups` on the source; chooses a concrete moment, also \
            for `latest`, and writes it down; `RestoreTableToPointInTime`; waits until the table and its \
            indexes are active; sets tags, stream, TTL and point-in-time recovery again, as far as they are \
            asked for.",
        undo: Some(dynamodb::UNDO),
        recovery_point: Some(
            "The moment that was asked for and written down, which the table keeps as `RestoreDateTime`.",
        ),
        time: "10 minutes to hours, not in proportion to the size (general knowledge, not measured).",
        traps: &[
            "It answers corruption, not the loss of a region: the table has to stand in the step's region, \
             with point-in-time recovery switched on beforehand.",
            "The name of the new table must be free, so that it is another than the application knows, or \
             the old table is gone.",
            "Auto scaling, policies and alarms are lost in a restore and are not set again here.",
            "`ttl` counts as set while DynamoDB is still switching it on, which may take an hour.",
        ],
        example: r#"
            carts_before_the_deploy:
              do:
                dynamodb.restore_pitr:
                  table: carts
                  before: "${run.incident_at}"
                  target: carts-dr
                  stream: NEW_AND_OLD_IMAGES
                  pitr: true
              timeout: 3h
              rpo: 10m
        "#,
    };
}

#[async_trait]
impl Step for RestorePitr {
    fn describe(&self) -> Description {
        let at = self.at.as_ref().map_or("the latest moment".into(), ToString::to_string);
        Description {
            summary: format!("restore table `{}` as `{}` to {at}", self.table, self.target),
            actions: ["dynamodb:RestoreTableToPointInTime"].into_iter().chain(dynamodb::ACTIONS).collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        dynamodb::outputs(&["restored_to"])
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
