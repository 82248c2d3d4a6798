//! What stands together as one box: a service and its health, the copies that
//! `for_each` makes, and in a large plan whatever stands side by side.

use crate::{
    duration::Dur,
    forecast::Slot,
    plan::{Plan, PlanStep, StepIx, graph::waves},
    report::brief,
    when,
};
use std::collections::{BTreeMap, BTreeSet};

/// More boxes than this nobody takes in; then neighbours become one.
const BOXES_MAX: usize = 56;
/// A plan that is longer than this is cut into as many stretches.
const COLUMNS_MAX: usize = 14;

/// Boxes in lanes and columns, and the arrows between them.
pub(super) struct Folded {
    /// The names of the lanes, in order; a plan without phases has one without a name.
    pub(super) lanes: Vec<String>,
    pub(super) nodes: Vec<Node>,
    /// From one box to another, without those that others imply.
    pub(super) arrows: BTreeSet<(usize, usize)>,
    /// A step that will begin has no estimate: the end of the plan is a least.
    pub(super) at_least: bool,
}

/// One step, or several as one.
pub(super) struct Node {
    pub(super) steps: Vec<StepIx>,
    pub(super) name: String,
    /// What it does: the kind, where there is one.
    pub(super) what: String,
    pub(super) lane: usize,
    pub(super) column: usize,
    /// One of its steps decides when the plan ends.
    pub(super) critical: bool,
    pub(super) start: Dur,
    pub(super) end: Dur,
    pub(super) takes: Takes,
}

/// What is known of the time that a box takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Its steps have estimates.
    Known,
    /// One of its steps has none: the end is a least.
    AtLeast,
    /// Nothing but questions to people.
    People,
    /// Nothing but steps that their conditions leave out for certain.
    LeftOut,
}

impl Node {
    /// When it begins and how long it takes, in words.
    pub(super) fn time(&self) -> String {
        let start = brief(self.start);
        match (self.takes, Dur(self.end.0 - self.start.0)) {
            (Takes::LeftOut, _) => "left out by its condition".into(),
            (Takes::People, _) => format!("at {start}, waits for people"),
            (Takes::AtLeast, Dur(0)) => format!("at {start}, not estimated"),
            (Takes::AtLeast, takes) => format!("at {start}, at least {}", brief(takes)),
            (Takes::Known, takes) => format!("at {start}, takes {}", brief(takes)),
        }
    }
}

/// Nobody said how long the step takes.
fn guessed(step: &PlanStep) -> bool {
    step.estimate.is_none() && step.gates.is_none()
}

fn takes(plan: &Plan, steps: &[StepIx], left_out: &[bool]) -> Takes {
    let mut begin = steps.iter().filter(|step| !left_out[step.ix()]).map(|step| plan.step(*step)).peekable();
    if begin.peek().is_none() {
        Takes::LeftOut
    } else if steps.iter().all(|step| plan.step(*step).is_gate()) {
        Takes::People
    } else if begin.any(guessed) {
        Takes::AtLeast
    } else {
        Takes::Known
    }
}

/// More columns than this are too wide to follow.
const COLUMNS_APART: usize = 24;

/// Folds a plan. `critical` and `slots` are those of its forecast, step by step.
pub(super) fn fold(plan: &Plan, slots: &[Slot], critical: &[bool]) -> Folded {
    let lanes = lanes(plan);
    let left_out = when::left_out(plan);
    let lane = |step: StepIx| {
        let name = plan.step(step).phase.as_deref().unwrap_or_default();
        lanes.iter().position(|lane| lane == name).unwrap_or_default()
    };
    let depth = waves(plan);
    let deepest = depth.iter().max().copied().unwrap_or(0) + 1;
    let band = |step: StepIx| depth[step.ix()] * COLUMNS_MAX.min(deepest) / deepest;
    let families = families(plan);
    // Each way to tell boxes apart, from fine to coarse; the last always fits.
    let ways: [&dyn Fn(StepIx) -> (usize, usize, String); 4] = [
        &|step| (0, 0, families[step.ix()].clone()),
        &|step| (lane(step), depth[step.ix()], plan.step(step).kind.clone()),
        &|step| (lane(step), depth[step.ix()], String::new()),
        &|step| (lane(step), band(step), String::new()),
    ];
    let mut groups = BTreeMap::new();
    for way in ways {
        groups = plan.places().fold(BTreeMap::<_, Vec<StepIx>>::new(), |mut groups, step| {
            groups.entry(way(step)).or_default().push(step);
            groups
        });
        if groups.len() <= BOXES_MAX {
            break;
        }
    }
    // In the order of the plan, whatever the keys were.
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|steps| steps[0]);
    let mut place = vec![0; plan.steps.len()];
    for (at, steps) in groups.iter().enumerate() {
        for step in steps {
            place[step.ix()] = at;
        }
    }
    let mut arrows = BTreeSet::new();
    for step in plan.places() {
        let needs = plan.step(step).needs.iter().map(|need| (place[need.ix()], place[step.ix()]));
        arrows.extend(needs.filter(|(from, to)| from != to));
    }
    let columns = columns(groups.len(), &arrows);
    let nodes = groups.into_iter().enumerate().map(|(at, steps)| {
        let inside = || steps.iter().map(|step| slots[step.ix()]);
        Node {
            name: name(plan, &steps, &families),
            what: what(plan, &steps),
            lane: lane(steps[0]),
            column: columns.as_ref().map_or_else(|| band(steps[0]), |columns| columns[at]),
            critical: steps.iter().any(|step| critical[step.ix()]),
            start: inside().map(|slot| slot.start).min().unwrap_or_default(),
            end: inside().map(|slot| slot.end).max().unwrap_or_default(),
            takes: takes(plan, &steps, &left_out),
            steps,
        }
    });
    let nodes: Vec<_> = nodes.collect();
    if columns.is_some() {
        arrows = reduced(nodes.len(), &arrows);
    }
    let at_least = plan.places().any(|step| !left_out[step.ix()] && guessed(plan.step(step)));
    Folded { lanes, nodes, arrows, at_least }
}

/// The phases that have steps, in the order of the runbook; what has none stands last.
pub(super) fn lanes(plan: &Plan) -> Vec<String> {
    let mut lanes: Vec<String> = plan.phases.clone();
    for step in &plan.steps {
        let name = step.phase.as_deref().unwrap_or_default();
        if !lanes.iter().any(|lane| lane == name) {
            lanes.push(name.into());
        }
    }
    lanes.retain(|lane| plan.steps.iter().any(|step| step.phase.as_deref().unwrap_or_default() == lane));
    lanes
}

/// The name under which steps belong together: that of the service, of the
/// step that `for_each` multiplied, or their own.
fn families(plan: &Plan) -> Vec<String> {
    let family = |step: StepIx| {
        let it = plan.step(step);
        let phase = it.phase.as_deref().unwrap_or_default();
        if let Some((base, _)) = it.id.split_once('[') {
            return format!("{phase}\n{base}[");
        }
        // A gate belongs to what stands behind it, a service's health to the service.
        let own = it.gates.as_deref().or_else(|| {
            let service = it.id.strip_suffix("_healthy")?;
            let only = it.needs.first().filter(|_| it.needs.len() == 1)?;
            (plan.step(*only).id == service).then_some(service)
        });
        format!("{phase}\n{}", own.unwrap_or(&it.id))
    };
    plan.places().map(family).collect()
}

fn name(plan: &Plan, steps: &[StepIx], families: &[String]) -> String {
    let first = &plan.step(steps[0]).id;
    if steps.len() == 1 {
        return first.clone();
    }
    let family = families[steps[0].ix()].split_once('\n').map_or("", |(_, name)| name);
    let together = steps.iter().all(|step| families[step.ix()] == families[steps[0].ix()]);
    match family.strip_suffix('[') {
        Some(base) if together => format!("{base} × {}", steps.len()),
        _ if together => family.into(),
        _ => format!("{} steps: {first} …", steps.len()),
    }
}

fn what(plan: &Plan, steps: &[StepIx]) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for step in steps {
        let kind = plan.step(*step).kind.as_str();
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    match kinds.as_slice() {
        [first, second] => format!("{first}, {second}"),
        [first, _, rest @ ..] => format!("{first} and {} more kinds", rest.len() + 1),
        _ => kinds.concat(),
    }
}

/// The column of each box: behind all that it needs. `None` when boxes need
/// each other, which happens where long stretches became one.
fn columns(count: usize, arrows: &BTreeSet<(usize, usize)>) -> Option<Vec<usize>> {
    let mut columns = vec![0; count];
    let mut unmet = vec![0; count];
    for (_, to) in arrows {
        unmet[*to] += 1;
    }
    let mut ready: Vec<_> = (0..count).filter(|at| unmet[*at] == 0).collect();
    let mut placed = 0;
    while let Some(at) = ready.pop() {
        placed += 1;
        for (_, to) in arrows.range((at, 0)..(at + 1, 0)) {
            columns[*to] = columns[*to].max(columns[at] + 1);
            unmet[*to] -= 1;
            if unmet[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    (placed == count && columns.iter().max().is_none_or(|last| *last < COLUMNS_APART)).then_some(columns)
}

/// Without the arrows that others imply.
fn reduced(count: usize, arrows: &BTreeSet<(usize, usize)>) -> BTreeSet<(usize, usize)> {
    let next = |at: usize| arrows.range((at, 0)..(at + 1, 0)).map(|(_, to)| *to);
    let behind = |at: usize| {
        let mut seen = vec![false; count];
        let mut open: Vec<_> = next(at).collect();
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(next(at));
            }
        }
        seen
    };
    let behind: Vec<_> = (0..count).map(behind).collect();
    let implied = |from: usize, to: usize| next(from).any(|over| over != to && behind[over][to]);
    arrows.iter().copied().filter(|(from, to)| !implied(*from, *to)).collect()
}
