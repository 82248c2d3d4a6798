//! What a run took and lost, folded from its events: the report that people
//! read in the night and auditors later, and the state of a run while it goes on.
//!
//! Pure: no clock is read and nothing is shown here. Whether the hash chain
//! holds is for the caller to say, who read the journal.
//!
//! RTO, RPO and the split of the time are those of the recovery, as it stood
//! when the run first finished; an undo after that changes none of them. The
//! clocks are as people have corrected them, also later.

mod clock;
pub mod history;
mod html;
mod json;
mod markdown;
mod measure;
mod status;
mod story;
#[cfg(test)]
mod tests;
mod text;
mod timeline;
mod words;

pub use clock::Split;
pub use measure::{Measure, Rpo, Rto, Store, Verdict};
pub use status::{Forecast, Glance, Present, forecast, glance, headline, not_fenced, status};
pub use story::{Answer, Asked, Decision, Deviation, Line, Note, Passed, StepError, StepStory, Story, Told};
pub use text::{brief, clean, turns};
pub use timeline::telling;

use crate::{
    clock::Time,
    event::{Event, Kind, Opened},
    plan::VERIFY,
    run::{Illegal, Run, State},
};
use clock::{Cursor, Lanes, waited_for};

/// What a run took and lost.
#[derive(Debug, Clone)]
pub struct Report {
    /// How the run began, its plan included; clocks as corrected.
    pub opened: Opened,
    /// The plan's hash.
    pub plan_hash: String,
    /// The whole run in one line.
    pub headline: String,
    /// How it ended, or where it stands.
    pub present: Present,
    /// The moments that count.
    pub moments: Moments,
    /// The time the business was down.
    pub rto: Rto,
    /// The data that was lost.
    pub rpo: Rpo,
    /// Where the time went; not when the incident comes after the end.
    pub split: Option<Split>,
    /// The ids of the steps that the run waited for, in the order of time.
    pub path: Vec<String>,
    /// When it will be over, while it goes on.
    pub forecast: Option<Forecast>,
    /// What happened.
    pub story: Story,
    /// Whether the record is whole.
    pub integrity: Integrity,
    /// When this was written.
    pub written_at: Time,
}

/// The moments that count, beside those of `Opened`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// The run began.
    pub opened_at: Time,
    /// A step of the recovery came to its end, and none did after it.
    pub last_step_end: Option<Time>,
    /// Every probe was good from here on.
    pub healthy_since: Option<Time>,
    /// Up to here that was watched.
    pub held_until: Option<Time>,
    /// The run finished for the first time.
    pub finished_at: Option<Time>,
}

/// Whether the record is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integrity {
    /// The hash of the last event and, through it, of every event, in hexadecimal.
    pub head: String,
    /// What a look at the chain gave, if somebody looked.
    pub chain_ok: Option<bool>,
    /// How many events there are.
    pub events: u64,
}

impl Report {
    /// The report of these events. `head` is the hash of the last one; `now`
    /// matters while the run goes on.
    pub fn of(events: &[Event], head: &str, now: Time) -> Result<Self, Illegal> {
        let nothing =
            || Illegal { seq: 0, event: "nothing".into(), what: "the run".into(), state: "not opened".into() };
        let (first, rest) = events.split_first().ok_or_else(nothing)?;
        let mut run = Run::open(first.clone())?;
        let mut lanes = Lanes::of(&run);
        let mut story = Story::of(&run, first);
        let mut held_until: Option<Cursor> = None;
        let mut recovery: Option<(Run, Cursor)> = None; // as it stood when the run first finished
        for event in rest {
            let before = waited_for(&run, lanes.last_end.map(|(step, _)| step));
            run.apply(event)?;
            story.hear(&run, event);
            if recovery.is_some() {
                continue;
            }
            lanes.hear(&run, event, before);
            match &event.kind {
                Kind::Succeeded { step, .. } if run.plan().step(*step).id == VERIFY => {
                    held_until = Some(Cursor { step: Some(*step), seq: event.seq, at: event.at });
                }
                Kind::Finished { .. } => {
                    let step = lanes.last_end.map(|(step, _)| step).or(before);
                    recovery = Some((run.clone(), Cursor { step, seq: event.seq, at: event.at }));
                }
                _ => {}
            }
        }
        let now = now.max(run.at);
        story.close(&run, now);
        let finished_at = recovery.as_ref().map(|(_, end)| end.at);
        let present = Present::of(&run);
        let end = recovery.as_ref().map_or_else(
            || Cursor { step: waited_for(&run, lanes.last_end.map(|(step, _)| step)), seq: run.seq + 1, at: now },
            |(_, end)| *end,
        );
        let recovered = recovery.as_ref().map_or(&run, |(recovered, _)| recovered);
        let clocks = &*run.opened;
        let rto = measure::rto(recovered, clocks, now);
        let rpo = measure::rpo(recovered, clocks);
        let verified = held_until.filter(|_| rto.healthy_since.is_some());
        let healthy = rto.healthy_since.ok_or_else(|| rto.actual.why().unwrap_or("unknown").to_owned());
        let (path, split) = lanes.split(recovered, clocks, verified.unwrap_or(end), healthy);
        let mut ids: Vec<String> = path.iter().map(|step| run.plan().step(*step).id.clone()).collect();
        ids.dedup();
        for step in path {
            story.steps[step.ix()].on_path = true;
        }
        Ok(Self {
            headline: match present {
                Present::Over(_) => status::over(&run.opened, present, &rto, &rpo),
                _ => headline(&run, now),
            },
            plan_hash: run.plan().hash(),
            moments: Moments {
                opened_at: run.opened_at,
                last_step_end: lanes.last_end.map(|(_, at)| at),
                healthy_since: rto.healthy_since,
                held_until: verified.map(|verified| verified.at),
                finished_at,
            },
            forecast: forecast(&run, now),
            integrity: Integrity { head: head.into(), chain_ok: None, events: run.seq },
            opened: *run.opened,
            path: ids,
            present,
            rto,
            rpo,
            split,
            story,
            written_at: now,
        })
    }

    /// The same report, with what a look at the hash chain gave.
    #[must_use]
    pub fn chain_ok(mut self, ok: bool) -> Self {
        self.integrity.chain_ok = Some(ok);
        self
    }

    /// The questions that nobody has answered.
    pub fn open_questions(&self) -> impl Iterator<Item = &Asked> {
        self.story.questions.iter().filter(|asked| asked.settled_at.is_none() && !self.present.is_over())
    }
}

/// How many steps of a run came to an end other than being in the way.
fn progress(run: &Run) -> (usize, usize) {
    let counted = || run.steps().filter(|(_, it)| !matches!(it.state, State::Unneeded { .. }));
    (counted().filter(|(step, _)| run.out_of_the_way(*step)).count(), run.plan().steps.len())
}
