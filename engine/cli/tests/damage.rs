//! Data that was damaged, brought back from before the damage, against the lab.

mod support;

use std::path::Path;
use support::{
    Place,
    lab::{Estate, lab},
    until,
};

#[test]
fn data_comes_back_as_it_was_before_the_damage_and_users_only_when_somebody_looked() {
    let Some(lab) = lab() else { return };
    let (estate, place) = (Estate::new(lab), Place::new());
    let runbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks/before_the_damage.yaml");
    let runbook = runbook.canonicalize().expect("a runbook").display().to_string();
    let text = std::fs::read_to_string(&runbook).expect("it is text");
    let mut args = vec!["execute".to_owned(), runbook, "--yes".into(), "--incident-at=-30m".into()];
    for (name, value) in estate.params.iter().filter(|(name, _)| text.contains(&format!("\n  {name}: {{ type"))) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        args.extend(["--param".into(), format!("{name}={value}")]);
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut controller = place.begin(estate.dr(&place, &args));
    until("the question", || !place.asking().is_empty() || controller.over());
    let question = place.asking().pop().unwrap_or_else(|| panic!("no question: {:?}", controller.so_far()));
    // It names the moment, and where to look.
    let run = place.fold().expect("a run");
    let before = run.opened.incident_at;
    let asked = format!("{question:?}");
    let stores = run.steps().filter_map(|(_, step)| step.output.recovery_point.clone());
    let stores: Vec<_> = stores.collect();
    assert_eq!(stores.len(), 2, "{stores:?}");
    for point in stores {
        assert!(point.at <= before && before.since(point.at).0 < 1_000, "{} for {before}", point.at);
        assert!(asked.contains(&point.at.to_string()), "{asked}");
    }
    assert!(asked.contains("orders-before.") && asked.contains("sessions-before"), "{asked}");
    assert!(!estate.changes().contains(&"ChangeResourceRecordSets".to_owned()), "{:?}", estate.changes());
    estate.run(&place, &["answer", &place.id(), "looked_at", "approve", "--as", "Esra Yilmaz"]).ends(0);
    until("an end", || controller.over());
    controller.end().ends(0);
    let state = estate.dump();
    assert!(state.contains("orders-before.") && state.contains("sessions-before"), "{state}");
    let changes = estate.changes();
    for once in ["RestoreDBInstanceToPointInTime", "RestoreTableToPointInTime", "ChangeResourceRecordSets"] {
        assert_eq!(changes.iter().filter(|name| *name == once).count(), 1, "{changes:?}");
    }
}
