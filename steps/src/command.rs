//! `command`: a process, no shell.
//!
//! What it withstands: a controller that dies or leaves (the process goes on,
//! is found by its environment, and is waited for), a time that is up (TERM,
//! then KILL, to the whole group). What it does not: a process that outlived
//! its controller has lost its exit code, a process on another host cannot be
//! seen, and neither can one that cleared its environment.

use crate::{
    limits,
    output::{self, Outputs},
    process::{self, Job, Living, Looked, Stream},
    redact::Redactor,
    secret::TextOrSecret,
    text::Word,
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    outcome::{Failure, Output},
    step::{Check, Description, Look, Mistake, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;
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

    fn outputs(&self) -> Vec<OutputName> {
        output::names(&self.outputs)
    }

    fn grace(&self) -> Dur {
        process::GRACE
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        // Only an earlier attempt can have left a process.
        if let Some(first) = living(cx).await.first() {
            cx.progress(&format!("process {} of an earlier attempt still runs", first.pid));
            self.going.store(true, Ordering::Relaxed);
            return Ok(Check::InProgress);
        }
        let seen = self.look(cx).await?;
        self.going.store(seen == Check::InProgress, Ordering::Relaxed);
        Ok(seen)
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        if self.going.load(Ordering::Relaxed) {
            return self.join(cx).await;
        }
        let job = self.job(&cx.read, &self.argv)?;
        let logs = World::of(&cx.read).logs().ok_or_else(|| Failure::new("there is no folder for its logs"))?;
        let path = |stream| process::log_path(&logs, &cx.read.step.id, cx.read.attempt, stream);
        let (out, err) = (path(Stream::Out), path(Stream::Err));
        let files = (process::open_log(&out, false)?, process::open_log(&err, false)?);
        let guard = cx.guard();
        guard.before()?;
        let started = job.start(&cx.read, files.0.into(), files.1.into());
        guard.after();
        let mut child = started?;
        let clock = &cx.read.clock;
        let left = cx.deadline.since(clock.now());
        let Some(status) = clock.timeout(left, child.wait()).await else {
            let group = child.id().and_then(|id| i32::try_from(id).ok());
            // Waiting for the child reaps it: unreaped, its group would never be gone.
            let (waited, ()) = tokio::join!(
                clock.timeout(limits::TERM_TO_KILL.checked_add(limits::KILL_TO_END).unwrap_or_default(), child.wait()),
                process::end(clock, group.into_iter().collect()),
            );
            let end = waited.and_then(Result::ok).map_or("it did not end".into(), process::ending);
            return Err(StepError::Doubt(Failure::new(format!("its time was up, and it was ended: {end}"))));
        };
        let status = status.map_err(|e| StepError::Doubt(Failure::new(format!("its end was not heard: {e}"))))?;
        if status.success() {
            let values = self.values(&out, &job.redactor).map_err(|why| {
                let name = self.outputs.keys().next().map_or("NAME", String::as_str);
                Failure::new(format!("it ended well, but {why}"))
                    .hint(format!("`dr done RUN {} --output {name}=…` gives the value by hand", cx.read.step.id))
            })?;
            return Ok(values);
        }
        let said = process::last_line(&err, &job.redactor);
        let colon = if said.is_empty() { "" } else { ": " };
        let failure = Failure::new(format!("{}{colon}{said}", process::ending(status)));
        let listed = status.code().is_some_and(|code| self.retry_on.iter().any(|on| i32::from(*on) == code));
        let again = listed && self.check.is_some();
        Err(StepError::Failed(Failure { transient: again, ..failure }))
    }
}

impl Command {
    fn job(&self, cx: &ReadCx, argv: &[In<Word>]) -> Result<Job, Failure> {
        let argv = argv.iter().map(|word| word.get().0.clone()).collect();
        job(cx, argv, &self.env, self.cwd.as_ref())
    }

    /// What its `check:` says.
    async fn look(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let Some(check) = &self.check else {
            let why = match cx.attempt {
                0 | 1 => "the command has no `check:` that could look",
                _ => "the command began before, and what it has left behind is not known",
            };
            return Ok(Check::Unknown(why.into()));
        };
        let job = self.job(cx, &check.argv)?;
        let logs = World::of(cx).logs();
        let Looked { status, stdout, said } = job.look(cx, logs.as_deref()).await?;
        Ok(match status.code() {
            Some(0) => Check::Done(self.found(cx, &stdout, &job.redactor)),
            Some(3) => Check::Absent,
            Some(75) => Check::InProgress,
            _ => {
                let colon = if said.is_empty() { "" } else { ": " };
                Check::Unknown(format!("its check ended with {}{colon}{said}", process::ending(status)))
            }
        })
    }

    /// The outputs of work that was found done: what an earlier attempt
    /// printed, else what the check printed, else none. A reference to one
    /// that is missing becomes a question.
    fn found(&self, cx: &ReadCx, stdout: &str, redactor: &Redactor) -> Output {
        let logs = World::of(cx).logs().filter(|_| !self.outputs.is_empty());
        let logged = logs.and_then(|logs| {
            let path = |attempt| process::log_path(&logs, &cx.step.id, attempt, Stream::Out);
            (1..cx.attempt).rev().find_map(|attempt| self.values(&path(attempt), redactor).ok())
        });
        logged.unwrap_or_else(|| output_of(output::read(&self.outputs, stdout).unwrap_or_default(), redactor))
    }

    fn values(&self, out: &std::path::Path, redactor: &Redactor) -> Result<Output, String> {
        if self.outputs.is_empty() {
            return Ok(Output::default());
        }
        let values = output::read(&self.outputs, &process::read_out(out)?).map_err(|why| redactor.text(&why))?;
        Ok(output_of(values, redactor))
    }

    /// Waits for what was under way when the attempt began, and never starts
    /// anything: who else's work it is, `check` can see but not hurry.
    async fn join(&self, cx: &StepCx) -> Result<Output, StepError> {
        let (clock, run, step) = (&cx.read.clock, &cx.read.run.id, &cx.read.step.id);
        let mut alive = living(&cx.read).await;
        while !alive.is_empty() {
            if clock.now() >= cx.deadline {
                process::end(clock, alive.iter().map(|it| it.group).collect()).await;
                let text = "its time was up, and the process of an earlier attempt was ended";
                return Err(StepError::Doubt(Failure::new(text)));
            }
            clock.sleep(limits::PROCESS_PAUSE).await;
            alive.retain(|it| it.lives(run, step));
            if alive.is_empty() {
                // Whom it started meanwhile is still its work.
                alive = living(&cx.read).await;
            }
        }
        let seen = cx.read.poll(|| async {
            Ok(match self.look(&cx.read).await? {
                Check::InProgress => Look::Pending("its check says: under way".into()),
                seen => Look::Ready(seen),
            })
        });
        match seen.await.map_err(StepError::Doubt)? {
            Check::Done(output) => Ok(output),
            Check::Unknown(why) => Err(StepError::Doubt(Failure::new(why))),
            Check::Impossible(failure) => Err(failure.into()),
            Check::Absent | Check::InProgress => {
                let text = "what was under way has ended, and its check sees nothing of it";
                Err(StepError::Doubt(Failure::new(text)))
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

fn output_of(values: Map<String, serde_json::Value>, redactor: &Redactor) -> Output {
    Output { values: redactor.map(values), recovery_point: None }
}

/// The living processes that earlier attempts at this step left.
async fn living(cx: &ReadCx) -> Vec<Living> {
    if cx.attempt < 2 {
        return Vec::new();
    }
    let (run, step) = (cx.run.id.clone(), cx.step.id.clone());
    // Thousands of small files on a busy host: not in the middle of the loop.
    tokio::task::spawn_blocking(move || process::living(&run, &step)).await.unwrap_or_default()
}
