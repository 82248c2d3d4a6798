//! What past runs took, step by step: the only source of numbers for the next
//! estimate, and of the sentence that a recovery grows slower every quarter.

use super::{Report, Rpo, Rto};
use crate::{
    clock::Time,
    duration::Dur,
    event::RunKind,
    plan::{Estimate, VERIFY},
};
use std::collections::BTreeMap;

/// A trend needs as many measurements.
const TREND_MIN: usize = 4;

/// A run as history remembers it.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its id.
    pub run: String,
    /// The runbook's name.
    pub runbook: String,
    /// Whether it was real.
    pub kind: RunKind,
    /// When it began.
    pub opened_at: Time,
    /// How it ended, or where it stands, as `--json` says it.
    pub outcome: &'static str,
    /// The time the business was down.
    pub rto: Rto,
    /// The data that was lost.
    pub rpo: Rpo,
    /// Its steps, in the order of the plan.
    pub steps: Vec<PastStep>,
}

/// A step as history remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastStep {
    /// Its id.
    pub id: String,
    /// How long the work took. Not where nothing was run, where a person did
    /// it or was waited for, where it failed, and not of a question or of `verify`,
    /// whose time is that of people and of the hold.
    pub took: Option<Dur>,
    /// What was expected of it.
    pub planned: Option<Estimate>,
}

impl Past {
    /// What is remembered of a report.
    pub fn of(report: &Report) -> Self {
        let (opened, plan) = (&report.opened, &report.opened.plan);
        let steps = report.story.steps.iter().map(|it| {
            let asked = report.story.questions.iter().any(|asked| asked.step == it.id);
            let work = it.state == "done" && it.found == Some(false) && it.actor.is_none() && !asked;
            let works = plan.step(it.step).calls_provider || plan.step(it.step).changes;
            PastStep {
                id: it.id.clone(),
                took: it.took().filter(|_| work && works && it.id != VERIFY),
                planned: it.planned,
            }
        });
        Self {
            run: opened.run.clone(),
            runbook: plan.name.clone(),
            kind: opened.kind,
            opened_at: report.moments.opened_at,
            outcome: report.present.word(),
            rto: report.rto.clone(),
            rpo: report.rpo.clone(),
            steps: steps.collect(),
        }
    }
}

/// What a step took, over several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Its id.
    pub id: String,
    /// Each measurement, the oldest first.
    pub times: Vec<Dur>,
    /// What was expected of it in the newest run.
    pub planned: Option<Estimate>,
}

/// The measurements of every step of these runs, in the order of the newest
/// plan; the runs stand from old to new and are of one runbook.
pub fn measured(runs: &[&Past]) -> Vec<Measured> {
    let mut times: BTreeMap<&str, Vec<Dur>> = BTreeMap::new();
    for step in runs.iter().flat_map(|run| &run.steps) {
        times.entry(&step.id).or_default().extend(step.took);
    }
    let newest = runs.last().map_or(&[][..], |run| &run.steps);
    let of = |step: &PastStep| Measured {
        id: step.id.clone(),
        times: times.remove(step.id.as_str()).unwrap_or_default(),
        planned: step.planned,
    };
    newest.iter().map(of).collect()
}

impl Measured {
    /// The time that this share of the measurements did not exceed, in
    /// hundredths: the nearest rank, a time that was measured, never one between two.
    pub fn percentile(&self, hundredths: usize) -> Option<Dur> {
        percentile(&self.times, hundredths)
    }

    /// By how much the newer half took longer than the older, in percent;
    /// negative when it took less. Not from fewer than four measurements.
    pub fn trend(&self) -> Option<i64> {
        if self.times.len() < TREND_MIN {
            return None;
        }
        let (older, newer) = self.times.split_at(self.times.len() / 2);
        let (older, newer) = (percentile(older, 50)?.0, percentile(newer, 50)?.0);
        (older > 0).then(|| (newer - older).saturating_mul(100) / older)
    }

    /// The usual time as a share of the estimated one, in percent.
    pub fn against_estimate(&self) -> Option<i64> {
        let planned = self.planned.filter(|planned| planned.p50 > Dur(0))?;
        Some(self.percentile(50)?.0.saturating_mul(100) / planned.p50.0)
    }
}

fn percentile(times: &[Dur], hundredths: usize) -> Option<Dur> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(seconds: &[i64]) -> Measured {
        let planned = Some(Estimate { p50: Dur::seconds(10), p90: Dur::seconds(20) });
        Measured { id: "x".into(), times: seconds.iter().copied().map(Dur::seconds).collect(), planned }
    }

    #[test]
    fn a_step_is_told_by_times_that_were_measured() {
        for (seconds, p50, p90, trend, against) in [
            (&[][..], None, None, None, None),
            (&[7], Some(7), Some(7), None, Some(70)),
            (&[10, 20], Some(10), Some(20), None, Some(100)),
            (&[10, 10, 15, 15], Some(10), Some(15), Some(50), Some(100)),
            (&[20, 20, 20, 10, 10], Some(20), Some(20), Some(-50), Some(200)),
            (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], Some(6), Some(10), Some(166), Some(60)),
            (&[0, 0, 5, 5], Some(0), Some(5), None, Some(0)),
        ] {
            let it = of(seconds);
            let times = (it.percentile(50), it.percentile(90));
            assert_eq!(times, (p50.map(Dur::seconds), p90.map(Dur::seconds)), "{seconds:?}");
            assert_eq!((it.trend(), it.against_estimate()), (trend, against), "{seconds:?}");
        }
    }

    proptest! {
        #[test]
        fn a_percentile_is_one_of_the_times_and_so_many_do_not_exceed_it(
            seconds in prop::collection::vec(0..1_000_i64, 1..40), hundredths in 1..=100_usize
        ) {
            let it = of(&seconds);
            let time = it.percentile(hundredths).expect("there are times");
            prop_assert!(it.times.contains(&time));
            let below = it.times.iter().filter(|other| **other <= time).count();
            prop_assert!(below * 100 >= hundredths * seconds.len());
        }
    }
}
