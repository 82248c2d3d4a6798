//! What people say to a run: answers, work done by hand, notes, a pause.

use super::{Here, moment, pair, resume, value};
use crate::{
    args::{Answer, ChoiceArg, Done, Note, Saying, Says},
    control, evidence,
    failure::{self, Failure},
    person, show, state,
};
use dr_engine::{
    duration::Dur,
    event::{ADDS, Event, Moment},
    inbox::Inbox,
    inputs,
    journal::{
        Journal,
        sqlite::{Feed, Sqlite},
    },
    message::{self, Ask, Message, Taken},
    outcome::Learned,
    plan::{EVIDENCE, EVIDENCE_SHA256, Evidence},
    question::Choice,
    run::Run,
};
use serde_json::Map;
use std::{io, path::Path};

/// `dr answer`.
pub fn answer(here: &Here, args: Answer) -> Result<u8, Failure> {
    let choice = match args.choice {
        ChoiceArg::Retry => Choice::Retry,
        ChoiceArg::Wait => Choice::Wait,
        ChoiceArg::Skip => Choice::Skip,
        ChoiceArg::Undo => Choice::Undo,
        ChoiceArg::Stop => Choice::Stop,
        ChoiceArg::Approve => Choice::Approve,
        ChoiceArg::Decline => Choice::Decline,
        ChoiceArg::Impossible => Choice::Impossible,
        ChoiceArg::Set => {
            let given = args.value.as_deref().and_then(pair);
            let (name, given) = given.ok_or_else(|| {
                Failure::usage("`set` wants a value").hint("dr answer RUN STEP set steps.ID.OUTPUT=VALUE")
            })?;
            Choice::Set { name, value: value(&given) }
        }
    };
    let mut set = Map::new();
    for text in &args.set {
        let (name, given) = pair(text).ok_or_else(|| Failure::usage(format!("`{text}` is not INPUT=VALUE")))?;
        set.insert(name, value(&given));
    }
    let ask = Ask::Answer { step: args.step, choice, set, why: args.saying.why.clone() };
    say(here, &args.run, ask, &args.saying)
}

/// `dr done`.
pub fn done(here: &Here, args: Done) -> Result<u8, Failure> {
    if args.saying.why.is_empty() {
        return Err(Failure::usage("say what was done: --why TEXT"));
    }
    let mut values = Map::new();
    for text in &args.outputs {
        let (name, given) = pair(text).ok_or_else(|| Failure::usage(format!("`{text}` is not NAME=VALUE")))?;
        values.insert(name, value(&given));
    }
    let Some(shown) = &args.evidence else {
        let ask = Ask::Done { step: args.step, values, why: args.saying.why.clone() };
        return say(here, &args.run, ask, &args.saying);
    };
    let folder = here.state.folder(&here.state.find(&args.run)?);
    let (run, _) = state::load(&folder)?;
    let step = run.plan().step(message::place(&run, &args.step).map_err(Failure::before)?);
    let kept = match step.evidence {
        Evidence::None => {
            let failure = Failure::usage(format!("`{}` asks for nothing to be shown", step.id));
            return Err(failure.hint("leave out --evidence; --why says what was done"));
        }
        Evidence::Text => {
            values.insert(EVIDENCE.into(), shown.as_str().into());
            None
        }
        Evidence::File => {
            let kept = evidence::keep(&folder, &step.id, Path::new(shown))?;
            values.insert(EVIDENCE.into(), kept.name.as_str().into());
            values.insert(EVIDENCE_SHA256.into(), kept.sha256.as_str().into());
            Some(kept)
        }
    };
    let ask = Ask::Done { step: args.step, values, why: args.saying.why.clone() };
    let said = say(here, &args.run, ask, &args.saying);
    if let (Err(_), Some(kept)) = (&said, kept) {
        kept.drop();
    }
    said
}

/// `dr note`.
pub fn note(here: &Here, args: Note) -> Result<u8, Failure> {
    let now = control::clock().now();
    let clocks = [
        (Moment::Incident, &args.incident_at),
        (Moment::Detected, &args.detected_at),
        (Moment::Declared, &args.declared_at),
    ];
    let mut code = failure::DONE;
    let mut said = false;
    for (which, text) in clocks {
        let Some(text) = text else { continue };
        if args.saying.why.is_empty() {
            return Err(Failure::usage("a clock is corrected with a reason: --why TEXT"));
        }
        let at = moment(text, now)?;
        let ask = Ask::Clock { which, at, why: args.saying.why.clone() };
        code = code.max(say(here, &args.run, ask, &args.saying)?);
        // A time of day may have been meant for another day.
        let what = match which {
            Moment::Incident => "the outage began",
            Moment::Detected => "it was noticed",
            Moment::Declared => "it was declared",
        };
        show::aside(&format!("noted: {what} at {at}, {} ago", show::plan::brief(now.since(at))));
        said = true;
    }
    match args.text.filter(|text| !text.trim().is_empty()) {
        Some(text) if args.impact => say(here, &args.run, Ask::Impact { text }, &args.saying),
        Some(text) => {
            let learned = match (args.lesson, args.action) {
                (true, _) => Some(Learned::Lesson),
                (_, true) => {
                    Some(Learned::Action { owner: args.owner, due: args.due.as_deref().map(date).transpose()? })
                }
                _ => None,
            };
            say(here, &args.run, Ask::Note { text, help_wanted: args.help_wanted, learned }, &args.saying)
        }
        None if said => Ok(code),
        None => Err(Failure::usage("there is nothing to note").hint("dr note RUN TEXT")),
    }
}

/// A date, as ISO 8601 writes it.
fn date(text: &str) -> Result<String, Failure> {
    let date: jiff::civil::Date = text
        .parse()
        .map_err(|_| Failure::usage(format!("--due: `{text}` is no date")).hint("a date is written 2026-12-24"))?;
    Ok(date.to_string())
}

/// `dr pause`.
pub fn pause(here: &Here, args: &Says) -> Result<u8, Failure> {
    say(here, &args.run, Ask::Pause, &args.saying)
}

/// What is said when nothing else was given.
pub fn usual() -> Saying {
    Saying { why: String::new(), who: None, within: "10s".into() }
}

/// Says something to a run and waits until it is written down.
pub fn say(here: &Here, run: &str, ask: Ask, saying: &Saying) -> Result<u8, Failure> {
    let within: Dur = saying.within.parse().map_err(|e| Failure::usage(format!("--within: {e}")))?;
    let id = here.state.find(run)?;
    let folder = here.state.folder(&id);
    let (known, _) = state::load(&folder)?;
    let mut by = person::here(saying.who.as_deref());
    if let Some(name) = &saying.who {
        super::execute::known(known.plan(), name)?;
    }
    let now = control::clock().now();
    by.message = Some(format!("{:013}-{}", now.0, std::process::id()));
    let message = Message { by, ask };
    if resume::alive(&folder)? {
        return send(&folder, &id, &message, within);
    }
    let beside = matches!(
        message.ask,
        Ask::Note { .. } | Ask::Clock { .. } | Ask::Impact { .. } | Ask::Role { .. } | Ask::Word { .. }
    );
    if beside {
        append(&folder, std::slice::from_ref(&message))?;
        return Ok(failure::DONE);
    }
    if message.ask == Ask::Pause && known.finished.is_none() {
        show::aside(&format!("no controller runs, so nothing starts; dr resume {id} goes on"));
        return Ok(failure::DONE);
    }
    // Refused now rather than by a controller that comes later.
    let taken = message::take(&known, &message).and_then(|taken| match taken {
        Taken::Events(kinds) => inputs::accepted(&known, &dr_steps::registry(), &kinds),
        Taken::Prove { .. } => Ok(()),
    });
    taken.map_err(|why| Failure::before(why).hint(format!("dr status {id}")))?;
    if known.finished.is_some() {
        return Err(Failure::before("the run is over"));
    }
    let inbox = resume::inbox(&folder);
    replace(&inbox, &known, &message)?;
    inbox.send(&message).map_err(|e| unsaid(&e))?;
    show::aside("no controller runs now: this is written down for the next");
    show::aside(&format!("start one: dr resume {id}"));
    Ok(failure::HELD)
}

fn unsaid(error: &io::Error) -> Failure {
    Failure::before(format!("it could not be said: {error}"))
}

/// Whoever answers once more before a controller came has changed their mind: the first that is taken counts,
/// so what they said before is taken back.
fn replace(inbox: &Inbox, run: &Run, message: &Message) -> Result<(), Failure> {
    if message.ask.step().is_none() {
        return Ok(());
    }
    let value = |message: &Message| match &message.ask {
        Ask::Answer { choice: Choice::Set { name, .. }, .. } => Some(name.clone()),
        _ => None,
    };
    let same = |other: &Message| {
        let (one, two) = (&other.by, &message.by);
        // Two values of one step are two answers.
        let beside = value(other).zip(value(message)).is_some_and(|(one, two)| one != two);
        let person = (&one.name, &one.user, &one.host) == (&two.name, &two.user, &two.host);
        other.ask.step() == message.ask.step() && person && !beside
    };
    for other in inbox.untaken(run).map_err(|e| unsaid(&e))?.iter().filter(|other| same(other)) {
        if other.by.message.as_ref().is_some_and(|id| inbox.withdraw(id)) {
            show::aside(&format!("taken back: {}", show::lines::said(other)));
        }
    }
    Ok(())
}

/// Puts a message into the inbox and waits for the event it becomes.
fn send(folder: &Path, id: &str, message: &Message, within: Dur) -> Result<u8, Failure> {
    let inbox = resume::inbox(folder);
    let name = message.by.message.clone().unwrap_or_default();
    let mut feed = Feed::open(folder)?;
    feed.fresh()?;
    inbox.send(message).map_err(|e| unsaid(&e))?;
    let clock = control::clock();
    let until = clock.now().after(within);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| Failure::before(e.to_string()))?;
    loop {
        let heard = |event: &Event| event.kind.person().and_then(|p| p.message.as_ref()) == Some(&name);
        if feed.fresh()?.iter().any(heard) {
            return Ok(failure::DONE);
        }
        if let Some(why) = inbox.refused(&name) {
            return Err(Failure::before(why).hint(format!("dr status {id}")));
        }
        if clock.now() > until {
            if inbox.withdraw(&name) {
                return Err(Failure::new(
                    failure::TAKEN,
                    format!("the controller did not take it within {within}; it was taken back"),
                )
                .hint(format!("if it does not answer: dr resume {id} --take-over --why TEXT")));
            }
            // Taken just now: its event comes next.
            continue;
        }
        runtime.block_on(clock.sleep(Dur(20)));
    }
}

/// Notes and clocks need no controller: whoever says them takes the lock,
/// writes, and lets go.
pub fn append(folder: &Path, messages: &[Message]) -> Result<(), Failure> {
    let crash = control::crash_at()?;
    let (mut journal, read) = Sqlite::take(folder, &person::process(), crash, false)?;
    let mut run: Run = state::fold(&read.events)?;
    let mut events = Vec::new();
    for message in messages {
        match message::take(&run, message).map_err(Failure::before)? {
            _ if message.by.message.as_ref().is_some_and(|id| run.taken.contains(id)) => {}
            Taken::Events(kinds) => events.extend(kinds),
            Taken::Prove { .. } => return Err(Failure::before("that needs a controller")),
        }
    }
    if events.is_empty() {
        return Ok(());
    }
    let now = control::clock().now().max(run.at);
    let first = control::joined(journal.epoch(), Some(ADDS.into()), None);
    let mut batch = Vec::new();
    for kind in std::iter::once(first).chain(events) {
        let event = Event { seq: run.seq + 1, at: now, kind };
        run.apply(&event).map_err(|e| Failure::before(e.to_string()))?;
        batch.push(event);
    }
    debug_assert!(batch.iter().any(|e| e.kind.is_beside()));
    Ok(journal.append(&batch)?)
}
