//! How a run begins, and who has a hand in it.

use crate::{clock::Time, plan::Plan};
use serde::{Deserialize, Serialize};

/// The beginning of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// The run's id.
    pub run: String,
    /// What is executed, nothing else.
    pub plan: Plan,
    /// The folder of the runbook on the host that began the run: relative
    /// paths of commands start there.
    #[serde(default)]
    pub folder: String,
    /// Whether this is a real recovery.
    pub kind: RunKind,
    /// When the outage began: the RTO counts from here.
    pub incident_at: Time,
    /// Nobody said when the outage began: the start of the run stands in.
    pub incident_assumed: bool,
    /// When it was noticed, if that was said.
    pub detected_at: Option<Time>,
    /// When the disaster was declared, if that was said.
    pub declared_at: Option<Time>,
    /// Who declared it, if that was said.
    pub declared_by: Option<String>,
    /// Who started the run.
    pub by: Person,
}

/// Whether a run is a real recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// Production.
    Live,
    /// A rehearsal in isolation.
    Drill,
    /// Against a local AWS.
    Lab,
}

impl RunKind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Drill => "drill",
            Self::Lab => "lab",
        }
    }
}

/// The process that writes the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Controller {
    /// Its host.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The fencing token: one more than that of the controller before.
    pub epoch: u64,
    /// The version of `dr`.
    pub version: String,
    /// Why it took over from a controller that still lived, or [`ADDS`].
    pub why: Option<String>,
    /// That it works with the credentials that are kept for emergencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// Credentials that are kept for when the usual ones cannot be had, and who took them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The profile of the provider's configuration.
    pub profile: String,
    /// Why.
    pub why: String,
    /// Who.
    pub by: Person,
}

/// Why somebody joined who drives nothing: what was said is written down where no controller runs.
pub const ADDS: &str = "to write down what was said";

/// A person, as claimed: there is no sign-in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// The name given by `--as`, found in the runbook's `roles`.
    pub name: Option<String>,
    /// The user of the operating system.
    pub user: String,
    /// The host.
    pub host: String,
    /// The inbox message that said it; taken once, however often it is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
