//! `wait_until`: nothing is done, until something is so.

use crate::{
    prepared,
    probe::{CommandProbe, HttpProbe, Seen, TcpProbe},
    verify::Row,
    web,
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, num::NonZeroU32};

/// Waits until a probe is good, for at most the step's timeout.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitUntil {
    /// What is looked at: `http`, `tcp` or `command`.
    pub probe: Probe,
    /// The pause between two looks. Default: 10s.
    #[serde(default = "ten_seconds")]
    pub every: Dur,
    #[serde(skip)]
    #[schemars(skip)]
    row: Row,
}

/// What is looked at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A GET that is answered as it should be.
    Http(HttpProbe),
    /// A connection that stands.
    Tcp(TcpProbe),
    /// A program that ends with exit code 0.
    Command(CommandProbe),
}

fn ten_seconds() -> Dur {
    Dur::seconds(10)
}

impl Probe {
    async fn look(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        match self {
            Self::Http(probe) => probe.look(cx, &BTreeMap::new(), None).await,
            Self::Tcp(probe) => probe.look(cx).await,
            Self::Command(probe) => probe.look(cx).await,
        }
    }
}

impl Explained for WaitUntil {
    const REFERENCE: Reference = Reference {
        check: "One look by the probe. Done if it is good.",
        run: "Looks again every `every` until the probe is good, as long as the step's `timeout` lets it.",
        undo: None,
        recovery_point: None,
        time: "As long as what is waited for takes.",
        traps: &[
            "It has no end of its own: give the step a `timeout`.",
            "One good look is enough. Where a service may come and go, take `verify.http` with \
             `good_in_a_row`.",
        ],
        example: "
            queue_is_drained:
              do:
                wait_until:
                  probe:
                    http:
                      url: https://queue.example.com/depth
                      expect: { json: { /depth: 0 } }
                  every: 15s
              timeout: 30m
        ",
    };
}

#[async_trait]
impl Step for WaitUntil {
    fn describe(&self) -> Description {
        let what = match &self.probe {
            Probe::Http(probe) => format!("a good answer of {}", probe.url),
            Probe::Tcp(probe) => format!("a connection to {}", probe.address),
            Probe::Command(probe) => {
                let words: Vec<_> = probe.argv.iter().map(ToString::to_string).collect();
                format!("a good end of `{}`", words.join(" "))
            }
        };
        Description { summary: format!("waits for {what}"), ..Description::default() }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        match &self.probe {
            Probe::Http(probe) => web::written_down("probe", &probe.headers).into_iter().collect(),
            Probe::Tcp(_) | Probe::Command(_) => Vec::new(),
        }
    }

    fn leans_on(&self) -> Vec<Need> {
        match &self.probe {
            Probe::Http(probe) => prepared::secrets(probe.headers.values()).collect(),
            Probe::Tcp(_) => Vec::new(),
            Probe::Command(probe) => prepared::started(&probe.argv, &probe.env, probe.cwd.as_ref()).collect(),
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName { name: "healthy".into(), is: OutputType::Any }]
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(self.row.begin(cx, NonZeroU32::MIN, self.probe.look(cx).await?))
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        self.row.go_on(&cx.read, NonZeroU32::MIN, self.every, || self.probe.look(&cx.read)).await
    }
}
