//! `aurora.global_switchover`: the writer of an Aurora global database moves to
//! another region, and nothing is lost.
//!
//! How that moves and is waited for stands in `aurora.rs`. Aurora stops the
//! writes of the old primary, waits until the new one has all, and leaves the
//! old one as a secondary, so that there never are two that write; every
//! cluster has to be connected (AWS RDS API Reference,
//! `SwitchoverGlobalCluster`). It is for rehearsals, for a region that is to be
//! left in order, and the way home after a failover.
//!
//! The recovery point is the moment before the call: what was written before is
//! there. To take it back is to switch over to the old primary.

use crate::{
    aurora::{self, Target},
    aws::{Clients, error::code},
    before,
    promotion::{self, Found, Promotion, Stage, Writes},
    world::World,
};
use async_trait::async_trait;
use dr_engine::{
    kind::{Explained, Reference},
    outcome::{Failure, Output, RecoveryPoint},
    step::{Check, Description, OutputName, ReadCx, Step, StepCx, StepError},
    yaml::In,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// Moves the writer of an Aurora global database to the cluster in the step's
/// region, without loss. Every cluster has to be connected.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalSwitchover {
    /// The global database.
    global_cluster: In<String>,
    /// The cluster in the step's region that is to write, by name or ARN.
    target: In<String>,
}

fn output(mut output: Output, found: Option<&Found>) -> Output {
    output.values.insert("from".into(), found.and_then(|found| found.writer.clone()).into());
    output.recovery_point = found.map(|found| RecoveryPoint { at: found.at, source: "SwitchoverGlobalCluster".into() });
    output
}

impl GlobalSwitchover {
    fn target<'a>(&self, clients: &'a Clients) -> Target<'a> {
        Target { clients, global: self.global().to_owned(), cluster: self.target.get().clone() }
    }

    fn global(&self) -> &str {
        self.global_cluster.get()
    }

    /// What was written down of this target, though the call was refused since.
    fn known(&self, cx: &ReadCx) -> Option<Found> {
        promotion::known(cx, self.global(), self.target.get())
    }

    /// The same, if the switchover may have been asked for since.
    fn asked(&self, cx: &ReadCx) -> Option<Found> {
        promotion::asked(cx, self.global(), self.target.get())
    }

    /// Asks for it; gives the refusal where RDS said *not now*.
    async fn ask(cx: &StepCx, clients: &Clients, global: &str, arn: &str) -> Result<Option<Failure>, StepError> {
        let request = clients.rds.switchover_global_cluster().global_cluster_identifier(global);
        let Err(e) = request.target_db_cluster_identifier(arn).send().await else {
            before::accepted(cx, arn).await;
            return Ok(None);
        };
        match clients.call("rds", "SwitchoverGlobalCluster").wrote(&e) {
            StepError::Failed(failure) if aurora::not_now(code(&e)) => Ok(Some(failure)),
            error => Err(error),
        }
    }

    /// Where to go back to: who wrote before, as this step wrote it down.
    fn home(&self, found: Option<Found>) -> Result<String, Failure> {
        let nobody = || Failure::new(format!("this run did not see who wrote for `{}` before", self.global()));
        found.and_then(|found| found.writer).ok_or_else(nobody)
    }

    /// Why a move of the writer is not taken back: it is somebody else's.
    fn not_ours(&self) -> Failure {
        let text = format!("the switchover of `{}` was refused, and somebody else moved its writer", self.global());
        Failure::new(text).hint("see what that move lost, and move it back by hand if it is to go back")
    }
}

impl Explained for GlobalSwitchover {
    const REFERENCE: Reference = Reference {
        check: "`DescribeGlobalClusters`. Nothing of it while the cluster follows another one; under way while it \
            becomes the writer; done when it is the writer, nothing moves, the cluster and the instance that \
            writes are available (`DescribeDBClusters`, `DescribeDBInstances`). A cluster that is no member, or a \
            move to another one, is refused.",
        run: "Waits while the global database is changed by somebody, for half an hour at most; writes down who writes; \
            `SwitchoverGlobalCluster`, called in the step's region; waits until the cluster writes.",
        undo: Some(
            "`SwitchoverGlobalCluster` to the cluster that wrote before, called in its region, and waits until that \
             writes. It wants every cluster connected, as the way there did. What somebody else moved, after the call \
             was refused, is not moved back.",
        ),
        recovery_point: Some(
            "The moment before the call of `SwitchoverGlobalCluster`: Aurora loses nothing that was written before. Unknown \
             where the call was refused and somebody else moved the writer.",
        ),
        time: "1 to 5 minutes, longer the further a cluster is behind (general knowledge, not measured).",
        traps: &[
            "It wants every cluster connected: for a primary that is lost there is `aurora.global_failover`.",
            "All clusters need the same major and minor version, and the target an instance.",
            "Nobody can write for a minute or so.",
            "Parameter groups, alarms and integrations are the target's own.",
            "Names that are cached send writers to the old one, which refuses them: `global_endpoint` follows the \
             writer.",
        ],
        example: "
            ledger:
              do:
                aurora.global_switchover:
                  global_cluster: ledger
                  target: ledger-eu-central-1
              timeout: 1h
        ",
    };
}

#[async_trait]
impl Step for GlobalSwitchover {
    fn describe(&self) -> Description {
        Description {
            summary: format!("switch Aurora global database `{}` over to `{}`", self.global_cluster, self.target),
            actions: aurora::LOOKS.into_iter().chain(["rds:SwitchoverGlobalCluster"]).collect(),
            ..Description::default()
        }
    }

    fn outputs(&self) -> Vec<OutputName> {
        aurora::outputs(&["from"])
    }

    async fn check(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let clients = World::of(cx).aws.read(cx).await?;
        let asked = self.asked(cx);
        Ok(match self.target(&clients).check(cx, asked.as_ref().map(|found| found.ask(cx))).await? {
            Check::Done(done) => Check::Done(output(done, asked.as_ref())),
            check => check,
        })
    }

    async fn run(&self, cx: &StepCx) -> Result<Output, StepError> {
        let clients = World::of(&cx.read).aws.write(cx).await?;
        let target = self.target(&clients);
        let (asked, pending) = (self.asked(&cx.read), promotion::pending(&cx.read, self.global(), self.target.get()));
        let Stage::Follows { arn, writer } = target.at_rest(&cx.read).await? else {
            let writer = Box::pin(target.write(cx, async { Ok(None) })).await?;
            return Ok(output(writer.output(), asked.as_ref()));
        };
        promotion::not_past(&cx.read, pending.as_ref())?;
        let asked = pending;
        let first = asked.is_none();
        let at = cx.read.clock.now();
        let found =
            asked.unwrap_or_else(|| Found { global: self.global().into(), arn, writer, at, lag: None, unknown: None });
        if first {
            before::write(cx, &found).await;
        }
        let refused = AtomicBool::new(false);
        let ask = async {
            // What was taken is waited for, and never asked for twice.
            if !first && found.ask(&cx.read).accepted {
                return Ok(None);
            }
            let answer = Self::ask(cx, &clients, self.global(), &found.arn).await;
            // Nothing has begun: whoever moves it from now on, it is not this call, and may lose data.
            if first && matches!(answer, Ok(Some(_)) | Err(StepError::Failed(_))) {
                refused.store(true, Ordering::Relaxed);
                before::refused(cx).await;
            }
            answer
        };
        let writer = Box::pin(target.write(cx, ask)).await?;
        Ok(output(writer.output(), (!refused.load(Ordering::Relaxed)).then_some(&found)))
    }

    fn can_undo(&self) -> bool {
        true
    }

    async fn check_undone(&self, cx: &ReadCx) -> Result<Check, Failure> {
        let asked = self.asked(cx);
        let refused = asked.is_none();
        let home = match self.home(asked.or_else(|| self.known(cx))) {
            Ok(home) => home,
            Err(failure) => return Ok(Check::Impossible(failure)),
        };
        let clients = World::of(cx).aws.read_in(cx, promotion::region(&home)).await?;
        let back = promotion::back(cx, &home);
        let target = Target { clients: &clients, global: self.global().to_owned(), cluster: home };
        Ok(match target.check(cx, back).await? {
            Check::Done(_) => Check::Done(Output::default()),
            _ if refused => Check::Impossible(self.not_ours()),
            check => check,
        })
    }

    async fn undo(&self, cx: &StepCx, _: &Output) -> Result<(), StepError> {
        let home = self.home(self.asked(&cx.read))?;
        let clients = World::of(&cx.read).aws.write_in(cx, promotion::region(&home)).await?;
        let target = Target { clients: &clients, global: self.global().to_owned(), cluster: home };
        let ask = async {
            match target.at_rest(&cx.read).await? {
                Stage::Follows { arn, .. } => {
                    promotion::ask_back(cx, &arn, Self::ask(cx, &clients, self.global(), &arn)).await
                }
                _ => Ok(None),
            }
        };
        Box::pin(target.write(cx, ask)).await?;
        Ok(())
    }
}
