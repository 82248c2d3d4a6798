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
pub mod limits;
pub mod pace;
mod rounds;
pub mod survey;
pub mod tags;
pub mod wall;

use crate::world::{Accounts, World};
use at_address::AtAddress;
use aws_config::{BehaviorVersion, Region, SdkConfig, meta::region::ProvideRegion};
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
use pace::Pace;
use rounds::Rounds;
use std::sync::Arc;
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
    me: Mutex<Option<String>>,
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
            $(#[doc = concat!("`", stringify!($sdk), "`.")] pub $name: $sdk::Client,)*
        }

        impl Clients {
            fn new(shared: &SdkConfig, region: String, door: &Door, http: impl Fn(&'static str) -> Wall) -> Self {
                Self {
                    $($name: {
                        let mut config = $sdk::config::Builder::from(shared);
                        config.push_interceptor(door.interceptor());
                        config.push_interceptor(SharedInterceptor::permanent(AtAddress));
                        config.set_http_client(Some(SharedHttpClient::new(http(stringify!($name)))));
                        $sdk::Client::from_conf(config.build())
                    },)*
                    region,
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
        Site::new(service, operation, region)
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

    /// Clients that can only look, in the account that the runbook names: what
    /// stands in another one must not be taken for what this step wants.
    pub async fn read(&self, cx: &ReadCx) -> Result<Clients, Failure> {
        self.read_in(cx, None).await
    }

    /// Clients that can only look, in a region that the step names itself.
    pub async fn read_in(&self, cx: &ReadCx, region: Option<&str>) -> Result<Clients, Failure> {
        self.right_account_of(cx).await?;
        self.clients(cx, region, &Door::Look).await
    }

    /// Clients that may act, in the account that the runbook names. Each call
    /// that changes something passes the guard.
    pub async fn write(&self, cx: &StepCx) -> Result<Clients, Failure> {
        self.write_in(cx, None).await
    }

    /// Clients that may act, in a region that the step names itself.
    pub async fn write_in(&self, cx: &StepCx, region: Option<&str>) -> Result<Clients, Failure> {
        self.right_account_of(&cx.read).await?;
        self.clients(&cx.read, region, &Door::Act(cx.guard())).await
    }

    /// Clients that can only look, for what is no step.
    pub async fn looking(&self, region: &str, clock: &Arc<dyn Clock>) -> Clients {
        self.made(region, clock, &Door::Look).await
    }

    /// Clients that may act, for what is no step: the same guard, and the same
    /// look at the account, which must be one of those that the runbook names.
    pub async fn acting(
        &self,
        region: &str,
        clock: &Arc<dyn Clock>,
        accounts: &Accounts,
        guard: Arc<dyn Guard>,
    ) -> Result<Clients, Failure> {
        let wanted: Vec<_> = accounts.ids.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
        if !wanted.is_empty() {
            self.right_account(region, clock, &wanted).await?;
        }
        Ok(self.made(region, clock, &Door::Act(guard)).await)
    }

    async fn clients(&self, cx: &ReadCx, region: Option<&str>, door: &Door) -> Result<Clients, Failure> {
        Ok(self.made(&self.region(cx, region).await?, &cx.clock, door).await)
    }

    async fn region(&self, cx: &ReadCx, region: Option<&str>) -> Result<String, Failure> {
        let unnamed = || Failure::new("the step names no region, and neither does the AWS configuration");
        match region.or(cx.step.region.as_deref()) {
            Some(region) => Ok(region.to_owned()),
            None => self.region_of_chain().await.ok_or_else(unnamed),
        }
    }

    async fn made(&self, region: &str, clock: &Arc<dyn Clock>, door: &Door) -> Clients {
        let Loaded { config, http } = self.loaded(region).await;
        let shared = config.to_builder().region(Region::new(region.to_owned())).build();
        let looking = matches!(door, Door::Look);
        let wall = |service| Wall::new(http.clone(), looking, self.pace.gate(service, region, clock));
        Clients::new(&shared, region.to_owned(), door, wall)
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
                let config = if let Some(config) = &self.given {
                    config.clone()
                } else {
                    let chain = aws_config::defaults(BehaviorVersion::latest());
                    let home = self.home.as_deref().unwrap_or(region).to_owned();
                    chain.http_client(http.clone()).region(Region::new(home)).load().await
                };
                let timeouts = TimeoutConfig::builder()
                    .connect_timeout(limits::CONNECT)
                    .read_timeout(limits::READ)
                    .operation_timeout(limits::OPERATION)
                    .build();
                // The wall is set after loading: the credential providers keep the free client.
                let config = config.into_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
                Loaded { config: config.build(), http }
            })
            .await
    }

    /// Refuses to work in an account that is not the step's.
    async fn right_account_of(&self, cx: &ReadCx) -> Result<(), Failure> {
        match World::of(cx).accounts.of(cx) {
            Some(wanted) => self.right_account(&self.region(cx, None).await?, &cx.clock, &[wanted]).await,
            None => Ok(()),
        }
    }

    /// Refuses to work in an account that is none of those `wanted`, each a
    /// name in the runbook and a number.
    async fn right_account(
        &self,
        region: &str,
        clock: &Arc<dyn Clock>,
        wanted: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let right = |me: &str| wanted.iter().any(|(_, id)| *id == me);
        let mut me = self.me.lock().await;
        if me.as_deref().is_some_and(right) {
            return Ok(());
        }
        let clients = self.looking(region, clock).await;
        let site = clients.call("sts", "GetCallerIdentity");
        let identity = clients.sts.get_caller_identity().send().await.map_err(|e| site.read(&e))?;
        let is = identity.account().unwrap_or_default();
        if !right(is) {
            let arn = identity.arn().unwrap_or("an unknown caller");
            let wanted: Vec<_> = wanted.iter().map(|(name, id)| format!("`{name}` is account {id}")).collect();
            let text = format!("these credentials are of account {is} ({arn}), and {}", wanted.join(", "));
            return Err(Failure::new(text).hint("choose the profile of that account: AWS_PROFILE"));
        }
        *me = Some(is.to_owned());
        Ok(())
    }
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
