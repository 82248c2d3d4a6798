//! A replica that becomes the database, against the lab.

mod support;

use serde_json::Value;
use std::path::Path;
use support::{
    Place,
    lab::{Estate, lab},
    until,
};

#[test]
fn a_replica_becomes_the_database_and_the_report_says_what_was_lost() {
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
    estate.region("eu-west-1", "down");
    let mut controller = place.begin(estate.dr(&place, &args));
    until("the question", || !place.asking().is_empty() || controller.over());
    assert!(!place.asking().is_empty(), "no question: {:?}", controller.so_far());
    assert_eq!(estate.changes(), Vec::<String>::new(), "nobody has agreed");
    estate.run(&place, &["answer", &place.id(), &place.asking()[0].0, "approve", "--as", "Cem Acar"]).ends(0);
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
