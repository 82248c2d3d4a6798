//! `command`: a process, no shell.
//!
//! What it withstands: a controller that dies or leaves (the process goes on,
//! is found by its environment, and is waited for), a time that is up (TERM,
//! then KILL, to the whole group). What it does not: a process that outlived
//! its controller has lost its exit code, a process on another host cannot be
//! seen, and neither can one that cleared its environment.

use crate::{
    output::{self, Outputs},
    prepared,
    process::{self, Job, Looked},
    redact::Redactor,
    secret::TextOrSecret,
    text::Word,
    work::{self, Worked},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

/// Runs a program.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The program and its arguments, each exactly as it stands: no shell reads them.
    #[serde(deserialize_with = "crate::text::argv")]
    pub argv: Vec<In<Word>>,
    /// Variables of its environment, beside those of `dr`: a text, or `{ secret: env:NAME }`.
    #[serde(default)]
    pub env: BTreeMap<String, In<TextOrSecret>>,
    /// The folder it runs in, relative to the runbook. Default: the runbook's.
    pub cwd: Option<In<String>>,
    /// A program that looks whether the work is done: exit 0 done, 3 nothing of it, 75 under way.
    /// Without one, nobody can tell after a crash, and a person is asked.
    pub check: Option<Looking>,
    /// Exit codes after which it may be tried again. Needs a `check`, with which each attempt begins.
    #[serde(default)]
    pub retry_on: Vec<u8>,
    /// Values for other steps, from what it prints: `{ json: /size }`, `{ line: 1 }`, `{ regex: "…(…)" }`.
    #[serde(default)]
    pub outputs: Outputs,
    /// The look that began this attempt saw the work under way.
    #[serde(skip)]
    #[schemars(skip)]
    going: AtomicBool,
}

/// A program that looks and changes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Looking {
    /// The program and its arguments. It has the environment and the folder of the command.
    #[serde(deserialize_with = "crate::text::argv")]
    pub argv: Vec<In<Word>>,
}

impl Explained for Command {
    const REFERENCE: Reference = Reference {
        check: "From the second attempt on, processes that an earlier one left on this host are looked for \
            first: one that lives is under way. Then the program under `check` is run: exit 0 is done, 3 \
            nothing of it, 75 under way, all else cannot tell. Without `check` nobody can look: there is one \
            attempt, and after a crash a person is asked.",
        run: "Starts the program in a process group of its own, with `DR_RUN`, `DR_STEP` and `DR_ATTEMPT` in \
            its environment; what it prints goes to files of the run (`dr logs RUN STEP`). Exit 0 is done. \
            When the step's time is up the group gets TERM, ten seconds later KILL, and the step is in \
            doubt. What is under way already is waited for and not started again.",
        undo: None,
        recovery_point: None,
        time: "As long as the program takes.",
        traps: &[
            "No shell reads the words: no pipes, no `$VARIABLE`, no `~`.",
            "A process that outlived its controller has lost its exit code: `check` decides, else a person.",
            "A process on another host, or one that cleared its environment, is not seen.",
            "An exit code says what the program believes. Give it a `check` that looks at the effect itself.",
        ],
        example: r#"
            warm_cache:
              do:
                command:
                  argv: [./warm-cache, --region, "${regions.recovery}"]
                  check: { argv: [./cache-is-warm] }
                  retry_on: [75]
              timeout: 10m
        "#,
    };
}

#[async_trait]
impl Step for Command {
    fn describe(&self) -> Description {
        let words: Vec<_> = self.argv.iter().map(ToString::to_string).collect();
        Description { summary: format!("runs `{}`", words.join(" ")), ..Description::default() }
    }

    fn sees_effect(&self) -> bool {
        self.check.is_some()
    }

    /// Without a `check` there is one attempt, whatever its end: an exit code
    /// says what the program believes, not what it has left behind.
    fn mistakes(&self) -> Vec<Mistake> {
        if self.retry_on.is_empty() || self.check.is_some() {
            return Vec::new();
        }
        let message = "a command without a `check` is never tried again by itself".into();
        let help = "give it `check: { argv: […] }`, which looks whether it is done; or take `retry_on` away".into();
        vec![Mistake { field: "retry_on", message, help }]
    }

    fn leans_on(&self) -> Vec<Need> {
        self.program().leans_on()
    }

    fn outputs(&self) -> Vec<OutputName> {
        output::names(&self.outputs)
    }

    fn grace(&self) -> Dur {
        process::GRACE
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        self.program().check(cx).await
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        self.program().run(cx).await
    }
}

impl Command {
    fn program(&self) -> Program<'_> {
        Program {
            argv: &self.argv,
            env: &self.env,
            cwd: self.cwd.as_ref(),
            check: self.check.as_ref(),
            retry_on: &self.retry_on,
            outputs: &self.outputs,
            going: &self.going,
        }
    }
}

/// A program as the work of a step, and the one that looks: what the kinds
/// share that run one.
#[derive(Clone, Copy)]
pub(crate) struct Program<'a> {
    pub(crate) argv: &'a [In<Word>],
    pub(crate) env: &'a BTreeMap<String, In<TextOrSecret>>,
    pub(crate) cwd: Option<&'a In<String>>,
    pub(crate) check: Option<&'a Looking>,
    pub(crate) retry_on: &'a [u8],
    pub(crate) outputs: &'a Outputs,
    /// The look that began this attempt saw the work under way.
    pub(crate) going: &'a AtomicBool,
}

impl Program<'_> {
    /// The look that begins an attempt.
    pub(crate) async fn check(self, cx: &ReadCx) -> Result<Check, Failure> {
        if work::goes_on(cx).await {
            self.going.store(true, Ordering::Relaxed);
            return Ok(Check::InProgress);
        }
        let seen = self.look(cx).await?;
        self.going.store(seen == Check::InProgress, Ordering::Relaxed);
        Ok(seen)
    }

    /// Runs it to its end, or waits for what is under way.
    pub(crate) async fn run(self, cx: &StepCx) -> Result<Output, StepError> {
        if self.going.load(Ordering::Relaxed) {
            return self.join(cx).await;
        }
        let job = self.job(&cx.read, self.argv)?;
        let Worked { status, out, err } = work::carry_out(cx, &job).await?;
        if status.success() {
            return Ok(work::values_of_done(&cx.read, self.outputs, &out, &job.redactor)?);
        }
        let said = process::last_line(&err, &job.redactor);
        let colon = if said.is_empty() { "" } else { ": " };
        let failure = Failure::new(format!("{}{colon}{said}", process::ending(status)));
        let listed = status.code().is_some_and(|code| self.retry_on.iter().any(|on| i32::from(*on) == code));
        let again = listed && self.check.is_some();
        Err(StepError::Failed(Failure { transient: again, ..failure }))
    }

    /// It, its `check`, and the secrets of both.
    pub(crate) fn leans_on(self) -> Vec<Need> {
        let looks = self.check.iter().flat_map(|check| prepared::started(&check.argv, self.env, self.cwd));
        prepared::started(self.argv, self.env, self.cwd).chain(looks).collect()
    }

    fn job(self, cx: &ReadCx, argv: &[In<Word>]) -> Result<Job, Failure> {
        let argv = argv.iter().map(|word| word.get().0.clone()).collect();
        job(cx, argv, self.env, self.cwd)
    }

    /// What its `check:` says.
    async fn look(self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(check) = self.check else {
            let why = match cx.attempt {
                0 | 1 => "the command has no `check:` that could look",
                _ => "the command began before, and what it has left behind is not known",
            };
            return Ok(Check::Unknown(why.into()));
        };
        let job = self.job(cx, &check.argv)?;
        let logs = World::of(cx).logs();
        let Looked { status, stdout, said, .. } = job.look(cx, logs.as_deref()).await?;
        Ok(match status.code() {
            Some(0) => Check::Done(work::values_found(cx, self.outputs, &stdout, &job.redactor)),
            Some(3) => Check::Absent,
            Some(75) => Check::InProgress,
            _ => {
                let colon = if said.is_empty() { "" } else { ": " };
                Check::Unknown(format!("its check ended with {}{colon}{said}", process::ending(status)))
            }
        })
    }

    /// Looks until nothing is under way.
    async fn settled(self, cx: &ReadCx) -> Result<Check, StepError> {
        let seen = cx.poll(|| async {
            Ok(match self.look(cx).await? {
                Check::InProgress => Look::Pending("its check says: under way".into()),
                seen => Look::Ready(seen),
            })
        });
        seen.await.map_err(StepError::Doubt)
    }

    /// Waits for what was under way when the attempt began, and never starts
    /// anything: who else's work it is, `check` can see but not hurry.
    async fn join(self, cx: &StepCx) -> Result<Output, StepError> {
        work::outlast(cx).await?;
        match self.settled(&cx.read).await? {
            Check::Done(output) => Ok(output),
            Check::Unknown(why) => Err(StepError::Doubt(Failure::new(why))),
            Check::Impossible(failure) => Err(failure.into()),
            Check::Absent | Check::InProgress => {
                let text = "what was under way has ended, and its check sees nothing of it";
                Err(StepError::Doubt(Failure::new(text)))
            }
        }
    }

    /// Takes nobody's word that it ended well: `check` has to see the effect.
    /// `otherwise` is what it says where it does not.
    pub(crate) async fn prove(self, cx: &ReadCx, otherwise: &str) -> Result<(), StepError> {
        match self.settled(cx).await? {
            Check::Done(_) => Ok(()),
            Check::Unknown(why) => Err(StepError::Doubt(Failure::new(why))),
            Check::Impossible(failure) => Err(failure.into()),
            Check::Absent | Check::InProgress => {
                Err(Failure::new(format!("it ended well, and its check says {otherwise}")).into())
            }
        }
    }
}

/// A process with the inputs of a step; secrets are read now.
pub(crate) fn job(
    cx: &ReadCx,
    argv: Vec<String>,
    env: &BTreeMap<String, In<TextOrSecret>>,
    cwd: Option<&In<String>>,
) -> Result<Job, Failure> {
    let world = World::of(cx);
    if argv.first().is_none_or(String::is_empty) {
        return Err(Failure::new("`argv` names no program"));
    }
    let mut redactor = Redactor::default();
    let mut set = Vec::with_capacity(env.len());
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Failure::new(format!("`{name}` cannot name a variable of an environment")));
        }
        set.push((name.clone(), value.get().read(&world.runbook_folder, &mut redactor)?));
    }
    let cwd = world.path(cwd.map_or(".", |cwd| cwd.get()));
    let cwd = std::path::absolute(&cwd)
        .map_err(|error| Failure::new(format!("the folder `{}` cannot be found: {error}", cwd.display())))?;
    Ok(Job { argv, env: set, cwd, redactor })
}
