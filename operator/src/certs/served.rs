//! The certificate that is presented right now, as TLS asks for it.
//!
//! One atomic pointer behind rustls's resolver: a handshake takes what is there when it begins and keeps it, so a swap
//! disturbs none. Until there is a certificate a handshake fails, which is why readiness asks [`Served::is_present`].

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::stored::Leaf;

/// What the webhook presents.
#[derive(Debug, Default)]
pub struct Served {
    leaf: ArcSwapOption<Leaf>,
}

impl Served {
    /// Nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Whether there is a certificate. One that has expired counts: taking the replica out of its Service would change
    /// nothing for the API server, and keep the Deployment from being updated.
    pub fn is_present(&self) -> bool {
        self.leaf.load().is_some()
    }

    /// How TLS is spoken with this certificate, whatever it is by then.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        // Named, because a process with two providers compiled in has no default one and would panic.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Self>::clone(self);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Presents `leaf` from now on; whether that is another one than before.
    pub(super) fn present(&self, leaf: &Arc<Leaf>) -> bool {
        if self.leaf.load().as_ref().is_some_and(|now| now.is_same(leaf)) {
            return false;
        }
        self.leaf.store(Some(Arc::clone(leaf)));
        true
    }
}

#[cfg(test)]
impl Served {
    pub(crate) fn presented(&self) -> Option<Arc<CertifiedKey>> {
        self.leaf.load().as_ref().map(|leaf| Arc::clone(&leaf.certified))
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.leaf.load().as_ref().map(|leaf| Arc::clone(&leaf.certified))
    }
}
