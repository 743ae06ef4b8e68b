//! Makes authorities and certificates, and carries out a step on what is stored.
//!
//! ECDSA P-256: every API server verifies it, and a handshake costs it less than RSA. The names of authorities differ,
//! because with two of one name in a bundle a verifier may try the wrong one and give up.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};

use super::error::CertificateError;
use super::facts::Validity;
use super::step::{AUTHORITY_LIFETIME, LEAF_LIFETIME, Step};
use super::stored::{Authority, Leaf, Stored, read_authorities};

/// How many old authorities a bundle keeps at most.
const MAX_OLD: usize = 2;

/// A certificate and its key, both in PEM.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Carries out `step`: what is to be stored then. `names` are those that the API server asks for, and the texts of the
/// leaf are those to write.
pub(super) fn carry_out(
    stored: &Stored,
    step: Step,
    names: &[String],
    now: Timestamp,
) -> Result<(Stored, Option<Issued>), CertificateError> {
    let mut next = stored.clone();
    if matches!(step, Step::NewCa | Step::Replace) {
        let (authority, key) = authority(now)?;
        let before = next.signing.replace((authority, key)).map(|(authority, _)| authority);
        next.old.splice(..0, before);
        next.old.retain(|authority| authority.valid.holds_at(now));
        next.old.truncate(MAX_OLD);
    }
    if step == Step::DropOldCa {
        next.old.clear();
    }
    let mut issued = None;
    if let (Step::IssueLeaf | Step::Replace, Some((authority, key))) = (step, &next.signing) {
        let texts = leaf(authority, key, names, now)?;
        next.leaf = Some(Leaf::read(texts.certificate.as_bytes(), texts.key.as_bytes())?.into());
        issued = Some(texts);
    }
    Ok((next, issued))
}

fn authority(now: Timestamp) -> Result<(Authority, String), CertificateError> {
    let key = KeyPair::generate().map_err(CertificateError::Sign)?;
    let digest = moorline_crds::names::hex(key.der_bytes());
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Moorline webhook CA {}", &digest[..8]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    set_validity(&mut params, Validity::starting(now, AUTHORITY_LIFETIME));
    let certificate = params.self_signed(&key).map_err(CertificateError::Sign)?;
    let read = read_authorities(certificate.pem().as_bytes()).pop();
    let authority = read.ok_or_else(|| CertificateError::ReadCertificate("just made".to_owned()))?;
    Ok((authority, key.serialize_pem()))
}

fn leaf(authority: &Authority, key: &str, names: &[String], now: Timestamp) -> Result<Issued, CertificateError> {
    let issuer_key = KeyPair::from_pem(key).map_err(CertificateError::UseAuthority)?;
    let issuer = Issuer::from_ca_cert_pem(&authority.pem, issuer_key).map_err(CertificateError::UseAuthority)?;
    let key = KeyPair::generate().map_err(CertificateError::Sign)?;
    let mut params = CertificateParams::new(names).map_err(CertificateError::Sign)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Moorline webhook");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let mut valid = Validity::starting(now, LEAF_LIFETIME);
    valid.until = valid.until.min(authority.valid.until);
    set_validity(&mut params, valid);
    let certificate = params.signed_by(&key, &issuer).map_err(CertificateError::Sign)?;
    Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn set_validity(params: &mut CertificateParams, valid: Validity) {
    let at = |time: Timestamp| {
        let since_epoch = Duration::from_secs(u64::try_from(time.as_second()).unwrap_or_default());
        rcgen::date_time_ymd(1970, 1, 1) + since_epoch
    };
    params.not_before = at(valid.from);
    params.not_after = at(valid.until);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::super::facts::Issuer as IssuedBy;
    use super::super::stored::{AUTHORITIES, AUTHORITY_KEY, CERTIFICATE, KEY};
    use super::*;

    const NAME: &str = "moorline-webhook.moorline-system.svc";

    fn names() -> Vec<String> {
        vec![NAME.to_owned()]
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap()
    }

    fn data(stored: &Stored, issued: &Issued) -> BTreeMap<String, ByteString> {
        let (_, key) = stored.signing.as_ref().unwrap();
        let parts = [
            (AUTHORITIES, stored.bundle()),
            (AUTHORITY_KEY, key.clone()),
            (CERTIFICATE, issued.certificate.clone()),
            (KEY, issued.key.clone()),
        ];
        parts.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).into()
    }

    fn made() -> (Stored, BTreeMap<String, ByteString>) {
        let (stored, issued) = carry_out(&Stored::default(), Step::Replace, &names(), now()).unwrap();
        let data = data(&stored, &issued.unwrap());
        (stored, data)
    }

    /// Verifies as an API server that has the bundle does.
    fn verify(stored: &Stored, bundle: &str, name: &str, now: Timestamp) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(authority.unwrap()).unwrap();
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let leaf = &stored.leaf.as_ref().unwrap().certified.cert;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap()));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        rustls::client::danger::ServerCertVerifier::verify_server_cert(
            &*verifier,
            &leaf[0],
            &leaf[1..],
            &name,
            &[],
            time,
        )
        .map(|_| ())
    }

    #[test]
    fn what_is_made_is_verified_for_its_name_and_its_time_only() {
        let (stored, _) = made();
        let bundle = stored.bundle();
        verify(&stored, &bundle, NAME, now()).unwrap();
        verify(&stored, &bundle, NAME, now() + LEAF_LIFETIME - Duration::from_secs(1)).unwrap();
        verify(&stored, &bundle, NAME, now() - super::super::facts::CLOCK_SKEW).unwrap();
        assert!(verify(&stored, &bundle, "other.moorline-system.svc", now()).is_err());
        assert!(verify(&stored, &bundle, NAME, now() + LEAF_LIFETIME + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn what_is_stored_is_read_back_as_it_was() {
        let (stored, data) = made();
        let read = Stored::read(&data);
        assert_eq!(read.bundle(), stored.bundle());
        let facts = read.facts(&names(), None);
        assert_eq!(facts, stored.facts(&names(), None));
        assert_eq!(facts.leaf.unwrap().issuer, IssuedBy::Signing);
        assert!(facts.leaf.unwrap().names_fit && facts.signing.is_some());
    }

    #[test]
    fn in_a_rotation_old_and_new_certificates_are_both_verified_by_the_bundle() {
        let (first, _) = made();
        let (second, none) = carry_out(&first, Step::NewCa, &names(), now()).unwrap();
        assert!(none.is_none(), "the certificate stays");
        assert!(matches!(second.facts(&names(), None).leaf.unwrap().issuer, IssuedBy::Old(_)));
        verify(&second, &second.bundle(), NAME, now()).unwrap();
        let (third, _) = carry_out(&second, Step::IssueLeaf, &names(), now()).unwrap();
        assert_eq!(third.facts(&names(), None).leaf.unwrap().issuer, IssuedBy::Signing);
        for leaf in [&first, &third] {
            verify(leaf, &second.bundle(), NAME, now()).unwrap();
        }
        let (last, _) = carry_out(&third, Step::DropOldCa, &names(), now()).unwrap();
        verify(&third, &last.bundle(), NAME, now()).unwrap();
        assert!(verify(&first, &last.bundle(), NAME, now()).is_err());
    }

    #[test]
    fn a_certificate_never_outlives_its_authority() {
        let (stored, _) = made();
        let late = now() + AUTHORITY_LIFETIME - Duration::from_hours(24);
        let (after, _) = carry_out(&stored, Step::IssueLeaf, &names(), late).unwrap();
        assert_eq!(after.leaf.unwrap().valid.until, stored.signing.unwrap().0.valid.until);
    }

    #[test]
    fn what_is_damaged_is_absent_and_the_rest_is_not() {
        let (_, data) = made();
        let (_, other) = made();
        let damage: [(&str, &[u8], Step); 7] = [
            (AUTHORITIES, b"", Step::Replace),
            (AUTHORITIES, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Step::Replace),
            (AUTHORITY_KEY, b"no key", Step::NewCa),
            (AUTHORITY_KEY, &other[AUTHORITY_KEY].0, Step::NewCa),
            (CERTIFICATE, b"\xff\xfe", Step::IssueLeaf),
            (KEY, b"", Step::IssueLeaf),
            (KEY, &other[KEY].0, Step::IssueLeaf),
        ];
        for (part, bytes, step) in damage {
            let mut damaged = data.clone();
            damaged.insert(part.to_owned(), ByteString(bytes.to_vec()));
            let facts = Stored::read(&damaged).facts(&names(), None);
            assert_eq!(super::super::step::next(&facts, now()), step, "{part} as {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_leaf_of_another_authority_is_of_nobody() {
        let (_, mut data) = made();
        let (_, other) = made();
        for part in [CERTIFICATE, KEY] {
            data.insert(part.to_owned(), other[part].clone());
        }
        let facts = Stored::read(&data).facts(&names(), None);
        assert_eq!(facts.leaf.unwrap().issuer, IssuedBy::Unknown);
    }

    #[test]
    fn a_bundle_keeps_only_authorities_that_hold_and_not_many_of_them() {
        let mut stored = made().0;
        for _ in 0..5 {
            stored = carry_out(&stored, Step::Replace, &names(), now()).unwrap().0;
        }
        assert_eq!(stored.old.len(), MAX_OLD);
        let after = now() + AUTHORITY_LIFETIME + Duration::from_hours(1);
        let (stored, _) = carry_out(&stored, Step::Replace, &names(), after).unwrap();
        assert!(stored.old.is_empty());
    }

    #[test]
    fn text_around_certificates_does_not_get_into_the_bundle() {
        let (stored, mut data) = made();
        let bundle = format!("# a comment\n{}trailing", stored.bundle());
        data.insert(AUTHORITIES.to_owned(), ByteString(bundle.into_bytes()));
        assert_eq!(Stored::read(&data).bundle(), stored.bundle());
    }
}
