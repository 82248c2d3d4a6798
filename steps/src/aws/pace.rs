//! How often a service is looked at, whatever the number of steps that wait.
//!
//! A minimal gap between two looks at one service in one region. Where there is
//! a list call, one look then serves all who wait: see [`super::rounds`].

use super::limits;
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// The looks that are allowed, service by service.
#[derive(Clone)]
pub struct Pace {
    gaps: Arc<BTreeMap<String, Dur>>,
    next: Arc<Mutex<BTreeMap<(String, String), Time>>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self::per_second(limits::LOOKS_PER_SECOND)
    }
}

impl Pace {
    /// So many looks per second at each of these services.
    pub fn per_second<'a>(rates: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        let gap = |rate: u32| Dur(1000 / i64::from(rate.max(1)));
        let gaps = rates.into_iter().map(|(service, rate)| (service.to_owned(), gap(rate))).collect();
        Self { gaps: Arc::new(gaps), next: Arc::default() }
    }

    /// The gate in front of one service.
    pub(super) fn gate(&self, service: &str, region: &str, clock: &Arc<dyn Clock>) -> Gate {
        Gate { pace: self.clone(), key: (service.to_owned(), region.to_owned()), clock: clock.clone() }
    }
}

/// Lets one look through at a time.
#[derive(Clone)]
pub(super) struct Gate {
    pace: Pace,
    key: (String, String),
    clock: Arc<dyn Clock>,
}

impl Gate {
    /// Returns when it is this look's turn.
    pub(super) async fn turn(&self) {
        let Some(gap) = self.pace.gaps.get(&self.key.0) else {
            return;
        };
        let now = self.clock.now();
        let at = {
            let mut next = self.pace.next.lock().expect("nothing panics while it holds this");
            let next = next.entry(self.key.clone()).or_insert(now);
            let at = now.max(*next);
            *next = at.after(*gap);
            at
        };
        if at > now {
            self.clock.sleep_until(at).await;
        }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gate({}, {})", self.key.0, self.key.1)
    }
}
