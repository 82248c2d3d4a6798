//! From drafts to the steps of a plan: names become places, circles are found,
//! a part is cut out, and every need stands before what needs it.

use super::{PlanStep, StepIx, VERIFY, build::Options, draft::Draft, fence};
use crate::{
    data_loss::DATA_LOSS,
    problem::{Problem, Span, did_you_mean},
    step::OutputName,
};
use indexmap::IndexMap;
use petgraph::{algo::tarjan_scc, graph::DiGraph};
use std::collections::{BTreeSet, HashMap};

/// Beyond so many mistakes, near misses of names are not looked for.
const NEAR_MAX: usize = 50;

/// The steps of the plan, or nothing when a mistake keeps them from being ordered.
pub(super) fn steps(
    drafts: Vec<Draft>,
    groups: &IndexMap<String, Vec<String>>,
    phases: &[String],
    options: &Options,
    span: Span,
    problems: &mut Vec<Problem>,
) -> Option<Vec<PlanStep>> {
    let before = problems.len();
    let by_id = HashMap::with_capacity(drafts.len());
    let mut order = Order { by_id, by_phase: HashMap::new(), drafts, groups, phases, needs: Vec::new() };
    for (at, draft) in order.drafts.iter().enumerate() {
        if let Some(phase) = &draft.step.phase {
            order.by_phase.entry(phase.clone()).or_default().push(at);
        }
        if order.by_id.insert(draft.step.id.clone(), at).is_some() {
            let problem = Problem::new(draft.span, format!("step `{}` exists twice", draft.written()));
            problems.push(problem.help("a service NAME makes the steps NAME and NAME_healthy: give one another name"));
        }
    }
    order.needs = (0..order.drafts.len()).map(|at| order.edges(at, problems)).collect();
    order.verify_last();
    order.circles(problems);
    order.irreversible(options, problems);
    let fences = order.fences(problems);
    let keep = order.selected(options, span, problems);
    fence::check_part(&order.drafts, &fences, &keep, problems);
    if problems.len() > before || order.drafts.iter().any(|d| d.broken) {
        return None;
    }
    Some(order.frozen(&keep, &fences))
}

struct Order<'a> {
    drafts: Vec<Draft>,
    by_id: HashMap<String, usize>,
    by_phase: HashMap<String, Vec<usize>>,
    groups: &'a IndexMap<String, Vec<String>>,
    phases: &'a [String],
    /// What each draft needs, with the place where it was said.
    needs: Vec<Vec<(usize, Span)>>,
}

impl Order<'_> {
    fn edges(&self, at: usize, problems: &mut Vec<Problem>) -> Vec<(usize, Span)> {
        let mut found = Vec::new();
        let draft = &self.drafts[at];
        // A gate has the needs of the step behind it, which tells their mistakes.
        let gated = draft.step.gates.as_ref().and_then(|step| self.by_id.get(step).copied());
        let mut unsaid = Vec::new();
        let problems = if gated.is_some() { &mut unsaid } else { problems };
        for (name, span) in &draft.needs {
            let places = self.places(name, *span, draft, problems);
            if places.contains(&at) {
                let (what, help) = if name.starts_with("phase.") {
                    ("its own phase", "name the steps of the phase that come before it")
                } else {
                    ("itself", "take that need away")
                };
                problems.push(Problem::new(*span, format!("step `{}` needs {what}", draft.written())).help(help));
            }
            let others = places.into_iter().filter(|place| *place != at && Some(*place) != gated);
            found.extend(others.map(|place| (place, *span)));
        }
        for (path, span) in &draft.refs {
            found.extend(self.output(at, path, *span, problems).map(|place| (place, *span)));
        }
        found
    }

    /// The steps that a name under `needs` means.
    fn places(&self, name: &str, span: Span, draft: &Draft, problems: &mut Vec<Problem>) -> Vec<usize> {
        let found = self.named(name);
        if let Some(places) = found {
            return places;
        }
        if let Some(phase) = name.strip_prefix("phase.") {
            problems.extend(self.no_phase(phase, span));
            return Vec::new();
        }
        let (written, whose) = (draft.local(name), draft.written());
        let problem = Problem::new(span, format!("step `{whose}` needs `{written}`, which does not exist"));
        let help = if self.phases.iter().any(|p| p == written) {
            Some(format!("a phase is written `phase.{written}`"))
        } else {
            self.near(name, draft, problems).map(|near| format!("did you mean `{near}`?"))
        };
        problems.push(Problem { help, ..problem });
        Vec::new()
    }

    /// The id that was meant, as the author would write it. Among many
    /// mistakes nobody looks for the near misses of each.
    fn near<'a>(&'a self, name: &str, draft: &'a Draft, problems: &[Problem]) -> Option<&'a str> {
        if problems.len() > NEAR_MAX {
            return None;
        }
        let ids = self.drafts.iter().map(|d| d.step.id.as_str()).chain(self.groups.keys().map(String::as_str));
        let ids = ids.filter(|id| !id.contains('!') && *id != draft.step.id).map(|id| draft.local(id));
        did_you_mean(draft.local(name), ids)
    }

    fn no_phase(&self, phase: &str, span: Span) -> Option<Problem> {
        let known = |phase: &str| self.phases.iter().any(|p| p == phase);
        // Phases that cannot be known, or a step whose phase is told to be wrong.
        let lost = |draft: &Draft| draft.step.phase.as_ref().map_or(draft.broken, |phase| !known(phase));
        if self.phases.is_empty() || known(phase) && self.drafts.iter().any(lost) {
            return None;
        }
        if known(phase) {
            let problem = Problem::new(span, format!("no step is in phase `{phase}`"));
            return Some(problem.help(format!("give a step `phase: {phase}`, or take this need away")));
        }
        let problem = Problem::new(span, format!("there is no phase `{phase}`"));
        Some(match did_you_mean(phase, self.phases.iter().map(String::as_str)) {
            Some(near) => problem.help(format!("did you mean `phase.{near}`?")),
            None => problem.help(format!("phases are: {}", self.phases.join(", "))),
        })
    }

    /// The steps that a name means, if it means any.
    fn named(&self, name: &str) -> Option<Vec<usize>> {
        if let Some(phase) = name.strip_prefix("phase.") {
            return self.by_phase.get(phase).cloned();
        }
        // Another name for one step, or one name for several; never deeper than two.
        if let Some(members) = self.groups.get(name) {
            return Some(members.iter().filter_map(|id| self.by_id.get(id).copied()).collect());
        }
        self.by_id.get(name).map(|place| vec![*place])
    }

    /// The step whose output a reference names.
    fn output(&self, at: usize, path: &[String], span: Span, problems: &mut Vec<Problem>) -> Option<usize> {
        let (id, rest) = path.split_first()?;
        let draft = &self.drafts[at];
        let written = draft.local(id);
        let Some(place) = self.by_id.get(id.as_str()).copied() else {
            let members = self.groups.get(id).map(Vec::as_slice);
            let output = rest.join(".");
            problems.push(match members {
                Some([]) => return None,
                Some([first, ..]) => {
                    let what = if first.contains('[') { "has several instances" } else { "is an included runbook" };
                    let first = draft.local(first);
                    let problem = Problem::new(span, format!("`{written}` {what}"));
                    problem.help(format!("name one of its steps, as in `steps.{first}.{output}`"))
                }
                None => {
                    let help = self.near(id, draft, problems).map(|near| format!("did you mean `{near}`?"));
                    Problem { help, ..Problem::new(span, format!("there is no step `{written}`")) }
                }
            });
            return None;
        };
        if place == at {
            let problem = Problem::new(span, format!("step `{}` uses its own output", draft.written()));
            problems.push(problem.help("an output is known only when its step is done"));
            return None;
        }
        let of = &self.drafts[place];
        let name = rest.first()?;
        if !of.broken && !of.outputs.iter().any(|o| o.name == *name) {
            let names = || of.outputs.iter().map(|o: &OutputName| o.name.as_str());
            let problem = Problem::new(span, format!("step `{written}` has no output `{name}`"));
            problems.push(match did_you_mean(name, names()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None if of.outputs.is_empty() && of.step.kind == "command" => {
                    problem.help(format!("let it print one: `outputs: {{ {name}: {{ line: 1 }} }}` under `command`"))
                }
                None if of.outputs.is_empty() => problem.help(format!("`{}` leaves no outputs here", of.step.kind)),
                None => problem.help(format!("its outputs are: {}", names().collect::<Vec<_>>().join(", "))),
            });
        }
        Some(place)
    }

    /// `verify` comes after everything that does not itself wait for it; what
    /// closes the incident never holds it up.
    fn verify_last(&mut self) {
        let Some(verify) = self.by_id.get(VERIFY).copied().filter(|at| self.drafts[*at].step.kind == VERIFY) else {
            return;
        };
        let mut after = BTreeSet::from([verify]);
        loop {
            let more: Vec<_> = (0..self.drafts.len())
                .filter(|at| !after.contains(at) && self.needs[*at].iter().any(|(need, _)| after.contains(need)))
                .collect();
            if more.is_empty() {
                break;
            }
            after.extend(more);
        }
        let span = self.drafts[verify].span;
        let outside_close = |at: &usize| self.drafts[*at].step.phase.as_deref() != Some("close");
        self.needs[verify] =
            (0..self.drafts.len()).filter(|at| !after.contains(at) && outside_close(at)).map(|at| (at, span)).collect();
    }

    fn circles(&self, problems: &mut Vec<Problem>) {
        let mut graph = DiGraph::<(), ()>::with_capacity(self.drafts.len(), self.drafts.len());
        let nodes: Vec<_> = self.drafts.iter().map(|_| graph.add_node(())).collect();
        for (at, needs) in self.needs.iter().enumerate() {
            for (need, _) in needs {
                graph.add_edge(nodes[at], nodes[*need], ());
            }
        }
        for component in tarjan_scc(&graph).into_iter().filter(|component| component.len() > 1) {
            let members: BTreeSet<usize> = component.iter().map(|node| node.index()).collect();
            let (path, span) = self.circle(&members);
            let ids: Vec<_> = path.iter().map(|at| format!("`{}`", self.drafts[*at].step.id)).collect();
            // A circle of hundreds is told by its ends: the way out is at any of its arrows.
            let shown = if ids.len() > 12 {
                format!("{} → … {} more … → {}", ids[..6].join(" → "), ids.len() - 9, ids[ids.len() - 3..].join(" → "))
            } else {
                ids.join(" → ")
            };
            let problem = Problem::new(span, format!("these steps wait for each other: {shown}"));
            problems.push(problem.help("each arrow reads `waits for`: take one of them away"));
        }
    }

    /// A walk along needs within one component until it comes back, and the
    /// place of one of these needs.
    fn circle(&self, members: &BTreeSet<usize>) -> (Vec<usize>, Span) {
        let mut path = vec![*members.first().expect("a component has members")];
        let mut at = HashMap::from([(path[0], 0)]);
        let mut spans = Vec::new();
        loop {
            let last = *path.last().expect("it begins with one");
            let inside = self.needs[last].iter().filter(|(need, _)| members.contains(need));
            // Home first: the shortest way round tells most.
            let next =
                inside.clone().find(|(need, _)| *need == path[0]).or_else(|| inside.min_by_key(|(need, _)| need));
            let (next, span) = *next.expect("every member of a component needs another");
            spans.push(span);
            path.push(next);
            if let Some(start) = at.insert(next, path.len() - 1) {
                path.drain(..start);
                spans.drain(..start);
                break;
            }
        }
        // A need that somebody wrote, not one that a service or a gate brings.
        let written = |(step, span): &(&usize, &Span)| self.drafts[**step].span != **span;
        let span = path.iter().zip(&spans).rev().find(written).map_or(spans[spans.len() - 1], |(_, span)| *span);
        (path, span)
    }

    /// The fences of each draft.
    fn fences(&self, problems: &mut Vec<Problem>) -> Vec<Vec<usize>> {
        let of = |draft: &Draft| {
            let Some((name, at)) = &draft.fence else { return Vec::new() };
            // A name that means nothing is told where needs are.
            let Some(places) = self.named(name) else { return Vec::new() };
            if places.is_empty() {
                let message = format!("the fence of `{}` stands for no step", draft.written());
                let help = "its `for_each` is empty: nothing would keep the old writer from writing";
                problems.push(Problem::new(*at, message).help(help));
            }
            for place in &places {
                fence::check_kind(draft, *at, &self.drafts[*place], problems);
            }
            places
        };
        self.drafts.iter().map(of).collect()
    }

    fn irreversible(&self, options: &Options, problems: &mut Vec<Problem>) {
        if options.accept_irreversible {
            return;
        }
        let unapproved = |draft: &Draft| draft.irreversible && !draft.approved && !draft.broken;
        for (at, draft) in self.drafts.iter().enumerate().filter(|(_, draft)| unapproved(draft)) {
            let approved = self.needs[at].iter().any(|(need, _)| self.drafts[*need].step.kind == super::build::GATE);
            if !approved {
                let id = draft.written();
                let problem =
                    Problem::new(draft.span, format!("step `{id}` cannot be taken back, and nobody approves it"));
                problems.push(problem.help("give it `approve: { roles: […] }`, or plan with --accept-irreversible"));
            }
        }
    }

    /// Which drafts the plan keeps.
    fn selected(&self, options: &Options, span: Span, problems: &mut Vec<Problem>) -> BTreeSet<usize> {
        let all = || (0..self.drafts.len()).collect::<BTreeSet<_>>();
        let mut find = |names: &[String], flag: &str| {
            let mut found = BTreeSet::new();
            for name in names {
                let places = self.named(name).unwrap_or_default();
                if places.is_empty() {
                    let empty =
                        name.strip_prefix("phase.").is_some_and(|phase| self.phases.iter().any(|it| it == phase));
                    let what = if empty { "no step is in this phase" } else { "there is no such step or phase" };
                    let problem = Problem::new(span, format!("{flag} {name}: {what}"));
                    let ids =
                        self.drafts.iter().map(|d| d.step.id.as_str()).chain(self.groups.keys().map(String::as_str));
                    let phases: Vec<_> = self.phases.iter().map(|phase| format!("phase.{phase}")).collect();
                    let ids = ids.filter(|id| !id.contains('!')).chain(phases.iter().map(String::as_str));
                    let help = did_you_mean(name, ids).filter(|_| !empty).map(|near| format!("did you mean `{near}`?"));
                    problems.push(Problem { help, ..problem });
                }
                // A step goes with its gate, a service with its start.
                let own = self.by_id.get(name).copied();
                let gates = places
                    .iter()
                    .chain(&own)
                    .flat_map(|at| ["approve", DATA_LOSS].map(|gate| format!("{}!{gate}", self.drafts[*at].step.id)))
                    .filter_map(|gate| self.by_id.get(&gate).copied());
                found.extend(gates);
                found.extend(own);
                found.extend(places);
            }
            found
        };
        let selection = &options.selection;
        let (only, until, skip) =
            (find(&selection.only, "--only"), find(&selection.until, "--until"), find(&selection.skip, "--skip"));
        let mut keep = if only.is_empty() && until.is_empty() { all() } else { only };
        let mut left: Vec<_> = until.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(at) = left.pop() {
            if seen.insert(at) {
                keep.insert(at);
                left.extend(self.needs[at].iter().map(|(need, _)| *need));
            }
        }
        keep.retain(|at| !skip.contains(at));
        for gate in skip.iter().map(|at| &self.drafts[*at].step) {
            if gate.gates.as_ref().and_then(|step| self.by_id.get(step)).is_some_and(|step| keep.contains(step)) {
                let problem = Problem::new(span, format!("--skip {}: a question is not left out", gate.id));
                problems.push(problem.help("answer it when it comes, or leave out the step behind it"));
            }
        }
        keep
    }

    fn frozen(self, keep: &BTreeSet<usize>, fences: &[Vec<usize>]) -> Vec<PlanStep> {
        let Self { drafts, by_id, needs: all, .. } = self;
        // Of a large plan the names are as much as its steps: they go before the rest is made.
        drop(by_id);
        let mut drafts: Vec<_> = drafts.into_iter().map(|draft| Some(draft.step)).collect();
        // What is left out hands its own needs on: order is kept across the gap.
        let mut needs: Vec<BTreeSet<usize>> = Vec::with_capacity(all.len());
        for list in &all {
            needs.push(list.iter().map(|(need, _)| *need).collect());
        }
        if keep.len() < drafts.len() {
            for list in &mut needs {
                *list = through(list, keep, &all);
            }
        }
        // Kahn's way, the runbook's own order among equals: a plan reads like its runbook.
        let mut unmet: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
        let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
        for (at, list) in needs.iter().enumerate() {
            for need in list {
                dependents[*need].push(at);
            }
        }
        let mut ready: BTreeSet<usize> = keep.iter().copied().filter(|at| unmet[*at] == 0).collect();
        let mut place = vec![StepIx(0); needs.len()];
        let mut steps = Vec::with_capacity(keep.len());
        while let Some(at) = ready.pop_first() {
            place[at] = StepIx(u32::try_from(steps.len()).expect("plans are limited"));
            let mut step = drafts[at].take().expect("a step becomes ready once");
            step.needs = needs[at].iter().map(|need| place[*need]).collect();
            step.needs.sort_unstable();
            step.fenced_by = fences[at].iter().map(|fence| place[*fence]).collect();
            step.fenced_by.sort_unstable();
            steps.push(step);
            for dependent in dependents[at].iter().filter(|d| keep.contains(d)) {
                unmet[*dependent] -= 1;
                if unmet[*dependent] == 0 {
                    ready.insert(*dependent);
                }
            }
        }
        steps
    }
}

/// The kept steps that are reached from `needs` through steps left out.
fn through(needs: &BTreeSet<usize>, keep: &BTreeSet<usize>, all: &[Vec<(usize, Span)>]) -> BTreeSet<usize> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut left: Vec<_> = needs.iter().copied().collect();
    while let Some(at) = left.pop() {
        if keep.contains(&at) {
            found.insert(at);
        } else if seen.insert(at) {
            left.extend(all[at].iter().map(|(need, _)| *need));
        }
    }
    found
}
