//! What an author writes, as types: the grammar of the runbook file.
//!
//! The same types give the JSON Schema for editors, so the sentences here are
//! what an author reads while writing. What a step does stands under `do:` and
//! is read by its kind; here it is only a place.

use crate::{
    comms::Comms,
    duration::Dur,
    plan::{Account, OnFailure, OnUnknown, Role, SecretName},
    yaml::Spanned,
};
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, de::IgnoredAny};
use serde_json::Value;
use std::{borrow::Cow, num::NonZeroU32};

/// A recovery plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Runbook {
    /// The version of the grammar: `v1`.
    pub dr: Spanned<String>,
    /// The runbook's name; typed to start a live run.
    pub name: Spanned<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Which team keeps it.
    pub owner: Option<String>,
    /// Names for regions; `primary` and `recovery` are used by steps.
    #[serde(default)]
    pub regions: IndexMap<String, String>,
    /// Names for accounts. The caller's identity is compared before the first change.
    #[serde(default)]
    pub accounts: IndexMap<String, AccountText>,
    /// What the recovery is measured against.
    pub objectives: Option<ObjectivesText>,
    /// Who is who. Whoever says `--as NAME` must stand here.
    #[serde(default)]
    pub roles: IndexMap<String, RoleText>,
    /// Values given with `--param NAME=VALUE`, for `${params.NAME}`.
    #[serde(default)]
    pub params: Part<IndexMap<String, Param>>,
    /// Who hears of the recovery, where, and how often.
    pub comms: Option<Comms>,
    /// An object in S3, in the recovery region, that whoever runs this recovery holds: two laptops
    /// cannot both start it. As in `s3://dr-eu-central-1/claims/production`.
    pub claim: Option<Spanned<String>>,
    /// What steps take that do not say otherwise.
    pub defaults: Option<Defaults>,
    /// The names of phases, if not announce, datastores, services, cdn, dns, verify, close.
    pub phases: Option<Vec<String>>,
    /// Services, started in the order of their dependencies.
    #[serde(default)]
    pub services: Part<IndexMap<String, Service>>,
    /// The steps, by id.
    #[serde(default)]
    pub steps: Part<IndexMap<String, StepText>>,
    /// Probes that must all be good, and stay good for `objectives.hold`.
    #[serde(default)]
    pub verify: Part<IndexMap<String, Do>>,
    /// The way home. Kept and shown, acted on by a later version.
    #[serde(default)]
    pub failback: Part<Value>,
}

/// A place in the file that is read later, with more in scope; in the schema
/// it is what will be read there.
#[derive(Debug)]
pub struct Part<T>(std::marker::PhantomData<T>);

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<'de, T> Deserialize<'de> for Part<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self::default())
    }
}

impl<T: JsonSchema> JsonSchema for Part<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// Exactly one kind of work and what it is given. Its schema is filled in from
/// the registry.
#[derive(Debug)]
pub struct Do;

impl JsonSchema for Do {
    fn schema_name() -> Cow<'static, str> {
        "Do".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }
}

/// One step.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepText {
    /// What it does: exactly one kind of work.
    #[serde(default, rename = "do")]
    pub act: Part<Do>,
    /// Another runbook whose steps become `ID/…`.
    pub include: Option<Spanned<String>>,
    /// Parameters for the included runbook.
    #[serde(default)]
    pub params: Part<IndexMap<String, Value>>,
    /// The phase it is shown under. A phase groups; it never orders.
    pub phase: Option<Spanned<String>>,
    /// Steps, services or phases (`phase.datastores`) that must be done before.
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
    /// A CEL condition over params, mode, regions and earlier outputs; false skips the step.
    pub when: Option<Spanned<String>>,
    /// A list or a map: one instance of the step for each, with `${each.key}` and `${each.value}`.
    #[serde(default)]
    pub for_each: Part<Value>,
    /// What a failure means: hold (a person is asked, the rest goes on), continue, stop.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// When it cannot be told whether the step had its effect: ask a person, or look again.
    #[serde(default)]
    pub on_unknown: OnUnknown,
    /// How often it is tried and how long the pauses are.
    pub retry: Option<RetryText>,
    /// When an attempt ends. Default 2h.
    #[serde(default, deserialize_with = "some_time")]
    pub timeout: Option<Dur>,
    /// How long a look that fails is repeated. Default 2m.
    pub check_timeout: Option<Dur>,
    /// How long it usually takes.
    pub estimate: Option<Spanned<EstimateText>>,
    /// It cannot be taken back: it needs an approval, or `--accept-irreversible`.
    #[serde(default)]
    pub irreversible: bool,
    /// Who has to agree before it starts.
    pub approve: Option<Approve>,
    /// The step that keeps the old writer from writing. It comes before, and only its proof counts,
    /// or the word of two people.
    pub fence: Option<Spanned<String>>,
    /// It loses what was written last: the executive, else the Incident Commander, is asked before,
    /// with the number as it is then.
    pub data_loss: Option<Spanned<DataLossText>>,
    /// This store's own recovery point objective.
    pub rpo: Option<Dur>,
    /// The region it works in: a name under `regions`, or a region. Default `recovery`.
    pub region: Option<Spanned<String>>,
    /// The account it works in. Default the only one.
    pub account: Option<Spanned<String>>,
}

/// A service: it becomes the steps `NAME` and `NAME_healthy`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Services whose health it waits for.
    #[serde(default)]
    pub depends_on: Vec<Spanned<String>>,
    /// Steps or phases it waits for.
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
    /// How it is started.
    #[serde(default)]
    pub start: Part<Do>,
    /// How its health is seen.
    #[serde(default)]
    pub healthy: Part<Do>,
    /// How long the start usually takes.
    pub estimate: Option<Spanned<EstimateText>>,
    /// How long until it is healthy, once started.
    pub healthy_estimate: Option<Spanned<EstimateText>>,
    /// When an attempt at starting ends.
    #[serde(default, deserialize_with = "some_time")]
    pub timeout: Option<Dur>,
    /// The region it works in.
    pub region: Option<Spanned<String>>,
    /// The account it works in.
    pub account: Option<Spanned<String>>,
}

/// An account of the provider.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountText {
    /// Its number: twelve digits, in quotes.
    pub id: Spanned<String>,
    /// The role that its steps work as, by its ARN. It is assumed with the credentials of whoever runs `dr`,
    /// at the STS of the recovery region; without one its steps work with those credentials themselves.
    pub role: Option<Spanned<String>>,
    /// The external id that the role asks for, as in `{ secret: env:DR_EXTERNAL_ID }`. The journal
    /// keeps the name alone.
    pub external_id: Option<ExternalIdText>,
}

/// Where an external id is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalIdText {
    /// Where it is read when the role is assumed: `env:NAME` or `file:PATH`.
    pub secret: Spanned<String>,
}

impl From<AccountText> for Account {
    fn from(text: AccountText) -> Self {
        let external_id = text.external_id.map(|it| SecretName { secret: it.secret.value });
        Self { id: text.id.value, role: text.role.map(|role| role.value), external_id }
    }
}

/// Recovery objectives.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectivesText {
    /// Within this time of the incident the service must be healthy.
    pub rto: Option<Dur>,
    /// At most this much data, counted in time, may be lost.
    pub rpo: Option<Dur>,
    /// How long every probe of `verify` must stay good before it counts.
    pub hold: Option<Dur>,
    /// Who set them.
    pub set_by: Option<String>,
    /// When they were set.
    pub set_on: Option<String>,
}

/// A person in a role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleText {
    /// Their name, as they say it with `--as`.
    pub name: String,
    /// Mail address.
    pub email: Option<String>,
    /// Slack member id.
    pub slack: Option<String>,
    /// Phone number in international form.
    pub phone: Option<String>,
    /// Names of those who stand in.
    #[serde(default)]
    pub deputies: Vec<String>,
}

impl From<RoleText> for Role {
    fn from(text: RoleText) -> Self {
        let RoleText { name, email, slack, phone, deputies } = text;
        Self { name, email, slack, phone, deputies }
    }
}

/// A parameter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Param {
    /// What it is.
    #[serde(rename = "type")]
    pub is: ParamType,
    /// Its value when none is given; without one it must be given.
    pub default: Option<Spanned<Value>>,
    /// What it is for.
    pub description: Option<String>,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// Text.
    String,
    /// A whole or broken number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A number and a unit: 30s, 15m, 1h.
    Duration,
    /// A list; on the command line as JSON.
    List,
    /// A map; on the command line as JSON.
    Map,
}

/// What is to be done about writes that a step loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataLossText {
    /// Somebody acknowledges the loss, with its number at hand.
    Acknowledge,
}

/// How often a step is tried.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryText {
    /// All attempts, the first included. Default 3.
    pub attempts: Option<NonZeroU32>,
    /// The pauses: the first, and the longest they grow to, as `5s..2m`.
    pub backoff: Option<Backoff>,
}

/// Two durations: `5s..2m`.
#[derive(Debug, Clone, Copy)]
pub struct Backoff(pub Dur, pub Dur);

impl<'de> Deserialize<'de> for Backoff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not a range of durations, as in 5s..2m"));
        let (min, max) = text.split_once("..").ok_or_else(wrong)?;
        let (min, max): (Dur, Dur) = (min.parse().map_err(|_| wrong())?, max.parse().map_err(|_| wrong())?);
        if min > max {
            let why = format!("`{text}` runs backwards: the first pause is longer than the longest");
            return Err(serde::de::Error::custom(why));
        }
        Ok(Self(min, max))
    }
}

impl JsonSchema for Backoff {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Backoff".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^\d+[a-z]+\.\.\d+[a-z]+$" })
    }
}

/// A time that something may take: an attempt that may take none has failed already.
fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Dur>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(Dur(0)) => Err(serde::de::Error::custom("a time longer than `0s` is wanted")),
        time => Ok(time),
    }
}

/// How long something takes.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EstimateText {
    /// Half of the times it takes no longer.
    pub p50: Dur,
    /// Nine times of ten it takes no longer.
    pub p90: Dur,
}

/// Who has to agree.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Approve {
    /// Whose agreement counts; empty is anybody's.
    pub roles: Vec<Spanned<String>>,
    /// How many must agree. Default 1.
    pub count: Option<NonZeroU32>,
    /// Whoever started the run may not approve.
    pub not_starter: bool,
    /// After this time it is told as late; it stays open.
    #[serde(default, deserialize_with = "some_time")]
    pub timeout: Option<Dur>,
    /// What is asked, if the step's own description does not do.
    pub question: Option<String>,
}

/// What steps take that do not say otherwise.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// When an attempt ends.
    #[serde(default, deserialize_with = "some_time")]
    pub timeout: Option<Dur>,
    /// How often a step is tried.
    pub retry: Option<RetryText>,
}
