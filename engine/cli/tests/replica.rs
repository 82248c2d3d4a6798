//! A replica that becomes the database, against the lab.

mod support;

use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    iter,
    path::{Path, PathBuf},
};
use support::{
    Place,
    lab::{Estate, lab},
    until,
};

/// The folder of the lab's own AWS command line, which looks at the group, before all others.
fn path_with_aws() -> OsString {
    let named = |name| env::var_os(name).map(PathBuf::from);
    let venv = named("DR_LAB_VENV").map(|venv| venv.join("bin"));
    let beside = || named("DR_LAB_PYTHON").and_then(|python| python.parent().map(Path::to_path_buf));
    let folder = venv.or_else(beside).expect("the lab's Python is named");
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(iter::once(folder).chain(env::split_paths(&path))).expect("a PATH")
}

#[test]
fn a_replica_becomes_the_database_once_the_old_one_is_fenced_and_the_loss_is_taken_on() {
    let Some(lab) = lab() else { return };
    let (estate, place) = (Estate::new(lab), Place::new());
    let runbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks/promote_a_replica.yaml");
    let runbook = runbook.canonicalize().expect("a runbook").display().to_string();
    let text = std::fs::read_to_string(&runbook).expect("it is text");
    let mut args = vec!["execute".to_owned(), runbook, "--yes".into(), "--incident-at=-1m".into()];
    for (name, value) in estate.params.iter().filter(|(name, _)| text.contains(&format!("\n  {name}: {{ type"))) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        args.extend(["--param".into(), format!("{name}={value}")]);
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let looks =
        json!([{ "operation": "DescribeDBInstances", "region": "eu-west-1", "every": true, "do": "access_denied" }]);
    estate.faults(&looks);
    let mut command = estate.dr(&place, &args);
    command.env("PATH", path_with_aws());
    let mut controller = place.begin(command);
    let mut asked = |id: &str| {
        until("the question", || place.asking().iter().any(|(step, _)| step == id) || controller.over());
        let asking = place.asking();
        let question = asking.into_iter().find(|(step, _)| step == id);
        question.unwrap_or_else(|| panic!("no question of {id}: {:?}", controller.so_far())).1
    };
    // Nobody may look at the old database, which proves nothing.
    let question = asked("old_writer");
    assert_eq!(question.choices, ["retry", "undo", "impossible", "stop"], "{question:?}");
    assert_eq!(estate.changes(), Vec::<String>::new());
    estate.faults(&json!([]));
    estate.run(&place, &["answer", &place.id(), "old_writer", "retry"]).ends(0);
    // It is fenced; whoever takes the loss on sees the live number.
    let question = asked("orders_db!data_loss");
    assert!(format!("{question:?}").contains("(ReplicaLag)"), "{question:?}");
    assert_eq!(estate.changes(), ["ModifyDBInstance", "RebootDBInstance"]);
    let calls = estate.calls();
    let put = calls.iter().find(|call| call["operation"] == "ModifyDBInstance").expect("it is cut off");
    let group = estate.param("isolated_group_id_primary");
    assert_eq!(put["region"], "eu-west-1");
    assert!(put["request"].to_string().contains(&format!("\"{group}\"")), "{put}");
    estate.run(&place, &["answer", &place.id(), "orders_db!data_loss", "approve", "--as", "Cem Acar"]).ends(0);
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
    let report = estate.run(&place, &["report", &place.id(), "--format", "json"]).ends(0).out;
    let report: Value = serde_json::from_str(&report).expect("a report is JSON");
    let store = &report["rpo"][0];
    assert_eq!(
        (&store["recovery_point"], &store["how_measured"]),
        (&point.at.to_string().into(), &"ReplicaLag".into()),
        "{store}"
    );
}
