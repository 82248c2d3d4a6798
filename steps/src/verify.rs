//! `verify.http` and `verify.tcp`: whether a service is there, seen from outside.
//!
//! Looking is all their work, so `check` is one probe and there is never a
//! doubt. One good probe is done only where one is enough; otherwise it is the
//! first of the row that `run` goes on with.

use crate::{
    limits, prepared,
    probe::{HostPort, HttpProbe, Place, Seen, TcpProbe},
    web::{self, Expect, Headers, WebUrl},
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, Mistake, OutputName, OutputType, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    future::Future,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

/// Waits until a GET is answered as it should be, several times in a row.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyHttp {
    /// What to get. Redirects are not followed.
    pub url: In<WebUrl>,
    /// Headers: a text, or `{ secret: env:NAME }`.
    #[serde(default)]
    pub headers: Headers,
    /// What the answer has to be. Default: a status from 200 to 299.
    #[serde(default)]
    pub expect: Expect,
    /// The pause between two probes. Default: 5s.
    #[serde(default = "five_seconds")]
    pub every: Dur,
    /// How many probes in a row must be good. Default: 3.
    #[serde(default = "three")]
    pub good_in_a_row: NonZeroU32,
    /// A later answer is no good one.
    pub latency_max: Option<Dur>,
    /// Where hosts are, whatever their names say: `{ orders.example.com: 10.1.2.3 }`, to look before DNS moves.
    #[serde(default)]
    pub resolve: BTreeMap<String, In<Place>>,
    #[serde(skip)]
    #[schemars(skip)]
    row: Row,
}

/// Waits until a connection stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyTcp {
    /// Where to connect: `host:port`.
    pub address: In<HostPort>,
    /// The pause between two probes. Default: 5s.
    #[serde(default = "five_seconds")]
    pub every: Dur,
    /// How many probes in a row must be good. Default: 1.
    #[serde(default = "one")]
    pub good_in_a_row: NonZeroU32,
    #[serde(skip)]
    #[schemars(skip)]
    row: Row,
}

pub(crate) fn five_seconds() -> Dur {
    Dur::seconds(5)
}

pub(crate) fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

pub(crate) fn three() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(2)
}

impl VerifyHttp {
    async fn probe(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        let resolve = self.resolve.iter().map(|(host, place)| (host.clone(), *place.get())).collect();
        let probe = HttpProbe { url: self.url.clone(), headers: self.headers.clone(), expect: self.expect.clone() };
        probe.look(cx, &resolve, self.latency_max).await
    }
}

impl Explained for VerifyHttp {
    const REFERENCE: Reference = Reference {
        check: "One GET, ten seconds at most. Done if it is good and one good probe is enough; otherwise it is \
            the first of the row.",
        run: "Probes again every `every`, until `good_in_a_row` were good one after the other, as long as the \
            step's `timeout` lets it.",
        undo: None,
        recovery_point: None,
        time: "The row takes `good_in_a_row` - 1 times `every` once the service is up: 10 seconds by default.",
        traps: &[
            "Redirects are not followed, and are no good answer unless `expect` says so.",
            "It sees the service from where `dr` runs; users may be sent elsewhere.",
            "With `resolve` DNS is not asked: it shows that the new place works, not that users get there.",
        ],
        example: "
            app_answers:
              do:
                verify.http:
                  url: https://app.example.com/health
                  expect: { json: { /status: ok } }
                  latency_max: 800ms
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for VerifyHttp {
    fn describe(&self) -> Description {
        Description { summary: format!("waits for good answers of {}", self.url), ..Description::default() }
    }

    fn mistakes(&self) -> Vec<Mistake> {
        web::written_down("headers", &self.headers).into_iter().collect()
    }

    fn leans_on(&self) -> Vec<Need> {
        prepared::secrets(self.headers.values()).collect()
    }

    fn outputs(&self) -> Vec<OutputName> {
        let healthy = OutputName { name: "healthy".into(), is: OutputType::Any };
        vec![healthy, OutputName::number("status"), OutputName::number("latency_ms"), OutputName::text("address")]
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(self.row.begin(cx, self.good_in_a_row, self.probe(cx).await?))
    }

    async fn watch(&self, cx: &ReadCx) -> Result<Check, Failure> {
        self.row.watch(cx, self.good_in_a_row, self.probe(cx).await)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        self.row.go_on(&cx.read, self.good_in_a_row, self.every, || self.probe(&cx.read)).await
    }
}

impl VerifyTcp {
    async fn probe(&self, cx: &ReadCx) -> Result<Seen, Failure> {
        TcpProbe { address: self.address.clone() }.look(cx).await
    }
}

impl Explained for VerifyTcp {
    const REFERENCE: Reference = Reference {
        check: "One connection, which is closed again. Done if it stands and one good probe is enough; otherwise \
            it is the first of the row.",
        run: "Probes again every `every`, until `good_in_a_row` were good one after the other, as long as the \
            step's `timeout` lets it.",
        undo: None,
        recovery_point: None,
        time: "At once, when the service is up and one good probe is enough.",
        traps: &["A connection that stands says that somebody listens, not that the service works."],
        example: "
            database_listens:
              do:
                verify.tcp:
                  address: orders-dr.example.com:5432
              timeout: 10m
        ",
    };
}

#[async_trait]
impl Step for VerifyTcp {
    fn describe(&self) -> Description {
        Description { summary: format!("waits for a connection to {}", self.address), ..Description::default() }
    }

    fn outputs(&self) -> Vec<OutputName> {
        vec![OutputName { name: "healthy".into(), is: OutputType::Any }, OutputName::text("address")]
    }

    fn changes(&self) -> bool {
        false
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        Ok(self.row.begin(cx, self.good_in_a_row, self.probe(cx).await?))
    }

    async fn watch(&self, cx: &ReadCx) -> Result<Check, Failure> {
        self.row.watch(cx, self.good_in_a_row, self.probe(cx).await)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        self.row.go_on(&cx.read, self.good_in_a_row, self.every, || self.probe(&cx.read)).await
    }
}

/// How many probes were good, one after the other, up to now.
#[derive(Debug, Default)]
pub(crate) struct Row(AtomicU32);

impl Row {
    /// The probe of a `check`.
    pub(crate) fn begin(&self, cx: &ReadCx, wanted: NonZeroU32, seen: Seen) -> Check {
        self.0.store(u32::from(seen.good), Ordering::Relaxed);
        self.tell(cx, wanted, &seen);
        if seen.good && wanted == one() { Check::Done(output(seen)) } else { Check::Absent }
    }

    /// One probe of many: the row goes on from the one before.
    pub(crate) fn watch(&self, cx: &ReadCx, wanted: NonZeroU32, seen: Result<Seen, Failure>) -> Result<Check, Failure> {
        let good = self.count(seen.as_ref().is_ok_and(|seen| seen.good));
        let seen = seen?;
        self.tell(cx, wanted, &seen);
        Ok(match good {
            0 => Check::Absent,
            good if good < wanted.get() => Check::InProgress,
            _ => Check::Done(output(seen)),
        })
    }

    /// The length of the row with this probe.
    fn count(&self, good: bool) -> u32 {
        let row = if good { self.0.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.0.store(row, Ordering::Relaxed);
        row
    }

    /// Probes until enough were good in a row. When it is to end otherwise,
    /// the step's timeout says.
    pub(crate) async fn go_on<F>(
        &self,
        cx: &ReadCx,
        wanted: NonZeroU32,
        every: Dur,
        probe: impl Fn() -> F + Send + Sync,
    ) -> Result<Output, StepError>
    where
        F: Future<Output = Result<Seen, Failure>> + Send,
    {
        let every = every.max(limits::PROBE_PAUSE_MIN);
        // `check` has just looked.
        let mut next = cx.clock.now().after(every);
        loop {
            cx.clock.sleep_until(next).await;
            next = cx.clock.now().after(every);
            let seen = probe().await?;
            let good = self.count(seen.good);
            self.tell(cx, wanted, &seen);
            if good >= wanted.get() {
                return Ok(output(seen));
            }
        }
    }

    fn tell(&self, cx: &ReadCx, wanted: NonZeroU32, seen: &Seen) {
        let good = self.0.load(Ordering::Relaxed);
        let row = if wanted > one() { format!("; {good} of {wanted} good in a row") } else { String::new() };
        cx.progress(&format!("{}{row}", seen.says));
    }
}

fn output(seen: Seen) -> Output {
    Output { values: seen.values, recovery_point: seen.recovery_point }
}
