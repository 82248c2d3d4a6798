//! A run in simulated time, with people who act at given moments and power
//! that can go.

use super::{
    script::{BEGIN, Scenario, Scripted, World, dur},
    tell,
};
use dr_engine::{
    clock::{Clock, SimClock, Time},
    duration::Dur,
    event::{Controller, Event, Kind, Moment, Opened, Person, RunKind},
    executor::{Arrival, Executor, Exit, Observer, Stopped, Tools},
    journal::{Error, Journal, Memory},
    message::{self, Ask, Message, Taken},
    outcome::Failure,
    question::{Choice, Question},
    run::{Run, State},
    step::Guard,
};
use expect_test::Expect;
use serde_json::Map;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::sync::{mpsc, oneshot};

/// Nothing of a test lasts longer.
const FOREVER: Dur = Dur(30 * 86_400_000);

/// What somebody does at some time.
#[derive(Debug, Clone)]
pub struct Action {
    pub at: Time,
    pub by: Person,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Say(Ask),
    Cancel,
    Leave,
    /// The power goes.
    Crash,
    /// A new controller comes.
    Resume,
}

/// A person by this name, on a machine of their own.
pub fn person(name: &str) -> Person {
    Person { name: Some(name.into()), user: name.into(), host: format!("{name}-laptop"), message: None }
}

/// Reads `05:00 ann retry db`, one action a line.
pub fn actions(text: &str) -> VecDeque<Action> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(action).collect()
}

fn action(line: &str) -> Action {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (minutes, seconds) = words[0].split_once(':').expect("a time");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    let at = BEGIN.after(Dur(number(minutes) * 60_000 + number(seconds) * 1000));
    if let ["crash" | "resume" | "leave"] = &words[1..] {
        let what = [("crash", What::Crash), ("resume", What::Resume), ("leave", What::Leave)];
        let what = what.into_iter().find(|(word, _)| *word == words[1]).expect("one of them").1;
        return Action { at, by: person("ann"), what };
    }
    let mut by = person(words[1]);
    let values = |from: usize| -> Map<String, serde_json::Value> {
        let pairs = words[from..].iter().map(|w| w.split_once('=').unwrap_or_else(|| panic!("{w}: name=value")));
        pairs.map(|(name, value)| (name.to_owned(), value.into())).collect()
    };
    let why = "because".to_owned();
    let answer = |choice, set| Ask::Answer { step: words[3].into(), choice, set, why: why.clone() };
    let what = match words[2] {
        "cancel" => What::Cancel,
        "pause" => What::Say(Ask::Pause),
        "continue" => What::Say(Ask::Continue),
        "note" => What::Say(Ask::Note { text: words[3..].join(" "), help_wanted: false, learned: None }),
        "incident" => {
            // How long before the run it began, or with a plus how long after.
            let at = words[3].strip_prefix('+').map_or_else(|| Dur(-dur(words[3]).0), dur);
            let at = BEGIN.after(at);
            What::Say(Ask::Clock { which: Moment::Incident, at, why: why.clone() })
        }
        "undo" => {
            let around = words.last() == Some(&"around");
            let step = words.get(3).filter(|word| **word != "around").map(ToString::to_string);
            What::Say(Ask::Undo { step, around, why: why.clone(), shown: None })
        }
        "done" => What::Say(Ask::Done { step: words[3].into(), values: values(4), why: why.clone() }),
        "retry" => What::Say(answer(Choice::Retry, values(4))),
        "set" => {
            let (name, value) = values(4).into_iter().next().expect("set STEP NAME=VALUE");
            What::Say(answer(Choice::Set { name, value }, Map::new()))
        }
        plain => {
            let choices = [
                Choice::Wait,
                Choice::Skip,
                Choice::Undo,
                Choice::Stop,
                Choice::Approve,
                Choice::Decline,
                Choice::Impossible,
            ];
            let choice = choices.into_iter().find(|c| c.word() == plain && plain != "undo");
            let choice = choice.or((plain == "undo_it").then_some(Choice::Undo));
            What::Say(answer(choice.unwrap_or_else(|| panic!("what is `{plain}`?")), Map::new()))
        }
    };
    by.message = Some(line.to_owned());
    Action { at, by, what }
}

/// When the power goes: at which append, and on which side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    pub append: usize,
    pub after: bool,
}

/// What is on disk, and what a person would have seen.
#[derive(Debug, Default)]
pub struct Book {
    pub memory: Memory,
    pub appends: usize,
    pub lines: Arc<Mutex<Vec<String>>>,
    pub cuts: VecDeque<Cut>,
    off: bool,
    plan: Option<dr_engine::plan::Plan>,
}

impl Journal for Book {
    fn append(&mut self, events: &[Event]) -> Result<(), Error> {
        self.appends += 1;
        let cut = self.cuts.pop_front_if(|cut| cut.append == self.appends);
        self.off |= cut.is_some();
        let gone = || Error::Store { path: "journal.db".into(), action: "written", cause: "the power went".into() };
        if cut.is_some_and(|cut| !cut.after) {
            return Err(gone());
        }
        self.memory.append(events)?;
        if let Kind::Opened(opened) = &events[0].kind {
            self.plan = Some(opened.plan.clone());
        }
        let plan = self.plan.as_ref().expect("a run opens first");
        let told: Vec<_> = events.iter().map(|event| tell::event(plan, &event.kind)).collect();
        self.lines.lock().expect("no panic").push(format!("{}  {}", tell::time(events[0].at), told.join(", ")));
        if cut.is_some() { Err(gone()) } else { Ok(()) }
    }
}

/// Nothing stands before a mutating call.
struct Open;

impl Guard for Open {
    fn before(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn after(&self) {}
}

/// Tells the one who answers questions what was asked.
struct Watch(Option<mpsc::UnboundedSender<Asked>>);

impl Observer for Watch {
    fn told(&mut self, events: &[Event], run: &Run) {
        let asked = events.iter().filter_map(|event| match &event.kind {
            Kind::Asked { step, question } => Some((run.plan().step(*step).id.clone(), question.clone(), Vec::new())),
            _ => None,
        });
        let asked: Vec<_> = asked.collect();
        if let Some(tell) = &self.0
            && !asked.is_empty()
        {
            tell.send(asked).ok();
        }
    }
}

/// What people who look at the world say to a question of a step, one after another.
pub type Answerer = Arc<dyn Fn(&str, &Question, &World) -> Vec<(&'static str, Ask)> + Send + Sync>;

/// What was asked, of which step, and who has agreed already.
type Asked = Vec<(String, Question, Vec<Person>)>;

/// A simulation.
pub struct Sim {
    pub scenario: Scenario,
    pub world: Arc<World>,
    pub book: Book,
    pub actions: VecDeque<Action>,
    pub parallel: usize,
    pub no_wait: bool,
    pub answerer: Option<Answerer>,
    epoch: u64,
}

/// Runs a scenario while people act, and compares everything that is told.
#[expect(clippy::needless_pass_by_value, reason = "it reads better in a table")]
pub fn check(scenario: &str, people: &str, expected: Expect) {
    let mut sim = Sim::new(Scenario::parse(scenario), actions(people));
    sim.go();
    expected.assert_eq(&sim.told());
}

/// The same with `--no-wait`.
#[expect(clippy::needless_pass_by_value, reason = "it reads better in a table")]
pub fn check_without_waiting(scenario: &str, people: &str, expected: Expect) {
    let mut sim = Sim::new(Scenario::parse(scenario), actions(people));
    sim.no_wait = true;
    sim.go();
    expected.assert_eq(&sim.told());
}

/// The same with so many hands.
#[expect(clippy::needless_pass_by_value, reason = "it reads better in a table")]
pub fn check_with_hands(hands: usize, scenario: &str, people: &str, expected: Expect) {
    let mut sim = Sim::new(Scenario::parse(scenario), actions(people));
    sim.parallel = hands;
    sim.go();
    expected.assert_eq(&sim.told());
}

/// How one controller's time ended.
#[derive(Debug)]
pub enum Life {
    Ended(Exit),
    Stopped(Stopped),
    Crashed,
}

impl Sim {
    pub fn new(scenario: Scenario, actions: VecDeque<Action>) -> Self {
        Self {
            scenario,
            world: Arc::default(),
            book: Book::default(),
            actions,
            parallel: 100,
            no_wait: false,
            answerer: None,
            epoch: 0,
        }
    }

    /// The run as the journal has it; what it does not have never was.
    pub fn run(&self) -> Option<Run> {
        fold(&self.book.memory.events)
    }

    /// Goes on until nothing more will happen, through every crash that was ordered.
    pub fn go(&mut self) -> Life {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(self.lives())
    }

    async fn lives(&mut self) -> Life {
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(BEGIN));
        loop {
            let life = self.live(clock.clone()).await;
            match (&life, self.actions.front().map(|action| &action.what)) {
                // Power that was cut at an append comes back at once.
                (Life::Stopped(Stopped::Journal(_)), _) if std::mem::take(&mut self.book.off) => {}
                (Life::Ended(_) | Life::Crashed, Some(What::Resume)) => {
                    let resume = self.actions.pop_front().expect("it is there");
                    clock.sleep_until(resume.at).await;
                }
                // A finished run is taken up by whoever has something to say to it.
                (Life::Ended(Exit::Finished(_)), Some(What::Say(_))) => {}
                _ => return life,
            }
        }
    }

    /// One controller.
    async fn live(&mut self, clock: Arc<dyn Clock>) -> Life {
        let mut first = Vec::new();
        let mut run = if let Some(run) = self.run() {
            run
        } else {
            let opened = Event { seq: 1, at: clock.now(), kind: self.opened() };
            if let Err(error) = self.book.append(std::slice::from_ref(&opened)) {
                return Life::Stopped(Stopped::Journal(error));
            }
            Run::open(opened).expect("it is Opened")
        };
        self.epoch += 1;
        first.push(Kind::Joined(Controller {
            host: "ops".into(),
            pid: 7,
            epoch: self.epoch,
            version: "0".into(),
            why: None,
            break_glass: None,
        }));
        if run.finished.is_some()
            && let Some(Action { at, what: What::Say(ask), by }) = self.actions.pop_front()
        {
            clock.sleep_until(at).await;
            match message::take(&run, &Message { by, ask }) {
                Ok(Taken::Events(events)) => first.extend(events),
                Ok(other) => panic!("a run that is over takes no {other:?}"),
                Err(why) => {
                    self.say(&*clock, &format!("refused: {why}"));
                    return Life::Ended(Exit::Finished(run.finished.expect("it is over")));
                }
            }
        }
        let (send, mut arrivals) = mpsc::unbounded_channel();
        let (power, off) = oneshot::channel();
        let (asked, questions) = mpsc::unbounded_channel();
        let mut people = tokio::task::JoinSet::new();
        let mine: VecDeque<Action> = std::mem::take(&mut self.actions);
        let left = Arc::new(Mutex::new(mine));
        people.spawn(act(clock.clone(), left.clone(), send.clone(), power, self.book.lines.clone()));
        if let Some(answerer) = self.answerer.clone() {
            people.spawn(answer(clock.clone(), answerer, self.world.clone(), send.clone(), questions));
            let open = run.steps().filter_map(|(step, it)| match &it.state {
                State::Asking { question, approved_by, .. } => {
                    Some((run.plan().step(step).id.clone(), question.clone(), approved_by.clone()))
                }
                _ => None,
            });
            asked.send(open.collect()).ok();
        }
        let mut watch = Watch(self.answerer.is_some().then_some(asked));
        let life = {
            let mut executor = Executor {
                journal: &mut self.book,
                observer: &mut watch,
                tools: Tools {
                    steps: Arc::new(Scripted { scripts: self.scenario.scripts.clone(), world: self.world.clone() }),
                    clock: clock.clone(),
                    world: Arc::new(()),
                    guard: Arc::new(Open),
                    chatter: Arc::new(|_, _| ()),
                    poll_gap_min: Dur(1000),
                },
                parallel: self.parallel,
                no_wait: self.no_wait,
            };
            tokio::select! {
                biased;
                exit = executor.execute(&mut run, first, &mut arrivals) => match exit {
                    Ok(exit) => Life::Ended(exit),
                    Err(stopped) => Life::Stopped(stopped),
                },
                Ok(()) = off => Life::Crashed,
            }
        };
        people.shutdown().await;
        self.actions = std::mem::take(&mut *left.lock().expect("no panic"));
        self.say(
            &*clock,
            &match &life {
                Life::Ended(exit) => {
                    let doubt: Vec<_> = run.in_doubt().iter().map(|s| run.plan().step(*s).id.clone()).collect();
                    let doubt =
                        if doubt.is_empty() { String::new() } else { format!("; in doubt: {}", doubt.join(" ")) };
                    format!("-- {}, {}{doubt}", ended(*exit), tell::states(&run))
                }
                Life::Stopped(why) => format!("-- {why}"),
                Life::Crashed => "-- the power goes".into(),
            },
        );
        if let (Life::Ended(_), Some(folded)) = (&life, self.run()) {
            assert_eq!(format!("{run:?}"), format!("{folded:?}"), "a fold of the journal is the run in memory");
        }
        life
    }

    fn say(&self, clock: &dyn Clock, text: &str) {
        self.book.lines.lock().expect("no panic").push(format!("{}  {text}", tell::time(clock.now())));
    }

    /// The first event of this scenario's run.
    pub fn opened(&self) -> Kind {
        Kind::Opened(Box::new(Opened {
            run: "20261122-061532-evacuate-3fa9".into(),
            plan: self.scenario.plan.clone(),
            folder: String::new(),
            kind: RunKind::Drill,
            incident_at: BEGIN,
            incident_assumed: true,
            detected_at: None,
            declared_at: None,
            declared_by: None,
            by: person("ann"),
        }))
    }

    /// When the power goes.
    pub fn cut(&mut self, cuts: impl IntoIterator<Item = Cut>) {
        self.book.cuts = cuts.into_iter().collect();
    }

    /// How many controllers there were.
    pub fn controllers(&self) -> u64 {
        self.epoch
    }

    /// Everything that was told, as a table.
    pub fn told(&self) -> String {
        self.book.lines.lock().expect("no panic").join("\n") + "\n"
    }
}

fn ended(exit: Exit) -> String {
    match exit {
        Exit::Finished(outcome) => tell::word(&outcome),
        Exit::Held => "held".into(),
        Exit::Left => "left".into(),
    }
}

/// Folds events, each of which must be legal.
pub fn fold(events: &[Event]) -> Option<Run> {
    let (first, rest) = events.split_first()?;
    let mut run = Run::open(first.clone()).expect("it begins with Opened");
    for event in rest {
        run.apply(event).unwrap_or_else(|illegal| panic!("{illegal}"));
    }
    Some(run)
}

/// Does what people do, when they do it; leaves when nothing is left to do.
async fn act(
    clock: Arc<dyn Clock>,
    actions: Arc<Mutex<VecDeque<Action>>>,
    send: mpsc::UnboundedSender<Arrival>,
    power: oneshot::Sender<()>,
    lines: Arc<Mutex<Vec<String>>>,
) {
    let front = || actions.lock().expect("no panic").front().cloned();
    while let Some(action) = front() {
        if matches!(action.what, What::Resume) {
            break;
        }
        clock.sleep_until(action.at).await;
        actions.lock().expect("no panic").pop_front();
        match action.what {
            What::Say(ask) => {
                let (reply, said) = oneshot::channel();
                send.send(Arrival::Message(Message { by: action.by, ask }, reply)).ok();
                if let Ok(Err(why)) = said.await {
                    lines.lock().expect("no panic").push(format!("{}  refused: {why}", tell::time(clock.now())));
                }
            }
            What::Cancel => drop(send.send(Arrival::Cancel(action.by))),
            What::Leave => drop(send.send(Arrival::Leave)),
            What::Crash => {
                power.send(()).ok();
                return;
            }
            What::Resume => unreachable!("looked at above"),
        }
    }
    clock.sleep_until(BEGIN.after(FOREVER)).await;
    send.send(Arrival::Leave).ok();
}

/// Answers every question a minute after it was asked.
async fn answer(
    clock: Arc<dyn Clock>,
    answerer: Answerer,
    world: Arc<World>,
    send: mpsc::UnboundedSender<Arrival>,
    mut questions: mpsc::UnboundedReceiver<Asked>,
) {
    while let Some(asked) = questions.recv().await {
        for (id, question, agreed) in asked {
            clock.sleep(Dur(60_000)).await;
            let says = answerer(&id, &question, &world).into_iter();
            for (name, ask) in says.filter(|(name, _)| agreed.iter().all(|by| by.user != *name)) {
                let (reply, said) = oneshot::channel();
                let by = Person { message: None, ..person(name) };
                send.send(Arrival::Message(Message { by, ask }, reply)).ok();
                if let Ok(Err(why)) = said.await {
                    panic!("the answer for {id} was refused: {why}");
                }
            }
        }
    }
}
