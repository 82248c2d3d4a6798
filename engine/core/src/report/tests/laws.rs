//! What holds for every history that can happen.

use super::script::{INCIDENT, person, step};
use crate::{
    clock::Time,
    duration::Dur,
    event::{Audience, Controller, Doubt, Event, Kind, Moment, Opened, Outcome, Proof, RunKind, Skipper},
    outcome::{Fact, Failure, Output, RecoveryPoint},
    plan::{Estimate, OnFailure, Plan, StepIx, VERIFY},
    question::{About, Choice, Question},
    report::{
        Measure, Report,
        clock::{Lanes, waited_for},
        headline, status,
    },
    run::Run,
    verify::HEALTHY_SINCE,
};
use proptest::prelude::*;
use serde_json::Value;

/// A plan of so many steps with these needs; the last may be `verify`.
fn plan(needs: &[u8], verify: bool) -> Plan {
    let mut plan = super::plan("30m 15m 1m", "");
    for (at, bits) in needs.iter().enumerate() {
        let mut it = step(&format!("s{at}"), "command");
        it.needs = (0..at).filter(|need| bits >> need & 1 == 1).map(place).collect();
        it.estimate = (bits % 3 > 0).then_some(Estimate { p50: Dur::seconds(60), p90: Dur::seconds(100) });
        it.phase = bits.is_multiple_of(5).then(|| "datastores".into());
        if bits.is_multiple_of(7) {
            it.on_failure = if bits.is_multiple_of(2) { OnFailure::Continue } else { OnFailure::Stop };
        }
        if verify && at + 1 == needs.len() {
            it.id = VERIFY.into();
        }
        plan.steps.push(it);
    }
    plan
}

fn place(at: usize) -> StepIx {
    StepIx(u32::try_from(at).expect("few"))
}

/// The event that a few numbers stand for; many are illegal where they are tried.
fn kind(run: &Run, what: u8, which: u8, at: Time) -> Kind {
    let count = run.plan().steps.len();
    let step = place(usize::from(which) % count);
    let attempt = run.step(step).attempt;
    let by = person("Ana");
    let error = Failure::new("broken");
    let point = RecoveryPoint { at: INCIDENT.after(Dur::seconds(-i64::from(which))), source: "field".into() };
    let healthy = [(HEALTHY_SINCE.to_owned(), Value::from(at.0 - i64::from(which) * 200))];
    let output =
        Output { values: healthy.into_iter().collect(), recovery_point: which.is_multiple_of(4).then_some(point) };
    let answered = |choice| Kind::Answered { step, by: by.clone(), choice, why: String::new() };
    match what % 44 {
        0..=6 => Kind::Started { step, attempt: attempt + 1 },
        7..=12 => Kind::Succeeded { step, attempt, output, found: which.is_multiple_of(3) },
        13 | 14 => {
            let fact = Fact { name: "handle".into(), value: "x".into(), handle: which.is_multiple_of(2) };
            Kind::Recorded { step, attempt, fact }
        }
        15 => Kind::AttemptFailed { step, attempt, error, retry_at: at.after(Dur::seconds(9)) },
        16 => Kind::Failed { step, attempt, error },
        17 => Kind::InDoubt {
            step,
            attempt,
            doubt: Doubt::Timeout,
            error,
            look_at: which.is_multiple_of(2).then_some(at),
        },
        18 => Kind::Skipped { step, by: Skipper::Condition, why: String::new() },
        19 => Kind::Skipped { step, by: Skipper::Person(by), why: String::new() },
        20 => Kind::Bypassed { step, by, why: String::new(), output, proof: Proof::Vouched },
        21 => Kind::Asked { step, question: Question::new(About::Failure(error), "what now?".into(), &["retry"]) },
        22 => Kind::Asked { step, question: Question::new(About::Undo(error), "what now?".into(), &["retry"]) },
        23 => answered(Choice::Retry),
        24 => answered(Choice::Skip),
        25 => answered(Choice::Undo),
        26 if which.is_multiple_of(8) => answered(Choice::Stop),
        27 => answered(Choice::Approve),
        28 => answered(Choice::Wait),
        29 => {
            let done = |s: &StepIx| matches!(run.step(*s).state, crate::run::State::Done);
            let steps = run.plan().places().filter(done).filter(|s| s.0 >= step.0).collect();
            Kind::UndoAsked { steps, whole: which.is_multiple_of(2), by, why: String::new() }
        }
        30 | 31 => Kind::UndoStarted { step, attempt: attempt + 1 },
        32 => Kind::UndoDone { step, attempt },
        33 => Kind::UndoFailed { step, attempt, error },
        34 => Kind::Paused { by },
        35 => Kind::Continued { by },
        36 => {
            let moment = if which.is_multiple_of(2) { Moment::Incident } else { Moment::Detected };
            Kind::ClockSet {
                which: moment,
                at: INCIDENT.after(Dur::seconds(i64::from(which) * 5)),
                by,
                why: String::new(),
            }
        }
        37 => Kind::Joined(Controller {
            host: "h".into(),
            pid: 1,
            epoch: 2,
            version: "1".into(),
            why: None,
            break_glass: None,
        }),
        38 if which.is_multiple_of(4) => Kind::Finished { outcome: Outcome::Stopped },
        39 => Kind::Reopened { by, why: String::new() },
        40 => Kind::Affected { by, text: "x".into() },
        41 => Kind::RoleSet { role: "technical_lead".into(), to: "Bo".into(), by, why: String::new() },
        42 => Kind::Told {
            by,
            item: "update-1".into(),
            audience: Audience::Executives,
            channel: "mail".into(),
            reference: String::new(),
        },
        _ => Kind::Noted { by, text: "x".into(), help_wanted: false, learned: None },
    }
}

/// A history: everything of a list of tries that is legal where it stands.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let tries = prop::collection::vec((any::<u8>(), any::<u8>(), 0..90_000_i64), 0..80);
    let beginning = (any::<bool>(), prop::option::of(0..900_i64), 0..900_i64);
    (prop::collection::vec(any::<u8>(), 1..7), any::<bool>(), beginning, tries).prop_map(
        |(needs, verify, (assumed, detected, opened), tries)| {
            let mut at = INCIDENT.after(Dur::seconds(opened));
            let first = Opened {
                run: "r".into(),
                plan: plan(&needs, verify),
                folder: String::new(),
                kind: RunKind::Live,
                incident_at: if assumed { at } else { INCIDENT },
                incident_assumed: assumed,
                detected_at: detected.map(|seconds| INCIDENT.after(Dur::seconds(seconds))),
                declared_at: None,
                declared_by: None,
                by: person("Bo"),
            };
            let mut events = vec![Event { seq: 1, at, kind: Kind::Opened(Box::new(first)) }];
            let mut run = Run::open(events[0].clone()).expect("opened");
            for (what, which, wait) in tries {
                let next = at.after(Dur(wait));
                let event = Event { seq: run.seq + 1, at: next, kind: kind(&run, what, which, next) };
                if run.apply(&event).is_ok() {
                    at = next;
                    events.push(event);
                }
            }
            events
        },
    )
}

/// A field that ends in `_ms` is a number, or `null` with a reason beside it where it is measured.
fn reasons(value: &Value, path: &str) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let Some(name) = name.strip_suffix("_why").filter(|name| *name != "took_over") {
                    assert!(fields[&format!("{name}_ms")].is_null(), "{path}.{name} is known and unknown");
                }
                reasons(field, &format!("{path}.{name}"));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| reasons(item, path)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parts_of_the_split_add_up_to_the_whole(events in history(), later in 0..600_000_i64) {
        for end in 1..=events.len() {
            let now = events[end - 1].at.after(Dur(later));
            let report = Report::of(&events[..end], "", now).expect("legal");
            let Some(split) = &report.split else { continue };
            prop_assert_eq!(split.sum(), split.elapsed, "{:#?}", split);
            let hold = split.hold.known().unwrap_or_default();
            prop_assert!(split.people >= Dur(0) && split.provider >= Dur(0) && split.execute >= Dur(0) && hold >= Dur(0));
            if let Some(actual) = report.rto.actual.known() {
                prop_assert_eq!(Dur(split.elapsed.0 - hold.0), actual, "{:#?}", split);
            }
            if let (Some(detect), Some(decide)) = (split.detect.known(), split.decide.known()) {
                prop_assert_eq!(Measure::Known(Dur(detect.0 + decide.0)), split.before.clone());
            }
        }
    }

    #[test]
    fn no_event_changes_more_than_is_looked_at(events in history()) {
        let mut run = Run::open(events[0].clone()).expect("opened");
        let mut lanes = Lanes::of(&run);
        for event in &events[1..] {
            let before = waited_for(&run, lanes.last_end.map(|(step, _)| step));
            run.apply(event).expect("legal");
            lanes.hear(&run, event, before);
            prop_assert!(lanes.is_whole(&run), "{event:?}");
        }
    }

    #[test]
    fn a_report_of_any_beginning_says_why_it_does_not_know(events in history()) {
        for end in 1..=events.len() {
            let now = events[end - 1].at;
            let report = Report::of(&events[..end], "", now).expect("legal");
            let json = report.to_json();
            reasons(&json, "");
            prop_assert_eq!(json["rto"]["actual_ms"].is_null(), json["rto"]["actual_why"].is_string());
            for store in json["rpo"].as_array().expect("stores") {
                prop_assert_eq!(store["achieved_ms"].is_null(), store["achieved_why"].is_string());
                prop_assert!(!store["recovery_point"].is_null() || store["achieved_ms"].is_null());
            }
            let verified = report.moments.healthy_since.is_some();
            prop_assert!(verified || json["rto"]["actual_ms"].is_null());
            prop_assert!(report.to_markdown().lines().count() > 20);
        }
        let mut run = Run::open(events[0].clone()).expect("opened");
        for event in &events[1..] {
            run.apply(event).expect("legal");
            prop_assert!(!headline(&run, event.at).contains('\n'));
            prop_assert!(status(&run, event.at).is_object());
        }
    }

    #[test]
    fn what_happens_after_the_end_changes_neither_rpo_nor_path(events in history()) {
        let Some(end) = events.iter().position(|e| matches!(e.kind, Kind::Finished { .. })) else { return Ok(()) };
        let before = Report::of(&events[..=end], "", events[end].at).expect("legal");
        let rest: Vec<_> = events[end + 1..].iter().filter(|e| !matches!(e.kind, Kind::ClockSet { .. })).cloned().collect();
        let renumbered = rest.into_iter().zip(events[end].seq + 1..).map(|(e, seq)| Event { seq, ..e });
        let all: Vec<_> = events[..=end].iter().cloned().chain(renumbered).collect();
        let after = Report::of(&all, "", all[all.len() - 1].at).expect("legal");
        prop_assert_eq!((&before.rto, &before.rpo, &before.path), (&after.rto, &after.rpo, &after.path));
        prop_assert_eq!((before.split, before.moments), (after.split, after.moments));
    }
}
