//! What can happen in a run: the vocabulary of the journal.
//!
//! An event is a fact in the past tense. The list of events is the only truth
//! about a run; everything else is folded from it. A step is named by its
//! place in the plan, which travels in the first event: small to write, fast
//! to fold. What is not a fact (progress, what the service says just now) is
//! not here.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    clock::Time,
    outcome::{Fact, Failure, Learned, Output},
    plan::StepIx,
    question::{Choice, Question},
};
pub use crate::{
    opened::{ADDS, BreakGlass, Controller, Opened, Person, RunKind},
    outcome::Outcome,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One fact, its place in the order, and when it was written down.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Counts from one without a gap.
    pub seq: u64,
    /// When; never earlier than the event before.
    pub at: Time,
    /// What.
    pub kind: Kind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// The run exists, with the whole plan. Always the first event, and only that.
    Opened(Box<Opened>),
    /// A controller took the run. Whatever ran under the one before is in doubt.
    Joined(Controller),
    /// An attempt begins. Written before anything is done.
    Started { step: StepIx, attempt: u32 },
    /// A step wrote down what it resolved, will overwrite, or was given a handle for.
    Recorded { step: StepIx, attempt: u32, fact: Fact },
    /// The step's goal is reached; `found` when its `check` saw that it already was.
    Succeeded { step: StepIx, attempt: u32, output: Output, found: bool },
    /// The attempt failed for certain, and another follows at `retry_at`.
    AttemptFailed { step: StepIx, attempt: u32, error: Failure, retry_at: Time },
    /// The step failed and will not be tried again unless a person says so.
    Failed { step: StepIx, attempt: u32, error: Failure },
    /// The attempt ended without an answer, or `check` could not tell.
    /// At `look_at` the step's `check` is asked; never, when it could not tell.
    InDoubt { step: StepIx, attempt: u32, doubt: Doubt, error: Failure, look_at: Option<Time> },
    /// The step is not done, and what needs it goes on.
    Skipped { step: StepIx, by: Skipper, why: String },
    /// A person did it by hand.
    Bypassed { step: StepIx, by: Person, why: String, output: Output, proof: Proof },
    /// A person is asked. Nothing happens to this step until an answer comes.
    Asked { step: StepIx, question: Question },
    /// A person answered.
    Answered { step: StepIx, by: Person, choice: Choice, why: String },
    /// A deadline passed; work goes on.
    DeadlinePassed { which: Deadline },
    /// A person wants these steps taken back.
    UndoAsked { steps: Vec<StepIx>, whole: bool, by: Person, why: String },
    /// An attempt to take a step back begins.
    UndoStarted { step: StepIx, attempt: u32 },
    /// The step is taken back.
    UndoDone { step: StepIx, attempt: u32 },
    /// The step could not be taken back.
    UndoFailed { step: StepIx, attempt: u32, error: Failure },
    /// A line for the timeline; with `help_wanted` it stands under requests for
    /// help, and with `learned` under what the next recovery should do better.
    Noted {
        by: Person,
        text: String,
        help_wanted: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        learned: Option<Learned>,
    },
    /// What those who use the service notice, as a person sees it; it holds until the next.
    Affected { by: Person, text: String },
    /// A role passed to somebody else.
    RoleSet { role: String, to: String, by: Person, why: String },
    /// The Incident Commander's words for the next update; with `send` it goes out now.
    Worded { by: Person, text: String, send: bool },
    /// Something was told: what, to whom, by which channel, and by what it is found there.
    Told { by: Person, item: String, audience: Audience, channel: String, reference: String },
    /// A person changed inputs of a step for its next attempt.
    Amended { step: StepIx, inputs: Map<String, Value>, by: Person, why: String },
    /// A person corrected when the outage began, was detected or declared.
    ClockSet { which: Moment, at: Time, by: Person, why: String },
    /// Nothing new starts.
    Paused { by: Person },
    /// The pause is over.
    Continued { by: Person },
    /// A finished run goes on, to be undone.
    Reopened { by: Person, why: String },
    /// A signal asked the controller to leave: nothing new starts until the next one joins.
    CancelAsked { by: Person },
    /// The end. Only what [`Kind::is_beside`] the work and `Reopened` may follow.
    Finished { outcome: Outcome },
}

/// Why it is not known whether an attempt had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The controller died or left.
    Lost,
    /// The attempt's time was up.
    Timeout,
    /// A panic, a lost reply, or a 5xx on a mutating call.
    NoAnswer,
    /// `check` looked and could not tell.
    Unknown,
}

/// Who or what skipped a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipper {
    /// Its `when` is false.
    Condition,
    /// Somebody.
    Person(Person),
}

/// How it is known that a person did a step by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The step's own `check` saw it.
    Proven,
    /// The person says so.
    Vouched,
}

/// For whom something is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Those who recover the service.
    Responders,
    /// Those to whom the Incident Commander answers.
    Executives,
    /// Those who use the service.
    Customers,
}

impl Audience {
    /// The word for them.
    pub fn word(self) -> &'static str {
        match self {
            Self::Responders => "responders",
            Self::Executives => "executives",
            Self::Customers => "customers",
        }
    }
}

/// What passed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadline {
    /// The run's RTO.
    Rto,
    /// A store lost more than its RPO.
    Rpo(StepIx),
    /// A step takes longer than its p90.
    Estimate(StepIx),
    /// A question is late.
    Question(StepIx),
}

/// A moment that people may correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// The outage began.
    Incident,
    /// It was noticed.
    Detected,
    /// The disaster was declared.
    Declared,
}

impl Kind {
    /// Whether it stands beside the work: it moves no step, and is legal after the end.
    pub fn is_beside(&self) -> bool {
        matches!(
            self,
            Self::Noted { .. }
                | Self::Affected { .. }
                | Self::ClockSet { .. }
                | Self::RoleSet { .. }
                | Self::Worded { .. }
                | Self::Told { .. }
        )
    }

    /// The step it is about, if it is about one.
    pub fn step(&self) -> Option<StepIx> {
        match self {
            Self::UndoAsked { .. } | Self::DeadlinePassed { .. } => None,
            other => other.named().first().copied(),
        }
    }

    /// Every step it names.
    pub fn named(&self) -> &[StepIx] {
        match self {
            Self::Started { step, .. }
            | Self::Recorded { step, .. }
            | Self::Succeeded { step, .. }
            | Self::AttemptFailed { step, .. }
            | Self::Failed { step, .. }
            | Self::InDoubt { step, .. }
            | Self::Skipped { step, .. }
            | Self::Bypassed { step, .. }
            | Self::Asked { step, .. }
            | Self::Answered { step, .. }
            | Self::UndoStarted { step, .. }
            | Self::UndoDone { step, .. }
            | Self::UndoFailed { step, .. }
            | Self::Amended { step, .. }
            | Self::DeadlinePassed {
                which: Deadline::Rpo(step) | Deadline::Estimate(step) | Deadline::Question(step),
            } => std::slice::from_ref(step),
            Self::UndoAsked { steps, .. } => steps,
            _ => &[],
        }
    }

    /// The person who said it, if a person did.
    pub fn person(&self) -> Option<&Person> {
        match self {
            Self::Bypassed { by, .. }
            | Self::Answered { by, .. }
            | Self::UndoAsked { by, .. }
            | Self::Noted { by, .. }
            | Self::Affected { by, .. }
            | Self::RoleSet { by, .. }
            | Self::Worded { by, .. }
            | Self::Told { by, .. }
            | Self::Amended { by, .. }
            | Self::ClockSet { by, .. }
            | Self::Paused { by }
            | Self::Continued { by }
            | Self::Reopened { by, .. }
            | Self::CancelAsked { by }
            | Self::Skipped { by: Skipper::Person(by), .. } => Some(by),
            Self::Opened(opened) => Some(&opened.by),
            _ => None,
        }
    }
}
