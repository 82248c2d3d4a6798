//! A fence that cannot be set, through the binary: two people take it on, and
//! it is owed until it stands.

mod support;

use serde_json::Value;
use std::{fs, process::Command};
use support::{Place, skipped, until};

/// The old writer is a file: while `away` is there it does not answer.
const OLD: &str = r#"
[ ! -e away ] || { echo "no route to the old region" >&2; exit 1; }
case "$1" in stop) touch stopped ;; *) [ -e stopped ] || exit 3 ;; esac
"#;

const RUNBOOK: &str = r"
dr: v1
name: promote
roles:
  executive: { name: Ada, deputies: [Ben] }
  incident_commander: { name: Cem, deputies: [Dana] }
steps:
  stop_old:
    do:
      fence.command:
        argv: [sh, ./old, stop]
        check: { argv: [sh, ./old, cannot-write] }
    timeout: 20s
    check_timeout: 1s
  promote_new:
    do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } }
    fence: stop_old
    data_loss: acknowledge
";

/// `dr` as somebody who logged in with this number, whoever's processes these are.
fn logged_in(place: &Place, uid: u32, args: &[&str]) -> Command {
    let dr = place.dr(args);
    let mut command = Command::new("sh");
    command.args(["-c", r#"echo "$0" > /proc/self/loginuid && exec "$@""#, &uid.to_string()]);
    command.arg(dr.get_program()).args(dr.get_args());
    place.clean(&mut command);
    dr.get_envs().for_each(|(name, value)| match value {
        Some(value) => drop(command.env(name, value)),
        None => drop(command.env_remove(name)),
    });
    if let Some(folder) = dr.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

#[test]
fn what_cannot_be_fenced_is_passed_by_two_logins_and_owed_until_it_is() {
    let place = Place::with(RUNBOOK);
    place.write("old", OLD);
    place.write("away", "");
    let can_log_in = place.end(logged_in(&place, 1, &["--version"])).code() == 0;
    if !can_log_in {
        skipped("two logins on one machine", "this process may not say who logged in");
        return;
    }
    let mut controller = place.start(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--incident-at", "-4m"]);
    until("the fence's question", || place.asking().iter().any(|(step, _)| step == "stop_old") || controller.over());
    let id = place.id();
    let impossible = |uid: u32, name: &str, why: &[&str]| {
        let args = [&["answer", &id, "stop_old", "impossible", "--as", name], why].concat();
        place.end(logged_in(&place, uid, &args))
    };
    // One person's word is not enough, whatever they say, and under whatever name.
    place.run(&["answer", &id, "stop_old", "skip"]).ends(1).says(&["can be answered with: retry, impossible, stop"]);
    place.run(&["done", &id, "stop_old", "--why", "I saw it"]).ends(1).says(&["one person's word is not enough"]);
    impossible(1, "Cem", &[]).ends(1).says(&["say how you know that the old writer cannot write: --why TEXT"]);
    let why = ["--why", "AWS says that the region is dark"];
    impossible(1, "Cem", &why).ends(0);
    impossible(1, "Ada", &why).ends(1).says(&["you have agreed already, as ", "from a login of their own"]);
    assert_eq!(place.effects("promote_new"), 0);
    impossible(2, "Ada", &why).ends(0);
    // The loss is asked next, and nobody can say how much: a command measures nothing.
    until("the loss", || place.asking().iter().any(|(step, _)| step == "promote_new!data_loss") || controller.over());
    let question = &place.asking()[0].1;
    assert!(question.text.contains("nobody can say how much"), "{question:?}");
    assert_eq!(question.roles, ["executive"]);
    place.run(&["answer", &id, "promote_new!data_loss", "approve", "--as", "Ben"]).ends(0);
    until("the promotion", || place.state("promote_new") == "done" || controller.over());
    // It goes on for the fence alone, and everybody sees it.
    assert!(!controller.over(), "{:?}", controller.so_far());
    place.run(&["status", &id]).ends(0).prints(&[
        "NOT FENCED: stop_old",
        "owed",
        "NOT FENCED, tried again in",
        "Cem and Ada said that the old writer cannot write",
        "no route to the old region",
    ]);
    let status = place.run(&["status", &id, "--json"]).ends(0).out;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(
        (&status["not_fenced"], &status["steps"]["stop_old"]),
        (&serde_json::json!(["stop_old"]), &"owed".into())
    );
    place.run(&["update", "draft", &id]).ends(0).prints(&["RED", "the old writer is not fenced"]);
    place.run(&["answer", &id, "stop_old", "skip", "--as", "Ada"]).ends(1).says(&["say why nothing fences"]);
    // The power goes; whoever goes on tries it at once, and the old region is back.
    controller.kill();
    fs::remove_file(place.path("away")).expect("it was there");
    place.run(&["resume", &id]).ends(0).prints(&["stop_old: done"]);
    assert!(place.path("stopped").exists());
    assert_eq!((place.state("stop_old"), place.effects("promote_new")), ("done", 1));
    let report = place.run(&["report", &id]).ends(0);
    report.prints(&["the fence cannot be set, and the old writer cannot write", "AWS says that the region is dark"]);
}
