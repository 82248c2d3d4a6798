//! A read replica: whom it follows, how it goes, how far it is behind.

use crate::{
    aws::{Clients, limits},
    metrics::{Metric, Sample},
};
use aws_sdk_rds::types::DbInstance;
use dr_engine::{
    clock::Time,
    duration::Dur,
    outcome::{Failure, RecoveryPoint},
    step::ReadCx,
};

/// The metric that says how far a replica is behind, in seconds.
pub(crate) const LAG: &str = "ReplicaLag";

/// What an instance follows, as RDS names it: a name within a region, else an
/// ARN. `None` of what follows nothing.
pub(crate) fn source(db: &DbInstance) -> Option<&str> {
    db.read_replica_source_db_instance_identifier().or(db.read_replica_source_db_cluster_identifier())
}

/// Whether the source that RDS names is the one that is meant, by name or ARN.
pub(crate) fn is_source(wanted: &str, named: &str, region: &str) -> bool {
    let last = |text: &str| text.rsplit(':').next().unwrap_or_default().to_lowercase();
    let place = |text: &str| text.split(':').nth(3).map_or(region.to_owned(), Into::into);
    last(wanted) == last(named) && (!wanted.starts_with("arn:") || place(wanted) == place(named))
}

/// How replication goes, in the words of RDS: `replicating`, `error`, `stopped` …
pub(crate) fn replication(db: &DbInstance) -> Option<&str> {
    db.status_infos().iter().find(|info| info.status_type() == Some("read replication"))?.status()
}

/// The newest sample of how far a replica is behind. `-1`, which stands for a
/// replication that does not run, is no lag (Amazon RDS User Guide, Monitoring
/// read replication). A sample from before the instance was made is of another one.
pub(crate) async fn behind(cx: &ReadCx, clients: &Clients, db: &DbInstance) -> Result<Option<Sample>, Failure> {
    let name = db.db_instance_identifier().unwrap_or_default();
    let made = db.instance_create_time().and_then(|at| at.to_millis().ok()).map_or(Time(0), Time);
    let since = cx.clock.now().after(Dur(-limits::METRIC_SINCE.0)).max(made);
    let metric = Metric { namespace: "AWS/RDS", name: LAG, of: &[("DBInstanceIdentifier", name)] };
    metric.newest(cx, clients, since, |lag| lag >= 0.0).await
}

/// Up to when a replica that was so far behind has what its source had.
#[expect(clippy::cast_possible_truncation, reason = "a lag in milliseconds is far from the end of the numbers")]
pub(crate) fn recovery_point(lag: &Sample) -> RecoveryPoint {
    RecoveryPoint { at: lag.at.after(Dur(-(lag.value * 1_000.0).ceil() as i64)), source: LAG.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_known_by_its_name_or_its_arn() {
        let arn = "arn:aws:rds:eu-west-1:123456789012:db:orders";
        let elsewhere = "arn:aws:rds:eu-north-1:123456789012:db:orders";
        for (wanted, named, same) in [
            ("orders", "orders", true),
            ("Orders", arn, true),
            ("users", arn, false),
            (arn, arn, true),
            (elsewhere, arn, false),
            // RDS names a source of the same region without its region.
            (arn, "orders", false),
            ("arn:aws:rds:eu-central-1:123456789012:db:orders", "orders", true),
        ] {
            assert_eq!(is_source(wanted, named, "eu-central-1"), same, "{wanted} {named}");
        }
    }

    #[test]
    fn what_is_behind_by_part_of_a_second_is_not_counted_as_there() {
        let lag = Sample { at: Time(60_000), value: 4.000_1 };
        assert_eq!(recovery_point(&lag).at, Time(55_999));
    }
}
