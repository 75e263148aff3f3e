//! Folders: records to entries, in the tree whose names are the real ones (ECMA-119, 9.1).

use crate::error::Result;
use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    SECTOR, bad,
    source::{self, Field, ReadAt},
    susp::{self, Packing},
    volume::Volumes,
};

/// Deeper trees than this are made to exhaust somebody's stack.
const DEEPEST: usize = 64;
/// A full Linux distribution's disc has some ten thousand.
const MOST_ENTRIES: usize = 1 << 18;
/// Bytes of folders and continuation areas that one walk reads, and of the paths that it makes.
const MOST_READ: u64 = 256 << 20;
/// One folder.
const LONGEST_FOLDER: u64 = 32 << 20;

/// Where bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Extent {
    /// The first byte's position in the image.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, with its target as recorded.
    Link(String),
    /// A device, a pipe or a socket, which has no contents.
    Special,
}

/// A file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The absolute path in the image. No part of it is `.`, `..`, empty, or has a `/` or NUL in it.
    pub path: String,
    /// What the record describes.
    pub kind: EntryKind,
    /// The length of a file's contents in bytes.
    pub size: u64,
    /// Where a file's bytes are, in order, all inside the image.
    pub extents: Vec<Extent>,
    /// How the bytes are packed, when they are not the contents themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packing: Option<Packing>,
    /// Where each extent's directory record is.
    #[serde(skip)]
    pub records: Vec<u64>,
}

/// How a tree records names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    Plain,
    /// With the bytes to skip in each system use area.
    RockRidge(usize),
    Joliet,
}

/// One tree of names.
pub(super) struct NameTree<'a> {
    source: &'a dyn ReadAt,
    root: Extent,
    naming: Naming,
}

/// The tree with the real names: Rock Ridge, else Joliet, else what ISO 9660 made of them.
pub(super) fn best<'a>(source: &'a dyn ReadAt, volumes: &Volumes) -> Result<NameTree<'a>> {
    let primary = primary(source, volumes)?;
    Ok(match (primary.naming, volumes.joliet) {
        (Naming::Plain, Some(root)) => NameTree { source, root, naming: Naming::Joliet },
        _ => primary,
    })
}

/// Every tree of the image.
pub(super) fn all<'a>(source: &'a dyn ReadAt, volumes: &Volumes) -> Result<Vec<NameTree<'a>>> {
    let joliet = volumes.joliet.map(|root| NameTree { source, root, naming: Naming::Joliet });
    let others = volumes.others.iter().map(|root| NameTree { source, root: *root, naming: Naming::Plain });
    Ok(std::iter::once(primary(source, volumes)?).chain(joliet).chain(others).collect())
}

/// The primary tree without Rock Ridge.
pub(super) fn plain_tree<'a>(source: &'a dyn ReadAt, volumes: &Volumes) -> NameTree<'a> {
    NameTree { source, root: volumes.primary, naming: Naming::Plain }
}

fn primary<'a>(source: &'a dyn ReadAt, volumes: &Volumes) -> Result<NameTree<'a>> {
    let root = volumes.primary;
    let first = source::bytes(source, root.offset, SECTOR.min(root.length))?;
    let record = DirectoryRecord::parse(Field::new(&first, root.offset), 0)?;
    let skip = record.and_then(|r| susp::skip(r.system_use));
    Ok(NameTree { source, root, naming: skip.map_or(Naming::Plain, Naming::RockRidge) })
}

/// What one operation has used up.
#[derive(Default)]
struct Work {
    entries: usize,
    read: u64,
    folders: BTreeSet<u64>,
}

impl NameTree<'_> {
    pub(super) fn naming(&self) -> &'static str {
        match self.naming {
            Naming::Plain => "iso 9660",
            Naming::RockRidge(_) => "rock ridge",
            Naming::Joliet => "joliet",
        }
    }

    pub(super) fn walk(&self) -> Result<Vec<Entry>> {
        let mut work = Work::default();
        let mut found = Vec::new();
        // Depth first, the next one on top, so that the result is in the order of the image.
        let mut pending = vec![];
        let mut next = Some((self.root, String::new(), 0));
        loop {
            if let Some((folder, path, depth)) = next.take() {
                let listed = self.list(folder, &path, &mut work)?;
                pending.extend(listed.into_iter().rev().map(|e| (e, depth + 1)));
            }
            let Some((entry, depth)) = pending.pop() else { return Ok(found) };
            if entry.kind == EntryKind::Folder {
                let extent = entry.extents[0];
                if depth > DEEPEST {
                    return Err(bad(extent.offset, format!("folders are nested deeper than {DEEPEST}")));
                }
                next = Some((extent, entry.path.clone(), depth));
            }
            found.push(without_folder_extent(entry));
        }
    }

    /// Every entry that `pattern` means, by the rules of [`super::Iso::find`].
    pub(super) fn matching(&self, pattern: &str) -> Result<Vec<Entry>> {
        let mut work = Work::default();
        let mut folders = vec![(self.root, String::new())];
        let mut names = pattern.split('/').filter(|n| !n.is_empty()).peekable();
        while let Some(name) = names.next() {
            let mut found = Vec::new();
            for (extent, prefix) in &folders {
                let listed = self.list(*extent, prefix, &mut work)?;
                found.extend(listed.into_iter().filter(|e| matches(e.name(), name)));
            }
            if found.iter().any(|e| e.name() == name) {
                found.retain(|e| e.name() == name);
            }
            if names.peek().is_none() {
                return Ok(found.into_iter().map(without_folder_extent).collect());
            }
            found.retain(|e| e.kind == EntryKind::Folder);
            folders = found.into_iter().map(|e| (e.extents[0], e.path)).collect();
        }
        Ok(Vec::new())
    }

    /// The entries of one folder. A folder's own place is its one extent until it is handed out.
    fn list(&self, folder: Extent, prefix: &str, work: &mut Work) -> Result<Vec<Entry>> {
        if !work.folders.insert(folder.offset) {
            return Err(bad(folder.offset, "this folder is inside itself or in two places"));
        }
        if folder.length > LONGEST_FOLDER {
            return Err(bad(folder.offset, format!("a folder of {} bytes", folder.length)));
        }
        work.read += folder.length;
        let bytes = source::bytes(self.source, folder.offset, folder.length)?;
        let field = Field::new(&bytes, folder.offset);
        let mut found = Vec::new();
        // The parts of a file that is longer than one record can say; each but the last says that more follow.
        let mut open: Option<Entry> = None;
        let mut from = 0;
        while from < bytes.len() {
            let Some(record) = DirectoryRecord::parse(field, from)? else {
                from = (from / SECTOR as usize + 1) * SECTOR as usize;
                continue;
            };
            from += record.length;
            work.entries += 1;
            if work.entries > MOST_ENTRIES || work.read > MOST_READ {
                return Err(bad(record.at, "more entries than any real image has"));
            }
            if record.is_self_or_parent() {
                continue;
            }
            let Some(mut entry) = self.entry(&record, prefix, work)? else { continue };
            if let Some(first) = open.take() {
                entry = joined(first, entry, record.at)?;
            }
            if record.flags & MORE != 0 {
                open = Some(entry);
            } else {
                found.push(entry);
            }
        }
        match open {
            Some(entry) => Err(bad(folder.offset, format!("the last part of {} is missing", entry.path))),
            None => Ok(found),
        }
    }

    /// Checks one record; nothing for a folder that is shown elsewhere.
    fn entry(&self, record: &DirectoryRecord<'_>, prefix: &str, work: &mut Work) -> Result<Option<Entry>> {
        let (name, extra) = self.name(record, work)?;
        // Only folders are moved: a file stays where it is.
        if extra.moved && record.flags & FOLDER != 0 {
            return Ok(None);
        }
        if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) {
            return Err(bad(record.at, format!("{name:?} is not a valid name")));
        }
        let mut extent = record.extent;
        let kind = if let Some(sector) = extra.child {
            extent = self.moved(sector, record.at, work)?;
            EntryKind::Folder
        } else if let Some(target) = extra.link {
            extent.length = 0;
            EntryKind::Link(target)
        } else if record.flags & FOLDER != 0 {
            EntryKind::Folder
        } else if extra.special {
            extent.length = 0;
            EntryKind::Special
        } else {
            EntryKind::File
        };
        // An empty file's place means nothing, and some writers leave it at random. A folder is never empty: it
        // holds itself.
        if kind == EntryKind::Folder && extent.length == 0 {
            return Err(bad(record.at, format!("{prefix}/{name} is a folder of 0 bytes")));
        }
        if extent.length > 0 {
            source::inside(self.source, extent.offset, extent.length)?;
        }
        let packing = extra.packing.filter(|_| kind == EntryKind::File);
        let size = match &packing {
            _ if kind == EntryKind::Folder => 0,
            Some(Packing::Zisofs { size, .. }) => u64::from(*size),
            _ => extent.length,
        };
        let path = format!("{prefix}/{name}");
        // Long names in deep folders add up to more than their records.
        work.read += path.len() as u64;
        Ok(Some(Entry { path, kind, size, extents: vec![extent], packing, records: vec![record.at] }))
    }

    fn name(&self, record: &DirectoryRecord<'_>, work: &mut Work) -> Result<(String, susp::Extra)> {
        let mut extra = susp::Extra::default();
        let raw = record.name;
        let name = match self.naming {
            Naming::Joliet => {
                let units: Vec<u16> = raw.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
                without_version(&String::from_utf16_lossy(&units)).to_owned()
            }
            Naming::Plain => plain(raw),
            Naming::RockRidge(skip) => {
                let rest = record.system_use.bytes.get(skip..).unwrap_or_default();
                let area = Field::new(rest, record.system_use.at + skip as u64);
                extra = susp::extra(self.source, area, &mut work.read)?;
                extra.name.take().map_or_else(|| plain(raw), |n| String::from_utf8_lossy(&n).into_owned())
            }
        };
        Ok((name, extra))
    }

    /// A moved folder's length stands in its own first record.
    fn moved(&self, sector: u32, at: u64, work: &mut Work) -> Result<Extent> {
        let offset = u64::from(sector) * SECTOR;
        work.read += SECTOR;
        let bytes = source::bytes(self.source, offset, SECTOR)?;
        let first = DirectoryRecord::parse(Field::new(&bytes, offset), 0)?;
        let first = first.filter(|r| r.is_self_or_parent() && r.extent.offset == offset);
        first.map(|r| r.extent).ok_or_else(|| bad(at, format!("no moved folder is at byte {offset}")))
    }
}

impl Entry {
    /// The entry of a tree whose positions are counted from `base`, with those of the image.
    pub(super) fn based(mut self, base: u64) -> Self {
        self.extents.iter_mut().for_each(|extent| extent.offset += base);
        self.records.iter_mut().for_each(|record| *record += base);
        self
    }

    /// The last part of the path.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

const FOLDER: u8 = 2;
const MORE: u8 = 0x80;

/// A directory record.
struct DirectoryRecord<'a> {
    at: u64,
    length: usize,
    extent: Extent,
    flags: u8,
    name: &'a [u8],
    system_use: Field<'a>,
}

impl<'a> DirectoryRecord<'a> {
    /// The record at `from`; nothing where the rest of the sector is unused. Records do not cross sectors.
    fn parse(folder: Field<'a>, from: usize) -> Result<Option<Self>> {
        let length = usize::from(folder.byte(from)?);
        if length == 0 {
            return Ok(None);
        }
        let at = folder.at + from as u64;
        if length < 34 || from % SECTOR as usize + length > SECTOR as usize {
            return Err(bad(at, format!("a directory record of {length} bytes")));
        }
        let record = folder.part(from, length)?;
        if record.byte(26)? != 0 || record.byte(27)? != 0 {
            return Err(bad(at + 26, "interleaved files are not supported"));
        }
        let name_length = usize::from(record.byte(32)?);
        let name = record.part(33, name_length)?.bytes;
        // The name is padded to an even length.
        let rest = (33 + name_length + usize::from(name_length.is_multiple_of(2))).min(length);
        let sector = u64::from(record.both32(2)?) + u64::from(record.byte(1)?);
        let extent = Extent { offset: sector * SECTOR, length: u64::from(record.both32(10)?) };
        let system_use = record.part(rest, length - rest)?;
        Ok(Some(Self { at, length, extent, flags: record.byte(25)?, name, system_use }))
    }

    fn is_self_or_parent(&self) -> bool {
        matches!(self.name, [0 | 1])
    }
}

/// Adds the next part of a file to those before it.
fn joined(mut first: Entry, next: Entry, at: u64) -> Result<Entry> {
    if first.path != next.path || first.kind != EntryKind::File || next.kind != EntryKind::File {
        return Err(bad(at, format!("the next part of {} should be here", first.path)));
    }
    // A packed file's size is that of all parts already.
    if !matches!(first.packing, Some(Packing::Zisofs { .. })) {
        first.size += next.size;
    }
    first.extents.extend(next.extents);
    first.records.extend(next.records);
    Ok(first)
}

/// Folders and links have no bytes to read.
fn without_folder_extent(mut entry: Entry) -> Entry {
    if entry.kind != EntryKind::File {
        entry.extents.clear();
    }
    entry
}

/// A name as ISO 9660 has it, without its version and without the dot of an empty extension.
fn plain(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let name = without_version(&text);
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

fn without_version(name: &str) -> &str {
    name.rsplit_once(';').filter(|(_, v)| v.bytes().all(|b| b.is_ascii_digit())).map_or(name, |(n, _)| n)
}

fn matches(name: &str, pattern: &str) -> bool {
    let (name, pattern) = (name.to_lowercase(), pattern.to_lowercase());
    pattern.strip_suffix('*').map_or_else(|| name == pattern, |start| name.starts_with(start))
}
