//! The endpoints of an ARC cluster: the same controls at five places, of which
//! three can be reached at any time.
//!
//! Each is a URL and the region that its calls are signed for. They are cycled
//! out of service for maintenance, so that a refusal of one says nothing of the
//! others: the next is asked (ARC Developer Guide, "Getting and updating routing
//! control states using the ARC API"). What one has taken the others show once
//! it has spread, so that two have to say alike what is believed.

use crate::{
    aws::{
        Clients,
        error::{Site, code},
        limits,
    },
    reach,
};
use aws_sdk_route53recoverycluster::{
    Client,
    types::{RoutingControlState, UpdateRoutingControlStateEntry},
};
use dr_engine::{
    event::RunKind,
    outcome::Failure,
    step::{Look, ReadCx, StepCx, StepError},
};
use futures_util::future::{join_all, try_join_all};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt};

const SERVICE: &str = "route53-recovery-cluster";
/// So many endpoints have to say the same.
const WITNESSES: usize = 2;

/// The state of a routing control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Switch {
    /// Users are sent to what stands behind it.
    On,
    /// They are not.
    Off,
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "On",
            Self::Off => "Off",
        })
    }
}

/// Controls by their ARNs, and their states.
pub(super) type States = BTreeMap<String, Switch>;

/// States as people read them.
pub(super) fn text(states: &States) -> String {
    let each: Vec<_> = states.iter().map(|(arn, state)| format!("{} {state}", name(arn))).collect();
    each.join(", ")
}

/// What tells a control from the others of its panel.
pub(super) fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// Whether a text can be the name of a region, as in `eu-central-1`.
pub(super) fn is_region(text: &str) -> bool {
    let mut words = text.rsplit('-');
    let number = words.next().is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
    let words: Vec<_> = words.collect();
    number && words.len() >= 2 && words.iter().all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
}

/// One endpoint, through the door of whoever asks.
struct End {
    region: String,
    client: Client,
    get: Site,
    set: Site,
}

/// All endpoints that the plan names.
pub(super) struct Cluster {
    ends: Vec<End>,
}

/// What a look at all endpoints gave.
pub(super) enum Seen {
    /// Two or more say the same, and nobody says otherwise.
    Alike {
        /// What they say.
        states: States,
        /// How many they are.
        by: usize,
    },
    /// They do not agree: what each says, by its region.
    Apart(Vec<(String, States)>),
}

impl Seen {
    /// A sentence for whoever waits or is asked.
    pub(super) fn says(&self) -> String {
        match self {
            Self::Alike { states, by } => format!("{by} endpoints of the cluster say: {}", text(states)),
            Self::Apart(said) => {
                let each: Vec<_> = said.iter().map(|(region, states)| format!("{region}: {}", text(states))).collect();
                format!("the endpoints of the cluster do not agree; {}", each.join("; "))
            }
        }
    }

    /// What is said of each control by most; where as many say one as the other, it counts as not
    /// yet what is wanted.
    pub(super) fn mostly(&self, wanted: &States) -> States {
        let said: Vec<_> = match self {
            Self::Alike { states, .. } => return states.clone(),
            Self::Apart(said) => said.iter().map(|(_, states)| states).collect(),
        };
        let most = |arn: &String, wanted: Switch| {
            let so = said.iter().filter(|states| states.get(arn) == Some(&wanted)).count();
            let other = if wanted == Switch::On { Switch::Off } else { Switch::On };
            if so * 2 > said.len() { wanted } else { other }
        };
        wanted.iter().map(|(arn, state)| (arn.clone(), most(arn, *state))).collect()
    }
}

impl Cluster {
    /// The endpoints by URL and region. Of a rehearsal in a lab none of them is AWS's own, and of
    /// anything else none is on this machine.
    pub(super) fn new<'a>(
        cx: &ReadCx,
        clients: &Clients,
        endpoints: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Failure> {
        let lab = cx.run.kind == RunKind::Lab;
        let end = |(url, region): (&str, &str)| {
            let local = url.parse().is_ok_and(|url| reach::is_loopback(&url));
            if local == lab {
                let client = clients.routing_controls_at(url, region);
                let call = |operation| clients.call_in(SERVICE, operation, region);
                let (get, set) = (call("GetRoutingControlState"), call("UpdateRoutingControlStates"));
                return Ok(End { region: region.into(), client, get, set });
            }
            Err(if lab {
                Failure::new(format!("this run is a rehearsal in a lab, and {url} is not of the lab: it is not called"))
                    .hint("name the endpoints by parameters, and give the lab's")
            } else {
                Failure::new(format!("{url} is on this machine, which is no endpoint of a cluster of AWS"))
                    .hint("give the endpoints that `aws route53-recovery-control-config describe-cluster` names")
            })
        };
        Ok(Self { ends: endpoints.map(end).collect::<Result<_, _>>()? })
    }

    /// Asks all endpoints at once. An `Err` when fewer than two tell.
    pub(super) async fn see(&self, of: &States) -> Result<Seen, Failure> {
        let asked = self.ends.iter().map(|end| async move { (&end.region, end.states(of).await) });
        let (mut told, mut silent) = (Vec::new(), Vec::new());
        for (region, said) in join_all(asked).await {
            match said {
                Ok(states) => told.push((region.clone(), states)),
                Err(failure) => silent.push((region, failure)),
            }
        }
        if told.len() < WITNESSES {
            return Err(self.untold(told.len(), &silent));
        }
        let alike = told.windows(2).all(|two| two[0].1 == two[1].1);
        Ok(if alike { Seen::Alike { by: told.len(), states: told.swap_remove(0).1 } } else { Seen::Apart(told) })
    }

    fn untold(&self, told: usize, silent: &[(&String, Failure)]) -> Failure {
        let each: Vec<_> = silent.iter().map(|(region, failure)| format!("{region}: {}", failure.message)).collect();
        let text =
            format!("{told} of {} endpoints of the cluster tell the states; {}", self.ends.len(), each.join("; "));
        // What an endpoint refuses for good the others refuse as well, or they would have told.
        let worst = silent.iter().map(|(_, failure)| failure).min_by_key(|failure| failure.transient);
        let (transient, hint) = worst.map_or((true, None), |failure| (failure.transient, failure.hint.clone()));
        Failure { transient, hint, ..Failure::new(text) }
    }

    /// The same, and again for a while where they do not agree: a change may be under way.
    pub(super) async fn agreed(&self, cx: &ReadCx, of: &States) -> Result<Seen, Failure> {
        let since = cx.clock.now();
        let looked = cx.poll(|| async {
            Ok(match self.see(of).await {
                Ok(seen @ Seen::Apart(_)) if cx.clock.now().since(since) < limits::CONTROLS_AGREE => {
                    Look::Pending(seen.says())
                }
                looked => Look::Ready(looked),
            })
        });
        looked.await?
    }

    /// Waits until what was taken is seen from two endpoints, and otherwise from none; gives their number.
    /// Where it is not, nobody knows what holds.
    pub(super) async fn arrived(&self, cx: &ReadCx, wanted: &States) -> Result<usize, StepError> {
        let since = cx.clock.now();
        let looked = cx.poll(|| async {
            let says = match self.see(wanted).await {
                Ok(Seen::Alike { states, by }) if states == *wanted => return Ok(Look::Ready(Ok(by))),
                Ok(seen) => seen.says(),
                Err(failure) if failure.transient => failure.message,
                Err(failure) => return Ok(Look::Ready(Err(failure))),
            };
            let late = cx.clock.now().since(since) >= limits::CONTROLS_SPREAD;
            Ok(if late { Look::Ready(Err(Failure::new(says))) } else { Look::Pending(says) })
        });
        looked.await?.map_err(StepError::Doubt)
    }

    /// Sets all of them in one call, at the first endpoint that takes it.
    ///
    /// To set the same states again changes nothing, so that the next endpoint is asked also where
    /// nobody knows what became of the call before.
    pub(super) async fn set(&self, cx: &StepCx, states: &States) -> Result<(), StepError> {
        let (mut doubt, mut last) = (false, Failure::passing("the plan names no endpoint"));
        for round in 0..limits::CONTROLS_ROUNDS {
            if round > 0 {
                cx.read.clock.sleep(limits::CONTROLS_PAUSE).await;
            }
            for end in self.from(&cx.read) {
                match end.set(states).await {
                    Ok(()) => return Ok(()),
                    Err(Refusal::Later(StepError::Doubt(failure))) => (doubt, last) = (true, failure),
                    Err(Refusal::Later(StepError::Failed(failure))) => last = failure,
                    Err(Refusal::Later(error)) => return Err(error),
                    // Of the whole cluster: what a call before may have done, a look tells.
                    Err(Refusal::Cluster(failure)) if doubt => return Err(StepError::Doubt(failure)),
                    Err(Refusal::Cluster(failure)) => return Err(failure.into()),
                }
                cx.read.progress(&last.message);
            }
        }
        Err(if doubt { StepError::Doubt(last) } else { last.into() })
    }

    /// The endpoints in an order that is the run's and the attempt's own: the load of many runs is
    /// spread, and an attempt does not begin where the one before did.
    fn from(&self, cx: &ReadCx) -> impl Iterator<Item = &End> {
        let first = Sha256::digest(cx.token())[0] as usize + cx.attempt as usize;
        self.ends.iter().cycle().skip(first % self.ends.len().max(1)).take(self.ends.len())
    }
}

/// Why an endpoint did not take a change.
enum Refusal {
    /// Another endpoint may.
    Later(StepError),
    /// No endpoint will.
    Cluster(Failure),
}

impl End {
    async fn states(&self, of: &States) -> Result<States, Failure> {
        let each = of.keys().map(|arn| async move {
            let reply = self.client.get_routing_control_state().routing_control_arn(arn).send().await;
            let reply = reply.map_err(|e| self.get.read(&e))?;
            let state = match reply.routing_control_state() {
                RoutingControlState::On => Switch::On,
                RoutingControlState::Off => Switch::Off,
                other => return Err(Failure::new(format!("{} is `{other}`, neither On nor Off", name(arn)))),
            };
            Ok((arn.clone(), state))
        });
        Ok(try_join_all(each).await?.into_iter().collect())
    }

    async fn set(&self, states: &States) -> Result<(), Refusal> {
        let malformed =
            |e: aws_sdk_route53recoverycluster::error::BuildError| Refusal::Cluster(Failure::new(e.to_string()));
        let mut request = self.client.update_routing_control_states();
        for (arn, state) in states {
            let state = match state {
                Switch::On => RoutingControlState::On,
                Switch::Off => RoutingControlState::Off,
            };
            let entry = UpdateRoutingControlStateEntry::builder().routing_control_arn(arn).routing_control_state(state);
            request = request.update_routing_control_state_entries(entry.build().map_err(malformed)?);
        }
        let Err(error) = request.send().await else { return Ok(()) };
        match self.set.wrote(&error) {
            // A rule that is waiting after a change refuses for some seconds: the same is asked again.
            StepError::Failed(failure) if code(&error) == "ConflictException" => Err(Refusal::Cluster(Failure {
                transient: true,
                ..failure.hint(
                    "a safety rule of the control panel forbids these states, or is in its wait period: set all \
                     controls that belong together in one step. To override the rule is a person's to do, by hand; \
                     then answer `retry`, which looks first",
                )
            })),
            StepError::Failed(failure) if !failure.transient => Err(Refusal::Cluster(failure)),
            error => Err(Refusal::Later(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(pairs: &[(&str, Switch)]) -> States {
        pairs.iter().map(|(arn, state)| ((*arn).to_owned(), *state)).collect()
    }

    #[test]
    fn a_region_is_told_from_what_is_none() {
        for region in ["eu-central-1", "us-gov-west-1", "ap-southeast-2", "us-iso-east-1"] {
            assert!(is_region(region), "{region}");
        }
        for other in ["", "eu-1", "eu-central", "EU-central-1", "eu--1", "eu-central-1a", "primary"] {
            assert!(!is_region(other), "{other}");
        }
    }

    #[test]
    fn where_endpoints_differ_most_of_them_say_what_stood_before() {
        use Switch::{Off, On};
        let wanted = states(&[("p/a", Off), ("p/b", On)]);
        let (old, new) = (states(&[("p/a", On), ("p/b", Off)]), wanted.clone());
        let apart = |said: &[&States]| Seen::Apart(said.iter().map(|s| ("r".to_owned(), (*s).clone())).collect());
        assert_eq!(apart(&[&old, &old, &new]).mostly(&wanted), old);
        assert_eq!(apart(&[&old, &new, &new]).mostly(&wanted), new);
        assert_eq!(apart(&[&old, &new]).mostly(&wanted), old, "what is not sure to be so already was not so before");
        assert!(apart(&[&old, &new]).says().contains("do not agree; r: a On, b Off; r: a Off, b On"));
    }
}
