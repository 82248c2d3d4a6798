//! What an attempt at a step leaves: outputs, facts, failures; and how a run
//! ends. All of it is data, told once and kept in the journal.

use crate::clock::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Something a step wants to find again after a crash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Its name within the step.
    pub name: String,
    /// What it says.
    pub value: Value,
    /// A handle that the provider gave after a mutating call: from here on the
    /// provider works, and the wait is counted as the provider's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handle: bool,
}

/// What a step leaves behind for others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Named values, for `${steps.ID.NAME}`.
    pub values: Map<String, Value>,
    /// The moment up to which the data is there, where data is involved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<RecoveryPoint>,
}

/// Up to when the data of a store was saved, and how that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// The moment.
    pub at: Time,
    /// The field it was read from.
    pub source: String,
}

/// Why something did not work, as data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened, lower case, no full stop.
    pub message: String,
    /// Whether trying again may help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
    /// What lies beneath, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The call to a service that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// A way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A call to a service, for the people who will ask the service about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The service, as its SDK names it.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// The region it was sent to.
    pub region: String,
    /// The service's own error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The service's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Failure {
    /// What the service is asked about, as far as the message does not say it:
    /// the call, the service's code, the id of the request.
    pub fn reference(&self) -> Option<String> {
        let Call { service, operation, region, code, request_id } = self.call.as_ref()?;
        let call = format!("{service} {operation} in {region}");
        let request = request_id.as_ref().map(|id| format!("request {id}"));
        let parts = [Some(call), code.clone(), request];
        let unsaid: Vec<_> = parts.into_iter().flatten().filter(|part| !self.message.contains(part)).collect();
        (!unsaid.is_empty()).then(|| unsaid.join(", "))
    }
}

/// How a run ended: derived from its steps, never set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was done and verified.
    Recovered,
    /// Verified, but something was tolerated, skipped by a person or vouched for.
    RecoveredWithExceptions,
    /// Everything was done; the runbook has no `verify`.
    Unverified,
    /// A step failed and the plan says to stop then.
    Failed,
    /// A person stopped it.
    Stopped,
    /// It was taken back.
    Undone,
}

/// What a note says for the next time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    /// Something to know.
    Lesson,
    /// Something to do.
    Action {
        /// Who sees to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// By when, as a date: `2026-12-24`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says_is_not_said_again() {
        let call = Call {
            service: "rds".into(),
            operation: "DescribeDBSnapshots".into(),
            region: "eu-central-1".into(),
            code: Some("AccessDenied".into()),
            request_id: Some("4f1c-77".into()),
        };
        let of = |message: &str| Failure { call: Some(call.clone()), ..Failure::new(message) }.reference();
        for (message, left) in [
            ("it did not work", "rds DescribeDBSnapshots in eu-central-1, AccessDenied, request 4f1c-77"),
            ("rds DescribeDBSnapshots in eu-central-1: AccessDenied: no", "request 4f1c-77"),
            ("rds DescribeDBSnapshots in eu-central-1 was refused", "AccessDenied, request 4f1c-77"),
        ] {
            assert_eq!(of(message).as_deref(), Some(left), "{message}");
        }
        let all = "rds DescribeDBSnapshots in eu-central-1: AccessDenied, request 4f1c-77";
        assert_eq!(of(all), None);
        assert_eq!(Failure::new("no call at all").reference(), None);
    }
}
