//! The lower part of a picture: questions, what is at work, what comes next.

use super::{Line, QUESTION_ROWS_MAX, Scene, Tone, brief, clean};
use crate::show::{asked::asked, width};
use dr_engine::{
    clock::Time,
    duration::Dur,
    plan::{Estimate, PlanStep, StepIx},
    question::{self, Question},
    run::State,
};
use std::cmp::Reverse;

/// How wide the column is that says how long a step works.
const TIME: usize = 25;
/// No row is wide enough for more names of what is waited for.
const UNMET_MAX: usize = 40;

impl Scene<'_> {
    /// What people are asked, the oldest question first. Where room is short
    /// each keeps a row, and the oldest their commands.
    pub(super) fn questions(&self, room: usize) -> Vec<Line> {
        let asked = self.asked();
        for most in [usize::MAX, QUESTION_ROWS_MAX] {
            let full: Vec<Line> = asked.iter().flat_map(|it| self.question(it, most)).collect();
            if full.len() <= room {
                return full;
            }
        }
        let shown = asked.len().min(room.saturating_sub(1));
        let mut spare = room.saturating_sub(1 + shown);
        let mut lines = Vec::new();
        for it in &asked[..shown] {
            let mut rows = self.question(it, 1);
            if rows.len() - 1 > spare {
                rows.truncate(1);
            }
            spare -= rows.len() - 1;
            lines.extend(rows);
        }
        let id = &self.run.opened.run;
        let more = match asked.len() - shown {
            0 => String::new(),
            more => format!("{more} more; "),
        };
        let long = format!("   … {more}all of it: dr status {id}");
        // What is cut could not be typed.
        let fits = width::of(&long) <= self.width();
        lines.push(self.line(if fits { long } else { format!("   dr status {id}") }, Tone::Ask));
        lines
    }

    fn asked(&self) -> Vec<(Time, StepIx, &Question)> {
        let open = self.run.open.iter().filter_map(|step| match &self.run.step(*step).state {
            State::Asking { question, since, .. } => Some((*since, *step, question)),
            _ => None,
        });
        let mut asked: Vec<_> = open.collect();
        asked.sort_by_key(|(since, step, ..)| (*since, *step));
        asked
    }

    /// A question: who is asked since when, what, and what may be typed.
    fn question(&self, (_, step, question): &(Time, StepIx, &Question), rows: usize) -> Vec<Line> {
        let run = self.run;
        let id = &run.plan().step(*step).id;
        // Most questions name their step.
        let named = question.text.contains(&format!("`{id}`"));
        let name = if named { String::new() } else { format!("{id} ") };
        let whom = asked(run, *step, self.now).unwrap_or_default();
        let text = clean(&format!("{name}{whom}: {}", question.text));
        let mut text = width::wrapped(&text, self.width(), " ? ", "   ");
        if text.len() > rows {
            text.truncate(rows);
            let last = text.len() - 1;
            text[last] = width::cut(&format!("{}…", text[last]), self.width());
        }
        let commands = question::commands(run, *step, question);
        let too_wide =
            || vec![width::cut(&format!("    wider than this window: dr status {}", run.opened.run), self.width())];
        let fitted =
            |it: &String| width::command(&crate::show::plain(it), self.width(), "    ").unwrap_or_else(too_wide);
        let mut commands: Vec<_> = commands.iter().flat_map(fitted).collect();
        commands.dedup();
        text.into_iter().chain(commands).map(|text| Line { text, tone: Tone::Ask }).collect()
    }

    /// What works, or tries again by itself: what is late first, then what the rest waits for longest.
    pub(super) fn working(&self, names: usize) -> Vec<Line> {
        let run = self.run;
        let mut rows: Vec<_> = run.open.iter().filter_map(|step| self.work(*step).map(|row| (*step, row))).collect();
        rows.sort_by_key(|(step, row)| (row.2 != Tone::Late, Reverse(run.graph.remaining(*step)), *step));
        let row = |(step, (mark, what, tone)): (StepIx, (char, String, Tone))| {
            let id = &run.plan().step(step).id;
            let says = self.says.get(id).filter(|_| mark == '>').map_or(String::new(), |says| clean(says));
            let name = width::padded(&width::cut(&clean(id), names), names);
            self.line(format!(" {mark} {name}  {}  {says}", width::padded(&what, TIME)), tone)
        };
        rows.into_iter().map(row).collect()
    }

    /// How a step is at work, if it is: a sign, words, and how they stand out.
    fn work(&self, step: StepIx) -> Option<(char, String, Tone)> {
        let (now, it, plan) = (self.now.max(self.run.at), self.run.step(step), self.run.plan().step(step));
        Some(match &it.state {
            State::Running { .. } | State::Undoing { since: Some(_) } if self.unattended => {
                ('~', "unknown since its controller ended".into(), Tone::Late)
            }
            // A gate is about to ask.
            State::Running { .. } if plan.gates.is_some() => return None,
            State::Running { since } => {
                let (time, tone) = time(now.since(*since), plan);
                ('>', time, tone)
            }
            State::Undoing { since: Some(since) } => {
                ('<', format!("taken back for {}", brief(now.since(*since))), Tone::Calm)
            }
            State::Undoing { since: None } => ('<', "to be taken back".into(), Tone::Dim),
            State::Backoff { until } => {
                let again = brief(until.since(now));
                ('~', format!("failed, attempt {} in {again}", it.attempt + 1), Tone::Late)
            }
            State::InDoubt { look_at: Some(_), error, .. } => {
                ('~', format!("in doubt, being looked at: {}", clean(&error.message)), Tone::Late)
            }
            State::InDoubt { error, .. } => ('~', format!("in doubt: {}", clean(&error.message)), Tone::Late),
            State::Failed { error } => ('!', format!("failed: {}", clean(&error.message)), Tone::Late),
            State::Owed { error, next, .. } => {
                let again = match next {
                    _ if !self.run.may_begin(step) => "not tried again".into(),
                    Some(at) => format!("tried again in {}", brief(at.since(now).max(Dur(0)))),
                    None => "being tried".into(),
                };
                ('!', format!("NOT FENCED, {again}: {}", clean(&error.message)), Tone::Late)
            }
            State::Stuck { error } => ('!', format!("not taken back: {}", clean(&error.message)), Tone::Late),
            _ => return None,
        })
    }

    /// What has not begun, in the order in which it is likely to.
    pub(super) fn waiting(&self) -> Vec<StepIx> {
        let run = self.run;
        if run.stopping.is_some() || run.finished.is_some() {
            return Vec::new();
        }
        let mut waiting: Vec<_> = run.steps().filter(|(_, it)| it.state == State::Waiting).map(|(s, _)| s).collect();
        waiting.sort_by_cached_key(|step| (run.step(*step).unmet(), Reverse(run.graph.remaining(*step)), *step));
        waiting
    }

    fn unmet(&self, step: StepIx) -> impl Iterator<Item = StepIx> {
        self.run.plan().step(step).needs.iter().copied().filter(|need| !self.run.satisfied(*need))
    }

    /// What comes next, and for what it waits.
    pub(super) fn next(&self, waiting: &[StepIx], names: usize) -> Vec<Line> {
        let rows = waiting.iter().map(|step| {
            let ids: Vec<_> =
                self.unmet(*step).take(UNMET_MAX).map(|need| clean(&self.run.plan().step(need).id)).collect();
            let why = if ids.is_empty() { "next".into() } else { format!("after {}", ids.join(", ")) };
            let name = width::padded(&width::cut(&clean(&self.run.plan().step(*step).id), names), names);
            self.line(format!("   {name}  {why}"), Tone::Dim)
        });
        rows.collect()
    }

    /// The column of names is as wide as the longest of those that may be shown, and no wider than a third.
    pub(super) fn names(&self, waiting: &[StepIx]) -> usize {
        let steps = self.run.open.iter().chain(waiting.iter().take(super::WAITING_MAX));
        let longest = steps.map(|step| width::of(&self.run.plan().step(*step).id)).max();
        longest.unwrap_or_default().min(self.columns / 3)
    }
}

/// How long a step works, beside what was expected of it.
fn time(spent: Dur, plan: &PlanStep) -> (String, Tone) {
    let taken = brief(spent);
    match plan.estimate {
        Some(Estimate { p90, .. }) if spent > p90 => (format!("{taken}, LATE: p90 is {}", brief(p90)), Tone::Late),
        Some(Estimate { p50, .. }) => (format!("{taken} of about {}", brief(p50)), Tone::Calm),
        None => (format!("{taken}, usual time unknown"), Tone::Calm),
    }
}
