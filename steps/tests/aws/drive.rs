//! Drives a whole executor over one step of a kind, kills it where it is told
//! to, and goes on with another one.

use crate::lab::Estate;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    crash::{Edge, Place},
    duration::Dur,
    event::{Controller, Event, Kind, Opened, Person, RunKind},
    executor::{Arrival, Executor, Exit, Observer, Stopped, Tools},
    journal::{Error, Journal},
    outcome::Failure,
    plan::{Mode, Objectives, Plan, PlanStep, Retry, Selection, StepIx},
    question::Choice,
    run::{Run, State},
    step::{Guard, ReadCx, StepCx},
    testing::Bench,
};
use dr_steps::{
    aws::{Aws, Clients, pace::Pace},
    world::{Accounts, World},
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

/// Where the power goes.
pub(crate) type Point = (Place, u64, Edge);

/// One controller's life: counts, and ends at its point.
#[derive(Default)]
pub(crate) struct Life {
    end: Option<Point>,
    over: AtomicBool,
    calls: AtomicU64,
    replies: AtomicU64,
    commits: AtomicU64,
    committed: AtomicU64,
}

impl Life {
    pub(crate) fn until(end: Option<Point>) -> Arc<Self> {
        Arc::new(Self { end, ..Self::default() })
    }

    fn pass(&self, place: Place, edge: Edge) -> bool {
        // Calls can overlap: the nth reply is not that of the nth call.
        let counter = match (place, edge) {
            (Place::Call, Edge::Before) => &self.calls,
            (Place::Call, Edge::After) => &self.replies,
            (Place::Commit, Edge::Before) => &self.commits,
            (Place::Commit, Edge::After) => &self.committed,
            (Place::Telling, _) => unreachable!("steps tell nobody"),
        };
        let at = counter.fetch_add(1, Ordering::SeqCst) + 1;
        if self.end == Some((place, at, edge)) {
            self.over.store(true, Ordering::SeqCst);
        }
        !self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Mutating calls and commits.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.calls.load(Ordering::SeqCst), self.commits.load(Ordering::SeqCst))
    }
}

impl Guard for Life {
    fn before(&self) -> Result<(), Failure> {
        if self.is_over() || !self.pass(Place::Call, Edge::Before) {
            return Err(Failure::new("the power is gone"));
        }
        Ok(())
    }

    fn after(&self) {
        self.pass(Place::Call, Edge::After);
    }
}

/// A journal that a dead controller cannot write.
struct Ink<'a> {
    events: &'a mut Vec<Event>,
    life: Arc<Life>,
}

impl Journal for Ink<'_> {
    fn append(&mut self, events: &[Event]) -> Result<(), Error> {
        let gone = || Error::Missing { path: "the power is gone".into() };
        if self.life.is_over() || !self.life.pass(Place::Commit, Edge::Before) {
            return Err(gone());
        }
        self.events.extend_from_slice(events);
        if self.life.pass(Place::Commit, Edge::After) { Ok(()) } else { Err(gone()) }
    }
}

struct Silent;

impl Observer for Silent {
    fn told(&mut self, _: &[Event], _: &Run) {}
}

/// A run of one step against an account.
pub(crate) struct Drive {
    /// The run's id.
    pub(crate) id: String,
    plan: Plan,
    pub(crate) events: Vec<Event>,
    pub(crate) config: SdkConfig,
    pub(crate) account: String,
    /// The accounts that the runbook names, if not that one, in which the caller is.
    pub(crate) accounts: Option<Accounts>,
    pub(crate) nameservers: Vec<SocketAddr>,
    /// The region that the runbook calls `primary`.
    pub(crate) primary: Option<String>,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
    /// The folder of the run.
    pub(crate) folder: TempDir,
    /// The command line.
    pub(crate) cli: PathBuf,
    leave: Option<Duration>,
}

/// How a drive ended.
pub(crate) struct Ended {
    pub(crate) exit: Result<Exit, Stopped>,
    pub(crate) run: Run,
    pub(crate) life: Arc<Life>,
}

impl Ended {
    pub(crate) fn state(&self) -> &State {
        &self.run.step(StepIx(0)).state
    }

    /// Why the step failed, whether a person was asked about it or not.
    pub(crate) fn failure(&self) -> Failure {
        match self.state() {
            State::Failed { error } | State::Stuck { error } | State::InDoubt { error, .. } => error.clone(),
            State::Asking { question, .. } => {
                question.error().cloned().unwrap_or_else(|| panic!("a question without an error: {question:?}"))
            }
            other => panic!("not a failure: {other:?}"),
        }
    }
}

/// A configuration that points at a lab.
pub(crate) fn config(endpoint: &str, key: &str) -> SdkConfig {
    let keys = Credentials::new(key, "any", None, None, "lab");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build()
}

/// One step of a kind as a plan.
pub(crate) fn plan(kind: &str, with: &Value) -> Plan {
    let step = PlanStep {
        retry: Retry { attempts: 3, backoff_min: Dur(5), backoff_max: Dur(10) },
        timeout: Dur(30_000),
        check_timeout: Dur(10_000),
        calls_provider: true,
        can_undo: true,
        region: Some("eu-central-1".into()),
        changes: dr_steps::registry().make(kind, with.clone()).map_or(true, |work| work.changes()),
        ..PlanStep::plain("it", kind, with.clone())
    };
    Plan {
        format: 1,
        name: "evacuate".into(),
        description: None,
        owner: None,
        regions: indexmap::IndexMap::default(),
        accounts: indexmap::IndexMap::default(),
        objectives: Objectives::default(),
        roles: indexmap::IndexMap::default(),
        params: serde_json::Map::new(),
        mode: Mode::Ungraceful,
        comms: None,
        claim: None,
        failback: None,
        phases: Vec::new(),
        selection: Selection::default(),
        steps: vec![step],
    }
}

fn person() -> Person {
    Person { name: None, user: "tester".into(), host: "here".into(), message: None }
}

impl Drive {
    pub(crate) fn new(estate: &Estate, kind: &str, with: &Value) -> Self {
        let config = of(estate);
        let (plan, account) = (plan(kind, with), estate.account.clone());
        // One for each account: a process of one test is not taken for another's.
        let (test, number) = account.split_at(6);
        let id = format!("20261122-{test}-evacuate-{:04x}", number.parse::<u32>().expect("digits"));
        Self {
            id,
            plan,
            events: Vec::new(),
            config,
            account,
            accounts: None,
            nameservers: Vec::new(),
            primary: None,
            said: Arc::default(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            cli: crate::lab::aws_cli(),
            leave: None,
        }
    }

    /// Goes on from what is written down until the end, a question, or the point.
    pub(crate) async fn go(&mut self, end: Option<Point>) -> Ended {
        self.with(end, Vec::new()).await
    }

    /// The same, and somebody says to leave at once after so long.
    pub(crate) async fn leave(&mut self, after: Duration) -> Ended {
        self.leave = Some(after);
        self.go(None).await
    }

    /// The same, and the finished run is taken back.
    pub(crate) async fn undo(&mut self, end: Option<Point>) -> Ended {
        let asked = self.events.iter().any(|e| matches!(e.kind, Kind::UndoAsked { .. }));
        let why = String::from("a test");
        let ask = vec![
            Kind::Reopened { by: person(), why: why.clone() },
            Kind::UndoAsked { steps: vec![StepIx(0)], whole: false, by: person(), why },
        ];
        self.with(end, if asked { Vec::new() } else { ask }).await
    }

    /// A person says `retry` to the question that is open, and it goes on.
    pub(crate) async fn again(&mut self) -> Ended {
        self.answer(Choice::Retry).await
    }

    /// A person answers the question that is open, and it goes on.
    pub(crate) async fn answer(&mut self, choice: Choice) -> Ended {
        self.with(None, vec![Kind::Answered { step: StepIx(0), choice, by: person(), why: "seen".into() }]).await
    }

    /// A person says `retry --set` to the question that is open, and it goes on.
    pub(crate) async fn again_with(&mut self, inputs: &Value) -> Ended {
        let inputs = inputs.as_object().expect("inputs have names").clone();
        let amended = Kind::Amended { step: StepIx(0), inputs, by: person(), why: "seen".into() };
        let answer = Kind::Answered { step: StepIx(0), choice: Choice::Retry, by: person(), why: "seen".into() };
        self.with(None, vec![amended, answer]).await
    }

    async fn with(&mut self, end: Option<Point>, more: Vec<Kind>) -> Ended {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let life = Life::until(end);
        if self.events.is_empty() {
            let opened = Opened {
                run: self.id.clone(),
                plan: self.plan.clone(),
                folder: String::new(),
                kind: RunKind::Lab,
                incident_at: Time(clock.now().0 - 1000),
                incident_assumed: false,
                detected_at: None,
                declared_at: None,
                declared_by: None,
                by: person(),
            };
            self.events.push(Event { seq: 1, at: clock.now(), kind: Kind::Opened(Box::new(opened)) });
        }
        let mut run = Run::open(self.events[0].clone()).expect("it is opened");
        for event in &self.events[1..] {
            run.apply(event).expect("it happened");
        }
        let controller =
            Controller { host: "here".into(), pid: 1, epoch: 1, version: "0".into(), why: None, break_glass: None };
        let first = std::iter::once(Kind::Joined(controller)).chain(more).collect();
        let mut world = World::new(self.folder.path(), self.folder.path());
        world.aws = Aws::given(self.config.clone()).paced(Pace::per_second([])).with_cli(&self.cli).for_run(&self.id);
        world.accounts = self.accounts.clone().unwrap_or_else(|| Accounts {
            default: Some("production".into()),
            ids: [("production".to_owned(), self.account.clone())].into(),
            ..Accounts::default()
        });
        world.nameservers.clone_from(&self.nameservers);
        world.primary.clone_from(&self.primary);
        let (arrive, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
        if let Some(after) = self.leave.take() {
            let (arrive, clock) = (arrive.clone(), clock.clone());
            tokio::spawn(async move {
                clock.sleep(Dur(i64::try_from(after.as_millis()).expect("short"))).await;
                // It may be over by then.
                arrive.send(Arrival::Leave).ok();
            });
        }
        let said = self.said.clone();
        let mut journal = Ink { events: &mut self.events, life: life.clone() };
        let exit = Executor {
            journal: &mut journal,
            observer: &mut Silent,
            tools: Tools {
                steps: Arc::new(dr_steps::registry()),
                clock,
                world: Arc::new(world),
                guard: life.clone(),
                chatter: Arc::new(move |_, text| said.lock().expect("whole").push(text.into())),
                poll_gap_min: Dur(5),
            },
            parallel: 4,
            no_wait: true,
        }
        .execute(&mut run, first, &mut arrivals)
        .await;
        Ended { exit, run, life }
    }

    /// The step as it is planned, before it begins.
    pub(crate) fn step(&mut self) -> &mut PlanStep {
        &mut self.plan.steps[0]
    }
}

/// The configuration of an account of the lab.
pub(crate) fn of(estate: &Estate) -> SdkConfig {
    config(&estate.lab.endpoint, &format!("LAB{}", estate.account))
}

/// A step by itself, without a run.
pub(crate) fn bench(config: SdkConfig) -> Bench {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}", std::process::id()));
    let mut world = World::new(&folder, env!("CARGO_TARGET_TMPDIR"));
    world.aws = Aws::given(config).with_cli(crate::lab::aws_cli());
    let mut bench = Bench::new("it", Arc::new(SystemClock::new()), Arc::new(world));
    bench.step.region = Some("eu-central-1".into());
    bench
}

/// The view of a step that may only look.
pub(crate) fn looking(config: SdkConfig) -> ReadCx {
    bench(config).cx().read
}

/// The view of a step that may act.
pub(crate) fn acting(config: SdkConfig) -> StepCx {
    bench(config).cx()
}

/// The clients of somebody who works by hand, past every runbook.
pub(crate) async fn by_hand(estate: &Estate) -> Clients {
    let cx = acting(config(&estate.lab.endpoint, &format!("LAB{}", estate.account)));
    World::of(&cx.read).aws.write(&cx).await.expect("clients")
}

/// A configuration whose chain of credentials ends in nothing.
pub(crate) fn nobody(endpoint: &str) -> SdkConfig {
    let nothing = EnvironmentVariableCredentialsProvider::new();
    config(endpoint, "x").into_builder().credentials_provider(SharedCredentialsProvider::new(nothing)).build()
}
