//! The role of an account: assumed, and assumed anew before its credentials end.
//!
//! A recovery outlives the credentials of a role: whoever assumes one with the
//! credentials of another gets an hour at most, whatever the role allows
//! ("Roles terms and concepts", IAM User Guide, *role chaining*), and a restore
//! takes three. So every call asks here, and all that ask while the role is
//! being assumed are given the one answer.
//!
//! Not the SDK's own provider: it knows neither that a service has called the
//! credentials expired, nor whose account it was, nor what a person can do.

use super::{
    error::{End, Site},
    limits,
};
use crate::{redact::Redactor, world::Role};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    outcome::Failure,
};
use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};
use tokio::sync::Mutex;

/// The credentials of one account's role.
pub(crate) struct Assumed {
    /// The account's name in the runbook.
    pub(super) account: String,
    /// Its number.
    pub(super) id: String,
    pub(super) role: Role,
    /// What AWS calls the session: the run, so that `CloudTrail` tells who it was.
    pub(super) session: String,
    /// The folder of the runbook, for an external id in a file.
    pub(super) folder: PathBuf,
    pub(super) sts: aws_sdk_sts::Client,
    /// The region whose STS is asked.
    pub(super) region: String,
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// How often it was tried to assume the role.
    tries: AtomicU64,
    /// When a service last said that the credentials have expired.
    refused: AtomicI64,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// Why the last try failed, if it did.
    failed: Option<Failure>,
    /// While credentials are still good: no other try before this.
    again_at: Option<Time>,
}

struct Held {
    keys: Credentials,
    taken: Time,
    renew_at: Time,
    ends: Time,
}

/// Why there are no credentials: nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(super) struct NotAssumed(pub(super) Box<Failure>);

impl fmt::Debug for Assumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Assumed({})", self.account)
    }
}

impl Assumed {
    pub(super) fn new(
        (account, id, role): (&str, &str, &Role),
        session: &str,
        folder: PathBuf,
        (sts, region): (aws_sdk_sts::Client, &str),
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            account: account.to_owned(),
            id: id.to_owned(),
            role: role.clone(),
            session: session.to_owned(),
            folder,
            sts,
            region: region.to_owned(),
            clock: clock.clone(),
            state: Mutex::default(),
            tries: AtomicU64::new(0),
            refused: AtomicI64::new(i64::MIN),
        }
    }

    /// A service has said that the credentials are too old, though they should not be: they are not used again.
    pub(super) fn expired(&self) {
        self.refused.store(self.clock.now().0, Ordering::SeqCst);
    }

    /// Credentials that are good now.
    pub(super) async fn keys(&self) -> Result<Credentials, Failure> {
        let seen = self.tries.load(Ordering::SeqCst);
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let refused = Time(self.refused.load(Ordering::SeqCst));
        // What was refused just after these were taken was signed with those before.
        state.held.take_if(|held| held.ends <= now || refused > held.taken.after(limits::ROLE_SETTLES));
        let State { held, failed, again_at } = &mut *state;
        if let Some(held) = held {
            let early = now < held.renew_at || again_at.is_some_and(|at| now < at);
            if early {
                return Ok(held.keys.clone());
            }
        } else if let Some(failure) = failed.as_ref().filter(|_| self.tries.load(Ordering::SeqCst) != seen) {
            // It was tried while this one waited: what that met, this would meet as well.
            return Err(failure.clone());
        }
        let taken = self.assume(now).await;
        self.tries.fetch_add(1, Ordering::SeqCst);
        match taken {
            Ok(new) => {
                (*failed, *again_at) = (None, None);
                Ok(held.insert(new).keys.clone())
            }
            Err(failure) => {
                *failed = Some(failure.clone());
                *again_at = Some(self.clock.now().after(limits::ROLE_PAUSE));
                // What is still good is used: STS has until its end to come back.
                held.as_ref().map(|held| held.keys.clone()).ok_or(failure)
            }
        }
    }

    async fn assume(&self, now: Time) -> Result<Held, Failure> {
        let external_id = self.role.external_id.as_ref().map(|source| source.read(&self.folder)).transpose();
        let external_id = external_id.map_err(|failure| Failure { message: self.told(&failure.message), ..failure })?;
        let site = Site::new("sts", "AssumeRole", &self.region);
        let call = self.sts.assume_role().role_arn(&self.role.arn).role_session_name(&self.session);
        let seconds = i32::try_from(limits::ROLE_LASTS.0 / 1000).expect("an hour");
        let call = call.duration_seconds(seconds).set_external_id(external_id.clone());
        let answer = self.clock.timeout(limits::ROLE_CALL, Box::pin(call.send())).await;
        let answer = answer.ok_or_else(|| {
            let text = format!("sts AssumeRole in {} got no answer within {}", self.region, limits::ROLE_CALL);
            Failure::passing(self.told(&text))
                .hint(format!("is sts in {} impaired? `retry` asks it again", self.region))
        })?;
        let answer = answer.map_err(|error| {
            let end = site.end(&error);
            Self::mute(external_id.as_deref(), self.judged(&end, site.read(&error)))
        })?;
        let unread = || Failure::passing(self.told("the answer of STS holds no credentials"));
        let given = answer.credentials().ok_or_else(unread)?;
        // By this machine's clock, which may be another than AWS's: never longer than was asked for.
        let ends = super::time(given.expiration()).ok_or_else(unread)?;
        let life = Dur(ends.since(now).0.clamp(0, limits::ROLE_LASTS.0));
        let keys = Credentials::new(
            given.access_key_id(),
            given.secret_access_key(),
            Some(given.session_token().to_owned()),
            None,
            "dr",
        );
        Ok(Held { keys, taken: self.clock.now(), renew_at: now.after(Dur(life.0 / 6 * 5)), ends: now.after(life) })
    }

    /// What a refusal means for whoever waits, and what a person can do.
    fn judged(&self, end: &End, failure: Failure) -> Failure {
        let passing = failure.transient && !matches!(end, End::Expired);
        let hint = match end {
            End::Denied => {
                let shown = match &self.role.external_id {
                    Some(source) => format!("and take the external id in `{source}`"),
                    None => "and ask for no external id, or `external_id` has to name it".to_owned(),
                };
                format!(
                    "the caller needs `sts:AssumeRole` on the role, and the role's trust policy has to name the caller {shown}"
                )
            }
            // Only a person can end that: it does not pass while a step waits for it.
            End::Expired => {
                "the credentials that the role is assumed with have expired: sign in again (`aws sso login`) \
                             and answer `retry`; fresh keys count from the next `dr resume`"
                    .to_owned()
            }
            _ => failure.hint.unwrap_or_default(),
        };
        let message = self.told(&failure.message);
        Failure { message, transient: passing, hint: Some(hint).filter(|hint| !hint.is_empty()), ..failure }
    }

    fn told(&self, why: &str) -> String {
        format!("account `{}` ({}): its role {} was not assumed: {why}", self.account, self.id, self.role.arn)
    }

    /// The failure without the external id, should AWS have repeated it.
    fn mute(external_id: Option<&str>, failure: Failure) -> Failure {
        let Some(external_id) = external_id else { return failure };
        let mut redactor = Redactor::default();
        redactor.add(external_id);
        let causes = failure.causes.iter().map(|cause| redactor.text(cause)).collect();
        Failure { message: redactor.text(&failure.message), causes, ..failure }
    }
}

/// What the SDK asks; a type of its own, since what is asked is shared.
#[derive(Debug, Clone)]
pub(super) struct Provider(pub(super) Arc<Assumed>);

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let keys = self.0.keys().await;
            keys.map_err(|failure| CredentialsError::provider_error(NotAssumed(Box::new(failure))))
        })
    }
}
