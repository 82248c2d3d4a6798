//! Which backup it will be: chosen once, written down, and held to what was
//! asked for.

use super::RestoreBackup;
use crate::{
    aws::{Clients, error::code, moment, time},
    dynamodb::Origin,
};
use aws_sdk_dynamodb::types::{BackupStatus, BackupTypeFilter, RestoreSummary, SourceTableDetails};
use dr_engine::{
    clock::Time,
    outcome::{Failure, RecoveryPoint},
    step::ReadCx,
};
use serde::{Deserialize, Serialize};

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Chosen {
    pub(super) arn: String,
    pub(super) created_at: Time,
    /// When it was written down: the target's name was free then.
    pub(super) at: Time,
    /// What was asked for; version 0.1.0 did not write it down.
    #[serde(default)]
    pub(super) asked: Option<Asked>,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) table: String,
    pub(super) backup: String,
    pub(super) before: Option<String>,
}

pub(super) fn chosen(cx: &ReadCx) -> Option<Chosen> {
    cx.fact(Chosen::FACT).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

impl Origin for Chosen {
    const FACT: &'static str = "backup";
    const OPERATION: &'static str = "RestoreTableFromBackup";

    fn written_at(&self) -> Time {
        self.at
    }

    fn written(self, at: Time) -> Self {
        Self { at, ..self }
    }

    fn is(&self, summary: &RestoreSummary) -> Option<(String, bool)> {
        let from = summary.source_backup_arn()?;
        Some((from.to_owned(), from == self.arn))
    }

    fn name(&self) -> String {
        self.arn.clone()
    }

    fn recovery_point(&self) -> RecoveryPoint {
        RecoveryPoint { at: self.created_at, source: "BackupCreationDateTime".into() }
    }
}

impl RestoreBackup {
    pub(super) fn asked(&self) -> Asked {
        Asked {
            table: self.table.get().clone(),
            backup: self.wanted().to_owned(),
            before: self.before.as_ref().map(|before| before.get().clone()),
        }
    }

    pub(super) fn wanted(&self) -> &str {
        self.backup.as_ref().map_or("latest", |b| b.get())
    }

    /// What is to be restored: what was written down, or what the inputs ask
    /// for where nothing was, or where a person changed them since.
    pub(super) async fn decide(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        match chosen(cx) {
            Some(known) if known.asked.as_ref().is_none_or(|asked| *asked == self.asked()) => Ok(known),
            _ => self.choose(cx, clients).await,
        }
    }

    /// Which backup it will be. Looks only.
    pub(super) async fn choose(&self, cx: &ReadCx, clients: &Clients) -> Result<Chosen, Failure> {
        let before = self.before.as_ref().map(|text| moment("before", text.get())).transpose()?;
        let wanted = self.wanted();
        let asked = Some(self.asked());
        let chosen = |arn: String, created_at| Chosen { arn, created_at, at: cx.clock.now(), asked: asked.clone() };
        if wanted.starts_with("arn:") {
            let reply = match clients.dynamodb.describe_backup().backup_arn(wanted).send().await {
                Err(e) if code(&e) == "BackupNotFoundException" => {
                    return Err(Failure::new(format!("there is no backup `{wanted}` in {}", clients.region)));
                }
                reply => reply.map_err(|e| clients.call("dynamodb", "DescribeBackup").read(&e))?,
            };
            let found = reply.backup_description();
            let of =
                found.and_then(|b| b.source_table_details()).map(SourceTableDetails::table_name).unwrap_or_default();
            let details = found.and_then(|b| b.backup_details());
            let details = details.ok_or_else(|| Failure::new(format!("`{wanted}` says nothing of itself")))?;
            self.fits(wanted, of, details.backup_status())?;
            let at = time(details.backup_creation_date_time());
            let at = at.ok_or_else(|| Failure::new(format!("`{wanted}` does not say of when its data is")))?;
            if before.is_some_and(|before| at > before) {
                return Err(Failure::new(format!("the backup `{wanted}` is of {at}, later than `before` allows")));
            }
            return Ok(chosen(wanted.to_owned(), at));
        }
        let mut known = Vec::new();
        // Without a type only those are listed that people made; a table that is
        // deleted with point-in-time recovery leaves a newer one behind.
        let all = BackupTypeFilter::All;
        let mut request = clients.dynamodb.list_backups().table_name(self.table.get()).backup_type(all);
        loop {
            let reply = request.clone().send().await;
            let reply = reply.map_err(|e| clients.call("dynamodb", "ListBackups").read(&e))?;
            known.extend(reply.backup_summaries().iter().filter_map(|b| {
                let at = time(b.backup_creation_date_time()?)?;
                Some((at, b.backup_name()?.to_owned(), b.backup_arn()?.to_owned(), b.backup_status()?.clone()))
            }));
            match reply.last_evaluated_backup_arn() {
                Some(last) => request = request.exclusive_start_backup_arn(last),
                None => break,
            }
        }
        let named: Vec<_> = known.iter().filter(|(_, name, _, _)| wanted == "latest" || name == wanted).collect();
        let good = named
            .iter()
            .filter(|(at, _, _, status)| *status == BackupStatus::Available && before.is_none_or(|b| *at <= b))
            .max_by_key(|(at, _, arn, _)| (*at, arn));
        good.map(|(at, _, arn, _)| chosen(arn.clone(), *at)).ok_or_else(|| {
            let which = if wanted == "latest" { String::new() } else { format!(" `{wanted}`") };
            let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
            let nearest =
                named.iter().min_by_key(|(at, ..)| *at).map_or("none at all".into(), |(at, name, _, status)| {
                    format!("the oldest one is `{name}` of {at}, {status}")
                });
            Failure::new(format!("there is no available backup{which} of `{}`{limit}: {nearest}", self.table))
        })
    }

    pub(super) fn fits(&self, named: &str, of: &str, status: &BackupStatus) -> Result<(), Failure> {
        if of != self.table.get() {
            return Err(Failure::new(format!("`{named}` is a backup of `{of}`, not of `{}`", self.table)));
        }
        match status {
            BackupStatus::Available => Ok(()),
            BackupStatus::Creating => Err(Failure::passing(format!("the backup `{named}` is CREATING"))),
            other => Err(Failure::new(format!("the backup `{named}` is {other}"))),
        }
    }
}
