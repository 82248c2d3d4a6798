//! Which snapshot it will be: chosen once, written down, and held to what was
//! asked for.

use super::RestoreSnapshot;
use crate::{
    aws::{Clients, error::code, moment},
    rds::Origin,
};
use aws_sdk_rds::types::DbSnapshot;
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
    pub(super) id: String,
    #[serde(default)]
    pub(super) recovery_point: Option<RecoveryPoint>,
    /// What was asked for; version 0.1.0 did not write it down.
    #[serde(default)]
    pub(super) asked: Option<Asked>,
}

impl Chosen {
    /// The same for the instance that is made from it.
    pub(super) fn origin(&self) -> Origin {
        Origin { from: self.id.clone(), recovery_point: self.recovery_point.clone() }
    }
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) source: String,
    pub(super) snapshot: String,
    pub(super) before: Option<String>,
    pub(super) kms_key: Option<String>,
}

/// The name of the fact that holds it.
pub(super) const CHOSEN: &str = "snapshot";

pub(super) fn chosen(cx: &ReadCx) -> Option<Chosen> {
    cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

/// A snapshot that could be restored.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) key: Option<String>,
    pub(super) recovery_point: Option<RecoveryPoint>,
}

impl Candidate {
    fn of(snapshot: &DbSnapshot, id: String) -> Self {
        let point = |at: Option<&aws_sdk_rds::primitives::DateTime>, source: &str| {
            let at = Time(at?.to_millis().ok()?);
            Some(RecoveryPoint { at, source: source.into() })
        };
        let recovery_point = point(snapshot.snapshot_database_time(), "SnapshotDatabaseTime")
            .or_else(|| point(snapshot.original_snapshot_create_time(), "OriginalSnapshotCreateTime"));
        Self { id, key: snapshot.kms_key_id().map(Into::into), recovery_point }
    }
}

/// The newest by the time of its data, available, not later than `before`.
pub(super) fn latest(source: &str, all: &[DbSnapshot], before: Option<Time>) -> Result<Candidate, Failure> {
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

impl RestoreSnapshot {
    pub(super) fn asked(&self) -> Asked {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        Asked {
            source: self.source.get().clone(),
            snapshot: self.wanted().to_owned(),
            before: text(&self.before),
            kms_key: text(&self.kms_key),
        }
    }

    pub(super) fn wanted(&self) -> &str {
        self.snapshot.as_ref().map_or("latest", |s| s.get())
    }

    /// What is to be restored: what was written down, or what the inputs ask
    /// for where nothing was, or where a person changed them since.
    pub(super) async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        match chosen(cx) {
            Some(known) if known.asked.as_ref().is_none_or(|asked| *asked == self.asked()) => Ok(known),
            _ => self.choose(clients).await,
        }
    }

    /// Which snapshot it will be. Looks only.
    pub(super) async fn choose(&self, clients: &Clients) -> Result<Chosen, Failure> {
        let before = self.before.as_ref().map(|text| moment("before", text.get())).transpose()?;
        let source = self.source.get();
        match self.wanted() {
            "latest" => {
                let pages = clients.rds.describe_db_snapshots().db_instance_identifier(source).into_paginator();
                let all = pages.items().send().collect::<Result<Vec<DbSnapshot>, _>>().await;
                let all = all.map_err(|e| clients.call("rds", "DescribeDBSnapshots").read(&e))?;
                latest(source, &all, before)
            }
            named => {
                let request = clients.rds.describe_db_snapshots().db_snapshot_identifier(named);
                let request = if named.starts_with("arn:") { request.include_shared(true) } else { request };
                let none = || {
                    let text = format!("there is no snapshot `{named}` in {}", clients.region);
                    Failure::new(text).hint("copy it to this region first, or take `latest`")
                };
                let found = match request.send().await {
                    Err(e) if code(&e).starts_with("DBSnapshotNotFound") => return Err(none()),
                    reply => reply.map_err(|e| clients.call("rds", "DescribeDBSnapshots").read(&e))?,
                };
                let found = found.db_snapshots.unwrap_or_default().into_iter().next().ok_or_else(none)?;
                self.fits(named, &found, before)
            }
        }
        .and_then(|snapshot| self.key_fits(snapshot))
        .map(|snapshot| Chosen {
            id: snapshot.id,
            recovery_point: snapshot.recovery_point,
            asked: Some(self.asked()),
        })
    }

    pub(super) fn fits(&self, named: &str, found: &DbSnapshot, before: Option<Time>) -> Result<Candidate, Failure> {
        let of = found.db_instance_identifier().unwrap_or_default();
        if of != self.source.get() {
            return Err(Failure::new(format!("`{named}` is a snapshot of `{of}`, not of `{}`", self.source)));
        }
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

    pub(super) fn key_fits(&self, candidate: Candidate) -> Result<Candidate, Failure> {
        let Some(wanted) = self.kms_key.as_ref().map(|key| key.get().as_str()) else {
            return Ok(candidate);
        };
        // A snapshot names its key by ARN; the runbook may give the id at its end.
        match &candidate.key {
            Some(key) if key == wanted || key.rsplit('/').next() == Some(wanted) => Ok(candidate),
            key => {
                let is = key.as_deref().map_or("not encrypted".into(), |key| format!("encrypted with {key}"));
                let text = format!("the snapshot `{}` is {is}, not with {wanted}", candidate.id);
                Err(Failure::new(text).hint("copy the snapshot with that key, and name the copy"))
            }
        }
    }
}
