//! What a Secret with the certificate holds, as far as it can be read.
//!
//! A Secret can be damaged by hand, so each part is read by itself and what cannot be read is absent: the rules then
//! replace it, and whatever authority is still good stays trusted meanwhile. Whether parts belong together is checked
//! by their keys and signatures and not by their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::error::CertificateError;
use super::facts::{Facts, Issuer, LeafFacts, Validity};

/// The bundle: every authority that is to be trusted, the newest first.
pub(super) const AUTHORITIES: &str = "ca.crt";
/// The key of the authority that signs.
pub(super) const AUTHORITY_KEY: &str = "ca.key";
/// The certificate that is presented, as Kubernetes calls it in a Secret of type `kubernetes.io/tls`.
pub(super) const CERTIFICATE: &str = "tls.crt";
/// Its key.
pub(super) const KEY: &str = "tls.key";

/// An authority in the bundle.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) valid: Validity,
    der: CertificateDer<'static>,
}

/// A certificate with its key, ready to be presented.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) valid: Validity,
    pub(super) names: Vec<String>,
    pub(super) certified: Arc<CertifiedKey>,
}

impl Leaf {
    /// Reads a certificate, with the chain that may follow it, and checks that the key is its own.
    pub(super) fn read(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CertificateError::ReadCertificate(error.to_string()))?;
        let first = chain.first().ok_or_else(|| CertificateError::ReadCertificate("there is none".to_owned()))?;
        let (valid, names) = describe(first)?;
        // The error of the parser is not passed on: what it says could be a part of the key.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::ReadKey)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(CertificateError::MatchKey)?;
        Ok(Self { valid, names, certified: Arc::new(certified) })
    }

    /// Whether this is the same certificate.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }

    fn is_signed_by(&self, authority: &Authority) -> bool {
        let Some(der) = self.certified.cert.first() else { return false };
        let (Ok((_, leaf)), Ok((_, issuer))) =
            (X509Certificate::from_der(der), X509Certificate::from_der(&authority.der))
        else {
            return false;
        };
        leaf.verify_signature(Some(issuer.public_key())).is_ok()
    }
}

fn describe(der: &CertificateDer<'_>) -> Result<(Validity, Vec<String>), CertificateError> {
    let unreadable = |error: &dyn std::fmt::Display| CertificateError::ReadCertificate(error.to_string());
    let (_, parsed) = X509Certificate::from_der(der).map_err(|error| unreadable(&error))?;
    let at = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp()).map_err(|error| CertificateError::ReadCertificate(error.to_string()))
    };
    let valid = Validity { from: at(parsed.validity.not_before)?, until: at(parsed.validity.not_after)? };
    let names = parsed.subject_alternative_name().map_err(|error| unreadable(&error))?.map(|extension| {
        let names = extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        names.collect()
    });
    Ok((valid, names.unwrap_or_default()))
}

/// All that a Secret holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    /// The authority that signs, with its key.
    pub(super) signing: Option<(Authority, String)>,
    /// The others of the bundle.
    pub(super) old: Vec<Authority>,
    /// What is presented, or why it cannot be.
    pub(super) leaf: Option<Arc<Leaf>>,
}

impl Stored {
    /// Reads the data of a Secret.
    pub(super) fn read(data: &BTreeMap<String, ByteString>) -> Self {
        let part = |key: &str| data.get(key).map(|bytes| bytes.0.as_slice()).unwrap_or_default();
        let mut authorities = read_authorities(part(AUTHORITIES));
        let key =
            std::str::from_utf8(part(AUTHORITY_KEY)).ok().and_then(|pem| Some((pem, KeyPair::from_pem(pem).ok()?)));
        let signing = key.and_then(|(pem, key)| {
            let at = authorities.iter().position(|authority| has_key(&authority.der, &key))?;
            Some((authorities.remove(at), pem.to_owned()))
        });
        let leaf = Leaf::read(part(CERTIFICATE), part(KEY)).ok().map(Arc::new);
        Self { signing, old: authorities, leaf }
    }

    /// What the webhook's configuration is to trust.
    pub(super) fn bundle(&self) -> String {
        let signing = self.signing.as_ref().map(|(authority, _)| authority);
        signing.into_iter().chain(&self.old).map(|authority| authority.pem.as_str()).collect()
    }

    /// What decisions depend on. `published_for`: how long the bundle has been published as it is.
    pub(super) fn facts(&self, names: &[String], published_for: Option<std::time::Duration>) -> Facts {
        let leaf = self.leaf.as_ref().map(|leaf| LeafFacts {
            valid: leaf.valid,
            issuer: self.issuer_of(leaf),
            names_fit: names.iter().all(|name| leaf.names.contains(name)),
        });
        let signing = self.signing.as_ref().map(|(authority, _)| authority.valid);
        Facts { signing, old: self.old.len(), leaf, published_for }
    }

    fn issuer_of(&self, leaf: &Leaf) -> Issuer {
        if self.signing.as_ref().is_some_and(|(authority, _)| leaf.is_signed_by(authority)) {
            return Issuer::Signing;
        }
        let old = self.old.iter().find(|authority| leaf.is_signed_by(authority));
        old.map_or(Issuer::Unknown, |authority| Issuer::Old(authority.valid))
    }
}

/// The certificates of a bundle. One that cannot be read does not take the others with it.
pub(super) fn read_authorities(bundle: &[u8]) -> Vec<Authority> {
    let readable = CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok);
    let authorities = readable.filter_map(|der| {
        let (valid, _) = describe(&der).ok()?;
        Some(Authority { pem: to_pem(&der), valid, der })
    });
    authorities.collect()
}

fn has_key(authority: &CertificateDer<'_>, key: &KeyPair) -> bool {
    let parsed = X509Certificate::from_der(authority);
    parsed.is_ok_and(|(_, parsed)| parsed.public_key().raw == key.subject_public_key_info())
}

/// Written again from what was read, so that text around the certificates does not get into the bundle: the API server
/// refuses a `caBundle` with anything else in it.
fn to_pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;

    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
