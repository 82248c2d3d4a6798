//! When each step of a plan would begin and end.
//!
//! Made for every plan that is shown, so it is one pass over time instead of
//! the loop of a recovery on a simulated clock, which takes twenty times as
//! long. It must not disagree with that loop: `tests/forecast.rs` holds it to
//! the loop on random plans.

use crate::{
    duration::Dur,
    plan::{Estimate, Plan, StepIx, graph::Graph},
    when,
};
use std::{cmp::Reverse, collections::BinaryHeap};

/// When a step would begin and end, counted from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// It begins.
    pub start: Dur,
    /// It ends.
    pub end: Dur,
}

/// Which estimate a forecast takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// The usual case.
    P50,
    /// One in ten takes longer.
    P90,
}

impl Draw {
    /// How long a step takes: its estimate, and no time without one.
    pub fn takes(self, estimate: Option<Estimate>) -> Dur {
        estimate.map_or(Dur(0), |e| if self == Self::P50 { e.p50 } else { e.p90 })
    }
}

/// The slot of every step, in the order of the plan, if every step succeeds
/// and every condition holds that the plan alone does not settle; one that it
/// settles as false leaves its step out, in no time. At most `parallel` run at the same time; among those
/// that may begin, the one with the longest remaining path goes first.
pub fn forecast(plan: &Plan, draw: Draw, parallel: usize) -> Vec<Slot> {
    let graph = Graph::of(plan);
    let mut slots = vec![Slot { start: Dur(0), end: Dur(0) }; plan.steps.len()];
    let mut unmet: Vec<usize> = plan.steps.iter().map(|step| step.needs.len()).collect();
    let rank = |step: StepIx| (graph.remaining(step), Reverse(step));
    let mut ready: BinaryHeap<_> = plan.places().filter(|step| unmet[step.ix()] == 0).map(rank).collect();
    let mut running: BinaryHeap<Reverse<(Dur, StepIx)>> = BinaryHeap::new();
    let mut now = Dur(0);
    let left_out = when::left_out(plan);
    loop {
        // What stands behind a step that is left out begins after what could begin already.
        let mut over = Vec::new();
        while running.len() < parallel.max(1)
            && let Some((_, Reverse(step))) = ready.pop()
        {
            if left_out[step.ix()] {
                slots[step.ix()] = Slot { start: now, end: now };
                over.push(step);
                continue;
            }
            let end = Dur(now.0.saturating_add(draw.takes(plan.step(step).estimate).0));
            slots[step.ix()] = Slot { start: now, end };
            running.push(Reverse((end, step)));
        }
        if over.is_empty() {
            let Some(Reverse((end, _))) = running.peek() else { return slots };
            now = *end;
            // All that end now are heard of before anything begins.
            while let Some(Reverse((_, step))) = running.peek().copied().filter(|Reverse((end, _))| *end == now) {
                running.pop();
                over.push(step);
            }
        }
        for dependent in over.into_iter().flat_map(|step| graph.dependents(step)) {
            unmet[dependent.ix()] -= 1;
            if unmet[dependent.ix()] == 0 {
                ready.push(rank(*dependent));
            }
        }
    }
}

/// Which steps decide when the plan ends: from the last one back, always by
/// the need that ends last. Nothing does when no step takes time.
pub fn critical(plan: &Plan, slots: &[Slot]) -> Vec<bool> {
    let mut on = vec![false; plan.steps.len()];
    let end = |step: StepIx| slots[step.ix()].end;
    let last = plan.places().max_by_key(|step| (end(*step), Reverse(*step)));
    let mut at = last.filter(|step| end(*step) > Dur(0));
    while let Some(step) = at {
        on[step.ix()] = true;
        at = plan.step(step).needs.iter().copied().max_by_key(|need| (end(*need), Reverse(*need)));
    }
    on
}
