//! Which moment it will be: chosen once, written down, and held to what was
//! asked for.

use super::RestorePitr;
use crate::{
    aws::{Clients, error::code, time},
    dynamodb::Origin,
    moments::{Asked, Window},
};
use aws_sdk_dynamodb::types::{PointInTimeRecoveryStatus, RestoreSummary};
use dr_engine::{
    clock::Time,
    outcome::{Failure, RecoveryPoint},
    step::ReadCx,
    yaml::In,
};
use serde::{Deserialize, Serialize};

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Chosen {
    /// The ARN of the table that it is made from.
    pub(super) table: String,
    /// To which moment.
    pub(super) at: Time,
    /// When it was written down: the target's name was free then.
    written_at: Time,
    asked: Asked,
}

impl Origin for Chosen {
    const FACT: &'static str = "restore_point";
    const OPERATION: &'static str = "RestoreTableToPointInTime";

    fn written_at(&self) -> Time {
        self.written_at
    }

    fn written(self, at: Time) -> Self {
        Self { written_at: at, ..self }
    }

    fn is(&self, summary: &RestoreSummary) -> Option<(String, bool)> {
        // What was made from a backup names that, too.
        let (table, at) = (summary.source_table_arn()?, time(summary.restore_date_time())?);
        let same = summary.source_backup_arn().is_none() && table == self.table && at == self.at;
        Some((format!("{table} at {at}"), same))
    }

    fn name(&self) -> String {
        format!("{} at {}", self.table, self.at)
    }

    fn recovery_point(&self) -> RecoveryPoint {
        RecoveryPoint { at: self.at, source: "RestoreDateTime".into() }
    }
}

impl RestorePitr {
    fn asked(&self) -> Asked {
        let [at, before] = [&self.at, &self.before].map(|input| input.as_ref().map(In::get));
        Asked::new(self.table.get(), at, before)
    }

    /// What is to be restored: what was written down, or what the inputs ask
    /// for where nothing was, or where a person changed them since.
    pub(super) async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        let known = cx.fact(Chosen::FACT).and_then(|fact| serde_json::from_value::<Chosen>(fact.clone()).ok());
        match known {
            Some(known) if known.asked == self.asked() => Ok(known),
            _ => self.choose(cx, clients).await,
        }
    }

    async fn choose(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        let (name, asked) = (self.table.get(), self.asked());
        let none = || {
            let text = format!("there is no table `{name}` in {} to restore from", clients.region);
            Failure::new(text).hint("a table is restored from its own region; else restore a backup")
        };
        let table = match clients.dynamodb.describe_table().table_name(name).send().await {
            Err(e) if code(&e) == "ResourceNotFoundException" => return Err(none()),
            reply => reply.map_err(|e| clients.call("dynamodb", "DescribeTable").read(&e))?.table,
        };
        let arn = table.and_then(|table| table.table_arn).ok_or_else(none)?;
        let reply = clients.dynamodb.describe_continuous_backups().table_name(name).send().await;
        let reply = reply.map_err(|e| clients.call("dynamodb", "DescribeContinuousBackups").read(&e))?;
        let backups = reply.continuous_backups_description();
        let pitr = backups.and_then(|it| it.point_in_time_recovery_description());
        let on = pitr.filter(|it| it.point_in_time_recovery_status() == Some(&PointInTimeRecoveryStatus::Enabled));
        let window = on.and_then(|it| {
            let first = time(it.earliest_restorable_date_time()?)?;
            Some(Window { first, last: time(it.latest_restorable_date_time()?)? })
        });
        let window = window.ok_or_else(|| {
            let text = format!("`{name}` has no point-in-time recovery to restore from in {}", clients.region);
            Failure::new(text).hint("it has to be switched on beforehand; else restore a backup")
        })?;
        let (at, table) = asked.choose(vec![(window, arn)])?;
        Ok(Chosen { table, at, written_at: cx.clock.now(), asked })
    }
}
