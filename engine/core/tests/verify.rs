//! The stretch that `verify` watches.

use async_trait::async_trait;
use dr_engine::{
    clock::{Clock, Time},
    kind::{Explained, Kind, Reference, Registry},
    outcome::{Failure, Output},
    step::{Check, Description, ReadCx, Step, StepCx, StepError},
    testing::{Bench, UNEXPLAINED},
    verify::{HEALTHY_SINCE, Verify},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::{Arc, Mutex};

const BEGIN: i64 = 1_000_000;

/// A probe that finds everything good; it wants `row` good looks, one after the other.
#[derive(Debug, Deserialize, JsonSchema)]
struct Good {
    row: u32,
    #[serde(skip)]
    #[schemars(skip)]
    seen: Mutex<u32>,
}

impl Explained for Good {
    const REFERENCE: Reference = UNEXPLAINED;
}

#[async_trait]
impl Step for Good {
    fn describe(&self) -> Description {
        Description::default()
    }

    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn watch(&self, _: &ReadCx) -> Result<Check, Failure> {
        let mut seen = self.seen.lock().expect("whole");
        *seen += 1;
        Ok(if *seen < self.row { Check::InProgress } else { Check::Done(Output::default()) })
    }

    async fn run(&self, _: &StepCx) -> Result<Output, StepError> {
        Err(Failure::new("a probe is not run").into())
    }
}

/// A clock that is an hour late out of its nth sleep, as on a machine that was suspended.
struct Suspended {
    now: Mutex<i64>,
    sleeps: Mutex<Vec<i64>>,
}

#[async_trait]
impl Clock for Suspended {
    fn now(&self) -> Time {
        Time(*self.now.lock().expect("whole"))
    }

    async fn sleep_until(&self, until: Time) {
        let late = self.sleeps.lock().expect("whole").pop().unwrap_or(0);
        let mut now = self.now.lock().expect("whole");
        *now = until.0.max(*now) + late;
    }
}

/// How long after the beginning service is said to be healthy, and when that is said, in seconds.
async fn healthy(row: u32, sleeps: &[i64]) -> (i64, i64) {
    let registry = Registry::of(vec![Kind::of::<Good>("good")]);
    let with = json!({ "probes": { "web": ["good", { "row": row }] }, "hold": "1m", "every": "5s" });
    let verify = Verify::from_json(&|kind, with| registry.make(kind, with), with).expect("inputs");
    let sleeps = Mutex::new(sleeps.iter().rev().map(|seconds| seconds * 1000).collect());
    let clock: Arc<dyn Clock> = Arc::new(Suspended { now: Mutex::new(BEGIN), sleeps });
    let bench = Bench::new("verify", clock.clone(), Arc::new(()));
    let output = verify.run(&bench.cx()).await.expect("it is healthy");
    let since = output.values[HEALTHY_SINCE].as_i64().expect("a time");
    ((since - BEGIN) / 1000, (clock.now().0 - BEGIN) / 1000)
}

#[tokio::test]
async fn the_first_good_look_counts_and_the_row_must_be_full_as_well() {
    assert_eq!(healthy(1, &[]).await, (0, 60));
    assert_eq!(healthy(3, &[]).await, (0, 60));
    assert_eq!(healthy(20, &[]).await, (0, 95), "the row is longer than the stretch");
}

#[tokio::test]
async fn a_stretch_that_nobody_watched_is_no_unbroken_one() {
    assert_eq!(healthy(1, &[0, 3600]).await, (3610, 3670));
    assert_eq!(healthy(1, &[0, 9]).await.0, 0, "a busy machine is a little late");
}
