//! `lambda.event_source`: a function takes events here, or no more there.
//!
//! A mapping has a state and nothing else to compare by, so whose change a
//! state is follows from what was written down: what it was before the call,
//! and that the call was taken. A mapping that is as it was, after a change
//! that Lambda took, was turned back by somebody: that is a question.
//!
//! In a region that is lost a mapping cannot be turned off, and nobody can see
//! whether it takes events. That is told as what it is, unknown, and soon.

use crate::{
    aws::{Clients, error::code, limits},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    clock::Time,
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Turns an event source mapping of Lambda on or off.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventSource {
    /// The mapping's UUID.
    mapping: In<String>,
    /// Whether the function is to take events.
    enabled: In<bool>,
}

/// A mapping as it was read.
struct Seen {
    /// Enabled or disabled, if it rests.
    rests: Option<bool>,
    /// What it is becoming, if it is becoming one of them.
    becomes: Option<bool>,
    says: String,
    source: String,
}

impl Seen {
    fn turned_back(&self) -> Failure {
        let text = format!("{}, though it was changed: somebody turned it back", self.says);
        Failure::new(text).hint("make sure who did that and why, then set it by hand and answer `skip`")
    }
}

/// Where a mapping stands, seen from one who wants it on, or off.
enum Place {
    /// The other way, and it may be changed.
    Other,
    /// Somebody is changing it in another way: that ends first.
    Busy,
    /// On its way.
    Moving,
    /// As is wanted.
    There,
    /// Turned back by somebody.
    Foreign,
}

/// The fact that says what it was before.
const BEFORE: &str = "overwrites";
/// The fact that says when the change was taken.
const TAKEN: &str = "turned";
/// The fact that says when the way back was taken.
const UNDONE: &str = "turned_back";

impl EventSource {
    async fn look(&self, clients: &Clients) -> Result<Seen, Failure> {
        let found = match clients.lambda.get_event_source_mapping().uuid(self.mapping.get()).send().await {
            Err(e) if code(&e) == "ResourceNotFoundException" => {
                let text = format!("there is no event source mapping `{}` in {}", self.mapping, clients.region);
                return Err(Failure::new(text).hint("`aws lambda list-event-source-mappings` lists those of a region"));
            }
            found => found.map_err(|e| clients.call("lambda", "GetEventSourceMapping").read(&e))?,
        };
        let state = found.state().unwrap_or("in no state that it says");
        let (rests, becomes) = match state {
            "Enabled" => (Some(true), None),
            "Disabled" => (Some(false), None),
            "Enabling" => (None, Some(true)),
            "Disabling" => (None, Some(false)),
            "Deleting" => {
                return Err(Failure::new(format!("event source mapping `{}` is being deleted", self.mapping)));
            }
            _ => (None, None),
        };
        let says = format!("event source mapping `{}` is {state}", self.mapping);
        Ok(Seen { rests, becomes, says, source: found.event_source_arn().unwrap_or_default().to_owned() })
    }

    /// Where it stands toward `wanted`, given when a change to that was taken.
    fn place(cx: &ReadCx, seen: &Seen, wanted: bool, taken: Option<Time>) -> Place {
        match (seen.rests, seen.becomes) {
            (Some(now), _) if now == wanted => Place::There,
            (Some(_), _) => match taken {
                None => Place::Other,
                // A change that was accepted may not be seen at once.
                Some(at) if cx.clock.now().since(at) < limits::UNSEEN => Place::Moving,
                Some(_) => Place::Foreign,
            },
            (None, Some(next)) if next == wanted => Place::Moving,
            _ => Place::Busy,
        }
    }

    /// Turns it, once it rests, and waits until it is so.
    async fn turn(&self, cx: &StepCx, clients: &Clients, to: bool, fact: &'static str) -> Result<Seen, StepError> {
        let read = &cx.read;
        let resting = || async {
            let seen = self.look(clients).await?;
            Ok(match Self::place(read, &seen, to, taken(read, fact)) {
                Place::Busy => Look::Pending(seen.says),
                Place::Foreign => return Err(seen.turned_back()),
                place => Look::Ready(place),
            })
        };
        if matches!(read.poll(resting).await?, Place::Other) {
            if read.fact(BEFORE).is_none() {
                cx.record(BEFORE, json!(!to)).await;
            }
            let request = clients.lambda.update_event_source_mapping().uuid(self.mapping.get()).enabled(to);
            request.send().await.map_err(|e| clients.call("lambda", "UpdateEventSourceMapping").wrote(&e))?;
            cx.record_handle(fact, json!(read.clock.now())).await;
        }
        let since = read.clock.now();
        let settled = || async {
            let seen = self.look(clients).await?;
            Ok(match Self::place(read, &seen, to, Some(since)) {
                Place::There => Look::Ready(seen),
                Place::Foreign => return Err(seen.turned_back()),
                Place::Other | Place::Busy | Place::Moving => Look::Pending(seen.says),
            })
        };
        Ok(read.poll(settled).await?)
    }

    /// One look; of a region that does not answer, for what is to be turned off, in
    /// words after a short while: whoever waits for it decides something else.
    async fn look_soon(&self, cx: &ReadCx) -> Result<Result<Seen, String>, Failure> {
        let patience = limits::TURNS_OFF.min(Dur(cx.step.check_timeout.0 / 2));
        let until = cx.clock.now().after(patience);
        // Whose account it is, is asked of the same region.
        let look = || async { self.look(&World::of(cx).aws.read(cx).await?).await };
        loop {
            match look().await {
                Err(failure) if failure.transient && !self.enabled.get() => {
                    if cx.clock.now() >= until {
                        let text = format!(
                            "{} does not answer, and nobody can tell whether event source mapping `{}` takes events \
                             there, now or when it is back: {}",
                            cx.step.region.as_deref().unwrap_or("its region"),
                            self.mapping,
                            failure.message
                        );
                        return Ok(Err(text));
                    }
                    cx.progress(&failure.message);
                    cx.clock.sleep(cx.poll_gap_min.max(limits::TURNS_OFF_PAUSE)).await;
                }
                seen => return seen.map(Ok),
            }
        }
    }

    fn output(seen: &Seen) -> Output {
        let mut output = Output::default();
        output.values.insert("event_source".into(), seen.source.clone().into());
        output
    }
}

fn before(cx: &ReadCx) -> Option<bool> {
    cx.fact(BEFORE).and_then(Value::as_bool)
}

fn taken(cx: &ReadCx, fact: &str) -> Option<Time> {
    cx.fact(fact).and_then(|at| Time::deserialize(at).ok())
}

impl Explained for EventSource {
    const REFERENCE: Reference = Reference {
        check: "`GetEventSourceMapping`. Done when the state is `Enabled`, or `Disabled`, as is wanted; under way while \
            it is becoming so. One that is as it was, a minute after the change was taken, is refused: somebody turned \
            it back. Where the region does not answer for 20 seconds, one that is to be turned off is unknown, and a \
            person is asked.",
        run: "Waits until the mapping rests; writes down what it was; `UpdateEventSourceMapping` with `Enabled` and \
            nothing else; waits until the state is reached.",
        undo: Some(
            "Turns it back to what it was, if this run turned it. One that somebody turned since is left alone.",
        ),
        recovery_point: None,
        time: "Seconds to a minute (general knowledge, not measured).",
        traps: &[
            "Turned off is not emptied: what was taken from a queue or a stream before goes on to its end, and a queue \
             keeps what comes, as long as its retention lets it.",
            "In a region that is lost a mapping stays as it is: it takes events again when the region is back. Say in \
             the runbook who turns it off then.",
            "A mapping is known by its UUID, which differs from region to region.",
        ],
        example: "
            orders_events:
              do:
                lambda.event_source:
                  mapping: 14e0db71-6c9f-4a3a-9a4e-0f3d3a9e3f10
                  enabled: true
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for EventSource {
    fn describe(&self) -> Description {
        let how = match &self.enabled {
            In::Lit(true) => "on".to_owned(),
            In::Lit(false) => "off".to_owned(),
            later @ In::Later(_) => format!("to enabled: {later}"),
        };
        Description {
            summary: format!("turn event source mapping `{}` {how}", self.mapping),
            actions: vec!["lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"],
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        match &self.mapping {
            In::Lit(text) if text.len() != 36 || text.matches('-').count() != 4 => vec![Mistake {
                field: "mapping",
                message: format!("`{text}` is not the UUID of an event source mapping"),
                help: "`aws lambda list-event-source-mappings --function-name NAME` lists them".into(),
            }],
            _ => Vec::new(),
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::text("event_source")]
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let seen = match self.look_soon(cx).await {
            Err(failure) if !failure.transient => return Ok(Check::Impossible(failure)),
            seen => match seen? {
                Ok(seen) => seen,
                Err(unknown) => return Ok(Check::Unknown(unknown)),
            },
        };
        Ok(match Self::place(cx, &seen, *self.enabled.get(), taken(cx, TAKEN)) {
            Place::There => Check::Done(Self::output(&seen)),
            Place::Moving => Check::InProgress,
            Place::Other | Place::Busy => Check::Absent,
            Place::Foreign => Check::Impossible(seen.turned_back()),
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let seen = self.turn(cx, &clients, *self.enabled.get(), TAKEN).await?;
        Ok(Self::output(&seen))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(before) = before(cx) else {
            return Ok(Check::Done(Output::default()));
        };
        let clients = World::of(cx).aws.read(cx).await?;
        let seen = self.look(&clients).await?;
        Ok(match Self::place(cx, &seen, before, taken(cx, UNDONE)) {
            Place::There => Check::Done(Output::default()),
            Place::Moving => Check::InProgress,
            Place::Other | Place::Busy => Check::Absent,
            Place::Foreign => Check::Impossible(seen.turned_back()),
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let Some(before) = before(&cx.read) else {
            return Ok(());
        };
        let clients = World::of(&cx.read).aws.write(cx).await?;
        Ok(self.turn(cx, &clients, before, UNDONE).await.map(drop)?)
    }
}
