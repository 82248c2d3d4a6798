//! Time: the only door through which any part of `dr` learns what time it is
//! or waits. `clippy.toml` bans every other.
//!
//! Two clocks: the system's, and a simulated one under which a recovery of
//! hours passes in milliseconds, for dry runs and for tests.

use crate::duration::Dur;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{fmt, future::Future, time::Duration};

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Whole milliseconds, because timers have no finer grain: a time that was
/// written and read back is the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The time that has passed since `earlier`; negative when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Time) -> Dur {
        Dur(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` later.
    #[must_use]
    pub fn after(self, by: Dur) -> Time {
        Time(self.0.saturating_add(by.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => write!(f, "{}", stamp.strftime("%Y-%m-%dT%H:%M:%SZ")),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// What time it is, and waiting until it is later.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The present moment. Never earlier than what it said before.
    fn now(&self) -> Time;

    /// Returns once `now()` has reached `until`.
    async fn sleep_until(&self, until: Time);
}

impl dyn Clock {
    /// Waits for `span`.
    pub async fn sleep(&self, span: Dur) {
        self.sleep_until(self.now().after(span)).await;
    }

    /// What `work` gives, or `None` when it took longer than `limit`; it is
    /// dropped then, wherever it was.
    pub async fn timeout<F: Future>(&self, limit: Dur, work: F) -> Option<F::Output> {
        let deadline = self.now().after(limit);
        tokio::select! {
            biased;
            output = work => Some(output),
            () = self.sleep_until(deadline) => None,
        }
    }
}

/// The machine's time.
///
/// The wall clock is read once; from then on time advances with
/// `CLOCK_BOOTTIME`, which cannot jump and goes on while the machine sleeps.
/// A wall clock that is set while a recovery runs therefore moves no deadline.
#[derive(Debug)]
pub struct SystemClock {
    wall_start: i64,
    boot_start: i64,
}

impl SystemClock {
    /// A clock that agrees with the wall clock at this moment.
    #[expect(clippy::new_without_default, reason = "reading the clock is not a default value")]
    pub fn new() -> Self {
        let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Self { wall_start: millis(wall), boot_start: boottime() }
    }

    /// A clock that begins no earlier than this, for a run whose events come
    /// from a host whose clock was ahead: what waits for a moment of that run
    /// must not wait until this host's clock has caught up.
    pub fn no_earlier_than(start: Time) -> Self {
        let clock = Self::new();
        Self { wall_start: clock.wall_start.max(start.0), ..clock }
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time(self.wall_start + (boottime() - self.boot_start))
    }

    async fn sleep_until(&self, until: Time) {
        // The runtime's timers stand still while the machine sleeps: look again after waking.
        loop {
            let left = until.since(self.now()).0;
            if left <= 0 {
                return;
            }
            wait(u64::try_from(left).expect("positive")).await;
        }
    }
}

/// A clock that a paused runtime moves forward whenever nothing else can run.
///
/// Only for a current-thread runtime built with `start_paused`, with nothing
/// in it that waits for the real world: a socket would time out at once.
#[derive(Debug)]
pub struct SimClock {
    start: Time,
    origin: tokio::time::Instant,
}

impl SimClock {
    /// A simulated clock that says `start` now.
    #[expect(clippy::disallowed_methods, reason = "this is the Clock")]
    pub fn new(start: Time) -> Self {
        Self { start, origin: tokio::time::Instant::now() }
    }
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Time {
        self.start.after(Dur(i64::try_from(self.origin.elapsed().as_millis()).expect("simulations end")))
    }

    async fn sleep_until(&self, until: Time) {
        let left = until.since(self.now()).0;
        if left > 0 {
            wait(u64::try_from(left).expect("positive")).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the Clock")]
async fn wait(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Milliseconds since the machine was started, its sleep included. The lease
/// of a controller is measured with it.
pub fn boottime() -> i64 {
    millis(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
}

fn millis(spec: rustix::time::Timespec) -> i64 {
    spec.tv_sec * 1000 + spec.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock whose wall clock was set by `jump` after it began.
    fn after_a_jump(jump: i64) -> SystemClock {
        let clock = SystemClock::new();
        SystemClock { wall_start: clock.wall_start - jump, ..clock }
    }

    #[tokio::test]
    async fn a_wall_clock_that_is_set_moves_no_deadline() {
        for jump in [3_600_000, -3_600_000] {
            let clock: std::sync::Arc<dyn Clock> = std::sync::Arc::new(after_a_jump(jump));
            let (began, boot) = (clock.now(), boottime());
            assert_eq!(clock.timeout(Dur(30), std::future::pending::<()>()).await, None);
            let (passed, real) = (clock.now().since(began).0, boottime() - boot);
            assert!((30..=real).contains(&passed), "{passed} ms of {real} ms, jump {jump}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_a_run_begins_at_its_last_event() {
        let now = SystemClock::new().now();
        let ahead = SystemClock::no_earlier_than(now.after(Dur(60_000))).now();
        assert!((60_000..70_000).contains(&ahead.since(now).0));
        let level = SystemClock::no_earlier_than(now.after(Dur(-60_000))).now();
        assert!((0..10_000).contains(&level.since(now).0));
    }
}
