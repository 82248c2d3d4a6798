//! Tells people of a run while it goes on: the post, in a thread of its own.
//!
//! The recovery never waits for it. What has arrived it says to the controller
//! through the inbox, like anybody else.

use crate::{
    channels::{self, Channels},
    person,
    settings::Settings,
    show,
};
use dr_comms::{
    book::Book,
    heartbeat,
    post::{Desk, Post, Source},
};
use dr_engine::{
    clock::{Clock, Time},
    crash::CrashAt,
    duration::Dur,
    event::{Event, RunKind},
    inbox::Inbox,
    journal::{self, sqlite::Feed},
    message::{Ask, Message},
    plan::hex,
    run::Run,
};
use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    thread,
};

/// So long the last words are waited for when a run is over.
pub const LINGER: Dur = Dur(20_000);
/// How often the journal is looked at: one small question to `SQLite`.
const LOOK: Dur = Dur(100);
/// The pause after telling failed as a whole.
const STUMBLED: Dur = Dur(10_000);
/// So long, when its controller leaves it.
pub const LEAVE: Dur = Dur(3_000);
/// Nobody has asked the post to leave.
const STAY: i64 = i64::MAX;

/// The post of a run, at work.
pub struct Telling {
    thread: thread::JoinHandle<()>,
    leave_at: Arc<AtomicI64>,
}

impl Telling {
    /// Begins to tell of a run, if its runbook names whom to tell. Where nobody drives it, what waits is delivered,
    /// and nothing promised: no heart beats for it.
    pub fn begin(
        (run, driven): (&Run, bool),
        folder: &Path,
        settings: &Settings,
        clock: &Arc<dyn Clock>,
        crash: &Arc<CrashAt>,
    ) -> Option<Self> {
        run.plan().comms.as_ref()?;
        let leave_at = Arc::new(AtomicI64::new(STAY));
        let (until, clock) = (leave_at.clone(), clock.clone());
        let heartbeat = run.plan().comms.as_ref().and_then(|comms| comms.heartbeat.clone());
        // Whoever watches over production from outside knows nothing of a lab.
        let ours = |url: &String| driven && (run.opened.kind != RunKind::Lab || heartbeat::stays_here(url));
        let heartbeat = heartbeat.filter(ours);
        let (folder, crash) = (folder.to_path_buf(), crash.clone());
        let (gap_min, silent_after) = (settings.update_gap_min, settings.silent_after);
        let Channels { all: channels, remarks } = channels::of(run, &folder, settings, &clock);
        for remark in &remarks {
            show::aside(remark);
        }
        let tell = move || -> Result<(), String> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
            let leave = || Some(until.load(Ordering::SeqCst)).filter(|at| *at != STAY).map(Time);
            let (beat_clock, url) = (clock.clone(), heartbeat.clone());
            let beat = async move {
                match url {
                    Some(url) => heartbeat::beat(&url, &beat_clock, show::aside).await,
                    None => std::future::pending().await,
                }
            };
            let beating = runtime.spawn(beat);
            loop {
                let told = runtime.block_on(async {
                    let Some(book) = open(&folder, &clock, leave).await.map_err(text)? else { return Ok(()) };
                    let source = Journal(Feed::open(&folder).map_err(text)?);
                    let desk = Controller(Inbox::of(&folder));
                    let (channels, clock, crash) = (channels.clone(), clock.clone(), crash.clone());
                    let only_deliver = !driven;
                    let look = LOOK;
                    let mut post =
                        Post { book, source, desk, channels, clock, look, gap_min, silent_after, only_deliver, crash };
                    post.go_on(leave).await.map_err(text)
                });
                // A disk that is full now may not be in a minute: what is written down is gone on with.
                match told {
                    Err(why) if leave().is_none() => {
                        show::aside(&format!("TELLING PEOPLE STUMBLED, and goes on in {STUMBLED}: {why}"));
                        runtime.block_on(clock.sleep(STUMBLED));
                    }
                    told => {
                        beating.abort();
                        // A channel that hangs in a name server's answer ends with the process.
                        runtime.shutdown_background();
                        return told;
                    }
                }
            }
        };
        let thread = thread::spawn(move || {
            if let Err(why) = tell() {
                show::aside(&format!("NOTHING MORE IS TOLD TO PEOPLE: {why}"));
            }
        });
        Some(Self { thread, leave_at })
    }

    /// Waits until everything has arrived, at most so long.
    pub fn end(self, clock: &Arc<dyn Clock>, most: Dur) {
        self.leave_at.store(clock.now().after(most).0, Ordering::SeqCst);
        // It ends by itself: a panic in it was said by the hook.
        self.thread.join().ok();
    }
}

/// Opens the book of a run; a controller that was taken over may have it open
/// until it wakes up and ends. `None` when it is time to leave.
async fn open(folder: &Path, clock: &Arc<dyn Clock>, leave: impl Fn() -> Option<Time>) -> io::Result<Option<Book>> {
    let mut told = false;
    loop {
        if let Some(book) = Book::open(folder)? {
            return Ok(Some(book));
        }
        if !told {
            show::aside("another process tells of this run; it is waited for");
        }
        told = true;
        if leave().is_some() {
            return Ok(None);
        }
        clock.sleep(Dur::seconds(1)).await;
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The journal of the run.
struct Journal(Feed);

impl Source for Journal {
    fn fresh(&mut self) -> Result<(Vec<Event>, String), journal::Error> {
        let events = self.0.fresh()?;
        Ok((events, hex(&self.0.head())))
    }
}

/// The controller of the run.
struct Controller(Inbox);

impl Desk for Controller {
    fn told(&mut self, id: &str, ask: Ask) -> io::Result<()> {
        let by = dr_engine::event::Person { user: "dr".into(), message: Some(id.into()), ..person::here(None) };
        self.0.send(&Message { by, ask })
    }

    fn show(&mut self, text: &str) {
        show::aside(text);
    }
}
