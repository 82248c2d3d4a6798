//! The gate of `data_loss: acknowledge`: before a step that loses what was
//! written last, a named role is asked, with the number as it is just now.

use crate::{
    duration::Dur,
    kind::Make,
    outcome::{Failure, RecoveryPoint},
    question::{APPROVED_BY, About, Question},
    step::{Check, Description, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The kind of work that this gate is.
pub const DATA_LOSS: &str = "data_loss";
/// The name of the fact that holds what was known when it was asked.
const WOULD_KEEP: &str = "would_keep";

/// How the gate stands in a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataLossWith {
    /// The step behind it.
    pub step: String,
    /// That step's kind.
    pub kind: String,
    /// What that is given.
    pub with: Value,
    /// Who is asked.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// Asks for the loss of data.
pub struct DataLoss {
    step: String,
    roles: Vec<String>,
    work: Arc<dyn Step>,
}

impl DataLoss {
    /// The step, with the work behind it made as `make` makes it.
    pub fn from_json(make: Make<'_>, with: Value) -> Result<Self, Failure> {
        let with: DataLossWith = serde_json::from_value(with).map_err(|e| Failure::new(format!("{DATA_LOSS}: {e}")))?;
        Ok(Self { work: make(&with.kind, with.with)?, step: with.step, roles: with.roles })
    }
}

#[async_trait]
impl Step for DataLoss {
    fn describe(&self) -> Description {
        let summary = format!("ask {} for the data that `{}` loses", self.roles.join(", "), self.step);
        Description { summary, actions: self.work.describe().actions, ..Description::default() }
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

    async fn run(&self, cx: &StepCx) -> Result<crate::outcome::Output, StepError> {
        let kept = self.work.would_keep(&cx.read).await;
        if let Ok(RecoveryPoint { at, source }) = &kept {
            cx.record(WOULD_KEEP, json!({ "at": at.0, "source": source })).await;
        }
        let text = question(&self.step, &cx.read, &kept);
        let mut question = Question::new(About::Approval, text, &["approve", "retry", "decline"]);
        question.roles.clone_from(&self.roles);
        Err(StepError::Ask(Box::new(question)))
    }
}

/// The question, with everything that is known and nothing else. The number stands first:
/// where room is short the rest is cut.
fn question(step: &str, cx: &ReadCx, kept: &Result<RecoveryPoint, Failure>) -> String {
    let incident = cx.run.incident_at;
    let assumed = if cx.run.incident_assumed { " (a time that is assumed)" } else { "" };
    let lost = match kept {
        Ok(RecoveryPoint { at, source }) if *at < incident => {
            let since = match cx.fenced_at {
                Some(fenced) if fenced <= incident => String::new(),
                Some(fenced) => format!(
                    ", and what the old writer took from then to its fence at {fenced}, {} at most",
                    whole(fenced.since(incident))
                ),
                None => format!(", and all that the old writer takes until it is fenced, {UNFENCED}"),
            };
            format!(
                "loses {} of writes: what was written after {at} ({source}) until the outage began at \
                 {incident}{assumed}{since}",
                whole(incident.since(*at))
            )
        }
        Ok(RecoveryPoint { at, source }) => {
            let kept = format!(
                "What was written until the outage began at {incident}{assumed} is kept, as far as it was measured"
            );
            match cx.fenced_at {
                Some(fenced) if fenced <= *at => format!(
                    "loses nothing that is known of: it has what was written until {at} ({source}), and the old \
                     writer was fenced at {fenced}"
                ),
                Some(fenced) => format!(
                    "loses up to {} of writes: what the old writer took after {at} ({source}) until its fence at \
                     {fenced}. {kept}",
                    whole(fenced.since(*at))
                ),
                None => format!(
                    "loses what the old writer took after {at} ({source}), and takes until it is fenced, {UNFENCED}. {kept}"
                ),
            }
        }
        Err(failure) => format!("loses what was written last, and nobody can say how much: {}", failure.message),
    };
    format!("`{step}` {lost}. Go on? `retry` reads the number again")
}

/// A span in whole seconds: nothing that it is read from is more exact.
fn whole(span: Dur) -> Dur {
    Dur(span.0 - span.0 % 1_000)
}

/// How a fence is named that does not stand.
const UNFENCED: &str = "which it is NOT";
