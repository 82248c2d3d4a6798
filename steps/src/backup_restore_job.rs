//! `backup.restore_job`: what AWS Backup keeps is made anew in the step's region.
//!
//! How a recovery point is chosen and a job is begun once stands in `backup.rs`.
//!
//! A `restoreTime` in `metadata`, a moment within a continuous backup, is passed on
//! as it is written.
//!
//! Left out: taking back, since each type of resource is deleted in its own way.

use crate::{
    aws::{Clients, moment, tags},
    backup::{self, Chosen, Job, Point, Stage, Wanted},
};
use async_trait::async_trait;
use aws_sdk_backup::{primitives::DateTime, types::RestoreJobStatus};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// Restores a recovery point of AWS Backup, and waits until its job is completed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreJob {
    /// The vault that holds the recovery point, in the step's region.
    vault: In<String>,
    /// What was backed up: its ARN.
    #[serde(deserialize_with = "crate::form::one::<crate::form::Arn, _>")]
    resource: In<String>,
    /// `latest`, or the ARN of a recovery point.
    #[serde(default, deserialize_with = "crate::form::perhaps::<crate::form::LatestOrArn, _>")]
    recovery_point: Option<In<String>>,
    /// Only a recovery point not later than this, as in `${run.incident_at}`: for corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// The ARN of the role with which AWS Backup restores.
    #[serde(deserialize_with = "crate::form::one::<crate::form::Arn, _>")]
    role: In<String>,
    /// What is to differ from what was backed up: the new name, groups, subnets. Each type of
    /// resource has its own keys.
    metadata: BTreeMap<String, In<String>>,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    vault: String,
    resource: String,
    recovery_point: String,
    before: Option<String>,
    role: String,
    metadata: BTreeMap<String, String>,
}

/// Up to when the data is. A continuous backup brings back its newest moment, which
/// nobody tells, or the one that it was asked for (AWS Backup Developer Guide,
/// Continuous backups and point-in-time recovery).
fn data_of(chosen: &Chosen<Asked>) -> Option<RecoveryPoint> {
    let (at, source) = match chosen.metadata.get("restoreTime") {
        Some(asked) => (moment("restoreTime", asked).ok()?, "restoreTime"),
        None if chosen.continuous => return None,
        None => (chosen.created_at, "CreationDate"),
    };
    Some(RecoveryPoint { at, source: source.into() })
}

#[async_trait]
impl Job for RestoreJob {
    type Asked = Asked;
    const NAME: &'static str = "restore job";
    const FACT: &'static str = "restore_job";

    fn asked(&self) -> Asked {
        let wanted = self.recovery_point.as_ref().map_or("latest", |point| point.get());
        Asked {
            vault: self.vault.get().clone(),
            resource: self.resource.get().clone(),
            recovery_point: wanted.to_owned(),
            before: self.before.as_ref().map(|before| before.get().clone()),
            role: self.role.get().clone(),
            metadata: self.metadata.iter().map(|(key, value)| (key.clone(), value.get().clone())).collect(),
        }
    }

    fn wanted<'a>(&self, asked: &'a Asked) -> Wanted<'a> {
        Wanted {
            vault: &asked.vault,
            resource: &asked.resource,
            point: &asked.recovery_point,
            before: asked.before.as_deref(),
        }
    }

    /// What was backed up, and what is to differ over it.
    async fn metadata(
        &self,
        clients: &Clients,
        asked: &Asked,
        point: &Point,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let request = clients.backup.get_recovery_point_restore_metadata().backup_vault_name(&asked.vault);
        let reply = request.recovery_point_arn(&point.arn).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "GetRecoveryPointRestoreMetadata").read(&e))?;
        let kept = reply.restore_metadata().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
        Ok(kept.chain(asked.metadata.clone()).collect())
    }

    async fn stage(&self, clients: &Clients, chosen: Option<&Chosen<Asked>>, job: &str) -> Result<Stage, Failure> {
        let reply = clients.backup.describe_restore_job().restore_job_id(job).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "DescribeRestoreJob").read(&e))?;
        let says = reply.status_message().map_or(String::new(), |says| format!(": {says}"));
        Ok(match reply.status() {
            Some(RestoreJobStatus::Completed) => {
                let mut output = Output { recovery_point: chosen.and_then(data_of), ..Output::default() };
                output.values.insert("created".into(), reply.created_resource_arn().into());
                output.values.insert("restored_from".into(), reply.recovery_point_arn().into());
                output.values.insert("job".into(), job.into());
                Stage::Done(output)
            }
            Some(status @ (RestoreJobStatus::Failed | RestoreJobStatus::Aborted)) => {
                let failure = Failure::new(format!("restore job {job} is {}{says}", status.as_str()));
                Stage::Ended(failure.hint("mend what it says, then answer `retry`; `retry --set` changes inputs"))
            }
            other => {
                let status = other.map_or("under way", |status| status.as_str());
                let done = reply.percent_done().map_or(String::new(), |done| format!(", {done} done"));
                Stage::Moving(format!("restore job {job} is {status}{done}"))
            }
        })
    }

    async fn since(&self, clients: &Clients, chosen: &Chosen<Asked>, since: DateTime) -> Result<Vec<String>, Failure> {
        let mut request = clients.backup.list_restore_jobs().by_created_after(since);
        let mut found = Vec::new();
        loop {
            let reply = request.clone().send().await;
            let reply = reply.map_err(|e| clients.call("backup", "ListRestoreJobs").read(&e))?;
            let same = reply.restore_jobs().iter().filter(|job| {
                job.recovery_point_arn() == Some(chosen.point.as_str())
                    && job.iam_role_arn() == Some(chosen.asked.role.as_str())
            });
            found.extend(same.filter_map(|job| job.restore_job_id().map(Into::into)));
            match reply.next_token() {
                Some(next) => request = request.next_token(next),
                None => return Ok(found),
            }
        }
    }

    async fn start(&self, cx: &ReadCx, clients: &Clients, chosen: &Chosen<Asked>) -> Result<Option<String>, StepError> {
        let whole = json!([chosen.point, chosen.metadata, chosen.asked.role, chosen.ended]).to_string();
        let request = clients.backup.start_restore_job().recovery_point_arn(&chosen.point);
        let metadata = chosen.metadata.clone().into_iter().collect();
        let request = request.set_metadata(Some(metadata)).iam_role_arn(&chosen.asked.role);
        let reply = request.idempotency_token(tags::token(cx, &whole)).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "StartRestoreJob").wrote(&e))?;
        Ok(reply.restore_job_id().map(Into::into))
    }
}

impl Explained for RestoreJob {
    const REFERENCE: Reference = Reference {
        check: "`DescribeRestoreJob` of the job that was begun: done when it is COMPLETED, under way while it is \
            PENDING or RUNNING, nothing of it when it FAILED or was ABORTED. Without a job, the recovery point \
            has to be there; where the answer of the call was lost, `ListRestoreJobs` says whether a job of \
            it was begun since.",
        run: "`ListRecoveryPointsByBackupVault` and `GetRecoveryPointRestoreMetadata`; writes down which recovery \
            point and with what it is restored; `StartRestoreJob` with an idempotency token of this run, step \
            and choice, so that no second job begins; waits until the job is COMPLETED.",
        undo: None,
        recovery_point: Some(
            "`CreationDate` of the recovery point, as the vault lists it; `restoreTime`, where `metadata` names it. Of a \
             continuous backup without it nobody tells, and it is unknown.",
        ),
        time: "Minutes for a table or a volume, hours for terabytes (general knowledge, not measured).",
        traps: &[
            "The vault is of the step's region: after the loss of a region only what was copied out of it \
             before is there.",
            "COMPLETED says that the resource was made, not that it answers: let a probe follow.",
            "`metadata` starts from what was backed up. What is not overridden names things of the lost region: \
             subnets, groups, keys.",
            "The caller passes the role on (`iam:PassRole`), and the role must be trusted by \
             backup.amazonaws.com.",
            "A continuous backup (status AVAILABLE) brings back its newest moment, unless `metadata` names a `restoreTime`; \
             `before` passes it over.",
            "`dr undo` cannot delete what was made: each type of resource has a way of its own.",
        ],
        example: "
            profiles:
              do:
                backup.restore_job:
                  vault: dr-vault
                  resource: arn:aws:dynamodb:eu-west-1:111122223333:table/profiles
                  role: arn:aws:iam::111122223333:role/backup-restore
                  metadata: { targetTableName: profiles-dr }
              timeout: 4h
              rpo: 1h
        ",
    };
}

#[async_trait]
impl Step for RestoreJob {
    fn describe(&self) -> Description {
        let point = self.recovery_point.as_ref().map_or("latest".into(), ToString::to_string);
        Description {
            summary: format!("restore {point} of `{}` from vault `{}`", self.resource, self.vault),
            actions: vec![
                "backup:ListRecoveryPointsByBackupVault",
                "backup:GetRecoveryPointRestoreMetadata",
                "backup:StartRestoreJob",
                "backup:DescribeRestoreJob",
                "backup:ListRestoreJobs",
                "iam:PassRole",
            ],
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["created", "restored_from", "job"].map(OutputName::text).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        backup::check(self, cx).await
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        backup::run(self, cx).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_engine::clock::Time;

    #[test]
    fn of_a_continuous_backup_only_the_moment_that_was_asked_for_is_known() {
        let data = |continuous: bool, metadata: serde_json::Value| {
            let asked = json!({ "vault": "v", "resource": "r", "recovery_point": "latest", "role": "a",
                "metadata": metadata });
            let chosen = json!({ "point": "p", "created_at": 60_000, "continuous": continuous, "metadata": metadata,
                "ended": 0, "at": 120_000, "asked": asked });
            data_of(&serde_json::from_value(chosen).expect("it was written down")).map(|it| (it.at, it.source))
        };
        let asked = json!({ "restoreTime": "1970-01-01T00:00:30Z" });
        assert_eq!(data(false, json!({})), Some((Time(60_000), "CreationDate".into())));
        assert_eq!(data(true, json!({})), None);
        assert_eq!(data(true, asked), Some((Time(30_000), "restoreTime".into())));
    }
}
