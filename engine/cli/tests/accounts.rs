//! A recovery in several accounts: each worked in as its role, by somebody who
//! has credentials of none of them.

mod support;

use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};
use support::{
    Place,
    lab::{Estate, bin, lab, path_with},
    until,
};

/// What the role of `prod` asks to be shown.
const EXTERNAL_ID: &str = "canary-external-4711";

/// A restore that takes its time, a program and a claim in one account; services in another.
const RUNBOOK: &str = "
dr: v1
name: evacuate
regions: { primary: eu-west-1, recovery: eu-central-1 }
accounts:
  prod:
    id: \"${params.prod}\"
    role: \"arn:aws:iam::${params.prod}:role/dr\"
    external_id: { secret: env:PROD_EXTERNAL_ID }
  network: { id: \"${params.network}\", role: \"arn:aws:iam::${params.network}:role/ops/dr\" }
params: { prod: { type: string }, network: { type: string }, bucket: { type: string }, group: { type: string } }
claim: \"s3://${params.bucket}/claims/production\"
steps:
  orders_db:
    account: prod
    do:
      rds.restore_snapshot:
        source: orders
        snapshot: latest
        target: orders-dr
        class: db.r6g.large
        subnet_group: dr-private
        security_groups: [\"${params.group}\"]
        parameter_group: dr-pg15
  region:
    account: prod
    do:
      aws.cli:
        args: [ssm, put-parameter, --name, /app/region, --type, String, --value, there]
        check:
          args: [ssm, get-parameter, --name, /app/region]
          expect: { /Parameter/Value: there }
          absent: [ParameterNotFound]
  orders:
    account: network
    do: { ecs.scale_service: { cluster: prod, service: orders, desired: 2 } }
";

/// Three accounts: whose credentials one has, and two whose roles trust it.
struct Three {
    tools: Estate,
    prod: Estate,
    network: Estate,
    place: Place,
}

impl Three {
    fn new(lab: &'static dr_drills::lab::Lab) -> Self {
        let tools = Estate::new(lab);
        let seed = |more: Value| {
            let Value::Object(seed) = more else { unreachable!("it is written as one") };
            seed
        };
        let trusts = [tools.account.to_string()];
        let guarded = json!([{ "name": "dr", "trusts": trusts, "external_id": EXTERNAL_ID, "session": ["20*-evacuate-*", "dr"] }]);
        let prod = Estate::with(lab, seed(json!({ "looks": 4, "roles": guarded })));
        let network =
            Estate::with(lab, seed(json!({ "roles": [{ "name": "dr", "path": "/ops/", "trusts": trusts }] })));
        Self { tools, prod, network, place: Place::with(RUNBOOK) }
    }

    fn dr(&self, words: &[&str]) -> Command {
        let mut command = self.tools.dr(&self.place, words);
        command.env("PROD_EXTERNAL_ID", EXTERNAL_ID).env("PATH", path_with(&bin()));
        command
    }

    fn about(&self, words: &[&str]) -> Command {
        let bucket = self.prod.param("bucket_claim");
        let params = [
            format!("prod={}", self.prod.account),
            format!("network={}", self.network.account),
            format!("bucket={bucket}"),
            format!("group={}", self.prod.param("security_group_id")),
        ];
        let params: Vec<_> = params.iter().flat_map(|param| ["--param", param]).collect();
        self.dr(&[words, &["runbook.yaml"], &params].concat())
    }

    fn expire(&self) {
        let what = json!({ "account": self.prod.account.to_string(), "expire": true });
        self.prod.lab.sessions(&what).expect("they end");
    }

    /// How often a role was assumed, by the numbers of accounts.
    fn assumed(&self, of: &Estate) -> usize {
        let role = format!("::{}:role/", of.account);
        let calls = self.tools.calls().into_iter().filter(|call| call["operation"] == "AssumeRole");
        calls.filter(|call| call["request"]["RoleArn"].as_str().is_some_and(|arn| arn.contains(&role))).count()
    }
}

/// Everything that stands in the files beneath a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { bytes(&path) } else { fs::read(&path).unwrap_or_default() }).collect()
}

#[test]
fn each_account_is_worked_in_as_its_role_through_expiry_and_death() {
    let Some(lab) = lab() else { return };
    let three = Three::new(lab);
    let Three { tools, prod, network, place } = &three;
    let controller = place.begin(three.about(&["execute", "--yes"]));
    until("the restore to have begun", || prod.changes().iter().any(|name| name.starts_with("RestoreDB")));
    // In the middle of the wait: the controller that runs takes others.
    three.expire();
    until("the role to be assumed anew", || three.assumed(prod) == 2);
    controller.kill();
    three.expire();
    let id = place.id();
    place.end(three.dr(&["resume", &id])).ends(0);
    let restored = prod.changes().iter().filter(|name| name.starts_with("RestoreDB")).count();
    assert_eq!((restored, network.changes()), (1, vec!["UpdateService".to_owned()]));
    assert_eq!(prod.changes().iter().filter(|name| *name == "PutParameter").count(), 1);
    // The caller's own account was asked for the roles, and for nothing else.
    let own: Vec<_> = tools.calls().into_iter().filter(|call| call["operation"] != "AssumeRole").collect();
    assert_eq!(own, Vec::<Value>::new());
    assert!(three.assumed(network) <= 2);
    let named =
        tools.calls().iter().all(|call| call["request"]["RoleSessionName"] == *id && call["region"] == "eu-central-1");
    assert!(named, "{:?}", tools.calls());
    // Nothing of what let it in is left anywhere.
    let mut kept = bytes(&place.path("state"));
    kept.extend(bytes(&place.path("said")));
    let kept = String::from_utf8_lossy(&kept);
    for secret in [EXTERNAL_ID, "lab-session-", &format!("LAB{}R", prod.account)] {
        assert!(!kept.contains(secret), "{secret}");
    }
    assert!(kept.contains("PROD_EXTERNAL_ID") && kept.contains("role/ops/dr"));
}

#[test]
fn one_accounts_trouble_names_itself_and_holds_its_own_steps() {
    let Some(lab) = lab() else { return };
    let three = Three::new(lab);
    let runbook = RUNBOOK
        .replace("role/ops/dr", "role/gone")
        .replace("    account: network\n", "    account: network\n    retry: { attempts: 1 }\n");
    three.place.write("runbook.yaml", &runbook);
    let said = three.place.end(three.about(&["execute", "--yes", "--no-wait"])).ends(4);
    let account = &three.network.account;
    said.prints(&[
        &format!("account `network` ({account}): its role arn:aws:iam::{account}:role/gone was not assumed"),
        "AccessDenied",
        "the role's trust policy has to name the caller",
    ]);
    assert_eq!((three.place.state("orders"), three.place.state("orders_db")), ("asking", "done"));
    assert_eq!(three.network.calls(), Vec::<Value>::new());
}

#[test]
fn plan_and_doctor_say_as_whom_it_works() {
    let Some(lab) = lab() else { return };
    let three = Three::new(lab);
    let (prod, network) = (&three.prod.account, &three.network.account);
    let works = format!("works in prod {prod} as the role dr, network {network} as the role dr");
    three.place.end(three.about(&["plan"])).ends(0).prints(&[&works]);
    let said = three.place.end(three.about(&["doctor"]));
    said.prints(&[
        &format!("ok   account    {} (arn:aws:iam::", three.tools.account),
        &format!("ok   account    `prod` is {prod} (arn:aws:sts::{prod}:assumed-role/dr/"),
        &format!("ok   account    `network` is {network} (arn:aws:sts::{network}:assumed-role/dr/dr), assumed in eu-central-1"),
    ]);
    // Without the external id one of them cannot be reached, and the other can.
    let mut without = three.about(&["doctor"]);
    without.env_remove("PROD_EXTERNAL_ID");
    three.place.end(without).ends(1).prints(&[
        "BAD  account    ",
        "the secret `env:PROD_EXTERNAL_ID` is not set",
        &format!("ok   account    `network` is {network}"),
    ]);
}
