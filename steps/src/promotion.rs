//! Which of several stores that follow one another writes, and how that moves:
//! what the global databases of Aurora and the global datastores of
//! `ElastiCache` have in common.
//!
//! One call asks for a move, has no idempotency token, and may not be seen to
//! begin for a while. So what is written down before it (`before.rs`) and what
//! the service accepted say whether it was asked for, and what the service shows
//! whether it is done.

use crate::{aws::limits, before};
use async_trait::async_trait;
use dr_engine::{
    outcome::{Failure, Output},
    step::{Check, Look, ReadCx, StepCx, StepError},
};
use std::future::Future;

/// How it stands with the store that is to write.
pub(crate) enum Stage<W> {
    /// It follows another one, and nothing moves.
    Follows {
        /// Its ARN.
        arn: String,
        /// Who writes.
        writer: Option<String>,
    },
    /// What it belongs to is changed by somebody, not in who writes.
    Busy(String),
    /// It is becoming the writer, or is and does not work yet.
    Moving(String),
    /// Another one is becoming the writer.
    Elsewhere(Failure),
    /// It writes.
    Writes(Box<W>),
}

/// A store that writes, and works.
pub(crate) trait Writes: Send {
    /// What it gives to other steps.
    fn output(&self) -> Output;
}

/// A store that is to write, of those that follow one another.
#[async_trait]
pub(crate) trait Promotion: Sync {
    /// What it is when it writes.
    type Writer: Writes;

    /// How it stands.
    async fn see(&self, cx: &ReadCx) -> Result<Stage<Self::Writer>, Failure>;

    /// How far it is, for [`dr_engine::step::Step::check`]; `asked` says whether the move may have
    /// been asked for. `Done` has what the writer gives.
    async fn check(&self, cx: &ReadCx, asked: bool) -> Result<Check, Failure> {
        Ok(match self.see(cx).await {
            Err(failure) if !failure.transient && failure.call.is_none() => Check::Impossible(failure),
            Err(failure) => return Err(failure),
            Ok(Stage::Elsewhere(failure)) => Check::Impossible(failure),
            Ok(Stage::Follows { arn, .. }) if asked && before::is_accepted(cx, &arn) => Check::InProgress,
            Ok(Stage::Busy(_)) if asked => Check::InProgress,
            Ok(Stage::Follows { .. } | Stage::Busy(_)) => Check::Absent,
            Ok(Stage::Moving(_)) => Check::InProgress,
            Ok(Stage::Writes(writer)) => Check::Done(writer.output()),
        })
    }

    /// Waits until nothing else moves: how it stands then.
    async fn at_rest(&self, cx: &ReadCx) -> Result<Stage<Self::Writer>, Failure> {
        let since = cx.clock.now();
        cx.poll(|| async {
            match self.see(cx).await? {
                Stage::Elsewhere(failure) => Err(failure),
                Stage::Busy(says) if cx.clock.now().since(since) < limits::BUSY => Ok(Look::Pending(says)),
                Stage::Busy(says) => Err(Failure::new(says).hint("wait for it, then answer `retry`")),
                stage => Ok(Look::Ready(stage)),
            }
        })
        .await
    }

    /// Makes the one call, unless it was made: `send` gives what was refused as *not now*.
    /// Then waits until the store writes.
    async fn write(
        &self,
        cx: &StepCx,
        send: impl Future<Output = Result<Option<Failure>, StepError>> + Send,
    ) -> Result<Box<Self::Writer>, StepError> {
        let refusal = send.await?;
        let since = cx.read.clock.now();
        let patience = if refusal.is_some() { limits::UNSEEN } else { limits::BEGINS };
        let ended = cx.read.poll(|| async {
            Ok(match self.see(&cx.read).await? {
                Stage::Writes(writer) => Look::Ready(Ok(writer)),
                Stage::Moving(says) | Stage::Busy(says) => Look::Pending(says),
                Stage::Elsewhere(failure) => return Err(failure),
                Stage::Follows { arn, .. } => {
                    let says = format!("`{}` follows still", name(&arn));
                    let says = refusal.as_ref().map_or(says, |failure| failure.message.clone());
                    if cx.read.clock.now().since(since) < patience {
                        return Ok(Look::Pending(says));
                    }
                    Look::Ready(Err(refusal.clone().unwrap_or_else(|| Failure::passing(says))))
                }
            })
        });
        Ok(ended.await??)
    }
}

/// The region in an ARN.
pub(crate) fn region(arn: &str) -> Option<&str> {
    arn.split(':').nth(3).filter(|region| !region.is_empty())
}

/// The name in an ARN, or what is a name already.
pub(crate) fn name(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::{name, region};

    #[test]
    fn an_arn_has_a_name_and_a_region_and_a_name_has_itself() {
        let arn = "arn:aws:rds:eu-west-1:123456789012:cluster:ledger-eu-west-1";
        assert_eq!((name(arn), region(arn)), ("ledger-eu-west-1", Some("eu-west-1")));
        assert_eq!((name("ledger"), region("ledger")), ("ledger", None));
        assert_eq!(region("arn:aws:rds::123456789012:global-cluster:ledger"), None);
    }
}
