//! Signatures by a person's key: Authenticode on a program, and lists of keys for a firmware to take.
//!
//! RSA by PKCS #1 v1.5 and no time of signing: the same key signs the same program with the same bytes. `sbsign` writes
//! the time.

use authenticode::{
    DigestInfo, SPC_INDIRECT_DATA_OBJID, SpcAttributeTypeAndOptionalValue, SpcIndirectDataContent,
    WIN_CERT_REVISION_2_0, WIN_CERT_TYPE_PKCS_SIGNED_DATA,
};
use cms::{
    cert::{CertificateChoices, IssuerAndSerialNumber},
    content_info::{CmsVersion, ContentInfo},
    signed_data::{
        CertificateSet, EncapsulatedContentInfo, SignedAttributes, SignedData, SignerIdentifier, SignerInfo,
        SignerInfos,
    },
};
use der::{
    Any, Decode as _, Encode as _, Tag,
    asn1::{Null, ObjectIdentifier, OctetString, SetOfVec},
};
use sha2::{Digest as _, Sha256};
use x509_cert::{attr::Attribute, spki::AlgorithmIdentifierOwned};

use crate::{Error, Program, RsaCertificate, program::RSA_SHA256, variables};

/// Signs SHA-256 of what it is given by RSA, PKCS #1 v1.5.
pub(crate) type SignFn<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// `SPC_PE_IMAGE_DATAOBJ`.
const PE_IMAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");
/// `SpcPeImageData` without flags, its file an empty string, as every signing program writes it.
const PE_IMAGE_DATA: [u8; 11] = [0x30, 9, 3, 1, 0, 0xa0, 4, 0xa2, 2, 0x80, 0];
/// Signatures, and the table of them, begin on multiples of so many bytes.
const ALIGNED: usize = 8;
/// Bytes of a `WIN_CERTIFICATE` in front of its signature.
const ENTRY: usize = 8;
/// `WIN_CERT_TYPE_EFI_GUID`.
const OF_A_GUID: u16 = 0x0ef1;
/// `EFI_CERT_TYPE_PKCS7_GUID` 4aafd29d-68df-49ee-8aa9-347d375665a7.
const PKCS7: [u8; 16] =
    [0x9d, 0xd2, 0xaf, 0x4a, 0xdf, 0x68, 0xee, 0x49, 0x8a, 0xa9, 0x34, 0x7d, 0x37, 0x56, 0x65, 0xa7];
/// How `db` is written: kept over power-offs, for firmware and system, signed with a time, behind what is there.
const APPEND: u32 = 0x67;

/// `program` with a signature by the key of `certificate`, behind those that it has.
///
/// # Errors
/// When it is not an EFI program, has no room for a signature in its header, or the key is another's.
pub fn sign(program: &[u8], certificate: &RsaCertificate, key: SignFn<'_>) -> Result<Vec<u8>, Error> {
    let wrong = |text: &str| Error::Program(text.to_owned());
    let place =
        Program::signatures_at(program).ok_or_else(|| wrong("its header has no room for signatures"))?;
    let mut out = program.to_vec();
    let (mut at, size) = (word(program, place.start), word(program, place.start + 4));
    if size == 0 {
        out.resize(out.len().next_multiple_of(ALIGNED), 0);
        at = out.len();
    } else if at.checked_add(size) != Some(program.len()) || at % ALIGNED != 0 {
        return Err(wrong("something follows its signatures"));
    }
    let digest = Program::read(&out)?.digest;
    let signature = authenticode(&digest, certificate, key).map_err(|e| Error::Signature(e.to_string()))?;
    let length = u32::try_from(ENTRY + signature.len()).map_err(|_| wrong("its signature is too long"))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&WIN_CERT_REVISION_2_0.to_le_bytes());
    out.extend_from_slice(&WIN_CERT_TYPE_PKCS_SIGNED_DATA.to_le_bytes());
    out.extend_from_slice(&signature);
    out.resize(out.len().next_multiple_of(ALIGNED), 0);
    let table = [at, out.len() - at].map(u32::try_from).map(|n| n.unwrap_or(u32::MAX).to_le_bytes());
    out[place].copy_from_slice(table.as_flattened());
    match Program::read(&out)?.signatures.last() {
        Some(made) if made.signer == *certificate => Ok(out),
        _ => Err(Error::Signature("it cannot be read back".to_owned())),
    }
}

/// What was signed: the program without its last signature. Zeros that [`sign`] put in front of it stay. `None` for a
/// program without signatures.
#[must_use]
pub fn without_last(program: &[u8]) -> Option<Vec<u8>> {
    let place = Program::signatures_at(program)?;
    let (at, size) = (word(program, place.start), word(program, place.start + 4));
    let end = at.checked_add(size).filter(|end| size > 0 && *end <= program.len())?;
    let mut last = at;
    while let Some(next) = Some(last + word(program, last).next_multiple_of(ALIGNED)).filter(|n| *n < end) {
        if next <= last {
            return None;
        }
        last = next;
    }
    let mut out = program[..last].to_vec();
    let (at, size) = if last == at { (0, 0) } else { (at, last - at) };
    let table = [at, size].map(u32::try_from).map(|n| n.unwrap_or(u32::MAX).to_le_bytes());
    out[place].copy_from_slice(table.as_flattened());
    Some(out)
}

/// An `EFI_SIGNATURE_LIST` of this certificate: what firmware's menu or `mokutil` adds to its keys.
///
/// # Errors
/// When the certificate cannot be written.
pub fn key_list(certificate: &RsaCertificate) -> Result<Vec<u8>, Error> {
    Ok(variables::certificate_list(&certificate.to_der()?))
}

/// The same for `SetVariable`: an addition to `db`, signed by the certificate's own key. Firmware takes it while it has
/// no platform key (setup mode), or where the certificate is among those that may change `db` (`KEK`). `time` is in seconds
/// since 1970.
///
/// # Errors
/// When the certificate cannot be written.
pub fn key_update(certificate: &RsaCertificate, key: SignFn<'_>, time: u64) -> Result<Vec<u8>, Error> {
    let time = efi_time(time).map_err(|e| Error::Signature(e.to_string()))?;
    let list = key_list(certificate)?;
    update(certificate, &time, &list, key(&said(&time, &list)))
}

/// Whether `bytes` are a [`key_update`] of this certificate, whenever it was made.
///
/// # Errors
/// Why it is not one.
pub fn check_key_update(bytes: &[u8], certificate: &RsaCertificate) -> Result<(), Error> {
    let wrong = |text: &str| Error::Signature(text.to_owned());
    let time = bytes.first_chunk().ok_or_else(|| wrong("it is too short"))?;
    let end = time.len() + word(bytes, time.len());
    let signed = bytes.get(time.len() + ENTRY + PKCS7.len()..end).and_then(|b| SignedData::from_der(b).ok());
    let infos = signed.as_ref().map(|s| s.signer_infos.0.as_slice()).unwrap_or_default();
    let [info] = infos else { return Err(wrong("it has no signature")) };
    let (list, signature) = (key_list(certificate)?, info.signature.as_bytes());
    if !certificate.verifies(RSA_SHA256, &said(time, &list), signature) {
        return Err(wrong("it was not made by this certificate's key"));
    }
    match update(certificate, time, &list, signature.to_vec())? == bytes {
        true => Ok(()),
        false => Err(wrong("it holds more than this certificate")),
    }
}

/// What the signature of an update is over: name, vendor and attributes of the variable, the time, the data.
fn said(time: &[u8; 16], list: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = "db".encode_utf16().flat_map(u16::to_le_bytes).collect();
    [&name[..], &variables::SECURITY, &APPEND.to_le_bytes(), time, list].concat()
}

/// An `EFI_VARIABLE_AUTHENTICATION_2` and the data.
fn update(
    certificate: &RsaCertificate,
    time: &[u8; 16],
    list: &[u8],
    signature: Vec<u8>,
) -> Result<Vec<u8>, Error> {
    let content = EncapsulatedContentInfo { econtent_type: DATA, econtent: None };
    let signed = signed_data(content, None, certificate, signature).and_then(|s| s.to_der());
    let signed = signed.map_err(|e| Error::Signature(e.to_string()))?;
    let length = u32::try_from(ENTRY + PKCS7.len() + signed.len()).unwrap_or(u32::MAX);
    let head = [&length.to_le_bytes()[..], &WIN_CERT_REVISION_2_0.to_le_bytes(), &OF_A_GUID.to_le_bytes()];
    Ok([&time[..], &head.concat(), &PKCS7, &signed, list].concat())
}

/// An `EFI_TIME`.
fn efi_time(seconds: u64) -> der::Result<[u8; 16]> {
    let date = der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?;
    let mut time = [0; 16];
    time[..2].copy_from_slice(&date.year().to_le_bytes());
    time[2..7].copy_from_slice(&[date.month(), date.day(), date.hour(), date.minutes(), date.seconds()]);
    Ok(time)
}

fn authenticode(digest: &[u8; 32], by: &RsaCertificate, key: SignFn<'_>) -> der::Result<Vec<u8>> {
    let content = SpcIndirectDataContent {
        data: SpcAttributeTypeAndOptionalValue {
            value_type: PE_IMAGE,
            value: Any::from_der(&PE_IMAGE_DATA)?,
        },
        message_digest: DigestInfo { digest_algorithm: sha256(), digest: OctetString::new(*digest)? },
    };
    let content = Any::encode_from(&content)?;
    let said = Any::new(Tag::OctetString, Sha256::digest(content.value()).to_vec())?;
    let attributes: SignedAttributes = SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&SPC_INDIRECT_DATA_OBJID)?)?,
        attribute(MESSAGE_DIGEST, said)?,
    ])?;
    let signature = key(&attributes.to_der()?);
    let content = EncapsulatedContentInfo { econtent_type: SPC_INDIRECT_DATA_OBJID, econtent: Some(content) };
    let signed = signed_data(content, Some(attributes), by, signature)?;
    ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&signed)? }.to_der()
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}

fn signed_data(
    content: EncapsulatedContentInfo,
    attributes: Option<SignedAttributes>,
    by: &RsaCertificate,
    signature: Vec<u8>,
) -> der::Result<SignedData> {
    let tbs = &by.0.tbs_certificate;
    let (issuer, serial_number) = (tbs.issuer.clone(), tbs.serial_number.clone());
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber { issuer, serial_number }),
        digest_alg: sha256(),
        signed_attrs: attributes,
        signature_algorithm: AlgorithmIdentifierOwned { oid: RSA, parameters: Some(Any::from(Null)) },
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let certificate = CertificateChoices::Certificate(by.0.clone());
    Ok(SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha256()])?,
        encap_content_info: content,
        certificates: Some(CertificateSet(SetOfVec::try_from(vec![certificate])?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![info])?),
    })
}

fn sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: SHA256, parameters: Some(Any::from(Null)) }
}

/// The number of 4 bytes at a place; 0 beyond the end.
fn word(bytes: &[u8], at: usize) -> usize {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |word| u32::from_le_bytes(*word) as usize)
}
