//! `arc.routing_control`: users are sent elsewhere by switches that do not
//! depend on any one region.
//!
//! Routing controls are kept by a cluster with endpoints in five regions, and
//! health checks, and so DNS, follow them. Of the whole way only data planes
//! are used: the endpoints are written in the plan beforehand, since to look
//! them up asks the configuration API in us-west-2 (ARC Developer Guide, "Best
//! practices for routing control").
//!
//! Left out: to override safety rules. Such a rule is there to keep a step as
//! this one from sending users nowhere; whoever knows better does it by hand.

mod cluster;

pub use cluster::Switch;

use crate::{
    aws::Clients,
    before::{self, BEFORE},
    promotion::{self, Asked},
    reach,
    world::World,
};
use async_trait::async_trait;
use cluster::{Cluster, Seen, States, is_region, name, text};
use dr_engine::{
    clock::Time,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use url::Url;

/// Sends users elsewhere by ARC routing controls, set together at whichever endpoint of the cluster answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutingControl {
    /// The routing controls that are set together, as in: the one of the lost region Off, the one of the recovery On.
    controls: Vec<Control>,
    /// The endpoints of the cluster, all five, as `aws route53-recovery-control-config describe-cluster` names
    /// them; looked up beforehand, since that API is in us-west-2 alone.
    endpoints: Vec<Endpoint>,
}

/// One routing control.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Control {
    /// Its ARN.
    arn: In<String>,
    /// What it is to be.
    state: In<Switch>,
}

/// One endpoint of the cluster.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    /// Its URL.
    endpoint: In<String>,
    /// Its region, for which calls to it are signed.
    region: In<String>,
}

/// What stood before the call, so that it can be set again.
#[derive(Debug, Serialize, Deserialize)]
struct Before {
    /// What was asked for.
    wanted: States,
    /// When.
    at: Time,
    /// As the controls were before this run set any of them.
    states: States,
}

impl Before {
    fn asked(&self, cx: &ReadCx) -> Asked {
        Asked { at: self.at, accepted: before::is_accepted(cx, BEFORE, &text(&self.wanted)) }
    }
}

/// With fewer endpoints than AWS keeps reachable at any time, a step could find none.
const ENDPOINTS_MIN: usize = 3;

fn known<T>(input: &In<T>) -> Option<&T> {
    match input {
        In::Lit(value) => Some(value),
        In::Later(_) => None,
    }
}

fn mistake(field: &'static str, message: impl Into<String>, help: &str) -> Mistake {
    Mistake { field, message: message.into(), help: help.into() }
}

impl Endpoint {
    fn mistakes(&self) -> Vec<Mistake> {
        let region = known(&self.region);
        let mut found = Vec::new();
        if let Some(region) = region.filter(|region| !is_region(region)) {
            found.push(mistake("endpoints", format!("`{region}` is no region"), "a region looks like eu-west-1"));
        }
        let Some(given) = known(&self.endpoint) else { return found };
        let help = "an endpoint looks like https://aaaaaaaa.route53-recovery-cluster.eu-west-1.amazonaws.com/v1";
        match given.parse::<Url>() {
            Err(_) => found.push(mistake("endpoints", format!("`{given}` is no URL"), help)),
            Ok(url) if url.scheme() != "https" && !(url.scheme() == "http" && reach::is_loopback(&url)) => {
                found.push(mistake("endpoints", format!("`{given}` is not https"), help));
            }
            Ok(url) => {
                let host = url.host_str().unwrap_or_default();
                let other = host.split('.').find(|word| is_region(word)).filter(|_| region.is_some());
                if let Some(other) = other.filter(|other| region.is_some_and(|region| region != other)) {
                    let message = format!("`{given}` is in {other}, and `region` says otherwise");
                    found.push(mistake("endpoints", message, "a call that is signed for another region is refused"));
                }
            }
        }
        found
    }
}

impl RoutingControl {
    fn endpoint_mistakes(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        if self.endpoints.len() < ENDPOINTS_MIN {
            let message =
                format!("{} endpoints are too few: up to two of a cluster's five may be down", self.endpoints.len());
            let help = "name all that `aws route53-recovery-control-config describe-cluster` lists";
            found.push(mistake("endpoints", message, help));
        }
        found.extend(self.endpoints.iter().flat_map(Endpoint::mistakes));
        for values in [
            self.endpoints.iter().filter_map(|at| known(&at.endpoint)).collect::<Vec<_>>(),
            self.endpoints.iter().filter_map(|at| known(&at.region)).collect(),
        ] {
            if let Some(twice) = twice(&values) {
                let message = format!("`{twice}` is there twice");
                found.push(mistake("endpoints", message, "a cluster has one endpoint in each of five regions"));
            }
        }
        found
    }

    fn control_mistakes(&self) -> Vec<Mistake> {
        let arns: Vec<_> = self.controls.iter().filter_map(|control| known(&control.arn)).collect();
        let mut found = Vec::new();
        if self.controls.is_empty() {
            found.push(mistake("controls", "there is no control to set", "name the controls by their ARNs"));
        }
        for arn in &arns {
            if !arn.starts_with("arn:")
                || !arn.contains(":route53-recovery-control:")
                || !arn.contains("/routingcontrol/")
            {
                let help =
                    "it looks like arn:aws:route53-recovery-control::123456789012:controlpanel/…/routingcontrol/…";
                found.push(mistake("controls", format!("`{arn}` is not the ARN of a routing control"), help));
            }
        }
        if let Some(twice) = twice(&arns) {
            found.push(mistake("controls", format!("`{twice}` is there twice"), "a control has one state"));
        }
        found
    }

    fn wanted(&self) -> States {
        self.controls.iter().map(|control| (control.arn.get().clone(), *control.state.get())).collect()
    }

    fn cluster(&self, cx: &ReadCx, clients: &Clients) -> Result<Cluster, Failure> {
        // Inputs that were references when the plan was made are looked at here for the first time.
        if let Some(Mistake { message, help, .. }) = self.mistakes().into_iter().next() {
            return Err(Failure::new(message).hint(help));
        }
        let endpoints = self.endpoints.iter().map(|at| (at.endpoint.get().as_str(), at.region.get().as_str()));
        Cluster::new(cx, clients, endpoints)
    }
}

fn twice<'a>(values: &[&'a String]) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    values.iter().find(|value| !seen.insert(value.as_str())).map(|value| value.as_str())
}

/// What this run asked for, if the call may have been made.
fn asked(cx: &ReadCx) -> Option<Before> {
    before::asked(cx, |_: &Before| true)
}

/// How it stands with what was asked for, where all endpoints say that it is not so.
fn not_so(cx: &ReadCx, seen: &Seen, asked: Option<Asked>) -> Check {
    match asked {
        Some(asked) if asked.is_past(cx) => Check::Unknown(format!(
            "the controls were set otherwise at {}, and {}: somebody may have set them since; `retry` sets them anew",
            asked.at,
            seen.says()
        )),
        Some(Asked { accepted: true, .. }) => Check::InProgress,
        _ => Check::Absent,
    }
}

fn output(by: usize) -> Output {
    let mut output = Output::default();
    output.values.insert("endpoints".into(), by.into());
    output
}

impl Explained for RoutingControl {
    const REFERENCE: Reference = Reference {
        check: "`GetRoutingControlState` of each control at all endpoints at once, three seconds at most. Done when at \
            least two endpoints say that all controls are as wanted, and none says otherwise. Where they do not \
            agree they are asked again for some seconds, and then it is unknown; where fewer than two answer the \
            look has failed. What was set more than five minutes ago and is not so is a question: somebody may have \
            set it back.",
        run: "Writes down the states of before, then one `UpdateRoutingControlStates` with all controls. The endpoint \
            that is asked first depends on the run and the attempt; at no connection, no answer, a 5xx, throttling \
            or `EndpointTemporarilyUnavailableException` the next one is asked, three times around. Then waits up to \
            a minute until two endpoints show it, so at least one that did not take the call.",
        undo: Some(
            "Sets exactly the states of before again, in one call, and waits for two endpoints likewise. `dr undo` \
             asks twice, since users go back.",
        ),
        recovery_point: None,
        time: "A second or two for the states; then health checks follow within some tens of seconds, and users keep \
            the old answer as long as the TTL says (general knowledge, not measured).",
        traps: &[
            "The endpoints have to be in the runbook: to look them up asks us-west-2. At least three, better all \
             five; two of them may be down for good without the step failing.",
            "A safety rule that forbids the states refuses them with `ConflictException`, as it does some seconds long \
             after a change. It is tried again, and then a person is asked; `dr` never overrides a rule.",
            "That a control is On says nothing of whether what stands behind it works: `verify` has to say that.",
            "Done says what the cluster shows. Until DNS and caches follow, `dns.verify` with `servers` is the proof.",
            "The credentials have to be there without the lost region: long-lived ones, or roles of a region that \
             lives.",
        ],
        example: "
            users_to_recovery:
              do:
                arc.routing_control:
                  controls:
                    - arn: \"arn:aws:route53-recovery-control::123456789012:\\
                        controlpanel/0aa/routingcontrol/1bb\"
                      state: Off
                    - arn: \"arn:aws:route53-recovery-control::123456789012:\\
                        controlpanel/0aa/routingcontrol/2cc\"
                      state: On
                  endpoints:
                    - { endpoint: https://a.us-east-1.example.com/v1, region: us-east-1 }
                    - { endpoint: https://b.us-west-2.example.com/v1, region: us-west-2 }
                    - { endpoint: https://c.eu-west-1.example.com/v1, region: eu-west-1 }
                    - endpoint: https://d.ap-southeast-2.example.com/v1
                      region: ap-southeast-2
                    - endpoint: https://e.ap-northeast-1.example.com/v1
                      region: ap-northeast-1
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for RoutingControl {
    fn describe(&self) -> Description {
        let short = |arn: &In<String>| known(arn).map_or_else(|| arn.to_string(), |arn| name(arn).to_owned());
        let each: Vec<_> = self.controls.iter().map(|c| format!("{} {}", short(&c.arn), c.state)).collect();
        Description {
            summary: format!("set routing controls {}", each.join(", ")),
            actions: vec![
                "route53-recovery-cluster:GetRoutingControlState",
                "route53-recovery-cluster:UpdateRoutingControlStates",
            ],
            regions: self.endpoints.iter().map(|at| at.region.to_string()).collect(),
            moves_traffic: true,
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut found = self.control_mistakes();
        found.extend(self.endpoint_mistakes());
        found
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::number("endpoints")]
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let cluster = match self.cluster(cx, &clients) {
            Ok(cluster) => cluster,
            Err(failure) => return Ok(Check::Impossible(failure)),
        };
        let wanted = self.wanted();
        Ok(match cluster.agreed(cx, &wanted).await? {
            Seen::Alike { states, by } if states == wanted => Check::Done(output(by)),
            seen @ Seen::Apart(_) => Check::Unknown(seen.says()),
            seen => {
                let asked = asked(cx).filter(|before| before.wanted == wanted);
                not_so(cx, &seen, asked.map(|before| before.asked(cx)))
            }
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let (cluster, wanted) = (self.cluster(&cx.read, &clients)?, self.wanted());
        let seen = cluster.agreed(&cx.read, &wanted).await?;
        if let Seen::Alike { states, by } = &seen
            && *states == wanted
        {
            return Ok(output(*by));
        }
        let earlier = asked(&cx.read);
        let first = earlier.is_none();
        let pending = earlier.as_ref().filter(|b| b.wanted == wanted).map(|b| b.asked(&cx.read));
        let pending = pending.filter(|asked| !asked.is_past(&cx.read));
        if pending.is_none() {
            // What this run found first stays, whatever it has set since.
            let mut states = seen.mostly(&wanted);
            states.extend(earlier.into_iter().flat_map(|before| before.states));
            before::write(cx, &Before { wanted: wanted.clone(), at: cx.read.clock.now(), states }).await;
        }
        if !pending.is_some_and(|asked| asked.accepted) {
            match Box::pin(cluster.set(cx, &wanted)).await {
                Ok(()) => before::accepted(cx, &text(&wanted)).await,
                Err(error) => {
                    if first && matches!(error, StepError::Failed(_)) {
                        before::refused(cx).await;
                    }
                    return Err(error);
                }
            }
        }
        Ok(output(cluster.arrived(&cx.read, &wanted).await?))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(Before { states: former, .. }) = asked(cx) else {
            return Ok(Check::Done(Output::default()));
        };
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = self.cluster(cx, &clients)?.agreed(cx, &former).await?;
        Ok(match &seen {
            Seen::Alike { states, .. } if *states == former => Check::Done(Output::default()),
            Seen::Apart(_) => Check::Unknown(seen.says()),
            Seen::Alike { .. } => not_so(cx, &seen, promotion::back(cx, &text(&former))),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(Before { states: former, .. }) = asked(&cx.read) else { return Ok(()) };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let (cluster, handle) = (self.cluster(&cx.read, &clients)?, text(&former));
        let set = async {
            cluster.set(cx, &former).await?;
            before::accepted(cx, &handle).await;
            Ok(None)
        };
        Box::pin(promotion::ask_back(cx, &handle, set)).await?;
        cluster.arrived(&cx.read, &former).await.map(drop)
    }
}
