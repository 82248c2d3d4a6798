//! The watch over whoever tells: another process, here or beside a copy of the
//! run's folder, which speaks when people have heard nothing for longer than
//! they were promised.
//!
//! What counts is what has arrived, not what was made: a controller that has
//! lost its network goes on making updates. It speaks of each promise that was
//! broken, once by each way, and says only what is known and since when. It
//! takes no part in the deliveries of the controller, which may live and hang.

mod known;

use crate::{
    channel::{Channel, Memory, Trouble},
    files::is_file,
    lane::pause,
    parcel::{Body, Meet, Notice, Parcel},
    post,
    update::{
        Update,
        text::{self, of_day},
    },
};
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    event::Audience,
    report::clean,
};
use known::{Counts, Known, Owed};
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
    /// The run as it could be read last.
    known: Option<Arc<Known>>,
    /// The promise that it spoke of last.
    of: Option<Time>,
    /// How it went by each way.
    ways: BTreeMap<&'static str, Way>,
}

/// How telling went by one way.
#[derive(Debug, Default)]
struct Way {
    /// Whom it has reached already, say: what was told to some is not told to them again.
    memory: Memory,
    /// It has arrived.
    done: bool,
    /// Attempts that failed.
    attempts: u32,
    /// Before that it is not tried again.
    next: Time,
    /// What became of it.
    became: String,
}

/// What a look gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Promises are kept; the next one.
    Kept(Time),
    /// The promise of this moment was broken, and this became of telling so, way by way.
    Broken(Time, Vec<String>),
    /// The run cannot be read, and no promise is known that was broken.
    Unread(String),
    /// The run is over, and people know.
    Over,
}

impl DeadMan<'_> {
    /// Looks once, and speaks if it has to. Where the run can be read no more, it goes by what it read last.
    pub async fn look(&self, spoken: &mut Spoken) -> Seen {
        let (now, mut unread) = (self.clock.now(), None);
        match Known::read(self.folder) {
            Ok(known) => spoken.known = Some(Arc::new(known)),
            Err(why) => unread = Some(why.to_string()),
        }
        let Some(known) = spoken.known.clone() else { return Seen::Unread(unread.unwrap_or_default()) };
        let draft = match known.draft(now) {
            Ok(draft) => draft,
            Err(why) => return Seen::Unread(why.to_string()),
        };
        let Some(owed) = known.owed(self.counts(&known, &draft, now), now) else { return Seen::Over };
        if now < owed.at.after(self.grace) {
            return unread.map_or(Seen::Kept(owed.at), Seen::Unread);
        }
        if spoken.of != Some(owed.at) {
            (spoken.of, spoken.ways) = (Some(owed.at), BTreeMap::new());
        }
        let parcel = parcel(&known, &draft, &owed, unread.as_deref(), now);
        let (mut waits, mut became) = (false, Vec::new());
        for channel in self.channels.iter().filter(|channel| channel.takes(&parcel)) {
            let way = spoken.ways.entry(channel.name()).or_default();
            waits |= !way.done;
            self.speak(channel, &parcel, way).await;
            became.push(way.became.clone());
        }
        if known.run.finished.is_some() && !waits {
            return Seen::Over;
        }
        Seen::Broken(owed.at, became)
    }

    /// By which ways updates of this run are told from here.
    fn counts(&self, known: &Known, draft: &Update, now: Time) -> Counts {
        let body = Body::Update(Box::new(draft.clone()));
        let update = Parcel::new(&known.run, String::new(), now, Audience::Executives, body);
        let ways: Vec<_> = self.channels.iter().filter(|channel| channel.takes(&update)).collect();
        match ways.as_slice() {
            [] => Counts::Made,
            ways if ways.iter().all(|channel| is_file(channel.name())) => Counts::Files,
            _ => Counts::Real,
        }
    }

    /// Tells it by one way, unless that has it already, or is to be left alone for now.
    async fn speak(&self, channel: &Arc<dyn Channel>, parcel: &Parcel, way: &mut Way) {
        if way.done || self.clock.now() < way.next {
            return;
        }
        // Whoever was killed while speaking may have been heard: it is looked for.
        let parcels = std::slice::from_ref(parcel);
        let brought = self.clock.timeout(ATTEMPT, channel.deliver(parcels, true, &mut way.memory)).await;
        let name = channel.name();
        way.became = match brought.unwrap_or_else(|| Err(Trouble::ambiguous(format!("no answer within {ATTEMPT}")))) {
            Ok(reference) => {
                way.done = true;
                let how = if is_file(name) { "a file, which tells nobody, by" } else { "told by" };
                format!("{how} {name}: {reference}")
            }
            Err(trouble) => {
                way.attempts += 1;
                way.next = self.clock.now().after(pause(&trouble, way.attempts));
                format!("NOT told by {name}: {trouble}")
            }
        };
    }
}

fn parcel(known: &Known, draft: &Update, owed: &Owed, unread: Option<&str>, now: Time) -> Parcel {
    let run = &known.run;
    let controller = run.controller.as_ref();
    let controller = controller.map_or("no controller has joined".into(), |it| {
        format!("the controller was pid {} on {}", it.pid, clean(&it.host))
    });
    let id = &run.opened.run;
    // Whoever is over is not gone on with: what it did not tell is brought.
    let way_out = match run.finished {
        Some(_) => format!("To tell what it did not: dr comms deliver {id}"),
        None => format!("If its controller is gone: dr resume {id}"),
    };
    let mut lines = owed.broken.clone();
    lines.extend(unread.map(|why| format!("Its journal can no longer be read from here: {}", clean(why))));
    lines.extend([
        format!("This is the last known state. The last event is of {}; {controller}.", of_day(run.at, now)),
        format!("{way_out}."),
        String::new(),
    ]);
    lines.extend(last_known(draft));
    let subject = format!("NO UPDATE ARRIVES for this recovery; last known state, of {}", of_day(run.at, now));
    let last = format!("{way_out}. {}: {}", draft.rag.word(), draft.headline);
    let meet = Meet { last: Some(last), ..Meet::of(run) };
    let notice = Notice { subject, lines, urgent: true, meet };
    let name = format!("dead-man-{}", owed.at.0 / 1_000);
    Parcel::new(run, name, now, Audience::Executives, Body::Notice(notice))
}

/// The state, without what only an update can say: why it is made, when the next comes, who stands behind it.
fn last_known(draft: &Update) -> Vec<String> {
    let mut lines = Vec::new();
    for part in draft.usual(post::TIMELINE_MAX).into_iter().filter(|part| part.title != text::NEXT) {
        lines.push(part.title.to_uppercase());
        let said = part.lines.iter().filter(|line| !line.starts_with(text::WHY));
        lines.extend(said.map(|line| format!("  {line}")));
        lines.push(String::new());
    }
    lines.push(draft.provenance());
    lines
}
