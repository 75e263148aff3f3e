//! Partitions of an image that is also a disk: MBR, GPT and Apple's map, the first two in sectors of 512.

use crate::error::Result;
use serde::Serialize;

use super::source::{self, Field, ReadAt};

const BLOCK: u64 = 512;
/// Real maps have at most a handful.
const MOST_APPLE: u64 = 64;
const MOST_LOGICAL: usize = 64;

/// Where a partition is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionScheme {
    /// The table in the first sector.
    Mbr,
    /// The GUID table, whose checksums are right.
    Gpt,
    /// Apple's map, in blocks whose size it says (Inside Macintosh, Devices, 3).
    Apm,
}

/// A partition. Hybrid images often list some that overlap, or that end beyond the file at a whole cylinder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// Where it is listed.
    pub scheme: PartitionScheme,
    /// Its number, from 1.
    pub number: usize,
    /// The type: two hexadecimal digits, a GUID, or Apple's word.
    #[serde(rename = "type")]
    pub kind: String,
    /// First byte of the partition, counted from the start of the image.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
    /// The active flag of an MBR.
    pub active: bool,
}

impl Partition {
    /// Whether it has partitions of its own, by its type in an MBR.
    fn is_extended(&self) -> bool {
        matches!(self.kind.as_str(), "05" | "0f" | "85")
    }
}

/// The partitions of tables that firmware takes for sound.
pub(super) fn read(source: &dyn ReadAt) -> Result<Vec<Partition>> {
    let bytes = source::bytes(source, 0, 2 * BLOCK)?;
    let head = Field::new(&bytes, 0);
    // Code in place of a table would show as nonsense flags.
    let mut found: Vec<_> =
        mbr(head)?.into_iter().filter(|(flag, _)| flag & 0x7F == 0).map(|(_, p)| p).collect();
    let gpt = gpt(source, head.part(BLOCK as usize, BLOCK as usize)?)?;
    found.extend(gpt.filter(|gpt| gpt.is_sound).map(|gpt| gpt.partitions).unwrap_or_default());
    found.extend(apple(source));
    Ok(found)
}

/// Everything that any table calls a partition. GRUB checks no checksum, EDK2 no flag, and turns to the second table
/// where the first one is wrong.
pub(super) fn claimed(source: &dyn ReadAt) -> Result<Vec<Partition>> {
    let bytes = source::bytes(source, 0, BLOCK)?;
    let mut found: Vec<_> = mbr(Field::new(&bytes, 0))?.into_iter().map(|(_, p)| p).collect();
    for extended in found.clone().iter().filter(|p| p.is_extended()) {
        found.extend(logical(source, extended.offset)?);
    }
    for at in [BLOCK, source.size()?.saturating_sub(BLOCK)] {
        let Ok(bytes) = source::bytes(source, at, BLOCK) else { continue };
        found.extend(gpt(source, Field::new(&bytes, at))?.map(|gpt| gpt.partitions).unwrap_or_default());
    }
    found.extend(apple(source));
    Ok(found)
}

/// With a GPT, whose header is where the second block of 512 bytes is, Apple's map has blocks of 2048.
fn apple(source: &dyn ReadAt) -> Vec<Partition> {
    let maps = [BLOCK, 4 * BLOCK].into_iter().map(|block| apm(source, block));
    maps.into_iter().find(|entries| !entries.is_empty()).unwrap_or_default()
}

/// Apple's map in blocks of this size; it counts itself, so that its first partition begins behind the first block.
fn apm(source: &dyn ReadAt, block: u64) -> Vec<Partition> {
    let mut found = Vec::new();
    let mut count = 1;
    while (found.len() as u64) < count {
        let at = (found.len() as u64 + 1) * block;
        let Ok(bytes) = source::bytes(source, at, BLOCK) else { break };
        if bytes[..2] != *b"PM" {
            break;
        }
        let number = |at: usize| bytes[at..at + 4].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        count = number(4).min(MOST_APPLE);
        let kind = bytes[48..80].split(|b| *b == 0).next().unwrap_or_default();
        found.push(Partition {
            scheme: PartitionScheme::Apm,
            number: found.len() + 1,
            kind: String::from_utf8_lossy(kind).into_owned(),
            offset: number(8) * block,
            length: number(12) * block,
            active: false,
        });
    }
    found
}

/// The partitions within an extended one: a chain of tables, each with a partition and where the next table is.
fn logical(source: &dyn ReadAt, extended: u64) -> Result<Vec<Partition>> {
    let mut found = Vec::new();
    let mut table = Some(extended);
    while let Some(at) = table.filter(|_| found.len() < MOST_LOGICAL) {
        let Ok(bytes) = source::bytes(source, at, BLOCK) else { break };
        let (next, here): (Vec<_>, Vec<_>) =
            mbr(Field::new(&bytes, at))?.into_iter().map(|(_, p)| p).partition(Partition::is_extended);
        table = next.first().and_then(|next| extended.checked_add(next.offset)).filter(|_| !here.is_empty());
        found.extend(here.into_iter().map(|p| Partition { offset: p.offset + at, ..p }));
    }
    Ok(found)
}

/// The entries of an MBR, each with its flag.
fn mbr(head: Field<'_>) -> Result<Vec<(u8, Partition)>> {
    let mut found = Vec::new();
    if head.le16(510)? != 0xAA55 {
        return Ok(found);
    }
    for number in 1..=4 {
        let entry = head.part(446 + 16 * (number - 1), 16)?;
        let (flag, kind) = (entry.byte(0)?, entry.byte(4)?);
        if kind == 0 {
            continue;
        }
        let partition = Partition {
            scheme: PartitionScheme::Mbr,
            number,
            kind: format!("{kind:02x}"),
            offset: u64::from(entry.le32(8)?) * BLOCK,
            length: u64::from(entry.le32(12)?) * BLOCK,
            active: flag == 0x80,
        };
        found.push((flag, partition));
    }
    Ok(found)
}

/// A GUID table.
struct Gpt {
    /// Whether its checksums are right.
    is_sound: bool,
    partitions: Vec<Partition>,
}

/// The table of the header `head`; nothing when there is none.
fn gpt(source: &dyn ReadAt, head: Field<'_>) -> Result<Option<Gpt>> {
    let size = head.le32(12)? as usize;
    if head.part(0, 8)?.bytes != b"EFI PART" || !(92..=512).contains(&size) {
        return Ok(None);
    }
    let mut bare = head.part(0, size)?.bytes.to_vec();
    bare[16..20].fill(0);
    let (count, width) = (u64::from(head.le32(80)?), u64::from(head.le32(84)?));
    let table = head.le64(72)?.checked_mul(BLOCK);
    let sane = (1..=1024).contains(&count) && (128..=4096).contains(&width);
    let (Some(table), true) = (table, sane) else { return Ok(None) };
    let Ok(bytes) = source::bytes(source, table, count * width) else { return Ok(None) };
    let is_sound = crc(&bare) == head.le32(16)? && crc(&bytes) == head.le32(88)?;
    let mut partitions = Vec::new();
    for (i, entry) in bytes.chunks_exact(width as usize).enumerate() {
        let entry = Field::new(entry, table + i as u64 * width);
        let kind = entry.part(0, 16)?.bytes;
        let (first, last) = (entry.le64(32)?, entry.le64(40)?);
        let length = last.checked_sub(first).and_then(|n| n.checked_add(1)?.checked_mul(BLOCK));
        let (Some(offset), Some(length)) = (first.checked_mul(BLOCK), length) else { continue };
        if kind.iter().any(|b| *b != 0) {
            let kind = guid(kind);
            partitions.push(Partition {
                scheme: PartitionScheme::Gpt,
                number: i + 1,
                kind,
                offset,
                length,
                active: false,
            });
        }
    }
    Ok(Some(Gpt { is_sound, partitions }))
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The first three groups of a GUID are stored little-endian.
fn guid(b: &[u8]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (i, from) in order.into_iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text += &format!("{:02x}", b[from]);
    }
    text
}
