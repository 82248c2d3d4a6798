//! `claim:`: one object in S3 that whoever runs a recovery holds.
//!
//! It is made only where there is none (`If-None-Match: *`), and rewritten or
//! removed only as it was seen (`If-Match`). What S3 answers (Amazon S3 User
//! Guide, "Conditional writes", "Conditional deletes"): 412 when it is not as
//! it was seen, 404 when it is gone, 409 when somebody else writes it at the
//! same time. After each of these, and after an answer that was lost, only a
//! look tells whose it is: a write that arrived carries its writer's name.

use crate::{
    aws::{Clients, error::code, limits},
    world::World,
};
use aws_sdk_s3::primitives::ByteStream;
use dr_engine::{
    clock::{Clock, Time},
    event::RunKind,
    outcome::Failure,
    step::{Guard, StepError},
};
use futures_util::future::{BoxFuture, FutureExt};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Who holds a recovery: a controller of a run. All that the object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The version of this form.
    pub dr_claim: u32,
    /// The run.
    pub run: String,
    /// Its runbook.
    pub runbook: String,
    /// Its kind.
    pub kind: RunKind,
    /// Who started it, by name or user.
    pub by: String,
    /// The controller's host.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its fencing token in the run's journal.
    pub epoch: u64,
    /// Since when the run has held it.
    pub since: Time,
}

impl Holder {
    /// The form that this version writes.
    pub const FORM: u32 = 1;

    /// Whether this is that very controller.
    pub fn is(&self, other: &Self) -> bool {
        (&self.run, &self.host, self.pid, self.epoch) == (&other.run, &other.host, other.pid, other.epoch)
    }

    /// Whether `next` goes on with what this one did: a later controller of
    /// the same run. Of two copies of a run, only the first to resume is later.
    pub fn yields_to(&self, next: &Self) -> bool {
        self.run == next.run && (self.epoch < next.epoch || self.is(next))
    }
}

/// What stands at the place of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// Nothing.
    Free,
    /// A claim, or something that cannot be read as one.
    Held(Held),
}

/// A claim as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who holds it; nothing when the object is no claim that can be read.
    pub by: Option<Holder>,
    tag: String,
}

/// Why a claim was not taken.
#[derive(Debug)]
pub enum Refused {
    /// Somebody else holds it.
    Held(Held),
    /// It could not be read or written; nothing was written for certain.
    Failed(Failure),
    /// It could not be seen whether it was written.
    Doubt(Failure),
}

/// The place of a claim, and the way to it.
#[derive(Clone)]
pub struct Claim {
    /// The clients and the accounts of the run.
    pub world: Arc<World>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The bucket's region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

/// What a write led to.
enum Wrote {
    Yes,
    /// Not for certain, or it was not as it was seen: a look tells.
    Look(StepError),
}

impl Claim {
    /// Looks once, and again after failures that pass.
    pub async fn look(&self) -> Result<Stands, Failure> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.look_once().await {
                Err(failure) if failure.transient && tried < limits::CLAIM_TRIES => {
                    self.clock.sleep(limits::CLAIM_PAUSE).await;
                }
                seen => return seen,
            }
        }
    }

    /// Looks once.
    pub async fn look_once(&self) -> Result<Stands, Failure> {
        self.within("GetObject", async {
            let clients = self.world.aws.looking(&self.region, &self.clock, &self.world.accounts).await;
            self.seen(&clients).await
        })
        .await?
    }

    async fn seen(&self, clients: &Clients) -> Result<Stands, Failure> {
        let reply = match clients.s3.get_object().bucket(&self.bucket).key(&self.key).send().await {
            Err(e) if code(&e) == "NoSuchKey" => return Ok(Stands::Free),
            Err(e) if code(&e) == "AccessDenied" => {
                // S3 hides from callers that may not list that there is no such key.
                let hint = "the caller needs `s3:GetObject` on the claim and `s3:ListBucket` on its bucket";
                return Err(clients.call("s3", "GetObject").read(&e).hint(hint));
            }
            reply => reply.map_err(|e| clients.call("s3", "GetObject").read(&e))?,
        };
        let tag = reply.e_tag().unwrap_or_default().to_owned();
        if reply.content_length().is_some_and(|bytes| bytes > limits::CLAIM_BYTES_MAX) {
            return Ok(Stands::Held(Held { by: None, tag }));
        }
        let body = reply.body.collect().await;
        let body = body.map_err(|e| Failure::passing(format!("the claim could not be read to its end: {e}")))?;
        Ok(Stands::Held(Held { by: serde_json::from_slice(&body.into_bytes()).ok(), tag }))
    }

    /// Takes the claim for `me`: where it is free, where it yields to `me`,
    /// and where it still is `over`, which a person wants to be broken. Gives
    /// who held it before.
    pub async fn take(
        &self,
        me: &Holder,
        over: Option<&Held>,
        guard: &Arc<dyn Guard>,
    ) -> Result<Option<Holder>, Refused> {
        let mut before = None;
        let mut doubt = None;
        for tried in 1..=limits::CLAIM_TRIES {
            let seen = match self.look().await {
                Ok(seen) => seen,
                Err(failure) => return Err(refused(doubt, failure)),
            };
            let (tag, since) = match &seen {
                Stands::Free => (None, me.since),
                Stands::Held(held) => match &held.by {
                    Some(by) if by.is(me) => return Ok(before),
                    Some(by) if by.yields_to(me) => (Some(&held.tag), by.since),
                    _ if over == Some(held) => (Some(&held.tag), me.since),
                    _ => return Err(Refused::Held(held.clone())),
                },
            };
            let me = Holder { since, ..me.clone() };
            if let Stands::Held(held) = &seen {
                before.clone_from(&held.by);
            }
            match self.write(&me, tag, guard).await.map_err(Refused::Failed)? {
                Wrote::Yes => return Ok(before),
                Wrote::Look(StepError::Doubt(failure)) => doubt = Some(failure),
                Wrote::Look(StepError::Failed(failure)) if failure.transient && tried == limits::CLAIM_TRIES => {
                    return Err(refused(doubt, failure));
                }
                Wrote::Look(_) => {}
            }
            self.clock.sleep(limits::CLAIM_PAUSE).await;
        }
        // The last write was not seen to arrive: one more look tells.
        match self.look().await {
            Ok(Stands::Held(held)) if held.by.as_ref().is_some_and(|by| by.is(me)) => Ok(before),
            Ok(Stands::Held(held)) if over != Some(&held) => Err(Refused::Held(held)),
            Ok(_) => Err(refused(doubt, Failure::passing("it changes all the time"))),
            Err(failure) => Err(refused(doubt, failure)),
        }
    }

    async fn write(&self, me: &Holder, tag: Option<&String>, guard: &Arc<dyn Guard>) -> Result<Wrote, Failure> {
        let clients = match self.acting(guard).await {
            Err(failure) if failure.transient => return Ok(Wrote::Look(failure.into())),
            clients => clients?,
        };
        let body = serde_json::to_vec(me).map_err(|e| Failure::new(e.to_string()))?;
        let put = clients.s3.put_object().bucket(&self.bucket).key(&self.key).content_type("application/json");
        let put = match tag {
            Some(tag) => put.if_match(tag),
            None => put.if_none_match("*"),
        };
        let sent = self.within("PutObject", put.body(ByteStream::from(body)).send()).await;
        let site = clients.call("s3", "PutObject");
        wrote(sent, |e| (code(e).to_owned(), site.wrote(e)))
    }

    /// Removes the claim when it is that of `me` or of an earlier controller
    /// of the same run; gives whose it is otherwise.
    pub async fn let_go(&self, me: &Holder, guard: &Arc<dyn Guard>) -> Result<Stands, Failure> {
        let mut last = None;
        for _ in 0..limits::CLAIM_TRIES {
            let seen = self.look().await?;
            let Stands::Held(held) = &seen else { return Ok(seen) };
            if !held.by.as_ref().is_some_and(|by| by.yields_to(me)) {
                return Ok(seen);
            }
            let clients = self.acting(guard).await?;
            let delete = clients.s3.delete_object().bucket(&self.bucket).key(&self.key).if_match(&held.tag);
            let sent = self.within("DeleteObject", delete.send()).await;
            let site = clients.call("s3", "DeleteObject");
            match wrote(sent, |e| (code(e).to_owned(), site.wrote(e)))? {
                Wrote::Yes => return Ok(Stands::Free),
                Wrote::Look(StepError::Failed(failure) | StepError::Doubt(failure)) => last = Some(failure),
                Wrote::Look(StepError::Ask(_)) => {}
            }
            self.clock.sleep(limits::CLAIM_PAUSE).await;
        }
        match (self.look().await?, last) {
            (Stands::Held(held), Some(failure)) if held.by.as_ref().is_some_and(|by| by.yields_to(me)) => Err(failure),
            (seen, _) => Ok(seen),
        }
    }

    async fn acting(&self, guard: &Arc<dyn Guard>) -> Result<Clients, Failure> {
        let World { aws, accounts, .. } = &*self.world;
        let clients = aws.acting(&self.region, &self.clock, accounts, guard.clone());
        self.within("PutObject", clients).await?
    }

    /// Somebody waits for a claim: a call that hangs counts as one without an
    /// answer. Boxed, since the SDK's futures are large.
    fn within<'a, T: 'a>(
        &'a self,
        operation: &'static str,
        call: impl Future<Output = T> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, Failure>> {
        let call = call.boxed();
        let limit = limits::CLAIM_CALL;
        let late = move || {
            Failure::passing(format!("s3 {operation} in {} got no answer within {limit}", self.region))
                .hint(format!("is s3 in {} impaired?", self.region))
        };
        async move { self.clock.timeout(limit, call).await.ok_or_else(late) }.boxed()
    }
}

/// What a conditional write or removal led to; an `Err` when it was refused for good.
fn wrote<T, E>(
    sent: Result<Result<T, E>, Failure>,
    said: impl Fn(&E) -> (String, StepError),
) -> Result<Wrote, Failure> {
    let error = match sent {
        Ok(Ok(_)) => return Ok(Wrote::Yes),
        Ok(Err(error)) => error,
        Err(late) => return Ok(Wrote::Look(StepError::Doubt(late))),
    };
    let (code, error) = said(&error);
    match error {
        _ if matches!(code.as_str(), "PreconditionFailed" | "NoSuchKey" | "ConditionalRequestConflict") => {
            Ok(Wrote::Look(error))
        }
        StepError::Failed(failure) if !failure.transient => Err(failure),
        error => Ok(Wrote::Look(error)),
    }
}

/// What is not known to have been written may still arrive.
fn refused(doubt: Option<Failure>, failure: Failure) -> Refused {
    match doubt {
        Some(lost) => Refused::Doubt(lost),
        None => Refused::Failed(failure),
    }
}
