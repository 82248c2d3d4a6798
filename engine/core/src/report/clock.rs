//! Where the time went: every moment from the incident to the end of the
//! recovery, counted once, under the cause that held up the critical path.
//!
//! The path is that of the run as it happened. From the end one walks back:
//! a step was what the run waited for since its last need was satisfied, and
//! before that it was that need. A step that a person ended before it could
//! begin hands the moment on to a need that was still missing.
//!
//! A handle counts for the attempt that recorded it; an attempt that adopts
//! earlier work is counted as ours until it records its own.

use super::measure::Measure;
use crate::{
    clock::Time,
    duration::Dur,
    event::{Event, Kind, Opened},
    plan::{StepIx, VERIFY},
    question::Choice,
    run::{Run, State},
};
use std::cmp::Reverse;

/// Where the time went. `before` and the parts after it make up `elapsed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// From the incident (as assumed, where it is) to the end of `verify`; without that, of the run.
    pub elapsed: Dur,
    /// From the incident to when it was noticed. A part of `before`.
    pub detect: Measure,
    /// From there to the start of the run. A part of `before`.
    pub decide: Measure,
    /// From the incident to the start of the run.
    pub before: Measure,
    /// Questions, approvals and pauses.
    pub people: Dur,
    /// The provider's work, from the handle it gave to the attempt's outcome.
    pub provider: Dur,
    /// The rest of our work.
    pub execute: Dur,
    /// Until service was back for good.
    pub verify: Measure,
    /// The stretch that had to stay good; not part of the RTO.
    pub hold: Measure,
}

impl Split {
    /// The sum of the parts that are known: `elapsed`.
    pub fn sum(&self) -> Dur {
        let parts = [&self.before, &self.verify, &self.hold].map(|part| part.known().unwrap_or_default());
        let parts = parts.into_iter().chain([self.people, self.provider, self.execute]);
        Dur(parts.map(|part| part.0).sum())
    }
}

/// What a step's time is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    People,
    Provider,
    Execute,
    Verify,
}

/// From here on a step does this.
#[derive(Debug, Clone, Copy)]
struct Mark {
    seq: u64,
    at: Time,
    cause: Cause,
    satisfied: bool,
}

/// From here on the run waited for this step, and before for another.
#[derive(Debug, Clone, Copy)]
struct Turn {
    seq: u64,
    at: Time,
    before: Before,
}

#[derive(Debug, Clone, Copy)]
enum Before {
    /// Nothing: the run began.
    Opened,
    /// This step.
    Step(StepIx),
    /// The step lost a need again: from here on it is one of those that is waited for.
    Blocked,
}

/// What one step did when.
#[derive(Debug, Clone, Default)]
struct Lane {
    marks: Vec<Mark>,
    turns: Vec<Turn>,
    handled: bool,
    waiting: bool,
    free: bool,
}

/// A place in a history: just before this event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) step: Option<StepIx>,
    pub(super) seq: u64,
    pub(super) at: Time,
}

/// What every step did when.
#[derive(Debug, Clone)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// The last end of a step.
    pub(super) last_end: Option<(StepIx, Time)>,
}

impl Lanes {
    /// A run in which nothing has happened yet.
    pub(super) fn of(run: &Run) -> Self {
        let mut lanes = Self { lanes: vec![Lane::default(); run.plan().steps.len()], last_end: None };
        lanes.mark(run, run.plan().places(), Before::Opened, Before::Opened);
        lanes
    }

    /// Takes an event in that `run` has taken in; `waited_for` is what the run
    /// waited for until then.
    pub(super) fn hear(&mut self, run: &Run, event: &Event, waited_for: Option<StepIx>) {
        let about = event.kind.step();
        if let Some(step) = about {
            let lane = &mut self.lanes[step.ix()];
            lane.handled = match &event.kind {
                Kind::Recorded { fact, .. } => lane.handled || fact.handle,
                _ => false,
            };
            if run.at_rest(step) && !run.step(step).was_owed {
                self.last_end = Some((step, event.at));
            }
        }
        match (&event.kind, waited_for) {
            (Kind::UndoAsked { steps, .. }, Some(before)) => {
                for step in steps {
                    self.turn(*step, run, Before::Step(before));
                }
            }
            (Kind::UndoDone { step, .. } | Kind::Answered { step, .. }, _) if run.at_rest(*step) => {
                // What a step stands on may be taken back once the step is.
                for need in &run.plan().step(*step).needs {
                    if matches!(run.step(*need).state, State::Undoing { since: None }) {
                        self.turn(*need, run, Before::Step(*step));
                    }
                }
            }
            _ => {}
        }
        let by = about.map_or(Before::Opened, Before::Step);
        let waited_for = waited_for.map_or(Before::Opened, Before::Step);
        match about {
            // With thousands of steps, to look at all of them at each event would take most of the time of a report.
            Some(step) if !matches!(event.kind, Kind::Answered { choice: Choice::Stop, .. }) => {
                let dependents = run.graph.dependents(step).iter().copied();
                self.mark(run, std::iter::once(step).chain(dependents), by, waited_for);
            }
            _ => self.mark(run, run.plan().places(), by, waited_for),
        }
    }

    fn turn(&mut self, step: StepIx, run: &Run, before: Before) {
        self.lanes[step.ix()].turns.push(Turn { seq: run.seq, at: run.at, before });
    }

    /// Notes what has changed of these steps; `by` is the step that changed it,
    /// `until_now` the one that the run waited for.
    fn mark(&mut self, run: &Run, steps: impl Iterator<Item = StepIx>, by: Before, until_now: Before) {
        for step in steps {
            let lane = &mut self.lanes[step.ix()];
            let (cause, satisfied) = (cause(run, step, lane.handled), run.satisfied(step));
            if lane.marks.last().is_none_or(|last| (last.cause, last.satisfied) != (cause, satisfied)) {
                lane.marks.push(Mark { seq: run.seq, at: run.at, cause, satisfied });
            }
            let (waited, was_free) = (lane.waiting, lane.free);
            lane.waiting = matches!(run.step(step).state, State::Waiting);
            if lane.waiting {
                lane.free = run.plan().step(step).needs.iter().all(|need| run.satisfied(*need));
                if lane.free != was_free {
                    let before = if lane.free { by } else { Before::Blocked };
                    self.turn(step, run, before);
                }
            } else if waited && !was_free {
                // A person ended it before it could begin.
                self.turn(step, run, until_now);
            }
        }
    }

    /// Whether nothing was overlooked: a look at every step finds nothing to note.
    #[cfg(test)]
    pub(super) fn is_whole(&self, run: &Run) -> bool {
        let mut looked = self.clone();
        looked.mark(run, run.plan().places(), Before::Opened, Before::Opened);
        let noted =
            |lanes: &Self| lanes.lanes.iter().map(|lane| (lane.marks.len(), lane.turns.len())).collect::<Vec<_>>();
        noted(&looked) == noted(self)
    }

    /// The stretches that make up the critical path, the last one first.
    fn path(&self, run: &Run, end: Cursor) -> Vec<(StepIx, Time, Time)> {
        let mut path = Vec::new();
        let Cursor { mut step, mut seq, mut at } = end;
        // Every turn of the loop goes to an earlier event, or at the same one to an earlier step.
        while let Some(this) = step {
            let turn = self.lanes[this.ix()].turns.iter().rev().find(|turn| turn.seq < seq);
            step = match turn.map(|turn| turn.before) {
                Some(Before::Blocked) | None => {
                    let missing = |need: &StepIx| !self.satisfied_before(*need, seq);
                    run.plan().step(this).needs.iter().copied().find(missing)
                }
                Some(Before::Opened) => {
                    path.push((this, run.opened_at, at));
                    None
                }
                Some(Before::Step(before)) => {
                    let began = turn.expect("it was just looked at");
                    path.push((this, began.at, at));
                    (seq, at) = (began.seq, began.at);
                    Some(before)
                }
            };
        }
        path
    }

    fn satisfied_before(&self, step: StepIx, seq: u64) -> bool {
        self.lanes[step.ix()].marks.iter().rev().find(|mark| mark.seq < seq).is_some_and(|mark| mark.satisfied)
    }

    /// The steps of the critical path in the order of time, and where the time
    /// went; the latter not if the incident comes after the end.
    pub(super) fn split(
        &self,
        run: &Run,
        clocks: &Opened,
        end: Cursor,
        healthy: Result<Time, String>,
    ) -> (Vec<StepIx>, Option<Split>) {
        let path = self.path(run, end);
        let steps: Vec<_> = path.iter().rev().map(|(step, ..)| *step).collect();
        let elapsed = end.at.since(clocks.incident_at);
        if elapsed < Dur(0) {
            return (steps, None);
        }
        let since = healthy.as_ref().map_or(end.at, |healthy| (*healthy).clamp(clocks.incident_at, end.at));
        let clip = |from: Time, to: Time| {
            let (from, to) = (from.max(clocks.incident_at).max(run.opened_at), to.min(since));
            to.since(from).max(Dur(0))
        };
        let mut spent = [Dur(0); 4];
        for (step, from, to) in path {
            let marks = &self.lanes[step.ix()].marks;
            for (at, mark) in marks.iter().enumerate() {
                let until = marks.get(at + 1).map_or(to, |next| next.at.min(to));
                let part = clip(mark.at.max(from), until);
                spent[mark.cause as usize].0 += part.0;
            }
        }
        let (detect, decide, before) = beginning(run, clocks, since);
        if steps.is_empty() {
            spent[Cause::Execute as usize].0 += clip(run.opened_at, since).0;
        }
        if before.known().is_none() {
            // An assumed incident is the moment of the command: until the run is open it is our work.
            spent[Cause::Execute as usize].0 += run.opened_at.min(since).since(clocks.incident_at).max(Dur(0)).0;
        }
        let [people, provider, execute, verify] = spent;
        let verify = match run.plan().find(VERIFY) {
            Some(_) => Measure::Known(verify),
            None => Measure::unknown("the runbook has no `verify`"),
        };
        let hold = match healthy {
            Ok(_) => Measure::Known(end.at.since(since)),
            Err(why) => Measure::unknown(why),
        };
        (steps, Some(Split { elapsed, detect, decide, before, people, provider, execute, verify, hold }))
    }
}

/// The time before the run: noticing and deciding.
fn beginning(run: &Run, clocks: &Opened, end: Time) -> (Measure, Measure, Measure) {
    let (incident, opened) = (clocks.incident_at, run.opened_at);
    if clocks.incident_assumed {
        let unknown = || Measure::unknown("nobody said when the outage began");
        return (unknown(), unknown(), unknown());
    }
    if incident > opened {
        let unknown = || Measure::unknown("the run was under way when the outage began");
        return (unknown(), unknown(), unknown());
    }
    let before = Measure::Known(opened.min(end).since(incident));
    match clocks.detected_at {
        None => (Measure::NotRecorded, Measure::unknown("when it was detected is not recorded"), before),
        Some(detected) if detected < incident || detected > opened.min(end) => {
            let unknown = || Measure::unknown(format!("the time of detection, {detected}, does not fit the others"));
            (unknown(), unknown(), before)
        }
        Some(detected) => {
            (Measure::Known(detected.since(incident)), Measure::Known(opened.min(end).since(detected)), before)
        }
    }
}

/// What the run waits for just now: of everything that is under way or may
/// begin, that with the longest path before it.
pub(super) fn waited_for(run: &Run, last_end: Option<StepIx>) -> Option<StepIx> {
    // Of those that may begin, the one with the longest path stands first.
    // A fence that is owed holds nothing up but the end of the run.
    let open =
        run.open.iter().copied().filter(|step| !run.is_owed(*step)).chain(run.ready.first().map(|(_, step)| *step));
    open.max_by_key(|step| (run.graph.remaining(*step), Reverse(*step))).or(last_end)
}

fn cause(run: &Run, step: StepIx, handled: bool) -> Cause {
    let verify = run.plan().step(step).id == VERIFY;
    match run.step(step).state {
        State::Asking { .. } => Cause::People,
        State::Waiting | State::Backoff { .. } | State::InDoubt { .. } | State::Undoing { since: None }
            if run.paused =>
        {
            Cause::People
        }
        State::Running { .. } | State::Undoing { since: Some(_) } if handled => Cause::Provider,
        State::Running { .. } | State::Backoff { .. } | State::InDoubt { .. } if verify => Cause::Verify,
        _ => Cause::Execute,
    }
}
