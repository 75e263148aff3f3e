//! Bytes of an image by position, from a file or from memory, and the fields of ISO 9660 in them.

use crate::error::{ErrorContext as _, ErrorKind, Result};
use std::{fs::File, io};

use super::bad;

/// No structure of an image is read into memory beyond this.
const MOST: u64 = 64 << 20;

/// Bytes by position. The position is given to each read, so that readers can share a file.
pub trait ReadAt {
    /// The length in bytes.
    ///
    /// # Errors
    /// When the file system does not tell.
    fn size(&self) -> io::Result<u64>;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// When the end comes first or the file cannot be read.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        match self.metadata()?.len() {
            // A disk or stick has no length of its own; its end does. All reads name their position.
            0 => io::Seek::seek(&mut &*self, io::SeekFrom::End(0)),
            length => Ok(length),
        }
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }

    #[cfg(windows)]
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let rest = usize::try_from(offset).ok().and_then(|o| self.get(o..)).unwrap_or_default();
        let from = rest.get(..buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(from);
        Ok(())
    }
}

/// The bytes of an image from a position on, which is where a partition begins.
pub(super) struct PartitionBytes<'a> {
    pub(super) source: &'a dyn ReadAt,
    pub(super) from: u64,
}

impl ReadAt for PartitionBytes<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.source.size()?.saturating_sub(self.from))
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let offset = self.from.checked_add(offset).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.source.read_exact_at(buf, offset)
    }
}

/// `length` bytes at `offset`, checked against the length of the image before memory is taken.
pub(super) fn bytes(source: &dyn ReadAt, offset: u64, length: u64) -> Result<Vec<u8>> {
    inside(source, offset, length)?;
    if length > MOST {
        return Err(bad(offset, format!("a structure of {length} bytes is longer than any real one")));
    }
    let mut buf = vec![0; usize::try_from(length)?];
    source
        .read_exact_at(&mut buf, offset)
        .explain(ErrorKind::Image, || format!("cannot read {length} bytes at byte {offset}"))?;
    Ok(buf)
}

/// Fails when `length` bytes at `offset` go beyond the end.
pub(super) fn inside(source: &dyn ReadAt, offset: u64, length: u64) -> Result<()> {
    let end = source.size()?;
    match offset.checked_add(length) {
        Some(last) if last <= end => Ok(()),
        _ => Err(bad(offset, format!("{length} bytes should be here, but the file ends at byte {end}"))),
    }
}

/// Bytes with the position that they come from, for fields and errors.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: u64,
}

impl<'a> Field<'a> {
    pub(super) fn new(bytes: &'a [u8], at: u64) -> Self {
        Self { bytes, at }
    }

    /// A part of it.
    pub(super) fn part(self, from: usize, length: usize) -> Result<Self> {
        let part = from.checked_add(length).and_then(|end| self.bytes.get(from..end));
        let at = self.at + from as u64;
        part.map(|bytes| Field { bytes, at })
            .ok_or_else(|| bad(at, format!("a field of {length} bytes ends beyond its record")))
    }

    pub(super) fn byte(self, from: usize) -> Result<u8> {
        Ok(self.part(from, 1)?.bytes[0])
    }

    pub(super) fn le16(self, from: usize) -> Result<u16> {
        let b = self.part(from, 2)?.bytes;
        Ok(u16::from_le_bytes([b[0], b[1]]))
    }

    pub(super) fn le32(self, from: usize) -> Result<u32> {
        let b = self.part(from, 4)?.bytes;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub(super) fn le64(self, from: usize) -> Result<u64> {
        Ok(u64::from(self.le32(from)?) | u64::from(self.le32(from + 4)?) << 32)
    }

    /// A number that is recorded twice, little-endian first. Copies that differ show damage, or a tool that
    /// edited one of them; which one a loader reads is not known, so it is an error.
    pub(super) fn both32(self, from: usize) -> Result<u32> {
        let little = self.le32(from)?;
        let b = self.part(from + 4, 4)?.bytes;
        let big = u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
        if little == big {
            return Ok(little);
        }
        Err(bad(self.at + from as u64, format!("the little-endian copy says {little}, the big-endian {big}")))
    }

    /// As [`Field::both32`], for 16 bits.
    pub(super) fn both16(self, from: usize) -> Result<u16> {
        let little = self.le16(from)?;
        let b = self.part(from + 2, 2)?.bytes;
        let big = u16::from_be_bytes([b[0], b[1]]);
        if little == big {
            return Ok(little);
        }
        Err(bad(self.at + from as u64, format!("the little-endian copy says {little}, the big-endian {big}")))
    }
}
