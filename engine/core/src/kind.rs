//! The registry of kinds of work. It is open: the core names no kind; whoever
//! builds the binary hands it a list.

use crate::{
    data_loss::{DATA_LOSS, DataLoss},
    outcome::Failure,
    plan::{PlanStep, VERIFY},
    problem::{Problem, Span},
    step::{Step, Steps},
    verify::Verify,
    yaml::{Limits, Lookup, R, Scope, frozen, parse},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

type Read = fn(R<'_>, Span, &dyn Scope, &mut Vec<Problem>) -> Option<(Arc<dyn Step>, Value)>;

/// What a person wants to know of a kind that neither its fields nor
/// [`Step::describe`] can say. The texts are whole sentences.
#[derive(Debug, Clone, Copy)]
pub struct Reference {
    /// What `check` looks at, and what it takes for done.
    pub check: &'static str,
    /// What `run` does, in its order.
    pub run: &'static str,
    /// What `undo` does; `None` where nothing can be taken back.
    pub undo: Option<&'static str>,
    /// Which moment the data is of; `None` where no data comes back.
    pub recovery_point: Option<&'static str>,
    /// What it usually takes, and whence that is known.
    pub time: &'static str,
    /// What surprises people.
    pub traps: &'static [&'static str],
    /// A whole step, as it stands under `steps:`. It is the first if there are several.
    pub example: &'static str,
}

/// A kind of work that comes with its page of the reference.
pub trait Explained: Step {
    /// What its page says beside its fields.
    const REFERENCE: Reference;
}

/// A kind of work: its name, how it is read, and what its page says.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name under `do:`.
    pub name: &'static str,
    /// What its page says beside its fields.
    pub reference: Reference,
    read: Read,
    from_json: fn(Value) -> Result<Arc<dyn Step>, String>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Kind {
    /// The kind that `T` is.
    pub const fn of<T: DeserializeOwned + JsonSchema + Explained + 'static>(name: &'static str) -> Self {
        Self {
            name,
            reference: T::REFERENCE,
            read: |node, at, scope, problems| {
                frozen::<T>(node, at, scope, problems).map(|(step, with)| (Arc::new(step) as _, with))
            },
            from_json: |with| {
                serde_json::from_value::<T>(with).map(|step| Arc::new(step) as _).map_err(|e| e.to_string())
            },
            schema: |generator| generator.subschema_for::<T>(),
        }
    }

    /// The schema of its inputs.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        (self.schema)(generator)
    }
}

/// Every kind of work that this program knows.
#[derive(Clone)]
pub struct Registry {
    kinds: Vec<Kind>,
}

impl Registry {
    /// A registry of these kinds.
    pub fn of(kinds: impl Into<Vec<Kind>>) -> Self {
        Self { kinds: kinds.into() }
    }

    /// All kinds.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// The names of all kinds.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.iter().map(|kind| kind.name)
    }

    /// Reads what stands under a kind's name in a runbook, with all mistakes:
    /// the step, and its inputs as a plan keeps them.
    pub fn read(
        &self,
        kind: &str,
        kind_span: Span,
        with: R<'_>,
        scope: &dyn Scope,
        problems: &mut Vec<Problem>,
    ) -> Option<(Arc<dyn Step>, Value)> {
        if let Some(known) = self.find(kind) {
            return (known.read)(with, kind_span, scope, problems);
        }
        let problem = Problem::new(kind_span, format!("unknown kind of step `{kind}`"));
        problems.push(match crate::problem::did_you_mean(kind, self.names()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("known kinds: {}", self.names().collect::<Vec<_>>().join(", "))),
        });
        None
    }

    /// The schema of every kind, by name.
    pub fn schemas(&self, generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
        self.kinds.iter().map(|kind| (kind.name, kind.schema(generator))).collect()
    }

    /// The step as it was planned: what only a run knows is still open in it.
    /// It can be asked what it is, not to do anything.
    pub fn planned(&self, step: &PlanStep) -> Option<Arc<dyn Step>> {
        composed(&step.kind, step.with.clone(), &|kind, with| {
            // A plan holds its inputs as a runbook does: references, and texts in which `$${` is no reference.
            let text = with.to_string();
            let doc = parse(&text, 0, &Limits { bytes_max: text.len(), ..Limits::default() }).ok();
            let read = doc.and_then(|doc| self.read(kind, Span::default(), doc.root(), &Open, &mut Vec::new()));
            read.map(|(step, _)| step).ok_or_else(|| Failure::new(format!("the inputs of `{kind}` are wrong")))
        })
        .ok()
    }

    fn find(&self, kind: &str) -> Option<&Kind> {
        self.kinds.iter().find(|known| known.name == kind)
    }

    /// The step of this kind with these inputs, all of them resolved.
    pub fn make(&self, kind: &str, with: Value) -> Result<Arc<dyn Step>, Failure> {
        let known = self.find(kind).ok_or_else(|| {
            Failure::new(format!("this version of dr has no kind of step `{kind}`"))
                .hint("resume with the version that began the run, or a newer one")
        })?;
        (known.from_json)(with).map_err(|why| Failure::new(format!("the inputs of `{kind}` are wrong: {why}")))
    }
}

impl Steps for Registry {
    fn step(&self, step: &PlanStep, with: Value) -> Result<Arc<dyn Step>, Failure> {
        composed(&step.kind, with, &|kind, with| self.make(kind, with))
    }
}

/// Makes a step of a kind and its inputs.
pub type Make<'a> = &'a dyn Fn(&str, Value) -> Result<Arc<dyn Step>, Failure>;

/// A step, and the grammar's own ones, which are made of others: several probes
/// as one, and the gate of another step.
fn composed(kind: &str, with: Value, make: Make<'_>) -> Result<Arc<dyn Step>, Failure> {
    match kind {
        VERIFY => Verify::from_json(make, with).map(|step| Arc::new(step) as _),
        DATA_LOSS => DataLoss::from_json(make, with).map(|step| Arc::new(step) as _),
        kind => make(kind, with),
    }
}

/// The scope in which every reference is one to what only a run knows.
struct Open;

impl Scope for Open {
    fn lookup(&self, _: &[&str]) -> Lookup {
        Lookup::Later
    }
}
