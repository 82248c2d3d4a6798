//! `dr watch`: follow a run from another terminal. Reads only.

use super::Here;
use crate::{
    control,
    failure::{self, Failure},
    show::{self, lines::Lines},
};
use dr_engine::{duration::Dur, journal::sqlite::Feed, run::Run};

/// Follows a run until it is over.
pub fn watch(here: &Here, run: Option<&str>) -> Result<u8, Failure> {
    let id = here.state.find_or_only(run)?;
    let mut feed = Feed::open(&here.state.folder(&id))?;
    let clock = control::clock();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|e| Failure::before(e.to_string()))?;
    let lines = Lines::begin(here.json);
    let mut run: Option<Run> = None;
    loop {
        for event in feed.fresh()? {
            let illegal = |e| Failure::before(format!("the journal tells what cannot have happened: {e}"));
            match &mut run {
                None => {
                    let opened = Run::open(event.clone()).map_err(illegal)?;
                    show::aside(&show::lines::head(&opened));
                    run = Some(opened);
                }
                Some(run) => run.apply(&event).map_err(illegal)?,
            }
            if let Some(run) = &run {
                lines.events(&[event], run);
            }
        }
        if let Some(outcome) = run.as_ref().and_then(|run| run.finished) {
            lines.end();
            return Ok(failure::code(outcome, false));
        }
        runtime.block_on(clock.sleep(Dur(200)));
    }
}
