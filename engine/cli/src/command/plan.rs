//! `dr plan` and `dr lint`: what would be done, and what is wrong with it.

use super::{Here, plan_of};
use crate::{
    args::{Chosen, PlanArgs},
    failure::{self, Failure},
    show,
};
use dr_engine::{
    event::RunKind,
    forecast::critical,
    plan::{Plan, graph::waves},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// A plan that was saved, to be executed exactly as it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Saved {
    /// The version of this form.
    pub dr_plan: u32,
    /// When it was planned, for people: no part of the hash.
    pub planned_at: String,
    /// The folder of the runbook, for relative paths of commands.
    pub folder: String,
    /// The hash of the plan.
    pub hash: String,
    /// The plan.
    pub plan: Plan,
}

/// Shows a plan.
pub fn plan(here: &Here, args: &PlanArgs) -> Result<u8, Failure> {
    let plan = chosen(&args.chosen)?.0;
    let prediction = show::plan::predict(&plan, args.parallel);
    if let Some(path) = &args.out {
        save(path, &plan, &args.chosen.runbook)?;
    }
    if here.json {
        show::print(&format!("{}\n", json(&plan, &prediction)));
    } else {
        show::print(&show::plan::render(&plan, &prediction));
    }
    // The process ends here: taking a large plan apart, piece by piece, is time nobody gains by.
    std::mem::forget(plan);
    Ok(failure::DONE)
}

fn save(path: &Path, plan: &Plan, runbook: &Path) -> Result<(), Failure> {
    if fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0) && saved(path).is_ok_and(|it| it.is_none())
    {
        let message = format!("{} is there already and is no saved plan: nothing was written", path.display());
        return Err(Failure::usage(message).hint("name another file: --out FILE"));
    }
    let saved = Saved {
        dr_plan: 1,
        planned_at: crate::control::clock().now().to_string(),
        folder: crate::control::folder_of(runbook),
        hash: plan.hash(),
        plan: plan.clone(),
    };
    let text = serde_json::to_string_pretty(&saved).map_err(|e| Failure::before(e.to_string()))?;
    fs::write(path, text + "\n").map_err(|e| Failure::before(format!("{} cannot be written: {e}", path.display())))
}

/// What a person chose: a plan that was saved, or that of a runbook; and the
/// folder of its relative paths.
pub fn chosen(chosen: &Chosen) -> Result<(Plan, String), Failure> {
    let Some(saved) = saved(&chosen.runbook)? else {
        return Ok((plan_of(chosen)?, crate::control::folder_of(&chosen.runbook)));
    };
    let Chosen { params, only, until, skip, .. } = chosen;
    if [params, only, until, skip].iter().any(|given| !given.is_empty()) {
        return Err(Failure::usage("a saved plan is exactly as it is: it takes no parameters or selection"));
    }
    show::aside(&format!("plan {} of {}", &saved.hash[..12], saved.planned_at));
    Ok((saved.plan, saved.folder))
}

/// Reads a plan that was saved, if that is what the file is.
pub fn saved(path: &Path) -> Result<Option<Saved>, Failure> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(None) };
    if !text.trim_start().starts_with('{') || !text.contains("\"dr_plan\"") {
        return Ok(None);
    }
    let wrong = |why: String| {
        Failure::usage(format!("the plan {} {why}", path.display())).hint("plan anew: dr plan RUNBOOK --out FILE")
    };
    let saved: Saved = serde_json::from_str(&text).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if saved.dr_plan != 1 {
        return Err(wrong(format!("has version {}, this version of dr reads 1", saved.dr_plan)));
    }
    if saved.hash != saved.plan.hash() {
        return Err(wrong("was changed after it was saved: its hash does not fit".into()));
    }
    Ok(Some(saved))
}

/// A plan as JSON, with its prediction.
fn json(plan: &Plan, prediction: &show::plan::Prediction) -> serde_json::Value {
    let (critical, waves) = (critical(plan, &prediction.usual), waves(plan));
    let steps: Vec<_> = plan
        .places()
        .map(|at| {
            let step = plan.step(at);
            let slot = prediction.usual[at.ix()];
            serde_json::json!({
                "id": step.id,
                "kind": step.kind,
                "phase": step.phase,
                "needs": step.needs.iter().map(|n| &plan.step(*n).id).collect::<Vec<_>>(),
                "wave": waves[at.ix()] + 1,
                "starts_ms": slot.start.0,
                "ends_ms": slot.end.0,
                "estimated": step.estimate.is_some(),
                "critical": critical[at.ix()],
                "left_out": prediction.left_out[at.ix()],
                "irreversible": step.irreversible,
                "unseen": step.blind,
                "approval": step.is_gate(),
            })
        })
        .collect();
    serde_json::json!({
        "format": "dr-plan", "version": 1,
        "name": plan.name, "hash": plan.hash(), "mode": plan.mode,
        "claim": plan.claim.as_ref().map(|claim| claim.url(RunKind::Live)),
        "rto_ms": plan.objectives.rto.map(|d| d.0),
        "predicted_p50_ms": prediction.p50.0, "predicted_p90_ms": prediction.p90.0,
        "steps_without_estimate": prediction.unknown,
        "steps": steps,
    })
}

/// Checks that need no network: what planning finds. The design rules come
/// with a later version.
pub fn lint(here: &Here, chosen: &Chosen) -> Result<u8, Failure> {
    let plan = self::chosen(chosen)?.0;
    let count = plan.steps.len();
    let steps = if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
    let remarks: Vec<_> = show::plan::unmeasured(&plan).into_iter().chain(show::plan::single_page(&plan)).collect();
    if here.json {
        let lint = serde_json::json!({
            "format": "dr-lint", "version": 1, "name": plan.name, "hash": plan.hash(), "steps": count,
            "remarks": remarks,
        });
        show::print(&format!("{lint}\n"));
        return Ok(failure::DONE);
    }
    let remarks: String = remarks.iter().flat_map(|why| [*why, "\n"]).collect();
    show::print(&format!("{}: {steps}, no mistakes\n{remarks}", chosen.runbook.display()));
    Ok(failure::DONE)
}
