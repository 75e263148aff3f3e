//! A small certification authority: its root, and a signer below it.

use std::str::FromStr as _;

use der::{
    DateTime, EncodePem as _,
    asn1::{BitString, GeneralizedTime, UtcTime},
    pem::LineEnding,
};
use p256::ecdsa::{
    DerSignature, SigningKey,
    signature::{Keypair, Signer as _},
};
use pkcs8::{EncodePrivateKey as _, PrivateKeyInfoRef, SecretDocument, pkcs5::pbes2};
use x509_cert::{
    builder::{Builder as _, CertificateBuilder, profile::BuilderProfile},
    certificate::TbsCertificate,
    ext::{
        Extension, ToExtension as _,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
            SubjectKeyIdentifier,
        },
    },
    name::Name,
    serial_number::SerialNumber,
    spki::{
        DynSignatureAlgorithmIdentifier, EncodePublicKey, SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef,
    },
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
    let key = new_key(chance)?;
    let profile = CertificateProfile { issuer: subject.clone(), subject, authority: true };
    let certificate = certify(profile, public(&key)?, (&key, &|d| der_signature(&key, d)), lifetime, chance)?;
    made(&document(&key)?, chance, password, &[certificate])
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
    let PrivateKey::P256(authority) = &authority.key else {
        return Err(
            "only an EC P-256 authority can certify here: let your own CA issue the certificate".into()
        );
    };
    let key = new_key(chance)?;
    let issuer = root.parsed.tbs_certificate().subject().clone();
    let profile = CertificateProfile { issuer, subject: common_name(name)?, authority: false };
    let by = |d: &[u8]| der_signature(authority, d);
    let certificate = certify(profile, public(&key)?, (&**authority, &by), lifetime, chance)?;
    made(&document(&key)?, chance, password, &[certificate, root])
}

pub(crate) fn common_name(name: &str) -> Result<Name, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " .-_@".contains(c);
    if name.trim() != name || name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(format!("`{name}` is not a valid name: use up to 64 letters, digits and ` .-_@`"));
    }
    Name::from_str(&format!("CN={name}")).map_err(|e| e.to_string())
}

fn new_key(chance: &Chance) -> Result<SigningKey, String> {
    SigningKey::from_slice(chance.key.as_slice()).map_err(|_| "these random bytes are not a key".to_owned())
}

fn public(key: &SigningKey) -> Result<SubjectPublicKeyInfoOwned, String> {
    SubjectPublicKeyInfoOwned::from_key(key.verifying_key()).map_err(|e| e.to_string())
}

fn document(key: &SigningKey) -> Result<SecretDocument, String> {
    key.to_pkcs8_der().map_err(|e| e.to_string())
}

fn der_signature(key: &SigningKey, data: &[u8]) -> Vec<u8> {
    let signature: DerSignature = key.sign(data);
    signature.as_bytes().to_vec()
}

/// Signs bytes.
type SignBytes<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

/// A certificate for a `public` key, signed by the key of `by` with the function beside it.
pub(crate) fn certify<S>(
    profile: CertificateProfile,
    public: SubjectPublicKeyInfoOwned,
    (by, sign): (&S, SignBytes<'_>),
    lifetime: Lifetime,
    chance: &Chance,
) -> Result<Certificate, String>
where
    S: Keypair + DynSignatureAlgorithmIdentifier,
    S::VerifyingKey: EncodePublicKey,
{
    let mut serial = chance.serial;
    serial[0] = serial[0] & 0x7f | 0x40; // positive, and of one length
    let validity = Validity::new(time(0)?, time(lifetime.until)?);
    let serial = SerialNumber::new(&serial).map_err(|e| e.to_string())?;
    let mut builder =
        CertificateBuilder::new(profile, serial, validity, public).map_err(|e| e.to_string())?;
    let signed = builder.finalize(by).map_err(|e| e.to_string())?;
    let signature = BitString::from_bytes(&sign(&signed)).map_err(|e| e.to_string())?;
    let certificate = builder.assemble(signature, by).map_err(|e| e.to_string())?;
    let der = der::Encode::to_der(&certificate).map_err(|e| e.to_string())?;
    Certificate::from_der(&der).ok_or_else(|| "the new certificate cannot be read".to_owned())
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
            let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|e| text(&e))?;
            let how = pbes2::Parameters::generate_scrypt_aes256cbc(
                pkcs8::pkcs5::scrypt::Params::RECOMMENDED,
                &chance.salt,
                chance.iv,
            );
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

impl BuilderProfile for CertificateProfile {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let mut all = Vec::new();
        let subject = tbs.subject();
        let path = self.authority.then_some(0);
        all.push(
            BasicConstraints { ca: self.authority, path_len_constraint: path }.to_extension(subject, &all)?,
        );
        let usage = if self.authority {
            KeyUsages::KeyCertSign | KeyUsages::CRLSign
        } else {
            KeyUsages::DigitalSignature.into()
        };
        all.push(KeyUsage(usage).to_extension(subject, &all)?);
        if !self.authority {
            all.push(ExtendedKeyUsage(vec![CODE_SIGNING]).to_extension(subject, &all)?);
            all.push(AuthorityKeyIdentifier::try_from(issuer)?.to_extension(subject, &all)?);
        }
        all.push(SubjectKeyIdentifier::try_from(key)?.to_extension(subject, &all)?);
        Ok(all)
    }
}

impl From<KeyError> for String {
    fn from(e: KeyError) -> Self {
        e.to_string()
    }
}
