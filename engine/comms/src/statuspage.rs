//! Atlassian Statuspage: one incident for a run, on the page that customers read.
//!
//! It takes no idempotency key. So an incident carries in its metadata of
//! which run it is and what was said on it last, and is looked for before
//! anything is said: first by its id, where that is known, else among all
//! that are unresolved, else among the hundred newest.
//!
//! Fields and statuses are those of Statuspage's own description (the `OpenAPI`
//! document behind <https://developer.statuspage.io>, version 1.0.0).

mod call;
mod channel;
mod incident;

pub use call::{CALL_MAX, GAP, WAIT};
pub use channel::{Updates, files};
pub use incident::{Incident, Mark};

use crate::{channel::Trouble, secret, slack::on_loopback, update::customers::Announcement};
use call::{Api, Pace};
use dr_engine::{
    clock::Clock,
    comms::{Health, State},
    duration::Dur,
    report::clean,
};
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::{Url, form_urlencoded};

/// So many at a time: "the default and maximum limit is 100".
const PAGE: usize = 100;
/// So many pages of a list are read at most.
const PAGES_MAX: usize = 10;
/// "There is a maximum limit of 255 characters", of an incident's name.
const TITLE_CHARS_MAX: usize = 255;
/// "There is a maximum limit of 25000 characters", of a message.
const MESSAGE_CHARS_MAX: usize = 25_000;

/// How long after a call whose answer was lost its effect may still come to light.
pub const SETTLES: Dur = Dur::seconds(20);

/// How Statuspage is reached. Copies of one share its pace: the limit is the token's.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// The token of somebody who may manage incidents, by reference.
    pub token: secret::Source,
    /// The address of the API; by plain http only on this machine.
    #[serde(default = "usual_api")]
    pub api: String,
    #[serde(skip)]
    folder: PathBuf,
    #[serde(skip, default = "usual_gap")]
    gap: Dur,
    #[serde(skip)]
    pace: Pace,
    /// One after another: a look, and what is said because of it.
    #[serde(skip)]
    turn: Arc<Mutex<()>>,
}

fn usual_api() -> String {
    Access::API.into()
}

fn usual_gap() -> Dur {
    GAP
}

impl Access {
    /// Statuspage's own address.
    pub const API: &str = "https://api.statuspage.io/v1";

    /// Access with a token, as settings in this folder name it.
    pub fn new(token: secret::Source, api: impl Into<String>, folder: &Path) -> Self {
        let (pace, turn) = (Pace::default(), Arc::default());
        Self { token, api: api.into(), folder: folder.into(), gap: GAP, pace, turn }
    }

    /// The same, with a secret's path relative to this folder.
    #[must_use]
    pub fn beside(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..self }
    }

    /// The same, with requests at least so far apart: where Statuspage grants a token more.
    #[must_use]
    pub fn paced(self, gap: Dur) -> Self {
        Self { gap, ..self }
    }

    /// Whether it leads to this machine itself, and no customer reads what is said.
    pub fn on_loopback(&self) -> bool {
        Url::parse(&self.api).is_ok_and(|url| on_loopback(&url))
    }
}

/// One page on Statuspage.
#[derive(Debug)]
pub struct Page {
    api: Api,
    path: String,
    turn: Arc<Mutex<()>>,
}

impl Page {
    /// The page with this id; nothing is sent yet.
    pub fn new(access: &Access, page: &str, clock: Arc<dyn Clock>) -> Result<Self, Trouble> {
        let fits = !page.is_empty() && page.chars().all(|it| it.is_ascii_alphanumeric() || "-_".contains(it));
        if !fits {
            let what =
                format!("`{}` is no id of a page: it stands in https://manage.statuspage.io/pages/ID", clean(page));
            return Err(Trouble::refused(what));
        }
        let api = Api::new(access, clock)?;
        Ok(Self { api, path: format!("/pages/{page}"), turn: access.turn.clone() })
    }

    /// Held from a look to what is said because of it, so that nobody in this process speaks between.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// The incident of a run: by its id where that is known, else by its metadata. `None` if it is not seen.
    pub async fn find(&self, run: &str, known: Option<&str>) -> Result<Option<Incident>, Trouble> {
        if let Some(id) = known {
            // What was deleted is found by nobody else either, but whoever deleted it may have made another.
            if let Some(found) = self.incident(id).await? {
                return Ok(Some(found));
            }
        }
        for number in 1..=PAGES_MAX {
            let list: Vec<Incident> =
                self.api.get(&format!("{}/incidents/unresolved?page={number}&per_page={PAGE}", self.path)).await?;
            let more = list.len() >= PAGE;
            if let Some(found) = list.into_iter().find(|it| it.is_of(run)) {
                return Ok(Some(found));
            }
            if !more {
                break;
            }
        }
        // A run is hours old: of all incidents, resolved ones too, its own is among the newest, which come first.
        let list: Vec<Incident> = self.api.get(&format!("{}/incidents?limit={PAGE}&page=1", self.path)).await?;
        Ok(list.into_iter().find(|it| it.is_of(run)))
    }

    async fn incident(&self, id: &str) -> Result<Option<Incident>, Trouble> {
        let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        self.api.get_if_there(&format!("{}/incidents/{id}", self.path)).await
    }

    /// The ids of components that are named by id or by name. Refused when there is none, or there are several, of a name.
    pub async fn components(&self, wanted: &BTreeMap<String, Health>) -> Result<BTreeMap<String, Health>, Trouble> {
        if wanted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let all = self.every_component().await?;
        let mut ids = BTreeMap::new();
        let mut wrong = Vec::new();
        for (name, health) in wanted {
            let by_id = all.iter().filter(|it| it.id == *name);
            let of_name = || all.iter().filter(|it| it.name.eq_ignore_ascii_case(name)).collect::<Vec<_>>();
            let found = match by_id.collect::<Vec<_>>() {
                found if found.is_empty() => of_name(),
                found => found,
            };
            match found[..] {
                [one] => {
                    ids.insert(one.id.clone(), *health);
                }
                [] => wrong.push(format!("no component `{}`", clean(name))),
                _ => wrong.push(format!("several components `{}`: name one by its id", clean(name))),
            }
        }
        if wrong.is_empty() {
            return Ok(ids);
        }
        let has: BTreeSet<_> = all.iter().map(|it| clean(&it.name)).collect();
        let has = if has.is_empty() { "none".into() } else { has.into_iter().collect::<Vec<_>>().join(", ") };
        Err(Trouble::refused(format!("the page has {}; it has {has}", wrong.join(", "))))
    }

    async fn every_component(&self) -> Result<Vec<Component>, Trouble> {
        let mut all: Vec<Component> = Vec::new();
        for number in 1..=PAGES_MAX {
            let list: Vec<Component> =
                self.api.get(&format!("{}/components?page={number}&per_page={PAGE}", self.path)).await?;
            let more = list.len() >= PAGE;
            // A group shows how its parts are, and cannot be set.
            all.extend(list.into_iter().filter(|it| !it.group));
            if !more {
                break;
            }
        }
        Ok(all)
    }

    /// Says something: on an incident, or on a new one. `components` are ids.
    pub async fn say(
        &self,
        at: Option<&Incident>,
        (said, components): (&Announcement, &BTreeMap<String, Health>),
        mark: Mark<'_>,
        announced: Option<State>,
    ) -> Result<Incident, Trouble> {
        if let Some(why) = too_long(said) {
            return Err(Trouble::refused(why));
        }
        let body = body(at, (said, components), mark, announced);
        match at {
            None => self.api.send(Method::POST, &format!("{}/incidents", self.path), &body).await,
            Some(at) => self.api.send(Method::PATCH, &format!("{}/incidents/{}", self.path, at.id), &body).await,
        }
    }

    /// Looks whether the token may see the page and whether the components are there; posts nothing.
    pub async fn check(&self, components: &BTreeMap<String, Health>) -> Result<String, Trouble> {
        let open: Vec<Value> =
            self.api.get(&format!("{}/incidents/unresolved?page=1&per_page={PAGE}", self.path)).await?;
        let named = self.components(components).await?;
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (incidents, parts) = (open.len(), named.len());
        Ok(format!(
            "the page can be seen: {incidents} unresolved incident{}, {parts} component{} named",
            plural(incidents),
            plural(parts)
        ))
    }
}

/// What of an announcement is longer than Statuspage takes.
pub fn too_long(said: &Announcement) -> Option<String> {
    let over = |what: &str, text: &str, max: usize| {
        let length = text.chars().count();
        (length > max).then(|| format!("{what} has {length} characters, and Statuspage takes {max}: shorten it"))
    };
    over("the title", &said.title, TITLE_CHARS_MAX).or_else(|| over("the message", &said.message, MESSAGE_CHARS_MAX))
}

/// What is sent. Of an incident that stands only what is said changes: the components of other steps stay with it.
fn body(
    at: Option<&Incident>,
    (said, components): (&Announcement, &BTreeMap<String, Health>),
    mark: Mark<'_>,
    announced: Option<State>,
) -> Value {
    let mut incident = json!({
        "name": said.title,
        "status": said.state,
        "body": said.message,
        "deliver_notifications": said.notify,
        "metadata": incident::metadata(at, mark, announced),
    });
    if let Some(impact) = said.impact {
        incident["impact_override"] = json!(impact);
    }
    if !components.is_empty() {
        let all: BTreeSet<_> = at.iter().flat_map(|at| at.components()).chain(components.keys()).collect();
        incident["component_ids"] = json!(all);
        incident["components"] = json!(components);
    }
    json!({ "incident": incident })
}

/// A part of the product.
#[derive(Debug, Deserialize)]
struct Component {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    group: bool,
}
