//! Samples of metrics in `CloudWatch`.

use crate::aws::{self, Clients, limits};
use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Metric as Named, MetricDataQuery, MetricStat, ScanBy},
};
use dr_engine::{clock::Time, duration::Dur, outcome::Failure, step::ReadCx};
use serde::{Deserialize, Serialize};

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
    pub(crate) of: &'a [(&'static str, &'a str)],
}

/// The minute, in seconds: the shortest period that every metric of a service has.
const PERIOD: i32 = 60;

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
        let mut tries = 1;
        loop {
            match self.ask(stat, clients, since, cx.clock.now(), &counts).await {
                Err(failure) if failure.transient && tries < limits::METRIC_TRIES => {
                    cx.progress(&failure.message);
                    cx.clock.sleep(limits::METRIC_PAUSE).await;
                    tries += 1;
                }
                found => return found,
            }
        }
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
