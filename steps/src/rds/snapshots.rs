//! Snapshots of a database that there are in a region.
//!
//! The recovery point is `SnapshotDatabaseTime`, else
//! `OriginalSnapshotCreateTime`; never `SnapshotCreateTime`, which changes when
//! a snapshot is copied (AWS RDS API Reference, `DBSnapshot`).

use crate::{
    aws::{self, Clients, error::code},
    namesakes::{Mark, Place, Ran, Wanted},
};
use aws_sdk_rds::types::DbSnapshot;
use dr_engine::{
    clock::Time,
    outcome::{Failure, RecoveryPoint},
};

/// The newest of all.
const LATEST: &str = "latest";

/// A snapshot that could be restored.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Its name, or its ARN where it was named by that.
    pub(crate) id: String,
    /// Its ARN.
    pub(crate) arn: Option<String>,
    /// The key that it is encrypted with, by ARN.
    pub(crate) key: Option<String>,
    /// The moment of its data.
    pub(crate) recovery_point: Option<RecoveryPoint>,
}

impl Candidate {
    fn of(snapshot: &DbSnapshot, id: String) -> Self {
        let point = |at: Option<&aws_sdk_rds::primitives::DateTime>, source: &str| {
            let at = aws::time(at?)?;
            Some(RecoveryPoint { at, source: source.into() })
        };
        let recovery_point = point(snapshot.snapshot_database_time(), "SnapshotDatabaseTime")
            .or_else(|| point(snapshot.original_snapshot_create_time(), "OriginalSnapshotCreateTime"));
        let (arn, key) = (snapshot.db_snapshot_arn().map(Into::into), snapshot.kms_key_id().map(Into::into));
        Self { id, arn, key, recovery_point }
    }
}

/// Of which database it is. `SourceRegion` is where it was made or copied from;
/// the ARN of what it was copied from is there only where that has another
/// region or account (AWS RDS API Reference, `DBSnapshot`).
fn mark(snapshot: &DbSnapshot) -> Mark {
    let copied = snapshot.source_db_snapshot_identifier().filter(|arn| !arn.is_empty());
    let mut place = Place::of(copied.or(snapshot.db_snapshot_arn()).unwrap_or_default());
    if let Some(region) = snapshot.source_region() {
        region.clone_into(&mut place.region);
    }
    let at = Candidate::of(snapshot, String::new()).recovery_point.map(|point| point.at);
    let id = snapshot.dbi_resource_id().unwrap_or_default().to_owned();
    Mark { id, place, span: at.map(|at| (at, at)) }
}

/// The newest by the time of its data, available, not later than `before`.
fn latest(source: &str, all: &[DbSnapshot], before: Option<Time>) -> Result<Candidate, Failure> {
    let known = all.iter().filter_map(|s| {
        let candidate = Candidate::of(s, s.db_snapshot_identifier()?.to_owned());
        let at = candidate.recovery_point.as_ref()?.at;
        Some((at, s.status().unwrap_or_default(), candidate))
    });
    let (good, rest): (Vec<_>, Vec<_>) =
        known.partition(|(at, status, _)| *status == "available" && before.is_none_or(|before| *at <= before));
    good.into_iter().max_by(|a, b| (a.0, &a.2.id).cmp(&(b.0, &b.2.id))).map(|(_, _, candidate)| candidate).ok_or_else(
        || {
            let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
            let nearest = rest.into_iter().min_by_key(|(at, _, _)| *at);
            let nearest = nearest.map_or("none at all".into(), |(at, status, c)| {
                format!("the oldest other one is `{}` of {at}, {status}", c.id)
            });
            Failure::new(format!("there is no available snapshot of `{source}`{limit}: {nearest}"))
        },
    )
}

/// The snapshot that is asked for: `latest`, or one by its name or ARN. Looks only.
/// With where the database ran goes how a person says it.
///
/// # Errors
/// When there is none, or it is of another database, not available, or of later than `before`;
/// with `latest` also when it cannot be told which of several databases of that name is meant.
pub(crate) async fn find(
    clients: &Clients,
    source: &str,
    wanted: &str,
    before: Option<Time>,
    (ran, way_out): (Ran<'_>, &str),
) -> Result<Candidate, Failure> {
    if wanted == LATEST {
        let pages = clients.rds.describe_db_snapshots().db_instance_identifier(source).into_paginator();
        let all = pages.items().send().collect::<Result<Vec<DbSnapshot>, _>>().await;
        let all = all.map_err(|e| clients.call("rds", "DescribeDBSnapshots").read(&e))?;
        let wanted = Wanted { backups: "snapshots", name: source, here: &clients.region, ran, sure: false, way_out };
        let all = wanted.meant(all.into_iter().map(|snapshot| (mark(&snapshot), snapshot)).collect())?;
        return latest(source, &all, before);
    }
    let request = clients.rds.describe_db_snapshots().db_snapshot_identifier(wanted);
    let request = if wanted.starts_with("arn:") { request.include_shared(true) } else { request };
    let none = || {
        let text = format!("there is no snapshot `{wanted}` in {}", clients.region);
        Failure::new(text).hint("copy it to this region first, or take `latest`")
    };
    let found = match request.send().await {
        Err(e) if code(&e).starts_with("DBSnapshotNotFound") => return Err(none()),
        reply => reply.map_err(|e| clients.call("rds", "DescribeDBSnapshots").read(&e))?,
    };
    let found = found.db_snapshots.unwrap_or_default().into_iter().next().ok_or_else(none)?;
    fits(source, wanted, &found, before, ran)
}

fn fits(
    source: &str,
    named: &str,
    found: &DbSnapshot,
    before: Option<Time>,
    ran: Ran<'_>,
) -> Result<Candidate, Failure> {
    let of = found.db_instance_identifier().unwrap_or_default();
    if of != source {
        return Err(Failure::new(format!("`{named}` is a snapshot of `{of}`, not of `{source}`")));
    }
    ran.fits(named, &mark(found).place)?;
    let status = found.status().unwrap_or_default();
    if status != "available" {
        let text = format!("the snapshot `{named}` is {status}");
        return Err(if status == "creating" { Failure::passing(text) } else { Failure::new(text) });
    }
    let candidate = Candidate::of(found, named.to_owned());
    match (before, &candidate.recovery_point) {
        (Some(before), Some(point)) if point.at > before => {
            Err(Failure::new(format!("the data in `{named}` is of {}, later than {before}", point.at)))
        }
        (Some(_), None) => Err(Failure::new(format!("`{named}` does not say of when its data is"))),
        _ => Ok(candidate),
    }
}
