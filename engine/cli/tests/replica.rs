//! A replica that becomes the database, against the lab.

mod support;

use serde_json::Value;
use std::{os::unix::fs::PermissionsExt, path::Path};
use support::{
    Place,
    lab::{Estate, lab},
    until,
};

/// A `psql` that keeps in a file whether the role may log in, and does not answer while `away` is there.
const PSQL: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
[ ! -e away ] || { echo "connection refused" >&2; exit 2; }
case "$(cat)" in
ALTER*) touch stopped ;;
*) if [ -e stopped ]; then echo cannot; else echo can; fi ;;
esac
"#;

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
    let bin = place.path("psql-bin");
    std::fs::create_dir_all(&bin).expect("a folder");
    std::fs::write(bin.join("psql"), PSQL).expect("a program");
    std::fs::set_permissions(bin.join("psql"), std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    std::fs::write(bin.join("away"), "").expect("a file");
    estate.region("eu-west-1", "down");
    let mut command = estate.dr(&place, &args);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", bin.display())).env("OLD_DATABASE_URL", "postgres://old.example.test/");
    let mut controller = place.begin(command);
    let mut asked = |id: &str| {
        until("the question", || place.asking().iter().any(|(step, _)| step == id) || controller.over());
        let asking = place.asking();
        let question = asking.into_iter().find(|(step, _)| step == id);
        question.unwrap_or_else(|| panic!("no question of {id}: {:?}", controller.so_far())).1
    };
    // The database does not answer, which proves nothing.
    let question = asked("old_writer");
    assert_eq!(question.choices, ["retry", "impossible", "stop"], "{question:?}");
    assert_eq!(estate.changes(), Vec::<String>::new());
    std::fs::remove_file(bin.join("away")).expect("it answers again");
    estate.run(&place, &["answer", &place.id(), "old_writer", "retry"]).ends(0);
    // It is fenced; whoever takes the loss on sees the live number.
    let question = asked("orders_db!data_loss");
    assert!(format!("{question:?}").contains("(ReplicaLag)"), "{question:?}");
    assert_eq!((bin.join("stopped").exists(), estate.changes()), (true, Vec::new()));
    estate.run(&place, &["answer", &place.id(), "orders_db!data_loss", "approve", "--as", "Cem Acar"]).ends(0);
    until("an end", || controller.over());
    controller.end().ends(0);
    assert_eq!(estate.changes(), ["PromoteReadReplica", "ChangeResourceRecordSets"]);
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
