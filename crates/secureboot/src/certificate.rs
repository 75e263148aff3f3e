//! X.509 certificates with RSA keys, as firmware, shim and distributions use them.

use der::{Decode as _, Encode as _};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey,
};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// The certificates by which firmware trusts other people's programs, by SHA-256: "Microsoft Corporation UEFI CA 2011" and
/// "Microsoft UEFI CA 2023" (<https://learn.microsoft.com/windows-hardware/manufacture/desktop/windows-secure-boot-key-creation-and-management-guidance>).
pub const MICROSOFT: [&str; 2] = [
    "48e99b991f57fc52f76149599bff0a58c47154229b9f8d603ac40d3500248507",
    "f6124e34125bee3fe6d79a574eaa7b91c0e7bd9d929c1a321178efd611dad901",
];

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaCertificate(pub(crate) x509_cert::Certificate);

impl RsaCertificate {
    /// Reads DER, with nothing behind it.
    ///
    /// # Errors
    /// When it is not a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        x509_cert::Certificate::from_der(der).map(Self).map_err(|e| Error::Certificate(e.to_string()))
    }

    /// Reads the certificates of a PEM text, in order.
    ///
    /// # Errors
    /// When it holds none, or something else.
    pub fn from_pem(text: &str) -> Result<Vec<Self>, Error> {
        let all = x509_cert::Certificate::load_pem_chain(text.as_bytes());
        all.map(|all| all.into_iter().map(Self).collect()).map_err(|e| Error::Certificate(e.to_string()))
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        self.0.to_der().map_err(|e| Error::Certificate(e.to_string()))
    }

    /// Its SHA-256, in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.to_der().map(|der| hex(&Sha256::digest(der))).unwrap_or_default()
    }

    /// The common name of whom it is about; the whole name where it has none.
    #[must_use]
    pub fn subject(&self) -> String {
        common_name(&self.0.tbs_certificate.subject.to_string())
    }

    /// Whether the key of `authority` signed it.
    #[must_use]
    pub fn is_issued_by(&self, authority: &Self) -> bool {
        let Some(signature) = self.0.signature.as_bytes() else { return false };
        let Ok(signed) = self.0.tbs_certificate.to_der() else { return false };
        self.0.tbs_certificate.issuer == authority.0.tbs_certificate.subject
            && authority.verifies(&self.0.signature_algorithm.oid.to_string(), &signed, signature)
    }

    /// Whether its key signed `message`; `algorithm` is the object identifier of RSA with a hash.
    pub(crate) fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let parameters: &RsaParameters = match algorithm {
            "1.2.840.113549.1.1.11" => &RSA_PKCS1_2048_8192_SHA256,
            "1.2.840.113549.1.1.12" => &RSA_PKCS1_2048_8192_SHA384,
            "1.2.840.113549.1.1.13" => &RSA_PKCS1_2048_8192_SHA512,
            _ => return false,
        };
        let key = self.0.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes();
        UnparsedPublicKey::new(parameters, key).verify(message, signature).is_ok()
    }
}

fn common_name(name: &str) -> String {
    name.split(',').find_map(|part| part.strip_prefix("CN=")).unwrap_or(name).to_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
