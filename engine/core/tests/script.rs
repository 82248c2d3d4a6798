//! What the core does, as tables: a scenario, what people do, and every event
//! that follows, one line a commit.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod support;

use expect_test::expect;
use support::sim::{check, check_with_hands, check_without_waiting};

#[test]
fn a_failure_does_not_stop_the_other_branch() {
    check(
        "dns ok 5m; db fails; web needs dns ok 10m; app needs db ok 1m",
        "",
        expect![[r#"
        00:00  opened
        00:00  joined 1, dns started, db started
        00:00  db failed: scripted, held: db failed: scripted (retry, skip, stop)
        05:00  dns done, web started
        15:00  web done
        43200:00  -- left, db asking, app waiting
    "#]],
    );
}

#[test]
fn a_step_without_needs_starts_at_once_and_what_needs_it_after_it() {
    check(
        "a ok 5m; b needs a ok 1m; c needs a,b ok 1m; d ok 3m",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, d started
            03:00  d done
            05:00  a done, b started
            06:00  b done, c started
            07:00  c done, finished: unverified
            07:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_pause_between_attempts_has_a_longest() {
    check(
        "a attempts=8 backoff=50s flaky",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, again at 00:50
            00:50  a started #2
            00:50  a failed: scripted, again at 02:30
            02:30  a started #3
            02:30  a failed: scripted, again at 04:30
            04:30  a started #4
            04:30  a failed: scripted, again at 06:30
            06:30  a started #5
            06:30  a failed: scripted, again at 08:30
            08:30  a started #6
            08:30  a failed: scripted, again at 10:30
            10:30  a started #7
            10:30  a failed: scripted, again at 12:30
            12:30  a started #8
            12:30  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            43200:00  -- left, a asking
        "#]],
    );
}

#[test]
fn a_permanent_failure_is_not_tried_again() {
    check(
        "a attempts=5 fails then ok",
        "
        01:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            01:00  ann: retry a, a started #2
            01:00  a done, finished: unverified
            01:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn what_is_there_already_is_found_and_not_run() {
    check(
        "a ok; b needs a check=world ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started
            00:00  b done, finished: unverified
            00:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_timed_out_step_without_effect_is_tried_again() {
    check(
        "a timeout=10m hangs then ok 1m",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            10:00  a in doubt (timeout: no end within 10m), look at 10:00, a started #2
            11:00  a done, finished: unverified
            11:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_timed_out_step_that_had_its_effect_is_found_done() {
    check(
        "a timeout=10m stuck",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            10:00  a in doubt (timeout: no end within 10m), look at 10:00, a started #2
            10:00  a found done, finished: unverified
            10:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn slow_is_not_failed() {
    check(
        "a timeout=10m provider 35m; b ok 1m; c needs a ok 1m",
        "
        30:00 ann wait a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            01:00  b done
            10:00  a in doubt (timeout: no end within 10m), look at 10:00, a started #2
            10:00  asked: a is slow (wait, skip, stop)
            30:00  ann: wait a, a started #3
            35:00  a done, c started
            36:00  c done, finished: unverified
            36:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn slow_may_be_skipped() {
    check(
        "a timeout=10m provider 35m; c needs a ok 1m",
        "
        30:00 ann skip a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            10:00  a in doubt (timeout: no end within 10m), look at 10:00, a started #2
            10:00  asked: a is slow (wait, skip, stop)
            30:00  ann: skip a, c started
            31:00  c done, finished: unverified
            31:00  -- unverified, a skipped
        "#]],
    );
}

#[test]
fn timeouts_count_as_attempts() {
    check(
        "a timeout=1m attempts=2 hangs",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            01:00  a in doubt (timeout: no end within 1m), look at 01:00, a started #2
            02:00  a in doubt (timeout: no end within 1m), look at 02:00, a started #3
            02:00  a failed: the last attempt had no effect, and no attempt is left, held: a failed: the last attempt had no effect, and no attempt is left (retry, skip, stop)
            43200:00  -- left, a asking
        "#]],
    );
}

#[test]
fn a_lost_reply_is_looked_for_before_anything_is_repeated() {
    check(
        "a lost; b doubt then ok 1m",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a in doubt (no answer: the reply was lost), look at 00:05, b in doubt (no answer: the reply was lost), look at 00:05
            00:05  a started #2, b started #2
            00:05  a found done
            01:05  b done, finished: unverified
            01:05  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_panic_is_an_outcome_in_doubt() {
    check(
        "a panics; b needs a ok; c check=panics/world ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started
            00:00  a in doubt (no answer: the step panicked: scripted), look at 00:05, c in doubt (no answer: the step panicked: the look panics), look at 00:05
            00:05  a started #2, c started #2
            00:05  a found done, c done, b started
            00:05  b done, finished: unverified
            00:05  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_look_that_cannot_tell_is_repeated_where_the_runbook_says_so_and_not_for_ever() {
    check(
        "a on_unknown=retry check=unknown/world ok; b on_unknown=retry check=unknown ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a in doubt (unknown: cannot tell), look at 00:30, b in doubt (unknown: cannot tell), look at 00:30
            00:30  a started #2, b started #2
            00:30  a done, b in doubt (unknown: cannot tell), look at 01:00
            01:00  b started #3
            01:00  b in doubt (unknown: cannot tell), look at 01:30
            01:30  b started #4
            01:30  b in doubt (unknown: cannot tell), nobody can tell, asked: b is in doubt: cannot tell (retry, skip, stop)
            43200:00  -- left, b asking; in doubt: b
        "#]],
    );
}

#[test]
fn impossible_is_a_failure_and_not_repeated() {
    check(
        "a check=impossible ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: no such thing, held: a failed: no such thing (retry, skip, stop)
            43200:00  -- left, a asking
        "#]],
    );
}

#[test]
fn a_look_that_fails_is_repeated_for_its_time_and_then_held_with_its_cause() {
    check(
        "a check=error ok;
         b check=error/error/error/world ok;
         c check=denied ok;
         d check_timeout=10s check=hangs ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started, c started, d started
            00:00  c failed: access denied, held: c failed: access denied (retry, skip, stop)
            00:06  b done
            00:10  d failed: the look got no answer, held: d failed: the look got no answer (retry, skip, stop)
            02:00  a failed: no reply, held: a failed: no reply (retry, skip, stop)
            43200:00  -- left, a asking, c asking, d asking
        "#]],
    );
}

#[test]
fn a_look_that_fails_in_doubt_leaves_the_doubt() {
    check(
        "a check=world/error lost",
        "
        30:00 ann done a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a in doubt (no answer: the reply was lost), look at 00:05
            00:05  a started #2
            02:05  a in doubt (unknown: no reply), nobody can tell, asked: a is in doubt: no reply (retry, skip, stop)
            30:00  ann: a done by hand, vouched, finished: unverified
            30:00  -- unverified, a bypassed
        "#]],
    );
}

#[test]
fn a_look_that_takes_all_the_time_leaves_none_to_begin_in() {
    check(
        "a timeout=5s check=error/error/error/world ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:06  a in doubt (timeout: no end within 5s; last: no reply), look at 00:06, a started #2
            00:06  a done, finished: unverified
            00:06  -- unverified, all done
        "#]],
    );
}

#[test]
fn without_a_look_the_first_attempt_starts_at_once() {
    check(
        "a nocheck ok 1m; b nocheck fails; c nocheck flaky then ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started, c started
            00:00  b failed: scripted, c failed: scripted, again at 00:05, held: b failed: scripted (retry, skip, stop)
            00:05  c started #2
            00:05  c done
            01:00  a done
            43200:00  -- left, b asking
        "#]],
    );
}

#[test]
fn after_a_crash_a_step_with_its_effect_is_found_done_and_one_without_runs() {
    check(
        "a ok 10m; b ok 30m; c needs a ok",
        "
        08:00 crash
        09:00 resume
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            08:00  -- the power goes
            09:00  joined 2, a started #2, b started #2
            09:00  a found done, c started
            09:00  c done
            39:00  b done, finished: unverified
            39:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_granted_retry_survives_a_crash_before_it_began() {
    check(
        "a nocheck ok 10m; b ok",
        "
        08:00 crash
        09:00 resume
        10:00 ann pause
        11:00 ann retry a
        12:00 crash
        13:00 resume
        14:00 ann continue
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  b done
            08:00  -- the power goes
            09:00  joined 2, a started #2
            09:00  a in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop)
            10:00  ann: pause
            11:00  ann: retry a
            12:00  -- the power goes
            13:00  joined 3
            14:00  ann: continue, a started #3
            24:00  a done, finished: unverified
            24:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn after_a_crash_what_the_provider_works_on_is_adopted() {
    check(
        "a records provider 30m; b needs a ok",
        "
        08:00 crash
        09:00 resume
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a wrote resolved
            00:00  a wrote handle
            08:00  -- the power goes
            09:00  joined 2, a started #2
            09:00  a wrote handle
            30:00  a done, b started
            30:00  b done, finished: unverified
            30:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn what_was_resolved_once_is_not_resolved_again() {
    check(
        "a records lost; b records doubt then ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a wrote resolved, b wrote resolved
            00:00  a wrote handle, b in doubt (no answer: the reply was lost), look at 00:05
            00:00  a in doubt (no answer: the reply was lost), look at 00:05
            00:05  a started #2, b started #2
            00:05  a found done, b wrote handle
            00:05  b done, finished: unverified
            00:05  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_look_that_panics_while_it_is_to_prove_something_does_not_end_the_recovery() {
    check(
        "a check=panics ok; b ok 20m",
        "
        10:00 ann done a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a in doubt (no answer: the step panicked: the look panics), look at 00:05
            00:05  a started #2
            00:05  a in doubt (no answer: the step panicked: the look panics), look at 00:15
            00:15  a started #3
            00:15  a in doubt (no answer: the step panicked: the look panics), look at 00:35
            00:35  a started #4
            00:35  a in doubt (no answer: the step panicked: the look panics), nobody can tell, asked: a is in doubt: the step panicked: the look panics (retry, skip, stop)
            10:00  ann: a done by hand, vouched
            20:00  b done, finished: unverified
            20:00  -- unverified, a bypassed
        "#]],
    );
}

#[test]
fn what_is_left_in_doubt_is_named_also_when_it_is_asked_about_or_stopped() {
    check(
        "a nocheck lost; b timeout=1m provider 1h; c needs a ok",
        "
        10:00 ann stop a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a in doubt (no answer: the reply was lost), look at 00:05
            00:05  a started #2
            00:05  a in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop)
            01:00  b in doubt (timeout: no end within 1m), look at 01:00, b started #2
            01:00  asked: b is slow (wait, skip, stop)
            10:00  ann: stop a, finished: stopped
            10:00  -- stopped, a failed, b asking, c unneeded; in doubt: a b
        "#]],
    );
}

#[test]
fn nobody_waits_when_nobody_wants_to_and_what_goes_on_goes_on_before() {
    check_without_waiting(
        "a fails; b ok 10m; c needs b flaky then ok; d needs a ok",
        "",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a started, b started
        00:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
        10:00  b done, c started
        10:00  c failed: scripted, again at 10:05
        10:05  c started #2
        10:05  c done
        10:05  -- held, a asking, d waiting
    "#]],
    );
}

#[test]
fn a_failure_may_be_tolerated() {
    check(
        "a on_failure=continue fails; b needs a ok 1m; verify reads needs b ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, b started
            01:00  b done, verify started
            01:00  verify done, finished: recovered_with_exceptions
            01:00  -- recovered_with_exceptions, a failed
        "#]],
    );
}

#[test]
fn a_failure_may_stop_the_run_and_what_runs_may_end() {
    check(
        "a on_failure=stop fails 5m; b ok 10m; c needs b ok; d ok 1m; e needs d flaky 4m",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started, d started
            01:00  d done, e started
            05:00  a failed: scripted, e failed: scripted, again at 05:05
            10:00  b done, finished: failed
            10:00  -- failed, a failed, c unneeded, e backoff
        "#]],
    );
}

#[test]
fn a_condition_that_is_false_skips_and_what_needs_the_step_goes_on() {
    check(
        "a when=!params.fast ok;
         b needs a when=params.fast ok;
         c needs b when=steps.b.x=='1' ok;
         d needs a ok",
        "
        10:00 ann set c steps.b.x=1
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a skipped: its condition is false, b started, d started
            00:00  b done, d done, asked: c misses steps.b.x (set, skip, stop)
            10:00  ann: set c steps.b.x="1", c started
            10:00  c done, finished: unverified
            10:00  -- unverified, a skipped
        "#]],
    );
}

#[test]
fn a_condition_is_evaluated_once_when_the_needs_are_satisfied() {
    check(
        "a out=size:big ok 5m;
         b needs a when=steps.a.size=='big' ok 1m;
         c needs a when=steps.a.size=='small' ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            05:00  a done {size="big"}, b started, c skipped: its condition is false
            06:00  b done, finished: unverified
            06:00  -- unverified, c skipped
        "#]],
    );
}

#[test]
fn a_corrected_incident_may_have_lost_too_much() {
    check(
        "b point=1m rpo=5m ok 5m; c needs b ok 20m",
        "10:00 ann incident +7m",
        expect![[r#"
            00:00  opened
            00:00  joined 1, b started
            05:00  b done {data up to -01:00}, c started
            10:00  ann: incident at 07:00, too much lost: b
            25:00  c done, finished: unverified
            25:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn deadlines_are_told_once_and_stop_nothing() {
    check(
        "rto=30m;
         a est=10m ok 40m;
         b needs a point=20m rpo=5m ok 5m;
         c needs a point=1m rpo=5m ok 5m;
         verify reads needs b,c ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            20:00  late: a
            30:00  late: rto
            40:00  a done, b started, c started
            45:00  b done {data up to -20:00}, c done {data up to -01:00}, verify started, too much lost: b
            45:00  verify done, finished: recovered
            45:00  -- recovered, all done
        "#]],
    );
}

#[test]
fn a_deadline_that_was_kept_is_not_told() {
    check(
        "rto=30m; a est=10m ok 5m; verify reads needs a ok; z needs verify ok 1h",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            05:00  a done, verify started
            05:00  verify done, z started
            65:00  z done, finished: recovered
            65:00  -- recovered, all done
        "#]],
    );
}

#[test]
fn the_deadline_follows_a_corrected_incident() {
    check(
        "rto=30m; a ok 2h; verify reads needs a ok",
        "
        05:00 ann incident 20m
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            05:00  ann: incident at -20:00
            10:00  late: rto
            120:00  a done, verify started
            120:00  verify done, finished: recovered
            120:00  -- recovered, all done
        "#]],
    );
}

#[test]
fn with_few_hands_the_longest_path_goes_first() {
    check_with_hands(
        2,
        "a est=1m ok; b est=5m ok; c est=2m ok; d needs c est=10m ok; e est=3m ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, c started, b started
            02:00  c done, d started
            05:00  b done, e started
            08:00  e done, a started
            09:00  a done
            12:00  d done, finished: unverified
            12:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn stop_ends_the_run_with_what_runs() {
    check(
        "a fails; b ok 10m; c needs b ok",
        "
        05:00 ann stop a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            05:00  ann: stop a
            10:00  b done, finished: stopped
            10:00  -- stopped, a failed, c unneeded
        "#]],
    );
}

#[test]
fn all_done_and_verified_is_recovered() {
    check(
        "a ok; verify reads needs a ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, verify started
            00:00  verify done, finished: recovered
            00:00  -- recovered, all done
        "#]],
    );
}

#[test]
fn without_verify_it_is_unverified() {
    check(
        "a ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, finished: unverified
            00:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_step_left_out_by_its_condition_is_no_exception() {
    check(
        "a when=!params.fast ok; verify reads needs a ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a skipped: its condition is false, verify started
            00:00  verify done, finished: recovered
            00:00  -- recovered, a skipped
        "#]],
    );
}

#[test]
fn a_deadline_is_counted_anew_from_a_corrected_incident() {
    check(
        "rto=30m; a ok 2h; verify reads needs a ok",
        "
        05:00 ann incident 40m
        06:00 ann incident +5m
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            05:00  ann: incident at -40:00, late: rto
            06:00  ann: incident at 05:00
            35:00  late: rto
            120:00  a done, verify started
            120:00  verify done, finished: recovered
            120:00  -- recovered, all done
        "#]],
    );
}

#[test]
fn the_first_reason_to_stop_stays() {
    check(
        "a on_failure=stop fails 10m; b fails",
        "05:00 ann stop b",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a started, b started
        00:00  b failed: scripted, held: b failed: scripted (retry, skip, stop)
        05:00  ann: stop b
        10:00  a failed: scripted, finished: stopped
        10:00  -- stopped, a failed, b failed
    "#]],
    );
}
