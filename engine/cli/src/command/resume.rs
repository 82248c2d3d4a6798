//! `dr resume`: go on with a run, after a crash or a pause, here or elsewhere.

use super::Here;
use crate::{
    args::{Driving, Resume},
    break_glass::{self, Wanted},
    claim::{self, Claiming, Wish},
    control::{self, Control},
    endpoints::Endpoints,
    failure::{self, Failure},
    person, show,
    state::Known,
};
use dr_engine::{
    clock::{Clock, SystemClock},
    event::Kind,
    inbox::Inbox,
    journal::{
        self,
        sqlite::{self, Sqlite},
    },
    limits,
    message::Ask,
};
use std::{path::Path, sync::Arc};

/// Goes on with a run.
pub fn resume(here: &Here, args: Resume) -> Result<u8, Failure> {
    let id = here.state.find_or_only(args.run.as_deref())?;
    let known = Known::load(here.state.folder(&id))?;
    let run = &known.run;
    if let Some(outcome) = run.finished {
        show::aside(&format!("{id} is over: {}", show::lines::ending(outcome)));
        let code = control::over(run, outcome, args.driving.strict);
        claim::let_go_of_finished(here, known);
        return Ok(code);
    }
    if let Some(holder) = sqlite::holder(&known.folder)? {
        if run.paused && !args.take_over {
            return super::say::say(here, &id, Ask::Continue, &super::say::usual());
        }
        if !args.take_over {
            return Err(Failure::new(failure::TAKEN, format!("the run is held by {}", holder.text)).hint(format!(
                "`dr watch {id}` follows it; if it does not answer: dr resume {id} --take-over --why TEXT"
            )));
        }
    }
    let last = run.controller.as_ref();
    if let Some(last) = last.filter(|c| c.host != person::host() && !args.moved) {
        return Err(Failure::new(
            failure::TAKEN,
            format!(
                "the last controller ran on {}, its last event is of {}; this is {}",
                last.host,
                run.at,
                person::host()
            ),
        )
        .hint(format!("when that host is off for certain: dr resume {id} --moved")));
    }
    let wish = Wish::of(args.on_claim, args.why.as_deref(), None, run.plan())?;
    let glass = Wanted::of(args.break_glass, args.why.as_deref(), None)?;
    let why = args.why.clone().filter(|_| args.take_over);
    drive(here, known, why, args.driving, (wish, glass), Vec::new())
}

/// Takes a run and drives it. `then` are events that follow at once.
pub fn drive(
    here: &Here,
    mut known: Known,
    take_over: Option<String>,
    driving: Driving,
    (wish, glass): (Wish, Option<Wanted>),
    then: Vec<Kind>,
) -> Result<u8, Failure> {
    let crash = control::crash_at()?;
    let folder = known.folder.clone();
    Endpoints::in_force().allow(&known.run)?;
    let holder = sqlite::holder(&folder)?;
    let runtime = control::runtime()?;
    let mut settings = here.settings_of(&known.run)?;
    let glass = glass.map(|wanted| wanted.take(known.run.plan(), &mut settings)).transpose()?;
    let world = super::world(&known.run.opened, &folder, &settings);
    runtime.block_on(break_glass::ready(glass.as_ref(), &world))?;
    // Before anything is written, as whoever will hold the run; a journal that
    // cannot be read any more says so below.
    let next = sqlite::epoch(&folder).unwrap_or_default() + 1;
    let now = control::clock();
    let claiming = runtime.block_on(Claiming::begin(&known.run.opened, next, &world, &now, wish))?;
    let who = person::process();
    let taken = Sqlite::take_after(&folder, &who, crash.clone(), take_over.is_some(), known.mark);
    let (journal, newer) = taken.map_err(|error| match (error, &holder) {
        (error @ journal::Error::Busy { .. }, Some(holder)) => Failure::new(
            failure::TAKEN,
            format!("{error}: {} stopped in the middle of it", holder.text),
        )
        .hint(format!("end that process ({}), then: dr resume {}", kill(&holder.text), name_of(&folder))),
        (error, _) => Failure::from(error),
    })?;
    known.catch_up(newer)?;
    let mut run = known.run;
    if let Some(behind) = show::lines::behind(&run, control::clock().now()) {
        show::aside(&behind);
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::no_earlier_than(run.at));
    // Whoever raised the epoch before and died without a word may have left a living controller behind.
    let last = run.controller.as_ref().map_or(1, |c| c.epoch);
    let silent = journal.epoch() > last + 1;
    if take_over.is_some() || silent {
        let why = if take_over.is_some() { "taken over" } else { "a controller died before it began" };
        show::aside(&format!("{why}; waiting {} until the lease of the one before has run out", limits::LEASE));
        runtime.block_on(clock.sleep(limits::LEASE));
    }
    let mut first = vec![control::joined(journal.epoch(), take_over, glass)];
    if run.paused && run.finished.is_none() {
        first.push(Kind::Continued { by: person::here(None) });
    }
    first.extend(then);
    run.leaving = false;
    let control = Control {
        folder,
        journal,
        run,
        written: Vec::new(),
        first,
        fresh: false,
        claiming,
        world,
        registry: dr_steps::registry(),
        settings: &settings,
        driving,
        json: here.json,
        crash,
        clock,
    };
    here.head(&control.run, &control.first);
    control.drive(runtime)
}

/// The command that ends a process which the lock names as `pid N on HOST`.
fn kill(holder: &str) -> String {
    let pid = holder.strip_prefix("pid ").and_then(|rest| rest.split(' ').next());
    pid.map_or_else(|| holder.to_owned(), |pid| format!("kill -9 {pid}"))
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whether a controller lives that could take a message.
pub fn alive(folder: &Path) -> Result<bool, Failure> {
    Ok(sqlite::holder(folder)?.is_some())
}

/// The inbox of a run.
pub fn inbox(folder: &Path) -> Inbox {
    Inbox::of(folder)
}
