//! What customers read: a page on Atlassian Statuspage, and the words that
//! every status page uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A page on Atlassian Statuspage that is kept up to date by itself. Whoever
/// writes it into a runbook agrees that its words are published unseen.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomersPage {
    /// Its id, as in `https://manage.statuspage.io/pages/ID`.
    pub page: String,
    /// The headline. Default: Service disruption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is said in each state, in place of the usual words.
    #[serde(default, skip_serializing_if = "Messages::is_usual")]
    pub messages: Messages,
    /// How bad it is. Default: what Statuspage makes of the components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    /// What is affected, by name or id, and how it is until service is restored, as in `Website: major_outage`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, Health>,
    /// Whether those who subscribed are told of each update. Default: true.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub notify: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
fn is_yes(notify: &bool) -> bool {
    *notify
}

/// What customers are told in each state. They see it as it stands: no names, no causes, no promises of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// Before anything is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub investigating: Option<String>,
    /// While service is being restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identified: Option<String>,
    /// While it is watched whether service is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<String>,
    /// When it was verified that service is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
}

impl Messages {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// How far an incident is, in the words that status pages use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The cause is looked for.
    Investigating,
    /// The cause is known.
    Identified,
    /// It is mended and watched.
    Monitoring,
    /// It is over.
    Resolved,
}

impl State {
    /// The state that a status page names so.
    pub fn named(word: &str) -> Option<Self> {
        [Self::Investigating, Self::Identified, Self::Monitoring, Self::Resolved]
            .into_iter()
            .find(|it| it.word() == word)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Identified => "identified",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
        }
    }
}

/// How bad an incident is, in the words of Statuspage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Nobody notices.
    None,
    /// A little.
    Minor,
    /// Much.
    Major,
    /// As bad as it gets.
    Critical,
}

/// How a part of the product is, in the words of Statuspage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It works.
    Operational,
    /// It is slow, or fails now and then.
    DegradedPerformance,
    /// It does not work for some.
    PartialOutage,
    /// It does not work.
    MajorOutage,
    /// It is being worked on, as announced.
    UnderMaintenance,
}
