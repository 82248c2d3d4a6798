//! People sign in elsewhere when the region of their user pool is gone, against the lab.

mod support;

use std::path::Path;
use support::{
    Place,
    lab::{Estate, lab},
};

#[test]
fn people_can_sign_in_elsewhere_by_either_way_that_was_prepared() {
    let Some(lab) = lab() else { return };
    let runbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runbooks/identity.yaml");
    let runbook = runbook.canonicalize().expect("a runbook").display().to_string();
    let text = std::fs::read_to_string(&runbook).expect("it is text");
    let import = ["CreateUserImportJob", "PutObject", "StartUserImportJob"].as_slice();
    for (by_import, changes) in [(false, ["UpdateUserPoolReplica"].as_slice()), (true, import)] {
        let (estate, place) = (Estate::new(lab), Place::new());
        estate.region("eu-west-1", "down");
        let mut args = vec!["execute".to_owned(), runbook.clone(), "--yes".into(), "--only".into()];
        args.extend([
            "phase.datastores".into(),
            "--incident-at=-1m".into(),
            "--param".into(),
            format!("by_import={by_import}"),
        ]);
        args.extend(["--param".into(), "sign_in_url=https://www.example.com/health".into()]);
        for (name, value) in estate.params.iter().filter(|(name, _)| text.contains(&format!("\n  {name}: {{ type"))) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            args.extend(["--param".into(), format!("{name}={value}")]);
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        estate.run(&place, &args).ends(0);
        assert_eq!(estate.changes(), changes, "by import: {by_import}");
        let state: serde_json::Value = serde_json::from_str(&estate.dump()).expect("a dump is JSON");
        let people = state["cognito"]["pools"]["eu-central-1 shop-standby"].as_object().expect("a pool").len();
        let replica = state["cognito"]["replicas"]["shop"]["eu-central-1"].as_str().expect("a replica");
        let right = if by_import { (12, "SECONDARY INACTIVE") } else { (1, "SECONDARY ACTIVE") };
        assert_eq!((people, replica), right, "by import: {by_import}");
    }
}
