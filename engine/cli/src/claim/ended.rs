//! At the end of a run: its claim is let go of, also when its controller died
//! before it could.

use super::{Claiming, Wish, holder, told};
use crate::{command::Here, control, endpoints::Endpoints, failure::Failure, person, show, state::Known};
use dr_engine::{
    event::Event,
    journal::{
        Journal,
        sqlite::{self, Sqlite},
    },
    lease::Lease,
    step::Guard,
};
use dr_steps::{aws::limits, claim::Stands};
use std::sync::Arc;

impl Claiming {
    /// Lets go of it at the end. A run that has ended well is no failure
    /// because its claim still stands.
    pub async fn let_go(&self, lease: &Arc<dyn Guard>) {
        let Self { claim, url, me, .. } = self;
        match claim.clock.timeout(limits::CLAIM_LET_GO, claim.let_go(me, lease)).await {
            Some(Ok(Stands::Free)) => {}
            Some(Ok(Stands::Held(held))) => {
                show::aside(&format!("the claim {url} is left alone: it is that of {}", holder(&held)));
            }
            missed => {
                let why = missed.and_then(Result::err).map_or_else(|| "no answer came in time".into(), |e| told(&e));
                show::aside(&format!("the claim {url} may still stand, it could not be removed: {why}"));
                show::aside(&format!("`dr resume {}` tries it again", me.run));
            }
        }
    }
}

/// What became of the claim of a run that has ended: its controller may have
/// died before it let go.
pub fn let_go_of_finished(here: &Here, known: Known) {
    if known.run.plan().claim.is_none() || sqlite::holder(&known.folder).is_ok_and(|holder| holder.is_some()) {
        return;
    }
    if let Err(failure) = try_to_let_go(here, known) {
        show::aside(&format!("whether its claim still stands cannot be seen: {}", failure.message));
    }
}

fn try_to_let_go(here: &Here, mut known: Known) -> Result<(), Failure> {
    Endpoints::in_force().allow(&known.run)?;
    let clock = control::clock();
    let runtime = control::runtime()?;
    let world = crate::command::world(&known.run.opened, &known.folder, &here.settings_of(&known.run)?);
    let wish = Wish { break_it: false, without: false, why: String::new(), by: person::here(None) };
    let epoch = sqlite::epoch(&known.folder)? + 1;
    let Some(mut it) = Claiming::of(&known.run.opened, epoch, &world, &clock, wish) else { return Ok(()) };
    let stands = runtime.block_on(it.claim.look()).map_err(|failure| Failure::before(told(&failure)))?;
    let ours = matches!(&stands, Stands::Held(held) if held.by.as_ref().is_some_and(|by| by.yields_to(&it.me)));
    if !ours {
        return Ok(());
    }
    let crash = control::crash_at()?;
    let (mut journal, newer) = Sqlite::take_after(&known.folder, &person::process(), crash.clone(), false, known.mark)?;
    known.catch_up(newer)?;
    if known.run.finished.is_none() {
        return Ok(());
    }
    let joined = control::joined(journal.epoch(), None, None);
    journal.append(&[Event { seq: known.run.seq + 1, at: clock.now().max(known.run.at), kind: joined }])?;
    it.me.epoch = journal.epoch();
    let lease: Arc<dyn Guard> = Arc::new(Lease::new(known.folder.clone(), journal.epoch(), crash));
    runtime.block_on(it.let_go(&lease));
    Ok(())
}
