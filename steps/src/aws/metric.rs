//! What `CloudWatch` measured last.

use super::Clients;
use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy},
};
use dr_engine::{clock::Time, duration::Dur, outcome::Failure};

/// The period of the metrics that the services publish by themselves.
const PERIOD: Dur = Dur(60_000);

/// A value that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// When the minute began in which it was measured.
    pub(crate) at: Time,
    /// The largest value in that minute, in the metric's own unit.
    pub(crate) value: f64,
}

impl Sample {
    /// The moment that is so many units before it was measured.
    pub(crate) fn less(self, unit: Dur) -> Time {
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "far below both bounds")]
        let behind = (self.value * unit.0 as f64).ceil() as i64;
        self.at.after(Dur(-behind))
    }
}

/// The newest value of a metric, its maximum over a minute; `None` where
/// nothing was measured for as long as `age_max` before `now`.
///
/// # Errors
/// When `CloudWatch` in the clients' region does not answer, or refuses.
pub(crate) async fn newest(
    clients: &Clients,
    now: Time,
    age_max: Dur,
    (namespace, name): (&str, &str),
    dimensions: &[(&str, &str)],
) -> Result<Option<Sample>, Failure> {
    let dimension = |(name, value): &(&str, &str)| Dimension::builder().name(*name).value(*value).build();
    let metric = Metric::builder().namespace(namespace).metric_name(name);
    let metric = metric.set_dimensions(Some(dimensions.iter().map(dimension).collect())).build();
    let period = i32::try_from(PERIOD.0 / 1_000).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(metric).period(period).stat("Maximum").build();
    let query = MetricDataQuery::builder().id("newest").metric_stat(stat).build();
    let request = clients.cloudwatch.get_metric_data().metric_data_queries(query);
    let request = request.start_time(DateTime::from_millis(now.after(Dur(-age_max.0)).0));
    let request = request.end_time(DateTime::from_millis(now.0)).scan_by(ScanBy::TimestampDescending);
    let reply = request.send().await.map_err(|e| clients.call("cloudwatch", "GetMetricData").read(&e))?;
    let result = reply.metric_data_results().iter().find(|result| result.id() == Some("newest"));
    let newest = result.and_then(|result| result.timestamps().first().zip(result.values().first()));
    Ok(newest.and_then(|(at, value)| Some(Sample { at: Time(at.to_millis().ok()?), value: *value })))
}
