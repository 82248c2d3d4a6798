//! What people meet who mistype, mix up files, or ask for what is not there:
//! each is told what is wrong and the way out, and nothing is harmed.

mod support;

use std::fs;
use support::{Place, Said};

const SMALL: &str = "
dr: v1
name: small
steps:
  hello: { do: { command: { argv: [sh, ./work], check: { argv: [sh, ./seen] } } } }
";

fn done() -> (Place, String) {
    let place = Place::with(SMALL);
    place.drill().ends(0);
    let id = place.id();
    (place, id)
}

fn exported() -> (Place, String, String) {
    let (place, id) = done();
    place.run(&["export", &id, "--out", "run.jsonl"]).ends(0);
    let text = place.read("run.jsonl");
    (place, id, text)
}

/// Takes the file in under a state folder two levels down.
fn import(place: &Place, file: &str) -> Said {
    place.run(&["--state", "deep/state", "import", file])
}

#[test]
fn an_export_never_leads_a_run_out_of_the_folder_of_runs() {
    let (place, id, text) = exported();
    fs::create_dir_all(place.path("deep")).expect("a folder");
    for other in ["../../evil", "..", ".hidden", "/tmp/evil", "", "a b", "other"] {
        // In the head alone, and in the events as well.
        let head = text.replacen(&format!("\"run\":\"{id}\""), &format!("\"run\":\"{other}\""), 1);
        for evil in [head, text.replace(&id, other)] {
            place.write("evil.jsonl", &evil);
            let said = import(&place, "evil.jsonl");
            assert_ne!(said.code(), 0, "{other:?} was taken in\n{}", said.out);
        }
    }
    let left: Vec<_> = fs::read_dir(place.path("deep")).expect("a folder").flatten().map(|it| it.file_name()).collect();
    assert!(left.iter().all(|name| name == "state"), "{left:?}");
    let runs = fs::read_dir(place.path("deep/state/runs")).map_or(0, Iterator::count);
    assert_eq!(runs, 0, "something was left behind");
    import(&place, "run.jsonl").ends(0);
}

#[test]
fn what_is_no_export_is_told_as_that() {
    let (place, _, text) = exported();
    let (first, rest) = text.split_once('\n').expect("a head");
    place.write("cut.jsonl", text.rsplit_once("\n{").expect("events").0);
    place.write("newer.jsonl", &text.replacen("\"version\":1", "\"version\":2", 1));
    place.write("huge.jsonl", &text.replacen("\"events\":", "\"events\":9999999999", 1));
    place.write("torn.jsonl", &format!("{first}\n{}", &rest[..40]));
    fs::write(place.path("bytes.jsonl"), [0xff, 0xfe]).expect("a file");
    for (file, told) in [
        ("runbook.yaml", "its first line is not the head of one"),
        ("state", "it is a folder"),
        ("bytes.jsonl", "it is no UTF-8 text"),
        ("cut.jsonl", "events are there"),
        ("huge.jsonl", "events are there"),
        ("torn.jsonl", "event 1"),
        ("newer.jsonl", "has version 2 of the form, this version of dr reads 1"),
    ] {
        import(&place, file).ends(2).says(&[told]);
    }
    import(&place, "none.jsonl").ends(1).says(&["there is no file none.jsonl"]);
    import(&place, "runbook.yaml").says(&["hint: one is made by: dr export RUN --out FILE"]);
    place.run(&["import", "run.jsonl"]).ends(2).says(&["is here already", "--state DIR takes it in elsewhere"]);
}

#[test]
fn an_export_is_written_over_an_older_one_of_its_run_and_over_nothing_else() {
    let (place, id, text) = exported();
    place.run(&["note", &id, "seen"]).ends(0);
    place.run(&["export", &id, "--out", "run.jsonl"]).ends(0);
    assert!(place.read("run.jsonl").len() > text.len());
    let of_another = text.replacen(&format!("\"run\":\"{id}\""), "\"run\":\"other\"", 1);
    for (file, held) in [("runbook.yaml", SMALL), ("other.jsonl", &of_another)] {
        place.write(file, held);
        let said = place.run(&["export", &id, "--out", file]).ends(2);
        said.says(&["is there already and is no export of this run: nothing was written", "--out FILE"]);
        assert_eq!(place.read(file), held);
    }
}

#[test]
fn an_id_that_is_empty_means_no_run() {
    let (place, _) = done();
    for args in [vec!["status", ""], vec!["undo", "", "--yes"], vec!["note", "", "x"], vec!["report", ""]] {
        place.run(&args).ends(2).says(&["the id of the run is empty", "dr status"]);
    }
}

#[test]
fn where_nothing_is_it_is_said_where_that_is() {
    let place = Place::new();
    for args in [vec!["resume"], vec!["watch"], vec!["report", "x"]] {
        place.run(&args).ends(2).says(&["there are no runs under", "state/runs", "--state DIR"]);
    }
}

#[test]
fn a_plan_names_the_steps_that_the_region_has_to_answer_for_whose_loss_it_is_for() {
    let place = |region: &str| {
        Place::with(&format!(
            "
dr: v1
name: copies
regions: {{ primary: eu-west-1, recovery: eu-central-1 }}
steps:
  copy:
    region: {region}
    do:
      backup.copy_job:
        vault: home
        resource: arn:aws:dynamodb:eu-west-1:111122223333:table/t
        to: arn:aws:backup:eu-north-1:111122223333:backup-vault:second
        role: arn:aws:iam::111122223333:role/copy
    timeout: 6h
"
        ))
    };
    let says = "eu-west-1 must answer, though this is for its loss: copy";
    place("primary").run(&["plan", "runbook.yaml"]).ends(0).prints(&[says]);
    for (mode, region) in [("ungraceful", "recovery"), ("graceful", "primary")] {
        let plan = place(region).run(&["plan", "runbook.yaml", "--mode", mode]).ends(0);
        assert!(!plan.out.contains("must answer"), "{mode} {region}: {}", plan.out);
    }
}

#[test]
fn a_condition_that_only_the_plan_decides_is_decided_when_planning() {
    let place = Place::with(
        "
dr: v1
name: choice
params: { full: { type: bool, default: false } }
steps:
  short: { do: { command: { argv: [sh, ./work] } }, estimate: { p50: 1m, p90: 2m } }
  long:
    when: params.full
    do: { command: { argv: [sh, ./work] } }
    estimate: { p50: 2h, p90: 3h }
    timeout: 4h
  after: { needs: [long], do: { command: { argv: [sh, ./work] } }, estimate: { p50: 1m, p90: 1m } }
  later: { when: \"run.kind == 'live'\", do: { command: { argv: [sh, ./work] } }, estimate: { p50: 1s, p90: 1s } }
",
    );
    let plan = place.run(&["plan", "runbook.yaml"]).ends(0).prints(&[
        "predicted recovery time: 1m, 2m if every step is slow",
        "long   command [left out]",
        "left out: its condition is false, whatever happens: long",
        "later  command [conditional]",
        "conditional: shown as if its condition held: later",
    ]);
    assert!(!plan.out.contains("2h"), "{}", plan.out);
    place.run(&["graph", "runbook.yaml", "--format", "mermaid"]).ends(0).prints(&["left out by its condition"]);
    let full = place.run(&["plan", "runbook.yaml", "--param", "full=true"]).ends(0);
    full.prints(&["predicted recovery time: 2h1m, 3h1m if every step is slow"]);
}

#[test]
fn what_was_said_while_no_controller_runs_is_seen_and_can_be_changed() {
    let place = Place::with("dr: v1\nname: held\nsteps: { one: { do: { command: { argv: [sh, -c, 'exit 4'] } } } }\n");
    place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]).ends(4);
    let id = place.id();
    place.run(&["answer", &id, "one", "retry", "--within", "soon"]).ends(2).says(&["--within"]);
    place.run(&["answer", &id, "one", "retry"]).ends(4).says(&["written down for the next", "dr resume"]);
    let waits = format!("waits for a controller: dr resume {id}");
    let said = place.run(&["status", &id]).ends(0).prints(&["`retry` to `one`", &waits, "answered, see above"]);
    assert!(!said.out.contains("see below"), "{}", said.out);
    place.run(&["status"]).ends(0).prints(&["NO CONTROLLER RUNS, said and not taken: 1"]);
    place.run(&["answer", &id, "one", "skip"]).ends(4).says(&["taken back: `retry` to `one`"]);
    let status: serde_json::Value = serde_json::from_str(&place.run(&["status", &id, "--json"]).out).expect("JSON");
    assert_eq!(status["waiting"].as_array().map(Vec::len), Some(1), "{status}");
    assert_eq!(status["waiting"][0]["step"], "one");
    let ended = place.run(&["resume", &id, "--no-wait"]).ends(0);
    assert!(!ended.err.contains("not taken"), "{}", ended.err);
    assert_eq!(place.state("one"), "skipped");
    assert!(!place.run(&["status", &id]).out.contains("waits for a controller"));
}

#[test]
fn an_empty_note_is_none() {
    let (place, id) = done();
    let before = place.events().len();
    place.run(&["note", &id, " "]).ends(2).says(&["there is nothing to note"]);
    assert_eq!(place.events().len(), before);
}

#[test]
fn with_json_an_error_is_an_object_beside_the_output() {
    let place = Place::with(SMALL);
    place.write("broken.yaml", "dr: v1\nname: broken\nsteps:\n  one: { dp: { command: { argv: [x] } } }\n");
    let object = |args: &[&str], code: i32| -> serde_json::Value {
        let said = place.run(args).ends(code);
        assert_eq!(said.out, "", "{args:?}");
        let error: serde_json::Value = serde_json::from_str(&said.err).expect("one object");
        assert_eq!((&error["format"], &error["exit"]), (&"dr-error".into(), &code.into()), "{error}");
        error
    };
    let error = object(&["--json", "status", "none"], 2);
    assert_eq!(error["error"], "there is no run `none`");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("--state DIR")), "{error}");
    for command in ["lint", "plan"] {
        let error = object(&["--json", command, "broken.yaml"], 2);
        let mistakes = error["mistakes"].as_array().expect("a list");
        let unknown = mistakes.iter().find(|it| it["message"].as_str().is_some_and(|text| text.contains("`dp`")));
        let unknown = unknown.unwrap_or_else(|| panic!("{error}"));
        assert_eq!(
            (&unknown["file"], &unknown["line"], &unknown["column"]),
            (&"broken.yaml".into(), &4.into(), &10.into())
        );
    }
    let lint: serde_json::Value =
        serde_json::from_str(&place.run(&["--json", "lint", "runbook.yaml"]).ends(0).out).expect("one object");
    assert_eq!(
        (&lint["format"], &lint["steps"], &lint["remarks"]),
        (&"dr-lint".into(), &1.into(), &serde_json::json!([]))
    );
}

#[test]
fn history_says_where_it_looked_and_what_was_left_out() {
    let place = Place::with(SMALL);
    place.run(&["history"]).ends(0).says(&["there are no runs under", "state/runs"]);
    place.drill().ends(0);
    place.run(&["history", "--kind", "live"]).ends(0).says(&["no live run is among the 1 that are here"]);
    place.run(&["history", "--estimates", "runbook.yaml"]).ends(0).prints(&["# from 1 run of small"]);
}

#[test]
fn whoever_may_not_start_a_run_is_told_how_to_and_how_to_rehearse() {
    let place = Place::with(SMALL);
    let said = place.run(&["execute", "runbook.yaml"]).ends(2);
    said.says(&["dr plan runbook.yaml", "--confirm ", "to rehearse: --kind drill --yes"]);
    assert!(place.runs().is_empty());
}

#[test]
fn two_values_of_one_step_are_two_answers() {
    let place = Place::with(
        "
dr: v1
name: values
steps:
  one: { do: { command: { argv: [sh, -c, 'exit 4'], outputs: { x: { line: 1 }, y: { line: 2 } } } } }
  two: { do: { command: { argv: [echo, '${steps.one.x}', '${steps.one.y}'] } } }
",
    );
    place.run(&["execute", "runbook.yaml", "--kind", "drill", "--yes", "--no-wait"]).ends(4);
    let id = place.id();
    place.run(&["answer", &id, "one", "skip"]).ends(4);
    place.run(&["resume", &id, "--no-wait"]).ends(4).prints(&["a value is missing: steps.one.x; steps.one.y"]);
    for value in ["steps.one.x=wrong", "steps.one.x=1", "steps.one.y=2"] {
        place.run(&["answer", &id, "two", "set", value]).ends(4);
    }
    let status: serde_json::Value = serde_json::from_str(&place.run(&["status", &id, "--json"]).out).expect("JSON");
    assert_eq!(status["waiting"].as_array().map(Vec::len), Some(2), "{status}");
}
