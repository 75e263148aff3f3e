//! A key for Secure Boot: RSA, since firmware checks by nothing else, with a certificate of its own.

use der::{
    Any,
    asn1::{BitString, Null},
};
use p256::ecdsa::signature::Keypair;
use pkcs8::{Document, SecretDocument};
use x509_cert::spki::{
    self, AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey, ObjectIdentifier,
    SubjectPublicKeyInfoOwned,
};

use crate::{
    key::{KeyError, PrivateKey, RSA_ENCRYPTION, rsa_signature},
    make::{CertificateProfile, Chance, Lifetime, NewKey, certify, common_name, made},
};

const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");

/// Certifies a new RSA key (PKCS #8 in PEM) by itself. Of `chance`, the key's bytes are not used.
///
/// # Errors
/// When the key cannot be read, or the name cannot stand in a certificate.
pub fn firmware_key(
    name: &str,
    lifetime: Lifetime,
    key: &str,
    chance: &Chance,
    password: Option<&str>,
) -> Result<NewKey, String> {
    let document = SecretDocument::from_pem(key).map_err(|_| KeyError::NoKey.to_string())?.1;
    let pair = ring::rsa::KeyPair::from_pkcs8(document.as_bytes()).map_err(|_| KeyError::NotRsa)?;
    let by = Rsa(pair);
    let subject = common_name(name)?;
    let profile = CertificateProfile { issuer: subject.clone(), subject, authority: false };
    let certificate = certify(profile, by.public()?, (&by, &|d| rsa_signature(&by.0, d)), lifetime, chance)?;
    made(&document, chance, password, &[certificate])
}

impl crate::Signer {
    /// Reads an RSA key and its certificate, whatever that is for: firmware does not ask.
    ///
    /// # Errors
    /// Why they cannot sign programs.
    pub fn open_for_firmware(text: &str, password: Option<&str>) -> Result<Self, KeyError> {
        let signer = Self::open_any(text, password)?;
        if matches!(signer.key, PrivateKey::Rsa(_)) { Ok(signer) } else { Err(KeyError::NotRsa) }
    }

    /// The bare signature over SHA-256 of `data`.
    #[must_use]
    pub fn sign_bare(&self, data: &[u8]) -> Vec<u8> {
        self.key.sign(data)
    }
}

/// An RSA key as the builder of certificates asks for it.
struct Rsa(ring::rsa::KeyPair);

/// Its public half.
#[derive(Clone)]
struct Public(Vec<u8>);

impl Rsa {
    fn public(&self) -> Result<SubjectPublicKeyInfoOwned, String> {
        SubjectPublicKeyInfoOwned::from_key(&self.verifying_key()).map_err(|e| e.to_string())
    }
}

impl Keypair for Rsa {
    type VerifyingKey = Public;

    fn verifying_key(&self) -> Public {
        Public(self.0.public().as_ref().to_vec())
    }
}

impl DynSignatureAlgorithmIdentifier for Rsa {
    fn signature_algorithm_identifier(&self) -> spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(Any::from(Null)) })
    }
}

impl EncodePublicKey for Public {
    fn to_public_key_der(&self) -> spki::Result<Document> {
        let algorithm = AlgorithmIdentifierOwned { oid: RSA_ENCRYPTION, parameters: Some(Any::from(Null)) };
        let subject_public_key = BitString::from_bytes(&self.0)?;
        Ok(Document::encode_msg(&SubjectPublicKeyInfoOwned { algorithm, subject_public_key })?)
    }
}
