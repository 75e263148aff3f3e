//! The El Torito catalog: what firmware may start from the disc (El Torito 1.0, section 2).

use crate::error::Result;
use serde::Serialize;

use super::{
    SECTOR, bad,
    source::{self, Field, ReadAt},
};

const ENTRY: usize = 32;
/// What an entry that firmware may start begins with.
const BOOTABLE: u8 = 0x88;
/// A sector of entries; real catalogs have two or three.
const MOST: usize = SECTOR as usize / ENTRY;

/// One thing that firmware may start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootEntry {
    /// `bios`, `efi`, or the platform's number.
    pub platform: String,
    /// Whether firmware may start it.
    pub bootable: bool,
    /// `none`, or the floppy or disk that is emulated.
    pub emulation: String,
    /// Where the image is, in bytes.
    pub offset: u64,
    /// How much of it is said to be loaded, in bytes. BIOS loaders often say four sectors of 512 and load
    /// the rest themselves; UEFI images often say less than they are.
    pub length: u64,
}

/// Reads the catalog at `sector`.
pub(super) fn read(source: &dyn ReadAt, sector: Option<u32>) -> Result<Vec<BootEntry>> {
    let Some(sector) = sector else { return Ok(Vec::new()) };
    let at = u64::from(sector) * SECTOR;
    let bytes = source::bytes(source, at, SECTOR)?;
    let catalog = Field::new(&bytes, at);
    let head = catalog.part(0, ENTRY)?;
    let sum = head.bytes.chunks_exact(2).fold(0u16, |s, c| s.wrapping_add(u16::from_le_bytes([c[0], c[1]])));
    if head.byte(0)? != 1 || head.le16(30)? != 0xAA55 || sum != 0 {
        return Err(bad(at, "no boot catalog here, or its checksum is wrong"));
    }
    let mut found = vec![entry(source, catalog.part(ENTRY, ENTRY)?, head.byte(1)?)?];
    let mut i = 2;
    while i < MOST {
        let section = catalog.part(i * ENTRY, ENTRY)?;
        let kind = section.byte(0)?;
        if !matches!(kind, 0x90 | 0x91) {
            break;
        }
        i += 1;
        let mut left = section.le16(2)?;
        while left > 0 && i < MOST {
            let field = catalog.part(i * ENTRY, ENTRY)?;
            i += 1;
            // 0x44 continues the selection criteria of the entry before; we select by none.
            if field.byte(0)? != 0x44 {
                found.push(entry(source, field, section.byte(1)?)?);
                left -= 1;
            }
        }
        if left > 0 {
            return Err(bad(section.at, "a section claims more entries than the catalog has"));
        }
        if kind == 0x91 {
            break;
        }
    }
    Ok(found)
}

/// Where the entries are that EDK2 starts: each slot of the catalog that is marked bootable, whatever the sections say.
pub(super) fn marked(source: &dyn ReadAt, sector: u32) -> Result<Vec<u64>> {
    let at = u64::from(sector) * SECTOR;
    let bytes = source::bytes(source, at, SECTOR)?;
    let slots = bytes.chunks_exact(ENTRY).skip(1).filter(|slot| slot[0] == BOOTABLE);
    let image = |slot: &[u8]| u64::from(u32::from_le_bytes([slot[8], slot[9], slot[10], slot[11]])) * SECTOR;
    Ok(slots.map(image).filter(|offset| *offset > 0).collect())
}

fn entry(source: &dyn ReadAt, field: Field<'_>, platform: u8) -> Result<BootEntry> {
    let bootable = match field.byte(0)? {
        BOOTABLE => true,
        0 => false,
        other => return Err(bad(field.at, format!("a boot entry starts with {other:#04x}"))),
    };
    let emulation = match field.byte(1)? & 0x0F {
        0 => "none",
        1 => "1.2 MB floppy",
        2 => "1.44 MB floppy",
        3 => "2.88 MB floppy",
        4 => "disk",
        other => return Err(bad(field.at + 1, format!("unknown emulation {other}"))),
    };
    let offset = u64::from(field.le32(8)?) * SECTOR;
    // Counted in sectors of 512, whatever the disc's are.
    let length = u64::from(field.le16(6)?) * 512;
    source::inside(source, offset, length)?;
    let platform = match platform {
        0 => "bios".to_owned(),
        0xEF => "efi".to_owned(),
        other => other.to_string(),
    };
    Ok(BootEntry { platform, bootable, emulation: emulation.to_owned(), offset, length })
}
