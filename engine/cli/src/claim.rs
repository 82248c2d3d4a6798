//! The claim of a run, from its controller's side: looked at before anything
//! is written, taken before anything begins, watched while the run goes on,
//! let go at its end.
//!
//! A claim that cannot be read or written refuses a start and a resume, until
//! a person says to go on without it; it never ends what goes on already.

mod ended;
mod watch;

pub use self::ended::let_go_of_finished;

use crate::{
    args::OnClaim,
    failure::{self, Failure},
    person, show,
};
use dr_engine::{
    clock::{Clock, boottime},
    event::{Kind, Opened, Person, RunKind},
    limits::LEASE,
    outcome,
    plan::Plan,
    step::Guard,
};
use dr_steps::{
    claim::{Claim, Held, Holder, Refused, Stands},
    world::World,
};
use std::sync::{Arc, atomic::AtomicI64};

/// What a person says of a claim that stands in the way.
pub struct Wish {
    break_it: bool,
    without: bool,
    why: String,
    by: Person,
}

impl Wish {
    /// From the command line.
    pub fn of(said: OnClaim, why: Option<&str>, who: Option<&str>, plan: &Plan) -> Result<Self, Failure> {
        let OnClaim { break_claim, without_claim } = said;
        let why = why.unwrap_or_default().to_owned();
        if break_claim || without_claim {
            let said = if break_claim { "--break-claim" } else { "--without-claim" };
            if plan.claim.is_none() {
                return Err(Failure::usage(format!("{said}, but this runbook has no claim")).hint("leave it out"));
            }
            if why.trim().is_empty() {
                return Err(Failure::usage(format!("{said} wants a reason, for the report")).hint("--why TEXT"));
            }
        }
        Ok(Self { break_it: break_claim, without: without_claim, why, by: person::here(who) })
    }
}

/// A claim on its way to a run.
pub struct Claiming {
    claim: Claim,
    url: String,
    me: Holder,
    wish: Wish,
    /// Somebody's, which is to be broken.
    over: Option<Held>,
    /// A person goes on without it, since it cannot be had.
    without: Option<String>,
    /// Until when this controller may act without another look, on `CLOCK_BOOTTIME`.
    until: Arc<AtomicI64>,
}

/// Why a run goes on without a claim, or does not go on.
pub enum Untaken {
    /// A person wants it so: what is to be written down.
    Without(Kind),
    /// It is not held, for certain.
    Refused(Failure),
    /// Whether it is held is unknown.
    Doubt(Failure),
}

impl Claiming {
    /// Looks, before anything is written. Nothing when the runbook names no claim.
    pub async fn begin(
        opened: &Opened,
        epoch: u64,
        world: &Arc<World>,
        clock: &Arc<dyn Clock>,
        wish: Wish,
    ) -> Result<Option<Self>, Failure> {
        let Some(mut it) = Self::of(opened, epoch, world, clock, wish) else { return Ok(None) };
        match it.claim.look().await {
            Ok(Stands::Held(held)) if !held.by.as_ref().is_some_and(|by| by.yields_to(&it.me)) => {
                if !it.wish.break_it {
                    return Err(it.held(&held));
                }
                it.over = Some(held);
            }
            Ok(_) => {}
            Err(failure) if it.wish.without => it.without = Some(show::lines::why(&failure)),
            Err(failure) => return Err(it.unreachable("read", &failure)),
        }
        Ok(Some(it))
    }

    fn of(opened: &Opened, epoch: u64, world: &Arc<World>, clock: &Arc<dyn Clock>, wish: Wish) -> Option<Self> {
        let (claim, url) = place(&opened.plan, opened.kind, world, clock)?;
        let me = Holder {
            dr_claim: Holder::FORM,
            run: opened.run.clone(),
            runbook: opened.plan.name.clone(),
            kind: opened.kind,
            by: show::lines::name(&opened.by),
            host: person::host(),
            pid: std::process::id(),
            epoch,
            since: clock.now(),
        };
        Some(Self { claim, url, me, wish, over: None, without: None, until: Arc::new(AtomicI64::new(i64::MAX)) })
    }

    /// What is to be written down before anything is done about the claim.
    pub fn note(&self) -> Option<Kind> {
        let Self { url, wish, .. } = self;
        let text = match (&self.over, &self.without) {
            (_, Some(why)) => return Some(self.goes_without(why)),
            (Some(held), None) => format!("wants the claim {url} broken, of {}: {}", holder(held), wish.why),
            (None, None) => return None,
        };
        Some(Kind::Noted { by: wish.by.clone(), text, help_wanted: false, learned: None })
    }

    fn goes_without(&self, because: &str) -> Kind {
        let text = format!("goes on without the claim {}: {} ({because})", self.url, self.wish.why);
        Kind::Noted { by: self.wish.by.clone(), text, help_wanted: false, learned: None }
    }

    /// Takes it for the controller of this epoch, or says why not.
    pub async fn take(&mut self, epoch: u64, lease: &Arc<dyn Guard>) -> Result<(), Untaken> {
        self.me.epoch = epoch;
        if self.without.is_some() {
            return Ok(());
        }
        let before = match self.claim.take(&self.me, self.over.as_ref(), lease).await {
            Ok(before) => before,
            Err(Refused::Held(held)) => return Err(Untaken::Refused(self.held(&held))),
            Err(Refused::Failed(failure) | Refused::Doubt(failure)) if self.wish.without => {
                let why = show::lines::why(&failure);
                let note = self.goes_without(&why);
                self.without = Some(why);
                return Err(Untaken::Without(note));
            }
            Err(Refused::Failed(failure)) => return Err(Untaken::Refused(self.unreachable("taken", &failure))),
            Err(Refused::Doubt(failure)) => {
                let text = format!("whether the claim {} was written is unknown: {}", self.url, told(&failure));
                let run = &self.me.run;
                let way = format!("`dr resume {run}` looks again; with --without-claim --why TEXT it goes on");
                return Err(Untaken::Doubt(Failure::new(failure::UNKNOWN, text).hint(way)));
            }
        };
        show::aside(&format!("claimed: {}", self.url));
        // Whoever held it elsewhere learns at its next look that it does no more.
        if self.over.is_some() || before.is_some_and(|before| before.host != self.me.host) {
            show::aside(&format!("waiting {LEASE} until whoever held it before has stopped"));
            self.claim.clock.sleep(LEASE).await;
        }
        self.seen(boottime());
        Ok(())
    }

    fn held(&self, held: &Held) -> Failure {
        let url = &self.url;
        let Some(by) = &held.by else {
            return Failure::new(failure::TAKEN, format!("{url} is no claim that this version can read"))
                .hint("look who put it there; --break-claim --why TEXT writes over it");
        };
        let Holder { run, host, .. } = by;
        if *run == self.me.run {
            let text = format!("this run went on elsewhere: {url} is held by {}", holder(held));
            let way = format!(
                "go on there, or bring that copy here (dr export, dr import); when {host} is off for certain: --break-claim --why TEXT"
            );
            return Failure::new(failure::TAKEN, text).hint(way);
        }
        let text = format!("this recovery has begun already: {url} is held by {}", holder(held));
        let way =
            format!("it is followed on {host}: dr watch {run}; when it is off for certain: --break-claim --why TEXT");
        Failure::new(failure::TAKEN, text).hint(way)
    }

    fn unreachable(&self, what: &str, failure: &outcome::Failure) -> Failure {
        let text = format!("the claim {} cannot be {what}: {}", self.url, show::lines::why(failure));
        let way = failure.hint.as_ref().map_or(String::new(), |hint| format!("{hint}; "));
        let way = format!("{way}when nobody else recovers for certain: --without-claim --why TEXT");
        Failure::before(text).hint(way)
    }
}

/// The claim of a plan, and its name for people.
fn place(plan: &Plan, kind: RunKind, world: &Arc<World>, clock: &Arc<dyn Clock>) -> Option<(Claim, String)> {
    let place = plan.claim.as_ref()?;
    let claim = Claim {
        world: world.clone(),
        clock: clock.clone(),
        region: place.region.clone(),
        bucket: place.bucket.clone(),
        key: place.key_of(kind),
    };
    Some((claim, place.url(kind)))
}

/// The claim of a plan, if it names one, and who holds it, if somebody does.
pub async fn seen(
    plan: &Plan,
    kind: RunKind,
    world: &Arc<World>,
    clock: &Arc<dyn Clock>,
) -> Option<(String, Result<Option<String>, outcome::Failure>)> {
    let (claim, url) = place(plan, kind, world, clock)?;
    let stands = claim.look_once().await.map(|stands| match stands {
        Stands::Free => None,
        Stands::Held(held) => Some(holder(&held)),
    });
    Some((url, stands))
}

/// A failure in one line, with its way out.
fn told(failure: &outcome::Failure) -> String {
    let hint = failure.hint.as_ref().map_or(String::new(), |hint| format!(" — {hint}"));
    format!("{}{hint}", show::lines::why(failure))
}

/// Who holds a claim, for people.
fn holder(held: &Held) -> String {
    let Some(by) = &held.by else { return "something that this version cannot read".into() };
    let Holder { run, by: who, host, pid, since, .. } = by;
    show::plain(&format!("the {} run {run}, started by {who}, on {host} (pid {pid}) since {since}", by.kind.word()))
}
