//! Parcels to tell.

use dr_comms::{
    parcel::{Body, Meet, Notice, Parcel},
    update::{ClockFacts, Course, Decision, Doing, LeadFacts, Line, Rag, Said, StoreFacts, Update},
};
use dr_engine::{
    clock::Time,
    duration::Dur,
    event::{Audience, RunKind},
};

/// 2026-11-22T12:00:00Z: when the outage began.
pub(crate) const NOON: Time = Time(1_795_348_800_000);

/// So many minutes after noon.
pub(crate) fn at(minutes: i64) -> Time {
    NOON.after(Dur::seconds(60 * minutes))
}

pub(crate) fn parcel(id: &str, made_at: Time, body: Body) -> Parcel {
    Parcel {
        id: id.into(),
        run: "r-2043".into(),
        runbook: "orders failover".into(),
        kind: RunKind::Live,
        trial: false,
        made_at,
        audience: Audience::Responders,
        role: None,
        person: None,
        picture: None,
        not_by: Vec::new(),
        body,
    }
}

pub(crate) fn notice(id: &str, minutes: i64, subject: &str) -> Parcel {
    let lines = vec![format!("{subject}: see dr status r-2043.")];
    parcel(
        id,
        at(minutes),
        Body::Notice(Notice { subject: subject.into(), lines, urgent: false, meet: Meet::default() }),
    )
}

pub(crate) fn details(id: &str, minutes: i64) -> Parcel {
    let line = |seq, text: &str| Line { seq, at: at(minutes), text: text.into(), weight: 3 };
    parcel(id, at(minutes), Body::Details(vec![line(7, "restore began"), line(8, "restore is half done")]))
}

/// An update `minutes` after noon.
pub(crate) fn update(number: u32, minutes: i64) -> Parcel {
    parcel(&format!("update-{number}"), at(minutes), Body::Update(Box::new(facts(number, minutes))))
}

pub(crate) fn facts(number: u32, minutes: i64) -> Update {
    let line = |seq, minutes, text: &str, weight| Line { seq, at: at(minutes), text: text.into(), weight };
    let said = |minutes, by: &str, text: &str| Said { at: at(minutes), by: by.into(), text: text.into() };
    let timeline: Vec<_> =
        (1..=14).map(|seq| line(seq, i64::try_from(seq).expect("few") * 4, "a step is done", 3)).collect();
    Update {
        over: false,
        number,
        why: vec!["an hour has passed".into()],
        made_at: at(minutes),
        regions: Some(("us-east-1".into(), "us-west-2".into())),
        words: Some(said(minutes, "Ada", "Orders are back, payments are next.")),
        approved_by: Some("Ada".into()),
        headline: "The recovery from us-east-1 to us-west-2 waits for people.".into(),
        rag: Rag::Amber,
        rag_before: Some(Rag::Red),
        rag_why: vec!["waits for people".into()],
        course: Course::OnTrack,
        phase: Some("restore".into()),
        done: (14, 20),
        not_done: Vec::new(),
        roles: vec![("incident commander".into(), "Ada".into())],
        impact: Some(said(10, "Grace", "payments fail & <orders> are slow")),
        clock: ClockFacts {
            incident_at: NOON,
            incident_assumed: false,
            declared: Some((at(5), Some("Ada".into()))),
            elapsed: Dur::seconds(60 * minutes),
            rto: Some(Dur::seconds(4 * 3600)),
            back_at: None,
            forecast: Some((at(minutes + 30), at(minutes + 50), false)),
        },
        stores: vec![StoreFacts {
            step: "orders".into(),
            lost: "2s".into(),
            allowed: Some(Dur::seconds(300)),
            verdict: "met".into(),
        }],
        since_last: timeline[10..].to_vec(),
        timeline,
        doing: vec![Doing { what: "restore payments".into(), owner: "automated".into(), due: Some(at(minutes + 20)) }],
        decisions: vec![Decision {
            what: "Send users to us-west-2?".into(),
            who: "incident commander".into(),
            since: at(minutes - 3),
            late_at: None,
            commands: vec![
                "dr answer r-2043 traffic approve".into(),
                "dr answer r-2043 traffic decline --why TEXT".into(),
            ],
        }],
        help: vec![said(20, "Linus", "a second pair of eyes on DNS")],
        lead: Some(LeadFacts { asked_at: at(minutes - 15), said: Vec::new() }),
        risks: vec!["The allow-list of the payment provider may lag.".into()],
        next_at: Some(at(minutes + 60)),
        links: vec![("Bridge".into(), "https://meet.example.com/dr".into())],
        seq: 14,
        head: "0123456789ab".into(),
        parts: None,
    }
}
