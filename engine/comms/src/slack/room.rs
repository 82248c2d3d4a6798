//! The channel of a run: found or made, and furnished.

use super::{
    CALL_MAX, Slack,
    call::{Done, Failed},
};
use crate::{
    blocks::{self, Head, Message},
    channel::{Memory, Trouble},
    parcel::{Body, Parcel},
    update::Update,
};
use dr_engine::{clock::Time, duration::Dur};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Deref, DerefMut},
};

/// Slack's limit for a topic and for a purpose.
const TOPIC_MAX: usize = 250;
/// What only adorns is begun within this time of a delivery, so that twice a call's
/// longest time after its beginning the delivery is through.
const ADORN_MAX: Dur = CALL_MAX;
/// The pin, among what is done to a channel.
const PIN: &str = "pin";
/// Channels asked for at once; Slack gives up to 1,000.
const LIST_MAX: usize = 1_000;
/// Pages of channels that are read: a workspace of 50,000.
const LIST_PAGES_MAX: usize = 50;
/// The kinds of channels in which a recovery can be coordinated.
const KINDS: [&str; 2] = ["public_channel,private_channel", "public_channel"];

/// What is remembered of a run from one delivery to the next.
///
/// All of it can be found again, or done again without harm: what a delivery
/// learned is lost with a controller that dies before it is through.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Room {
    /// The channel's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channel: Option<String>,
    /// The message at its head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) head: Option<String>,
    /// What the head says, as far as it is known: the update's number, and what could not be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<Shown>,
    /// The last message for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<String>,
    /// When the first of the deliveries failed that have failed since the last good one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) silent_since: Option<Time>,
    /// What is done to the channel: `topic`, `invite U123`.
    done: BTreeSet<String>,
    /// What Slack refused to do to it, and why.
    undone: BTreeMap<String, String>,
}

/// What a head says: an update's number, 0 before the first, and what could not be done.
type Shown = (u32, Vec<String>);

/// A room that is put back into memory whatever becomes of the delivery, even
/// if nobody waits for its end: what was found or made is not sought again.
pub(super) struct Kept<'a> {
    room: Room,
    memory: &'a mut Memory,
}

impl<'a> Kept<'a> {
    /// A memory of another form counts as none.
    pub(super) fn recall(memory: &'a mut Memory) -> Self {
        let room = serde_json::from_value(Value::Object(memory.clone())).unwrap_or_default();
        Self { room, memory }
    }
}

impl Deref for Kept<'_> {
    type Target = Room;

    fn deref(&self) -> &Room {
        &self.room
    }
}

impl DerefMut for Kept<'_> {
    fn deref_mut(&mut self) -> &mut Room {
        &mut self.room
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if let Ok(Value::Object(kept)) = serde_json::to_value(&self.room) {
            *self.memory = kept;
        }
    }
}

impl Room {
    /// The channel is not what it was: it is looked for again.
    pub(super) fn forget(&mut self) {
        *self = Self { silent_since: self.silent_since, ..Self::default() };
    }

    /// The message at the head is gone.
    pub(super) fn behead(&mut self) {
        (self.head, self.shown) = (None, None);
        self.done.remove(PIN);
    }

    fn undone(&self) -> Vec<String> {
        self.undone.iter().map(|(what, why)| format!("{what}: {why}")).collect()
    }
}

/// A page of channels.
#[derive(Deserialize)]
struct Channels {
    channels: Vec<Found>,
    #[serde(default)]
    response_metadata: Cursor,
}

/// A channel.
#[derive(Deserialize)]
pub(super) struct Found {
    pub(super) id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub(super) is_private: bool,
    /// Slack says so of public channels; a private one is seen by its members only.
    pub(super) is_member: Option<bool>,
}

/// Where the next page begins.
#[derive(Default, Deserialize)]
pub(super) struct Cursor {
    #[serde(default)]
    pub(super) next_cursor: String,
}

#[derive(Deserialize)]
struct Made {
    channel: Found,
}

impl Slack {
    /// The channel's id: remembered, found or made.
    pub(super) async fn channel(&self, room: &mut Room) -> Result<String, Trouble> {
        if let Some(channel) = &room.channel {
            return Ok(channel.clone());
        }
        let found = match self.find().await.map_err(Failed::harmless)? {
            Some(found) => found,
            None if self.settings.create => self.make().await?,
            None => return Err(Trouble::refused(self.absent())),
        };
        if found.is_member == Some(false) {
            let joined = self.api.post::<Done>("conversations.join", &json!({ "channel": found.id })).await;
            joined.map_err(Failed::harmless)?;
        }
        Ok(room.channel.insert(found.id).clone())
    }

    /// The words for a channel that is not there.
    pub(super) fn absent(&self) -> String {
        let name = self.name();
        format!(
            "Slack has no channel #{name} that the app sees: create it, invite the app to it, or say `create: true`"
        )
    }

    /// The channel, among those that are not archived.
    pub(super) async fn find(&self) -> Result<Option<Found>, Failed> {
        match self.find_among(KINDS[0]).await {
            // Private channels take a scope of their own, which whoever has a public one need not grant.
            Err(failed) if failed.is(&["missing_scope"]) => self.find_among(KINDS[1]).await,
            found => found,
        }
    }

    async fn find_among(&self, kinds: &str) -> Result<Option<Found>, Failed> {
        let (name, mut cursor) = (self.name(), String::new());
        for _ in 0..LIST_PAGES_MAX {
            let mut asked = vec![
                ("types", kinds.to_owned()),
                ("exclude_archived", "true".to_owned()),
                ("limit", LIST_MAX.to_string()),
            ];
            asked.extend((!cursor.is_empty()).then(|| ("cursor", cursor.clone())));
            let page: Channels = self.api.get("conversations.list", &asked).await?;
            if let Some(found) = page.channels.into_iter().find(|it| it.name == name) {
                return Ok(Some(found));
            }
            cursor = page.response_metadata.next_cursor;
            if cursor.is_empty() {
                break;
            }
        }
        Ok(None)
    }

    async fn make(&self) -> Result<Found, Trouble> {
        let wanted = json!({ "name": self.name(), "is_private": false });
        match self.api.post::<Made>("conversations.create", &wanted).await {
            // Whoever makes a channel is in it.
            Ok(made) => Ok(Found { is_member: None, ..made.channel }),
            // Somebody was faster, or an earlier attempt was not heard of.
            Err(failed) if failed.is(&["name_taken"]) => {
                self.find().await.map_err(Failed::harmless)?.ok_or(failed.trouble)
            }
            Err(failed) => Err(failed.harmless()),
        }
    }

    /// A channel's name as Slack keeps it.
    pub(super) fn name(&self) -> String {
        self.settings.channel.trim().trim_start_matches('#').to_lowercase()
    }

    /// The message at the head: remembered, found or posted.
    pub(super) async fn head(&self, room: &mut Room, channel: &str, parcels: &[Parcel]) -> Result<String, Trouble> {
        if let Some(head) = &room.head {
            return Ok(head.clone());
        }
        let first = &parcels[0];
        if let Some(head) = self.head_in(channel, &first.run, first.opened_at.unwrap_or(first.made_at)).await? {
            return Ok(room.head.insert(head).clone());
        }
        let (message, shown) = self.head_message(room, parcels);
        let posted = self.api.say(channel, None, &message, &head_mark(&first.run)).await;
        let head = posted.map_err(|failed| super::gone(room, failed)).map_err(Failed::harmless)?;
        room.shown = Some(shown);
        Ok(room.head.insert(head).clone())
    }

    fn head_message(&self, room: &Room, parcels: &[Parcel]) -> (Message, Shown) {
        let parcel = parcels.last().expect("a delivery has parcels");
        let (update, undone) = (newest(parcels), room.undone());
        let message = blocks::head(Head { parcel, update, bridge: self.settings.bridge.as_deref(), undone: &undone });
        (message, (update.map_or(0, |update| update.number), undone))
    }

    /// Furnishes the channel and edits its head, as far as there is time. No
    /// parcel fails for it: the head says of which moment it is.
    pub(super) async fn adorn(&self, room: &mut Room, parcels: &[Parcel], begun: Time) {
        let (Some(channel), Some(head)) = (room.channel.clone(), room.head.clone()) else { return };
        self.furnish(room, (&channel, &head), parcels, begun).await;
        let (message, shown) = self.head_message(room, parcels);
        // Without an update in hand the head would forget the one that it shows.
        let forgets = newest(parcels).is_none() && room.shown.as_ref().is_none_or(|(update, _)| *update > 0);
        if room.shown.as_ref() == Some(&shown) || forgets || !self.in_time(begun) {
            return;
        }
        let wanted = json!({
            "channel": channel,
            "ts": head,
            "text": message.text,
            "blocks": message.blocks,
            "metadata": head_mark(&parcels[0].run),
        });
        match self.api.post::<Done>("chat.update", &wanted).await {
            Ok(Done {}) => room.shown = Some(shown),
            Err(failed) if failed.is(&["message_not_found"]) => room.behead(),
            Err(_) => {}
        }
    }

    /// Pins the head, sets topic and purpose, invites people: what is not done yet.
    /// What Slack refuses stands in the head and is tried again with each update; what
    /// it did not hear comes with the next delivery.
    async fn furnish(&self, room: &mut Room, (channel, head): (&str, &str), parcels: &[Parcel], begun: Time) {
        let (topic, purpose) = self.topic(&parcels[0]);
        let mut wishes = vec![
            (PIN.to_owned(), "pins.add", json!({ "channel": channel, "timestamp": head })),
            ("topic".to_owned(), "conversations.setTopic", json!({ "channel": channel, "topic": topic })),
            ("purpose".to_owned(), "conversations.setPurpose", json!({ "channel": channel, "purpose": purpose })),
        ];
        // One by one: of several, one that cannot be invited would keep out all.
        wishes.extend(self.settings.invite.iter().map(|member| {
            let wanted = json!({ "channel": channel, "users": member });
            (format!("invite {member}"), "conversations.invite", wanted)
        }));
        for (wish, method, wanted) in wishes {
            if room.done.contains(&wish) || (room.undone.contains_key(&wish) && newest(parcels).is_none()) {
                continue;
            }
            if !self.in_time(begun) {
                return;
            }
            match self.api.post::<Done>(method, &wanted).await {
                Ok(Done {}) => {}
                Err(failed) if failed.is(&["already_pinned", "already_in_channel", "cant_invite_self"]) => {}
                Err(failed) if failed.trouble.refused => {
                    room.undone.insert(wish, failed.trouble.what);
                    continue;
                }
                Err(_) => return,
            }
            room.undone.remove(&wish);
            room.done.insert(wish);
        }
    }

    /// Whether there is time for what only adorns.
    fn in_time(&self, begun: Time) -> bool {
        self.api.now().since(begun) < ADORN_MAX
    }

    fn topic(&self, parcel: &Parcel) -> (String, String) {
        let bridge = self.settings.bridge.as_ref().map_or(String::new(), |bridge| format!(" · Bridge {bridge}"));
        let topic = format!("{} · {} · run {}{bridge}", parcel.mark(), parcel.runbook, parcel.run);
        let purpose = format!(
            "{}: recovery {} by dr, run {}. Where it stands is pinned{bridge}",
            parcel.mark(),
            parcel.runbook,
            parcel.run
        );
        (fitted(&topic), fitted(&purpose))
    }
}

/// The newest update of a delivery.
fn newest(parcels: &[Parcel]) -> Option<&Update> {
    parcels.iter().rev().find_map(|parcel| match &parcel.body {
        Body::Update(update) => Some(&**update),
        Body::Notice(_) | Body::Details(_) | Body::Announcement(_) => None,
    })
}

fn fitted(text: &str) -> String {
    blocks::fit(&blocks::escape(&dr_engine::report::clean(text)), TOPIC_MAX)
}

fn head_mark(run: &str) -> Value {
    json!({ "event_type": super::RUN_EVENT, "event_payload": { "run": run } })
}
