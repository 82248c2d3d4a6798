//! Two updates on which a template is tried: one in which everything is known,
//! one in which nothing is.

use crate::update::{ClockFacts, Course, Decision, Doing, LeadFacts, Line, Rag, Said, StoreFacts, Update};
use dr_engine::{clock::Time, duration::Dur};

/// The moment of the samples: 2027-01-04, 13:59 UTC.
const NOW: Time = Time(1_799_071_140_000);

fn ago(minutes: i64) -> Time {
    Time(NOW.0 - minutes * 60_000)
}

/// Everything is known.
pub(super) fn full() -> Update {
    let said = |minutes, by: &str, text: &str| Said { at: ago(minutes), by: by.into(), text: text.into() };
    let line = |seq, minutes, text: &str| Line { seq, at: ago(minutes), text: text.into(), weight: 2 };
    Update {
        words: Some(said(4, "Ana", "Payments come back next.")),
        approved_by: Some("Ana".into()),
        regions: Some(("us-east-1".into(), "us-west-2".into())),
        rag: Rag::Amber,
        rag_before: Some(Rag::Red),
        rag_why: vec!["an approval is wanted".into()],
        course: Course::OnTrack,
        phase: Some("services".into()),
        roles: vec![("incident_commander".into(), "Ana".into()), ("technical_lead".into(), "Cy".into())],
        impact: Some(said(60, "Bo", "All payments fail.")),
        clock: ClockFacts {
            declared: Some((ago(100), Some("Eve".into()))),
            rto: Some(Dur::seconds(4 * 3_600)),
            forecast: Some((ago(-36), ago(-50), false)),
            ..bare().clock
        },
        stores: vec![StoreFacts {
            step: "orders_db".into(),
            lost: "2s".into(),
            allowed: Some(Dur::seconds(300)),
            verdict: "met".into(),
        }],
        since_last: vec![line(40, 18, "switch_dns is done")],
        timeline: vec![line(12, 90, "orders_db is done"), line(40, 18, "switch_dns is done")],
        doing: vec![Doing { what: "start_payments".into(), owner: "dr".into(), due: Some(ago(-15)) }],
        decisions: vec![Decision {
            what: "Open payments?".into(),
            who: "executive".into(),
            since: ago(3),
            late_at: Some(ago(-7)),
            commands: vec!["dr answer RUN open approve".into()],
        }],
        help: vec![said(9, "Cy", "Somebody who knows the allow-list.")],
        lead: Some(LeadFacts { asked_at: ago(15), said: vec![said(9, "Cy", "Two of three are up.")] }),
        risks: vec!["The partner's allow-list may lag.".into()],
        next_at: Some(ago(-60)),
        links: vec![("Bridge".into(), "https://meet.example.com/dr".into())],
        ..bare()
    }
}

/// Nothing is known but that it began.
pub(super) fn bare() -> Update {
    Update {
        number: 3,
        why: vec!["as promised".into()],
        made_at: NOW,
        regions: None,
        words: None,
        approved_by: None,
        headline: "The recovery is at work.".into(),
        rag: Rag::Green,
        rag_before: None,
        rag_why: Vec::new(),
        course: Course::Unknown,
        phase: None,
        done: (2, 9),
        not_done: Vec::new(),
        roles: Vec::new(),
        impact: None,
        clock: ClockFacts {
            incident_at: ago(112),
            incident_assumed: false,
            declared: None,
            elapsed: Dur::seconds(112 * 60),
            rto: None,
            back_at: None,
            forecast: None,
        },
        stores: Vec::new(),
        since_last: Vec::new(),
        timeline: Vec::new(),
        doing: Vec::new(),
        decisions: Vec::new(),
        help: Vec::new(),
        lead: None,
        risks: Vec::new(),
        next_at: None,
        over: false,
        links: Vec::new(),
        seq: 41,
        head: "0123456789ab".into(),
        parts: None,
    }
}
