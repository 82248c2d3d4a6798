//! How old the newest write is that was found: the recovery point, measured at
//! the data itself.

use crate::limits;
use dr_engine::{clock::Time, duration::Dur, outcome::Failure, step::ReadCx};
use serde_json::{Map, Value, json};

/// From this number on a time counts milliseconds, below it seconds: in
/// seconds it is the year 5138, in milliseconds 1973.
const MILLIS_FROM: f64 = 1e11;

/// A time as people and programs write it: with its zone, or counted since 1970.
pub(crate) fn moment(text: &str) -> Option<Time> {
    let text = text.trim();
    if let Ok(stamp) = text.parse::<jiff::Timestamp>() {
        return Some(Time(stamp.as_millisecond()));
    }
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)?;
    let millis = if number < MILLIS_FROM { number * 1_000.0 } else { number };
    #[expect(clippy::cast_possible_truncation, reason = "a part of a millisecond; beyond all years it saturates")]
    Some(Time(millis as i64))
}

/// The time that stands in `text`, or in words that it is more than `age_max`
/// older than the incident.
///
/// # Errors
/// When it is no time, or one that lies in the future: nothing can be measured by it.
pub(crate) fn judge(cx: &ReadCx, text: &str, age_max: Dur) -> Result<Result<Time, String>, Failure> {
    let Some(at) = moment(text) else {
        let text: String = text.chars().take(limits::QUOTE_CHARS_MAX).collect();
        let failure = Failure::new(format!("what is written there is no time: `{text}`"));
        return Err(failure.hint("it takes a time as in 2026-11-22T06:15:00Z, or seconds or milliseconds since 1970"));
    };
    let ahead = at.since(cx.clock.now());
    if ahead > limits::CANARY_AHEAD_MAX {
        let failure = Failure::new(format!("what is written there lies {ahead} in the future: {at}"));
        return Err(failure.hint("whoever writes it has a clock that is wrong: nothing can be measured by it"));
    }
    let age = cx.run.incident_at.since(at);
    let old = || format!("the newest is {age} older than the incident, of {at}; wanted within {age_max}");
    Ok(if age <= age_max { Ok(at) } else { Err(old()) })
}

/// The time for other steps.
pub(crate) fn values(cx: &ReadCx, at: Time) -> Map<String, Value> {
    let before = cx.run.incident_at.since(at).max(Dur(0));
    let values = json!({ "written_at": at.to_string(), "before_incident_ms": before.0 });
    values.as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_however_it_is_written() {
        for text in [
            "2026-11-22T06:15:00Z",
            "2026-11-22T07:15:00+01:00\n",
            "2026-11-22 06:15:00+00",
            "2026-11-22 06:15:00.000000Z",
            "1795328100",
            "1795328100000",
            "1795328100.0",
        ] {
            assert_eq!(moment(text), Some(Time(1_795_328_100_000)), "{text}");
        }
        for text in ["", "yesterday", "-5", "0", "NaN", "inf", "2026-11-22", "2026-11-22 06:15:00", "<html>"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }
}
