//! `aws.cli`: one operation of the installed AWS command line, for the long
//! tail of services that no kind of its own knows.
//!
//! Whether it looks or changes is decided by its name, and what is not known
//! to look changes. What changes passes the guard before its process starts,
//! survives its controller, and is in doubt until a look says what became of it.

mod expect;

use crate::{
    aws::cli::{answer::Trouble, words},
    output::{self, Outputs, Pointer},
    process,
    redact::Redactor,
    text::Word,
    web::Json,
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
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

/// Runs one operation of the installed AWS command line.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsCli {
    /// The words behind `aws`, each exactly as it stands: the service, the operation, its options. No shell
    /// reads them.
    pub args: Vec<In<Word>>,
    /// An operation that looks whether the work is done. Without one, nobody can tell after a crash, and a
    /// person is asked.
    pub check: Option<Seen>,
    /// What is waited for when the operation was taken.
    pub until: Option<Until>,
    /// Values for other steps, from what it prints: `{ json: /Version }`, `{ line: 1 }`, `{ regex: "…(…)" }`.
    #[serde(default)]
    pub outputs: Outputs,
    /// The look that began this attempt saw the work under way.
    #[serde(skip)]
    #[schemars(skip)]
    going: AtomicBool,
}

/// An operation that looks and changes nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// The words behind `aws`.
    pub args: Vec<In<Word>>,
    /// Values in its answer when the work is done, each named by a JSON pointer: `/Parameter/Value: x`;
    /// `null` is a value that is not there. Without any, every answer is, and `absent` has to say what is none.
    #[serde(default)]
    pub expect: BTreeMap<Pointer, In<Json>>,
    /// Error codes of the service that mean that nothing of it is there: `[ParameterNotFound]`.
    #[serde(default)]
    pub absent: Vec<String>,
}

/// What is waited for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Until {
    /// The words behind `aws`, of an operation that looks. Default: those of `check`; where the step itself
    /// only looks, its own.
    pub args: Option<Vec<In<Word>>>,
    /// Values in its answer when the wait is over, each named by a JSON pointer.
    pub expect: BTreeMap<Pointer, In<Json>>,
    /// Values that end the wait as a failure: `/Status: [FAILED]`.
    #[serde(default)]
    pub failed: BTreeMap<Pointer, Vec<In<Json>>>,
}

impl Explained for AwsCli {
    const REFERENCE: Reference = Reference {
        check: "From the second attempt on, a process that an earlier one left on this host is looked for first: \
            one that lives is under way. Then the operation under `check` is asked. All values as expected is \
            done, or under way while `until` is not met; a complete other answer, or an error code listed under \
            `absent`, is nothing of it; any other refusal cannot tell. Once the service has taken the operation, \
            nothing of it cannot tell either, and a person is asked. Without `check` nobody can look: there is \
            one attempt, and after a crash a person is asked. An operation that looks is simply asked again.",
        run: "Starts `aws` in a process group of its own, with the step's region, JSON as its output, the endpoint \
            in force, and the credentials whose account was compared with the runbook's; it tries once and asks \
            nobody. What it prints goes to files of the run (`dr logs RUN STEP`). An operation whose name begins \
            with describe, list, get, head, batch-get, lookup or search only looks; every other one changes \
            something. When it was taken, `check` is asked until it is met, for a minute at most, then `until`, \
            as long as the step has time. An answer that was lost leaves a doubt, and so does any refusal within \
            `aws s3` and other commands of many calls.",
        undo: None,
        recovery_point: None,
        time: "Half a second for `aws` to start, then as long as the service and `until` take.",
        traps: &[
            "Give it a `check` that sees the effect itself: then a lost answer mends itself.",
            "Two operations of the same name make two things where the service lets them: a `check` has to find \
             what the first one made. A token that `aws` makes up is another one each time: give your own.",
            "`--region`, `--profile`, `--endpoint-url`, `--output`, `--dry-run`, `file://…` and the like are \
             refused, and so is what `aws` takes for them (`--reg`).",
            "Version 1 of `aws` fetches a value that begins with https:// from the web; such a step is refused \
             there.",
            "An operation that promotes a replica, such as `rds promote-read-replica`, is known by its name: it wants \
             `fence`, `data_loss: acknowledge` and an approval. What is not known by its name does not.",
            "What stands in `args` can be read in the list of processes and in the plan: no secret belongs there.",
            "`aws` knows aliases (`~/.aws/cli/alias`): on a host where `describe-…` is one, it is no look.",
        ],
        example: "
            point_to_recovery:
              do:
                aws.cli:
                  args:
                    [ssm, put-parameter, --name, /region, --value, eu-central-1]
                  check:
                    args: [ssm, get-parameter, --name, /region]
                    expect: { /Parameter/Value: eu-central-1 }
                    absent: [ParameterNotFound]
                  outputs: { version: { json: /Version } }
        ",
    };
}

#[async_trait]
impl Step for AwsCli {
    fn describe(&self) -> Description {
        let words: Vec<_> = self.args.iter().map(ToString::to_string).collect();
        let summary = format!("runs `aws {}`", words.join(" "));
        // What the operation itself needs only the service knows; the account is always asked for.
        let promotes = words::promotes(&known(&self.args));
        Description {
            summary,
            actions: vec!["sts:GetCallerIdentity"],
            irreversible: promotes,
            second_writer: promotes,
            loses_data: promotes,
            ..Description::default()
        }
    }

    fn sees_effect(&self) -> bool {
        self.looks() || self.check.is_some()
    }

    fn changes(&self) -> bool {
        !self.looks()
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let mut found: Vec<_> = mistake("args", words::refused(&known(&self.args))).into_iter().collect();
        if self.looks() && self.check.is_some() {
            let message = "an operation that only looks leaves nothing to be checked".into();
            let help = "take `check` away; what its answer has to be stands under `until`".into();
            found.push(Mistake { field: "check", message, help });
        } else if let Some(check) = &self.check {
            found.extend(look_mistake("check", &check.args).or_else(|| any_answer(check)));
        }
        if let Some(until) = &self.until {
            if self.until_words(until).is_none() {
                let message = "`until` names no operation that looks, and there is no `check`".into();
                let help = "give it one: `until: { args: […], expect: {…} }`".into();
                found.push(Mistake { field: "until", message, help });
            }
            found.extend(until.args.iter().find_map(|args| look_mistake("until", args)));
            if until.expect.is_empty() {
                let message = "`until` expects nothing, so there is nothing to wait for".into();
                let help = "name a value: `expect: { /Status: ACTIVE }`".into();
                found.push(Mistake { field: "until", message, help });
            }
        }
        found
    }

    fn leans_on(&self) -> Vec<Need> {
        vec![Need::ProviderCli]
    }

    fn outputs(&self) -> Vec<OutputName> {
        output::names(&self.outputs)
    }

    fn grace(&self) -> Dur {
        process::GRACE
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if self.looks() {
            let Some(until) = &self.until else { return Ok(Check::Absent) };
            return Ok(match self.look_until(cx, until).await? {
                Look::Ready(Ok(text)) => Check::Done(self.answered(&text).map_err(Failure::new)?),
                Look::Ready(Err(failure)) => Check::Impossible(failure),
                Look::Pending(_) => Check::Absent,
            });
        }
        if work::goes_on(cx).await {
            self.going.store(true, Ordering::Relaxed);
            return Ok(Check::InProgress);
        }
        let seen = match self.look(cx).await? {
            Saw::Nothing(why) if self.was_taken(cx) => {
                Check::Unknown(format!("the operation was taken in an earlier attempt, and its check says: {why}"))
            }
            saw => {
                if let Saw::Pending(why) = &saw {
                    cx.progress(why);
                }
                saw.into()
            }
        };
        self.going.store(seen == Check::InProgress, Ordering::Relaxed);
        Ok(seen)
    }

    async fn watch(&self, cx: &ReadCx) -> Result<Check, Failure> {
        if self.looks() && self.until.is_none() { self.ask(cx).await.map(Check::Done) } else { self.check(cx).await }
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        self.as_planned(&cx.read)?;
        if self.looks() {
            let Some(until) = &self.until else { return Ok(self.ask(&cx.read).await?) };
            let text = cx.read.poll(|| self.look_until(&cx.read, until)).await??;
            return Ok(self.answered(&text).map_err(Failure::new)?);
        }
        if self.going.load(Ordering::Relaxed) {
            work::outlast(cx).await?;
            return match self.come_to_light(&cx.read, "what was under way has ended").await? {
                Check::Done(output) => Ok(output),
                _ => Ok(self.wait(&cx.read).await?),
            };
        }
        let ready = World::of(&cx.read).aws.cli_act(cx, &resolved(&self.args)).await?;
        let Worked { status, out, err } = work::carry_out(cx, &ready.job).await?;
        let redactor = &ready.job.redactor;
        let complaint = process::complaint(&err);
        ready.ended(status, &complaint).map_err(|trouble| self.without_retry(trouble.wrote()))?;
        if self.check.is_some() || self.until.is_some() {
            cx.record(TAKEN, resolved(&self.args)).await;
        }
        let left = work::values_of_done(&cx.read, &self.outputs, &out, redactor)?;
        if self.check.is_some() {
            self.come_to_light(&cx.read, "the operation was taken").await?;
        }
        if self.until.is_some() {
            self.wait(&cx.read).await?;
        }
        Ok(left)
    }
}

/// A look whose every answer would be taken for done, an empty list too.
fn any_answer(check: &Seen) -> Option<Mistake> {
    (check.expect.is_empty() && check.absent.is_empty()).then(|| Mistake {
        field: "check",
        message: "`check` takes any answer for done, an empty list too: the operation might never run".into(),
        help: "name a value of the answer that shows it: `expect: { /Status: ACTIVE }`; or the error codes that mean \
            that nothing is there: `absent: [ParameterNotFound]`"
            .into(),
    })
}

/// The fact that the service took the operation: its words.
const TAKEN: &str = "taken";

/// What `check` saw.
enum Saw {
    Nothing(String),
    Pending(String),
    There(Output),
    Ended(Failure),
    CannotTell(String),
}

impl From<Saw> for Check {
    fn from(saw: Saw) -> Self {
        match saw {
            Saw::Nothing(_) => Self::Absent,
            Saw::Pending(_) => Self::InProgress,
            Saw::There(output) => Self::Done(output),
            Saw::Ended(failure) => Self::Impossible(failure),
            Saw::CannotTell(why) => Self::Unknown(why),
        }
    }
}

impl AwsCli {
    /// Whether the step only looks. What is not known yet does not.
    fn looks(&self) -> bool {
        match known(&self.args)[..] {
            [Some(service), Some(operation), ..] => words::is_read(service, operation),
            _ => false,
        }
    }

    /// What was planned as a look, or as no promotion, had nobody asked and nothing fenced.
    fn as_planned(&self, cx: &ReadCx) -> Result<(), Failure> {
        let (step, words) = (&cx.step, known(&self.args));
        let what = match () {
            () if words::promotes(&words) && (step.fenced_by.is_empty() || !step.irreversible) => "promotes",
            () if !self.looks() && !step.changes => "changes something",
            () if self.looks() && step.changes => "only looks",
            () => return Ok(()),
        };
        let text = format!(
            "`aws {}` {what}, and that was not planned",
            resolved(&self.args).into_iter().take(2).collect::<Vec<_>>().join(" ")
        );
        Err(Failure::new(text).hint("stop this run, and plan it anew with the operation in its runbook"))
    }

    fn until_words<'a>(&'a self, until: &'a Until) -> Option<&'a [In<Word>]> {
        let own = || self.looks().then_some(self.args.as_slice());
        until.args.as_deref().or_else(|| self.check.as_ref().map(|check| check.args.as_slice())).or_else(own)
    }

    /// Whether the service took these very words in an earlier attempt.
    fn was_taken(&self, cx: &ReadCx) -> bool {
        cx.fact(TAKEN).is_some_and(|taken| *taken == Value::from(resolved(&self.args)))
    }

    /// What cannot be looked at is not tried again by itself.
    fn without_retry(&self, error: StepError) -> StepError {
        match error {
            StepError::Failed(failure) => {
                StepError::Failed(Failure { transient: failure.transient && self.check.is_some(), ..failure })
            }
            other => other,
        }
    }

    /// What `check` says, and then `until`.
    async fn look(&self, cx: &ReadCx) -> Result<Saw, Failure> {
        let Some(check) = &self.check else {
            let why = match cx.attempt {
                0 | 1 => "the step has no `check:` that could look",
                _ => "the operation began before, and what it has left behind is not known",
            };
            return Ok(Saw::CannotTell(why.into()));
        };
        let (text, redactor) = match World::of(cx).aws.cli_look(cx, &resolved(&check.args)).await? {
            Ok(answer) => (answer.text, answer.redactor),
            Err(trouble) => return refused(check, trouble),
        };
        let answer = match expect::read(&text) {
            Ok(answer) => answer,
            Err(why) => return Ok(Saw::CannotTell(why)),
        };
        if let Some(why) = expect::unmet(&check.expect, &answer, &redactor) {
            return Ok(Saw::Nothing(why));
        }
        let there = || work::values_found(cx, &self.outputs, &text, &redactor);
        let Some(until) = &self.until else { return Ok(Saw::There(there())) };
        Ok(match self.look_until(cx, until).await? {
            Look::Ready(Ok(_)) => Saw::There(there()),
            Look::Ready(Err(failure)) => Saw::Ended(failure),
            Look::Pending(why) => Saw::Pending(why),
        })
    }

    /// One look at what is waited for: the answer, or the failure that ended it.
    async fn look_until(&self, cx: &ReadCx, until: &Until) -> Result<Look<Result<String, Failure>>, Failure> {
        let args = self.until_words(until).ok_or_else(|| Failure::new("`until` names no operation that looks"))?;
        let answer = match World::of(cx).aws.cli_look(cx, &resolved(args)).await? {
            Ok(answer) => answer,
            Err(trouble) => return Err(trouble.read()),
        };
        let json = expect::read(&answer.text).map_err(Failure::new)?;
        if let Some(why) = expect::ended(&until.failed, &json, &answer.redactor) {
            return Ok(Look::Ready(Err(Failure::new(format!("what was waited for has failed: {why}")))));
        }
        Ok(match expect::unmet(&until.expect, &json, &answer.redactor) {
            None => Look::Ready(Ok(answer.text)),
            Some(why) => Look::Pending(why),
        })
    }

    /// Looks until `check` sees what was done: a list may lag behind.
    async fn come_to_light(&self, cx: &ReadCx, since: &str) -> Result<Check, StepError> {
        let until = cx.clock.now().after(crate::aws::limits::UNSEEN);
        let seen = cx.poll(|| async {
            Ok(match self.look(cx).await? {
                Saw::Nothing(why) if cx.clock.now() < until => Look::Pending(format!("its check says: {why}")),
                saw => Look::Ready(saw),
            })
        });
        match seen.await.map_err(StepError::Doubt)? {
            Saw::Nothing(why) => {
                Err(StepError::Doubt(Failure::new(format!("{since}, and its check does not see it: {why}"))))
            }
            Saw::CannotTell(why) => Err(StepError::Doubt(Failure::new(why))),
            Saw::Ended(failure) => Err(failure.into()),
            saw => Ok(saw.into()),
        }
    }

    /// Waits for `until`, and gives the outputs as they are found.
    async fn wait(&self, cx: &ReadCx) -> Result<Output, StepError> {
        let Some(until) = &self.until else { return Ok(Output::default()) };
        let text = cx.poll(|| self.look_until(cx, until)).await.map_err(StepError::Doubt)??;
        Ok(work::values_found(cx, &self.outputs, &text, &Redactor::default()))
    }

    /// The answer to an operation that only looks.
    async fn ask(&self, cx: &ReadCx) -> Result<Output, Failure> {
        let answer = World::of(cx).aws.cli_look(cx, &resolved(&self.args)).await?.map_err(Trouble::read)?;
        self.answered(&answer.text).map_err(Failure::new)
    }

    fn answered(&self, text: &str) -> Result<Output, String> {
        Ok(Output { values: output::read(&self.outputs, text)?, recovery_point: None })
    }
}

/// What a refusal says of the work.
fn refused(check: &Seen, trouble: Trouble) -> Result<Saw, Failure> {
    let code = trouble.code.clone().unwrap_or_default();
    let plain = trouble.is_plain_no();
    let failure = trouble.read();
    if check.absent.contains(&code) {
        return Ok(Saw::Nothing(failure.message));
    }
    // What may pass is asked again, and what a person has to mend is told as it is.
    if !plain {
        return Err(failure);
    }
    let also = format!("if that means that nothing is there, name it: `absent: [{code}]`");
    Ok(Saw::CannotTell(format!("{}; {also}", failure.message)))
}

/// The words as far as they are known.
fn known(args: &[In<Word>]) -> Vec<Option<&str>> {
    args.iter().map(|word| if let In::Lit(Word(text)) = word { Some(text.as_str()) } else { None }).collect()
}

fn resolved(args: &[In<Word>]) -> Vec<String> {
    args.iter().map(|word| word.get().0.clone()).collect()
}

fn mistake(field: &'static str, said: Option<(String, String)>) -> Option<Mistake> {
    said.map(|(message, help)| Mistake { field, message, help })
}

/// What is wrong with an operation that has to look.
fn look_mistake(field: &'static str, args: &[In<Word>]) -> Option<Mistake> {
    let known = known(args);
    if let Some(said) = words::refused(&known).or_else(|| words::cut(&known)) {
        return mistake(field, Some(said));
    }
    let [Some(service), Some(operation), ..] = known[..] else { return None };
    if words::is_read(service, operation) {
        return None;
    }
    let message = format!("`{service} {operation}` is not known to look only");
    let help = "here stands an operation that changes nothing: describe-…, list-…, get-…, head-…".into();
    Some(Mistake { field, message, help })
}
