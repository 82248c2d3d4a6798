//! The ways to reach people that a run has: those of its runbook, as far as
//! the settings say how. What cannot be reached is kept as files, and said so:
//! nobody may believe that somebody was told.

use crate::{
    command,
    endpoints::Endpoints,
    settings::{Settings, SlackText},
};
use dr_comms::{
    channel::Channel,
    mail::{self, Mail, Recipients},
    secret::Unread,
    slack::{self, Slack},
    sms::{self, Sms},
};
use dr_engine::{clock::Clock, comms::SlackChannel, event::RunKind, plan::Plan, run::Run};
use dr_steps::{sms::Sns, world::World};
use std::{path::Path, sync::Arc};
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
    if comms.sms.is_some() {
        let way = sms_of(run.plan(), run.opened.kind, settings, clock).map(|sms| Arc::new(sms) as Arc<dyn Channel>);
        ways.add("SMS", way, || Arc::new(sms::files(outbox.clone())), &outbox);
    }
    ways
}

/// Asks Slack and the mail server whether they could be used for this plan;
/// nothing is posted. What was found, or what is in the way.
pub async fn asked(
    plan: &Plan,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Vec<(&'static str, Result<String, String>)> {
    let mut found = Vec::new();
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
    if comms.sms.is_some() {
        // A run from here would be of the kind that the endpoints say.
        let kind = Endpoints::in_force().kind(true, None).map_err(|failure| failure.message);
        let sms = kind.and_then(|kind| sms_of(plan, kind, settings, clock));
        found.push((
            "sms",
            match sms {
                Ok(sms) => sms.check().await.map_err(|trouble| trouble.to_string()),
                Err(why) => Err(format!("{why}: an SMS is kept as a file")),
            },
        ));
    }
    found
}

/// SMS by Amazon SNS: of the lab's in a lab, of no lab's in any other run.
fn sms_of(plan: &Plan, kind: RunKind, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Sms, String> {
    let Some(text) = &settings.sms else { return Err("no [sms] in the settings".into()) };
    let region = text.region.as_ref().or(plan.regions.get("recovery")).cloned();
    let Some(region) = region else { return Err("neither [sms] nor the runbook names a region".into()) };
    let recipients = sms::Recipients::of(plan);
    if recipients.numbers().is_empty() {
        return Err("the runbook names no number for it".into());
    }
    Endpoints::in_force().allow_calls(kind).map_err(|failure| failure.message)?;
    let World { aws, accounts, .. } = command::world_of(Some(plan), World::default(), settings);
    let sns = Sns::new(aws, region, accounts, text.sender.clone(), clock.clone());
    Ok(Sms::new(Arc::new(sns), recipients, clock.clone()))
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
