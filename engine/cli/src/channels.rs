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
    statuspage::{self, Updates},
};
use dr_engine::{
    clock::Clock,
    comms::{Health, SlackChannel},
    event::RunKind,
    plan::Plan,
    run::Run,
};
use dr_steps::{sms::Sns, status_page_statuspage, world::World};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The ways of a run, and what has to be said about them.
pub struct Channels {
    /// The ways.
    pub all: Vec<Arc<dyn Channel>>,
    /// What is not as the runbook wants it, for people.
    pub remarks: Vec<String>,
}

/// A way that a runbook names.
pub struct Way {
    /// Its name, for people.
    pub name: &'static str,
    /// The way, or why there is none.
    pub channel: Result<Arc<dyn Channel>, String>,
    /// What stands in its place then, in a folder.
    instead: Box<dyn Fn(PathBuf) -> Arc<dyn Channel>>,
}

/// The ways that a runbook in this folder names, to these recipients.
pub fn ways(
    plan: &Plan,
    folder: &str,
    recipients: Recipients,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Vec<Way> {
    let mut ways = Vec::new();
    let Some(comms) = &plan.comms else { return ways };
    if let Some(wanted) = &comms.slack {
        let slack = settings
            .slack
            .as_ref()
            .ok_or("no [slack] in the settings: `token = { secret = \"env:NAME\" }` in dr.toml".into());
        let slack = slack.and_then(|text| slack_of(plan, wanted, text, settings, clock));
        ways.push(Way {
            name: "Slack",
            channel: slack.map(|it| Arc::new(it) as Arc<dyn Channel>),
            instead: Box::new(|folder| Arc::new(slack::files(folder))),
        });
    }
    if comms.email.is_some() || !recipients.all().is_empty() {
        let mail = settings.mail.clone().ok_or("no [mail] in the settings: `url` and `from` in dr.toml".into());
        let mail = mail.map(|text| Mail::new(text, settings.folder(), recipients.clone(), clock.clone()));
        ways.push(Way {
            name: "mail",
            channel: mail.map(|it| Arc::new(it) as Arc<dyn Channel>),
            instead: Box::new(move |folder| Arc::new(mail::files(folder, recipients.clone()))),
        });
    }
    if let Some(page) = &comms.status_page {
        let access = settings.statuspage.as_ref().ok_or("no [statuspage] in the settings".into());
        let updates = access.and_then(|it| Updates::new(it, page, clock.clone()).map_err(|why| why.to_string()));
        ways.push(Way {
            name: "Statuspage",
            channel: updates.map(|it| Arc::new(it) as Arc<dyn Channel>),
            instead: Box::new(|folder| Arc::new(statuspage::files(folder))),
        });
    }
    if comms.sms.is_some() {
        ways.push(Way {
            name: "SMS",
            channel: sms_of(plan, folder, settings, clock).map(|it| Arc::new(it) as Arc<dyn Channel>),
            instead: Box::new(|folder| Arc::new(sms::files(folder))),
        });
    }
    ways
}

/// The pages of Statuspage that steps speak on, with the components that they name there.
pub fn pages(plan: &Plan) -> BTreeMap<String, BTreeMap<String, Health>> {
    let mut pages: BTreeMap<String, BTreeMap<String, Health>> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.kind == status_page_statuspage::KIND) {
        // What is known only when the step runs cannot be asked for.
        let Some(page) = step.with["page"].as_str() else { continue };
        let named = pages.entry(page.to_owned()).or_default();
        for (name, health) in step.with["components"].as_object().into_iter().flatten() {
            named.extend(serde_json::from_value(health.clone()).ok().map(|health| (name.clone(), health)));
        }
    }
    pages
}

/// SMS by Amazon SNS, wherever AWS is from here.
fn sms_of(plan: &Plan, folder: &str, settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Sms, String> {
    let text = settings.sms.as_ref().ok_or("no [sms] in the settings")?;
    let region = text.region.as_ref().or(plan.regions.get("recovery")).cloned();
    let region = region.ok_or("neither [sms] nor the runbook names a region")?;
    let recipients = sms::Recipients::of(plan);
    if recipients.numbers().is_empty() {
        return Err("the runbook names no number for it".into());
    }
    let kind = Endpoints::in_force().kind(true, None).map_err(|failure| failure.message)?;
    let World { aws, accounts, .. } = command::world_of(Some(plan), World::beside(folder), settings);
    let sns = Sns::new(aws, region, accounts, text.sender.clone(), clock.clone());
    Ok(Sms::new(Arc::new(sns), recipients, kind != RunKind::Lab, clock.clone()))
}

/// The ways of a run whose folder this is; nothing leaves this machine from a LAB run, and nothing reaches
/// customers but from a LIVE one.
pub fn of(run: &Run, folder: &Path, settings: &Settings, clock: &Arc<dyn Clock>) -> Channels {
    let outbox = folder.join("outbox");
    let kind = run.opened.kind;
    let mut channels = Channels { all: Vec::new(), remarks: Vec::new() };
    for Way { name, channel, instead } in ways(run.plan(), &run.opened.folder, Recipients::of(run), settings, clock) {
        let this_is = || Err(format!("this is a {} run", kind.word().to_uppercase()));
        let stays = channel.and_then(|way| match (kind, way.leaves()) {
            (RunKind::Lab, true) => this_is(),
            // A rehearsal tells its responders, and no customer of an outage that there is not.
            (RunKind::Drill, true) if way.is_public() => this_is(),
            // No telephone would ring, and the others may well be on this machine: a mail server, a tunnel.
            (RunKind::Live | RunKind::Drill, false) if way.name() == sms::NAME => {
                Err("this is no LAB run, and AWS would be a local one".into())
            }
            _ => Ok(way),
        });
        channels.all.push(stays.unwrap_or_else(|why| {
            channels.remarks.push(format!("nothing is sent by {name} ({why}): it is kept in {}", outbox.display()));
            instead(outbox.clone())
        }));
    }
    channels
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
