//! The runbook's `verify`: every probe good at once, and good for long enough.
//!
//! The moment from which they were all good without a break is when service
//! was back: the RTO is measured to it.

use crate::{
    clock::Time,
    duration::Dur,
    kind::Make,
    limits,
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
};
use async_trait::async_trait;
use futures_util::future::join_all;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The output that holds when service was back, in milliseconds.
pub const HEALTHY_SINCE: &str = "healthy_since";

/// How `verify` stands in a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyWith {
    /// Each probe: its kind and what that is given.
    pub probes: IndexMap<String, (String, Value)>,
    /// How long all of them must stay good.
    pub hold: Dur,
    /// The pause between two rounds.
    pub every: Dur,
}

/// Several probes as one step.
pub struct Verify {
    probes: Vec<(String, Arc<dyn Step>)>,
    hold: Dur,
    every: Dur,
}

impl Verify {
    /// The step, its probes made as `make` makes them.
    pub fn from_json(make: Make<'_>, with: Value) -> Result<Self, Failure> {
        let with: VerifyWith = serde_json::from_value(with).map_err(|e| Failure::new(format!("verify: {e}")))?;
        let probes = with.probes.into_iter().map(|(name, (kind, with))| Ok((name, make(&kind, with)?)));
        Ok(Self { probes: probes.collect::<Result<_, Failure>>()?, hold: with.hold, every: with.every })
    }

    /// One look through every probe: whether each was good for as long as it
    /// wants, or what is not good, and why.
    async fn look(&self, cx: &ReadCx) -> Result<bool, String> {
        let looks = self.probes.iter().map(|(name, probe)| async move {
            match probe.watch(cx).await {
                Ok(Check::Done(_)) => Ok(true),
                Ok(Check::InProgress) => Ok(false),
                Ok(Check::Unknown(why)) => Err(format!("{name}: {why}")),
                Ok(Check::Impossible(failure)) | Err(failure) => Err(format!("{name}: {}", failure.message)),
                Ok(Check::Absent) => Err(format!("{name} is not good yet")),
            }
        });
        let (good, bad): (Vec<_>, Vec<_>) = join_all(looks).await.into_iter().partition(Result::is_ok);
        let bad: Vec<_> = bad.into_iter().filter_map(Result::err).collect();
        if bad.is_empty() { Ok(good.into_iter().flatten().all(|enough| enough)) } else { Err(bad.join("; ")) }
    }
}

#[async_trait]
impl Step for Verify {
    fn describe(&self) -> Description {
        let names: Vec<_> = self.probes.iter().map(|(name, _)| name.as_str()).collect();
        Description {
            summary: format!("verify {} for {}", names.join(", "), self.hold),
            actions: self.probes.iter().flat_map(|(_, probe)| probe.describe().actions).collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName::number(HEALTHY_SINCE)]
    }

    fn leans_on(&self) -> Vec<Need> {
        self.probes.iter().flat_map(|(_, probe)| probe.leans_on()).collect()
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, _cx: &ReadCx) -> Result<Check, Failure> {
        // It has no effect that could be there already: it is always done anew,
        // and a stretch that nobody watched is no unbroken one.
        Ok(Check::Absent)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clock = &cx.read.clock;
        let mut good_since: Option<Time> = None;
        let mut wake_at = clock.now();
        loop {
            // The look's beginning, not its end: what a slow probe saw was so no later than that.
            let looked_at = clock.now();
            if looked_at.since(wake_at) > limits::UNWATCHED_MAX {
                // This machine slept, or was stopped: nobody watched meanwhile.
                good_since = None;
            }
            let mut pause = self.every;
            match self.look(&cx.read).await {
                Ok(enough) => {
                    let since = *good_since.get_or_insert(looked_at);
                    let lasted = clock.now().since(since);
                    if enough && lasted >= self.hold {
                        let values = json!({ HEALTHY_SINCE: since.0 }).as_object().cloned().unwrap_or_default();
                        return Ok(Output { values, recovery_point: None });
                    }
                    if enough {
                        pause = Dur((self.hold.0 - lasted.0).clamp(1, self.every.0));
                    }
                    cx.read.progress(&format!("all good since {since}, {lasted} of {}", self.hold));
                }
                Err(bad) => {
                    good_since = None;
                    cx.read.progress(&bad);
                }
            }
            wake_at = clock.now().after(pause);
            clock.sleep_until(wake_at).await;
        }
    }
}
