//! Promotions as their runbooks have them, against the lab: the old writer is
//! fenced, somebody takes the loss on, and only then another one writes. And
//! replicas that serve, of which nothing is promoted.

mod support;

use serde_json::{Map, Value, json};
use support::{lab::lab, scene::Scene, until};

#[test]
fn a_replica_becomes_the_database_once_the_old_one_is_fenced_and_the_loss_is_taken_on() {
    let Some(lab) = lab() else { return };
    let scene = Scene::new(lab, Map::new());
    let (estate, place) = (&scene.estate, &scene.place);
    let looks =
        json!([{ "operation": "DescribeDBInstances", "region": "eu-west-1", "every": true, "do": "access_denied" }]);
    estate.faults(&looks);
    let mut controller = scene.execute("promote_a_replica.yaml", &[]);
    // Nobody may look at the old database, which proves nothing.
    let question = scene.asked(&mut controller, "old_writer");
    assert_eq!(question.choices, ["retry", "undo", "impossible", "stop"], "{question:?}");
    assert_eq!(estate.changes(), Vec::<String>::new());
    estate.faults(&json!([]));
    scene.answer("old_writer", &["retry"]);
    // It is fenced; whoever takes the loss on sees the live number.
    let question = scene.asked(&mut controller, "orders_db!data_loss");
    assert!(format!("{question:?}").contains("(ReplicaLag)"), "{question:?}");
    assert_eq!(estate.changes(), ["ModifyDBInstance", "RebootDBInstance"]);
    let calls = estate.calls();
    let put = calls.iter().find(|call| call["operation"] == "ModifyDBInstance").expect("it is cut off");
    let group = estate.param("isolated_group_id_primary");
    assert_eq!(put["region"], "eu-west-1");
    assert!(put["request"].to_string().contains(&format!("\"{group}\"")), "{put}");
    scene.answer("orders_db!data_loss", &["approve", "--as", "Cem Acar"]);
    until("an end", || controller.over());
    controller.end().ends(0);
    assert_eq!(
        estate.changes(),
        ["ModifyDBInstance", "RebootDBInstance", "PromoteReadReplica", "ChangeResourceRecordSets"]
    );
    let state: Value = serde_json::from_str(&estate.dump()).expect("a dump is JSON");
    let promoted = &state["rds"]["eu-central-1"]["instances"]["orders-replica"];
    assert_eq!((&promoted["replica_of"], &promoted["status"]), (&Value::Null, &"available".into()));
    // What was lost is what was measured before the call, told by the time of the outage.
    let run = place.fold().expect("a run");
    let point = run.steps().find_map(|(_, step)| step.output.recovery_point.clone()).expect("a recovery point");
    assert_eq!((point.source.as_str(), (point.at.0 + 4_000) % 60_000), ("ReplicaLag", 0));
    let lost = run.opened.incident_at.since(point.at).0.max(0);
    assert!(lost < 130_000, "the sample was of the minute before: {lost} ms");
    let store = scene.store();
    assert_eq!(
        (&store["recovery_point"], &store["how_measured"]),
        (&point.at.to_string().into(), &"ReplicaLag".into()),
        "{store}"
    );
}

/// Stops what writes from the old cluster, and tells whether it can; a file stands for the services.
const OLD_WRITER: &str = r#"#!/bin/sh
case "$1" in stop) touch "$0.stopped" ;; cannot-write) [ -e "$0.stopped" ] || exit 3 ;; *) exit 64 ;; esac
"#;

#[test]
fn the_cache_of_the_other_region_writes_once_the_old_one_is_fenced_and_the_loss_is_taken_on() {
    let Some(lab) = lab() else { return };
    // As `dr lab seed --for` asks for it: by a parameter of the runbook.
    let scene = Scene::new(lab, Map::from_iter([("wanted".to_owned(), json!(["cache_global"]))]));
    let (estate, place) = (&scene.estate, &scene.place);
    place.program("old-cache", OLD_WRITER);
    let old_cache = format!("old_cache={}", place.path("old-cache").display());
    estate.region("eu-west-1", "down");
    let mut controller = scene.execute("fail_over_cache.yaml", &["--param", &old_cache, "--param", "hold=1s"]);
    let question = scene.asked(&mut controller, "sessions!data_loss");
    assert!(place.path("old-cache.stopped").exists(), "it is fenced before anybody is asked");
    assert!(question.text.contains("(GlobalDatastoreReplicationLag)"), "{question:?}");
    scene.answer("sessions!data_loss", &["approve", "--as", "Cem Acar"]);
    until("an end", || controller.over());
    controller.end().ends(0);
    assert_eq!(estate.changes(), ["FailoverGlobalReplicationGroup", "ChangeResourceRecordSets"]);
}

#[test]
fn replicas_that_are_there_serve_and_nothing_is_changed() {
    let Some(lab) = lab() else { return };
    let scene = Scene::new(lab, Map::from_iter([("wanted".to_owned(), json!(["app_url"]))]));
    scene.estate.region("eu-west-1", "down");
    // Without `verify`: its alarms have to be quiet for a minute.
    let mut controller = scene.execute("replicated_stores.yaml", &["--only", "phase.datastores"]);
    until("an end", || controller.over());
    controller.end().ends(0);
    assert_eq!(scene.estate.changes(), Vec::<String>::new());
    let run = scene.place.fold().expect("a run");
    let points: Vec<_> = run.steps().filter_map(|(_, step)| step.output.recovery_point.clone()).collect();
    assert!(points.iter().any(|point| point.source.contains("written_at")), "the canary's own time: {points:?}");
}

#[test]
fn the_cluster_of_the_other_region_writes_once_the_old_one_is_fenced_and_the_loss_is_taken_on() {
    let Some(lab) = lab() else { return };
    let scene = Scene::new(lab, Map::from_iter([("aurora".to_owned(), json!(true))]));
    let (estate, place) = (&scene.estate, &scene.place);
    place.program("old-writer", OLD_WRITER);
    let old_writer = format!("old_writer={}", place.path("old-writer").display());
    estate.region("eu-west-1", "down");
    let mut controller = scene.execute("fail_over_aurora.yaml", &["--param", &old_writer, "--param", "hold=1s"]);
    let question = scene.asked(&mut controller, "ledger!data_loss");
    assert!(place.path("old-writer.stopped").exists(), "it is fenced before anybody is asked");
    assert!(question.text.contains("(AuroraGlobalDBRPOLag)"), "{question:?}");
    assert_eq!(estate.changes(), Vec::<String>::new());
    scene.answer("ledger!data_loss", &["approve", "--as", "Cem Acar"]);
    until("an end", || controller.over());
    controller.end().ends(0);
    assert_eq!(estate.changes(), ["FailoverGlobalCluster", "ChangeResourceRecordSets"]);
    let called = estate.calls().into_iter().find(|call| call["operation"] == "FailoverGlobalCluster");
    assert_eq!(called.expect("a call")["region"], "eu-central-1", "where it is to be written");
    let store = scene.store();
    assert_eq!(store["how_measured"], "AuroraGlobalDBRPOLag", "{store}");
}
