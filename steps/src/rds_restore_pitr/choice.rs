//! Which moment of which backup it will be: chosen once, written down, and
//! held to what was asked for.

use super::RestorePitr;
use crate::{
    aws::{Clients, error::code, moment},
    rds::Origin,
};
use aws_sdk_rds::types::{DbInstanceAutomatedBackup, Filter};
use dr_engine::{
    clock::Time,
    duration::Dur,
    outcome::{Failure, RecoveryPoint},
    step::ReadCx,
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

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    source: String,
    at: String,
    before: Option<String>,
}

/// The name of the fact that holds it.
pub(super) const CHOSEN: &str = "restore_point";
/// The moment newer than every other.
const LATEST: &str = "latest";
/// `RestoreTime` has to be before the latest moment, and counts in seconds
/// (AWS RDS API Reference, `RestoreDBInstanceToPointInTime`).
const SECOND: i64 = 1_000;

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

/// A backup, and the moments to which it can be restored: from, and not up to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    arn: Option<String>,
    resource_id: String,
    from: Time,
    until: Time,
}

impl Window {
    /// Of a backup that can be restored from. One that is still being made has none.
    fn of(backup: &DbInstanceAutomatedBackup) -> Option<Self> {
        let millis = |at: &aws_sdk_rds::primitives::DateTime| at.to_millis().ok().map(Time);
        let window = backup.restore_window()?;
        Some(Self {
            arn: backup.db_instance_automated_backups_arn().map(Into::into),
            resource_id: backup.dbi_resource_id()?.to_owned(),
            from: millis(window.earliest_time()?)?,
            until: millis(window.latest_time()?)?,
        })
    }

    /// The last moment that it can be restored to, not later than `before`.
    fn last(&self, before: Option<Time>) -> Option<Time> {
        let last = Time((self.until.0 - 1).div_euclid(SECOND) * SECOND);
        let last = before.map_or(last, |before| last.min(Time(before.0.div_euclid(SECOND) * SECOND)));
        (last >= self.from).then_some(last)
    }
}

impl RestorePitr {
    fn asked(&self) -> Asked {
        Asked {
            source: self.source.get().to_lowercase(),
            at: self.at.as_ref().map_or(LATEST.into(), |at| at.get().clone()),
            before: self.before.as_ref().map(|before| before.get().clone()),
        }
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
    let source = asked.source.clone();
    let before = asked.before.as_deref().map(|text| moment("before", text)).transpose()?;
    let windows: Vec<_> = found.iter().filter_map(Window::of).collect();
    if windows.is_empty() {
        let statuses: Vec<_> = found.iter().filter_map(|backup| backup.status()).collect();
        let is = if statuses.is_empty() { String::new() } else { format!(": it is {}", statuses.join(", ")) };
        let text = format!("there is no automated backup of `{source}` in {region} to restore from{is}");
        let hint = "they have to be replicated to this region beforehand; else restore a snapshot";
        return Err(Failure::new(text).hint(hint));
    }
    let possible: Vec<_> = match asked.at.as_str() {
        LATEST => windows.iter().filter_map(|window| Some((window.last(before)?, window))).collect(),
        at => {
            if before.is_some() {
                return Err(Failure::new("`before` goes with `latest`, not with a moment"));
            }
            let at = moment("at", at)?;
            if at.0.rem_euclid(SECOND) != 0 {
                return Err(Failure::new(format!("`at` is {at}: RDS restores to whole seconds")));
            }
            windows.iter().filter(|window| window.from <= at && at < window.until).map(|window| (at, window)).collect()
        }
    };
    // An instance that was made anew under its name has several; the newest data counts.
    let best = possible.into_iter().max_by(|a, b| (a.0, &a.1.until).cmp(&(b.0, &b.1.until)));
    match best {
        Some((at, window)) => {
            let Window { arn, resource_id, .. } = window.clone();
            Ok(Chosen { arn, resource_id, at, asked })
        }
        None => {
            let limit = match before {
                Some(before) => format!("a moment not later than {before}"),
                None => asked.at.clone(),
            };
            let spans: Vec<_> = windows
                .iter()
                .map(|window| format!("from {} to {}", window.from, Time(window.until.0 - Dur(SECOND).0)))
                .collect();
            let text = format!("`{source}` cannot be restored to {limit}, only {}", spans.join(", or "));
            Err(Failure::new(text).hint("`at: latest` takes the newest moment that there is"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::{primitives::DateTime, types::RestoreWindow};

    fn backup(id: &str, from: i64, until: i64) -> DbInstanceAutomatedBackup {
        let window = RestoreWindow::builder()
            .earliest_time(DateTime::from_millis(from))
            .latest_time(DateTime::from_millis(until))
            .build();
        DbInstanceAutomatedBackup::builder().dbi_resource_id(id).restore_window(window).build()
    }

    fn asked(at: &str, before: Option<&str>) -> Asked {
        Asked { source: "orders".into(), at: at.into(), before: before.map(Into::into) }
    }

    fn chosen(all: &[DbInstanceAutomatedBackup], at: &str, before: Option<&str>) -> Result<(String, i64), String> {
        let chosen = choose(all, asked(at, before), "eu-central-1").map_err(|failure| failure.message)?;
        Ok((chosen.resource_id, chosen.at.0))
    }

    #[test]
    fn the_latest_is_a_concrete_second_before_the_end_of_the_newest_window() {
        let all = [backup("old", 0, 500_000), backup("new", 600_000, 900_000)];
        assert_eq!(chosen(&all, "latest", None), Ok(("new".into(), 899_000)));
        assert_eq!(chosen(&[backup("a", 0, 900_500)], "latest", None), Ok(("a".into(), 900_000)));
        // Not later than a moment between the two: the old one's last.
        assert_eq!(chosen(&all, "latest", Some("1970-01-01T00:09:00Z")), Ok(("old".into(), 499_000)));
        assert_eq!(chosen(&all, "latest", Some("1970-01-01T00:05:00.700Z")), Ok(("old".into(), 300_000)));
    }

    #[test]
    fn a_moment_has_to_lie_in_a_window() {
        let all = [backup("a", 60_000, 900_000)];
        assert_eq!(chosen(&all, "1970-01-01T00:01:00Z", None), Ok(("a".into(), 60_000)));
        let span = "only from 1970-01-01T00:01:00Z to 1970-01-01T00:14:59Z";
        for at in ["1970-01-01T00:15:00Z", "1970-01-01T00:00:59Z"] {
            assert_eq!(chosen(&all, at, None), Err(format!("`orders` cannot be restored to {at}, {span}")));
        }
        let before = "1970-01-01T00:00:30Z";
        let told = chosen(&all, "latest", Some(before)).expect_err("too early");
        assert!(
            told.starts_with("`orders` cannot be restored to a moment not later than 1970-01-01T00:00:30"),
            "{told}"
        );
        assert!(chosen(&all, "1970-01-01T00:02:00.5Z", None).expect_err("half").contains("whole seconds"));
        assert!(chosen(&all, "1970-01-01T00:02:00Z", Some(before)).expect_err("both").contains("goes with `latest`"));
        assert!(chosen(&all, "noon", None).expect_err("no time").contains("`at` is `noon`"));
        let none = chosen(&[DbInstanceAutomatedBackup::builder().status("creating").build()], "latest", None);
        assert!(none.expect_err("none").ends_with("in eu-central-1 to restore from: it is creating"));
    }
}
