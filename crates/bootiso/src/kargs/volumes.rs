//! The file systems of an image that loaders and firmware read: the ISO tree and FAT images.

use std::collections::BTreeMap;

use super::{
    paths,
    place::{FilePlace, LengthField},
    unreached::Unreached,
};
use crate::error::Result;
use crate::{BootEntry, EntryKind, Extent, Iso, embed::Loader, fat};

/// A file system with the files that a loader may read.
pub(super) struct Volume {
    /// What stands in front of a file's path: nothing for the ISO tree, `/efi.img:` for a FAT image.
    pub(super) prefix: String,
    /// Whether firmware for UEFI starts programs from it.
    pub(super) is_esp: bool,
    /// By path in lower case. Names that differ by case alone: which one a loader takes is not known here.
    pub(super) files: BTreeMap<String, Vec<(String, FilePlace)>>,
    /// Other names of files, by way of symbolic links, which GRUB follows. Both in lower case.
    links: BTreeMap<String, String>,
}

/// The ISO tree, and FAT images that firmware may start.
pub(super) fn all(iso: &Iso) -> Result<(Vec<Volume>, Vec<Unreached>)> {
    let (trees, entries) = (iso.walk_all()?, iso.walk()?);
    // Hard links and the Joliet tree have records of their own for the same bytes.
    let mut records: BTreeMap<Extent, Vec<LengthField>> = BTreeMap::new();
    for entry in trees.iter().flatten().filter(|e| e.extents.len() == 1) {
        records.entry(entry.extents[0]).or_default().push(LengthField::Iso(entry.records[0]));
    }
    let in_tree = entries.iter().filter(|e| e.kind == EntryKind::File && e.extents.len() == 1);
    let in_tree = in_tree.map(|e| (e.path.clone(), FilePlace::of_iso(e.extents[0], &records)));
    let mut tree = Volume::new(String::new(), false, in_tree);
    tree.links = paths::linked(&tree.files, &entries);
    let mut volumes = vec![tree];
    let mut unreached = Vec::new();
    for image in fat_images(iso)? {
        let name =
            entries.iter().find(|e| e.size > 0 && e.extents.first().is_some_and(|x| x.offset == image.base));
        let name = name.map_or_else(|| format!("FAT image at {}", image.base), |e| e.path.clone());
        let files = match fat::walk(&*iso.source, image.base) {
            // What BIOS starts is seldom a file system, and may look like one.
            Err(_) if !image.is_esp => continue,
            other => other?,
        };
        match files {
            Some(files) => {
                let files = files.iter().map(|f| (f.path.clone(), FilePlace::of_fat(f)));
                volumes.push(Volume::new(format!("{name}:"), image.is_esp, files));
            }
            None if image.is_started => {
                let reason = "UEFI starts it, and it is not a FAT image".to_owned();
                unreached.push(Unreached::image(name, reason));
            }
            None => {}
        }
    }
    Ok((volumes, unreached))
}

/// Where a FAT image may be.
struct FatImage {
    base: u64,
    /// Whether UEFI takes it for the system's partition.
    is_esp: bool,
    /// Whether the boot catalog has it, for UEFI.
    is_started: bool,
}

/// El Torito entries and partitions that may be FAT images.
fn fat_images(iso: &Iso) -> Result<Vec<FatImage>> {
    const ESP: [&str; 2] = ["ef", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"];
    const OTHER: [&str; 7] = ["01", "04", "06", "0b", "0c", "0e", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"];
    let is_efi = |b: &BootEntry| b.platform == "efi";
    let boot = iso.boot_entries()?.into_iter().map(|b| (b.offset, is_efi(&b), is_efi(&b) && b.bootable));
    let kinds = |p: &crate::Partition| (ESP.contains(&p.kind.as_str()), OTHER.contains(&p.kind.as_str()));
    let partitions = iso.partitions()?.into_iter().filter(|p| p.offset > 0 && kinds(p) != (false, false));
    let mut found: BTreeMap<u64, FatImage> = BTreeMap::new();
    for (base, is_esp, is_started) in boot.chain(partitions.map(|p| (p.offset, kinds(&p).0, false))) {
        let image = found.entry(base).or_insert(FatImage { base, is_esp, is_started });
        image.is_esp |= is_esp;
        image.is_started |= is_started;
    }
    Ok(found.into_values().collect())
}

impl Volume {
    fn new(prefix: String, is_esp: bool, all: impl Iterator<Item = (String, FilePlace)>) -> Self {
        let mut files: BTreeMap<String, Vec<(String, FilePlace)>> = BTreeMap::new();
        for file in all {
            files.entry(file.0.to_lowercase()).or_default().push(file);
        }
        Self { prefix, is_esp, files, links: BTreeMap::new() }
    }

    /// The names by which `loader` can open files, and the files' own paths.
    pub(super) fn names(&self, loader: Loader) -> impl Iterator<Item = (&String, &String)> {
        // ISOLINUX knows ISO 9660 alone, and FAT has no links.
        let links = self.links.iter().filter(move |_| loader != Loader::Isolinux);
        self.files.keys().map(|path| (path, path)).chain(links)
    }

    /// The paths of the files that a pattern of a name matches.
    pub(super) fn matching(&self, loader: Loader, pattern: &str) -> Vec<String> {
        if pattern.contains(['*', '?']) {
            let names = self.names(loader).filter(|(name, _)| paths::is_match(pattern, name));
            return names.map(|(_, path)| path.clone()).collect();
        }
        let own = self.files.get_key_value(pattern).map(|(path, _)| path);
        let linked = self.links.get(pattern).filter(|_| loader != Loader::Isolinux);
        own.or(linked).into_iter().cloned().collect()
    }

    /// All files, with their names in the image.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &FilePlace)> {
        self.files.values().flatten().map(|(path, place)| (path.as_str(), place))
    }
}
