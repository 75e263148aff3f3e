//! Rock Ridge: the names, link targets and moved folders behind a directory record (SUSP 1.12, RRIP 1.12), and what
//! says that a file's bytes are not its contents (libisofs, `doc/zisofs_format.txt`).

use crate::error::Result;
use serde::Serialize;

use super::{
    SECTOR, bad,
    source::{self, Field, ReadAt},
};

/// Continuation areas of one record. Real ones need one or two for a long name or link.
const MOST_AREAS: usize = 16;
/// A continuation area lies in a sector or two.
const LONGEST_AREA: u64 = 4 * SECTOR;
/// The largest block of zisofs that Linux takes, as a power of two.
const LARGEST_BLOCK: u8 = 17;
/// Linux allows 255 bytes for a name and 4095 for a link; more is an attempt to fill memory.
const LONGEST_TEXT: usize = 4095;

/// How a file's bytes are packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// Blocks of zlib, which Linux, xorriso and bsdtar unpack.
    Zisofs {
        /// The length of the contents in bytes.
        size: u32,
        /// The length of a block of contents, as a power of two.
        block_bits: u8,
        /// The length of the header in front of the block list, in bytes.
        header: u16,
    },
    /// A way that is not known here; reading the file is an error that names it.
    Unknown(String),
}

/// What Rock Ridge says of one record.
#[derive(Default)]
pub(super) struct Extra {
    /// The real name.
    pub(super) name: Option<Vec<u8>>,
    /// Where a symbolic link points.
    pub(super) link: Option<String>,
    /// The first sector of a folder that was moved because of ISO 9660's limit of eight levels.
    pub(super) child: Option<u32>,
    /// This folder is shown elsewhere.
    pub(super) moved: bool,
    /// How the file's bytes are packed.
    pub(super) packing: Option<Packing>,
    /// A device, a pipe or a socket.
    pub(super) special: bool,
}

/// Bytes to skip in each record's system use area, when the root's own record (`.`) announces SUSP.
pub(super) fn skip(system_use: Field<'_>) -> Option<usize> {
    let sp = system_use.bytes.get(..7)?;
    (sp[..2] == *b"SP" && sp[2] >= 7 && sp[4..6] == [0xBE, 0xEF]).then(|| usize::from(sp[6]))
}

/// Reads the entries of a record's system use area and of its continuations. `read` counts the bytes read.
pub(super) fn extra(source: &dyn ReadAt, system_use: Field<'_>, read: &mut u64) -> Result<Extra> {
    let mut found = Extra::default();
    let mut link_open = false;
    let mut next = entries(system_use, &mut found, &mut link_open)?;
    for _ in 0..MOST_AREAS {
        let Some((offset, length)) = next else { return Ok(found) };
        if length > LONGEST_AREA {
            return Err(bad(system_use.at, format!("a continuation area of {length} bytes")));
        }
        *read += length;
        let area = source::bytes(source, offset, length)?;
        next = entries(Field::new(&area, offset), &mut found, &mut link_open)?;
    }
    Err(bad(system_use.at, "continuation areas lead on without an end"))
}

/// One area; hands back where the next one is.
fn entries(area: Field<'_>, found: &mut Extra, link_open: &mut bool) -> Result<Option<(u64, u64)>> {
    let mut next = None;
    let mut from = 0;
    // Less than an entry's header is padding.
    while from + 4 <= area.bytes.len() {
        let length = usize::from(area.byte(from + 2)?);
        if area.part(from, 2)?.bytes == [0, 0] {
            break;
        }
        if length < 4 {
            return Err(bad(area.at + from as u64, "a system use entry shorter than its header"));
        }
        let entry = area.part(from, length)?;
        match &entry.bytes[..2] {
            b"CE" => {
                next = Some((
                    u64::from(entry.both32(4)?) * SECTOR + u64::from(entry.both32(12)?),
                    u64::from(entry.both32(20)?),
                ))
            }
            b"NM" => name(entry, found)?,
            b"SL" => link(entry, found, link_open)?,
            b"PX" => found.special = is_special(entry),
            b"CL" => found.child = Some(entry.both32(4)?),
            b"RE" => found.moved = true,
            b"ZF" => found.packing = Some(zisofs(entry)?),
            b"SF" => found.packing = Some(Packing::Unknown("a sparse file (SF)".to_owned())),
            b"ST" => break,
            _ => {}
        }
        from += length;
    }
    Ok(next)
}

/// Whether a file's mode is of neither a file nor a folder nor a link. One that cannot be read says nothing.
fn is_special(entry: Field<'_>) -> bool {
    let mode = entry.bytes.get(4..8).map_or(0, |mode| u32::from_le_bytes(mode.try_into().expect("4 bytes")));
    !matches!(mode & 0o170_000, 0 | 0o100_000 | 0o040_000 | 0o120_000)
}

/// The entry of a compressed file: the algorithm, its parameters, and the size of the contents.
fn zisofs(entry: Field<'_>) -> Result<Packing> {
    let algorithm = entry.part(4, 2)?.bytes;
    let (header, block_bits) = (u16::from(entry.byte(6)?) * 4, entry.byte(7)?);
    // Linux takes blocks of up to 128 KiB.
    Ok(match algorithm {
        b"pz" if block_bits <= LARGEST_BLOCK => {
            Packing::Zisofs { size: entry.both32(8)?, block_bits, header }
        }
        b"pz" => Packing::Unknown(format!("zisofs with blocks of 2^{block_bits} bytes")),
        b"PZ" => Packing::Unknown("zisofs2".to_owned()),
        other => Packing::Unknown(format!("the algorithm `{}`", other.escape_ascii())),
    })
}

fn name(entry: Field<'_>, found: &mut Extra) -> Result<()> {
    // Flags for `.` and `..`, which have no text and are never listed.
    if entry.byte(4)? & 6 != 0 {
        return Ok(());
    }
    let name = found.name.get_or_insert_default();
    name.extend_from_slice(&entry.bytes[5..]);
    if name.len() > LONGEST_TEXT {
        return Err(bad(entry.at, "a name without an end"));
    }
    Ok(())
}

/// A link is a list of components, each with flags; a component may go on in the next entry.
fn link(entry: Field<'_>, found: &mut Extra, open: &mut bool) -> Result<()> {
    let target = found.link.get_or_insert_default();
    entry.byte(4)?;
    let mut from = 5;
    while from < entry.bytes.len() {
        let flags = entry.byte(from)?;
        let text = entry.part(from + 2, usize::from(entry.byte(from + 1)?))?;
        if !*open && !target.is_empty() && !target.ends_with('/') {
            target.push('/');
        }
        match flags & 0x0E {
            0 => target.push_str(&String::from_utf8_lossy(text.bytes)),
            2 => target.push('.'),
            4 => target.push_str(".."),
            8 => target.push('/'),
            _ => return Err(bad(entry.at, "a link component with contradicting flags")),
        }
        *open = flags & 1 != 0;
        from += 2 + text.bytes.len();
        if target.len() > LONGEST_TEXT {
            return Err(bad(entry.at, "an unterminated link target"));
        }
    }
    Ok(())
}
