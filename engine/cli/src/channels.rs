//! The ways to reach people that a run has: those of its runbook, as far as
//! the settings say how. What cannot be reached is kept as files, and said so:
//! nobody may believe that somebody was told.

use crate::settings::{Settings, SlackText};
use dr_comms::{
    channel::Channel,
    mail::{self, Mail, Recipients},
    secret::Unread,
    slack::{self, Slack},
};
use dr_engine::{clock::Clock, comms::SlackChannel, event::RunKind, run::Run};
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
            Some(text) => slack_way(run, wanted, text, settings, clock),
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
    ways
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

fn slack_way(
    run: &Run,
    wanted: &SlackChannel,
    text: &SlackText,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<dyn Channel>, String> {
    let token = text.token.read(settings.folder()).map_err(|error: Unread| error.to_string())?;
    let members = run.plan().roles.values().filter_map(|role| role.slack.clone());
    let given = slack::Settings {
        token: token.into(),
        api: text.api.clone(),
        channel: wanted.channel.clone(),
        create: wanted.create,
        invite: members.chain(wanted.invite.iter().cloned()).collect(),
        bridge: run.plan().comms.as_ref().and_then(|comms| comms.bridge.clone()),
    };
    match Slack::new(given, clock.clone()) {
        Ok(slack) => Ok(Arc::new(slack)),
        Err(trouble) => Err(trouble.to_string()),
    }
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
