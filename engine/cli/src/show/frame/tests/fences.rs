//! Pictures of runs whose fences cannot be set.

use super::Story;
use crate::show::lines;
use dr_engine::{
    duration::Dur,
    event::{Event, Kind, Outcome, Person, RunKind, Skipper},
    outcome::Failure,
    question::{About, Choice, Question},
    report,
};
use expect_test::expect;

const PROMOTION: &str = "
dr: v1
name: promote
regions: { primary: eu-west-1, recovery: eu-central-1 }
roles: { executive: { name: Ada, deputies: [Ben] }, technical_lead: { name: Cem } }
objectives: { rto: 2h }
steps:
  stop_orders: { do: { fence.command: { argv: [a], check: { argv: [b] } } } }
  stop_ledger: { do: { fence.command: { argv: [a], check: { argv: [b] } } } }
  orders: { fence: stop_orders, data_loss: acknowledge, do: { command: { argv: [a], check: { argv: [b] } } } }
  ledger: { fence: stop_ledger, data_loss: acknowledge, do: { command: { argv: [a], check: { argv: [b] } } } }
";

fn said_by(name: &str) -> Person {
    Person { name: Some(name.into()), user: name.to_lowercase(), host: "laptop".into(), message: None }
}

/// Both fences failed: nobody reaches the old region.
fn away() -> Story {
    let mut story = Story::of(PROMOTION, RunKind::Live);
    for id in ["stop_orders", "stop_ledger"] {
        let error = Failure::new("no route to the old region");
        story.starts(id);
        let (step, attempt) = (story.step(id), 1);
        let question = Question::failure(story.run.plan().step(step), &error).of(&story.run, step);
        story.tell(Kind::Failed { step, attempt, error }).tell(Kind::Asked { step, question });
    }
    story.at(60);
    story
}

fn impossible(story: &mut Story, id: &str, name: &str) {
    let (step, why) = (story.step(id), "AWS says that the region is dark".to_owned());
    story.tell(Kind::Answered { step, by: said_by(name), choice: Choice::Impossible, why });
}

#[test]
fn two_people_are_asked_for_and_what_is_owed_is_named() {
    let mut story = away();
    impossible(&mut story, "stop_orders", "Ada");
    impossible(&mut story, "stop_orders", "Cem");
    impossible(&mut story, "stop_ledger", "Cem");
    story.at(90);
    story.shows(
        80,
        30,
        &expect![[r"
            H|LIVE · promote · eu-west-1 → eu-central-1 · run 20261122-061000-promote-3fa9
            H|RECOVERING · 11m of 2h · 0/6 done
             |RTO     [###.....................................] 1h48m of 2h left
            -|end     unknown: it depends on people's answers
             |
            ?| ? for executive (Ada, Ben) or technical_lead (Cem), asked 1m30s ago (1 of 2
            ?|   said `impossible`: Cem): `stop_ledger` failed: no route to the old region.
            ?|   When it cannot be set and the old writer cannot write, two people say
            ?|   `impossible`
            ?|    dr answer 20261122-061000-promote-3fa9 stop_ledger retry
            ?|    dr answer 20261122-061000-promote-3fa9 stop_ledger impossible --why TEXT \
            ?|      --as NAME
            ?|    dr answer 20261122-061000-promote-3fa9 stop_ledger stop
            !| ! stop_orders       NOT FENCED, tried again in 30s: no route to the old region
            -|   orders!data_loss  next
            -|   orders            after orders!data_loss
            -|   ledger!data_loss  after stop_ledger
            -|   ledger            after stop_ledger, ledger!data_loss
        "]],
    );
}

#[test]
fn when_nothing_else_is_left_each_fence_is_named_with_what_leaves_it() {
    let mut story = away();
    for id in ["stop_orders", "stop_ledger"] {
        impossible(&mut story, id, "Ada");
        impossible(&mut story, id, "Cem");
    }
    for id in ["orders", "ledger"] {
        let gate = format!("{id}!data_loss");
        story.starts(&gate).done(&gate).starts(id).done(id);
    }
    story.now = story.now.after(Dur::seconds(20));
    let at_80 = expect![[r"
        H|LIVE · promote · eu-west-1 → eu-central-1 · run 20261122-061000-promote-3fa9
        ?|NOT FENCED · 11m of 2h · 4/6 done
        ?|all is done but what fences, which is tried each minute; to leave it so and end
        ?|  the run:
        ?|    dr answer 20261122-061000-promote-3fa9 stop_orders skip --why TEXT --as \
        ?|      NAME
        ?|    dr answer 20261122-061000-promote-3fa9 stop_ledger skip --why TEXT --as \
        ?|      NAME
         |RTO     [###.....................................] 1h48m of 2h left
         |
        !| ! stop_orders  NOT FENCED, tried again in 40s: no route to the old region
        !| ! stop_ledger  NOT FENCED, tried again in 40s: no route to the old region
    "]];
    story.shows(80, 24, &at_80);
    let at_200 = expect![[r"
        H|LIVE · promote · eu-west-1 → eu-central-1 · run 20261122-061000-promote-3fa9
        ?|NOT FENCED · 11m of 2h · 4/6 done
        ?|all is done but what fences, which is tried each minute; to leave it so and end the run:
        ?|    dr answer 20261122-061000-promote-3fa9 stop_orders skip --why TEXT --as NAME
        ?|    dr answer 20261122-061000-promote-3fa9 stop_ledger skip --why TEXT --as NAME
         |RTO     [###.....................................] 1h48m of 2h left
         |
        !| ! stop_orders  NOT FENCED, tried again in 40s: no route to the old region
        !| ! stop_ledger  NOT FENCED, tried again in 40s: no route to the old region
    "]];
    story.shows(200, 50, &at_200);
}

#[test]
fn a_run_that_ends_without_its_fences_says_so_to_the_end() {
    let mut story = away();
    for id in ["stop_orders", "stop_ledger"] {
        impossible(&mut story, id, "Ada");
        impossible(&mut story, id, "Cem");
    }
    for id in ["orders", "ledger"] {
        let gate = format!("{id}!data_loss");
        story.starts(&gate).done(&gate).starts(id).done(id);
    }
    for id in ["stop_orders", "stop_ledger"] {
        let (step, by) = (story.step(id), Skipper::Person(said_by("Ada")));
        story.tell(Kind::Skipped { step, by, why: "the region is sold".into() });
    }
    let end = Kind::Finished { outcome: Outcome::Unverified };
    story.tell(end.clone());
    let left = "NOT FENCED: stop_orders, stop_ledger";
    assert!(report::headline(&story.run, story.now).ends_with(left));
    let event = Event { seq: story.run.seq, at: story.now, kind: end };
    assert!(lines::sentence(&event, &story.run).expect("it is told").ends_with(left));
}

#[test]
fn the_loss_is_asked_whole_where_rows_are_free_and_begins_with_its_number() {
    let mut story = Story::of(PROMOTION, RunKind::Live);
    story.starts("stop_orders").done("stop_orders");
    let text = "`orders` loses 4m12s of writes: what was written after 2026-11-22T05:55:48Z (ReplicaLag) until the \
                outage began at 2026-11-22T06:00:00Z, and what the old writer took from then to its fence at \
                2026-11-22T06:10:04Z, 10m4s at most. Go on? `retry` reads the number again";
    let mut question = Question::new(About::Approval, text.into(), &["approve", "retry", "decline"]);
    question.roles = vec!["executive".into()];
    story.starts("orders!data_loss");
    let step = story.step("orders!data_loss");
    story.tell(Kind::Asked { step, question });
    story.at(60);
    story.shows(
        80,
        30,
        &expect![[r"
        H|LIVE · promote · eu-west-1 → eu-central-1 · run 20261122-061000-promote-3fa9
        H|RECOVERING · 11m of 2h · 1/6 done
         |RTO     [###.....................................] 1h49m of 2h left
        -|end     unknown: it depends on people's answers
         |
        ?| ? orders!data_loss for executive (Ada, Ben), asked 1m ago: `orders` loses
        ?|   4m12s of writes: what was written after 2026-11-22T05:55:48Z (ReplicaLag)
        ?|   until the outage began at 2026-11-22T06:00:00Z, and what the old writer took
        ?|   from then to its fence at 2026-11-22T06:10:04Z, 10m4s at most. Go on?
        ?|   `retry` reads the number again
        ?|    dr answer 20261122-061000-promote-3fa9 'orders!data_loss' approve --as NAME
        ?|    dr answer 20261122-061000-promote-3fa9 'orders!data_loss' retry --as NAME
        ?|    dr answer 20261122-061000-promote-3fa9 'orders!data_loss' decline --as NAME
        -|   stop_ledger       next
        -|   orders            after orders!data_loss
        -|   ledger!data_loss  after stop_ledger
        -|   ledger            after stop_ledger, ledger!data_loss
    "]],
    );
    story.shows(
        80,
        16,
        &expect![[r"
        H|LIVE · promote · eu-west-1 → eu-central-1 · run 20261122-061000-promote-3fa9
        H|RECOVERING · 11m of 2h · 1/6 done
         |RTO     [###.....................................] 1h49m of 2h left
        -|end     unknown: it depends on people's answers
        ?| ? orders!data_loss for executive (Ada, Ben), asked 1m ago: `orders` loses
        ?|   4m12s of writes: what was written after 2026-11-22T05:55:48Z (ReplicaLag)
        ?|   until the outage began at 2026-11-22T06:00:00Z, and what the old writer took
        ?|   from then to its fence at 2026-11-22T06:10:04Z, 10m4s at most. Go on?
        ?|   `retry` reads the number again
        ?|    dr answer 20261122-061000-promote-3fa9 'orders!data_loss' approve --as NAME
        ?|    dr answer 20261122-061000-promote-3fa9 'orders!data_loss' retry --as NAME
        ?|    dr answer 20261122-061000-promote-3fa9 'orders!data_loss' decline --as NAME
        -|   stop_ledger       next
        -|   … and 3 more to come
    "]],
    );
}
