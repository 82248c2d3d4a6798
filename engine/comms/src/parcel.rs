//! What is brought to people: made once, frozen, the same for every attempt.

use crate::update::{Update, customers::Announcement};
use dr_engine::{
    clock::Time,
    event::{Audience, RunKind},
    report::clean,
    run::Run,
};
use serde::{Deserialize, Serialize};

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parcel {
    /// Its name in the run: `update-3`. With the run's id it is known everywhere.
    pub id: String,
    /// The run.
    pub run: String,
    /// The runbook.
    pub runbook: String,
    /// Whether this is a real recovery.
    pub kind: RunKind,
    /// When it was made.
    pub made_at: Time,
    /// When the run began: what is kept for all of it is looked for from then on. Books of an older `dr` do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Time>,
    /// Nothing has happened: somebody tries the channels.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trial: bool,
    /// For whom.
    pub audience: Audience,
    /// Only for whoever has this role, if it is for one person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Who had it when this was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Channels that it is not for: the news of a channel that is down goes by the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_by: Vec<String>,
    /// What.
    pub body: Body,
    /// The run as bars over time, an SVG of its own, for those who can show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// What a parcel holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// An update of the Incident Commander.
    Update(Box<Update>),
    /// A few lines.
    Notice(Notice),
    /// What happened since the last, line by line: for those who follow closely.
    Details(Vec<crate::update::Line>),
    /// What customers are told, as it stands on a status page.
    Announcement(Box<Announcement>),
}

/// A few lines about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// What it is about, in one line.
    pub subject: String,
    /// The lines.
    pub lines: Vec<String>,
    /// It has to reach people now, on their telephones too.
    pub urgent: bool,
    /// Where they find each other, if that is what they need.
    #[serde(default)]
    pub meet: Meet,
}

/// How people find each other when the usual way is gone, and where the recovery stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meet {
    /// Where to meet.
    pub bridge: Option<String>,
    /// The Incident Commander, with a number where one is known to be theirs.
    pub commander: Option<String>,
    /// What else is worth a line.
    pub last: Option<String>,
}

impl Meet {
    /// Where the people of a run find each other now.
    pub fn of(run: &Run) -> Self {
        let plan = run.plan();
        let bridge = plan.comms.as_ref().and_then(|comms| comms.bridge.as_deref()).map(clean);
        // Whoever has taken the role over is not reached by the number of whom the runbook names for it.
        let phone = |name: &str| {
            plan.roles.values().filter(|role| role.name == name).find_map(|role| Some(clean(role.phone.as_deref()?)))
        };
        let commander = run.holder("incident_commander").map(|name| match phone(name) {
            Some(phone) => format!("{}, {phone}", clean(name)),
            None => clean(name),
        });
        Self { bridge, commander, last: None }
    }
}

impl Parcel {
    /// For all of an audience, by every channel.
    pub fn new(run: &Run, id: String, made_at: Time, audience: Audience, body: Body) -> Self {
        Self {
            id,
            run: run.opened.run.clone(),
            runbook: run.plan().name.clone(),
            kind: run.opened.kind,
            made_at,
            opened_at: Some(run.opened_at),
            trial: false,
            audience,
            role: None,
            person: None,
            not_by: Vec::new(),
            body,
            picture: None,
        }
    }

    /// What shows that a channel works, behind which no run stands.
    pub fn of_trial(runbook: &str, made_at: Time, asked_by: &str) -> Self {
        let notice = Notice {
            subject: "this is a test, nothing has happened".into(),
            lines: vec![
                format!("{} tries whether dr reaches you. There is nothing to do.", clean(asked_by)),
                format!("If {} has to be recovered, its updates come this way.", clean(runbook)),
            ],
            urgent: false,
            meet: Meet::default(),
        };
        Self {
            // To the millisecond: each trial is a message of its own.
            id: format!("test-{}", made_at.0),
            run: "none".into(),
            runbook: runbook.into(),
            kind: RunKind::Live,
            made_at,
            opened_at: None,
            trial: true,
            audience: Audience::Responders,
            role: None,
            person: None,
            not_by: Vec::new(),
            body: Body::Notice(notice),
            picture: None,
        }
    }

    /// The same for whoever has this role now.
    #[must_use]
    pub fn for_role(self, run: &Run, role: &str) -> Self {
        Self { role: Some(role.into()), person: run.holder(role).map(str::to_owned), ..self }
    }

    /// Known everywhere: the run's id and the parcel's.
    pub fn key(&self) -> String {
        format!("{}.{}", self.run, self.id)
    }

    /// LIVE, DRILL or LAB; TEST where nothing has happened.
    pub fn mark(&self) -> String {
        if self.trial { "TEST".into() } else { self.kind.word().to_uppercase() }
    }

    /// Its first line everywhere: a rehearsal says so at once.
    pub fn subject(&self) -> String {
        let what = match &self.body {
            Body::Update(update) => update.subject(),
            Body::Notice(notice) => notice.subject.clone(),
            Body::Details(lines) => format!("{} events", lines.len()),
            Body::Announcement(said) => format!("{}: {}", said.state.word(), said.title),
        };
        format!("[{}] {}: {}", self.mark(), clean(&self.runbook), clean(&what))
    }
}
