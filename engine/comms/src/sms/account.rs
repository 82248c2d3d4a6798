//! What is kept of whom an SMS has reached.

use crate::channel::Memory;
use dr_engine::phone::Number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is kept between two deliveries, in the run's folder, which only its owner reads.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// The parcel that it is about.
    parcel: String,
    /// How often it was tried; once somebody has it, since then.
    tries: u32,
    /// For whom it was taken, and under which id.
    reached: BTreeMap<String, String>,
}

/// The name under which it is kept.
const MEMORY: &str = "sms";

impl Account {
    /// What was kept, as far as it is about this parcel.
    pub(super) fn of(memory: &Memory, parcel: &str) -> Self {
        let kept: Option<Self> = memory.get(MEMORY).and_then(|kept| Self::deserialize(kept).ok());
        kept.filter(|kept| kept.parcel == parcel).unwrap_or_else(|| Self { parcel: parcel.into(), ..Self::default() })
    }

    pub(super) fn keep(&self, memory: &mut Memory) {
        let value = serde_json::to_value(self).expect("texts and numbers are JSON");
        memory.insert(MEMORY.into(), value);
    }

    pub(super) fn has(&self, number: &Number) -> bool {
        self.reached.contains_key(number.whole())
    }

    pub(super) fn reached(&mut self, number: &Number, id: String) {
        if self.reached.is_empty() {
            self.tries = 1;
        }
        self.reached.insert(number.whole().into(), id);
    }

    pub(super) fn tried(&mut self) {
        self.tries += 1;
    }

    pub(super) fn tries(&self) -> u32 {
        self.tries
    }

    pub(super) fn count(&self) -> usize {
        self.reached.len()
    }

    /// Under which ids it was taken, if it was, for whom it concerns to look them up.
    pub(super) fn ids(&self) -> String {
        let number = |whole: &str| whole.parse::<Number>().map_or_else(|_| "?".into(), |number| number.to_string());
        let ids: Vec<_> = self.reached.iter().map(|(whole, id)| format!("{} {id}", number(whole))).collect();
        if ids.is_empty() { String::new() } else { format!(" ({})", ids.join(", ")) }
    }
}
