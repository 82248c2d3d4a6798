//! What is read of runs and plans when the night is over: the page, the
//! pictures, the history and what it proposes.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod support;

use dr_engine::{
    clock::Time,
    event::{Event, Kind, RunKind},
    journal::{
        Journal,
        sqlite::{self, Sqlite},
    },
};
use expect_test::expect;
use std::{fs, sync::Arc};
use support::Place;

/// A database, a service that needs it, and a question.
const SHOP: &str = "
dr: v1
name: shop
objectives: { rto: 1h }
phases: [data, apps]
steps:
  restore_db:
    phase: data
    do: { command: { argv: [sh, ./work] } }
    estimate: { p50: 10m, p90: 20m }
  warm_cache:
    phase: apps
    needs: [restore_db]
    do: { command: { argv: [sh, ./work] } }
  never_measured:
    phase: apps
    needs: [warm_cache]
    when: params.all
    do: { command: { argv: [sh, ./work] } }
params: { all: { type: bool, default: false } }
";

/// 2026-01-05T06:00:00Z.
const MONDAY: i64 = 1_767_592_800_000;

/// Writes runs of the past: the run of this place over and over, a week
/// apart, in which each step takes as many minutes.
fn weeks(place: &Place, kind: RunKind, weeks: &[[i64; 2]]) {
    let folder = place.run_folder();
    let events = sqlite::read(&folder).expect("events").events;
    fs::remove_dir_all(&folder).expect("a folder");
    for (week, minutes) in (0..).zip(weeks) {
        let mut now = MONDAY + week * 7 * 86_400_000;
        let id = format!("2026010{week}-060000-shop-000{week}");
        let past = events.iter().cloned().map(|mut event| {
            match &mut event.kind {
                Kind::Opened(opened) => {
                    (opened.run, opened.kind) = (id.clone(), kind);
                    (opened.incident_at, opened.incident_assumed) = (Time(now - 600_000), false);
                }
                Kind::Succeeded { step, .. } => now += 60_000 * minutes[step.ix()],
                _ => {}
            }
            Event { at: Time(now), ..event }
        });
        let past: Vec<_> = past.collect();
        let folder = place.path("state/runs").join(&id);
        Sqlite::create(&folder, "nobody", Arc::default())
            .and_then(|mut journal| journal.append(&past))
            .expect("a journal");
    }
}

fn shop(kind: RunKind, past: &[[i64; 2]]) -> Place {
    let place = Place::with(SHOP);
    place.drill().ends(0);
    weeks(&place, kind, past);
    place
}

#[test]
fn history_tells_what_runs_took_and_which_steps_grow_slower() {
    let place = shop(RunKind::Live, &[[10, 1], [12, 1], [11, 1], [14, 1], [15, 1]]);
    expect![[r#"
        shop · 5 runs, the newest first

          began (UTC)       kind  outcome     RTO            RPO at worst
          2026-02-02 06:00  LIVE  unverified  unknown of 1h  unknown
          2026-01-26 06:00  LIVE  unverified  unknown of 1h  unknown
          2026-01-19 06:00  LIVE  unverified  unknown of 1h  unknown
          2026-01-12 06:00  LIVE  unverified  unknown of 1h  unknown
          2026-01-05 06:00  LIVE  unverified  unknown of 1h  unknown

          slowest against their estimates first

          step        runs  p50  p90  last  trend         estimate
          restore_db  5     12m  15m  15m   slower, +40%  10m, 20m
          warm_cache  5     1m   1m   1m    steady, +0%   none
    "#]]
    .assert_eq(&place.run(&["history"]).ends(0).out);
    let json: serde_json::Value = serde_json::from_str(&place.run(&["history", "--json"]).ends(0).out).expect("JSON");
    assert_eq!(json["steps"][0]["times_ms"], serde_json::json!([600_000, 720_000, 660_000, 840_000, 900_000]));
    assert_eq!(json["steps"][2]["p50_ms"], serde_json::Value::Null);
    assert!(place.run(&["history"]).out.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn history_proposes_estimates_that_were_measured() {
    let place = shop(RunKind::Drill, &[[10, 1], [12, 1], [11, 1]]);
    expect![[r#"
        # from 3 runs of shop, 2026-01-05 06:00 to 2026-01-19 06:00
        steps:
          restore_db:
            estimate: { p50: 11m, p90: 12m }  # 3 runs; now 10m, 20m
          warm_cache:
            estimate: { p50: 1m, p90: 1m }  # 3 runs; now none
        # not measured: never_measured
    "#]]
    .assert_eq(&place.run(&["history", "--estimates", "runbook.yaml"]).ends(0).out);
}

#[test]
fn a_lab_proposes_no_estimates_unless_it_is_asked_for() {
    let place = shop(RunKind::Lab, &[[10, 1]]);
    let said = place.run(&["history", "--estimates", "runbook.yaml"]).ends(1);
    said.says(&["no run of `shop` is remembered here", "--kind lab"]);
    let said = place.run(&["history", "--kind", "lab", "--estimates", "runbook.yaml"]).ends(0);
    said.prints(&["estimate: { p50: 10m, p90: 10m }  # 1 run; now 10m, 20m", "# not measured: never_measured"]);
}

#[test]
fn history_names_what_it_cannot_read_and_shows_the_rest() {
    let place = shop(RunKind::Live, &[[10, 1], [12, 1]]);
    let broken = place.path("state/runs").join("20260100-060000-shop-0000/journal.db");
    fs::write(broken, "not a journal").expect("a file");
    let said = place.run(&["history"]).ends(0).says(&["left out: 20260100-060000-shop-0000 cannot be read"]);
    said.prints(&["shop · 1 run\n"]);
}

#[test]
fn history_without_runs_says_how_to_make_one() {
    Place::new().run(&["history"]).ends(0).says(&["there are no runs under", "dr execute RUNBOOK"]);
    let place = Place::with("steps: [");
    place.run(&["history", "--estimates", "runbook.yaml"]).ends(2).says(&["is no runbook", "dr lint runbook.yaml"]);
    place.run(&["history", "--estimates", "nowhere.yaml"]).ends(2).says(&["there is no file nowhere.yaml"]);
}

#[test]
fn a_page_holds_everything_it_needs() {
    let place = Place::with(SHOP);
    place.drill().ends(0);
    place.run(&["note", &place.id(), "the cache was forgotten", "--lesson"]).ends(0);
    let action = ["note", &place.id(), "warm it in the plan", "--action", "--owner", "Ada", "--due", "2026-12-24"];
    place.run(&action).ends(0);
    let page = place.run(&["report", &place.id(), "--format", "html"]).ends(0).out;
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{page}");
    for text in [
        "RTO unknown",
        "What happened when",
        "To do: warm it in the plan — Ada, by 2026-12-24",
        "Lesson: the cache was forgotten",
    ] {
        assert!(page.contains(text), "no {text:?}");
    }
    for outside in ["<script", "<link", "src=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let said = place.run(&["note", &place.id(), "x", "--action", "--due", "tomorrow"]).ends(2);
    said.says(&["--due: `tomorrow` is no date", "2026-12-24"]);
    place.run(&["note", &place.id(), "x", "--owner", "Ada"]).ends(2).says(&["--action"]);
}

#[test]
fn a_plan_is_drawn_in_three_forms() {
    let place = Place::with(SHOP);
    let svg = place.run(&["graph", "runbook.yaml"]).ends(0).out;
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>"), "{svg}");
    place.run(&["graph", "runbook.yaml", "--format", "dot"]).ends(0).prints(&["digraph \"shop\" {", "n0 -> n1"]);
    place.run(&["graph", "runbook.yaml", "--format", "mermaid"]).ends(0).prints(&["flowchart LR", "n0 --> n1"]);
    place.write("runbook.yaml", "dr: v1\nname: x\nsteps: { a: { needs: [b] } }");
    place.run(&["graph", "runbook.yaml"]).ends(2).says(&["step `a` needs `b`, which does not exist"]);
}
