//! What `dr doctor` asks of AWS: who one is, what time it is there, which
//! services answer. Each is asked for little, by a read, once, and not waited
//! for long.

use super::{
    Aws, Clients, Door,
    error::{Site, anonymous, answered},
    limits,
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{
            Intercept,
            context::{BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef},
        },
        orchestrator::HttpResponse,
        result::SdkError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, config_bag::ConfigBag, date_time::Format, error::metadata::ProvideErrorMetadata};
use dr_engine::{
    clock::{Clock, Time},
    duration::Dur,
    outcome::Failure,
};
use futures_util::future::{BoxFuture, FutureExt, join_all};
use std::{
    collections::BTreeSet,
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Whose the credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The number of the account.
    pub account: String,
    /// The user or role.
    pub arn: String,
}

/// How far this machine's clock is from a service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// How far ahead this machine is; negative when it is behind.
    pub ahead: Dur,
    /// How far that may be wrong: the service tells whole seconds, and the way takes time.
    pub within: Dur,
}

/// What was asked of a service, and how it ended.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The service, as its SDK names it.
    pub service: &'static str,
    /// The region of its control plane.
    pub region: String,
    /// How it ended.
    pub ended: Ended,
}

/// How a question to a service ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// It answered within this time; that it may refuse this caller is no matter.
    Answered(Dur),
    /// It did not, or that it is broken.
    Silent(Failure),
    /// It could not be asked: there are no credentials.
    Unasked,
}

/// The services that can be asked, as their SDKs name them.
pub const SERVICES: [&str; 11] = [
    "backup",
    "cloudfront",
    "cloudwatch",
    "cognito-idp",
    "dynamodb",
    "ecs",
    "elasticache",
    "rds",
    "route53",
    "s3",
    "sts",
];

impl Aws {
    /// Who the credentials are, in the region given; and the clocks compared,
    /// if there was any answer.
    pub async fn caller(&self, region: &str, clock: &Arc<dyn Clock>) -> (Result<Caller, Failure>, Option<Skew>) {
        let watch = Watch { clock: clock.clone(), seen: Arc::default() };
        let caller = Box::pin(async {
            let clients = self.made(region, clock, &Door::Look, &self.caller).await;
            let site = clients.call("sts", "GetCallerIdentity");
            let asked = clients.sts.get_caller_identity().customize().interceptor(watch.clone()).send();
            let said = asked.await.map_err(|e| site.read(&e))?;
            let text = |said: Option<&str>| said.unwrap_or("unknown").to_owned();
            Ok(Caller { account: text(said.account()), arn: text(said.arn()) })
        });
        let caller = match clock.timeout(limits::SURVEY_CALL, caller).await {
            Some(caller) => caller,
            None => Err(late("sts", "GetCallerIdentity", region)),
        };
        let seen = watch.seen();
        (caller, seen.skew)
    }

    /// Asks these services, each in the region beside it, all at the same time.
    pub async fn survey<'a>(
        &self,
        clock: &Arc<dyn Clock>,
        all: &'a [(String, BTreeSet<&str>)],
    ) -> Vec<(&'a str, Vec<Asked>)> {
        let surveys = all.iter().map(|(region, services)| async move {
            let clients = self.made(region, clock, &Door::Look, &self.caller).await;
            let asks = services.iter().filter_map(|service| ask(&clients, service, clock));
            (region.as_str(), join_all(asks).await)
        });
        join_all(surveys).await
    }
}

/// A read of a service that asks for little.
fn ask<'a>(clients: &'a Clients, service: &str, clock: &'a Arc<dyn Clock>) -> Option<BoxFuture<'a, Asked>> {
    macro_rules! ask {
        ($service:literal, $operation:literal, $call:expr) => {{
            let site = clients.call($service, $operation);
            let sent = async move { $call.send().await.map(drop) };
            timed(site, clock, sent).boxed()
        }};
    }
    Some(match service {
        "backup" => ask!("backup", "ListBackupVaults", clients.backup.list_backup_vaults().max_results(1)),
        "cloudfront" => ask!("cloudfront", "ListDistributions", clients.cloudfront.list_distributions().max_items(1)),
        "cloudwatch" => ask!("cloudwatch", "DescribeAlarms", clients.cloudwatch.describe_alarms().max_records(1)),
        "cognito-idp" => ask!("cognito-idp", "ListUserPools", clients.cognito.list_user_pools().max_results(1)),
        "dynamodb" => ask!("dynamodb", "ListTables", clients.dynamodb.list_tables().limit(1)),
        "ecs" => ask!("ecs", "ListClusters", clients.ecs.list_clusters().max_results(1)),
        "elasticache" => ask!(
            "elasticache",
            "DescribeReplicationGroups",
            // The least that it takes.
            clients.elasticache.describe_replication_groups().max_records(20)
        ),
        "rds" => ask!("rds", "DescribeAccountAttributes", clients.rds.describe_account_attributes()),
        "route53" => ask!("route53", "GetHostedZoneCount", clients.route53.get_hosted_zone_count()),
        "s3" => ask!("s3", "ListBuckets", clients.s3.list_buckets().max_buckets(1)),
        "sts" => ask!("sts", "GetCallerIdentity", clients.sts.get_caller_identity()),
        _ => return None,
    })
}

async fn timed<E>(
    site: Site,
    clock: &Arc<dyn Clock>,
    sent: impl Future<Output = Result<(), SdkError<E, HttpResponse>>> + Send,
) -> Asked
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let from = clock.now();
    let ended = match clock.timeout(limits::SURVEY_CALL, sent).await {
        None => Ended::Silent(late(site.service, site.operation, &site.region)),
        Some(Err(e)) if anonymous(&e) => Ended::Unasked,
        Some(Err(e)) if !answered(&e) => Ended::Silent(site.read(&e)),
        Some(_) => Ended::Answered(clock.now().since(from)),
    };
    Asked { service: site.service, region: site.region, ended }
}

fn late(service: &str, operation: &str, region: &str) -> Failure {
    let limit = limits::SURVEY_CALL;
    Failure::passing(format!("{service} {operation} in {region} got no answer within {limit}"))
}

/// Reads the `Date` of an answer, and when it was asked for and came.
#[derive(Clone)]
struct Watch {
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    sent: Option<Time>,
    skew: Option<Skew>,
}

impl Watch {
    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.set(Seen { sent: Some(self.clock.now()), skew: None });
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Seen { sent, .. } = self.seen();
        let said = context.response().headers().get("date");
        let date = said.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        if let (Some(sent), Some(date)) = (sent, date) {
            self.set(Seen { sent: Some(sent), skew: Some(skew(sent, self.clock.now(), date.secs())) });
        }
        Ok(())
    }
}

/// The service looked at its clock somewhere between the two moments, and told
/// the second that had begun.
fn skew(sent: Time, came: Time, date: i64) -> Skew {
    let way = came.since(sent).0;
    let here = sent.0 + way / 2;
    Skew { ahead: Dur(here - (date * 1000 + 500)), within: Dur(500 + way / 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_is_known_to_half_a_second_and_half_the_way() {
        let at = 1_795_331_990;
        let seen = |sent, came| skew(Time(at * 1000 + sent), Time(at * 1000 + came), at);
        assert_eq!(seen(400, 600), Skew { ahead: Dur(0), within: Dur(600) });
        assert_eq!(seen(-600_000, -599_800), Skew { ahead: Dur(-600_400), within: Dur(600) });
        assert_eq!(seen(7_200_000, 7_200_000), Skew { ahead: Dur(7_199_500), within: Dur(500) });
    }
}
