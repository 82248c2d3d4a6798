//! Which services a plan calls, region by region, and whether they answer.

use crate::show::sheet::{Mark, Sheet};
use dr_engine::{
    clock::Clock,
    kind::Registry,
    plan::{Mode, Plan},
};
use dr_steps::{
    aws::survey::{Asked, Ended, SERVICES},
    world::World,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The services that are called, by the region that they are called in.
type Used = BTreeMap<String, BTreeSet<&'static str>>;

/// Asks each service that the plan calls, in each region that it calls it in;
/// without a plan, all that any kind of work calls, in `home`.
pub async fn ask(plan: Option<&Plan>, home: &str, world: &World, clock: &Arc<dyn Clock>, sheet: &mut Sheet) {
    let mut used = used(plan, home);
    // The region that recovers comes first.
    let first = used.remove_entry(home);
    let all: Vec<_> = first.into_iter().chain(used).collect();
    for (region, asked) in world.aws.survey(clock, &all).await {
        tell(asked, region, plan.is_some_and(|plan| is_given_up(plan, region)), sheet);
    }
}

/// Whether a run of this plan is for the loss of the region: then nothing can
/// be asked of it, and whatever works there has to live with that.
fn is_given_up(plan: &Plan, region: &str) -> bool {
    let is = |name: &str| plan.regions.get(name).is_some_and(|it| it == region);
    plan.mode == Mode::Ungraceful && is("primary") && !is("recovery")
}

/// Which services of a region answer, and how soon.
fn tell(all: Vec<Asked>, region: &str, given_up: bool, sheet: &mut Sheet) {
    let (mut answered, mut unasked) = (Vec::new(), Vec::new());
    for Asked { service, region: control_plane, ended } in all {
        match ended {
            Ended::Answered(took) => answered.push(format!("{service} {}ms ({control_plane})", took.0)),
            Ended::Unasked => unasked.push(service),
            // A service with one control plane is not lost with this region.
            Ended::Silent(failure) if given_up && control_plane == region => {
                let text = format!(
                    "{} — {region} is the primary, and this runbook is for its loss: what works there waits, or \
                     goes on without it",
                    failure.message
                );
                sheet.say(Mark::Aside, "services", &text);
            }
            Ended::Silent(failure) => sheet.failed("services", &failure),
        }
    }
    if !answered.is_empty() {
        sheet.say(Mark::Good, "services", &answered.join(", "));
    }
    if !unasked.is_empty() {
        sheet.say(Mark::Unknown, "services", &format!("not asked, for want of credentials: {}", unasked.join(", ")));
    }
}

fn used(plan: Option<&Plan>, home: &str) -> Used {
    let Some(plan) = plan else { return Used::from([(home.to_owned(), SERVICES.into())]) };
    let registry: Registry = dr_steps::registry();
    // Whose the credentials are is asked for before anything else, in the region that recovers.
    let mut used = Used::from([(home.to_owned(), BTreeSet::from(["sts"]))]);
    if plan.claim.is_some() {
        used.entry(home.to_owned()).or_default().insert("s3");
    }
    for step in plan.steps.iter().filter(|step| step.calls_provider) {
        let actions = registry.planned(step).map(|work| work.describe().actions);
        let services: Vec<_> = match actions {
            Some(actions) => {
                let named = |service: &&str| actions.iter().any(|action| action.split(':').next() == Some(*service));
                SERVICES.iter().copied().filter(named).collect()
            }
            // What it calls cannot be told: then any service may be its own.
            None => SERVICES.into(),
        };
        // A region that a step names itself may be known only when it runs.
        let named = step.regions.iter().map(String::as_str).filter(|region| !region.contains("${"));
        for region in named.chain([step.region.as_deref().unwrap_or(home)]) {
            used.entry(region.to_owned()).or_default().extend(&services);
        }
    }
    used
}
