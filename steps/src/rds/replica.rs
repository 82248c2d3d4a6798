//! A read replica: whom it follows, how it goes, how far it is behind.

use super::Stage;
use crate::{
    aws::{self, Clients, limits},
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

/// How far a replica is whose instance is there: it is ready when it follows.
pub(super) fn stage(name: &str, db: &DbInstance) -> Stage {
    if source(db).is_none() {
        return Stage::Broken(Failure::new(format!(
            "`{name}` follows nothing: it was promoted, or never was a replica"
        )));
    }
    match replication(db) {
        Some("replicating") => Stage::Ready,
        // RDS does not begin again by itself (Amazon RDS User Guide, Monitoring read replication).
        Some(ended @ ("stopped" | "terminated")) => {
            Stage::Broken(Failure::new(format!("the replication of `{name}` is {ended}")))
        }
        Some(other) => Stage::Moving(format!("the replication of `{name}` is in {other}")),
        None => Stage::Moving(format!("`{name}` does not follow its source yet")),
    }
}

/// The newest sample of how far a replica is behind. `-1`, which stands for a
/// replication that does not run, is no lag (Amazon RDS User Guide, Monitoring
/// read replication). A sample from before the instance was made is of another one.
pub(crate) async fn behind(cx: &ReadCx, clients: &Clients, db: &DbInstance) -> Result<Option<Sample>, Failure> {
    let name = db.db_instance_identifier().unwrap_or_default();
    let made = db.instance_create_time().and_then(aws::time).unwrap_or(Time(0));
    let since = cx.clock.now().after(Dur(-limits::METRIC_SINCE.0)).max(made);
    let metric = Metric { namespace: "AWS/RDS", name: LAG, of: &[("DBInstanceIdentifier", name)] };
    metric.newest(cx, clients, since, |lag| lag >= 0.0).await
}

/// Up to when a replica that was so far behind has what its source had.
pub(crate) fn recovery_point(lag: &Sample) -> RecoveryPoint {
    RecoveryPoint { at: lag.less(Dur::seconds(1)), source: LAG.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_rds::types::DbInstanceStatusInfo;

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
    fn a_replica_is_ready_when_it_follows_and_not_before() {
        let db = |source: Option<&str>, says: Option<&str>| {
            let info =
                says.map(|says| DbInstanceStatusInfo::builder().status_type("read replication").status(says).build());
            let other = DbInstanceStatusInfo::builder().status_type("other").status("replicating").build();
            let source = source.map(Into::into);
            let infos = [Some(other), info].into_iter().flatten().collect();
            DbInstance::builder()
                .set_read_replica_source_db_instance_identifier(source)
                .set_status_infos(Some(infos))
                .build()
        };
        let says = |source, says| match stage("db", &db(source, says)) {
            Stage::Ready => "ready".to_owned(),
            Stage::Moving(why) => why,
            Stage::Broken(failure) => failure.message,
            Stage::Differs => "differs".into(),
        };
        for (source, status, wanted) in [
            (Some("orders"), Some("replicating"), "ready"),
            (Some("orders"), None, "`db` does not follow its source yet"),
            (Some("orders"), Some("error"), "the replication of `db` is in error"),
            (Some("orders"), Some("stopped"), "the replication of `db` is stopped"),
            (Some("orders"), Some("terminated"), "the replication of `db` is terminated"),
            (None, Some("replicating"), "`db` follows nothing: it was promoted, or never was a replica"),
        ] {
            assert_eq!(says(source, status), wanted);
        }
    }

    #[test]
    fn what_is_behind_by_part_of_a_second_is_not_counted_as_there() {
        let lag = Sample { at: Time(60_000), value: 4.000_1 };
        assert_eq!(recovery_point(&lag).at, Time(55_999));
    }
}
