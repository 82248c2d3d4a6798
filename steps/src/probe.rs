//! One look at whether something answers as it should.

use crate::{
    client::{self, Answer},
    command, limits, process, reach,
    redact::Redactor,
    secret::TextOrSecret,
    text::Word,
    web::{self, Expect, Headers, WebUrl},
    world::World,
};
use bytes::Bytes;
use dr_engine::{
    duration::Dur,
    outcome::{Failure, RecoveryPoint},
    step::ReadCx,
    yaml::In,
};
use hyper::{Method, header::HeaderMap};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};
use url::Url;

/// What a probe saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// It is as it should be.
    pub(crate) good: bool,
    /// In words.
    pub(crate) says: String,
    /// In values, for other steps.
    pub(crate) values: Map<String, Value>,
    /// Which moment the data is of, where that was looked for.
    pub(crate) recovery_point: Option<RecoveryPoint>,
}

impl Seen {
    /// It is as it should be.
    pub(crate) fn good(says: String, values: Value) -> Self {
        let Value::Object(values) = values else { unreachable!("values have names") };
        Self { good: true, says, values, recovery_point: None }
    }

    /// It is not as it should be, or not yet.
    pub(crate) fn bad(says: impl Into<String>) -> Self {
        Self { good: false, says: says.into(), values: Map::new(), recovery_point: None }
    }

    /// What cannot pass is an error; what can is something seen.
    pub(crate) fn of(failure: Failure) -> Result<Self, Failure> {
        if failure.transient { Ok(Self::bad(failure.message)) } else { Err(failure) }
    }
}

/// A GET.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// What to get. Redirects are not followed.
    pub url: In<WebUrl>,
    /// Headers: a text, or `{ secret: env:NAME }`.
    #[serde(default)]
    pub headers: Headers,
    /// What the answer has to be. Default: a status from 200 to 299.
    #[serde(default)]
    pub expect: Expect,
}

/// A connection.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpProbe {
    /// Where to connect: `host:port`.
    pub address: In<HostPort>,
}

/// A program.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandProbe {
    /// A program that only looks, with its arguments. Exit 0 is good; no shell reads them.
    #[serde(deserialize_with = "crate::text::argv")]
    pub argv: Vec<In<Word>>,
    /// Variables of its environment: a text, or `{ secret: env:NAME }`.
    #[serde(default)]
    pub env: BTreeMap<String, In<TextOrSecret>>,
    /// The folder it runs in, relative to the runbook. Default: the runbook's.
    pub cwd: Option<In<String>>,
}

impl HttpProbe {
    /// One look; `resolve` says where hosts are, whatever their names say.
    pub(crate) async fn look(
        &self,
        cx: &ReadCx,
        resolve: &BTreeMap<String, Place>,
        latency_max: Option<Dur>,
    ) -> Result<Seen, Failure> {
        let mut redactor = Redactor::default();
        let headers = web::without_empty(web::headers(cx, &self.headers, &mut redactor)?);
        let since = cx.clock.now();
        let (answer, address) = match fetch(cx, &self.url.get().0, headers, resolve).await {
            Ok(got) => got,
            Err(failure) => return Seen::of(failure),
        };
        let took = cx.clock.now().since(since);
        if let Some(why) = self.expect.unmet(&answer, &redactor) {
            return Ok(Seen::bad(why));
        }
        if let Some(max) = latency_max.filter(|max| took > *max) {
            return Ok(Seen::bad(format!("answered after {took}, wanted within {max}")));
        }
        let values = json!({
            "healthy": true, "status": answer.status, "latency_ms": took.0, "address": address.to_string(),
        });
        Ok(Seen::good(format!("status {} after {took}", answer.status), values))
    }
}

/// One GET, and the address that answered it. What can pass is transient.
pub(crate) async fn fetch(
    cx: &ReadCx,
    url: &Url,
    headers: HeaderMap,
    resolve: &BTreeMap<String, Place>,
) -> Result<(Answer, SocketAddr), Failure> {
    let port = url.port_or_known_default().unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let fixed = resolve.iter().find(|(name, _)| name.eq_ignore_ascii_case(host)).map(|(_, place)| place.at(port));
    let line = client::connect(cx, url, fixed).await?;
    let address = line.address;
    let answer = line.send(cx, (Method::GET, url), headers, Bytes::new(), limits::PROBE_TIMEOUT).await;
    answer.map(|answer| (answer, address)).map_err(Failure::passing)
}

impl TcpProbe {
    /// One look.
    pub(crate) async fn look(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        let HostPort(host, port) = self.address.get();
        match reach::connect(cx, host, *port, None).await {
            Ok((_, address)) => {
                let values = json!({ "healthy": true, "address": address.to_string() });
                Ok(Seen::good(format!("connected to {address}"), values))
            }
            Err(failure) => Seen::of(failure),
        }
    }
}

impl CommandProbe {
    /// One look.
    pub(crate) async fn look(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        let argv = self.argv.iter().map(|word| word.get().0.clone()).collect();
        let job = command::job(cx, argv, &self.env, self.cwd.as_ref())?;
        let looked = job.look(cx, World::of(cx).logs().as_deref()).await;
        let looked = match looked {
            Ok(looked) => looked,
            Err(failure) => return Seen::of(failure),
        };
        if looked.status.success() {
            return Ok(Seen::good("exit code 0".into(), json!({ "healthy": true })));
        }
        let colon = if looked.said.is_empty() { "" } else { ": " };
        Ok(Seen::bad(format!("{}{colon}{}", process::ending(looked.status), looked.said)))
    }
}

/// `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort(String, u16);

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0, self.1)
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        reach::host_and_port(&text).map(|(host, port)| Self(host, port)).map_err(de::Error::custom)
    }
}

impl JsonSchema for HostPort {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HostPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^.+:[0-9]+$" })
    }
}

/// Where a host is, whatever its name says: an address, with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(IpAddr, Option<u16>);

impl Place {
    pub(crate) fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.0, self.1.unwrap_or(port))
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.parse().map(|ip| Self(ip, None));
        let with_port = || text.parse().map(|at: SocketAddr| Self(at.ip(), Some(at.port())));
        whole.or_else(|_| with_port()).map_err(|_| format!("`{text}` is not an address: 10.0.0.1, or 10.0.0.1:8080"))
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(port) => SocketAddr::new(self.0, port).fmt(f),
            None => self.0.fmt(f),
        }
    }
}

impl JsonSchema for Place {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Place".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F.:\\[\\]]+$" })
    }
}
