//! `fence.command`: a program that keeps the old writer of a store from
//! writing, and one that proves it.
//!
//! What the first program believes proves nothing: the fence stands when
//! `check` says so, before a run and after it.

use crate::{
    command::{Looking, Program},
    output::{self, Outputs},
    process,
    secret::TextOrSecret,
    text::Word,
};
use async_trait::async_trait;
use dr_engine::{
    duration::Dur,
    kind::{Explained, Reference},
    need::Need,
    outcome::{Failure, Output},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::atomic::AtomicBool};

/// Keeps the old writer of a store from writing, by a program of your own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FenceCommand {
    /// The program and its arguments, each exactly as it stands: no shell reads them.
    #[serde(deserialize_with = "crate::text::argv")]
    pub argv: Vec<In<Word>>,
    /// A program that proves that the old writer cannot write: exit 0 proven, 3 it can, 75 under way.
    pub check: Looking,
    /// Variables of its environment, beside those of `dr`: a text, or `{ secret: env:NAME }`.
    #[serde(default)]
    pub env: BTreeMap<String, In<TextOrSecret>>,
    /// The folder it runs in, relative to the runbook. Default: the runbook's.
    pub cwd: Option<In<String>>,
    /// Exit codes after which it may be tried again.
    #[serde(default)]
    pub retry_on: Vec<u8>,
    /// Values for other steps, from what it prints: `{ json: /size }`, `{ line: 1 }`, `{ regex: "…(…)" }`.
    #[serde(default)]
    pub outputs: Outputs,
    /// What takes the fence away again.
    pub undo: Option<Lifting>,
    #[serde(skip)]
    #[schemars(skip)]
    going: AtomicBool,
    #[serde(skip)]
    #[schemars(skip)]
    lifting: AtomicBool,
}

/// A program that takes a fence away, and one that sees that it is gone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lifting {
    /// The program and its arguments. It has the environment and the folder of the fence.
    #[serde(deserialize_with = "crate::text::argv")]
    pub argv: Vec<In<Word>>,
    /// A program that sees that the fence is gone: exit 0 gone, 3 it stands, 75 under way.
    pub check: Looking,
}

impl Explained for FenceCommand {
    const REFERENCE: Reference = Reference {
        check: "From the second attempt on, processes that an earlier one left on this host are looked for \
            first: one that lives is under way. Then the program under `check` is run: exit 0 is proof that the \
            old writer cannot write, 3 says that it can, 75 that the fence is being set; all else cannot tell, \
            and counts as no fence.",
        run: "Starts the program as `command` does: in a process group of its own, its output in files of the \
            run, ended when the step's time is up. However well it ends, `check` decides: the step is done when \
            that proves it.",
        undo: Some(
            "With `undo`: its `check` says whether the fence is gone; if not, its program is run, and its \
             `check` decides again. Without it the fence cannot be taken back.",
        ),
        recovery_point: None,
        time: "As long as the programs take.",
        traps: &[
            "`check` has to prove that nobody can write, not that the program ran: let it try to write, with \
             the rights of the application, and be refused.",
            "A region that does not answer proves nothing: let `check` end with a code of its own then (1), \
             never with 0.",
            "What was established before the fence may outlive it: connections, sessions, queued jobs.",
            "It may be tried again each minute for a long time, while the region is away: it has to end by \
             itself.",
        ],
        example: "
            old_writer_is_stopped:
              do:
                fence.command:
                  argv: [./old-writer, stop]
                  check: { argv: [./old-writer, cannot-write] }
                  undo:
                    argv: [./old-writer, start]
                    check: { argv: [./old-writer, can-write] }
              timeout: 5m
        ",
    };
}

#[async_trait]
impl Step for FenceCommand {
    fn describe(&self) -> Description {
        let words: Vec<_> = self.argv.iter().map(ToString::to_string).collect();
        let summary = format!("fences the old writer by `{}`", words.join(" "));
        Description { summary, fences: true, ..Description::default() }
    }

    fn leans_on(&self) -> Vec<Need> {
        let lifting = self.undo.iter().flat_map(|undo| self.lifter(undo).leans_on());
        self.program().leans_on().into_iter().chain(lifting).collect()
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
        let left = self.program().run(cx).await?;
        self.program().prove(&cx.read, "that the old writer can write").await?;
        Ok(left)
    }

    fn can_undo(&self) -> bool {
        self.undo.is_some()
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        match &self.undo {
            Some(undo) => self.lifter(undo).check(cx).await,
            None => Ok(Check::Unknown("the step has no `undo:`".into())),
        }
    }

    async fn undo(&self, cx: &StepCx, _done: &Output) -> Result<(), StepError> {
        let undo = self.undo.as_ref().ok_or_else(|| Failure::new("the step has no `undo:`"))?;
        self.lifter(undo).run(cx).await?;
        self.lifter(undo).prove(&cx.read, "that the fence still stands").await
    }
}

/// What taking a fence away prints is of no use to anybody.
static NOTHING: Outputs = Outputs::new();

impl FenceCommand {
    fn program(&self) -> Program<'_> {
        Program {
            argv: &self.argv,
            env: &self.env,
            cwd: self.cwd.as_ref(),
            check: Some(&self.check),
            retry_on: &self.retry_on,
            outputs: &self.outputs,
            going: &self.going,
        }
    }

    fn lifter<'a>(&'a self, undo: &'a Lifting) -> Program<'a> {
        Program {
            argv: &undo.argv,
            check: Some(&undo.check),
            outputs: &NOTHING,
            going: &self.lifting,
            ..self.program()
        }
    }
}
