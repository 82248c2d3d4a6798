//! A recovery of six hours in simulated time: what people were told, when, by which channel.

mod support;

use dr_comms::{
    parcel::Body,
    update::{customers::Announcement, text::of_day},
};
use dr_engine::{duration::Dur, event::Outcome};
use expect_test::expect_file;
use std::fmt::Write;
use support::{INCIDENT, Story, clock};

/// Slack is down from 1:10 to 2:40, mail refuses from 3:00 to 3:20.
#[test]
fn people_hear_the_truth_each_hour_whatever_is_down() {
    let told = Story::six_hours().tell(&[("slack", "1:10", "2:40"), ("mail", "3:00", "3:20")]);

    let mut text = String::new();
    for it in &told.lines {
        writeln!(text, "{it}").expect("a text takes all");
    }
    for number in [5, told.updates().len()] {
        let update = &told.updates()[number - 1];
        writeln!(text, "\n--- update {number}, as it was mailed\n{}", update.to_text(usize::MAX))
            .expect("a text takes all");
    }
    expect_file!["six_hours.txt"].assert_eq(&text);

    // Nothing is missing, by either channel, and nothing stands twice.
    for channel in ["slack", "mail"] {
        let mut ids: Vec<_> =
            told.arrived.iter().filter(|(by, _)| by == channel).map(|(_, parcel)| &parcel.id).collect();
        let updates = ids.iter().filter(|id| id.starts_with("update-")).count();
        assert_eq!(updates, told.updates().len(), "{channel}");
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "{channel} had something twice");
    }
    // A telephone rings when a way is gone, and never else.
    let rang: Vec<_> = told.arrived.iter().filter(|(by, _)| by == "sms").map(|(_, it)| it.subject()).collect();
    let gone = |way: &str, at: &str| format!("[LIVE] evacuate_eu_west_1: {way} cannot be reached since {at} UTC");
    assert_eq!(rang, [gone("slack", "07:10"), gone("mail", "09:05")]);
    // Every promise is kept.
    for (at, update) in told.updates().iter().enumerate() {
        let Some(promised) = update.next_at else {
            assert_eq!(at + 1, told.updates().len(), "only the last one promises nothing");
            continue;
        };
        let slack = Dur(1_000);
        let kept = told.updates().iter().any(|it| it.made_at > update.made_at && it.made_at <= promised.after(slack));
        assert!(kept, "update {} promised {}", update.number, clock(promised));
    }
}

#[test]
fn nobody_is_rung_for_a_channel_that_is_back() {
    let told = Story::six_hours().tell(&[("slack", "1:10", "2:40"), ("sms", "1:00", "3:00")]);
    let rang: Vec<_> = told.arrived.iter().filter(|(by, _)| by == "sms").map(|(_, it)| it.subject()).collect();
    assert_eq!(rang, Vec::<String>::new(), "{:#?}", told.lines);
    let mailed = |parcel: &&dr_comms::parcel::Parcel| parcel.subject().contains("slack cannot be reached");
    assert_eq!(told.arrived.iter().map(|(_, it)| it).filter(mailed).count(), 1, "mail said so in time");
}

#[test]
fn customers_hear_how_it_is_by_its_time_and_nothing_of_how_it_is_done() {
    let told = Story::six_hours().tell(&[("statuspage", "1:30", "3:05")]);
    let said = told.announcements();
    let states: Vec<_> = said.iter().map(|(_, said)| said.state.word()).collect();
    let mut course = states.clone();
    course.dedup();
    assert_eq!(course, ["identified", "monitoring", "resolved"], "{states:?}");
    // What was promised was made in time; of what could not be said while the page was down the newest is.
    for ((_, before), (made_at, _)) in said.iter().zip(&said[1..]) {
        let Some((_, promised)) = before.message.split_once("Next update by ") else { continue };
        let promised = promised.trim_end_matches('.');
        assert!(
            of_day(*made_at, *made_at).as_str() <= promised,
            "promised for {promised}, made at {}",
            clock(*made_at)
        );
    }
    // Those who recover the service hear that customers do not, and no telephone rings for it.
    let silence = |by: &str| {
        let line = format!("{by:<7} [LIVE] evacuate_eu_west_1: statuspage cannot be reached since 08:10 UTC");
        told.lines.iter().filter(|it| it.ends_with(&line)).count()
    };
    assert_eq!(["mail", "slack", "sms"].map(silence), [1, 1, 0], "{:#?}", told.lines);
    assert!(!told.lines.iter().any(|it| it.contains(" sms ")), "{:#?}", told.lines);
    // Nothing of the run is in it: no step, person, error, note or region.
    let secret = [
        "db_orders",
        "db_users",
        "api",
        "dns",
        "verify",
        "Ana",
        "Bo",
        "Eve",
        "Cy",
        "capacity",
        "subnet",
        "queue",
        "r6g",
        "payment",
        "eu-west-1",
        "eu-central-1",
        "ops-1",
        "evacuate",
        "replayed",
        "20261122",
        "board@",
        "approve",
    ];
    for (_, said) in &said {
        let text = format!("{} {}", said.title, said.message);
        let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').collect();
        assert!(!secret.iter().any(|it| words.contains(it) || (it.len() > 3 && text.contains(it))), "{text}");
    }
}

#[test]
fn customers_are_promised_nothing_while_nobody_drives_the_run_and_not_told_that_it_is_over_before_it_is() {
    let told = Story::interrupted().tell(&[]);
    let seen = |(at, said): &(_, Announcement)| {
        let last = said.message.lines().last().unwrap_or_default().to_owned();
        (clock(*at), said.state.word(), last)
    };
    let seen: Vec<_> = told.announcements().iter().map(seen).collect();
    let line = |at: &str, last: &str| (at.to_owned(), "identified", last.to_owned());
    let news = "The next update follows here as soon as there is news.";
    assert_eq!(
        seen,
        [
            line("0:10", "Next update by 06:40 UTC."),
            line("0:40", "Next update by 07:10 UTC."),
            line("1:00", news),
            line("2:00", "Next update by 08:10 UTC."),
            line("2:10", "Next update by 09:10 UTC."),
            line("2:30", news),
        ]
    );
}

#[test]
fn only_what_was_verified_and_left_nothing_out_is_resolved_by_itself() {
    for (outcome, state, says) in [
        (Outcome::Recovered, "resolved", "Service is restored."),
        (Outcome::RecoveredWithExceptions, "monitoring", "This incident stays open"),
        (Outcome::Unverified, "identified", "not yet confirmed that service is back"),
        (Outcome::Failed, "identified", "not yet confirmed that service is back"),
        (Outcome::Stopped, "identified", "not yet confirmed that service is back"),
        (Outcome::Undone, "identified", "not yet confirmed that service is back"),
    ] {
        let told = Story::quiet().ended(outcome).tell(&[]);
        let said = told.announcements();
        // Every half hour for two hours, then every hour, and at once when it is over.
        let made: Vec<_> = said.iter().map(|(at, _)| clock(*at)).collect();
        assert_eq!(made, ["0:10", "0:40", "1:10", "1:40", "2:10", "3:10", "4:10", "4:30"], "{outcome:?}");
        let (_, last) = said.last().expect("last words");
        assert_eq!(last.state.word(), state, "{outcome:?}");
        assert!(
            last.message.contains(says) && !last.message.contains("Next update by"),
            "{outcome:?}: {}",
            last.message
        );
    }
}

#[test]
fn when_nothing_happens_the_promise_is_kept_all_the_same() {
    let told = Story::quiet().tell(&[]);
    let made: Vec<_> = told.updates().iter().map(|update| clock(update.made_at)).collect();
    // 30m for 2h, then every hour, from the start of the run at 0:10; the run is over at 4:30.
    assert_eq!(made, ["0:10", "0:40", "1:10", "1:40", "2:10", "3:10", "4:10", "4:30"]);
    let nothing = &told.updates()[2].since_last;
    assert!(nothing.iter().all(|line| line.weight == 0), "{nothing:?}");
}

#[test]
fn killed_between_any_two_turns_nothing_is_lost_and_a_promise_moves_not() {
    let whole = Story::six_hours().tell(&[]);
    for minutes in (10..370).step_by(37) {
        let stop = INCIDENT.after(Dur(minutes * 60_000 + 1));
        let killed = Story::six_hours().killed_at(stop).tell(&[]);
        let ids = |told: &support::Told| {
            let updates = told.updates();
            updates.iter().map(|it| (it.number, clock(it.made_at), it.next_at.map(clock))).collect::<Vec<_>>()
        };
        assert_eq!(ids(&killed), ids(&whole), "killed at {}", clock(stop));
    }
}

#[test]
fn a_channel_that_panics_is_tried_again_and_stops_no_other() {
    let told = Story::quiet().panicking().tell(&[("mail", "0:30", "1:00")]);
    let made: Vec<_> = told.updates().iter().map(|update| clock(update.made_at)).collect();
    assert_eq!(made, ["0:10", "0:40", "1:10", "1:40", "2:10", "3:10", "4:10", "4:30"]);
    let said = told.lines.iter().any(|line| line.contains("mail: this is a defect of dr: the channel panicked"));
    assert!(said, "{:#?}", told.lines);
}

#[test]
fn nothing_is_promised_while_nobody_drives_the_run() {
    let told = Story::interrupted().tell(&[]);
    let seen =
        |update: &dr_comms::update::Update| (clock(update.made_at), update.next_at.map(clock), update.why.join("; "));
    let seen: Vec<_> = told.updates().iter().map(seen).collect();
    let line = |at: &str, next: Option<&str>, why: &str| (at.to_owned(), next.map(str::to_owned), why.to_owned());
    assert_eq!(
        seen,
        [
            line("0:10", Some("0:40"), "the recovery began"),
            line("0:40", Some("1:10"), "as promised"),
            line("1:00", None, "the recovery is interrupted"),
            line("2:00", Some("2:10"), "another controller goes on with it"),
            line("2:10", Some("3:10"), "as promised"),
            line("2:30", None, "the run is over: done, not verified"),
        ]
    );
    let interrupted = told.updates()[2].to_text(usize::MAX);
    assert!(interrupted.contains("Not known: nobody drives the recovery."), "{interrupted}");
}

#[test]
fn a_rehearsal_says_so_in_every_first_line() {
    let told = Story::quiet().drill().tell(&[]);
    for (_, parcel) in &told.arrived {
        assert!(parcel.subject().starts_with("[DRILL] "), "{}", parcel.subject());
        if let Body::Update(update) = &parcel.body {
            assert!(update.to_text(usize::MAX).contains("AUTO"), "{}", update.to_text(usize::MAX));
        }
    }
}
