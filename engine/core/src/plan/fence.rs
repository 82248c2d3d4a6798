//! What a promotion wants before it: a fence that keeps the old writer from
//! writing, and somebody's word for the writes that are lost.
//!
//! A fence counts by its proof alone, so whatever would let it pass without
//! one (a condition, a tolerated failure, a part of the plan without it) is a
//! mistake of the runbook.

use super::{OnFailure, build::Build, draft::Draft};
use crate::{
    problem::{Problem, Span},
    question::FENCE_WAIVERS,
};
use serde_json::json;
use std::collections::BTreeSet;

/// The role that acknowledges lost data, and the one that does where nobody has that.
const ACKNOWLEDGES: [&str; 2] = ["executive", "incident_commander"];

impl Build<'_> {
    /// Gives the questions about lost data to a role.
    pub(super) fn whom_to_ask(&mut self) {
        let acknowledges = ACKNOWLEDGES.into_iter().find(|role| self.who.names().any(|name| name == *role));
        for draft in &mut self.drafts {
            let Some(at) = draft.asks_about_loss else { continue };
            match acknowledges {
                Some(role) => {
                    draft.step.with["roles"] = json!([role]);
                    draft.roles = vec![(role.to_owned(), at)];
                }
                None if self.who.are_known() => {
                    let [first, second] = ACKNOWLEDGES;
                    let message = format!("nobody may acknowledge lost data: there is no role `{first}` or `{second}`");
                    self.problems.push(Problem::new(at, message).help(format!("name them: `roles: {{ {first}: … }}`")));
                }
                None => {}
            }
        }
    }
}

/// What one step says of fences and of lost data, by itself.
pub(super) fn check(draft: &Draft, problems: &mut Vec<Problem>) {
    if draft.broken || draft.step.gates.is_some() {
        return;
    }
    let id = draft.written();
    if draft.second_writer && draft.fence.is_none() {
        let message = format!("step `{id}` makes a second writer, and nothing keeps the first one from writing");
        problems.push(Problem::new(draft.span, message).help("name the step that does: `fence: STEP`"));
    }
    if draft.loses_data && !draft.acknowledged {
        let message = format!("step `{id}` loses what was written last, and nobody is asked");
        problems.push(
            Problem::new(draft.span, message).help("let it be asked with the live number: `data_loss: acknowledge`"),
        );
    }
    if draft.fence.is_some() && draft.step.when.is_some() {
        let message = format!("step `{id}` has a condition, and its fence has none");
        let help =
            "where it is left out, the old writer would be fenced for nothing: plan that case in a runbook of its own";
        problems.push(Problem::new(draft.span, message).help(help));
    }
    if !draft.step.fences {
        return;
    }
    if draft.step.when.is_some() {
        let message = format!("step `{id}` is a fence, and has a condition");
        let help = "a fence that is left out proves nothing: take `when` away, and plan the other case in a runbook of its own";
        problems.push(Problem::new(draft.span, message).help(help));
    }
    if draft.step.on_failure == OnFailure::Continue {
        let message = format!("step `{id}` is a fence, and its failure would be tolerated");
        let help = "take `on_failure` away: when it cannot be set, two people are asked";
        problems.push(Problem::new(draft.span, message).help(help));
    }
}

/// A fence works where the old writer is, and a step that says nothing works
/// where the recovery is: there it would stop what was just recovered.
pub(super) fn check_region(draft: &Draft, primary: Option<&str>, problems: &mut Vec<Problem>) {
    let step = &draft.step;
    if draft.broken || !step.fences || !step.calls_provider {
        return;
    }
    let (Some(region), Some(primary)) = (&step.region, primary) else { return };
    if region == primary {
        return;
    }
    let message = format!("step `{}` is a fence, and would work in {region}, where the recovery is", draft.written());
    let help = "say where the old writer is: `region: primary`, or `region: recovery` if it is there";
    problems.push(Problem::new(draft.span, message).help(help));
}

/// What stands under `fence:` of a step: only what proves something may.
pub(super) fn check_kind(of: &Draft, at: Span, by: &Draft, problems: &mut Vec<Problem>) {
    if by.broken || by.step.fences {
        return;
    }
    let (whose, name, kind) = (of.written(), by.written(), &by.step.kind);
    let message =
        format!("`{name}` is no fence of `{whose}`: `{kind}` does not prove that the old writer cannot write");
    problems.push(
        Problem::new(at, message).help("use a kind that does, such as `fence.command`, whose `check` is the proof"),
    );
}

/// A part of the plan that has a promotion has its fence.
pub(super) fn check_part(drafts: &[Draft], fences: &[Vec<usize>], keep: &BTreeSet<usize>, problems: &mut Vec<Problem>) {
    for (at, draft) in drafts.iter().enumerate().filter(|(at, _)| keep.contains(at)) {
        if let Some(missing) = fences[at].iter().find(|fence| !keep.contains(fence)) {
            let (id, fence) = (draft.written(), drafts[*missing].written());
            let message = format!("this part of the plan has `{id}` without its fence `{fence}`");
            let help = format!("leave both out, or take both: `--only {fence} --only {id}`");
            problems.push(Problem::new(draft.fence.as_ref().map_or(draft.span, |(_, at)| *at), message).help(help));
        }
    }
}

/// Why too few people can say that a fence is impossible, if they are too few.
pub(super) fn too_few(draft: &Draft, people: &BTreeSet<&str>) -> Option<Problem> {
    if !draft.step.fences || people.len() >= FENCE_WAIVERS as usize {
        return None;
    }
    let who = if people.is_empty() { "nobody".to_owned() } else { super::who::list(people) };
    let message = format!(
        "when the fence `{}` cannot be set, {FENCE_WAIVERS} people are asked, and `roles` names {who}",
        draft.written()
    );
    Some(
        Problem::new(draft.span, message)
            .help("the region may be gone when it is needed: name more people; `deputies` count too"),
    )
}
