//! Histories as small tables.
//!
//! A step of the plan is a line `id kind key=value…`; an event is a line
//! `mm:ss words…`, its time counted from the incident at 06:00.

use crate::{
    clock::Time,
    duration::Dur,
    event::{Controller, Deadline, Doubt, Event, Kind, Moment, Opened, Outcome, Person, Proof, RunKind, Skipper},
    outcome::{Call, Fact, Failure, Learned, Output, RecoveryPoint},
    plan::{Account, Estimate, Mode, Objectives, OnFailure, Plan, PlanStep, Role, Selection, StepIx},
    question::{About, Choice, Question},
    verify::HEALTHY_SINCE,
};
use serde_json::{Map, Value, json};

/// 2026-11-22T06:00:00Z.
pub(crate) const INCIDENT: Time = Time(1_795_327_200_000);

/// `12:34` after the incident, or `-5m` before it.
pub(crate) fn time(text: &str) -> Time {
    if let Some(before) = text.strip_prefix('-') {
        return INCIDENT.after(Dur(-before.parse::<Dur>().expect("a duration").0));
    }
    let (minutes, seconds) = text.split_once(':').expect("mm:ss");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    INCIDENT.after(Dur::seconds(number(minutes) * 60 + number(seconds)))
}

pub(crate) fn step(id: &str, kind: &str) -> PlanStep {
    PlanStep { can_undo: true, region: Some("eu-central-1".into()), ..PlanStep::plain(id, kind, json!({})) }
}

/// A plan; `objectives` as `1h 15m 5m` for RTO, RPO and hold, `-` for none.
pub(crate) fn plan(objectives: &str, lines: &str) -> Plan {
    let mut steps: Vec<PlanStep> = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let mut it = step(words.next().expect("an id"), words.next().expect("a kind"));
        for word in words {
            let (key, value) = word.split_once('=').expect("key=value");
            match key {
                "needs" => it.needs = value.split(',').map(|id| find(&steps, id)).collect(),
                "phase" => it.phase = Some(value.into()),
                "rpo" => it.rpo = Some(value.parse().expect("a duration")),
                "est" => {
                    let (p50, p90) = value.split_once('/').expect("p50/p90");
                    let dur = |text: &str| text.parse().expect("a duration");
                    it.estimate = Some(Estimate { p50: dur(p50), p90: dur(p90) });
                }
                "fences" => it.fences = value == "yes",
                "fence" => it.fenced_by = vec![find(&steps, value)],
                "gates" => (it.gates, it.changes) = (Some(value.into()), false),
                "on_failure" => it.on_failure = if value == "stop" { OnFailure::Stop } else { OnFailure::Continue },
                "changes" => it.changes = value == "yes",
                other => panic!("{other}?"),
            }
        }
        steps.push(it);
    }
    let mut objectives = objectives.split(' ').map(|text| text.parse().ok());
    let mut next = || objectives.next().flatten();
    let role = |name: &str, deputies: &[&str]| Role {
        name: name.into(),
        deputies: deputies.iter().map(ToString::to_string).collect(),
        ..Role::default()
    };
    Plan {
        format: 1,
        name: "evacuate_eu_west_1".into(),
        description: Some("Move the shop out of a lost region".into()),
        owner: None,
        regions: [("primary", "eu-west-1"), ("recovery", "eu-central-1")].map(|(a, b)| (a.into(), b.into())).into(),
        accounts: [("prod".to_owned(), Account { id: "111122223333".into(), role: None, external_id: None })].into(),
        objectives: Objectives { rto: next(), rpo: next(), hold: next(), ..Objectives::default() },
        roles: [("ic".to_owned(), role("Ana", &["Bo"])), ("dba".to_owned(), role("Cy", &[]))].into(),
        params: Map::new(),
        mode: Mode::Ungraceful,
        comms: None,
        claim: None,
        failback: None,
        phases: Vec::new(),
        selection: Selection::default(),
        steps,
    }
}

fn find(steps: &[PlanStep], id: &str) -> StepIx {
    let at = steps.iter().position(|step| step.id == id).unwrap_or_else(|| panic!("{id}?"));
    StepIx(u32::try_from(at).expect("few"))
}

pub(crate) fn person(name: &str) -> Person {
    let named = name.chars().next().is_some_and(char::is_uppercase);
    let user = name.to_lowercase();
    Person { name: named.then(|| name.into()), user, host: "laptop".into(), message: None }
}

/// The events of a script over a plan. `opened … kind=drill assumed detected=05:00 declared=06:00`.
pub(crate) fn events(plan: &Plan, script: &str) -> Vec<Event> {
    let mut attempts = vec![0; plan.steps.len()];
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let events = lines.zip(1..).map(|(line, seq)| {
        let (at, rest) = line.split_once(' ').expect("a time");
        Event { seq, at: time(at), kind: kind(plan, &mut attempts, rest, time(at)) }
    });
    events.collect()
}

fn kind(plan: &Plan, attempts: &mut [u32], line: &str, at: Time) -> Kind {
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (before, why) = rest.split_once(": ").unwrap_or((rest, ""));
    let words: Vec<&str> = before.split(' ').collect();
    let why = why.to_owned();
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let by = || person(words.last().expect("a person"));
    match first {
        "opened" => Kind::Opened(Box::new(Opened {
            run: "20261122-061200-evacuate-3fa9".into(),
            plan: plan.clone(),
            folder: String::new(),
            kind: match value("kind") {
                Some("drill") => RunKind::Drill,
                Some("lab") => RunKind::Lab,
                _ => RunKind::Live,
            },
            incident_at: if words.contains(&"assumed") { at } else { INCIDENT },
            incident_assumed: words.contains(&"assumed"),
            detected_at: value("detected").map(time),
            declared_at: value("declared").map(time),
            declared_by: value("declared").map(|_| "Ana".into()),
            by: person("Bo"),
        })),
        "joined" => Kind::Joined(Controller {
            host: words[0].into(),
            pid: 7,
            epoch: words[1].parse().expect("an epoch"),
            version: "0.1.0".into(),
            why: Some(why).filter(|why| !why.is_empty()),
            break_glass: None,
        }),
        "passed" => Kind::DeadlinePassed {
            which: match (words[0], words.get(1)) {
                ("rto", _) => Deadline::Rto,
                ("rpo", Some(id)) => Deadline::Rpo(find(&plan.steps, id)),
                ("question", Some(id)) => Deadline::Question(find(&plan.steps, id)),
                (_, Some(id)) => Deadline::Estimate(find(&plan.steps, id)),
                _ => panic!("{line}?"),
            },
        },
        "note" => Kind::Noted { by: by(), text: why, help_wanted: false, learned: None },
        "help" => Kind::Noted { by: by(), text: why, help_wanted: true, learned: None },
        "lesson" => Kind::Noted { by: by(), text: why, help_wanted: false, learned: Some(Learned::Lesson) },
        "action" => {
            let (owner, due) = (Some("Cleo".into()), Some("2026-12-24".into()));
            Kind::Noted { by: by(), text: why, help_wanted: false, learned: Some(Learned::Action { owner, due }) }
        }
        "clock" => {
            let which = match words[0] {
                "incident" => Moment::Incident,
                "detected" => Moment::Detected,
                _ => Moment::Declared,
            };
            Kind::ClockSet { which, at: time(words[1]), by: by(), why }
        }
        "paused" => Kind::Paused { by: by() },
        "continued" => Kind::Continued { by: by() },
        "cancel" => Kind::CancelAsked { by: by() },
        "reopened" => Kind::Reopened { by: by(), why },
        "undo" => {
            let whole = words[0] == "all";
            let steps = words[..words.len() - 1].iter().filter(|word| **word != "all");
            Kind::UndoAsked { steps: steps.map(|id| find(&plan.steps, id)).collect(), whole, by: by(), why }
        }
        "finished" => {
            Kind::Finished { outcome: serde_json::from_value::<Outcome>(words[0].into()).expect("an outcome") }
        }
        id => about_step(find(&plan.steps, id), attempts, &words, why, at),
    }
}

fn about_step(step: StepIx, attempts: &mut [u32], words: &[&str], why: String, at: Time) -> Kind {
    let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let by = || person(words.last().expect("a person"));
    let attempt = &mut attempts[step.ix()];
    let call = || Call {
        service: "rds".into(),
        operation: "RestoreDBInstanceFromDBSnapshot".into(),
        region: "eu-central-1".into(),
        code: Some("InsufficientDBInstanceCapacity".into()),
        request_id: Some("4f1c-77".into()),
    };
    let error = |why: String| Failure { call: words.contains(&"rds").then(call), ..Failure::new(why) };
    match words[0] {
        "start" => {
            *attempt += 1;
            Kind::Started { step, attempt: *attempt }
        }
        "handle" => {
            let fact = Fact { name: "operation".into(), value: why.into(), handle: true };
            Kind::Recorded { step, attempt: *attempt, fact }
        }
        "fact" => {
            let fact = Fact { name: words[1].into(), value: why.into(), handle: false };
            Kind::Recorded { step, attempt: *attempt, fact }
        }
        "done" | "found" => {
            let point = value("point").map(time).map(|at| RecoveryPoint { at, source: "LatestRestorableTime".into() });
            let healthy = value("healthy").map(|at| (HEALTHY_SINCE.to_owned(), Value::from(time(at).0)));
            let output = Output { values: healthy.into_iter().collect(), recovery_point: point };
            Kind::Succeeded { step, attempt: *attempt, output, found: words[0] == "found" }
        }
        "retry" => {
            Kind::AttemptFailed { step, attempt: *attempt, error: error(why), retry_at: at.after(Dur::seconds(5)) }
        }
        "failed" => Kind::Failed { step, attempt: *attempt, error: error(why) },
        "doubt" => {
            let look_at = Some(at.after(Dur::seconds(5)));
            Kind::InDoubt { step, attempt: *attempt, doubt: Doubt::NoAnswer, error: error(why), look_at }
        }
        "left" => Kind::Skipped { step, by: Skipper::Condition, why },
        "skipped" => Kind::Skipped { step, by: Skipper::Person(by()), why },
        "vouched" => Kind::Bypassed { step, by: by(), why, output: Output::default(), proof: Proof::Vouched },
        "asks" => {
            let about =
                if words.contains(&"approval") { About::Approval } else { About::Failure(Failure::new("failed")) };
            let mut question =
                Question::new(about, why, &["approve", "decline", "retry", "skip", "stop", "undo", "impossible"]);
            question.count = value("count").map_or(1, |count| count.parse().expect("a number"));
            question.roles = value("roles").map(|role| vec![role.into()]).unwrap_or_default();
            Kind::Asked { step, question }
        }
        "amended" => Kind::Amended {
            step,
            inputs: [("class".to_owned(), json!("db.r6g.xlarge"))].into_iter().collect(),
            by: by(),
            why,
        },
        "undoing" => {
            *attempt += 1;
            Kind::UndoStarted { step, attempt: *attempt }
        }
        "undone" => Kind::UndoDone { step, attempt: *attempt },
        word => {
            let choice = match word {
                "approve" => Choice::Approve,
                "impossible" => Choice::Impossible,
                "decline" => Choice::Decline,
                "answer-retry" => Choice::Retry,
                "answer-skip" => Choice::Skip,
                "answer-undo" => Choice::Undo,
                "stop" => Choice::Stop,
                other => panic!("{other}?"),
            };
            Kind::Answered { step, by: by(), choice, why }
        }
    }
}
