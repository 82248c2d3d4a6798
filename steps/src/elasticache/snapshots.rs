//! Snapshots of a cache that there are in a region.
//!
//! Each shard is saved at a moment of its own: what is restored is no newer
//! than the oldest of them (Amazon `ElastiCache` API Reference, `NodeSnapshot`).

use crate::aws::{self, Clients, error::code};
use aws_sdk_elasticache::types::Snapshot;
use dr_engine::{
    clock::Time,
    outcome::{Failure, RecoveryPoint},
};

/// The newest of all.
const LATEST: &str = "latest";
/// The field that the moment of the data is read from.
pub(crate) const FIELD: &str = "SnapshotCreateTime";

/// A snapshot that could be restored.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Its name.
    pub(crate) name: String,
    /// The engine and its version.
    pub(crate) engine: (String, String),
    /// How many shards it has.
    pub(crate) shards: i32,
    /// The moment of its data.
    pub(crate) recovery_point: RecoveryPoint,
}

impl Candidate {
    /// `None` where it does not say what it is, or of when its data is.
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let saved = snapshot.node_snapshots().iter().map(|node| aws::time(node.snapshot_create_time()?));
        let at = saved.collect::<Option<Vec<_>>>()?.into_iter().min()?;
        Some(Self {
            name: snapshot.snapshot_name()?.to_owned(),
            engine: (snapshot.engine()?.to_owned(), snapshot.engine_version()?.to_owned()),
            shards: snapshot.num_node_groups().unwrap_or(1),
            recovery_point: RecoveryPoint { at, source: FIELD.into() },
        })
    }
}

/// The snapshot that is asked for: `latest`, or one by its name. Looks only.
///
/// # Errors
/// When there is none, or it is of another cache, not available, or of later than `before`.
pub(crate) async fn find(
    clients: &Clients,
    source: &str,
    wanted: &str,
    before: Option<Time>,
) -> Result<Candidate, Failure> {
    let request = clients.elasticache.describe_snapshots();
    let request = if wanted == LATEST { request.replication_group_id(source) } else { request.snapshot_name(wanted) };
    let mut all = Vec::new();
    let mut pages = request.into_paginator().send();
    while let Some(page) = pages.next().await {
        match page {
            Err(e) if code(&e).starts_with("SnapshotNotFound") => break,
            page => {
                let page = page.map_err(|e| clients.call("elasticache", "DescribeSnapshots").read(&e))?;
                all.extend(page.snapshots.unwrap_or_default());
            }
        }
    }
    if wanted != LATEST {
        let none = || {
            let text = format!("there is no snapshot `{wanted}` in {}", clients.region);
            Failure::new(text).hint("snapshots are of one region; what was exported to a bucket is given as `files`")
        };
        return fits(source, all.first().ok_or_else(none)?, before);
    }
    let good = all.iter().filter_map(|snapshot| fits(source, snapshot, before).ok());
    good.max_by_key(|candidate| candidate.recovery_point.at).ok_or_else(|| {
        let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
        let text =
            format!("there is no available snapshot of `{source}`{limit} in {}, of {}", clients.region, all.len());
        Failure::new(text).hint("snapshots are of one region; what was exported to a bucket is given as `files`")
    })
}

fn fits(source: &str, found: &Snapshot, before: Option<Time>) -> Result<Candidate, Failure> {
    let name = found.snapshot_name().unwrap_or_default();
    let of = found.replication_group_id().unwrap_or_default();
    if of != source {
        return Err(Failure::new(format!("`{name}` is a snapshot of `{of}`, not of `{source}`")));
    }
    match found.snapshot_status().unwrap_or_default() {
        "available" => {}
        status @ ("creating" | "copying" | "restoring") => {
            return Err(Failure::passing(format!("the snapshot `{name}` is {status}")));
        }
        other => return Err(Failure::new(format!("the snapshot `{name}` is {other}"))),
    }
    let silent = || Failure::new(format!("`{name}` does not say what it is, or of when its data is"));
    let candidate = Candidate::of(found).ok_or_else(silent)?;
    let at = candidate.recovery_point.at;
    match before {
        Some(before) if at > before => {
            Err(Failure::new(format!("the data in `{name}` is of {at}, later than {before}")))
        }
        _ => Ok(candidate),
    }
}
