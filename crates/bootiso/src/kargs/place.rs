//! A loader file: its arguments, where its bytes and lengths are in an image, and the patches that change them.

use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;

use super::{
    config::{ArgsLine, LoaderConfig},
    patch::Patch,
};
use crate::{Entry, Extent, Iso, SECTOR, embed::Loader, fat::FatFile};

/// A file with kernel arguments in it.
pub(super) struct ConfigFile {
    /// `/isolinux.cfg`, or `/efi.img:/EFI/BOOT/grub.cfg` for a file of a FAT image.
    pub(super) name: String,
    pub(super) loader: Loader,
    pub(super) text: Text,
    pub(super) config: LoaderConfig,
    pub(super) place: FilePlace,
}

/// Where a file is, and how it may grow.
#[derive(Clone)]
pub(super) struct FilePlace {
    pub(super) size: u64,
    /// What belongs to the file, up to the end of its last sector or cluster.
    pub(super) extents: Vec<Extent>,
    pub(super) length_fields: Vec<LengthField>,
    /// Whether the bytes are not the contents themselves.
    pub(super) is_packed: bool,
}

#[derive(Clone, Copy)]
pub(super) enum LengthField {
    /// A directory record of ISO 9660: both byte orders at 10.
    Iso(u64),
    /// A directory entry of FAT: little-endian at 28.
    Fat(u64),
}

/// A file's text. Menus drawn in an old code page are not UTF-8; those are read byte for character.
pub(super) struct Text {
    pub(super) text: String,
    is_utf8: bool,
}

impl Text {
    pub(super) fn decode(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, is_utf8: true },
            Err(e) => Self { text: e.into_bytes().into_iter().map(char::from).collect(), is_utf8: false },
        }
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u8>> {
        if self.is_utf8 {
            return Ok(text.as_bytes().to_vec());
        }
        let byte = |c| u8::try_from(u32::from(c));
        text.chars().map(byte).collect::<Result<_, _>>().map_err(|_| {
            Error::new(
                ErrorKind::Arguments,
                "the loader's file is not UTF-8, so only Latin-1 can be inserted",
            )
        })
    }
}

/// How GRUB's modules name what they unpack while they read (`gzio`, `xzio`, `lzopio`).
pub(super) fn packing(bytes: &[u8]) -> Option<&'static str> {
    let marks: [(&[u8], &str); 3] = [(b"\x1F\x8B", "gzip"), (b"\xFD7zXZ\0", "xz"), (b"\x89LZO", "lzop")];
    marks.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, name)| *name)
}

impl ConfigFile {
    /// The arguments of a line, in the parts that they stand in.
    pub(super) fn parts(&self, line: &ArgsLine) -> Vec<&str> {
        line.parts.iter().map(|p| arguments(self.loader, &self.text.text[p.clone()])).collect()
    }
}

/// The arguments of a line; `-` is how ISOLINUX writes none.
fn arguments(loader: Loader, text: &str) -> &str {
    if loader == Loader::Isolinux && text == "-" { "" } else { text }
}

/// What the kernel gets of several parts.
pub(super) fn joined(parts: Vec<&str>) -> String {
    parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ")
}

impl FilePlace {
    /// Of a file of the ISO tree. `records` has every directory record of each extent. A file in several parts has no
    /// room at the end of each, and does not grow.
    pub(super) fn of_iso(entry: &Entry, records: &BTreeMap<Extent, Vec<LengthField>>) -> Self {
        let (mut extents, mut length_fields) = (entry.extents.clone(), Vec::new());
        if let [extent] = &mut extents[..] {
            length_fields = records.get(extent).cloned().unwrap_or_default();
            extent.length = extent.length.next_multiple_of(SECTOR);
        }
        Self { size: entry.size, extents, length_fields, is_packed: entry.packing.is_some() }
    }

    /// Of a file of a FAT image.
    pub(super) fn of_fat(file: &FatFile) -> Self {
        Self {
            size: file.size,
            extents: file.clusters.clone(),
            length_fields: vec![LengthField::Fat(file.record)],
            is_packed: false,
        }
    }

    /// Why its text is not read as a configuration of at most `longest` bytes.
    pub(super) fn unread(&self, longest: u64) -> Option<String> {
        match self.size > longest {
            _ if self.is_packed => Some("it is packed (zisofs)".to_owned()),
            true => Some(format!("it has {} bytes, more than any real configuration", self.size)),
            false => None,
        }
    }

    /// `length` bytes from `offset` of what belongs to the file.
    pub(super) fn part(&self, iso: &Iso, offset: u64, length: u64) -> Result<Vec<u8>> {
        let (mut skip, mut left) = (offset, length);
        let mut bytes = Vec::new();
        for extent in &self.extents {
            let here = extent.length.saturating_sub(skip).min(left);
            if here > 0 {
                bytes.extend(iso.bytes(extent.offset + skip, here)?);
            }
            skip = skip.saturating_sub(extent.length);
            left -= here;
        }
        Ok(bytes)
    }

    /// The patches for new contents.
    pub(super) fn patches(&self, iso: &Iso, old: &[u8], new: &[u8]) -> Result<Vec<Patch>> {
        let mut patches = Vec::new();
        let mut at = 0;
        for extent in &self.extents {
            let end = new.len().min(at + usize::try_from(extent.length)?);
            let new = &new[at..end];
            let offset = extent.offset;
            patches.push(Patch::new(offset, iso.bytes(offset, new.len() as u64)?, new.to_vec()));
            at = end;
        }
        if new.len() != old.len() {
            for field in &self.length_fields {
                patches.push(field.patch(iso, u32::try_from(new.len())?)?);
            }
        }
        Ok(patches)
    }
}

impl LengthField {
    fn patch(self, iso: &Iso, length: u32) -> Result<Patch> {
        let (offset, new) = match self {
            Self::Iso(at) => (at + 10, [length.to_le_bytes(), length.to_be_bytes()].concat()),
            Self::Fat(at) => (at + 28, length.to_le_bytes().to_vec()),
        };
        Ok(Patch { offset, old: iso.bytes(offset, new.len() as u64)?, new, is_length: true })
    }
}
