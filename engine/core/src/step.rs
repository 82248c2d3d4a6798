//! A kind of work: a reconciler that looks before it acts.
//!
//! A step sees its inputs, what it wrote down before, the clock, and the world
//! behind it. It never prints, sleeps by itself, reads the journal or knows
//! the graph.

use crate::{
    clock::{Clock, Time},
    duration::Dur,
    event::RunKind,
    limits,
    need::Need,
    outcome::{Fact, Failure, Output, RecoveryPoint},
    plan::{Evidence, PlanStep, StepIx},
    question::Question,
};
use async_trait::async_trait;
use serde_json::Value;
use std::{any::Any, future::Future, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// A kind of work, with its inputs.
#[async_trait]
pub trait Step: Send + Sync {
    /// What it touches and what it needs, for plans and policies.
    fn describe(&self) -> Description;

    /// Whether `check` can see the effect of `run`. Where it cannot, an attempt
    /// without an answer goes to a person, and nothing runs twice without one.
    fn sees_effect(&self) -> bool {
        true
    }

    /// What a person has to show who says that it is done.
    fn evidence(&self) -> Evidence {
        Evidence::None
    }

    /// Inputs that do not go together, though each by itself is good.
    fn mistakes(&self) -> Vec<Mistake> {
        Vec::new()
    }

    /// The outputs that `run` leaves, for `${steps.ID.NAME}`.
    fn outputs(&self) -> Vec<OutputName> {
        Vec::new()
    }

    /// The roles of the runbook that it asks: somebody must have them.
    fn roles(&self) -> Vec<String> {
        Vec::new()
    }

    /// What it needs on the machine that carries it out, so that `dr doctor` can
    /// tell beforehand what would stop it. What it needs of the provider stands
    /// in [`Description::actions`].
    fn leans_on(&self) -> Vec<Need> {
        Vec::new()
    }

    /// Whether `run` changes something. A check, a question or a wait does not.
    fn changes(&self) -> bool {
        true
    }

    /// Looks, and never changes anything. Begins every attempt.
    ///
    /// An `Err` is a look that failed and is repeated; *cannot tell* is
    /// [`Check::Unknown`].
    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure>;

    /// One look for whoever looks again and again and wants no gap, as `verify`
    /// does: `Done` when all is good and was for long enough, `InProgress` when
    /// it is good so far.
    async fn watch(&self, cx: &ReadCx) -> Result<Check, Failure> {
        self.check(cx).await
    }

    /// Makes it so; goes on with what an earlier controller began.
    async fn run(&self, cx: &StepCx) -> Result<Output, StepError>;

    /// How long `run` may go on after its time is up, to end in order what it
    /// has begun; after that it is dropped where it stands.
    fn grace(&self) -> Dur {
        Dur(0)
    }

    /// Up to when the data would be there if `run` began now: the live number
    /// behind a question about data loss. Looks, and never changes anything.
    ///
    /// Only kinds that [lose data](Description::loses_data) are asked. An `Err`
    /// is told as "nobody can say how much".
    async fn would_keep(&self, _cx: &ReadCx) -> Result<RecoveryPoint, Failure> {
        Err(Failure::new("this kind does not say up to when the data would be there"))
    }

    /// Whether `undo` can be asked for.
    fn can_undo(&self) -> bool {
        false
    }

    /// What `check` is to `run`, for `undo`: `Done` when nothing is left to take back.
    async fn check_undone(&self, _cx: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Unknown("this kind cannot be undone".into()))
    }

    /// Takes back what `run` did, from the facts and the output it left.
    async fn undo(&self, _cx: &StepCx, _done: &Output) -> Result<(), StepError> {
        Err(StepError::Failed(Failure::new("this kind cannot be undone")))
    }
}

/// What a step touches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a step")]
pub struct Description {
    /// One line: the verb and what it is done to.
    pub summary: String,
    /// The permissions it needs, as the provider names them.
    pub actions: Vec<&'static str>,
    /// The region of its control plane, where that is not the step's own.
    pub control_plane: Option<&'static str>,
    /// The regions it works in, where it names them itself.
    pub regions: Vec<String>,
    /// Whether it can be taken back.
    pub irreversible: bool,
    /// Whether it sends users somewhere else, as a change of DNS or of a CDN does.
    pub moves_traffic: bool,
    /// Whether, when it is done, the old writer of a store can write no more:
    /// its `check` says `Done` only when that is proven. Such a step can stand
    /// under `fence:` of another.
    pub fences: bool,
    /// Whether it makes a second writer of a store, so that the first must be
    /// fenced before: planning wants a `fence:`.
    pub second_writer: bool,
    /// Whether what was written last is lost by it: planning wants
    /// `data_loss: acknowledge`, and a person is shown [`Step::would_keep`].
    pub loses_data: bool,
}

/// An input that does not go with the others, told when planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The field to be shown.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
    /// A way out.
    pub help: String,
}

/// An output that a step promises, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputName {
    /// Its name.
    pub name: String,
    /// Its type.
    pub is: OutputType,
}

impl OutputName {
    /// An output that is text.
    pub fn text(name: &str) -> Self {
        Self { name: name.into(), is: OutputType::Text }
    }

    /// An output that is a number.
    pub fn number(name: &str) -> Self {
        Self { name: name.into(), is: OutputType::Number }
    }
}

/// What an output is, as far as it is known before it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputType {
    /// Text.
    Text,
    /// A number.
    Number,
    /// Whatever comes: JSON that a command or a service gives.
    Any,
}

/// What a look gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// Nothing of it is there: it may be done.
    Absent,
    /// It was begun and has not ended.
    InProgress,
    /// It is so.
    Done(Output),
    /// It cannot become so.
    Impossible(Failure),
    /// The look was complete and does not tell.
    Unknown(String),
}

/// Why an attempt did not reach its goal.
#[derive(Debug, Clone, PartialEq)]
pub enum StepError {
    /// It failed, for certain without a further effect.
    Failed(Failure),
    /// It may have had its effect: `check` decides.
    Doubt(Failure),
    /// A person has to answer first.
    Ask(Box<Question>),
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What every step of a run may know of it.
#[derive(Debug, Clone)]
pub struct RunInfo {
    /// The run's id.
    pub id: String,
    /// The runbook's name.
    pub runbook: String,
    /// Whether it is a real recovery.
    pub kind: RunKind,
    /// When the outage began, as it was known when the attempt began.
    pub incident_at: Time,
    /// That time was assumed: nobody said it.
    pub incident_assumed: bool,
}

/// The view of a step that may only look.
#[derive(Clone)]
pub struct ReadCx {
    /// The run.
    pub run: Arc<RunInfo>,
    /// The step as it was planned.
    pub step: Arc<PlanStep>,
    /// Which attempt this is, from one.
    pub attempt: u32,
    /// What the step wrote down, in all its attempts, oldest first.
    pub facts: Vec<Fact>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What lies behind the step kinds: clients, settings. Theirs to know.
    pub world: Arc<dyn Any + Send + Sync>,
    /// Since when the old writer cannot write that this step stands in for, where that was proven.
    pub fenced_at: Option<Time>,
    /// The shortest gap between two looks.
    pub poll_gap_min: Dur,
    pub(crate) chatter: Chatter,
}

/// The view of a step that may act.
pub struct StepCx {
    /// What it may look at.
    pub read: ReadCx,
    /// When the attempt's time is up.
    pub deadline: Time,
    /// What an earlier attempt left, for `undo`.
    pub output: Output,
    pub(crate) guard: Arc<dyn Guard>,
    pub(crate) facts: mpsc::UnboundedSender<Report>,
    pub(crate) me: (StepIx, u32),
}

/// Stands before every call that changes the world.
pub trait Guard: Send + Sync {
    /// Just before the call: an `Err` when this controller may no longer act.
    fn before(&self) -> Result<(), Failure>;
    /// Just after the reply.
    fn after(&self);
}

/// Says what a running step sees: never written down, lost when nobody listens.
pub type Chatter = Arc<dyn Fn(&str) + Send + Sync>;

/// What a running attempt tells the loop.
pub(crate) struct Report {
    pub(crate) step: StepIx,
    pub(crate) attempt: u32,
    pub(crate) what: Said,
}

pub(crate) enum Said {
    Fact(Fact, oneshot::Sender<()>),
    Ended(crate::attempt::Ended),
}

/// What a probe of [`ReadCx::poll`] saw.
pub enum Look<T> {
    /// It has come.
    Ready(T),
    /// Not yet; what the service says.
    Pending(String),
}

impl ReadCx {
    /// The value of the newest fact of this name.
    pub fn fact(&self, name: &str) -> Option<&Value> {
        self.facts.iter().rev().find(|f| f.name == name).map(|f| &f.value)
    }

    /// Tells whoever watches what the service says just now.
    pub fn progress(&self, text: &str) {
        (self.chatter)(text);
    }

    /// A name for what this step makes, the same in every attempt: for
    /// idempotency tokens and tags.
    pub fn token(&self) -> String {
        format!("{}/{}", self.run.id, self.step.id)
    }

    /// Looks again and again until `probe` is ready. A look that fails for a
    /// passing reason is repeated like one that saw nothing.
    ///
    /// The gap is about 1 % of the wait so far, between the named limits: a
    /// short wait is noticed soon and a long one is not asked to death.
    pub async fn poll<T, P, F>(&self, mut probe: P) -> Result<T, Failure>
    where
        P: FnMut() -> F + Send,
        F: Future<Output = Result<Look<T>, Failure>> + Send,
        T: Send,
    {
        let since = self.clock.now();
        loop {
            match probe().await {
                Ok(Look::Ready(value)) => return Ok(value),
                Ok(Look::Pending(says)) => self.progress(&says),
                Err(failure) if failure.transient => self.progress(&failure.message),
                Err(failure) => return Err(failure),
            }
            self.clock.sleep(self.gap(self.clock.now().since(since))).await;
        }
    }

    fn gap(&self, waited: Dur) -> Dur {
        Dur((waited.0 / 100).clamp(self.poll_gap_min.0, limits::POLL_GAP_MAX.0.max(self.poll_gap_min.0)))
    }
}

impl StepCx {
    /// Writes a fact down; returns when it is durable.
    ///
    /// A step does this before its first mutating call (what it resolved, what
    /// it will overwrite): without it, adoption and undo break exactly after a
    /// crash.
    pub async fn record(&self, name: &str, value: impl Into<Value> + Send) {
        self.write(Fact { name: name.into(), value: value.into(), handle: false }).await;
    }

    /// Writes down the handle that a mutating call gave: from here on the
    /// provider works.
    pub async fn record_handle(&self, name: &str, value: impl Into<Value> + Send) {
        self.write(Fact { name: name.into(), value: value.into(), handle: true }).await;
    }

    async fn write(&self, fact: Fact) {
        let (done, durable) = oneshot::channel();
        let report = Report { step: self.me.0, attempt: self.me.1, what: Said::Fact(fact, done) };
        if self.facts.send(report).is_err() || durable.await.is_err() {
            // The loop has stopped: no ink, no act. This attempt must not go on.
            std::future::pending::<()>().await;
        }
    }

    /// The guard that every mutating call passes, before and after.
    pub fn guard(&self) -> Arc<dyn Guard> {
        self.guard.clone()
    }
}

/// Makes a step from the plan and its resolved inputs.
pub trait Steps: Send + Sync {
    /// The step, or why its inputs are not what the kind takes.
    fn step(&self, step: &PlanStep, with: Value) -> Result<Arc<dyn Step>, Failure>;
}

impl Failure {
    /// A failure that trying again will not mend.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: clip(message.into()), ..Self::default() }
    }

    /// A failure that trying again may mend.
    pub fn passing(message: impl Into<String>) -> Self {
        Self { transient: true, ..Self::new(message) }
    }

    /// The same failure with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

fn clip(mut text: String) -> String {
    let mut end = limits::ERROR_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
