//! A key for Secure Boot: RSA, since firmware checks by nothing else, with a certificate of its own.

use pkcs8::SecretDocument;

use crate::{
    key::{KeyError, PrivateKey},
    make::{CertificateProfile, Chance, Lifetime, NewKey, certify, common_name, made},
};

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
    let by = PrivateKey::Rsa(Box::new(pair));
    let subject = common_name(name)?;
    let profile = CertificateProfile { issuer: subject.clone(), subject, authority: false };
    let certificate = certify(profile, by.public()?, &by, lifetime, chance)?;
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
