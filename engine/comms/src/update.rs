//! An update: what executives and responders are told at a moment, frozen.
//!
//! Facts come from the journal alone; what nobody knows is said to be unknown.

pub mod customers;
mod facts;
pub mod text;

pub use facts::Facts;
pub(crate) use facts::{course_of, phase, weight};

use dr_engine::{clock::Time, duration::Dur};
use serde::{Deserialize, Serialize};

/// An update, as every channel shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The first is 1.
    pub number: u32,
    /// Why now.
    pub why: Vec<String>,
    /// When it was made.
    pub made_at: Time,
    /// From where to where.
    pub regions: Option<(String, String)>,
    /// The Incident Commander's words, if there are any.
    pub words: Option<Said>,
    /// Who agreed to it; without anybody it was sent by itself.
    pub approved_by: Option<String>,
    /// Where it stands, in one line.
    pub headline: String,
    /// Green, amber or red.
    pub rag: Rag,
    /// What it was in the update before.
    pub rag_before: Option<Rag>,
    /// Why it is not green.
    pub rag_why: Vec<String>,
    /// Whether the objective will be met.
    pub course: Course,
    /// The phase at work, if there is one.
    pub phase: Option<String>,
    /// So many steps are done, of so many.
    pub done: (usize, usize),
    /// What is out of the way and not done, for people.
    #[serde(default)]
    pub not_done: Vec<String>,
    /// Who has which role.
    pub roles: Vec<(String, String)>,
    /// What those who use the service notice, as a person said it last.
    pub impact: Option<Said>,
    /// The clock.
    pub clock: ClockFacts,
    /// What was lost, store by store.
    pub stores: Vec<StoreFacts>,
    /// What happened since the update before.
    pub since_last: Vec<Line>,
    /// What happened since the disaster was declared, or since the run began.
    pub timeline: Vec<Line>,
    /// What is being done.
    pub doing: Vec<Doing>,
    /// What people have to decide.
    pub decisions: Vec<Decision>,
    /// Who asked for help.
    pub help: Vec<Said>,
    /// What the technical lead said since they were asked; `None` if they were not asked.
    pub lead: Option<LeadFacts>,
    /// What may go wrong.
    pub risks: Vec<String>,
    /// When the next one comes at the latest; none is promised after the end, and while nobody drives the run.
    pub next_at: Option<Time>,
    /// The run is over.
    #[serde(default)]
    pub over: bool,
    /// Where to look further.
    pub links: Vec<(String, String)>,
    /// The number of the last event it was made from.
    pub seq: u64,
    /// The first twelve digits of the hash of that event: what was mailed holds the chain in place.
    pub head: String,
    /// What the runbook's own template made of it, in place of the usual parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<text::Section>>,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rag {
    /// By the plan.
    Green,
    /// People have to act, or something is not known.
    Amber,
    /// An objective is missed or will be, or the recovery failed.
    Red,
}

impl Rag {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Green => "GREEN",
            Self::Amber => "AMBER",
            Self::Red => "RED",
        }
    }
}

/// Whether the recovery time objective will be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Nine times of ten.
    OnTrack,
    /// Half of the times.
    AtRisk,
    /// It will be missed.
    Late,
    /// It was missed.
    Missed,
    /// It was met.
    Met,
    /// Nobody knows: a step has no estimate, or people have to answer.
    Unknown,
    /// There is none.
    NoObjective,
}

impl Course {
    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::OnTrack => "on track for the RTO",
            Self::AtRisk => "the RTO is at risk",
            Self::Late => "will miss the RTO",
            Self::Missed => "the RTO is missed",
            Self::Met => "the RTO was met",
            Self::Unknown => "forecast unknown",
            Self::NoObjective => "no RTO is set",
        }
    }
}

/// Something a person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// When.
    pub at: Time,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The event's number.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
    /// It is among what matters most.
    pub weight: u8,
}

/// The clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockFacts {
    /// When the outage began.
    pub incident_at: Time,
    /// Nobody said so: the start of the run stands in.
    pub incident_assumed: bool,
    /// When the disaster was declared, and by whom, if that was said.
    pub declared: Option<(Time, Option<String>)>,
    /// How long it has lasted.
    pub elapsed: Dur,
    /// Within this time service must be back.
    pub rto: Option<Dur>,
    /// When service was back.
    pub back_at: Option<Time>,
    /// When it will be, half of the times and nine times of ten; and whether it may be later.
    pub forecast: Option<(Time, Time, bool)>,
}

impl ClockFacts {
    /// When the time of the objective is up.
    pub fn deadline(&self) -> Option<Time> {
        self.rto.map(|rto| self.incident_at.after(rto))
    }

    /// How much time is left between when service is, or will be, back and the objective; negative
    /// when it is too late. `None` when either is not known.
    pub fn margin(&self) -> Option<Dur> {
        let back = self.back_at.or(self.forecast.filter(|(.., later)| !later).map(|(p50, ..)| p50));
        Some(self.deadline()?.since(back?))
    }
}

/// What one store lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFacts {
    /// The step that brings it back.
    pub step: String,
    /// How much, for people; unknown with its reason.
    pub lost: String,
    /// How much may be lost.
    pub allowed: Option<Dur>,
    /// `met`, `missed`, `unknown` or `no_objective`.
    pub verdict: String,
}

/// Something under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doing {
    /// What.
    pub what: String,
    /// Who does it.
    pub owner: String,
    /// When it should be done; `None` where nobody estimated it.
    pub due: Option<Time>,
}

/// Something that waits for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The question.
    pub what: String,
    /// Whose answer is wanted.
    pub who: String,
    /// Since when.
    pub since: Time,
    /// When it counts as late, if that was set.
    pub late_at: Option<Time>,
    /// What to type, one line for each answer.
    pub commands: Vec<String>,
}

/// What became of the question to the technical lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeadFacts {
    /// When they were asked.
    pub asked_at: Time,
    /// What was said since then.
    pub said: Vec<Said>,
}
