//! Certificates for the tests of this module and of the listener.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::issue::carry_out;
use super::served::Served;
use super::step::Step;
use super::stored::Stored;

/// The name that the certificates are for.
pub(crate) const NAME: &str = "moorline-webhook.moorline-system.svc";

/// What a leader would have stored.
#[derive(Clone, Default)]
pub(crate) struct Made(Stored);

impl Made {
    /// An authority and a certificate of it.
    pub(crate) fn new() -> Self {
        Self::default().after(Step::Replace)
    }

    /// With a new authority, which has signed nothing yet.
    pub(crate) fn with_new_authority(&self) -> Self {
        self.after(Step::NewCa)
    }

    /// With a new certificate.
    pub(crate) fn with_new_certificate(&self) -> Self {
        self.after(Step::IssueLeaf)
    }

    /// Without the authority before.
    pub(crate) fn without_old_authority(&self) -> Self {
        self.after(Step::DropOldCa)
    }

    /// A certificate and its key, as files hold them.
    pub(crate) fn pems() -> (String, String) {
        let (_, issued) = carry_out(&Stored::default(), Step::Replace, &[NAME.to_owned()], Timestamp::now()).unwrap();
        let issued = issued.unwrap();
        (issued.certificate, issued.key)
    }

    fn after(&self, step: Step) -> Self {
        Self(carry_out(&self.0, step, &[NAME.to_owned()], Timestamp::now()).unwrap().0)
    }

    pub(crate) fn present(&self, served: &Served) {
        served.present(self.0.leaf.as_ref().unwrap());
    }

    pub(crate) fn bundle(&self) -> String {
        self.0.bundle()
    }
}

/// The configuration of a client that trusts `bundle` and speaks HTTP/1.1, as API servers do.
pub(crate) fn client_config(bundle: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}
