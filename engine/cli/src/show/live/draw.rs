//! The thread that draws: when something happened, and once a second for the clocks.

use super::{Heard, Shared};
use crate::show::{
    frame::{Line, Scene, Tone},
    lines,
    paint::Painter,
    plain,
    summary::summary,
};
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    event::{Deadline, Event, Kind, Skipper},
    journal::sqlite,
    report::{self, Forecast},
    run::{Run, State},
};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

/// How often the clocks move.
const TICK: Duration = Duration::from_secs(1);
/// The pause between two pictures: what happens meanwhile is seen together.
const PAUSE: Dur = Dur(100);
/// A forecast is made anew after so many times the time that it took: at most a fiftieth goes into it.
const FORECAST_SHARE: i64 = 50;
/// A picture is drawn whole this often, in case something else wrote to the terminal.
const WHOLE: Dur = Dur(10_000);
/// Who was not awake for so long was stopped, and another had the terminal.
const ASLEEP: Dur = Dur(3_000);
/// So much that nobody need act on has a line each when it comes at the same time; more share one.
const QUIET_MAX: usize = 12;
/// What is written at once: how far a slow terminal has come is known by it.
const CHUNK: usize = 512;

/// A line about what happened.
struct News {
    line: Line,
    /// Nobody need act on it.
    quiet: bool,
}

pub(super) struct Drawing {
    run: Run,
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    says: BTreeMap<String, String>,
    unattended: bool,
    news: Vec<News>,
    painter: Painter,
    size: (usize, usize),
    drawn_at: Time,
    whole_at: Time,
    /// The last forecast.
    forecast: Option<Forecast>,
    /// It need not be made anew before.
    forecast_until: Time,
    /// Our own mistake: no picture can be drawn, lines go on.
    broken: bool,
}

impl Drawing {
    pub(super) fn new(run: Run, folder: &Path, clock: Arc<dyn Clock>, shared: Arc<Shared>) -> Self {
        let now = clock.now();
        Self {
            run,
            folder: folder.into(),
            clock,
            shared,
            says: BTreeMap::new(),
            unattended: false,
            news: Vec::new(),
            painter: Painter::default(),
            size: size(),
            drawn_at: now,
            whole_at: now,
            forecast: None,
            forecast_until: now,
            broken: false,
        }
    }

    /// Draws until nothing more comes, or the terminal is gone.
    pub(super) fn go_on(&mut self, heard: &mpsc::Receiver<Heard>) {
        while self.draw().is_ok() {
            match heard.recv_timeout(TICK) {
                Ok(first) => self.take(first),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            let next = self.drawn_at.after(PAUSE);
            while let Some(left) = self.until(next)
                && let Ok(more) = heard.recv_timeout(left)
            {
                self.take(more);
            }
            // Whatever was told before the end was told is here by then.
            let ended = self.shared.ended.load(Ordering::SeqCst);
            while let Ok(more) = heard.try_recv() {
                self.take(more);
            }
            if self.shared.missed.swap(false, Ordering::SeqCst) {
                self.catch_up();
            }
            if ended {
                self.end().ok();
                return;
            }
        }
    }

    fn until(&self, next: Time) -> Option<Duration> {
        let left = next.since(self.clock.now()).0;
        let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
        (!self.shared.ended.load(Ordering::SeqCst)).then(|| Duration::from_millis(left))
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Wake => {}
            Heard::Attended(attended) => self.unattended = !attended,
            Heard::News(lines) => self.news.extend(lines.into_iter().map(|line| News { line, quiet: false })),
            Heard::Says(step, text) => drop(self.says.insert(step, text)),
            Heard::Events(events) => {
                if events.first().is_some_and(|first| first.seq > self.run.seq + 1) {
                    self.catch_up();
                }
                for event in &events {
                    self.event(event);
                }
            }
        }
    }

    /// Takes in what was written while the terminal took nothing.
    fn catch_up(&mut self) {
        // A journal that cannot be read now can be in a moment: what comes then begins with a gap again.
        let Ok(read) = sqlite::read(&self.folder) else {
            self.shared.missed.store(true, Ordering::SeqCst);
            return;
        };
        for event in &read.events {
            self.event(event);
        }
    }

    fn event(&mut self, event: &Event) {
        // What was read from the journal already, or does not follow: never twice, never out of order.
        if event.seq != self.run.seq + 1 || self.run.apply(event).is_err() {
            return;
        }
        if let Some(step) = event.kind.step()
            && !matches!(self.run.step(step).state, State::Running { .. })
        {
            self.says.remove(&self.run.plan().step(step).id);
        }
        let tone = match &event.kind {
            // The picture shows what runs.
            Kind::Started { .. } => return,
            Kind::Failed { .. } | Kind::AttemptFailed { .. } | Kind::InDoubt { .. } | Kind::UndoFailed { .. } => {
                Tone::Late
            }
            Kind::DeadlinePassed { which: Deadline::Estimate(_) } => Tone::Calm,
            Kind::DeadlinePassed { .. } => Tone::Late,
            Kind::Asked { .. } => Tone::Ask,
            _ => Tone::Calm,
        };
        let quiet = matches!(
            event.kind,
            Kind::Succeeded { .. }
                | Kind::UndoDone { .. }
                | Kind::Skipped { by: Skipper::Condition, .. }
                | Kind::DeadlinePassed { which: Deadline::Estimate(_) }
        );
        if let Some(text) = lines::sentence(event, &self.run) {
            self.news.push(News { line: Line { text, tone }, quiet });
        }
    }

    /// What happened since the last picture; many good ends are one line.
    fn told(&mut self) -> Vec<Line> {
        let news = std::mem::take(&mut self.news);
        let quiet = news.iter().filter(|news| news.quiet).count();
        if quiet <= QUIET_MAX {
            return news.into_iter().map(|news| news.line).collect();
        }
        let last = news.iter().rposition(|news| news.quiet);
        let folded = news.into_iter().enumerate().filter_map(|(at, news)| match news.quiet {
            true if Some(at) != last => None,
            true => Some(Line { text: format!("{} (and {} more)", news.line.text, quiet - 1), ..news.line }),
            false => Some(news.line),
        });
        folded.collect()
    }

    fn draw(&mut self) -> io::Result<()> {
        let (now, size) = (self.clock.now(), size());
        if size != self.size || now.since(self.drawn_at) > ASLEEP || now.since(self.whole_at) > WHOLE {
            self.painter.doubt();
            self.whole_at = now;
        }
        (self.size, self.drawn_at) = (size, now);
        let picture = if foreground() { self.picture(now) } else { Vec::new() };
        let news = self.told();
        let bytes = self.painter.paint(&news, picture, size.0);
        self.write(&bytes)?;
        self.drawn_at = self.clock.now();
        Ok(())
    }

    fn picture(&mut self, now: Time) -> Vec<Line> {
        if self.broken {
            return Vec::new();
        }
        // It looks at every need of the plan, which may be very many.
        if now >= self.forecast_until {
            self.forecast = report::forecast(&self.run, now);
            let made = self.clock.now();
            self.forecast_until = made.after(Dur(made.since(now).0.saturating_mul(FORECAST_SHARE)));
        }
        let scene = Scene {
            run: &self.run,
            now,
            forecast: self.forecast,
            says: &self.says,
            unattended: self.unattended,
            columns: self.size.0,
            rows: self.size.1,
        };
        catch_unwind(AssertUnwindSafe(|| scene.draw())).unwrap_or_else(|_| {
            self.broken = true;
            let text = "the live view cannot be drawn (this is a defect of dr); the run goes on, in lines".into();
            self.news.push(News { line: Line { text, tone: Tone::Late }, quiet: false });
            Vec::new()
        })
    }

    /// The last news, and what is left behind instead of the picture.
    fn end(&mut self) -> io::Result<()> {
        let news = self.told();
        let last = self.painter.clear() + &self.painter.paint(&news, Vec::new(), self.size.0);
        self.write(&last)?;
        if !self.shared.summary.load(Ordering::SeqCst) {
            return Ok(());
        }
        let events = sqlite::read(&self.folder).map(|read| read.events).unwrap_or_default();
        if let Some(text) = summary(&events, self.clock.now()) {
            self.write(&format!("\r\n{}", plain(&text).replace('\n', "\r\n")))?;
            self.shared.said.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn write(&self, bytes: &str) -> io::Result<()> {
        let mut out = io::stdout();
        for chunk in bytes.as_bytes().chunks(CHUNK) {
            out.write_all(chunk)?;
            out.flush()?;
            self.shared.taken.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Columns and rows of the terminal, as far as it tells.
fn size() -> (usize, usize) {
    let told = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    told.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// Whether the terminal is ours to draw on; a run in the background of a shell says lines.
fn foreground() -> bool {
    rustix::termios::tcgetpgrp(io::stdout()).map_or(true, |group| group == rustix::process::getpgrp())
}
