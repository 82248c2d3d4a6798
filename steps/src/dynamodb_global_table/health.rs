//! Whether a table is a healthy replica, from what its own region says of it.

use crate::dynamodb::{self, Stage};
use aws_sdk_dynamodb::types::{
    MultiRegionConsistency, ReplicaDescription, ReplicaStatus, StreamSpecification, StreamViewType, TableDescription,
};
use dr_engine::outcome::Failure;

/// The version of global tables that has replicas to be added and looked at.
const VERSION: &str = "2019.11.21";

/// How far a replica is that some region knows of.
pub(super) fn of_replica(table: &str, replica: &ReplicaDescription) -> Stage {
    let region = replica.region_name().unwrap_or_default();
    match replica.replica_status() {
        Some(ReplicaStatus::Active) => Stage::Active,
        None | Some(ReplicaStatus::Creating | ReplicaStatus::Updating) => {
            let done = replica.replica_status_percent_progress().map_or(String::new(), |done| format!(", {done} done"));
            let status = replica.replica_status().map_or("CREATING", ReplicaStatus::as_str);
            Stage::Moving(format!("the replica of `{table}` in {region} is {status}{done}"))
        }
        // CREATION_FAILED, REGION_DISABLED, INACCESSIBLE_ENCRYPTION_CREDENTIALS, DELETING, and what may come.
        Some(other) => {
            let why = replica.replica_status_description().map_or(String::new(), |why| format!(": {why}"));
            let failure = Failure::new(format!("the replica of `{table}` in {region} is {other}{why}"));
            Stage::Broken(failure.hint("see to the region, the key or the service-linked role; then answer `retry`"))
        }
    }
}

/// What a table says of its replica in a region.
pub(super) fn listed<'a>(table: &'a TableDescription, region: &str) -> Option<&'a ReplicaDescription> {
    table.replicas().iter().find(|replica| replica.region_name() == Some(region))
}

/// Whether writes anywhere are everywhere before they are answered.
pub(super) fn is_strong(table: &TableDescription) -> bool {
    table.multi_region_consistency() == Some(&MultiRegionConsistency::Strong)
}

/// Whether its stream shows what replication needs.
pub(super) fn streams(table: &TableDescription) -> bool {
    let view = table.stream_specification().filter(|stream| stream.stream_enabled());
    view.and_then(StreamSpecification::stream_view_type) == Some(&StreamViewType::NewAndOldImages)
}

/// The other regions that a table says it replicates with, each with its status.
pub(super) fn others(table: &TableDescription, region: &str) -> Vec<(String, String)> {
    let others = table.replicas().iter().filter(|replica| replica.region_name() != Some(region));
    let status =
        |replica: &ReplicaDescription| replica.replica_status().map_or("CREATING", ReplicaStatus::as_str).to_owned();
    others.map(|replica| (replica.region_name().unwrap_or_default().to_owned(), status(replica))).collect()
}

/// How far the table of `region` is on the way to a healthy replica, as that
/// region alone tells. How the other regions are does not count: one of them
/// may be lost.
///
/// Whether a table lists its own region among its replicas is told in two
/// ways; so it need not, and where it does that has to be healthy, too.
pub(super) fn of(name: &str, table: &TableDescription, region: &str, from: Option<&str>) -> Stage {
    match dynamodb::stage(name, table) {
        Stage::Active => {}
        stage => return stage,
    }
    let broken = |text: String, hint: &str| Stage::Broken(Failure::new(text).hint(hint));
    let others = others(table, region);
    match table.global_table_version() {
        Some(VERSION) if !others.is_empty() => {}
        Some(version) if version != VERSION => {
            let text = format!("`{name}` in {region} is a global table of version {version}, not {VERSION}");
            return broken(text, "bring it to the newer version first, in the console");
        }
        _ => {
            let text = format!("`{name}` in {region} is a table of its own: it replicates with no region");
            return broken(text, "its data is not that of another region; a replica wants the name to be free here");
        }
    }
    if let Some(from) = from.filter(|from| !others.iter().any(|(region, _)| region == from)) {
        let regions: Vec<_> = others.into_iter().map(|(region, _)| region).collect();
        let text = format!("`{name}` in {region} replicates with {}, not with {from}", regions.join(", "));
        return broken(text, "DynamoDB lets a region go that it could not reach for 20 hours; see `from`");
    }
    if !is_strong(table) && !streams(table) {
        let text = format!("`{name}` in {region} has no stream of NEW_AND_OLD_IMAGES, by which it would replicate");
        return broken(text, "switch its stream on, then answer `retry`");
    }
    listed(table, region).map_or(Stage::Active, |replica| of_replica(name, replica))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::TableStatus;

    const ACTIVE: ReplicaStatus = ReplicaStatus::Active;

    fn table(version: Option<&str>, replicas: &[(&str, ReplicaStatus)]) -> TableDescription {
        let replica = |(region, status): &(&str, ReplicaStatus)| {
            ReplicaDescription::builder().region_name(*region).replica_status(status.clone()).build()
        };
        let stream =
            StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
        TableDescription::builder()
            .table_status(TableStatus::Active)
            .set_global_table_version(version.map(Into::into))
            .set_replicas(Some(replicas.iter().map(replica).collect()))
            .stream_specification(stream.build().expect("whole"))
            .build()
    }

    fn told(table: &TableDescription, from: Option<&str>) -> String {
        match of("carts", table, "here", from) {
            Stage::Active => "healthy".into(),
            Stage::Moving(says) => format!("moving: {says}"),
            Stage::Broken(failure) => failure.message,
        }
    }

    #[test]
    fn a_replica_is_healthy_whether_or_not_it_lists_its_own_region_and_however_the_others_are() {
        let version = Some(VERSION);
        for others in [ACTIVE, ReplicaStatus::RegionDisabled] {
            for own in [&[][..], &[("here", ACTIVE)]] {
                let all = [own, &[("there", others.clone())]].concat();
                assert_eq!(told(&table(version, &all), None), "healthy");
                assert_eq!(told(&table(version, &all), Some("there")), "healthy");
            }
        }
    }

    #[test]
    fn what_is_no_healthy_replica_says_why() {
        let version = Some(VERSION);
        let there = ("there", ACTIVE);
        let own = |status| table(version, &[there.clone(), ("here", status)]);
        for (table, says) in [
            (table(None, &[]), "a table of its own: it replicates with no region"),
            (table(version, &[("here", ACTIVE)]), "a table of its own"),
            (table(Some("2017.11.29"), &[]), "a global table of version 2017.11.29, not 2019.11.21"),
            (table(version, &[("elsewhere", ACTIVE)]), "replicates with elsewhere, not with there"),
            (own(ReplicaStatus::Creating), "moving: the replica of `carts` in here is CREATING"),
            (own(ReplicaStatus::Updating), "moving: the replica of `carts` in here is UPDATING"),
            (own(ReplicaStatus::CreationFailed), "in here is CREATION_FAILED"),
            (own(ReplicaStatus::RegionDisabled), "in here is REGION_DISABLED"),
            (own(ReplicaStatus::InaccessibleEncryptionCredentials), "in here is INACCESSIBLE_ENCRYPTION_CREDENTIALS"),
            (own(ReplicaStatus::from("NEWER_THAN_THIS")), "in here is NEWER_THAN_THIS"),
        ] {
            let told = told(&table, Some("there"));
            assert!(told.contains(says), "{told}");
        }
    }

    #[test]
    fn what_is_strongly_consistent_needs_no_stream_and_everything_else_does() {
        let mut table = table(Some(VERSION), &[("there", ACTIVE)]);
        table.stream_specification = None;
        assert!(told(&table, None).contains("has no stream of NEW_AND_OLD_IMAGES"));
        table.multi_region_consistency = Some(MultiRegionConsistency::Strong);
        assert_eq!(told(&table, None), "healthy");
    }

    #[test]
    fn a_table_that_moves_is_not_judged_yet() {
        let mut table = table(None, &[]);
        table.table_status = Some(TableStatus::Creating);
        assert_eq!(told(&table, Some("there")), "moving: `carts` is CREATING");
        table.table_status = Some(TableStatus::InaccessibleEncryptionCredentials);
        assert_eq!(told(&table, None), "`carts` is INACCESSIBLE_ENCRYPTION_CREDENTIALS");
    }
}
