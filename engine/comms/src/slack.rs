//! Slack: one channel for a recovery, where everybody sees the same.
//!
//! A head message, pinned, is edited in place and says where the recovery
//! stands. What is told comes as messages of its own, details in the thread of
//! the head. Every message carries the ids of what it tells as metadata, so
//! that after a failure of which nobody knows what became, the channel is read
//! before anything is said again. All else is done so that it can be done
//! twice: a controller may die between any two calls.

mod call;
mod check;
mod past;
mod room;

pub use call::{CALL_MAX, POST_GAP};
pub(crate) use call::{connector, on_loopback};
pub use check::Access;

use crate::{
    blocks,
    channel::{Channel, Memory, Trouble},
    files::Files,
    parcel::{Body, Parcel},
};
use async_trait::async_trait;
use call::{Api, Failed};
use dr_engine::{
    clock::{Clock, Time},
    event::Audience,
};
use room::{Kept, Room};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// The channel's name in `dr`.
const NAME: &str = "slack";
/// Metadata of the message at the head.
const RUN_EVENT: &str = "dr_run";
/// Metadata of a message that tells parcels.
const PARCEL_EVENT: &str = "dr_parcel";
/// Between the ids of the parcels that a message tells.
const IDS: &str = ",";
/// Parcels told in one message: their ids are kept with it.
const BUNDLE_MAX: usize = 50;
/// Slack's words for a message that it cannot show.
const UNSHOWABLE: [&str; 4] = ["invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"];

/// Where Slack is, and what is wanted there.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The token of an app's bot.
    pub token: SecretString,
    /// The address of the Web API; by plain http only on this machine.
    pub api: String,
    /// The channel's name.
    pub channel: String,
    /// Make the channel when it does not exist.
    pub create: bool,
    /// Whom to invite, by member id.
    pub invite: Vec<String>,
    /// Where people meet when Slack fails.
    pub bridge: Option<String>,
}

impl Settings {
    /// Slack's own address.
    pub const API: &str = "https://slack.com/api";
}

/// Slack, as a way to reach people.
#[derive(Debug)]
pub struct Slack {
    settings: Settings,
    api: Api,
}

impl Slack {
    /// Nothing is sent yet. Refused for an address to which the token would travel readable.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let api = Api::new(&settings.api, settings.token.clone(), clock)?;
        Ok(Self { settings, api })
    }

    /// Brings parcels, and says whether one of them arrived though another did not.
    async fn bring(
        &self,
        parcels: &[Parcel],
        again: bool,
        silent_since: Option<Time>,
        room: &mut Room,
    ) -> Result<String, (Trouble, bool)> {
        let before = |trouble| (trouble, false);
        let channel = self.channel(room).await.map_err(before)?;
        let head = self.head(room, &channel, parcels).await.map_err(before)?;
        let details = |parcel: &&Parcel| matches!(parcel.body, Body::Details(_));
        let (threaded, open): (Vec<_>, Vec<_>) = parcels.iter().partition(details);
        let (mut found, mut arrived) = (None, false);
        for (thread, batch) in [(None, open), (Some(head.as_str()), threaded)] {
            let batch: Vec<_> = batch.into_iter().cloned().collect();
            let told = if again { self.told(&channel, thread, &batch).await } else { Ok(BTreeMap::new()) };
            let told = told.map_err(|trouble| (trouble, arrived))?;
            let (there, left): (Vec<_>, Vec<_>) = batch.into_iter().partition(|parcel| told.contains_key(&parcel.id));
            let mut at = there.last().and_then(|parcel| told.get(&parcel.id).cloned());
            for bundle in left.chunks(BUNDLE_MAX) {
                let told = self.tell(&channel, thread, bundle, silent_since).await;
                at = Some(told.map_err(|failed| (gone(room, failed).trouble, arrived))?);
                arrived = true;
            }
            if thread.is_none() {
                room.last = at.clone().or(room.last.take());
            }
            found = found.or(at);
        }
        let ts = found.unwrap_or(head);
        Ok(link(&channel, &ts))
    }

    /// One message.
    async fn tell(
        &self,
        channel: &str,
        thread: Option<&str>,
        bundle: &[Parcel],
        silent_since: Option<Time>,
    ) -> Result<String, Failed> {
        let mark = mark(bundle);
        let message = match thread {
            Some(_) => blocks::thread(bundle),
            None => blocks::message(bundle, silent_since),
        };
        match self.api.say(channel, thread, &message, &mark).await {
            // What Slack shows may change; silence would be worse than the bare words.
            Err(failed) if failed.is(&UNSHOWABLE) => self.api.say(channel, thread, &blocks::short(bundle), &mark).await,
            told => told,
        }
    }
}

/// Where no token is configured: the same messages as files, for whoever looks.
pub fn files(folder: PathBuf) -> Files {
    let takes = |parcel: &Parcel| !matches!(parcel.body, Body::Details(_)) && parcel.audience != Audience::Customers;
    Files::new("slack-file", folder, "json", takes, |parcel| {
        let blocks::Message { text, blocks } = blocks::message(std::slice::from_ref(parcel), None);
        serde_json::to_vec_pretty(&json!({ "text": text, "blocks": blocks })).map_err(|error| error.to_string())
    })
}

#[async_trait]
impl Channel for Slack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        parcel.audience != Audience::Customers && !parcel.not_by.iter().any(|channel| channel == NAME)
    }

    fn bundles(&self) -> bool {
        true
    }

    fn leaves(&self) -> bool {
        !self.api.here
    }

    async fn deliver(&self, parcels: &[Parcel], again: bool, memory: &mut Memory) -> Result<String, Trouble> {
        if parcels.is_empty() {
            return Err(Trouble::refused("there is nothing to deliver"));
        }
        let begun = self.api.now();
        let mut room = Kept::recall(memory);
        let silent_since = room.silent_since;
        // Stands if nobody waits for the end of this.
        room.silent_since.get_or_insert(begun);
        match self.bring(parcels, again, silent_since, &mut room).await {
            Ok(found) => {
                room.silent_since = None;
                self.adorn(&mut room, parcels, begun).await;
                Ok(found)
            }
            Err((trouble, arrived)) => {
                // To be told to wait, or no, is to be reached.
                if trouble.refused || trouble.after.is_some() {
                    room.silent_since = silent_since;
                }
                // What may have arrived before still may have, and what has arrived must be found.
                Err(Trouble { ambiguous: trouble.ambiguous || again || arrived, ..trouble })
            }
        }
    }

    async fn check(&self) -> Result<String, Trouble> {
        self.access().await?.told()
    }

    async fn trial(&self, parcel: &Parcel) -> Result<String, Trouble> {
        let name = self.name();
        let found = self.find().await.map_err(Failed::harmless)?;
        let absent = format!("#{name} does not exist yet; a recovery would make it, a trial does not");
        let found = found.ok_or_else(|| Trouble::refused(if self.settings.create { absent } else { self.absent() }))?;
        if found.is_member == Some(false) {
            let what = format!("the app is not in #{name}; a recovery would join it, a trial does not: invite the app");
            return Err(Trouble::refused(what));
        }
        let ts =
            self.tell(&found.id, None, std::slice::from_ref(parcel), None).await.map_err(|failed| failed.trouble)?;
        Ok(link(&found.id, &ts))
    }
}

/// Behind the workspace's address this is the way to a message.
fn link(channel: &str, ts: &str) -> String {
    format!("archives/{channel}/p{}", ts.replace('.', ""))
}

/// What a message tells, for whoever reads the channel again.
fn mark(bundle: &[Parcel]) -> Value {
    let last = bundle.last().expect("a bundle has parcels");
    // One text: of lists Slack's description of metadata says nothing.
    let ids = bundle.iter().map(|parcel| parcel.id.as_str()).collect::<Vec<_>>().join(IDS);
    json!({ "event_type": PARCEL_EVENT, "event_payload": { "run": last.run, "id": last.key(), "ids": ids } })
}

/// Forgets what Slack says is not there any more, so that the next attempt looks anew.
fn gone(room: &mut Room, failed: Failed) -> Failed {
    if failed.is(&["channel_not_found", "is_archived", "not_in_channel"]) {
        room.forget();
    } else if failed.is(&["thread_not_found", "message_not_found"]) {
        room.behead();
        let what = format!("{}: the head message is gone and is posted anew", failed.trouble.what);
        return Failed { trouble: Trouble::passing(what), ..failed };
    }
    failed
}
