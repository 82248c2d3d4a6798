//! What people say to a run, as tables: a scenario, what they do, and every event
//! that follows, one line a commit.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod support;

use expect_test::expect;
use support::sim::{check, check_with_hands, check_without_waiting};

#[test]
fn an_approval_is_passed_by_nothing_but_approving() {
    check(
        "x ok 5m; g needs x gates=db approval; db needs g ok",
        "
        01:00 ann done g
        02:00 ann skip g
        06:00 ann done g
        07:00 ann skip g
        08:00 bob decline g
        09:00 ann done g
        10:00 ann skip g
        11:00 bob retry g
        12:00 ann approve g
        13:00 zoe approve g
        14:00 bob approve g
        15:00 bob approve g
        22:00 sue approve g
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, x started
            01:00  refused: `g` wants an approval: `dr answer 20261122-061532-evacuate-3fa9 g approve`
            02:00  refused: `g` asks nothing: it is waiting
            05:00  x done, g started
            05:00  asked: g wants 2 approvals (approve, decline)
            06:00  refused: `g` wants an approval: `dr answer 20261122-061532-evacuate-3fa9 g approve`
            07:00  refused: `g` can be answered with: approve, decline
            08:00  bob: decline g, held: g failed: declined (retry, stop)
            09:00  refused: `g` wants an approval: `dr answer 20261122-061532-evacuate-3fa9 g approve`
            10:00  refused: `g` can be answered with: retry, stop
            11:00  bob: retry g, g started #2
            11:00  asked: g wants 2 approvals (approve, decline)
            12:00  refused: whoever started the run may not approve this; somebody else, from their own account
            13:00  refused: `zoe` may not answer this; ann (lead), bob (lead), sue (lead) may
            14:00  bob: approve g
            15:00  refused: you have agreed already, as bob on bob-laptop; 1 of 2 so far. The next agrees from a login of their own, by `sudo -u` where the run belongs to another account
            21:00  late: answer to g
            22:00  sue: approve g, db started
            22:00  db done, finished: unverified
            22:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn an_approval_step_that_was_declined_is_not_tolerated() {
    check(
        "g kind=approve on_failure=continue approval; db needs g ok",
        "
        01:00 bob decline g
        02:00 bob stop g
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, g started
            00:00  asked: g wants 2 approvals (approve, decline)
            01:00  bob: decline g, held: g failed: declined (retry, stop)
            02:00  bob: stop g, finished: stopped
            02:00  -- stopped, g failed, db unneeded
        "#]],
    );
}

#[test]
fn an_approval_nobody_can_tell_about_is_not_skipped() {
    check(
        "g kind=approve check=unknown/world approval; h kind=approve uses=x.y ok; db needs g ok",
        "
        01:00 bob skip g
        01:00 bob skip h
        02:00 bob retry g
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, g started, asked: h misses steps.x.y (set, stop)
            00:00  g in doubt (unknown: cannot tell), nobody can tell, asked: g is in doubt: cannot tell (retry, stop)
            01:00  refused: `g` can be answered with: retry, stop
            01:00  refused: `h` can be answered with: set, stop
            02:00  bob: retry g, g started #2
            02:00  asked: g wants 2 approvals (approve, decline)
            12:00  late: answer to g
            43200:00  -- left, g asking, h asking, db waiting
        "#]],
    );
}

#[test]
fn a_transient_failure_is_tried_again_with_growing_pauses() {
    check(
        "a attempts=5 backoff=5s flaky then flaky then flaky then flaky then ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, again at 00:05
            00:05  a started #2
            00:05  a failed: scripted, again at 00:15
            00:15  a started #3
            00:15  a failed: scripted, again at 00:35
            00:35  a started #4
            00:35  a failed: scripted, again at 01:15
            01:15  a started #5
            01:15  a done, finished: unverified
            01:15  -- unverified, all done
        "#]],
    );
}

#[test]
fn attempts_count_the_first_and_then_a_person_is_asked() {
    check(
        "a attempts=2 flaky",
        "
        01:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, again at 00:05
            00:05  a started #2
            00:05  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            01:00  ann: retry a, a started #3
            01:00  a failed: scripted, again at 01:05
            01:05  a started #4
            01:05  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            43200:00  -- left, a asking
        "#]],
    );
}

#[test]
fn a_look_that_panics_for_ever_is_told_to_a_person() {
    check(
        "a check=panics ok; b needs a ok",
        "
        30:00 ann skip a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a in doubt (no answer: the step panicked: the look panics), look at 00:05
            00:05  a started #2
            00:05  a in doubt (no answer: the step panicked: the look panics), look at 00:15
            00:15  a started #3
            00:15  a in doubt (no answer: the step panicked: the look panics), look at 00:35
            00:35  a started #4
            00:35  a in doubt (no answer: the step panicked: the look panics), nobody can tell, asked: a is in doubt: the step panicked: the look panics (retry, skip, stop)
            30:00  ann: skip a, b started
            30:00  b done, finished: unverified
            30:00  -- unverified, a skipped
        "#]],
    );
}

#[test]
fn a_look_that_cannot_tell_is_for_a_person() {
    check(
        "a check=unknown ok 1m; b needs a ok",
        "
        10:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop)
            10:00  ann: retry a, a started #2
            11:00  a done, b started
            11:00  b done, finished: unverified
            11:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_person_who_knew_of_no_doubt_did_not_allow_to_run_in_doubt() {
    check(
        "a check=world/unknown/world fails then ok",
        "
        01:00 ann retry a
        02:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            01:00  ann: retry a, a started #2
            01:00  a in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop)
            02:00  ann: retry a, a started #3
            02:00  a done, finished: unverified
            02:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn without_a_look_a_lost_reply_goes_to_a_person_and_nothing_runs_twice_without_one() {
    check(
        "a nocheck lost; b nocheck doubt then ok; c nocheck timeout=1m stuck",
        "
        10:00 ann done a
        10:00 ann retry b
        10:00 ann skip c
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started, c started
            00:00  a in doubt (no answer: the reply was lost), look at 00:05, b in doubt (no answer: the reply was lost), look at 00:05
            00:05  a started #2, b started #2
            00:05  a in doubt (unknown: cannot tell), nobody can tell, b in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop), asked: b is in doubt: cannot tell (retry, skip, stop)
            01:00  c in doubt (timeout: no end within 1m), look at 01:00, c started #2
            01:00  c in doubt (unknown: cannot tell), nobody can tell, asked: c is in doubt: cannot tell (retry, skip, stop)
            10:00  ann: a done by hand, vouched
            10:00  ann: retry b, b started #3
            10:00  b done
            10:00  ann: skip c, finished: unverified
            10:00  -- unverified, a bypassed, c skipped
        "#]],
    );
}

#[test]
fn after_a_crash_a_step_without_a_look_goes_to_a_person() {
    check(
        "a nocheck ok 10m; b nocheck ok 10m; c needs a ok",
        "
        08:00 crash
        09:00 resume
        20:00 ann done a
        21:00 ann retry b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            08:00  -- the power goes
            09:00  joined 2, a started #2, b started #2
            09:00  a in doubt (unknown: cannot tell), nobody can tell, b in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop), asked: b is in doubt: cannot tell (retry, skip, stop)
            20:00  ann: a done by hand, vouched, c started
            20:00  c done
            21:00  ann: retry b, b started #3
            31:00  b done, finished: unverified
            31:00  -- unverified, a bypassed
        "#]],
    );
}

#[test]
fn a_person_is_asked_again_when_the_retry_crashes_too() {
    check(
        "a nocheck ok 10m",
        "
        08:00 crash
        09:00 resume
        10:00 ann retry a
        11:00 crash
        12:00 resume
        13:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            08:00  -- the power goes
            09:00  joined 2, a started #2
            09:00  a in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop)
            10:00  ann: retry a, a started #3
            11:00  -- the power goes
            12:00  joined 3, a started #4
            12:00  a in doubt (unknown: cannot tell), nobody can tell, asked: a is in doubt: cannot tell (retry, skip, stop)
            13:00  ann: retry a, a started #5
            23:00  a done, finished: unverified
            23:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn what_is_left_by_a_second_signal_is_in_doubt() {
    check(
        "a ok 1h; b nocheck lost; c fails",
        "
        10:00 ann cancel
        11:00 leave
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started, c started
            00:00  b in doubt (no answer: the reply was lost), look at 00:05, c failed: scripted, held: c failed: scripted (retry, skip, stop)
            00:05  b started #2
            00:05  b in doubt (unknown: cannot tell), nobody can tell, asked: b is in doubt: cannot tell (retry, skip, stop)
            10:00  ann: cancel
            11:00  -- left, a running, b asking, c asking; in doubt: a b
        "#]],
    );
}

#[test]
fn a_paused_run_is_not_waited_for() {
    check_without_waiting(
        "a flaky 10m; b ok 12m; c needs b ok",
        "
        05:00 ann pause
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            05:00  ann: pause
            10:00  a failed: scripted, again at 10:05
            12:00  b done
            12:00  -- held, a backoff, c waiting
        "#]],
    );
}

#[test]
fn a_value_that_will_not_come_is_asked_for() {
    check(
        "a on_failure=continue out=endpoint:db1 fails;
         b needs a uses=a.endpoint with=x:1 ok 1m;
         c needs a uses=a.endpoint ok;
         d needs a uses=a.endpoint ok",
        "
        10:00 ann set b steps.a.endpoint=db2
        11:00 ann skip c
        12:00 ann retry d
        13:00 ann set d steps.a.other=1
        14:00 ann set d steps.a.endpoint=1
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, asked: b misses steps.a.endpoint (set, skip, stop), asked: c misses steps.a.endpoint (set, skip, stop), asked: d misses steps.a.endpoint (set, skip, stop)
            10:00  ann: set b steps.a.endpoint="db2", b started
            11:00  b done {x="1"}
            11:00  ann: skip c
            12:00  refused: `d` can be answered with: set, skip, stop
            13:00  ann: set d steps.a.other="1", asked: d misses steps.a.endpoint (set, skip, stop)
            14:00  ann: set d steps.a.endpoint="1", d started
            14:00  d done, finished: unverified
            14:00  -- unverified, a failed, c skipped
        "#]],
    );
}

#[test]
fn a_value_that_came_is_used() {
    check(
        "a out=endpoint:db1 ok; b needs a uses=a.endpoint ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done {endpoint="db1"}, b started
            00:00  b done, finished: unverified
            00:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn an_input_is_changed_for_the_next_attempt_and_it_is_written_down() {
    check(
        "a with=class:small fails then ok",
        "
        01:00 ann retry a klass=large
        03:00 ann retry a class=large size=2
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            01:00  refused: `a` takes no such input: unknown field `klass`, expected `class` or `size`
            03:00  ann: amend a {"class":"large","size":"2"}, ann: retry a, a started #2
            03:00  a done {class="large", size="2"}, finished: unverified
            03:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn work_by_hand_is_asked_for_and_done() {
    check(
        "a asks; b needs a ok",
        "
        10:00 ann retry a
        20:00 ann done a who=ann
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  asked: a is to be done by hand (done, skip, stop)
            10:00  refused: `a` can be answered with: done, skip, stop
            20:00  ann: done a {"who":"ann"}, b started
            20:00  b done, finished: unverified
            20:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn done_by_hand_is_proven_where_the_step_can_see_it_and_vouched_for_otherwise() {
    check(
        "a lost then ok;
         b check=unknown fails;
         c needs b ok;
         d needs c asks;
         verify reads needs d ok",
        "
        00:02 ann done a
        10:00 ann done b endpoint=db9
        15:00 ann done c
        20:00 ann done d
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a in doubt (no answer: the reply was lost), look at 00:05, b in doubt (unknown: cannot tell), nobody can tell, asked: b is in doubt: cannot tell (retry, skip, stop)
            00:02  refused: `a` is in_doubt: there is nothing to do by hand
            00:05  a started #2
            00:05  a found done
            10:00  ann: b done by hand, vouched {endpoint="db9"}, c started
            10:00  c done, d started
            10:00  asked: d is to be done by hand (done, skip, stop)
            15:00  refused: `c` is done: there is nothing to do by hand
            20:00  ann: done d, verify started
            20:00  verify done, finished: recovered_with_exceptions
            20:00  -- recovered_with_exceptions, b bypassed
        "#]],
    );
}

#[test]
fn done_by_hand_is_proven() {
    check(
        "a ok 20m; b needs a botched out=endpoint:db1; verify reads needs b ok",
        "
        10:00 ann done a
        30:00 ann done b
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            10:00  refused: `a` is running: there is nothing to do by hand
            20:00  a done, b started
            20:00  b failed: scripted, held: b failed: scripted (retry, skip, stop)
            30:00  ann: b done by hand, proven {endpoint="db1"}, verify started
            30:00  verify done, finished: recovered
            30:00  -- recovered, b bypassed
        "#]],
    );
}

#[test]
fn a_waiting_step_can_be_done_or_left_out_beforehand() {
    check(
        "a ok 20m; b needs a ok; c needs b ok; verify reads needs c ok",
        "
        05:00 ann done b
        06:00 ann skip c
        07:00 ann done b
        08:00 ann skip nothing
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            05:00  ann: b done by hand, vouched, c started
            05:00  c done, verify started
            05:00  verify done
            06:00  refused: `c` asks nothing: it is done
            07:00  refused: `b` is bypassed: there is nothing to do by hand
            08:00  refused: there is no step `nothing` in this run
            20:00  a done, finished: recovered_with_exceptions
            20:00  -- recovered_with_exceptions, b bypassed
        "#]],
    );
}

#[test]
fn an_answer_that_makes_no_sense_is_refused() {
    check(
        "a ok 10m; b fails; c timeout=1m provider 1h",
        "
        05:00 ann retry a
        06:00 ann wait b
        07:00 ann approve b
        08:00 ann undo_it b
        09:00 ann retry c
        11:00 ann skip a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started, c started
            00:00  b failed: scripted, held: b failed: scripted (retry, skip, stop)
            01:00  c in doubt (timeout: no end within 1m), look at 01:00, c started #2
            01:00  asked: c is slow (wait, skip, stop)
            05:00  refused: `a` asks nothing: it is running
            06:00  refused: `b` can be answered with: retry, skip, stop
            07:00  refused: `b` can be answered with: retry, skip, stop
            08:00  refused: `b` can be answered with: retry, skip, stop
            09:00  refused: `c` can be answered with: wait, skip, stop
            10:00  a done
            11:00  refused: `a` asks nothing: it is done
            43200:00  -- left, b asking, c asking; in doubt: c
        "#]],
    );
}

#[test]
fn a_pause_starts_nothing_new_and_ends_nothing() {
    check(
        "a ok 10m; b needs a ok; c flaky 6m then ok; d fails",
        "
        05:00 ann pause
        06:00 ann pause
        20:00 ann retry d
        30:00 ann continue
        31:00 ann continue
        32:00 ann stop d
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started, d started
            00:00  d failed: scripted, held: d failed: scripted (retry, skip, stop)
            05:00  ann: pause
            06:00  c failed: scripted, again at 06:05
            06:00  refused: the run is paused already
            10:00  a done
            20:00  ann: retry d
            30:00  ann: continue, b started, c started #2, d started #2
            30:00  b done, c done, d failed: scripted, held: d failed: scripted (retry, skip, stop)
            31:00  refused: the run is not paused
            32:00  ann: stop d, finished: stopped
            32:00  -- stopped, d failed
        "#]],
    );
}

#[test]
fn the_first_signal_starts_nothing_new_and_a_fresh_controller_goes_on() {
    check(
        "a ok 10m; b needs a ok 5m; c ok 3m",
        "
        02:00 ann cancel
        30:00 resume
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, c started
            02:00  ann: cancel
            03:00  c done
            10:00  a done
            10:00  -- left, b waiting
            30:00  joined 2, b started
            35:00  b done, finished: unverified
            35:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn the_second_signal_leaves_what_runs() {
    check(
        "a ok 10m; b needs a ok 5m",
        "
        02:00 ann cancel
        03:00 leave
        04:00 resume
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            02:00  ann: cancel
            03:00  -- left, a running, b waiting; in doubt: a
            04:00  joined 2, a started #2
            14:00  a done, b started
            19:00  b done, finished: unverified
            19:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_signal_while_a_question_is_open_leaves_at_once() {
    check(
        "a fails; b ok",
        "
        02:00 ann cancel
        03:00 resume
        04:00 ann retry a
        05:00 ann skip a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  a failed: scripted, b done, held: a failed: scripted (retry, skip, stop)
            02:00  ann: cancel
            02:00  -- left, a asking
            03:00  joined 2
            04:00  ann: retry a, a started #2
            04:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            05:00  ann: skip a, finished: unverified
            05:00  -- unverified, a skipped
        "#]],
    );
}

#[test]
fn a_step_left_out_by_a_person_is_an_exception() {
    check(
        "a fails; verify reads needs a ok",
        "
        01:00 ann skip a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            01:00  ann: skip a, verify started
            01:00  verify done, finished: recovered_with_exceptions
            01:00  -- recovered_with_exceptions, a skipped
        "#]],
    );
}

#[test]
fn a_finished_run_takes_notes_and_nothing_else() {
    check(
        "a undoable ok",
        "
        10:00 ann note it was hard
        11:00 ann incident 5m
        12:00 ann pause
        13:00 ann retry a
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started
            00:00  a done, finished: unverified
            00:00  -- unverified, all done
            10:00  joined 2, ann: note it was hard
            10:00  -- unverified, all done
            11:00  joined 3, ann: incident at -05:00
            11:00  -- unverified, all done
            12:00  refused: the run is over: only notes, clocks, roles and `dr undo` are taken
            13:00  refused: the run is over, and asks nothing any more
        "#]],
    );
}

#[test]
fn a_message_is_taken_once_however_often_it_is_found() {
    check(
        "a flaky 1m; b fails",
        "
        05:00 ann note twice
        05:00 ann note twice
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, a started, b started
            00:00  b failed: scripted, held: b failed: scripted (retry, skip, stop)
            01:00  a failed: scripted, again at 01:05
            01:05  a started #2
            02:05  a failed: scripted, again at 02:15
            02:15  a started #3
            03:15  a failed: scripted, held: a failed: scripted (retry, skip, stop)
            05:00  ann: note twice
            43200:00  -- left, a asking, b asking
        "#]],
    );
}

#[test]
fn what_was_done_by_hand_may_have_lost_too_much() {
    check(
        "b botched point=20m rpo=5m",
        "10:00 ann done b",
        expect![[r#"
        00:00  opened
        00:00  joined 1, b started
        00:00  b failed: scripted, held: b failed: scripted (retry, skip, stop)
        10:00  ann: b done by hand, proven {data up to -20:00}, too much lost: b, finished: unverified
        10:00  -- unverified, b bypassed
    "#]],
    );
}

#[test]
fn a_person_tells_what_the_check_cannot_see() {
    check(
        "a botched; b needs a uses=a.endpoint ok",
        "10:00 ann done a endpoint=db9",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a started
        00:00  a failed: scripted, held: a failed: scripted (retry, skip, stop)
        10:00  ann: a done by hand, proven {endpoint="db9"}, b started
        10:00  b done, finished: unverified
        10:00  -- unverified, a bypassed
    "#]],
    );
}

#[test]
fn a_condition_takes_the_value_that_a_person_gives() {
    check(
        "a when=false ok; b needs a when=steps.a.o.k=='1' ok",
        "10:00 ann set b steps.a.o.k=1",
        expect![[r#"
        00:00  opened
        00:00  joined 1, a skipped: its condition is false, asked: b misses steps.a.o.k (set, skip, stop)
        10:00  ann: set b steps.a.o.k="1", b started
        10:00  b done, finished: unverified
        10:00  -- unverified, a skipped
    "#]],
    );
}

#[test]
fn what_is_done_by_hand_needs_no_approval() {
    check(
        "g kind=approve gates=b approval; b needs g ok",
        "10:00 ann done b",
        expect![[r#"
            00:00  opened
            00:00  joined 1, g started
            00:00  asked: g wants 2 approvals (approve, decline)
            10:00  late: answer to g
            10:00  ann: b done by hand, vouched, ann: skip g, finished: unverified
            10:00  -- unverified, g skipped, b bypassed
        "#]],
    );
}

#[test]
fn a_retry_waits_for_its_turn() {
    check_with_hands(
        2,
        "a est=20m backoff=50s flaky then ok 20m; b ok 1m; c needs b est=60m ok; d est=30m ok; e needs a est=20m ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, b started, a started
            00:00  a failed: scripted, again at 00:50, d started
            01:00  b done, c started
            30:00  d done, a started #2
            50:00  a done, e started
            61:00  c done
            70:00  e done, finished: unverified
            70:00  -- unverified, all done
        "#]],
    );
}
