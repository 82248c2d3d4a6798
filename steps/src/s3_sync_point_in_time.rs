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
//! Left out: objects above 5 GB and objects in an archive, which are refused by
//! name; a source in another region than the step's; and keys of the target
//! that were not there at the moment: they are counted and left alone. ACLs
//! and object locks are not copied.

use crate::{
    aws::{Clients, error::code, limits, moment},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_s3::{
    config::{Builder, timeout::TimeoutConfig},
    types::{BucketVersioningStatus, EncodingType, MetadataDirective, ObjectVersionStorageClass, TaggingDirective},
};
use dr_engine::{
    clock::Time,
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

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
/// The metadata of a copy: the version it was made from.
const VERSION: &str = "dr-src-version";
/// The metadata of a copy: the run that made it.
const RUN: &str = "dr-run";
/// The metadata of a copy: the step that made it.
const STEP: &str = "dr-step";

/// A version that is to be copied.
#[derive(Debug, Clone)]
struct Wanted {
    key: String,
    version: String,
    size: i64,
}

/// What the target holds and what it lacks.
struct Lack {
    /// To be copied, each with the entity tag of what it overwrites.
    todo: Vec<(Wanted, Option<String>)>,
    objects: usize,
    bytes: i64,
    left_alone: usize,
    digest: String,
}

impl SyncPointInTime {
    fn prefix(&self) -> &str {
        self.prefix.as_ref().map_or("", |prefix| prefix.get())
    }

    fn at(&self) -> Result<Time, Failure> {
        moment("at", self.at.get())
    }

    /// What was there at the moment, and is to be there again.
    async fn wanted(&self, clients: &Clients) -> Result<Vec<Wanted>, Failure> {
        let (at, bucket) = (self.at()?, self.source.get());
        // Of each key the newest that is old enough, whether an object or its deletion.
        let mut newest: BTreeMap<String, (Time, Option<Wanted>)> = BTreeMap::new();
        let mut archived = Vec::new();
        for page in versions(clients, bucket, self.prefix()).await? {
            // Of one second the newer comes first, but deletions come apart: there the newest of all says so.
            let older = |(known, _): &(Time, _)| *known > page.at || (*known == page.at && !page.latest);
            if page.at > at || newest.get(&page.key).is_some_and(older) {
                continue;
            }
            let wanted = page.version.map(|version| Wanted { key: page.key.clone(), version, size: page.size });
            if page.archived || page.size > limits::COPY_BYTES_MAX {
                archived.push((page.key.clone(), page.at));
            }
            newest.insert(page.key, (page.at, wanted));
        }
        archived.retain(|(key, at)| newest.get(key).is_some_and(|(newest, _)| newest == at));
        if let Some((key, _)) = archived.first() {
            let text = format!("{} objects of `{bucket}` are archived or above 5 GB, `{key}` first", archived.len());
            return Err(
                Failure::new(text).hint("bring archived objects back first (RestoreObject); copy large ones by hand")
            );
        }
        let wanted: Vec<_> = newest.into_values().filter_map(|(_, wanted)| wanted).collect();
        if wanted.is_empty() {
            let text = format!("no object under `{}` of `{bucket}` is as old as {at}", self.prefix());
            return Err(Failure::new(text).hint("does the history of the bucket reach back so far?"));
        }
        Ok(wanted)
    }

    /// What the target lacks of it.
    async fn lack(&self, clients: &Clients) -> Result<Lack, Failure> {
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
        let wanted = self.wanted(clients).await?;
        let mut there: HashMap<String, (Time, Option<String>)> = HashMap::new();
        for page in versions(clients, target, self.prefix()).await? {
            if there.get(&page.key).is_none_or(|(known, _)| *known < page.at) || page.latest {
                there.insert(page.key, (page.at, page.etag));
            }
        }
        let mut hasher = Sha256::new();
        let (objects, bytes) = (wanted.len(), wanted.iter().map(|w| w.size).sum());
        for Wanted { key, version, .. } in &wanted {
            hasher.update(format!("{key}\0{version}\0"));
        }
        let present = there.values().filter(|(_, etag)| etag.is_some()).count();
        let known = wanted.iter().filter(|w| there.get(&w.key).is_some_and(|(_, etag)| etag.is_some())).count();
        let look = |wanted: Wanted| {
            let etag = there.get(&wanted.key).and_then(|(_, etag)| etag.clone());
            async move {
                let Some(etag) = etag else {
                    return Ok::<_, Failure>(Some((wanted, None)));
                };
                let made_from = self.made_from(clients, &wanted.key).await?;
                Ok((made_from.as_deref() != Some(&wanted.version)).then_some((wanted, Some(etag))))
            }
        };
        let todo = stream::iter(wanted).map(look).buffered(limits::HEADS_MAX).try_collect::<Vec<_>>().await?;
        Ok(Lack {
            todo: todo.into_iter().flatten().collect(),
            objects,
            bytes,
            left_alone: present - known,
            digest: dr_engine::plan::hex(&hasher.finalize()),
        })
    }

    /// Which version the object in the target says it was made from.
    async fn made_from(&self, clients: &Clients, key: &str) -> Result<Option<String>, Failure> {
        let reply = match clients.s3.head_object().bucket(self.target.get()).key(key).send().await {
            Err(e) if matches!(code(&e), "NotFound" | "NoSuchKey") => return Ok(None),
            reply => reply.map_err(|e| clients.call("s3", "HeadObject").read(&e))?,
        };
        Ok(reply.metadata().and_then(|m| m.get(VERSION)).cloned())
    }

    /// Makes one copy, unless it is there already.
    async fn copy(&self, cx: &ReadCx, clients: &Clients, wanted: &Wanted, over: Option<&str>) -> Result<(), StepError> {
        let Wanted { key, version, .. } = wanted;
        let head = clients.s3.head_object().bucket(self.source.get()).key(key).version_id(version).send().await;
        let head = head.map_err(|e| clients.call("s3", "HeadObject").read(&e))?;
        let mut metadata = head.metadata().cloned().unwrap_or_default();
        metadata.insert(VERSION.into(), version.clone());
        metadata.insert(RUN.into(), mark(&cx.run.id));
        metadata.insert(STEP.into(), mark(&cx.step.id));
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
            Err(e) if matches!(code(&e), "PreconditionFailed" | "ConditionalRequestConflict") => {
                match self.made_from(clients, key).await? {
                    Some(from) if from == *version => Ok(()),
                    _ => Err(Failure::new(format!("somebody wrote `{key}` in `{}` meanwhile", self.target)).into()),
                }
            }
            reply => reply.map(drop).map_err(|e| clients.call("s3", "CopyObject").wrote(&e)),
        }
    }

    /// The versions in the target that this step made.
    async fn made(&self, cx: &ReadCx, clients: &Clients) -> Result<Vec<(String, String)>, Failure> {
        let all = versions(clients, self.target.get(), self.prefix()).await?;
        let look = |page: Entry| async move {
            let Some(version) = page.version else {
                return Ok::<_, Failure>(None);
            };
            let request = clients.s3.head_object().bucket(self.target.get()).key(&page.key).version_id(&version);
            let head = match request.send().await {
                Err(e) if matches!(code(&e), "NotFound" | "NoSuchVersion" | "NoSuchKey") => return Ok(None),
                reply => reply.map_err(|e| clients.call("s3", "HeadObject").read(&e))?,
            };
            let says = |name: &str| head.metadata().and_then(|m| m.get(name)).cloned();
            let ours = says(RUN) == Some(mark(&cx.run.id)) && says(STEP) == Some(mark(&cx.step.id));
            Ok(ours.then_some((page.key, version)))
        };
        let made = stream::iter(all).map(look).buffered(limits::HEADS_MAX).try_collect::<Vec<_>>().await?;
        Ok(made.into_iter().flatten().collect())
    }

    fn output(&self, lack: &Lack) -> Result<Output, Failure> {
        let mut output = Output::default();
        output.values.insert("objects".into(), lack.objects.into());
        output.values.insert("bytes".into(), lack.bytes.into());
        output.values.insert("left_alone".into(), lack.left_alone.into());
        output.recovery_point = Some(RecoveryPoint { at: self.at()?, source: "the moment that was asked for".into() });
        Ok(output)
    }
}

/// One version of one key, or its deletion.
struct Entry {
    key: String,
    /// `None` is a deletion.
    version: Option<String>,
    at: Time,
    latest: bool,
    size: i64,
    etag: Option<String>,
    archived: bool,
}

/// Every version under a prefix.
async fn versions(clients: &Clients, bucket: &str, prefix: &str) -> Result<Vec<Entry>, Failure> {
    let mut all = Vec::new();
    // Keys can hold what XML cannot: they travel encoded.
    let mut request = clients.s3.list_object_versions().bucket(bucket).prefix(prefix).encoding_type(EncodingType::Url);
    loop {
        let reply = request.clone().send().await;
        let reply = reply.map_err(|e| clients.call("s3", "ListObjectVersions").read(&e))?;
        let time =
            |at: Option<&aws_sdk_s3::primitives::DateTime>| Time(at.and_then(|at| at.to_millis().ok()).unwrap_or(0));
        all.extend(reply.versions().iter().map(|v| Entry {
            key: decoded(v.key().unwrap_or_default()),
            version: Some(v.version_id().unwrap_or("null").to_owned()),
            at: time(v.last_modified()),
            latest: v.is_latest().unwrap_or(false),
            size: v.size().unwrap_or(0),
            etag: Some(v.e_tag().unwrap_or_default().to_owned()),
            archived: v.storage_class().is_some_and(|class| {
                *class != ObjectVersionStorageClass::Standard && matches!(class.as_str(), "GLACIER" | "DEEP_ARCHIVE")
            }),
        }));
        all.extend(reply.delete_markers().iter().map(|v| Entry {
            key: decoded(v.key().unwrap_or_default()),
            version: None,
            at: time(v.last_modified()),
            latest: v.is_latest().unwrap_or(false),
            size: 0,
            etag: None,
            archived: false,
        }));
        if !reply.is_truncated().unwrap_or(false) {
            return Ok(all);
        }
        request = request
            .set_key_marker(reply.next_key_marker().map(decoded))
            .set_version_id_marker(reply.next_version_id_marker().map(Into::into));
    }
}

/// A text as metadata can hold it.
fn mark(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_graphic()) { text.to_owned() } else { encoded(text) }
}

/// A key as a URL holds it.
fn encoded(key: &str) -> String {
    use std::fmt::Write;
    key.bytes().fold(String::with_capacity(key.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String");
        }
        text
    })
}

/// A key out of a listing, in which a blank is a plus.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut key = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match (bytes[at], code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (_, Some(byte)) => {
                key.push(byte);
                at += 3;
            }
            (byte, None) => {
                key.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&key).into_owned()
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
            control_plane: None,
            regions: Vec::new(),
            irreversible: false,
            moves_traffic: false,
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["objects", "bytes", "left_alone"].map(OutputName::number).into()
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        Ok(match self.lack(&clients).await {
            Err(failure) if failure.transient => return Err(failure),
            Err(failure) => Check::Impossible(failure),
            Ok(lack) if lack.todo.is_empty() => Check::Done(self.output(&lack)?),
            Ok(_) if cx.fact(DECIDED).is_some() => Check::InProgress,
            Ok(_) => Check::Absent,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let mut lack = self.lack(&clients).await?;
        match cx.read.fact(DECIDED).and_then(|fact| fact["digest"].as_str()) {
            Some(digest) if digest != lack.digest => {
                let text = format!("the history of `{}` is not what it was when this step began", self.source);
                return Err(Failure::new(text)
                    .hint("a lifecycle rule may have removed versions; compare by hand")
                    .into());
            }
            Some(_) => {}
            None => {
                let decided = json!({ "digest": lack.digest, "objects": lack.objects, "bytes": lack.bytes });
                cx.record(DECIDED, decided).await;
            }
        }
        let todo = std::mem::take(&mut lack.todo);
        let (total, done) = (todo.len(), std::sync::atomic::AtomicUsize::new(0));
        let copy = |(wanted, over): (Wanted, Option<String>)| {
            let (clients, done) = (&clients, &done);
            async move {
                self.copy(&cx.read, clients, &wanted, over.as_deref()).await?;
                let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                if done.is_multiple_of(limits::COPIES_SAID) {
                    cx.read.progress(&format!("{done} of {total} objects"));
                }
                Ok::<(), StepError>(())
            }
        };
        stream::iter(todo).map(copy).buffered(limits::COPIES_MAX).try_collect::<Vec<()>>().await?;
        cx.record_handle("copied", total).await;
        Ok(self.output(&lack)?)
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if cx.fact(DECIDED).is_none() {
            return Ok(Check::Done(Output::default()));
        }
        let clients = World::of(cx).aws.read(cx).await?;
        let made = self.made(cx, &clients).await?;
        Ok(if made.is_empty() { Check::Done(Output::default()) } else { Check::Absent })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let made = self.made(&cx.read, &clients).await?;
        let delete = |(key, version): (String, String)| {
            let request = clients.s3.delete_object().bucket(self.target.get()).key(key).version_id(version);
            let clients = &clients;
            async move {
                match request.send().await {
                    Err(e) if code(&e) == "NoSuchVersion" => Ok(()),
                    reply => reply.map(drop).map_err(|e| clients.call("s3", "DeleteObject").wrote(&e)),
                }
            }
        };
        stream::iter(made).map(delete).buffered(limits::COPIES_MAX).try_collect::<Vec<()>>().await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::{decoded, encoded};

    #[test]
    fn a_key_survives_the_way_there_and_back() {
        for key in ["a b", "a+b", "100%", "what?=1&x#y", "ünï/日本", "%2F", "plain/key-1_2.~"] {
            assert_eq!(decoded(&encoded(key)), key);
        }
        assert_eq!(decoded("a+b%2Bc"), "a b+c");
        assert_eq!(decoded("%zz%"), "%zz%");
    }
}
