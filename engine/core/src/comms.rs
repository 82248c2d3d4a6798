//! Who hears of a recovery, where, and how often: what a runbook says under `comms`.

mod status_page;

pub use status_page::{CustomersPage, Health, Impact, Messages, State};

use crate::duration::Dur;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::{borrow::Cow, fmt};

/// Who hears of the recovery, where, and how often.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comms {
    /// The channel in which the recovery is coordinated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackChannel>,
    /// Who gets the updates by mail, beside those in `roles` who have an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<To>,
    /// Who gets an SMS when Slack or mail cannot be reached, or nobody tells any more: these numbers, beside those in
    /// `roles` whose `phone` is one. In international form, as in `+49 30 901820`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<To>,
    /// The status page that customers read, kept up to date by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_page: Option<CustomersPage>,
    /// Where people meet when Slack cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// How often executives hear: `1h`, or a list such as `[30m for 2h, 1h]`. Default 1h.
    #[serde(default, skip_serializing_if = "Every::is_usual")]
    pub every: Every,
    /// The updates in your own words: a template (Jinja) over the facts. A line `# Title` begins a part. Mark,
    /// headline, next update and signature stand around it, whatever it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// An address that is called every minute while a controller runs: a dead-man's switch outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<String>,
}

/// A Slack channel.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlackChannel {
    /// Its name.
    pub channel: String,
    /// Make it when it does not exist.
    #[serde(default)]
    pub create: bool,
    /// Whom to invite, by member id, beside those in `roles` who have one.
    #[serde(default)]
    pub invite: Vec<String>,
}

/// Recipients.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// Their addresses or numbers.
    pub to: Vec<String>,
}

/// How often: one duration, or several one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Every(Vec<Stretch>);

/// A gap between updates, and for how long it holds; the last holds to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stretch {
    gap: Dur,
    during: Option<Dur>,
}

/// The gap, if none is named.
const USUAL: Dur = Dur(60 * 60 * 1000);

impl Default for Every {
    fn default() -> Self {
        Self(vec![Stretch { gap: USUAL, during: None }])
    }
}

impl Every {
    /// The gap after an update that was made so long after the run began.
    pub fn gap(&self, since: Dur) -> Dur {
        let mut end = Dur(0);
        let holds = |stretch: &&Stretch| match stretch.during {
            Some(during) => {
                end = Dur(end.0.saturating_add(during.0));
                since < end
            }
            None => true,
        };
        self.0.iter().find(holds).or(self.0.last()).map_or(USUAL, |stretch| stretch.gap)
    }

    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    fn parse(texts: &[String]) -> Result<Self, String> {
        let one = |text: &String| {
            let (gap, during) = match text.split_once(" for ") {
                Some((gap, during)) => (gap, Some(during)),
                None => (text.as_str(), None),
            };
            let parse = |text: &str| text.trim().parse::<Dur>().ok();
            let good = |dur: &Dur| *dur >= Dur(1_000);
            let wrong = || format!("`{text}` is not a time of a second or more, as in 1h, or 30m for 2h");
            let during = during.map(|text| parse(text).filter(good).ok_or_else(wrong)).transpose()?;
            Ok(Stretch { gap: parse(gap).filter(good).ok_or_else(wrong)?, during })
        };
        let all: Vec<_> = texts.iter().map(one).collect::<Result<_, String>>()?;
        let Some((_, before)) = all.split_last() else {
            return Err("an empty list says nothing: a duration is wanted, as in 1h".into());
        };
        match before.iter().position(|stretch| stretch.during.is_none()) {
            Some(at) => Err(format!("`{}` never ends, so nothing after it begins: say for how long", texts[at])),
            None => Ok(Self(all)),
        }
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.during {
            Some(during) => write!(f, "{} for {during}", self.gap),
            None => write!(f, "{}", self.gap),
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(Stretch::to_string).collect();
        f.write_str(&texts.join(", then "))
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Stretch::to_string))
    }
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let texts = match Value::deserialize(deserializer)? {
            Value::String(text) => vec![text],
            Value::Array(items) => {
                let texts: Option<Vec<_>> = items.iter().map(|v| v.as_str().map(str::to_owned)).collect();
                texts.ok_or_else(|| D::Error::custom("a list of durations is wanted, as in [30m for 2h, 1h]"))?
            }
            // An older journal may hold none.
            Value::Null => return Ok(Self::default()),
            _ => return Err(D::Error::custom("a duration is wanted, as in 1h, or a list, as in [30m for 2h, 1h]")),
        };
        Self::parse(&texts).map_err(D::Error::custom)
    }
}

impl JsonSchema for Every {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Every".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(text: &str) -> Result<Every, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn a_gap_follows_from_how_long_the_run_goes_on() {
        let every = every(r#"["30m for 2h", "1h"]"#).expect("good");
        let gap = |minutes: i64| every.gap(Dur(minutes * 60_000)).to_string();
        assert_eq!([gap(0), gap(119), gap(120), gap(900)], ["30m", "30m", "1h", "1h"]);
        assert_eq!(serde_json::to_string(&every).expect("JSON"), r#"["30m for 2h","1h"]"#);
        assert_eq!(every.to_string(), "30m for 2h, then 1h");
        assert_eq!(Every::default().gap(Dur(0)).to_string(), "1h");
    }

    #[test]
    fn what_would_flood_or_never_come_is_refused() {
        for (text, why) in [
            (r#""0s""#, "`0s` is not a time of a second or more, as in 1h, or 30m for 2h"),
            (r#"["1h for ever"]"#, "`1h for ever` is not a time of a second or more, as in 1h, or 30m for 2h"),
            ("[]", "an empty list says nothing: a duration is wanted, as in 1h"),
            (r#"["1h", "30m for 2h"]"#, "`1h` never ends, so nothing after it begins: say for how long"),
            ("3", "a duration is wanted, as in 1h, or a list, as in [30m for 2h, 1h]"),
        ] {
            assert_eq!(every(text).expect_err(text), why);
        }
    }
}
