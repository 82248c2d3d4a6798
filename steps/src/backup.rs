//! AWS Backup: which recovery point it is, and the one job that is begun for it
//! and waited for.
//!
//! One call begins a job, and takes an idempotency token: the same token begins
//! no second job (AWS Backup API Reference, `StartRestoreJob`, `StartCopyJob`).
//! So the token is made from the run, the step and what was chosen, and a call
//! whose answer was lost is sent again. A job that ended without success keeps
//! its token: what is begun after it has another.

use crate::{
    aws::{self, Clients, error::code, limits, moment},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_backup::{
    primitives::DateTime,
    types::{RecoveryPointByBackupVault, RecoveryPointStatus},
};
use dr_engine::{
    clock::Time,
    duration::Dur,
    outcome::{Failure, Output},
    step::{Check, Look, ReadCx, StepCx, StepError},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use std::collections::BTreeMap;

/// The name of the fact that holds what was chosen.
const CHOSEN: &str = "recovery_point";
/// The name of the fact that a job ended without success.
const ENDED: &str = "ended";

/// Which recovery point is wanted.
pub(crate) struct Wanted<'a> {
    /// The vault that holds it.
    pub(crate) vault: &'a str,
    /// What was backed up: its ARN.
    pub(crate) resource: &'a str,
    /// `latest`, or its ARN.
    pub(crate) point: &'a str,
    /// A time that it is not later than.
    pub(crate) before: Option<&'a str>,
}

/// A recovery point.
pub(crate) struct Point {
    /// Its ARN.
    pub(crate) arn: String,
    /// Its `CreationDate`: of when its data is, also of a copy (AWS Backup Developer Guide, Backup
    /// and tag copy).
    pub(crate) created_at: Time,
    /// It is of every moment since then, until now: what comes back is not of its `CreationDate`.
    continuous: bool,
}

/// What a step resolved, and will not resolve again in this run while the
/// inputs ask for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chosen<A> {
    /// The ARN of the recovery point.
    pub(crate) point: String,
    /// Of when its data is.
    pub(crate) created_at: Time,
    /// It is a continuous backup.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) continuous: bool,
    /// What AWS Backup is told of the resource; a copy is told nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) metadata: BTreeMap<String, String>,
    /// How many jobs of this step ended without success before.
    pub(crate) ended: usize,
    /// When it was written down: an earlier job is none of it.
    at: Time,
    /// What it was chosen for.
    pub(crate) asked: A,
}

/// How far a job is.
pub(crate) enum Stage {
    /// It is under way.
    Moving(String),
    /// It is completed.
    Done(Output),
    /// It ended without success: the next one is another.
    Ended(Failure),
}

/// A job of AWS Backup that a step begins once and waits for.
#[async_trait]
pub(crate) trait Job: Sync {
    /// The inputs that a choice follows from. A person can change them with `retry --set`.
    type Asked: PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// What it is called, as in `restore job`.
    const NAME: &'static str;
    /// The name of the fact that holds a job.
    const FACT: &'static str;

    /// What is asked for now.
    fn asked(&self) -> Self::Asked;
    /// Which recovery point is wanted by it.
    fn wanted<'a>(&self, asked: &'a Self::Asked) -> Wanted<'a>;
    /// What AWS Backup is to be told of the resource.
    async fn metadata(
        &self,
        clients: &Clients,
        asked: &Self::Asked,
        point: &Point,
    ) -> Result<BTreeMap<String, String>, Failure>;
    /// How far a job is, by itself.
    async fn stage(&self, clients: &Clients, chosen: Option<&Chosen<Self::Asked>>, job: &str)
    -> Result<Stage, Failure>;
    /// The jobs since then that do what was chosen, whoever began them.
    async fn since(
        &self,
        clients: &Clients,
        chosen: &Chosen<Self::Asked>,
        since: DateTime,
    ) -> Result<Vec<String>, Failure>;
    /// Begins it, and gives its id. What was begun under the same token is the same job.
    async fn start(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        chosen: &Chosen<Self::Asked>,
    ) -> Result<Option<String>, StepError>;
}

/// `Check` of a job.
pub(crate) async fn check<J: Job>(job: &J, cx: &ReadCx) -> Result<Check, Failure> {
    let clients = World::of(cx).aws.read(cx).await?;
    let known = known::<J>(cx);
    if let Some(begun) = begun::<J>(cx) {
        let stage = job.stage(&clients, known.as_ref(), begun).await?;
        return Ok(match (stage, unchanged(job, known.as_ref(), begun)) {
            (Stage::Ended(_), _) => Check::Absent,
            (_, Err(failure)) => Check::Impossible(failure),
            (Stage::Done(output), _) => Check::Done(output),
            (Stage::Moving(_), _) => Check::InProgress,
        });
    }
    if let Some(known) = known.filter(|known| known.ended == ended(cx))
        && let Some(id) = lost(job, cx, &clients, &known).await?
    {
        return Ok(found::<J>(cx, &known, &job.asked(), &id));
    }
    match decide(job, cx, &clients, ended(cx)).await {
        Err(failure) if !failure.transient && failure.call.is_none() => Ok(Check::Impossible(failure)),
        chosen => chosen.map(|_| Check::Absent),
    }
}

/// What a job means that may be the one whose answer was lost.
fn found<J: Job>(cx: &ReadCx, known: &Chosen<J::Asked>, asked: &J::Asked, id: &str) -> Check {
    if known.asked != *asked {
        let text = format!("{} {id} may have been begun by this step before the inputs changed", J::NAME);
        return Check::Impossible(Failure::new(text).hint("set the inputs back, then answer `retry`"));
    }
    if cx.clock.now().since(known.at) < limits::TOKEN_HOLDS {
        return Check::InProgress;
    }
    Check::Unknown(format!(
        "{} {id} was begun since {}, and AWS Backup may not know any more whether by this step: wait until it has ended \
         and tell with `dr done`; `retry` begins another",
        J::NAME,
        known.at
    ))
}

/// Begins a job, unless it was begun, and waits until it is completed.
pub(crate) async fn run<J: Job>(job: &J, cx: &StepCx) -> Result<Output, StepError> {
    let clients = World::of(&cx.read).aws.write(cx).await?;
    let (known, mut ended) = (known::<J>(&cx.read), ended(&cx.read));
    let mut going = None;
    if let Some(begun) = begun::<J>(&cx.read) {
        if let Stage::Ended(_) = job.stage(&clients, known.as_ref(), begun).await? {
            cx.record(ENDED, begun).await;
            ended += 1;
        } else {
            unchanged(job, known.as_ref(), begun)?;
            going = known.map(|chosen| (chosen, begun.to_owned()));
        }
    }
    let (chosen, id) = if let Some(going) = going {
        going
    } else {
        let chosen = decide(job, &cx.read, &clients, ended).await?;
        let id = begin(job, cx, &clients, &chosen).await?;
        (chosen, id)
    };
    let over = || async {
        Ok(match job.stage(&clients, Some(&chosen), &id).await? {
            Stage::Moving(says) => Look::Pending(says),
            Stage::Done(output) => Look::Ready(Ok(output)),
            Stage::Ended(failure) => Look::Ready(Err(failure)),
        })
    };
    match cx.read.poll(over).await? {
        Ok(output) => Ok(output),
        Err(failure) => {
            cx.record(ENDED, id.clone()).await;
            Err(failure.into())
        }
    }
}

/// What was written down last, be it for other inputs.
fn known<J: Job>(cx: &ReadCx) -> Option<Chosen<J::Asked>> {
    cx.fact(CHOSEN).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

/// How many jobs are known to have ended without success.
fn ended(cx: &ReadCx) -> usize {
    cx.facts.iter().filter(|fact| fact.name == ENDED).count()
}

/// The job that was begun last, unless it has ended without success.
fn begun<J: Job>(cx: &ReadCx) -> Option<&str> {
    let job = cx.fact(J::FACT)?.as_str()?;
    (cx.fact(ENDED).and_then(|ended| ended.as_str()) != Some(job)).then_some(job)
}

/// Which recovery point it will be, and what is told of it: what was written
/// down, or what the inputs ask for now.
async fn decide<J: Job>(job: &J, cx: &ReadCx, clients: &Clients, ended: usize) -> Result<Chosen<J::Asked>, Failure> {
    let asked = job.asked();
    if let Some(known) = known::<J>(cx).filter(|known| known.asked == asked) {
        return Ok(Chosen { ended, ..known });
    }
    let point = find(clients, &job.wanted(&asked)).await?;
    let metadata = job.metadata(clients, &asked, &point).await?;
    let Point { arn, created_at, continuous } = point;
    Ok(Chosen { point: arn, created_at, continuous, metadata, ended, at: cx.clock.now(), asked })
}

/// A job that AWS Backup has and that may be the one whose answer was lost.
async fn lost<J: Job>(
    job: &J,
    cx: &ReadCx,
    clients: &Clients,
    chosen: &Chosen<J::Asked>,
) -> Result<Option<String>, Failure> {
    // Its clock and ours need not agree.
    let since = chosen.at.after(Dur(-limits::SKEW_MAX.0));
    let jobs = job.since(clients, chosen, DateTime::from_millis(since.0)).await?;
    let ours = |id: &str| cx.facts.iter().any(|fact| fact.name == J::FACT && fact.value.as_str() == Some(id));
    Ok(jobs.into_iter().find(|id| !ours(id)))
}

async fn begin<J: Job>(
    job: &J,
    cx: &StepCx,
    clients: &Clients,
    chosen: &Chosen<J::Asked>,
) -> Result<String, StepError> {
    if cx.read.fact(CHOSEN) != Some(&json!(chosen)) {
        cx.record(CHOSEN, json!(chosen)).await;
    }
    let id = job.start(&cx.read, clients, chosen).await?;
    let id = id.ok_or_else(|| StepError::Doubt(Failure::new(format!("the {} has no id", J::NAME))))?;
    cx.record_handle(J::FACT, id.clone()).await;
    Ok(id)
}

/// Refuses to go on with a job that was begun with other inputs.
fn unchanged<J: Job>(job: &J, chosen: Option<&Chosen<J::Asked>>, id: &str) -> Result<(), Failure> {
    match chosen {
        Some(chosen) if chosen.asked != job.asked() => {
            let text = format!("{} {id} was begun before the inputs changed", J::NAME);
            Err(Failure::new(text).hint("set the inputs back, or wait until it has ended; then answer `retry`"))
        }
        _ => Ok(()),
    }
}

/// The newest whole recovery point that is as wanted.
async fn find(clients: &Clients, wanted: &Wanted<'_>) -> Result<Point, Failure> {
    let before = wanted.before.map(|text| moment("before", text)).transpose()?;
    let known = list(clients, wanted).await?;
    let Wanted { vault, resource, point, .. } = wanted;
    let named = |it: &&RecoveryPointByBackupVault| *point == "latest" || it.recovery_point_arn() == Some(point);
    let in_time = |it: &&RecoveryPointByBackupVault| match before {
        // Of a continuous backup the newest comes back, whenever it began.
        Some(before) => !is_continuous(it) && created(it).is_some_and(|at| at <= before),
        None => created(it).is_some(),
    };
    let good = known.iter().filter(named).filter(in_time).filter(|point| is_whole(point));
    let found = good.max_by_key(|point| (created(point), point.recovery_point_arn())).ok_or_else(|| {
        let which = if *point == "latest" { String::new() } else { format!(" `{point}`") };
        let limit = before.map_or(String::new(), |before| format!(" not later than {before}"));
        let nearest = known.iter().filter(named).min_by_key(|point| created(point));
        let nearest = nearest.map_or("none at all".into(), |point| {
            let status = point.status().map_or("without a status", |status| status.as_str());
            let at = created(point).map_or("an unknown time".into(), |at| at.to_string());
            format!("the oldest one is of {at}, {status}")
        });
        Failure::new(format!("vault `{vault}` has no whole recovery point{which} of `{resource}`{limit}: {nearest}"))
    })?;
    let nameless = || Failure::new("AWS Backup does not say which recovery point it is");
    let arn = found.recovery_point_arn().ok_or_else(nameless)?.to_owned();
    let created_at = created(found).ok_or_else(|| Failure::new(format!("`{arn}` says no `CreationDate`")))?;
    Ok(Point { arn, created_at, continuous: is_continuous(found) })
}

/// All recovery points of the resource that the vault holds.
async fn list(clients: &Clients, wanted: &Wanted<'_>) -> Result<Vec<RecoveryPointByBackupVault>, Failure> {
    let request = clients.backup.list_recovery_points_by_backup_vault().backup_vault_name(wanted.vault);
    let mut request = request.by_resource_arn(wanted.resource);
    let mut known = Vec::new();
    loop {
        let reply = match request.clone().send().await {
            Err(e) if code(&e) == "ResourceNotFoundException" => {
                let text = format!("there is no backup vault `{}` in {}", wanted.vault, clients.region);
                return Err(Failure::new(text).hint("a vault is of one region: name one of the step's"));
            }
            reply => reply.map_err(|e| clients.call("backup", "ListRecoveryPointsByBackupVault").read(&e))?,
        };
        known.extend(reply.recovery_points().iter().cloned());
        match reply.next_token() {
            Some(next) => request = request.next_token(next),
            None => return Ok(known),
        }
    }
}

fn created(point: &RecoveryPointByBackupVault) -> Option<Time> {
    point.creation_date().and_then(aws::time)
}

/// A snapshot is `COMPLETED`, a continuous backup `AVAILABLE` (AWS Backup API
/// Reference, `RecoveryPointByBackupVault`). One that is partial or expired is not whole.
fn is_whole(point: &RecoveryPointByBackupVault) -> bool {
    is_continuous(point) || point.status() == Some(&RecoveryPointStatus::Completed)
}

fn is_continuous(point: &RecoveryPointByBackupVault) -> bool {
    point.status() == Some(&RecoveryPointStatus::Available)
}
