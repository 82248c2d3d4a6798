//! Where calls go when `AWS_ENDPOINT_URL` names an address.
//!
//! The endpoint of some services has the account before the host
//! (`CloudFront`'s `KeyValueStore`). The SDK writes it before whatever host is
//! given, and nobody can look up `123456789012.127.0.0.1`. AWS has no host
//! that is an address, so this touches what is meant for this machine alone.

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextMut},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use std::net::IpAddr;

/// Takes away what stands before an address, before the call is signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtAddress;

impl Intercept for AtAddress {
    fn name(&self) -> &'static str {
        "AtAddress"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(uri) = at_address(context.request().uri()) {
            context.request_mut().set_uri(uri)?;
        }
        Ok(())
    }
}

/// The place without the label before its address, if it has one.
fn at_address(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let (label, host) = authority.split_once('.')?;
    // Of `127.0.0.1` itself three parts are left, which are no address.
    host.split(':').next()?.parse::<IpAddr>().ok()?;
    Some(format!("{scheme}://{}", &rest[label.len() + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_before_an_address_is_taken_away() {
        let store = "/key-value-stores/arn%3Aaws%3Acloudfront%3A%3A1%3Akey-value-store%2Fx/keys/a.b?x=1.2";
        for (given, wanted) in [
            ("http://123456789012.127.0.0.1:4000/a", Some("http://127.0.0.1:4000/a")),
            (&*format!("http://1.127.0.0.1:4000{store}"), Some(&*format!("http://127.0.0.1:4000{store}"))),
            ("http://127.0.0.1:4000/a", None),
            ("http://127.0.0.1:4000/1.10.0.0.1/x", None),
            ("http://localhost:4000/a.10.0.0.1", None),
            ("http://123456789012.localhost:4000/a", None),
            ("https://123456789012.cloudfront-kvs.global.api.aws/a", None),
            ("https://bucket.s3.eu-central-1.amazonaws.com/10.0.0.1", None),
        ] {
            assert_eq!(at_address(given).as_deref(), wanted, "{given}");
        }
    }
}
