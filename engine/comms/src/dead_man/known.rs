//! What a watch knows of a run: what people were promised, and what they are
//! known to have heard. From the journal, and from the book of deliveries
//! where there is one: a copy of a run may have come without.

use crate::{
    book::{self, Page},
    files::is_file,
    pace,
    post::{self, Stopped},
    update::{Update, text::of_day},
};
use dr_engine::{
    clock::Time,
    event::{Event, Kind},
    journal::sqlite,
    plan::hex,
    report::clean,
    run::Run,
};
use std::{cmp::Reverse, path::Path};

/// A run as it was read last.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) run: Run,
    /// What stands in the book; nothing, without one.
    pub(super) page: Page,
    /// The last update that was made, as far as the book knows.
    pub(super) made: Option<Update>,
    /// The last update that reached people.
    heard: Option<Heard>,
    /// The last that was told at all, be it by a file.
    told: Option<Heard>,
    events: Vec<Event>,
    head: String,
}

/// By which ways an update counts as told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// By those that reach people.
    Real,
    /// By files too: nothing else is configured.
    Files,
    /// Updates go no way at all: what was made counts.
    Made,
}

/// What people are owed.
#[derive(Debug)]
pub(super) struct Owed {
    /// By then they have to hear.
    pub(super) at: Time,
    /// If they have not: that, and what is known of the reason.
    pub(super) broken: Vec<String>,
}

/// The last that people are known to have heard.
#[derive(Debug, Clone)]
struct Heard {
    at: Time,
    /// The last event that had happened then.
    seq: u64,
    /// The update's number.
    number: u32,
    /// The update, if the book has it.
    update: Option<Update>,
}

impl Known {
    /// Reads a run's folder.
    pub(super) fn read(folder: &Path) -> Result<Self, Stopped> {
        let read = sqlite::read(folder)?;
        let page = book::read(folder)?.unwrap_or_default();
        let made = match page.update {
            Some(number) => book::update(folder, number)?,
            None => None,
        };
        let run = post::fold(&read.events)?;
        // Read now: where the folder is gone later, the same promise still stands.
        let heard = told(folder, &read.events, |channel| !is_file(channel));
        let told = told(folder, &read.events, |_| true);
        Ok(Self { run, page, made, heard, told, head: hex(&read.head), events: read.events })
    }

    /// The update as it would be now.
    pub(super) fn draft(&self, now: Time) -> Result<Update, Stopped> {
        post::drafted((&self.page, self.made.as_ref()), &self.events, &self.head, now)
    }

    /// What people are owed; nothing, once they have heard of the end.
    pub(super) fn owed(&self, counts: Counts, now: Time) -> Option<Owed> {
        let day = |at| of_day(at, now);
        let heard = match counts {
            Counts::Made => Some(self.made()),
            Counts::Real => self.heard.clone(),
            Counts::Files => self.told.clone(),
        };
        let ended = self.last(|kind| matches!(kind, Kind::Finished { .. })).filter(|_| self.run.finished.is_some());
        if ended.is_some_and(|end| heard.as_ref().is_some_and(|heard| heard.seq >= end.seq)) {
            return None;
        }
        let number = heard.as_ref().map_or(0, |heard| heard.number);
        let promised = heard.as_ref().map(|heard| match &heard.update {
            Some(update) => update.next_at,
            None => Some(pace::promised_after(&self.run, &self.events, heard.at)),
        });
        let (at, broken) = match (promised, heard) {
            (Some(Some(at)), _) => {
                (at, format!("An update was promised for {}; none is known to have arrived.", day(at)))
            }
            (_, Some(heard)) => {
                // Whoever goes on with it, or opens it again, is given the time to say so.
                let begun = self.last(|kind| matches!(kind, Kind::Joined(_) | Kind::Reopened { .. }));
                let at = begun.map_or(heard.at, |event| heard.at.max(event.at));
                (at, format!("The last update is of {} and promised no other; none has come since.", day(heard.at)))
            }
            (_, None) => {
                let at = self.run.opened_at;
                (at, format!("This recovery began at {}; no update is known to have arrived.", day(at)))
            }
        };
        Some(Owed { at, broken: [vec![broken], self.unheard(number, now)].concat() })
    }

    /// What was made after the update of this number, and is held up.
    fn unheard(&self, number: u32, now: Time) -> Vec<String> {
        let Some(made) = self.made.as_ref().filter(|made| made.number > number) else { return Vec::new() };
        let lanes = self.page.channels.iter().filter_map(|(name, lane)| Some((name, lane.trouble.as_ref()?)));
        let troubles = lanes.map(|(name, trouble)| format!("Its controller cannot tell by {name}: {}", clean(trouble)));
        let waits = format!("Update {} was made at {}, and waits.", made.number, of_day(made.made_at, now));
        std::iter::once(waits).chain(troubles).collect()
    }

    /// The last update that was made; without a book, the last event stands for it.
    fn made(&self) -> Heard {
        let update = self.made.clone();
        let (at, seq) = update.as_ref().map_or((self.run.at, self.run.seq), |made| (made.made_at, made.seq));
        Heard { at, seq, number: self.page.update.unwrap_or_default(), update }
    }

    fn last(&self, is: impl Fn(&Kind) -> bool) -> Option<&Event> {
        self.events.iter().rev().find(|event| is(&event.kind))
    }
}

/// The last update that is known to have been told by one of these channels, by whichever was the first.
fn told(folder: &Path, events: &[Event], counts: impl Fn(&str) -> bool) -> Option<Heard> {
    let told = events.iter().filter_map(|event| match &event.kind {
        Kind::Told { item, channel, .. } if counts(channel) => {
            Some((item.strip_prefix("update-")?.parse::<u32>().ok()?, event))
        }
        _ => None,
    });
    let (number, event) = told.max_by_key(|(number, event)| (*number, Reverse(event.seq)))?;
    // Half a copy may lack it: the grid says then what was promised.
    let update = book::update(folder, number).unwrap_or_default();
    let seq = update.as_ref().map_or(event.seq, |update| update.seq);
    Some(Heard { at: event.at, seq, number, update })
}
