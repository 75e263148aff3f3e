//! UDF beside ISO 9660 (ECMA-167), as far as it tells whether there are files that ISO 9660 does not show.

use crate::error::Result;

use super::{Iso, SECTOR, source::Field};

/// Descriptors are in front of the data, or in gaps between it.
const MOST_SECTORS: u64 = 1 << 15;
/// The sector that says where the descriptors of the volume are.
const ANCHOR: u64 = 256;
const PARTITION: u16 = 5;
const FILE: u16 = 261;
const EXTENDED_FILE: u16 = 266;

/// Whether the image has a file with bytes that `is_known` does not know; its argument is where they begin.
pub(super) fn has_other_files(iso: &Iso, is_known: impl Fn(u64) -> bool) -> Result<bool> {
    let Some(start) = partition(iso)? else { return Ok(false) };
    let end = iso.size()? / SECTOR;
    for sector in (start..end).take(usize::try_from(MOST_SECTORS)?) {
        let bytes = iso.bytes(sector * SECTOR, SECTOR)?;
        let field = Field::new(&bytes, sector * SECTOR);
        if let Some(at) = data(field, start)?
            && !is_known(at)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The sector that positions are counted from.
fn partition(iso: &Iso) -> Result<Option<u64>> {
    let Ok(anchor) = iso.bytes(ANCHOR * SECTOR, SECTOR) else { return Ok(None) };
    let anchor = Field::new(&anchor, ANCHOR * SECTOR);
    if anchor.le16(0)? != 2 {
        return Ok(None);
    }
    let (length, first) = (u64::from(anchor.le32(16)?), u64::from(anchor.le32(20)?));
    for sector in (first..).take(usize::try_from((length / SECTOR).min(64))?) {
        let Some(at) = sector.checked_mul(SECTOR) else { break };
        let bytes = iso.bytes(at, SECTOR)?;
        let field = Field::new(&bytes, at);
        if field.le16(0)? == PARTITION {
            return Ok(Some(u64::from(field.le32(188)?)));
        }
    }
    Ok(None)
}

/// Where the bytes of the file begin that a sector describes; nothing when it does not, or when the file is empty.
fn data(field: Field<'_>, start: u64) -> Result<Option<u64>> {
    let lengths = match field.le16(0)? {
        FILE => 168,
        EXTENDED_FILE => 208,
        _ => return Ok(None),
    };
    let sum = field.bytes[..16].iter().enumerate().filter(|(i, _)| *i != 4);
    let is_sound = sum.fold(0u8, |sum, (_, b)| sum.wrapping_add(*b)) == field.byte(4)?;
    // A regular file is of the kind 5.
    if !is_sound || field.byte(27)? != 5 || field.le64(56)? == 0 {
        return Ok(None);
    }
    let descriptors = lengths + 8 + field.le32(lengths)? as usize;
    let position = match field.le16(34)? & 7 {
        // Short and long descriptors: a length and a position.
        0 | 1 => field.le32(descriptors + 4)?,
        // The bytes are in the descriptor itself.
        _ => return Ok(Some(field.at)),
    };
    Ok(Some((start + u64::from(position)) * SECTOR))
}
