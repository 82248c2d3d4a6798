//! The plan: checked, resolved, ordered, frozen. The only thing that is ever
//! executed; it travels in the first event of a run, so that a later edit of
//! the runbook cannot change a recovery under way.

mod account;
pub mod build;
mod claim;
mod draft;
mod fence;
pub mod graph;
mod order;
mod params;
mod scope;
mod services;
mod steps;
mod who;

pub use self::claim::Claim;
use crate::{comms::Comms, duration::Dur, event::Outcome};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::io::{self, BufWriter, Write};

/// A step's place in its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepIx(pub u32);

impl StepIx {
    /// The place as an index.
    pub fn ix(self) -> usize {
        self.0 as usize
    }
}

/// What will be done, in every particular that can be known beforehand.
///
/// It holds no time, no id of a run and no path of a machine: the same runbook
/// and parameters give the same hash anywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this form.
    pub format: u32,
    /// The runbook's name.
    pub name: String,
    /// What the runbook is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which team keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Names for regions; `primary` and `recovery` among them.
    #[serde(default)]
    pub regions: IndexMap<String, String>,
    /// Names for accounts.
    #[serde(default)]
    pub accounts: IndexMap<String, Account>,
    /// What the recovery is measured against.
    #[serde(default)]
    pub objectives: Objectives,
    /// Who is who.
    #[serde(default)]
    pub roles: IndexMap<String, Role>,
    /// The parameters, resolved.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// Whether the primary region can still be asked.
    pub mode: Mode,
    /// Who hears of the recovery, where, and how often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comms: Option<Comms>,
    /// What keeps a second recovery from starting, if the runbook names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// The way home: kept and shown, acted on by a later version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failback: Option<Value>,
    /// The names of phases, in the order in which they are shown.
    #[serde(default)]
    pub phases: Vec<String>,
    /// A part of the runbook, if only a part was asked for.
    #[serde(default, skip_serializing_if = "Selection::is_whole")]
    pub selection: Selection,
    /// The steps, in an order in which every need stands before what needs it.
    pub steps: Vec<PlanStep>,
}

/// An account of the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Its number, which the caller's identity must match.
    pub id: String,
    /// The role that its steps work as, assumed by whoever runs `dr`; none where they work as the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Where the external id is read that the role asks for. The id itself never stands in a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<SecretName>,
}

impl Account {
    /// The role's name without its path, as people say it.
    pub fn role_name(&self) -> Option<&str> {
        self.role.as_deref().map(|arn| arn.rsplit('/').next().unwrap_or(arn))
    }
}

/// The name of a secret: where it is read when it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretName {
    /// As in `env:NAME`.
    pub secret: String,
}

/// Recovery objectives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Objectives {
    /// Within this time of the incident the service must be healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Dur>,
    /// At most this much data, counted in time, may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Dur>,
    /// How long every probe must stay good before it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Dur>,
    /// Who set them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
    /// When they were set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_on: Option<String>,
}

/// A person in a role, and who stands in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Their name.
    pub name: String,
    /// Mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Slack member id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
    /// Phone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Names of those who stand in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deputies: Vec<String>,
}

/// The role whose people may declare a disaster.
pub const EXECUTIVE: &str = "executive";

impl Role {
    /// The names of those who can speak for it.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name).chain(&self.deputies).map(String::as_str)
    }
}

/// Whether the primary region can still be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It can: a switchover.
    Graceful,
    /// It cannot: a failover.
    #[default]
    Ungraceful,
}

impl Mode {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Graceful => "graceful",
            Self::Ungraceful => "ungraceful",
        }
    }
}

/// Which part of a runbook was planned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// Only these steps and phases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// These steps and what they need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub until: Vec<String>,
    /// Without these steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
}

impl Selection {
    /// Nothing was left out.
    pub fn is_whole(&self) -> bool {
        self.only.is_empty() && self.until.is_empty() && self.skip.is_empty()
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about a step")]
pub struct PlanStep {
    /// Its id, unique in the plan.
    pub id: String,
    /// The phase it is shown under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The kind of work.
    pub kind: String,
    /// What the kind is given. References to what only a run knows still stand in it.
    pub with: Value,
    /// Which steps come before, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepIx>,
    /// A condition, evaluated once when the needs are satisfied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What a failure means for the rest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_failure: OnFailure,
    /// What happens when `check` cannot tell.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_unknown: OnUnknown,
    /// How often and how soon.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retry: Retry,
    /// When an attempt ends.
    pub timeout: Dur,
    /// How long a `check` that fails is repeated.
    #[serde(default = "check_timeout", skip_serializing_if = "is_check_timeout")]
    pub check_timeout: Dur,
    /// How long it usually takes, as the runbook says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// It cannot be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub irreversible: bool,
    /// It changes something; a check, a question or a wait does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub changes: bool,
    /// Its effect cannot be seen: after a crash a person has to look.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blind: bool,
    /// It can be taken back by `dr undo`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_undo: bool,
    /// It sends users somewhere: taking it back sends them toward what was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moves_traffic: bool,
    /// When it is done, the old writer of a store can write no more: it is
    /// satisfied by a proof alone, or by two people's word, which leaves a debt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fences: bool,
    /// What fences the old writer before this step makes another one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fenced_by: Vec<StepIx>,
    /// The one region where its control plane is, when that is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control_plane: Option<String>,
    /// The regions it works in, when it names them itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// It calls the cloud provider, by what its kind says of itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls_provider: bool,
    /// What a person has to show who says that it is done.
    #[serde(default, skip_serializing_if = "is_default")]
    pub evidence: Evidence,
    /// The step behind this gate, if this is a gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<String>,
    /// This store's own objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Dur>,
    /// The region it works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The account it works in, by its name in the runbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl PlanStep {
    /// A step with nothing but the usual: no needs, no gate, no region of its own.
    pub fn plain(id: impl Into<String>, kind: impl Into<String>, with: Value) -> Self {
        Self {
            id: id.into(),
            phase: None,
            kind: kind.into(),
            with,
            needs: Vec::new(),
            when: None,
            on_failure: OnFailure::default(),
            on_unknown: OnUnknown::default(),
            retry: Retry::default(),
            timeout: crate::limits::TIMEOUT,
            check_timeout: check_timeout(),
            estimate: None,
            irreversible: false,
            changes: true,
            blind: false,
            can_undo: false,
            moves_traffic: false,
            control_plane: None,
            regions: Vec::new(),
            calls_provider: false,
            evidence: Evidence::None,
            gates: None,
            fences: false,
            fenced_by: Vec::new(),
            rpo: None,
            region: None,
            account: None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn check_timeout() -> Dur {
    crate::limits::CHECK_TIMEOUT
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_check_timeout(value: &Dur) -> bool {
    *value == check_timeout()
}

/// What a failure of a step means for the rest of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// A person is asked; what depends on it waits, the rest goes on.
    #[default]
    Hold,
    /// It is tolerated, and shown as such.
    Continue,
    /// Nothing new starts, and the run ends.
    Stop,
}

/// What happens when a step's `check` cannot tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// A person is asked.
    #[default]
    Ask,
    /// It is looked at again.
    Retry,
}

/// What has to be shown for work done by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing.
    #[default]
    None,
    /// A text, which becomes the output `evidence`.
    Text,
    /// A file. A copy is kept with the run; the outputs `evidence` and
    /// `evidence_sha256` are its name there and the hash of what it holds.
    File,
}

/// The output that holds what was shown.
pub const EVIDENCE: &str = "evidence";
/// The output that holds the SHA-256 of a file that was shown, in hexadecimal.
pub const EVIDENCE_SHA256: &str = "evidence_sha256";

/// How often an attempt is made, and how long the pauses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// All attempts, the first included.
    pub attempts: u32,
    /// The first pause; each further one is twice as long.
    pub backoff_min: Dur,
    /// The longest pause.
    pub backoff_max: Dur,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, backoff_min: Dur(5_000), backoff_max: Dur(120_000) }
    }
}

/// How long something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Half of the times it takes no longer.
    pub p50: Dur,
    /// Nine times of ten it takes no longer.
    pub p90: Dur,
}

impl PlanStep {
    /// Whether it is an approval: passed by approving, never by skipping it,
    /// by saying that it is done, or by tolerating a refusal.
    pub fn is_gate(&self) -> bool {
        self.kind == build::GATE || self.gates.is_some()
    }
}

impl Plan {
    /// The hash of everything in it, in hexadecimal: SHA-256 over its JSON.
    ///
    /// # Panics
    /// Never: every part of a plan is JSON.
    pub fn hash(&self) -> String {
        // A large plan is megabytes of JSON, which nobody needs to hold.
        let mut digest = BufWriter::with_capacity(64 * 1024, Digesting(Sha256::new()));
        serde_json::to_writer(&mut digest, self).expect("a plan is JSON");
        let digest = digest.into_inner().expect("a digest takes whatever is written");
        hex(&digest.0.finalize())
    }

    /// The step at a place.
    pub fn step(&self, step: StepIx) -> &PlanStep {
        &self.steps[step.ix()]
    }

    /// The place of the step with this id.
    pub fn find(&self, id: &str) -> Option<StepIx> {
        self.steps.iter().position(|s| s.id == id).map(ix)
    }

    /// Every place, in order.
    pub fn places(&self) -> impl DoubleEndedIterator<Item = StepIx> + use<> {
        (0..self.steps.len()).map(ix)
    }

    /// Whether anything in it calls the cloud provider.
    pub fn calls_provider(&self) -> bool {
        self.claim.is_some() || self.steps.iter().any(|step| step.calls_provider)
    }

    /// The outcome of a run in which everything was done.
    pub(crate) fn when_all_done(&self) -> Outcome {
        if self.find(VERIFY).is_some() { Outcome::Recovered } else { Outcome::Unverified }
    }
}

/// Takes what is written into a digest.
#[derive(Debug)]
struct Digesting(Sha256);

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The id of the step that the runbook's `verify` becomes.
pub const VERIFY: &str = "verify";

fn ix(at: usize) -> StepIx {
    StepIx(u32::try_from(at).expect("plans are limited"))
}

/// Bytes in hexadecimal.
///
/// # Panics
/// Never: a `String` takes whatever is written.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String");
        text
    })
}
