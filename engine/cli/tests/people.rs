//! Whose word counts: accounts and roles that included runbooks bring, and who
//! may declare a disaster.

mod support;

use support::Place;

/// A runbook that is included: it brings an account and a role of its own.
const PART: &str = "
dr: v1
name: payments
accounts: { payments: { id: \"345678901234\" } }
roles: { dba: { name: Grace, deputies: [Alan] } }
steps:
  promote:
    approve: { roles: [dba], count: 2 }
    do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } }
";

const WHOLE: &str = "
dr: v1
name: evacuate
accounts: { prod: { id: \"123456789012\" } }
roles: { executive: { name: Ada, deputies: [Ben] } }
steps:
  payments: { include: ./part.yaml }
";

#[test]
fn accounts_and_roles_of_an_included_runbook_are_those_of_the_plan() {
    let place = Place::with(WHOLE);
    place.write("part.yaml", PART);
    let drill = ["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"];
    place.run(&drill).ends(4).says(&["prod 123456789012, payments 345678901234"]);
    let id = place.id();
    let run = place.fold().expect("a run");
    let step = |id: &str| run.plan().step(run.plan().find(id).expect("a step"));
    assert_eq!(step("payments/promote").account.as_deref(), Some("payments"));
    // Both of the included runbook's people are asked for, and nobody else will do.
    let approve = |who: &str| place.run(&["answer", &id, "payments/promote!approve", "approve", "--as", who]);
    approve("Ada").ends(1).says(&["`Ada` may not answer this; Grace (dba), Alan (dba) may"]);
    approve("Eve").ends(2).says(&["Ada, Ben, Grace, Alan"]);
    approve("Grace").ends(4);
    assert_eq!(place.effects("payments/promote"), 0);
}

#[test]
fn a_disaster_is_declared_by_an_executive_or_a_deputy() {
    let place = Place::with(&WHOLE.replace("include: ./part.yaml", "do: { command: { argv: [\"true\"] } }"));
    let roles = "technical_lead: { name: Esra }, executive: { name: Ada, deputies: [Ben] }";
    place.write("runbook.yaml", &place.read("runbook.yaml").replace("executive: { name: Ada, deputies: [Ben] }", roles));
    let declared = |by: &[&str]| place.run(&[&["execute", "runbook.yaml", "--kind", "drill", "--yes"], by].concat());
    declared(&["--declared-by", "Esra"]).ends(2).says(&["`Esra` is no executive", "declared by: Ada, Ben"]);
    // Who starts it does not hide who is said to have declared it.
    declared(&["--as", "Esra", "--declared-by", "Eve"]).ends(2).says(&["`Eve` is no executive"]);
    assert_eq!(place.runs().len(), 0);
    declared(&["--as", "Esra", "--declared-by", "Ben", "--declared-at", "-5m"]).ends(0);
    assert_eq!(place.fold().expect("a run").opened.declared_by.as_deref(), Some("Ben"));
    place.write("runbook.yaml", &place.read("runbook.yaml").replace("executive:", "director:"));
    declared(&["--declared-by", "Ada"]).ends(2).says(&["`Ada` is no executive", "`executive: { name: … }`"]);
}
