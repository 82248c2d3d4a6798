//! A plan as people read it before they trust it.

use dr_comms::{mail, sms};
use dr_engine::{
    comms::Comms,
    duration::Dur,
    event::RunKind,
    forecast::{Draw, Slot, critical, forecast},
    limits,
    plan::{Account, Mode, Plan, PlanStep, VERIFY, graph::waves},
    when::left_out,
};
use dr_steps::{status_page_static, status_page_statuspage};
use std::{collections::BTreeSet, fmt::Write};

/// A plan of more steps than this is folded by phases.
const ROWS_MAX: usize = 120;
/// So many steps are named before the others are counted.
const NAMED_MAX: usize = 8;

/// The prediction for a plan.
pub struct Prediction {
    /// When each step begins and ends if all take their usual time.
    pub usual: Vec<Slot>,
    /// The end of the last step, usually.
    pub p50: Dur,
    /// The end of the last step when every step is slow.
    pub p90: Dur,
    /// Steps that change something or wait, and have no estimate.
    pub unknown: usize,
    /// Which steps their conditions leave out, whatever happens.
    pub left_out: Vec<bool>,
}

impl Prediction {
    /// No step that will begin has an estimate.
    fn guesses(&self) -> bool {
        let begin = self.left_out.iter().filter(|left_out| !**left_out).count();
        self.unknown > 0 && self.unknown == begin
    }
}

/// Forecasts a plan by its estimates.
pub fn predict(plan: &Plan, parallel: Option<u32>) -> Prediction {
    let parallel = parallel.map_or(limits::PARALLEL_MAX, |n| n as usize);
    let end = |slots: &[Slot]| slots.iter().map(|s| s.end).max().unwrap_or_default();
    let usual = forecast(plan, Draw::P50, parallel);
    let (p50, p90) = (end(&usual), end(&forecast(plan, Draw::P90, parallel)));
    let left_out = left_out(plan);
    let begins = plan.steps.iter().zip(&left_out).filter(|(_, left_out)| !**left_out);
    let unknown = begins.filter(|(s, _)| s.estimate.is_none() && s.gates.is_none()).count();
    Prediction { usual, p50, p90, unknown, left_out }
}

/// The whole plan as text. The same bytes for the same plan, everywhere.
pub fn render(plan: &Plan, prediction: &Prediction) -> String {
    let mut text = String::new();
    head(plan, prediction, &mut text);
    let critical = critical(plan, &prediction.usual);
    if plan.steps.len() <= ROWS_MAX {
        rows(plan, prediction, &critical, &mut text);
    } else {
        folded(plan, prediction, &critical, &mut text);
    }
    remarks(plan, prediction, &mut text);
    text
}

fn head(plan: &Plan, prediction: &Prediction, text: &mut String) {
    let count = plan.steps.len();
    let steps = if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
    line(text, &format!("{} · {steps} · {} · plan {}", plan.name, plan.mode.word(), &plan.hash()[..12]));
    if let Some(description) = &plan.description {
        line(text, description.trim());
    }
    if let (Some(primary), Some(recovery)) = (plan.regions.get("primary"), plan.regions.get("recovery")) {
        line(text, &format!("from {primary} to {recovery}"));
    }
    if plan.accounts.values().any(|account| account.role.is_some()) {
        let all: Vec<_> = plan.accounts.iter().map(|(name, account)| account_of(name, account)).collect();
        line(text, &format!("works in {}", all.join(", ")));
    }
    let least = if prediction.unknown > 0 { "at least " } else { "" };
    let rto = plan.objectives.rto.map_or_else(
        || "no RTO is set".to_owned(),
        |rto| {
            let late = if prediction.p50 > rto {
                ": TOO LATE"
            } else if prediction.p90 > rto {
                ": too late if slow"
            } else {
                ""
            };
            format!("RTO {rto}{late}")
        },
    );
    if prediction.guesses() {
        line(text, &format!("predicted recovery time: unknown, no step has an estimate · {rto}"));
    } else {
        line(
            text,
            &format!(
                "predicted recovery time: {least}{}, {least}{} if every step is slow · {rto}",
                brief(prediction.p50),
                brief(prediction.p90)
            ),
        );
    }
    text.push('\n');
}

/// An account, and as whom its steps work.
fn account_of(name: &str, account: &Account) -> String {
    let who = account.role_name().map_or_else(|| "whoever runs it".to_owned(), |role| format!("the role {role}"));
    format!("{name} {} as {who}", account.id)
}

fn rows(plan: &Plan, prediction: &Prediction, critical: &[bool], text: &mut String) {
    let width = plan.steps.iter().map(|s| s.id.chars().count()).max().unwrap_or(4).clamp(4, 40);
    let waves = waves(plan);
    line(text, &format!("   {:>4} {:>7} {:>7}  {:<width$}  does", "wave", "starts", "takes", "step"));
    let mut order: Vec<_> = plan.places().collect();
    order.sort_by_key(|step| (prediction.usual[step.ix()].start, *step));
    for step in order {
        let it = plan.step(step);
        let start = brief(prediction.usual[step.ix()].start);
        let left_out = prediction.left_out[step.ix()];
        let takes = match (it.estimate, it.gates.is_some()) {
            _ if left_out => "-".into(),
            (Some(estimate), _) => brief(estimate.p50),
            (None, true) => "people".into(),
            (None, false) => "?".into(),
        };
        let mark = if critical[step.ix()] { '*' } else { ' ' };
        let mut does = it.kind.clone();
        let own = if it.regions.is_empty() { it.region.iter().cloned().collect() } else { it.regions.clone() };
        let regions = it.control_plane.clone().map_or(own, |one| vec![one]);
        if it.changes && it.calls_provider && !regions.is_empty() {
            write!(does, " in {}", regions.join(", ")).ok();
        }
        if left_out {
            does.push_str(" [left out]");
        } else if it.when.is_some() {
            does.push_str(" [conditional]");
        }
        if it.irreversible {
            does.push_str(" [irreversible]");
        }
        if it.blind {
            does.push_str(" [unseen]");
        }
        let wave = waves[step.ix()] + 1;
        line(text, &format!(" {mark} {wave:>4} {start:>7} {takes:>7}  {:<width$}  {does}", it.id));
    }
}

/// Hundreds of steps: what each phase takes, and what needs people.
fn folded(plan: &Plan, prediction: &Prediction, critical: &[bool], text: &mut String) {
    let mut phases: Vec<Option<&str>> = plan.phases.iter().map(|p| Some(p.as_str())).collect();
    phases.push(None);
    let waves = waves(plan);
    line(text, &format!("   {:>7} {:>7}  {:<16} {:>5}  waves", "starts", "ends", "phase", "steps"));
    for phase in phases {
        let inside: Vec<_> = plan.places().filter(|s| plan.step(*s).phase.as_deref() == phase).collect();
        let slots = || inside.iter().map(|step| prediction.usual[step.ix()]);
        let (Some(start), Some(end)) = (slots().map(|s| s.start).min(), slots().map(|s| s.end).max()) else { continue };
        let mark = if inside.iter().any(|step| critical[step.ix()]) { '*' } else { ' ' };
        let name = phase.unwrap_or("no phase");
        let of = || inside.iter().map(|step| waves[step.ix()] + 1);
        let waves = format!("{} to {}", of().min().unwrap_or(1), of().max().unwrap_or(1));
        let (start, end, count) = (brief(start), brief(end), inside.len());
        line(text, &format!(" {mark} {start:>7} {end:>7}  {name:<16} {count:>5}  {waves}"));
    }
    text.push('\n');
    line(text, "the critical path:");
    let path: Vec<_> = plan.places().filter(|s| critical[s.ix()]).map(|s| plan.step(s).id.as_str()).collect();
    let shown = if path.len() > 20 {
        format!("{} → … {} more … → {}", path[..15].join(" → "), path.len() - 18, path[path.len() - 3..].join(" → "))
    } else {
        path.join(" → ")
    };
    line(text, &format!("  {shown}"));
}

fn remarks(plan: &Plan, prediction: &Prediction, text: &mut String) {
    // What is left out needs nobody, and nothing can happen to it.
    let ids = |which: &dyn Fn(&PlanStep) -> bool| {
        let begins = plan.steps.iter().zip(&prediction.left_out).filter(|(_, left_out)| !**left_out);
        named(begins.map(|(step, _)| step).filter(|step| which(step)))
    };
    text.push('\n');
    if plan.steps.len() <= ROWS_MAX && !prediction.guesses() {
        line(text, "* decides when the plan ends");
    }
    let remarks = [
        ("irreversible: cannot be taken back", ids(&|s| s.irreversible)),
        ("unseen: after a crash a person has to look whether it was done", ids(&|s| s.blind)),
        ("conditional: shown as if its condition held", ids(&|s| s.when.is_some())),
        ("needs approval", ids(&|s| s.gates.is_some() || (s.kind == "approve"))),
        ("no estimate: counted as no time at all", ids(&|s| s.estimate.is_none() && s.gates.is_none())),
    ];
    let left_out = plan.steps.iter().zip(&prediction.left_out).filter(|(_, left_out)| **left_out);
    if let Some(which) = named(left_out.map(|(step, _)| step)) {
        line(text, &format!("left out: its condition is false, whatever happens: {which}"));
    }
    for (what, which) in remarks {
        if let Some(which) = which {
            line(text, &format!("{what}: {which}"));
        }
    }
    if let Some(why) = unmeasured(plan) {
        line(text, why);
    }
    let planes: BTreeSet<_> = plan.steps.iter().filter_map(|s| s.control_plane.as_deref()).collect();
    for plane in planes {
        let which = ids(&|s| s.control_plane.as_deref() == Some(plane)).unwrap_or_default();
        line(text, &format!("{plane} must answer, AWS has their control plane only there: {which}"));
    }
    if let Some(lost) = may_be_lost(plan) {
        let there = |s: &PlanStep| s.changes && s.calls_provider && !s.fences && s.region.as_deref() == Some(lost);
        if let Some(which) = ids(&there) {
            line(text, &format!("{lost} must answer, though this is for its loss: {which}"));
        }
    }
    if let Some(claim) = &plan.claim {
        let url = claim.url(RunKind::Live);
        line(text, &format!("claimed before anything begins: {url} in {}", claim.region));
    }
    if let Some(why) = single_page(plan) {
        line(text, why);
    }
    if let Some(comms) = &plan.comms {
        line(text, &told(plan, comms));
        if let Some(page) = &comms.status_page {
            let subscribers = if page.notify { "subscribers are told" } else { "subscribers are not told" };
            let what = "customers read by themselves, unseen by anybody before";
            line(text, &format!("{what}: page {} of Statuspage; {subscribers}", page.page));
        }
        if comms.sms.is_some() {
            line(text, &by_sms(plan));
        }
    }
    if plan.failback.is_some() {
        line(text, "failback: kept, not acted on by this version");
    }
    if !plan.selection.is_whole() {
        let parts =
            [("only", &plan.selection.only), ("until", &plan.selection.until), ("without", &plan.selection.skip)];
        let parts: Vec<_> =
            parts.iter().filter(|(_, l)| !l.is_empty()).map(|(w, l)| format!("{w} {}", l.join(", "))).collect();
        line(text, &format!("A PART OF THE RUNBOOK: {}", parts.join("; ")));
    }
}

/// The region whose loss a plan is for.
fn may_be_lost(plan: &Plan) -> Option<&str> {
    let (primary, recovery) = (plan.regions.get("primary")?, plan.regions.get("recovery")?);
    (plan.mode == Mode::Ungraceful && primary != recovery).then_some(primary)
}

/// Who hears of a run, and how often.
fn told(plan: &Plan, comms: &Comms) -> String {
    let slack = comms.slack.as_ref().map(|slack| format!("Slack {}", slack.channel));
    let recipients = mail::Recipients::planned(plan);
    let wrong = recipients.wrong().iter().fold(String::new(), |said, one| said + "; " + one);
    let mail = match recipients.all().len() {
        0 if wrong.is_empty() => None,
        0 => Some(format!("mail TO NOBODY{wrong}")),
        1 => Some(format!("mail to 1 address{wrong}")),
        many => Some(format!("mail to {many} addresses{wrong}")),
    };
    let by: Vec<_> = slack.into_iter().chain(mail).collect();
    let by = if by.is_empty() { "nobody: neither Slack nor a mail address is named".into() } else { by.join(", ") };
    format!("updates every {}: {by}", comms.every)
}

/// Who gets an SMS when the other ways are gone.
fn by_sms(plan: &Plan) -> String {
    let recipients = sms::Recipients::of(plan);
    let many = match recipients.numbers().len() {
        0 => "TO NOBODY".to_owned(),
        1 => "to 1 number".to_owned(),
        many => format!("to {many} numbers"),
    };
    let bridge = plan.comms.as_ref().and_then(|comms| comms.bridge.as_ref());
    let bridge = bridge.map_or("; IT NAMES NO BRIDGE to meet on", |_| "");
    let wrong = recipients.wrong().iter().fold(String::new(), |said, one| said + "; " + one);
    format!("SMS when another way is gone, or nobody tells any more: {many}{bridge}{wrong}")
}

/// The ids of these steps, if there are any.
fn named<'a>(steps: impl Iterator<Item = &'a PlanStep>) -> Option<String> {
    let ids: Vec<_> = steps.map(|step| step.id.as_str()).collect();
    match ids.len() {
        0 => None,
        n if n > NAMED_MAX => Some(format!("{} and {} more", ids[..NAMED_MAX].join(", "), n - NAMED_MAX)),
        _ => Some(ids.join(", ")),
    }
}

/// That a run of this plan cannot tell whether it met its RTO, if that is so.
pub fn unmeasured(plan: &Plan) -> Option<&'static str> {
    (plan.objectives.rto.is_some() && plan.find(VERIFY).is_none())
        .then_some("no `verify`: nobody will see when service is back, so the RTO stays unmeasured")
}

/// That customers would read nothing where Statuspage cannot be reached, if that is so.
pub fn single_page(plan: &Plan) -> Option<&'static str> {
    let says = |kind: &str| plan.steps.iter().any(|step| step.kind == kind);
    let by_itself = plan.comms.as_ref().is_some_and(|comms| comms.status_page.is_some());
    ((by_itself || says(status_page_statuspage::KIND)) && !says(status_page_static::KIND)).then_some(
        "no `status_page.static`: where Statuspage cannot be reached, customers read nothing (publish it always)",
    )
}

fn line(text: &mut String, what: &str) {
    text.push_str(what.trim_end());
    text.push('\n');
}

/// A duration in at most two units.
pub fn brief(span: Dur) -> String {
    let seconds = span.0.abs() / 1000;
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |a: i64, x: &str, b: i64, y: &str| if b == 0 { format!("{a}{x}") } else { format!("{a}{x}{b}{y}") };
    let text = match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 && span.0 != 0 => format!("{}ms", span.0.abs()),
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, m) => two(m, "m", seconds % 60, "s"),
        (0, h, m) => two(h, "h", m, "m"),
        (d, h, _) => two(d, "d", h, "h"),
    };
    if span.0 < 0 { format!("-{text}") } else { text }
}
