//! Scripted recoveries, scripted channels, simulated time.

use async_trait::async_trait;
use dr_comms::{
    book::Book,
    channel::{Channel, Memory, Trouble},
    pace::GAP_MIN,
    parcel::{Body, Parcel},
    post::{Desk, Post, SILENT, Source},
    sms,
    update::{Update, customers::Announcement},
};
use dr_engine::{
    clock::{Clock, SimClock, Time},
    comms::Comms,
    crash::CrashAt,
    duration::Dur,
    event::{Controller, Deadline, Event, Kind, Opened, Outcome, Person, RunKind},
    journal,
    message::Ask,
    outcome::{Call, Failure, Output, RecoveryPoint},
    plan::{Estimate, Objectives, Plan, PlanStep, Role, StepIx, VERIFY},
    question::{About, Choice, Question},
    run::Run,
    verify::HEALTHY_SINCE,
};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex},
};

/// 2026-11-22T06:00:00Z.
pub(crate) const INCIDENT: Time = Time(1_795_327_200_000);

/// `1:10` after the incident.
pub(crate) fn at(text: &str) -> Time {
    let (hours, minutes) = text.split_once(':').expect("h:mm");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    INCIDENT.after(Dur((number(hours) * 60 + number(minutes)) * 60_000))
}

/// The other way round.
pub(crate) fn clock(at: Time) -> String {
    let minutes = at.since(INCIDENT).0 / 60_000;
    format!("{}:{:02}", minutes / 60, minutes % 60)
}

/// What happens in a recovery, and how it is told.
pub(crate) struct Story {
    events: Vec<Event>,
    killed_at: Option<Time>,
    panics: bool,
}

/// What was told.
pub(crate) struct Told {
    /// Line by line.
    pub(crate) lines: Vec<String>,
    /// What arrived by which channel.
    pub(crate) arrived: Vec<(String, Parcel)>,
}

impl Told {
    /// The updates, in order.
    pub(crate) fn updates(&self) -> Vec<Update> {
        let mail = self.arrived.iter().filter(|(by, _)| by == "mail");
        let updates = mail.filter_map(|(_, parcel)| match &parcel.body {
            Body::Update(update) => Some((**update).clone()),
            Body::Notice(_) | Body::Details(_) | Body::Announcement(_) => None,
        });
        updates.collect()
    }

    /// What customers were told, in order, and when.
    pub(crate) fn announcements(&self) -> Vec<(Time, Announcement)> {
        let said = self.arrived.iter().filter_map(|(_, parcel)| match &parcel.body {
            Body::Announcement(said) => Some((parcel.made_at, (**said).clone())),
            Body::Update(_) | Body::Notice(_) | Body::Details(_) => None,
        });
        said.collect()
    }
}

fn person(name: &str) -> Person {
    Person { name: Some(name.into()), user: name.to_lowercase(), host: "ops-1".into(), message: None }
}

fn plan() -> Plan {
    let step = |id: &str, phase: &str, needs: &[u32], estimate: Option<(i64, i64)>| PlanStep {
        phase: Some(phase.into()),
        needs: needs.iter().copied().map(StepIx).collect(),
        estimate: estimate.map(|(p50, p90)| Estimate { p50: Dur(p50 * 60_000), p90: Dur(p90 * 60_000) }),
        rpo: (phase == "datastores").then_some(Dur(15 * 60_000)),
        ..PlanStep::plain(id, "command", json!({}))
    };
    let gate = PlanStep { gates: Some("dns".into()), ..step("dns!approve", "dns", &[2], None) };
    let steps = vec![
        step("db_orders", "datastores", &[], Some((40, 60))),
        step("db_users", "datastores", &[], Some((30, 50))),
        step("api", "services", &[0, 1], Some((20, 40))),
        gate,
        step("dns", "dns", &[2, 3], Some((10, 15))),
        PlanStep { id: VERIFY.into(), kind: VERIFY.into(), ..step("verify", "verify", &[4], Some((10, 10))) },
    ];
    let role = |name: &str, email: &str, deputies: &[&str]| Role {
        name: name.into(),
        email: Some(email.into()),
        phone: Some("+491700000000".into()),
        deputies: deputies.iter().map(ToString::to_string).collect(),
        ..Role::default()
    };
    let comms: Comms = serde_json::from_value(json!({
        "slack": { "channel": "#disaster-recovery-eu-west-1", "create": true },
        "email": { "to": ["board@example.com"] },
        "bridge": "https://meet.example.com/dr",
        "status_page": { "page": "kctbh9vrtdwd", "components": { "Website": "major_outage" } },
        "every": "1h",
    }))
    .expect("comms");
    let text = json!({
        "format": 1, "name": "evacuate_eu_west_1", "mode": "ungraceful", "steps": [],
        "regions": { "primary": "eu-west-1", "recovery": "eu-central-1" },
        "phases": ["datastores", "services", "dns", "verify"],
    });
    Plan {
        objectives: Objectives { rto: Some(Dur(5 * 3_600_000)), rpo: Some(Dur(15 * 60_000)), ..Objectives::default() },
        roles: [
            ("executive".to_owned(), role("Eve", "eve@example.com", &[])),
            ("incident_commander".to_owned(), role("Ana", "ana@example.com", &["Bo"])),
            ("technical_lead".to_owned(), role("Cy", "cy@example.com", &[])),
        ]
        .into(),
        comms: Some(comms),
        steps,
        ..serde_json::from_value(text).expect("a plan")
    }
}

impl Story {
    fn of(plan: Plan, told: Vec<(&str, Kind)>) -> Self {
        let opened = Opened {
            run: "20261122-061000-evacuate-3fa9".into(),
            plan,
            folder: String::new(),
            kind: RunKind::Live,
            incident_at: INCIDENT,
            incident_assumed: false,
            detected_at: Some(at("0:03")),
            declared_at: Some(at("0:08")),
            declared_by: Some("Ana".into()),
            by: person("Bo"),
        };
        let first = ("0:10", Kind::Opened(Box::new(opened)));
        let controller =
            Controller { host: "ops-1".into(), pid: 7, epoch: 1, version: "1".into(), why: None, break_glass: None };
        let joined = ("0:10", Kind::Joined(controller));
        let all = [first, joined].into_iter().chain(told).zip(1..);
        let events: Vec<_> = all.map(|((when, kind), seq)| Event { seq, at: at(when), kind }).collect();
        // A story that cannot happen is no story.
        let mut run = Run::open(events[0].clone()).expect("opened");
        events[1..].iter().for_each(|event| run.apply(event).expect("legal"));
        Self { events, killed_at: None, panics: false }
    }

    /// Much happens.
    pub(crate) fn six_hours() -> Self {
        let [orders, users, api, gate, dns, verify] = [0, 1, 2, 3, 4, 5].map(StepIx);
        let started = |step, attempt| Kind::Started { step, attempt };
        let done = |step, attempt, output| Kind::Succeeded { step, attempt, output, found: false };
        let point = |when: i64| Output {
            recovery_point: Some(RecoveryPoint {
                at: INCIDENT.after(Dur(-when * 60_000)),
                source: "SnapshotDatabaseTime".into(),
            }),
            ..Output::default()
        };
        let call = Call {
            service: "rds".into(),
            operation: "RestoreDBInstanceFromDBSnapshot".into(),
            region: "eu-central-1".into(),
            code: Some("InsufficientDBInstanceCapacity".into()),
            request_id: Some("7f539b5c".into()),
        };
        let error = Failure { call: Some(call), ..Failure::new("no capacity for db.r6g.xlarge in any of the subnets") };
        let question = |about, text: &str, choices: &[&str]| Question::new(about, text.into(), choices);
        let held = question(
            About::Failure(error.clone()),
            "`db_orders` failed: no capacity for db.r6g.xlarge in any of the subnets",
            &["retry", "skip", "stop"],
        );
        let approval = Question {
            roles: vec!["executive".into()],
            ..question(About::Approval, "Send users to eu-central-1?", &["approve", "decline"])
        };
        let note = |by: &str, text: &str, help_wanted| Kind::Noted {
            by: person(by),
            text: text.into(),
            help_wanted,
            learned: None,
        };
        let answered =
            |step, by: &str, choice, why: &str| Kind::Answered { step, by: person(by), choice, why: why.into() };
        let healthy = Output {
            values: [(HEALTHY_SINCE.to_owned(), Value::from(at("5:52").0))].into_iter().collect(),
            ..Output::default()
        };
        Self::of(
            plan(),
            vec![
                ("0:10", started(orders, 1)),
                ("0:10", started(users, 1)),
                ("0:45", done(users, 1, point(4))),
                (
                    "1:05",
                    Kind::Affected { by: person("Ana"), text: "Checkout fails for everybody; browsing works.".into() },
                ),
                ("1:10", Kind::DeadlinePassed { which: Deadline::Estimate(orders) }),
                ("1:30", Kind::Failed { step: orders, attempt: 1, error }),
                ("1:30", Kind::Asked { step: orders, question: held }),
                ("2:05", answered(orders, "Cy", Choice::Retry, "capacity is there again")),
                ("2:05", started(orders, 2)),
                ("2:50", done(orders, 2, point(20))),
                ("2:50", Kind::DeadlinePassed { which: Deadline::Rpo(orders) }),
                ("2:50", started(api, 1)),
                ("3:01", note("Cy", "Users are back; 20 minutes of orders are being replayed from the queue.", false)),
                ("3:30", done(api, 1, Output::default())),
                ("3:30", Kind::Asked { step: gate, question: approval }),
                (
                    "4:00",
                    Kind::RoleSet {
                        role: "incident_commander".into(),
                        to: "Bo".into(),
                        by: person("Ana"),
                        why: "handover after four hours".into(),
                    },
                ),
                (
                    "4:07",
                    Kind::Worded {
                        by: person("Bo"),
                        text: "Everything runs in eu-central-1; users follow when Eve agrees.".into(),
                        send: true,
                    },
                ),
                ("4:20", note("Cy", "Somebody who can reach the payment provider's on-call.", true)),
                ("4:35", answered(gate, "Eve", Choice::Approve, "")),
                ("4:35", started(dns, 1)),
                ("4:50", done(dns, 1, Output::default())),
                ("4:50", started(verify, 1)),
                ("5:00", Kind::DeadlinePassed { which: Deadline::Rto }),
                ("6:02", done(verify, 1, healthy)),
                ("6:02", Kind::Finished { outcome: Outcome::Recovered }),
            ],
        )
    }

    /// Nothing happens for hours.
    pub(crate) fn quiet() -> Self {
        let plan = Self::quiet_plan();
        let by = person("Ana");
        Self::of(
            plan,
            vec![
                ("0:10", Kind::Started { step: StepIx(0), attempt: 1 }),
                ("4:30", Kind::Succeeded { step: StepIx(0), attempt: 1, output: Output::default(), found: false }),
                ("4:30", Kind::Noted { by, text: "done".into(), help_wanted: false, learned: None }),
                ("4:30", Kind::Finished { outcome: Outcome::Unverified }),
            ],
        )
    }

    fn quiet_plan() -> Plan {
        let mut plan = plan();
        let comms = json!({
            "email": { "to": ["board@example.com"] },
            "every": ["30m for 2h", "1h"],
            "status_page": { "page": "kctbh9vrtdwd" },
        });
        plan.comms = Some(serde_json::from_value(comms).expect("comms"));
        plan.roles.clear();
        plan.objectives = Objectives::default();
        plan.steps.truncate(1);
        plan.steps[0].estimate = None;
        plan
    }

    /// Its controller leaves, and another goes on an hour later.
    pub(crate) fn interrupted() -> Self {
        let by = person("Ana");
        let controller =
            Controller { host: "ops-2".into(), pid: 8, epoch: 2, version: "1".into(), why: None, break_glass: None };
        let (step, output) = (StepIx(0), Output::default());
        let started = |step, attempt| Kind::Started { step, attempt };
        Self::of(
            Self::quiet_plan(),
            vec![
                ("0:10", started(step, 1)),
                ("0:50", Kind::Succeeded { step, attempt: 1, output, found: false }),
                ("1:00", Kind::CancelAsked { by }),
                ("2:00", Kind::Joined(controller)),
                ("2:30", Kind::Finished { outcome: Outcome::Unverified }),
            ],
        )
    }

    /// The same as a rehearsal.
    pub(crate) fn drill(mut self) -> Self {
        if let Kind::Opened(opened) = &mut self.events[0].kind {
            opened.kind = RunKind::Drill;
        }
        self
    }

    /// The same with another end.
    pub(crate) fn ended(mut self, outcome: Outcome) -> Self {
        self.events.last_mut().expect("an end").kind = Kind::Finished { outcome };
        self
    }

    /// Channels that are down panic.
    pub(crate) fn panicking(self) -> Self {
        Self { panics: true, ..self }
    }

    /// Whoever tells is killed then, and another goes on a minute later.
    pub(crate) fn killed_at(mut self, at: Time) -> Self {
        self.killed_at = Some(at);
        self
    }

    /// Tells it; these channels are down from then until then.
    pub(crate) fn tell(self, downs: &[(&str, &str, &str)]) -> Told {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(self.told(downs))
    }

    async fn told(self, downs: &[(&str, &str, &str)]) -> Told {
        let folder = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(at("0:10")));
        let heard = Arc::new(Mutex::new(Told { lines: Vec::new(), arrived: Vec::new() }));
        let channels = ["slack", "mail", "sms", "statuspage"].map(|name| {
            let downs = downs.iter().filter(|(of, ..)| *of == name).map(|(_, from, to)| (at(from), at(to))).collect();
            Arc::new(Scripted { name, downs, panics: self.panics, clock: clock.clone(), heard: heard.clone() })
                as Arc<dyn Channel>
        });
        for end in [self.killed_at, None] {
            let book = Book::open(folder.path()).expect("a book").expect("free");
            let source = Script { events: self.events.clone(), read: 0, head: [0; 32], clock: clock.clone() };
            let desk = Journalist { clock: clock.clone(), heard: heard.clone() };
            let (look, gap_min, silent_after, crash) = (Dur(500), GAP_MIN, SILENT, Arc::new(CrashAt::default()));
            let channels = channels.to_vec();
            let mut post = Post {
                book,
                source,
                desk,
                channels,
                clock: clock.clone(),
                look,
                gap_min,
                silent_after,
                only_deliver: false,
                crash,
            };
            match end {
                None => post.go_on(|| None).await.expect("it goes on"),
                Some(end) => {
                    // Dropped wherever it stands.
                    let left = end.since(clock.now());
                    clock.timeout(left, post.go_on(|| None)).await;
                }
            }
        }
        let mut heard = heard.lock().expect("whole");
        Told { lines: std::mem::take(&mut heard.lines), arrived: std::mem::take(&mut heard.arrived) }
    }
}

/// Events that happen when their time has come.
struct Script {
    events: Vec<Event>,
    read: usize,
    head: journal::Hash,
    clock: Arc<dyn Clock>,
}

impl Source for Script {
    fn fresh(&mut self) -> Result<(Vec<Event>, String), journal::Error> {
        let now = self.clock.now();
        let new: Vec<_> = self.events[self.read..].iter().take_while(|event| event.at <= now).cloned().collect();
        self.read += new.len();
        for event in &new {
            self.head = journal::hash(&self.head, event, &journal::body(&event.kind));
        }
        Ok((new, dr_engine::plan::hex(&self.head)))
    }
}

/// Writes down what the controller hears.
struct Journalist {
    clock: Arc<dyn Clock>,
    heard: Arc<Mutex<Told>>,
}

impl Desk for Journalist {
    fn told(&mut self, _: &str, ask: Ask) -> io::Result<()> {
        let Ask::Told { item, audience, channel, .. } = ask else { return Ok(()) };
        let line = format!("{} told    {item} to {} by {channel}", clock(self.clock.now()), audience.word());
        self.heard.lock().expect("whole").lines.push(line);
        Ok(())
    }

    fn show(&mut self, text: &str) {
        let line = format!("{} screen  {text}", clock(self.clock.now()));
        self.heard.lock().expect("whole").lines.push(line);
    }
}

/// A channel that is down when the script says so.
struct Scripted {
    name: &'static str,
    downs: Vec<(Time, Time)>,
    /// It panics where it would be down.
    panics: bool,
    clock: Arc<dyn Clock>,
    heard: Arc<Mutex<Told>>,
}

#[async_trait]
impl Channel for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn takes(&self, parcel: &Parcel) -> bool {
        match (self.name, &parcel.body) {
            ("statuspage", body) => matches!(body, Body::Announcement(_)),
            ("sms", body) => matches!(body, Body::Notice(notice) if notice.urgent),
            (_, Body::Announcement(_)) => false,
            (name, Body::Details(_)) => name == "slack",
            _ => true,
        }
    }

    fn bundles(&self) -> bool {
        self.name == "slack"
    }

    fn is_public(&self) -> bool {
        self.name == "statuspage"
    }

    fn newest_only(&self) -> bool {
        self.name == "statuspage"
    }

    async fn deliver(&self, parcels: &[Parcel], _: bool, _: &mut Memory) -> Result<String, Trouble> {
        let now = self.clock.now();
        if self.downs.iter().any(|(from, to)| *from <= now && now < *to) {
            assert!(!self.panics, "a defect of this channel");
            return Err(Trouble::passing("connection refused"));
        }
        let mut heard = self.heard.lock().expect("whole");
        for (at, parcel) in parcels.iter().enumerate() {
            let together = if at > 0 { "  in the same message: " } else { "" };
            let to = parcel.role.as_ref().map_or(String::new(), |role| format!(" (to {role})"));
            if self.newest_only() && at + 1 < parcels.len() {
                continue;
            }
            let text = match &parcel.body {
                Body::Notice(notice) if self.name == "sms" => sms::text(parcel, notice).replace('\n', " | "),
                Body::Announcement(said) => {
                    let said = format!("{}: {}: {}", said.state.word(), said.title, said.message);
                    said.replace("\n\n", " | ")
                }
                _ => parcel.subject(),
            };
            let together = if self.newest_only() { "" } else { together };
            let line = format!("{} {:<7} {together}{text}{to}", clock(now), self.name);
            heard.lines.push(line);
            heard.arrived.push((self.name.into(), parcel.clone()));
        }
        Ok("ref".into())
    }

    async fn check(&self) -> Result<String, Trouble> {
        Ok("scripted".into())
    }
}
