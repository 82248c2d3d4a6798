//! What a person sees: exit codes, mistakes on the command line, journals that
//! cannot be read or written, and a run that is carried elsewhere.

mod support;

use dr_engine::{
    clock::{Time, boottime},
    event::Event,
    journal::{
        Journal,
        sqlite::{self, Sqlite},
    },
};
use std::{fs, process::Command, sync::Arc};
use support::{Place, Said, shim::shim, skipped, terminal, until};

/// One step that is done at once.
const SMALL: &str = "
dr: v1
name: small
roles: { technical_lead: { name: Ada, deputies: [Grace] } }
params: { env: { type: string, default: test }, count: { type: number, default: 1 } }
steps:
  restore_db:
    do: { command: { argv: [sh, ./work, \"${params.env}\"], check: { argv: [sh, ./seen] } } }
";

/// A step that fails, one after it, one beside it.
const HELD: &str = "
dr: v1
name: held
steps:
  promote_db:
    do: { command: { argv: [sh, -c, \"echo no quorum >&2; exit 4\"] } }
  switch_dns:
    needs: [promote_db]
    do: { command: { argv: [sh, ./work] } }
  warm_cache:
    do: { command: { argv: [sh, ./work] } }
";

/// A day in milliseconds.
const DAY: i64 = 86_400_000;

const DRILL: [&str; 5] = ["execute", "runbook.yaml", "--kind", "drill", "--yes"];

fn drill(place: &Place, more: &[&str]) -> Said {
    place.run(&[&DRILL[..], more].concat())
}

/// A run that is held, with no controller.
fn held() -> (Place, String) {
    let place = Place::with(HELD);
    drill(&place, &["--no-wait"]).ends(4);
    let id = place.id();
    (place, id)
}

// Exit codes. 6 and 130 have files of their own beside this one.

#[test]
fn done_is_0_and_strict_makes_it_3_where_nothing_verified_it() {
    let place = Place::with(SMALL);
    let said = drill(&place, &[]).ends(0).says(&["DRILL · small", "NOT VERIFIED"]);
    assert!(said.last().contains(&format!("dr report {}", place.id())), "{}", said.err);
    drill(&place, &["--strict"]).ends(3);
}

#[test]
fn an_error_before_anything_was_changed_is_1() {
    let place = Place::with(SMALL);
    place.run(&["import", "missing.jsonl"]).ends(1).says(&["missing.jsonl"]);
    place.write("state", "a file, not a folder");
    drill(&place, &[]).ends(1).says(&["state", "--state"]);
    assert_eq!(place.effects("restore_db"), 0);
}

#[test]
fn a_wrong_use_or_a_defective_runbook_is_2() {
    let place = Place::with("dr: v1\nname: bad\nsteps:\n  one:\n    needs: [tow]\n    do: { comand: { argv: [a] } }\n");
    place.run(&["plan", "runbook.yaml"]).ends(2).says(&["2 mistakes;", "did you mean `command`"]);
    place.run(&["lint", "runbook.yaml"]).ends(2);
    place.run(&["execute", "runbook.yaml"]).ends(2);
    place.run(&["execute", "missing.yaml"]).ends(2).says(&["missing.yaml"]);
    place.run(&["explode"]).ends(2).says(&["explode"]);
    place.run(&[]).ends(2);
    place.run(&["--help"]).ends(0);
    assert_eq!(place.runs().len(), 0);
}

#[test]
fn a_run_that_failed_and_stopped_is_3() {
    let place = Place::with(&HELD.replacen("    do:", "    on_failure: stop\n    do:", 1));
    drill(&place, &[]).ends(3).says(&["FAILED"]).prints(&["promote_db: FAILED: exit code 4: no quorum"]);
    assert_eq!(place.states()["switch_dns"], "unneeded");
    place.run(&["resume", &place.id()]).ends(3).says(&["is over: FAILED"]);
    let (place, id) = held();
    place.run(&["answer", &id, "promote_db", "stop", "--why", "by hand from here"]).ends(4);
    place.run(&["resume", &id]).ends(3).says(&["STOPPED"]);
}

#[test]
fn what_needs_a_person_is_4_and_says_what_to_type() {
    let place = Place::with(HELD);
    let said = drill(&place, &["--no-wait"]).ends(4);
    let id = place.id();
    assert_eq!(said.last(), format!("then: dr resume {id}"));
    for choice in ["retry", "skip", "stop"] {
        assert!(said.out.contains(&format!("dr answer {id} promote_db {choice}")), "{}", said.out);
    }
    assert_eq!(place.effects("warm_cache"), 1, "the rest goes on");
    let said = place.run(&["status", &id]).ends(0).prints(&["no quorum", &format!("dr resume {id}")]);
    assert!(said.out.contains("asking"), "{}", said.out);
}

#[test]
fn what_is_asked_is_said_again_to_whoever_comes_later() {
    let (place, id) = held();
    let retry = format!("    dr answer {id} promote_db retry\n");
    place.run(&["resume", &id, "--no-wait"]).ends(4).prints(&["STILL ASKED: `promote_db` failed", &retry]);
    place.run(&["status", &id]).ends(0).prints(&["DRILL · held", &retry]);
}

#[test]
fn a_command_that_is_shown_can_be_pasted_into_a_shell() {
    let place = Place::with(
        "dr: v1\nname: gate\nroles: { executive: { name: Joan } }\nsteps:\n  go:\n    \
         approve: { roles: [executive] }\n    do: { command: { argv: [sh, ./work] } }\n",
    );
    let said = drill(&place, &["--no-wait"]).ends(4);
    let shown = said.out.lines().find(|line| line.contains("approve --as NAME")).expect("the command").trim();
    assert_eq!(shown, format!("dr answer {} 'go!approve' approve --as NAME", place.id()));
    let mut command = Command::new("sh");
    let dr = format!("\"$DR\" {}", shown.strip_prefix("dr ").expect("dr").replace("NAME", "Joan"));
    command.args(["-c", &dr]).current_dir(place.path("."));
    place.clean(&mut command);
    command.env("DR", env!("CARGO_BIN_EXE_dr"));
    place.end(command).ends(4);
    place.run(&["resume"]).ends(0);
    assert_eq!(place.effects("go"), 1);
}

// Mistakes on the command line.

#[test]
fn a_run_is_found_by_the_beginning_of_its_id_or_the_way_out_is_said() {
    let place = Place::with(SMALL);
    place.run(&["status", "2026"]).ends(2).says(&["there is no run `2026`", "there are no runs"]);
    drill(&place, &[]).ends(0);
    drill(&place, &[]).ends(0);
    let ids = place.runs();
    place.run(&["status", &ids[0][..4]]).ends(2).says(&["could be 2 runs", &ids[0], &ids[1]]);
    place.run(&["status", &ids[0]]).ends(0);
    place.run(&["resume", "nothing"]).ends(2).says(&["there is no run `nothing`", &ids[1], "dr status"]);
    place.run(&["resume"]).ends(2).says(&["no run is unfinished", "dr status"]);
    place.run(&["status"]).ends(0).prints(&[&ids[0], &ids[1], "DRILL"]);
}

#[test]
fn an_answer_that_cannot_be_is_refused_with_the_one_that_can() {
    let (place, id) = held();
    let answer = |words: &[&str]| place.run(&[&["answer", &id], words].concat());
    answer(&["promote_bd", "retry"]).ends(1).says(&["no step `promote_bd`", "did you mean `promote_db`?"]);
    answer(&["promote_db", "approve"]).ends(1).says(&["`promote_db` can be answered with: retry, skip"]);
    answer(&["promote_db", "again"]).ends(2).says(&["again", "retry"]);
    answer(&["warm_cache", "retry"]).ends(1).says(&["`warm_cache` asks nothing: it is done"]);
    answer(&["promote_db", "set"]).ends(2).says(&["`set` wants a value", "dr answer"]);
    answer(&["promote_db", "retry", "--set", "agrv=[]", "--why", "x"]).ends(1).says(&[
        "`promote_db` takes no such input",
        "unknown field `agrv`",
        "`argv`",
    ]);
    answer(&["promote_db", "retry", "--set", "argv=[\"true\"]"]).ends(1).says(&["--why TEXT"]);
    answer(&["promote_db", "retry", "--as", "Eve"]).ends(2).says(&["`Eve` stands in no role"]);
    place.run(&["logs", &id, "promote_bd"]).ends(2).says(&["did you mean `promote_db`?"]);
    place.run(&["logs", &id, "promote_db"]).ends(0).prints(&["no quorum"]);
    answer(&["promote_db", "retry", "--set", "argv=[\"true\"]", "--why", "another way"]).ends(4);
    place.run(&["resume", &id]).ends(0).prints(&["changed argv"]);
}

#[test]
fn whoever_speaks_stands_in_a_role() {
    let place = Place::with(SMALL);
    drill(&place, &["--as", "Eve"]).ends(2).says(&["`Eve` stands in no role", "Ada, Grace"]);
    drill(&place, &["--declared-by", "Eve"]).ends(2);
    assert_eq!(place.runs().len(), 0);
    drill(&place, &["--as", "Grace"]).ends(0);
    let run = place.fold().expect("a run");
    assert_eq!(run.opened.by.name.as_deref(), Some("Grace"));
    place.run(&["note", &place.id(), "hello", "--as", "Eve"]).ends(2).says(&["Ada, Grace"]);
}

#[test]
fn a_moment_is_given_in_three_ways_and_never_lies_in_the_future() {
    for (given, words) in [
        ("2199-01-01T00:00:00Z", "lies in the future"),
        ("noon", "`noon` is no time"),
        ("25:00", "`25:00` is no time"),
        ("-25", "`-25` is no time"),
        ("--5m", "is no time"),
        ("12:5x", "is no time"),
    ] {
        let place = Place::with(SMALL);
        drill(&place, &["--incident-at", given]).ends(2).says(&[words]);
        assert_eq!(place.runs().len(), 0, "{given}");
    }
    let place = Place::with(SMALL);
    drill(&place, &["--incident-at", "00:00", "--detected-at", "-0s"]).ends(0);
    let opened = place.fold().expect("a run").opened;
    assert_eq!((opened.incident_at.0 % DAY, opened.incident_assumed), (0, false));
    let place = Place::with(SMALL);
    drill(&place, &["--incident-at", "-25m"]).ends(0).prints(&["+25m"]);
    let place = Place::with(SMALL);
    drill(&place, &["--incident-at", "2026-01-02T03:04:05Z"]).ends(0).prints(&["2026-01-02T03:04:05"]);
    let place = Place::with(SMALL);
    drill(&place, &[]).ends(0).prints(&["assumed"]);
    assert!(place.fold().expect("a run").opened.incident_assumed);
}

#[test]
fn a_parameter_is_known_and_has_its_type() {
    let place = Place::with(SMALL);
    let plan = |param: &str| place.run(&["plan", "runbook.yaml", "--param", param]);
    plan("env").ends(2).says(&["`--param env` gives no value", "NAME=VALUE"]);
    plan("evn=x").ends(2).says(&["evn", "did you mean `env`"]);
    plan("count=many").ends(2).says(&["count"]);
    plan("env=prod").ends(0);
}

#[test]
fn an_argument_is_handed_over_as_it_is_written() {
    let place = Place::with(
        "dr: v1\nname: words\nparams: { n: { type: number, default: 7 }, t: { type: string, default: '007' } }\n\
         steps:\n  show:\n    do:\n      command:\n        \
         argv: [sh, -c, 'printf \"%s.\" \"$MODE\" \"$@\" > shown', 0, 0755, 1.10, 1e3, +49, True, 0x1F, '${params.n}', '${params.t}']\n        \
         env: { MODE: 0640 }\n",
    );
    drill(&place, &[]).ends(0);
    assert_eq!(place.read("shown"), "0640.0755.1.10.1e3.+49.True.0x1F.7.007.");
}

#[test]
fn a_saved_plan_runs_exactly_as_it_is_or_not_at_all() {
    let place = Place::with(SMALL);
    let said = place.run(&["plan", "runbook.yaml", "--param", "env=prod", "--out", "plan.json"]).ends(0);
    let hash: String = said.out.split("plan ").nth(1).expect("a hash").chars().take(12).collect();
    // The runbook changes; the plan does not.
    place.write("runbook.yaml", &SMALL.replace("./work", "./other"));
    place.run(&["execute", "plan.json", "--param", "env=x"]).ends(2).says(&["takes no parameters"]);
    place.run(&["execute", "plan.json", "--kind", "drill", "--yes"]).ends(0).says(&[&format!("plan {hash} of 20")]);
    assert_eq!(place.effects("restore_db"), 1);
    let edited = place.read("plan.json").replace("prod", "prob");
    place.write("plan.json", &edited);
    place.run(&["execute", "plan.json", "--confirm", &hash]).ends(2).says(&["was changed after it was saved", "--out"]);
    place.write("plan.json", &edited[..edited.len() / 2]);
    place.run(&["execute", "plan.json", "--confirm", &hash]).ends(2).says(&["cannot be read", "--out"]);
    assert_eq!(place.runs().len(), 1);
}

#[test]
fn a_dry_run_prints_what_plan_prints_and_leaves_nothing() {
    let place = Place::with(HELD);
    let plan = place.run(&["plan", "runbook.yaml"]).ends(0);
    let dry = place.run(&["execute", "runbook.yaml", "--dry-run"]).ends(0);
    assert_eq!(plan.out, dry.out);
    assert!(plan.out.contains("unseen: after a crash"), "{}", plan.out);
    assert!(!place.path("state").exists());
}

#[test]
fn json_lines_begin_with_the_formats_name() {
    let place = Place::with(SMALL);
    let said = drill(&place, &["--json"]).ends(0);
    let lines: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0], serde_json::json!({ "format": "dr-events", "version": 1 }));
    assert_eq!(lines[1]["seq"], 1);
    assert!(lines.last().is_some_and(|line| line["event"].get("Finished").is_some()), "{}", said.out);
    let id = place.id();
    let status = place.run(&["status", &id, "--json"]).ends(0);
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    assert_eq!(status["run"], id.as_str());
    let watched = place.run(&["watch", &id, "--json"]).ends(0);
    assert_eq!(watched.out.lines().next(), said.out.lines().next());
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let place = Place::with("dr: v1\nname: bad\nsteps: { one: { needs: [tow] } }\n");
    if !terminal::at_hand() {
        return skipped("colours on a terminal", "there is no python3 for a pty");
    }
    let coloured = |env: &[(&str, &str)]| {
        let mut command = place.terminal(80, &[], &["plan", "runbook.yaml"]);
        command.envs(env.iter().copied());
        place.end(command).ends(2).out.contains('\x1b')
    };
    assert!(coloured(&[("TERM", "xterm")]));
    assert!(!coloured(&[("TERM", "xterm"), ("NO_COLOR", "1")]));
    assert!(!coloured(&[("TERM", "dumb")]));
    assert!(!place.run(&["plan", "runbook.yaml"]).err.contains('\x1b'));
}

// Elsewhere.

#[test]
fn a_run_goes_on_from_an_export_elsewhere() {
    let (place, id) = held();
    place.run(&["export", &id, "--out", "run.export"]).ends(0);
    let elsewhere = place.path("elsewhere");
    let there = |args: &[&str]| {
        let mut command = place.dr(args);
        command.env("DR_STATE", &elsewhere);
        place.end(command)
    };
    there(&["import", "run.export"]).ends(0).prints(&[&id]).says(&["--moved"]);
    there(&["import", "run.export"]).ends(2).says(&["is here already"]);
    there(&["audit", "verify", &id]).ends(0).prints(&["chain whole"]);
    there(&["answer", &id, "promote_db", "skip", "--why", "by hand"]).ends(4);
    there(&["resume", &id]).ends(0);
    // Where it came from, nothing was changed.
    assert_eq!(place.state("promote_db"), "asking");
}

#[test]
fn an_export_that_was_changed_is_refused() {
    let (place, id) = held();
    place.run(&["export", &id, "--out", "run.export"]).ends(0);
    let whole = place.read("run.export");
    let elsewhere = place.path("elsewhere");
    let lines: Vec<_> = whole.lines().collect();
    let cut = lines[..lines.len() - 1].join("\n");
    for (what, text) in [
        ("a word", whole.replace("no quorum", "a quorum")),
        ("a line less", cut),
        ("no export", "{}\n".to_owned()),
        ("nothing", String::new()),
    ] {
        assert_ne!(text, whole, "{what}");
        place.write("changed.export", &text);
        let mut command = place.dr(&["import", "changed.export"]);
        command.env("DR_STATE", &elsewhere);
        let said = place.end(command);
        assert!([2, 3].contains(&said.code()), "{what}: {said:?}");
        let mut command = place.dr(&["status"]);
        command.env("DR_STATE", &elsewhere);
        assert_eq!(place.end(command).ends(0).out, "", "{what}: nothing was taken in");
    }
}

/// Runs a script in namespaces of its own; `None`, loudly, where that is not allowed.
fn apart(place: &Place, what: &str, flags: &[&str], script: &str) -> Option<Said> {
    let allowed = Command::new("unshare").args(flags).arg("true").output();
    if !allowed.is_ok_and(|done| done.status.success()) {
        skipped(what, &format!("`unshare {}` is not allowed here", flags.join(" ")));
        return None;
    }
    place.write("script", script);
    let mut command = Command::new("unshare");
    command.args(flags).args(["sh", "./script"]).current_dir(place.path("."));
    place.clean(&mut command);
    command.env("DR", env!("CARGO_BIN_EXE_dr"));
    Some(place.end(command))
}

#[test]
fn a_run_that_comes_from_another_host_is_taken_only_when_that_is_off() {
    let (place, id) = held();
    place.run(&["answer", &id, "promote_db", "skip", "--why", "by hand"]).ends(4);
    let script = format!(
        "hostname elsewhere || exit 77\n\"$DR\" resume {id} 2> refused\necho $? > code\nexec \"$DR\" resume {id} --moved"
    );
    let Some(said) = apart(&place, "a run from another host", &["-u"], &script) else { return };
    said.ends(0);
    assert_eq!(place.read("code"), "6\n");
    let refused = place.read("refused");
    assert!(refused.contains("this is elsewhere") && refused.contains(&format!("dr resume {id} --moved")), "{refused}");
}

// Journals that cannot be written or read.

#[test]
fn a_full_disk_ends_with_5_and_the_run_goes_on_when_there_is_room() {
    let place = Place::with(SMALL);
    place.write(
        "work",
        "echo \"$DR_STEP\" >> \"effects/$DR_STEP\"\ncat /dev/zero > state/filler 2> effects/full\nexit 0\n",
    );
    let script = r#"
mkdir state && mount -t tmpfs -o size=600k none state || exit 77
"$DR" execute runbook.yaml --kind drill --yes > out 2> err
echo $? > code
rm state/filler
"$DR" resume > out2 2> err2
echo $? > code2
"$DR" audit verify "$(ls state/runs)"
"#;
    let Some(said) = apart(&place, "a full disk", &["-m"], script) else { return };
    if said.code() == 77 {
        return skipped("a full disk", "no tmpfs can be mounted here");
    }
    said.ends(0).prints(&["chain whole"]);
    let err = place.read("err");
    assert_eq!(place.read("code"), "5\n", "{err}");
    assert!(err.contains("full") && err.contains("dr resume "), "{err}");
    assert_eq!(place.read("code2"), "0\n", "{}", place.read("err2"));
    assert_eq!(place.effects("restore_db"), 1);
}

#[test]
fn a_journal_that_may_only_be_read_ends_with_5_and_can_still_be_looked_at() {
    let (place, id) = held();
    let script = format!(
        "mount --bind state state && mount -o remount,ro,bind state || exit 77\n\
         for what in status 'audit verify' export report; do \"$DR\" $what {id} > looked || exit 78; done\n\
         exec \"$DR\" resume {id}\n"
    );
    let Some(said) = apart(&place, "a journal that may only be read", &["-m"], &script) else { return };
    if said.code() == 77 {
        return skipped("a journal that may only be read", "nothing can be mounted here");
    }
    said.ends(5).says(&["Read-only", "hint: nothing was begun"]);
    place.run(&["resume", &id, "--no-wait"]).ends(4);
}

#[test]
fn a_sync_that_fails_ends_with_5_and_the_next_controller_finds_out_what_was_written() {
    let runbook = "dr: v1\nname: chain\nsteps:\n".to_owned()
        + &["a", "b", "c", "d"].map(|id| {
            format!("  {id}:\n    needs: [{}]\n    do: {{ command: {{ argv: [sh, ./work], check: {{ argv: [sh, ./seen] }} }} }}\n",
                match id { "a" => "", "b" => "a", "c" => "b", _ => "c" })
        }).concat();
    let mut fives = 0;
    for point in 1..16 {
        let place = Place::with(&runbook);
        let Some(shim) = shim(&place, "a sync that fails") else { return };
        let mut command = place.dr(&DRILL);
        command.env("LD_PRELOAD", shim).env("SHIM_FAIL_SYNC", point.to_string());
        let said = place.end(command);
        match said.code() {
            0 => {}
            1 => assert!(place.events().is_empty() && place.effects("a") == 0, "{point}: {said:?}"),
            5 => {
                fives += 1;
                let said = said.says(&["could not be written", "hint: "]);
                if place.events().is_empty() {
                    continue;
                }
                let id = place.id();
                if place.events().len() > 1 {
                    assert!(said.err.contains(&format!("dr resume {id}")), "{point}: {}", said.err);
                }
                place.run(&["resume", &id]).ends(0);
                place.run(&["audit", "verify", &id]).ends(0);
                for step in ["a", "b", "c", "d"] {
                    assert_eq!(place.effects(step), 1, "{point}: {step}");
                }
            }
            code => panic!("{point}: exit {code}: {said:?}"),
        }
    }
    println!("{fives} failed syncs");
    assert!(fives >= 3);
}

/// Changes the journal's file of a run that is over.
fn changed(place: &Place, change: impl FnOnce(&mut Vec<u8>)) {
    let path = place.run_folder().join("journal.db");
    for beside in ["journal.db-wal", "journal.db-shm"] {
        fs::remove_file(place.run_folder().join(beside)).ok();
    }
    let mut bytes = fs::read(&path).expect("a journal");
    change(&mut bytes);
    fs::write(&path, bytes).expect("a journal");
}

#[test]
fn a_journal_that_was_changed_is_refused_with_its_place() {
    let (place, id) = held();
    place.run(&["note", &id, "the canary sings"]).ends(0);
    place.run(&["note", &id, "the last word"]).ends(0);
    let noted = place.events().iter().position(|e| format!("{e:?}").contains("canary")).expect("a note") + 1;
    changed(&place, |bytes| {
        let at = bytes.windows(6).position(|six| six == b"canary").expect("the note");
        bytes[at] = b'k';
    });
    let event = format!("damaged at event {noted}:");
    for args in [&["status", &id][..], &["resume", &id], &["audit", "verify", &id], &["watch", &id], &["export", &id]] {
        let said = place.run(args).ends(5).says(&[&event, "hint: "]);
        assert!(!said.out.contains("chain whole"));
    }
    place.run(&["status"]).ends(0).prints(&[&event]);
    // Whether it is finished nobody knows: whoever starts another is told.
    drill(&place, &["--no-wait"]).ends(4).says(&[&id, "cannot be read"]);
}

#[test]
fn a_journal_that_is_cut_short_or_emptied_is_refused() {
    for keep in [0, 50, 4096, 9000] {
        let (place, id) = held();
        changed(&place, |bytes| bytes.truncate(keep));
        let said = place.run(&["resume", &id]);
        assert_eq!(said.code(), 5, "{keep}: {said:?}");
        assert!(said.err.contains("damaged") && said.err.contains("hint: "), "{keep}: {}", said.err);
    }
}

#[test]
fn a_journal_of_a_newer_version_is_refused_by_this_one() {
    let (place, id) = held();
    // The header of SQLite keeps the version that its user gave at byte 60.
    changed(&place, |bytes| bytes[60..64].copy_from_slice(&9_u32.to_be_bytes()));
    for command in ["resume", "status", "report"] {
        place.run(&[command, &id]).ends(1).says(&["format 9", "reads up to 2", "newer one"]);
    }
}

#[test]
fn a_run_whose_folder_holds_no_journal_is_no_run() {
    let (place, id) = held();
    fs::remove_file(place.run_folder().join("journal.db")).expect("a journal");
    place.run(&["resume", &id]).ends(2).says(&["there is no run"]);
}

// Clocks.

#[test]
fn a_host_whose_clock_is_an_hour_behind_the_journal_goes_on_at_once() {
    let runbook = SMALL.replace("    do:", "    retry: { attempts: 3, backoff: 1s..1s }\n    do:");
    let place = Place::with(&runbook);
    // Fails once, in a way that may pass.
    place.write("work", "[ -e tried ] || { touch tried; exit 9; }\necho \"$DR_STEP\" >> \"effects/$DR_STEP\"\n");
    let runbook = runbook.replace("check: {", "retry_on: [9], check: {");
    place.write("runbook.yaml", &runbook);
    let mut command = place.dr(&DRILL);
    command.env("DR_CRASH_AT", "commit:2:before");
    place.end(command).ends(-9);
    let (id, folder) = (place.id(), place.run_folder());
    // The same journal as a host with a fast clock would have written it.
    let hour = |event: Event| Event { at: Time(event.at.0 + 3_600_000), ..event };
    let events: Vec<_> = sqlite::read(&folder).expect("events").events.into_iter().map(hour).collect();
    fs::remove_dir_all(&folder).expect("a folder");
    Sqlite::create(&folder, "nobody", Arc::default())
        .and_then(|mut journal| journal.append(&events))
        .expect("a journal");
    let said = place.run(&["status", &id]).ends(0).prints(&["behind the last event", "NO CONTROLLER RUNS"]);
    assert!(!said.out.contains("for -"), "{}", said.out);
    let mut controller = place.start(&["resume", &id]);
    until("an end", || controller.over());
    controller.end().ends(0).says(&["behind"]);
    let times: Vec<_> = place.events().iter().map(|event| event.at).collect();
    assert!(times.is_sorted());
    assert_eq!(place.effects("restore_db"), 1);
}

#[test]
fn a_host_that_was_started_anew_goes_on_though_it_is_up_for_a_shorter_time() {
    let (place, id) = held();
    place.run(&["answer", &id, "promote_db", "skip", "--why", "by hand"]).ends(4);
    // All waiting is counted by the time since the machine was started: here that begins again.
    let back = format!("-{}", (boottime() / 1000 - 10).max(0));
    let script = format!("exec \"$DR\" resume {id}\n");
    let Some(said) = apart(&place, "a host that was started anew", &["-T", "--boottime", &back], &script) else {
        return;
    };
    said.ends(0);
    assert!(place.events().iter().map(|event| event.at).is_sorted());
    assert_eq!(place.effects("switch_dns"), 1);
}

#[test]
fn a_wall_clock_that_jumps_while_a_run_goes_on_moves_nothing() {
    // Libraries laid before the system's (faketime) do not reach a program that asks the kernel
    // itself; only a machine of its own can have its clock set.
    skipped("a wall clock set during a run", "it takes a machine of its own; see the clock of the engine");
}
