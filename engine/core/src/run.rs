//! A run: the fold of its events over its plan.
//!
//! One state per step, changed in one place. An event that is illegal in the
//! state it meets is an error that names both, whether it comes from the loop
//! or from a journal: a history that could not happen can be neither written
//! nor read.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    clock::Time,
    duration::Dur,
    event::{Controller, Deadline, Doubt, Event, Kind, Moment, Opened, Outcome, Person, Skipper},
    outcome::{Fact, Failure, Output},
    plan::{OnFailure, Plan, StepIx, graph::Graph},
    question::{About, Choice, Question},
};
use serde_json::{Map, Value};
use std::{cmp::Reverse, collections::BTreeSet};

/// Where a step stands.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It has not begun.
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
            Self::Undoing { .. } => "undoing",
            Self::Undone => "undone",
            Self::Stuck { .. } => "stuck",
        }
    }
}

/// One step of a run.
#[derive(Debug, Clone)]
pub struct StepRun {
    /// Where it stands.
    pub state: State,
    /// The number of its last attempt; zero before the first.
    pub attempt: u32,
    /// Attempts that failed since a person last said to try again.
    pub failures: u32,
    /// How the attempt before the next one ended: whether it left a doubt,
    /// and whether a person who knew of the doubt said to go on.
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
    unmet: u32,
    was_done: bool,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// How it began; clocks corrected by people stand here as corrected.
    pub opened: Box<Opened>,
    /// When it began.
    pub opened_at: Time,
    /// What follows from the plan's needs.
    pub graph: Graph,
    /// The last event's number.
    pub seq: u64,
    /// The last event's time.
    pub at: Time,
    /// Who writes the journal.
    pub controller: Option<Controller>,
    /// Nobody starts anything new: somebody stopped it, or a failure did.
    pub stopping: Option<Outcome>,
    /// Somebody paused it.
    pub paused: bool,
    /// The controller was asked to leave.
    pub leaving: bool,
    /// It is over.
    pub finished: Option<Outcome>,
    /// Deadlines that have passed.
    pub passed: BTreeSet<Deadline>,
    /// Inbox messages that were taken.
    pub taken: BTreeSet<String>,
    /// Waiting steps whose needs are satisfied; the longest remaining path first.
    pub ready: BTreeSet<(Reverse<Dur>, StepIx)>,
    /// Steps that are neither waiting nor at rest: what `decide` looks at.
    pub open: BTreeSet<StepIx>,
    steps: Vec<StepRun>,
}

/// An event that cannot happen in the state it met.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("event {seq} ({event}) cannot happen while {what} is {state}")]
pub struct Illegal {
    /// Its number.
    pub seq: u64,
    /// What it says.
    pub event: String,
    /// The step, or the run.
    pub what: String,
    /// The state it met.
    pub state: String,
}

impl Run {
    /// The run that begins with this event, which must be `Opened`.
    ///
    /// # Panics
    /// When a plan has more than four thousand million steps.
    pub fn open(event: Event) -> Result<Self, Illegal> {
        let Kind::Opened(opened) = event.kind else {
            return Err(Illegal {
                seq: event.seq,
                event: word(&event.kind),
                what: "the run".into(),
                state: "not opened".into(),
            });
        };
        let graph = Graph::of(&opened.plan);
        let blank = StepRun {
            state: State::Waiting,
            attempt: 0,
            failures: 0,
            doubt: None,
            granted: false,
            output: Output::default(),
            facts: Vec::new(),
            amended: Map::new(),
            given: Map::new(),
            unmet: 0,
            was_done: false,
        };
        let count = |needs: &Vec<StepIx>| u32::try_from(needs.len()).expect("plans are limited");
        let steps: Vec<_> =
            opened.plan.steps.iter().map(|s| StepRun { unmet: count(&s.needs), ..blank.clone() }).collect();
        let ready = opened.plan.places().filter(|s| steps[s.ix()].unmet == 0);
        Ok(Self {
            ready: ready.map(|s| (Reverse(graph.remaining(s)), s)).collect(),
            opened_at: event.at,
            graph,
            seq: event.seq,
            at: event.at,
            controller: None,
            stopping: None,
            paused: false,
            leaving: false,
            finished: None,
            passed: BTreeSet::new(),
            taken: BTreeSet::new(),
            open: BTreeSet::new(),
            steps,
            opened,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.opened.plan
    }

    /// A step of the run.
    pub fn step(&self, step: StepIx) -> &StepRun {
        &self.steps[step.ix()]
    }

    /// Every step with its place.
    pub fn steps(&self) -> impl Iterator<Item = (StepIx, &StepRun)> {
        self.plan().places().zip(&self.steps)
    }

    /// Takes one event in: the only place where a state changes.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        let illegal =
            |what: &str, state: String| Illegal { seq: event.seq, event: word(&event.kind), what: what.into(), state };
        if event.seq != self.seq + 1 || event.at < self.at {
            return Err(illegal("the run", format!("at event {}, {}", self.seq, self.at)));
        }
        let unknown = match &event.kind {
            Kind::UndoAsked { steps, .. } => steps.iter().find(|step| step.ix() >= self.steps.len()),
            Kind::DeadlinePassed {
                which: Deadline::Rpo(step) | Deadline::Estimate(step) | Deadline::Question(step),
            } => Some(step).filter(|step| step.ix() >= self.steps.len()),
            _ => None,
        };
        if let Some(step) = unknown {
            return Err(illegal("the run", format!("without step {}", step.0)));
        }
        let unfinished = matches!(event.kind, Kind::Reopened { .. }) && self.finished.is_none();
        if unfinished || matches!(event.kind, Kind::Opened(_)) {
            return Err(illegal("the run", "open".into()));
        }
        let after_the_end =
            matches!(event.kind, Kind::Joined(_) | Kind::Noted { .. } | Kind::ClockSet { .. } | Kind::Reopened { .. });
        if self.finished.is_some() && !after_the_end {
            return Err(illegal("the run", "finished".into()));
        }
        if let Kind::UndoAsked { steps, .. } = &event.kind {
            for step in steps {
                let state = &self.step(*step).state;
                if !matches!(state, State::Done) {
                    return Err(illegal(&self.plan().step(*step).id, format!("{state:?}")));
                }
            }
        }
        if let Some(step) = event.kind.step() {
            let Some(known) = self.steps.get(step.ix()) else {
                return Err(illegal("the run", format!("without step {}", step.0)));
            };
            let Some(next) = next(known, event) else {
                return Err(illegal(&self.plan().step(step).id, format!("{:?}", known.state)));
            };
            self.keep(step, event);
            self.enter(step, next);
        } else {
            self.whole(event);
        }
        self.taken.extend(event.kind.person().and_then(|p| p.message.clone()));
        (self.seq, self.at) = (event.seq, event.at);
        Ok(())
    }

    /// What an event about one step changes beside its state.
    fn keep(&mut self, step: StepIx, event: &Event) {
        let it = &mut self.steps[step.ix()];
        match &event.kind {
            Kind::Started { attempt, .. } => {
                (it.attempt, it.granted, it.output) = (*attempt, false, Output::default());
            }
            Kind::UndoStarted { attempt, .. } => (it.attempt, it.granted) = (*attempt, false),
            // Another question may be late as well.
            Kind::Asked { .. } => drop(self.passed.remove(&Deadline::Question(step))),
            Kind::Recorded { fact, .. } => it.facts.push(fact.clone()),
            Kind::Succeeded { output, .. } | Kind::Bypassed { output, .. } => it.output = output.clone(),
            Kind::AttemptFailed { .. } | Kind::Failed { .. } => (it.failures, it.doubt) = (it.failures + 1, None),
            Kind::InDoubt { doubt, .. } => (it.failures, it.doubt) = (it.failures + 1, Some(*doubt)),
            Kind::Amended { inputs, .. } => it.amended.extend(inputs.clone()),
            Kind::Answered { choice, by, .. } => match choice {
                Choice::Retry => {
                    let asked =
                        if let State::Asking { question, .. } = &it.state { Some(&question.about) } else { None };
                    it.granted = matches!(asked, Some(About::Doubt(_) | About::Undo(_)));
                    it.failures = 0;
                }
                // What is waited for is known to be under way: its slowness is no doubt any more.
                Choice::Wait => (it.failures, it.doubt) = (0, Some(Doubt::Lost)),
                Choice::Set { name, value } => drop(it.given.insert(name.clone(), value.clone())),
                Choice::Done { values } => it.output = Output { values: values.clone(), recovery_point: None },
                Choice::Approve => {
                    let names = it.output.values.entry("approved_by").or_insert_with(|| Value::Array(Vec::new()));
                    if let Value::Array(names) = names {
                        names.push(by.name.as_ref().unwrap_or(&by.user).clone().into());
                    }
                }
                Choice::Stop => self.stopping = Some(Outcome::Stopped),
                Choice::Skip | Choice::Undo | Choice::Decline => {}
            },
            _ => {}
        }
        if matches!(event.kind, Kind::Answered { choice: Choice::Stop, .. }) {
            // Nothing more is taken back either.
            for other in self.open.clone().into_iter().filter(|other| *other != step) {
                match &self.step(other).state {
                    State::Undoing { since: None } if self.step(other).was_done => self.enter(other, State::Done),
                    State::Undoing { since: None } => {
                        self.enter(other, State::Failed { error: Failure::new("stopped") });
                    }
                    State::Asking { question: Question { about: About::Undo(error), .. }, .. } => {
                        self.enter(other, State::Failed { error: error.clone() });
                    }
                    _ => {}
                }
            }
        }
        if matches!(event.kind, Kind::Failed { .. }) && self.plan().step(step).on_failure == OnFailure::Stop {
            self.stopping = Some(Outcome::Failed);
        }
    }

    /// An event about the run as a whole.
    fn whole(&mut self, event: &Event) {
        match &event.kind {
            Kind::Joined(controller) => {
                (self.controller, self.leaving) = (Some(controller.clone()), false);
                // Whoever ran these is gone. Nothing else distinguishes a resumed run.
                for step in self.open.clone() {
                    let it = &mut self.steps[step.ix()];
                    match it.state {
                        State::Running { .. } => {
                            it.doubt = Some(Doubt::Lost);
                            let error = Failure::new("the controller ended before it heard of the outcome");
                            let look_at = Some(event.at);
                            it.state = State::InDoubt { doubt: Doubt::Lost, error, look_at };
                        }
                        State::Undoing { .. } => it.state = State::Undoing { since: None },
                        _ => {}
                    }
                }
            }
            Kind::UndoAsked { steps, whole, .. } => {
                for step in steps {
                    self.enter(*step, State::Undoing { since: None });
                }
                if *whole {
                    self.stopping = Some(Outcome::Undone);
                }
            }
            Kind::DeadlinePassed { which } => drop(self.passed.insert(which.clone())),
            Kind::ClockSet { which, at, .. } => match which {
                Moment::Incident => (self.opened.incident_at, self.opened.incident_assumed) = (*at, false),
                Moment::Detected => self.opened.detected_at = Some(*at),
                Moment::Declared => self.opened.declared_at = Some(*at),
            },
            Kind::Paused { .. } => self.paused = true,
            Kind::Continued { .. } => self.paused = false,
            Kind::CancelAsked { .. } => self.leaving = true,
            Kind::Reopened { .. } => self.finished = None,
            Kind::Finished { outcome } => {
                self.finished = Some(*outcome);
                for step in self.plan().places() {
                    if matches!(self.step(step).state, State::Waiting) {
                        let because = self.because(step);
                        self.enter(step, State::Unneeded { because });
                    }
                }
            }
            _ => {}
        }
    }

    /// Puts a step into a state, and keeps what is derived from states right.
    fn enter(&mut self, step: StepIx, next: State) {
        let was = self.satisfied(step);
        self.steps[step.ix()].was_done |= next == State::Done;
        self.steps[step.ix()].state = next;
        let is = self.satisfied(step);
        if was != is {
            for dependent in self.graph.dependents(step).to_vec() {
                let unmet = &mut self.steps[dependent.ix()].unmet;
                *unmet = if is { *unmet - 1 } else { *unmet + 1 };
                // Only the last need that is met, or the first that is not, changes where it stands.
                if *unmet == u32::from(!is) {
                    self.list(dependent);
                }
            }
        }
        self.list(step);
    }

    fn list(&mut self, step: StepIx) {
        let it = &self.steps[step.ix()];
        let key = (Reverse(self.graph.remaining(step)), step);
        let waiting = matches!(it.state, State::Waiting);
        if waiting && it.unmet == 0 {
            self.ready.insert(key)
        } else {
            self.ready.remove(&key)
        };
        let rest = waiting || self.at_rest(step);
        if rest {
            self.open.remove(&step)
        } else {
            self.open.insert(step)
        };
    }

    /// Whether nothing more will happen to a step by itself.
    pub fn at_rest(&self, step: StepIx) -> bool {
        match self.step(step).state {
            State::Done | State::Skipped { .. } | State::Bypassed { .. } | State::Unneeded { .. } | State::Undone => {
                true
            }
            State::Failed { .. } => self.stopping.is_some() || self.tolerates(step),
            _ => false,
        }
    }

    /// Whether a step goes on without a person, sooner or later.
    pub fn moves_alone(&self) -> bool {
        self.open.iter().any(|step| match &self.step(*step).state {
            State::Running { .. } | State::Undoing { since: Some(_) } => true,
            State::Backoff { .. } => !self.paused && self.may_begin(*step),
            State::InDoubt { look_at: Some(_), .. } => !self.paused,
            // Where one waits to be taken back, another one, or a person, is in its way.
            _ => false,
        })
    }

    /// Whether an attempt at a step may do something anew: nobody stopped the
    /// run, and what the step needs was not taken back.
    pub fn may_begin(&self, step: StepIx) -> bool {
        self.stopping.is_none() && self.step(step).unmet == 0
    }

    /// Whether a step is on the way to being taken back, be it that a person is asked.
    pub fn being_undone(&self, step: StepIx) -> bool {
        match &self.step(step).state {
            State::Undoing { .. } | State::Stuck { .. } => true,
            State::Asking { question, .. } => matches!(question.about, About::Undo(_)),
            _ => false,
        }
    }

    fn tolerates(&self, step: StepIx) -> bool {
        let plan = self.plan().step(step);
        plan.on_failure == OnFailure::Continue && !plan.is_gate()
    }

    /// Whether what needs this step may go on.
    pub fn satisfied(&self, step: StepIx) -> bool {
        match self.step(step).state {
            State::Done | State::Bypassed { .. } | State::Skipped { .. } => true,
            State::Failed { .. } => self.tolerates(step),
            _ => false,
        }
    }

    fn because(&self, step: StepIx) -> String {
        let needs = self.plan().step(step).needs.iter();
        match needs.copied().find(|need| !self.satisfied(*need)) {
            Some(need) => format!("`{}` was not done", self.plan().step(need).id),
            None => "the run ended".into(),
        }
    }
}

/// The legal moves of one step; `None` is a refusal.
fn next(it: &StepRun, event: &Event) -> Option<State> {
    use State::{Asking, Backoff, Bypassed, Done, Failed, InDoubt, Running, Skipped, Stuck, Undoing, Undone, Waiting};
    let again = it.attempt + 1;
    Some(match (&it.state, &event.kind) {
        (Waiting | Backoff { .. }, Kind::Started { attempt, .. }) if *attempt == again && it.unmet == 0 => {
            Running { since: event.at }
        }
        (InDoubt { look_at: Some(_), .. }, Kind::Started { attempt, .. }) if *attempt == again => {
            Running { since: event.at }
        }
        (Undoing { since: None }, Kind::UndoStarted { attempt, .. }) if *attempt == again => {
            Undoing { since: Some(event.at) }
        }
        (state @ (Running { .. } | Undoing { since: Some(_) }), Kind::Recorded { attempt, .. })
            if *attempt == it.attempt =>
        {
            state.clone()
        }
        (Running { .. }, Kind::Succeeded { attempt, .. }) if *attempt == it.attempt => Done,
        (Running { .. }, Kind::AttemptFailed { attempt, retry_at, .. }) if *attempt == it.attempt => {
            Backoff { until: *retry_at }
        }
        (Running { .. }, Kind::Failed { attempt, error, .. }) if *attempt == it.attempt => {
            Failed { error: error.clone() }
        }
        (Running { .. }, Kind::InDoubt { attempt, doubt, error, look_at, .. }) if *attempt == it.attempt => {
            InDoubt { doubt: *doubt, error: error.clone(), look_at: *look_at }
        }
        (Undoing { since: Some(_) }, Kind::UndoDone { attempt, .. }) if *attempt == it.attempt => Undone,
        (Undoing { since: Some(_) }, Kind::UndoFailed { attempt, error, .. }) if *attempt == it.attempt => {
            Stuck { error: error.clone() }
        }
        (Waiting | Running { .. } | InDoubt { .. } | Failed { .. } | Stuck { .. }, Kind::Asked { question, .. }) => {
            Asking { question: question.clone(), approved_by: Vec::new(), since: event.at }
        }
        (Asking { question, approved_by, since }, Kind::Answered { choice: Choice::Approve, by, .. })
            if question.allows(&Choice::Approve) =>
        {
            let approved_by: Vec<_> = approved_by.iter().chain([by]).cloned().collect();
            if approved_by.len() < question.count as usize {
                Asking { question: question.clone(), approved_by, since: *since }
            } else {
                Done
            }
        }
        (Asking { question, .. }, Kind::Answered { choice, .. }) if question.allows(choice) => {
            answered(it, question, choice, event.at)
        }
        (Asking { .. }, Kind::Skipped { by: Skipper::Person(_), .. }) => Skipped { by_person: true },
        (Waiting, Kind::Skipped { by, .. }) => Skipped { by_person: matches!(by, Skipper::Person(_)) },
        (Waiting | Backoff { .. } | Failed { .. } | Asking { .. }, Kind::Bypassed { proof, .. }) => {
            Bypassed { vouched: *proof == crate::event::Proof::Vouched }
        }
        (state @ (Waiting | Backoff { .. } | Asking { .. }), Kind::Amended { .. }) => state.clone(),
        _ => return None,
    })
}

/// Where an answer takes a step.
fn answered(it: &StepRun, question: &Question, choice: &Choice, now: Time) -> State {
    let undoing = matches!(question.about, About::Undo(_));
    match choice {
        Choice::Retry if undoing => State::Undoing { since: None },
        // A step that has not begun waits again: its needs, condition and values are looked at anew.
        Choice::Retry | Choice::Set { .. } if it.attempt == 0 => State::Waiting,
        Choice::Retry | Choice::Set { .. } => State::Backoff { until: now },
        Choice::Wait => {
            let error = question.error().cloned().unwrap_or_default();
            State::InDoubt { doubt: Doubt::Lost, error, look_at: Some(now) }
        }
        // It stays as it is; a step that had failed is left out for good.
        Choice::Skip if undoing && it.was_done => State::Done,
        Choice::Skip => State::Skipped { by_person: true },
        Choice::Undo => State::Undoing { since: None },
        Choice::Stop => State::Failed { error: question.error().cloned().unwrap_or_else(|| Failure::new("stopped")) },
        Choice::Decline => State::Failed { error: Failure::new("declined") },
        Choice::Approve | Choice::Done { .. } => State::Done,
    }
}

/// The name of an event.
fn word(kind: &Kind) -> String {
    let debug = format!("{kind:?}");
    debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
