//! `manual`: a person does the work and says so.
//!
//! Like an approval, asking for it is no effect and can be done again. The
//! work itself is one: `dr undo` says that it cannot take it back.

use async_trait::async_trait;
use dr_engine::{
    outcome::{Failure, Output},
    question::{About, Question},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Asks a person to do something that cannot be automated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// What is to be done, step by step, for somebody who was just woken up.
    pub instructions: In<String>,
    /// Whose work it is: a name under `roles`.
    pub owner: String,
    /// What has to be shown for it.
    #[serde(default)]
    pub evidence: Evidence,
}

/// What has to be shown for work done by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing.
    #[default]
    None,
    /// A text, in the output `evidence`.
    Text,
    /// The name of a file, in the output `evidence`.
    File,
}

#[async_trait]
impl Step for Manual {
    fn describe(&self) -> Description {
        Description {
            summary: format!("asks {} to do by hand: {}", self.owner, self.instructions),
            ..Default::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        if self.evidence == Evidence::None { Vec::new() } else { vec![OutputName::text("evidence")] }
    }

    fn roles(&self) -> Vec<String> {
        vec![self.owner.clone()]
    }

    /// There is nothing that `dr` could look at: it can always be asked.
    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let with = |what: &str| {
            let (run, step) = (&cx.read.run.id, &cx.read.step.id);
            format!("\nwhen it is done: `dr done {run} {step} --output evidence={what}`")
        };
        let evidence = match self.evidence {
            Evidence::None => String::new(),
            Evidence::Text => with("TEXT"),
            Evidence::File => with("FILE"),
        };
        let text = format!("{}{evidence}", self.instructions.get());
        let mut question = Question::new(About::Work, text, &["done", "skip", "stop"]);
        question.roles = vec![self.owner.clone()];
        Err(StepError::Ask(Box::new(question)))
    }
}
