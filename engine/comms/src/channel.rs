//! A way to reach people.

use crate::parcel::Parcel;
use async_trait::async_trait;
use dr_engine::duration::Dur;
use serde_json::{Map, Value};

/// A way to reach people: Slack, mail, short messages, files.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Its name: `slack`, `mail`.
    fn name(&self) -> &'static str;

    /// Whether this is for those whom it reaches.
    fn takes(&self, parcel: &Parcel) -> bool;

    /// Whether several that wait are told in one message.
    fn bundles(&self) -> bool {
        false
    }

    /// Whether the newest that waits says all: what waits before it is brought no more.
    fn newest_only(&self) -> bool {
        false
    }

    /// Whether those who use the service read it.
    fn is_public(&self) -> bool {
        false
    }

    /// Whether what it brings leaves this machine.
    fn leaves(&self) -> bool {
        false
    }

    /// Brings parcels, the oldest first; several only to a channel that [`Self::bundles`] or wants
    /// [`Self::newest_only`].
    ///
    /// `again` says that an earlier attempt may have arrived although nobody
    /// heard so: whoever can look does, and brings nothing twice. `memory` is
    /// what the channel wants to know the next time; it is kept whatever the
    /// outcome. Gives by what the message is found where it is now.
    async fn deliver(&self, parcels: &[Parcel], again: bool, memory: &mut Memory) -> Result<String, Trouble>;

    /// Whether it could be used now: asks, and brings nothing. What was found, in words.
    async fn check(&self) -> Result<String, Trouble>;

    /// Brings one parcel of a trial, and nothing that a run would need: no
    /// room is made, nobody invited. Gives by what it is found.
    async fn trial(&self, parcel: &Parcel) -> Result<String, Trouble> {
        self.deliver(std::slice::from_ref(parcel), false, &mut Memory::new()).await
    }
}

/// Under this a channel remembers, in words, whom what arrived last did not reach.
pub const MISSED: &str = "missed";

/// What a channel remembers of a run: the id of its room, of the message at its head.
pub type Memory = Map<String, Value>;

/// Why nothing was delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Trouble {
    /// What happened, for people: no secret, no address that holds one.
    pub what: String,
    /// It may have arrived all the same: nobody heard.
    pub ambiguous: bool,
    /// The other side asks to wait so long.
    pub after: Option<Dur>,
    /// A person has to mend something: trying again soon does not help.
    pub refused: bool,
    /// What it is about.
    pub about: About,
}

/// What a trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The channel: nothing arrives.
    Channel,
    /// What was brought: others may arrive.
    Parcel,
    /// What was brought, and it is not to be brought any more: what stands there is ahead of it.
    Overtaken,
}

impl Trouble {
    /// It did not arrive, and may the next time.
    pub fn passing(what: impl Into<String>) -> Self {
        Self { what: what.into(), ambiguous: false, after: None, refused: false, about: About::Channel }
    }

    /// Nobody knows whether it arrived.
    pub fn ambiguous(what: impl Into<String>) -> Self {
        Self { ambiguous: true, ..Self::passing(what) }
    }

    /// It was refused, and will be until a person mends something.
    pub fn refused(what: impl Into<String>) -> Self {
        Self { refused: true, ..Self::passing(what) }
    }

    /// What stands there is ahead of it.
    pub fn overtaken(what: impl Into<String>) -> Self {
        Self { about: About::Overtaken, ..Self::passing(what) }
    }

    /// It is about what was brought, not about the channel.
    #[must_use]
    pub fn of_parcel(self) -> Self {
        Self { about: About::Parcel, ..self }
    }

    /// The other side asks to wait.
    #[must_use]
    pub fn after(self, wait: Dur) -> Self {
        Self { after: Some(wait), ..self }
    }
}
