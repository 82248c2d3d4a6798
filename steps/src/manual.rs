//! `manual`: a person does the work and says so.
//!
//! Like an approval, asking for it is no effect and can be done again. The
//! work itself is one: `dr undo` says that it cannot take it back.

use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Reference},
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

impl Explained for Manual {
    const REFERENCE: Reference = Reference {
        check: "There is nothing that could be looked at: it can always be asked. After a crash it is asked once \
            more.",
        run: "Asks whoever has the role `owner`. They end it with `dr done RUN STEP`, with `--evidence` where \
            evidence is wanted; `skip` and `stop` are the other answers.",
        undo: None,
        recovery_point: None,
        time: "As long as people take. The report counts it as waiting for people, apart from the work.",
        traps: &[
            "What a person says is recorded as vouched, never as proven, and the run ends as recovered with \
             exceptions at best.",
            "Of a file that is shown a copy is kept, and the journal holds its SHA-256.",
        ],
        example: "
            call_the_bank:
              do:
                manual:
                  instructions: Call the bank and give them our new addresses.
                  owner: incident_commander
                  evidence: text
        ",
    };
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
