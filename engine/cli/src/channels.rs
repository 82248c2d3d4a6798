//! The ways to reach people that a run has: those of its runbook, as far as
//! the settings say how. What cannot be reached is kept as files, and said so:
//! nobody may believe that somebody was told.

use crate::settings::{Settings, SlackText};
use dr_comms::{
    channel::Channel,
    mail::{self, Mail, Recipients},
    secret::Unread,
    slack::{self, Slack},
    statuspage,
};
use dr_engine::{
    clock::Clock,
    comms::{Health, SlackChannel},
    event::RunKind,
    plan::Plan,
    run::Run,
};
use dr_steps::status_page_statuspage::KIND as STATUSPAGE_KIND;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use url::{Host, Url};

/// The ways of a run, and what has to be said about them.
pub struct Channels {
    /// The ways.
    pub all: Vec<Arc<dyn Channel>>,
    /// What is not as the runbook wants it, for people.
    pub remarks: Vec<String>,
}

/// The ways of a run whose folder this is.
pub fn of(run: &Run, folder: &Path, settings: &Settings, clock: &Arc<dyn Clock>) -> Channels {
    let mut ways = Channels { all: Vec::new(), remarks: Vec::new() };
    let Some(comms) = &run.plan().comms else { return ways };
    let outbox = folder.join("outbox");
    let lab = run.opened.kind == RunKind::Lab;
    if let Some(wanted) = &comms.slack {
        let way = match &settings.slack {
            None => Err("no [slack] in the settings".into()),
            Some(text) if lab && !text.on_loopback() => Err("this is a LAB run".into()),
            Some(text) => {
                slack_of(run.plan(), wanted, text, settings, clock).map(|slack| Arc::new(slack) as Arc<dyn Channel>)
            }
        };
        ways.add("Slack", way, || Arc::new(slack::files(outbox.clone())), &outbox);
    }
    let recipients = Recipients::of(run);
    if comms.email.is_some() || !recipients.all().is_empty() {
        let way = match &settings.mail {
            None => Err("no [mail] in the settings".into()),
            Some(text) if lab && !text.on_loopback() => Err("this is a LAB run".into()),
            Some(text) => {
                let mail = Mail::new(text.clone(), settings.folder(), recipients.clone(), clock.clone());
                Ok(Arc::new(mail) as Arc<dyn Channel>)
            }
        };
        ways.add("mail", way, || Arc::new(mail::files(outbox.clone(), recipients.clone())), &outbox);
    }
    if let Some(page) = &comms.status_page {
        let way = match &settings.statuspage {
            None => Err("no [statuspage] in the settings".into()),
            // Customers must not read of an outage that there is not.
            Some(access) if run.opened.kind != RunKind::Live && !access.on_loopback() => {
                Err(format!("this is a {} run", run.opened.kind.word().to_uppercase()))
            }
            Some(access) => statuspage::Updates::new(access, &page.page, clock.clone())
                .map(|updates| Arc::new(updates) as Arc<dyn Channel>)
                .map_err(|trouble| trouble.to_string()),
        };
        ways.add("Statuspage", way, || Arc::new(statuspage::files(outbox.clone())), &outbox);
    }
    ways
}

/// The pages of Statuspage that a plan speaks on, with the components that it names there.
fn pages(plan: &Plan) -> BTreeMap<String, BTreeMap<String, Health>> {
    let mut pages: BTreeMap<String, BTreeMap<String, Health>> = BTreeMap::new();
    if let Some(page) = plan.comms.as_ref().and_then(|comms| comms.status_page.as_ref()) {
        pages.entry(page.page.clone()).or_default().extend(page.components.clone());
    }
    for step in plan.steps.iter().filter(|step| step.kind == STATUSPAGE_KIND) {
        // What is known only when the step runs cannot be asked for.
        let Some(page) = step.with["page"].as_str() else { continue };
        let named = pages.entry(page.to_owned()).or_default();
        let components = step.with["components"].as_object();
        for (name, health) in components.into_iter().flatten() {
            named.extend(serde_json::from_value(health.clone()).ok().map(|health| (name.clone(), health)));
        }
    }
    pages
}

/// Asks Slack, the mail server and Statuspage whether they could be used for this plan;
/// nothing is posted. What was found, or what is in the way.
pub async fn asked(
    plan: &Plan,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Vec<(&'static str, Result<String, String>)> {
    let mut found = Vec::new();
    for (page, components) in pages(plan) {
        let asked = match &settings.statuspage {
            None => Err("no [statuspage] in the settings: nothing can be said there".into()),
            Some(access) => match statuspage::Page::new(access, &page, clock.clone()) {
                Ok(page) => page.check(&components).await.map_err(|trouble| trouble.to_string()),
                Err(trouble) => Err(trouble.to_string()),
            },
        };
        found.push(("statuspage", asked.map(|it| format!("{page}: {it}")).map_err(|why| format!("{page}: {why}"))));
    }
    let Some(comms) = &plan.comms else { return found };
    if let Some(wanted) = &comms.slack {
        let slack = match &settings.slack {
            None => Err("no [slack] in the settings: what it would be told is kept as files".into()),
            Some(text) => slack_of(plan, wanted, text, settings, clock),
        };
        found.push((
            "slack",
            match slack {
                Ok(slack) => {
                    slack.check().await.map_err(|trouble| trouble.to_string()).and_then(|access| told(&access))
                }
                Err(why) => Err(why),
            },
        ));
    }
    let recipients = Recipients::planned(plan);
    if comms.email.is_some() || !recipients.all().is_empty() {
        found.push((
            "mail",
            match &settings.mail {
                None => Err("no [mail] in the settings: the mails are kept as files".into()),
                Some(text) => {
                    let mail = Mail::new(text.clone(), settings.folder(), recipients, clock.clone());
                    mail.check().await.map_err(|trouble| trouble.to_string())
                }
            },
        ));
    }
    found
}

/// What Slack would let us do.
fn told(access: &slack::Access) -> Result<String, String> {
    let lacks = access.missing.iter().chain(&access.unseen).cloned().collect::<Vec<_>>().join("; ");
    let channel = access.channel.as_deref().map_or("the channel would be made".into(), |id| format!("channel {id}"));
    let found = format!("{}, {channel}", access.who);
    if lacks.is_empty() { Ok(found) } else { Err(format!("{found}: {lacks}")) }
}

impl Channels {
    fn add(
        &mut self,
        name: &str,
        way: Result<Arc<dyn Channel>, String>,
        files: impl Fn() -> Arc<dyn Channel>,
        outbox: &Path,
    ) {
        self.all.push(way.unwrap_or_else(|why| {
            self.remarks.push(format!("nothing is sent by {name} ({why}): it is kept in {}", outbox.display()));
            files()
        }));
    }
}

fn slack_of(
    plan: &Plan,
    wanted: &SlackChannel,
    text: &SlackText,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Slack, String> {
    let token = text.token.read(settings.folder()).map_err(|error: Unread| error.to_string())?;
    let members = plan.roles.values().filter_map(|role| role.slack.clone());
    let given = slack::Settings {
        token: token.into(),
        api: text.api.clone(),
        channel: wanted.channel.clone(),
        create: wanted.create,
        invite: members.chain(wanted.invite.iter().cloned()).collect(),
        bridge: plan.comms.as_ref().and_then(|comms| comms.bridge.clone()),
    };
    Slack::new(given, clock.clone()).map_err(|trouble| trouble.to_string())
}

impl SlackText {
    /// Whether it is said to this machine itself.
    pub fn on_loopback(&self) -> bool {
        let url = Url::parse(&self.api);
        match url.as_ref().ok().and_then(Url::host) {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}
