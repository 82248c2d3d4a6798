//! A clock under which nobody waits long, though sockets take their real time.

#![allow(unreachable_pub, reason = "it is shared by tests of several crates")]

use async_trait::async_trait;
use dr_engine::{
    clock::{Clock, SystemClock, Time},
    duration::Dur,
};

/// So many times faster than the machine's time: a call that takes half a second there is still answered in time.
pub const HASTE: i64 = 20;

/// The machine's time, but faster.
pub struct Hasty {
    real: SystemClock,
    began: Time,
    start: Time,
    haste: i64,
}

impl Hasty {
    /// Begins at `start`, and goes so many times faster.
    pub fn new(start: Time, haste: i64) -> Self {
        let real = SystemClock::new();
        let began = real.now();
        Self { real, began, start, haste }
    }
}

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Time {
        self.start.after(Dur(self.real.now().since(self.began).0 * self.haste))
    }

    async fn sleep_until(&self, until: Time) {
        self.real.sleep_until(self.began.after(Dur(until.since(self.start).0 / self.haste + 1))).await;
    }
}
