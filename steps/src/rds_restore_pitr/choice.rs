//! Which moment of which backup it will be: chosen once, written down, and
//! held to what was asked for.

use super::RestorePitr;
use crate::{
    aws::{Clients, error::code},
    moments::{Asked, Window},
    rds::Origin,
};
use aws_sdk_rds::types::{DbInstanceAutomatedBackup, Filter};
use dr_engine::{
    clock::Time,
    outcome::{Failure, RecoveryPoint},
    step::ReadCx,
    yaml::In,
};
use serde::{Deserialize, Serialize};

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chosen {
    /// Of a backup that was replicated to this region.
    pub(super) arn: Option<String>,
    /// Of the instance that it is of.
    pub(super) resource_id: String,
    /// To which moment.
    pub(super) at: Time,
    /// What was asked for.
    asked: Asked,
}

/// The name of the fact that holds it.
pub(super) const CHOSEN: &str = "restore_point";
/// `RestoreTime` has to be before the latest moment, and counts in seconds
/// (AWS RDS API Reference, `RestoreDBInstanceToPointInTime`).
const LESS: i64 = 1;

pub(super) fn chosen(cx: &ReadCx) -> Option<Chosen> {
    cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

impl Chosen {
    /// By what the backup is known.
    pub(super) fn id(&self) -> String {
        self.arn.clone().unwrap_or_else(|| self.resource_id.clone())
    }

    /// The same for the instance that is made from it.
    pub(super) fn origin(&self) -> Origin {
        let recovery_point = Some(RecoveryPoint { at: self.at, source: "RestoreTime".into() });
        Origin { from: format!("{} at {}", self.id(), self.at), recovery_point }
    }
}

/// A backup that can be restored from, and its moments. One that is still being made has none.
fn window(backup: &DbInstanceAutomatedBackup) -> Option<(Window, (Option<String>, String))> {
    let millis = |at: &aws_sdk_rds::primitives::DateTime| at.to_millis().ok();
    let window = backup.restore_window()?;
    let (first, end) = (millis(window.earliest_time()?)?, millis(window.latest_time()?)?);
    let arn = backup.db_instance_automated_backups_arn().map(Into::into);
    Some((Window { first: Time(first), last: Time(end - LESS) }, (arn, backup.dbi_resource_id()?.to_owned())))
}

impl RestorePitr {
    fn asked(&self) -> Asked {
        let [at, before] = [&self.at, &self.before].map(|input| input.as_ref().map(In::get));
        Asked::new(&self.source.get().to_lowercase(), at, before)
    }

    /// What is to be restored: what was written down, or what the inputs ask
    /// for where nothing was, or where a person changed them since.
    pub(super) async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        match chosen(cx) {
            Some(known) if known.asked == self.asked() => Ok(known),
            _ => {
                let asked = self.asked();
                let found = backups(clients, &asked.source).await?;
                choose(&found, asked, &clients.region)
            }
        }
    }
}

/// The automated backups of a database that stand in this region.
async fn backups(clients: &Clients, source: &str) -> Result<Vec<DbInstanceAutomatedBackup>, Failure> {
    // By the filter: the field of its own wants an instance that is there, and that one is lost.
    let these = Filter::builder().name("db-instance-id").values(source).build();
    let pages = clients.rds.describe_db_instance_automated_backups().filters(these).into_paginator();
    match pages.items().send().try_collect().await {
        Err(e) if code(&e).starts_with("DBInstanceNotFound") || code(&e).contains("AutomatedBackupNotFound") => {
            Ok(Vec::new())
        }
        found => found.map_err(|e| clients.call("rds", "DescribeDBInstanceAutomatedBackups").read(&e)),
    }
}

fn choose(found: &[DbInstanceAutomatedBackup], asked: Asked, region: &str) -> Result<Chosen, Failure> {
    let windows: Vec<_> = found.iter().filter_map(window).collect();
    if windows.is_empty() {
        let statuses: Vec<_> = found.iter().filter_map(|backup| backup.status()).collect();
        let is = if statuses.is_empty() { String::new() } else { format!(": it is {}", statuses.join(", ")) };
        let text = format!("there is no automated backup of `{}` in {region} to restore from{is}", asked.source);
        let hint = "they have to be replicated to this region beforehand; else restore a snapshot";
        return Err(Failure::new(text).hint(hint));
    }
    // An instance that was made anew under its name has several.
    let (at, (arn, resource_id)) = asked.choose(windows)?;
    Ok(Chosen { arn, resource_id, at, asked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::{primitives::DateTime, types::RestoreWindow};

    #[test]
    fn the_moment_is_before_the_end_of_the_window() {
        let window = |id: &str, last| {
            let window = RestoreWindow::builder().earliest_time(DateTime::from_millis(0));
            let window = window.latest_time(DateTime::from_millis(last)).build();
            DbInstanceAutomatedBackup::builder().dbi_resource_id(id).restore_window(window).build()
        };
        let asked = Asked::new("orders", None, None);
        let chosen = choose(&[window("old", 500_000), window("new", 900_000)], asked.clone(), "eu-central-1");
        let chosen = chosen.expect("two windows");
        assert_eq!((chosen.resource_id.as_str(), chosen.at), ("new", Time(899_000)));
        let making = DbInstanceAutomatedBackup::builder().status("creating").build();
        let none = choose(&[making], asked, "eu-central-1").expect_err("none");
        assert_eq!(
            none.message,
            "there is no automated backup of `orders` in eu-central-1 to restore from: it is creating"
        );
    }
}
