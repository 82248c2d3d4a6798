//! The report for people: the first ten lines for whoever is frightened, the
//! rest for whoever audits. Readable at 80 columns without a renderer.

use super::{
    Measure, Report, StepStory, Store, Verdict,
    story::Asked,
    text::{brief, clean, clipped, escaped, of_day, offset, seconds, stamp, table, who, wrapped},
    timeline::{failure, kind_word},
};
use crate::{clock::Time, duration::Dur};
use std::fmt::Write;

impl StepStory {
    /// From its first attempt to its end.
    pub fn took(&self) -> Option<Dur> {
        self.ended.zip(self.started).map(|(ended, started)| ended.since(started))
    }
}

impl Report {
    /// The report for people.
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}\n\n", escaped(&self.headline));
        for line in self.summary() {
            text.push_str(&bullet(&line));
        }
        let story = &self.story;
        let sections = [
            ("Clock", self.moments()),
            ("Where the time went", self.where_the_time_went()),
            ("Data loss", self.stores()),
            ("Timeline", self.timeline()),
            ("Steps", self.steps()),
            ("Questions and answers", story.questions.iter().map(|asked| bullet(&question(asked))).collect()),
            ("Deviations from the plan", self.deviations()),
            ("Requests for help", self.notes(true)),
            ("Notes", self.notes(false)),
            ("Integrity", self.record()),
        ];
        for (title, body) in sections {
            // No store is no measurement: "none" would read as nothing lost.
            let nothing = if title == "Data loss" { "Not measured: no step brought data back.\n" } else { "None.\n" };
            let body = if body.is_empty() { nothing } else { &body };
            write!(text, "\n## {title}\n\n{body}").expect("writing to a String");
        }
        text
    }

    /// What matters first.
    fn summary(&self) -> Vec<String> {
        let mut lines = vec![self.rto_line(), self.rpo_line()];
        let open: Vec<_> =
            self.open_questions().map(|asked| format!("`{}`: {}", asked.step, escaped(&asked.text))).collect();
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
        let (kind, mode, by) =
            (kind_word(self.opened.kind).to_uppercase(), plan.mode.word(), escaped(&who(&self.opened.by)));
        lines.push(format!("{kind} run `{}`, {mode}{regions}{accounts}, started by {by}.", self.opened.run));
        lines
    }

    fn rto_line(&self) -> String {
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
                format!("{word}: {}", escaped(unknown.why().unwrap_or_default()))
            }
        };
        let end = self.moments.last_step_end.filter(|_| rto.actual.known().is_none());
        let end = end.map_or(String::new(), |end| {
            format!("; the last step ended {} after the incident", seconds(end.since(self.opened.incident_at)))
        });
        format!("{line}{end}{assumed}.")
    }

    fn rpo_line(&self) -> String {
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

    fn moments(&self) -> String {
        let (opened, moments) = (&self.opened, &self.moments);
        let incident = if opened.incident_assumed { "Outage began (assumed)" } else { "Outage began" };
        let declared =
            opened.declared_by.as_deref().map_or("Declared".into(), |by| format!("Declared by {}", escaped(by)));
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
            Some(at) => vec![name, stamp(at), offset(at, opened.incident_at)],
            None => vec![name, "not recorded".into(), String::new()],
        };
        table(&["Moment", "UTC", "After the incident"], &rows.map(row))
    }

    fn where_the_time_went(&self) -> String {
        let Some(split) = &self.split else {
            return "Not known: by the clocks the incident began after the end.\n".into();
        };
        let known = Measure::Known;
        let mut rows = vec![("Detect", split.detect.clone()), ("Decide", split.decide.clone())];
        if split.before.known().is_some() && split.decide.known().is_none() {
            rows.push(("Detect and decide", split.before.clone()));
        }
        rows.extend([
            ("People", known(split.people)),
            ("Provider", known(split.provider)),
            ("Execute", known(split.execute)),
            ("Verify", split.verify.clone()),
        ]);
        if let Some(actual) = self.rto.actual.known() {
            rows.push(("= RTO actual", known(actual)));
        }
        rows.extend([("Hold", split.hold.clone()), ("= Elapsed", known(split.elapsed))]);
        let rows: Vec<_> = rows.iter().map(|(name, part)| vec![(*name).to_owned(), measure(part)]).collect();
        let path: Vec<_> = self.path.iter().map(|id| format!("`{id}`")).collect();
        let path = if path.is_empty() {
            String::new()
        } else {
            wrapped(&format!("\nCritical path: {}.", path.join(" → ")), 0) + "\n"
        };
        table(&["Part", "Time"], &rows) + &path
    }

    fn stores(&self) -> String {
        if self.rpo.stores.is_empty() {
            return String::new();
        }
        let rows = self.rpo.stores.iter().map(|store| {
            let point = store.recovery_point.as_ref();
            vec![
                store.step.clone(),
                lost(store, self.opened.incident_at),
                store.objective.map_or("none".into(), |objective| objective.to_string()),
                store.verdict.word().replace('_', " "),
                point.map_or("unknown".into(), |point| stamp(point.at)),
                point.map_or(String::new(), |point| escaped(&point.source)),
            ]
        });
        table(&["Store", "Lost", "Allowed", "Verdict", "Data up to", "Read from"], &rows.collect::<Vec<_>>())
    }

    /// In a code block: every line begins with a time, so that no text can end the block.
    fn timeline(&self) -> String {
        let mut text = String::from("```text\n");
        for line in &self.story.timeline {
            let after = offset(line.at, self.opened.incident_at);
            let line = wrapped(&format!("{} {after:>9}  {}", of_day(line.at), line.text), 20);
            writeln!(text, "{line}").expect("writing to a String");
        }
        text + "```\n"
    }

    fn steps(&self) -> String {
        let row = |it: &StepStory| {
            let started = it.started.map_or(String::new(), |at| offset(at, self.opened.incident_at));
            let found = if it.found == Some(true) { " (found so)" } else { "" };
            vec![
                format!("{}{}", if it.on_path { "*" } else { " " }, it.id),
                format!("{}{found}", it.state.replace('_', " ")),
                started,
                it.took().map_or(String::new(), seconds),
                it.planned.map_or(String::new(), |planned| brief(planned.p50)),
                it.attempts.to_string(),
            ]
        };
        let rows: Vec<_> = self.story.steps.iter().map(row).collect();
        let mut text = table(&["Step", "State", "Started", "Took", "Planned", "Tries"], &rows);
        text.push_str("\n`*`: the run waited for it.\n");
        let errors = self.story.steps.iter().flat_map(|it| it.errors.iter().map(move |error| (it, error)));
        for (at, (it, error)) in errors.enumerate() {
            text.push_str(if at == 0 { "\n" } else { "" });
            let line = format!(
                "`{}` attempt {} {}: {}",
                it.id,
                error.attempt,
                error.word.replace('_', " "),
                escaped(&failure(&error.failure))
            );
            text.push_str(&bullet(&line));
        }
        text
    }

    fn deviations(&self) -> String {
        let line = |it: &super::Deviation| {
            let step = it.step.as_ref().map_or(String::new(), |id| format!(" `{id}`"));
            let by = it.by.as_ref().map_or(String::new(), |by| format!(", by {}", escaped(&who(by))));
            let why = if it.why.is_empty() { String::new() } else { format!(": {}", escaped(&clipped(&it.why))) };
            bullet(&format!("{}{step} {}{by}{why}", of_day(it.at), escaped(&it.what)))
        };
        self.story.deviations.iter().map(line).collect()
    }

    fn notes(&self, help_wanted: bool) -> String {
        let notes = self.story.notes.iter().filter(|note| note.help_wanted == help_wanted);
        notes.map(|it| bullet(&format!("{} {}: {}", of_day(it.at), escaped(&who(&it.by)), escaped(&it.text)))).collect()
    }

    fn record(&self) -> String {
        let chain = match self.integrity.chain_ok {
            Some(true) => "The hash chain holds.",
            Some(false) => "THE HASH CHAIN IS BROKEN: do not rely on this report.",
            None => "The hash chain was not looked at.",
        };
        let controllers = self.story.controllers.iter().map(|(at, it)| {
            let why = it.why.as_deref().map_or(String::new(), |why| format!(", took over: {}", escaped(why)));
            bullet(&format!(
                "{} controller {} with dr {}, epoch {}{why}",
                of_day(*at),
                escaped(&it.host),
                escaped(&it.version),
                it.epoch
            ))
        });
        let lines = [
            bullet(&format!("{chain} {} events.", self.integrity.events)),
            bullet(&format!("Head `{}`.", clean(&self.integrity.head))),
            bullet(&format!("Plan `{}`.", self.plan_hash)),
            bullet(&format!("Written at {}.", stamp(self.written_at))),
            bullet("Names of people are as claimed: there is no sign-in."),
        ];
        lines.into_iter().chain(controllers).collect()
    }
}

fn measure(measure: &Measure) -> String {
    match measure {
        Measure::Known(dur) => dur.to_string(),
        Measure::Unknown { why } => format!("unknown: {}", escaped(why)),
        Measure::NotRecorded => "not recorded".into(),
    }
}

/// A point after the incident is shown as such: nothing was lost, and that is no guess.
fn lost(store: &Store, incident_at: Time) -> String {
    let later = store.recovery_point.as_ref().is_some_and(|point| point.at > incident_at);
    if later { "0s (a later point)".into() } else { measure(&store.loss) }
}

fn question(asked: &Asked) -> String {
    let mut text = format!("{} `{}` {}: {}", of_day(asked.asked_at), asked.step, asked.about, escaped(&asked.text));
    for answer in &asked.answers {
        let why = if answer.why.is_empty() { String::new() } else { format!(" ({})", escaped(&answer.why)) };
        let (at, who) = (of_day(answer.at), escaped(&who(&answer.by)));
        write!(text, " — {at} {who}: {}{why}", answer.word).expect("writing to a String");
    }
    let late = if asked.late { ", late" } else { "" };
    let open = if asked.settled_at.is_none() { "still open after" } else { "settled after" };
    format!("{text} — {open} {}{late}", seconds(asked.waited))
}

fn bullet(line: &str) -> String {
    wrapped(&format!("- {}", line.trim_start()), 2) + "\n"
}
