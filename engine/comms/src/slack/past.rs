//! What stands in the channel already: read before anything is said again.

use super::{IDS, PARCEL_EVENT, RUN_EVENT, Slack, call::Failed, room::Cursor};
use crate::{channel::Trouble, parcel::Parcel};
use dr_engine::{clock::Time, duration::Dur};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// How far Slack's clock may be behind ours.
const LOOK_BACK: Dur = Dur::seconds(60 * 60);
/// Messages asked for at once; Slack recommends no more.
const PAGE_MAX: usize = 200;
/// Pages that are read. Rather twice than never: what stands further down is not found.
const PAGES_MAX: usize = 25;

/// A page of messages.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    messages: Vec<Past>,
    #[serde(default)]
    response_metadata: Cursor,
}

/// A message. What other apps keep in theirs may have any form.
#[derive(Deserialize)]
struct Past {
    ts: String,
    #[serde(default)]
    metadata: Value,
}

impl Past {
    /// What the message holds of this run.
    fn of(&self, event: &str, run: &str) -> Option<&Value> {
        let payload = &self.metadata["event_payload"];
        (self.metadata["event_type"] == event && payload["run"] == run).then_some(payload)
    }
}

impl Slack {
    /// The head of a run that began at this moment, if there is one.
    pub(super) async fn head_in(&self, channel: &str, run: &str, since: Time) -> Result<Option<String>, Trouble> {
        let mut head = None;
        let look = |past: &Past| {
            // The oldest, should there be two.
            head = past.of(RUN_EVENT, run).map(|_| past.ts.clone()).or(head.take());
            true
        };
        self.walk("conversations.history", &[("channel", channel)], since, look).await.map_err(Failed::harmless)?;
        Ok(head)
    }

    /// Which of these parcels have arrived, and where each stands.
    pub(super) async fn told(
        &self,
        channel: &str,
        thread: Option<&str>,
        parcels: &[Parcel],
    ) -> Result<BTreeMap<String, String>, Trouble> {
        let mut told = BTreeMap::new();
        let Some(first) = parcels.first() else { return Ok(told) };
        let look = |past: &Past| {
            let ids = past.of(PARCEL_EVENT, &first.run).and_then(|payload| payload["ids"].as_str());
            told.extend(ids.into_iter().flat_map(|ids| ids.split(IDS)).map(|id| (id.to_owned(), past.ts.clone())));
            parcels.iter().any(|parcel| !told.contains_key(&parcel.id))
        };
        let walked = match thread {
            None => self.walk("conversations.history", &[("channel", channel)], first.made_at, look).await,
            Some(head) => {
                let asked = [("channel", channel), ("ts", head)];
                self.walk("conversations.replies", &asked, first.made_at, look).await
            }
        };
        walked.map_err(Failed::harmless)?;
        Ok(told)
    }

    /// Shows the messages from a moment on, until `look` has seen enough.
    async fn walk(
        &self,
        method: &str,
        of: &[(&'static str, &str)],
        since: Time,
        mut look: impl FnMut(&Past) -> bool,
    ) -> Result<(), Failed> {
        let oldest = since.after(Dur(-LOOK_BACK.0)).0.max(0);
        let mut cursor = String::new();
        for _ in 0..PAGES_MAX {
            let mut asked: Vec<_> = of.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            asked.push(("oldest", format!("{}.{:03}000", oldest / 1_000, oldest % 1_000)));
            asked.push(("limit", PAGE_MAX.to_string()));
            asked.push(("include_all_metadata", "true".to_owned()));
            asked.extend((!cursor.is_empty()).then(|| ("cursor", cursor.clone())));
            let page: Page = self.api.get(method, &asked).await?;
            let more = page.messages.iter().all(&mut look);
            cursor = page.response_metadata.next_cursor;
            if !more || cursor.is_empty() {
                break;
            }
        }
        Ok(())
    }
}
