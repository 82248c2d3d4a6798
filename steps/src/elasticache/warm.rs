//! A program that fills a cache before users meet it.
//!
//! It is run as `command` runs one, with the same nouns, and is told where the
//! cache is: that nobody knows before the cache is there. What it believes at
//! its end proves nothing; its `check` decides, before it and after it.

use crate::{
    command::{Looking, Program},
    output::Outputs,
    process,
    secret::TextOrSecret,
    text::Word,
};
use dr_engine::{
    duration::Dur,
    outcome::{Failure, Output},
    step::{Check, ReadCx, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

/// A program that fills the new cache, and one that sees that it is warm.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Warm {
    /// The program and its arguments, each exactly as it stands: no shell reads them.
    #[serde(deserialize_with = "crate::text::argv")]
    pub argv: Vec<In<Word>>,
    /// A program that looks whether the cache is warm: exit 0 it is, 3 it is cold, 75 under way.
    pub check: Looking,
    /// Variables of its environment, beside those of `dr`: a text, or `{ secret: env:NAME }`.
    #[serde(default)]
    pub env: BTreeMap<String, In<TextOrSecret>>,
    /// The folder it runs in, relative to the runbook. Default: the runbook's.
    pub cwd: Option<In<String>>,
    /// The look that began this attempt saw it under way.
    #[serde(skip)]
    #[schemars(skip)]
    going: AtomicBool,
    /// This attempt has looked whether the cache is warm.
    #[serde(skip)]
    #[schemars(skip)]
    looked: AtomicBool,
}

/// The time that the program may take to end, when that of the step is up.
pub(crate) const GRACE: Dur = process::GRACE;

/// Where clients find the cache: a name.
const HOST: &str = "DR_CACHE_HOST";
/// The port behind it.
const PORT: &str = "DR_CACHE_PORT";
/// Whether they speak TLS to it.
const TLS: &str = "DR_CACHE_TLS";

/// What warming a cache prints is of no use to other steps.
static NOTHING: Outputs = Outputs::new();

impl Warm {
    /// The words of the program, for plans.
    pub(crate) fn words(&self) -> String {
        self.argv.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Whether the cache is warm. `cache` is what the cache gives to other steps.
    pub(crate) async fn check(&self, cx: &ReadCx, cache: &Output, tls: bool) -> Result<Check, Failure> {
        let env = self.env(cache, tls)?;
        let seen = self.program(&env).check(cx).await.map_err(about)?;
        self.looked.store(true, Ordering::Relaxed);
        Ok(match seen {
            Check::Unknown(why) => Check::Unknown(about(Failure::new(why)).message),
            seen => seen,
        })
    }

    /// Fills it, unless it is warm; waits for what is under way already.
    pub(crate) async fn run(&self, cx: &StepCx, cache: &Output, tls: bool) -> Result<(), StepError> {
        // The cache may have come into being only now. Where the attempt began with this
        // look, a person may have said to go on although it could not tell.
        if !self.looked.load(Ordering::Relaxed) {
            match self.check(&cx.read, cache, tls).await.map_err(StepError::Failed)? {
                Check::Done(_) => return Ok(()),
                Check::Absent | Check::InProgress => {}
                Check::Unknown(why) => return Err(StepError::Doubt(Failure::new(why))),
                Check::Impossible(failure) => return Err(failure.into()),
            }
        }
        if cx.read.clock.now() >= cx.deadline {
            // The cache took all of it: what cannot be waited for is not begun.
            let text = "the step's time was up before the cache could be warmed";
            return Err(StepError::Doubt(Failure::new(text)));
        }
        cx.read.progress("the cache is available and is being warmed");
        let env = self.env(cache, tls)?;
        let program = self.program(&env);
        let warmed = async {
            program.run(cx).await?;
            program.prove(&cx.read, "that the cache is cold").await
        };
        warmed.await.map_err(|error| match error {
            StepError::Failed(failure) => StepError::Failed(about(failure)),
            StepError::Doubt(failure) => StepError::Doubt(about(failure)),
            asked @ StepError::Ask(_) => asked,
        })
    }

    /// Its environment: that of the runbook, and where the cache is.
    fn env(&self, cache: &Output, tls: bool) -> Result<BTreeMap<String, In<TextOrSecret>>, Failure> {
        let values = &cache.values;
        let place = values.get("endpoint").and_then(|host| host.as_str()).zip(values.get("port"));
        let (host, port) = place.ok_or_else(|| about(Failure::passing("the cache does not say its endpoint")))?;
        let told = [(HOST, host.to_owned()), (PORT, port.to_string()), (TLS, tls.to_string())];
        let told = told.into_iter().map(|(name, text)| (name.to_owned(), In::Lit(TextOrSecret::Text(text))));
        Ok(self.env.clone().into_iter().chain(told).collect())
    }

    fn program<'a>(&'a self, env: &'a BTreeMap<String, In<TextOrSecret>>) -> Program<'a> {
        Program {
            argv: &self.argv,
            env,
            cwd: self.cwd.as_ref(),
            check: Some(&self.check),
            retry_on: &[],
            outputs: &NOTHING,
            going: &self.going,
        }
    }
}

/// Says what a failure is about: the cache itself is there.
fn about(failure: Failure) -> Failure {
    Failure { message: format!("the cache is available, its warm-up is not done: {}", failure.message), ..failure }
}
