//! What an error of AWS means for an attempt.
//!
//! A read may always be repeated. For a call that changes something there are
//! three ends: refused (nothing happened, for certain), done, and in doubt.
//! In doubt is whatever was sent and not clearly answered: no answer, a lost
//! connection, a 5xx, an answer that cannot be read.

use super::{
    role::{Assumed, NotAssumed},
    wall::Refused,
};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::operation::RequestId;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use dr_engine::{
    outcome::{Call, Failure},
    step::StepError,
};
use std::{error::Error, sync::Arc};

/// A call: the service, the operation, the region it is sent to.
#[derive(Debug, Clone)]
pub struct Site {
    pub(super) service: &'static str,
    pub(super) operation: &'static str,
    pub(super) region: String,
    /// Whose credentials it is signed with, where those are of an account's role.
    pub(super) assumed: Option<Arc<Assumed>>,
}

/// Codes with which a service says *later*: the call had no effect.
const LATER: [&str; 26] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "ProvisionedThroughputExceededException",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "TransactionInProgressException",
    "EC2ThrottledException",
    "InvalidDBInstanceState",
    "InvalidDBInstanceStateFault",
    "InvalidDBClusterStateFault",
    "InvalidReplicationGroupState",
    "ResourceInUseException",
    "TableInUseException",
    "BackupInUseException",
    "ContinuousBackupsUnavailableException",
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeout",
    "EndpointTemporarilyUnavailableException",
];

/// Codes of credentials whose time is over.
const EXPIRED: [&str; 5] =
    ["ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "AuthFailure.ExpiredToken"];

/// Codes of a caller that may not.
const DENIED: [&str; 7] = [
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "UnauthorizedException",
    "AuthorizationError",
    "NotAuthorized",
    "Forbidden",
];

/// Codes of credentials that AWS does not know.
const UNKNOWN_CALLER: [&str; 5] = [
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "MissingAuthenticationToken",
];

/// How a call ended.
pub(super) enum End {
    /// We refused to send it.
    Refused(Box<Failure>),
    /// It was not sent: the role of its account was not assumed, for this reason.
    NotAssumed(Box<Failure>),
    /// It was not sent: no credentials.
    Anonymous,
    /// It was not sent: whoever gives the credentials failed for now.
    NoKeysYet,
    /// It was not sent: nobody took it.
    Unsent,
    /// It was not sent: it cannot be built.
    Malformed,
    /// The service refused, and will later take it.
    Later,
    /// The service refused: the credentials are too old.
    Expired,
    /// The service refused: the caller may not.
    Denied,
    /// The service refused: it does not know the caller.
    UnknownCaller,
    /// S3 refused: the bucket is in another region, named if it is told.
    Elsewhere(Option<String>),
    /// The service refused for good.
    No,
    /// The service failed.
    Broken,
    /// It was sent, and the answer did not come or cannot be read.
    Lost,
}

impl End {
    /// What a service's own code says, where it says enough by itself.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        match code {
            code if LATER.contains(&code) || code.starts_with("Throttl") => Some(Self::Later),
            code if EXPIRED.contains(&code) => Some(Self::Expired),
            code if DENIED.contains(&code) => Some(Self::Denied),
            code if UNKNOWN_CALLER.contains(&code) => Some(Self::UnknownCaller),
            _ => None,
        }
    }

    /// That there are no credentials, for good or for now.
    pub(super) fn of_credentials(error: &CredentialsError) -> Self {
        match error {
            CredentialsError::ProviderError(_) | CredentialsError::ProviderTimedOut(_) => Self::NoKeysYet,
            _ => Self::Anonymous,
        }
    }

    /// Whether the same call may go well later.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::NotAssumed(failure) => failure.transient,
            Self::NoKeysYet | Self::Unsent | Self::Later | Self::Expired | Self::Broken | Self::Lost => true,
            Self::Refused(_)
            | Self::Anonymous
            | Self::Malformed
            | Self::Denied
            | Self::UnknownCaller
            | Self::Elsewhere(_)
            | Self::No => false,
        }
    }

    /// Whether the call may have had its effect all the same.
    pub(super) fn doubtful(&self) -> bool {
        matches!(self, Self::Broken | Self::Lost)
    }

    /// A way out, where there is one; `action` is the permission that the call needs.
    pub(super) fn hint(&self, service: &str, region: &str, action: &str) -> Option<String> {
        match self {
            Self::Anonymous => Some(
                "sign in (`aws sso login`) and answer `retry`; or leave with Ctrl-C, set AWS_PROFILE, and `dr resume`"
                    .into(),
            ),
            Self::NoKeysYet => Some("if the session is over, sign in (`aws sso login`) and answer `retry`".into()),
            Self::Elsewhere(_) => Some("give the step the region of its buckets".into()),
            Self::Expired => Some("sign in again (`aws sso login`, or fresh keys), then answer `retry`".into()),
            Self::UnknownCaller => Some("check AWS_PROFILE and the keys: AWS does not know them".into()),
            Self::Denied => Some(format!("the caller needs the permission `{action}`")),
            Self::Unsent | Self::Lost => Some(format!("is {service} in {region} impaired? `retry` asks it again")),
            _ => None,
        }
    }
}

impl Site {
    pub(super) fn new(service: &'static str, operation: &'static str, region: &str) -> Self {
        Self { service, operation, region: region.to_owned(), assumed: None }
    }

    /// The same call, signed with the credentials of a role.
    pub(super) fn signed(self, assumed: Option<Arc<Assumed>>) -> Self {
        Self { assumed, ..self }
    }

    /// A look that failed. Passing, unless the service said no.
    pub fn read<E>(&self, error: &SdkError<E, HttpResponse>) -> Failure
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let end = self.end(error);
        Failure { transient: end.passes(), ..self.failure(&end, error) }
    }

    /// A call that was to change something, and what is known of its effect.
    pub fn wrote<E>(&self, error: &SdkError<E, HttpResponse>) -> StepError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let end = self.end(error);
        let doubt = end.doubtful();
        let failure = match end {
            End::Refused(failure) => *failure,
            end => Failure { transient: end.passes(), ..self.failure(&end, error) },
        };
        if doubt { StepError::Doubt(failure) } else { StepError::Failed(failure) }
    }

    /// How it ended; credentials of a role that the service calls too old are not used again.
    pub(super) fn end<E>(&self, error: &SdkError<E, HttpResponse>) -> End
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let end = self.ended(error);
        if let (End::Expired, Some(assumed)) = (&end, &self.assumed) {
            assumed.expired();
        }
        end
    }

    fn ended<E>(&self, error: &SdkError<E, HttpResponse>) -> End
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if let Some(Refused(failure)) = find::<Refused>(error) {
            return End::Refused(failure.clone());
        }
        if let Some(NotAssumed(failure)) = find::<NotAssumed>(error) {
            return End::NotAssumed(failure.clone());
        }
        if let Some(credentials) = find::<CredentialsError>(error) {
            return End::of_credentials(credentials);
        }
        match error {
            SdkError::ConstructionFailure(_) => End::Malformed,
            SdkError::DispatchFailure(failure) if failure.is_user() => End::Malformed,
            SdkError::DispatchFailure(_) if never_connected(error) => End::Unsent,
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let bare = self.operation.starts_with("Head");
                let code = answer.err().code();
                if let Some(end) = code.and_then(End::of_code) {
                    return end;
                }
                match code {
                    // A bucket answers in its own region alone, and says which that is.
                    Some("PermanentRedirect") => elsewhere(answer.raw()),
                    None if status == 301 => elsewhere(answer.raw()),
                    // The answer to a HEAD has no body, and so no code. Of credentials that
                    // have expired S3 says 400 (Amazon S3 API Reference, Error responses).
                    None if bare && status == 403 => End::Denied,
                    None if bare && status == 400 => End::Expired,
                    // An answer that says neither what nor why cannot be read.
                    None if !(400..600).contains(&status) => End::Lost,
                    // S3 can begin with success and end with an error.
                    _ if !(300..500).contains(&status) => End::Broken,
                    _ => End::No,
                }
            }
            _ => End::Lost,
        }
    }

    fn failure<E>(&self, end: &End, error: &SdkError<E, HttpResponse>) -> Failure
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.as_service_error().and_then(|e| e.code());
        let said = error.as_service_error().and_then(|e| e.message());
        let Self { service, operation, region, assumed } = self;
        let account = assumed.as_ref().map(|it| format!(" of account `{}`", it.account)).unwrap_or_default();
        let call = format!("{service} {operation} in {region}{account}");
        let text = match end {
            End::Refused(failure) => return (**failure).clone(),
            End::NotAssumed(failure) => {
                return Failure { message: format!("{call} was not sent: {}", failure.message), ..(**failure).clone() };
            }
            End::Anonymous => format!("{call} was not sent: no AWS credentials"),
            End::NoKeysYet => format!("{call} was not sent: the credentials could not be fetched"),
            End::Unsent => format!("{call} was not sent: no connection"),
            End::Malformed => format!("{call} was not sent: it is not a valid call"),
            End::Lost => format!("{call} got no answer that can be read"),
            End::Expired if code.is_none() => {
                format!("{call} was refused without a reason (400), as S3 does when the credentials have expired")
            }
            End::Expired => format!("{call} was refused: the credentials have expired"),
            End::Elsewhere(Some(home)) => format!("{call} was refused: the bucket is in {home}"),
            End::Elsewhere(None) => format!("{call} was refused: the bucket is in another region"),
            _ => match ([code, said].into_iter().flatten().collect::<Vec<_>>().join(": "), error.raw_response()) {
                (says, Some(answer)) if says.is_empty() => {
                    format!("{call} was refused: status {}, and no reason", answer.status().as_u16())
                }
                (says, _) => format!("{call}: {says}"),
            },
        };
        let hint = match (end, assumed) {
            (End::Expired, Some(it)) => Some(format!("the role {} is assumed anew with the next try", it.role.arn)),
            _ => end.hint(service, region, &self.action()),
        };
        let call = Call {
            service: (*service).into(),
            operation: (*operation).into(),
            region: region.clone(),
            code: code.map(Into::into),
            request_id: error.request_id().map(Into::into),
        };
        let causes = if said.is_some() { Vec::new() } else { causes(error) };
        Failure { call: Some(call), hint, causes, ..Failure::new(text) }
    }

    /// The permission that the call needs.
    fn action(&self) -> String {
        let name = match (self.service, self.operation) {
            ("s3", "CopyObject" | "CreateMultipartUpload" | "UploadPartCopy" | "CompleteMultipartUpload") => {
                "PutObject"
            }
            ("lambda", "Invoke") => "InvokeFunction",
            ("s3", "HeadObject") => "GetObject",
            ("s3", "GetBucketReplication") => "GetReplicationConfiguration",
            ("s3", "HeadBucket" | "ListObjectsV2") => "ListBucket",
            ("s3", "ListObjectVersions") => "ListBucketVersions",
            (_, operation) => operation,
        };
        format!("{}:{name}", self.service)
    }
}

/// The service's own code of an error, where it gave one.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> &str {
    error.as_service_error().and_then(ProvideErrorMetadata::code).unwrap_or_default()
}

/// Whether the service gave an answer that speaks of more than its own trouble.
pub(super) fn answered<E>(error: &SdkError<E, HttpResponse>) -> bool {
    matches!(error, SdkError::ServiceError(answer) if answer.raw().status().as_u16() < 500)
}

/// Whether nothing was sent, because there are no credentials.
pub(super) fn anonymous<E: Error + Send + Sync + 'static>(error: &SdkError<E, HttpResponse>) -> bool {
    find::<CredentialsError>(error).is_some()
}

/// Where the bucket is, as S3 says it.
fn elsewhere(answer: &HttpResponse) -> End {
    End::Elsewhere(answer.headers().get("x-amz-bucket-region").map(Into::into))
}

/// Whether no connection was made, so that no byte of the call has left. What
/// does not say so clearly counts as sent.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        let text = cause.to_string();
        text == "client error (Connect)" || text.starts_with("HTTP connect timeout")
    })
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause: &&'a (dyn Error + 'static)| (*cause).source())
}

/// What lies beneath, each thing once.
fn causes(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut causes: Vec<String> = chain(error).skip(1).map(ToString::to_string).collect();
    causes.dedup();
    causes
}
