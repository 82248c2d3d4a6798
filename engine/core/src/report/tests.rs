//! Histories written by hand, and what they come to.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod fenced;
mod laws;
mod page;
mod script;

use super::{Report, headline, status};
use crate::{event::Event, plan::Plan, run::Run};
use expect_test::{Expect, expect, expect_file};
use script::{events, plan, time};
use std::fmt::Write;

/// A failover with an approval, a retry, a provider, and everything verified.
const PLAN: &str = "
    approve_failover approve est=5m/10m changes=no
    orders_db rds.restore_snapshot needs=approve_failover phase=datastores rpo=15m est=20m/30m
    sessions dynamodb.restore_backup needs=approve_failover phase=datastores est=5m/8m
    dns route53.upsert needs=orders_db,sessions est=1m/2m
    verify verify needs=dns est=5m/5m changes=no
    tidy command needs=verify est=1m/1m";

const HAPPY: &str = "
    12:00 opened detected=04:00 declared=09:00
    12:00 joined ops-1 1
    12:00 approve_failover start
    12:00 approve_failover asks approval count=2 roles=ic: Move to eu-central-1?
    13:00 approve_failover approve Ana: region is gone
    15:00 approve_failover approve Bo
    15:00 orders_db start
    15:00 sessions start
    15:01 orders_db fact snapshot: rds:orders-2026-11-22
    15:10 orders_db retry rds: the service has no capacity
    15:20 orders_db start
    15:30 orders_db handle: orders-dr
    19:00 sessions found point=-2m
    20:00 note Bo: customers | call <b>in</b> ![x](http://evil/)
    35:30 orders_db done point=-10m
    35:30 dns start
    36:30 dns done
    36:30 verify start
    46:30 verify done healthy=41:30
    46:30 tidy start
    47:00 tidy done
    47:00 finished recovered";

fn report_of(plan: &Plan, script: &str, now: &str) -> Report {
    Report::of(&events(plan, script), "c0ffee", time(now)).expect("a legal history")
}

fn fold(events: &[Event]) -> Run {
    let mut run = Run::open(events[0].clone()).expect("opened");
    events[1..].iter().for_each(|event| run.apply(event).expect("a legal history"));
    run
}

/// The measures, the split and the path, as a small table.
fn measures(report: &Report) -> String {
    let mut text = report.headline.clone();
    let json = report.to_json();
    let shown =
        |value: &serde_json::Value, name: &str| match (&value[format!("{name}_ms")], &value[format!("{name}_why")]) {
            (serde_json::Value::Number(ms), _) => crate::duration::Dur(ms.as_i64().expect("ms")).to_string(),
            (_, why) => format!("? {}", why.as_str().unwrap_or("no reason")),
        };
    let rto = &json["rto"];
    write!(text, "\nrto {} {}", rto["verdict"].as_str().expect("a word"), shown(rto, "actual")).expect("text");
    for store in json["rpo"].as_array().expect("stores") {
        let (id, verdict) = (store["datastore"].as_str(), store["verdict"].as_str());
        write!(text, "\nrpo {} {} {}", id.expect("id"), verdict.expect("word"), shown(store, "achieved"))
            .expect("text");
    }
    for part in ["detect", "decide", "before_start", "people", "provider", "execute", "verify", "hold", "elapsed"] {
        write!(text, "\n{part} {}", shown(&rto["breakdown"], part)).expect("text");
    }
    write!(text, "\npath {}\n", report.path.join(" ")).expect("text");
    text
}

#[expect(clippy::needless_pass_by_value, reason = "the macro makes a value")]
fn check(objectives: &str, lines: &str, script: &str, now: &str, expected: Expect) {
    expected.assert_eq(&measures(&report_of(&plan(objectives, lines), script, now)));
}

#[test]
fn a_recovery_as_people_read_it() {
    let report = report_of(&plan("1h 15m 5m", PLAN), HAPPY, "90:00").chain_ok(true);
    expect_file!["tests/recovered.md"].assert_eq(&report.to_markdown());
}

#[test]
fn a_recovery_as_machines_read_it() {
    let report = report_of(&plan("1h 15m 5m", PLAN), HAPPY, "90:00").chain_ok(true);
    let json = serde_json::to_string_pretty(&report.to_json()).expect("JSON");
    expect_file!["tests/recovered.json"].assert_eq(&(json + "\n"));
}

#[test]
fn every_moment_counts_once_under_what_held_up_the_critical_path() {
    check(
        "1h 15m 5m",
        PLAN,
        HAPPY,
        "90:00",
        expect![[r#"
        RECOVERED evacuate_eu_west_1 · RTO 41m of 1h · RPO worst 10m (orders_db) of 15m
        rto met 41m30s
        rpo orders_db met 10m
        rpo sessions met 2m
        detect 4m
        decide 8m
        before_start 12m
        people 3m
        provider 20m
        execute 1m30s
        verify 5m
        hold 5m
        elapsed 46m30s
        path approve_failover orders_db dns verify
    "#]],
    );
}

#[test]
fn without_verify_the_rto_is_unknown_and_the_last_step_stands_beside_it() {
    let steps = "db rds.restore_snapshot rpo=5m\n dns route53.upsert needs=db";
    let script = "
        02:00 opened
        02:00 db start
        10:00 db done point=-7m
        10:00 dns start
        11:00 dns done
        11:00 finished unverified";
    check(
        "1h - -",
        steps,
        script,
        "90:00",
        expect![[r#"
        UNVERIFIED evacuate_eu_west_1 · RTO unknown of 1h · RPO worst 7m (db) of 5m
        rto unknown ? the runbook has no `verify`
        rpo db missed 7m
        detect ? not recorded
        decide ? when it was detected is not recorded
        before_start 2m
        people 0s
        provider 0s
        execute 9m
        verify ? the runbook has no `verify`
        hold ? the runbook has no `verify`
        elapsed 11m
        path db dns
    "#]],
    );
    let report = report_of(&plan("1h - -", steps), script, "90:00");
    expect![[r#"
        # UNVERIFIED evacuate_eu_west_1 · RTO unknown of 1h · RPO worst 7m (db) of 5m

        - RTO unknown: the runbook has no `verify`; the last step ended 11m after the
          incident.
        - RPO MISSED: at worst 7m lost (`db`), of 5m allowed.
        - Everything went by the plan.
        - LIVE run `20261122-061200-evacuate-3fa9`, ungraceful, eu-west-1 to
          eu-central-1, account prod (111122223333), started by Bo (bo@laptop)."#]]
    .assert_eq(&report.to_markdown().lines().take(8).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_store_without_a_recovery_point_is_unknown_and_named() {
    let steps = "db rds.restore_snapshot phase=datastores\n files s3.sync phase=datastores\n cache command";
    let script = "
        02:00 opened
        02:00 db start
        02:00 files start
        04:00 cache start
        05:00 cache done
        10:00 db done point=03:00
        11:00 files done
        11:00 finished unverified";
    check(
        "- 15m -",
        steps,
        script,
        "90:00",
        expect![[r#"
        UNVERIFIED evacuate_eu_west_1 · RTO unknown · RPO unknown, at least 0s (db) of 15m
        rto no_objective ? the runbook has no `verify`
        rpo db met 0s
        rpo files unknown ? done, and no recovery point was told
        detect ? not recorded
        decide ? when it was detected is not recorded
        before_start 2m
        people 0s
        provider 0s
        execute 9m
        verify ? the runbook has no `verify`
        hold ? the runbook has no `verify`
        elapsed 11m
        path files
    "#]],
    );
}

#[test]
fn an_assumed_incident_is_said_to_be_assumed() {
    let script = "
        00:00 opened assumed kind=drill
        00:00 db start
        10:00 db done
        10:00 verify start
        12:00 verify done healthy=11:00
        12:00 finished recovered";
    let steps = "db command\n verify verify needs=db changes=no";
    check(
        "1h - 1m",
        steps,
        script,
        "90:00",
        expect![[r#"
        DRILL · RECOVERED evacuate_eu_west_1 · RTO 11m of 1h · no data brought back
        rto met 11m
        detect ? nobody said when the outage began
        decide ? nobody said when the outage began
        before_start ? nobody said when the outage began
        people 0s
        provider 0s
        execute 10m
        verify 1m
        hold 1m
        elapsed 12m
        path db verify
    "#]],
    );
    let report = report_of(&plan("1h - 1m", steps), script, "90:00");
    expect![[r#"
        # DRILL · RECOVERED evacuate_eu_west_1 · RTO 11m of 1h · no data brought back

        - RTO met: healthy 11m after the incident, 49m before the limit of 1h (nobody
          said when the outage began: the start of the run stands in).
        - The runbook sets no RPO: no step of this plan brought data back.
        - Everything went by the plan.
        - DRILL run `20261122-061200-evacuate-3fa9`, ungraceful, eu-west-1 to
          eu-central-1, account prod (111122223333), started by Bo (bo@laptop)."#]]
    .assert_eq(&report.to_markdown().lines().take(8).collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_clocks_are_as_corrected_and_an_undo_changes_no_measure() {
    let steps = "db rds.restore_snapshot rpo=15m\n verify verify needs=db changes=no";
    let script = "
        02:00 opened
        02:00 db start
        10:00 db done point=-7m
        10:00 verify start
        12:00 verify done healthy=11:00
        12:00 finished recovered
        40:00 clock incident -10m Ana: the first alarm was earlier
        50:00 reopened Ana: wrong snapshot
        50:00 undo all db Ana: wrong snapshot
        50:01 db undoing
        59:00 db undone
        59:00 finished undone";
    check(
        "20m - 1m",
        steps,
        script,
        "90:00",
        expect![[r#"
        UNDONE evacuate_eu_west_1 · RTO 21m of 20m · RPO worst 0s (db) of 15m
        rto missed 21m
        rpo db met 0s
        detect ? not recorded
        decide ? when it was detected is not recorded
        before_start 12m
        people 0s
        provider 0s
        execute 8m
        verify 1m
        hold 1m
        elapsed 22m
        path db verify
    "#]],
    );
}

#[test]
fn a_failed_step_waits_for_people_and_a_person_may_go_around_it() {
    let steps = "
        db rds.restore_snapshot rpo=15m
        warm command needs=db
        dns route53.upsert needs=db,warm
        mail command on_failure=continue
        verify verify needs=dns,mail changes=no";
    let script = "
        02:00 opened detected=01:00
        02:00 joined ops-1 1
        02:00 db start
        02:00 mail start
        02:10 db handle: orders-dr
        03:00 mail failed: relay refused
        08:00 joined ops-2 2: ops-1 hangs
        08:00 db start
        09:00 db failed rds: no capacity
        09:00 db asks: `db` failed
        11:00 warm skipped Ana: warms by itself
        12:00 passed question db
        14:00 db amended Cy: larger class is free
        14:00 db answer-retry Cy: larger class is free
        14:00 db start
        14:10 db handle: orders-dr-2
        20:00 db vouched_
        ";
    let script = script.replace(
        "20:00 db vouched_",
        "20:00 db done point=-1m\n20:00 dns start\n20:30 dns done
        20:30 verify start\n22:30 verify done healthy=21:30\n22:30 finished recovered_with_exceptions",
    );
    check(
        "1h 15m 1m",
        steps,
        &script,
        "90:00",
        expect![[r#"
            RECOVERED WITH EXCEPTIONS evacuate_eu_west_1 · RTO 21m of 1h · RPO worst 1m (db) of 15m
            rto met 21m30s
            rpo db met 1m
            detect 1m
            decide 1m
            before_start 2m
            people 5m
            provider 11m40s
            execute 1m50s
            verify 1m
            hold 1m
            elapsed 22m30s
            path db dns verify
        "#]],
    );
    let report = report_of(&plan("1h 15m 1m", steps), &script, "90:00");
    let text = report.to_markdown();
    let tail = text.find("## Timeline").expect("there");
    expect_file!["tests/exceptions.md"].assert_eq(&text[tail..]);
}

#[test]
fn a_step_skipped_before_it_could_begin_hands_the_time_to_what_was_missing() {
    let steps = "db command\n warm command needs=db\n dns command needs=warm\n verify verify needs=dns changes=no";
    let script = "
        00:00 opened
        00:00 db start
        01:00 db failed: broken
        01:00 db asks: `db` failed
        11:00 warm skipped Ana: not wanted
        11:00 dns start
        12:00 dns done
        12:00 verify start
        13:00 verify done healthy=12:30
        14:00 db stop Ana
        14:00 finished stopped";
    check(
        "1h - 30s",
        steps,
        script,
        "90:00",
        expect![[r#"
        STOPPED evacuate_eu_west_1 · RTO 12m of 1h · no data brought back
        rto met 12m30s
        detect ? not recorded
        decide ? when it was detected is not recorded
        before_start 0s
        people 10m
        provider 0s
        execute 2m
        verify 30s
        hold 30s
        elapsed 13m
        path db dns verify
    "#]],
    );
}

#[test]
fn taking_back_is_on_the_path_with_what_stood_on_it() {
    let steps = "db command\n dns command needs=db";
    let script = "
        00:00 opened
        00:00 db start
        01:00 db done
        01:00 dns start
        02:00 dns failed: broken
        02:00 dns asks: `dns` failed
        05:00 dns answer-skip Ana
        05:00 undo all db Ana: give up
        05:00 db undoing
        09:00 db undone
        09:00 finished undone";
    check(
        "1h - -",
        steps,
        script,
        "90:00",
        expect![[r#"
        UNDONE evacuate_eu_west_1 · RTO unknown of 1h · no data brought back
        rto unknown ? the runbook has no `verify`
        detect ? not recorded
        decide ? when it was detected is not recorded
        before_start 0s
        people 3m
        provider 0s
        execute 6m
        verify ? the runbook has no `verify`
        hold ? the runbook has no `verify`
        elapsed 9m
        path db dns db
    "#]],
    );
}

#[test]
fn where_a_run_stands_at_every_moment() {
    let (plan, mut text) = (plan("1h 15m 5m", PLAN), String::new());
    let all = events(&plan, HAPPY);
    let seen: std::collections::BTreeMap<_, _> = all.iter().map(|event| (event.at, event.seq)).collect();
    for (at, seq) in seen {
        let run = fold(&all[..usize::try_from(seq).expect("few")]);
        writeln!(text, "{}", headline(&run, at.after(crate::duration::Dur(1000)))).expect("text");
    }
    expect![[r#"
        HELD evacuate_eu_west_1 · 12m of 1h · 0/6 done · waiting for: approve_failover (asked 1s ago)
        HELD evacuate_eu_west_1 · 13m of 1h · 0/6 done · waiting for: approve_failover (asked 1m1s ago)
        RECOVERING evacuate_eu_west_1 · 15m of 1h · 1/6 done
        RECOVERING evacuate_eu_west_1 · 15m of 1h · 1/6 done
        RECOVERING evacuate_eu_west_1 · 15m of 1h · 1/6 done
        RECOVERING evacuate_eu_west_1 · 15m of 1h · 1/6 done
        RECOVERING evacuate_eu_west_1 · 15m of 1h · 1/6 done
        RECOVERING evacuate_eu_west_1 · 19m of 1h · 2/6 done
        RECOVERING evacuate_eu_west_1 · 20m of 1h · 2/6 done
        RECOVERING evacuate_eu_west_1 · 35m of 1h · 3/6 done
        RECOVERING evacuate_eu_west_1 · 36m of 1h · 4/6 done
        RECOVERING evacuate_eu_west_1 · service back, RTO 41m of 1h · 5/6 done
        RECOVERED evacuate_eu_west_1 · RTO 41m of 1h · RPO worst 10m (orders_db) of 15m
    "#]]
    .assert_eq(&text);
}

#[test]
fn status_as_machines_read_it() {
    let plan = plan("1h 15m 5m", PLAN);
    let run = fold(&events(&plan, HAPPY)[..5]);
    let text = serde_json::to_string_pretty(&status(&run, time("19:00"))).expect("JSON");
    expect_file!["tests/status.json"].assert_eq(&(text + "\n"));
}

#[test]
fn a_forecast_counts_what_is_left_of_the_longest_path() {
    let (plan, mut text) = (plan("1h 15m 5m", PLAN), String::new());
    let all = events(&plan, HAPPY);
    for (seq, now) in [(3, "12:00"), (6, "15:00"), (12, "25:30"), (15, "50:00"), (19, "40:00")] {
        let run = fold(&all[..seq]);
        writeln!(
            text,
            "{now} {:?}",
            super::forecast(&run, time(now)).map(|f| (f.p50.to_string(), f.p90.to_string(), f.at_least))
        )
        .expect("text");
    }
    expect![[r#"
        12:00 Some(("2026-11-22T06:38:00Z", "2026-11-22T06:54:00Z", false))
        15:00 Some(("2026-11-22T06:36:00Z", "2026-11-22T06:47:00Z", false))
        25:30 Some(("2026-11-22T06:36:20Z", "2026-11-22T06:47:20Z", false))
        50:00 Some(("2026-11-22T06:51:00Z", "2026-11-22T06:52:00Z", false))
        40:00 Some(("2026-11-22T06:40:00Z", "2026-11-22T06:40:00Z", false))
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_held_paused_left_or_finished_run_says_so() {
    let plan = plan("1h - -", "db command\n dns command needs=db");
    let mut text = String::new();
    let start = "00:00 opened kind=lab\n 00:00 db start";
    for more in [
        "",
        "05:00 db failed: broken\n 05:00 db asks: `db` failed",
        "05:00 paused Ana",
        "05:00 cancel ana",
        "05:00 db done\n 05:00 cancel ana",
        "05:00 joined ops-2 2",
        "05:00 db doubt: no answer",
        "05:00 db done\n 06:00 undo db Ana: no",
        "05:00 db failed: broken\n 05:00 db asks: `db` failed\n 06:00 db stop Ana\n 06:00 finished stopped",
    ] {
        let events = events(&plan, &format!("{start}\n{more}"));
        writeln!(text, "{}", headline(&fold(&events), time("70:00"))).expect("text");
    }
    expect![[r#"
        LAB · RECOVERING evacuate_eu_west_1 · 1h10m of 1h · 0/2 done
        LAB · HELD evacuate_eu_west_1 · 1h10m of 1h · 0/2 done · waiting for: db (asked 1h5m ago)
        LAB · PAUSED evacuate_eu_west_1 · 1h10m of 1h · 0/2 done
        LAB · IN DOUBT evacuate_eu_west_1 · 1h10m of 1h · 0/2 done
        LAB · INTERRUPTED evacuate_eu_west_1 · 1h10m of 1h · 1/2 done
        LAB · IN DOUBT evacuate_eu_west_1 · 1h10m of 1h · 0/2 done
        LAB · IN DOUBT evacuate_eu_west_1 · 1h10m of 1h · 0/2 done
        LAB · UNDOING evacuate_eu_west_1 · 1h10m of 1h · 0/2 done
        LAB · STOPPED evacuate_eu_west_1 · RTO unknown of 1h · no data brought back
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_run_under_way_begins_its_report_with_what_it_waits_for() {
    let (plan, mut text) = (plan("1h 15m 5m", PLAN), String::new());
    for now in ["19:00", "64:00", "70:00"] {
        let report = Report::of(&events(&plan, HAPPY)[..5], "c0ffee", time(now)).expect("a legal history");
        let first: Vec<_> = report.to_markdown().lines().take(8).map(ToOwned::to_owned).collect();
        writeln!(text, "{}\n", first.join("\n")).expect("text");
    }
    expect![[r#"
        # HELD evacuate_eu_west_1 · 19m of 1h · 0/6 done · waiting for: approve_failover (asked 7m ago)

        - RTO unknown: `verify` has not succeeded yet.
        - RPO unknown: it is unknown of `orders_db`, `sessions`.
        - Waiting for an answer: `approve_failover`: Move to eu-central-1?
        - Not before 06:45:00 UTC, by the estimates: a step has none, or a person has to
          act.
        - So far everything went by the plan.

        # HELD evacuate_eu_west_1 · 1h4m of 1h · 0/6 done · waiting for: approve_failover (asked 52m ago)

        - RTO unknown: `verify` has not succeeded yet.
        - RPO unknown: it is unknown of `orders_db`, `sessions`.
        - Waiting for an answer: `approve_failover`: Move to eu-central-1?
        - Not before 07:30:00 UTC, by the estimates: a step has none, or a person has to
          act.
        - So far everything went by the plan.

        # HELD evacuate_eu_west_1 · 1h10m of 1h · 0/6 done · waiting for: approve_failover (asked 58m ago)

        - RTO MISSED, by how much is not known yet: `verify` has not succeeded yet.
        - RPO unknown: it is unknown of `orders_db`, `sessions`.
        - Waiting for an answer: `approve_failover`: Move to eu-central-1?
        - Not before 07:36:00 UTC, by the estimates: a step has none, or a person has to
          act.
        - So far everything went by the plan.

    "#]]
    .assert_eq(&text);
}

#[test]
fn nothing_a_person_writes_moves_a_cursor_or_draws_an_image() {
    let plan = plan("1h - -", "db command");
    let mut all = events(&plan, "00:00 opened\n 01:00 note Bo: x\n 01:00 help Bo: y");
    for event in &mut all[1..] {
        if let crate::event::Kind::Noted { text, .. } = &mut event.kind {
            *text = "\u{1b}[2J\r\n```\n# fake\u{202e} ![i](http://e/) <img src=x> a|b".into();
        }
    }
    let text = Report::of(&all, "", time("02:00")).expect("legal").to_markdown();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("```")).count(), 2, "{text}");
    let (before, rest) = text.split_once("```text").expect("a timeline");
    let after = rest.split_once("\n```\n").expect("its end").1;
    for prose in [before, after] {
        assert!(!prose.contains("](") && !prose.replace("\\<", "").contains('<'), "{prose}");
    }
    assert!(!text.lines().any(|line| line.starts_with("# fake")) && !text.contains('\u{202e}'), "{text}");
}

#[test]
fn a_history_that_could_not_happen_is_refused() {
    let plan = plan("1h - -", "db command");
    let told = |events: &[Event]| Report::of(events, "", time("02:00")).map(|_| ()).map_err(|e| e.to_string());
    let all = events(&plan, "00:00 opened\n 01:00 db done");
    expect![[r#"
        Err("event 0 (nothing) cannot happen while the run is not opened")
        Err("event 2 (Succeeded) cannot happen while db is Waiting")
        Err("event 2 (Succeeded) cannot happen while the run is not opened")"#]]
    .assert_eq(&format!("{:?}\n{:?}\n{:?}", told(&[]), told(&all), told(&all[1..])));
}
