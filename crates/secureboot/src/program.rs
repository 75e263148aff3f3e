//! An EFI program: its Authenticode digest, who signed it, its SBAT, and whom a shim trusts.

use authenticode::{AttributeCertificateIterator, AuthenticodeSignature, PeTrait as _, authenticode_digest};
use der::{Encode as _, asn1::OctetString};
use object::{LittleEndian, Object as _, ObjectSection as _, read::pe::PeFile64};
use sha2::{Digest as _, Sha256};

use crate::{Error, RsaCertificate, certificate::hex};

/// The attribute of a signature that holds the digest of what is signed (RFC 5652, 11.2).
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
/// RSA without a hash: the hash is named elsewhere, and firmware takes SHA-256 alone.
const RSA: &str = "1.2.840.113549.1.1.1";
pub(crate) const RSA_SHA256: &str = "1.2.840.113549.1.1.11";

/// What is to know of a program.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its Authenticode SHA-256: of all bytes that are loaded, so without its signatures and its checksum.
    pub digest: [u8; 32],
    /// Its signatures whose bytes are right.
    pub signatures: Vec<Signature>,
    /// What it says of itself in its section `.sbat`: a line per component, its name and generation first.
    pub sbat: Option<String>,
    /// The certificate that a shim trusts besides the firmware's.
    pub vendor: Option<RsaCertificate>,
}

/// A signature that holds for the program that it is in.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Whose key made it.
    pub signer: RsaCertificate,
    /// The certificates that came with it.
    pub others: Vec<RsaCertificate>,
}

impl Signature {
    /// Whether the chain from the signer leads to `authority`, by its own key or through certificates that came along.
    #[must_use]
    pub fn leads_to(&self, authority: impl Fn(&RsaCertificate) -> bool) -> Option<&RsaCertificate> {
        let mut at = &self.signer;
        // As many steps as there are certificates; a circle ends as well.
        for _ in 0..=self.others.len() {
            if authority(at) {
                return Some(at);
            }
            at = self.others.iter().find(|other| *other != at && at.is_issued_by(other))?;
        }
        None
    }
}

/// Feeds SHA-256 of one version of `digest` from another.
struct AuthenticodeHasher(Sha256);

impl digest::Update for AuthenticodeHasher {
    fn update(&mut self, data: &[u8]) {
        sha2::Digest::update(&mut self.0, data);
    }
}

impl Program {
    /// Reads a program for x86-64. A signature that does not hold is an error: firmware may read another than we do.
    ///
    /// # Errors
    /// When it is not a program, or one of its signatures is not of its bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |e: &dyn std::fmt::Display| Error::Program(e.to_string());
        let pe = PeFile64::parse(bytes).map_err(|e| wrong(&e))?;
        let mut hash = AuthenticodeHasher(Sha256::new());
        authenticode_digest(&pe, &mut hash).map_err(|e| wrong(&e))?;
        let digest: [u8; 32] = hash.0.finalize().into();
        let mut signatures = Vec::new();
        if pe.certificate_table_range().map_err(|e| wrong(&e))?.is_some_and(|range| !range.is_empty()) {
            let all = AttributeCertificateIterator::new(&pe).map_err(|e| Error::Signature(e.to_string()))?;
            for one in all.into_iter().flatten() {
                let one = one.map_err(|e| Error::Signature(e.to_string()))?;
                let signature =
                    one.get_authenticode_signature().map_err(|e| Error::Signature(e.to_string()))?;
                signatures.push(checked(&signature, &digest)?);
            }
        }
        let section = |name| pe.section_by_name(name).and_then(|s| s.data().ok());
        let sbat = section(".sbat").map(|data| text(data).trim_end().to_owned());
        let vendor = section(".vendor_cert").and_then(vendor_certificate);
        Ok(Self { digest, signatures, sbat, vendor })
    }

    /// Its Authenticode SHA-256, in hexadecimal digits.
    #[must_use]
    pub fn digest_hex(&self) -> String {
        hex(&self.digest)
    }

    /// Where in a program the length of its signatures is written, in bytes from its start: all zeros there, and it is
    /// unsigned.
    #[must_use]
    pub fn signatures_at(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
        let pe = PeFile64::parse(bytes).ok()?;
        let header = usize::try_from(pe.dos_header().e_lfanew.get(LittleEndian)).ok()?;
        // Behind the COFF header (24 bytes) and 112 bytes of the optional header lie the directories, 8 bytes each: the
        // fifth is the one of certificates (Microsoft's PE format, "Optional Header Data Directories"); how many there are
        // stands in front of them.
        let at = header + 24 + 112 + 4 * 8;
        let directories = bytes.get(header + 24 + 108..)?.first_chunk().map(|n| u32::from_le_bytes(*n))?;
        Some(at..at + 8).filter(|range| directories > 4 && range.end <= bytes.len())
    }
}

/// The first text of a section, which zeros follow.
fn text(data: &[u8]) -> String {
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    String::from_utf8_lossy(&data[..end]).into_owned()
}

/// The certificate in shim's table: sizes and places of what it trusts and what it refuses (shim's `cert.S`).
fn vendor_certificate(section: &[u8]) -> Option<RsaCertificate> {
    let word = |at: usize| Some(u32::from_le_bytes(section.get(at..at + 4)?.try_into().ok()?) as usize);
    let (length, at) = (word(0)?, word(8)?);
    RsaCertificate::from_der(section.get(at..at.checked_add(length)?)?).ok()
}

/// A signature whose three digests fit: of the program, of what says so, and by the signer's key.
fn checked(signature: &AuthenticodeSignature, digest: &[u8; 32]) -> Result<Signature, Error> {
    let wrong = |text: &str| Error::Signature(text.to_owned());
    if signature.digest() != digest {
        return Err(wrong("it belongs to another program, or a byte was changed after signing"));
    }
    let all: Vec<RsaCertificate> = signature.certificates().cloned().map(RsaCertificate).collect();
    let info = signature.signer_info();
    let cms::signed_data::SignerIdentifier::IssuerAndSerialNumber(id) = &info.sid else {
        return Err(wrong("it does not name its signer by issuer and number"));
    };
    let named = |c: &&RsaCertificate| {
        let tbs = &c.0.tbs_certificate;
        tbs.issuer == id.issuer && tbs.serial_number == id.serial_number
    };
    let signer =
        all.iter().find(named).ok_or_else(|| wrong("its signer's certificate is not in it"))?.clone();
    let content = signature.encapsulated_content().ok_or_else(|| wrong("it signs nothing"))?;
    let attributes = info.signed_attrs.as_ref().ok_or_else(|| wrong("it has no signed attributes"))?;
    let said = attributes.iter().find(|a| a.oid.to_string() == MESSAGE_DIGEST);
    let said = said.and_then(|a| a.values.get(0)?.decode_as::<OctetString>().ok());
    if said.is_none_or(|said| said.as_bytes() != Sha256::digest(content).as_slice()) {
        return Err(wrong("what it signs is not what it says"));
    }
    let message = attributes.to_der().map_err(|e| Error::Signature(e.to_string()))?;
    let algorithm = match info.signature_algorithm.oid.to_string() {
        rsa if rsa == RSA => RSA_SHA256.to_owned(),
        other => other,
    };
    if !signer.verifies(&algorithm, &message, signature.signature()) {
        return Err(wrong("it was not made by its signer's key"));
    }
    Ok(Signature { others: all.into_iter().filter(|c| *c != signer).collect(), signer })
}
