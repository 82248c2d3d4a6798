//! The two walls in front of AWS, and the guard at the gate.
//!
//! The interceptor decides: it knows the operation by name, lets through what
//! is known to be a read, and refuses before anything is serialised. The HTTP
//! client behind it looks at the finished request and knows nothing of the
//! SDK: belt to those braces, and the only wall that a client configured
//! badly by us would meet.

use super::pace::Gate;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        interceptors::{
            Intercept,
            context::{
                BeforeDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextRef,
                BeforeTransmitInterceptorContextRef,
            },
        },
        orchestrator::{HttpRequest, Metadata},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use dr_engine::{outcome::Failure, step::Guard};
use std::{fmt, sync::Arc};

/// Why a call was not sent: our own refusal, not the service's.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(super) struct Refused(pub(super) Box<Failure>);

fn refuse(text: String) -> BoxError {
    Box::new(Refused(Box::new(Failure::new(text))))
}

/// Words with which the names of reads begin.
const READS: [&str; 6] = ["Describe", "List", "Get", "Head", "BatchGet", "Query"];
/// Reads that are called otherwise.
const READS_TOO: [&str; 3] = ["CheckIfPhoneNumberIsOptedOut", "Scan", "TestDNSAnswer"];
/// What sounds like a read and gives away a right.
const NOT_READS: [&str; 4] =
    ["GetFederationToken", "GetSessionToken", "GetWebIdentityToken", "GetDelegatedAccessToken"];

/// Whether an operation only looks. What is not known is not a read.
pub(super) fn is_read(operation: &str) -> bool {
    !NOT_READS.contains(&operation)
        && (READS_TOO.contains(&operation) || READS.iter().any(|word| operation.starts_with(word)))
}

/// The operation that is under way, if the SDK says.
fn operation(cfg: &ConfigBag) -> Option<&Metadata> {
    cfg.load::<Metadata>()
}

/// Refuses everything that is not a read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadOnly;

impl ReadOnly {
    fn look(cfg: &ConfigBag) -> Result<(), BoxError> {
        match operation(cfg) {
            Some(call) if is_read(call.name()) => Ok(()),
            Some(call) => Err(refuse(format!("{} {} is refused here: this only looks", call.service(), call.name()))),
            None => Err(refuse("a call without a name is refused here: this only looks".into())),
        }
    }
}

impl Intercept for ReadOnly {
    fn name(&self) -> &'static str {
        "ReadOnly"
    }

    // Not `read_before_execution`: there the operation has no name yet.
    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Self::look(cfg)
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        Self::look(cfg)
    }
}

/// Asks the run's guard before every call that changes something.
pub(super) struct Guarded {
    guard: Arc<dyn Guard>,
}

impl Guarded {
    pub(super) fn new(guard: Arc<dyn Guard>) -> Self {
        Self { guard }
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded")
    }
}

/// A call without a name counts as one that changes something.
fn mutates(cfg: &ConfigBag) -> bool {
    !operation(cfg).is_some_and(|call| is_read(call.name()))
}

impl Intercept for Guarded {
    fn name(&self) -> &'static str {
        "Guarded"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if mutates(cfg) {
            self.guard.before().map_err(|failure| Refused(Box::new(failure)))?;
        }
        Ok(())
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if mutates(cfg) {
            self.guard.after();
        }
        Ok(())
    }
}

/// The HTTP client behind the interceptors.
#[derive(Debug)]
pub(super) struct Wall {
    inner: SharedHttpClient,
    looking: bool,
    gate: Gate,
}

impl Wall {
    pub(super) fn new(inner: SharedHttpClient, looking: bool, gate: Gate) -> Self {
        Self { inner, looking, gate }
    }
}

impl HttpClient for Wall {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(WallConnector { inner, looking: self.looking, gate: self.gate.clone() })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

#[derive(Debug)]
struct WallConnector {
    inner: SharedHttpConnector,
    looking: bool,
    gate: Gate,
}

impl HttpConnector for WallConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let read = request_is_read(&request);
        if self.looking && !read {
            let why = refuse(format!("a {} request that is not a read is refused here", request.method()));
            return HttpConnectorFuture::ready(Err(ConnectorError::user(why)));
        }
        // Only looks wait for their turn: between the guard and the wire of a
        // call that changes something there is nothing that takes time.
        if !read {
            return self.inner.call(request);
        }
        let (inner, gate) = (self.inner.clone(), self.gate.clone());
        HttpConnectorFuture::new(async move {
            gate.turn().await;
            inner.call(request).await
        })
    }
}

/// Whether a finished request only looks, by the protocols that our services
/// speak: JSON names the operation in a header, the query protocol in the
/// body, CBOR in the path, REST is read by its method.
fn request_is_read(request: &HttpRequest) -> bool {
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.rsplit('.').next().is_some_and(is_read);
    }
    if let Some((_, operation)) = request.uri().rsplit_once("/operation/") {
        return request.headers().get("smithy-protocol").is_some() && is_read(operation);
    }
    if request.headers().get("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")) {
        let body = request.body().bytes().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let action = body.and_then(|text| text.split('&').find_map(|pair| pair.strip_prefix("Action=")));
        return action.is_some_and(is_read);
    }
    matches!(request.method(), "GET" | "HEAD")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_look_is_a_read() {
        for read in [
            "DescribeDBInstances",
            "ListResourceRecordSets",
            "GetChange",
            "HeadObject",
            "Query",
            "Scan",
            "CheckIfPhoneNumberIsOptedOut",
            "GetSMSSandboxAccountStatus",
        ] {
            assert!(is_read(read), "{read}");
        }
        for other in [
            "DeleteTable",
            "PutObject",
            "AssumeRole",
            "GetSessionToken",
            "GetFederationToken",
            "RestoreDBInstanceFromDBSnapshot",
            "",
            "describeTable",
            "UpdateService",
            "Publish",
            "OptInPhoneNumber",
        ] {
            assert!(!is_read(other), "{other}");
        }
    }

    fn request(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> HttpRequest {
        let mut request = HttpRequest::new(body.to_owned().into());
        request.set_method(method).expect("a method");
        request.set_uri(uri).expect("a place");
        for (name, value) in headers {
            request.headers_mut().insert((*name).to_owned(), (*value).to_owned());
        }
        request
    }

    #[test]
    fn the_second_wall_reads_every_protocol() {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        for (method, uri, headers, body, read) in [
            ("POST", "/", &[("x-amz-target", "DynamoDB_20120810.DescribeTable")][..], "{}", true),
            ("POST", "/", &[("x-amz-target", "DynamoDB_20120810.DeleteTable")], "{}", false),
            ("POST", "/", &form, "Action=DescribeDBInstances&Version=1", true),
            ("POST", "/", &form, "Action=CheckIfPhoneNumberIsOptedOut&Version=1", true),
            ("POST", "/", &form, "Action=Publish&Version=1", false),
            ("POST", "/", &form, "Action=AssumeRole&Version=1", false),
            ("POST", "/", &form, "Version=1", false),
            ("POST", "/service/X/operation/GetThing", &[("smithy-protocol", "rpc-v2-cbor")], "", true),
            ("POST", "/service/X/operation/MakeThing", &[("smithy-protocol", "rpc-v2-cbor")], "", false),
            ("GET", "/2013-04-01/hostedzone", &[], "", true),
            ("POST", "/2013-04-01/hostedzone/Z/rrset", &[], "", false),
            ("PUT", "/bucket/key", &[], "", false),
            ("DELETE", "/bucket/key", &[], "", false),
        ] {
            assert_eq!(request_is_read(&request(method, uri, headers, body)), read, "{method} {uri} {body}");
        }
    }
}
