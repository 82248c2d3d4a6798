//! A run as bars over time: what was planned, what was done, where people were
//! waited for, what went wrong, and the limit.

use super::{Face, fit, fold, picture, reach};
use crate::{
    clock::Time,
    duration::Dur,
    forecast::{Draw, Slot, forecast},
    limits,
    report::{Asked, Report, StepStory, brief, clean},
};
use maud::{Markup, html};

/// The whole picture, the names at its left, and the bars.
const WIDTH: i64 = 1080;
const NAME: i64 = 236;
const LEFT: i64 = NAME + 12;
const RIGHT: i64 = WIDTH - 20;
/// The heading; each remark beside it takes a line more.
const HEAD: i64 = 72;
const REMARK: i64 = 16;
const ROW: i64 = 20;
/// More rows than this are folded: a row for each phase, and the steps that matter.
const ROWS_MAX: usize = 64;
/// Steps that matter are named up to here.
const NAMED_MAX: usize = 120;

/// A row of the picture.
struct Row<'a> {
    name: String,
    /// What is said under the pointer.
    whole: String,
    planned: Option<Slot>,
    worked: Option<(Time, Time)>,
    critical: bool,
    asked: Vec<&'a Asked>,
    wrong: Vec<Time>,
    /// The name stands out: it is that of a phase.
    head: bool,
}

/// The time that the picture shows, and where in it a moment stands.
struct Scale {
    from: Time,
    to: Time,
}

impl Scale {
    fn x(&self, at: Time) -> i64 {
        let (part, whole) = (at.since(self.from).0, self.to.since(self.from).0.max(1));
        let x = i128::from(LEFT) + i128::from(part) * i128::from(RIGHT - LEFT) / i128::from(whole);
        i64::try_from(x).unwrap_or(RIGHT).clamp(LEFT, RIGHT)
    }

    fn shows(&self, at: Time) -> bool {
        self.from <= at && at <= self.to
    }
}

/// A run as bars, a picture of its own.
pub fn bars(report: &Report) -> String {
    let (opened, plan) = (&report.opened, &report.opened.plan);
    let start = report.moments.opened_at;
    let slots = forecast(plan, Draw::P50, limits::PARALLEL_MAX);
    let estimated = plan.steps.iter().any(|step| step.estimate.is_some());
    let planned_end = slots.iter().map(|slot| slot.end).max().filter(|_| estimated);
    let end = report.moments.finished_at.unwrap_or(report.written_at);
    let limit = plan.objectives.rto.map(|rto| opened.incident_at.after(rto));
    let scale = scale(opened.incident_at, start, end, planned_end.map(|end| start.after(end)), limit);
    let rows = rows(report, &slots, end);
    let beside = beside(report, &scale, limit, planned_end);
    let top = HEAD + REMARK * i64::try_from(beside.len()).unwrap_or(0);
    let height = top + ROW * i64::try_from(rows.len()).unwrap_or(0) + 34;
    let title = format!("{}: what happened when", plan.name);
    let what = format!("{}. Bars of {} steps over time", report.headline, report.story.steps.len());
    let body = html! {
        text class="bold" x="12" y="22" font-size="15" { (fit(&report.headline, WIDTH - 24, Face::Head)) }
        @for (at, remark) in (0..).zip(&beside) { text class="soft" x="12" y=(40 + REMARK * at) { (fit(remark, WIDTH - 24, Face::Plain)) } }
        (ruler(&scale, opened.incident_at, top, height))
        @for (at, row) in (0..).zip(&rows) { (bar(row, &scale, start, top + ROW * at)) }
        (moments(report, &scale, limit, top, height))
        (key(height - 14))
    };
    picture(WIDTH, height, &title, &what, &body).into_string()
}

/// So much time as can be read: an outage that began long before the run, a
/// plan or a limit far behind its end would leave the run itself a hair.
fn scale(incident: Time, start: Time, end: Time, planned: Option<Time>, limit: Option<Time>) -> Scale {
    let ran = end.since(start).0.max(1_000);
    let from = if start.since(incident).0 <= 2 * ran { incident.min(start) } else { start.after(Dur(-ran / 20)) };
    let near = |at: &Time| at.since(start).0 <= 3 * ran;
    let beyond = [planned.filter(near), limit.filter(near)].into_iter().flatten();
    let last = beyond.fold(end.max(start.after(Dur(1_000))), Time::max);
    Scale { from, to: last.after(Dur(last.since(from).0 / 40)) }
}

fn rows<'a>(report: &'a Report, slots: &[Slot], end: Time) -> Vec<Row<'a>> {
    let steps = &report.story.steps;
    let row = |it: &'a StepStory| Row {
        name: it.id.clone(),
        whole: told(it),
        planned: it.planned.map(|_| slots[it.step.ix()]),
        worked: it.started.map(|from| (from, it.ended.unwrap_or(end).max(from))),
        critical: it.on_path,
        asked: report.story.questions.iter().filter(|asked| asked.step == it.id).collect(),
        wrong: it.errors.iter().map(|error| error.at).collect(),
        head: false,
    };
    if steps.len() <= ROWS_MAX {
        return steps.iter().map(row).collect();
    }
    let mut rows = Vec::new();
    let mut left = NAMED_MAX;
    for name in fold::lanes(&report.opened.plan) {
        let inside: Vec<_> = steps.iter().filter(|it| it.phase.as_deref().unwrap_or_default() == name).collect();
        let questions = &report.story.questions;
        let matters =
            |it: &&&StepStory| it.on_path || !it.errors.is_empty() || questions.iter().any(|asked| asked.step == it.id);
        let named: Vec<_> = inside.iter().filter(matters).take(left).collect();
        left -= named.len();
        let all: Vec<_> = inside.iter().map(|it| row(it)).collect();
        let span = |of: &dyn Fn(&Row<'_>) -> Option<(Time, Time)>| {
            let (from, to): (Vec<_>, Vec<_>) = all.iter().filter_map(of).unzip();
            from.into_iter().min().zip(to.into_iter().max())
        };
        let planned = |row: &Row<'_>| row.planned.map(|slot| (Time(slot.start.0), Time(slot.end.0)));
        let more = inside.len() - named.len();
        rows.push(Row {
            name: format!("{} · {} steps", if name.is_empty() { "without a phase" } else { &name }, inside.len()),
            whole: format!("{} steps, {more} of them without a row of their own", inside.len()),
            planned: span(&planned).map(|(from, to)| Slot { start: Dur(from.0), end: Dur(to.0) }),
            worked: span(&|row| row.worked),
            critical: false,
            asked: Vec::new(),
            wrong: Vec::new(),
            head: true,
        });
        rows.extend(named.into_iter().map(|it| row(it)));
    }
    rows
}

/// A step in words.
fn told(it: &StepStory) -> String {
    let took = it.took().map_or(String::new(), |took| format!(", took {}", brief(took)));
    let planned = it.planned.map_or(", not estimated".into(), |planned| format!(", planned {}", brief(planned.p50)));
    let tries = if it.attempts > 1 { format!(", {} attempts", it.attempts) } else { String::new() };
    format!("{} ({}): {}{took}{planned}{tries}", it.id, it.kind, it.state.replace('_', " "))
}

/// What lies outside of the picture.
fn beside(report: &Report, scale: &Scale, limit: Option<Time>, planned: Option<Dur>) -> Vec<String> {
    let (incident, start) = (report.opened.incident_at, report.moments.opened_at);
    let outage = (!scale.shows(incident))
        .then(|| format!("the outage began {} before the run: left of the picture", brief(start.since(incident))));
    let planned = planned
        .filter(|planned| !scale.shows(start.after(*planned)))
        .map(|planned| format!("the plan reaches to {} after the start: right of the picture", brief(planned)));
    let limit = limit
        .filter(|limit| !scale.shows(*limit))
        .map(|limit| format!("the RTO ends {} after the outage: right of the picture", brief(limit.since(incident))));
    [outage, planned, limit].into_iter().flatten().collect()
}

/// Times since the outage began.
fn ruler(scale: &Scale, incident: Time, top: i64, height: i64) -> Markup {
    const GRAINS: [i64; 18] = [
        100,
        200,
        500,
        1_000,
        2_000,
        5_000,
        10_000,
        30_000,
        60_000,
        120_000,
        300_000,
        600_000,
        1_800_000,
        3_600_000,
        7_200_000,
        21_600_000,
        86_400_000,
        604_800_000,
    ];
    let span = scale.to.since(scale.from).0.max(1);
    let ticks = |grain: i64| {
        let first = scale.from.since(incident).0.div_euclid(grain) + 1;
        (first..=scale.to.since(incident).0.div_euclid(grain)).map(move |n| n * grain)
    };
    let label = |at: i64| format!("{}{}", if at >= 0 { "+" } else { "" }, Dur(at));
    let apart = |grain: i64| (RIGHT - LEFT) * grain / span;
    let fits = |grain: i64| {
        span / grain <= 9 && ticks(grain).all(|at| reach(&label(at), Face::Plain) + REMARK / 2 <= apart(grain))
    };
    let grain = GRAINS.into_iter().find(|grain| fits(*grain)).unwrap_or(span);
    html! {
        @for at in ticks(grain) {
            @let (x, label) = (scale.x(Time(incident.0 + at)), label(at));
            line class="rule" x1=(x) x2=(x) y1=(top - 4) y2=(height - 34) {}
            // One that would run out of the picture is left to the line alone.
            @if x + reach(&label, Face::Plain) / 2 <= WIDTH {
                text class="soft" x=(x) y=(top - 8) text-anchor="middle" { (label) }
            }
        }
    }
}

fn bar(row: &Row<'_>, scale: &Scale, start: Time, y: i64) -> Markup {
    let indent = if row.head { 12 } else { 20 };
    html! {
        g {
            title { (clean(&row.whole)) }
            text class=[row.head.then_some("bold")] x=(indent) y=(y + 14) { (fit(&row.name, NAME - indent, if row.head { Face::Bold } else { Face::Plain })) }
            @if let Some(slot) = row.planned.filter(|slot| start.after(slot.start) < scale.to) {
                @let (from, to) = (scale.x(start.after(slot.start)), scale.x(start.after(slot.end)));
                rect class="planned" x=(from) y=(y + 12) width=((to - from).max(1)) height="5" {}
            }
            @if let Some((from, to)) = row.worked {
                @let (from, to) = (scale.x(from), scale.x(to));
                rect class={ "work" @if row.critical { " path" } } x=(from) y=(y + 3) width=((to - from).max(2)) height="9" rx="1.5" {}
            }
            @for asked in &row.asked {
                @let until = asked.asked_at.after(asked.waited);
                @let (from, to) = (scale.x(asked.asked_at), scale.x(until));
                rect class="ask" x=(from) y=(y + 4) width=((to - from).max(3)) height="7" {}
            }
            @for at in row.wrong.iter().filter(|at| scale.shows(**at)) {
                @let x = scale.x(*at);
                path class="wrong" d={ "M" (x - 4) " " (y + 3) "l8 9m0-9l-8 9" } {}
            }
        }
    }
}

/// The moments that count, as lines from top to bottom.
fn moments(report: &Report, scale: &Scale, limit: Option<Time>, top: i64, height: i64) -> Markup {
    let rto = report.opened.plan.objectives.rto.map_or(String::new(), |rto| format!("RTO {rto}"));
    let over = if report.moments.finished_at.is_some() { "end" } else { "now" };
    let marks = [
        (Some(report.opened.incident_at), "mark", "outage".to_owned()),
        (Some(report.moments.opened_at), "mark", "start".into()),
        (report.moments.healthy_since, "mark", "healthy".into()),
        (Some(report.moments.finished_at.unwrap_or(report.written_at)), "mark", over.into()),
        (limit, "limit", rto),
    ];
    let mut until = 0;
    let mut marks: Vec<_> = marks
        .into_iter()
        .filter_map(|(at, class, name)| at.filter(|at| scale.shows(*at)).map(|at| (scale.x(at), class, name)))
        .collect();
    marks.sort_by_key(|(x, ..)| *x);
    html! {
        @for (x, class, name) in &marks {
            line class=(class) x1=(x) x2=(x) y1=(top - 22) y2=(height - 34) {}
            // Names that would stand on each other: the later ones are left to the list of moments.
            @let (begin, end) = (x - 3, x + 7 * i64::try_from(name.chars().count()).unwrap_or(0) + 8);
            @if begin >= until {
                text class={ @if *class == "limit" { "loud" } @else { "soft" } } x=(x + 4) y=(top - 24) { (name) }
                @let () = until = end;
            }
        }
    }
}

fn key(y: i64) -> Markup {
    html! {
        g transform={ "translate(12 " (y) ")" } {
            rect class="work" width="22" height="9" y="-9" {} text class="soft" x="28" { "done" }
            rect class="work path" x="74" width="22" height="9" y="-9" {} text class="soft" x="102" { "done, and the run waited for it" }
            rect class="planned" x="312" width="22" height="5" y="-7" {} text class="soft" x="340" { "planned" }
            rect class="ask" x="412" width="22" height="7" y="-8" {} text class="soft" x="440" { "waiting for a person" }
            path class="wrong" d="M580-9l8 9m0-9l-8 9" {} text class="soft" x="596" { "something went wrong" }
            text class="soft" x=(RIGHT - 12) text-anchor="end" { "time since the outage began" }
        }
    }
}
