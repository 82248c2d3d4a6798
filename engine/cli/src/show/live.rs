//! A run on a terminal: what happened scrolls by, and below it stands a
//! picture of the present.
//!
//! It folds the events by itself, in a thread of its own: a terminal that is
//! stopped, slow or gone holds up the picture, never the recovery. Events that
//! had to be left out meanwhile are read from the journal: none is ever lost.

mod draw;

use super::{
    frame::{Line, Tone},
    lines,
};
use dr_engine::{clock::Clock, event::Event, run::Run};
use draw::Drawing;
use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

/// How much may wait to be drawn. What comes after that is read from the journal.
const BEHIND_MAX: usize = 500;
/// How long the end waits for a terminal that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The picture, while there is one: what is said beside it goes above it.
static PICTURE: Mutex<Option<Teller>> = Mutex::new(None);

/// A run on a terminal.
pub struct Live {
    teller: Teller,
    /// Nothing ever comes from here; it is closed when all is drawn.
    drawn: mpsc::Receiver<()>,
}

/// What the drawing thread hears of.
enum Heard {
    /// These events are written.
    Events(Vec<Event>),
    /// A running step says something.
    Says(String, String),
    /// Lines to stand above.
    News(Vec<Line>),
    /// Whether anybody drives the run.
    Attended(bool),
    /// Look at what is shared.
    Wake,
}

/// What both sides look at.
#[derive(Default)]
struct Shared {
    /// Something was left out, because nothing was taken.
    missed: AtomicBool,
    /// Nothing more comes.
    ended: AtomicBool,
    /// A summary is to be left behind.
    summary: AtomicBool,
    /// The summary stands on the terminal.
    said: AtomicBool,
    /// So many pieces of text the terminal has taken.
    taken: AtomicU64,
}

/// A way to tell the drawing thread something, which never waits.
#[derive(Clone)]
pub struct Teller {
    to: mpsc::SyncSender<Heard>,
    shared: Arc<Shared>,
}

impl Live {
    /// Begins to draw this run on standard output.
    pub fn begin(run: Run, folder: &Path, clock: Arc<dyn Clock>) -> Self {
        let (to, heard) = mpsc::sync_channel(BEHIND_MAX);
        let (drawing, drawn) = mpsc::channel();
        let teller = Teller { to, shared: Arc::default() };
        *PICTURE.lock().unwrap_or_else(PoisonError::into_inner) = Some(teller.clone());
        let mut pen = Drawing::new(run, folder, clock, teller.shared.clone());
        thread::spawn(move || {
            let _drawing: mpsc::Sender<()> = drawing;
            pen.go_on(&heard);
        });
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A step that panics is a failed step; its cry must not tear the picture.
            if !above(&panic.to_string()) {
                before(panic);
            }
        }));
        Self { teller, drawn }
    }

    /// Shows events that the run has taken in already.
    pub fn before(&self, events: &[Event], run: &Run) {
        let news = events.iter().filter_map(|event| lines::sentence(event, run));
        self.teller.tell(Heard::News(news.map(|text| Line { text, tone: Tone::Calm }).collect()));
    }

    /// A way to tell it something.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    /// Takes the picture away and leaves a summary; whether the terminal took it.
    pub fn end(self) -> bool {
        self.teller.shared.summary.store(true, Ordering::SeqCst);
        self.last_words()
    }

    /// Takes the picture away.
    pub fn close(self) {
        self.last_words();
    }

    /// Waits until all is drawn: for a slow terminal, not for one that takes nothing.
    fn last_words(self) -> bool {
        let shared = self.teller.shared.clone();
        shared.ended.store(true, Ordering::SeqCst);
        self.teller.tell(Heard::Wake);
        let mut before = shared.taken.load(Ordering::SeqCst);
        while self.drawn.recv_timeout(LAST_WORDS) == Err(mpsc::RecvTimeoutError::Timeout) {
            let taken = shared.taken.load(Ordering::SeqCst);
            if taken == before {
                break;
            }
            before = taken;
        }
        *PICTURE.lock().unwrap_or_else(PoisonError::into_inner) = None;
        shared.said.load(Ordering::SeqCst)
    }
}

impl Teller {
    /// These events are written.
    pub fn events(&self, events: Vec<Event>) {
        self.tell(Heard::Events(events));
    }

    /// A running step says something.
    pub fn says(&self, step: &str, text: &str) {
        self.tell(Heard::Says(step.into(), text.into()));
    }

    /// Whether anybody drives the run.
    pub fn attended(&self, attended: bool) {
        self.tell(Heard::Attended(attended));
    }

    fn tell(&self, heard: Heard) -> bool {
        match self.to.try_send(heard) {
            Ok(()) => true,
            Err(mpsc::TrySendError::Full(_)) => {
                self.shared.missed.store(true, Ordering::SeqCst);
                true
            }
            // The terminal is gone.
            Err(mpsc::TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Says something above the picture; `false` when there is none.
pub fn above(text: &str) -> bool {
    let picture = PICTURE.lock().unwrap_or_else(PoisonError::into_inner);
    let line = Line { text: text.into(), tone: Tone::Head };
    picture.as_ref().is_some_and(|teller| teller.tell(Heard::News(vec![line])))
}
