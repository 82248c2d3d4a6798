//! Whose certificates are believed: this machine's, or those of one file.

use dr_engine::outcome::Failure;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{path::Path, sync::Arc};

/// Certificates that are believed, and TLS that believes them and nothing else.
#[derive(Clone)]
pub(crate) struct Trust {
    /// For who makes TLS of its own.
    pub(crate) roots: Arc<[CertificateDer<'static>]>,
    pub(crate) config: Arc<ClientConfig>,
}

impl Trust {
    /// What this machine believes. One certificate that cannot be read keeps nobody from the others.
    pub(crate) fn of_this_machine() -> Result<Self, String> {
        let readable = |root: &CertificateDer<'_>| RootCertStore::empty().add(root.clone()).is_ok();
        let roots: Vec<_> = rustls_native_certs::load_native_certs().certs.into_iter().filter(readable).collect();
        if roots.is_empty() {
            return Err("this machine has no certificates to trust: set SSL_CERT_FILE".into());
        }
        Self::of(roots)
    }

    /// The certificates of a file (PEM), and no others; `name` is how the runbook calls it.
    pub(crate) fn of_file(name: &str, path: &Path) -> Result<Self, Failure> {
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::new(format!("the file of `ca`, `{name}`, holds no certificates that can be trusted: {why}"))
                .hint("it takes certificates as PEM: `-----BEGIN CERTIFICATE-----`")
        };
        let bytes = std::fs::read(path).map_err(|error| wrong(&error))?;
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let roots = roots.map_err(|error| wrong(&error))?;
        if roots.is_empty() {
            return Err(wrong(&"there is none in it"));
        }
        Self::of(roots).map_err(|why| wrong(&why))
    }

    fn of(roots: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        roots.iter().try_for_each(|root| store.add(root.clone())).map_err(|error| error.to_string())?;
        // The same cryptography as the AWS SDK's, so that the binary holds one.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| error.to_string())?;
        let config = Arc::new(versions.with_root_certificates(store).with_no_client_auth());
        Ok(Self { roots: roots.into(), config })
    }
}

/// The reason of TLS within an error, wherever it lies in it.
pub(crate) fn tls_error<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    loop {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        // An I/O error names what lies beneath what it carries, and not that itself.
        let found = inner.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        if found.is_some() {
            return found;
        }
        error = error.source()?;
    }
}
