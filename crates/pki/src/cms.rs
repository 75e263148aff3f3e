//! Detached CMS signatures (RFC 5652), as far as iPXE reads them: one signer, no signed attributes, DER.

use der::{
    Any, Decode as _, Encode as _, Sequence, ValueOrd,
    asn1::{ObjectIdentifier, OctetString, SetOfVec},
};
use x509_cert::{name::Name, serial_number::SerialNumber, spki::AlgorithmIdentifierOwned};

use crate::{
    Seconds,
    cert::{Certificate, Hash},
    key::RSA_ENCRYPTION,
};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// No chain is longer.
const MAX_CHAIN: usize = 8;

#[derive(Clone, Debug, Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: SignedData,
}

#[derive(Clone, Debug, Sequence)]
struct SignedData {
    version: u8,
    digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    encapsulated: Encapsulated,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    certificates: Option<SetOfVec<Any>>,
    signer_infos: SetOfVec<SignerInfo>,
}

/// Detached: the type of the content, and no content.
#[derive(Clone, Debug, Sequence)]
struct Encapsulated {
    content_type: ObjectIdentifier,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
struct SignerInfo {
    version: u8,
    issuer_and_serial: IssuerAndSerial,
    digest_algorithm: AlgorithmIdentifierOwned,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: OctetString,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
struct IssuerAndSerial {
    issuer: Name,
    serial: SerialNumber,
}

/// Puts a signature over SHA-256 and the signer's certificates into a message.
pub(crate) fn message(
    chain: &[Certificate],
    algorithm: AlgorithmIdentifierOwned,
    signature: Vec<u8>,
) -> der::Result<Vec<u8>> {
    let digest = AlgorithmIdentifierOwned { oid: SHA256, parameters: None };
    let tbs = &chain[0].parsed.tbs_certificate;
    let signer = SignerInfo {
        version: 1,
        issuer_and_serial: IssuerAndSerial { issuer: tbs.issuer.clone(), serial: tbs.serial_number.clone() },
        digest_algorithm: digest.clone(),
        signature_algorithm: algorithm,
        signature: OctetString::new(signature)?,
    };
    let certificates = chain.iter().map(|c| Any::from_der(c.der())).collect::<der::Result<Vec<_>>>()?;
    let content = SignedData {
        version: 1,
        digest_algorithms: SetOfVec::from_iter([digest])?,
        encapsulated: Encapsulated { content_type: DATA },
        certificates: Some(SetOfVec::from_iter(certificates)?),
        signer_infos: SetOfVec::from_iter([signer])?,
    };
    ContentInfo { content_type: SIGNED_DATA, content }.to_der()
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidSignature {
    /// Whose certificate signed.
    pub by: Certificate,
    /// Which of the roots vouches for it.
    pub root: String,
    /// The first end of a validity in the chain: iPXE refuses the file from then on.
    pub until: Seconds,
}

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read.
    #[error(
        "not a detached CMS signature without attributes in DER (`openssl cms -sign -binary -noattr -outform DER`)"
    )]
    Malformed,
    /// The file is another, or the key.
    #[error("the signature does not match the file")]
    Mismatch,
    /// The message lacks the signer's certificate.
    #[error("the signer's certificate is not in the signature")]
    NoCertificate,
    /// The signer may not sign code.
    #[error("the certificate of {who} lacks digitalSignature or codeSigning")]
    NotForCode {
        /// Whose.
        who: String,
    },
    /// No root vouches for it.
    #[error("{who} is not certified by any of the roots")]
    Untrusted {
        /// Who.
        who: String,
    },
    /// A certificate is over.
    #[error("the certificate of {who} expired on {last}")]
    Expired {
        /// Whose.
        who: String,
        /// Its last day.
        last: String,
    },
    /// A certificate begins later.
    #[error("the certificate of {who} is not valid before {from}")]
    NotYetValid {
        /// Whose.
        who: String,
        /// Its first day.
        from: String,
    },
}

/// Checks `signature` over `data` as iPXE does that trusts `roots`, at the time `now`.
///
/// # Errors
/// Why iPXE refuses it.
pub fn verify(
    data: &[u8],
    signature: &[u8],
    roots: &[Certificate],
    now: Seconds,
) -> Result<ValidSignature, Refusal> {
    let message = ContentInfo::from_der(signature).map_err(|_| Refusal::Malformed)?;
    let inner = &message.content;
    let [info] = inner.signer_infos.as_slice() else { return Err(Refusal::Malformed) };
    let hash = Hash::of(&info.digest_algorithm.oid.to_string()).ok_or(Refusal::Malformed)?;
    let algorithm = info.signature_algorithm.oid;
    let known = algorithm == RSA_ENCRYPTION || Hash::of(&algorithm.to_string()) == Some(hash);
    let types = message.content_type == SIGNED_DATA && inner.encapsulated.content_type == DATA;
    let listed = inner.digest_algorithms.iter().any(|d| *d == info.digest_algorithm);
    if !types || !known || !listed || (inner.version, info.version) != (1, 1) {
        return Err(Refusal::Malformed);
    }
    let held: Vec<Certificate> = inner
        .certificates
        .iter()
        .flat_map(SetOfVec::iter)
        .filter_map(|c| Certificate::from_der(&c.to_der().ok()?))
        .collect();
    let is_signer = |c: &&Certificate| {
        let tbs = &c.parsed.tbs_certificate;
        tbs.issuer == info.issuer_and_serial.issuer && tbs.serial_number == info.issuer_and_serial.serial
    };
    let by = held.iter().find(is_signer).ok_or(Refusal::NoCertificate)?;
    let (root, until) = trusted(by, &held, roots, now)?;
    if !by.signs_code() {
        return Err(Refusal::NotForCode { who: by.subject() });
    }
    if !by.verifies(hash, data, info.signature.as_bytes()) {
        return Err(Refusal::Mismatch);
    }
    Ok(ValidSignature { by: by.clone(), root, until })
}

/// The root that vouches for `certificate`, and the first end of a validity on the way.
fn trusted(
    certificate: &Certificate,
    held: &[Certificate],
    roots: &[Certificate],
    now: Seconds,
) -> Result<(String, Seconds), Refusal> {
    let mut at = certificate;
    let mut until = at.not_after();
    for _ in 0..MAX_CHAIN {
        // iPXE asks for no date of a root that it was built with.
        if roots.iter().any(|r| r.der() == at.der()) {
            return Ok((at.subject(), until));
        }
        at.check_time(now)?;
        until = until.min(at.not_after());
        let issuer = roots.iter().chain(held).find(|c| at.is_issued_by(c));
        at = issuer.ok_or_else(|| Refusal::Untrusted { who: at.subject() })?;
    }
    Err(Refusal::Untrusted { who: certificate.subject() })
}
