//! `dr logs`: what the command of a step printed.

use super::Here;
use crate::{
    args::Logs,
    command::resume,
    control,
    failure::{self, Failure},
    show, state,
};
use dr_engine::{duration::Dur, journal::sqlite::Feed, message, plan::StepIx, run::Run};
use dr_steps::{
    redact::{Redactor, redactor},
    text,
};
use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// The pause between two looks at logs that are followed.
const PAUSE: Dur = Dur(200);
/// A line is shown whole, so that no secret is cut in two; one longer than this is not waited for.
const LINE_BYTES_MAX: usize = 1 << 20;
/// How much of a log is read at a time.
const PART_BYTES: u64 = 1 << 20;

/// Shows the output of a step's command, control characters stripped and
/// secrets taken out.
pub fn logs(here: &Here, args: &Logs) -> Result<u8, Failure> {
    let id = here.state.find(&args.run)?;
    let folder = here.state.folder(&id);
    let mut feed = Feed::open(&folder)?;
    let mut run = state::fold(&feed.fresh()?)?;
    let step = message::place(&run, &args.step).map_err(Failure::usage)?;
    let mut logs = Shown::of(&folder, &args.step, secrets(&run));
    let clock = control::clock();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| Failure::before(e.to_string()))?;
    loop {
        // Asked before the logs are read: what was printed before the end is then shown.
        let more = args.follow && goes_on(&folder, &run, step)?;
        if !logs.show(more)? || !more {
            break;
        }
        runtime.block_on(clock.sleep(PAUSE));
        for event in feed.fresh()? {
            run.apply(&event).map_err(|e| state::illegal(&e))?;
        }
    }
    if logs.files.is_empty() {
        return Err(Failure::before(format!("`{}` has printed nothing here", args.step))
            .hint("only commands leave logs, on the host that ran them"));
    }
    if logs.last.is_none() {
        show::aside(&format!("`{}` has printed nothing", args.step));
    }
    if args.follow && !run.at_rest(step) && run.finished.is_none() {
        show::aside(&format!("no controller runs, so nothing more comes; dr resume {id} goes on"));
    }
    Ok(failure::DONE)
}

/// Whether a step may still print something.
fn goes_on(folder: &Path, run: &Run, step: StepIx) -> Result<bool, Failure> {
    Ok(!run.at_rest(step) && run.finished.is_none() && resume::alive(folder)?)
}

/// The secrets of the whole plan: a program has the environment of `dr`, and
/// may print what another step was given.
fn secrets(run: &Run) -> Redactor {
    let plan = run.plan().steps.iter().map(|step| &step.with);
    let amended = run.steps().flat_map(|(_, it)| it.amended.values());
    let (redactor, unread) = redactor(plan.chain(amended), Path::new(&run.opened.folder));
    for secret in unread {
        show::aside(&format!(
            "note: the secret `{secret}` cannot be read here, so it is not looked for in what follows"
        ));
    }
    redactor
}

/// The logs of a step, as far as they were shown.
struct Shown {
    folder: PathBuf,
    prefix: String,
    secrets: Redactor,
    files: Vec<Log>,
    /// Whose lines stand last on the screen.
    last: Option<usize>,
    /// The last line on the screen has no end.
    open: bool,
}

struct Log {
    path: PathBuf,
    file: File,
    /// Bytes read so far.
    read: u64,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
}

impl Shown {
    fn of(run: &Path, step: &str, secrets: Redactor) -> Self {
        let prefix = format!("{}.", dr_steps::process::file_name(step));
        Self { folder: run.join("logs"), prefix, secrets, files: Vec::new(), last: None, open: false }
    }

    /// Shows what is new; false when nobody reads any more. While `more` may
    /// come, the beginning of a line waits for its end.
    fn show(&mut self, more: bool) -> Result<bool, Failure> {
        let wrong = |e: io::Error| Failure::before(format!("the logs cannot be read: {e}"));
        self.find().map_err(wrong)?;
        for at in 0..self.files.len() {
            loop {
                let lines = self.files[at].lines(more).map_err(wrong)?;
                let Some(lines) = lines else { break };
                if lines.is_empty() {
                    continue;
                }
                let lines = String::from_utf8_lossy(&lines).replace("\r\n", "\n").replace('\r', "\n");
                let text = self.secrets.text(&text::clean(&lines));
                let head = if self.last.replace(at) == Some(at) {
                    String::new()
                } else {
                    let name = self.files[at].path.file_name().unwrap_or_default().to_string_lossy();
                    format!("{}== {name}\n", if self.open { "\n" } else { "" })
                };
                self.open = !text.ends_with('\n');
                if !show::printed(&(head + &text)) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Opens the logs that are new.
    fn find(&mut self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            // The first process of a run makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&self.prefix) && !self.files.iter().any(|known| known.path == *path)
        };
        let mut paths: Vec<_> = paths.filter(ours).collect();
        paths.sort();
        for path in paths {
            self.files.push(Log { file: File::open(&path)?, path, read: 0, begun: Vec::new() });
        }
        Ok(())
    }
}

impl Log {
    /// The next lines, if there are any.
    fn lines(&mut self, more: bool) -> io::Result<Option<Vec<u8>>> {
        // What a check printed is written anew each time.
        if self.file.metadata()?.len() < self.read {
            self.file.seek(SeekFrom::Start(0))?;
            (self.read, self.begun) = (0, Vec::new());
        }
        let mut bytes = std::mem::take(&mut self.begun);
        let fresh = (&mut self.file).take(PART_BYTES).read_to_end(&mut bytes)? as u64;
        self.read += fresh;
        let whole = fresh == 0 && !more || bytes.len() > LINE_BYTES_MAX;
        let end = if whole {
            bytes.len()
        } else {
            bytes.iter().rposition(|b| matches!(b, b'\n' | b'\r')).map_or(0, |at| at + 1)
        };
        self.begun = bytes.split_off(end);
        Ok((!bytes.is_empty() || fresh > 0).then_some(bytes))
    }
}
