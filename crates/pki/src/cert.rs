//! What is asked of a certificate.

use der::{Decode as _, DecodePem as _, Encode as _, oid::ObjectIdentifier};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use crate::{Seconds, cms::Refusal, pem};

/// `codeSigning`, which iPXE wants of a file's signer.
pub(crate) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// A certificate, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub(crate) parsed: x509_cert::Certificate,
    /// Its bytes as they were given.
    der: Vec<u8>,
}

/// The certificates of a PEM text, in order; `None` where one cannot be read.
#[must_use]
pub fn certificates(text: &str) -> Option<Vec<Certificate>> {
    let blocks = pem::blocks(text).into_iter().filter(|(label, _)| *label == "CERTIFICATE");
    blocks.map(|(_, block)| Certificate::from_pem(block)).collect()
}

impl Certificate {
    fn from_pem(text: &str) -> Option<Self> {
        let parsed = x509_cert::Certificate::from_pem(text).ok()?;
        let der = parsed.to_der().ok()?;
        Some(Self { parsed, der })
    }

    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        Some(Self { parsed: x509_cert::Certificate::from_der(der).ok()?, der: der.to_owned() })
    }

    /// Its bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whom it is about, as `CN=…`.
    #[must_use]
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    /// The end of its validity.
    #[must_use]
    pub(crate) fn not_after(&self) -> Seconds {
        self.parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs()
    }

    /// The day of the end of its validity, as `2028-11-27`.
    #[must_use]
    pub fn last_day(&self) -> String {
        day(&self.parsed.tbs_certificate.validity.not_after)
    }

    /// Whether it may sign other certificates.
    #[must_use]
    pub(crate) fn is_authority(&self) -> bool {
        let constraints = self.parsed.tbs_certificate.get::<BasicConstraints>();
        constraints.is_ok_and(|found| found.is_some_and(|(_, c)| c.ca))
    }

    /// Whether iPXE lets it sign files.
    #[must_use]
    pub(crate) fn signs_code(&self) -> bool {
        let tbs = &self.parsed.tbs_certificate;
        let usage = tbs.get::<KeyUsage>().ok().flatten();
        let extended = tbs.get::<ExtendedKeyUsage>().ok().flatten();
        usage.is_some_and(|(_, u)| u.digital_signature())
            && extended.is_some_and(|(_, e)| e.0.contains(&CODE_SIGNING))
    }

    pub(crate) fn check_time(&self, now: Seconds) -> Result<(), Refusal> {
        let validity = &self.parsed.tbs_certificate.validity;
        if now < validity.not_before.to_unix_duration().as_secs() {
            return Err(Refusal::NotYetValid { who: self.subject(), from: day(&validity.not_before) });
        }
        if now > self.not_after() {
            return Err(Refusal::Expired { who: self.subject(), last: self.last_day() });
        }
        Ok(())
    }

    pub(crate) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.parsed.tbs_certificate.issuer == issuer.parsed.tbs_certificate.subject
            && issuer.is_authority()
            && self.is_signed_by(issuer)
    }

    fn is_signed_by(&self, issuer: &Self) -> bool {
        let Ok(signed) = self.parsed.tbs_certificate.to_der() else { return false };
        let algorithm = self.parsed.signature_algorithm.oid.to_string();
        let Some(hash) = Hash::of(&algorithm) else { return false };
        self.parsed.signature.as_bytes().is_some_and(|s| issuer.verifies(hash, &signed, s))
    }

    /// Whether `signature` over `data` is by this certificate's key.
    pub(crate) fn verifies(&self, hash: Hash, data: &[u8], signature: &[u8]) -> bool {
        use ring::signature as by;
        let key = &self.parsed.tbs_certificate.subject_public_key_info;
        let curve = key.algorithm.parameters.as_ref().and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
        let how: &dyn by::VerificationAlgorithm = match (key.algorithm.oid, curve, hash) {
            (RSA, _, Hash::Sha256) => &by::RSA_PKCS1_2048_8192_SHA256,
            (RSA, _, Hash::Sha384) => &by::RSA_PKCS1_2048_8192_SHA384,
            (RSA, _, Hash::Sha512) => &by::RSA_PKCS1_2048_8192_SHA512,
            (EC, Some(P256), Hash::Sha256) => &by::ECDSA_P256_SHA256_ASN1,
            (EC, Some(P256), Hash::Sha384) => &by::ECDSA_P256_SHA384_ASN1,
            (EC, Some(P384), Hash::Sha256) => &by::ECDSA_P384_SHA256_ASN1,
            (EC, Some(P384), Hash::Sha384) => &by::ECDSA_P384_SHA384_ASN1,
            _ => return false,
        };
        let Some(key) = key.subject_public_key.as_bytes() else { return false };
        by::UnparsedPublicKey::new(how, key).verify(data, signature).is_ok()
    }
}

/// What a signature is made over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The hash of a signature algorithm or of a digest algorithm, by its OID.
    pub(crate) fn of(oid: &str) -> Option<Self> {
        Some(match oid {
            "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" | "2.16.840.1.101.3.4.2.1" => Self::Sha256,
            "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => Self::Sha384,
            "1.2.840.113549.1.1.13" | "2.16.840.1.101.3.4.2.3" => Self::Sha512,
            _ => return None,
        })
    }
}

fn day(time: &x509_cert::time::Time) -> String {
    let date = time.to_date_time();
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}
