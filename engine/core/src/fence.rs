//! Fences and what they are for, looked at beside an attempt: a fence once more before
//! its promotion, and a promotion before its fence stops what people use.

use crate::{
    attempt::Tools,
    limits,
    outcome::Failure,
    plan::StepIx,
    run::{Run, State},
    step::{Check, Report, Step, StepCx},
};
use futures_util::{FutureExt, future::try_join_all};
use std::{panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::mpsc;

/// The fact that a fence was seen to stand no more: what was opened since then may
/// go on, so that nothing in this run closes it again.
const FELL: &str = "fence_fell";
/// The fact that a fence could not be looked at once more.
const UNSEEN: &str = "fence_unseen";

/// What is looked at beside an attempt, before it begins anything.
#[derive(Default)]
pub(crate) struct Beside {
    /// The fences of a promotion that were proven; one that is owed is looked at on its own.
    fences: Vec<Other>,
    /// The promotions that a fence is for, where nothing but that is in their way.
    promotions: Vec<Other>,
}

/// Another step than that of the attempt.
struct Other {
    id: String,
    work: Result<Arc<dyn Step>, Failure>,
    cx: StepCx,
}

impl Tools {
    /// What is looked at beside an attempt at this step.
    pub(crate) fn beside(&self, run: &Run, step: StepIx, tell: &mpsc::UnboundedSender<Report>) -> Beside {
        let other = |other| {
            let cx = self.context(run, other, run.step(other).attempt, tell);
            Other { id: run.plan().step(other).id.clone(), work: self.work(run, other), cx }
        };
        let proven = |fence: &StepIx| matches!(run.step(*fence).state, State::Done | State::Bypassed { .. });
        let fences = run.plan().step(step).fenced_by.iter().copied().filter(proven);
        let dependents = if run.plan().step(step).fences { run.graph.dependents(step) } else { &[] };
        let promotions = dependents.iter().copied().filter(|promotion| {
            let plan = run.plan().step(*promotion);
            // What it is for may be made by a step before it: until then there is nothing to see.
            let in_the_way = |need: &StepIx| {
                !run.satisfied(*need)
                    && !plan.fenced_by.contains(need)
                    && !run.gates(*promotion).any(|gate| gate == *need)
            };
            plan.fenced_by.contains(&step)
                && run.step(*promotion).state == State::Waiting
                && !plan.needs.iter().any(in_the_way)
        });
        Beside { promotions: promotions.map(other).collect(), fences: fences.map(other).collect() }
    }
}

impl Beside {
    /// Whether the attempt may act.
    pub(crate) async fn allow(&self, cx: &StepCx) -> Result<(), Failure> {
        try_join_all(self.promotions.iter().map(Other::can_be_done)).await?;
        for fence in &self.fences {
            fence.stands(cx).await?;
        }
        Ok(())
    }
}

impl Other {
    /// What its `check` sees, if it answers soon.
    async fn look(&self) -> Option<Result<Check, Failure>> {
        let work = self.work.as_ref().ok()?;
        let looking = AssertUnwindSafe(work.check(&self.cx.read)).catch_unwind();
        self.cx.read.clock.timeout(limits::FENCE_LOOK, looking).await?.ok()
    }

    /// Looks whether a promotion can be done at all: who works is not stopped for one that
    /// cannot. Where nobody can tell, its fence is set.
    async fn can_be_done(&self) -> Result<(), Failure> {
        let failure = match self.look().await {
            Some(Ok(Check::Impossible(failure))) => failure,
            Some(Err(failure)) if !failure.transient => failure,
            _ => return Ok(()),
        };
        let message = format!("nothing is fenced, since `{}` could not be done after it: {}", self.id, failure.message);
        Err(Failure { message, transient: false, ..failure })
    }

    /// Looks at a fence once more: hours may lie between the proof and what it is for. Where
    /// nobody can look now, or something else is under way there, the proof of
    /// before stands: a region that has gone dark since must not hold up a recovery
    /// from it.
    async fn stands(&self, cx: &StepCx) -> Result<(), Failure> {
        if cx.read.facts.iter().any(|fact| fact.name == FELL && fact.value == self.id.as_str()) {
            return Err(self.fell("somebody lifted it"));
        }
        if self.work.is_err() {
            return Ok(());
        }
        let why = match self.look().await {
            Some(Ok(Check::Done(_))) => return Ok(()),
            Some(Ok(Check::Absent)) => "the old writer can write".to_owned(),
            Some(Ok(Check::Impossible(failure))) => failure.message,
            Some(Ok(Check::InProgress | Check::Unknown(_)) | Err(_)) | None => {
                cx.record(UNSEEN, self.id.as_str()).await;
                return Ok(());
            }
        };
        cx.record(FELL, self.id.as_str()).await;
        Err(self.fell(&why))
    }

    fn fell(&self, why: &str) -> Failure {
        let text = format!("its fence `{}` was proven and does not stand any more: {why}", self.id);
        Failure::new(text).hint(
            "`stop` this run and execute it anew: there the fence is set and proven again, or two people say \
             `impossible`, and what is done already is found done",
        )
    }
}
