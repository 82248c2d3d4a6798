//! What people say to a run from another terminal, and the events it becomes.
//!
//! The sender knows little; whether a message makes sense is decided here,
//! against the run as it is when the message arrives.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    clock::Time,
    data_loss::DATA_LOSS,
    event::{Audience, Kind, Moment, Person, Skipper},
    outcome::Learned,
    plan::{EVIDENCE, EVIDENCE_SHA256, Evidence, Role, StepIx},
    question::{About, Choice},
    run::{Run, State},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

/// Something a person says to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it; `by.message` is the message's own id.
    pub by: Person,
    /// What.
    pub ask: Ask,
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// An answer to the question of a step; `set` changes inputs first.
    Answer { step: String, choice: Choice, set: Map<String, Value>, why: String },
    /// A step was done by hand.
    Done { step: String, values: Map<String, Value>, why: String },
    /// A line for the timeline.
    Note {
        text: String,
        help_wanted: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        learned: Option<Learned>,
    },
    /// What those who use the service notice.
    Impact { text: String },
    /// A role passes to somebody whom the runbook names.
    Role { role: String, to: String, why: String },
    /// Words for the next update; with `send` it goes out now.
    Word { text: String, send: bool },
    /// Something was told. Said by what delivers, not by people.
    Told { item: String, audience: Audience, channel: String, reference: String },
    /// A clock was wrong.
    Clock { which: Moment, at: Time, why: String },
    /// Start nothing new.
    Pause,
    /// Go on.
    Continue,
    /// Take back one step with what was built on it, or everything; `shown`
    /// are the steps that the person saw and agreed to.
    Undo { step: Option<String>, around: bool, why: String, shown: Option<Vec<String>> },
}

impl Ask {
    /// The step that this is an answer of, or work at.
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Answer { step, .. } | Self::Done { step, .. } => Some(step),
            _ => None,
        }
    }
}

/// Where the sender of a message hears what became of it.
pub type Reply = oneshot::Sender<Result<(), String>>;

/// What can arrive from outside while a run goes on.
pub enum Arrival {
    /// A message, and where to say what became of it, once that is durable.
    Message(Message, Reply),
    /// A signal asks to leave: start nothing new.
    Cancel(Person),
    /// A second signal: leave now.
    Leave,
}

/// What a message leads to.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// These events.
    Events(Vec<Kind>),
    /// A look first: the step's `check` may prove what the person says. Its
    /// open gates are left out with it.
    Prove { step: StepIx, gates: Vec<StepIx>, values: Map<String, Value>, by: Person, why: String },
}

/// Turns a message into what follows from it, or says why nothing can.
pub fn take(run: &Run, message: &Message) -> Result<Taken, String> {
    let by = message.by.clone();
    let events = match &message.ask {
        Ask::Answer { step, choice, set, why } => answer(run, place(run, step)?, choice, set, why, &by)?,
        Ask::Done { step, values, why } => {
            let place = place(run, step)?;
            shown(run, place, values)?;
            let state = &run.step(place).state;
            if let State::Asking { question, .. } = state
                && question.about == About::Work
            {
                may_answer(run, place, &by)?;
                let choice = Choice::Done { values: values.clone() };
                if !question.allows(&choice) {
                    return Err(format!("`{step}` can be answered with: {}", question.choices.join(", ")));
                }
                vec![Kind::Answered { step: place, by, choice, why: why.clone() }]
            } else if run.plan().step(place).is_gate() {
                return Err(format!("`{step}` wants an approval: `dr answer {} {step} approve`", run.opened.run));
            } else if let Some(fence) = run.plan().step(place).fenced_by.iter().find(|fence| !run.satisfied(**fence)) {
                let fence = &run.plan().step(*fence).id;
                return Err(format!(
                    "`{fence}` fences the old writer, and comes first. {}",
                    two_say(&run.opened.run, fence)
                ));
            } else if run.step(place).state.being_undone() {
                return Err(format!("`{step}` is being taken back: answer with retry, skip or stop"));
            } else if matches!(
                state,
                State::Waiting | State::Backoff { .. } | State::Failed { .. } | State::Asking { .. }
            ) {
                if run.finished.is_some() {
                    return Err("the run is over".into());
                }
                let (gates, values, why) = (open_gates(run, place), values.clone(), why.clone());
                return Ok(Taken::Prove { step: place, gates, values, by, why });
            } else {
                return Err(format!("`{step}` is {}: there is nothing to do by hand", state.word()));
            }
        }
        Ask::Note { text, help_wanted, learned } => {
            vec![Kind::Noted { by, text: text.clone(), help_wanted: *help_wanted, learned: learned.clone() }]
        }
        Ask::Impact { text } => vec![Kind::Affected { by, text: text.clone() }],
        Ask::Role { role, to, why } => vec![hand_over(run, role, to, why, by)?],
        Ask::Word { text, send } => vec![Kind::Worded { by, text: text.clone(), send: *send }],
        Ask::Told { item, audience, channel, reference } => {
            let (item, channel, reference) = (item.clone(), channel.clone(), reference.clone());
            vec![Kind::Told { by, item, audience: *audience, channel, reference }]
        }
        Ask::Clock { which, at, why } => vec![Kind::ClockSet { which: *which, at: *at, by, why: why.clone() }],
        Ask::Pause if run.paused => return Err("the run is paused already".into()),
        Ask::Pause => vec![Kind::Paused { by }],
        Ask::Continue if !run.paused => return Err("the run is not paused".into()),
        Ask::Continue => vec![Kind::Continued { by }],
        Ask::Undo { step, around, why, shown } => {
            let events = undo(run, step.as_deref(), *around, why, by)?;
            let now: Vec<_> = taken_back(&events).map(|step| run.plan().step(step).id.as_str()).collect();
            if shown.as_ref().is_some_and(|shown| *shown != now) {
                let (run, step) = (&run.opened.run, step.as_deref().unwrap_or_default());
                return Err(format!("the run has gone on since it was shown: `dr undo {run} {step}` shows it anew"));
            }
            events
        }
    };
    if run.finished.is_some()
        && !events.iter().all(Kind::is_beside)
        && !matches!(events.first(), Some(Kind::Reopened { .. }))
    {
        return Err("the run is over: only notes, clocks, roles and `dr undo` are taken".into());
    }
    Ok(Taken::Events(events))
}

/// The place of the step with this id, or the id that may have been meant.
pub fn place(run: &Run, id: &str) -> Result<StepIx, String> {
    run.plan().find(id).ok_or_else(|| {
        let ids = run.plan().steps.iter().map(|s| s.id.as_str());
        match crate::problem::did_you_mean(id, ids) {
            Some(near) => format!("there is no step `{id}` in this run; did you mean `{near}`?"),
            None => format!("there is no step `{id}` in this run"),
        }
    })
}

fn answer(
    run: &Run,
    step: StepIx,
    choice: &Choice,
    set: &Map<String, Value>,
    why: &str,
    by: &Person,
) -> Result<Vec<Kind>, String> {
    if run.finished.is_some() {
        return Err("the run is over, and asks nothing any more".into());
    }
    let (plan, it) = (run.plan().step(step), run.step(step));
    let id = &plan.id;
    let answered = || Kind::Answered { step, by: by.clone(), choice: choice.clone(), why: why.into() };
    let State::Asking { question, .. } = &it.state else {
        // Leaving a step out needs no question: a person may see that it is not wanted.
        let skip = |step| Kind::Skipped { step, by: Skipper::Person(by.clone()), why: why.into() };
        match (&it.state, choice) {
            (State::Waiting, Choice::Skip) if plan.fences => {
                return Err(format!("`{id}` is a fence, which is not left out: leave out what stands behind it"));
            }
            (State::Waiting, Choice::Skip) if !plan.is_gate() => {
                return Ok(std::iter::once(step).chain(open_gates(run, step)).map(skip).collect());
            }
            (State::Owed { .. }, Choice::Retry) if set.is_empty() => return Ok(vec![answered()]),
            (State::Owed { .. }, Choice::Skip) => {
                let roles: Vec<_> = run.plan().roles.keys().cloned().collect();
                named(run, &roles, by)?;
                if why.is_empty() {
                    return Err("say why nothing fences the old writer: --why TEXT".into());
                }
                return Ok(vec![skip(step)]);
            }
            _ => {}
        }
        return Err(format!("`{id}` asks nothing: it is {}", it.state.word()));
    };
    if !question.allows(choice) {
        return Err(format!("`{id}` can be answered with: {}", question.choices.join(", ")));
    }
    // Agreement is asked of some; to try again or to stop is anybody's, but at a gate.
    let agrees = matches!(choice, Choice::Impossible);
    if agrees || !plan.fences {
        may_answer(run, step, by)?;
    }
    if agrees && why.is_empty() {
        return Err("say how you know that the old writer cannot write: --why TEXT".into());
    }
    if matches!(choice, Choice::Retry) && !it.state.being_undone() && !run.may_begin(step) {
        return Err(format!("what `{id}` needs was taken back, so it cannot run again"));
    }
    if plan.is_gate() && !set.is_empty() {
        return Err(format!("what `{id}` asks, and of whom, stays as it was planned: answer `retry` without --set"));
    }
    let given = matches!(choice, Choice::Set { .. });
    if plan.fences && (given || !set.is_empty()) {
        return Err(format!(
            "what `{id}` fences, and what proves it, stays as it was planned: stop this run and plan anew, or let two \
             people say `impossible`"
        ));
    }
    let acknowledged = |gate: StepIx| run.plan().step(gate).kind == DATA_LOSS && run.step(gate).state == State::Done;
    if (given || !set.is_empty()) && run.gates(step).any(acknowledged) {
        return Err(format!(
            "somebody took on what `{id}` loses as it was planned; with other inputs it would lose something else: \
             stop this run and plan anew"
        ));
    }
    if set.is_empty() {
        return Ok(vec![answered()]);
    }
    if !matches!(choice, Choice::Retry) {
        return Err("inputs can be changed with `retry` only".into());
    }
    if why.is_empty() {
        return Err("say why the inputs change: --why TEXT".into());
    }
    Ok(vec![Kind::Amended { step, inputs: set.clone(), by: by.clone(), why: why.into() }, answered()])
}

/// Why a fence that a person set by hand does not count.
pub(crate) fn unproven(run: &Run, step: StepIx) -> String {
    let (run, id) = (&run.opened.run, &run.plan().step(step).id);
    format!(
        "`{id}` is a fence, and its look does not see that the old writer cannot write: one person's word is not \
         enough. {}",
        two_say(run, id)
    )
}

fn two_say(run: &str, fence: &str) -> String {
    format!("When it cannot be set, two people say so: `dr answer {run} {fence} impossible --why TEXT --as NAME`")
}

/// The gates before a step that are not passed: nobody need agree to what will not be done by us.
fn open_gates(run: &Run, step: StepIx) -> Vec<StepIx> {
    let open = |gate: &StepIx| matches!(run.step(*gate).state, State::Waiting | State::Asking { .. });
    run.gates(step).filter(open).collect()
}

/// Whether what a step wants to be shown was shown.
fn shown(run: &Run, step: StepIx, values: &Map<String, Value>) -> Result<(), String> {
    let (run, step) = (&run.opened.run, run.plan().step(step));
    let given = |name: &str| match values.get(name) {
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(Value::Null) | None => false,
        Some(_) => true,
    };
    let (good, what) = match step.evidence {
        Evidence::None => return Ok(()),
        Evidence::Text => (given(EVIDENCE), "TEXT"),
        Evidence::File => (given(EVIDENCE) && given(EVIDENCE_SHA256), "FILE"),
    };
    if good {
        return Ok(());
    }
    let id = &step.id;
    Err(format!("`{id}` is done when it is shown: `dr done {run} {id} --why TEXT --evidence {what}`"))
}

/// Whether this person's answer counts.
fn may_answer(run: &Run, step: StepIx, by: &Person) -> Result<(), String> {
    let State::Asking { question, approved_by, .. } = &run.step(step).state else {
        return Ok(());
    };
    if question.roles.is_empty() && !question.not_starter && question.count == 1 {
        return Ok(());
    }
    if !question.roles.is_empty() {
        named(run, &question.roles, by)?;
    }
    let starter = &run.opened.by;
    // One account under two names is one person until somebody signs in.
    let same = |other: &Person| {
        (by.name.is_some() && by.name == other.name) || (by.user == other.user && by.host == other.host)
    };
    if question.not_starter && same(starter) {
        return Err("whoever started the run may not approve this; somebody else, from their own account".into());
    }
    if approved_by.iter().any(same) {
        return Err(format!(
            "you have agreed already, as {} on {}; {} of {} so far. The next agrees from a login of their own, by \
             `sudo -u` where the run belongs to another account",
            by.user,
            by.host,
            approved_by.len(),
            question.count
        ));
    }
    Ok(())
}

/// Whether this person speaks for one of these roles.
fn named(run: &Run, roles: &[String], by: &Person) -> Result<(), String> {
    let name = by.name.as_deref().ok_or_else(|| format!("say who you are: --as NAME, one of {}", names(run, roles)))?;
    let deputies = |role: &String| run.plan().roles.get(role).map(|role| &role.deputies[..]).unwrap_or_default();
    let has = |role: &String| run.holder(role) == Some(name) || deputies(role).iter().any(|d| d == name);
    if roles.iter().any(has) { Ok(()) } else { Err(format!("`{name}` may not answer this; {} may", names(run, roles))) }
}

fn names(run: &Run, roles: &[String]) -> String {
    let roles = roles.iter().filter_map(|role| run.plan().roles.get(role).map(|r| (role, r)));
    let names: Vec<_> = roles
        .flat_map(|(role, r)| {
            // A deputy who has the role is one person.
            let deputies = r.deputies.iter().map(String::as_str).filter(|name| run.holder(role) != Some(*name));
            run.holder(role).into_iter().chain(deputies).map(move |n| format!("{n} ({role})"))
        })
        .collect();
    names.join(", ")
}

/// A role passes on. Whoever has a role may answer for it: only people whom the
/// runbook names can be given one.
fn hand_over(run: &Run, role: &str, to: &str, why: &str, by: Person) -> Result<Kind, String> {
    let roles = &run.plan().roles;
    if !roles.contains_key(role) {
        let near = crate::problem::did_you_mean(role, roles.keys().map(String::as_str));
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        return Err(format!("nobody has the role `{role}` in this run{near}"));
    }
    let named: std::collections::BTreeSet<_> = roles.values().flat_map(Role::people).collect();
    if !named.contains(to) {
        let named = named.into_iter().collect::<Vec<_>>().join(", ");
        return Err(format!("`{to}` is not named in this runbook; {named} are"));
    }
    if run.holder(role) == Some(to) {
        return Err(format!("`{to}` is {role} already"));
    }
    Ok(Kind::RoleSet { role: role.into(), to: to.into(), by, why: why.into() })
}

/// The events that begin to take steps back: what was built on them with them.
fn undo(run: &Run, step: Option<&str>, around: bool, why: &str, by: Person) -> Result<Vec<Kind>, String> {
    let whole = step.is_none();
    let wanted: Vec<StepIx> = match step {
        None => run.plan().places().collect(),
        Some(id) => built_on(run, place(run, id)?),
    };
    let busy = |s: &&StepIx| {
        matches!(run.step(**s).state, State::Running { .. } | State::Undoing { .. } | State::Owed { next: None, .. })
    };
    if let Some(busy) = wanted.iter().find(busy) {
        let (id, word) = (&run.plan().step(*busy).id, run.step(*busy).state.word());
        return Err(format!("`{id}` is {word}: wait until it has ended, then undo"));
    }
    if let Some(doubtful) = wanted.iter().find(|s| run.step(**s).in_doubt()) {
        let id = &run.plan().step(*doubtful).id;
        return Err(format!("nobody knows what became of `{id}`, which stands on it: answer its question, then undo"));
    }
    // What failed may have done a part of its work: where it can be taken back, that is looked into.
    let by_us = |s: &StepIx| {
        let it = run.step(*s);
        it.state == State::Done || (matches!(it.state, State::Failed { .. } | State::Owed { .. }) && it.attempt > 0)
    };
    let done = |s: &StepIx| matches!(run.step(*s).state, State::Done | State::Bypassed { .. });
    let (can, cannot): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .filter(|s| run.plan().step(*s).changes)
        .partition(|s| run.plan().step(*s).can_undo && by_us(s));
    let mut cannot: Vec<_> = cannot.into_iter().filter(done).collect();
    // Taken away under a promotion that stays, a fence would leave two that write.
    let stays = |d: &&StepIx| {
        let (plan, it) = (run.plan().step(**d), run.step(**d));
        plan.changes && !plan.fences && !can.contains(d) && (done(d) || it.attempt > 0)
    };
    let needed = |s: &StepIx| run.plan().step(*s).fences && run.graph.dependents(*s).iter().any(|d| stays(&d));
    let (keep, can): (Vec<_>, Vec<_>) = can.iter().copied().partition(needed);
    let fenced = if keep.is_empty() { "" } else { "; a fence stays while what was begun behind it does" };
    cannot.extend(keep);
    let ids: Vec<_> = cannot.iter().map(|s| format!("`{}`", run.plan().step(*s).id)).collect();
    let ids = ids.join(", ");
    match (can.is_empty(), cannot.is_empty()) {
        (true, true) => return Err("nothing was done that can be taken back".into()),
        (true, false) => return Err(format!("nothing that was done can be taken back: {ids}{fenced}")),
        (false, false) if !around => {
            return Err(format!("{ids} cannot be taken back{fenced}; `--around` takes back the rest"));
        }
        (false, _) => {}
    }
    let asked = Kind::UndoAsked { steps: can, whole, by: by.clone(), why: why.into() };
    let reopened = run.finished.map(|_| Kind::Reopened { by, why: why.into() });
    Ok(reopened.into_iter().chain([asked]).collect())
}

/// The steps that these events take back, in the order of the plan.
pub fn taken_back(events: &[Kind]) -> impl Iterator<Item = StepIx> {
    events.iter().flat_map(|kind| if let Kind::UndoAsked { steps, .. } = kind { &steps[..] } else { &[] }).copied()
}

/// A step and everything that was built on it.
fn built_on(run: &Run, step: StepIx) -> Vec<StepIx> {
    let mut found = std::collections::BTreeSet::from([step]);
    let mut left = vec![step];
    while let Some(step) = left.pop() {
        left.extend(run.graph.dependents(step).iter().filter(|d| found.insert(**d)));
    }
    found.into_iter().collect()
}
