//! A run: the fold of its events over its plan.
//!
//! One state per step, changed in one place. An event that is illegal in the
//! state it meets is an error that names both, whether it comes from the loop
//! or from a journal: a history that could not happen can be neither written
//! nor read.

pub use crate::state::{State, StepRun};
use crate::{
    clock::Time,
    duration::Dur,
    event::{
        ADDS, BreakGlass, Controller, Deadline, Doubt, Event, Kind, Moment, Opened, Outcome, Person, Proof, Skipper,
    },
    limits,
    outcome::{Failure, Output},
    plan::{OnFailure, Plan, StepIx, VERIFY, graph::Graph},
    question::{APPROVED_BY, About, Choice},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    /// How it began; clocks corrected by people stand here as corrected.
    pub opened: Box<Opened>,
    /// When it began.
    pub opened_at: Time,
    /// What follows from the plan's needs.
    pub graph: Graph,
    /// The step that says when service is back, if there is one.
    pub verify: Option<StepIx>,
    /// The last event's number.
    pub seq: u64,
    /// The last event's time.
    pub at: Time,
    /// Who writes the journal.
    pub controller: Option<Controller>,
    /// The credentials kept for emergencies with which the last one worked that drove it.
    pub break_glass: Option<BreakGlass>,
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
    /// Who has a role now, where that is not whom the plan names.
    pub roles: BTreeMap<String, String>,
    /// Inbox messages that were taken.
    pub taken: BTreeSet<String>,
    /// Waiting steps whose needs are satisfied; the longest remaining path first.
    pub ready: BTreeSet<(Reverse<Dur>, StepIx)>,
    /// Steps that are neither waiting nor at rest: what `decide` looks at.
    pub open: BTreeSet<StepIx>,
    /// Steps that brought data back, up to a moment that is known.
    pub stores: BTreeSet<StepIx>,
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
    pub fn open(event: Event) -> Result<Self, Illegal> {
        let Kind::Opened(opened) = event.kind else {
            return Err(Illegal::new(&event, "the run", "not opened".into()));
        };
        let unmet = |needs: &Vec<StepIx>| StepRun { unmet: needs.len(), ..StepRun::default() };
        let mut run = Self {
            opened_at: event.at,
            graph: Graph::of(&opened.plan),
            verify: opened.plan.find(VERIFY),
            seq: event.seq,
            at: event.at,
            controller: None,
            break_glass: None,
            stopping: None,
            paused: false,
            leaving: false,
            finished: None,
            passed: BTreeSet::new(),
            roles: BTreeMap::new(),
            taken: BTreeSet::new(),
            ready: BTreeSet::new(),
            open: BTreeSet::new(),
            stores: BTreeSet::new(),
            steps: opened.plan.steps.iter().map(|step| unmet(&step.needs)).collect(),
            opened,
        };
        run.plan().places().for_each(|step| run.list(step));
        Ok(run)
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.opened.plan
    }

    /// Who has a role now.
    pub fn holder(&self, role: &str) -> Option<&str> {
        let planned = self.plan().roles.get(role).map(|role| role.name.as_str());
        self.roles.get(role).map(String::as_str).or(planned)
    }

    /// A step of the run.
    pub fn step(&self, step: StepIx) -> &StepRun {
        &self.steps[step.ix()]
    }

    /// Every step with its place.
    pub fn steps(&self) -> impl Iterator<Item = (StepIx, &StepRun)> {
        self.plan().places().zip(&self.steps)
    }

    /// The steps of which nobody knows what became of them.
    pub fn in_doubt(&self) -> Vec<StepIx> {
        self.steps().filter(|(_, it)| it.in_doubt()).map(|(step, _)| step).collect()
    }

    /// The gates before a step.
    pub fn gates(&self, step: StepIx) -> impl Iterator<Item = StepIx> {
        let plan = self.plan().step(step);
        plan.needs.iter().copied().filter(|gate| self.plan().step(*gate).gates.as_ref() == Some(&plan.id))
    }

    /// The fences that could not be set, while what needs them goes on.
    pub fn owed(&self) -> impl Iterator<Item = StepIx> {
        self.plan().places().filter(|step| self.is_owed(*step))
    }

    /// The fences that do not stand, though what needs them went on: owed, or left so by somebody.
    pub fn unfenced(&self) -> impl Iterator<Item = StepIx> {
        let left = |step: StepIx| self.step(step).was_owed && matches!(self.step(step).state, State::Skipped { .. });
        self.plan().places().filter(move |step| self.is_owed(*step) || left(*step))
    }

    /// Since when the old writer cannot write that a step, or the step behind this gate,
    /// stands in for: since the last of its fences was proven. None where one was not,
    /// or where it has none.
    pub fn fenced_at(&self, step: StepIx) -> Option<Time> {
        let gated = self.plan().step(step).gates.as_ref().and_then(|id| self.plan().find(id));
        let fences = &self.plan().step(gated.unwrap_or(step)).fenced_by;
        let proven = |fence: &StepIx| match self.step(*fence).state {
            State::Done | State::Bypassed { .. } => self.step(*fence).done_at,
            _ => None,
        };
        fences.iter().map(proven).max().filter(|_| fences.iter().all(|fence| proven(fence).is_some())).flatten()
    }

    /// Whether a step is a fence that could not be set, while what needs it goes on.
    pub fn is_owed(&self, step: StepIx) -> bool {
        matches!(self.step(step).state, State::Owed { .. })
    }

    /// Whether nothing more is to be done at a step: what needs it may go on, and it owes nothing.
    pub fn out_of_the_way(&self, step: StepIx) -> bool {
        self.satisfied(step) && !self.is_owed(step)
    }

    /// Takes one event in: the only place where a state changes. An event that
    /// cannot happen leaves the run as it was.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        let illegal = |what: &str, state: String| Err(Illegal::new(event, what, state));
        if event.seq != self.seq + 1 || event.at < self.at {
            return illegal("the run", format!("at event {}, {}", self.seq, self.at));
        }
        if let Some(step) = event.kind.named().iter().find(|step| step.ix() >= self.steps.len()) {
            return illegal("the run", format!("without step {}", step.0));
        }
        match (&event.kind, self.finished) {
            (Kind::Opened(_), _) | (Kind::Reopened { .. }, None) => return illegal("the run", "open".into()),
            (Kind::Joined(_) | Kind::Reopened { .. }, Some(_)) => {}
            (kind, Some(_)) if kind.is_beside() => {}
            (_, Some(_)) => return illegal("the run", "finished".into()),
            (Kind::UndoAsked { steps, .. }, None) => {
                let had_effect = |step: &StepIx| {
                    matches!(
                        self.step(*step).state,
                        State::Done | State::Failed { .. } | State::Owed { next: Some(_), .. }
                    )
                };
                if let Some(other) = steps.iter().find(|step| !had_effect(step)) {
                    return illegal(&self.plan().step(*other).id, format!("{:?}", self.step(*other).state));
                }
            }
            (_, None) => {}
        }
        if let Some(step) = event.kind.step() {
            let Some(next) = follow(&mut self.steps[step.ix()], event) else {
                return illegal(&self.plan().step(step).id, format!("{:?}", self.step(step).state));
            };
            self.spread(step, &event.kind);
            if matches!(next, State::Done | State::Bypassed { .. }) {
                self.steps[step.ix()].done_at = Some(event.at);
            }
            self.enter(step, next);
        } else {
            self.whole(event);
        }
        self.taken.extend(event.kind.person().and_then(|p| p.message.clone()));
        (self.seq, self.at) = (event.seq, event.at);
        Ok(())
    }

    /// What an event about one step changes beyond that step.
    fn spread(&mut self, step: StepIx, kind: &Kind) {
        match kind {
            // Another question may be late as well.
            Kind::Asked { .. } => drop(self.passed.remove(&Deadline::Question(step))),
            Kind::Succeeded { output, .. } | Kind::Bypassed { output, .. } if output.recovery_point.is_some() => {
                self.stores.insert(step);
            }
            Kind::Failed { .. } if self.plan().step(step).on_failure == OnFailure::Stop => {
                self.stopping = self.stopping.or(Some(Outcome::Failed));
            }
            Kind::Answered { choice: Choice::Stop, .. } => {
                self.stopping = self.stopping.filter(|why| *why == Outcome::Failed).or(Some(Outcome::Stopped));
                // Nothing more is taken back either.
                for other in self.open.clone() {
                    let next = match &self.step(other).state {
                        State::Undoing { since: None } if self.step(other).was_done => State::Done,
                        State::Undoing { since: None } => State::Failed { error: Failure::new("stopped") },
                        State::Asking { question, .. } if let About::Undo(error) = &question.about => {
                            State::Failed { error: error.clone() }
                        }
                        _ => continue,
                    };
                    self.enter(other, next);
                }
            }
            _ => {}
        }
    }

    /// An event about the run as a whole.
    fn whole(&mut self, event: &Event) {
        match &event.kind {
            Kind::Joined(controller) => {
                (self.controller, self.leaving) = (Some(controller.clone()), false);
                if controller.why.as_deref() != Some(ADDS) {
                    self.break_glass.clone_from(&controller.break_glass);
                }
                // Whoever ran these is gone. Nothing else distinguishes a resumed run.
                for step in &self.open {
                    let it = &mut self.steps[step.ix()];
                    match it.state {
                        State::Running { .. } => {
                            it.doubt = Some(Doubt::Lost);
                            let error = Failure::new("the controller ended before it heard of the outcome");
                            it.state = State::InDoubt { doubt: Doubt::Lost, error, look_at: Some(event.at) };
                        }
                        State::Undoing { .. } => it.state = State::Undoing { since: None },
                        State::Owed { ref mut next, .. } => *next = Some(event.at),
                        _ => {}
                    }
                }
            }
            Kind::UndoAsked { steps, whole, .. } => {
                for step in steps {
                    self.enter(*step, State::Undoing { since: None });
                }
                self.cut_off(steps);
                self.stopping = if *whole { Some(Outcome::Undone) } else { self.stopping };
            }
            Kind::DeadlinePassed { which } => drop(self.passed.insert(which.clone())),
            Kind::ClockSet { which, at, .. } => match which {
                Moment::Incident => {
                    (self.opened.incident_at, self.opened.incident_assumed) = (*at, false);
                    // They are counted from there, and may pass again.
                    self.passed.retain(|which| !matches!(which, Deadline::Rto | Deadline::Rpo(_)));
                }
                Moment::Detected => self.opened.detected_at = Some(*at),
                Moment::Declared => self.opened.declared_at = Some(*at),
            },
            Kind::RoleSet { role, to, .. } => drop(self.roles.insert(role.clone(), to.clone())),
            Kind::Paused { .. } => self.paused = true,
            Kind::Continued { .. } => self.paused = false,
            Kind::CancelAsked { .. } => self.leaving = true,
            // It goes on for this alone.
            Kind::Reopened { .. } => (self.finished, self.stopping) = (None, Some(Outcome::Undone)),
            Kind::Finished { outcome } => {
                (self.finished, self.paused) = (Some(*outcome), false);
                for step in self.plan().places() {
                    if self.step(step).state == State::Waiting {
                        self.enter(step, State::Unneeded { because: self.because(step) });
                    }
                }
            }
            _ => {}
        }
    }

    /// What stands on steps that are taken back ends with them: what changed
    /// nothing is taken back at once, what waits begins no more.
    fn cut_off(&mut self, steps: &[StepIx]) {
        let mut below: BTreeSet<StepIx> = steps.iter().copied().collect();
        for step in self.plan().places() {
            if !self.plan().step(step).needs.iter().any(|need| below.contains(need)) {
                continue;
            }
            below.insert(step);
            self.steps[step.ix()].cut_off = true;
            match &self.step(step).state {
                State::Done if !self.plan().step(step).changes => self.enter(step, State::Undone),
                State::Asking { question, .. } if matches!(question.about, About::Approval | About::Work) => {
                    self.enter(step, State::Waiting);
                }
                _ => self.list(step),
            }
        }
    }

    /// Puts a step into a state, and keeps what is derived from states right.
    fn enter(&mut self, step: StepIx, next: State) {
        let was = self.satisfied(step);
        self.steps[step.ix()].was_done |= next == State::Done;
        self.steps[step.ix()].was_owed |= matches!(next, State::Owed { .. });
        self.steps[step.ix()].state = next;
        let is = self.satisfied(step);
        if was != is {
            for dependent in self.graph.dependents(step).to_vec() {
                let unmet = &mut self.steps[dependent.ix()].unmet;
                *unmet = if is { *unmet - 1 } else { *unmet + 1 };
                // Only the last need that is met, or the first that is not, changes where it stands.
                if *unmet == usize::from(!is) {
                    self.list(dependent);
                }
            }
        }
        self.list(step);
    }

    fn list(&mut self, step: StepIx) {
        let key = (Reverse(self.graph.remaining(step)), step);
        let waiting = self.step(step).state == State::Waiting;
        let ready = waiting && self.step(step).can_begin();
        let open = !waiting && !self.at_rest(step);
        let _: bool = if ready { self.ready.insert(key) } else { self.ready.remove(&key) };
        let _: bool = if open { self.open.insert(step) } else { self.open.remove(&step) };
    }

    /// Whether nothing more will happen to a step by itself.
    pub fn at_rest(&self, step: StepIx) -> bool {
        use State::{Bypassed, Done, Failed, Owed, Skipped, Undone, Unneeded};
        match self.step(step).state {
            Done | Skipped { .. } | Bypassed { .. } | Unneeded { .. } | Undone => true,
            Failed { .. } => self.stopping.is_some() || self.tolerates(step),
            Owed { next, .. } => next.is_some() && self.stopping.is_some(),
            _ => false,
        }
    }

    /// Whether an attempt at a step may do something anew: nobody stopped the
    /// run, and what the step needs was not taken back.
    pub fn may_begin(&self, step: StepIx) -> bool {
        self.stopping.is_none() && self.step(step).can_begin()
    }

    /// Whether what needs this step may go on.
    pub fn satisfied(&self, step: StepIx) -> bool {
        match self.step(step).state {
            State::Done | State::Bypassed { .. } | State::Skipped { .. } | State::Owed { .. } => true,
            State::Failed { .. } => self.tolerates(step),
            _ => false,
        }
    }

    fn tolerates(&self, step: StepIx) -> bool {
        let plan = self.plan().step(step);
        plan.on_failure == OnFailure::Continue && !plan.is_gate()
    }

    fn because(&self, step: StepIx) -> String {
        let mut needs = self.plan().step(step).needs.iter();
        match needs.find(|need| !self.satisfied(**need)) {
            Some(need) => format!("`{}` was not done", self.plan().step(*need).id),
            None => "the run ended".into(),
        }
    }
}

/// The legal moves of one step: takes the event in and gives the state that it
/// leads to; `None` is a refusal, and leaves the step as it was.
fn follow(it: &mut StepRun, event: &Event) -> Option<State> {
    use State::{
        Asking, Backoff, Bypassed, Done, Failed, InDoubt, Owed, Running, Skipped, Stuck, Undoing, Undone, Waiting,
    };
    let mine = |attempt: &u32| *attempt == it.attempt;
    let anew = |attempt: &u32| *attempt == it.attempt + 1;
    let now = event.at;
    Some(match (&it.state, &event.kind) {
        (Waiting | Backoff { .. } | InDoubt { look_at: Some(_), .. }, Kind::Started { attempt, .. })
            if anew(attempt) && (it.can_begin() || matches!(it.state, InDoubt { .. })) =>
        {
            (it.attempt, it.granted, it.output) = (*attempt, false, Output::default());
            Running { since: now }
        }
        (Undoing { since: None }, Kind::UndoStarted { attempt, .. }) if anew(attempt) => {
            (it.attempt, it.granted) = (*attempt, false);
            Undoing { since: Some(now) }
        }
        (
            state @ (Running { .. } | Undoing { since: Some(_) } | Owed { next: None, .. }),
            Kind::Recorded { attempt, fact, .. },
        ) if mine(attempt) => {
            it.facts.push(fact.clone());
            state.clone()
        }
        (Running { .. }, Kind::Succeeded { attempt, output, .. }) if mine(attempt) => {
            (it.output, it.doubt) = (output.clone(), None);
            Done
        }
        (Running { .. }, Kind::AttemptFailed { attempt, retry_at, .. }) if mine(attempt) => {
            (it.failures, it.doubt) = (it.failures + 1, None);
            Backoff { until: *retry_at }
        }
        (Running { .. }, Kind::Failed { attempt, error, .. }) if mine(attempt) => {
            (it.failures, it.doubt) = (it.failures + 1, None);
            Failed { error: error.clone() }
        }
        (Running { .. }, Kind::InDoubt { attempt, doubt, error, look_at, .. }) if mine(attempt) => {
            (it.failures, it.doubt) = (it.failures + 1, Some(*doubt));
            InDoubt { doubt: *doubt, error: error.clone(), look_at: *look_at }
        }
        (Owed { error, said_by, since, next: Some(_) }, Kind::Started { attempt, .. })
            if anew(attempt) && it.can_begin() =>
        {
            let next = Owed { error: error.clone(), said_by: said_by.clone(), since: *since, next: None };
            (it.attempt, it.granted) = (*attempt, false);
            next
        }
        // Somebody knows what its look cannot tell.
        (Owed { error, said_by, since, next: Some(_) }, Kind::Answered { choice: Choice::Retry, .. }) => {
            let next = Owed { error: error.clone(), said_by: said_by.clone(), since: *since, next: Some(now) };
            it.granted = true;
            next
        }
        // It may end without having told: then it is tried anew at once.
        (state @ Owed { next: None, .. }, Kind::Answered { choice: Choice::Retry, .. }) => {
            it.granted = true;
            state.clone()
        }
        (Owed { next: None, .. }, Kind::Succeeded { attempt, output, .. }) if mine(attempt) => {
            (it.output, it.doubt) = (output.clone(), None);
            Done
        }
        (Owed { said_by, since, next: None, .. }, Kind::AttemptFailed { attempt, error, retry_at, .. })
            if mine(attempt) =>
        {
            let next = if it.granted { now } else { *retry_at };
            Owed { error: error.clone(), said_by: said_by.clone(), since: *since, next: Some(next) }
        }
        (Undoing { since: Some(_) }, Kind::UndoDone { attempt, .. }) if mine(attempt) => Undone,
        (Undoing { since: Some(_) }, Kind::UndoFailed { attempt, error, .. }) if mine(attempt) => {
            Stuck { error: error.clone() }
        }
        (Waiting | Running { .. } | InDoubt { .. } | Failed { .. } | Stuck { .. }, Kind::Asked { question, .. }) => {
            Asking { question: question.clone(), approved_by: Vec::new(), since: now }
        }
        (Asking { question, .. }, Kind::Answered { choice, .. }) if !question.allows(choice) => return None,
        (Asking { .. }, Kind::Answered { choice, by, .. }) => return answered(it, choice, by, now),
        (Asking { .. } | Waiting | Owed { .. }, Kind::Skipped { by: Skipper::Person(_), .. }) => {
            Skipped { by_person: true }
        }
        (Waiting, Kind::Skipped { .. }) => Skipped { by_person: false },
        (Waiting | Backoff { .. } | Failed { .. } | Asking { .. }, Kind::Bypassed { proof, output, .. }) => {
            it.output = output.clone();
            Bypassed { vouched: *proof == Proof::Vouched }
        }
        (state @ (Waiting | Backoff { .. } | Asking { .. }), Kind::Amended { inputs, .. }) => {
            it.amended.extend(inputs.clone());
            state.clone()
        }
        _ => return None,
    })
}

/// Where an answer takes a step that asks.
fn answered(it: &mut StepRun, choice: &Choice, by: &Person, now: Time) -> Option<State> {
    let State::Asking { question, approved_by, since } = std::mem::take(&mut it.state) else { return None };
    let undoing = matches!(question.about, About::Undo(_));
    // A step that has not begun waits again: its needs, condition and values are looked at anew.
    let anew = if it.attempt == 0 { State::Waiting } else { State::Backoff { until: now } };
    Some(match choice {
        Choice::Retry => {
            it.granted = matches!(question.about, About::Doubt(_) | About::Undo(_));
            it.failures = 0;
            if undoing { State::Undoing { since: None } } else { anew }
        }
        Choice::Set { name, value } => {
            it.given.insert(name.clone(), value.clone());
            anew
        }
        Choice::Wait => {
            // What is waited for is known to be under way: its slowness is no doubt any more.
            (it.failures, it.doubt) = (0, Some(Doubt::Lost));
            let error = question.error().cloned().unwrap_or_default();
            State::InDoubt { doubt: Doubt::Lost, error, look_at: Some(now) }
        }
        // It stays as it is, and nobody knows how; a step that had failed is left out for good.
        Choice::Skip => {
            it.left |= undoing;
            if undoing && it.was_done { State::Done } else { State::Skipped { by_person: true } }
        }
        Choice::Undo => State::Undoing { since: None },
        Choice::Stop => State::Failed { error: question.error().cloned().unwrap_or_else(|| Failure::new("stopped")) },
        Choice::Decline => State::Failed { error: Failure::new("declined") },
        Choice::Done { values } => {
            it.output = Output { values: values.clone(), recovery_point: None };
            State::Done
        }
        Choice::Approve | Choice::Impossible => {
            let approved_by: Vec<_> = approved_by.into_iter().chain([by.clone()]).collect();
            let names: Vec<String> =
                approved_by.iter().map(|by| by.name.as_ref().unwrap_or(&by.user).clone()).collect();
            let enough = approved_by.len() >= question.count as usize;
            match choice {
                Choice::Impossible if enough => {
                    let error = question.error().cloned().unwrap_or_else(|| Failure::new(question.text));
                    it.doubt = None;
                    State::Owed { error, said_by: names, since: now, next: Some(now.after(limits::FENCE_PAUSE)) }
                }
                _ => {
                    if *choice == Choice::Approve {
                        it.output.values.insert(APPROVED_BY.into(), names.into());
                    }
                    if enough { State::Done } else { State::Asking { question, approved_by, since } }
                }
            }
        }
    })
}

impl Illegal {
    fn new(event: &Event, what: &str, state: String) -> Self {
        let debug = format!("{:?}", event.kind);
        let word = debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
        Self { seq: event.seq, event: word, what: what.into(), state }
    }
}
