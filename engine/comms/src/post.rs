//! Brings what is told to people: makes it when it is due, and delivers it by
//! every channel, each at its own speed.
//!
//! It reads the journal and writes none of it: what has arrived is said to the
//! controller like anything that people say. A channel that hangs, refuses or
//! is gone holds up neither the recovery nor the other channels.

use crate::{
    book::{self, Book, Lane, Page},
    channel::{Channel, MISSED, Memory, Trouble},
    files::way,
    pace::{Due, Pace},
    parcel::{Body, Meet, Notice, Parcel},
    template,
    update::{Facts, Line, Update, customers, text::of_day, weight},
};
use dr_engine::{
    clock::{Clock, Time},
    comms::Every,
    crash::{CrashAt, Edge, Place},
    duration::Dur,
    event::{Audience, Event},
    journal,
    message::Ask,
    picture::bars,
    report::{Report, brief, clean},
    run::{Illegal, Run},
};
use std::{io, path::Path, sync::Arc};
use tokio::task::{Id, JoinError, JoinSet};

/// Without an event, phase and forecast are looked at so often.
const TICK: Dur = Dur(1_000);
/// An attempt at delivering ends.
const ATTEMPT: Dur = Dur(30_000);
/// After so long without an arrival the others are told that a channel is silent, unless the settings say otherwise.
pub const SILENT: Dur = Dur(60_000);
/// The kind of step that publishes a page which needs no vendor.
const STATIC_PAGE: &str = "status_page.static";
/// Details are told together, at least so far apart.
const DETAILS: Dur = Dur(10_000);
/// So many lines of the timeline stand in a draft.
pub(crate) const TIMELINE_MAX: usize = 40;
/// So many lines of detail at once.
const DETAILS_MAX: usize = 40;

/// The journal, from where it was read last.
pub trait Source: Send {
    /// What was written since, and the hash of the last event in hexadecimal.
    fn fresh(&mut self) -> Result<(Vec<Event>, String), journal::Error>;
}

/// The controller, as far as the post speaks to it.
pub trait Desk: Send {
    /// Says what has arrived; `id` is the same when it is said again.
    fn told(&mut self, id: &str, ask: Ask) -> io::Result<()>;
    /// Shows a line to whoever sits at the terminal.
    fn show(&mut self, text: &str);
}

/// Why the post had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The journal tells what cannot have happened.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The book of deliveries cannot be kept.
    #[error("the book of deliveries cannot be kept: {0}")]
    Book(#[from] io::Error),
}

/// The post of one run.
pub struct Post<S, D> {
    /// The book.
    pub book: Book,
    /// Where events come from.
    pub source: S,
    /// Who is told what has arrived.
    pub desk: D,
    /// The ways to reach people.
    pub channels: Vec<Arc<dyn Channel>>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How often the journal is looked at.
    pub look: Dur,
    /// Two updates that nobody waits for are at least so far apart.
    pub gap_min: Dur,
    /// After so long without an arrival the others are told that a channel is silent.
    pub silent_after: Dur,
    /// Nothing is made but the last words of a run that is over: nobody drives it, so nothing can be promised.
    pub only_deliver: bool,
    /// The power goes there.
    pub crash: Arc<CrashAt>,
}

/// What the post knows of the run.
struct Known {
    run: Run,
    events: Vec<Event>,
    head: String,
    pace: Pace,
    /// The last update.
    before: Option<Update>,
    /// At which event, and when, phase and forecast were looked at last.
    looked: (u64, Time),
    details_at: Time,
}

/// How an attempt at delivering ended.
struct Brought {
    channel: usize,
    parcels: Vec<Parcel>,
    memory: Memory,
    outcome: Result<String, Trouble>,
}

/// The update as it would be made now, for whoever words it; from a run's folder alone.
pub fn draft(run_folder: &Path, events: &[Event], head: &str, now: Time) -> Result<Update, Stopped> {
    let page = book::read(run_folder)?.unwrap_or_default();
    let before = match page.update {
        Some(number) => book::update(run_folder, number)?,
        None => None,
    };
    drafted((&page, before.as_ref()), events, head, now)
}

/// The same, from a book that was read, and the last update in it.
pub(crate) fn drafted(
    (page, before): (&Page, Option<&Update>),
    events: &[Event],
    head: &str,
    now: Time,
) -> Result<Update, Stopped> {
    let report = &Report::of(events, head, now)?;
    let run = fold(events)?;
    let next_at = before.and_then(|before| before.next_at).filter(|_| run.finished.is_none());
    let asked_lead_at = page.asked.filter(|(of, _)| Some(*of) == next_at).map(|(_, at)| at);
    let silent = silent(page, now);
    let why = vec!["a draft".into()];
    let mut update = Facts { run: &run, events, report, now, before, why, asked_lead_at, next_at, silent }.update();
    template::fill(&mut update, &run);
    Ok(update)
}

/// The run of these events.
pub(crate) fn fold(events: &[Event]) -> Result<Run, Stopped> {
    let (first, rest) = events.split_first().ok_or_else(|| io::Error::other("the journal is empty"))?;
    let mut run = Run::open(first.clone())?;
    rest.iter().try_for_each(|event| run.apply(event))?;
    Ok(run)
}

/// What cannot be told by which channel, for people.
fn silent(page: &Page, now: Time) -> Vec<String> {
    let lanes = page.channels.iter().filter_map(|(name, lane)| Some((name, lane.silent_since?)));
    let silent = lanes.map(|(name, since)| format!("Nothing can be told by {name} since {}.", of_day(since, now)));
    let missed = page.channels.iter().filter_map(|(name, lane)| Some((name, lane.memory.get(MISSED)?.as_str()?)));
    silent.chain(missed.map(|(name, whom)| format!("Not everybody is reached by {name}: {}.", clean(whom)))).collect()
}

impl Known {
    /// That those who recover the service are not reached this way: where they meet, and whom they ask.
    fn unreachable(&self, name: &str, subject: String, trouble: &str) -> Notice {
        let last = self.before.as_ref().map(|update| format!("Last known: {}", update.to_short()));
        let meet = Meet { last, ..Meet::of(&self.run) };
        let mut lines = vec![format!("{name} cannot be reached: {trouble}")];
        lines.push(match &meet.bridge {
            Some(bridge) => format!("Meet here: {bridge}"),
            None => "The runbook names no bridge to meet on.".into(),
        });
        lines.extend(meet.commander.as_ref().map(|commander| format!("Incident commander: {commander}")));
        lines.extend(meet.last.clone());
        Notice { subject, lines, urgent: true, meet }
    }
}

/// That customers read nothing new: no telephone has to ring for it.
fn unread(run: &Run, name: &str, subject: String, trouble: &str) -> Notice {
    let mut lines = vec![
        format!("{name} cannot be reached: {trouble}"),
        "Customers read there what it said last; the newest is said when it is back.".into(),
    ];
    if run.plan().steps.iter().any(|step| step.kind == STATIC_PAGE) {
        lines.push("The runbook publishes a static page as well: look there what it says.".into());
    }
    Notice { subject, lines, urgent: false, meet: Meet::default() }
}

impl<S: Source, D: Desk> Post<S, D> {
    /// Goes on until the run is over and everything has arrived. Once `leave`
    /// gives a moment, it goes on until nothing waits, at most until then.
    pub async fn go_on(&mut self, mut leave: impl FnMut() -> Option<Time>) -> Result<(), Stopped> {
        let mut known: Option<Known> = None;
        let mut under_way: JoinSet<Brought> = JoinSet::new();
        let mut busy = vec![None; self.channels.len()];
        loop {
            // Before the journal is read: what was written until then is told.
            let until = leave();
            let (events, head) = self.source.fresh()?;
            for event in events {
                self.hear(&mut known, event)?;
            }
            if let Some(known) = &mut known {
                known.head = head;
                if !self.only_deliver || known.run.finished.is_some() {
                    self.make(known)?;
                } else if known.pace.is_sent() {
                    // A person sends it: that nobody drives the run is no reason to be silent.
                    self.make_updates(known, self.clock.now().max(known.run.at))?;
                }
                self.send(&mut under_way, &mut busy)?;
                let idle = busy.iter().all(Option::is_none) && self.nothing_waits();
                let leaving = known.run.finished.is_some() || until.is_some();
                if leaving && idle || until.is_some_and(|until| self.clock.now() >= until) {
                    return Ok(());
                }
            }
            tokio::select! {
                biased;
                Some(ended) = under_way.join_next() => {
                    let brought = ended.or_else(|error| self.panicked(&busy, &error).ok_or(()));
                    if let Ok(brought) = brought {
                        busy[brought.channel] = None;
                        self.arrived(brought)?;
                    }
                }
                () = self.clock.sleep(self.look) => {}
            }
        }
    }

    /// Whether no way that there is has anything left. What waits for one that
    /// is configured no more is nobody's.
    fn nothing_waits(&self) -> bool {
        let mut lanes = self.channels.iter().filter_map(|channel| self.book.page.channels.get(channel.name()));
        lanes.all(|lane| lane.waiting.is_empty())
    }

    /// A channel that panics has failed like any other: the next attempt is made.
    fn panicked(&self, busy: &[Option<Id>], error: &JoinError) -> Option<Brought> {
        let channel = busy.iter().position(|id| *id == Some(error.id()))?;
        let lane = self.book.page.channels.get(self.channels[channel].name());
        let memory = lane.map_or_else(Memory::new, |lane| lane.memory.clone());
        let outcome = Err(Trouble::ambiguous("this is a defect of dr: the channel panicked"));
        Some(Brought { channel, parcels: Vec::new(), memory, outcome })
    }

    fn hear(&mut self, known: &mut Option<Known>, event: Event) -> Result<(), Stopped> {
        let Some(it) = known else {
            let run = Run::open(event.clone())?;
            let before = match self.book.page.update {
                Some(number) => self.book.update(number)?,
                None => None,
            };
            let every = run.plan().comms.as_ref().map_or(Every::default(), |comms| comms.every.clone());
            let mut pace = Pace::new(every, self.gap_min, before.as_ref());
            pace.keep((self.book.page.asked, self.book.page.drafted));
            if before.is_none() {
                pace.hear(&run, &event);
            }
            let (events, head, details_at) = (vec![event], String::new(), Time::default());
            *known = Some(Known { run, events, head, pace, before, looked: (0, Time::default()), details_at });
            return Ok(());
        };
        it.run.apply(&event)?;
        if it.before.as_ref().is_none_or(|before| event.seq > before.seq) {
            it.pace.hear(&it.run, &event);
        }
        it.events.push(event);
        Ok(())
    }

    /// Makes what is due, and puts it down for every channel that takes it.
    fn make(&mut self, known: &mut Known) -> Result<(), Stopped> {
        let now = self.clock.now().max(known.run.at);
        // It looks at every step of the plan, which may be very many.
        if known.run.seq != known.looked.0 || now.since(known.looked.1) >= TICK {
            known.looked = (known.run.seq, now);
            known.pace.look(&known.run, now);
        }
        self.make_updates(known, now)?;
        self.announce(known, now)?;
        self.details(known, now)?;
        self.silence(known, now)
    }

    /// Makes the updates that are due, and what leads to them.
    fn make_updates(&mut self, known: &mut Known, now: Time) -> Result<(), Stopped> {
        while let Some(due) = known.pace.due(&known.run, now) {
            let parcel = match due {
                Due::Update { why, asked_lead_at, next_at } => {
                    let next_at = next_at.filter(|_| !self.only_deliver);
                    let (update, picture) = self.update(known, now, (why, asked_lead_at, next_at))?;
                    known.pace.made(update.course);
                    self.book.page.update = Some(update.number);
                    self.desk.show(&format!("update {}: {}", update.number, update.to_short()));
                    let passing = &mut self.book.page.passing;
                    let gone = passing.extract_if(.., |(_, promised)| update.next_at != Some(*promised));
                    self.book.page.over.extend(gone.map(|(id, _)| id));
                    let id = format!("update-{}", update.number);
                    known.before = Some(update.clone());
                    let body = Body::Update(Box::new(update));
                    let parcel = Parcel::new(&known.run, id, now, Audience::Executives, body);
                    Parcel { picture: Some(picture), ..parcel }
                }
                Due::AskLead { promised } | Due::Draft { promised } => {
                    let parcel = match due {
                        Due::Draft { .. } => self.draft(known, now, promised)?,
                        _ => self.ask_lead(known, now, promised),
                    };
                    self.book.page.passing.push((parcel.id.clone(), promised));
                    parcel
                }
            };
            (self.book.page.asked, self.book.page.drafted) = known.pace.kept();
            self.put_down(&parcel)?;
        }
        Ok(())
    }

    /// What customers have to hear now, if the runbook names a page for them.
    fn announce(&mut self, known: &Known, now: Time) -> Result<(), Stopped> {
        let run = &known.run;
        let Some(page) = run.plan().comms.as_ref().and_then(|comms| comms.status_page.as_ref()) else { return Ok(()) };
        let before = self.book.page.announced.as_ref();
        let due = customers::due((run, page), before, known.pace.promise(run), (now, self.gap_min));
        let Some((said, announced)) = due else { return Ok(()) };
        let id = format!("announcement-{}", announced.number);
        self.desk.show(&format!("customers, {}: {}", said.state.word(), said.message.replace("\n\n", " ")));
        self.book.page.announced = Some(announced);
        self.put_down(&Parcel::new(run, id, now, Audience::Customers, Body::Announcement(Box::new(said))))
    }

    fn update(
        &self,
        known: &Known,
        now: Time,
        (why, asked_lead_at, next_at): (Vec<String>, Option<Time>, Option<Time>),
    ) -> Result<(Update, String), Stopped> {
        let (run, events, before) = (&known.run, &known.events[..], known.before.as_ref());
        let report = &Report::of(events, &known.head, now)?;
        let silent = silent(&self.book.page, now);
        let mut update = Facts { run, events, report, now, before, why, asked_lead_at, next_at, silent }.update();
        template::fill(&mut update, run);
        Ok((update, bars(report)))
    }

    /// The question to the technical lead.
    fn ask_lead(&mut self, known: &Known, now: Time, promised: Time) -> Parcel {
        let (run, id) = (&known.run, &known.run.opened.run);
        let name = run.holder("technical_lead").map_or_else(String::new, clean);
        let notice = Notice {
            subject: format!("{name}: status wanted for the update of {}", of_day(promised, now)),
            lines: vec![
                "What is the state of the work, what is next, and what help or resources are wanted?".into(),
                format!("dr note {id} TEXT --as {}", dr_engine::question::word(&name)),
                format!("dr note {id} TEXT --help-wanted --as {}", dr_engine::question::word(&name)),
                "What you say stands in the update; if nobody answers, it says so.".into(),
            ],
            urgent: false,
            meet: Meet::default(),
        };
        self.notice(run, now, notice).for_role(run, "technical_lead")
    }

    /// The draft of a promised update, for whoever answers for it.
    fn draft(&mut self, known: &Known, now: Time, promised: Time) -> Result<Parcel, Stopped> {
        let (run, id) = (&known.run, &known.run.opened.run);
        let asked = self.book.page.asked.filter(|(of, _)| *of == promised).map(|(_, at)| at);
        let (draft, _) = self.update(known, now, (vec!["as promised".into()], asked, Some(promised)))?;
        let mut lines = vec![
            format!("It goes out at {} as it stands then, marked AUTO, unless you send it.", of_day(promised, now)),
            format!("dr update edit {id} TEXT     your own words above the facts"),
            format!("dr update send {id}          now"),
            String::new(),
        ];
        lines.extend(draft.to_text(TIMELINE_MAX).lines().map(str::to_owned));
        let subject = format!("draft of update {}, due {}", draft.number, of_day(promised, now));
        self.desk.show(&format!("{subject}: dr update draft {id}"));
        let notice = Notice { subject, lines, urgent: false, meet: Meet::default() };
        let parcel = self.notice(run, now, notice).for_role(run, "incident_commander");
        Ok(Parcel { not_by: vec!["slack".into()], ..parcel })
    }

    fn notice(&mut self, run: &Run, now: Time, notice: Notice) -> Parcel {
        self.book.page.notices += 1;
        let id = format!("notice-{}", self.book.page.notices);
        Parcel::new(run, id, now, Audience::Responders, Body::Notice(notice))
    }

    /// Line by line what happened, for those who follow closely.
    fn details(&mut self, known: &mut Known, now: Time) -> Result<(), Stopped> {
        let over = known.run.finished.is_some();
        if (now.since(known.details_at) < DETAILS && !over) || known.run.seq <= self.book.page.details {
            return Ok(());
        }
        known.details_at = now;
        let from = self.book.page.details;
        self.book.page.details = known.run.seq;
        let new = known.events.iter().filter(|event| event.seq > from && weight(&event.kind).is_some_and(|w| w > 0));
        if new.clone().next().is_none() || !self.wants_details(&known.run, now) {
            return Ok(());
        }
        let report = Report::of(&known.events, &known.head, now)?;
        let text = |event: &Event| report.story.timeline.iter().find(|line| line.seq == event.seq);
        let line = |event: &Event| {
            let weight = weight(&event.kind)?;
            Some(Line { seq: event.seq, at: event.at, text: clean(&text(event)?.text), weight })
        };
        let mut lines: Vec<_> = new.filter_map(line).collect();
        if let Some(more) = lines.len().checked_sub(DETAILS_MAX).filter(|more| *more > 0) {
            lines.sort_by_key(|line| (std::cmp::Reverse(line.weight), line.seq));
            lines.truncate(DETAILS_MAX);
            lines.sort_by_key(|line| line.seq);
            lines.push(Line { seq: known.run.seq, at: now, text: format!("… and {more} more"), weight: 0 });
        }
        let id = format!("events-{}-{}", from + 1, known.run.seq);
        let body = Body::Details(lines);
        self.put_down(&Parcel::new(&known.run, id, now, Audience::Responders, body))
    }

    fn wants_details(&self, run: &Run, now: Time) -> bool {
        let probe = Parcel::new(run, String::new(), now, Audience::Responders, Body::Details(Vec::new()));
        self.channels.iter().any(|channel| channel.takes(&probe))
    }

    /// Tells the others of a channel that has been silent for too long, once.
    fn silence(&mut self, known: &Known, now: Time) -> Result<(), Stopped> {
        let long = |since: Time| now.since(since) >= self.silent_after;
        let silent = |lane: &&Lane| lane.silence.is_none() && lane.silent_since.is_some_and(long);
        let Some((name, lane)) = self.book.page.channels.iter().find(|(_, lane)| silent(lane)) else { return Ok(()) };
        let (name, since) = (name.clone(), lane.silent_since.unwrap_or(now));
        let trouble = lane.trouble.clone().unwrap_or_default();
        let run = &known.run;
        let subject = format!("{name} cannot be reached since {}", of_day(since, now));
        let public = self.channels.iter().any(|channel| channel.name() == name && channel.is_public());
        let mut notice =
            if public { unread(run, &name, subject, &trouble) } else { known.unreachable(&name, subject, &trouble) };
        notice.urgent &= self.book.page.channels.get_mut(&name).is_some_and(|lane| lane.rings(now));
        let parcel = Parcel { not_by: vec![name.clone()], ..self.notice(run, now, notice) };
        if let Some(lane) = self.book.page.channels.get_mut(&name) {
            lane.silence = Some(parcel.id.clone());
        }
        self.put_down(&parcel)
    }

    /// The channels that take a parcel.
    fn takers(&self, parcel: &Parcel) -> Vec<&'static str> {
        let not_by = |name: &str| parcel.not_by.iter().any(|other| way(other) == way(name));
        let takers = self.channels.iter().filter(|channel| !not_by(channel.name()) && channel.takes(parcel));
        takers.map(|channel| channel.name()).collect()
    }

    /// Puts a parcel down for every channel that takes it.
    fn put_down(&mut self, parcel: &Parcel) -> Result<(), Stopped> {
        let (mut parcel, everywhere, mut takers) = (parcel, &mut None, self.takers(parcel));
        // Whoever has a role and no address of their own is told where all read: better than nowhere.
        if takers.is_empty() && parcel.role.is_some() {
            parcel = everywhere.insert(Parcel { not_by: Vec::new(), ..parcel.clone() });
            takers = self.takers(parcel);
        }
        // The next update is told against this one, even if nobody hears of it.
        if !takers.is_empty() || matches!(parcel.body, Body::Update(_)) {
            self.book.keep(parcel)?;
            for name in takers {
                self.book.page.channels.entry(name.into()).or_default().waiting.push_back(parcel.id.clone());
            }
        }
        Ok(self.book.write()?)
    }

    /// Begins what is due by every channel that is free.
    fn send(&mut self, under_way: &mut JoinSet<Brought>, busy: &mut [Option<Id>]) -> Result<(), Stopped> {
        let now = self.clock.now();
        for (at, channel) in self.channels.iter().enumerate() {
            let Page { channels, over, .. } = &mut self.book.page;
            let Some(lane) = channels.get_mut(channel.name()) else { continue };
            if busy[at].is_some() || !lane.is_due(now, over) {
                continue;
            }
            // What was begun before goes again as it was: a channel that looks for it finds it.
            let again = lane.begun > 0;
            let count = match lane.begun {
                _ if channel.newest_only() => lane.waiting.len(),
                0 if channel.bundles() => lane.waiting.len(),
                0 => 1,
                begun => begun.min(lane.waiting.len()),
            };
            lane.begun = count;
            let ids: Vec<_> = lane.waiting.iter().take(count).cloned().collect();
            let mut memory = lane.memory.clone();
            self.book.write()?;
            let parcels = ids.iter().map(|id| self.book.parcel(id)).collect::<io::Result<Vec<_>>>()?;
            let (channel, clock, crash) = (channel.clone(), self.clock.clone(), self.crash.clone());
            let task = under_way.spawn(async move {
                crash.pass(Place::Telling, Edge::Before);
                let outcome = clock.timeout(ATTEMPT, channel.deliver(&parcels, again, &mut memory)).await;
                crash.pass(Place::Telling, Edge::After);
                let silence = || Trouble::ambiguous(format!("no answer within {ATTEMPT}"));
                Brought { channel: at, parcels, memory, outcome: outcome.unwrap_or_else(|| Err(silence())) }
            });
            busy[at] = Some(task.id());
        }
        Ok(())
    }

    /// Writes down how an attempt ended.
    fn arrived(&mut self, brought: Brought) -> Result<(), Stopped> {
        let now = self.clock.now();
        let name = self.channels[brought.channel].name();
        let lane = self.book.page.channels.entry(name.into()).or_default();
        lane.memory = brought.memory;
        match brought.outcome {
            Ok(reference) => {
                // Of several only the newest stands where all is said by that.
                let newest_only = self.channels[brought.channel].newest_only();
                let stands = if newest_only { brought.parcels.len().saturating_sub(1) } else { 0 };
                for (at, parcel) in brought.parcels.iter().enumerate() {
                    // Said before it is forgotten: what is said twice is known by its id.
                    if !matches!(parcel.body, Body::Details(_)) && at >= stands {
                        let (item, channel) = (parcel.id.clone(), name.to_owned());
                        let ask = Ask::Told { item, audience: parcel.audience, channel, reference: reference.clone() };
                        self.desk.told(&format!("told-{}-{name}", parcel.id), ask)?;
                    }
                }
                let since = lane.silent_since;
                let silence = lane.arrived(&brought.parcels);
                if let Some(since) = since.filter(|_| silence.is_some()) {
                    self.desk.show(&format!("{name} can be reached again, after {}", brief(now.since(since))));
                }
                self.book.page.over.extend(silence);
            }
            Err(trouble) => {
                if let Some(said) = lane.failed(now, &brought.parcels, &trouble) {
                    self.desk.show(&format!("{name}: {said}"));
                }
            }
        }
        Ok(self.book.write()?)
    }
}
