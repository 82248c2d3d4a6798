//! A virtual terminal for `dr`: what stands on it is read as text.

use super::{Place, until};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Mode, OFlags},
    pty::OpenptFlags,
    termios::Winsize,
};
use std::{
    fs::File,
    io::Read,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use vt100::Parser;

/// A program on a terminal.
pub(crate) struct Screen {
    child: Option<Child>,
    terminal: File,
    shown: Arc<Mutex<Shown>>,
    stopped: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
}

/// How soon it is noticed that the terminal was stopped or has gone.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Between these a program draws: a terminal that knows them shows nothing half drawn
/// (synchronized output, DEC private mode 2026).
const DRAWING: &[u8] = b"\x1b[?2026h";
const DRAWN: &[u8] = b"\x1b[?2026l";

struct Shown {
    parser: Parser,
    bytes: Vec<u8>,
    /// How many of the bytes the screen has been given.
    drawn: usize,
}

impl Shown {
    /// Takes what came, and shows it as far as it is drawn whole.
    fn take(&mut self, read: &[u8]) {
        self.bytes.extend_from_slice(read);
        let waiting = &self.bytes[self.drawn..];
        let last = |mark: &[u8]| waiting.windows(mark.len()).rposition(|it| it == mark);
        let half_drawn = last(DRAWING).filter(|begin| last(DRAWN).is_none_or(|end| end < *begin));
        let half_said = (1..DRAWING.len()).find(|&len| waiting.ends_with(&DRAWING[..len]));
        let whole = half_drawn.or(half_said.map(|len| waiting.len() - len)).unwrap_or(waiting.len());
        self.parser.process(&waiting[..whole]);
        self.drawn += whole;
    }

    /// Shows what was left half drawn by a program that is no more.
    fn end(&mut self) {
        self.parser.process(&self.bytes[self.drawn..]);
        self.drawn = self.bytes.len();
    }
}

/// Takes what the program writes, as a terminal does.
struct Reader {
    terminal: File,
    shown: Arc<Mutex<Shown>>,
    stopped: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
}

impl Reader {
    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().expect("whole")
    }

    fn read(mut self) {
        let mut read = [0; 4096];
        while !self.gone.load(Ordering::SeqCst) {
            let stopped = self.stopped.load(Ordering::SeqCst);
            let mut poll = [PollFd::new(&self.terminal, PollFlags::IN)];
            let looked_at = if stopped { &mut [][..] } else { &mut poll[..] };
            if rustix::event::poll(looked_at, Some(&LOOK)).expect("a terminal that can be looked at") == 0 {
                continue;
            }
            let Ok(count @ 1..) = self.terminal.read(&mut read) else { return self.shown().end() };
            self.shown().take(&read[..count]);
        }
    }
}

impl Place {
    /// `dr` on a terminal of this size that can do what terminals can.
    pub(crate) fn screen(&self, (rows, columns): (u16, u16), args: &[&str]) -> Screen {
        let mut command = self.dr(args);
        command.env("TERM", "xterm-256color");
        Screen::begin(command, (rows, columns))
    }
}

impl Screen {
    /// Starts a program on a terminal of its own.
    pub(crate) fn begin(mut command: Command, (rows, columns): (u16, u16)) -> Self {
        let terminal =
            rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        rustix::pty::grantpt(&terminal).expect("a pty");
        rustix::pty::unlockpt(&terminal).expect("a pty");
        let name = rustix::pty::ptsname(&terminal, Vec::new()).expect("a pty");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let side = File::from(rustix::fs::open(name, flags, Mode::empty()).expect("a terminal"));
        resize(&side, rows, columns);
        command.stdout(Stdio::from(side.try_clone().expect("a handle"))).stderr(Stdio::from(side));
        let child = command.spawn().expect("it starts");
        // With the command its handles go: the terminal ends when the program does.
        drop(command);
        let terminal = File::from(terminal);
        let shown =
            Arc::new(Mutex::new(Shown { parser: Parser::new(rows, columns, 10_000), bytes: Vec::new(), drawn: 0 }));
        let stopped = Arc::new(AtomicBool::new(false));
        let gone = Arc::new(AtomicBool::new(false));
        let reader = Reader {
            terminal: terminal.try_clone().expect("a handle"),
            shown: shown.clone(),
            stopped: stopped.clone(),
            gone: gone.clone(),
        };
        thread::spawn(move || reader.read());
        Self { child: Some(child), terminal, shown, stopped, gone }
    }

    /// The rows that can be seen, without empty ones below.
    pub(crate) fn text(&self) -> String {
        let shown = self.shown.lock().expect("whole");
        let (_, columns) = shown.parser.screen().size();
        let rows: Vec<_> = shown.parser.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// All that was ever sent.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.shown.lock().expect("whole").bytes.clone()
    }

    /// Waits until it shows this.
    pub(crate) fn shows(&self, text: &str) {
        until(&format!("`{text}` on the screen"), || self.text().contains(text));
    }

    /// Ctrl-S and Ctrl-Q: nothing is taken meanwhile.
    pub(crate) fn stop(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::SeqCst);
    }

    /// Another size of the window.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.shown.lock().expect("whole").parser.screen_mut().set_size(rows, columns);
        resize(&self.terminal, rows, columns);
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        super::signal(self.child.as_ref().expect("it runs").id(), name);
    }

    /// The terminal goes away; the program stays.
    pub(crate) fn hang_up(mut self) -> Child {
        self.gone.store(true, Ordering::SeqCst);
        self.child.take().expect("it runs")
    }

    /// Waits for the end and gives the exit code.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let mut status = None;
        until("an end", || {
            status = self.child.as_mut().expect("it runs").try_wait().expect("a child");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind.
        if let Some(child) = &mut self.child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn resize(terminal: &File, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).expect("a size");
}
