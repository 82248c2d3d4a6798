//! The sentences of a report: the same in every form that it takes. Plain
//! text; what is code stands between backticks.

use super::{
    Asked, Deviation, Measure, Report, StepStory, Store, Verdict,
    text::{brief, clean, clipped, of_day, offset, seconds, stamp, who},
};
use crate::{clock::Time, duration::Dur, outcome::Learned};
use std::fmt::Write;

impl Report {
    /// What matters first.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut lines = vec![self.rto_line(), self.rpo_line()];
        lines.extend(self.rpo.stores.iter().filter_map(taken_on));
        let open: Vec<_> =
            self.open_questions().map(|asked| format!("`{}`: {}", asked.step, clean(&asked.text))).collect();
        if !open.is_empty() {
            lines.push(format!("Waiting for an answer: {}", open.join("; ")));
        }
        if let Some(forecast) = self.forecast {
            let (p50, p90) = (of_day(forecast.p50), of_day(forecast.p90));
            lines.push(if forecast.at_least {
                format!("Not before {p50} UTC, by the estimates: a step has none, or a person has to act.")
            } else {
                format!("Expected at {p50} UTC, nine times of ten by {p90}, by the estimates.")
            });
        }
        lines.push(match self.story.deviations.len() {
            0 if !self.present.is_over() => "So far everything went by the plan.".into(),
            0 => "Everything went by the plan.".into(),
            1 => "1 deviation from the plan, told below.".into(),
            many => format!("{many} deviations from the plan, told below."),
        });
        let plan = &self.opened.plan;
        let region = |name| plan.regions.get(name).map(|region| clean(region));
        let regions =
            region("primary").zip(region("recovery")).map_or(String::new(), |(from, to)| format!(", {from} to {to}"));
        let accounts: Vec<_> =
            plan.accounts.iter().map(|(name, it)| format!("{} ({})", clean(name), clean(&it.id))).collect();
        let accounts = if accounts.is_empty() { String::new() } else { format!(", account {}", accounts.join(", ")) };
        let (kind, mode, by) = (self.opened.kind.word().to_uppercase(), plan.mode.word(), who(&self.opened.by));
        lines.push(format!("{kind} run `{}`, {mode}{regions}{accounts}, started by {by}.", self.opened.run));
        lines
    }

    pub(super) fn rto_line(&self) -> String {
        let rto = &self.rto;
        let assumed = if self.opened.incident_assumed {
            " (nobody said when the outage began: the start of the run stands in)"
        } else {
            ""
        };
        let line = match (&rto.actual, rto.objective) {
            (Measure::Known(actual), Some(objective)) if rto.verdict == Verdict::Met => {
                let spare = Dur(objective.0 - actual.0);
                format!(
                    "RTO met: healthy {} after the incident, {} before the limit of {objective}",
                    seconds(*actual),
                    seconds(spare)
                )
            }
            (Measure::Known(actual), Some(objective)) => {
                let over = Dur(actual.0 - objective.0);
                format!(
                    "RTO MISSED: healthy {} after the incident, {} beyond the limit of {objective}",
                    seconds(*actual),
                    seconds(over)
                )
            }
            (Measure::Known(actual), None) => {
                format!("Healthy {} after the incident; the runbook sets no RTO", seconds(*actual))
            }
            (unknown, _) => {
                let word = if rto.verdict == Verdict::Missed {
                    "RTO MISSED, by how much is not known yet"
                } else {
                    "RTO unknown"
                };
                format!("{word}: {}", clean(unknown.why().unwrap_or_default()))
            }
        };
        let end = self.moments.last_step_end.filter(|_| rto.actual.known().is_none());
        let end = end.map_or(String::new(), |end| {
            format!("; the last step ended {} after the incident", seconds(end.since(self.opened.incident_at)))
        });
        format!("{line}{end}{assumed}.")
    }

    pub(super) fn rpo_line(&self) -> String {
        let rpo = &self.rpo;
        let word = match rpo.verdict {
            Verdict::Met => "RPO met",
            Verdict::Missed => "RPO MISSED",
            Verdict::Unknown => "RPO unknown",
            Verdict::NoObjective => "The runbook sets no RPO",
        };
        let worst = rpo.worst_store().map(|(store, loss)| {
            let objective = store.objective.map_or(String::new(), |objective| format!(", of {objective} allowed"));
            format!("at worst {} lost (`{}`){objective}", seconds(loss), store.step)
        });
        match (worst, rpo.worst.why()) {
            (Some(worst), None) => format!("{word}: {worst}."),
            (Some(worst), Some(why)) => format!("{word}: {worst}; {why}."),
            (None, why) => format!("{word}: {}.", why.unwrap_or_default()),
        }
    }

    /// The moments that count: their names, in UTC, and after the incident.
    pub(super) fn moment_rows(&self) -> Vec<[String; 3]> {
        let (opened, moments) = (&self.opened, &self.moments);
        let incident = if opened.incident_assumed { "Outage began (assumed)" } else { "Outage began" };
        let declared =
            opened.declared_by.as_deref().map_or("Declared".into(), |by| format!("Declared by {}", clean(by)));
        let rows = [
            (incident.to_owned(), Some(opened.incident_at)),
            ("Detected".into(), opened.detected_at),
            (declared, opened.declared_at),
            ("Run opened".into(), Some(moments.opened_at)),
            ("Service healthy since".into(), moments.healthy_since),
            ("Watched until".into(), moments.held_until),
            ("End of last step".into(), moments.last_step_end),
            ("Run finished".into(), moments.finished_at),
        ];
        let row = |(name, at): (String, Option<Time>)| match at {
            Some(at) => [name, stamp(at), offset(at, opened.incident_at)],
            None => [name, "not recorded".into(), String::new()],
        };
        rows.map(row).into()
    }

    /// Where the time went, if the clocks allow it to be said.
    pub(super) fn parts(&self) -> Option<Vec<(&'static str, Measure)>> {
        let split = self.split.as_ref()?;
        let known = Measure::Known;
        let mut parts = vec![("Detect", split.detect.clone()), ("Decide", split.decide.clone())];
        if split.before.known().is_some() && split.decide.known().is_none() {
            parts.push(("Detect and decide", split.before.clone()));
        }
        parts.extend([
            ("People", known(split.people)),
            ("Provider", known(split.provider)),
            ("Execute", known(split.execute)),
            ("Verify", split.verify.clone()),
        ]);
        if let Some(actual) = self.rto.actual.known() {
            parts.push(("= RTO actual", known(actual)));
        }
        parts.extend([("Hold", split.hold.clone()), ("= Elapsed", known(split.elapsed))]);
        Some(parts)
    }

    pub(super) fn path_line(&self) -> Option<String> {
        let path: Vec<_> = self.path.iter().map(|id| format!("`{id}`")).collect();
        (!path.is_empty()).then(|| format!("Critical path: {}.", path.join(" → ")))
    }

    /// Store by store, under [`STORE_HEAD`].
    pub(super) fn store_rows(&self) -> Vec<[String; 6]> {
        let row = |store: &Store| {
            let point = store.recovery_point.as_ref();
            [
                store.step.clone(),
                lost(store, self.opened.incident_at),
                store.objective.map_or("none".into(), |objective| objective.to_string()),
                store.verdict.word().replace('_', " "),
                point.map_or("unknown".into(), |point| stamp(point.at)),
                point.map_or(String::new(), |point| clean(&point.source)),
            ]
        };
        self.rpo.stores.iter().map(row).collect()
    }

    /// Step by step, under [`STEP_HEAD`].
    pub(super) fn step_rows(&self) -> Vec<[String; 6]> {
        let row = |it: &StepStory| {
            let started = it.started.map_or(String::new(), |at| offset(at, self.opened.incident_at));
            let found = if it.found == Some(true) { " (found so)" } else { "" };
            [
                format!("{}{}", if it.on_path { "*" } else { " " }, it.id),
                format!("{}{found}", it.state.replace('_', " ")),
                started,
                it.took().map_or(String::new(), seconds),
                it.planned.map_or(String::new(), |planned| brief(planned.p50)),
                it.attempts.to_string(),
            ]
        };
        self.story.steps.iter().map(row).collect()
    }

    pub(super) fn deviation_lines(&self) -> Vec<String> {
        let line = |it: &Deviation| {
            let step = it.step.as_ref().map_or(String::new(), |id| format!(" `{id}`"));
            let by = it.by.as_ref().map_or(String::new(), |by| format!(", by {}", who(by)));
            let why = if it.why.is_empty() { String::new() } else { format!(": {}", clipped(&it.why)) };
            format!("{}{step} {}{by}{why}", of_day(it.at), clean(&it.what))
        };
        self.story.deviations.iter().map(line).collect()
    }

    /// What was learned, with what is to be done first.
    pub(super) fn learned_lines(&self) -> Vec<String> {
        let mut lines: Vec<(bool, String)> = Vec::new();
        for it in &self.story.notes {
            let line = match &it.learned {
                Some(Learned::Lesson) => format!("Lesson: {}", clean(&it.text)),
                Some(Learned::Action { owner, due }) => {
                    let owner = owner.as_deref().map_or("nobody yet".into(), clean);
                    let due = due.as_deref().map_or(String::new(), |due| format!(", by {}", clean(due)));
                    format!("To do: {} — {owner}{due}", clean(&it.text))
                }
                None => continue,
            };
            lines.push((it.learned == Some(Learned::Lesson), line));
        }
        lines.sort_by_key(|(lesson, _)| *lesson);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    pub(super) fn note_lines(&self, help_wanted: bool) -> Vec<String> {
        let notes = self.story.notes.iter();
        let notes = notes.filter(|note| note.help_wanted == help_wanted && note.learned.is_none());
        notes.map(|it| format!("{} {}: {}", of_day(it.at), who(&it.by), clean(&it.text))).collect()
    }

    /// Whether the record is whole, and who wrote it.
    pub(super) fn record_lines(&self) -> Vec<String> {
        let chain = match self.integrity.chain_ok {
            Some(true) => "The hash chain holds.",
            Some(false) => "THE HASH CHAIN IS BROKEN: do not rely on this report.",
            None => "The hash chain was not looked at.",
        };
        let controllers = self.story.controllers.iter().map(|(at, it)| {
            let why = it.why.as_deref().map_or(String::new(), |why| format!(", took over: {}", clean(why)));
            let (host, version) = (clean(&it.host), clean(&it.version));
            format!("{} controller {host} with dr {version}, epoch {}{why}", of_day(*at), it.epoch)
        });
        let lines = [
            format!("{chain} {} events.", self.integrity.events),
            format!("Head `{}`.", clean(&self.integrity.head)),
            format!("Plan `{}`.", self.plan_hash),
            format!("Written at {}.", stamp(self.written_at)),
            "Names of people are as claimed: there is no sign-in.".into(),
        ];
        lines.into_iter().chain(controllers).collect()
    }
}

/// What stands in place of the split when there is none.
pub(super) const NO_SPLIT: &str = "Not known: by the clocks the incident began after the end.";
/// The columns of the table of stores.
pub(super) const STORE_HEAD: [&str; 6] = ["Store", "Lost", "Allowed", "Verdict", "Data up to", "Read from"];
/// The columns of the table of steps.
pub(super) const STEP_HEAD: [&str; 6] = ["Step", "State", "Started", "Took", "Planned", "Tries"];

pub(super) fn measure(measure: &Measure) -> String {
    match measure {
        Measure::Known(dur) => dur.to_string(),
        Measure::Unknown { why } => format!("unknown: {}", clean(why)),
        Measure::NotRecorded => "not recorded".into(),
    }
}

/// A point after the incident is shown as such: of what was written before, nothing was lost, and that is no guess.
pub(super) fn lost(store: &Store, incident_at: Time) -> String {
    let later = store.recovery_point.as_ref().is_some_and(|point| point.at > incident_at);
    let lost = if later { "0s (a later point)".into() } else { measure(&store.loss) };
    match &store.late {
        Some(Measure::Known(Dur(0))) | None => lost,
        Some(Measure::Known(late)) => format!("{lost}; after the outage began up to {}", seconds(*late)),
        Some(_) => format!("{lost}; after the outage began unknown"),
    }
}

/// What is lost beside what an RPO counts, and who took the loss on.
fn taken_on(store: &Store) -> Option<String> {
    let late = match store.late.as_ref() {
        Some(Measure::Known(Dur(0))) | None => None,
        Some(Measure::Known(late)) => Some(format!(
            "also lost what its old writer took after the outage began, until its fence stood: up to {}",
            seconds(*late)
        )),
        Some(unknown) => Some(format!(
            "also lost what its old writer took after the outage began; up to when is unknown: {}",
            unknown.why().unwrap_or_default()
        )),
    };
    let by: Vec<_> = store.acknowledged_by.iter().map(|name| clean(name)).collect();
    let by = if by.is_empty() { None } else { Some(format!("the loss was taken on by {}", by.join(", "))) };
    let two = store.two_writers.as_ref().map(|two| match two.known() {
        Some(span) => format!("TWO COULD WRITE for {} or more, until its fence stood", seconds(span)),
        None => format!("TWO MAY WRITE {}", two.why().unwrap_or_default()),
    });
    let what: Vec<_> = two.into_iter().chain(late).chain(by).collect();
    (!what.is_empty()).then(|| format!("`{}`: {}.", store.step, what.join("; ")))
}

pub(super) fn question(asked: &Asked) -> String {
    let mut text = format!("{} `{}` {}: {}", of_day(asked.asked_at), asked.step, asked.about, clean(&asked.text));
    for answer in &asked.answers {
        let why = if answer.why.is_empty() { String::new() } else { format!(" ({})", clean(&answer.why)) };
        let (at, who) = (of_day(answer.at), clean(&who(&answer.by)));
        write!(text, " — {at} {who}: {}{why}", answer.word).expect("writing to a String");
    }
    let late = if asked.late { ", late" } else { "" };
    let open = if asked.settled_at.is_none() { "still open after" } else { "settled after" };
    format!("{text} — {open} {}{late}", seconds(asked.waited))
}
