//! Statuspage as a way to reach customers, beside a Statuspage on this machine.

#[path = "support/statuspage.rs"]
mod fake;
#[path = "support/hasty.rs"]
mod hasty;

use dr_comms::{
    channel::{About, Channel, Memory, Trouble},
    parcel::{Body, Parcel},
    secret::Source,
    statuspage::{self, Access, Updates},
    update::customers::{Announcement, Stand, words},
};
use dr_engine::{
    clock::Time,
    comms::{CustomersPage, Health, State},
    duration::Dur,
    event::{Audience, RunKind},
};
use expect_test::{expect, expect_file};
use fake::{Fake, Fault, Hit, PAGE, TOKEN};
use hasty::{HASTE, Hasty};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write, path::Path, sync::Arc};
use tempfile::TempDir;

/// 2026-11-22T12:00:00Z.
const NOON: Time = Time(1_795_348_800_000);

fn page(text: Value) -> CustomersPage {
    serde_json::from_value(text).expect("a page")
}

fn of_shop() -> CustomersPage {
    page(json!({ "page": PAGE, "components": { "Website": "major_outage" } }))
}

fn parcel(number: u32, state: State, message: &str) -> Parcel {
    let said = Announcement {
        state,
        title: "Service disruption".into(),
        message: message.into(),
        impact: None,
        components: BTreeMap::from([("Website".to_owned(), Health::MajorOutage)]),
        notify: true,
    };
    Parcel {
        id: format!("announcement-{number}"),
        run: "r-2043".into(),
        runbook: "shop".into(),
        kind: RunKind::Live,
        made_at: NOON,
        opened_at: None,
        trial: false,
        audience: Audience::Customers,
        role: None,
        person: None,
        not_by: Vec::new(),
        body: Body::Announcement(Box::new(said)),
        picture: None,
    }
}

/// Updates by a clock under which nobody waits long, and the folder of the token.
fn updates(fake: &Fake) -> (Updates, TempDir) {
    paced(fake, HASTE)
}

fn paced(fake: &Fake, haste: i64) -> (Updates, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("token"), TOKEN).expect("a token");
    let access = Access::new(Source::File("token".into()), fake.api(), folder.path());
    (Updates::new(&access, &of_shop(), Arc::new(Hasty::new(NOON, haste))).expect("a page"), folder)
}

/// Brings parcels as the loop does: again and again, until they have arrived.
async fn until_brought(by: &Updates, parcels: &[Parcel], again: bool, memory: &mut Memory) -> Vec<Trouble> {
    let (mut again, mut troubles) = (again, Vec::new());
    while let Err(trouble) = by.deliver(parcels, again, memory).await {
        again = trouble.ambiguous;
        troubles.push(trouble);
        assert!(troubles.len() < 6, "nothing arrives: {troubles:#?}");
    }
    troubles
}

#[tokio::test]
async fn what_is_announced_stands_on_one_incident_and_is_found_again() {
    let fake = Fake::start();
    let ((by, _folder), mut memory) = (updates(&fake), Memory::new());
    let found = by.deliver(&[parcel(1, State::Identified, "A.")], false, &mut memory).await.expect("it arrives");
    let id = fake.state().incidents[0].id.clone();
    assert_eq!(found, format!("https://stspg.io/{id}"));
    fake.others(80, "investigating");
    by.deliver(&[parcel(2, State::Monitoring, "B.")], false, &mut memory).await.expect("it arrives");
    // Whoever lost the memory finds it among all that are open, and among those that are not.
    by.deliver(&[parcel(3, State::Resolved, "C.")], false, &mut Memory::new()).await.expect("it arrives");
    by.deliver(&[parcel(3, State::Resolved, "C.")], true, &mut Memory::new()).await.expect("it is there");
    let state = fake.state();
    let ours: Vec<_> = state.incidents.iter().filter(|it| it.metadata.contains_key("dr")).collect();
    assert_eq!(ours.len(), 1);
    let said: Vec<_> = ours[0].updates.iter().rev().map(|it| (it.1.as_str(), it.2.as_str())).collect();
    assert_eq!(said, [("identified", "A."), ("monitoring", "B."), ("resolved", "C.")]);
    assert_eq!(ours[0].metadata["dr"], json!({ "run": "r-2043", "updates": "announcement-3", "state": "resolved" }));
    assert_eq!(state.health["c1web"], "major_outage");
    drop(state);
    assert_eq!(fake.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn of_what_waits_only_the_newest_is_said() {
    let fake = Fake::start();
    let (by, _folder) = updates(&fake);
    let all = [parcel(1, State::Identified, "Old."), parcel(2, State::Monitoring, "New.")];
    assert!(by.newest_only() && all.iter().all(|parcel| by.takes(parcel)));
    by.deliver(&all, false, &mut Memory::new()).await.expect("it arrives");
    assert_eq!(fake.said(), [["monitoring: New."]]);
    for audience in [Audience::Executives, Audience::Responders] {
        assert!(!by.takes(&Parcel { audience, ..all[0].clone() }), "{audience:?}");
    }
}

/// Every fault at every request, with the memory and without it, as after a crash.
#[tokio::test]
async fn whatever_fails_at_whichever_request_it_is_said_once() {
    let faults = [
        Fault::Wait(420, Some(3)),
        Fault::Wait(429, None),
        Fault::Status(500),
        Fault::StatusAfter(502),
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::HangBefore,
        Fault::HangAfter,
    ];
    let mut points = 0;
    for keeps in [true, false] {
        for fault in faults {
            for nth in 1.. {
                let (fake, of) = (Fake::start(), format!("{fault:?} at request {nth}, memory: {keeps}"));
                fake.state().lists_late = 1;
                // Whoever gives up too soon tries again: that is what is tried here.
                let (by, _folder) = paced(&fake, 4 * HASTE);
                let mut memory = Memory::new();
                until_brought(&by, &[parcel(1, State::Identified, "A.")], false, &mut memory).await;
                let before = fake.state().asked.len();
                fake.fail(Hit::Nth(before + nth), fault);
                let mut memory = if keeps { memory } else { Memory::new() };
                until_brought(&by, &[parcel(2, State::Monitoring, "B.")], false, &mut memory).await;
                assert_eq!(fake.said(), [["identified: A.", "monitoring: B."]], "{of}");
                assert_eq!(fake.complaints(), Vec::<String>::new(), "{of}");
                if fake.state().asked.len() < before + nth {
                    break;
                }
                points += 1;
            }
        }
    }
    println!("{points} points");
    assert!(points > 50, "{points}");
}

#[tokio::test]
async fn a_first_announcement_that_is_seen_late_is_not_made_twice() {
    for fault in [Fault::StatusAfter(504), Fault::DropAfter, Fault::HangAfter] {
        let fake = Fake::start();
        fake.state().lists_late = 3;
        fake.fail(Hit::Change(1), fault);
        let (by, _folder) = updates(&fake);
        let troubles = until_brought(&by, &[parcel(1, State::Identified, "A.")], false, &mut Memory::new()).await;
        assert_eq!(fake.said(), [["identified: A."]], "{fault:?}: {troubles:#?}");
    }
}

#[tokio::test]
async fn what_a_person_said_is_not_taken_back_by_itself() {
    let fake = Fake::start();
    let ((by, _folder), mut memory) = (updates(&fake), Memory::new());
    by.deliver(&[parcel(1, State::Identified, "A.")], false, &mut memory).await.expect("it arrives");
    fake.by_hand("resolved", "By hand.");
    let why = by.deliver(&[parcel(2, State::Identified, "B.")], false, &mut memory).await.expect_err("it is behind");
    assert!(why.about == About::Overtaken && !why.ambiguous, "{why:?}");
    assert_eq!(fake.said(), [["identified: A.", "resolved: By hand."]]);
    // What dr itself said too soon it takes back: then it is so.
    let fake = Fake::start();
    let ((by, _folder), mut memory) = (updates(&fake), Memory::new());
    by.deliver(&[parcel(1, State::Monitoring, "A.")], false, &mut memory).await.expect("it arrives");
    by.deliver(&[parcel(2, State::Identified, "B.")], false, &mut memory).await.expect("it arrives");
    assert_eq!(fake.said(), [["monitoring: A.", "identified: B."]]);
}

#[tokio::test]
async fn a_page_that_is_down_costs_nothing_and_gets_the_newest_when_it_is_back() {
    let mut fake = Fake::start();
    let ((by, _folder), mut memory) = (updates(&fake), Memory::new());
    fake.go_down();
    let why = by.deliver(&[parcel(1, State::Identified, "A.")], false, &mut memory).await.expect_err("nobody is there");
    assert!(!why.ambiguous && !why.refused && why.what.contains("cannot be reached"), "{why:?}");
    fake.come_back();
    let both = [parcel(1, State::Identified, "A."), parcel(2, State::Monitoring, "B.")];
    by.deliver(&both, why.ambiguous, &mut memory).await.expect("it arrives");
    assert_eq!(fake.said(), [["monitoring: B."]]);
}

#[tokio::test]
async fn a_look_and_a_trial_say_nothing_to_customers() {
    let fake = Fake::start();
    let (by, folder) = updates(&fake);
    assert_eq!(
        by.check().await.expect("it can be used"),
        "the page can be seen: 0 unresolved incidents, 1 component named"
    );
    let trial = by.trial(&Parcel::of_trial("shop", NOON, "me")).await.expect("it can be used");
    assert!(trial.starts_with("nothing is said where customers would read it"), "{trial}");
    assert_eq!(fake.changes(), Vec::<String>::new());
    std::fs::write(folder.path().join("token"), "of-another").expect("a token");
    let access = |page: &str| {
        let access = Access::new(Source::File("token".into()), fake.api(), folder.path());
        Updates::new(&access, &CustomersPage { page: page.into(), ..of_shop() }, Arc::new(Hasty::new(NOON, HASTE)))
    };
    let why = access(PAGE).expect("a page").check().await.expect_err("another's token");
    assert!(why.refused && why.what.contains("[secret]") && !why.what.contains("of-another"), "{why:?}");
    for id in ["", "../users", "a b", "a?b=c"] {
        assert!(access(id).expect_err(id).what.contains("is no id of a page"), "{id}");
    }
    let far = Access::new(Source::File("token".into()), "http://status.example.com/v1", folder.path());
    let why = Updates::new(&far, &of_shop(), Arc::new(Hasty::new(NOON, HASTE))).expect_err("in the clear");
    assert!(why.what.contains("use https"), "{why:?}");
}

#[tokio::test]
async fn where_no_page_is_configured_the_same_stands_in_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = statuspage::files(folder.path().join("outbox"));
    let path = files.deliver(&[parcel(1, State::Identified, "A.")], false, &mut Memory::new()).await.expect("a file");
    assert_eq!(files.name(), "statuspage-file");
    let text = std::fs::read_to_string(Path::new(&path)).expect("a file");
    expect![[r#"
        {
          "incident": {
            "name": "Service disruption",
            "status": "identified",
            "body": "A.",
            "deliver_notifications": true,
            "metadata": {
              "dr": {
                "run": "r-2043",
                "updates": "announcement-1",
                "state": "identified"
              }
            },
            "components": {
              "Website": "major_outage"
            }
          }
        }"#]]
    .assert_eq(&text);
}

const STANDS: [(Stand, State); 6] = [
    (Stand::Investigating, State::Investigating),
    (Stand::Restoring, State::Identified),
    (Stand::Watching, State::Monitoring),
    (Stand::Restored, State::Resolved),
    (Stand::RestoredWithExceptions, State::Monitoring),
    (Stand::Unconfirmed, State::Identified),
];

/// Everything that customers can ever read of `dr`.
#[test]
fn all_that_customers_are_told() {
    let written = page(json!({
        "page": PAGE, "title": "Orders and payments", "impact": "critical", "notify": false,
        "components": { "Website": "major_outage", "Payments": "partial_outage" },
        "messages": {
            "investigating": "Orders fail.", "identified": "Orders fail; we move.",
            "monitoring": "Orders work; we watch.", "resolved": "All is well.",
        },
    }));
    let mut text = String::new();
    for (name, page) in [("the usual words", of_shop()), ("a runbook's own words", written)] {
        for stand in STANDS {
            let over = matches!(stand.0, Stand::Restored | Stand::RestoredWithExceptions | Stand::Unconfirmed);
            // Nothing is promised of what is over.
            let all = [Some(NOON.after(Dur::seconds(3_600))), Some(NOON.after(Dur::seconds(13 * 3_600))), None];
            for next in if over { &all[2..] } else { &all[..] } {
                let said = words(&page, stand, *next, NOON);
                let word = said.state.word();
                writeln!(text, "--- {name}, {:?}\n{word}: {}\n{}", stand.0, said.title, said.message).expect("a text");
                let (impact, components) = (json!(said.impact), json!(said.components));
                writeln!(text, "({components}, impact {impact}, subscribers told: {})", said.notify).expect("a text");
            }
        }
    }
    expect_file!["golden/customers.txt"].assert_eq(&text);
}

proptest! {
    /// Whatever an author writes is said as it stands, and nothing but the usual words stands beside it.
    #[test]
    fn nothing_is_said_but_the_runbooks_words_and_the_time(
        title in ".{1,40}", own in ".{1,80}", at in 0..STANDS.len(), minutes in 1i64..3_000, promised: bool,
    ) {
        let messages: BTreeMap<_, _> =
            ["investigating", "identified", "monitoring", "resolved"].map(|it| (it, own.clone())).into();
        let page = page(json!({ "page": PAGE, "title": title, "messages": messages }));
        let next = promised.then(|| NOON.after(Dur::seconds(minutes * 60)));
        let said = words(&page, STANDS[at], next, NOON);
        let usual = words(&of_shop(), STANDS[at], next, NOON);
        prop_assert_eq!(&said.title, &title);
        let (first, last) = said.message.split_at(said.message.rfind("\n\n").unwrap_or(said.message.len()));
        let (usual_first, usual_last) = usual.message.split_at(usual.message.rfind("\n\n").unwrap_or(usual.message.len()));
        if said.message != own {
            prop_assert!(first == own || first == usual_first, "{}", first);
            prop_assert_eq!(last, usual_last);
        }
    }
}
