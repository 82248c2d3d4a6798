//! What the core does, as tables: a scenario, what people do, and every event
//! that follows, one line a commit.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod support;

use expect_test::{Expect, expect};
use support::{
    script::Scenario,
    sim::{Sim, actions, check},
};

/// The same with so many hands.
#[expect(clippy::needless_pass_by_value, reason = "it reads better in a table")]
fn check_with_hands(hands: usize, scenario: &str, people: &str, expected: Expect) {
    let mut sim = Sim::new(Scenario::parse(scenario), actions(people));
    sim.parallel = hands;
    sim.go();
    expected.assert_eq(&sim.told());
}

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

/// The same with `--no-wait`.
#[expect(clippy::needless_pass_by_value, reason = "it reads better in a table")]
fn check_without_waiting(scenario: &str, people: &str, expected: Expect) {
    let mut sim = Sim::new(Scenario::parse(scenario), actions(people));
    sim.no_wait = true;
    sim.go();
    expected.assert_eq(&sim.told());
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
