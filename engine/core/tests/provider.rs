//! What a plan says of calls to the cloud provider: whoever decides whether a
//! run is a lab run goes by it.

use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Kind, Reference, Registry},
    outcome::{Failure, Output},
    plan::build::{Options, Sources, plan},
    step::{Check, Description, ReadCx, Step, StepCx, StepError},
    testing::UNEXPLAINED,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Needs a permission of the provider.
#[derive(Deserialize, JsonSchema)]
struct Calls {}

/// Needs none.
#[derive(Deserialize, JsonSchema)]
struct Idle {}

impl Explained for Calls {
    const REFERENCE: Reference = UNEXPLAINED;
}

#[async_trait]
impl Step for Calls {
    fn describe(&self) -> Description {
        Description { actions: vec!["rds:DescribeDBInstances"], ..Description::default() }
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, _: &StepCx) -> Result<Output, StepError> {
        Ok(Output::default())
    }
}

impl Explained for Idle {
    const REFERENCE: Reference = UNEXPLAINED;
}

#[async_trait]
impl Step for Idle {
    fn describe(&self) -> Description {
        Description::default()
    }

    async fn check(&self, _: &ReadCx) -> Result<Check, Failure> {
        Ok(Check::Absent)
    }

    async fn run(&self, _: &StepCx) -> Result<Output, StepError> {
        Ok(Output::default())
    }
}

struct Text(&'static str);

impl Sources for Text {
    fn read(&self, path: &str, _: Option<&str>) -> Result<(String, String), String> {
        Ok((path.to_owned(), format!("dr: v1\nname: one\n{}", self.0)))
    }
}

/// Whether the plan of a runbook calls the provider, and which steps of it do.
fn check(runbook: &'static str, calls: bool, steps: &[&str]) {
    let registry = Registry::of([Kind::of::<Calls>("calls"), Kind::of::<Idle>("idle")]);
    let plan = match plan("one.yaml", &Text(runbook), &registry, &Options::default()) {
        Ok(plan) => plan,
        Err(problems) => panic!("{:?}", problems.problems),
    };
    let found: Vec<_> = plan.steps.iter().filter(|s| s.calls_provider).map(|s| s.id.as_str()).collect();
    assert_eq!((plan.calls_provider(), found.as_slice()), (calls, steps), "{runbook}");
}

#[test]
fn a_plan_calls_the_provider_when_a_step_a_probe_or_its_claim_does() {
    check("steps: { a: { do: { idle: {} } } }", false, &[]);
    check("steps: { a: { do: { idle: {} } }, b: { do: { calls: {} } } }", true, &["b"]);
    check("steps: { a: { do: { idle: {} } } }\nregions: { recovery: r }\nclaim: s3://bucket/key", true, &[]);
    check("steps: { a: { do: { idle: {} } } }\nverify: { up: { calls: {} } }", true, &["verify"]);
}
