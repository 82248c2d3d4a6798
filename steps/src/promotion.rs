//! Which of several stores that follow one another writes, and how that moves:
//! what the global databases of Aurora and the global datastores of
//! `ElastiCache` have in common.
//!
//! One call asks for a move, has no idempotency token, and may not be seen to
//! begin for a while. So what is written down before it (`before.rs`) and what
//! the service accepted say whether it was asked for, and what the service shows
//! whether it is done.

use crate::{
    aws::limits,
    before::{self, BEFORE},
    metrics::Sample,
};
use async_trait::async_trait;
use dr_engine::{
    clock::Time,
    outcome::{Failure, Output},
    step::{Check, Look, ReadCx, StepCx, StepError},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::future::Future;

/// The name of the fact that the way back was asked for, and when.
const BACK: &str = "back";

/// What was seen before a move was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    /// What the stores belong to.
    pub(crate) global: String,
    /// The one that is to write.
    pub(crate) arn: String,
    /// The one that wrote.
    pub(crate) writer: Option<String>,
    /// When it was asked for.
    pub(crate) at: Time,
    /// How far the store was behind, by which metric, where that counts.
    pub(crate) lag: Option<(String, Sample)>,
    /// Why that is not known.
    pub(crate) unknown: Option<String>,
}

impl Found {
    fn is_of(&self, global: &str, store: &str) -> bool {
        self.global == global && (self.arn == store || name(&self.arn).eq_ignore_ascii_case(store))
    }

    /// The move as it was asked for.
    pub(crate) fn ask(&self, cx: &ReadCx) -> Asked {
        Asked { at: self.at, accepted: before::is_accepted(cx, BEFORE, &self.arn) }
    }
}

/// What was written down of a store that is to write, though the call was refused since.
pub(crate) fn known(cx: &ReadCx, global: &str, store: &str) -> Option<Found> {
    before::known(cx, |found: &Found| found.is_of(global, store))
}

/// The same, if the move may have been asked for since.
pub(crate) fn asked(cx: &ReadCx, global: &str, store: &str) -> Option<Found> {
    before::asked(cx, |found: &Found| found.is_of(global, store))
}

/// The same, if what was asked for may still be seen to begin: else it is asked for anew.
pub(crate) fn pending(cx: &ReadCx, global: &str, store: &str) -> Option<Found> {
    asked(cx, global, store).filter(|found| !found.ask(cx).is_past(cx))
}

/// Refuses to ask anew for what was pending when the attempt began and is past by now: somebody
/// may have moved the writer back while it was waited for, which a person has to say.
pub(crate) fn not_past(cx: &ReadCx, before: Option<&Found>) -> Result<(), StepError> {
    match before.filter(|found| found.ask(cx).is_past(cx)) {
        Some(found) => {
            Err(StepError::Doubt(Failure::new(moved_back(&found.arn, found.writer.as_deref(), found.ask(cx)))))
        }
        None => Ok(()),
    }
}

/// The way back to a store, where that was asked for.
pub(crate) fn back(cx: &ReadCx, home: &str) -> Option<Asked> {
    let at = Time::deserialize(cx.fact(BACK)?).ok()?;
    Some(Asked { at, accepted: before::is_accepted(cx, BACK, home) })
}

/// Asks for the way back, unless that was taken and may still be seen to begin.
pub(crate) async fn ask_back(
    cx: &StepCx,
    home: &str,
    send: impl Future<Output = Result<Option<Failure>, StepError>> + Send,
) -> Result<Option<Failure>, StepError> {
    let asked = back(&cx.read, home).filter(|asked| !asked.is_past(&cx.read));
    match asked {
        Some(Asked { accepted: true, .. }) => return Ok(None),
        Some(_) => {}
        None => cx.record(BACK, json!(cx.read.clock.now())).await,
    }
    send.await
}

/// A move that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// When.
    pub(crate) at: Time,
    /// It was taken, for certain.
    pub(crate) accepted: bool,
}

impl Asked {
    /// Whether it would be seen by now. A store that follows then was never made to
    /// write, or somebody moved the writer back: to ask again is a new move, and a
    /// person's to decide.
    pub(crate) fn is_past(self, cx: &ReadCx) -> bool {
        cx.clock.now().since(self.at) >= limits::BEGINS
    }
}

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

    /// How far it is, for [`dr_engine::step::Step::check`]; `asked` is the move, where it may have
    /// been asked for. `Done` has what the writer gives.
    async fn check(&self, cx: &ReadCx, asked: Option<Asked>) -> Result<Check, Failure> {
        Ok(match self.see(cx).await {
            Err(failure) if !failure.transient && failure.call.is_none() => Check::Impossible(failure),
            Err(failure) => return Err(failure),
            Ok(Stage::Elsewhere(failure)) => Check::Impossible(failure),
            Ok(Stage::Follows { arn, writer }) => match asked {
                Some(asked) if asked.is_past(cx) => Check::Unknown(moved_back(&arn, writer.as_deref(), asked)),
                Some(Asked { accepted: true, .. }) => Check::InProgress,
                _ => Check::Absent,
            },
            Ok(Stage::Busy(says)) => match asked {
                Some(asked) if asked.is_past(cx) => Check::Unknown(format!(
                    "{says}, and whether that is the move that was asked for at {}, nobody can tell; look what it is, \
                     then `retry` waits for it",
                    asked.at
                )),
                Some(_) => Check::InProgress,
                None => Check::Absent,
            },
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

fn moved_back(arn: &str, writer: Option<&str>, asked: Asked) -> String {
    let taken = if asked.accepted { "that was taken" } else { "whether that was taken is not known" };
    let whom = writer.map_or_else(String::new, |writer| format!(" `{}`", self::name(writer)));
    format!(
        "`{}` was asked to write at {}, {taken}, and it follows{whom}: somebody may have moved the writer since; \
         `retry` moves it anew",
        self::name(arn),
        asked.at
    )
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
    use super::*;
    use dr_engine::{clock::SystemClock, duration::Dur, testing::Bench};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_move_that_got_past_while_it_was_waited_for_is_a_question() {
        let bench = Bench::new("it", Arc::new(SystemClock::new()), Arc::new(()));
        let cx = bench.cx().read;
        let found = |ago: Dur| Found {
            global: "ledger".into(),
            arn: "arn:aws:rds:eu-central-1:1:cluster:new".into(),
            writer: Some("arn:aws:rds:eu-west-1:1:cluster:old".into()),
            at: cx.clock.now().after(Dur(-ago.0)),
            lag: None,
            unknown: None,
        };
        assert!(not_past(&cx, None).is_ok() && not_past(&cx, Some(&found(Dur(0)))).is_ok());
        let Err(StepError::Doubt(failure)) = not_past(&cx, Some(&found(limits::BEGINS))) else { panic!("it is past") };
        assert!(failure.message.contains("it follows `old`: somebody may have moved the writer since"), "{failure:?}");
    }

    #[test]
    fn an_arn_has_a_name_and_a_region_and_a_name_has_itself() {
        let arn = "arn:aws:rds:eu-west-1:123456789012:cluster:ledger-eu-west-1";
        assert_eq!((name(arn), region(arn)), ("ledger-eu-west-1", Some("eu-west-1")));
        assert_eq!((name("ledger"), region("ledger")), ("ledger", None));
        assert_eq!(region("arn:aws:rds::123456789012:global-cluster:ledger"), None);
    }
}
