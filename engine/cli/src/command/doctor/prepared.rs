//! What the steps of a plan lean on, on this machine: their secrets, their
//! files, the programs that they start.

use crate::show::sheet::{Mark, Sheet};
use dr_engine::{kind::Registry, need::Need, plan::Plan};
use dr_steps::prepared::{Found, look};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Steps that are named on one line.
const NAMED_MAX: usize = 3;

/// What is needed here, and by which steps.
pub type Needs = BTreeMap<Need, BTreeSet<String>>;

/// What a plan needs here.
pub fn needs(plan: &Plan, registry: &Registry) -> Needs {
    let mut needs = Needs::new();
    for step in &plan.steps {
        // What only the run knows is still open in it; what it needs beside is known.
        let Some(work) = registry.planned(step) else { continue };
        for need in work.leans_on() {
            needs.entry(need).or_default().insert(step.id.clone());
        }
    }
    needs
}

/// Looks at all of it; what is as it should be is told on one line of its sort.
/// `folder` is that of the runbook.
pub fn tell(needs: &Needs, folder: &Path, sheet: &mut Sheet) {
    let mut good: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut rest = Vec::new();
    for (need, steps) in needs {
        let Some(sort) = sort(need) else { continue };
        match look(need, folder) {
            Found::There(name) => {
                good.entry(sort).or_default().insert(name);
            }
            found => rest.push((sort, found, by(steps))),
        }
    }
    for (sort, names) in good {
        sheet.say(Mark::Good, sort, &names.into_iter().collect::<Vec<_>>().join(", "));
    }
    for (sort, found, by) in rest {
        match found {
            Found::There(_) => {}
            Found::Missing(mut failure) => {
                failure.message = format!("{}, and {by}", failure.message);
                sheet.failed(sort, &failure);
            }
            Found::Unknown(why) => sheet.say(Mark::Unknown, sort, &format!("{why}; {by}")),
        }
    }
}

/// The line that it is told on; none for what is asked for its version as well.
fn sort(need: &Need) -> Option<&'static str> {
    Some(match need {
        Need::Secret(_) => "secrets",
        Need::Certificates(_) => "ca",
        Need::Program { .. } => "programs",
        Need::Later { what, .. } => what,
        Need::ProviderCli => return None,
    })
}

fn by(steps: &BTreeSet<String>) -> String {
    let mut named: Vec<_> = steps.iter().take(NAMED_MAX).map(|id| format!("`{id}`")).collect();
    if steps.len() > NAMED_MAX {
        named.push(format!("{} more", steps.len() - NAMED_MAX));
    }
    format!("{} need{} it", named.join(", "), if steps.len() == 1 { "s" } else { "" })
}
