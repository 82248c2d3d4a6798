//! `manual`: a person does the work and says so.
//!
//! Like an approval, asking for it is no effect and can be done again. The
//! work itself is one: `dr undo` says that it cannot take it back.

use async_trait::async_trait;
use dr_engine::{
    outcome::{Failure, Output},
    plan::{EVIDENCE, EVIDENCE_SHA256, Evidence},
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

#[async_trait]
impl Step for Manual {
    fn describe(&self) -> Description {
        Description {
            summary: format!("asks {} to do by hand: {}", self.owner, self.instructions),
            ..Default::default()
        }
    }

    fn evidence(&self) -> Evidence {
        self.evidence
    }

    fn outputs(&self) -> Vec<OutputName> {
        let names: &[_] = match self.evidence {
            Evidence::None => &[],
            Evidence::Text => &[EVIDENCE],
            Evidence::File => &[EVIDENCE, EVIDENCE_SHA256],
        };
        names.iter().map(|name| OutputName::text(name)).collect()
    }

    fn roles(&self) -> Vec<String> {
        vec![self.owner.clone()]
    }

    /// There is nothing that `dr` could look at: it can always be asked.
    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, _: &StepCx) -> Result<Output, StepError> {
        let mut question = Question::new(About::Work, self.instructions.get().clone(), &["done", "skip", "stop"]);
        question.roles = vec![self.owner.clone()];
        Err(StepError::Ask(Box::new(question)))
    }
}
