//! Fences: passed by a proof or by two people, owed until they stand.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod support;

use dr_engine::executor::Exit;
use expect_test::expect;
use support::{
    script::Scenario,
    sim::{Life, Sim, actions, check},
};

#[test]
fn a_fence_that_cannot_be_set_is_passed_by_two_people_and_owed_until_it_stands() {
    check(
        "fence fences fails then fails then fails then ok 1s; promote needs fence ok 5m",
        "
        01:00 ann skip fence
        01:10 ann done fence
        01:20 eve impossible fence
        01:30 ann impossible fence
        01:40 ann impossible fence
        02:00 bob impossible fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  refused: `fence` can be answered with: retry, impossible, stop
            01:10  refused: `fence` is a fence, and its look does not see that the old writer cannot write: one person's word is not enough. When it cannot be set, two people say so: `dr answer 20261122-061532-evacuate-3fa9 fence impossible --why TEXT --as NAME`
            01:20  refused: `eve` may not answer this; ann (lead), bob (lead), sue (lead) may
            01:30  ann: impossible fence
            01:40  refused: you have agreed already, as ann on ann-laptop; 1 of 2 so far. The next agrees from a login of their own, by `sudo -u` where the run belongs to another account
            02:00  bob: impossible fence, promote started
            03:00  fence started #2
            03:00  fence failed: scripted, again at 04:00
            04:00  fence started #3
            04:00  fence failed: scripted, again at 05:00
            05:00  fence started #4
            05:01  fence done
            07:00  promote done, finished: unverified
            07:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_run_stays_open_for_a_fence_that_is_owed_until_somebody_leaves_it() {
    check(
        "fence fences fails; promote needs fence ok 1m; other ok",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        04:30 eve skip fence
        04:40 sue skip fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started, other started
            00:00  fence failed: scripted, other done, held: fence failed: scripted (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            02:00  fence started #2
            02:00  promote done, fence failed: scripted, again at 03:00
            03:00  fence started #3
            03:00  fence failed: scripted, again at 04:00
            04:00  fence started #4
            04:00  fence failed: scripted, again at 05:00
            04:30  refused: `eve` may not answer this; ann (lead), bob (lead), sue (lead) may
            04:40  sue: skip fence, finished: unverified
            04:40  -- unverified, fence skipped
        "#]],
    );
}

#[test]
fn whoever_goes_on_with_a_run_tries_the_fence_at_once() {
    check(
        "fence fences fails then hangs then ok; promote needs fence ok 10m",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        02:30 crash
        05:00 resume
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            02:00  fence started #2
            02:30  -- the power goes
            05:00  joined 2, fence started #3, promote started #2
            05:00  fence done
            15:00  promote done, finished: unverified
            15:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn a_fence_of_which_nobody_knows_asks_two_people_too_and_one_may_try_it_again() {
    check(
        "fence fences doubt then ok attempts=1 check=unknown/world; promote needs fence ok 1m",
        "
        01:00 ann impossible fence
        02:00 sue retry fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence in doubt (unknown: cannot tell), nobody can tell, asked: fence is in doubt: cannot tell (retry, impossible, stop)
            01:00  ann: impossible fence
            02:00  sue: retry fence, fence started #2
            02:00  fence in doubt (no answer: the reply was lost), look at 02:05
            02:05  fence started #3
            02:05  fence failed: the last attempt had no effect, and no attempt is left, held: fence failed: the last attempt had no effect, and no attempt is left (retry, impossible, stop)
            43200:00  -- left, fence asking, promote waiting
        "#]],
    );
}

#[test]
fn a_debt_is_left_or_tried_anew_while_it_is_tried() {
    check(
        "fence fences fails then hangs then ok timeout=20m; promote needs fence ok 1m",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        02:30 sue retry fence
        02:40 eve skip fence
        02:50 sue skip fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            02:00  fence started #2
            02:00  promote done
            02:30  sue: retry fence
            02:40  refused: `eve` may not answer this; ann (lead), bob (lead), sue (lead) may
            02:50  sue: skip fence, finished: unverified
            02:50  -- unverified, fence skipped
        "#]],
    );
    check(
        "fence fences fails then fails 1m then ok; promote needs fence ok 1m",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        02:30 sue retry fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            02:00  fence started #2
            02:00  promote done
            02:30  sue: retry fence
            03:00  fence failed: scripted, again at 04:00, fence started #3
            03:00  fence done, finished: unverified
            03:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn people_are_asked_soon_when_nobody_answers_where_a_fence_is_and_a_debt_is_looked_at_once_a_minute() {
    check(
        "fence fences check=error ok; promote needs fence ok 1m",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        05:00 sue skip fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:20  fence failed: no reply, held: fence failed: no reply (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            02:00  fence started #2
            02:00  promote done, fence failed: no reply, again at 03:00
            03:00  fence started #3
            03:00  fence failed: no reply, again at 04:00
            04:00  fence started #4
            04:00  fence failed: no reply, again at 05:00
            05:00  fence started #5
            05:00  fence failed: no reply, again at 06:00
            05:00  sue: skip fence, finished: unverified
            05:00  -- unverified, fence skipped
        "#]],
    );
}

#[test]
fn nothing_is_fenced_for_a_promotion_that_cannot_be_done() {
    check(
        "fence fences ok 1m; replica ok 10s; promote needs fence check=impossible/impossible/world ok 1m",
        "
        01:00 ann retry fence
        02:00 ann retry fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started, replica started
            00:00  fence failed: nothing is fenced, since `promote` could not be done after it: no such thing, held: fence failed: nothing is fenced, since `promote` could not be done after it: no such thing (retry, impossible, stop)
            00:10  replica done
            01:00  ann: retry fence, fence started #2
            01:00  fence failed: nothing is fenced, since `promote` could not be done after it: no such thing, held: fence failed: nothing is fenced, since `promote` could not be done after it: no such thing (retry, impossible, stop)
            02:00  ann: retry fence, fence started #3
            03:00  fence done, promote started
            04:00  promote done, finished: unverified
            04:00  -- unverified, all done
        "#]],
    );
    // Nobody can tell, or the look is not answered: the fence is set.
    check(
        "f fences ok; p needs f check=unknown/world ok; g fences ok; q needs g check=hangs/world ok; h fences ok; r needs h check=error/world ok",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, f started, g started, h started
            00:00  f done, h done, p started, r started
            00:00  p done, r done
            00:15  g done, q started
            00:15  q done, finished: unverified
            00:15  -- unverified, all done
        "#]],
    );
    // What it is for is made first: before that there is nothing to see.
    check(
        "replica ok 10s; fence fences ok 1m; promote needs fence,replica check=impossible ok 1m",
        "02:00 ann stop promote",
        expect![[r#"
            00:00  opened
            00:00  joined 1, replica started, fence started
            00:10  replica done
            01:00  fence done, promote started
            01:00  promote failed: no such thing, held: promote failed: no such thing (retry, skip, stop)
            02:00  ann: stop promote, finished: stopped
            02:00  -- stopped, promote failed
        "#]],
    );
}

#[test]
fn a_run_that_is_stopped_does_not_wait_for_a_fence() {
    check(
        "fence fences fails; promote needs fence fails",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        03:30 ann stop promote
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            01:00  promote failed: scripted, held: promote failed: scripted (retry, skip, stop)
            02:00  fence started #2
            02:00  fence failed: scripted, again at 03:00
            03:00  fence started #3
            03:00  fence failed: scripted, again at 04:00
            03:30  ann: stop promote, finished: stopped
            03:30  -- stopped, fence owed, promote failed
        "#]],
    );
}

#[test]
fn without_waiting_a_run_ends_when_only_a_fence_is_owed() {
    let scenario = "fence fences fails; promote needs fence ok 3m";
    let mut sim =
        Sim::new(Scenario::parse(scenario), actions("00:30 ann impossible fence\n00:30 bob impossible fence"));
    sim.go();
    assert_eq!(sim.run().expect("it began").owed().count(), 1);
    sim.no_wait = true;
    assert!(matches!(sim.go(), Life::Ended(Exit::Held)));
}

#[test]
fn what_stood_under_an_owed_fence_is_taken_back_without_harm_to_the_run() {
    check(
        "prep undoable ok; fence fences needs prep fails; promote needs fence fails",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        01:30 ann undo prep
        05:00 sue skip fence
        06:00 ann stop promote
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, prep started
            00:00  prep done, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            01:00  promote failed: scripted, held: promote failed: scripted (retry, skip, stop)
            01:30  ann: undo prep, prep undo started #2
            01:30  prep undone
            05:00  sue: skip fence
            06:00  ann: stop promote, finished: stopped
            06:00  -- stopped, prep undone, fence skipped, promote failed
        "#]],
    );
}

#[test]
fn a_stop_waits_for_a_fence_that_is_being_set() {
    check(
        "fence fences records fails then ok 2m; promote needs fence fails",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        03:00 ann stop promote
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence wrote resolved
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            01:00  promote failed: scripted, held: promote failed: scripted (retry, skip, stop)
            02:00  fence started #2
            03:00  fence wrote handle
            03:00  ann: stop promote
            04:00  fence done, finished: stopped
            04:00  -- stopped, promote failed
        "#]],
    );
}

#[test]
fn a_fence_is_not_taken_back_under_a_promotion_that_stays() {
    check(
        "fence fences undoable ok; promote needs fence ok; app undoable needs promote ok",
        "
        10:00 ann undo
        11:00 ann undo around
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence done, promote started
            00:00  promote done, app started
            00:00  app done, finished: unverified
            00:00  -- unverified, all done
            10:00  refused: `promote`, `fence` cannot be taken back; a fence stays while what was begun behind it does; `--around` takes back the rest
            11:00  joined 3, ann: reopen, ann: undo app, app undo started #2
            11:00  app undone, finished: undone
            11:00  -- undone, app undone
        "#]],
    );
}

#[test]
fn an_owed_fence_is_taken_back_with_the_rest() {
    check(
        "fence fences undoable fails; agree asks; promote needs fence,agree ok",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        02:30 ann undo
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started, agree started
            00:00  fence failed: scripted, asked: agree is to be done by hand (done, skip, stop), held: fence failed: scripted (retry, undo, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence
            02:00  fence started #2
            02:00  fence failed: scripted, again at 03:00
            02:30  ann: undo fence, fence undo started #3
            02:30  fence undone, finished: undone
            02:30  -- undone, fence undone, agree asking, promote unneeded
        "#]],
    );
}

#[test]
fn whoever_knows_what_the_look_of_an_owed_fence_cannot_tell_lets_it_run() {
    check(
        "fence fences ok 1m check=unknown; promote needs fence ok 5m",
        "
        01:00 ann impossible fence
        01:00 bob impossible fence
        02:30 eve retry fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence in doubt (unknown: cannot tell), nobody can tell, asked: fence is in doubt: cannot tell (retry, impossible, stop)
            01:00  ann: impossible fence
            01:00  bob: impossible fence, promote started
            02:00  fence started #2
            02:00  fence failed: cannot tell, again at 03:00
            02:30  eve: retry fence, fence started #3
            03:30  fence done
            06:00  promote done, finished: unverified
            06:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn what_is_fenced_and_what_is_lost_stays_as_it_was_planned() {
    check(
        "fence fences with=db:orders fails; promote needs fence ok",
        "
        01:00 ann retry fence db=other
        01:10 ann stop fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  refused: what `fence` fences, and what proves it, stays as it was planned: stop this run and plan anew, or let two people say `impossible`
            01:10  ann: stop fence, finished: stopped
            01:10  -- stopped, fence failed, promote unneeded
        "#]],
    );
}

#[test]
fn nobody_says_what_is_fenced_by_giving_a_value_that_is_missing() {
    check(
        "which nocheck out=db:orders fails; fence fences needs which uses=which.db ok; promote needs fence ok",
        "
        01:00 ann skip which
        02:00 eve set fence steps.which.db=other
        03:00 ann stop fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, which started
            00:00  which failed: scripted, held: which failed: scripted (retry, skip, stop)
            01:00  ann: skip which, asked: fence misses steps.which.db (impossible, stop)
            02:00  refused: `fence` can be answered with: impossible, stop
            03:00  ann: stop fence, finished: stopped
            03:00  -- stopped, which skipped, fence failed, promote unneeded
        "#]],
    );
}

#[test]
fn a_fence_that_fell_holds_the_promotion_though_somebody_closes_it_again() {
    check(
        "fence fences check=world/gone/world ok; agree asks; promote needs fence,agree ok 5m",
        "
        90:00 ann done agree
        92:00 ann retry promote
        93:00 ann stop promote
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started, agree started
            00:00  fence done, asked: agree is to be done by hand (done, skip, stop)
            90:00  ann: done agree, promote started
            90:00  promote wrote fence_fell
            90:00  promote failed: its fence `fence` was proven and does not stand any more: the old writer can write, held: promote failed: its fence `fence` was proven and does not stand any more: the old writer can write (retry, skip, stop)
            92:00  ann: retry promote, promote started #2
            92:00  promote failed: its fence `fence` was proven and does not stand any more: somebody lifted it, held: promote failed: its fence `fence` was proven and does not stand any more: somebody lifted it (retry, skip, stop)
            93:00  ann: stop promote, finished: stopped
            93:00  -- stopped, promote failed
        "#]],
    );
}

#[test]
fn where_nobody_can_look_any_more_the_proof_of_before_counts() {
    check(
        "fence fences check=world/denied ok; dark fences check=world/hangs ok; promote needs fence,dark ok 5m",
        "",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started, dark started
            00:00  fence done, dark done, promote started
            00:00  promote wrote fence_unseen
            00:15  promote wrote fence_unseen
            05:15  promote done, finished: unverified
            05:15  -- unverified, all done
        "#]],
    );
}

#[test]
fn what_is_under_way_is_not_held_by_a_fence_that_fell() {
    check(
        "fence fences check=world/world/gone ok; promote needs fence provider 10m",
        "
        04:00 crash
        05:00 resume
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence done, promote started
            04:00  -- the power goes
            05:00  joined 2, promote started #2
            10:00  promote done, finished: unverified
            10:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn nobody_says_that_a_promotion_is_done_before_its_fence_is() {
    check(
        "fence fences fails then ok; promote needs fence ok; app needs promote ok",
        "
        01:00 ann done promote
        02:00 ann impossible fence
        02:00 bob impossible fence
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, fence started
            00:00  fence failed: scripted, held: fence failed: scripted (retry, impossible, stop)
            01:00  refused: `fence` fences the old writer, and comes first. When it cannot be set, two people say so: `dr answer 20261122-061532-evacuate-3fa9 fence impossible --why TEXT --as NAME`
            02:00  ann: impossible fence
            02:00  bob: impossible fence, promote started
            02:00  promote done, app started
            02:00  app done
            03:00  fence started #2
            03:00  fence done, finished: unverified
            03:00  -- unverified, all done
        "#]],
    );
}

#[test]
fn what_is_asked_before_a_promotion_stays_as_it_was_planned() {
    check(
        "which nocheck out=db:orders fails; loss gates=promote kind=data_loss with=roles:lead needs which \
         uses=which.db fails then ok; promote needs which,loss uses=which.db fails then ok",
        "
        01:00 ann skip which
        02:00 ann set loss steps.which.db=orders
        03:00 eve retry loss roles=all
        04:00 ann retry loss
        05:00 ann retry promote probe=other
        06:00 ann retry promote
        ",
        expect![[r#"
            00:00  opened
            00:00  joined 1, which started
            00:00  which failed: scripted, held: which failed: scripted (retry, skip, stop)
            01:00  ann: skip which, asked: loss misses steps.which.db (set, stop)
            02:00  ann: set loss steps.which.db="orders", loss started
            02:00  loss failed: scripted, held: loss failed: scripted (retry, stop)
            03:00  refused: what `loss` asks, and of whom, stays as it was planned: answer `retry` without --set
            04:00  ann: retry loss, loss started #2
            04:00  loss done {roles="lead"}, promote started
            04:00  promote failed: scripted, held: promote failed: scripted (retry, skip, stop)
            05:00  refused: somebody took on what `promote` loses as it was planned; with other inputs it would lose something else: stop this run and plan anew
            06:00  ann: retry promote, promote started #2
            06:00  promote done, finished: unverified
            06:00  -- unverified, which skipped
        "#]],
    );
}
