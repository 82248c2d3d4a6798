//! Which snapshot it will be: chosen once, written down, and held to what was
//! asked for.

use super::RestoreSnapshot;
use crate::{
    aws::{Clients, moment},
    namesakes::Ran,
    rds::{
        Origin,
        snapshots::{self, Candidate},
    },
};
use dr_engine::{
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
    #[serde(default)]
    pub(super) from: Option<String>,
    pub(super) snapshot: String,
    pub(super) before: Option<String>,
    pub(super) kms_key: Option<String>,
}

/// The name of the fact that holds it.
pub(super) const CHOSEN: &str = "snapshot";

pub(super) fn chosen(cx: &ReadCx) -> Option<Chosen> {
    cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

impl RestoreSnapshot {
    pub(super) fn asked(&self) -> Asked {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        Asked {
            source: self.source.get().clone(),
            from: text(&self.from),
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
            _ => self.choose(cx, clients).await,
        }
    }

    /// Which snapshot it will be. Looks only.
    pub(super) async fn choose(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        let before = self.before.as_ref().map(|text| moment("before", text.get())).transpose()?;
        // RDS keeps identifiers in lower case.
        let (source, from) = (self.source.get().to_lowercase(), self.from.as_ref().map(|from| from.get().as_str()));
        let way_out = "say with `from` in which region the database ran that is meant, or name the snapshot";
        let ran = (Ran::in_region(cx, from), way_out);
        let found = snapshots::find(clients, &source, self.wanted(), before, ran).await?;
        let Candidate { id, recovery_point, .. } = self.key_fits(found)?;
        Ok(Chosen { id, recovery_point, asked: Some(self.asked()) })
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
