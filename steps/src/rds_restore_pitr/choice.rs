//! Which moment of which backup it will be: chosen once, written down, and
//! held to what was asked for.

use super::RestorePitr;
use crate::{
    aws::{Clients, error::code},
    moments::{Asked, Window},
    namesakes::{Mark, Place, Ran, Wanted},
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
    /// In which region it ran, as it was written; version 0.1.0 did not write it down.
    #[serde(default)]
    from: Option<String>,
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
        let (asked, from) = (self.asked(), self.from.as_ref().map(|from| from.get().as_str()));
        match chosen(cx) {
            Some(known) if known.asked == asked && known.from.as_deref() == from => Ok(known),
            _ => {
                let found = backups(clients, &asked.source).await?;
                let chosen = choose(found, asked, &clients.region, Ran::in_region(cx, from))?;
                Ok(Chosen { from: from.map(Into::into), ..chosen })
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

/// Of which database it is. `Region` is that of the database, though the backup
/// was replicated (AWS RDS User Guide, Finding information about replicated backups).
fn mark(backup: &DbInstanceAutomatedBackup) -> Mark {
    let mut place = Place::of(backup.db_instance_arn().unwrap_or_default());
    if let Some(region) = backup.region() {
        region.clone_into(&mut place.region);
    }
    let id = backup.dbi_resource_id().unwrap_or_default().to_owned();
    Mark { id, place, span: window(backup).map(|(window, _)| (window.first, window.last)) }
}

fn choose(found: Vec<DbInstanceAutomatedBackup>, asked: Asked, region: &str, ran: Ran<'_>) -> Result<Chosen, Failure> {
    let way_out = "say with `from` in which region the database ran that is meant";
    let wanted = Wanted { backups: "automated backups", name: &asked.source, here: region, ran, sure: true, way_out };
    let found = wanted.meant(found.into_iter().map(|backup| (mark(&backup), backup)).collect())?;
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
    Ok(Chosen { arn, resource_id, at, asked, from: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::{primitives::DateTime, types::RestoreWindow};

    /// An automated backup of a database of a region, up to a moment.
    fn backup(id: &str, region: &str, last: i64) -> DbInstanceAutomatedBackup {
        let window = RestoreWindow::builder().earliest_time(DateTime::from_millis(0));
        let window = window.latest_time(DateTime::from_millis(last)).build();
        let backup = DbInstanceAutomatedBackup::builder().dbi_resource_id(id).region(region);
        backup.db_instance_arn(format!("arn:aws:rds:{region}:1:db:orders")).restore_window(window).build()
    }

    fn of(all: &[DbInstanceAutomatedBackup], ran: Ran<'_>) -> Result<(String, Time), String> {
        let chosen = choose(all.to_vec(), Asked::new("orders", None, None), "eu-central-1", ran);
        chosen.map(|it| (it.resource_id, it.at)).map_err(|failure| failure.message)
    }

    #[test]
    fn the_moment_is_before_the_end_of_the_window_of_the_newest_life() {
        let lives = [backup("old", "eu-west-1", 500_000), backup("new", "eu-west-1", 900_000)];
        assert_eq!(of(&lives, Ran::default()), Ok(("new".into(), Time(899_000))));
        let making = DbInstanceAutomatedBackup::builder().status("creating").build();
        let none = "there is no automated backup of `orders` in eu-central-1 to restore from: it is creating";
        assert_eq!(of(&[making], Ran::default()), Err(none.into()));
    }

    #[test]
    fn the_one_that_reaches_furthest_is_not_taken_for_the_one_that_was_lost() {
        let all = [backup("lost", "eu-west-1", 500_000), backup("twin", "eu-central-1", 900_000)];
        let says = of(&all, Ran::default()).expect_err("which of the two");
        let both = "`lost` in eu-west-1 of account 1, from 1970-01-01T00:00:00Z to 1970-01-01T00:08:19Z; \
            `twin` in eu-central-1 of account 1, from 1970-01-01T00:00:00Z to 1970-01-01T00:14:59Z";
        assert!(says.ends_with(both), "{says}");
        assert_eq!(of(&all, Ran::written_in("eu-west-1")), Ok(("lost".into(), Time(499_000))));
        assert_eq!(of(&all, Ran::written_in("eu-central-1")), Ok(("twin".into(), Time(899_000))));
        let says = of(&all[1..], Ran::written_in("eu-west-1")).expect_err("the twin alone");
        assert!(
            says.starts_with("the automated backups of `orders` in eu-central-1 are of none that ran in eu-west-1")
        );
    }
}
