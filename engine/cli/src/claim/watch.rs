//! While a run goes on: whether it still holds its claim.

use super::{Claiming, holder, told};
use crate::{
    failure::{self, Failure},
    show,
};
use dr_engine::{clock::boottime, limits::LEASE, outcome, step::Guard};
use dr_steps::{
    aws::limits,
    claim::{Held, Refused, Stands},
};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

impl Claiming {
    /// The guard of a run that holds a claim: one that has slept looks whether
    /// it still does, before it acts.
    pub fn fence(&self, lease: Arc<dyn Guard>) -> Arc<dyn Guard> {
        if self.without.is_some() { lease } else { Arc::new(Fence { lease, until: self.until.clone() }) }
    }

    /// Looks from time to time; returns when somebody else holds it. What
    /// cannot be seen ends nothing, but holds up who has slept.
    pub async fn lost(&self, lease: &Arc<dyn Guard>) -> Failure {
        if self.without.is_some() {
            return std::future::pending().await;
        }
        let clock = &self.claim.clock;
        let mut blind = false;
        let mut next = clock.now();
        loop {
            next = next.after(limits::CLAIM_EVERY).max(clock.now());
            clock.sleep_until(next).await;
            let from = boottime();
            match self.still_ours(lease).await {
                Ok(()) => {
                    // A look counts from its beginning.
                    self.seen(from);
                    if blind {
                        show::aside(&format!("the claim {} is seen again, and held", self.url));
                    }
                    blind = false;
                }
                Err(Refused::Held(held)) => return self.gone(&held),
                Err(Refused::Failed(failure) | Refused::Doubt(failure)) => {
                    // Who looks all the time misses little: more than to try cannot be done. Who
                    // has slept may have missed anything.
                    let awake = boottime() < self.until.load(Ordering::SeqCst);
                    if awake {
                        self.seen(boottime());
                    }
                    if !blind {
                        self.say_blind(awake, &failure);
                    }
                    blind = true;
                }
            }
        }
    }

    fn say_blind(&self, awake: bool, failure: &outcome::Failure) {
        let (url, why) = (&self.url, told(failure));
        if awake {
            return show::aside(&format!("the claim {url} cannot be seen; the recovery goes on: {why}"));
        }
        show::aside(&format!("the claim {url} cannot be seen after a pause; nothing is sent until it is: {why}"));
        show::aside(&format!("to go on all the same: Ctrl-C, dr resume {} --without-claim --why TEXT", self.me.run));
    }

    async fn still_ours(&self, lease: &Arc<dyn Guard>) -> Result<(), Refused> {
        match self.claim.look_once().await.map_err(Refused::Failed)? {
            Stands::Held(held) if held.by.as_ref().is_some_and(|by| by.is(&self.me)) => Ok(()),
            Stands::Held(held) => Err(Refused::Held(held)),
            // Somebody removed it by hand: it is taken again, unless another was faster.
            Stands::Free => self.claim.take(&self.me, None, lease).await.map(drop),
        }
    }

    /// From a look at that moment on this controller may act for a lease.
    pub(super) fn seen(&self, at: i64) {
        self.until.store(at + LEASE.0, Ordering::SeqCst);
    }

    fn gone(&self, held: &Held) -> Failure {
        if held.by.as_ref().is_some_and(|by| by.run == self.me.run) {
            let Failure { message, .. } = self.held(held);
            let way = format!("follow it there: dr watch {}", self.me.run);
            return Failure::new(failure::TAKEN, format!("{message}; this controller ends")).hint(way);
        }
        let text = format!("the claim {} is now held by {}; this controller ends", self.url, holder(held));
        let way = format!("agree on who recovers; then: dr resume {} --break-claim --why TEXT", self.me.run);
        Failure::new(failure::TAKEN, text).hint(way)
    }
}

/// The lease, and a look at the claim no longer ago than a lease.
struct Fence {
    lease: Arc<dyn Guard>,
    until: Arc<AtomicI64>,
}

impl Guard for Fence {
    fn before(&self) -> Result<(), outcome::Failure> {
        if boottime() >= self.until.load(Ordering::SeqCst) {
            let text = format!("whether this run still holds its claim was not seen for {LEASE}: nothing was sent");
            return Err(outcome::Failure::passing(text));
        }
        self.lease.before()
    }

    fn after(&self) {
        self.lease.after();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dr_engine::testing::Calls;

    #[test]
    fn who_has_not_looked_for_a_lease_sends_nothing() {
        let calls = Arc::new(Calls::default());
        let until = Arc::new(AtomicI64::new(boottime() - 1));
        let fence = Fence { lease: calls.clone(), until: until.clone() };
        let refused = fence.before().expect_err("too long ago");
        assert!(refused.transient && refused.message.ends_with("nothing was sent"), "{refused:?}");
        assert_eq!(calls.before.load(Ordering::SeqCst), 0);
        until.store(boottime() + LEASE.0, Ordering::SeqCst);
        assert_eq!(fence.before(), Ok(()));
        fence.after();
        assert_eq!((calls.before.load(Ordering::SeqCst), calls.after.load(Ordering::SeqCst)), (1, 1));
    }
}
