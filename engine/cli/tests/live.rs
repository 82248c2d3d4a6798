//! What a person sees while a run goes on: the binary on a virtual terminal.

mod support;

use expect_test::{Expect, expect};
use regex_lite::Regex;
use std::fmt::Write;
use support::{Place, pty::Screen, until};

/// One that waits to be let go, one that fails, one that needs people.
const RUNBOOK: &str = r#"
dr: v1
name: failover
regions: { primary: eu-west-1, recovery: eu-central-1 }
roles: { technical_lead: { name: Ada } }
objectives: { rto: 2h }
phases: [data, traffic]
steps:
  restore_db:
    phase: data
    estimate: { p50: 15m, p90: 20m }
    do: { command: { argv: [sh, ./wait], check: { argv: [sh, ./seen] } } }
  warm_cache:
    phase: data
    do: { command: { argv: [sh, -c, "printf 'no \\033[2Jquorum' >&2; exit 4"] } }
  switch_dns:
    phase: traffic
    needs: [restore_db]
    approve: { question: Send users to eu-central-1?, roles: [technical_lead] }
    do: { command: { argv: [sh, ./work] } }
"#;

const DRILL: [&str; 5] = ["execute", "runbook.yaml", "--kind", "drill", "--yes"];

/// What stands there, with times, ids and lengths masked.
fn masked(screen: &Screen) -> String {
    let masks = [
        (r"\d{8}-\d{6}-([a-z]+)-[0-9a-f]{4}", "RUN"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "MOMENT"),
        (r"\d\d:\d\d:\d\d +\+\w+", "CLOCK"),
        (r"\d\d:\d\d:\d\d", "CLOCK"),
        (r"\d\d:\d\d UTC", "HH:MM UTC"),
        (r"; \d\d:\d\d if", "; HH:MM if"),
        (r"pid \d+ on \S+", "pid N on HOST"),
        (r"by \S+@\S+:", "by USER@HOST:"),
        (r"asked \d+m?s ago", "asked T ago"),
        (r" \d+m?s of", " T of"),
        (r" \d+h\d+m of 2h left", " T of 2h left"),
        (r" \d+m\d*s? of work", " T of work"),
        (r"   +", "   "),
    ];
    let text = masks
        .iter()
        .fold(screen.text(), |text, (mask, by)| Regex::new(mask).expect("a mask").replace_all(&text, *by).into_owned());
    text + "\n"
}

fn shows(screen: &Screen, expected: &Expect) {
    expected.assert_eq(&masked(screen));
}

/// A whole run on a terminal so wide: at work, waiting for people, over.
fn run_on(columns: u16, at_work: &Expect, asking: &Expect, over: &Expect) {
    let place = Place::with(RUNBOOK);
    let mut screen = place.screen((24, columns), &DRILL);
    screen.shows("warm_cache stop");
    until("the step's process", || place.began("restore_db"));
    shows(&screen, at_work);
    place.go("restore_db");
    screen.shows("decline");
    shows(&screen, asking);
    let id = place.id();
    place.run(&["answer", &id, "switch_dns!approve", "approve", "--as", "Ada"]).ends(0);
    screen.shows("switch_dns: done");
    place.run(&["answer", &id, "warm_cache", "skip"]).ends(0);
    assert_eq!(screen.code(), Some(0));
    screen.shows(&format!("the report: dr report {id}"));
    shows(&screen, over);
}

#[test]
fn a_run_on_80_columns() {
    run_on(
        80,
        &expect![[r"
        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        CLOCK  opened; the outage began MOMENT (assumed)
        CLOCK  controller: pid N on HOST
        CLOCK  warm_cache: FAILED: exit code 4: no quorum
        CLOCK  warm_cache: HELD: what needs it waits, the rest goes on

        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        RECOVERING · T of 2h (incident time assumed) · 0/4 done
        RTO   [====....................................] T of 2h left
        end   T of work once people have answered, at least
        phases  data 0/2 · traffic 0/2

         ? asked T ago: `warm_cache` failed: exit code 4: no quorum
           dr answer RUN warm_cache retry
           dr answer RUN warm_cache skip
           dr answer RUN warm_cache stop
         > restore_db   T of about 15m
           switch_dns!approve  after restore_db
           switch_dns   after restore_db, switch_dns!approve
    "]],
        &expect![[r"
        CLOCK  controller: pid N on HOST
        CLOCK  warm_cache: FAILED: exit code 4: no quorum
        CLOCK  warm_cache: HELD: what needs it waits, the rest goes on
        CLOCK  restore_db: done
        CLOCK  switch_dns!approve: WAITS FOR APPROVAL: Send users to eu-cent
        ral-1?

        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        HELD · T of 2h (incident time assumed) · 1/4 done
        RTO   [........................................] T of 2h left
        end   unknown: it depends on people's answers
        phases  data 1/2 · traffic 0/2

         ? asked T ago: `warm_cache` failed: exit code 4: no quorum
           dr answer RUN warm_cache retry
           dr answer RUN warm_cache skip
           dr answer RUN warm_cache stop
         ? switch_dns!approve for technical_lead (Ada), asked T ago: Send users to
           eu-central-1?
           dr answer RUN 'switch_dns!approve' approve --as \
           NAME
           dr answer RUN 'switch_dns!approve' decline --as \
           NAME
           switch_dns   after switch_dns!approve
    "]],
        &expect![[r"
        CLOCK  controller: pid N on HOST
        CLOCK  warm_cache: FAILED: exit code 4: no quorum
        CLOCK  warm_cache: HELD: what needs it waits, the rest goes on
        CLOCK  restore_db: done
        CLOCK  switch_dns!approve: WAITS FOR APPROVAL: Send users to eu-cent
        ral-1?
        CLOCK  switch_dns!approve: answered by Ada: approve
        CLOCK  switch_dns: done
        CLOCK  warm_cache: answered by USER@HOST: skip
        CLOCK  DONE, NOT VERIFIED: the runbook has no `verify`, or it was le
        ft out

        DRILL · UNVERIFIED failover · RTO unknown of 2h · no data brought back
        1 step in which something went wrong:
          warm_cache, now skipped:
           CLOCK attempt 1 failed: exit code 4: no quorum
        the report: dr report RUN
    "]],
    );
}

#[test]
fn a_run_on_200_columns() {
    run_on(
        200,
        &expect![[r"
        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        CLOCK  opened; the outage began MOMENT (assumed)
        CLOCK  controller: pid N on HOST
        CLOCK  warm_cache: FAILED: exit code 4: no quorum
        CLOCK  warm_cache: HELD: what needs it waits, the rest goes on

        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        RECOVERING · T of 2h (incident time assumed) · 0/4 done
        RTO   [====....................................] T of 2h left
        end   T of work once people have answered, at least
        phases  data 0/2 · traffic 0/2

         ? asked T ago: `warm_cache` failed: exit code 4: no quorum
           dr answer RUN warm_cache retry
           dr answer RUN warm_cache skip
           dr answer RUN warm_cache stop
         > restore_db   T of about 15m
           switch_dns!approve  after restore_db
           switch_dns   after restore_db, switch_dns!approve
    "]],
        &expect![[r"
        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        CLOCK  opened; the outage began MOMENT (assumed)
        CLOCK  controller: pid N on HOST
        CLOCK  warm_cache: FAILED: exit code 4: no quorum
        CLOCK  warm_cache: HELD: what needs it waits, the rest goes on
        CLOCK  restore_db: done
        CLOCK  switch_dns!approve: WAITS FOR APPROVAL: Send users to eu-central-1?

        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        HELD · T of 2h (incident time assumed) · 1/4 done
        RTO   [........................................] T of 2h left
        end   unknown: it depends on people's answers
        phases  data 1/2 · traffic 0/2

         ? asked T ago: `warm_cache` failed: exit code 4: no quorum
           dr answer RUN warm_cache retry
           dr answer RUN warm_cache skip
           dr answer RUN warm_cache stop
         ? switch_dns!approve for technical_lead (Ada), asked T ago: Send users to eu-central-1?
           dr answer RUN 'switch_dns!approve' approve --as NAME
           dr answer RUN 'switch_dns!approve' decline --as NAME
           switch_dns   after switch_dns!approve
    "]],
        &expect![[r"
        DRILL · failover · eu-west-1 → eu-central-1 · run RUN
        CLOCK  opened; the outage began MOMENT (assumed)
        CLOCK  controller: pid N on HOST
        CLOCK  warm_cache: FAILED: exit code 4: no quorum
        CLOCK  warm_cache: HELD: what needs it waits, the rest goes on
        CLOCK  restore_db: done
        CLOCK  switch_dns!approve: WAITS FOR APPROVAL: Send users to eu-central-1?
        CLOCK  switch_dns!approve: answered by Ada: approve
        CLOCK  switch_dns: done
        CLOCK  warm_cache: answered by USER@HOST: skip
        CLOCK  DONE, NOT VERIFIED: the runbook has no `verify`, or it was left out

        DRILL · UNVERIFIED failover · RTO unknown of 2h · no data brought back
        1 step in which something went wrong:
          warm_cache, now skipped:
           CLOCK attempt 1 failed: exit code 4: no quorum
        the report: dr report RUN
    "]],
    );
}

#[test]
fn a_window_may_be_resized_while_it_runs() {
    let place = Place::with(RUNBOOK);
    let mut screen = place.screen((24, 80), &DRILL);
    screen.shows("warm_cache stop");
    for (rows, columns) in [(20, 50), (40, 200), (12, 60), (24, 80)] {
        screen.resize(rows, columns);
        until("a picture of that size", || {
            let text = screen.text();
            text.matches("DRILL · failover · eu").count() <= 2 && text.contains("restore_db  ")
        });
    }
    screen.shows("warm_cache stop");
    place.go("restore_db");
    screen.shows("decline");
    let id = place.id();
    place.run(&["answer", &id, "switch_dns!approve", "decline", "--as", "Ada"]).ends(0);
    screen.signal("INT");
    assert_eq!(screen.code(), Some(130));
    screen.shows(&format!("interrupted, state saved: dr resume {id}"));
    screen.shows("warm_cache, now asking:");
    screen.shows("attempt 1 failed: exit code 4: no quorum");
}

#[test]
fn a_terminal_that_takes_nothing_holds_up_nothing_and_misses_nothing() {
    // More turns than may wait to be drawn: what did not fit is read from the journal.
    let mut runbook =
        String::from("dr: v1\nname: failover\nsteps:\n  step_0: { do: { command: { argv: ['true'] } } }\n");
    for step in 1..1_100 {
        writeln!(runbook, "  step_{step}: {{ needs: [step_{}], do: {{ command: {{ argv: ['true'] }} }} }}", step - 1)
            .ok();
    }
    runbook.push_str("  bad: { needs: [step_500], do: { command: { argv: [sh, -c, exit 4] } } }\n");
    let place = Place::with(&runbook);
    let mut screen = place.screen((24, 80), &DRILL);
    screen.shows("RECOVERING");
    screen.stop(true);
    until("the last step", || {
        place.fold().is_some_and(|run| run.steps().filter(|(_, it)| it.state.word() == "done").count() == 1_100)
    });
    screen.stop(false);
    screen.shows("1100/1101 done");
    screen.shows("bad stop");
    assert!(String::from_utf8_lossy(&screen.bytes()).contains("bad: FAILED: exit code 4"), "{}", screen.text());
    screen.stop(true);
    screen.signal("INT");
    assert_eq!(screen.code(), Some(130), "the end waits for nobody who reads nothing");
}

#[test]
fn a_terminal_that_is_gone_ends_nothing() {
    let place = Place::with(&RUNBOOK.replace("exit 4", "exit 0"));
    let screen = place.screen((24, 80), &DRILL);
    until("the step's process", || place.began("restore_db"));
    let mut child = screen.hang_up();
    place.go("restore_db");
    until("a question", || !place.asking().is_empty());
    place.run(&["answer", &place.id(), "switch_dns!approve", "approve", "--as", "Ada"]).ends(0);
    let mut code = None;
    until("an end", || {
        code = child.try_wait().expect("a child");
        code.is_some()
    });
    assert_eq!(code.and_then(|status| status.code()), Some(0));
    assert_eq!(place.effects("switch_dns"), 1);
}

#[test]
fn who_wants_no_picture_has_lines() {
    for (name, value) in [("TERM", "dumb"), ("NO_COLOR", "1")] {
        let place = Place::with("dr: v1\nname: small\nsteps: { one: { do: { command: { argv: ['true'] } } } }\n");
        let mut command = place.dr(&DRILL);
        command.env("TERM", "xterm").env(name, value);
        let mut screen = Screen::begin(command, (24, 80));
        assert_eq!(screen.code(), Some(0));
        screen.shows("one: started");
        screen.shows("one: done");
        let bytes = screen.bytes();
        assert!(!bytes.contains(&0x1b), "{name}: {}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn whoever_watches_sees_the_same_and_hears_when_nobody_drives_it() {
    let probe = "  front:\n    do: { wait_until: { every: 100ms, probe: { tcp: { address: '127.0.0.1:1' } } } }\n";
    let place = Place::with(&format!("{RUNBOOK}{probe}"));
    let controller = place.begin_drill();
    until("the step's process", || place.began("restore_db"));
    let id = place.id();
    let mut watch = place.screen((30, 80), &["watch", &id]);
    watch.shows("warm_cache stop");
    watch.shows("restore_db  ");
    // What a step says is no event: it comes from the controller all the same.
    watch.shows("no connection to");
    assert!(watch.text().contains("HELD") || watch.text().contains("RECOVERING"), "{}", watch.text());
    controller.signal("KILL");
    watch.shows("UNATTENDED");
    watch.shows(&format!("dr resume {id}"));
    watch.signal("INT");
    assert_eq!(watch.code(), Some(130));
    watch.shows("1 question is open:");
    watch.shows(&format!("the report so far: dr report {id}"));
    place.go("restore_db");
}
