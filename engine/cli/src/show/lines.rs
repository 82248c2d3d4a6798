//! A run as plain lines, one per event; or as JSON, one object per line.
//!
//! Written by a thread of their own: a terminal that is stopped, slow or gone
//! holds up the lines, never the recovery.

use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    event::{ADDS, BreakGlass, Controller, Deadline, Event, Kind, Outcome, Proof, Skipper},
    executor::Observer,
    message::{Ask, Message},
    outcome::{Failure, Learned},
    plan::{Account, StepIx},
    question::{self, About, Choice, Question},
    run::{Run, State},
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// The version of the JSON lines.
const FORMAT: &str = r#"{"format":"dr-events","version":1}"#;

/// Says what happens.
pub struct Lines {
    to: Arc<mpsc::SyncSender<String>>,
    /// Nothing ever comes from here; it is closed when all is written.
    written: mpsc::Receiver<()>,
    json: bool,
}

/// Texts that nobody reads are kept up to this number; then they are left out.
const BEHIND_MAX: usize = 10_000;
/// How long the end waits for a reader that does not read.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Lines {
    /// Begins to say, on standard output.
    pub fn begin(json: bool) -> Self {
        let (to, texts) = mpsc::sync_channel::<String>(BEHIND_MAX);
        let (writing, written) = mpsc::channel();
        thread::spawn(move || {
            let _writing: mpsc::Sender<()> = writing;
            let mut out = io::stdout();
            for text in texts {
                // Nobody reads any more: the run goes on without a screen.
                if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
        });
        let lines = Self { to: Arc::new(to), written, json };
        if json {
            lines.say(format!("{FORMAT}\n"));
        }
        lines
    }

    fn say(&self, text: String) {
        // A full queue is a reader that went away without closing.
        self.to.try_send(text).ok();
    }

    /// Says what happened: one text for all of it, since each wakes the writer.
    pub fn events(&self, events: &[Event], run: &Run) {
        let line = |event| if self.json { Some(json(event, run)) } else { text(event, run) };
        let lines: String = events.iter().filter_map(line).map(|line| line + "\n").collect();
        if !lines.is_empty() {
            self.say(lines);
        }
    }

    /// Says what is asked since before: whoever comes now has not seen it.
    pub fn remind(&self, run: &Run) {
        for (step, it) in run.steps() {
            if let State::Asking { question, .. } = &it.state
                && !self.json
            {
                self.say(still_asked(run.at, step, question, run) + "\n");
            }
        }
    }

    /// A way to say now and then what running steps say: one that waits in
    /// silence for minutes looks like one that hangs.
    pub fn murmuring(&self, run: &Run, clock: &Arc<dyn Clock>) -> impl Fn(&str, &str) + Send + Sync + use<> {
        // Whoever keeps this must not keep the writer from its end.
        let (to, clock) = (Arc::downgrade(&self.to), clock.clone());
        let (incident, json) = (run.opened.incident_at, self.json);
        let murmurs = Mutex::new(Murmurs::default());
        move |step, text| {
            let now = clock.now();
            if !json && murmurs.lock().unwrap_or_else(PoisonError::into_inner).tells(now, step, text) {
                let line = row_since(now, incident, step, &format!("still: {text}")) + "\n";
                to.upgrade().and_then(|to| to.try_send(line).ok());
            }
        }
    }

    /// Waits until what was said is written, but not for a reader that does
    /// not read.
    pub fn end(self) {
        drop(self.to);
        self.written.recv_timeout(LAST_WORDS).ok();
    }
}

/// What each running step said last, and when that was told.
#[derive(Default)]
struct Murmurs(BTreeMap<String, (Time, String)>);

/// What a step says is told this seldom.
const MURMUR_PAUSE: Dur = Dur::seconds(30);

impl Murmurs {
    /// Whether this is worth a line: a step has been at it for a while, and says something new.
    fn tells(&mut self, now: Time, step: &str, text: &str) -> bool {
        let (at, said) = self.0.entry(step.to_owned()).or_insert((now, String::new()));
        let tells = now.since(*at) >= MURMUR_PAUSE && said != text;
        if tells {
            (*at, *said) = (now, text.to_owned());
        }
        tells
    }
}

impl Observer for Lines {
    fn told(&mut self, events: &[Event], run: &Run) {
        self.events(events, run);
    }
}

fn json(event: &Event, run: &Run) -> String {
    let step = event.kind.step().map(|step| run.plan().step(step).id.clone());
    let kind = match &event.kind {
        // The plan is long and stands in the journal; here its hash will do.
        Kind::Opened(opened) => serde_json::json!({ "Opened": { "run": opened.run, "plan": opened.plan.hash() } }),
        kind => serde_json::to_value(kind).unwrap_or_default(),
    };
    serde_json::json!({ "seq": event.seq, "at": event.at.to_string(), "step": step, "event": kind }).to_string()
}

/// An event as a line, a question with what answers it; or nothing for what people need not see pass by.
pub fn text(event: &Event, run: &Run) -> Option<String> {
    let line = sentence(event, run)?;
    Some(match &event.kind {
        Kind::Asked { step, question } => with_commands(line, *step, question, run),
        _ => line,
    })
}

/// The same without what answers a question.
pub fn sentence(event: &Event, run: &Run) -> Option<String> {
    let id = |step: &StepIx| run.plan().step(*step).id.clone();
    let (who, what) = match &event.kind {
        Kind::Opened(opened) => {
            let assumed = if opened.incident_assumed { " (assumed)" } else { "" };
            let what = format!("opened; the outage began {}{assumed}", opened.incident_at);
            (String::new(), what)
        }
        Kind::Joined(c) if c.why.as_deref() == Some(ADDS) => return None,
        Kind::Joined(c) if c.epoch == 1 => {
            (String::new(), format!("controller: pid {} on {}{}", c.pid, c.host, broken(c)))
        }
        Kind::Joined(c) => {
            let why = c.why.as_ref().map_or(String::new(), |why| format!(", taken over: {why}"));
            (String::new(), format!("controller: pid {} on {} goes on with it{why}{}", c.pid, c.host, broken(c)))
        }
        // It is tried each minute: how that ended is the next line.
        Kind::Started { step, .. } if matches!(run.step(*step).state, State::Owed { .. }) => return None,
        // A gate starts by asking: that is the next line.
        Kind::Started { step, .. } if run.plan().step(*step).gates.is_some() => return None,
        Kind::Started { step, attempt: 1 } => (id(step), "started".into()),
        Kind::Started { step, attempt } if run.step(*step).doubt.is_some() => {
            (id(step), format!("attempt {attempt}: looks first what became of the last"))
        }
        Kind::Started { step, attempt } => (id(step), format!("started, attempt {attempt}")),
        Kind::Recorded { .. } => return None,
        Kind::Succeeded { step, found: true, .. } => (id(step), "done: it was so already".into()),
        Kind::Succeeded { step, .. } => (id(step), "done".into()),
        Kind::AttemptFailed { step, attempt, error, retry_at } => {
            let again = format!("; attempt {} in {}", attempt + 1, super::plan::brief(retry_at.since(event.at)));
            (id(step), format!("attempt {attempt} failed: {}{again}", failure(error)))
        }
        Kind::Failed { step, error, .. } => (id(step), format!("FAILED: {}", failure(error))),
        Kind::InDoubt { step, error, .. } => (id(step), format!("in doubt: {}", failure(error))),
        Kind::Skipped { step, by: Skipper::Condition, why } => (id(step), format!("skipped: {why}")),
        Kind::Skipped { step, by: Skipper::Person(by), .. } => (id(step), format!("skipped by {}", name(by))),
        Kind::Bypassed { step, by, proof, .. } => {
            let proof = if *proof == Proof::Proven { "proven by its check" } else { "vouched for, not proven" };
            (id(step), format!("done by hand by {}: {proof}", name(by)))
        }
        Kind::Asked { step, question } => (id(step), asked(question)),
        Kind::Answered { step, by, choice: Choice::Impossible, .. } => {
            let owed = match &run.step(*step).state {
                State::Owed { said_by, .. } => format!(
                    "NOT FENCED: {} say that it cannot be set and that the old writer cannot write; what needs it \
                     goes on, and it is tried again each minute",
                    said_by.join(" and ")
                ),
                _ => format!("{} says that it cannot be set; one more has to say so", name(by)),
            };
            (id(step), owed)
        }
        Kind::Answered { step, by, choice, .. } => (id(step), format!("answered by {}: {}", name(by), choice.word())),
        Kind::DeadlinePassed { which } => match which {
            Deadline::Rto => (String::new(), "THE RTO HAS PASSED".into()),
            Deadline::Rpo(step) => (id(step), "more data is lost than its RPO allows".into()),
            Deadline::Estimate(step) => (id(step), "takes longer than its p90".into()),
            Deadline::Question(step) => (id(step), "the answer is late".into()),
        },
        Kind::UndoAsked { steps, by, .. } => (String::new(), format!("{} takes back {} steps", name(by), steps.len())),
        Kind::UndoStarted { step, .. } => (id(step), "being taken back".into()),
        Kind::UndoDone { step, .. } => (id(step), "taken back".into()),
        Kind::UndoFailed { step, error, .. } => (id(step), format!("COULD NOT BE TAKEN BACK: {}", failure(error))),
        Kind::Noted { by, text, help_wanted, learned } => {
            let what = match learned {
                Some(Learned::Lesson) => "lesson",
                Some(Learned::Action { .. }) => "action",
                None if *help_wanted => "HELP WANTED",
                None => "note",
            };
            (String::new(), format!("{what} by {}: {text}", name(by)))
        }
        Kind::Affected { by, text } => (String::new(), format!("impact, says {}: {text}", name(by))),
        Kind::RoleSet { role, to, by, .. } => (String::new(), format!("{to} IS NOW {role}, says {}", name(by))),
        Kind::Worded { by, send: true, .. } => (String::new(), format!("{} sends the update now", name(by))),
        Kind::Worded { by, .. } => (String::new(), format!("{} words the next update", name(by))),
        Kind::Told { item, channel, .. } => (String::new(), dr_engine::report::telling(item, channel)),
        Kind::Amended { step, inputs, by, .. } => {
            let names: Vec<_> = inputs.keys().map(String::as_str).collect();
            (id(step), format!("{} changed {}", name(by), names.join(", ")))
        }
        Kind::ClockSet { which, at, by, .. } => {
            (String::new(), format!("{} says: {which:?} at {at}", name(by)).to_lowercase())
        }
        Kind::Paused { by } => (String::new(), format!("PAUSED by {}", name(by))),
        Kind::Continued { by } => (String::new(), format!("continued by {}", name(by))),
        Kind::Reopened { by, .. } => (String::new(), format!("reopened by {}", name(by))),
        Kind::CancelAsked { .. } => {
            let running = run.steps().filter_map(|(step, it)| match it.state {
                State::Running { since } | State::Undoing { since: Some(since) } => {
                    Some(format!("{} for {}", id(&step), super::plan::brief(event.at.since(since))))
                }
                _ => None,
            });
            let running = running.collect::<Vec<_>>().join(", ");
            let still = if running.is_empty() { "nothing runs".into() } else { format!("still running: {running}") };
            (String::new(), format!("asked to leave: nothing new starts; {still}"))
        }
        Kind::Finished { outcome } => (String::new(), ended(*outcome, run)),
    };
    Some(row(event.at, &who, &what, run))
}

fn asked(question: &Question) -> String {
    match &question.about {
        About::Approval => format!("WAITS FOR APPROVAL: {}", question.text),
        About::Work => format!("WAITS FOR A PERSON'S WORK: {}", question.text),
        // The line before says how it failed.
        About::Failure(_) => "HELD: what needs it waits, the rest goes on".into(),
        _ => format!("HELD: {}", question.text),
    }
}

/// A question that stands since before this controller came.
pub fn still_asked(at: Time, step: StepIx, question: &Question, run: &Run) -> String {
    let id = &run.plan().step(step).id;
    with_commands(row(at, id, &format!("STILL ASKED: {}", in_full(question)), run), step, question, run)
}

fn with_commands(mut text: String, step: StepIx, question: &Question, run: &Run) -> String {
    for command in question::commands(run, step, question) {
        text.push_str("\n    ");
        text.push_str(&command);
    }
    text
}

/// That the clock here is behind the run's own time, if it is: no moment of a
/// run is earlier than its last event, whoever wrote that.
pub fn behind(run: &Run, now: Time) -> Option<String> {
    let by = run.at.since(now);
    let by = (by > Dur(0)).then(|| super::plan::brief(by))?;
    Some(format!("the clock here is {by} behind the last event, which counts: time goes on from there"))
}

/// That a controller works with the credentials that are kept for emergencies.
fn broken(controller: &Controller) -> String {
    let told =
        |it: &BreakGlass| format!("; BREAK GLASS, the profile {}, says {}: {}", it.profile, name(&it.by), it.why);
    controller.break_glass.as_ref().map(told).unwrap_or_default()
}

fn named(name: &str, account: &Account) -> String {
    let role = account.role_name().map(|role| format!(" as {role}"));
    format!("{name} {}{}", account.id, role.unwrap_or_default())
}

/// What stands above every run: its kind, where it works, its id.
pub fn head(run: &Run) -> String {
    head_of(run, run.break_glass.as_ref())
}

/// The same for a controller that is about to join.
pub fn head_of(run: &Run, glass: Option<&BreakGlass>) -> String {
    let plan = run.plan();
    let kind = run.opened.kind.word().to_uppercase();
    let regions = match (plan.regions.get("primary"), plan.regions.get("recovery")) {
        (Some(primary), Some(recovery)) => format!(" · {primary} → {recovery}"),
        _ => String::new(),
    };
    let accounts: Vec<_> = plan.accounts.iter().map(|(name, it)| named(name, it)).collect();
    let accounts = if accounts.is_empty() { String::new() } else { format!(" · {}", accounts.join(", ")) };
    let glass = glass.map_or(String::new(), |it| format!(" · BREAK GLASS {}", it.profile));
    super::plain(&format!("{kind} · {}{regions}{accounts}{glass} · run {}", plan.name, run.opened.run))
}

fn row(at: Time, who: &str, what: &str, run: &Run) -> String {
    row_since(at, run.opened.incident_at, who, what)
}

fn row_since(at: Time, incident: Time, who: &str, what: &str) -> String {
    let since = at.since(incident);
    let clock = at.to_string();
    let time = clock.get(11..19).unwrap_or(&clock).to_owned();
    let colon = if who.is_empty() { "" } else { ": " };
    super::plain(&format!("{time} {:>8}  {who}{colon}{what}", format!("+{}", super::plan::brief(since))))
}

fn failure(failure: &Failure) -> String {
    let hint = failure.hint.as_ref().map_or(String::new(), |hint| format!(" — {hint}"));
    format!("{}{hint}", why(failure))
}

/// A question, with what the service is asked about and a way out where it is about a failure.
pub fn in_full(question: &Question) -> String {
    let Some(error) = question.error() else { return question.text.clone() };
    let reference = error.reference().map_or(String::new(), |reference| format!(" [{reference}]"));
    let hint = error
        .hint
        .as_ref()
        .filter(|hint| !question.text.contains(hint.as_str()))
        .map_or(String::new(), |hint| format!(" — {hint}"));
    format!("{}{reference}{hint}", question.text)
}

/// What went wrong, with what the service is asked about; without the way out.
pub fn why(failure: &Failure) -> String {
    let reference = failure.reference().map_or(String::new(), |reference| format!(" [{reference}]"));
    format!("{}{reference}", failure.message)
}

/// What a person said that no controller has taken yet.
pub fn said(message: &Message) -> String {
    let what = match &message.ask {
        Ask::Answer { step, choice, .. } => format!("`{}` to `{step}`", choice.word()),
        Ask::Done { step, .. } => format!("that `{step}` was done by hand"),
        Ask::Note { .. } => "a note".into(),
        Ask::Clock { .. } => "a corrected time".into(),
        Ask::Impact { .. } => "what users notice".into(),
        Ask::Role { role, to, .. } => format!("that `{role}` passes to {to}"),
        Ask::Word { .. } | Ask::Told { .. } => "words for an update".into(),
        Ask::Pause => "to pause".into(),
        Ask::Continue => "to go on".into(),
        Ask::Undo { .. } => "to take back what was done".into(),
    };
    format!("{what}, said by {}", name(&message.by))
}

/// A person: by name, else by user and host.
pub fn name(by: &dr_engine::event::Person) -> String {
    by.name.clone().unwrap_or_else(|| format!("{}@{}", by.user, by.host))
}

/// How this run ended: what it left open stands beside the outcome.
fn ended(outcome: Outcome, run: &Run) -> String {
    let left = dr_engine::report::not_fenced(run).map_or_else(String::new, |left| format!(". {left}"));
    format!("{}{left}", ending(outcome))
}

/// How a run ended, for people.
pub fn ending(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Recovered => "RECOVERED",
        Outcome::RecoveredWithExceptions => "RECOVERED, WITH EXCEPTIONS",
        Outcome::Unverified => "DONE, NOT VERIFIED: the runbook has no `verify`, or it was left out",
        Outcome::Failed => "FAILED",
        Outcome::Stopped => "STOPPED",
        Outcome::Undone => "TAKEN BACK",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_heard_now_and_then_and_only_with_something_new() {
        let mut murmurs = Murmurs::default();
        let said = [
            (0, "db", "creating"),
            (10, "db", "12 %"),
            (30, "db", "30 %"),
            (31, "dns", "pending"),
            (59, "db", "55 %"),
            (60, "db", "30 %"),
            (61, "db", "60 %"),
            (70, "dns", "pending"),
        ];
        let told = said.into_iter().filter(|(at, step, text)| murmurs.tells(Time(at * 1_000), step, text));
        let told: Vec<_> = told.map(|(at, step, text)| format!("{at} {step} {text}")).collect();
        assert_eq!(told, ["30 db 30 %", "61 db 60 %", "70 dns pending"]);
    }
}
