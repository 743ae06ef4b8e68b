//! What goes wrong with certificates.

use thiserror::Error;

/// Why there is no certificate, or no newer one.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// The certificate is no certificate.
    #[error("the certificate cannot be read: {0}")]
    ReadCertificate(String),
    /// The key is no key.
    #[error("the key of the certificate cannot be read")]
    ReadKey,
    /// The key is that of another certificate.
    #[error("the key does not belong to the certificate: {0}")]
    MatchKey(#[source] rustls::Error),
    /// The key of the authority cannot be used.
    #[error("the authority cannot sign: {0}")]
    UseAuthority(#[source] rcgen::Error),
    /// A certificate could not be made.
    #[error("a certificate cannot be made: {0}")]
    Sign(#[source] rcgen::Error),
    /// A file of a certificate could not be read.
    #[error("cannot read {path}: {source}")]
    ReadFile {
        /// Which file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// There is a Secret of the name, but it was not made by Moorline.
    #[error("Secret {0} was not made by Moorline (it has no label app.kubernetes.io/managed-by: moorline)")]
    ForeignSecret(String),
    /// There is no Secret yet, and only the leader makes it.
    #[error("Secret {0} does not exist yet; the leader makes it")]
    AwaitSecret(String),
    /// The Secret holds no certificate that could be presented; the leader replaces it.
    #[error("Secret {0} holds no certificate that can be presented")]
    DamagedSecret(String),
    /// The Secret could not be read.
    #[error("cannot read Secret {name}: {source}")]
    GetSecret {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The Secret could not be written.
    #[error("cannot write Secret {name}: {source}")]
    WriteSecret {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The webhook's configuration could not be read.
    #[error("cannot read MutatingWebhookConfiguration {name}: {source}")]
    GetConfiguration {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The bundle could not be put into the webhook's configuration.
    #[error("cannot put the CA into MutatingWebhookConfiguration {name}: {source}")]
    PublishBundle {
        /// Its name.
        name: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// The API server does not answer.
    #[error("the API server did not answer in time: {0}")]
    AwaitApi(&'static str),
}

impl CertificateError {
    /// A fixed word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ReadCertificate(_) => "ReadCertificate",
            Self::ReadKey => "ReadKey",
            Self::MatchKey(_) => "MatchKey",
            Self::UseAuthority(_) => "UseAuthority",
            Self::Sign(_) => "Sign",
            Self::ReadFile { .. } => "ReadFile",
            Self::ForeignSecret(_) => "ForeignSecret",
            Self::AwaitSecret(_) => "AwaitSecret",
            Self::DamagedSecret(_) => "DamagedSecret",
            Self::GetSecret { .. } => "GetSecret",
            Self::WriteSecret { .. } => "WriteSecret",
            Self::GetConfiguration { .. } => "GetConfiguration",
            Self::PublishBundle { .. } => "PublishBundle",
            Self::AwaitApi(_) => "AwaitApi",
        }
    }
}
