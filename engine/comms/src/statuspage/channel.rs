//! Statuspage as a way to reach customers: what is announced stands on the page, the newest alone.

use super::{Access, Incident, Mark, Page};
use crate::{
    channel::{Channel, Memory, Trouble},
    files::Files,
    parcel::{Body, Parcel},
    update::customers::Announcement,
};
use async_trait::async_trait;
use dr_engine::{
    clock::Clock,
    comms::{CustomersPage, Health, State},
    event::Audience,
};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// The channel's name in `dr`.
const NAME: &str = "statuspage";
/// Who says what is said by itself.
const UPDATES: &str = "updates";
/// The memory of the incident's id.
const INCIDENT: &str = "incident";
/// The memory that a lost call was given time to come to light.
const WAITED: &str = "waited";

/// The updates of a page that are made by themselves.
#[derive(Debug)]
pub struct Updates {
    page: Page,
    /// What is named there, to look for.
    components: BTreeMap<String, Health>,
    leaves: bool,
}

impl Updates {
    /// Updates of a page; nothing is sent yet.
    pub fn new(access: &Access, page: &CustomersPage, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let (components, leaves) = (page.components.clone(), !access.on_loopback());
        Ok(Self { page: Page::new(access, &page.page, clock)?, components, leaves })
    }
}

#[async_trait]
impl Channel for Updates {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        is_announcement(parcel)
    }

    /// A page says how it is, not how it was: what waits is overtaken by what is newer.
    fn newest_only(&self) -> bool {
        true
    }

    fn is_public(&self) -> bool {
        true
    }

    fn leaves(&self) -> bool {
        self.leaves
    }

    async fn deliver(&self, parcels: &[Parcel], again: bool, memory: &mut Memory) -> Result<String, Trouble> {
        let newest = parcels.last().and_then(|parcel| Some((parcel, announcement(parcel)?)));
        let Some((parcel, said)) = newest else {
            return Err(Trouble::refused("there is nothing to deliver"));
        };
        let _turn = self.page.turn().await;
        let components = self.page.components(&said.components).await?;
        let known = memory.get(INCIDENT).and_then(|id| id.as_str()).map(str::to_owned);
        let found = self.page.find(&parcel.run, known.as_deref()).await;
        // What may have arrived before still may have.
        let found = found.map_err(|trouble| Trouble { ambiguous: again, ..trouble })?;
        if let Some(found) = found.as_ref().filter(|it| it.said_by(UPDATES) == Some(&parcel.id)) {
            return Ok(told(found, memory));
        }
        if again && memory.insert(WAITED.into(), true.into()) != Some(true.into()) {
            let what = "nobody knows whether the last update stands on the page; it is looked for once more";
            return Err(Trouble::ambiguous(what).after(super::CALL_MAX));
        }
        memory.remove(WAITED);
        if let Some(found) = found.as_ref().filter(|it| is_ahead(it, said)) {
            let word = found.state().map_or("further", State::word);
            return Err(Trouble::overtaken(format!("the page says {word} already, which somebody else said")));
        }
        let mark = Mark { run: &parcel.run, who: UPDATES, what: &parcel.id };
        let said = self.page.say(found.as_ref(), (said, &components), mark, Some(said.state)).await?;
        Ok(told(&said, memory))
    }

    async fn check(&self) -> Result<String, Trouble> {
        self.page.check(&self.components).await
    }

    /// Only looks: whatever stands there, customers read.
    async fn trial(&self, _: &Parcel) -> Result<String, Trouble> {
        let found = self.check().await?;
        Ok(format!("nothing is said where customers would read it; {found}"))
    }
}

/// Whether a person, or a step, said that it is further than this: nothing moves it back by itself.
fn is_ahead(found: &Incident, said: &Announcement) -> bool {
    found.state().is_some_and(|stands| stands > said.state && found.announced() != Some(stands))
}

/// By what it is found, which is kept.
fn told(incident: &Incident, memory: &mut Memory) -> String {
    memory.insert(INCIDENT.into(), incident.id.clone().into());
    memory.remove(WAITED);
    incident.shortlink.clone().unwrap_or_else(|| incident.id.clone())
}

fn announcement(parcel: &Parcel) -> Option<&Announcement> {
    match &parcel.body {
        Body::Announcement(said) => Some(said),
        Body::Update(_) | Body::Notice(_) | Body::Details(_) => None,
    }
}

fn is_announcement(parcel: &Parcel) -> bool {
    parcel.audience == Audience::Customers && announcement(parcel).is_some()
}

/// Where no customer is to read it: what would be sent, as files.
pub fn files(folder: PathBuf) -> Files {
    Files::new("statuspage-file", folder, "json", is_announcement, |parcel| {
        let said = announcement(parcel).ok_or("this is no announcement")?;
        let mark = Mark { run: &parcel.run, who: UPDATES, what: &parcel.id };
        let mut body = super::body(None, (said, &BTreeMap::new()), mark, Some(said.state));
        // By name: which id it has only Statuspage knows.
        body["incident"]["components"] = json!(said.components);
        serde_json::to_vec_pretty(&body).map_err(|error| error.to_string())
    })
}
