//! As whom calls are made, and whether that is the account that the runbook names.

use super::{Aws, Door, Loaded, limits, role::Assumed, survey::Caller};
use crate::{
    client::chain,
    world::{Accounts, World},
};
use aws_config::{Region, identity::IdentityCache};
use aws_credential_types::provider::ProvideCredentials;
use dr_engine::{clock::Clock, outcome::Failure, step::ReadCx};
use futures_util::future::join_all;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What the sessions of roles are called outside a run.
const NO_RUN: &str = "dr";

/// Whoever calls: the credentials of the SDK's chain, or an account's role.
#[derive(Default)]
pub(super) struct Identity {
    /// The role; none where it is the chain.
    pub(super) assumed: Option<Arc<Assumed>>,
    /// The account that they were seen to be of.
    account: Mutex<Option<String>>,
}

impl Identity {
    /// What is bounded and looked at together: a region of an account.
    pub(super) fn place(&self, region: &str) -> String {
        self.assumed.as_ref().map_or_else(|| region.to_owned(), |it| format!("{}/{region}", it.account))
    }
}

impl Aws {
    /// As whom a step works, once it is seen that this is the account that it names.
    pub(super) async fn right_account_of(&self, cx: &ReadCx) -> Result<Arc<Identity>, Failure> {
        let accounts = &World::of(cx).accounts;
        let Some(wanted) = accounts.of(cx) else { return Ok(self.caller.clone()) };
        let region = self.region(cx, None).await?;
        let who = self.of_account(accounts, wanted.0, &region, &cx.clock).await;
        self.right_account(&region, &cx.clock, &who, &[wanted]).await?;
        Ok(who)
    }

    /// As whom is done what is of the whole run.
    pub(super) async fn whole_run(&self, accounts: &Accounts, region: &str, clock: &Arc<dyn Clock>) -> Arc<Identity> {
        match &accounts.first {
            Some(name) => self.of_account(accounts, name, region, clock).await,
            None => self.caller.clone(),
        }
    }

    /// As whom is worked in this account: as its role, where it names one.
    async fn of_account(&self, accounts: &Accounts, name: &str, region: &str, clock: &Arc<dyn Clock>) -> Arc<Identity> {
        let (Some(id), Some(role)) = (accounts.ids.get(name), accounts.roles.get(name)) else {
            return self.caller.clone();
        };
        let Loaded { config, http, home } = self.loaded(region).await;
        let make = || {
            // No cache: whoever signs in again is seen when the role is next assumed.
            let own = config.to_builder().region(Region::new(home.clone())).http_client(http.clone());
            let sts = aws_sdk_sts::Client::new(&own.identity_cache(IdentityCache::no_cache()).build());
            let session = self.run.as_deref().unwrap_or(NO_RUN);
            let assumed = Assumed::new((name, id, role), session, accounts.folder.clone(), (sts, home), clock);
            Arc::new(Identity { assumed: Some(Arc::new(assumed)), account: Mutex::default() })
        };
        self.roles.lock().await.entry(name.to_owned()).or_insert_with(make).clone()
    }

    /// Refuses to work in an account that is none of those `wanted`, each a
    /// name in the runbook and a number; of none, any will do.
    pub(super) async fn right_account(
        &self,
        region: &str,
        clock: &Arc<dyn Clock>,
        who: &Identity,
        wanted: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let right = |me: &str| wanted.is_empty() || wanted.iter().any(|(_, id)| *id == me);
        let mut seen = who.account.lock().await;
        if wanted.is_empty() || seen.as_deref().is_some_and(right) {
            return Ok(());
        }
        let Caller { account: is, arn } = self.asked(region, clock, who).await?;
        if !right(&is) {
            let wanted: Vec<_> = wanted.iter().map(|(name, id)| format!("`{name}` is account {id}")).collect();
            let text = format!("these credentials are of account {is} ({arn}), and {}", wanted.join(", "));
            return Err(Failure::new(text).hint("choose the profile of that account: AWS_PROFILE"));
        }
        *seen = Some(is);
        Ok(())
    }

    async fn asked(&self, region: &str, clock: &Arc<dyn Clock>, who: &Identity) -> Result<Caller, Failure> {
        let clients = self.made(region, clock, &Door::Look, who).await;
        let site = clients.call("sts", "GetCallerIdentity");
        let identity = clients.sts.get_caller_identity().send().await.map_err(|e| site.read(&e))?;
        Ok(Caller {
            account: identity.account().unwrap_or_default().to_owned(),
            arn: identity.arn().unwrap_or("an unknown caller").to_owned(),
        })
    }

    /// Whether there are credentials, or in words why not.
    pub async fn gives_keys(&self) -> Result<(), String> {
        let home = match &self.home {
            Some(home) => home.clone(),
            None => self.region_of_chain().await.ok_or("no region is named (AWS_REGION, or a runbook)")?,
        };
        let provider = self.loaded(&home).await.config.credentials_provider().ok_or("there are none")?;
        provider.provide_credentials().await.map(drop).map_err(|error| chain(&error))
    }

    /// Whom the roles of accounts lead to, by the names of the accounts: all asked at the same time.
    pub async fn callers_of<'a>(
        &self,
        accounts: &'a Accounts,
        region: &str,
        clock: &Arc<dyn Clock>,
    ) -> Vec<(&'a str, Result<Caller, Failure>)> {
        join_all(accounts.roles.keys().map(|name| async move {
            let who = self.of_account(accounts, name, region, clock).await;
            let asked = clock.timeout(limits::ROLE_CALL, Box::pin(self.asked(region, clock, &who))).await;
            let late = || {
                let within = limits::ROLE_CALL;
                Failure::passing(format!(
                    "the role of account `{name}`: sts in {region} gave no answer within {within}"
                ))
            };
            (name.as_str(), asked.unwrap_or_else(|| Err(late())))
        }))
        .await
    }
}
