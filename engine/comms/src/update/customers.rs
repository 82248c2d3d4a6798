//! What customers are told.
//!
//! Everybody reads it, so its words come from the runbook alone, or are the
//! usual ones here. What a run knows (steps, errors, people, accounts, what
//! anybody wrote) cannot get in: the words are made from where the recovery
//! stands, out of six, and from the time of the next update.

use super::text::of_day;
use dr_engine::{
    clock::Time,
    comms::{CustomersPage, Health, Impact, State},
    duration::Dur,
    event::Outcome,
    plan::StepIx,
    run::{self, Run},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The headline, where the runbook has none.
const TITLE: &str = "Service disruption";
/// What is said where no time is promised.
const NO_PROMISE: &str = "The next update follows here as soon as there is news.";

/// What a status page shows of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// How far it is.
    pub state: State,
    /// The headline.
    pub title: String,
    /// What customers should know.
    pub message: String,
    /// How bad it is, where the runbook says.
    pub impact: Option<Impact>,
    /// Parts of the product, by name or id, and how they are; what is not named is left as it is.
    pub components: BTreeMap<String, Health>,
    /// Whether those who subscribed are told.
    pub notify: bool,
}

/// Where a recovery stands, as far as customers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// Nothing has been changed yet.
    Investigating,
    /// Service is being restored.
    Restoring,
    /// Users were sent over, or it is watched whether service is back.
    Watching,
    /// Verified, and nothing was left out.
    Restored,
    /// Verified, though not everything went by the plan.
    RestoredWithExceptions,
    /// The run is over, and nobody knows that service is back.
    Unconfirmed,
}

/// The last announcement that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// The first is 1.
    pub number: u32,
    /// When.
    pub at: Time,
    /// Where the recovery stood.
    pub stand: Stand,
    /// What the page showed.
    pub state: State,
    /// When the next one was promised.
    pub next_at: Option<Time>,
}

/// What to announce now, if anything: when customers have to hear something
/// new, or a promise has come due. Two announcements are at least `gap` apart,
/// but for the last words of a run, and of a controller that leaves it.
pub fn due(
    (run, page): (&Run, &CustomersPage),
    before: Option<&Announced>,
    next_at: Option<Time>,
    (now, gap): (Time, Dur),
) -> Option<(Announcement, Announced)> {
    let stand = Stand::of(run);
    let wanted = match before {
        // Until the first step moves nobody knows whether anything is to be said.
        None => run.finished.is_some() || run.steps().any(|(_, step)| step.state != run::State::Waiting),
        Some(before) => {
            let spaced = next_at.is_none() || now >= before.at.after(gap);
            spaced && (stand, next_at) != (before.stand, before.next_at)
        }
    };
    if !wanted {
        return None;
    }
    let state = stand.state(before.map(|before| before.state));
    let number = before.map_or(0, |before| before.number) + 1;
    Some((words(page, (stand, state), next_at, now), Announced { number, at: now, stand, state, next_at }))
}

/// The words. Nothing of a run is at hand here.
pub fn words(page: &CustomersPage, (stand, state): (Stand, State), next_at: Option<Time>, now: Time) -> Announcement {
    let written = match stand {
        Stand::Investigating => &page.messages.investigating,
        Stand::Restoring => &page.messages.identified,
        Stand::Watching => &page.messages.monitoring,
        Stand::Restored => &page.messages.resolved,
        // Whatever the author wrote for a good end is not true of these.
        Stand::RestoredWithExceptions | Stand::Unconfirmed => &None,
    };
    let said = written.as_deref().unwrap_or(stand.usual());
    let message = match (next_at, stand) {
        (Some(next), _) => format!("{said}\n\nNext update by {}.", of_day(next, now)),
        (None, Stand::Restored) => said.to_owned(),
        (None, _) => format!("{said}\n\n{NO_PROMISE}"),
    };
    // While it is watched nobody knows yet: what is affected stays as it was.
    let components = match stand {
        Stand::Investigating | Stand::Restoring => page.components.clone(),
        Stand::Restored => page.components.keys().map(|name| (name.clone(), Health::Operational)).collect(),
        Stand::Watching | Stand::RestoredWithExceptions | Stand::Unconfirmed => BTreeMap::new(),
    };
    let title = page.title.clone().unwrap_or_else(|| TITLE.into());
    Announcement { state, title, message, impact: page.impact, components, notify: page.notify }
}

impl Stand {
    /// Where a run stands.
    pub fn of(run: &Run) -> Self {
        match run.finished {
            Some(Outcome::Recovered) => return Self::Restored,
            Some(Outcome::RecoveredWithExceptions) => return Self::RestoredWithExceptions,
            Some(Outcome::Unverified | Outcome::Failed | Outcome::Stopped | Outcome::Undone) => {
                return Self::Unconfirmed;
            }
            None => {}
        }
        let done = |state: &run::State| matches!(state, run::State::Done | run::State::Bypassed { .. });
        let watched = run.verify.is_some_and(|verify| {
            let state = &run.step(verify).state;
            done(state) || matches!(state, run::State::Running { .. })
        });
        let mut movers = run.steps().filter(|(at, _)| run.plan().step(*at).moves_traffic).peekable();
        let moved = movers.peek().is_some() && movers.all(|(_, step)| done(&step.state));
        let begun = |(at, step): (StepIx, &run::StepRun)| run.plan().step(at).changes && step.attempt > 0;
        if watched || moved {
            Self::Watching
        } else if run.steps().any(begun) {
            Self::Restoring
        } else {
            Self::Investigating
        }
    }

    /// What the page shows. Only what was verified closes an incident: else it stays as it was, for people to judge.
    fn state(self, before: Option<State>) -> State {
        match self {
            Self::Investigating => State::Investigating,
            Self::Restoring => State::Identified,
            Self::Watching | Self::RestoredWithExceptions => State::Monitoring,
            Self::Restored => State::Resolved,
            // What was closed too soon is opened again.
            Self::Unconfirmed => before.unwrap_or(State::Identified).min(State::Monitoring),
        }
    }

    fn usual(self) -> &'static str {
        match self {
            Self::Investigating => "Some of our services are disrupted. We are looking into it.",
            Self::Restoring => "Some of our services are disrupted. We are restoring them.",
            Self::Watching => "We have put measures in place and are checking that everything works again.",
            Self::Restored => "Service is restored. Our checks confirm that it works again.",
            Self::RestoredWithExceptions => {
                "Our checks show that service works again. This incident stays open until our team has confirmed it."
            }
            Self::Unconfirmed => {
                "Our first steps to restore service have ended, and it is not yet confirmed that service is back."
            }
        }
    }
}
