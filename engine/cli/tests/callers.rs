//! Whoever calls AWS with the wrong account, an expired token, no credentials
//! or towards nobody: told what is wrong and the way out, and nothing of the
//! estate is touched.

mod support;

use serde_json::{Value, json};
use std::process::Command;
use support::{
    Place,
    lab::{Estate, lab},
};

/// One change of the estate.
const RUNBOOK: &str = "
dr: v1
name: scale
regions: { recovery: eu-central-1 }
accounts: { production: { id: \"${params.account}\" } }
params: { account: { type: string } }
steps:
  orders:
    check_timeout: 500ms
    retry: { attempts: 2, backoff: 20ms..20ms }
    do: { ecs.scale_service: { cluster: prod, service: orders, desired: 2 } }
";

/// A way to go wrong: the account that the runbook names, what is done to the
/// caller and to the calls, and what is said.
struct Trouble {
    name: &'static str,
    account: Option<&'static str>,
    caller: fn(&mut Command),
    faults: fn() -> Value,
    says: &'static [&'static str],
}

fn as_it_was(_: &mut Command) {}

fn no_faults() -> Value {
    json!([])
}

const TROUBLES: [Trouble; 5] = [
    Trouble {
        name: "the wrong account",
        account: Some("999999999999"),
        caller: as_it_was,
        faults: no_faults,
        says: &["these credentials are of account 0", "`production` is account 999999999999", "AWS_PROFILE"],
    },
    Trouble {
        name: "an expired token",
        account: None,
        caller: as_it_was,
        faults: || json!([{ "every": true, "do": "expired_token" }]),
        says: &["the credentials have expired", "ExpiredToken", "aws sso login"],
    },
    Trouble {
        name: "a token that is too old for writes",
        account: None,
        caller: as_it_was,
        faults: || json!([{ "rw": "write", "every": true, "do": "expired_token" }]),
        says: &["the credentials have expired", "ExpiredToken", "aws sso login"],
    },
    Trouble {
        name: "an endpoint that cannot be reached",
        account: None,
        caller: |command| {
            // Nobody listens on that port.
            command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        },
        faults: no_faults,
        says: &["was not sent: no connection", "in eu-central-1 impaired?"],
    },
    Trouble {
        name: "no credentials",
        account: None,
        caller: |command| {
            command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        },
        faults: no_faults,
        says: &["was not sent: no AWS credentials", "aws sso login", "AWS_PROFILE"],
    },
];

impl Trouble {
    /// `dr execute` in this trouble.
    fn execute(&self, estate: &Estate, place: &Place) -> Command {
        estate.faults(&(self.faults)());
        let account = format!("account={}", self.account.map_or_else(|| estate.account.to_string(), Into::into));
        let mut command = estate.dr(place, &["execute", "runbook.yaml", "--yes", "--no-wait", "--param", &account]);
        (self.caller)(&mut command);
        command
    }
}

#[test]
fn a_step_is_held_with_the_way_out_and_goes_on_once_it_is_mended() {
    let Some(lab) = lab() else { return };
    for trouble in TROUBLES {
        let (estate, place) = (Estate::new(lab), Place::with(RUNBOOK));
        let before = estate.dump();
        let said = place.end(trouble.execute(&estate, &place)).ends(4).prints(trouble.says);
        let id = place.id();
        said.says(&[&format!("dr status {id}"), &format!("dr resume {id}")])
            .prints(&[&format!("dr answer {id} orders retry")]);
        // Whoever comes later and looks reads the same, with the way out.
        place.run(&["status", &id]).ends(0).prints(trouble.says);
        assert_eq!((estate.dump(), estate.changes()), (before, vec![]), "{}: something was touched", trouble.name);
        if trouble.account.is_some() {
            continue;
        }
        estate.faults(&json!([]));
        estate.run(&place, &["answer", &id, "orders", "retry", "--why", "signed in"]).ends(4);
        estate.run(&place, &["resume", &id, "--no-wait"]).ends(0);
        assert_eq!(estate.changes(), ["UpdateService"], "{}", trouble.name);
    }
}

#[test]
fn a_run_with_a_claim_is_not_even_opened() {
    let Some(lab) = lab() else { return };
    for trouble in TROUBLES {
        let estate = Estate::new(lab);
        let claim = format!("claim: s3://{}/claims/production\nsteps:", estate.param("bucket_claim"));
        let place = Place::with(&RUNBOOK.replace("steps:", &claim));
        let before = estate.dump();
        place.end(trouble.execute(&estate, &place)).ends(1).says(trouble.says).says(&["the claim s3://"]);
        assert_eq!(place.runs(), Vec::<String>::new(), "{}", trouble.name);
        assert_eq!((estate.dump(), estate.changes()), (before, vec![]), "{}: something was touched", trouble.name);
    }
}

#[test]
fn what_stands_in_another_account_is_not_taken_for_the_goal() {
    let Some(lab) = lab() else { return };
    let (ours, other) = (Estate::new(lab), Estate::new(lab));
    let account = format!("account={}", other.account);
    let place = Place::with(RUNBOOK);
    other.run(&place, &["execute", "runbook.yaml", "--yes", "--no-wait", "--param", &account]).ends(0);
    // There it is so already; the runbook names another account.
    let place = Place::with(RUNBOOK);
    let account = format!("account={}", ours.account);
    let said = other.run(&place, &["execute", "runbook.yaml", "--yes", "--no-wait", "--param", &account]).ends(4);
    said.prints(&[&format!("these credentials are of account {}", other.account), "AWS_PROFILE"]);
    assert_eq!((place.state("orders"), ours.changes()), ("asking", vec![]));
}

#[test]
fn a_role_is_assumed_from_the_recovery_region_whichever_step_comes_first() {
    let Some(lab) = lab() else { return };
    let role = json!([{ "name": "recovery", "trusts": ["*"] }]);
    let estate = Estate::with(lab, [("roles".to_owned(), role)].into_iter().collect());
    let primary = RUNBOOK.replace("{ recovery:", "{ primary: eu-west-1, recovery:");
    let place = Place::with(&primary.replace("    check_timeout", "    region: primary\n    check_timeout"));
    let role = format!("arn:aws:iam::{}:role/recovery", estate.account);
    let config = format!(
        "[profile dr]\nrole_arn = {role}\nsource_profile = base\n\
         [profile base]\naws_access_key_id = LAB{}\naws_secret_access_key = any\n",
        estate.account
    );
    std::fs::write(place.path("aws.ini"), config).expect("a file");
    let account = format!("account={}", estate.account);
    let mut command = estate.dr(&place, &["execute", "runbook.yaml", "--yes", "--no-wait", "--param", &account]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("AWS_CONFIG_FILE", place.path("aws.ini")).env("AWS_PROFILE", "dr");
    place.end(command).ends(0);
    let assumed = estate.calls().into_iter().filter(|call| call["operation"] == "AssumeRole");
    let regions: Vec<_> = assumed.map(|call| call["region"].clone()).collect();
    assert_eq!(regions, [json!("eu-central-1")]);
}
