//! The file systems of an image that loaders and firmware read: the ISO tree and FAT images.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    paths,
    place::{FilePlace, LengthField},
    unreached::Unreached,
};
use crate::error::{Error, Result};
use crate::fat::{self, FatFile};
use crate::source::PartitionBytes;
use crate::{Entry, EntryKind, Extent, Iso, embed::Loader, hybrid, udf};

/// FAT images of one image; real ones have two or three.
const MOST: usize = 64;
/// File systems that GRUB reads and this program does not: where their mark is, and how they are called.
const UNREAD: [(u64, &[u8], &str); 7] = [
    (0x438, b"\x53\xEF", "ext2, ext3 or ext4"),
    (0, b"XFSB", "XFS"),
    (0x1_0040, b"_BHRfS_M", "Btrfs"),
    (0x400, b"\x10\x20\xF5\xF2", "F2FS"),
    (3, b"NTFS    ", "NTFS"),
    (3, b"EXFAT   ", "exFAT"),
    (0, b"hsqs", "SquashFS"),
];

/// A file system with the files that a loader may read.
pub(super) struct Volume {
    /// What stands in front of a file's path: nothing for the ISO tree, `/efi.img:` for a FAT image.
    pub(super) prefix: String,
    /// Whether firmware for UEFI starts programs from it.
    pub(super) is_esp: bool,
    /// By path in lower case. Names that differ by case alone: which one a loader takes is not known here.
    pub(super) files: BTreeMap<String, Vec<(String, FilePlace)>>,
    /// Other names that loaders find files by: short ones, and those of other trees. All in lower case.
    aliases: BTreeMap<String, BTreeSet<String>>,
    /// Other names of files, by way of symbolic links, which GRUB follows. Both in lower case.
    links: BTreeMap<String, String>,
}

/// The ISO tree, FAT images that firmware may start, and what is in other file systems.
pub(super) fn all(iso: &Iso) -> Result<(Vec<Volume>, Vec<Unreached>)> {
    let entries = iso.walk()?;
    let mut unreached = Vec::new();
    let mut volumes = vec![tree(iso, &entries, &mut unreached)?];
    for image in fat_images(iso)? {
        let is_there = |e: &&Entry| e.size > 0 && e.extents.first().is_some_and(|x| x.offset == image.base);
        let name = entries.iter().find(is_there).map(|e| e.path.clone());
        let name = name.unwrap_or_else(|| format!("FAT image at {}", image.base));
        match fat::walk(&*iso.source, image.base) {
            Ok(Some(files)) => volumes.push(Volume::of_fat(format!("{name}:"), image.is_esp, &files)),
            Ok(None) => unreached.extend(image.unread(iso, name)),
            Err(error) if image.is_esp => return Err(error),
            Err(error) => unreached.push(Unreached::image(name, format!("it cannot be read: {error}"))),
        }
    }
    Ok((volumes, unreached))
}

/// The ISO tree by the names of the best tree of names, with what only another one has: which one a loader goes by
/// differs, and so may a partition's own.
fn tree(iso: &Iso, entries: &[Entry], unreached: &mut Vec<Unreached>) -> Result<Volume> {
    let trees = iso.walk_all()?;
    // Hard links and the Joliet tree have records of their own for the same bytes.
    let mut records: BTreeMap<Extent, Vec<LengthField>> = BTreeMap::new();
    for entry in trees.iter().flatten().filter(|e| e.extents.len() == 1) {
        records.entry(entry.extents[0]).or_default().push(LengthField::Iso(entry.records[0]));
    }
    let mut volume = Volume::new(String::new(), false);
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    for entry in entries.iter().filter(|e| e.kind == EntryKind::File) {
        known.extend(entry.extents.first().map(|extent| (extent.offset, entry.path.to_lowercase())));
        volume.add(&entry.path, FilePlace::of_iso(entry, &records));
    }
    let others = trees.into_iter().chain([iso.walk_plain()?]).flatten();
    for entry in others.filter(|e| e.kind == EntryKind::File && e.size > 0) {
        let name = entry.path.to_lowercase();
        match known.get(&entry.extents[0].offset) {
            Some(path) => volume.alias(name, path),
            None => {
                known.insert(entry.extents[0].offset, name);
                volume.add(&entry.path, FilePlace::of_iso(&entry, &records));
            }
        }
    }
    if udf::has_other_files(iso, |at| known.contains_key(&at))? {
        let reason = "it has files that ISO 9660 does not show, and is not looked into".to_owned();
        unreached.push(Unreached::image("the UDF tree".to_owned(), reason));
    }
    volume.links = paths::linked(&volume.files, entries);
    Ok(volume)
}

/// Where a FAT image may be.
struct FatImage {
    base: u64,
    /// Whether UEFI takes it for the system's partition.
    is_esp: bool,
    /// Whether the boot catalog has it, for UEFI.
    is_started: bool,
}

impl FatImage {
    /// What it is instead.
    fn unread(&self, iso: &Iso, name: String) -> Option<Unreached> {
        if self.is_started {
            return Some(Unreached::image(name, "UEFI starts it, and it is not a FAT image".to_owned()));
        }
        let is_there = |at: u64, mark: &[u8]| {
            let at = self.base.checked_add(at)?;
            iso.bytes(at, mark.len() as u64).ok().filter(|bytes| bytes == mark)
        };
        let (.., kind) = UNREAD.iter().find(|(at, mark, _)| is_there(*at, mark).is_some())?;
        let name = format!("partition at {}", self.base);
        Some(Unreached::image(name, format!("a file system of the kind {kind} is not looked into")))
    }
}

/// El Torito entries and partitions that may be FAT images: firmware and loaders read those of any type.
fn fat_images(iso: &Iso) -> Result<Vec<FatImage>> {
    const ESP: [&str; 2] = ["ef", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"];
    let mut found: BTreeMap<u64, FatImage> = BTreeMap::new();
    let mut note = |base: u64, is_esp, is_started| {
        let image = found.entry(base).or_insert(FatImage { base, is_esp, is_started });
        image.is_esp |= is_esp;
        image.is_started |= is_started;
    };
    for boot in iso.boot_entries()? {
        let is_efi = boot.platform == "efi";
        note(boot.offset, is_efi, is_efi && boot.bootable);
        if boot.emulation == "disk" {
            let disk = PartitionBytes { source: &*iso.source, from: boot.offset };
            let inner = hybrid::claimed(&disk)?.into_iter();
            inner.filter_map(|p| boot.offset.checked_add(p.offset)).for_each(|at| note(at, false, false));
        }
    }
    iso.marked_bootable()?.into_iter().for_each(|at| note(at, false, false));
    for partition in hybrid::claimed(&*iso.source)?.into_iter().filter(|p| p.offset > 0) {
        note(partition.offset, ESP.contains(&partition.kind.as_str()), false);
    }
    if found.len() > MOST {
        return Err(Error::image(format!("more than {MOST} partitions and boot images")));
    }
    Ok(found.into_values().collect())
}

impl Volume {
    fn new(prefix: String, is_esp: bool) -> Self {
        let (files, aliases, links) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { prefix, is_esp, files, aliases, links }
    }

    fn of_fat(prefix: String, is_esp: bool, files: &[FatFile]) -> Self {
        let mut volume = Self::new(prefix, is_esp);
        for file in files {
            volume.add(&file.path, FilePlace::of_fat(file));
            volume.alias(file.short_path.to_lowercase(), &file.path.to_lowercase());
        }
        volume
    }

    fn add(&mut self, path: &str, place: FilePlace) {
        self.files.entry(path.to_lowercase()).or_default().push((path.to_owned(), place));
    }

    fn alias(&mut self, name: String, path: &str) {
        if name != path {
            self.aliases.entry(name).or_default().insert(path.to_owned());
        }
    }

    /// The names by which `loader` can open files, and the files' own paths.
    pub(super) fn names(&self, loader: Loader) -> impl Iterator<Item = (&String, &String)> {
        // ISOLINUX knows ISO 9660 alone, and FAT has no links.
        let links = self.links.iter().filter(move |_| loader != Loader::Isolinux);
        let aliases =
            self.aliases.iter().flat_map(|(name, paths)| paths.iter().map(move |path| (name, path)));
        self.files.keys().map(|path| (path, path)).chain(aliases).chain(links)
    }

    /// The paths of the files that a pattern of a name matches.
    pub(super) fn matching(&self, loader: Loader, pattern: &str) -> Vec<String> {
        if pattern.contains(['*', '?']) {
            let names = self.names(loader).filter(|(name, _)| paths::is_match(pattern, name));
            return names.map(|(_, path)| path.clone()).collect();
        }
        let own = self.files.get_key_value(pattern).map(|(path, _)| path);
        let linked = self.links.get(pattern).filter(|_| loader != Loader::Isolinux);
        own.or(linked).into_iter().chain(self.aliases.get(pattern).into_iter().flatten()).cloned().collect()
    }

    /// Whether firmware starts a program from it: from a FAT image of any type, by that program's name.
    pub(super) fn is_started(&self) -> bool {
        self.is_esp || !self.prefix.is_empty() && self.files.keys().any(|path| is_started_by_firmware(path))
    }

    /// All files, with their names in the image.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &FilePlace)> {
        self.files.values().flatten().map(|(path, place)| (path.as_str(), place))
    }
}

/// Whether firmware starts the program at this path in lower case without being told to.
pub(super) fn is_started_by_firmware(path: &str) -> bool {
    path.starts_with("/efi/boot/boot") && path.ends_with(".efi")
}
