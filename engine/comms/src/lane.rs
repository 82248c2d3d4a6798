//! What waits for one channel, and how it went so far: pure.

use crate::{
    channel::{About, Memory, Trouble},
    parcel::Parcel,
};
use dr_engine::{clock::Time, duration::Dur, report::brief};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// The pause after a failed attempt: the first, and the longest it grows to.
const PAUSE: (Dur, Dur) = (Dur(5_000), Dur(60_000));
/// The pause after something was refused: a person has to mend it.
const REFUSED: Dur = Dur(5 * 60_000);
/// The longest pause that another side can ask for.
const ASKED_MAX: Dur = Dur(10 * 60_000);
/// So often what is for one person is tried; a mailbox that takes nothing must not keep others from theirs.
const FOR_ONE_MAX: u32 = 3;
/// So often another side may ask to wait before it counts as silent: until then it was reached.
const ASKED_OFTEN: u32 = 3;
/// Between two calls for help because of one channel that comes and goes.
const RING_GAP: Dur = Dur(30 * 60_000);

/// What waits for one channel, and how it went so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// The parcels that wait, the oldest first.
    pub waiting: VecDeque<String>,
    /// So many of the first were being brought when this was written.
    pub begun: usize,
    /// Attempts that failed since one succeeded.
    pub attempts: u32,
    /// When the next attempt is made.
    pub next: Time,
    /// Why the last one failed.
    pub trouble: Option<String>,
    /// Since when nothing arrives.
    pub silent_since: Option<Time>,
    /// The notice by which the others were told of it.
    #[serde(default)]
    pub silence: Option<String>,
    /// When telephones rang because of it last.
    #[serde(default)]
    pub rang_at: Option<Time>,
    /// What is not brought any more, and why.
    #[serde(default)]
    pub not_brought: Vec<(String, String)>,
    /// What the channel wants to know the next time.
    pub memory: Memory,
}

impl Lane {
    /// Whether an attempt is to be made now. What is `over` is taken out, unless it may have arrived: nobody is rung
    /// for what is no more.
    pub(crate) fn is_due(&mut self, now: Time, over: &BTreeSet<String>) -> bool {
        if self.begun == 0 && !self.waiting.is_empty() {
            self.waiting.retain(|id| !over.contains(id));
            if self.waiting.is_empty() {
                // Nobody knows whether it could be reached: nothing is to be said of it.
                self.rest();
            }
        }
        // A clock that was set back holds nothing up for long.
        self.next = self.next.min(now.after(ASKED_MAX));
        !self.waiting.is_empty() && self.next <= now
    }

    /// What has arrived waits no more. Gives the notice of the silence that is over, if there was one.
    pub(crate) fn arrived(&mut self, parcels: &[Parcel]) -> Option<String> {
        self.drop_all(parcels);
        self.rest()
    }

    /// Nothing failed, as far as is known.
    fn rest(&mut self) -> Option<String> {
        let silence = self.silence.take();
        *self = Self {
            waiting: std::mem::take(&mut self.waiting),
            memory: std::mem::take(&mut self.memory),
            not_brought: std::mem::take(&mut self.not_brought),
            rang_at: self.rang_at,
            ..Self::default()
        };
        silence
    }

    fn drop_all(&mut self, parcels: &[Parcel]) {
        self.waiting.retain(|id| !parcels.iter().any(|parcel| parcel.id == *id));
    }

    /// Takes in that an attempt failed; gives what is worth saying to whoever sits at the terminal.
    pub(crate) fn failed(&mut self, now: Time, parcels: &[Parcel], trouble: &Trouble) -> Option<String> {
        self.attempts += 1;
        let what = trouble.what.clone();
        if trouble.about == About::Overtaken {
            self.drop_all(parcels);
            self.not_brought.extend(parcels.iter().map(|parcel| (parcel.id.clone(), what.clone())));
            self.rest();
            return Some(format!("{what}; it is left as it is"));
        }
        let grown = grown(self.attempts);
        match parcels {
            [parcel] if trouble.about == About::Parcel => {
                self.begun = 0;
                self.next = now.after(grown);
                let hopeless = trouble.refused || self.attempts >= FOR_ONE_MAX;
                if parcel.role.is_some() && hopeless {
                    // The next one has its own attempts.
                    self.attempts = 0;
                    self.drop_all(parcels);
                    self.not_brought.push((parcel.id.clone(), what.clone()));
                    return Some(format!("{}: {what}; GIVEN UP", parcel.subject()));
                }
                // What others wait for goes first.
                self.drop_all(parcels);
                self.waiting.push_back(parcel.id.clone());
                self.trouble = Some(what.clone());
                return (self.attempts == 1).then(|| format!("{what}; it is tried again"));
            }
            _ => {}
        }
        // What surely did not arrive is not looked for.
        self.begun = if trouble.ambiguous { self.begun } else { 0 };
        let pause = pause(trouble, self.attempts);
        self.next = now.after(pause);
        // To be asked to wait is to be reached, for a while.
        if trouble.after.is_none() || trouble.ambiguous || self.attempts >= ASKED_OFTEN {
            self.silent_since.get_or_insert(now);
        }
        self.trouble = Some(what.clone());
        (self.attempts == 1).then(|| format!("{what}; again in {}", brief(pause)))
    }

    /// Whether telephones ring because of its silence: not each time that it comes and goes.
    pub(crate) fn rings(&mut self, now: Time) -> bool {
        let rings = self.rang_at.is_none_or(|at| now.since(at) >= RING_GAP);
        self.rang_at = if rings { Some(now) } else { self.rang_at };
        rings
    }
}

/// The pause before the next attempt, when this ended the last of so many that failed one after the other.
pub(crate) fn pause(trouble: &Trouble, attempts: u32) -> Dur {
    if trouble.refused { REFUSED } else { trouble.after.map_or_else(|| grown(attempts), |it| it.min(ASKED_MAX)) }
}

fn grown(attempts: u32) -> Dur {
    Dur(PAUSE.0.0.saturating_mul(1 << attempts.saturating_sub(1).min(10))).min(PAUSE.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parcel::{Body, Meet, Notice};
    use dr_engine::event::{Audience, RunKind};

    fn parcel(id: &str, role: Option<&str>) -> Parcel {
        let notice = Notice { subject: id.into(), lines: Vec::new(), urgent: false, meet: Meet::default() };
        Parcel {
            id: id.into(),
            run: "r".into(),
            runbook: "orders".into(),
            kind: RunKind::Live,
            made_at: Time(0),
            opened_at: None,
            trial: false,
            audience: Audience::Responders,
            role: role.map(Into::into),
            person: None,
            not_by: Vec::new(),
            body: Body::Notice(notice),
            picture: None,
        }
    }

    fn lane(ids: &[&str]) -> Lane {
        Lane { waiting: ids.iter().map(ToString::to_string).collect(), begun: 1, ..Lane::default() }
    }

    fn minutes(minutes: i64) -> Time {
        Time(0).after(Dur::seconds(60 * minutes))
    }

    #[test]
    fn what_one_person_cannot_get_keeps_nobody_else_from_theirs() {
        let mut lane = lane(&["question", "update-1"]);
        let said = lane.failed(Time(0), &[parcel("question", Some("lead"))], &Trouble::refused("550").of_parcel());
        assert!(said.is_some_and(|said| said.ends_with("550; GIVEN UP")));
        assert_eq!((&lane.waiting[0], lane.not_brought.len(), lane.silent_since), (&"update-1".to_owned(), 1, None));
        // A full mailbox is tried thrice; the others go first meanwhile.
        let mut lane = super::tests::lane(&["question", "update-1"]);
        for attempt in 1..=3 {
            assert!(lane.waiting.contains(&"question".to_owned()), "attempt {attempt}");
            lane.failed(minutes(attempt), &[parcel("question", Some("lead"))], &Trouble::passing("452").of_parcel());
            assert_eq!(lane.waiting[0], "update-1", "attempt {attempt}");
        }
        assert_eq!(lane.waiting, ["update-1"]);
    }

    #[test]
    fn a_mail_for_all_that_is_too_large_is_tried_for_ever_behind_the_others() {
        let mut lane = lane(&["update-1", "update-2"]);
        for attempt in 0..20 {
            let first = parcel(&lane.waiting[0].clone(), None);
            lane.failed(minutes(attempt), &[first], &Trouble::refused("552").of_parcel());
        }
        let mut waiting: Vec<_> = lane.waiting.iter().map(String::as_str).collect();
        waiting.sort_unstable();
        assert_eq!((waiting, lane.silent_since), (vec!["update-1", "update-2"], None));
    }

    #[test]
    fn to_be_asked_to_wait_is_to_be_reached_for_a_while() {
        let mut lane = lane(&["update-1"]);
        let wait = || Trouble::passing("429").after(Dur::seconds(90));
        let mut silent = Vec::new();
        for attempt in 0..3 {
            lane.failed(minutes(2 * attempt), &[parcel("update-1", None)], &wait());
            silent.push(lane.silent_since.is_some());
        }
        assert_eq!(silent, [false, false, true]);
        let mut down = super::tests::lane(&["update-1"]);
        down.failed(Time(0), &[parcel("update-1", None)], &Trouble::passing("refused"));
        assert_eq!(down.silent_since, Some(Time(0)));
    }

    #[test]
    fn a_channel_that_comes_and_goes_rings_once_in_a_while() {
        let mut lane = lane(&["update-1"]);
        assert!(lane.rings(minutes(0)));
        lane.arrived(&[parcel("update-1", None)]);
        assert_eq!([lane.rings(minutes(5)), lane.rings(minutes(31)), lane.rings(minutes(40))], [false, true, false]);
    }

    #[test]
    fn what_is_over_goes_and_what_may_have_arrived_stays() {
        let over = BTreeSet::from(["notice-1".to_owned()]);
        let mut begun = lane(&["notice-1"]);
        assert!(begun.is_due(Time(0), &over), "it may have arrived: it goes again as it was");
        let mut failed = Lane { begun: 0, silent_since: Some(Time(0)), ..lane(&["notice-1"]) };
        assert!(!failed.is_due(Time(0), &over));
        assert_eq!(failed.silent_since, None, "nobody knows whether it could be reached");
        // A clock that was set back by a day.
        let mut ahead = Lane { begun: 0, next: minutes(24 * 60), ..lane(&["update-1"]) };
        assert!(!ahead.is_due(minutes(24 * 60 - 1), &over));
        assert!(!ahead.is_due(Time(0), &over));
        assert!(ahead.is_due(minutes(10), &over), "at most ten minutes are waited");
    }
}
