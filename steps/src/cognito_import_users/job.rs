//! Import jobs of a user pool: how one is found again, filled, started and
//! waited for.
//!
//! A job has no idempotency token, and its name need not be unique. So the
//! name says the run, a digest of what is imported, and which try it is: that
//! is how it is found by `ListUserImportJobs`.
//!
//! How a job gets its file stands in `upload.rs`.

use super::{
    Wanted,
    export::Export,
    limits,
    upload::{self, Put},
};
use crate::aws::{self, Clients, error::code, limits::UNSEEN};
use aws_sdk_cognitoidentityprovider::types::{UserImportJobStatusType as Status, UserImportJobType};
use dr_engine::{
    clock::Time,
    outcome::{Failure, Output},
    plan::hex,
    step::{Look, ReadCx, StepCx, StepError},
};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The name of AWS's service, as its permissions write it.
pub(super) const SERVICE: &str = "cognito-idp";
/// The fact that a job was made.
const JOB: &str = "import_job";
/// The fact that the file of a job has arrived.
const UPLOADED: &str = "uploaded";
/// The fact that a job will not do the work, and that this was told or is being made good.
const GIVEN_UP: &str = "given_up";
/// The characters of a run's id that a job's name holds: it has 128 in all.
const RUN_CHARS_MAX: usize = 80;

/// One job, as Cognito shows it.
pub(super) struct Job {
    pub(super) id: String,
    /// Which try it is, from one.
    pub(super) nth: u32,
    status: Status,
    imported: u64,
    skipped: u64,
    failed: u64,
    says: Option<String>,
    pub(super) created: Option<Time>,
    /// A secret: never shown, never written down.
    pub(super) url: Option<String>,
}

/// Where the work stands.
pub(super) enum Stand {
    /// No job of it, or none that can still do it; the number of the last one.
    Nothing(u32),
    /// A job was made and not started.
    Made(Job),
    /// A job is at work.
    Moving(Job),
    /// The users are there, as far as is asked for.
    Done(Output),
    /// A job ended, and too many are not there.
    Short(Job, Failure),
}

impl Job {
    fn of(job: &UserImportJobType, nth: u32) -> Option<Self> {
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Some(Self {
            id: job.job_id()?.to_owned(),
            nth,
            status: job.status()?.clone(),
            imported: count(job.imported_users()),
            skipped: count(job.skipped_users()),
            failed: count(job.failed_users()),
            says: job.completion_message().map(Into::into),
            created: job.creation_date().and_then(aws::time),
            url: job.pre_signed_url().map(Into::into),
        })
    }

    pub(super) fn progress(&self, users: u64) -> String {
        let Self { id, status, imported, skipped, failed, .. } = self;
        let status = status.as_str();
        format!("{id} is {status}: of {users} users {imported} imported, {skipped} were there, {failed} failed")
    }
}

/// The work on one export: which pool, which file, under which names.
pub(super) struct Work<'a> {
    pub(super) clients: &'a Clients,
    pub(super) wanted: &'a Wanted,
    pub(super) export: &'a Export,
}

impl Work<'_> {
    fn pool(&self) -> &str {
        &self.wanted.pool
    }

    /// The same for every attempt at this import, and for nothing else.
    fn prefix(&self, cx: &ReadCx) -> String {
        let Wanted { pool, place, hashes, .. } = self.wanted;
        let Export { version, tag, .. } = self.export;
        let whole = json!([cx.token(), pool, place.bucket, place.object, version, tag, hashes]).to_string();
        let digest = &hex(&Sha256::digest(whole))[..16];
        let run: String = cx.run.id.chars().take(RUN_CHARS_MAX).collect();
        format!("dr-{run}-{digest}-")
    }

    /// Whether a job was given up in an earlier attempt.
    fn given_up(cx: &ReadCx, id: &str) -> bool {
        cx.facts.iter().any(|fact| fact.name == GIVEN_UP && fact.value.as_str() == Some(id))
    }

    /// All jobs of the pool, newest first.
    async fn all(&self) -> Result<Vec<UserImportJobType>, Failure> {
        let request = self.clients.cognito.list_user_import_jobs().user_pool_id(self.pool());
        let mut request = request.max_results(limits::JOBS_PAGE);
        let mut jobs = Vec::new();
        loop {
            let reply = request.clone().send().await;
            let reply = reply.map_err(|e| self.clients.call(SERVICE, "ListUserImportJobs").read(&e))?;
            jobs.extend(reply.user_import_jobs.unwrap_or_default());
            match reply.pagination_token {
                Some(next) => request = request.pagination_token(next),
                None => return Ok(jobs),
            }
        }
    }

    /// The job that counts: of those with our name the last try, and of two of
    /// one try (a lost answer, and a list that was behind) the one that was started.
    async fn find(&self, cx: &ReadCx) -> Result<Option<Job>, Failure> {
        let prefix = self.prefix(cx);
        let nth = |job: &UserImportJobType| job.job_name()?.strip_prefix(&prefix)?.parse().ok();
        let all = self.all().await?;
        let ours = all.iter().filter_map(|job| Job::of(job, nth(job)?));
        Ok(ours.max_by_key(|job| (job.nth, job.status != Status::Created, job.created)))
    }

    async fn look(&self, job: &Job) -> Result<Job, Failure> {
        let request = self.clients.cognito.describe_user_import_job().user_pool_id(self.pool()).job_id(&job.id);
        let reply = request.send().await;
        let reply = reply.map_err(|e| self.clients.call(SERVICE, "DescribeUserImportJob").read(&e))?;
        let seen = reply.user_import_job().and_then(|seen| Job::of(seen, job.nth));
        seen.ok_or_else(|| Failure::passing(format!("Cognito does not say how {} is", job.id)))
    }

    pub(super) async fn stand(&self, cx: &ReadCx) -> Result<Stand, Failure> {
        Ok(match self.find(cx).await? {
            Some(job) => self.judge(cx, job),
            None => Stand::Nothing(0),
        })
    }

    /// What counts is which users are there, not the word of the job: Cognito
    /// calls one `Failed` of which too many were there before.
    fn judge(&self, cx: &ReadCx, job: Job) -> Stand {
        let there = job.imported.saturating_add(job.skipped);
        let missing = self.export.users.saturating_sub(there);
        match job.status {
            Status::Created if Self::given_up(cx, &job.id) => Stand::Nothing(job.nth),
            Status::Created => Stand::Made(job),
            Status::Expired => Stand::Nothing(job.nth),
            Status::Succeeded | Status::Failed | Status::Stopped => {
                if there > 0 && missing <= self.wanted.failed_at_most {
                    return Stand::Done(self.output(&job, missing));
                }
                if Self::given_up(cx, &job.id) {
                    return Stand::Nothing(job.nth);
                }
                let failure = self.short(&job, missing);
                Stand::Short(job, failure)
            }
            _ => Stand::Moving(job),
        }
    }

    fn short(&self, job: &Job, missing: u64) -> Failure {
        let says = job.says.as_ref().map_or(String::new(), |says| format!(" Cognito says: {says}"));
        let text = format!(
            "{}; {missing} are not in `{}`, and `failed_at_most` is {}.{says}",
            job.progress(self.export.users),
            self.pool(),
            self.wanted.failed_at_most,
        );
        Failure::new(text).hint(format!(
            "the log group /aws/cognito/userpools/{0}/… in CloudWatch tells why, line by line, in the stream {1}/…; \
             `retry` imports once more who is missing, `retry --set failed_at_most={missing}` lets them go where the runbook \
             names that, and `skip` where it does not",
            self.pool(),
            job.id
        ))
    }

    fn output(&self, job: &Job, missing: u64) -> Output {
        let values = json!({
            "pool_id": self.pool(),
            "job_id": job.id,
            "users": self.export.users,
            "imported": job.imported,
            "skipped": job.skipped,
            "failed": missing,
            "lost": self.wanted.lost(),
        });
        let values = values.as_object().cloned().unwrap_or_default();
        Output { values, recovery_point: Some(self.export.recovery_point.clone()) }
    }

    /// Makes a job.
    pub(super) async fn make(&self, cx: &StepCx, nth: u32) -> Result<Job, StepError> {
        let request = self.clients.cognito.create_user_import_job().user_pool_id(self.pool());
        let request = request.job_name(format!("{}{nth}", self.prefix(&cx.read)));
        let request = request.cloud_watch_logs_role_arn(&self.wanted.logs_role);
        let hashes = self.wanted.hashes.map(super::Hashes::sdk);
        let reply = request.set_password_hashing_algorithm(hashes).send().await;
        let reply = reply.map_err(|e| self.clients.call(SERVICE, "CreateUserImportJob").wrote(&e))?;
        let made = reply.user_import_job().and_then(|made| Job::of(made, nth));
        let job = made.ok_or_else(|| StepError::Doubt(Failure::new("Cognito does not say which job it made")))?;
        cx.record(JOB, job.id.clone()).await;
        // By our own clock: where it is ahead, a file that is refused would be too late for ever.
        Ok(Job { created: Some(cx.read.clock.now()), ..job })
    }

    /// Brings the file to a job and starts it; `false` where the job is of no
    /// use any more, and another one is wanted.
    pub(super) async fn begin(&self, cx: &StepCx, job: &Job) -> Result<bool, StepError> {
        let arrived = |fact: &dr_engine::outcome::Fact| fact.name == UPLOADED && fact.value.as_str() == Some(&job.id);
        if !cx.read.facts.iter().any(arrived) {
            let file = self.wanted.place.again(self.clients, self.export).await?;
            if let Put::TooLate = upload::put(cx, job, file).await? {
                cx.record(GIVEN_UP, job.id.clone()).await;
                return Ok(false);
            }
            cx.record(UPLOADED, job.id.clone()).await;
        }
        self.start(cx, job).await?;
        Ok(true)
    }

    async fn start(&self, cx: &StepCx, job: &Job) -> Result<(), StepError> {
        loop {
            let request = self.clients.cognito.start_user_import_job().user_pool_id(self.pool()).job_id(&job.id);
            let Err(error) = request.send().await else {
                cx.record_handle("import", job.id.clone()).await;
                return Ok(());
            };
            let failed = self.clients.call(SERVICE, "StartUserImportJob").wrote(&error);
            // The only code that the model has for all that stands in the way.
            if code(&error) != "PreconditionNotMetException" {
                return Err(failed);
            }
            // An earlier call may have been taken whose answer was lost.
            if self.look(job).await?.status != Status::Created {
                return Ok(());
            }
            if !self.others_end(&cx.read, job).await? {
                return Err(match failed {
                    StepError::Failed(failure) => {
                        let hint = "an account has one import at a time: another pool's may be at work";
                        StepError::Failed(Failure { transient: true, ..failure }.hint(hint))
                    }
                    other => other,
                });
            }
        }
    }

    /// Waits for somebody else's import into this pool; `false` where there is none.
    async fn others_end(&self, cx: &ReadCx, job: &Job) -> Result<bool, Failure> {
        let at_work = |other: &&UserImportJobType| {
            other.job_id() != Some(&job.id)
                && matches!(other.status(), Some(Status::Pending | Status::InProgress | Status::Stopping))
        };
        let other = || async { Ok::<_, Failure>(self.all().await?.into_iter().find(|job| at_work(&job))) };
        if other().await?.is_none() {
            return Ok(false);
        }
        let look = || async {
            Ok(match other().await? {
                Some(other) => {
                    let id = other.job_id().unwrap_or_default();
                    Look::Pending(format!("another import goes into the pool: {id}"))
                }
                None => Look::Ready(true),
            })
        };
        cx.poll(look).await
    }

    /// Waits until a job has ended.
    pub(super) async fn end(&self, cx: &ReadCx, job: &Job) -> Result<Stand, Failure> {
        let since = cx.clock.now();
        let look = || async {
            let seen = self.look(job).await?;
            let says = seen.progress(self.export.users);
            Ok(match self.judge(cx, seen) {
                Stand::Moving(_) => Look::Pending(says),
                // What was just started may not be seen so at once.
                Stand::Made(_) if cx.clock.now().since(since) < UNSEEN => Look::Pending(says),
                Stand::Made(_) => Look::Ready(Err(Failure::passing(format!("it was started, and {says}")))),
                other => Look::Ready(Ok(other)),
            })
        };
        cx.poll(look).await?
    }

    /// Writes down that a job will not do it, so that the next attempt makes another.
    pub(super) async fn give_up(&self, cx: &StepCx, job: &Job) {
        cx.record(GIVEN_UP, job.id.clone()).await;
    }
}
