//! AWS: clients that only look, clients that may act, nothing in between.
//!
//! A [`ReadCx`] gives clients that refuse whatever is not a read, twice over:
//! an interceptor that cannot be switched off, and an HTTP client behind it
//! that looks at the finished request. Only a [`StepCx`] gives clients that
//! can change something, and each such call passes the run's guard first.
//!
//! Where to go and who one is comes from the SDK's own chain and from nothing
//! else. Its retries are off: one place retries, and that is the executor.

mod at_address;
pub mod cli;
pub mod error;
mod identity;
pub mod limits;
pub mod pace;
mod role;
mod rounds;
pub mod survey;
pub mod tags;
pub mod wall;

use crate::world::Accounts;
use at_address::AtAddress;
use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, meta::region::ProvideRegion,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::{Builder as Http, ConnectorBuilder, proxy::ProxyConfig, tls};
use aws_smithy_runtime_api::client::{
    http::SharedHttpClient, interceptors::SharedInterceptor, runtime_components::RuntimeComponents,
};
use aws_smithy_types::{DateTime, retry::RetryConfig, timeout::TimeoutConfig};
use dr_engine::{
    clock::{Clock, Time},
    outcome::Failure,
    step::{Guard, ReadCx, StepCx},
};
use error::Site;
use identity::Identity;
use pace::Pace;
use role::{Assumed, Provider};
use rounds::Rounds;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::{Mutex, OnceCell};
use wall::{Guarded, ReadOnly, Wall};

/// The way to AWS. Making one costs nothing; the SDK's chain is walked when
/// the first step asks.
#[derive(Default)]
pub struct Aws {
    loaded: OnceCell<Loaded>,
    chain_region: OnceCell<Option<String>>,
    given: Option<SdkConfig>,
    home: Option<String>,
    pace: Pace,
    /// Who the credentials of the chain are.
    caller: Arc<Identity>,
    /// Who the accounts' roles are, by the names of the accounts.
    roles: Mutex<BTreeMap<String, Arc<Identity>>>,
    run: Option<String>,
    profile: Option<String>,
    /// The command line, as it is installed here.
    pub cli: cli::Cli,
    /// Database instances that steps wait for, region by region.
    pub(crate) instances: Rounds<aws_sdk_rds::types::DbInstance>,
    /// Services that steps wait for, cluster by cluster.
    pub(crate) services: Rounds<aws_sdk_ecs::types::Service>,
}

/// What the chain gave.
struct Loaded {
    config: SdkConfig,
    http: SharedHttpClient,
    /// The region whose STS is asked for the credentials of roles.
    home: String,
}

/// Which door a client goes through.
#[derive(Clone)]
enum Door {
    Look,
    Act(Arc<dyn Guard>),
}

impl Door {
    fn interceptor(&self) -> SharedInterceptor {
        match self {
            Self::Look => SharedInterceptor::permanent(ReadOnly),
            Self::Act(guard) => SharedInterceptor::permanent(Guarded::new(guard.clone())),
        }
    }
}

/// The one list of services: all clients are made here.
macro_rules! clients {
    ($($name:ident: $sdk:ident),* $(,)?) => {
        /// A client for every service that a step kind uses, in one region.
        pub struct Clients {
            /// The region they were made for.
            pub region: String,
            /// The account and the region: what was seen in one is not taken for what stands in another.
            pub(crate) place: String,
            /// Whose credentials they sign with, where those are of an account's role.
            assumed: Option<Arc<Assumed>>,
            $(#[doc = concat!("`", stringify!($sdk), "`.")] pub $name: $sdk::Client,)*
        }

        impl Clients {
            fn new(
                shared: &SdkConfig,
                region: String,
                place: String,
                assumed: Option<Arc<Assumed>>,
                door: &Door,
                http: impl Fn(&'static str) -> Wall,
            ) -> Self {
                Self {
                    $($name: {
                        let mut config = $sdk::config::Builder::from(shared);
                        config.push_interceptor(door.interceptor());
                        config.push_interceptor(SharedInterceptor::permanent(AtAddress));
                        config.set_http_client(Some(SharedHttpClient::new(http(stringify!($name)))));
                        $sdk::Client::from_conf(config.build())
                    },)*
                    region,
                    place,
                    assumed,
                }
            }
        }
    };
}

clients! {
    backup: aws_sdk_backup,
    cloudfront: aws_sdk_cloudfront,
    cloudwatch: aws_sdk_cloudwatch,
    cognito: aws_sdk_cognitoidentityprovider,
    dynamodb: aws_sdk_dynamodb,
    ecs: aws_sdk_ecs,
    elasticache: aws_sdk_elasticache,
    key_values: aws_sdk_cloudfrontkeyvaluestore,
    lambda: aws_sdk_lambda,
    rds: aws_sdk_rds,
    route53: aws_sdk_route53,
    routing_controls: aws_sdk_route53recoverycluster,
    s3: aws_sdk_s3,
    sns: aws_sdk_sns,
    sts: aws_sdk_sts,
}

impl Clients {
    /// Names a call to a service in this region, for whatever becomes of it.
    pub fn call(&self, service: &'static str, operation: &'static str) -> Site {
        // Global services have one control plane, wherever the step stands.
        // A store at the edge has none at all.
        let region = match service {
            "route53" | "cloudfront" => "us-east-1",
            "cloudfront-keyvaluestore" => "all regions",
            _ => &self.region,
        };
        self.call_in(service, operation, region)
    }

    /// The same in another region, whose calls are signed as these are.
    pub(crate) fn call_in(&self, service: &'static str, operation: &'static str, region: &str) -> Site {
        Site::new(service, operation, region).signed(self.assumed.clone())
    }

    /// The client of routing controls at one endpoint of a cluster, whose calls are signed for the
    /// endpoint's region: through the same door, and given up soon, since there are other endpoints.
    pub fn routing_controls_at(&self, url: &str, region: &str) -> aws_sdk_route53recoverycluster::Client {
        let soon = TimeoutConfig::builder()
            .connect_timeout(limits::CONTROLS_CALL)
            .operation_timeout(limits::CONTROLS_CALL)
            .build();
        let config = self.routing_controls.config().to_builder().endpoint_url(url).timeout_config(soon);
        aws_sdk_route53recoverycluster::Client::from_conf(config.region(Region::new(region.to_owned())).build())
    }
}

impl Aws {
    /// AWS with a configuration that is at hand, in place of the SDK's chain:
    /// for tests.
    pub fn given(config: SdkConfig) -> Self {
        Self { given: Some(config), ..Self::default() }
    }

    /// The same with its own number of looks per second, service by service.
    #[must_use]
    pub fn paced(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The same with the region whose STS gives the credentials of roles: one
    /// that is to be alive when the primary is not.
    #[must_use]
    pub fn homed(self, region: Option<&str>) -> Self {
        Self { home: region.map(Into::into), ..self }
    }

    /// The same with the command line that stands there, in place of the `aws` of `PATH`.
    #[must_use]
    pub fn with_cli(self, program: impl Into<std::path::PathBuf>) -> Self {
        Self { cli: cli::Cli::at(program), ..self }
    }

    /// The same with the credentials of this profile, whatever the chain would give. Endpoints and regions
    /// stay those of the chain.
    #[must_use]
    pub fn by_profile(self, profile: Option<&str>) -> Self {
        Self { profile: profile.map(Into::into), ..self }
    }

    /// The same with the run as whose the sessions of roles are named.
    #[must_use]
    pub fn for_run(self, run: &str) -> Self {
        Self { run: Some(run.to_owned()), ..self }
    }

    /// Clients that can only look, in the account that the runbook names: what
    /// stands in another one must not be taken for what this step wants.
    pub async fn read(&self, cx: &ReadCx) -> Result<Clients, Failure> {
        self.read_in(cx, None).await
    }

    /// Clients that can only look, in a region that the step names itself.
    pub async fn read_in(&self, cx: &ReadCx, region: Option<&str>) -> Result<Clients, Failure> {
        self.clients(cx, region, &Door::Look).await
    }

    /// Clients that may act, in the account that the runbook names. Each call
    /// that changes something passes the guard.
    pub async fn write(&self, cx: &StepCx) -> Result<Clients, Failure> {
        self.write_in(cx, None).await
    }

    /// Clients that may act, in a region that the step names itself.
    pub async fn write_in(&self, cx: &StepCx, region: Option<&str>) -> Result<Clients, Failure> {
        self.clients(&cx.read, region, &Door::Act(cx.guard())).await
    }

    /// Clients that can only look, for what is of the whole run.
    pub async fn looking(&self, region: &str, clock: &Arc<dyn Clock>, accounts: &Accounts) -> Clients {
        let who = self.whole_run(accounts, region, clock).await;
        self.made(region, clock, &Door::Look, &who).await
    }

    /// Clients that may act, for what is of the whole run: the same guard, and the
    /// same look at the account, which must be one of those that the runbook names.
    pub async fn acting(
        &self,
        region: &str,
        clock: &Arc<dyn Clock>,
        accounts: &Accounts,
        guard: Arc<dyn Guard>,
    ) -> Result<Clients, Failure> {
        let who = self.whole_run(accounts, region, clock).await;
        self.right_account(region, clock, &who, &accounts.of_run()).await?;
        Ok(self.made(region, clock, &Door::Act(guard), &who).await)
    }

    async fn clients(&self, cx: &ReadCx, region: Option<&str>, door: &Door) -> Result<Clients, Failure> {
        let who = self.right_account_of(cx).await?;
        Ok(self.made(&self.region(cx, region).await?, &cx.clock, door, &who).await)
    }

    async fn region(&self, cx: &ReadCx, region: Option<&str>) -> Result<String, Failure> {
        let unnamed = || Failure::new("the step names no region, and neither does the AWS configuration");
        match region.or(cx.step.region.as_deref()) {
            Some(region) => Ok(region.to_owned()),
            None => self.region_of_chain().await.ok_or_else(unnamed),
        }
    }

    async fn made(&self, region: &str, clock: &Arc<dyn Clock>, door: &Door, who: &Identity) -> Clients {
        let Loaded { config, http, .. } = self.loaded(region).await;
        let mut shared = config.to_builder().region(Region::new(region.to_owned()));
        if let Some(assumed) = &who.assumed {
            // What is held, and for how long, the provider knows better than a cache does.
            let provider = SharedCredentialsProvider::new(Provider(assumed.clone()));
            shared = shared.credentials_provider(provider).identity_cache(IdentityCache::no_cache());
        }
        let looking = matches!(door, Door::Look);
        let place = who.place(region);
        let wall = |service| Wall::new(http.clone(), looking, self.pace.gate(service, &place, clock));
        Clients::new(&shared.build(), region.to_owned(), place.clone(), who.assumed.clone(), door, wall)
    }

    /// The region that the SDK's chain names, if it names one.
    pub async fn region_of_chain(&self) -> Option<String> {
        if let Some(region) = self.given.as_ref().and_then(SdkConfig::region) {
            return Some(region.to_string());
        }
        let find =
            || async { aws_config::default_provider::region::default_provider().region().await.map(|r| r.to_string()) };
        self.chain_region.get_or_init(find).await.clone()
    }

    /// Walks the chain, once. Roles are assumed, and their credentials renewed,
    /// from the STS of the region that it is walked with: that of the recovery,
    /// else of the first step.
    async fn loaded(&self, region: &str) -> &Loaded {
        self.loaded
            .get_or_init(|| async {
                let http = http_client();
                let home = self.home.as_deref().unwrap_or(region).to_owned();
                let config = if let Some(config) = &self.given {
                    config.clone()
                } else {
                    let chain = aws_config::defaults(BehaviorVersion::latest());
                    let chain = chain.http_client(http.clone()).region(Region::new(home.clone()));
                    match &self.profile {
                        Some(profile) => chain.credentials_provider(keys_of(profile, &home, &http)).load().await,
                        None => chain.load().await,
                    }
                };
                let timeouts = TimeoutConfig::builder()
                    .connect_timeout(limits::CONNECT)
                    .read_timeout(limits::READ)
                    .operation_timeout(limits::OPERATION)
                    .build();
                // The wall is set after loading: the credential providers keep the free client.
                let config = config.into_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
                Loaded { config: config.build(), http, home }
            })
            .await
    }
}

/// The credentials of a profile alone: the chain would look into the environment first.
fn keys_of(profile: &str, home: &str, http: &SharedHttpClient) -> ProfileFileCredentialsProvider {
    let with = ProviderConfig::without_region().with_region(Some(Region::new(home.to_owned())));
    let with = with.with_http_client(http.clone());
    ProfileFileCredentialsProvider::builder().configure(&with).profile_name(profile).build()
}

/// A time that a service gives; `None` of one that lies beyond all that `dr` counts.
pub(crate) fn time(at: &DateTime) -> Option<Time> {
    at.to_millis().ok().map(Time)
}

/// A time that an input names, as `before` does.
pub fn moment(field: &str, text: &str) -> Result<Time, Failure> {
    let stamp: Result<jiff::Timestamp, _> = text.parse();
    stamp
        .map(|stamp| Time(stamp.as_millisecond()))
        .map_err(|_| Failure::new(format!("`{field}` is `{text}`; it takes a time as in 2026-11-22T06:15:00Z")))
}

/// The SDK's default HTTP client, made by hand because the wall stands in
/// front of it: the same TLS, the same proxies from the environment.
fn http_client() -> SharedHttpClient {
    Http::new().build_with_connector_fn(|settings, components| {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let mut connector = ConnectorBuilder::default().tls_provider(provider);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}
