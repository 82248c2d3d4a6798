//! The order of a plan: what needs what, and how long is left behind each step.

use super::{Plan, StepIx};
use crate::duration::Dur;

/// The wave of every step: how many steps stand one behind the other before
/// it. Those of one wave need nothing of each other.
pub fn waves(plan: &Plan) -> Vec<usize> {
    let mut waves = vec![0; plan.steps.len()];
    for step in plan.places() {
        let needs = plan.step(step).needs.iter();
        waves[step.ix()] = needs.map(|need| waves[need.ix()] + 1).max().unwrap_or(0);
    }
    waves
}

/// What can be derived from the needs of a plan, and is looked up often.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    dependents: Vec<Vec<StepIx>>,
    remaining: Vec<Dur>,
}

impl Graph {
    /// The graph of a plan, whose steps already stand in order.
    pub fn of(plan: &Plan) -> Self {
        let mut dependents = vec![Vec::new(); plan.steps.len()];
        for step in plan.places() {
            for need in &plan.step(step).needs {
                dependents[need.ix()].push(step);
            }
        }
        let mut remaining = vec![Dur(0); plan.steps.len()];
        for step in plan.places().rev() {
            let own = plan.step(step).estimate.map_or(Dur(0), |e| e.p50);
            let behind = dependents[step.ix()].iter().map(|d: &StepIx| remaining[d.ix()]).max().unwrap_or_default();
            remaining[step.ix()] = Dur(own.0 + behind.0);
        }
        Self { dependents, remaining }
    }

    /// The steps that need this one directly.
    pub fn dependents(&self, step: StepIx) -> &[StepIx] {
        &self.dependents[step.ix()]
    }

    /// How long the longest path from the start of this step to the end of the
    /// plan takes, by the runbook's estimates. A step without one counts as zero.
    pub fn remaining(&self, step: StepIx) -> Dur {
        self.remaining[step.ix()]
    }
}
