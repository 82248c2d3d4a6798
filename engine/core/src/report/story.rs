//! What happened to each step, who was asked what, and what did not go by the
//! plan: gathered event by event, next to the fold.

use super::{text, timeline};
use crate::{
    clock::Time,
    duration::Dur,
    event::{ADDS, Audience, Controller, Deadline, Event, Kind, Moment, Person, Proof, Skipper},
    outcome::{Fact, Failure, Learned, RecoveryPoint},
    plan::{Estimate, OnFailure, StepIx},
    question::{About, Choice},
    run::{Run, State},
};
use serde_json::{Map, Value};

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The event's number.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// What, for people.
    pub text: String,
}

/// What happened to one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepStory {
    /// Its place in the plan.
    pub step: StepIx,
    /// Its id.
    pub id: String,
    /// The kind of work.
    pub kind: String,
    /// The phase it is shown under.
    pub phase: Option<String>,
    /// Where.
    pub region: Option<String>,
    /// The ids of what it needed.
    pub needs: Vec<String>,
    /// How long it was to take.
    pub planned: Option<Estimate>,
    /// When an attempt had to end.
    pub timeout: Dur,
    /// The first attempt.
    pub started: Option<Time>,
    /// When it came to rest, last.
    pub ended: Option<Time>,
    /// How many attempts.
    pub attempts: u32,
    /// Where it stands, as `State::word` says.
    pub state: &'static str,
    /// Whether its goal was found reached, and nothing had to be done; only of a step that succeeded.
    pub found: Option<bool>,
    /// The person who did, skipped or approved it.
    pub actor: Option<Person>,
    /// Up to when the data is there.
    pub recovery_point: Option<RecoveryPoint>,
    /// What it left for others.
    pub outputs: Map<String, Value>,
    /// What it wrote down.
    pub facts: Vec<(Time, u32, Fact)>,
    /// What went wrong.
    pub errors: Vec<StepError>,
    /// The run waited for it.
    pub on_path: bool,
}

/// Something that went wrong in an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct StepError {
    /// When it was known.
    pub at: Time,
    /// In which attempt.
    pub attempt: u32,
    /// `failed`, `in_doubt` or `undo_failed`.
    pub word: &'static str,
    /// What.
    pub failure: Failure,
}

/// A question to people.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The step it is about.
    pub step: String,
    /// `failure`, `doubt`, `slow`, `missing`, `approval`, `work` or `undo`.
    pub about: &'static str,
    /// The question.
    pub text: String,
    /// What may be answered.
    pub choices: Vec<String>,
    /// Whose answer counts.
    pub roles: Vec<String>,
    /// How many must approve.
    pub count: u32,
    /// When it was asked.
    pub asked_at: Time,
    /// The answers, in order.
    pub answers: Vec<Answer>,
    /// When it was settled.
    pub settled_at: Option<Time>,
    /// From the question until it was settled, or so far.
    pub waited: Dur,
    /// It was told as late.
    pub late: bool,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// When.
    pub at: Time,
    /// By whom.
    pub by: Person,
    /// The word for it.
    pub word: &'static str,
    /// Why.
    pub why: String,
}

/// Something that a person decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// By whom.
    pub by: Person,
    /// About which step.
    pub step: Option<String>,
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Something that did not go by the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// When.
    pub at: Time,
    /// About which step.
    pub step: Option<String>,
    /// What.
    pub what: String,
    /// Why, if that was said.
    pub why: String,
    /// By whom, if it was somebody.
    pub by: Option<Person>,
}

/// A line that a person wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// When.
    pub at: Time,
    /// By whom.
    pub by: Person,
    /// What.
    pub text: String,
    /// It asks for help.
    pub help_wanted: bool,
    /// It says something for the next time.
    pub learned: Option<Learned>,
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// When it was known to have arrived where it was sent.
    pub at: Time,
    /// What.
    pub item: String,
    /// To whom.
    pub audience: Audience,
    /// By which channel.
    pub channel: String,
    /// By what it is found there.
    pub reference: String,
}

/// A deadline that passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Passed {
    /// When it was told.
    pub at: Time,
    /// `rto`, `rpo`, `estimate` or `question`.
    pub which: &'static str,
    /// Of which step.
    pub step: Option<String>,
}

/// Everything that is gathered beside the fold.
#[derive(Debug, Clone, PartialEq)]
pub struct Story {
    /// Event by event.
    pub timeline: Vec<Line>,
    /// Step by step, in the order of the plan.
    pub steps: Vec<StepStory>,
    /// Question by question.
    pub questions: Vec<Asked>,
    /// What people decided.
    pub decisions: Vec<Decision>,
    /// What did not go by the plan.
    pub deviations: Vec<Deviation>,
    /// What people wrote.
    pub notes: Vec<Note>,
    /// What those who use the service notice, as people said it.
    pub affected: Vec<Note>,
    /// What was told to whom.
    pub told: Vec<Told>,
    /// What passed.
    pub passed: Vec<Passed>,
    /// Who wrote the journal.
    pub controllers: Vec<(Time, Controller)>,
    /// Everybody who said something.
    pub people: Vec<Person>,
    /// When the run ended, if it is over.
    over_since: Option<Time>,
}

impl Story {
    /// A run that has just begun with this event.
    pub(super) fn of(run: &Run, event: &Event) -> Self {
        let plan = run.plan();
        let steps = plan.places().map(|step| {
            let it = plan.step(step);
            StepStory {
                step,
                id: it.id.clone(),
                kind: it.kind.clone(),
                phase: it.phase.clone(),
                region: it.region.clone(),
                needs: it.needs.iter().map(|need| plan.step(*need).id.clone()).collect(),
                planned: it.estimate,
                timeout: it.timeout,
                started: None,
                ended: None,
                attempts: 0,
                state: run.step(step).state.word(),
                found: None,
                actor: None,
                recovery_point: None,
                outputs: Map::new(),
                facts: Vec::new(),
                errors: Vec::new(),
                on_path: false,
            }
        });
        let mut story = Self {
            timeline: Vec::new(),
            steps: steps.collect(),
            questions: Vec::new(),
            decisions: Vec::new(),
            deviations: Vec::new(),
            notes: Vec::new(),
            affected: Vec::new(),
            told: Vec::new(),
            passed: Vec::new(),
            controllers: Vec::new(),
            people: Vec::new(),
            over_since: None,
        };
        story.hear(run, event);
        story
    }

    /// Takes an event in that `run` has taken in.
    pub(super) fn hear(&mut self, run: &Run, event: &Event) {
        self.timeline.push(Line { seq: event.seq, at: event.at, text: timeline::line(run, event) });
        let by = event.kind.person().filter(|_| !matches!(event.kind, Kind::Told { .. }));
        if let Some(by) = by {
            let same = |other: &Person| (&other.name, &other.user, &other.host) == (&by.name, &by.user, &by.host);
            if !self.people.iter().any(same) {
                self.people.push(Person { message: None, ..by.clone() });
            }
        }
        if let Some(step) = event.kind.step() {
            self.about_step(run, event, step);
            self.about_question(run, event, step);
        }
        self.decided(run, event);
        match &event.kind {
            Kind::Joined(controller) => self.controllers.push((event.at, controller.clone())),
            Kind::Noted { by, text, help_wanted, learned } => {
                let (by, text, learned) = (by.clone(), text.clone(), learned.clone());
                self.notes.push(Note { at: event.at, by, text, help_wanted: *help_wanted, learned });
            }
            Kind::Affected { by, text } => {
                let (by, text) = (by.clone(), text.clone());
                self.affected.push(Note { at: event.at, by, text, help_wanted: false, learned: None });
            }
            Kind::Told { item, audience, channel, reference, .. } => self.told.push(Told {
                at: event.at,
                item: item.clone(),
                audience: *audience,
                channel: channel.clone(),
                reference: reference.clone(),
            }),
            Kind::DeadlinePassed { which } => self.pass(run, event.at, which),
            Kind::Finished { .. } => self.over_since = Some(event.at),
            Kind::Reopened { .. } => self.over_since = None,
            _ => {}
        }
    }

    /// Says where everything stands at the end.
    pub(super) fn close(&mut self, run: &Run, now: Time) {
        for (story, (_, it)) in self.steps.iter_mut().zip(run.steps()) {
            story.state = it.state.word();
            story.outputs.clone_from(&it.output.values);
            story.recovery_point.clone_from(&it.output.recovery_point);
        }
        for asked in &mut self.questions {
            // Nobody waits for an answer once the run is over.
            asked.waited = asked.settled_at.or(self.over_since).unwrap_or(now).since(asked.asked_at);
        }
    }

    fn about_step(&mut self, run: &Run, event: &Event, step: StepIx) {
        let it = &mut self.steps[step.ix()];
        it.ended = run.at_rest(step).then_some(event.at);
        let mut error = |attempt: u32, word, failure: &Failure| {
            it.errors.push(StepError { at: event.at, attempt, word, failure: failure.clone() });
        };
        match &event.kind {
            Kind::Started { attempt, .. } | Kind::UndoStarted { attempt, .. } => {
                it.started.get_or_insert(event.at);
                it.attempts = *attempt;
            }
            Kind::Recorded { attempt, fact, .. } => it.facts.push((event.at, *attempt, fact.clone())),
            Kind::Succeeded { found, .. } => it.found = Some(*found),
            Kind::AttemptFailed { attempt, error: failure, .. } | Kind::Failed { attempt, error: failure, .. } => {
                error(*attempt, "failed", failure);
            }
            Kind::InDoubt { attempt, error: failure, .. } => error(*attempt, "in_doubt", failure),
            Kind::UndoFailed { attempt, error: failure, .. } => error(*attempt, "undo_failed", failure),
            Kind::Bypassed { by, .. } | Kind::Skipped { by: Skipper::Person(by), .. } => it.actor = Some(by.clone()),
            Kind::Answered { by, choice, .. } => {
                if matches!(choice, Choice::Approve | Choice::Done { .. } | Choice::Skip | Choice::Impossible) {
                    it.actor = Some(by.clone());
                }
            }
            Kind::Asked { question, .. } => {
                if let About::Slow(failure) = &question.about {
                    error(run.step(step).attempt, "in_doubt", failure);
                }
            }
            _ => {}
        }
    }

    fn about_question(&mut self, run: &Run, event: &Event, step: StepIx) {
        let id = &run.plan().step(step).id;
        let open = self.questions.iter_mut().rev().find(|asked| asked.step == *id && asked.settled_at.is_none());
        match (&event.kind, open) {
            (Kind::Asked { question, .. }, _) => self.questions.push(Asked {
                step: id.clone(),
                about: about(&question.about),
                text: question.text.clone(),
                choices: question.choices.clone(),
                roles: question.roles.clone(),
                count: question.count,
                asked_at: event.at,
                answers: Vec::new(),
                settled_at: None,
                waited: Dur(0),
                late: false,
            }),
            (kind, Some(asked)) => {
                let answer = match kind {
                    Kind::Answered { by, choice, why, .. } => Some((by, choice.word(), why)),
                    Kind::Bypassed { by, why, .. } => Some((by, "done", why)),
                    _ => None,
                };
                if let Some((by, word, why)) = answer {
                    asked.answers.push(Answer { at: event.at, by: by.clone(), word, why: why.clone() });
                }
                if !matches!(run.step(step).state, State::Asking { .. }) {
                    asked.settled_at = Some(event.at);
                    let waited = event.at.since(asked.asked_at);
                    if asked.late {
                        let what = format!("answered late, after {}", text::seconds(waited));
                        self.deviate(event, Some(id), what, "", None);
                    }
                }
            }
            _ => {}
        }
    }

    fn pass(&mut self, run: &Run, at: Time, which: &Deadline) {
        let id = |step: &StepIx| run.plan().steps.get(step.ix()).map(|step| step.id.clone());
        let (which, step) = match which {
            Deadline::Rto => ("rto", None),
            Deadline::Rpo(step) => ("rpo", id(step)),
            Deadline::Estimate(step) => ("estimate", id(step)),
            Deadline::Question(step) => ("question", id(step)),
        };
        if which == "question" {
            let open = self.questions.iter_mut().filter(|asked| Some(&asked.step) == step.as_ref());
            open.filter(|asked| asked.settled_at.is_none()).for_each(|asked| asked.late = true);
        }
        self.passed.push(Passed { at, which, step });
    }

    /// What a person decided, and what of it and beside it does not go by the plan.
    fn decided(&mut self, run: &Run, event: &Event) {
        let id = event.kind.step().map(|step| run.plan().step(step).id.clone());
        let id = id.as_ref();
        let joined = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
        if let Kind::Joined(Controller { break_glass: Some(it), .. }) = &event.kind {
            let what = format!("worked with the credentials of the break-glass profile `{}`", it.profile);
            self.deviate(event, None, what, &it.why, Some(&it.by));
        }
        let (what, why, deviates) = match &event.kind {
            Kind::Joined(Controller { why: Some(why), host, .. }) if why != ADDS => {
                return self.deviate(event, None, format!("{host} took over from a controller that lived"), why, None);
            }
            Kind::Failed { step, error, .. } if run.plan().step(*step).on_failure == OnFailure::Continue => {
                return self.deviate(event, id, "failed, and was tolerated".into(), &error.message, None);
            }
            Kind::Skipped { by: Skipper::Person(_), why, .. } => ("skipped".into(), why.as_str(), true),
            Kind::Bypassed { proof: Proof::Proven, why, .. } => {
                ("done by hand, proven by its check".into(), why.as_str(), true)
            }
            Kind::Bypassed { proof: Proof::Vouched, why, .. } => {
                ("done by hand, vouched for and not proven".into(), why.as_str(), true)
            }
            Kind::Answered { choice, why, .. } => match choice {
                Choice::Skip => ("skipped".into(), why.as_str(), true),
                Choice::Set { name, value } => {
                    (format!("value given: {name} = {}", text::value(value)), why.as_str(), true)
                }
                Choice::Impossible => {
                    ("the fence cannot be set, and the old writer cannot write".into(), why.as_str(), true)
                }
                Choice::Undo | Choice::Stop | Choice::Decline => (choice.word().into(), why.as_str(), true),
                _ => (choice.word().into(), why.as_str(), false),
            },
            Kind::Amended { inputs, why, .. } => {
                let set = inputs.iter().map(|(name, value)| format!("{name} = {}", text::value(value)));
                (format!("inputs changed: {}", set.collect::<Vec<_>>().join(", ")), why.as_str(), true)
            }
            Kind::ClockSet { which, at, why, .. } => {
                (format!("{} set to {}", moment(*which), text::stamp(*at)), why.as_str(), true)
            }
            Kind::UndoAsked { steps, whole, why, .. } => {
                let ids = joined(&mut steps.iter().map(|step| run.plan().step(*step).id.as_str()));
                (format!("undo of {}", if *whole { "everything" } else { &ids }), why.as_str(), true)
            }
            Kind::Reopened { why, .. } => ("reopened".into(), why.as_str(), true),
            Kind::RoleSet { role, to, why, .. } => (format!("{role} passed to {to}"), why.as_str(), false),
            Kind::Worded { send: true, text, .. } => ("update sent".into(), text.as_str(), false),
            Kind::Paused { .. } => ("paused".into(), "", true),
            Kind::Continued { .. } => ("continued".into(), "", false),
            Kind::CancelAsked { .. } => ("interrupted".into(), "", true),
            _ => return,
        };
        let by = event.kind.person();
        if deviates {
            self.deviate(event, id, what.clone(), why, by);
        }
        if let Some(by) = by.cloned() {
            self.decisions.push(Decision { at: event.at, by, step: id.cloned(), what, why: why.into() });
        }
    }

    fn deviate(&mut self, event: &Event, step: Option<&String>, what: String, why: &str, by: Option<&Person>) {
        let deviation = Deviation { at: event.at, step: step.cloned(), what, why: why.into(), by: by.cloned() };
        self.deviations.push(deviation);
    }
}

pub(super) fn about(about: &About) -> &'static str {
    match about {
        About::Failure(_) => "failure",
        About::Doubt(_) => "doubt",
        About::Slow(_) => "slow",
        About::Missing(_) => "missing",
        About::Approval => "approval",
        About::Work => "work",
        About::Undo(_) => "undo",
    }
}

pub(super) fn moment(which: Moment) -> &'static str {
    match which {
        Moment::Incident => "incident_at",
        Moment::Detected => "detected_at",
        Moment::Declared => "declared_at",
    }
}
