//! Questions to people, and what they may answer.

#![expect(missing_docs, reason = "the doc of a variant tells of its fields")]

use crate::{
    clock::Time,
    duration::Dur,
    outcome::Failure,
    plan::{Evidence, PlanStep, StepIx},
    run::Run,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A question to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Why it is asked.
    pub about: About,
    /// The question.
    pub text: String,
    /// What may be answered.
    pub choices: Vec<String>,
    /// Whose answer counts; empty is anybody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// How many must approve.
    #[serde(default = "one")]
    pub count: u32,
    /// Whoever started the run may not approve.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_starter: bool,
    /// After this time without an answer it is told as late; it stays open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_after: Option<Dur>,
    /// When that is, once it was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_at: Option<Time>,
}

impl Question {
    /// A question that anybody may answer.
    pub fn new(about: About, text: String, choices: &[&str]) -> Self {
        let choices = choices.iter().map(ToString::to_string).collect();
        Self { about, text, choices, roles: Vec::new(), count: 1, not_starter: false, late_after: None, late_at: None }
    }

    /// What to do about a step that failed.
    pub fn failure(step: &PlanStep, error: &Failure) -> Self {
        let text = format!("`{}` failed: {}", step.id, error.message);
        let undo: &[&str] = if step.can_undo { &["undo"] } else { &[] };
        Self::new(About::Failure(error.clone()), text, &[&["retry", "skip"], undo, &["stop"]].concat())
    }

    /// What to do about a step of which nobody knows whether it had its effect.
    pub fn doubt(step: &PlanStep, error: &Failure) -> Self {
        let text = format!(
            "it is not known whether `{}` had its effect: {}. Look, then say `retry` to run it again, \
             or tell with `dr done` that it is done",
            step.id, error.message
        );
        Self::new(About::Doubt(error.clone()), text, &["retry", "skip", "stop"])
    }

    /// What to do about a step that is slow.
    pub fn slow(step: &PlanStep, error: &Failure) -> Self {
        let text = format!("`{}` was not done within {}, and the provider still works on it", step.id, step.timeout);
        Self::new(About::Slow(error.clone()), text, &["wait", "skip", "stop"])
    }

    /// What to do without values that will not come.
    pub fn missing(what: Vec<String>) -> Self {
        let text = format!("a value is missing: {}", what.join("; "));
        Self::new(About::Missing(what), text, &["set", "skip", "stop"])
    }

    /// What to do about a step that could not be taken back.
    pub fn stuck(step: &PlanStep, error: &Failure) -> Self {
        let text = format!("`{}` could not be taken back: {}", step.id, error.message);
        Self::new(About::Undo(error.clone()), text, &["retry", "skip", "stop"])
    }

    /// The question as it is put about this step: nobody may pass a gate by
    /// skipping it; the step behind it can be skipped. Nor a fence: two people
    /// of those whom the runbook names must say that it cannot be set and that
    /// the old writer cannot write.
    #[must_use]
    pub fn of(mut self, run: &Run, step: StepIx) -> Self {
        let plan = run.plan().step(step);
        let undoing = matches!(self.about, About::Undo(_));
        self.choices.retain(|choice| choice != "skip" || undoing || !(plan.is_gate() || plan.fences));
        if plan.fences && !undoing {
            // Whoever gave a value that is missing would say what is fenced.
            self.choices.retain(|choice| choice != "set");
            self.choices.insert(self.choices.len() - 1, Choice::Impossible.word().into());
            // The way out belongs to what went wrong, not to the two people.
            if let Some(hint) = self.error().and_then(|error| error.hint.clone()) {
                self.text = format!("{} — {hint}", self.text);
            }
            self.text.push_str(". When it cannot be set and the old writer cannot write, two people say `impossible`");
            self.roles = run.plan().roles.keys().cloned().collect();
            self.count = FENCE_WAIVERS;
        }
        self
    }

    /// Whether this can be answered.
    pub fn allows(&self, choice: &Choice) -> bool {
        self.choices.iter().any(|allowed| allowed == choice.word())
    }

    /// The failure it is about, if it is about one.
    pub fn error(&self) -> Option<&Failure> {
        match &self.about {
            About::Failure(error) | About::Doubt(error) | About::Slow(error) | About::Undo(error) => Some(error),
            About::Missing(_) | About::Approval | About::Work => None,
        }
    }
}

/// The output of a gate that names who agreed.
pub const APPROVED_BY: &str = "approved_by";

/// How many people must say that a fence cannot be set, and that the old writer cannot write.
pub const FENCE_WAIVERS: u32 = 2;

fn one() -> u32 {
    1
}

/// Why a question is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The step failed.
    Failure(Failure),
    /// It is not known whether the step had its effect.
    Doubt(Failure),
    /// The attempt's time is up, and the provider still works on it.
    Slow(Failure),
    /// Values the step needs will not come.
    Missing(Vec<String>),
    /// Somebody has to agree.
    Approval,
    /// Somebody has to do the work.
    Work,
    /// Taking the step back failed.
    Undo(Failure),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Try again.
    Retry,
    /// Go on waiting for what is under way.
    Wait,
    /// Leave it out; what needs it goes on.
    Skip,
    /// Take back what this step did.
    Undo,
    /// End the run.
    Stop,
    /// Give a value that is missing.
    Set { name: String, value: Value },
    /// Agree.
    Approve,
    /// Do not agree.
    Decline,
    /// Of a fence: it cannot be set now, and what it is for cannot write.
    Impossible,
    /// The work is done, by the person who was asked to do it.
    Done { values: Map<String, Value> },
}

impl Choice {
    /// The word for it on the command line.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Wait => "wait",
            Self::Skip => "skip",
            Self::Undo => "undo",
            Self::Stop => "stop",
            Self::Set { .. } => "set",
            Self::Approve => "approve",
            Self::Decline => "decline",
            Self::Impossible => "impossible",
            Self::Done { .. } => "done",
        }
    }
}

/// What may be typed in answer to the question of a step.
pub fn commands(run: &Run, step: StepIx, question: &Question) -> Vec<String> {
    let plan = run.plan().step(step);
    let (run, id) = (&run.opened.run, word(&plan.id));
    let who = if question.roles.is_empty() { "" } else { " --as NAME" };
    let shown = match plan.evidence {
        Evidence::None => "",
        Evidence::Text => " --evidence TEXT",
        Evidence::File => " --evidence FILE",
    };
    let by_hand = format!("dr done {run} {id} --why TEXT{shown}{who}");
    let choices = question.choices.iter().map(|choice| match choice.as_str() {
        "done" => by_hand.clone(),
        "set" => format!("dr answer {run} {id} set NAME=VALUE{who}"),
        // Anybody may try a fence again, or end the run.
        choice @ ("retry" | "wait" | "stop") if plan.fences => format!("dr answer {run} {id} {choice}"),
        "impossible" => format!("dr answer {run} {id} impossible --why TEXT{who}"),
        choice => format!("dr answer {run} {id} {choice}{who}"),
    });
    let looked = matches!(question.about, About::Doubt(_)).then(|| by_hand.clone());
    choices.chain(looked).collect()
}

/// A word as a shell takes it: the ids of gates and instances hold signs that
/// shells obey.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
