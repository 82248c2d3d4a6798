//! To which moment something is restored: asked for, and held to what there is.
//!
//! Services restore to whole seconds within a window whose end moves on. So a
//! moment is made concrete once, and a resumed step goes on with it.

use crate::aws::moment;
use dr_engine::{clock::Time, outcome::Failure};
use serde::{Deserialize, Serialize};

/// The moment newer than every other.
const LATEST: &str = "latest";
/// Services count in seconds.
const SECOND: i64 = 1_000;

/// The inputs that a moment follows from. A person can change them with `retry --set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// Of what.
    pub(crate) source: String,
    /// `latest`, or a moment.
    pub(crate) at: String,
    /// With `latest`: not later than this.
    pub(crate) before: Option<String>,
}

/// The moments that can be restored: from the first to the last, both among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first.
    pub(crate) first: Time,
    /// The last; its part of a second does not count.
    pub(crate) last: Time,
}

fn floor(at: Time) -> Time {
    Time(at.0.div_euclid(SECOND) * SECOND)
}

impl Window {
    /// The last moment that can be restored, not later than `before`.
    fn newest(self, before: Option<Time>) -> Option<Time> {
        let last = floor(before.map_or(self.last, |before| before.min(self.last)));
        (last >= self.first).then_some(last)
    }
}

impl Asked {
    /// What was asked for; without a moment, the latest.
    pub(crate) fn new(source: &str, at: Option<&String>, before: Option<&String>) -> Self {
        Self { source: source.to_owned(), at: at.map_or(LATEST.into(), Clone::clone), before: before.cloned() }
    }

    /// Chooses the moment, and which of these has it: of several the one that
    /// reaches furthest.
    ///
    /// # Errors
    /// When none has what was asked for; the words name what there is.
    pub(crate) fn choose<T>(&self, windows: Vec<(Window, T)>) -> Result<(Time, T), Failure> {
        let before = self.before.as_deref().map(|text| moment("before", text)).transpose()?;
        let spans: Vec<_> =
            windows.iter().map(|(window, _)| format!("from {} to {}", window.first, floor(window.last))).collect();
        let possible: Vec<_> = if self.at == LATEST {
            windows.into_iter().filter_map(|(window, it)| Some((window.newest(before)?, window, it))).collect()
        } else {
            if before.is_some() {
                return Err(Failure::new("`before` goes with `latest`, not with a moment"));
            }
            let at = moment("at", &self.at)?;
            if floor(at) != at {
                return Err(Failure::new(format!("`at` is {at}: what is restored is restored to whole seconds")));
            }
            let has = |window: &Window| window.first <= at && at <= window.last;
            windows.into_iter().filter(|(window, _)| has(window)).map(|(window, it)| (at, window, it)).collect()
        };
        let best = possible.into_iter().max_by_key(|(at, window, _)| (*at, window.last));
        best.map(|(at, _, it)| (at, it)).ok_or_else(|| {
            let limit = before.map_or(self.at.clone(), |before| format!("a moment not later than {before}"));
            let text = format!("`{}` cannot be restored to {limit}, only {}", self.source, spans.join(", or "));
            Failure::new(text).hint("`at: latest` takes the newest moment that there is")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(all: &[(i64, i64)], at: Option<&str>, before: Option<&str>) -> Result<(i64, usize), String> {
        let windows = all.iter().enumerate();
        let windows = windows.map(|(nth, (first, last))| (Window { first: Time(*first), last: Time(*last) }, nth));
        let (at, before) = (at.map(str::to_owned), before.map(str::to_owned));
        let asked = Asked::new("orders", at.as_ref(), before.as_ref());
        asked.choose(windows.collect()).map(|(at, nth)| (at.0, nth)).map_err(|failure| failure.message)
    }

    #[test]
    fn the_latest_is_a_whole_second_of_the_window_that_reaches_furthest() {
        let all = [(0, 500_000), (600_000, 900_700)];
        assert_eq!(chosen(&all, None, None), Ok((900_000, 1)));
        assert_eq!(chosen(&all, Some("latest"), None), Ok((900_000, 1)));
        // Not later than a moment between the two: the last of the first.
        assert_eq!(chosen(&all, None, Some("1970-01-01T00:09:00Z")), Ok((500_000, 0)));
        assert_eq!(chosen(&all, None, Some("1970-01-01T00:05:00.700Z")), Ok((300_000, 0)));
        // Both have it, the newer data counts.
        assert_eq!(chosen(&[(0, 500_000), (0, 900_000)], Some("1970-01-01T00:05:00Z"), None), Ok((300_000, 1)));
    }

    #[test]
    fn a_moment_has_to_lie_in_a_window() {
        let all = [(60_000, 899_000)];
        assert_eq!(chosen(&all, Some("1970-01-01T00:01:00Z"), None), Ok((60_000, 0)));
        assert_eq!(chosen(&all, Some("1970-01-01T00:14:59Z"), None), Ok((899_000, 0)));
        let span = "only from 1970-01-01T00:01:00Z to 1970-01-01T00:14:59Z";
        for at in ["1970-01-01T00:15:00Z", "1970-01-01T00:00:59Z"] {
            assert_eq!(chosen(&all, Some(at), None), Err(format!("`orders` cannot be restored to {at}, {span}")));
        }
        let early = "1970-01-01T00:00:30Z";
        let limit = format!("`orders` cannot be restored to a moment not later than {early}, {span}");
        assert_eq!(chosen(&all, None, Some(early)), Err(limit));
        let half = chosen(&all, Some("1970-01-01T00:02:00.5Z"), None);
        assert!(half.expect_err("half").contains("whole seconds"));
        let both = chosen(&all, Some("1970-01-01T00:02:00Z"), Some(early));
        assert!(both.expect_err("both").contains("goes with `latest`"));
        assert!(chosen(&all, Some("noon"), None).expect_err("no time").contains("`at` is `noon`"));
    }
}
