//! `verify.canary`: what was written before the loss is found after it.
//!
//! Somebody keeps writing the present moment into one item of a store, where
//! the store is written to. What stands there in the step's region says up to
//! when writes have arrived: measured at the data itself, and not read from a
//! promise of the service. It needs the writer, and nothing else.
//!
//! Left out: keys of a table that are binary, and databases: those are asked by
//! `verify.sql`.

use crate::{
    aws::{Clients, error::code},
    limits, newest,
    world::World,
};
use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use dr_engine::{
    clock::Time,
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Number;
use std::collections::BTreeMap;

/// Waits until an item that is kept up to date elsewhere is here, and not too
/// old: its time is the recovery point.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyCanary {
    /// A table of the step's region: then `key` and `field` say where the time is.
    #[serde(default)]
    table: Option<In<String>>,
    /// The item's whole key, attribute by attribute: `{ id: canary, shard: 0 }`.
    #[serde(default)]
    key: BTreeMap<String, In<Part>>,
    /// The attribute that holds the time.
    #[serde(default)]
    field: Option<In<String>>,
    /// A bucket of the step's region, in place of a table: then `object` holds the time.
    #[serde(default)]
    bucket: Option<In<String>>,
    /// The object whose text is the time, and nothing else.
    #[serde(default)]
    object: Option<In<String>>,
    /// How much older than the incident the newest time may be.
    age_max: Dur,
}

/// A part of an item's key: `DynamoDB` tells a text that holds digits from a number.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a text or a number")]
enum Part {
    /// An attribute of type `S`.
    Text(String),
    /// An attribute of type `N`.
    Number(Number),
}

impl Part {
    fn value(&self) -> AttributeValue {
        match self {
            Self::Text(text) => AttributeValue::S(text.clone()),
            Self::Number(number) => AttributeValue::N(number.to_string()),
        }
    }
}

/// Where the time is kept.
enum Place<'a> {
    Item { table: &'a str, key: &'a BTreeMap<String, In<Part>>, field: &'a str },
    Object { bucket: &'a str, key: &'a str },
}

/// What a look found.
enum Found {
    Good(Time),
    NotYet(String),
}

impl VerifyCanary {
    /// Where the inputs say that it is; planning has refused all others.
    fn place(&self) -> Option<Place<'_>> {
        match (&self.table, &self.field, &self.bucket, &self.object) {
            (Some(table), Some(field), None, None) if !self.key.is_empty() => {
                Some(Place::Item { table: table.get(), key: &self.key, field: field.get() })
            }
            (None, None, Some(bucket), Some(object)) if self.key.is_empty() => {
                Some(Place::Object { bucket: bucket.get(), key: object.get() })
            }
            _ => None,
        }
    }

    /// What is written there: the text, or why there is none.
    async fn read(&self, clients: &Clients) -> Result<Result<String, String>, Failure> {
        let incomplete = || Failure::new("it names neither an item of a table nor an object of a bucket");
        match self.place().ok_or_else(incomplete)? {
            Place::Item { table, key, field } => {
                let key = key.iter().map(|(name, value)| (name.clone(), value.get().value()));
                let request = clients.dynamodb.get_item().table_name(table).set_key(Some(key.collect()));
                let reply = request.consistent_read(true).send().await;
                let reply = reply.map_err(|e| clients.call("dynamodb", "GetItem").read(&e))?;
                let Some(item) = reply.item else { return Ok(Err(format!("`{table}` has no item of this key"))) };
                Ok(match item.get(field) {
                    Some(AttributeValue::S(text) | AttributeValue::N(text)) => Ok(text.clone()),
                    Some(_) => Err(format!("`{field}` of the item is neither text nor a number")),
                    None => Err(format!("the item has no `{field}`")),
                })
            }
            Place::Object { bucket, key } => {
                let reply = match clients.s3.get_object().bucket(bucket).key(key).send().await {
                    Err(e) if code(&e) == "NoSuchKey" => return Ok(Err(format!("`{bucket}` has no object `{key}`"))),
                    reply => reply.map_err(|e| clients.call("s3", "GetObject").read(&e))?,
                };
                let length = reply.content_length().unwrap_or_default();
                if length > limits::CANARY_BYTES_MAX {
                    return Ok(Err(format!("`{key}` is {length} bytes long, which is no time")));
                }
                let body = reply.body.collect().await;
                let lost = |_| Failure::passing(format!("`{key}` of `{bucket}` did not come whole"));
                Ok(Ok(String::from_utf8_lossy(&body.map_err(lost)?.into_bytes()).into_owned()))
            }
        }
    }

    async fn look(&self, cx: &ReadCx) -> Result<Found, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let text = match self.read(&clients).await? {
            Ok(text) => text,
            Err(why) => return Ok(Found::NotYet(why)),
        };
        Ok(newest::judge(cx, &text, self.age_max)?.map_or_else(Found::NotYet, Found::Good))
    }

    fn output(&self, cx: &ReadCx, at: Time) -> Output {
        let source = match self.place() {
            Some(Place::Item { table, field, .. }) => format!("canary `{field}` of {table}"),
            Some(Place::Object { bucket, key }) => format!("canary `{key}` of {bucket}"),
            None => "canary".into(),
        };
        Output { values: newest::values(cx, at), recovery_point: Some(RecoveryPoint { at, source }) }
    }
}

impl Explained for VerifyCanary {
    const REFERENCE: Reference = Reference {
        check: "One consistent `GetItem`, or one `GetObject`, in the step's region. Done when the time that stands \
            there is at most `age_max` older than the incident. What is no time, or lies in the future, fails the \
            step.",
        run: "Looks again until it is so, as long as the step's `timeout` lets it: what is replicated may still \
            arrive.",
        undo: None,
        recovery_point: Some("The time that stands there."),
        time: "At once, where it is there.",
        traps: &[
            "It has to be prepared: something writes the present moment there, in the primary region, more often than \
             `age_max`, into the very store that is to be proven.",
            "Tables and buckets replicate each item by itself: that this one arrived does not say that all older ones \
             did.",
            "A writer that writes into both regions, or here, proves nothing.",
            "What was restored stays as old as it is: there the wait ends with `timeout`, and somebody decides.",
        ],
        example: "
            carts_arrived:
              do:
                verify.canary:
                  table: carts
                  key: { customer: canary, item: eu-west-1 }
                  field: written_at
                  age_max: 2m
              timeout: 5m
              rpo: 2m
            media_arrived:
              do:
                verify.canary:
                  bucket: media-eu-central-1
                  object: canary/eu-west-1.txt
                  age_max: 15m
              timeout: 20m
        ",
    };
}

#[async_trait]
impl Step for VerifyCanary {
    fn describe(&self) -> Description {
        let (place, action) = match (&self.table, &self.bucket) {
            (Some(table), _) => (format!("table `{table}`"), "dynamodb:GetItem"),
            (_, bucket) => {
                let bucket = bucket.as_ref().map_or_else(String::new, ToString::to_string);
                (format!("bucket `{bucket}`"), "s3:GetObject")
            }
        };
        let summary = format!("looks for what was written into {place} until {} before the incident", self.age_max);
        Description { summary, actions: vec![action, "kms:Decrypt"], ..Description::default() }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mistake = |field, message: &str, help: &str| Mistake { field, message: message.into(), help: help.into() };
        let whole = "name a table with `key` and `field`, or a bucket with `object`";
        if self.table.is_some() == self.bucket.is_some() {
            let field = if self.table.is_some() { "bucket" } else { "age_max" };
            return vec![mistake(field, "a canary is in a table or in a bucket", whole)];
        }
        match self.place() {
            Some(_) => Vec::new(),
            None if self.table.is_some() => {
                vec![mistake("table", "an item of a table wants its `key` and the `field`, and no `object`", whole)]
            }
            None => vec![mistake("bucket", "a canary of a bucket wants an `object`, and no `key` or `field`", whole)],
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::text("written_at"), OutputName::number("before_incident_ms")]
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(match self.look(cx).await? {
            Found::Good(at) => Check::Done(self.output(cx, at)),
            Found::NotYet(why) => {
                cx.progress(&why);
                Check::Absent
            }
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let arrived = || async {
            Ok(match self.look(&cx.read).await? {
                Found::Good(at) => Look::Ready(at),
                Found::NotYet(why) => Look::Pending(why),
            })
        };
        let at = cx.read.poll(arrived).await?;
        Ok(self.output(&cx.read, at))
    }
}
