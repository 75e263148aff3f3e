//! Files inside a FAT image, as far as an edit in place needs it: names, lengths, and where the bytes are.
//!
//! The `fatfs` crate writes our own images, but it follows a chain that loops for ever, so images of others
//! are read here (Microsoft's FAT specification 1.03; long names).

use crate::error::Result;
use std::collections::BTreeSet;

use super::{
    Extent, bad,
    source::{Field, ReadAt, bytes},
};

const ENTRY: usize = 32;
const DEEPEST: usize = 16;
/// Entries and folder clusters of one walk; an EFI partition has a handful.
const MOST: usize = 1 << 16;

/// A file of a FAT image.
#[derive(Clone, Debug)]
pub(super) struct FatFile {
    /// The absolute path in the FAT image.
    pub(super) path: String,
    /// The path with the short name at its end, by which loaders find the file too.
    pub(super) short_path: String,
    pub(super) size: u64,
    /// Where its clusters are in the ISO image, whole ones: the room that it has.
    pub(super) clusters: Vec<Extent>,
    /// Where its directory entry is in the ISO image.
    pub(super) record: u64,
}

impl FatFile {
    /// The file without the end of its last cluster.
    pub(super) fn into_entry(self) -> super::Entry {
        let mut left = self.size;
        let mut extents = self.clusters;
        for extent in &mut extents {
            extent.length = extent.length.min(left);
            left -= extent.length;
        }
        extents.retain(|e| e.length > 0);
        super::Entry {
            path: self.path,
            kind: super::EntryKind::File,
            size: self.size,
            extents,
            packing: None,
            records: vec![self.record],
        }
    }
}

struct Fat {
    /// Where the FAT image begins in the ISO image.
    base: u64,
    table: Vec<u8>,
    bits: u32,
    clusters: u32,
    cluster_size: u64,
    /// Where cluster 2 begins.
    data: u64,
    /// Clusters that no chain has led to.
    unread: u32,
}

/// The files of the FAT image at `base`; nothing when there is no FAT image there.
pub(super) fn walk(source: &dyn ReadAt, base: u64) -> Result<Option<Vec<FatFile>>> {
    let Ok(head) = bytes(source, base, 512) else { return Ok(None) };
    let head = Field::new(&head, base);
    if !is_plausible(head)? {
        return Ok(None);
    }
    let (mut fat, root) = open(source, head)?;
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo = vec![(String::new(), root, 0)];
    let mut entries = 0;
    while let Some((prefix, folder, depth)) = todo.pop() {
        if depth > DEEPEST {
            return Err(bad(base, format!("folders of the FAT image are nested deeper than {DEEPEST}")));
        }
        for item in list(source, &folder, &mut entries)? {
            let path = format!("{prefix}/{}", item.name);
            let short_path = format!("{prefix}/{}", item.short_name);
            if !item.is_folder {
                let clusters = fat.chain(item.cluster, item.size)?;
                found.push(FatFile { path, short_path, size: item.size, clusters, record: item.at });
            } else if seen.insert(item.cluster) {
                todo.push((path, fat.chain(item.cluster, u64::MAX)?, depth + 1));
            } else {
                return Err(bad(item.at, "a folder of the FAT image is inside itself or in two places"));
            }
        }
    }
    Ok(Some(found))
}

/// Whether a header may be FAT's. Neither EDK2 nor GRUB looks at the jump in front of it or the signature at its end.
fn is_plausible(head: Field<'_>) -> Result<bool> {
    let (sector, media) = (head.le16(11)?, head.byte(21)?);
    let has_sizes =
        sector.is_power_of_two() && (512..=4096).contains(&sector) && head.byte(13)?.is_power_of_two();
    Ok(has_sizes && matches!(head.byte(16)?, 1 | 2) && head.le16(14)? > 0 && matches!(media, 0xF0 | 0xF8..))
}

/// Reads the header and the table; hands back where the root folder is.
fn open(source: &dyn ReadAt, head: Field<'_>) -> Result<(Fat, Vec<Extent>)> {
    let base = head.at;
    let (sector, per_cluster) = (u64::from(head.le16(11)?), head.byte(13)?);
    let (reserved, tables) = (u64::from(head.le16(14)?), u64::from(head.byte(16)?));
    let root_entries = u64::from(head.le16(17)?);
    let either = |short: u16, long: u32| if short == 0 { u64::from(long) } else { u64::from(short) };
    let total = either(head.le16(19)?, head.le32(32)?);
    let table_sectors = either(head.le16(22)?, head.le32(36)?);
    let root_at = reserved + tables * table_sectors;
    let root_sectors = (root_entries * ENTRY as u64).div_ceil(sector);
    let data = root_at + root_sectors;
    let clusters = total.checked_sub(data).map(|s| s / u64::from(per_cluster));
    let clusters = clusters.and_then(|c| u32::try_from(c).ok()).filter(|c| *c > 0 && *c < 0x0FFF_FFF5);
    let clusters = clusters.ok_or_else(|| bad(base + 19, "the FAT image's sizes contradict each other"))?;
    let bits = match clusters {
        0..4085 => 12,
        4085..65525 => 16,
        _ => 32,
    };
    let table = bytes(source, base + reserved * sector, table_sectors * sector)?;
    if (table.len() as u64) * 8 < (u64::from(clusters) + 2) * u64::from(bits) {
        return Err(bad(base + 22, "the FAT image's table is too short for its clusters"));
    }
    // The whole image must be there; after this, no cluster can be beyond the end.
    super::source::inside(source, base, total * sector)?;
    let cluster_size = u64::from(per_cluster) * sector;
    let mut fat = Fat { base, table, bits, clusters, cluster_size, data: data * sector, unread: clusters };
    let root = if bits == 32 {
        fat.chain(head.le32(44)?, u64::MAX)?
    } else {
        vec![Extent { offset: base + root_at * sector, length: root_sectors * sector }]
    };
    Ok((fat, root))
}

impl Fat {
    /// The clusters from `first` on that hold `size` bytes; `u64::MAX` for a folder, which ends with its chain.
    fn chain(&mut self, first: u32, size: u64) -> Result<Vec<Extent>> {
        let mut found: Vec<Extent> = Vec::new();
        let wanted = size.div_ceil(self.cluster_size);
        let mut cluster = first;
        for have in 0.. {
            if have == wanted || size == u64::MAX && have > 0 && cluster >= self.end() {
                break;
            }
            if !(2..self.clusters + 2).contains(&cluster) {
                let text = format!("the FAT image's chain from cluster {first} leads to {cluster}");
                return Err(bad(self.base, text));
            }
            // No two files share a cluster, so all chains together are no longer than the image.
            self.unread = self.unread.checked_sub(1).ok_or_else(|| {
                bad(self.base, format!("the FAT image's chain from cluster {first} has no end"))
            })?;
            let offset = self.base + self.data + u64::from(cluster - 2) * self.cluster_size;
            match found.last_mut().filter(|e| e.offset + e.length == offset) {
                Some(last) => last.length += self.cluster_size,
                None => found.push(Extent { offset, length: self.cluster_size }),
            }
            cluster = self.next(cluster);
        }
        Ok(found)
    }

    /// What the table says for a cluster, which [`open`] has checked to be in it.
    fn next(&self, cluster: u32) -> u32 {
        let i = cluster as usize;
        let byte = |at: usize| u32::from(self.table.get(at).copied().unwrap_or(0xFF));
        match self.bits {
            12 => {
                let pair = byte(i + i / 2) | byte(i + i / 2 + 1) << 8;
                if i.is_multiple_of(2) { pair & 0xFFF } else { pair >> 4 }
            }
            16 => byte(2 * i) | byte(2 * i + 1) << 8,
            _ => {
                (byte(4 * i) | byte(4 * i + 1) << 8 | byte(4 * i + 2) << 16 | byte(4 * i + 3) << 24)
                    & 0x0FFF_FFFF
            }
        }
    }

    /// The first value that ends a chain.
    fn end(&self) -> u32 {
        match self.bits {
            12 => 0xFF8,
            16 => 0xFFF8,
            _ => 0x0FFF_FFF8,
        }
    }
}

struct FatEntry {
    name: String,
    short_name: String,
    is_folder: bool,
    cluster: u32,
    size: u64,
    at: u64,
}

fn list(source: &dyn ReadAt, folder: &[Extent], entries: &mut usize) -> Result<Vec<FatEntry>> {
    let mut found = Vec::new();
    let mut long = LongName::default();
    for extent in folder {
        let bytes = bytes(source, extent.offset, extent.length)?;
        for (i, raw) in bytes.chunks_exact(ENTRY).enumerate() {
            let at = extent.offset + (i * ENTRY) as u64;
            *entries += 1;
            if *entries > MOST {
                return Err(bad(at, "the FAT image has more entries than any real one"));
            }
            let entry = Field::new(raw, at);
            match (raw[0], raw[11]) {
                (0, _) => return Ok(found),
                (0xE5, _) => long = LongName::default(),
                (order, 0x0F) => long.add(order, raw),
                // A volume label is not a file; `.` and `..` lead back.
                (_, attributes) if attributes & 8 != 0 || raw[0] == b'.' => long = LongName::default(),
                (_, attributes) => found.push(FatEntry {
                    name: std::mem::take(&mut long).name(raw),
                    short_name: short_name(raw),
                    is_folder: attributes & 0x10 != 0,
                    cluster: u32::from(entry.le16(26)?) | u32::from(entry.le16(20)?) << 16,
                    size: u64::from(entry.le32(28)?),
                    at,
                }),
            }
        }
    }
    Ok(found)
}

/// The parts of a long name, which stand in front of the short one, last part first.
#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    checksum: u8,
}

impl LongName {
    fn add(&mut self, order: u8, raw: &[u8]) {
        if order & 0x40 != 0 {
            *self = Self { units: Vec::new(), checksum: raw[13] };
        }
        let unit = |at: usize| u16::from_le_bytes([raw[at], raw[at + 1]]);
        let part = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30].map(unit);
        self.units.splice(..0, part);
        self.units.truncate(255 + 13);
    }

    /// The name of the short entry `raw`: the long one when it belongs to this entry.
    fn name(self, raw: &[u8]) -> String {
        let sum = raw[..11].iter().fold(0u8, |s, b| s.rotate_right(1).wrapping_add(*b));
        if !self.units.is_empty() && sum == self.checksum {
            let end = self.units.iter().position(|u| *u == 0).unwrap_or(self.units.len());
            return String::from_utf16_lossy(&self.units[..end]);
        }
        short_name(raw)
    }
}

/// The name in the entry itself.
fn short_name(raw: &[u8]) -> String {
    // Windows NT and mtools note names in lower case by a bit for each part, in place of a long name.
    let part = |range: std::ops::Range<usize>, lower: u8| {
        let text = String::from_utf8_lossy(&raw[range]).trim_end().to_owned();
        if raw[12] & lower == 0 { text } else { text.to_ascii_lowercase() }
    };
    let (stem, extension) = (part(0..8, 0x08), part(8..11, 0x10));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}
