//! `backup.restore_job`: what AWS Backup keeps is made anew in the step's region.
//!
//! One call begins it, and takes an idempotency token: the same token begins no
//! second job (AWS Backup API Reference, `StartRestoreJob`). So the token is
//! made from the run, the step and what was chosen, and a call whose answer was
//! lost is sent again. A job that ended without success keeps its token: what
//! is begun after it has another.
//!
//! Left out: what is restored to a moment within a continuous backup (a
//! `restoreTime` in `metadata` is passed on as it is written), and taking back,
//! since each type of resource is deleted in its own way.

use crate::{
    aws::{self, Clients, error::code, limits, moment},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_backup::types::{RecoveryPointByBackupVault, RecoveryPointStatus, RestoreJobStatus};
use dr_engine::{
    clock::Time,
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Fact, Failure, Output, RecoveryPoint},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write};

/// Restores a recovery point of AWS Backup, and waits until its job is completed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreJob {
    /// The vault that holds the recovery point, in the step's region.
    vault: In<String>,
    /// What was backed up: its ARN.
    resource: In<String>,
    /// `latest`, or the ARN of a recovery point.
    #[serde(default)]
    recovery_point: Option<In<String>>,
    /// Only a recovery point not later than this, as in `${run.incident_at}`: for corruption.
    #[serde(default)]
    before: Option<In<String>>,
    /// The ARN of the role with which AWS Backup restores.
    role: In<String>,
    /// What is to differ from what was backed up: the new name, groups, subnets. Each type of
    /// resource has its own keys.
    metadata: BTreeMap<String, In<String>>,
}

/// What the step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Chosen {
    point: String,
    kind: String,
    created_at: Time,
    metadata: BTreeMap<String, String>,
    /// How many jobs of this step ended without success before.
    ended: usize,
    /// When it was written down: an earlier job is none of it.
    at: Time,
    asked: Asked,
}

/// The inputs that a choice follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    vault: String,
    resource: String,
    recovery_point: String,
    before: Option<String>,
    role: String,
    metadata: BTreeMap<String, String>,
}

/// The name of the fact that holds it.
const CHOSEN: &str = "recovery_point";
/// The name of the fact that holds a job.
const JOB: &str = "restore_job";
/// The name of the fact that a job ended without success.
const ENDED: &str = "ended";

/// How far a job is.
enum Stage {
    Moving(String),
    Done(Output),
    Ended(Failure),
}

impl Chosen {
    /// The same for every call that asks for this, and for nothing else.
    fn token(&self, cx: &ReadCx) -> String {
        let whole = json!([cx.token(), self.point, self.metadata, self.asked.role, self.ended]).to_string();
        Sha256::digest(whole.as_bytes()).iter().take(16).fold(String::new(), |mut hex, byte| {
            // Writing to a text cannot fail.
            write!(hex, "{byte:02x}").ok();
            hex
        })
    }

    fn recovery_point(&self) -> RecoveryPoint {
        RecoveryPoint { at: self.created_at, source: "CreationDate".into() }
    }
}

impl RestoreJob {
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

    /// What was written down last, be it for other inputs.
    fn known(cx: &ReadCx) -> Option<Chosen> {
        cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
    }

    /// How many jobs are known to have ended without success.
    fn ended(cx: &ReadCx) -> usize {
        cx.facts.iter().filter(|fact| fact.name == ENDED).count()
    }

    /// The job that was begun last, unless it has ended without success.
    fn job(cx: &ReadCx) -> Option<&str> {
        let job = cx.fact(JOB)?.as_str()?;
        (cx.fact(ENDED).and_then(|ended| ended.as_str()) != Some(job)).then_some(job)
    }

    /// Which recovery point it will be, and with what it is restored: what was
    /// written down, or what the inputs ask for now.
    async fn decide(&self, cx: &ReadCx, clients: &Clients, ended: usize) -> Result<Chosen, Failure> {
        let asked = self.asked();
        if let Some(known) = Self::known(cx).filter(|known| known.asked == asked) {
            return Ok(Chosen { ended, ..known });
        }
        let before = asked.before.as_deref().map(|text| moment("before", text)).transpose()?;
        let found = self.find(clients, &asked, before).await?;
        let nameless = || Failure::new("AWS Backup does not say which recovery point it is");
        let point = found.recovery_point_arn().ok_or_else(nameless)?.to_owned();
        let created_at = created(&found).ok_or_else(|| Failure::new(format!("`{point}` says no `CreationDate`")))?;
        let request = clients.backup.get_recovery_point_restore_metadata().backup_vault_name(&asked.vault);
        let reply = request.recovery_point_arn(&point).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "GetRecoveryPointRestoreMetadata").read(&e))?;
        let kept = reply.restore_metadata().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
        let metadata = kept.chain(asked.metadata.clone()).collect();
        let kind = reply.resource_type().or(found.resource_type()).unwrap_or_default().to_owned();
        Ok(Chosen { point, kind, created_at, metadata, ended, at: cx.clock.now(), asked })
    }

    async fn find(
        &self,
        clients: &Clients,
        asked: &Asked,
        before: Option<Time>,
    ) -> Result<RecoveryPointByBackupVault, Failure> {
        let request = clients.backup.list_recovery_points_by_backup_vault().backup_vault_name(&asked.vault);
        let mut request = request.by_resource_arn(&asked.resource);
        let mut known = Vec::new();
        loop {
            let reply = match request.clone().send().await {
                Err(e) if code(&e) == "ResourceNotFoundException" => {
                    let text = format!("there is no backup vault `{}` in {}", asked.vault, clients.region);
                    return Err(Failure::new(text).hint("a vault is of one region: name one of the step's"));
                }
                reply => reply.map_err(|e| clients.call("backup", "ListRecoveryPointsByBackupVault").read(&e))?,
            };
            known.extend(reply.recovery_points().iter().cloned());
            match reply.next_token() {
                Some(next) => request = request.next_token(next),
                None => break,
            }
        }
        let (vault, resource, wanted) = (&asked.vault, &asked.resource, &asked.recovery_point);
        let named = |point: &&RecoveryPointByBackupVault| {
            wanted == "latest" || point.recovery_point_arn() == Some(wanted.as_str())
        };
        let in_time = |point: &&RecoveryPointByBackupVault| {
            created(point).is_some_and(|at| before.is_none_or(|before| at <= before))
        };
        let good = known.iter().filter(named).filter(in_time).filter(|point| is_whole(point));
        good.max_by_key(|point| (created(point), point.recovery_point_arn())).cloned().ok_or_else(|| {
            let which = if wanted == "latest" { String::new() } else { format!(" `{wanted}`") };
            let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
            let nearest = known.iter().filter(named).min_by_key(|point| created(point));
            let nearest = nearest.map_or("none at all".into(), |point| {
                let status = point.status().map_or("without a status", |status| status.as_str());
                let at = created(point).map_or("an unknown time".into(), |at| at.to_string());
                format!("the oldest one is of {at}, {status}")
            });
            Failure::new(format!(
                "vault `{vault}` has no whole recovery point{which} of `{resource}`{limit}: {nearest}"
            ))
        })
    }

    /// How far a job is, by itself.
    async fn stage(&self, clients: &Clients, chosen: Option<&Chosen>, job: &str) -> Result<Stage, Failure> {
        let reply = clients.backup.describe_restore_job().restore_job_id(job).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "DescribeRestoreJob").read(&e))?;
        let says = reply.status_message().map_or(String::new(), |says| format!(": {says}"));
        Ok(match reply.status() {
            Some(RestoreJobStatus::Completed) => {
                let recovery_point = chosen.map(Chosen::recovery_point);
                let mut output = Output { recovery_point, ..Output::default() };
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

    /// Whether AWS Backup has a job that may be the one whose answer was lost.
    async fn is_begun(&self, cx: &ReadCx, clients: &Clients, chosen: &Chosen) -> Result<bool, Failure> {
        // Its clock and ours need not agree.
        let since = chosen.at.after(Dur(-limits::SKEW_MAX.0));
        let since = aws_sdk_backup::primitives::DateTime::from_millis(since.0);
        let mut request = clients.backup.list_restore_jobs().by_created_after(since);
        loop {
            let reply = request.clone().send().await;
            let reply = reply.map_err(|e| clients.call("backup", "ListRestoreJobs").read(&e))?;
            let ours = |job: &aws_sdk_backup::types::RestoreJobsListMember| {
                let known = |fact: &Fact| fact.name == JOB && fact.value.as_str() == job.restore_job_id();
                !cx.facts.iter().any(known)
                    && job.recovery_point_arn() == Some(chosen.point.as_str())
                    && job.iam_role_arn() == Some(chosen.asked.role.as_str())
            };
            if reply.restore_jobs().iter().any(ours) {
                return Ok(true);
            }
            match reply.next_token() {
                Some(next) => request = request.next_token(next),
                None => return Ok(false),
            }
        }
    }

    /// Begins the job. What was begun under the same token is the same job.
    async fn begin(&self, cx: &StepCx, clients: &Clients, chosen: &Chosen) -> Result<String, StepError> {
        if cx.read.fact(CHOSEN) != Some(&json!(chosen)) {
            cx.record(CHOSEN, json!(chosen)).await;
        }
        let request = clients.backup.start_restore_job().recovery_point_arn(&chosen.point);
        let metadata = chosen.metadata.clone().into_iter().collect();
        let request = request.set_metadata(Some(metadata)).iam_role_arn(&chosen.asked.role);
        let reply = request.idempotency_token(chosen.token(&cx.read)).send().await;
        let reply = reply.map_err(|e| clients.call("backup", "StartRestoreJob").wrote(&e))?;
        let job = reply.restore_job_id().ok_or_else(|| StepError::Doubt(Failure::new("the job has no id")))?.to_owned();
        cx.record_handle(JOB, job.clone()).await;
        Ok(job)
    }

    /// Refuses to go on with a job that was begun with other inputs.
    fn unchanged(&self, chosen: Option<&Chosen>, job: &str) -> Result<(), Failure> {
        match chosen {
            Some(chosen) if chosen.asked != self.asked() => {
                let text = format!("restore job {job} was begun before the inputs changed");
                Err(Failure::new(text).hint("set the inputs back, or wait until it has ended; then answer `retry`"))
            }
            _ => Ok(()),
        }
    }
}

fn created(point: &RecoveryPointByBackupVault) -> Option<Time> {
    point.creation_date().and_then(aws::time)
}

/// A snapshot is `COMPLETED`, a continuous backup `AVAILABLE` (AWS Backup API
/// Reference, `RecoveryPointByBackupVault`). One that is partial or expired is not whole.
fn is_whole(point: &RecoveryPointByBackupVault) -> bool {
    matches!(point.status(), Some(RecoveryPointStatus::Completed | RecoveryPointStatus::Available))
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
        recovery_point: Some("`CreationDate` of the recovery point, as the vault lists it."),
        time: "Minutes for a table or a volume, hours for terabytes (general knowledge, not measured).",
        traps: &[
            "The vault is of the step's region: after the loss of a region only what was copied out of it \
             before is there.",
            "COMPLETED says that the resource was made, not that it answers: let a probe follow.",
            "`metadata` starts from what was backed up. What is not overridden names things of the lost region: \
             subnets, groups, keys.",
            "The caller passes the role on (`iam:PassRole`), and the role must be trusted by \
             backup.amazonaws.com.",
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
        let clients = World::of(cx).aws.read(cx).await?;
        let known = Self::known(cx);
        if let Some(job) = Self::job(cx) {
            let stage = self.stage(&clients, known.as_ref(), job).await?;
            return Ok(match (stage, self.unchanged(known.as_ref(), job)) {
                (Stage::Ended(_), _) => Check::Absent,
                (_, Err(failure)) => Check::Impossible(failure),
                (Stage::Done(output), _) => Check::Done(output),
                (Stage::Moving(_), _) => Check::InProgress,
            });
        }
        let chosen = match self.decide(cx, &clients, Self::ended(cx)).await {
            Err(failure) if !failure.transient && failure.call.is_none() => return Ok(Check::Impossible(failure)),
            chosen => chosen?,
        };
        let asked = known.as_ref() == Some(&chosen);
        Ok(if asked && self.is_begun(cx, &clients, &chosen).await? { Check::InProgress } else { Check::Absent })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let (known, mut ended) = (Self::known(&cx.read), Self::ended(&cx.read));
        let mut begun = None;
        if let Some(job) = Self::job(&cx.read) {
            if let Stage::Ended(_) = self.stage(&clients, known.as_ref(), job).await? {
                cx.record(ENDED, job).await;
                ended += 1;
            } else {
                self.unchanged(known.as_ref(), job)?;
                begun = known.map(|chosen| (chosen, job.to_owned()));
            }
        }
        let (chosen, job) = if let Some(begun) = begun {
            begun
        } else {
            let chosen = self.decide(&cx.read, &clients, ended).await?;
            let job = self.begin(cx, &clients, &chosen).await?;
            (chosen, job)
        };
        let over = || async {
            Ok(match self.stage(&clients, Some(&chosen), &job).await? {
                Stage::Moving(says) => Look::Pending(says),
                Stage::Done(output) => Look::Ready(Ok(output)),
                Stage::Ended(failure) => Look::Ready(Err(failure)),
            })
        };
        match cx.read.poll(over).await? {
            Ok(output) => Ok(output),
            Err(failure) => {
                cx.record(ENDED, job.clone()).await;
                Err(failure.into())
            }
        }
    }
}
