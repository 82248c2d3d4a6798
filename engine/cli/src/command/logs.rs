//! `dr logs`: what the command of a step printed.

use super::Here;
use crate::{
    args::Logs,
    control,
    failure::{self, Failure},
    show, state,
};
use dr_engine::{duration::Dur, message, run::State};
use std::{fs, path::PathBuf};

/// Shows the output of a step's command, control characters stripped.
pub fn logs(here: &Here, args: &Logs) -> Result<u8, Failure> {
    let id = here.state.find(&args.run)?;
    let folder = here.state.folder(&id);
    let (run, _) = state::load(&folder)?;
    let step = message::place(&run, &args.step).map_err(Failure::usage)?;
    let clock = control::clock();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| Failure::before(e.to_string()))?;
    let mut shown: Vec<(PathBuf, usize)> = Vec::new();
    loop {
        let (run, _) = state::load(&folder)?;
        let running = matches!(run.step(step).state, State::Running { .. } | State::Backoff { .. });
        let files = files(&folder, &args.step)?;
        for path in files {
            let text = fs::read(&path).unwrap_or_default();
            let at = shown.iter().position(|(known, _)| *known == path).unwrap_or_else(|| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                show::print(&format!("== {name}\n"));
                shown.push((path.clone(), 0));
                shown.len() - 1
            });
            let fresh = text.get(shown[at].1..).unwrap_or_default();
            shown[at].1 = text.len();
            show::print(&show::plain(&String::from_utf8_lossy(fresh)));
        }
        if !args.follow || !running {
            break;
        }
        runtime.block_on(clock.sleep(Dur(200)));
    }
    if shown.is_empty() {
        return Err(Failure::before(format!("`{}` has printed nothing here", args.step))
            .hint("only commands leave logs, on the host that ran them"));
    }
    Ok(failure::DONE)
}

fn files(folder: &std::path::Path, step: &str) -> Result<Vec<PathBuf>, Failure> {
    let prefix = format!("{}.", dr_steps::process::file_name(step));
    let entries =
        fs::read_dir(folder.join("logs")).map_err(|e| Failure::before(format!("the logs cannot be read: {e}")))?;
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    files.sort();
    Ok(files)
}
