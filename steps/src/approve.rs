//! `approve`: somebody has to agree before what needs this step goes on.
//!
//! Asking changes nothing in the world, so there is never a doubt about it: a
//! crash between the start of an attempt and its question asks once more. An
//! answer is an event of the run and never comes back here.

use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    question::{APPROVED_BY, About, Question},
    step::{Check, Description, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::num::NonZeroU32;

/// Asks for an approval.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// What is asked, as one sentence that can be answered with yes or no.
    pub question: In<String>,
    /// Whose approval counts: names under `roles`. None is anybody's.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How many different people must approve.
    #[serde(default = "one")]
    pub count: NonZeroU32,
    /// Whoever started the run may not approve.
    #[serde(default)]
    pub not_starter: bool,
    /// After this time without an answer it is told as late. The question stays open.
    pub timeout: Option<Dur>,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl Explained for Approve {
    const REFERENCE: Reference = Reference {
        check: "There is nothing to look at: it can always be asked. After a crash it is asked once more.",
        run: "Asks the question. The step is done when enough different people have answered `dr answer RUN \
            STEP approve`. Declined, it holds what needs it: it can be asked again or end the run, and is \
            never skipped.",
        undo: None,
        recovery_point: None,
        time: "As long as people take. The report counts it as waiting for people, apart from the work.",
        traps: &[
            "`timeout` ends nothing: after it the question is told as late and stays open.",
            "Two answers of one user of one host are one person's, whatever names they give.",
            "`approve:` beside `do:` of another step is the same, as a gate before that step.",
        ],
        example: "
            agree:
              do:
                approve:
                  question: Move production, and lose the last minutes of data?
                  roles: [incident_commander]
                  timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for Approve {
    fn describe(&self) -> Description {
        let whom = if self.roles.is_empty() { "anybody".into() } else { self.roles.join(", ") };
        Description { summary: format!("asks {whom}: {}", self.question), ..Description::default() }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName { name: APPROVED_BY.into(), is: OutputType::Any }]
    }

    fn roles(&self) -> Vec<String> {
        self.roles.clone()
    }

    fn changes(&self) -> bool {
        false
    }

    /// There is nothing in the world to look at: it can always be asked.
    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, _: &StepCx) -> Result<Output, StepError> {
        let mut question = Question::new(About::Approval, self.question.get().clone(), &["approve", "decline"]);
        question.roles.clone_from(&self.roles);
        question.count = self.count.get();
        question.not_starter = self.not_starter;
        question.late_after = self.timeout;
        Err(StepError::Ask(Box::new(question)))
    }
}
