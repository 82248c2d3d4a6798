//! A process as the work of a step: started once, found again by whoever
//! resumes, waited for, ended as a group when its time is up.

use crate::{
    limits,
    output::{self, Outputs},
    process::{self, Job, Living, Stream},
    redact::Redactor,
    world::World,
};
use dr_engine::{
    outcome::{Failure, Output},
    step::{ReadCx, StepCx, StepError},
};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
};

/// A process that has ended, and where its output stands.
pub(crate) struct Worked {
    pub(crate) status: ExitStatus,
    pub(crate) out: PathBuf,
    pub(crate) err: PathBuf,
}

/// Starts it, once the guard agrees, and waits for its end.
pub(crate) async fn carry_out(cx: &StepCx, job: &Job) -> Result<Worked, StepError> {
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
    Ok(Worked { status, out, err })
}

/// The living processes that earlier attempts at this step left.
pub(crate) async fn living(cx: &ReadCx) -> Vec<Living> {
    // Only an earlier attempt can have left one.
    if cx.attempt < 2 {
        return Vec::new();
    }
    let (run, step) = (cx.run.id.clone(), cx.step.id.clone());
    // Thousands of small files on a busy host: not in the middle of the loop.
    tokio::task::spawn_blocking(move || process::living(&run, &step)).await.unwrap_or_default()
}

/// Whether an earlier attempt left something that lives; whoever watches is told.
pub(crate) async fn goes_on(cx: &ReadCx) -> bool {
    let alive = living(cx).await;
    if let Some(first) = alive.first() {
        cx.progress(&format!("process {} of an earlier attempt still runs", first.pid));
    }
    !alive.is_empty()
}

/// Waits until nothing lives that earlier attempts left, and ends it when the
/// time is up. How it ended nobody can hear.
pub(crate) async fn outlast(cx: &StepCx) -> Result<(), StepError> {
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
    Ok(())
}

/// Ends what earlier attempts left and still lives: what it works on is taken away.
pub(crate) async fn end_living(cx: &StepCx) -> Result<(), Failure> {
    let groups: Vec<_> = living(&cx.read).await.iter().map(|it| it.group).collect();
    if groups.is_empty() {
        return Ok(());
    }
    // Who may no longer act must not end what its successor waits for.
    let guard = cx.guard();
    guard.before()?;
    process::end(&cx.read.clock, groups).await;
    guard.after();
    Ok(())
}

/// The values that a process printed for other steps.
pub(crate) fn values(outputs: &Outputs, out: &Path, redactor: &Redactor) -> Result<Output, String> {
    if outputs.is_empty() {
        return Ok(Output::default());
    }
    let values = output::read(outputs, &process::read_out(out)?).map_err(|why| redactor.text(&why))?;
    Ok(redacted(values, redactor))
}

/// The same, for work that has ended well: a value that is missing is told
/// with the way to give it by hand.
pub(crate) fn values_of_done(
    cx: &ReadCx,
    outputs: &Outputs,
    out: &Path,
    redactor: &Redactor,
) -> Result<Output, Failure> {
    values(outputs, out, redactor).map_err(|why| {
        let name = outputs.keys().next().map_or("NAME", String::as_str);
        Failure::new(format!("it ended well, but {why}"))
            .hint(format!("`dr done RUN {} --output {name}=…` gives the value by hand", cx.step.id))
    })
}

/// The values of work that was found done: what an earlier attempt printed,
/// else what the look printed, else none. A reference to one that is missing
/// becomes a question.
pub(crate) fn values_found(cx: &ReadCx, outputs: &Outputs, looked: &str, redactor: &Redactor) -> Output {
    let logs = World::of(cx).logs().filter(|_| !outputs.is_empty());
    let logged = logs.and_then(|logs| {
        let path = |attempt| process::log_path(&logs, &cx.step.id, attempt, Stream::Out);
        (1..cx.attempt).rev().find_map(|attempt| values(outputs, &path(attempt), redactor).ok())
    });
    logged.unwrap_or_else(|| redacted(output::read(outputs, looked).unwrap_or_default(), redactor))
}

fn redacted(values: Map<String, Value>, redactor: &Redactor) -> Output {
    Output { values: redactor.map(values), recovery_point: None }
}
