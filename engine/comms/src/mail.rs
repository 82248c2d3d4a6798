//! Mail: the whole of an update to everybody who has an address, one thread for each run.
//!
//! A mail's id follows from its parcel. So nothing has to be looked up after a
//! failure: what is sent once more is the same mail, and mailboxes show it once.

mod html;
mod letter;
mod recipients;
mod server;
mod text;
mod url;

pub use letter::message_id;
pub(crate) use letter::word;
pub use recipients::Recipients;

use crate::{
    channel::{Channel, Memory, Trouble},
    files::Files,
    parcel::{Body, Parcel},
    secret::Source,
};
use async_trait::async_trait;
use dr_engine::{clock::Clock, duration::Dur, event::Audience, report::clean};
use lettre::message::Mailbox;
use recipients::{Account, mailbox};
use serde::Deserialize;
use server::{Access, Outcome};
use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use url::Server;

/// One mail takes at most so long, from connecting to the answer, unless the settings say otherwise.
pub const TIMEOUT: Dur = Dur(20_000);
/// And never longer than this, since whoever asks for a mail gives up after 30 s without knowing how far it got.
pub const TIMEOUT_MAX: Dur = Dur(25_000);
/// Taking leave of a server takes at most so long; it changes nothing any more.
const LEAVE_MAX: Dur = Dur(1_000);
/// So long a parcel waits for a mailbox that put it off; with all its tries less than the minute after which people
/// are told that a channel cannot be reached.
const PUT_OFF_PAUSE: Dur = Dur(20_000);

/// The name of the channel.
pub const NAME: &str = "mail";

/// What the settings say under `[mail]`.
#[derive(Debug, Clone)]
pub struct Settings {
    server: Server,
    from: Mailbox,
    password: Option<Source>,
    ca: Option<PathBuf>,
    timeout: Dur,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsText {
    url: String,
    from: String,
    password: Option<Source>,
    ca: Option<PathBuf>,
    timeout: Option<Dur>,
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let text = SettingsText::deserialize(deserializer)?;
        let server: Server = text.url.parse().map_err(D::Error::custom)?;
        let from = mailbox(None, &text.from).map_err(|why| D::Error::custom(format!("`from`: {why}")))?;
        match (&server.user, &text.password) {
            (Some(_), None) => {
                return Err(D::Error::custom("`url` names a user, so `password` is wanted, by reference"));
            }
            (None, Some(_)) => return Err(D::Error::custom("there is a `password`, so `url` has to name the user")),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let timeout = text.timeout.unwrap_or(TIMEOUT);
        if timeout <= Dur(0) || timeout > TIMEOUT_MAX {
            return Err(D::Error::custom(format!("`timeout` has to be more than nothing and at most {TIMEOUT_MAX}")));
        }
        Ok(Self { server, from, password: text.password, ca: text.ca, timeout })
    }
}

/// Mail, as a way to reach people.
pub struct Mail {
    access: Access,
    from: Mailbox,
    recipients: Recipients,
    timeout: Dur,
    clock: Arc<dyn Clock>,
}

impl Mail {
    /// Mail by these settings; paths in them are relative to `folder`.
    pub fn new(settings: Settings, folder: &Path, recipients: Recipients, clock: Arc<dyn Clock>) -> Self {
        let Settings { server, from, password, ca, timeout } = settings;
        let access = Access { server, password, ca, folder: folder.to_owned() };
        Self { access, from, recipients, timeout, clock }
    }

    async fn bring(&self, parcel: &Parcel, memory: &mut Memory) -> Result<String, Trouble> {
        let all = self.recipients.to(parcel);
        let mut account = Account::of(memory, &parcel.id);
        let left: Vec<_> = account.left(all.clone()).into_iter().map(|mailbox| mailbox.email).collect();
        // The same bytes for whoever is left: in `To:` stand all.
        let mail = letter::letter(parcel, &self.from, &all);
        let mail = mail.map_err(|error| Trouble::refused(format!("the mail cannot be made: {error}")).of_parcel())?;
        let mail = mail.formatted();
        let outcome = if left.is_empty() { Outcome::default() } else { self.send(&left, &mail).await? };
        let again = account.settle(&outcome.took, outcome.put_off.iter().map(|(address, _)| address));
        account.keep(memory);
        let not = self.not_reached(&outcome);
        match (account.reached(), again) {
            (0, false) => Err(Trouble::refused(format!("no recipient{not}")).of_parcel()),
            (0, true) => Err(Trouble::passing(format!("no recipient yet{not}")).of_parcel()),
            (reached, true) => {
                Err(Trouble::passing(format!("{reached} of {} have it{not}", all.len())).after(PUT_OFF_PAUSE))
            }
            (reached, false) => Ok(format!("{} to {reached} of {}{not}", message_id(parcel), all.len())),
        }
    }

    async fn send(&self, to: &[lettre::Address], mail: &[u8]) -> Result<Outcome, Trouble> {
        let handed_over = AtomicBool::new(false);
        let talk = async {
            let mut talk = self.access.open(self.connect_timeout()).await?;
            let outcome = talk.send(&self.from.email, to, mail, &handed_over).await;
            Ok((talk, outcome))
        };
        let (talk, outcome) = self.within(talk, &handed_over).await?;
        self.clock.timeout(LEAVE_MAX, talk.close()).await;
        outcome
    }

    /// Bounds a whole conversation: lettre's own limit is for connecting alone.
    async fn within<T>(
        &self,
        talk: impl Future<Output = Result<T, Trouble>>,
        handed_over: &AtomicBool,
    ) -> Result<T, Trouble> {
        let (server, limit) = (&self.access.server, self.timeout);
        // Boxed: a conversation under TLS is 20 KB of state.
        match self.clock.timeout(limit, Box::pin(talk)).await {
            Some(result) => result,
            None if handed_over.load(Ordering::SeqCst) => Err(Trouble::ambiguous(format!(
                "{server} has the mail and did not say within {limit} whether it keeps it; it may have arrived all the same"
            ))),
            None => Err(Trouble::passing(format!("{server} was not done within {limit}"))),
        }
    }

    fn connect_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.timeout.0).unwrap_or(u64::MAX))
    }

    /// Who did not get it, and why.
    fn not_reached(&self, outcome: &Outcome) -> String {
        let refused = outcome.refused.iter().map(|(address, why)| format!("not to {address} ({why})"));
        let put_off = outcome.put_off.iter().map(|(address, why)| format!("put off by {address} ({why})"));
        let all = refused.chain(put_off).chain(self.recipients.wrong().iter().cloned());
        all.fold(String::new(), |said, one| said + "; " + &one)
    }
}

#[async_trait]
impl Channel for Mail {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        // Addresses that are none are told as refused: nobody may believe that there is no mail to send.
        let anybody = !self.recipients.to(parcel).is_empty();
        let mistaken = parcel.role.is_none() && !self.recipients.wrong().is_empty();
        is_mail(parcel) && (anybody || mistaken)
    }

    fn leaves(&self) -> bool {
        !self.access.server.on_loopback()
    }

    async fn deliver(&self, parcels: &[Parcel], _again: bool, memory: &mut Memory) -> Result<String, Trouble> {
        let mut told = Vec::new();
        for parcel in parcels {
            told.push(self.bring(parcel, memory).await?);
        }
        Ok(told.join("; "))
    }

    /// Connects, logs in, asks whether sender and recipients would be taken, and sends nothing.
    async fn check(&self) -> Result<String, Trouble> {
        let to: Vec<_> = self.recipients.all().iter().map(|mailbox| mailbox.email.clone()).collect();
        let talk = async {
            let mut talk = self.access.open(self.connect_timeout()).await?;
            let outcome = talk.ask(&self.from.email, &to).await?;
            let how = talk.how();
            self.clock.timeout(LEAVE_MAX, talk.close()).await;
            Ok((how, outcome))
        };
        let (how, outcome) = self.within(talk, &AtomicBool::new(false)).await?;
        let not = self.not_reached(&outcome);
        let taken = match outcome.took.len() {
            0 => String::new(),
            1 => ", 1 recipient taken".into(),
            many => format!(", {many} recipients taken"),
        };
        if outcome.refused.is_empty() && self.recipients.wrong().is_empty() {
            Ok(format!("{how}{taken}{not}"))
        } else {
            Err(Trouble::refused(format!("{how}{taken}{not}")))
        }
    }
}

/// What mail is for: not each step of the way, and not those who use the service, who have their status page.
fn is_mail(parcel: &Parcel) -> bool {
    let for_us = matches!(parcel.audience, Audience::Executives | Audience::Responders);
    for_us && !matches!(parcel.body, Body::Details(_)) && !parcel.not_by.iter().any(|name| name == NAME)
}

/// Where no mail server is configured: the same mails as files, for whoever looks.
pub fn files(folder: PathBuf, recipients: Recipients) -> Files {
    let from = letter::nobody_at("dr");
    Files::new("mail-file", folder, "eml", is_mail, move |parcel| {
        let mail = letter::letter(parcel, &from, &recipients.to(parcel));
        mail.map(|mail| mail.formatted())
            .map_err(|error| format!("the mail cannot be made: {}", clean(&error.to_string())))
    })
}
