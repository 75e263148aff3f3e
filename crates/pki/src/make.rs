//! A small certification authority: its root, and a signer below it.

use std::str::FromStr as _;

use der::{
    DateTime, Encode, EncodePem as _,
    asn1::{BitString, GeneralizedTime, OctetString, UtcTime},
    oid::AssociatedOid,
    pem::LineEnding,
};
use p256::ecdsa::SigningKey;
use pkcs8::{EncodePrivateKey as _, PrivateKeyInfo, SecretDocument, pkcs5::pbes2};
use x509_cert::{
    TbsCertificate, Version,
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
            SubjectKeyIdentifier,
        },
    },
    name::Name,
    serial_number::SerialNumber,
    spki::SubjectPublicKeyInfoOwned,
    time::{Time, Validity},
};
use zeroize::Zeroizing;

use crate::{
    Seconds,
    cert::{CODE_SIGNING, Certificate},
    key::{KeyError, PrivateKey, Signer},
};

/// Random bytes, of which a key is made.
pub struct Chance {
    /// The private key's 32 bytes, wiped when dropped.
    pub key: Zeroizing<[u8; 32]>,
    /// The certificate's serial number.
    pub serial: [u8; 16],
    /// What the password is mixed with.
    pub salt: [u8; 16],
    /// Where the encryption begins.
    pub iv: [u8; 16],
}

/// The end of a certificate. It begins in 1970: a machine whose clock was never set must not refuse it.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    /// Last second of the validity.
    pub until: Seconds,
}

/// A new key and its certificate.
pub struct NewKey {
    /// The certificate, PEM.
    pub certificate: String,
    /// The private key, encrypted where there is a password, and its certificates, PEM.
    pub secret: Zeroizing<String>,
}

/// A root that certifies signers.
///
/// # Errors
/// When the name cannot stand in a certificate.
pub fn authority(
    name: &str,
    lifetime: Lifetime,
    chance: &Chance,
    password: Option<&str>,
) -> Result<NewKey, String> {
    let subject = common_name(name)?;
    let (key, document) = new_key(chance)?;
    let profile = CertificateProfile { issuer: subject.clone(), subject, authority: true };
    let certificate = certify(profile, key.public()?, &key, lifetime, chance)?;
    made(&document, chance, password, &[certificate])
}

/// A signer of files that the root in `authority` (PEM, its key and certificate) certifies.
///
/// # Errors
/// When the authority cannot be opened, or the name cannot stand in a certificate.
pub fn signer(
    name: &str,
    lifetime: Lifetime,
    chance: &Chance,
    password: Option<&str>,
    (authority, authority_password): (&str, Option<&str>),
) -> Result<NewKey, String> {
    let authority = Signer::open_any(authority, authority_password).map_err(|e| e.to_string())?;
    let root = authority.certificate().clone();
    if !root.is_authority() {
        return Err(format!("{} may not certify others: it is not a CA", root.subject()));
    }
    if !matches!(authority.key, PrivateKey::P256(_)) {
        return Err(
            "only an EC P-256 authority can certify here: let your own CA issue the certificate".into()
        );
    }
    let (key, document) = new_key(chance)?;
    let issuer = root.parsed.tbs_certificate.subject.clone();
    let profile = CertificateProfile { issuer, subject: common_name(name)?, authority: false };
    let certificate = certify(profile, key.public()?, &authority.key, lifetime, chance)?;
    made(&document, chance, password, &[certificate, root])
}

pub(crate) fn common_name(name: &str) -> Result<Name, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " .-_@".contains(c);
    if name.trim() != name || name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(format!("`{name}` is not a valid name: use up to 64 letters, digits and ` .-_@`"));
    }
    Name::from_str(&format!("CN={name}")).map_err(|e| e.to_string())
}

fn new_key(chance: &Chance) -> Result<(PrivateKey, SecretDocument), String> {
    let key = SigningKey::from_slice(chance.key.as_slice())
        .map_err(|_| "these random bytes are not a key".to_owned())?;
    let document = key.to_pkcs8_der().map_err(|e| e.to_string())?;
    Ok((PrivateKey::P256(Box::new(key)), document))
}

/// A certificate for a `public` key, signed by the key `by`.
pub(crate) fn certify(
    profile: CertificateProfile,
    public: SubjectPublicKeyInfoOwned,
    by: &PrivateKey,
    lifetime: Lifetime,
    chance: &Chance,
) -> Result<Certificate, String> {
    let mut serial = chance.serial;
    serial[0] = serial[0] & 0x7f | 0x40; // positive, and of one length
    let validity = Validity { not_before: time(0)?, not_after: time(lifetime.until)? };
    let issuer = by.public()?;
    let text = |e: der::Error| e.to_string();
    let certificate = || {
        let tbs_certificate = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&serial)?,
            signature: by.certifies_with(),
            extensions: Some(profile.extensions(&public, &issuer)?),
            issuer: profile.issuer,
            validity,
            subject: profile.subject,
            subject_public_key_info: public,
            issuer_unique_id: None,
            subject_unique_id: None,
        };
        let signature = BitString::from_bytes(&by.sign(&tbs_certificate.to_der()?))?;
        let signature_algorithm = by.certifies_with();
        x509_cert::Certificate { tbs_certificate, signature_algorithm, signature }.to_der()
    };
    Certificate::from_der(&certificate().map_err(text)?)
        .ok_or_else(|| "the new certificate cannot be read".to_owned())
}

fn time(seconds: Seconds) -> Result<Time, String> {
    let date = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds));
    let date = date.map_err(|e| e.to_string())?;
    // RFC 5280: UTCTime until 2049.
    Ok(UtcTime::from_date_time(date)
        .map_or_else(|_| Time::GeneralTime(GeneralizedTime::from_date_time(date)), Time::UtcTime))
}

/// A key's file: PKCS #8, encrypted where there is a password, then its certificates.
pub(crate) fn made(
    document: &SecretDocument,
    chance: &Chance,
    password: Option<&str>,
    chain: &[Certificate],
) -> Result<NewKey, String> {
    let text = |e: &dyn std::fmt::Display| e.to_string();
    let mut secret = match password {
        None => document.to_pem("PRIVATE KEY", LineEnding::LF).map_err(|e| text(&e))?,
        Some(password) => {
            let info = PrivateKeyInfo::try_from(document.as_bytes()).map_err(|e| text(&e))?;
            let effort = pkcs8::pkcs5::scrypt::Params::recommended();
            let how = pbes2::Parameters::scrypt_aes256cbc(effort, &chance.salt, &chance.iv);
            let locked = info.encrypt_with_params(how.map_err(|e| text(&e))?, password);
            let locked = locked.map_err(|e| text(&e))?;
            locked.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).map_err(|e| text(&e))?
        }
    };
    for certificate in chain {
        secret.push_str(&certificate.parsed.to_pem(LineEnding::LF).map_err(|e| text(&e))?);
    }
    let certificate = chain[0].parsed.to_pem(LineEnding::LF).map_err(|e| text(&e))?;
    Ok(NewKey { certificate, secret })
}

/// Whose certificate it is, by whom.
pub(crate) struct CertificateProfile {
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    pub(crate) authority: bool,
}

impl CertificateProfile {
    fn extensions(
        &self,
        key: &SubjectPublicKeyInfoOwned,
        issuer: &SubjectPublicKeyInfoOwned,
    ) -> der::Result<Vec<Extension>> {
        let path = self.authority.then_some(0);
        let usage = if self.authority {
            KeyUsages::KeyCertSign | KeyUsages::CRLSign
        } else {
            KeyUsages::DigitalSignature.into()
        };
        let mut all = vec![
            extension(&BasicConstraints { ca: self.authority, path_len_constraint: path }, true)?,
            extension(&KeyUsage(usage), true)?,
        ];
        if !self.authority {
            let key_identifier = Some(key_identifier(issuer)?);
            all.push(extension(&ExtendedKeyUsage(vec![CODE_SIGNING]), false)?);
            all.push(extension(&AuthorityKeyIdentifier { key_identifier, ..Default::default() }, false)?);
        }
        all.push(extension(&SubjectKeyIdentifier(key_identifier(key)?), false)?);
        Ok(all)
    }
}

fn extension<T: AssociatedOid + Encode>(value: &T, critical: bool) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// By which a certificate's issuer is found: SHA-1 of the public key (RFC 5280, 4.2.1.2). Nothing is proved by it.
fn key_identifier(key: &SubjectPublicKeyInfoOwned) -> der::Result<OctetString> {
    use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    OctetString::new(digest(&SHA1_FOR_LEGACY_USE_ONLY, key.subject_public_key.raw_bytes()).as_ref())
}

impl From<KeyError> for String {
    fn from(e: KeyError) -> Self {
        e.to_string()
    }
}
