//! `s3.sync_point_in_time`: objects as they were at a moment.
//!
//! Of every key the newest version that is not younger than the moment is
//! copied to the target bucket; a key that was deleted then, or not there yet,
//! is not copied (Amazon S3 API Reference, `ListObjectVersions`). Each copy
//! says in its metadata which version it was made from and by whom: a copy
//! that is there is not made again, and undo deletes exactly the versions that
//! this step made. What is there is overwritten only as it was seen (If-Match,
//! If-None-Match), and only in a bucket that keeps versions.
//!
//! A bucket can hold more than a look has time for: `check` only asks whether
//! the step has begun, and `run` makes the difference in the step's own time.
//!
//! Replication lags behind, by how much only the lost region knows. Objects out
//! of a replica therefore give no recovery point, but the time of the newest
//! of them, which a replica has from what it was made from (Amazon S3 User
//! Guide, What does Amazon S3 replicate?).
//!
//! Left out: objects above 5 GB and objects in an archive, which are refused by
//! name; a source in another region than the step's; and keys of the target
//! that were not there at the moment: they are counted and left alone. ACLs
//! and object locks are not copied.

mod listing;

use self::listing::{Entry, encoded, last_of, versions};
use crate::{
    aws::{Clients, error::code, limits, moment},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_s3::{
    config::{Builder, timeout::TimeoutConfig},
    types::{BucketVersioningStatus, MetadataDirective, ReplicationStatus, TaggingDirective},
};
use dr_engine::{
    clock::Time,
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Copies the objects of a bucket as they were at a moment into another bucket.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncPointInTime {
    /// The bucket that holds the history: a replica in this region.
    source: In<String>,
    /// The bucket that takes the objects; it must keep versions.
    target: In<String>,
    /// Only keys that begin so.
    #[serde(default)]
    prefix: Option<In<String>>,
    /// The moment, as in `${run.incident_at}`.
    at: In<String>,
}

/// The fact that holds what was decided.
const DECIDED: &str = "decided";
/// The fact that all of it was taken back: what was decided before is void.
const REMOVED: &str = "removed";
/// The metadata of a copy: the version it was made from.
const VERSION: &str = "dr-src-version";
/// The metadata of a copy: the run that made it.
const RUN: &str = "dr-run";
/// The metadata of a copy: the step that made it.
const STEP: &str = "dr-step";
/// The metadata of a copy that was made from a replica.
const REPLICA: &str = "dr-src-replica";

/// What the inputs asked for when it was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    source: String,
    target: String,
    prefix: String,
    at: Time,
}

/// What was decided, before the first copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Decided {
    /// Absent in journals of before it was written down: then what the inputs say.
    #[serde(default)]
    asked: Option<Asked>,
    /// Of the keys and versions that are to be copied.
    digest: String,
    objects: usize,
    bytes: i64,
}

/// A version that is to be copied.
#[derive(Debug, Clone)]
struct Wanted {
    key: String,
    version: String,
    size: i64,
    at: Time,
}

/// What a copy says that it was made from.
struct Origin {
    version: String,
    replica: bool,
}

/// What the target holds and what it lacks.
struct Lack {
    /// To be copied, each with the entity tag of what it overwrites.
    todo: Vec<(Wanted, Option<String>)>,
    objects: usize,
    bytes: i64,
    left_alone: usize,
    digest: String,
    /// When the newest of the objects was written.
    newest: Option<Time>,
    /// Whether a copy that is there was made from a replica.
    replica: bool,
}

impl SyncPointInTime {
    fn prefix(&self) -> &str {
        self.prefix.as_ref().map_or("", |prefix| prefix.get())
    }

    fn at(&self) -> Result<Time, Failure> {
        moment("at", self.at.get())
    }

    fn asked(&self) -> Result<Asked, Failure> {
        let (source, target) = (self.source.get().clone(), self.target.get().clone());
        Ok(Asked { source, target, prefix: self.prefix().to_owned(), at: self.at()? })
    }

    /// What was there at the moment, and is to be there again.
    async fn wanted(&self, clients: &Clients) -> Result<Vec<Wanted>, Failure> {
        let (at, bucket) = (self.at()?, self.source.get());
        // Of each key the newest that is old enough, whether an object or its deletion.
        let mut newest: BTreeMap<String, Entry> = BTreeMap::new();
        // Objects and deletions are listed apart: of one second nobody says here which came last.
        let mut unclear = BTreeSet::new();
        for entry in versions(clients, bucket, self.prefix()).await? {
            if entry.at > at {
                continue;
            }
            if let Some(known) = newest.get(&entry.key) {
                let tie = known.at == entry.at && !known.latest && !entry.latest;
                if tie && known.version.is_some() != entry.version.is_some() {
                    unclear.insert(entry.key.clone());
                }
                // Of one kind and second the newer comes first.
                if known.at > entry.at || (known.at == entry.at && !entry.latest) {
                    continue;
                }
                unclear.remove(&entry.key);
            }
            newest.insert(entry.key.clone(), entry);
        }
        for key in unclear {
            let last = last_of(clients, bucket, &key, at).await?;
            newest.extend(last.map(|last| (key, last)));
        }
        let archived: Vec<_> =
            newest.values().filter(|entry| entry.archived || entry.size > limits::COPY_BYTES_MAX).collect();
        if let Some(first) = archived.first() {
            let text =
                format!("{} objects of `{bucket}` are archived or above 5 GB, `{}` first", archived.len(), first.key);
            return Err(
                Failure::new(text).hint("bring archived objects back first (RestoreObject); copy large ones by hand")
            );
        }
        let wanted = newest
            .into_values()
            .filter_map(|Entry { key, version, size, at, .. }| Some(Wanted { key, version: version?, size, at }));
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            let text = format!("no object under `{}` of `{bucket}` is as old as {at}", self.prefix());
            return Err(Failure::new(text).hint("does the history of the bucket reach back so far?"));
        }
        Ok(wanted)
    }

    /// What is overwritten must be kept: the target is a bucket with versions, and another one.
    async fn keeps_versions(&self, clients: &Clients) -> Result<(), Failure> {
        let target = self.target.get();
        if target == self.source.get() {
            return Err(Failure::new("`source` and `target` are the same bucket"));
        }
        let reply = clients.s3.get_bucket_versioning().bucket(target).send().await;
        let reply = reply.map_err(|e| clients.call("s3", "GetBucketVersioning").read(&e))?;
        if reply.status() != Some(&BucketVersioningStatus::Enabled) {
            return Err(Failure::new(format!(
                "the bucket `{target}` keeps no versions: what is overwritten would be lost"
            ))
            .hint("switch versioning on beforehand, or choose a new bucket with versioning"));
        }
        Ok(())
    }

    /// What the target lacks of it.
    async fn lack(&self, clients: &Clients) -> Result<Lack, Failure> {
        let target = self.target.get();
        self.keeps_versions(clients).await?;
        let wanted = self.wanted(clients).await?;
        let mut there: HashMap<String, (Time, Option<String>)> = HashMap::new();
        for page in versions(clients, target, self.prefix()).await? {
            if there.get(&page.key).is_none_or(|(known, _)| *known < page.at) || page.latest {
                there.insert(page.key, (page.at, page.etag));
            }
        }
        let mut hasher = Sha256::new();
        let (objects, bytes) = (wanted.len(), wanted.iter().map(|w| w.size).sum());
        let newest = wanted.iter().map(|w| w.at).max();
        for Wanted { key, version, .. } in &wanted {
            hasher.update(format!("{key}\0{version}\0"));
        }
        let present = there.values().filter(|(_, etag)| etag.is_some()).count();
        let known = wanted.iter().filter(|w| there.get(&w.key).is_some_and(|(_, etag)| etag.is_some())).count();
        let replica = AtomicBool::new(false);
        let look = |wanted: Wanted| {
            let etag = there.get(&wanted.key).and_then(|(_, etag)| etag.clone());
            let replica = &replica;
            async move {
                let Some(etag) = etag else {
                    return Ok::<_, Failure>(Some((wanted, None)));
                };
                match self.origin(clients, &wanted.key).await? {
                    Some(origin) if origin.version == wanted.version => {
                        replica.fetch_or(origin.replica, Ordering::Relaxed);
                        Ok(None)
                    }
                    _ => Ok(Some((wanted, Some(etag)))),
                }
            }
        };
        let todo = stream::iter(wanted).map(look).buffered(limits::HEADS_MAX).try_collect::<Vec<_>>().await?;
        Ok(Lack {
            todo: todo.into_iter().flatten().collect(),
            objects,
            bytes,
            left_alone: present - known,
            digest: dr_engine::plan::hex(&hasher.finalize()),
            newest,
            replica: replica.into_inner(),
        })
    }

    /// What the object in the target says it was made from.
    async fn origin(&self, clients: &Clients, key: &str) -> Result<Option<Origin>, Failure> {
        let reply = match clients.s3.head_object().bucket(self.target.get()).key(key).send().await {
            Err(e) if matches!(code(&e), "NotFound" | "NoSuchKey") => return Ok(None),
            reply => reply.map_err(|e| clients.call("s3", "HeadObject").read(&e))?,
        };
        let says = |name: &str| reply.metadata().and_then(|m| m.get(name)).cloned();
        Ok(says(VERSION).map(|version| Origin { version, replica: says(REPLICA).is_some() }))
    }

    /// Makes one copy, unless it is there already; says whether it is one of a replica.
    async fn copy(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        wanted: &Wanted,
        over: Option<&str>,
    ) -> Result<bool, StepError> {
        let Wanted { key, version, .. } = wanted;
        let head = clients.s3.head_object().bucket(self.source.get()).key(key).version_id(version).send().await;
        let head = head.map_err(|e| clients.call("s3", "HeadObject").read(&e))?;
        let mut metadata = head.metadata().cloned().unwrap_or_default();
        metadata.insert(VERSION.into(), version.clone());
        metadata.insert(RUN.into(), mark(&cx.run.id));
        metadata.insert(STEP.into(), mark(&cx.step.id));
        // A copy that was itself made from a replica carries the mark already.
        let replica = head.replication_status() == Some(&ReplicationStatus::Replica) || metadata.contains_key(REPLICA);
        if replica {
            metadata.insert(REPLICA.into(), "true".into());
        }
        let from = format!("{}/{}?versionId={}", self.source, encoded(key), encoded(version));
        let long = TimeoutConfig::builder().connect_timeout(limits::CONNECT).operation_timeout(limits::COPY).build();
        let request = clients
            .s3
            .copy_object()
            .bucket(self.target.get())
            .key(key)
            .copy_source(from)
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Copy)
            .set_metadata(Some(metadata))
            .set_content_type(head.content_type().map(Into::into))
            .set_content_encoding(head.content_encoding().map(Into::into))
            .set_content_disposition(head.content_disposition().map(Into::into))
            .set_content_language(head.content_language().map(Into::into))
            .set_cache_control(head.cache_control().map(Into::into))
            .set_expires(head.expires_string().and_then(|text| {
                aws_sdk_s3::primitives::DateTime::from_str(text, aws_sdk_s3::primitives::DateTimeFormat::HttpDate).ok()
            }))
            .set_website_redirect_location(head.website_redirect_location().map(Into::into))
            .set_if_match(over.map(Into::into))
            .set_if_none_match(over.is_none().then(|| "*".into()));
        match request.customize().config_override(Builder::new().timeout_config(long)).send().await {
            // Somebody wrote there since: we ourselves, in a call whose reply was lost, or another.
            Err(e) if code(&e) == "PreconditionFailed" => match self.origin(clients, key).await? {
                Some(origin) if origin.version == *version => Ok(replica),
                _ => Err(Failure::new(format!("somebody wrote `{key}` in `{}` meanwhile", self.target)).into()),
            },
            reply => reply.map(|_| replica).map_err(|e| clients.call("s3", "CopyObject").wrote(&e)),
        }
    }

    fn output(&self, lack: &Lack, replica: bool) -> Result<Output, Failure> {
        let mut output = Output::default();
        output.values.insert("objects".into(), lack.objects.into());
        output.values.insert("bytes".into(), lack.bytes.into());
        output.values.insert("left_alone".into(), lack.left_alone.into());
        output.values.insert("newest".into(), lack.newest.map(|at| at.to_string()).into());
        // Out of a replica, what had not arrived when the region was lost is missing, and nobody can tell what that is.
        if !replica {
            output.recovery_point =
                Some(RecoveryPoint { at: self.at()?, source: "the moment that was asked for".into() });
        }
        Ok(output)
    }

    /// What was decided before and still holds, or what is decided now.
    async fn decide(&self, cx: &StepCx, clients: &Clients) -> Result<Lack, StepError> {
        let asked = self.asked()?;
        let before = decided(&cx.read)?.map(|it| (it.asked.unwrap_or_else(|| asked.clone()), it.digest));
        if let Some((before, _)) = before.as_ref().filter(|(before, _)| *before != asked) {
            let Asked { source, target, at, .. } = before;
            // Where nothing was copied yet, a person changed the wish before it had an effect.
            if first_made(&cx.read, clients, before).await?.is_some() {
                let text =
                    format!("objects of `{source}` as of {at} were copied to `{target}` before the inputs changed");
                let hint = "answer `undo` to take the copies back, or set the inputs back and answer `retry`";
                return Err(Failure::new(text).hint(hint).into());
            }
        }
        let lack = self.lack(clients).await?;
        match before.filter(|(before, _)| *before == asked) {
            Some((_, digest)) if digest != lack.digest => {
                let text = format!("the history of `{}` is not what it was when this step began", self.source);
                Err(Failure::new(text).hint("a lifecycle rule may have removed versions; compare by hand").into())
            }
            Some(_) => Ok(lack),
            None => {
                let Lack { digest, objects, bytes, .. } = &lack;
                let decided = Decided { asked: Some(asked), digest: digest.clone(), objects: *objects, bytes: *bytes };
                cx.record(DECIDED, json!(decided)).await;
                Ok(lack)
            }
        }
    }
}

/// The newest fact of a name since the step was last taken back.
fn fact<'a>(cx: &'a ReadCx, name: &str) -> Option<&'a Value> {
    let mut since = cx.facts.iter().rev().take_while(|fact| fact.name != REMOVED);
    since.find(|fact| fact.name == name).map(|fact| &fact.value)
}

fn decided(cx: &ReadCx) -> Result<Option<Decided>, Failure> {
    let decided = fact(cx, DECIDED).map(Decided::deserialize).transpose();
    decided.map_err(|e| Failure::new(format!("what this step wrote down cannot be read: {e}")))
}

/// The version, if this step made it.
async fn ours(cx: &ReadCx, clients: &Clients, bucket: &str, entry: Entry) -> Result<Option<(String, String)>, Failure> {
    let Some(version) = entry.version else {
        return Ok(None);
    };
    let request = clients.s3.head_object().bucket(bucket).key(&entry.key).version_id(&version);
    let head = match request.send().await {
        Err(e) if matches!(code(&e), "NotFound" | "NoSuchVersion" | "NoSuchKey") => return Ok(None),
        reply => reply.map_err(|e| clients.call("s3", "HeadObject").read(&e))?,
    };
    let says = |name: &str| head.metadata().and_then(|m| m.get(name)).cloned();
    let ours = says(RUN) == Some(mark(&cx.run.id)) && says(STEP) == Some(mark(&cx.step.id));
    Ok(ours.then_some((entry.key, version)))
}

/// The versions that this step made, where it was to make them.
async fn made(cx: &ReadCx, clients: &Clients, asked: &Asked) -> Result<Vec<(String, String)>, Failure> {
    let all = versions(clients, &asked.target, &asked.prefix).await?;
    let look = |entry| ours(cx, clients, &asked.target, entry);
    let made = stream::iter(all).map(look).buffered(limits::HEADS_MAX).try_collect::<Vec<_>>().await?;
    Ok(made.into_iter().flatten().collect())
}

/// The same, but no more than one of them.
async fn first_made(cx: &ReadCx, clients: &Clients, asked: &Asked) -> Result<Option<(String, String)>, Failure> {
    let all = versions(clients, &asked.target, &asked.prefix).await?;
    let look = |entry| ours(cx, clients, &asked.target, entry);
    let mut found = Box::pin(
        stream::iter(all).map(look).buffered(limits::HEADS_MAX).try_filter_map(|made| std::future::ready(Ok(made))),
    );
    found.try_next().await
}

/// Does each of many things, some at a time. When one goes wrong no further one
/// is begun and those under way are let end: S3 goes on with them whether
/// anybody listens or not. The worst end is told, a doubt before a failure.
async fn all<T, R, F>(things: Vec<T>, act: impl Fn(T) -> F) -> Result<Vec<R>, StepError>
where
    F: Future<Output = Result<R, StepError>>,
{
    let wrong = AtomicBool::new(false);
    let one = |thing| {
        let (act, wrong) = (&act, &wrong);
        async move {
            if wrong.load(Ordering::Relaxed) {
                return None;
            }
            let end = act(thing).await;
            wrong.fetch_or(end.is_err(), Ordering::Relaxed);
            Some(end)
        }
    };
    let ends: Vec<_> = stream::iter(things).map(one).buffer_unordered(limits::COPIES_MAX).collect().await;
    let (mut good, mut worst) = (Vec::new(), None);
    for end in ends.into_iter().flatten() {
        match end {
            Ok(end) => good.push(end),
            Err(error) if worst.is_none() || matches!(error, StepError::Doubt(_)) => worst = Some(error),
            Err(_) => {}
        }
    }
    worst.map_or(Ok(good), Err)
}

/// A text as metadata can hold it.
fn mark(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_graphic()) { text.to_owned() } else { encoded(text) }
}

impl Explained for SyncPointInTime {
    const REFERENCE: Reference = Reference {
        check: "Lists nothing, since a bucket can hold more than a look has time for: under way once it was \
            decided what is copied, nothing of it before. `GetBucketVersioning`: a target that keeps no \
            versions is refused. It is never found done; `run` makes the difference.",
        run: "`ListObjectVersions` of both buckets; takes of every key the newest version that is not younger \
            than the moment; writes down what was decided; `CopyObject` for what the target lacks, 16 at a \
            time, each overwriting only what was seen there. A copy that is there is not made again.",
        undo: Some("`DeleteObject` of exactly the versions that this step made; what they covered is visible again."),
        recovery_point: Some(
            "The moment that was asked for. None where an object came out of a replica: nobody can tell what \
            had not arrived there. The output `newest` says when the newest object was written.",
        ),
        time: "Not known: it grows with the number of objects and their size.",
        traps: &[
            "Replication lags behind, and keeps no order: the newest object that arrived says nothing of the \
             others.",
            "Objects above 5 GB and objects in an archive are refused by name.",
            "Objects of the target that were not there at the moment are counted (`left_alone`) and stay.",
            "Lifecycle rules remove old versions: the history must reach back to the moment.",
            "ACLs and object locks are not copied; source and target are in the step's region.",
        ],
        example: r#"
            invoices:
              do:
                s3.sync_point_in_time:
                  source: invoices-replica
                  target: invoices-dr
                  at: "${run.incident_at}"
              timeout: 2h
              rpo: 15m
        "#,
    };
}

#[async_trait]
impl Step for SyncPointInTime {
    fn describe(&self) -> Description {
        Description {
            summary: format!("copy `{}/{}` as of {} to `{}`", self.source, self.prefix(), self.at, self.target),
            actions: vec![
                "s3:ListBucketVersions",
                "s3:GetBucketVersioning",
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:GetObjectVersionTagging",
                "s3:PutObject",
                "s3:PutObjectTagging",
                "s3:DeleteObjectVersion",
            ],
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        let mut outputs: Vec<_> = ["objects", "bytes", "left_alone"].map(OutputName::number).into();
        outputs.push(OutputName::text("newest"));
        outputs
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if decided(cx)?.is_some() {
            return Ok(Check::InProgress);
        }
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.keeps_versions(&clients).await {
            Err(failure) if failure.transient => return Err(failure),
            Err(failure) => Check::Impossible(failure),
            Ok(()) => Check::Absent,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let mut lack = self.decide(cx, &clients).await?;
        let todo = std::mem::take(&mut lack.todo);
        let (total, done) = (todo.len(), AtomicUsize::new(0));
        let copy = |(wanted, over): (Wanted, Option<String>)| {
            let (clients, done) = (&clients, &done);
            async move {
                let replica = self.copy(&cx.read, clients, &wanted, over.as_deref()).await?;
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(limits::COPIES_SAID) {
                    cx.read.progress(&format!("{done} of {total} objects"));
                }
                Ok(replica)
            }
        };
        let replica = lack.replica | all(todo, copy).await?.contains(&true);
        cx.record_handle("copied", total).await;
        Ok(self.output(&lack, replica)?)
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(if decided(cx)?.is_none() { Check::Done(Output::default()) } else { Check::Absent })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(Decided { asked, .. }) = decided(&cx.read)? else {
            return Ok(());
        };
        let asked = asked.map_or_else(|| self.asked(), Ok)?;
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let made = made(&cx.read, &clients, &asked).await?;
        let total = made.len();
        let delete = |(key, version): (String, String)| {
            let request = clients.s3.delete_object().bucket(&asked.target).key(key).version_id(version);
            let clients = &clients;
            async move {
                match request.send().await {
                    Err(e) if code(&e) == "NoSuchVersion" => Ok(()),
                    reply => reply.map(drop).map_err(|e| clients.call("s3", "DeleteObject").wrote(&e)),
                }
            }
        };
        all(made, delete).await?;
        cx.record_handle(REMOVED, total).await;
        Ok(())
    }
}
