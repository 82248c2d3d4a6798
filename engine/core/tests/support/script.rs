//! Steps that follow a script, and the world they change.
//!
//! A scenario is one text: `db attempts=2 flaky then ok 5m; web needs db ok`.
//! Words with `=` are options, the rest says how each run of the step goes;
//! the last one goes for all further runs.

use async_trait::async_trait;
use dr_engine::{
    clock::Time,
    duration::Dur,
    outcome::{Failure, Output, RecoveryPoint},
    plan::{Estimate, Mode, Objectives, OnFailure, OnUnknown, Plan, PlanStep, Role, Selection, StepIx},
    question::{About, Question},
    step::{Check, Description, ReadCx, Step, StepCx, StepError, Steps},
};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// When every simulation begins; also when its outage began.
pub const BEGIN: Time = Time(1_795_000_000_000);

/// How one run of a step, or of its undo, goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    pub takes: Dur,
    pub end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The effect comes half way; then it succeeds.
    Ok,
    /// Fails for certain, for good.
    Fails,
    /// Fails for certain, and trying again may help.
    Flaky,
    /// The effect comes, and its answer is lost.
    Lost,
    /// No effect comes, and nobody knows.
    Doubt,
    /// The effect comes, then a panic.
    Panics,
    /// Nothing comes, ever.
    Hangs,
    /// The effect comes, and it says that it failed.
    Botched,
    /// The effect comes, and the run does not end.
    Stuck,
    /// The provider works for so long by itself; a further run waits for it.
    Provider,
    /// A person has to do it.
    Asks,
    /// Two of the role `lead` have to agree, neither of them the starter.
    Approval,
}

/// What one look sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What is there.
    World,
    /// Somebody took the effect away.
    Gone,
    Unknown,
    /// The look fails and may work again.
    Error,
    /// The look fails for good.
    Denied,
    Impossible,
    Panics,
    /// The look never ends.
    Hangs,
}

/// What the script says about one step.
#[derive(Debug, Clone)]
pub struct Script {
    pub runs: Vec<Act>,
    pub looks: Vec<Sight>,
    pub undos: Vec<Act>,
    pub looks_undone: Vec<Sight>,
    pub sees_effect: bool,
    pub records: bool,
    pub output: Output,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            runs: Vec::new(),
            looks: vec![Sight::World],
            undos: vec![Act { takes: Dur(0), end: End::Ok }],
            looks_undone: vec![Sight::World],
            sees_effect: true,
            records: false,
            output: Output::default(),
        }
    }
}

/// What became of one step in the world.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Site {
    /// Its effect is there.
    pub there: bool,
    /// How often its effect came.
    pub effects: u32,
    /// How often it was taken back.
    pub taken_back: u32,
    /// Until when the provider works on it.
    pub busy_until: Option<Time>,
    pub runs: usize,
    pub looks: usize,
    pub undos: usize,
    pub looks_undone: usize,
}

/// The world: it survives every crash.
#[derive(Debug, Default)]
pub struct World {
    sites: Mutex<BTreeMap<String, Site>>,
}

impl World {
    pub fn sites(&self) -> MutexGuard<'_, BTreeMap<String, Site>> {
        self.sites.lock().expect("nobody panics inside")
    }

    pub fn site(&self, id: &str) -> Site {
        self.sites().get(id).cloned().unwrap_or_default()
    }

    fn change<T>(&self, id: &str, change: impl FnOnce(&mut Site) -> T) -> T {
        change(self.sites().entry(id.to_owned()).or_default())
    }
}

/// The scripted steps over a world.
pub struct Scripted {
    pub scripts: BTreeMap<String, Script>,
    pub world: Arc<World>,
}

impl Steps for Scripted {
    fn step(&self, step: &PlanStep, with: Value) -> Result<Arc<dyn Step>, Failure> {
        let script = self.scripts.get(&step.id).cloned().ok_or_else(|| Failure::new("no script"))?;
        if with.get("klass").is_some() {
            return Err(Failure::new("unknown field `klass`, expected `class` or `size`"));
        }
        Ok(Arc::new(Acting { id: step.id.clone(), script, world: self.world.clone(), with }))
    }
}

struct Acting {
    id: String,
    script: Script,
    world: Arc<World>,
    with: Value,
}

impl Acting {
    fn output(&self) -> Output {
        let mut output = self.script.output.clone();
        for (name, value) in self.with.as_object().into_iter().flatten().filter(|(name, _)| *name != "probe") {
            output.values.insert(name.clone(), value.clone());
        }
        output
    }

    fn sight(&self, cx: &ReadCx, sight: Sight, there: Check, absent: Check) -> Result<Check, Failure> {
        let site = self.world.site(&self.id);
        Ok(match sight {
            Sight::World if site.busy_until.is_some_and(|until| cx.clock.now() < until) => Check::InProgress,
            Sight::World if site.there || site.busy_until.is_some() => there,
            Sight::Gone => absent,
            Sight::World if self.script.sees_effect => absent,
            Sight::World | Sight::Unknown => Check::Unknown("cannot tell".into()),
            Sight::Error => return Err(Failure::passing("no reply")),
            Sight::Denied => return Err(Failure::new("access denied")),
            Sight::Impossible => Check::Impossible(Failure::passing("no such thing")),
            Sight::Panics => std::panic::resume_unwind(Box::new("the look panics")),
            Sight::Hangs => unreachable!("it waits before"),
        })
    }
}

fn nth<T: Clone>(list: &[T], at: usize) -> T {
    list.get(at).or(list.last()).expect("a script says something").clone()
}

#[async_trait]
impl Step for Acting {
    fn describe(&self) -> Description {
        Description::default()
    }

    fn sees_effect(&self) -> bool {
        self.script.sees_effect
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let looks = self.world.change(&self.id, |site| {
            site.looks += 1;
            site.looks - 1
        });
        let sight = nth(&self.script.looks, looks);
        if sight == Sight::Hangs {
            std::future::pending::<()>().await;
        }
        // Whoever cannot see an effect cannot say that it is done either.
        let there =
            if self.script.sees_effect { Check::Done(self.output()) } else { Check::Unknown("cannot tell".into()) };
        self.sight(cx, sight, there, Check::Absent)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let runs = self.world.change(&self.id, |site| {
            site.runs += 1;
            site.runs - 1
        });
        let Act { takes, end } = nth(&self.script.runs, runs);
        let clock = &cx.read.clock;
        if self.script.records && cx.read.fact("resolved").is_none() {
            cx.record("resolved", runs).await;
        }
        if end == End::Provider {
            let now = clock.now();
            let until = self.world.change(&self.id, |site| {
                site.effects += u32::from(site.busy_until.is_none());
                *site.busy_until.get_or_insert(now.after(takes))
            });
            if self.script.records {
                cx.record_handle("handle", "h-1").await;
            }
            clock.sleep_until(until).await;
            self.world.change(&self.id, |site| site.there = true);
            return Ok(self.output());
        }
        clock.sleep(Dur(takes.0 / 2)).await;
        if matches!(end, End::Ok | End::Lost | End::Panics | End::Stuck | End::Botched) {
            self.world.change(&self.id, |site| (site.there, site.effects) = (true, site.effects + 1));
            if self.script.records {
                cx.record_handle("handle", "h-1").await;
            }
        }
        clock.sleep(Dur(takes.0 - takes.0 / 2)).await;
        match end {
            End::Ok => Ok(self.output()),
            End::Fails | End::Botched => Err(Failure::new("scripted").into()),
            End::Flaky => Err(Failure::passing("scripted").into()),
            End::Lost | End::Doubt => Err(StepError::Doubt(Failure::new("the reply was lost"))),
            End::Panics => std::panic::resume_unwind(Box::new("scripted")),
            End::Hangs | End::Stuck => std::future::pending().await,
            End::Provider => unreachable!("it returned above"),
            End::Asks => {
                Err(StepError::Ask(Box::new(Question::new(About::Work, "do it".into(), &["done", "skip", "stop"]))))
            }
            End::Approval => {
                let mut question = Question::new(About::Approval, "may it?".into(), &["approve", "decline"]);
                (question.roles, question.count, question.not_starter) = (vec!["lead".into()], 2, true);
                question.late_after = Some(Dur(600_000));
                Err(StepError::Ask(Box::new(question)))
            }
        }
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let looks = self.world.change(&self.id, |site| {
            site.looks_undone += 1;
            site.looks_undone - 1
        });
        let sight = nth(&self.script.looks_undone, looks);
        self.sight(cx, sight, Check::Absent, Check::Done(Output::default()))
    }

    async fn undo(&self, cx: &StepCx, _done: &Output) -> Result<(), StepError> {
        let undos = self.world.change(&self.id, |site| {
            site.undos += 1;
            site.undos - 1
        });
        let Act { takes, end } = nth(&self.script.undos, undos);
        let clock = &cx.read.clock;
        clock.sleep(Dur(takes.0 / 2)).await;
        if matches!(end, End::Ok | End::Lost) {
            self.world.change(&self.id, |site| {
                (site.there, site.taken_back, site.busy_until) = (false, site.taken_back + 1, None);
            });
        }
        clock.sleep(Dur(takes.0 - takes.0 / 2)).await;
        match end {
            End::Ok => Ok(()),
            End::Lost | End::Doubt => Err(StepError::Doubt(Failure::new("the reply was lost"))),
            End::Hangs => std::future::pending().await,
            _ => Err(Failure::new("scripted").into()),
        }
    }
}

/// A plan and the scripts of its steps.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub plan: Plan,
    pub scripts: BTreeMap<String, Script>,
}

impl Scenario {
    /// Reads a scenario. Steps stand in an order in which needs come first.
    pub fn parse(text: &str) -> Self {
        let mut found = Self { plan: plan(Vec::new()), scripts: BTreeMap::new() };
        for clause in text.split(';').map(str::trim).filter(|clause| !clause.is_empty()) {
            match clause.strip_prefix("rto=") {
                Some(rto) => found.plan.objectives.rto = Some(dur(rto)),
                None => found.add(clause),
            }
        }
        found
    }

    fn add(&mut self, clause: &str) {
        let mut words = clause.split_whitespace().peekable();
        let mut step = step(words.next().expect("a step has a name"));
        let mut script = Script::default();
        while let Some(word) = words.next() {
            if word == "needs" {
                let needs = words.next().expect("needs names steps").split(',');
                step.needs = needs.map(|id| self.plan.find(id).unwrap_or_else(|| panic!("no step {id}"))).collect();
                step.needs.sort();
                step.fenced_by = fences(&self.plan, &step.needs);
            } else if let Some((option, value)) = word.split_once('=') {
                set(&mut step, &mut script, option, value);
            } else if let Some(end) = end(word) {
                let takes = words.next_if(|word| word.starts_with(|c: char| c.is_ascii_digit())).map_or(Dur(0), dur);
                script.runs.push(Act { takes, end });
            } else {
                match word {
                    "then" => {}
                    "nocheck" => script.sees_effect = false,
                    "undoable" => step.can_undo = true,
                    "records" => script.records = true,
                    "reads" => step.changes = false,
                    "fences" => step.fences = true,
                    other => panic!("what is `{other}`?"),
                }
            }
        }
        if let (Some(estimate), Some(act)) = (&step.estimate, script.runs.first_mut())
            && act.takes == Dur(0)
            && act.end == End::Ok
        {
            act.takes = estimate.p50;
        }
        self.scripts.insert(step.id.clone(), script);
        self.plan.steps.push(step);
    }
}

/// In a scenario whatever needs a fence makes another writer.
pub fn fences(plan: &Plan, needs: &[StepIx]) -> Vec<StepIx> {
    needs.iter().copied().filter(|need| plan.step(*need).fences).collect()
}

fn set(step: &mut PlanStep, script: &mut Script, option: &str, value: &str) {
    let acts = |value: &str| value.split('/').map(|w| Act { takes: Dur(0), end: end(w).expect("known") }).collect();
    match option {
        "attempts" => step.retry.attempts = value.parse().expect("a number"),
        "backoff" => step.retry.backoff_min = dur(value),
        "timeout" => step.timeout = dur(value),
        "check_timeout" => step.check_timeout = dur(value),
        "when" => step.when = Some(value.into()),
        "est" => step.estimate = Some(Estimate { p50: dur(value), p90: Dur(dur(value).0 * 2) }),
        "rpo" => step.rpo = Some(dur(value)),
        "gates" => (step.gates, step.kind) = (Some(value.into()), "approve".into()),
        "kind" => step.kind = value.into(),
        "on_failure" => {
            step.on_failure = serde_json::from_value::<OnFailure>(value.into()).expect("known");
        }
        "on_unknown" => {
            step.on_unknown = serde_json::from_value::<OnUnknown>(value.into()).expect("known");
        }
        "uses" => step.with["probe"] = format!("${{steps.{value}}}").into(),
        "with" => {
            let (name, value) = value.split_once(':').expect("with=name:value");
            step.with[name] = value.into();
        }
        "out" => {
            let (name, value) = value.split_once(':').expect("out=name:value");
            script.output.values.insert(name.into(), value.into());
        }
        "point" => {
            let at = Time(BEGIN.0 - dur(value).0);
            script.output.recovery_point = Some(RecoveryPoint { at, source: "SnapshotCreateTime".into() });
        }
        "check" => script.looks = value.split('/').map(sight).collect(),
        "undone" => script.looks_undone = value.split('/').map(sight).collect(),
        "undo" => script.undos = acts(value),
        other => panic!("what is `{other}=`?"),
    }
}

fn end(word: &str) -> Option<End> {
    Some(match word {
        "ok" => End::Ok,
        "fails" => End::Fails,
        "botched" => End::Botched,
        "flaky" => End::Flaky,
        "lost" => End::Lost,
        "doubt" => End::Doubt,
        "panics" => End::Panics,
        "hangs" => End::Hangs,
        "stuck" => End::Stuck,
        "provider" => End::Provider,
        "asks" => End::Asks,
        "approval" => End::Approval,
        _ => return None,
    })
}

fn sight(word: &str) -> Sight {
    match word {
        "world" => Sight::World,
        "gone" => Sight::Gone,
        "unknown" => Sight::Unknown,
        "error" => Sight::Error,
        "denied" => Sight::Denied,
        "impossible" => Sight::Impossible,
        "panics" => Sight::Panics,
        "hangs" => Sight::Hangs,
        other => panic!("what is to be seen by `{other}`?"),
    }
}

/// A duration, as people write it.
pub fn dur(text: &str) -> Dur {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// A step that says nothing about itself.
pub fn step(id: &str) -> PlanStep {
    PlanStep::plain(id, "scripted", json!({}))
}

/// A plan of these steps: `lead` is a role, `fast` is a parameter.
pub fn plan(steps: Vec<PlanStep>) -> Plan {
    let lead = Role { name: "ann".into(), deputies: vec!["bob".into(), "sue".into()], ..Role::default() };
    Plan {
        format: 1,
        name: "evacuate".into(),
        description: None,
        owner: None,
        regions: IndexMap::new(),
        accounts: IndexMap::new(),
        objectives: Objectives::default(),
        roles: IndexMap::from([("lead".to_owned(), lead)]),
        params: Map::from_iter([("fast".to_owned(), Value::Bool(true))]),
        mode: Mode::default(),
        comms: None,
        claim: None,
        failback: None,
        phases: Vec::new(),
        selection: Selection::default(),
        steps,
    }
}

/// A place by its number.
pub fn place(at: usize) -> StepIx {
    StepIx(u32::try_from(at).expect("plans are small"))
}
