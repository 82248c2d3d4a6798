//! An update as plain text: what stands in a mail, and is read on a telephone.

use super::{Doing, Line, Said, Update};
use dr_engine::{clock::Time, duration::Dur, report::brief};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The title of the part that comes first.
const HEADLINE: &str = "Headline";
/// The title of the part that promises the next update.
pub(crate) const NEXT: &str = "Next update";
/// How the line begins that says why an update is made.
pub(crate) const WHY: &str = "Why now: ";

/// A titled part of an update: what every channel shows in its own form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its title; may be empty.
    pub title: String,
    /// Its lines.
    pub lines: Vec<String>,
}

impl Update {
    /// Behind the mark and the runbook's name: `update 3, 14:00 UTC — AMBER: on track for the RTO`.
    pub fn subject(&self) -> String {
        let regions = self.regions.as_ref().map_or(String::new(), |(from, to)| format!("{from} to {to}, "));
        let (rag, course) = (self.rag.word(), self.course.words());
        let because = self.rag_why.first().filter(|why| *why != course).map_or(String::new(), |why| format!("{why}; "));
        format!("{regions}update {}, {} — {rag}: {because}{course}", self.number, of_day(self.made_at, self.made_at))
    }

    /// Who stands behind it.
    pub fn signed(&self) -> String {
        match &self.approved_by {
            Some(name) => format!("Sent by {name}."),
            None => match &self.words {
                Some(words) => {
                    format!("AUTO: sent without anybody's review; the words above the facts are {}'s.", words.by)
                }
                None => "AUTO: facts only, sent without anybody's review.".into(),
            },
        }
    }

    /// From which place of the journal it was made.
    pub fn provenance(&self) -> String {
        format!("From event {} of the journal, {}, chain {}.", self.seq, stamp(self.made_at), self.head)
    }

    /// Everything, part by part, in the order in which it is read. Of the
    /// timeline the most important `timeline_max` lines.
    ///
    /// Where the runbook has a template of its own, that says what stands
    /// between the headline and the next update, and nothing else.
    pub fn sections(&self, timeline_max: usize) -> Vec<Section> {
        let usual = self.usual(timeline_max);
        let Some(parts) = &self.parts else { return usual };
        let (mut all, mut next) = (Vec::new(), Vec::new());
        for part in usual {
            match part.title.as_str() {
                HEADLINE => all.push(part),
                NEXT => next.push(part),
                _ => {}
            }
        }
        all.into_iter().chain(parts.iter().cloned()).chain(next).collect()
    }

    /// The usual parts.
    pub(crate) fn usual(&self, timeline_max: usize) -> Vec<Section> {
        let section = |title: &str, lines| Section { title: title.to_owned(), lines };
        let none = |lines: Vec<String>, none: &str| if lines.is_empty() { vec![none.to_owned()] } else { lines };
        let at = |at: Time| of_day(at, self.made_at);
        let mut all = vec![section(HEADLINE, self.headline_lines()), section("Status", self.status_lines())];
        let impact = self.impact.as_ref().map(|it| {
            let back =
                if self.clock.back_at.is_some_and(|back| back > it.at) { ", before service was back" } else { "" };
            format!("{} ({}, {}{back})", it.text, it.by, at(it.at))
        });
        let impact =
            impact.unwrap_or_else(|| "Unknown: nobody has said what users notice (dr note RUN --impact TEXT).".into());
        all.push(section("Impact", vec![impact]));
        all.push(section("Clock", self.clock_lines()));
        all.push(section("Data", none(self.store_lines(), "No store has been brought back yet.")));
        let since: Vec<_> = self.since_last.iter().filter(|line| line.weight > 0).cloned().collect();
        all.push(section("Since the last update", none(self.told(&since, timeline_max), "Nothing new.")));
        all.push(section("Now", none(self.doing.iter().map(|it| self.doing_line(it)).collect(), "Nothing runs.")));
        all.push(section("Decisions wanted", none(self.decision_lines(), "None.")));
        all.push(section("Help wanted", none(self.help.iter().map(|it| self.said(it)).collect(), "None asked for.")));
        if let Some(lead) = &self.lead {
            let said = lead.said.iter().map(|it| self.said(it)).collect();
            let nobody = format!("Asked at {}; no answer.", at(lead.asked_at));
            all.push(section("From the technical lead", none(said, &nobody)));
        }
        all.push(section("Risks", none(self.risks.clone(), "None known.")));
        let next = match self.next_at {
            Some(next) => format!("{}, or sooner if phase, impact or forecast change.", at(next)),
            None if self.over => "None: the run is over.".into(),
            None => "Not known: nobody drives the recovery. It comes when somebody goes on with it (dr resume).".into(),
        };
        all.push(section(NEXT, vec![next]));
        all.push(section("Timeline", self.told(&self.timeline, timeline_max)));
        all.push(section("Links", self.links.iter().map(|(name, link)| format!("{name}: {link}")).collect()));
        all
    }

    /// The whole as plain text. Of the timeline the most important `timeline_max` lines.
    pub fn to_text(&self, timeline_max: usize) -> String {
        let mut text = String::new();
        for section in self.sections(timeline_max) {
            writeln!(text, "{}", section.title.to_uppercase()).expect("a text takes all");
            section.lines.iter().for_each(|line| writeln!(text, "  {line}").expect("a text takes all"));
            text.push('\n');
        }
        writeln!(text, "{}\n{}", self.signed(), self.provenance()).expect("a text takes all");
        text
    }

    /// Fits a short message: where it stands, and the next one.
    pub fn to_short(&self) -> String {
        let next = self.next_at.map_or(String::new(), |next| format!(" Next {}.", of_day(next, self.made_at)));
        format!("{}: {}{next}", self.rag.word(), self.headline)
    }

    fn headline_lines(&self) -> Vec<String> {
        let words = self.words.as_ref().map(|words| format!("{}: {}", words.by, words.text));
        words.into_iter().chain([self.headline.clone()]).collect()
    }

    fn status_lines(&self) -> Vec<String> {
        let before = match self.rag_before {
            Some(before) if before != self.rag => format!(" (was {})", before.word()),
            _ => String::new(),
        };
        let because = if self.rag_why.is_empty() { String::new() } else { format!(": {}", self.rag_why.join("; ")) };
        let phase = self.phase.as_ref().map_or(String::new(), |phase| format!("Phase {phase}; "));
        let roles: Vec<_> = self.roles.iter().map(|(role, name)| format!("{role} {name}")).collect();
        let mut lines = vec![
            format!("{}{before}{because}", self.rag.word()),
            format!("{phase}{} of {} steps done", self.done.0, self.done.1),
        ];
        lines.extend((!self.not_done.is_empty()).then(|| format!("NOT done: {}", self.not_done.join("; "))));
        lines.extend((!roles.is_empty()).then(|| roles.join(" · ")));
        lines.push(format!("{WHY}{}", self.why.join("; ")));
        lines
    }

    fn clock_lines(&self) -> Vec<String> {
        let clock = &self.clock;
        let at = |at: Time| of_day(at, self.made_at);
        let assumed = if clock.incident_assumed { " (assumed: nobody said)" } else { "" };
        let declared = match &clock.declared {
            Some((moment, Some(by))) => format!("declared {} by {by}", at(*moment)),
            Some((moment, None)) => format!("declared {}", at(*moment)),
            None => "when it was declared is not recorded".into(),
        };
        let mut lines = vec![format!("Outage began {}{assumed}; {declared}", at(clock.incident_at))];
        let limit = match (clock.rto, clock.deadline()) {
            (Some(rto), Some(deadline)) => format!("RTO {rto} ends {}", at(deadline)),
            _ => "no RTO is set".into(),
        };
        lines.push(match clock.back_at {
            Some(back) => format!("Service back {} after {}; {limit}", at(back), brief(clock.elapsed)),
            None => format!("Elapsed {}; {limit}", brief(clock.elapsed)),
        });
        if clock.back_at.is_none() {
            lines.push(match clock.forecast {
                Some((p50, _, true)) => format!("Forecast: not before {}; when is not known", at(p50)),
                Some((p50, p90, false)) => format!("Forecast {}, nine times of ten by {}", at(p50), at(p90)),
                None => "Forecast unknown".into(),
            });
        }
        lines.push(match clock.margin() {
            Some(margin) if margin < Dur(0) => format!("Too late by {}", brief(Dur(-margin.0))),
            Some(margin) => format!("Margin {}", brief(margin)),
            None => "Margin unknown".into(),
        });
        lines
    }

    fn store_lines(&self) -> Vec<String> {
        let line = |store: &super::StoreFacts| {
            let allowed = store.allowed.map_or("no RPO set".into(), |allowed| format!("RPO {allowed}"));
            format!("{}: lost {}; {allowed}, {}", store.step, store.lost, store.verdict.replace('_', " "))
        };
        self.stores.iter().map(line).collect()
    }

    fn doing_line(&self, doing: &Doing) -> String {
        let due = doing.due.map_or("end not estimated".into(), |due| format!("due {}", of_day(due, self.made_at)));
        format!("{} — {}, {due}", doing.what, doing.owner)
    }

    fn decision_lines(&self) -> Vec<String> {
        let at = |at: Time| of_day(at, self.made_at);
        let lines = |it: &super::Decision| {
            let late = it.late_at.map_or(String::new(), |late| format!(", late from {}", at(late)));
            let first = format!("{} — wanted from {}, asked {}{late}", it.what, it.who, at(it.since));
            std::iter::once(first).chain(it.commands.iter().map(|command| format!("  {command}"))).collect::<Vec<_>>()
        };
        self.decisions.iter().flat_map(lines).collect()
    }

    fn said(&self, said: &Said) -> String {
        format!("{} {}: {}", of_day(said.at, self.made_at), said.by, said.text)
    }

    /// The most important lines in the order of time; how many were left out is said.
    fn told(&self, lines: &[Line], max: usize) -> Vec<String> {
        let mut kept: Vec<&Line> = lines.iter().collect();
        // Of two that matter alike the later one is kept.
        kept.sort_by_key(|line| (std::cmp::Reverse(line.weight), std::cmp::Reverse(line.seq)));
        kept.truncate(max);
        kept.sort_by_key(|line| line.seq);
        let left_out = lines.len() - kept.len();
        let line = |line: &&Line| format!("{} {}", of_day(line.at, self.made_at), line.text);
        let more = (left_out > 0).then(|| format!("… and {left_out} more"));
        kept.iter().map(line).chain(more).collect()
    }
}

/// The time of day in UTC; with the date when that is not the day of `on`.
pub fn of_day(at: Time, on: Time) -> String {
    let (text, on) = (at.to_string(), on.to_string());
    match (text.split_once('T'), on.split_once('T')) {
        (Some((day, time)), Some((today, _))) if day == today => format!("{} UTC", &time[..5]),
        (Some((day, time)), _) => format!("{day} {} UTC", &time[..5]),
        _ => text,
    }
}

fn stamp(at: Time) -> String {
    at.to_string()
}
