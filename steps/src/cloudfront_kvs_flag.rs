//! `cloudfront.kvs_flag`: a key that a function at the edge reads.
//!
//! A `CloudFront` function may choose the origin by a key of a `KeyValueStore`.
//! The store's data has an API of its own, which every region serves, so that
//! the flag can be turned while the control plane in us-east-1 is lost (Amazon
//! `CloudFront` Developer Guide, "Work with key value data").
//!
//! A store has one version, which every change of any key turns, and takes a
//! change only from whoever names it: what was read is what is replaced. What
//! stood there is written down before the call; undo puts it back, or takes
//! the key away if there was none.
//!
//! A value that somebody else set since is not touched, also where it is the
//! old one: that is a question for a person. Changes of other keys are theirs,
//! and ours is made again on the version after them.

use crate::{
    aws::{Clients, error::code, limits},
    probe::HttpProbe,
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    clock::Time,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

/// Sets a key by which a function at the edge chooses where requests go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KvsFlag {
    /// The ARN of the key value store.
    store: In<StoreArn>,
    /// The key.
    key: In<String>,
    /// What the key is to hold.
    value: In<String>,
    /// What shows at the edge that the flag has arrived: a `url` with an `expect` that reads the answer.
    #[serde(default)]
    seen_at: Option<HttpProbe>,
}

/// The ARN of a `KeyValueStore`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct StoreArn(String);

impl StoreArn {
    /// The part of it that people know.
    fn id(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for StoreArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for StoreArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split(':').collect();
        let well = match parts.as_slice() {
            ["arn", "aws", "cloudfront", "", account, resource] => {
                let id = resource.strip_prefix("key-value-store/").unwrap_or_default();
                account.len() == 12
                    && account.bytes().all(|b| b.is_ascii_digit())
                    && !id.is_empty()
                    && !id.contains('/')
            }
            _ => false,
        };
        let why = "is not the ARN of a key value store: arn:aws:cloudfront::123456789012:key-value-store/ID";
        if well { Ok(Self(text.to_owned())) } else { Err(format!("`{text}` {why}")) }
    }
}

impl<'de> Deserialize<'de> for StoreArn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for StoreArn {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "StoreArn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^arn:aws:cloudfront::[0-9]{12}:key-value-store/[^/]+$" })
    }
}

/// What a key holds, if it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held(Option<String>);

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "`{value}`"),
            None => f.write_str("not there"),
        }
    }
}

/// A change that was taken, and when.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Taken {
    etag: String,
    at: Time,
}

/// The fact that holds what stood before.
const BEFORE: &str = "overwrites";
/// The fact that holds what is set.
const AFTER: &str = "sets";
/// The fact that says that it was set.
const TAKEN: &str = "set";
/// The fact that says that it was taken back.
const UNDONE: &str = "set_back";
/// How often a store that others change is read again.
const ROUNDS_MAX: u32 = 5;
/// The longest key, and the longest value, in bytes (Amazon `CloudFront` Developer Guide, Quotas).
const KEY_BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 1024;

const SERVICE: &str = "cloudfront-keyvaluestore";

impl KvsFlag {
    fn arn(&self) -> &str {
        &self.store.get().0
    }

    fn wanted(&self) -> Held {
        Held(Some(self.value.get().clone()))
    }

    async fn version(&self, clients: &Clients) -> Result<String, Failure> {
        let reply = match clients.key_values.describe_key_value_store().kvs_arn(self.arn()).send().await {
            Err(e) if code(&e) == "ResourceNotFoundException" => {
                let text = format!("there is no key value store `{}`", self.arn());
                return Err(
                    Failure::new(text).hint("`aws cloudfront list-key-value-stores` lists those of the account")
                );
            }
            reply => reply.map_err(|e| clients.call(SERVICE, "DescribeKeyValueStore").read(&e))?,
        };
        match reply.e_tag() {
            "" => Err(Failure::passing(format!("key value store `{}` gave no version", self.store))),
            etag => Ok(etag.to_owned()),
        }
    }

    /// What the key holds. Read after the version: a change upon that version then
    /// replaces this value and no other.
    async fn held(&self, clients: &Clients) -> Result<Held, Failure> {
        match clients.key_values.get_key().kvs_arn(self.arn()).key(self.key.get()).send().await {
            // The store is there: it is the key that is not.
            Err(e) if code(&e) == "ResourceNotFoundException" => Ok(Held(None)),
            reply => {
                let reply = reply.map_err(|e| clients.call(SERVICE, "GetKey").read(&e))?;
                Ok(Held(Some(reply.value().to_owned())))
            }
        }
    }

    async fn look(&self, clients: &Clients) -> Result<(String, Held), Failure> {
        let etag = self.version(clients).await?;
        Ok((etag, self.held(clients).await?))
    }

    /// Changes the key from what it holds to another value, as often as others
    /// change the store meanwhile. Gives the new version, or `None` when it was so
    /// already.
    async fn swap(&self, clients: &Clients, from: &Held, to: &Held) -> Result<Option<String>, StepError> {
        for _ in 0..ROUNDS_MAX {
            let (etag, now) = self.look(clients).await?;
            if now == *to {
                return Ok(None);
            }
            if now != *from {
                return Err(self.changed(&now).into());
            }
            let refused = match self.change(clients, to, &etag).await {
                Ok(etag) => return Ok(Some(etag)),
                Err(Refused { failure, stale }) if !stale => return Err(failure),
                Err(refused) => refused.failure,
            };
            // A version that is still the store's was not what it was refused for.
            if self.version(clients).await? == etag {
                return Err(refused);
            }
        }
        let text = format!("somebody keeps changing key value store `{}`: {ROUNDS_MAX} tries", self.store);
        Err(Failure::passing(text).hint("stop what else changes it, a deployment perhaps, then answer `retry`").into())
    }

    async fn change(&self, clients: &Clients, to: &Held, etag: &str) -> Result<String, Refused> {
        // The API names both for a store that is not as the caller thinks.
        let stale = |code: &str| matches!(code, "ConflictException" | "ValidationException");
        let (store, key) = (self.arn(), self.key.get());
        if let Some(value) = &to.0 {
            let request = clients.key_values.put_key().kvs_arn(store).key(key).value(value).if_match(etag);
            let refused = |e| Refused { stale: stale(code(&e)), failure: clients.call(SERVICE, "PutKey").wrote(&e) };
            request.send().await.map(|reply| reply.e_tag().to_owned()).map_err(refused)
        } else {
            let request = clients.key_values.delete_key().kvs_arn(store).key(key).if_match(etag);
            let refused = |e| Refused { stale: stale(code(&e)), failure: clients.call(SERVICE, "DeleteKey").wrote(&e) };
            request.send().await.map(|reply| reply.e_tag().to_owned()).map_err(refused)
        }
    }

    fn changed(&self, now: &Held) -> Failure {
        let text = format!("somebody changed key `{}` of `{}` meanwhile: it is {now}", self.key, self.store);
        Failure::new(text).hint("make sure who did that and why, then set it by hand and answer `skip`")
    }

    /// Where the key stands, seen from this step.
    fn place(&self, cx: &ReadCx, now: &Held) -> Place {
        if *now == self.wanted() {
            return Place::Set;
        }
        match before(cx) {
            None => Place::Before,
            Some(first) if first == *now => match taken(cx, TAKEN) {
                None => Place::Before,
                Some(taken) if cx.clock.now().since(taken.at) < limits::UNSEEN => Place::Arriving,
                // It was set, and is what it was: somebody wants it so.
                Some(_) => Place::Foreign,
            },
            // What was wanted before a person changed the inputs.
            Some(_) if set_by_us(cx, now) => Place::Before,
            Some(_) => Place::Foreign,
        }
    }

    /// Whether the edge has it, where that is looked at; in words if not.
    async fn unseen(&self, cx: &ReadCx) -> Result<Option<String>, Failure> {
        let Some(probe) = &self.seen_at else { return Ok(None) };
        let seen = probe.look(cx, &BTreeMap::new(), None).await?;
        Ok((!seen.good).then(|| format!("not seen at {}: {}", probe.url, seen.says)))
    }

    /// Waits until a look gives the value, and the edge has it.
    async fn settled(&self, cx: &ReadCx, clients: &Clients, to: &Held) -> Result<(), Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            let now = self.held(clients).await?;
            if now == *to {
                return Ok(Look::Ready(()));
            }
            // A change that was accepted may not be seen at once.
            if cx.clock.now().since(since) < limits::UNSEEN {
                return Ok(Look::Pending(format!("key `{}` is still {now}", self.key)));
            }
            Err(self.changed(&now))
        })
        .await
    }

    fn output(old: &Held) -> Output {
        let mut output = Output::default();
        output.values.insert("old_value".into(), json!(old));
        output
    }
}

/// A change that was not made, or of which nobody knows.
struct Refused {
    failure: StepError,
    /// It may have been refused for the version that it named.
    stale: bool,
}

/// Where a key stands.
enum Place {
    /// As it was, or as this step set it once.
    Before,
    /// It was set, and a look may not show that yet.
    Arriving,
    /// As is wanted.
    Set,
    /// As somebody else wants it.
    Foreign,
}

fn before(cx: &ReadCx) -> Option<Held> {
    cx.fact(BEFORE).and_then(held)
}

/// Whether this step set that, in whichever attempt.
fn set_by_us(cx: &ReadCx, now: &Held) -> bool {
    cx.facts.iter().any(|fact| fact.name == AFTER && held(&fact.value).as_ref() == Some(now))
}

fn held(fact: &Value) -> Option<Held> {
    serde_json::from_value(fact.clone()).ok()
}

fn taken(cx: &ReadCx, name: &str) -> Option<Taken> {
    cx.fact(name).and_then(|fact| serde_json::from_value(fact.clone()).ok())
}

impl Explained for KvsFlag {
    const REFERENCE: Reference = Reference {
        check: "`DescribeKeyValueStore` and `GetKey`. Done when the key holds the value and, with `seen_at`, the edge \
            answers as expected; under way while it does not. A key that somebody else changed after the step began, \
            also back to what it was, is refused.",
        run: "Writes down what the key holds; `PutKey` with the version of the store that was read before (`If-Match`). \
            What others change in other keys meanwhile is kept, and ours is made again on the version after it, five \
            times at most. Then waits until the key is seen to hold the value and, with `seen_at`, until the edge \
            answers as expected.",
        undo: Some(
            "Puts back what the key held, or `DeleteKey` if it was not there, upon the version that was read. A key \
            that somebody else changed since is left alone, and a person is asked. Nobody looks at the edge.",
        ),
        recovery_point: None,
        time: "Seconds until every edge location has it (general knowledge, not measured).",
        traps: &[
            "It is data alone: a function that reads the key has to be published and associated beforehand, which \
             wants the control plane in us-east-1.",
            "Without `seen_at` nobody has looked at the edge: done says that the store has the value.",
            "`seen_at` sees the edge location next to `dr`, and a cached answer if there is one: take a URL that is not \
             cached. What it expects has to be wrong before, else it proves nothing.",
            "Session keys from the global endpoint of STS are not taken for this API; those of a regional endpoint \
             are, which is the default of today's SDKs.",
            "The value stands in the journal and in reports: it is no place for a secret.",
        ],
        example: "
            edge_to_recovery:
              do:
                cloudfront.kvs_flag:
                  store: arn:aws:cloudfront::111122223333:key-value-store/8b0b0c0e
                  key: origin
                  value: eu-central-1
                  seen_at:
                    url: https://www.example.com/which-origin
                    expect: { headers: { x-origin: eu-central-1 } }
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for KvsFlag {
    fn describe(&self) -> Description {
        Description {
            summary: format!("set key `{}` of `{}` to `{}`", self.key, self.store, self.value),
            actions: vec![
                "cloudfront-keyvaluestore:DescribeKeyValueStore",
                "cloudfront-keyvaluestore:GetKey",
                "cloudfront-keyvaluestore:PutKey",
                "cloudfront-keyvaluestore:DeleteKey",
            ],
            moves_traffic: true,
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut sized = |field, text: &In<String>, least: usize, most: usize| {
            if let In::Lit(text) = text
                && !(least..=most).contains(&text.len())
            {
                let message = format!("`{field}` has {} bytes", text.len());
                mistakes.push(Mistake { field, message, help: format!("it takes {least} to {most}") });
            }
        };
        sized("key", &self.key, 1, KEY_BYTES_MAX);
        sized("value", &self.value, 0, VALUE_BYTES_MAX);
        if self.seen_at.as_ref().is_some_and(|probe| !probe.expect.reads_the_answer()) {
            mistakes.push(Mistake {
                field: "seen_at",
                message: "a status alone does not show which value the edge has".into(),
                help: "expect `headers`, a `text` or `json` that the function answers with this value only".into(),
            });
        }
        mistakes
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName { name: "old_value".into(), is: OutputType::Any }]
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let now = match self.look(&clients).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            look => look?.1,
        };
        Ok(match self.place(cx, &now) {
            Place::Before => Check::Absent,
            Place::Arriving => Check::InProgress,
            Place::Foreign => Check::Impossible(self.changed(&now)),
            Place::Set => match self.unseen(cx).await? {
                Some(why) => {
                    cx.progress(&why);
                    Check::InProgress
                }
                None => Check::Done(Self::output(&before(cx).unwrap_or(now))),
            },
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let (_, now) = self.look(&clients).await?;
        let (wanted, first) = (self.wanted(), before(&cx.read));
        match self.place(&cx.read, &now) {
            Place::Foreign => return Err(self.changed(&now).into()),
            Place::Before => {
                // What stood before the first change is what undo restores.
                if first.is_none() {
                    cx.record(BEFORE, json!(now)).await;
                }
                if !set_by_us(&cx.read, &wanted) {
                    cx.record(AFTER, json!(wanted)).await;
                }
                if let Some(etag) = self.swap(&clients, &now, &wanted).await? {
                    cx.record_handle(TAKEN, json!(Taken { etag, at: cx.read.clock.now() })).await;
                }
            }
            Place::Arriving | Place::Set => {}
        }
        self.settled(&cx.read, &clients, &wanted).await?;
        let arrived = || async {
            Ok(match self.unseen(&cx.read).await? {
                Some(why) => Look::Pending(why),
                None => Look::Ready(()),
            })
        };
        cx.read.poll(arrived).await?;
        Ok(Self::output(&first.unwrap_or(now)))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(before) = before(cx) else {
            return Ok(Check::Done(Output::default()));
        };
        let clients = World::of(cx).aws.read(cx).await?;
        let (_, now) = self.look(&clients).await?;
        Ok(match now {
            now if now == before => Check::Done(Output::default()),
            now if set_by_us(cx, &now) => match taken(cx, UNDONE) {
                None => Check::Absent,
                Some(taken) if cx.clock.now().since(taken.at) < limits::UNSEEN => Check::InProgress,
                Some(_) => Check::Impossible(self.changed(&now)),
            },
            now => Check::Impossible(self.changed(&now)),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(before) = before(&cx.read) else {
            return Ok(());
        };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let (_, now) = self.look(&clients).await?;
        if now != before && taken(&cx.read, UNDONE).is_none() {
            if !set_by_us(&cx.read, &now) {
                return Err(self.changed(&now).into());
            }
            if let Some(etag) = self.swap(&clients, &now, &before).await? {
                cx.record_handle(UNDONE, json!(Taken { etag, at: cx.read.clock.now() })).await;
            }
        }
        Ok(self.settled(&cx.read, &clients, &before).await?)
    }
}
