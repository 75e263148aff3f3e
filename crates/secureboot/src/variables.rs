//! The store in which OVMF keeps UEFI variables: keys enrolled and programs revoked, without starting the machine.
//!
//! Format: EDK II, `MdeModulePkg/Include/Guid/VariableFormat.h`; a firmware volume, in it a header, then one authenticated
//! variable after another, each on a multiple of 4 bytes.

use crate::Error;

/// `gEfiAuthenticatedVariableGuid` aaf32c78-947b-439a-a180-2e144ec37792.
const STORE: [u8; 16] =
    [0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92];
/// `EFI_IMAGE_SECURITY_DATABASE_GUID` d719b2cb-3d3a-4596-a3bc-dad00e67656f: of `db` and `dbx`.
pub(crate) const SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
/// `EFI_CERT_SHA256_GUID` c1c41626-504c-4092-aca9-41f936934328.
const SHA256: [u8; 16] =
    [0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28];
/// `EFI_CERT_X509_GUID` a5c059a1-94e4-4aa7-87b5-ab155c2bf072.
const X509: [u8; 16] =
    [0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72];
/// Who put a key there: a GUID of version 8 (RFC 9562) of this project's own.
const OWNER: [u8; 16] = *b"boot-m\x64\x81\x85edia-vm";
/// Bytes of the header of the store, and of a variable.
const STORE_HEADER: usize = 28;
const HEADER: usize = 60;
const START: u16 = 0x55aa;
/// A variable that is whole and was not replaced.
const ADDED: u8 = 0x3f;
/// Kept over power-offs, for firmware and system, changed only by what is signed with a time.
const ATTRIBUTES: u32 = 0x27;

/// A store of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variables {
    bytes: Vec<u8>,
    /// Where the first variable begins, and where the store ends.
    from: usize,
    to: usize,
}

struct Found {
    at: usize,
    name: Vec<u8>,
    vendor: [u8; 16],
    data: std::ops::Range<usize>,
    next: usize,
}

impl Variables {
    /// Reads a file such as `OVMF_VARS_4M.ms.fd`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn read(bytes: Vec<u8>) -> Result<Self, Error> {
        let wrong = Error::Variables("is not one of OVMF");
        // The volume's header says how long it is at byte 48.
        let header = bytes.get(48..50).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
        let at = header.filter(|at| bytes.get(*at..at + 16) == Some(&STORE)).ok_or(wrong.clone())?;
        let size = number(&bytes, at + 16).ok_or(wrong.clone())?;
        let to = at.checked_add(size).filter(|to| *to <= bytes.len()).ok_or(wrong)?;
        Ok(Self { bytes, from: at + STORE_HEADER, to })
    }

    /// The bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Has the firmware refuse the program with this Authenticode SHA-256.
    ///
    /// # Errors
    /// When the store is full or damaged.
    pub fn revoke(&mut self, digest: &[u8; 32]) -> Result<(), Error> {
        self.append("dbx", &list(SHA256, digest))
    }

    /// Has the firmware start what the key of this certificate (DER) signed, besides what it starts already.
    ///
    /// # Errors
    /// When the store is full or damaged.
    pub fn trust(&mut self, certificate: &[u8]) -> Result<(), Error> {
        self.append("db", &certificate_list(certificate))
    }

    /// Writes a variable again with more behind it; the old one is marked as replaced.
    fn append(&mut self, name: &str, more: &[u8]) -> Result<(), Error> {
        let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let (mut at, mut old) = (self.from, None);
        while let Some(found) = self.variable(at)? {
            at = found.next;
            if found.name == name && found.vendor == SECURITY && self.bytes[found.at + 2] == ADDED {
                old = Some(found);
            }
        }
        let mut data = old.as_ref().map(|f| self.bytes[f.data.clone()].to_vec()).unwrap_or_default();
        data.extend_from_slice(more);
        let length =
            |n: usize| u32::try_from(n).map_err(|_| Error::Variables("is full")).map(u32::to_le_bytes);
        // The counter and the key's number are zeros; so is the time, which any signed update follows.
        let mut new = [&START.to_le_bytes()[..], &[ADDED, 0], &ATTRIBUTES.to_le_bytes(), &[0; 28]].concat();
        new.extend_from_slice(&length(name.len())?);
        new.extend_from_slice(&length(data.len())?);
        new.extend_from_slice(&SECURITY);
        new.extend_from_slice(&name);
        new.extend_from_slice(&data);
        let end = at + new.len();
        if end > self.to {
            return Err(Error::Variables("is full"));
        }
        if let Some(old) = old {
            self.bytes[old.at + 2] &= 0xfd;
        }
        self.bytes[at..end].copy_from_slice(&new);
        Ok(())
    }

    /// The variable that begins at `at`; none where the free space begins.
    fn variable(&self, at: usize) -> Result<Option<Found>, Error> {
        let store = &self.bytes[..self.to];
        if store.get(at..at + 2) != Some(&START.to_le_bytes()) {
            return Ok(None);
        }
        let read = || {
            let (name, data) = (number(store, at + 36)?, number(store, at + 40)?);
            let vendor = store.get(at + 44..at + HEADER)?.try_into().ok()?;
            let middle = (at + HEADER).checked_add(name)?;
            let end = middle.checked_add(data).filter(|end| *end <= store.len())?;
            let name = store.get(at + HEADER..middle)?.to_vec();
            Some(Found { at, name, vendor, data: middle..end, next: end.next_multiple_of(4) })
        };
        read().map(Some).ok_or(Error::Variables("is damaged"))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

/// The `EFI_SIGNATURE_LIST` of a certificate in DER.
pub(crate) fn certificate_list(certificate: &[u8]) -> Vec<u8> {
    list(X509, certificate)
}

/// An `EFI_SIGNATURE_LIST` of one.
fn list(kind: [u8; 16], what: &[u8]) -> Vec<u8> {
    let one = 16 + what.len();
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    [&kind[..], &length(28 + one), &[0; 4], &length(one), &OWNER, what].concat()
}
