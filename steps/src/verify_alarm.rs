//! `verify.alarm`: whether the alarms that watch a service are quiet.
//!
//! An alarm says what its last evaluation saw (Amazon `CloudWatch` API
//! Reference, `DescribeAlarms`), once in a period of its own; so it takes
//! several looks in a row, which last as long as what one evaluation covers:
//! looks that come faster see the same one again. `INSUFFICIENT_DATA` is not OK, an alarm whose
//! evaluation went wrong is not OK, and one that is not there is a mistake.

use crate::{
    aws,
    limits::ALARMS_MAX,
    probe::Seen,
    verify::{Row, three},
    world::World,
};
use async_trait::async_trait;
use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, MetricAlarm, MetricStat, StateValue};
use dr_engine::{
    clock::Time,
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Waits until alarms of `CloudWatch` are OK, several looks in a row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyAlarm {
    /// The alarms, by name; composite ones too. They stand in the step's region.
    alarms: Vec<In<String>>,
    /// The pause between two looks. Default: 30s.
    #[serde(default = "half_a_minute")]
    every: Dur,
    /// How many looks in a row must be good. Default: 3.
    #[serde(default = "three")]
    good_in_a_row: NonZeroU32,
    #[serde(skip)]
    #[schemars(skip)]
    row: Row,
    #[serde(skip)]
    #[schemars(skip)]
    quiet: Mutex<Quiet>,
}

/// Since when all looks were good, and whether that is long enough.
#[derive(Debug, Default)]
struct Quiet {
    since: Option<Time>,
    enough: bool,
}

fn half_a_minute() -> Dur {
    Dur::seconds(30)
}

/// What an alarm says.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    state: String,
    /// What went wrong with its evaluation, if anything did.
    evaluation: Option<String>,
    since: Option<Time>,
    /// What it makes of it when nothing is measured.
    missing: Option<String>,
    /// The time that one evaluation covers; a composite alarm has none of its own.
    covers: Dur,
}

/// The time that one evaluation of an alarm covers. One of several metrics has a period with each.
fn covers(alarm: &MetricAlarm) -> Dur {
    let each = alarm.metrics().iter().filter_map(|of| of.period().or(of.metric_stat().and_then(MetricStat::period)));
    let period = alarm.period().or(each.max()).unwrap_or(60);
    Dur::seconds(i64::from(period).saturating_mul(alarm.evaluation_periods().unwrap_or(1).max(1).into()))
}

impl Told {
    fn metric(alarm: &MetricAlarm) -> Self {
        Self {
            state: word(alarm.state_value()),
            evaluation: alarm.evaluation_state().map(|state| state.as_str().to_owned()),
            since: alarm.state_updated_timestamp().and_then(aws::time),
            missing: alarm.treat_missing_data().map(Into::into),
            covers: covers(alarm),
        }
    }

    fn composite(alarm: &CompositeAlarm) -> Self {
        let since = alarm.state_updated_timestamp().and_then(aws::time);
        Self { state: word(alarm.state_value()), evaluation: None, since, missing: None, covers: Dur(0) }
    }

    /// Why it is not quiet; `None` when it is.
    fn why(&self) -> Option<&str> {
        (self.state != StateValue::Ok.as_str()).then_some(self.state.as_str()).or(self.evaluation.as_deref())
    }
}

fn word(state: Option<&StateValue>) -> String {
    state.map_or("without a state", StateValue::as_str).to_owned()
}

impl VerifyAlarm {
    /// One look, and how long the row of good ones lasts with it.
    async fn look(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        let told = self.told(cx).await;
        let mut quiet = self.quiet();
        let Some((told, mut seen)) = told.as_ref().ok().map(|told| (told, judged(told))).filter(|(_, seen)| seen.good)
        else {
            *quiet = Quiet::default();
            return told.map(|told| judged(&told));
        };
        let now = cx.clock.now();
        let since = *quiet.since.get_or_insert(now);
        let wanted = told.values().map(|told| told.covers).max().unwrap_or(Dur(0));
        quiet.enough = now.since(since) >= wanted;
        if !quiet.enough {
            seen.says = format!("{}, and has to be for {wanted}, which one evaluation covers", seen.says);
        }
        Ok(seen)
    }

    fn quiet(&self) -> MutexGuard<'_, Quiet> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn told(&self, cx: &ReadCx) -> Result<BTreeMap<String, Told>, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let names: Vec<_> = self.alarms.iter().map(|name| name.get().clone()).collect();
        let request = clients.cloudwatch.describe_alarms().set_alarm_names(Some(names.clone()));
        // Without this only alarms of metrics are told.
        let request = request.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm);
        let mut told = BTreeMap::new();
        let mut pages = request.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| clients.call("cloudwatch", "DescribeAlarms").read(&e))?;
            let metric =
                page.metric_alarms().iter().filter_map(|a| Some((a.alarm_name()?.to_owned(), Told::metric(a))));
            let composite = page.composite_alarms().iter();
            let composite = composite.filter_map(|a| Some((a.alarm_name()?.to_owned(), Told::composite(a))));
            told.extend(metric.chain(composite));
        }
        if let Some(missing) = names.iter().find(|name| !told.contains_key(*name)) {
            let text = format!("there is no alarm `{missing}` in {}", clients.region);
            return Err(
                Failure::new(text).hint("alarms stand in the region of what they watch; see `region` of the step")
            );
        }
        Ok(told)
    }
}

fn judged(told: &BTreeMap<String, Told>) -> Seen {
    let loud: Vec<_> = told.iter().filter_map(|(name, told)| Some(format!("`{name}` is {}", told.why()?))).collect();
    if !loud.is_empty() {
        return Seen::bad(loud.join(", "));
    }
    let values = told.iter().map(|(name, told)| {
        let since = told.since.map(|since| since.to_string());
        (name.clone(), json!({ "state": told.state, "since": since, "missing_data": told.missing }))
    });
    let values = values.collect::<serde_json::Map<_, _>>();
    let all = if told.len() == 1 { "the alarm is OK".into() } else { format!("all {} alarms are OK", told.len()) };
    Seen::good(all, json!({ "healthy": true, "alarms": values }))
}

impl Explained for VerifyAlarm {
    const REFERENCE: Reference = Reference {
        check: "One `DescribeAlarms`. It is the first look of the row, and done only by \
            alarms that are all OK and cover no time, where one good look is enough. An alarm that is in ALARM or INSUFFICIENT_DATA, or whose evaluation had an error or only a part \
            of the data, is not good. One that is not there fails the step.",
        run: "Looks again every `every`, until `good_in_a_row` were good one after the other and the row has lasted the \
            period times the evaluation periods of each alarm of a metric, as long as the step's `timeout` lets it.",
        undo: None,
        recovery_point: None,
        time: "The row takes `good_in_a_row` - 1 times `every`, a minute by default, once the alarms are quiet, and no \
            less than the longest period times evaluation periods of them.",
        traps: &[
            "An alarm that treats missing data as notBreaching is OK when nothing is measured, and one that ignores it \
             stays as it was: neither shows that anybody is served. The output `alarms` says how each treats it.",
            "Of a composite alarm nobody says how long an evaluation of those that it follows covers: name these too, or \
             let the row last as long.",
            "Alarms of the region that was lost say nothing: those of the recovery region are meant.",
            "Composite alarms are told only to a caller who may `cloudwatch:DescribeAlarms` on `*`.",
        ],
        example: "
            orders_quiet:
              do:
                verify.alarm:
                  alarms: [orders-5xx, orders-latency]
                  every: 1m
                  good_in_a_row: 5
              timeout: 30m
        ",
    };
}

#[async_trait]
impl Step for VerifyAlarm {
    fn describe(&self) -> Description {
        let names: Vec<_> = self.alarms.iter().map(|name| format!("`{name}`")).collect();
        Description {
            summary: format!("waits until alarms are OK: {}", names.join(", ")),
            actions: vec!["cloudwatch:DescribeAlarms"],
            ..Description::default()
        }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let help = if self.alarms.is_empty() {
            "name at least one"
        } else if self.alarms.len() > ALARMS_MAX {
            "make several steps, or name a composite alarm"
        } else {
            return Vec::new();
        };
        let message = format!("`alarms` names {} alarms; one look takes from 1 to {ALARMS_MAX}", self.alarms.len());
        vec![Mistake { field: "alarms", message, help: help.into() }]
    }

    fn outputs(&self) -> Vec<OutputName> {
        ["healthy", "alarms"].map(|name| OutputName { name: name.into(), is: OutputType::Any }).into()
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        // The row begins with this look, however long ago the one before was.
        *self.quiet() = Quiet::default();
        let check = self.row.begin(cx, self.good_in_a_row, self.look(cx).await?);
        Ok(if matches!(check, Check::Done(_)) && !self.quiet().enough { Check::Absent } else { check })
    }

    async fn watch(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let check = self.row.watch(cx, self.good_in_a_row, self.look(cx).await)?;
        Ok(if matches!(check, Check::Done(_)) && !self.quiet().enough { Check::InProgress } else { check })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let look = async || match self.look(&cx.read).await {
            // CloudWatch not answering once is a look that was not good.
            Err(failure) if failure.transient => Ok(Seen::bad(failure.message)),
            looked => looked,
        };
        loop {
            let output = self.row.go_on(&cx.read, self.good_in_a_row, self.every, || Box::pin(look())).await?;
            if self.quiet().enough {
                return Ok(output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudwatch::types::EvaluationState;

    #[test]
    fn only_ok_of_a_whole_evaluation_is_quiet() {
        let alarm = |state, evaluation: Option<EvaluationState>| {
            Told::metric(&MetricAlarm::builder().state_value(state).set_evaluation_state(evaluation).build())
        };
        assert_eq!(alarm(StateValue::Ok, None).why(), None);
        for (state, evaluation, why) in [
            (StateValue::Alarm, None, "ALARM"),
            (StateValue::InsufficientData, None, "INSUFFICIENT_DATA"),
            (StateValue::from("NEWER"), None, "NEWER"),
            (StateValue::Ok, Some(EvaluationState::PartialData), "PARTIAL_DATA"),
            (StateValue::Ok, Some(EvaluationState::EvaluationError), "EVALUATION_ERROR"),
            (StateValue::Alarm, Some(EvaluationState::EvaluationFailure), "ALARM"),
        ] {
            assert_eq!(alarm(state, evaluation).why(), Some(why));
        }
        assert_eq!(Told::composite(&CompositeAlarm::builder().build()).why(), Some("without a state"));
    }
}
