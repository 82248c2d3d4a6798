//! The watch over whoever tells: another process, here or on another machine
//! that can read the journal, which speaks when the controller has gone silent.
//!
//! It speaks once for each promise that was broken, and says only what is
//! known and since when. It takes no part in the deliveries of the controller,
//! which may live and merely hang.

use crate::{
    book,
    channel::{Channel, Memory},
    parcel::{Body, Meet, Notice, Parcel},
    post,
    update::{Update, text::of_day},
};
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    event::Audience,
    journal::sqlite,
    plan::hex,
    report::clean,
    run::Run,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// The pause between two looks.
pub const LOOK: Dur = Dur(10_000);
/// An attempt at telling ends.
const ATTEMPT: Dur = Dur(30_000);

/// The watch over one run.
pub struct DeadMan<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// The ways to reach people.
    pub channels: Vec<Arc<dyn Channel>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// So long after a promise it counts as broken.
    pub grace: Dur,
}

/// What a watch remembers from one look to the next.
#[derive(Debug, Default)]
pub struct Spoken {
    /// The promise that it spoke of last.
    of: Option<Time>,
    /// Somebody heard.
    heard: bool,
    /// How it went by each way.
    ways: BTreeMap<&'static str, Way>,
}

/// How telling went by one way.
#[derive(Debug, Default)]
struct Way {
    /// Whom it has reached already, say: what was told to some is not told to them again.
    memory: Memory,
    /// Before that it is not tried again.
    next: Time,
    /// What became of it.
    became: String,
}

/// What a look gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Promises are kept; the next one.
    Kept(Option<Time>),
    /// The promise of this moment was broken, and this became of telling so by each channel.
    Broken(Time, Vec<String>),
    /// The run is over, and its last update made.
    Over,
}

impl DeadMan<'_> {
    /// Looks once, and speaks if it has to.
    pub async fn look(&self, spoken: &mut Spoken) -> Result<Seen, post::Stopped> {
        let read = sqlite::read(self.folder)?;
        let now = self.clock.now();
        let last = match book::read(self.folder)?.unwrap_or_default().update {
            Some(number) => book::update(self.folder, number)?,
            None => None,
        };
        let run = post::fold(&read.events)?;
        let promised = promised(&run, last.as_ref());
        let Some(promised) = promised else { return Ok(Seen::Over) };
        if now < promised.after(self.grace) || spoken.of == Some(promised) && spoken.heard {
            return Ok(Seen::Kept(Some(promised)));
        }
        if spoken.of != Some(promised) {
            *spoken = Spoken { of: Some(promised), ..Spoken::default() };
        }
        let draft = post::draft(self.folder, &read.events, &hex(&read.head), now)?;
        let parcel = parcel(&run, &draft, promised, now);
        let mut became = Vec::new();
        for channel in self.channels.iter().filter(|channel| channel.takes(&parcel)) {
            let (parcels, name) = (std::slice::from_ref(&parcel), channel.name());
            let way = spoken.ways.entry(name).or_default();
            if now >= way.next {
                // Whoever was killed while speaking may have been heard: it is looked for.
                let brought = self.clock.timeout(ATTEMPT, channel.deliver(parcels, true, &mut way.memory)).await;
                way.became = match brought {
                    Some(Ok(reference)) => {
                        spoken.heard = true;
                        format!("told by {name}: {reference}")
                    }
                    Some(Err(trouble)) => {
                        // Where nobody heard, it is tried again at the next look, or when the other side wants it.
                        way.next = self.clock.now().after(trouble.after.unwrap_or_default());
                        format!("NOT told by {name}: {trouble}")
                    }
                    None => format!("NOT told by {name}: no answer within {ATTEMPT}"),
                };
            }
            became.push(way.became.clone());
        }
        Ok(Seen::Broken(promised, became))
    }
}

/// When the next update is due, by the last; none after the end.
fn promised(run: &Run, last: Option<&Update>) -> Option<Time> {
    match last {
        Some(last) => last.next_at.or_else(|| run.finished.is_none().then_some(last.made_at)),
        // The first comes with the run.
        None => run.finished.is_none().then_some(run.opened_at),
    }
}

fn parcel(run: &Run, draft: &Update, promised: Time, now: Time) -> Parcel {
    let controller = run.controller.as_ref();
    let controller = controller.map_or("no controller has joined".into(), |it| {
        format!("the controller was pid {} on {}", it.pid, clean(&it.host))
    });
    let id = &run.opened.run;
    let mut lines = vec![
        format!("An update was promised for {}; none came. This is the last known state.", of_day(promised, now)),
        format!("The last event is of {}; {controller}.", of_day(run.at, now)),
        format!("If that is gone: dr resume {id}"),
        String::new(),
    ];
    lines.extend(draft.to_text(post::TIMELINE_MAX).lines().map(str::to_owned));
    let subject = format!("NOBODY ANSWERS for this recovery; last known state, of {}", of_day(run.at, now));
    let last = format!("If its controller is gone: dr resume {id}. {}: {}", draft.rag.word(), draft.headline);
    let meet = Meet { last: Some(last), ..Meet::of(run) };
    let notice = Notice { subject, lines, urgent: true, meet };
    let name = format!("dead-man-{}", promised.0 / 1_000);
    Parcel::new(run, name, now, Audience::Executives, Body::Notice(notice))
}
