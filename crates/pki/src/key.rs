//! A key that signs, with the certificates that say whose it is: one PEM text.

use der::{
    Any, Decode as _,
    asn1::{BitString, ObjectIdentifier},
};
use p256::ecdsa::{self, signature::Signer as _};
use pkcs8::{DecodePrivateKey as _, EncryptedPrivateKeyInfo, SecretDocument};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use crate::{
    Seconds,
    cert::{Certificate, Hash, certificates},
    cms, pem,
};

pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Signs files for iPXE.
pub struct Signer {
    pub(crate) key: PrivateKey,
    /// The signer's own certificate, then those above it.
    chain: Vec<Certificate>,
}

pub(crate) enum PrivateKey {
    /// ring's: the crate `rsa` has an open advisory (RUSTSEC-2023-0071).
    Rsa(Box<ring::rsa::KeyPair>),
    P256(Box<ecdsa::SigningKey>),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.certificate().subject())
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing of the kind.
    #[error(
        "no `PRIVATE KEY` or `ENCRYPTED PRIVATE KEY` in PEM (`openssl pkcs8 -topk8` converts other forms)"
    )]
    NoKey,
    /// It is locked.
    #[error("the key has a password")]
    Locked,
    /// Another password locked it.
    #[error("the password is wrong, or the key is damaged")]
    WrongPassword,
    /// What iPXE does not know, or we do not.
    #[error("the key is neither RSA (2048 bits or more) nor EC P-256")]
    Kind,
    /// What firmware does not know.
    #[error("the key is not RSA of 2048 bits or more, by which alone firmware checks signatures")]
    NotRsa,
    /// The certificate is missing.
    #[error("the file has no certificate after the key")]
    NoCertificate,
    /// The first certificate is not the key's.
    #[error("the first certificate is not of this key")]
    OtherCertificate,
    /// iPXE would refuse it.
    #[error("the first certificate lacks digitalSignature or codeSigning, without which iPXE refuses it")]
    NotForCode,
}

impl Signer {
    /// Reads a key and its certificates.
    ///
    /// # Errors
    /// Why they cannot sign files.
    pub fn open(text: &str, password: Option<&str>) -> Result<Self, KeyError> {
        let signer = Self::open_any(text, password)?;
        if !signer.certificate().signs_code() {
            return Err(KeyError::NotForCode);
        }
        Ok(signer)
    }

    /// The same for a key of any use: an authority's too.
    pub(crate) fn open_any(text: &str, password: Option<&str>) -> Result<Self, KeyError> {
        let key = PrivateKey::read(&private_key(text, password)?)?;
        let chain = certificates(text).filter(|c| !c.is_empty()).ok_or(KeyError::NoCertificate)?;
        let signer = Self { key, chain };
        let proof = signer.key.sign(b"proof");
        if !signer.certificate().verifies(Hash::Sha256, b"proof", &proof) {
            return Err(KeyError::OtherCertificate);
        }
        Ok(signer)
    }

    /// Whether a text holds a key that cannot be read without its password.
    #[must_use]
    pub fn is_locked(text: &str) -> bool {
        pem::blocks(text).iter().any(|(label, _)| *label == "ENCRYPTED PRIVATE KEY")
    }

    /// The signer's own certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }

    /// A detached signature over `data`, in DER.
    ///
    /// # Errors
    /// None that a key which was opened can meet.
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyError> {
        cms::message(&self.chain, self.key.algorithm(), self.key.sign(data)).map_err(|_| KeyError::Kind)
    }

    /// When iPXE begins to refuse what it signs.
    #[must_use]
    pub fn until(&self) -> Seconds {
        self.chain.iter().map(Certificate::not_after).min().unwrap_or_default()
    }
}

impl PrivateKey {
    fn read(pkcs8: &SecretDocument) -> Result<Self, KeyError> {
        if let Ok(key) = ecdsa::SigningKey::from_pkcs8_der(pkcs8.as_bytes()) {
            return Ok(Self::P256(Box::new(key)));
        }
        let rsa = ring::rsa::KeyPair::from_pkcs8(pkcs8.as_bytes()).map_err(|_| KeyError::Kind)?;
        Ok(Self::Rsa(Box::new(rsa)))
    }

    /// A signature over SHA-256 of `data`. Both kinds are deterministic: PKCS #1 v1.5, and ECDSA by RFC 6979.
    pub(crate) fn sign(&self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => rsa_signature(key, data),
            Self::P256(key) => {
                let signature: ecdsa::DerSignature = key.sign(data);
                signature.as_bytes().to_vec()
            }
        }
    }

    /// How a message names it.
    fn algorithm(&self) -> AlgorithmIdentifierOwned {
        match self {
            Self::Rsa(_) => of_rsa(RSA_ENCRYPTION),
            Self::P256(_) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        }
    }

    /// How a certificate names it.
    pub(crate) fn certifies_with(&self) -> AlgorithmIdentifierOwned {
        match self {
            Self::Rsa(_) => of_rsa(SHA256_WITH_RSA),
            Self::P256(_) => self.algorithm(),
        }
    }

    /// Its public half.
    pub(crate) fn public(&self) -> Result<SubjectPublicKeyInfoOwned, String> {
        match self {
            Self::Rsa(key) => {
                let subject_public_key = BitString::from_bytes(key.public().as_ref());
                let subject_public_key = subject_public_key.map_err(|e| e.to_string())?;
                Ok(SubjectPublicKeyInfoOwned { algorithm: of_rsa(RSA_ENCRYPTION), subject_public_key })
            }
            Self::P256(key) => {
                SubjectPublicKeyInfoOwned::from_key(*key.verifying_key()).map_err(|e| e.to_string())
            }
        }
    }
}

/// An algorithm of RSA's, all of which have empty parameters.
fn of_rsa(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}

fn rsa_signature(key: &ring::rsa::KeyPair, data: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public().modulus_len()];
    let chance = ring::rand::SystemRandom::new(); // for blinding: the result does not depend on it
    key.sign(&ring::signature::RSA_PKCS1_SHA256, &chance, data, &mut signature)
        .expect("the buffer is as long as the modulus");
    signature
}

fn private_key(text: &str, password: Option<&str>) -> Result<SecretDocument, KeyError> {
    for (label, block) in pem::blocks(text) {
        if label != "PRIVATE KEY" && label != "ENCRYPTED PRIVATE KEY" {
            continue;
        }
        // Some programs write Windows' line ends, or spaces at the ends.
        let lines: Vec<&str> = block.lines().map(str::trim).collect();
        let block = Zeroizing::new(lines.join("\n"));
        let (_, document) = SecretDocument::from_pem(&block).map_err(|_| KeyError::NoKey)?;
        if label == "PRIVATE KEY" {
            return Ok(document);
        }
        let password = password.ok_or(KeyError::Locked)?;
        let locked = EncryptedPrivateKeyInfo::from_der(document.as_bytes());
        let locked = locked.map_err(|_| KeyError::NoKey)?;
        return locked.decrypt(password).map_err(|_| KeyError::WrongPassword);
    }
    Err(KeyError::NoKey)
}
