//! `dns.verify`: every name server of a zone gives the same, right answer.
//!
//! The servers themselves are asked, not a resolver: what a cache says shows
//! what was, and how long it will be so is the old TTL's affair. Each one is
//! asked not to ask others, must answer for the zone, and must give exactly the
//! wanted values. It works while Route 53's control plane is down, if `servers`
//! is given: answering is done by its data plane, at hundreds of places (AWS
//! Fault Isolation Boundaries, Route 53).
//!
//! Where a runbook's world names name servers of its own, as a lab does, they
//! are asked in place of every server that is given by name.
//!
//! Left out: whether the parent zone delegates to these servers, public
//! resolvers, DNSSEC, and members of a routing set other than the one that
//! answers here.

mod values;

use crate::{aws::Clients, dns, reach, world::World};
use async_trait::async_trait;
use aws_sdk_route53::types::{HostedZone, HostedZoneConfig};
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use futures_util::future::join_all;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};
use tokio::sync::OnceCell;

/// Waits until every name server of a zone answers with exactly these values.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsVerify {
    /// The hosted zone whose name servers are asked: its id, or its domain name
    /// if there is one public zone of that name. Needed without `servers`.
    #[serde(default)]
    zone: Option<In<String>>,
    /// The record's name; the dot at the end may be left out.
    name: In<String>,
    /// Its type, as in CNAME or A.
    #[serde(rename = "type")]
    kind: In<String>,
    /// All its values, in any order; an empty list when there is to be none.
    values: Vec<In<String>>,
    /// The name servers to ask: names or addresses, with a port if it is not
    /// 53. With them Route 53 itself is not asked. Default: those of the zone.
    #[serde(default)]
    servers: Vec<In<String>>,
    /// Those of the zone, once they are known.
    #[serde(skip)]
    #[schemars(skip)]
    known: OnceCell<Vec<String>>,
}

/// The fact that holds the name servers of the zone.
const SERVERS: &str = "servers";
/// The port of name servers.
const PORT: u16 = 53;

/// What is asked, and what the answer has to be.
pub(crate) struct Question {
    /// The record, as the runbook names it.
    title: String,
    name: Name,
    of: RecordType,
    values: BTreeSet<String>,
}

/// What one look at all servers gave.
pub(crate) struct Seen {
    /// How many were asked.
    pub(crate) servers: usize,
    /// The longest time that a resolver keeps the right answer.
    pub(crate) ttl: u32,
    /// What all of them say, where they say the same.
    pub(crate) alike: Option<BTreeSet<String>>,
    /// The servers that do not agree, and what each says.
    others: Vec<String>,
    /// One of them at least answers, and otherwise.
    contradicted: bool,
}

impl Seen {
    /// Whether all servers give the right answer.
    pub(crate) fn agree(&self) -> bool {
        self.others.is_empty()
    }

    /// Whether one at least gives another answer: not only silence, or none for this zone.
    pub(crate) fn contradicted(&self) -> bool {
        self.contradicted
    }
}

impl Question {
    /// What the servers are to say of a record.
    pub(crate) fn new<'a>(name: &str, kind: &str, values: impl Iterator<Item = &'a str>) -> Result<Self, Failure> {
        let of = values::kind(kind)?;
        let values = values.map(|value| values::wanted(of, value)).collect::<Result<_, _>>()?;
        Ok(Self { title: format!("{name} {kind}"), name: values::name(name)?, of, values })
    }

    /// Asks every server once, all at the same time.
    pub(crate) async fn look(&self, cx: &ReadCx, servers: &[String]) -> Result<Seen, Failure> {
        let places: Vec<_> = servers.iter().map(|server| place(server)).collect::<Result<_, _>>()?;
        let asked = servers.iter().zip(places).map(|(server, place)| async move {
            (server.trim_end_matches('.').to_owned(), ask(cx, self, place).await)
        });
        let mut seen = Seen { servers: servers.len(), ttl: 0, alike: None, others: Vec::new(), contradicted: false };
        let mut answers = Vec::new();
        for (server, said) in join_all(asked).await {
            match said {
                Ok((values, ttl)) => {
                    if values == self.values {
                        seen.ttl = seen.ttl.max(ttl.unwrap_or(0));
                    } else if values.is_empty() {
                        seen.others.push(format!("{server} has no such record"));
                    } else {
                        seen.others.push(format!("{server} says {}", Vec::from_iter(values.clone()).join(", ")));
                    }
                    answers.push(values);
                }
                Err(why) => seen.others.push(format!("{server} {why}")),
            }
        }
        seen.contradicted = answers.iter().any(|values| *values != self.values);
        let same = answers.len() == servers.len() && answers.windows(2).all(|two| two[0] == two[1]);
        seen.alike = if same { answers.pop() } else { None };
        Ok(seen)
    }

    /// A sentence about what was seen.
    pub(crate) fn says(&self, seen: &Seen) -> String {
        let (all, title) = (seen.servers, &self.title);
        if seen.agree() {
            return format!("all {all} name servers agree on {title}");
        }
        let agree = all - seen.others.len();
        format!("{agree} of {all} name servers agree on {title}: {}", seen.others.join("; "))
    }
}

impl DnsVerify {
    fn question(&self) -> Result<Question, Failure> {
        Question::new(self.name.get(), self.kind.get(), self.values.iter().map(|value| value.get().as_str()))
    }

    /// The servers to ask, as they are called.
    async fn servers(&self, cx: &ReadCx) -> Result<Vec<String>, Failure> {
        if !self.servers.is_empty() {
            return Ok(self.servers.iter().map(|server| server.get().clone()).collect());
        }
        if let Some(known) = cx.fact(SERVERS).and_then(|fact| serde_json::from_value(fact.clone()).ok()) {
            return Ok(known);
        }
        self.known.get_or_try_init(|| self.delegation(cx)).await.cloned()
    }

    /// The name servers that Route 53 gave the zone.
    async fn delegation(&self, cx: &ReadCx) -> Result<Vec<String>, Failure> {
        let zone = self
            .zone
            .as_ref()
            .ok_or_else(|| Failure::new("neither `zone` nor `servers` says whom to ask").hint("give one of them"))?;
        let clients = World::of(cx).aws.read(cx).await?;
        let id = zone_id(&clients, zone.get()).await.map_err(without)?;
        let reply = clients.route53.get_hosted_zone().id(&id).send().await;
        let reply = reply.map_err(|e| without(clients.call("route53", "GetHostedZone").read(&e)))?;
        match reply.delegation_set().map(|set| set.name_servers().to_vec()) {
            Some(servers) if !servers.is_empty() => Ok(servers),
            _ => Err(Failure::new(format!("zone `{zone}` is private: no name server of its own can be asked"))
                .hint("give `servers`, or look at it with a `command` from inside the network")),
        }
    }

    async fn look(&self, cx: &ReadCx, question: &Question) -> Result<Seen, Failure> {
        question.look(cx, &self.servers(cx).await?).await
    }
}

/// A hosted zone by its id, or by its name.
async fn zone_id(clients: &Clients, given: &str) -> Result<String, Failure> {
    let given = given.trim_start_matches("/hostedzone/");
    if !given.contains('.') {
        return Ok(given.to_owned());
    }
    let wanted = values::plain(&values::name(given)?);
    let reply = clients.route53.list_hosted_zones_by_name().dns_name(&wanted).send().await;
    let reply = reply.map_err(|e| clients.call("route53", "ListHostedZonesByName").read(&e))?;
    let named = |z: &&HostedZone| values::name(z.name()).is_ok_and(|name| values::plain(&name) == wanted);
    let public = |z: &&HostedZone| !z.config().is_some_and(HostedZoneConfig::private_zone);
    let found: Vec<_> = reply.hosted_zones().iter().filter(named).filter(public).collect();
    match found[..] {
        [one] => Ok(one.id().trim_start_matches("/hostedzone/").to_owned()),
        [] => Err(Failure::new(format!("there is no public hosted zone `{wanted}`"))),
        _ => Err(Failure::new(format!("there are {} public hosted zones `{wanted}`", found.len()))
            .hint("give the zone's id")),
    }
}

/// The same failure, with the way around Route 53's control plane.
fn without(failure: Failure) -> Failure {
    if failure.transient { failure.hint("with `servers` in the runbook Route 53 itself is not asked") } else { failure }
}

/// Where a server is.
enum Place {
    At(SocketAddr),
    Named(String, u16),
}

fn place(text: &str) -> Result<Place, Failure> {
    if let Ok(at) = text.parse() {
        return Ok(Place::At(at));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Place::At(SocketAddr::new(ip, PORT)));
    }
    let (host, port) =
        if text.contains(':') { reach::host_and_port(text).map_err(Failure::new)? } else { (text.to_owned(), PORT) };
    Ok(Place::Named(values::plain(&values::name(&host)?), port))
}

/// The values that a server gives, and how long they are kept; or why it gives none.
async fn ask(cx: &ReadCx, question: &Question, place: Place) -> Result<(BTreeSet<String>, Option<u32>), String> {
    let nameservers = &World::of(cx).nameservers;
    let places = match place {
        Place::At(at) => vec![at],
        Place::Named(..) if !nameservers.is_empty() => nameservers.clone(),
        Place::Named(host, port) => {
            let found = dns::resolve(cx, &host).await.map_err(|why| format!("is not asked: {why}"))?;
            found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
        }
    };
    let mut why = "has no address".to_owned();
    for place in places {
        let answer = match dns::authority(cx, place, &question.name, question.of).await {
            Ok(answer) => answer,
            // It may be reached by its other addresses: IPv4 and IPv6 are one server.
            Err(silence) => {
                why = silence;
                continue;
            }
        };
        return match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain if !answer.metadata.authoritative => {
                Err("does not answer for this zone".into())
            }
            ResponseCode::NoError | ResponseCode::NXDomain => {
                let said = values::said(&answer, question.of);
                match values::alias(&answer).filter(|_| said.0.is_empty()) {
                    Some(alias) => Err(format!("says it is an alias of {alias}")),
                    None => Ok(said),
                }
            }
            code => Err(format!("refuses to answer: {code}")),
        };
    }
    Err(why)
}

fn output(seen: &Seen) -> Output {
    let mut output = Output::default();
    output.values.insert("servers".into(), seen.servers.into());
    output.values.insert("ttl".into(), seen.ttl.into());
    output
}

impl Explained for DnsVerify {
    const REFERENCE: Reference = Reference {
        check: "Asks every name server itself, not a resolver. Done when each answers for the zone and gives \
            exactly these values. Without `servers` it first calls `ListHostedZonesByName` (for a zone given \
            by name) and `GetHostedZone`.",
        run: "Looks again until all servers agree, as long as the step's `timeout` lets it.",
        undo: None,
        recovery_point: None,
        time: "Not known by itself: it ends when the last name server has the change.",
        traps: &[
            "Caches are not asked: users may get the old answer as long as the old TTL says. The output \
             `ttl` is the TTL of the new one.",
            "To find the servers of a `zone` Route 53's control plane in us-east-1 is asked. With `servers` \
             it is not.",
            "Only the member of a routing set is seen that answers here.",
            "Delegation by the parent zone and DNSSEC are not looked at.",
            "A private zone has no name servers that can be asked: it is refused.",
        ],
        example: "
            dns_moved:
              do:
                dns.verify:
                  zone: example.com
                  name: app.example.com
                  type: CNAME
                  values: [app.eu-central-1.example.com]
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for DnsVerify {
    fn describe(&self) -> Description {
        let given = !self.servers.is_empty();
        let values: Vec<_> = self.values.iter().map(ToString::to_string).collect();
        let values = if values.is_empty() { "nothing".into() } else { values.join(", ") };
        Description {
            summary: format!("wait until every name server says that {} {} is {values}", self.name, self.kind),
            actions: if given { Vec::new() } else { vec!["route53:GetHostedZone", "route53:ListHostedZonesByName"] },
            control_plane: (!given).then_some("us-east-1"),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::number("servers"), OutputName::number("ttl")]
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let question = match self.question() {
            Ok(question) => question,
            Err(failure) => return Ok(Check::Impossible(failure)),
        };
        let seen = match self.look(cx, &question).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            seen => seen?,
        };
        cx.progress(&question.says(&seen));
        Ok(if seen.agree() { Check::Done(output(&seen)) } else { Check::Absent })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let question = self.question()?;
        if self.servers.is_empty() && cx.read.fact(SERVERS).is_none() {
            cx.record(SERVERS, json!(self.servers(&cx.read).await?)).await;
        }
        let all = || async {
            let seen = self.look(&cx.read, &question).await?;
            Ok(if seen.agree() { Look::Ready(output(&seen)) } else { Look::Pending(question.says(&seen)) })
        };
        Ok(cx.read.poll(all).await?)
    }
}
