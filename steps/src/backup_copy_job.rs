//! `backup.copy_job`: a recovery point of AWS Backup is copied into another
//! vault, of another region or another account.
//!
//! How a recovery point is chosen and a job is begun once stands in `backup.rs`.
//! The call is made where the vault is that it copies from, so that region has
//! to answer (AWS Backup API Reference, `StartCopyJob`). It is for what is done
//! beforehand, and for a second region of recovery.
//!
//! A copy is no store that is back: it gives no recovery point, and says in
//! `data_of` of when its data is. What is restored from it does.
//!
//! Left out: taking back. A copy may be the last one that somebody has, and the
//! vaults that copies are for refuse to delete them; `delete_after_days` ends it.

use crate::{
    aws::{Clients, tags},
    backup::{self, Chosen, Job, Point, Stage, Wanted},
};
use async_trait::async_trait;
use aws_sdk_backup::{
    primitives::DateTime,
    types::{CopyJob as Seen, CopyJobState, Lifecycle},
};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Copies a recovery point of AWS Backup into another vault, and waits until
/// its job is completed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CopyJob {
    /// The vault that holds the recovery point, in the step's region, which has to answer.
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
    /// The vault that the copy comes into: its ARN, of any region, also of another account of the
    /// organization.
    to: In<String>,
    /// The ARN of the role with which AWS Backup copies.
    #[serde(deserialize_with = "crate::form::one::<crate::form::Arn, _>")]
    role: In<String>,
    /// The copy is deleted so many days after the original was made; else as the original is.
    #[serde(default)]
    delete_after_days: Option<In<i64>>,
    /// The copy moves to cold storage so many days after the original was made; else as the
    /// original does.
    #[serde(default)]
    cold_after_days: Option<In<i64>>,
}

/// Cold storage holds at least so many days (AWS Backup API Reference, `Lifecycle`).
const COLD_DAYS_MIN: i64 = 90;

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    vault: String,
    resource: String,
    recovery_point: String,
    before: Option<String>,
    to: String,
    role: String,
    delete_after_days: Option<i64>,
    cold_after_days: Option<i64>,
}

/// Whether it is the ARN of a vault.
fn is_vault(arn: &str) -> bool {
    let parts: Vec<_> = arn.split(':').collect();
    matches!(parts[..], ["arn", _, "backup", region, account, "backup-vault", name]
        if ![region, account, name].contains(&""))
}

/// What a completed job gives to other steps.
fn output(chosen: Option<&Chosen<Asked>>, seen: &Seen, job: &str) -> Output {
    let mut output = Output::default();
    let data_of = chosen.filter(|chosen| !chosen.continuous);
    let data_of = data_of.map_or(Value::Null, |chosen| chosen.created_at.to_string().into());
    output.values.insert("recovery_point_arn".into(), seen.destination_recovery_point_arn().into());
    output.values.insert("copied_from".into(), seen.source_recovery_point_arn().into());
    output.values.insert("copy_job_id".into(), job.into());
    output.values.insert("data_of".into(), data_of);
    output
}

#[async_trait]
impl Job for CopyJob {
    type Asked = Asked;
    const NAME: &'static str = "copy job";
    const FACT: &'static str = "copy_job";

    fn asked(&self) -> Asked {
        let text = |input: &Option<In<String>>| input.as_ref().map(|text| text.get().clone());
        Asked {
            vault: self.vault.get().clone(),
            resource: self.resource.get().clone(),
            recovery_point: text(&self.recovery_point).unwrap_or_else(|| "latest".into()),
            before: text(&self.before),
            to: self.to.get().clone(),
            role: self.role.get().clone(),
            delete_after_days: self.delete_after_days.as_ref().map(|days| *days.get()),
            cold_after_days: self.cold_after_days.as_ref().map(|days| *days.get()),
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

    async fn metadata(&self, _: &Clients, _: &Asked, _: &Point) -> Result<BTreeMap<String, String>, Failure> {
        Ok(BTreeMap::new())
    }

    async fn stage(&self, clients: &Clients, chosen: Option<&Chosen<Asked>>, job: &str) -> Result<Stage, Failure> {
        let reply = clients.backup.describe_copy_job().copy_job_id(job).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "DescribeCopyJob").read(&e))?;
        let unsaid = || Failure::passing(format!("AWS Backup says nothing of copy job {job}"));
        let seen = reply.copy_job().ok_or_else(unsaid)?;
        let says = seen.status_message().map_or(String::new(), |says| format!(": {says}"));
        Ok(match seen.state() {
            Some(CopyJobState::Completed) => Stage::Done(output(chosen, seen, job)),
            // Of what has parts, some were not copied.
            Some(state @ (CopyJobState::Failed | CopyJobState::Partial)) => {
                let failure = Failure::new(format!("copy job {job} is {}{says}", state.as_str()));
                Stage::Ended(failure.hint("mend what it says, then answer `retry`; `retry --set` changes inputs"))
            }
            other => {
                let state = other.map_or("under way", |state| state.as_str());
                Stage::Moving(format!("copy job {job} is {state}{says}"))
            }
        })
    }

    async fn since(&self, clients: &Clients, chosen: &Chosen<Asked>, since: DateTime) -> Result<Vec<String>, Failure> {
        let asked = &chosen.asked;
        let mut request = clients.backup.list_copy_jobs().by_created_after(since).by_resource_arn(&asked.resource);
        let mut found = Vec::new();
        loop {
            let reply = request.clone().send().await;
            let reply = reply.map_err(|e| clients.call("backup", "ListCopyJobs").read(&e))?;
            let same = reply.copy_jobs().iter().filter(|job| {
                job.source_recovery_point_arn() == Some(chosen.point.as_str())
                    && job.destination_backup_vault_arn() == Some(asked.to.as_str())
                    && job.iam_role_arn() == Some(asked.role.as_str())
            });
            found.extend(same.filter_map(|job| job.copy_job_id().map(Into::into)));
            match reply.next_token() {
                Some(next) => request = request.next_token(next),
                None => return Ok(found),
            }
        }
    }

    async fn start(&self, cx: &ReadCx, clients: &Clients, chosen: &Chosen<Asked>) -> Result<Option<String>, StepError> {
        let asked = &chosen.asked;
        let (delete, cold) = (asked.delete_after_days, asked.cold_after_days);
        let whole = json!([chosen.point, asked.to, asked.role, delete, cold, chosen.ended]).to_string();
        let request = clients.backup.start_copy_job().recovery_point_arn(&chosen.point);
        let request = request.source_backup_vault_name(&asked.vault).destination_backup_vault_arn(&asked.to);
        let lifecycle = (delete.is_some() || cold.is_some()).then(|| {
            let lifecycle = Lifecycle::builder().set_delete_after_days(delete);
            lifecycle.set_move_to_cold_storage_after_days(cold).build()
        });
        let request = request.iam_role_arn(&asked.role).set_lifecycle(lifecycle);
        let reply = request.idempotency_token(tags::token(cx, &whole)).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "StartCopyJob").wrote(&e))?;
        Ok(reply.copy_job_id().map(Into::into))
    }
}

impl Explained for CopyJob {
    const REFERENCE: Reference = Reference {
        check: "`DescribeCopyJob` of the job that was begun: done when it is COMPLETED, under way while it is \
            CREATED or RUNNING, nothing of it when it FAILED or is PARTIAL. Without a job, the recovery point \
            has to be there; where the answer of the call was lost, `ListCopyJobs` says whether a job of \
            it was begun since.",
        run: "`ListRecoveryPointsByBackupVault`; writes down which recovery point; `StartCopyJob`, called in the \
            step's region, with an idempotency token of this run, step and choice, so that no second job begins; \
            waits until the job is COMPLETED.",
        undo: None,
        recovery_point: Some(
            "None: a copy is no store that is back. The output `data_of` says of when its data is: `CreationDate` of \
             the recovery point, which its copies keep.",
        ),
        time: "Minutes to hours, by size and by what was copied there before (general knowledge, not measured).",
        traps: &[
            "The step's region is that of `vault`, and it has to answer: name it with `region:`. After the loss of a \
             region nothing is copied out of it; this is for before, for an isolated vault, and for copying on \
             from the region of the recovery.",
            "`backup.restore_job` restores `${steps.ID.recovery_point_arn}` in the region of `to`.",
            "A vault of another account: both in one organization, with cross-account backup switched on, a policy \
             on that vault, and a key that both may use (AWS Backup Developer Guide, Creating backup copies across \
             AWS accounts).",
            "A copy keeps when its original is deleted, unless `delete_after_days` says otherwise; days are counted \
             from the original.",
            "AWS Backup tries a job again by itself for two hours, in which it stays CREATED.",
            "What is in cold storage is not copied, and a copy of a continuous backup is a snapshot.",
            "The caller passes the role on (`iam:PassRole`), and the role must be trusted by \
             backup.amazonaws.com.",
            "`dr undo` deletes no copy: it may be the last one that somebody has.",
        ],
        example: "
            profiles_copy:
              do:
                backup.copy_job:
                  vault: dr-vault
                  resource: arn:aws:dynamodb:eu-west-1:111122223333:table/profiles
                  to: arn:aws:backup:eu-north-1:111122223333:backup-vault:second-vault
                  role: arn:aws:iam::111122223333:role/backup-copy
                  delete_after_days: 35
              timeout: 6h
        ",
    };
}

#[async_trait]
impl Step for CopyJob {
    fn describe(&self) -> Description {
        let point = self.recovery_point.as_ref().map_or("latest".into(), ToString::to_string);
        Description {
            summary: format!("copy {point} of `{}` from vault `{}` to {}", self.resource, self.vault, self.to),
            actions: vec![
                "backup:ListRecoveryPointsByBackupVault",
                "backup:StartCopyJob",
                "backup:DescribeCopyJob",
                "backup:ListCopyJobs",
                "iam:PassRole",
            ],
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let known =
            |days: &Option<In<i64>>| days.as_ref().filter(|days| days.later().is_none()).map(|days| *days.get());
        let mut mistakes = Vec::new();
        if self.to.later().is_none() && !is_vault(self.to.get()) {
            mistakes.push(Mistake {
                field: "to",
                message: format!("`{}` is not the ARN of a vault", self.to),
                help: "it looks like arn:aws:backup:REGION:ACCOUNT:backup-vault:NAME".into(),
            });
        }
        if let (Some(delete), Some(cold)) = (known(&self.delete_after_days), known(&self.cold_after_days))
            && (0..cold.saturating_add(COLD_DAYS_MIN)).contains(&delete)
            && cold >= 0
        {
            mistakes.push(Mistake {
                field: "delete_after_days",
                message: format!("cold storage holds at least {COLD_DAYS_MIN} days"),
                help: format!("name at least {}, or take `cold_after_days` away", cold.saturating_add(COLD_DAYS_MIN)),
            });
        }
        mistakes
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["recovery_point_arn", "copied_from", "copy_job_id", "data_of"].map(OutputName::text).into()
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
    use super::is_vault;

    #[test]
    fn a_vault_has_a_region_an_account_and_a_name() {
        assert!(is_vault("arn:aws:backup:eu-north-1:111122223333:backup-vault:second-vault"));
        assert!(is_vault("arn:aws-cn:backup:cn-north-1:111122223333:backup-vault:x"));
        for not in [
            "second-vault",
            "arn:aws:backup:eu-north-1:111122223333:recovery-point:x",
            "arn:aws:backup::111122223333:backup-vault:x",
            "arn:aws:backup:eu-north-1:111122223333:backup-vault:",
            "arn:aws:backup:eu-north-1:111122223333:backup-vault:x:y",
        ] {
            assert!(!is_vault(not), "{not}");
        }
    }
}
