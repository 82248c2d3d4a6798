//! What a cluster is restored from: chosen once, written down, and held to what
//! was asked for.
//!
//! A snapshot of a cluster says when it was taken, and of a copy nobody
//! documents whether that is the moment of the data or of the copying. So only
//! one that is no copy gives a recovery point; a bound (`before`) holds for
//! either, since the data is not later.

use super::RestoreCluster;
use crate::{
    aws::{self, Clients, error::code, moment},
    moments::{self, Window},
    namesakes::{Mark, Place, Ran, Wanted},
};
use aws_sdk_rds::{
    primitives::DateTime,
    types::{DbCluster, DbClusterSnapshot},
};
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
    pub(super) from: From,
    pub(super) engine: String,
    pub(super) recovery_point: Option<RecoveryPoint>,
    pub(super) asked: Asked,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum From {
    /// A snapshot, by its ARN.
    Snapshot(String),
    /// A moment of the source.
    Moment(Time),
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) source: String,
    #[serde(default)]
    from: Option<String>,
    snapshot: Option<String>,
    at: Option<String>,
    before: Option<String>,
    pub(super) kms_key: Option<String>,
}

/// The name of the fact that holds it.
pub(super) const CHOSEN: &str = "restored_from";
/// The newest of all.
const LATEST: &str = "latest";
/// The moment has to be before the latest one (AWS RDS API Reference, `RestoreDBClusterToPointInTime`).
const LESS: i64 = 1;

impl Chosen {
    /// What a tag of the cluster says of it, and a person reads.
    pub(super) fn origin(&self) -> String {
        match &self.from {
            From::Snapshot(arn) => arn.clone(),
            From::Moment(at) => format!("{} at {at}", self.asked.source),
        }
    }
}

impl RestoreCluster {
    fn asked(&self) -> Asked {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        Asked {
            source: self.source.get().to_lowercase(),
            from: text(&self.from),
            snapshot: text(&self.snapshot),
            at: text(&self.at),
            before: text(&self.before),
            kms_key: text(&self.kms_key),
        }
    }

    /// What it will be: what was written down, or what the inputs ask for.
    pub(super) async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        let asked = self.asked();
        let known = cx.fact(CHOSEN).and_then(|fact| Chosen::deserialize(fact).ok());
        match known.filter(|known| known.asked == asked) {
            Some(known) => Ok(known),
            None if asked.at.is_some() => of_moment(clients, asked).await,
            None => of_snapshot(cx, clients, asked).await,
        }
    }
}

async fn of_moment(clients: &Clients, asked: Asked) -> Result<Chosen, Failure> {
    let (source, region) = (&asked.source, &clients.region);
    let none = || {
        let text = format!("there is no cluster `{source}` in {region} to restore a moment of");
        Failure::new(text).hint("a moment is of a cluster of this region alone; else restore a snapshot")
    };
    let found = find(clients, source).await?.ok_or_else(none)?;
    let time = |at: Option<&DateTime>| at.and_then(|at| at.to_millis().ok());
    let span = time(found.earliest_restorable_time()).zip(time(found.latest_restorable_time()));
    let windows = span.map(|(first, end)| (Window { first: Time(first), last: Time(end - LESS) }, ()));
    let windows: Vec<_> = windows.into_iter().collect();
    if windows.is_empty() {
        return Err(Failure::new(format!("`{source}` does not say which moments it can be restored to")));
    }
    let (at, ()) = moments::Asked::new(source, asked.at.as_ref(), asked.before.as_ref()).choose(windows)?;
    let recovery_point = Some(RecoveryPoint { at, source: "RestoreToTime".into() });
    let engine = found.engine().unwrap_or_default().to_owned();
    Ok(Chosen { from: From::Moment(at), engine, recovery_point, asked })
}

async fn of_snapshot(cx: &ReadCx, clients: &Clients, asked: Asked) -> Result<Chosen, Failure> {
    let before = asked.before.as_deref().map(|text| moment("before", text)).transpose()?;
    let wanted = asked.snapshot.as_deref().unwrap_or(LATEST);
    let request = clients.rds.describe_db_cluster_snapshots();
    let request = match wanted {
        LATEST => request.db_cluster_identifier(&asked.source),
        arn if arn.starts_with("arn:") => request.db_cluster_snapshot_identifier(arn).include_shared(true),
        name => request.db_cluster_snapshot_identifier(name),
    };
    let found: Vec<DbClusterSnapshot> = match request.into_paginator().items().send().try_collect().await {
        Err(e) if code(&e).starts_with("DBClusterSnapshotNotFound") => Vec::new(),
        found => found.map_err(|e| clients.call("rds", "DescribeDBClusterSnapshots").read(&e))?,
    };
    let ran = Ran::in_region(cx, asked.from.as_deref());
    let snapshot = &choose(found, &asked.source, wanted, before, &clients.region, ran)?;
    let (Some(arn), Some(engine)) = (snapshot.db_cluster_snapshot_arn(), snapshot.engine()) else {
        return Err(Failure::new(format!("the snapshot `{wanted}` does not say its ARN and engine")));
    };
    let own = snapshot.source_db_cluster_snapshot_arn().is_none_or(str::is_empty);
    let recovery_point = taken(snapshot).filter(|_| own);
    let recovery_point = recovery_point.map(|at| RecoveryPoint { at, source: "SnapshotCreateTime".into() });
    let (arn, engine) = (arn.to_owned(), engine.to_owned());
    Ok(Chosen { from: From::Snapshot(arn), engine, recovery_point, asked })
}

fn taken(snapshot: &DbClusterSnapshot) -> Option<Time> {
    aws::time(snapshot.snapshot_create_time()?)
}

/// Of which cluster it is: of the one that its ARN stands beside, or that of what it was copied from.
fn mark(snapshot: &DbClusterSnapshot) -> Mark {
    let copied = snapshot.source_db_cluster_snapshot_arn().filter(|arn| !arn.is_empty());
    let place = Place::of(copied.or(snapshot.db_cluster_snapshot_arn()).unwrap_or_default());
    let id = snapshot.db_cluster_resource_id().unwrap_or_default().to_owned();
    Mark { id, place, span: taken(snapshot).map(|at| (at, at)) }
}

/// The newest that is available and not later than `before`, of this cluster.
fn choose(
    mut found: Vec<DbClusterSnapshot>,
    source: &str,
    wanted: &str,
    before: Option<Time>,
    region: &str,
    ran: Ran<'_>,
) -> Result<DbClusterSnapshot, Failure> {
    if wanted == LATEST {
        let way_out = "say with `from` in which region the cluster ran that is meant, or name the snapshot";
        let wanted = Wanted { backups: "snapshots", name: source, here: region, ran, sure: false, way_out };
        found = wanted.meant(found.into_iter().map(|snapshot| (mark(&snapshot), snapshot)).collect())?;
    } else {
        let Some(snapshot) = found.first() else {
            let text = format!("there is no snapshot `{wanted}` in {region}");
            return Err(Failure::new(text).hint("copy it to this region first, or take `latest`"));
        };
        let (of, status) =
            (snapshot.db_cluster_identifier().unwrap_or_default(), snapshot.status().unwrap_or_default());
        if of != source {
            return Err(Failure::new(format!("`{wanted}` is a snapshot of `{of}`, not of `{source}`")));
        }
        if status != "available" {
            let text = format!("the snapshot `{wanted}` is {status}");
            return Err(if status == "creating" { Failure::passing(text) } else { Failure::new(text) });
        }
        ran.fits(wanted, &mark(snapshot).place)?;
    }
    let good = |snapshot: &DbClusterSnapshot| {
        snapshot.status() == Some("available")
            && taken(snapshot).is_some_and(|at| before.is_none_or(|before| at <= before))
    };
    found.into_iter().filter(good).max_by_key(taken).ok_or_else(|| {
        let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
        Failure::new(format!("there is no available snapshot of `{source}` in {region}{limit}"))
            .hint("they have to be copied to this region beforehand")
    })
}

/// The cluster of this name, if there is one.
pub(super) async fn find(clients: &Clients, name: &str) -> Result<Option<DbCluster>, Failure> {
    match clients.rds.describe_db_clusters().db_cluster_identifier(name).send().await {
        Err(e) if code(&e).starts_with("DBClusterNotFound") => Ok(None),
        reply => {
            let found = reply.map_err(|e| clients.call("rds", "DescribeDBClusters").read(&e))?;
            Ok(found.db_clusters.unwrap_or_default().into_iter().next())
        }
    }
}
