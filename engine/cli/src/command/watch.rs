//! `dr watch`: follow a run from another terminal. Reads only.

use super::Here;
use crate::{
    args::Watch,
    channels::{self, Channels},
    control,
    failure::{self, Failure},
    show::{
        self,
        says::{self, Words},
        screen::Screen,
    },
    state,
};
use dr_comms::dead_man::{self, DeadMan, Seen, Spoken};
use dr_engine::{
    clock::Clock,
    duration::Dur,
    executor::Observer,
    journal::sqlite::{self, Feed},
    run::Run,
};
use std::{path::Path, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

/// The pause between two looks at the journal.
const LOOK: Dur = Dur(100);
/// So many looks pass until it is asked again what steps say, and whether anybody drives the run.
const SELDOM: u32 = 10;

/// Follows a run until it is over, or until nobody wants to see more.
pub fn watch(here: &Here, args: &Watch) -> Result<u8, Failure> {
    let id = here.state.find_or_only(args.run.as_deref())?;
    let folder = here.state.folder(&id);
    let runtime = control::runtime()?;
    if args.dead_man {
        return runtime.block_on(watch_over(here, &folder, &args.grace));
    }
    runtime.block_on(async {
        let failed = |e| Failure::before(format!("signals cannot be heard: {e}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let (mut screen, clock) = (None, control::clock());
        let outcome = tokio::select! {
            outcome = follow(here, &folder, &clock, &mut screen) => outcome,
            Some(()) = interrupt.recv() => Ok(failure::INTERRUPTED),
            Some(()) = terminate.recv() => Ok(failure::INTERRUPTED),
        };
        match screen {
            Some(screen) if outcome.is_ok() => drop(screen.end()),
            Some(screen) => screen.close(),
            None => {}
        }
        outcome
    })
}

/// Speaks when whoever tells of the run has gone silent; ends with the run.
async fn watch_over(here: &Here, folder: &Path, grace: &str) -> Result<u8, Failure> {
    let grace = grace.parse().map_err(|e| Failure::usage(format!("--grace: {e}")))?;
    let clock = control::clock();
    let (run, _) = state::load(folder)?;
    let Channels { all: channels, remarks } = channels::of(&run, folder, &here.settings_of(&run)?, &clock);
    for remark in &remarks {
        show::aside(remark);
    }
    if channels.is_empty() {
        return Err(Failure::before("the runbook names nobody who could be told").hint("give it `comms`"));
    }
    let watch = DeadMan { folder, channels, clock: clock.clone(), grace };
    let (mut spoken, mut said) = (Spoken::default(), None);
    loop {
        let seen = watch.look(&mut spoken).await;
        if Some(&seen) != said.as_ref() {
            match &seen {
                Seen::Kept(next) => show::aside(&format!("an update is promised for {next}")),
                Seen::Broken(promised, became) => {
                    show::aside(&format!("THE UPDATE PROMISED FOR {promised} DID NOT COME; {}", became.join("; ")));
                }
                Seen::Unread(why) => show::aside(&format!("{why}; looked at again every {}", dead_man::LOOK)),
                Seen::Over => {
                    show::aside("the run is over, and people were told what could be told");
                    return Ok(failure::DONE);
                }
            }
        }
        said = Some(seen);
        clock.sleep(dead_man::LOOK).await;
    }
}

async fn follow(here: &Here, folder: &Path, clock: &Arc<dyn Clock>, shown: &mut Option<Screen>) -> Result<u8, Failure> {
    let illegal = |e| Failure::before(format!("the journal tells what cannot have happened: {e}"));
    let mut feed = Feed::open(folder)?;
    let mut run: Option<Run> = None;
    let (mut looks, mut words) = (0_u32, Words::new());
    loop {
        let mut events = feed.fresh()?.into_iter();
        if run.is_none()
            && let Some(first) = events.next()
        {
            let opened = Run::open(first.clone()).map_err(illegal)?;
            show::aside(&show::lines::head(&opened));
            let screen = shown.insert(Screen::begin(here.json, &opened, folder, clock));
            screen.before(&[first], &opened);
            run = Some(opened);
        }
        if let (Some(run), Some(screen)) = (&mut run, shown.as_mut()) {
            for event in events {
                run.apply(&event).map_err(illegal)?;
                screen.told(&[event], run);
            }
            if let Some(outcome) = run.finished {
                return Ok(failure::code(run, outcome, false));
            }
            if looks.is_multiple_of(SELDOM) {
                let now = says::read(folder);
                let new = now.iter().filter(|(step, text)| words.get(*step) != Some(*text));
                new.for_each(|(step, text)| screen.says(step, text));
                words = now;
                screen.attended(sqlite::holder(folder)?.is_some());
            }
        }
        looks = looks.wrapping_add(1);
        clock.sleep(LOOK).await;
    }
}
