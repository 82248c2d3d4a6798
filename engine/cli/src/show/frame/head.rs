//! The upper part of a picture: what this is, how far it is, and the clocks.

use super::{Line, Scene, Tone, brief, clean};
use crate::show::{lines, width};
use dr_engine::{
    clock::Time,
    duration::Dur,
    question,
    report::{self, Glance, Present},
    run::State,
};
use std::collections::BTreeMap;

/// What stands before each clock takes so many columns.
const LABEL: usize = 8;
/// The bar of the RTO is between so many columns wide.
const BAR: (usize, usize) = (10, 40);

impl Scene<'_> {
    /// As much of it as may take so many rows; what matters least goes first.
    pub(super) fn head(&self, rows: usize) -> Vec<Line> {
        let glance = report::glance(self.run, self.now);
        let mut lines = self.what();
        lines.push(self.state(&glance));
        lines.extend(self.halted());
        let mut more = if glance.back { Vec::new() } else { self.clocks() };
        more.extend(self.phases());
        // Half of a low terminal belongs to the steps.
        more.truncate((rows / 2).max(rows.min(8)).saturating_sub(lines.len()));
        lines.extend(more);
        lines
    }

    /// LIVE, DRILL or LAB, the runbook, the regions, the accounts, the run.
    fn what(&self) -> Vec<Line> {
        let mut rows: Vec<String> = Vec::new();
        for part in lines::head(self.run).split(" · ").map(clean) {
            match rows.last_mut() {
                Some(row) if width::of(row) + 3 + width::of(&part) <= self.width() => {
                    row.push_str(" · ");
                    row.push_str(&part);
                }
                _ => rows.push(part),
            }
        }
        rows.iter().map(|row| self.line(row, Tone::Head)).collect()
    }

    fn state(&self, glance: &Glance) -> Line {
        let (word, tone) = match glance.present {
            // What it recovers is what it last did: nobody drives it now.
            present if self.unattended && !present.is_over() => ("UNATTENDED", Tone::Ask),
            // Its controller still hears of what runs.
            Present::InDoubt if self.run.leaving => ("LEAVING", Tone::Ask),
            present @ (Present::Held | Present::InDoubt | Present::Unfenced) => (present.shout(), Tone::Ask),
            present => (present.shout(), Tone::Head),
        };
        self.line(format!("{word} · {} · {}/{} done", glance.clock, glance.done, glance.of), tone)
    }

    /// Why nothing new begins, and what changes that.
    fn halted(&self) -> Vec<Line> {
        let run = self.run;
        let (id, resume) = (&run.opened.run, vec![format!("dr resume {}", run.opened.run)]);
        let (text, commands) = match run.finished {
            None if self.unattended => ("NO CONTROLLER RUNS, nothing goes on", resume),
            None if run.leaving => ("nothing new starts; the controller ends when what runs has ended", Vec::new()),
            None if run.paused => ("paused: nothing new starts", resume),
            None if run.stopping.is_some() => ("nothing new starts; what runs may end", Vec::new()),
            None if Present::of(run) == Present::Unfenced => {
                let fences = run.owed().map(|step| question::word(&run.plan().step(step).id));
                let leave = fences.map(|step| format!("dr answer {id} {step} skip --why TEXT --as NAME")).collect();
                ("all is done but what fences, which is tried each minute; to leave it so and end the run:", leave)
            }
            Some(_) | None => return Vec::new(),
        };
        let commands = commands.iter().filter_map(|command| width::command(command, self.width(), "    "));
        let rows = width::wrapped(text, self.width(), "", "  ").into_iter().chain(commands.flatten());
        rows.map(|text| Line { text, tone: Tone::Ask }).collect()
    }

    /// The clock against the RTO, and when it will be over.
    fn clocks(&self) -> Vec<Line> {
        let (run, now) = (self.run, self.now.max(self.run.at));
        // When a fence will stand nobody can say.
        let forecast = self.forecast.filter(|_| !self.unattended && Present::of(run) != Present::Unfenced);
        let due = run.plan().objectives.rto.map(|rto| (rto, run.opened.incident_at.after(rto)));
        let mut lines = vec![match due {
            None => self.line(format!("{:LABEL$}none is set", "RTO"), Tone::Dim),
            Some((rto, due)) if now >= due => {
                self.line(format!("{:LABEL$}{rto}, PASSED {} ago", "RTO", brief(now.since(due))), Tone::Late)
            }
            Some((rto, due)) => self.bar(rto, due.since(now), forecast.map(|f| f.p50.since(now))),
        }];
        if let Some(forecast) = forecast {
            // Without `verify` nobody sees service come back: only the last step's end can be told.
            let label = if run.verify.is_some() { "back" } else { "end" };
            let (text, tone) = self.when(forecast, due.map(|(_, due)| due));
            lines.push(self.line(format!("{label:LABEL$}{text}"), tone));
        }
        lines
    }

    /// The RTO as a bar: what has passed, what is still needed, what is left.
    fn bar(&self, rto: Dur, left: Dur, needed: Option<Dur>) -> Line {
        let text = format!("{} of {rto} left", brief(left));
        let room = self.width().saturating_sub(LABEL + 3 + width::of(&text));
        if room < BAR.0 {
            return self.line(format!("{:LABEL$}{text}", "RTO"), Tone::Calm);
        }
        let wide = room.min(BAR.1);
        let part = |span: Dur| {
            let part = i128::from(span.0.clamp(0, rto.0)) * i128::try_from(wide).unwrap_or_default();
            usize::try_from(part / i128::from(rto.0.max(1))).unwrap_or_default().min(wide)
        };
        let spent = part(Dur(rto.0.saturating_sub(left.0)));
        let needed = part(needed.unwrap_or_default()).min(wide - spent);
        let bar = [("#", spent), ("=", needed), (".", wide - spent - needed)];
        let bar: String = bar.iter().map(|(sign, count)| sign.repeat(*count)).collect();
        self.line(format!("{:LABEL$}[{bar}] {text}", "RTO"), Tone::Calm)
    }

    /// When it will be over, as far as anybody can say, and whether that is too late.
    fn when(&self, forecast: report::Forecast, due: Option<Time>) -> (String, Tone) {
        let now = self.now.max(self.run.at);
        let clock = |at: Time| at.to_string().get(11..16).unwrap_or_default().to_owned();
        let asked = || self.run.steps().any(|(_, it)| matches!(it.state, State::Asking { .. }));
        let (least, slow) = (forecast.p50.since(now), forecast.p90.since(now));
        let mut text = match (least > Dur(0), forecast.at_least) {
            (false, true) if asked() => return ("unknown: it depends on people's answers".into(), Tone::Dim),
            (false, true) => return ("unknown: what is left has no estimate".into(), Tone::Dim),
            (true, true) if asked() => format!("{} of work once people have answered, at least", brief(least)),
            (false, false) => "any moment now, by the estimates".into(),
            (true, true) => format!("in {} at the earliest, {} UTC", brief(least), clock(forecast.p50)),
            (true, false) => format!("in about {}, {} UTC", brief(least), clock(forecast.p50)),
        };
        let differ = !forecast.at_least && slow > least && clock(forecast.p90) != clock(forecast.p50);
        if differ {
            text = format!("{text}; {} if slow", clock(forecast.p90));
        }
        match due {
            Some(due) if now < due && forecast.p50 > due => {
                // Less than a second is no number to say, and late all the same.
                let by = forecast.p50.since(due);
                let by = if by < Dur::seconds(1) { String::new() } else { format!(" by {}", brief(by)) };
                (format!("{text}: TOO LATE{by}"), Tone::Late)
            }
            Some(due) if now < due && forecast.p90 > due => {
                (format!("{text}{}", if differ { ", too late" } else { "; too late if slow" }), Tone::Late)
            }
            _ => (text, Tone::Calm),
        }
    }

    /// Each phase with what is out of the way.
    fn phases(&self) -> Option<Line> {
        let (run, plan) = (self.run, self.run.plan());
        plan.steps.iter().find(|step| step.phase.is_some())?;
        let mut counts: BTreeMap<Option<&str>, (usize, usize)> = BTreeMap::new();
        for step in plan.places() {
            let (done, all) = counts.entry(plan.step(step).phase.as_deref()).or_default();
            *done += usize::from(run.out_of_the_way(step));
            *all += 1;
        }
        let names = plan.phases.iter().map(|name| Some(name.as_str())).chain([None]);
        let counted =
            names.filter_map(|name| counts.get(&name).map(|(done, all)| (clean(name.unwrap_or("other")), *done, *all)));
        let counted: Vec<_> = counted.collect();
        let row = |parts: &mut dyn Iterator<Item = &(String, usize, usize)>| {
            parts.map(|(name, done, all)| format!("{name} {done}/{all}")).collect::<Vec<_>>().join(" · ")
        };
        let mut text = row(&mut counted.iter());
        if LABEL + width::of(&text) > self.width() {
            // Those that are whole or have not begun are a number where room is short.
            let (whole, rest): (Vec<_>, Vec<_>) = counted.iter().partition(|(_, done, all)| done == all);
            let (later, now): (Vec<_>, Vec<_>) = rest.into_iter().partition(|(_, done, _)| *done == 0);
            let count = |phases: &[_], what| (!phases.is_empty()).then(|| format!("{} {what}", phases.len()));
            let now = (!now.is_empty()).then(|| row(&mut now.into_iter()));
            let parts = [count(&whole, "done"), now, count(&later, "to come")];
            text = parts.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        }
        Some(self.line(format!("{:LABEL$}{text}", "phases"), Tone::Calm))
    }
}
