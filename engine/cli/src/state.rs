//! Where runs are kept, and how a run is found by what somebody typed.

use crate::failure::Failure;
use dr_engine::{
    clock::Time,
    event::Event,
    journal::sqlite::{self, Mark, Read},
    run::{Illegal, Run},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The way out when runs are not where they were looked for.
const ELSEWHERE: &str = "say where runs are kept: --state DIR, or DR_STATE";
/// Runs that could be meant are named up to this number, the newest first.
const NAMED_MAX: usize = 5;

/// The folder of runs.
#[derive(Debug, Clone)]
pub struct State {
    runs: PathBuf,
}

impl State {
    /// The runs under a state folder.
    pub fn at(folder: &Path) -> Self {
        Self { runs: folder.join("runs") }
    }

    /// The folder of a run.
    pub fn folder(&self, run: &str) -> PathBuf {
        self.runs.join(run)
    }

    /// Every run's id, oldest first.
    pub fn ids(&self) -> Result<Vec<String>, Failure> {
        let entries = match fs::read_dir(&self.runs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let message = format!("the runs under {} cannot be read: {error}", self.runs.display());
                return Err(Failure::before(message).hint(ELSEWHERE));
            }
            Ok(entries) => entries,
        };
        let mut ids: Vec<_> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("journal.db").exists())
            .filter_map(|entry| entry.file_name().into_string().ok())
            // One that is being taken in is not here yet.
            .filter(|id| !id.starts_with('.'))
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// That there are none, and where they were looked for.
    pub fn none(&self) -> String {
        format!("there are no runs under {}", self.runs.display())
    }

    /// The run that somebody means by the beginning of its id.
    pub fn find(&self, typed: &str) -> Result<String, Failure> {
        let ids = self.ids()?;
        // Of a shell variable that is not set; it would mean every run.
        if typed.is_empty() {
            return Err(Failure::usage("the id of the run is empty").hint("`dr status` lists the runs"));
        }
        let meant: Vec<_> = ids.iter().filter(|id| id.starts_with(typed)).collect();
        match meant.as_slice() {
            [one] => Ok((*one).clone()),
            [] => {
                let hint = match ids.last() {
                    Some(last) => format!("the last one is `{last}`; `dr status` lists all"),
                    None => format!("{}; {ELSEWHERE}", self.none()),
                };
                Err(Failure::usage(format!("there is no run `{typed}`")).hint(hint))
            }
            many if many.iter().any(|id| *id == typed) => Ok(typed.to_owned()),
            many => Err(Failure::usage(format!("`{typed}` could be {} runs", many.len()))
                .hint(newest(many.iter().map(|id| id.as_str())))),
        }
    }

    /// The only unfinished run, when none is named.
    pub fn find_or_only(&self, typed: Option<&str>) -> Result<String, Failure> {
        if let Some(typed) = typed {
            return self.find(typed);
        }
        let unfinished: Vec<_> = self.unfinished()?.into_iter().map(|(id, _)| id).collect();
        match unfinished.as_slice() {
            [one] => Ok(one.clone()),
            [] => {
                let none = self.ids()?.is_empty().then(|| format!("{}; {ELSEWHERE}", self.none()));
                Err(Failure::usage("no run is unfinished")
                    .hint(none.unwrap_or_else(|| "`dr status` lists all runs".into())))
            }
            many => Err(Failure::usage(format!("{} runs are unfinished: say which", many.len()))
                .hint(newest(many.iter().map(String::as_str)))),
        }
    }

    /// Unfinished runs that can be read.
    pub fn unfinished(&self) -> Result<Vec<(String, Run)>, Failure> {
        let runs = self.loaded()?.filter_map(|(id, run)| Some((id, run.ok()?)));
        Ok(runs.filter(|(_, run)| run.finished.is_none()).collect())
    }

    /// Every run, or why it cannot be read.
    pub fn loaded(&self) -> Result<impl Iterator<Item = (String, Result<Run, Failure>)>, Failure> {
        Ok(self.ids()?.into_iter().map(|id| (id.clone(), load(&self.folder(&id)).map(|(run, _)| run))))
    }
}

/// The newest of these runs, whose ids begin with when they began.
fn newest<'a>(ids: impl DoubleEndedIterator<Item = &'a str> + ExactSizeIterator) -> String {
    let more = ids.len().saturating_sub(NAMED_MAX);
    let named = ids.rev().take(NAMED_MAX).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} older; `dr status` lists all") }
}

/// Removes a run that was opened and may not begin. Whatever happens meanwhile,
/// it is a run or it is gone.
pub fn discard(folder: &Path) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::before(format!("{} cannot be removed: {e}", folder.display()));
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.with_file_name(format!(".discarded-{name}"));
    fs::rename(folder, &aside).map_err(failed)?;
    fs::remove_dir_all(&aside).map_err(failed)
}

/// Reads a run from its folder, and says how far.
pub fn load(folder: &Path) -> Result<(Run, Mark), Failure> {
    let mut run: Option<Run> = None;
    let take = |event| {
        match &mut run {
            Some(run) => run.apply(&event),
            None => Run::open(event).map(|opened| run = Some(opened)),
        }
        .map_err(|e| illegal(&e))
    };
    let mark = sqlite::each(folder, take)?;
    Ok((run.ok_or_else(never_opened)?, mark))
}

/// Reads the events of a run that can have happened.
pub fn history(folder: &Path) -> Result<Read, Failure> {
    let read = sqlite::read(folder)?;
    fold(&read.events)?;
    Ok(read)
}

/// A run that was read, and what is needed to go on with it.
pub struct Known {
    /// Its folder.
    pub folder: PathBuf,
    /// The run, folded from what was read.
    pub run: Run,
    /// How far it was read.
    pub mark: Mark,
}

impl Known {
    /// Reads a run from its folder.
    pub fn load(folder: PathBuf) -> Result<Self, Failure> {
        let (run, mark) = load(&folder)?;
        Ok(Self { folder, run, mark })
    }

    /// Takes in what was written since it was read.
    pub fn catch_up(&mut self, newer: Read) -> Result<(), Failure> {
        for event in newer.events {
            self.run.apply(&event).map_err(|e| illegal(&e))?;
        }
        Ok(())
    }
}

/// Folds the events of a journal.
pub fn fold(events: &[Event]) -> Result<Run, Failure> {
    let (first, rest) = events.split_first().ok_or_else(never_opened)?;
    let mut run = Run::open(first.clone()).map_err(|e| illegal(&e))?;
    rest.iter().try_for_each(|event| run.apply(event)).map_err(|e| illegal(&e))?;
    Ok(run)
}

fn never_opened() -> Failure {
    let message = "the journal is empty: the run was never opened, and nothing was done";
    Failure::before(message).hint("start it again: dr execute RUNBOOK")
}

/// A journal whose events contradict each other.
pub fn illegal(error: &Illegal) -> Failure {
    Failure::before(format!("the journal tells what cannot have happened: {error}"))
}

/// Whether this can be the id of a run: one word that names one folder, as [`new_id`] makes them.
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// A new run's id: when, what, and something to tell two of one second apart.
pub fn new_id(now: Time, runbook: &str) -> String {
    let stamp: String = now.to_string().chars().filter(char::is_ascii_digit).collect();
    let word: String = runbook.chars().take_while(char::is_ascii_alphanumeric).take(12).collect();
    let mut noise = [0_u8; 2];
    // Only to tell two ids apart; should the kernel have no noise yet, the folder's name collides and says so.
    rustix::rand::getrandom(&mut noise, rustix::rand::GetRandomFlags::NONBLOCK).ok();
    let word = if word.is_empty() { "run" } else { &word };
    format!("{}-{}-{}-{}", &stamp[..8], &stamp[8..14], word.to_lowercase(), dr_engine::plan::hex(&noise))
}
