//! Samples of metrics in `CloudWatch`.

use crate::aws::{self, Clients, limits};
use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Metric as Named, MetricDataQuery, MetricStat, ScanBy},
};
use dr_engine::{clock::Time, duration::Dur, outcome::Failure, step::ReadCx};
use serde::{Deserialize, Serialize};
use std::future::Future;

/// What was measured, and when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The beginning of the minute in which it was measured.
    pub(crate) at: Time,
    /// Its value, in the unit of the metric: the largest of that minute, or their sum.
    pub(crate) value: f64,
}

impl Sample {
    /// The moment that lies its value, so many units, before it was measured.
    pub(crate) fn less(self, unit: Dur) -> Time {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "far below both bounds")]
        let behind = (self.value * unit.0 as f64).ceil() as i64;
        self.at.after(Dur(-behind))
    }
}

/// A metric of one thing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Metric<'a> {
    /// Its namespace, as in `AWS/RDS`.
    pub(crate) namespace: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is measured of: the name of the dimension, and its value.
    pub(crate) of: &'a [(&'a str, &'a str)],
}

/// The minute, in seconds: the shortest period that every metric of a service has.
const PERIOD: i32 = 60;

/// What a metric is measured of: names of dimensions, and their values.
pub(crate) type Dimensions = Vec<(String, String)>;

/// All that a metric was measured of in the last two weeks, for one whose dimensions nobody documents.
///
/// # Errors
/// When `CloudWatch` refuses, or did not answer as often as it was asked.
pub(crate) async fn dimensions(
    cx: &ReadCx,
    clients: &Clients,
    namespace: &str,
    name: &str,
) -> Result<Vec<Dimensions>, Failure> {
    patiently(cx, || async {
        let request = clients.cloudwatch.list_metrics().namespace(namespace).metric_name(name);
        let mut pages = request.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| clients.call("cloudwatch", "ListMetrics").read(&e))?;
            let pair = |it: &Dimension| Some((it.name()?.to_owned(), it.value()?.to_owned()));
            found.extend(page.metrics().iter().map(|metric| metric.dimensions().iter().filter_map(pair).collect()));
        }
        Ok(found)
    })
    .await
}

/// Of samples of several things the one that says the earliest moment, as far as they were measured
/// within a minute of the newest: what was measured long ago is of something that is gone.
pub(crate) fn worst_of_newest(samples: &[Sample], unit: Dur) -> Option<Sample> {
    let newest = samples.iter().map(|sample| sample.at).max()?;
    let fresh = samples.iter().filter(|sample| newest.since(sample.at).0 <= i64::from(PERIOD) * 1_000);
    fresh.min_by_key(|sample| sample.less(unit)).copied()
}

/// Asks a few times where a failure may pass.
async fn patiently<T, F>(cx: &ReadCx, ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut tries = 1;
    loop {
        match ask().await {
            Err(failure) if failure.transient && tries < limits::METRIC_TRIES => {
                cx.progress(&failure.message);
                cx.clock.sleep(limits::METRIC_PAUSE).await;
                tries += 1;
            }
            found => return found,
        }
    }
}

impl Metric<'_> {
    fn query(&self, stat: &str) -> MetricDataQuery {
        let of = self.of.iter().map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
        let metric =
            Named::builder().namespace(self.namespace).metric_name(self.name).set_dimensions(Some(of.collect()));
        let stat = MetricStat::builder().metric(metric.build()).period(PERIOD).stat(stat).build();
        MetricDataQuery::builder().id("newest").metric_stat(stat).build()
    }

    /// The newest sample since a moment that `counts`, or `None` where there is none.
    ///
    /// # Errors
    /// When `CloudWatch` refuses, or did not answer as often as it was asked.
    pub(crate) async fn newest(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        since: Time,
        counts: impl Fn(f64) -> bool,
    ) -> Result<Option<Sample>, Failure> {
        self.newest_by("Maximum", cx, clients, since, counts).await
    }

    /// The same of a metric that counts: the sum of each minute.
    pub(crate) async fn newest_sum(
        &self,
        cx: &ReadCx,
        clients: &Clients,
        since: Time,
        counts: impl Fn(f64) -> bool,
    ) -> Result<Option<Sample>, Failure> {
        self.newest_by("Sum", cx, clients, since, counts).await
    }

    async fn newest_by(
        &self,
        stat: &str,
        cx: &ReadCx,
        clients: &Clients,
        since: Time,
        counts: impl Fn(f64) -> bool,
    ) -> Result<Option<Sample>, Failure> {
        patiently(cx, || self.ask(stat, clients, since, cx.clock.now(), &counts)).await
    }

    async fn ask(
        &self,
        stat: &str,
        clients: &Clients,
        since: Time,
        now: Time,
        counts: impl Fn(f64) -> bool,
    ) -> Result<Option<Sample>, Failure> {
        let request = clients.cloudwatch.get_metric_data().metric_data_queries(self.query(stat));
        let request = request.start_time(DateTime::from_millis(since.0)).end_time(DateTime::from_millis(now.0));
        let mut pages = request.scan_by(ScanBy::TimestampDescending).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| clients.call("cloudwatch", "GetMetricData").read(&e))?;
            let results = page.metric_data_results();
            let samples = results.iter().flat_map(|result| result.timestamps().iter().zip(result.values()));
            let samples = samples.filter_map(|(at, value)| Some(Sample { at: aws::time(at)?, value: *value }));
            if let Some(found) = samples.filter(|sample| counts(sample.value)).max_by_key(|sample| sample.at) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::{Sample, worst_of_newest};
    use dr_engine::{clock::Time, duration::Dur};

    #[test]
    fn of_several_the_worst_counts_and_what_is_old_does_not() {
        let second = Dur(1_000);
        let of = |minute: i64, value: f64| Sample { at: Time(minute * 60_000), value };
        assert_eq!(worst_of_newest(&[], second), None);
        assert_eq!(worst_of_newest(&[of(9, 1.0), of(9, 7.5), of(9, 3.0)], second), Some(of(9, 7.5)));
        // A shard that was told a minute later counts as well, one that is gone does not.
        assert_eq!(worst_of_newest(&[of(9, 0.5), of(8, 2.0), of(3, 90.0)], second), Some(of(8, 2.0)));
    }
}
