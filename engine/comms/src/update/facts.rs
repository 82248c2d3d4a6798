//! Where the facts of an update come from.

use super::{ClockFacts, Course, Decision, Doing, LeadFacts, Line, Rag, Said, StoreFacts, Update, text::of_day};
use dr_engine::{
    clock::Time,
    duration::Dur,
    event::{ADDS, Event, Kind, Outcome, Person},
    outcome::Learned,
    plan::{PlanStep, StepIx},
    question,
    report::{Forecast, Measure, Note, Present, Report, Store, Verdict, brief, clean, glance},
    run::{Run, State, StepRun},
};

/// Everything an update is made from.
pub struct Facts<'a> {
    /// The run, folded from the events.
    pub run: &'a Run,
    /// Its events.
    pub events: &'a [Event],
    /// The report of them.
    pub report: &'a Report,
    /// The present.
    pub now: Time,
    /// The update before.
    pub before: Option<&'a Update>,
    /// Why now.
    pub why: Vec<String>,
    /// When the technical lead was asked for this one.
    pub asked_lead_at: Option<Time>,
    /// When the next one is promised.
    pub next_at: Option<Time>,
    /// Channels by which nothing can be told now, for people.
    pub silent: Vec<String>,
}

impl Facts<'_> {
    /// The update.
    pub fn update(self) -> Update {
        let (run, report) = (self.run, self.report);
        let since = self.before.map_or(0, |before| before.seq);
        let (words, approved_by) = self.words(since);
        let timeline = self.timeline();
        let course = course(run, report, self.now);
        let (rag, rag_why) = self.rag(course);
        let glance = glance(run, self.now);
        Update {
            number: self.before.map_or_else(|| self.told(), |before| before.number) + 1,
            made_at: self.now,
            regions: regions(run),
            words,
            approved_by,
            headline: self.headline(),
            rag,
            rag_before: self.before.map(|before| before.rag),
            rag_why,
            course,
            phase: phase(run).map(clean),
            done: (self.done(), glance.of),
            not_done: self.not_done(),
            roles: self.roles(),
            impact: report.story.affected.last().map(said),
            clock: self.clock(),
            stores: report.rpo.stores.iter().map(|store| store_facts(store, run.opened.incident_at)).collect(),
            since_last: timeline.iter().filter(|line| line.seq > since).cloned().collect(),
            timeline,
            doing: self.doing(),
            decisions: self.decisions(),
            help: report.story.notes.iter().filter(|note| note.help_wanted).map(said).collect(),
            lead: self.lead(),
            risks: self.risks(),
            next_at: self.next_at,
            over: run.finished.is_some(),
            links: self.links(),
            seq: run.seq,
            head: report.integrity.head.chars().take(12).collect(),
            why: self.why,
            parts: None,
        }
    }

    /// The last update that the journal knows to have been told: of a run that
    /// was taken in from elsewhere the book of deliveries stayed there.
    fn told(&self) -> u32 {
        let number = |event: &Event| match &event.kind {
            Kind::Told { item, .. } => item.strip_prefix("update-")?.parse().ok(),
            _ => None,
        };
        self.events.iter().filter_map(number).max().unwrap_or_default()
    }

    /// The Incident Commander's last words since the update before, and who sent them.
    fn words(&self, since: u64) -> (Option<Said>, Option<String>) {
        let (mut words, mut approved) = (None, None);
        for event in self.events.iter().filter(|event| event.seq > since) {
            if let Kind::Worded { by, text, send } = &event.kind {
                if !text.trim().is_empty() {
                    words = Some(Said { at: event.at, by: name(by), text: clean(text) });
                }
                approved = send.then(|| name(by)).or(approved);
            }
        }
        (words, approved)
    }

    /// How many steps reached their goal, or were not wanted.
    fn done(&self) -> usize {
        let done = |state: &State| {
            matches!(
                state,
                State::Done | State::Bypassed { .. } | State::Skipped { by_person: false } | State::Unneeded { .. }
            )
        };
        self.run.steps().filter(|(_, step)| done(&step.state)).count()
    }

    /// What is out of the way without having reached its goal.
    fn not_done(&self) -> Vec<String> {
        let words = |(at, step): (StepIx, &StepRun)| {
            let id = clean(&self.run.plan().step(at).id);
            match step.state {
                State::Failed { .. } => Some(format!("{id} failed")),
                State::Owed { .. } => Some(format!("{id} could not be set: the old writer is not fenced")),
                State::Skipped { by_person: true } => Some(format!("{id} was left out by a person")),
                State::Stuck { .. } => Some(format!("{id} could not be taken back")),
                _ => None,
            }
        };
        self.run.steps().filter_map(words).collect()
    }

    /// The forecast, unless what it said has passed: then nobody knows.
    fn forecast(&self) -> Option<Forecast> {
        self.report.forecast.filter(|forecast| forecast.p50 > self.now)
    }

    fn headline(&self) -> String {
        let at = |at: Time| of_day(at, self.now);
        let what = match regions(self.run) {
            Some((from, to)) => format!("from {from} to {to}"),
            None => format!("of {}", clean(&self.run.plan().name)),
        };
        match (self.report.present, self.report.rto.healthy_since) {
            (Present::Over(Outcome::Undone), _) => format!("What the recovery {what} did was taken back."),
            (Present::Over(Outcome::Failed), _) => {
                format!("The recovery {what} FAILED and stopped; service is not known to be back.")
            }
            (Present::Over(Outcome::Stopped), _) => {
                format!("The recovery {what} was stopped by a person; service is not known to be back.")
            }
            (Present::Over(Outcome::RecoveredWithExceptions), Some(back)) => {
                format!("Service is back since {}, with exceptions; the recovery {what} is over.", at(back))
            }
            (Present::Over(_), Some(back)) => {
                format!("Service is back since {}; the recovery {what} is over.", at(back))
            }
            (Present::Over(_), None) if !self.not_done().is_empty() => {
                let not_done = self.not_done().join(", ");
                format!(
                    "The recovery {what} is over, and not all is done: {not_done}. Nobody verified that service is back."
                )
            }
            (Present::Over(_), None) => {
                format!("The steps of the recovery {what} are done; nobody verified that service is back.")
            }
            (_, Some(back)) => format!("Service is back since {}; it is watched until it has stayed so.", at(back)),
            (present, None) => {
                let stands = match present {
                    Present::Held => "waits for people",
                    Present::Unfenced => "is done but for the fence of the old writer, which is tried each minute",
                    Present::Paused => "is paused",
                    Present::InDoubt => "waits: nobody knows what became of a step",
                    Present::Interrupted => "is interrupted: no controller runs",
                    Present::Undoing => "is being taken back",
                    Present::Running | Present::Over(_) => "is under way",
                };
                // Without a `verify` nobody will see whether service is back.
                let end = if self.run.verify.is_some() { "service is" } else { "the end of its steps is" };
                let expected = match self.forecast() {
                    Some(Forecast { p50, at_least: false, .. }) => format!("{end} expected at {}", at(p50)),
                    Some(Forecast { p50, .. }) => format!("{end} not expected before {}", at(p50)),
                    None => "when service is back is not known".into(),
                };
                format!("The recovery {what} {stands}; {expected}.")
            }
        }
    }

    fn rag(&self, course: Course) -> (Rag, Vec<String>) {
        let mut all: Vec<(Rag, String)> = Vec::new();
        match self.report.present {
            Present::Over(Outcome::Failed) => all.push((Rag::Red, "the recovery failed".into())),
            Present::Over(Outcome::Stopped) => all.push((Rag::Red, "the recovery was stopped".into())),
            Present::Over(Outcome::Undone) => all.push((Rag::Red, "the recovery was taken back".into())),
            Present::Over(Outcome::Unverified) => all.push((Rag::Amber, "nobody verified that service is back".into())),
            Present::Over(Outcome::RecoveredWithExceptions) => all.push((Rag::Amber, "there are exceptions".into())),
            Present::Over(Outcome::Recovered) | Present::Running => {}
            other => all.push((Rag::Amber, other.shout().to_lowercase())),
        }
        match course {
            Course::Late | Course::Missed => all.push((Rag::Red, course.words().into())),
            Course::AtRisk | Course::Unknown => all.push((Rag::Amber, course.words().into())),
            Course::OnTrack | Course::Met | Course::NoObjective => {}
        }
        if self.report.rpo.verdict == Verdict::Missed {
            all.push((Rag::Red, "more data is lost than the RPO allows".into()));
        }
        if self.run.unfenced().next().is_some() {
            all.push((Rag::Red, "the old writer is not fenced: when its region is back it may write".into()));
        }
        let asked = self.asking().count();
        if asked > 0 && self.report.present == Present::Running {
            all.push((
                Rag::Amber,
                if asked == 1 { "a question is open".into() } else { format!("{asked} questions are open") },
            ));
        }
        let rag = all.iter().map(|(rag, _)| *rag).max().unwrap_or(Rag::Green);
        (rag, all.into_iter().map(|(_, why)| why).collect())
    }

    fn roles(&self) -> Vec<(String, String)> {
        let roles = self.run.plan().roles.keys();
        roles.filter_map(|role| Some((words(role), clean(self.run.holder(role)?)))).collect()
    }

    fn clock(&self) -> ClockFacts {
        let opened = &self.run.opened;
        ClockFacts {
            incident_at: opened.incident_at,
            incident_assumed: opened.incident_assumed,
            declared: opened.declared_at.map(|at| (at, opened.declared_by.as_deref().map(clean))),
            elapsed: self.report.rto.healthy_since.unwrap_or(self.now).since(opened.incident_at),
            rto: self.run.plan().objectives.rto,
            back_at: self.report.rto.healthy_since,
            forecast: self.forecast().map(|it| (it.p50, it.p90, it.at_least)),
        }
    }

    /// What happened since the disaster was declared, without what was told of it.
    fn timeline(&self) -> Vec<Line> {
        let since = self.run.opened.declared_at;
        let lines = self.events.iter().zip(&self.report.story.timeline);
        let line = |(event, line): (&Event, &dr_engine::report::Line)| {
            let counts = since.is_none_or(|since| line.at >= since) || event.seq == 1;
            let weight = weight(&event.kind).filter(|_| counts)?;
            Some(Line { seq: line.seq, at: line.at, text: clean(&line.text), weight })
        };
        lines.filter_map(line).collect()
    }

    fn doing(&self) -> Vec<Doing> {
        let working = self.run.open.iter().filter_map(|at| {
            let plan = self.run.plan().step(*at);
            let (what, due) = match &self.run.step(*at).state {
                State::Running { since } => (clean(&plan.id), plan.estimate.map(|it| since.after(it.p50))),
                State::Undoing { since: Some(_) } => (format!("taking {} back", clean(&plan.id)), None),
                State::Backoff { until } => (format!("{}, tried again", clean(&plan.id)), Some(*until)),
                State::Owed { .. } if self.run.may_begin(*at) => {
                    (format!("{}, tried again each minute", clean(&plan.id)), None)
                }
                _ => return None,
            };
            Some(Doing { what, owner: owner(plan).into(), due })
        });
        let actions = self.report.story.notes.iter().filter_map(|note| {
            let Some(Learned::Action { owner, due }) = &note.learned else { return None };
            let by = due.as_ref().map_or(String::new(), |due| format!(", by {}", clean(due)));
            let owner = owner.as_deref().map_or("nobody yet".into(), clean);
            Some(Doing { what: format!("{}{by}", clean(&note.text)), owner, due: None })
        });
        working.chain(actions).collect()
    }

    fn asking(&self) -> impl Iterator<Item = (StepIx, &State)> {
        let open = self.run.open.iter().filter(|_| self.run.finished.is_none());
        open.map(|step| (*step, &self.run.step(*step).state)).filter(|(_, state)| matches!(state, State::Asking { .. }))
    }

    fn decisions(&self) -> Vec<Decision> {
        let decision = |(step, state): (StepIx, &State)| {
            let State::Asking { question, since, .. } = state else { return None };
            let roles: Vec<_> = question.roles.iter().map(|role| self.whoever_is(role)).collect();
            Some(Decision {
                what: clean(&question.text),
                who: if roles.is_empty() { "whoever is on call".into() } else { roles.join(", ") },
                since: *since,
                late_at: question.late_at,
                commands: question::commands(self.run, step, question),
            })
        };
        self.asking().filter_map(decision).collect()
    }

    fn whoever_is(&self, role: &str) -> String {
        match self.run.holder(role) {
            Some(name) => format!("{} ({})", clean(name), words(role)),
            None => words(role),
        }
    }

    fn lead(&self) -> Option<LeadFacts> {
        let asked_at = self.asked_lead_at?;
        let lead = self.run.holder("technical_lead");
        let role = self.run.plan().roles.get("technical_lead");
        let deputy = |name: &str| role.is_some_and(|role| role.deputies.iter().any(|deputy| deputy == name));
        // Whoever gave no name may be the lead: what was said is shown with the user's, and not lost.
        let lead = |name: Option<&str>| name.is_none_or(|name| Some(name) == lead || deputy(name));
        let by = |note: &&Note| note.at >= asked_at && lead(note.by.name.as_deref());
        Some(LeadFacts { asked_at, said: self.report.story.notes.iter().filter(by).map(said).collect() })
    }

    fn risks(&self) -> Vec<String> {
        let mut risks = Vec::new();
        if self.run.opened.incident_assumed {
            risks.push("Nobody said when the outage began: the RTO is counted from the start of the run.".to_owned());
        }
        if self.report.forecast.is_some_and(|it| !it.at_least) && self.forecast().is_none() {
            risks.push("What runs takes longer than was estimated: nobody knows when it is done.".into());
        } else if self.report.forecast.is_some_and(|it| it.at_least) {
            risks.push("The forecast is a lower bound: a step has no estimate, or people have to answer.".into());
        }
        for passed in self.report.story.passed.iter().filter(|passed| passed.which == "estimate") {
            let step = passed.step.as_deref().and_then(|step| self.run.plan().find(step));
            if let Some(step) = step.filter(|step| matches!(self.run.step(*step).state, State::Running { .. })) {
                risks.push(format!("{} takes longer than nine of ten times.", clean(&self.run.plan().step(step).id)));
            }
        }
        // What runs is not in doubt while its controller lives.
        let runs = |at: &StepIx| matches!(self.run.step(*at).state, State::Running { .. } | State::Undoing { .. });
        let doubtful = self.run.in_doubt().into_iter().filter(|at| !runs(at));
        risks
            .extend(doubtful.map(|at| format!("Nobody knows what became of {}.", clean(&self.run.plan().step(at).id))));
        risks.extend(self.silent.iter().cloned());
        risks
    }

    fn links(&self) -> Vec<(String, String)> {
        let comms = self.run.plan().comms.as_ref();
        let bridge = comms.and_then(|comms| comms.bridge.as_deref()).map(|bridge| ("Bridge".to_owned(), clean(bridge)));
        let slack = comms.and_then(|comms| comms.slack.as_ref()).map(|it| ("Slack".into(), clean(&it.channel)));
        let status = ("Status".into(), format!("dr status {}", self.run.opened.run));
        bridge.into_iter().chain(slack).chain([status]).collect()
    }
}

/// Whether the objective will be met, as far as that can be told.
fn course(run: &Run, report: &Report, now: Time) -> Course {
    let Some(rto) = run.plan().objectives.rto else { return Course::NoObjective };
    match report.rto.verdict {
        Verdict::Met => Course::Met,
        Verdict::Missed => Course::Missed,
        Verdict::Unknown | Verdict::NoObjective => course_of(report.forecast, run.opened.incident_at.after(rto), now),
    }
}

/// The same of a run whose service is not back.
pub(crate) fn course_of(forecast: Option<Forecast>, deadline: Time, now: Time) -> Course {
    match forecast {
        _ if now >= deadline => Course::Missed,
        // What will be later still is late for certain.
        Some(it) if it.p50 > deadline => Course::Late,
        Some(it) if it.at_least => Course::Unknown,
        Some(it) if it.p90 > deadline => Course::AtRisk,
        Some(_) => Course::OnTrack,
        None => Course::Unknown,
    }
}

/// The first phase of which something is left to do.
pub(crate) fn phase(run: &Run) -> Option<&str> {
    let left =
        |(at, step): &(StepIx, &StepRun)| !run.satisfied(*at) && !run.at_rest(*at) && step.state != State::Undone;
    let of = |name: Option<&String>| {
        let name = name.cloned();
        run.steps().filter(left).filter(move |(at, _)| run.plan().step(*at).phase == name)
    };
    let begun = |name: &str| of(Some(&name.to_owned())).any(|(_, step)| step.state != State::Waiting);
    let first = run.plan().phases.iter().find(|name| of(Some(name)).next().is_some())?;
    // A phase that waits for steps of no phase has not come yet.
    (of(None).next().is_none() || begun(first)).then_some(first.as_str())
}

fn regions(run: &Run) -> Option<(String, String)> {
    let region = |name| run.plan().regions.get(name).map(|region| clean(region));
    region("primary").zip(region("recovery"))
}

fn words(role: &str) -> String {
    clean(role).replace('_', " ")
}

fn owner(step: &PlanStep) -> &'static str {
    if step.kind == "manual" { "a person" } else { "automated" }
}

fn said(note: &Note) -> Said {
    Said { at: note.at, by: name(&note.by), text: clean(&note.text) }
}

fn name(by: &Person) -> String {
    clean(by.name.as_deref().unwrap_or(&by.user))
}

fn store_facts(store: &Store, incident_at: Time) -> StoreFacts {
    let later = store.recovery_point.as_ref().is_some_and(|point| point.at > incident_at);
    let lost = match &store.loss {
        _ if later => "nothing (a later point)".into(),
        Measure::Known(Dur(0)) => "nothing".into(),
        Measure::Known(dur) => brief(*dur),
        Measure::Unknown { why } => format!("unknown: {}", clean(why)),
        Measure::NotRecorded => "not recorded".into(),
    };
    let lost = match &store.late {
        Some(Measure::Known(Dur(0))) | None => lost,
        Some(Measure::Known(late)) => format!("{lost}, and up to {} from the outage to its fence", brief(*late)),
        Some(_) => format!("{lost}, and from the outage on an unknown time: not fenced"),
    };
    StoreFacts { step: clean(&store.step), lost, allowed: store.objective, verdict: store.verdict.word().into() }
}

/// How much an event matters to somebody who was not there; `None` for what only tells of telling.
pub(crate) fn weight(kind: &Kind) -> Option<u8> {
    Some(match kind {
        Kind::Told { .. } | Kind::Worded { .. } => return None,
        Kind::Opened(_) | Kind::Finished { .. } | Kind::Reopened { .. } | Kind::UndoAsked { .. } => 9,
        Kind::Failed { .. } | Kind::InDoubt { .. } | Kind::UndoFailed { .. } => 8,
        Kind::Asked { .. }
        | Kind::Answered { .. }
        | Kind::DeadlinePassed { .. }
        | Kind::Affected { .. }
        | Kind::RoleSet { .. }
        | Kind::ClockSet { .. }
        | Kind::Noted { help_wanted: true, .. } => 7,
        Kind::Succeeded { output, .. } if output.recovery_point.is_some() => 6,
        Kind::Bypassed { .. } | Kind::Skipped { .. } | Kind::Paused { .. } | Kind::Continued { .. } => 6,
        Kind::Joined(controller) if controller.why.as_deref() == Some(ADDS) => 0,
        Kind::CancelAsked { .. } | Kind::Joined(_) => 5,
        Kind::Noted { .. } | Kind::Amended { .. } => 4,
        Kind::Succeeded { .. } | Kind::UndoDone { .. } => 3,
        Kind::AttemptFailed { .. } => 2,
        Kind::Started { .. } | Kind::Recorded { .. } | Kind::UndoStarted { .. } => 0,
    })
}
