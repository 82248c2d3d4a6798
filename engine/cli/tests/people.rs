//! Whose word counts, and what has to be shown for it: accounts and roles that
//! included runbooks bring, who may declare a disaster, work done by hand.

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
    place
        .write("runbook.yaml", &place.read("runbook.yaml").replace("executive: { name: Ada, deputies: [Ben] }", roles));
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

/// Two things that people do by hand, and show.
const BY_HAND: &str = "
dr: v1
name: by_hand
roles: { technical_lead: { name: Esra } }
steps:
  call_carrier:
    do: { manual: { instructions: Call the carrier., owner: technical_lead, evidence: text } }
  compare_ledgers:
    needs: [call_carrier]
    do: { manual: { instructions: Compare the ledgers., owner: technical_lead, evidence: file } }
  tell_board:
    needs: [compare_ledgers]
    do: { manual: { instructions: Tell the board., owner: technical_lead } }
";

#[test]
fn work_by_hand_is_done_when_it_is_shown() {
    let place = Place::with(BY_HAND);
    let said = place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]).ends(4);
    let id = place.id();
    let shown = format!("dr done {id} call_carrier --why TEXT --evidence TEXT --as NAME");
    said.prints(&[&shown]);
    let done = |step: &str, more: &[&str]| {
        place.run(&[&["done", &id, step, "--why", "by phone", "--as", "Esra"], more].concat())
    };
    let resume = |code: i32| drop(place.run(&["resume", &id, "--no-wait"]).ends(code));

    let way_out = format!("dr done {id} call_carrier --why TEXT --evidence TEXT");
    done("call_carrier", &[]).ends(1).says(&["`call_carrier` is done when it is shown", &way_out]);
    done("call_carrier", &["--evidence", " "]).ends(1).says(&[&way_out]);
    done("call_carrier", &["--evidence", "ticket 4711"]).ends(4);
    resume(4);
    assert_eq!(place.state("call_carrier"), "done");

    // A file: a copy is kept, and its hash stands in the journal.
    place.write("ledger.CSV", "a;b\n1;2\n");
    place.write("empty", "");
    let way_out = format!("dr done {id} compare_ledgers --why TEXT --evidence FILE");
    done("compare_ledgers", &[]).ends(1).says(&[&way_out]);
    done("compare_ledgers", &["--output", "evidence=ledger.CSV"]).ends(1).says(&[&way_out]);
    done("compare_ledgers", &["--evidence", "gone.csv"]).ends(1).says(&["`gone.csv` cannot be shown: No such file"]);
    done("compare_ledgers", &["--evidence", "empty"]).ends(1).says(&["`empty` cannot be shown: it is empty"]);
    let refused = ["done", &id, "compare_ledgers", "--why", "x", "--evidence", "ledger.CSV"];
    place.run(&refused).ends(1).says(&["say who you are: --as NAME"]);
    let kept = || std::fs::read_dir(place.run_folder().join("evidence")).into_iter().flatten().flatten().count();
    assert_eq!(kept(), 0, "nothing is kept that nobody speaks of");
    done("compare_ledgers", &["--evidence", "ledger.CSV"]).ends(4);
    place.write("ledger.CSV", "changed after");
    resume(4);
    // sha256sum of what was shown.
    let sha256 = "403bea5152c251c5bc7ef420d824d191605723f99392e83a0549ad58c6d46291";
    let outputs =
        place.fold().map(|run| run.step(run.plan().find("compare_ledgers").expect("a step")).output.values.clone());
    let name = format!("evidence/compare_ledgers-{}.CSV", &sha256[..12]);
    assert_eq!(outputs, serde_json::json!({ "evidence": name, "evidence_sha256": sha256 }).as_object().cloned());
    assert_eq!(std::fs::read_to_string(place.run_folder().join(&name)).expect("a copy"), "a;b\n1;2\n");
    assert_eq!(kept(), 1);

    // Where nothing has to be shown, nothing is taken that nobody would find again.
    done("tell_board", &["--evidence", "minutes"]).ends(2).says(&["`tell_board` asks for nothing to be shown"]);
    done("tell_board", &[]).ends(4);
    resume(0);
    place.run(&["report", &id, "--format", "md"]).ends(0).prints(&["done, shown: ticket"]);
    place.run(&["report", &id, "--format", "json"]).ends(0).prints(&["ticket 4711", &name, sha256]);
}
