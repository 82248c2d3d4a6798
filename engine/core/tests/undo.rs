//! What is taken back, as tables: a scenario, what people do, and every event
//! that follows, one line a commit.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod support;

use expect_test::expect;
use support::sim::{check, check_without_waiting};

#[test]
fn a_failed_undo_asks_and_the_run_does_not_end_before_the_answer() {
    check(
        "a undoable ok; b needs a undoable undo=fails/ok ok",
        "
        10:00 ann undo
        20:00 ann retry b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started
            00:00  b done, finished: unverified
            00:00  -- unverified, all done
            10:00  joined 2, ann: reopen, ann: undo a b, b undo started #2
            10:00  b not undone: scripted, asked: b cannot be undone: scripted (retry, skip, stop)
            20:00  ann: retry b, b undo started #3
            20:00  b undone, a undo started #2
            20:00  a undone, finished: undone
            20:00  -- undone, a undone, b undone
        "#]],
    );
}

#[test]
fn a_step_is_not_taken_back_under_one_that_could_not_be() {
    check(
        "a undoable ok; b needs a undoable undo=fails/fails/ok ok; c fails",
        "
        10:00 ann undo a
        20:00 ann retry b
        30:00 ann retry b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started
            00:00  a done, c failed: scripted, held: c failed: scripted (retry, skip, stop), b started
            00:00  b done
            10:00  ann: undo a b, b undo started #2
            10:00  b not undone: scripted, asked: b cannot be undone: scripted (retry, skip, stop)
            20:00  ann: retry b, b undo started #3
            20:00  b not undone: scripted, asked: b cannot be undone: scripted (retry, skip, stop)
            30:00  ann: retry b, b undo started #4
            30:00  b undone, a undo started #2
            30:00  a undone
            43200:00  -- left, a undone, b undone, c asking
        "#]],
    );
}

#[test]
fn a_failed_step_whose_undo_is_left_is_skipped_not_done() {
    check(
        "a undoable check=impossible/world undone=unknown fails; b needs a ok",
        "
        10:00 ann undo_it a
        20:00 ann skip a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: no such thing, held: a failed: no such thing (retry, skip, undo, stop)
            10:00  ann: undo a, a undo started #2
            10:00  a not undone: it is not known whether it is taken back: cannot tell, asked: a cannot be undone: it is not known whether it is taken back: cannot tell (retry, skip, stop)
            20:00  ann: skip a, b started
            20:00  b done, finished: unverified
            20:00  -- unverified, a skipped
        "#]],
    );
}

#[test]
fn nothing_runs_again_on_what_was_taken_back() {
    check(
        "a undoable ok; b needs a fails then ok; c fails",
        "
        10:00 ann undo a
        20:00 ann retry b
        30:00 ann stop b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started
            00:00  a done, c failed: scripted, held: c failed: scripted (retry, skip, stop), b started
            00:00  b failed: scripted, held: b failed: scripted (retry, skip, stop)
            10:00  ann: undo a, a undo started #2
            10:00  a undone
            20:00  refused: what `b` needs was taken back, so it cannot run again
            30:00  ann: stop b, finished: stopped
            30:00  -- stopped, a undone, b failed, c asking
        "#]],
    );
}

#[test]
fn a_pause_holds_an_undo_too() {
    check(
        "a undoable ok; b needs a undoable ok; c asks",
        "
        10:00 ann pause
        11:00 ann undo
        12:00 ann continue
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started
            00:00  a done, asked: c is to be done by hand (done, skip, stop), b started
            00:00  b done
            10:00  ann: pause
            11:00  ann: undo a b
            12:00  ann: continue, b undo started #2
            12:00  b undone, a undo started #2
            12:00  a undone, finished: undone
            12:00  -- undone, a undone, b undone, c asking
        "#]],
    );
}

#[test]
fn stop_ends_an_undo_and_leaves_the_rest_as_it_is() {
    check(
        "a undoable ok; b needs a undoable undo=fails ok; c needs a undoable undo=fails ok",
        "
        10:00 ann undo
        11:00 ann stop b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started, c started
            00:00  b done, c done, finished: unverified
            00:00  -- unverified, all done
            10:00  joined 2, ann: reopen, ann: undo a b c, b undo started #2, c undo started #2
            10:00  b not undone: scripted, c not undone: scripted, asked: b cannot be undone: scripted (retry, skip, stop), asked: c cannot be undone: scripted (retry, skip, stop)
            11:00  ann: stop b, finished: stopped
            11:00  -- stopped, b failed, c failed
        "#]],
    );
}

#[test]
fn what_is_being_taken_back_cannot_be_done_by_hand() {
    check(
        "a undoable undo=fails/ok ok; b fails",
        "
        01:00 ann undo a
        02:00 ann done a
        03:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a done, b failed: scripted, held: b failed: scripted (retry, skip, stop)
            01:00  ann: undo a, a undo started #2
            01:00  a not undone: scripted, asked: a cannot be undone: scripted (retry, skip, stop)
            02:00  refused: `a` is being taken back: answer with retry, skip or stop
            03:00  ann: retry a, a undo started #3
            03:00  a undone
            43200:00  -- left, a undone, b asking
        "#]],
    );
}

#[test]
fn a_stuck_undo_is_not_waited_for_either() {
    check_without_waiting(
        "a undoable ok; b needs a undoable undo=fails ok",
        "
        10:00 ann undo
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started
            00:00  b done, finished: unverified
            00:00  -- unverified, all done
            10:00  joined 2, ann: reopen, ann: undo a b, b undo started #2
            10:00  b not undone: scripted, asked: b cannot be undone: scripted (retry, skip, stop)
            10:00  -- held, a undoing, b asking
        "#]],
    );
}

#[test]
fn everything_is_taken_back_in_reverse() {
    check(
        "a undoable ok;
         b needs a undoable ok 1m;
         c needs a undoable undo=ok ok;
         d needs b,c undoable ok;
         verify reads needs d ok",
        "
        10:00 ann undo
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started, c started
            00:00  c done
            01:00  b done, d started
            01:00  d done, verify started
            01:00  verify done, finished: recovered
            01:00  -- recovered, all done
            10:00  joined 2, ann: reopen, ann: undo a b c d, d undo started #2
            10:00  d undone, b undo started #2, c undo started #2
            10:00  b undone, c undone, a undo started #2
            10:00  a undone, finished: undone
            10:00  -- undone, a undone, b undone, c undone, d undone, verify undone
        "#]],
    );
}

#[test]
fn one_step_is_taken_back_with_what_stands_on_it() {
    check(
        "a undoable ok;
         b needs a undoable ok;
         c needs b undoable ok;
         d needs a undoable ok;
         e fails",
        "
        10:00 ann undo b
        20:00 ann stop e
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, e started
            00:00  a done, e failed: scripted, held: e failed: scripted (retry, skip, stop), b started, d started
            00:00  b done, d done, c started
            00:00  c done
            10:00  ann: undo b c, c undo started #2
            10:00  c undone, b undo started #2
            10:00  b undone
            20:00  ann: stop e, finished: stopped
            20:00  -- stopped, b undone, c undone, e failed
        "#]],
    );
}

#[test]
fn what_cannot_be_taken_back_refuses_the_undo_unless_around() {
    check(
        "a undoable ok; b needs a ok; c needs b undoable ok; d fails",
        "
        10:00 ann undo
        11:00 ann undo around
        12:00 ann undo
        13:00 ann undo d
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, d started
            00:00  a done, d failed: scripted, held: d failed: scripted (retry, skip, stop), b started
            00:00  b done, c started
            00:00  c done
            10:00  refused: `b` cannot be taken back; `--around` takes back the rest
            11:00  ann: undo a c, c undo started #2
            11:00  c undone, a undo started #2
            11:00  a undone, finished: undone
            11:00  -- undone, a undone, c undone, d asking
            12:00  refused: nothing that was done can be taken back: `b`
            13:00  refused: nothing was done that can be taken back
        "#]],
    );
}

#[test]
fn nothing_is_taken_back_under_a_running_step() {
    check(
        "a undoable ok; b needs a undoable ok 20m; c needs b ok",
        "
        10:00 ann undo a
        15:00 ann undo
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started
            10:00  refused: `b` is running: wait until it has ended, then undo
            15:00  refused: `b` is running: wait until it has ended, then undo
            20:00  b done, c started
            20:00  c done, finished: unverified
            20:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn an_undo_that_was_lost_is_looked_for() {
    check(
        "a undoable undo=lost ok; b fails",
        "
        10:00 ann undo a
        11:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a done, b failed: scripted, held: b failed: scripted (retry, skip, stop)
            10:00  ann: undo a, a undo started #2
            10:00  a not undone: the reply was lost, asked: a cannot be undone: the reply was lost (retry, skip, stop)
            11:00  ann: retry a, a undo started #3
            11:00  a undone
            43200:00  -- left, a undone, b asking
        "#]],
    );
}

#[test]
fn an_undo_nobody_can_tell_about_is_asked_about() {
    check(
        "a undoable undone=unknown ok; b fails",
        "
        10:00 ann undo a
        11:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a done, b failed: scripted, held: b failed: scripted (retry, skip, stop)
            10:00  ann: undo a, a undo started #2
            10:00  a not undone: it is not known whether it is taken back: cannot tell, asked: a cannot be undone: it is not known whether it is taken back: cannot tell (retry, skip, stop)
            11:00  ann: retry a, a undo started #3
            11:00  a undone
            43200:00  -- left, a undone, b asking
        "#]],
    );
}

#[test]
fn an_undo_that_hangs_is_stuck_and_asks() {
    check(
        "a undoable timeout=5m undo=hangs/ok ok; b fails",
        "
        10:00 ann undo a
        20:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a done, b failed: scripted, held: b failed: scripted (retry, skip, stop)
            10:00  ann: undo a, a undo started #2
            15:00  a not undone: no end within its time, asked: a cannot be undone: no end within its time (retry, skip, stop)
            20:00  ann: retry a, a undo started #3
            20:00  a undone
            43200:00  -- left, a undone, b asking
        "#]],
    );
}

#[test]
fn a_crash_during_an_undo_is_looked_into() {
    check(
        "a undoable timeout=1h undo=hangs/ok ok; b needs a undoable ok; c fails",
        "
        10:00 ann undo a
        20:00 crash
        21:00 resume
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started
            00:00  a done, c failed: scripted, held: c failed: scripted (retry, skip, stop), b started
            00:00  b done
            10:00  ann: undo a b, b undo started #2
            10:00  b undone, a undo started #2
            20:00  -- the power goes
            21:00  joined 2, a undo started #3
            21:00  a undone
            43200:00  -- left, a undone, b undone, c asking
        "#]],
    );
}

#[test]
fn a_stuck_undo_may_be_left() {
    check(
        "a undoable ok; b needs a undoable undo=fails ok",
        "
        10:00 ann undo
        11:00 ann skip b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started
            00:00  b done, finished: unverified
            00:00  -- unverified, all done
            10:00  joined 2, ann: reopen, ann: undo a b, b undo started #2
            10:00  b not undone: scripted, asked: b cannot be undone: scripted (retry, skip, stop)
            11:00  ann: skip b, a undo started #2
            11:00  a undone, finished: stopped
            11:00  -- stopped, a undone
        "#]],
    );
}

#[test]
fn nothing_begins_behind_what_was_taken_back_however_far() {
    check(
        "orders undoable ok; orders_healthy reads needs orders ok; warm ok 20m; payments needs orders_healthy,warm ok",
        "10:00 ann undo orders",
        expect![[r#"
            00:00  opened
            00:00  joined 1, orders started, warm started
            00:00  orders done, orders_healthy started
            00:00  orders_healthy done
            10:00  ann: undo orders, orders undo started #2
            10:00  orders undone
            20:00  warm done, finished: stopped
            20:00  -- stopped, orders undone, orders_healthy undone, payments unneeded
        "#]],
    );
}

#[test]
fn a_gate_behind_what_was_taken_back_asks_no_more() {
    check(
        "a undoable ok; g kind=approve reads needs a approval; b needs g ok",
        "10:00 ann undo a",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a started
        00:00  a done, g started
        00:00  asked: g wants 2 approvals (approve, decline)
        10:00  late: answer to g
        10:00  ann: undo a, a undo started #2
        10:00  a undone, finished: stopped
        10:00  -- stopped, a undone, g unneeded, b unneeded
    "#]],
    );
}

#[test]
fn a_step_that_was_left_out_is_no_way_around_what_was_taken_back() {
    check(
        "a undoable ok; skipped needs a when=false ok; warm ok 20m; c needs skipped,warm ok",
        "10:00 ann undo a",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, warm started
            00:00  a done, skipped skipped: its condition is false
            10:00  ann: undo a, a undo started #2
            10:00  a undone
            20:00  warm done, finished: stopped
            20:00  -- stopped, a undone, skipped skipped, c unneeded
        "#]],
    );
}

#[test]
fn what_uses_an_output_is_taken_back_with_it() {
    check(
        "a undoable out=endpoint:db1 ok; b needs a undoable uses=a.endpoint ok",
        "10:00 ann undo",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a started
        00:00  a done {endpoint="db1"}, b started
        00:00  b done, finished: unverified
        00:00  -- unverified, all done
        10:00  joined 2, ann: reopen, ann: undo a b, b undo started #2
        10:00  b undone, a undo started #2
        10:00  a undone, finished: undone
        10:00  -- undone, a undone, b undone
    "#]],
    );
}

#[test]
fn an_undo_that_somebody_leaves_is_no_recovery() {
    check(
        "a undoable undo=lost ok; verify reads needs a ok",
        "
        10:00 ann undo a
        20:00 ann skip a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, verify started
            00:00  verify done, finished: recovered
            00:00  -- recovered, all done
            10:00  joined 2, ann: reopen, ann: undo a, a undo started #2
            10:00  a not undone: the reply was lost, asked: a cannot be undone: the reply was lost (retry, skip, stop)
            20:00  ann: skip a, finished: stopped
            20:00  -- stopped, verify undone
        "#]],
    );
}

#[test]
fn nothing_is_taken_back_under_what_the_provider_still_works_on() {
    check(
        "a undoable ok; b needs a timeout=10m provider 35m; c ok",
        "
        20:00 ann undo a
        21:00 ann wait b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started
            00:00  a done, c done, b started
            10:00  b in doubt (timeout: no end within 10m), look at 10:00, b started #2
            10:00  asked: b is slow (wait, skip, stop)
            20:00  refused: nobody knows what became of `b`, which stands on it: answer its question, then undo
            21:00  ann: wait b, b started #3
            31:00  b in doubt (timeout: no end within 10m), look at 31:00, b started #4
            31:00  asked: b is slow (wait, skip, stop)
            43200:00  -- left, b asking; in doubt: b
        "#]],
    );
}

#[test]
fn nothing_is_taken_back_under_a_doubt() {
    check(
        "a undoable ok; b needs a undoable nocheck lost",
        "
        10:00 ann undo
        11:00 ann skip b
        12:00 ann undo
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, b started
            00:00  b in doubt (no answer: the reply was lost), look at 00:05
            00:05  b started #2
            00:05  b in doubt (unknown: cannot tell), nobody can tell, asked: b is in doubt: cannot tell (retry, skip, stop)
            10:00  refused: nobody knows what became of `b`, which stands on it: answer its question, then undo
            11:00  ann: skip b, finished: unverified
            11:00  -- unverified, b skipped
            12:00  joined 2, ann: reopen, ann: undo a, a undo started #2
            12:00  a undone, finished: undone
            12:00  -- undone, a undone, b skipped
        "#]],
    );
}

#[test]
fn what_failed_midway_is_not_called_taken_back() {
    check(
        "a undoable on_failure=continue botched; b undoable ok",
        "10:00 ann undo",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a started, b started
        00:00  a failed: scripted, b done, finished: unverified
        00:00  -- unverified, a failed
        10:00  joined 2, ann: reopen, ann: undo a b, a undo started #2, b undo started #2
        10:00  a undone, b undone, finished: undone
        10:00  -- undone, a undone, b undone
    "#]],
    );
}

#[test]
fn a_run_that_ended_in_a_pause_can_be_taken_back() {
    check(
        "a undoable ok; b fails",
        "
        01:00 ann pause
        02:00 ann stop b
        03:00 ann undo
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a done, b failed: scripted, held: b failed: scripted (retry, skip, stop)
            01:00  ann: pause
            02:00  ann: stop b, finished: stopped
            02:00  -- stopped, b failed
            03:00  joined 2, ann: reopen, ann: undo a, a undo started #2
            03:00  a undone, finished: undone
            03:00  -- undone, a undone, b failed
        "#]],
    );
}

#[test]
fn one_step_that_is_taken_back_after_the_end_is_what_was_wanted() {
    check(
        "a undoable ok; b undoable ok",
        "10:00 ann undo a",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a started, b started
        00:00  a done, b done, finished: unverified
        00:00  -- unverified, all done
        10:00  joined 2, ann: reopen, ann: undo a, a undo started #2
        10:00  a undone, finished: undone
        10:00  -- undone, a undone
    "#]],
    );
}
