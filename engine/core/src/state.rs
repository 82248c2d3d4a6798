//! Where a step of a run stands: what the fold keeps of it.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    clock::Time,
    event::{Doubt, Person},
    outcome::{Fact, Failure, Output},
    question::{About, Question},
};
use serde_json::{Map, Value};

/// Where a step stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum State {
    /// It has not begun.
    #[default]
    Waiting,
    /// An attempt is under way.
    Running { since: Time },
    /// The last attempt failed for certain; the next begins then.
    Backoff { until: Time },
    /// It is not known whether the last attempt had its effect. `check` is
    /// asked at `look_at`; a person, when that is `None`.
    InDoubt { doubt: Doubt, error: Failure, look_at: Option<Time> },
    /// A person has to answer; asked at `since`.
    Asking { question: Question, approved_by: Vec<Person>, since: Time },
    /// Its goal is reached.
    Done,
    /// It failed, and was tolerated, or nobody was asked yet.
    Failed { error: Failure },
    /// It was left out, by its condition or by a person.
    Skipped { by_person: bool },
    /// A person did it by hand.
    Bypassed { vouched: bool },
    /// The run ended before it could begin.
    Unneeded { because: String },
    /// A fence that could not be set, and people who said that the old writer
    /// cannot write all the same. What needs it goes on; it is tried again at
    /// `next`, or just now, when that is `None`, until it stands.
    Owed { error: Failure, said_by: Vec<String>, since: Time, next: Option<Time> },
    /// It is being taken back; `since` when an attempt at that is under way.
    Undoing { since: Option<Time> },
    /// It was taken back.
    Undone,
    /// It could not be taken back.
    Stuck { error: Failure },
}

impl State {
    /// The word for it, as reports and `--json` use it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running { .. } => "running",
            Self::Backoff { .. } => "backoff",
            Self::InDoubt { .. } => "in_doubt",
            Self::Asking { .. } => "asking",
            Self::Done => "done",
            Self::Failed { .. } => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Bypassed { .. } => "bypassed",
            Self::Unneeded { .. } => "unneeded",
            Self::Owed { .. } => "owed",
            Self::Undoing { .. } => "undoing",
            Self::Undone => "undone",
            Self::Stuck { .. } => "stuck",
        }
    }

    /// Whether it is on the way to being taken back, be it that a person is asked.
    pub fn being_undone(&self) -> bool {
        match self {
            Self::Undoing { .. } | Self::Stuck { .. } => true,
            Self::Asking { question, .. } => matches!(question.about, About::Undo(_)),
            _ => false,
        }
    }
}

/// One step of a run.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a step")]
pub struct StepRun {
    /// Where it stands.
    pub state: State,
    /// The number of its last attempt; zero before the first.
    pub attempt: u32,
    /// Attempts that failed since a person last said to try again.
    pub failures: u32,
    /// The doubt that the last attempt left, if it left one.
    pub doubt: Option<Doubt>,
    /// A person who knew of the doubt said to try again.
    pub granted: bool,
    /// What it left for others.
    pub output: Output,
    /// What it wrote down.
    pub facts: Vec<Fact>,
    /// Inputs that a person changed.
    pub amended: Map<String, Value>,
    /// Values that a person gave for outputs that did not come.
    pub given: Map<String, Value>,
    /// How many of its needs are not satisfied.
    pub(crate) unmet: usize,
    /// When it was done last, by itself or by somebody's hand.
    pub(crate) done_at: Option<Time>,
    /// It was done once, be it taken back since.
    pub(crate) was_done: bool,
    /// It is a fence that people took on though it could not be set, be it set since.
    pub(crate) was_owed: bool,
    /// Something that it stands on was taken back: it begins no more.
    pub(crate) cut_off: bool,
    /// It could not be taken back, and somebody left it as it was.
    pub(crate) left: bool,
}

impl StepRun {
    /// How many of its needs are not satisfied.
    pub fn unmet(&self) -> usize {
        self.unmet
    }

    /// Whether everything that it stands on is there.
    pub(crate) fn can_begin(&self) -> bool {
        self.unmet == 0 && !self.cut_off
    }

    /// Whether an attempt at it goes on.
    pub(crate) fn is_tried(&self) -> bool {
        matches!(self.state, State::Running { .. } | State::Undoing { since: Some(_) } | State::Owed { next: None, .. })
    }

    /// Whether nobody knows what became of its last attempt.
    pub fn in_doubt(&self) -> bool {
        match &self.state {
            State::InDoubt { .. } => true,
            _ if self.is_tried() => true,
            State::Asking { question, .. } => matches!(question.about, About::Doubt(_) | About::Slow(_)),
            // It was asked about, and the answer was to stop, or nobody has tried again yet.
            State::Failed { .. } | State::Backoff { .. } => self.doubt.is_some(),
            _ => false,
        }
    }
}
