//! Which loader files an image has: by their names, by what they include, in the ISO tree and in FAT images.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{
    config,
    foreign::ConfigFile,
    place::{LengthField, Place, Text},
};
use crate::{Entry, Extent, Iso, fat, room::Loader};
use failure::{Failure, Kind};

/// Loader files are a few KiB.
const LONGEST: u64 = 1 << 20;
/// Loader files of one image, and files that they name.
const MOST: usize = 256;
/// Places with arguments in one file.
const MOST_LINES: usize = 1024;

/// Every loader file with kernel arguments, in the ISO tree and in FAT images that firmware may start.
pub(super) fn find(iso: &Iso) -> Result<Vec<ConfigFile>> {
    let (trees, entries) = (iso.walk_all()?, iso.walk()?);
    // Hard links and the Joliet tree have records of their own for the same bytes.
    let mut records: BTreeMap<Extent, Vec<LengthField>> = BTreeMap::new();
    for entry in trees.iter().flatten().filter(|e| e.extents.len() == 1) {
        records.entry(entry.extents[0]).or_default().push(LengthField::Iso(entry.records[0]));
    }
    let in_tree = entries.iter().filter(|e| e.kind == crate::Kind::File && e.extents.len() == 1);
    let in_tree = in_tree.map(|e| (e.path.clone(), Place::of_iso(e.extents[0], &records))).collect();
    let mut found = configs(iso, "", in_tree)?;
    for (base, name) in fat_images(iso, &entries)? {
        let Some(files) = fat::walk(&*iso.source, base)? else { continue };
        let in_fat = files.iter().map(|f| (f.path.clone(), Place::of_fat(f))).collect();
        found.extend(configs(iso, &name, in_fat)?);
    }
    Ok(found)
}

/// Where FAT images may be: El Torito entries for UEFI, and EFI partitions, each with a name for people.
fn fat_images(iso: &Iso, entries: &[Entry]) -> Result<Vec<(u64, String)>> {
    let esp = ["ef", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"];
    let partitions =
        iso.partitions()?.into_iter().filter(|p| esp.contains(&p.kind.as_str())).map(|p| p.offset);
    let boot = iso.boot_entries()?.into_iter().filter(|b| b.platform == "efi").map(|b| b.offset);
    let bases: BTreeSet<u64> = boot.chain(partitions).collect();
    let name = |base: u64| {
        let file = entries.iter().find(|e| e.size > 0 && e.extents.first().is_some_and(|x| x.offset == base));
        file.map_or_else(|| format!("FAT image at {base}:"), |e| format!("{}:", e.path))
    };
    Ok(bases.into_iter().map(|base| (base, name(base))).collect())
}

/// The loader files among the files of one file system, by their names and by what they include.
fn configs(iso: &Iso, prefix: &str, files: Vec<(String, Place)>) -> Result<Vec<ConfigFile>> {
    let mut todo: Vec<_> = files.iter().filter_map(|(path, _)| root(path)).collect();
    todo.reverse();
    let mut by_path: BTreeMap<String, Vec<(String, Place)>> = BTreeMap::new();
    for file in files {
        by_path.entry(file.0.to_lowercase()).or_default().push(file);
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    while let Some((path, folder, loader)) = todo.pop() {
        let path = path.to_lowercase();
        if !seen.insert(path.clone()) {
            continue;
        }
        // Names that differ by case alone: which one a loader takes is not known here.
        for (path, place) in by_path.get(&path).into_iter().flatten().filter(|f| f.1.size <= LONGEST) {
            let text = Text::decode(place.read(iso, place.size)?);
            let config = config::parse(loader, &text.text);
            if config.lines.len() > MOST_LINES
                || config.includes.len() > MOST
                || seen.len() + found.len() > MOST
            {
                let text = "there are more loader files and entries than in any real image";
                return Err(Failure::new(Kind::Input, text).into());
            }
            todo.extend(config.includes.iter().map(|i| (resolved(&folder, i), folder.clone(), loader)));
            if !config.lines.is_empty() {
                let name = format!("{prefix}{path}");
                found.push(ConfigFile { name, loader, text, config, place: place.clone() });
            }
        }
    }
    Ok(found)
}

/// Whether a loader looks for a file of this name: its path, its folder and the loader.
fn root(path: &str) -> Option<(String, String, Loader)> {
    let (folder, name) = path.rsplit_once('/')?;
    let loader = match name.to_ascii_lowercase().as_str() {
        "isolinux.cfg" | "syslinux.cfg" | "extlinux.conf" => Loader::Isolinux,
        "grub.cfg" | "loopback.cfg" => Loader::Grub,
        _ => return None,
    };
    Some((path.to_owned(), folder.to_owned(), loader))
}

/// An included path. Both loaders take relative ones from the folder of the first file.
fn resolved(folder: &str, path: &str) -> String {
    let path = ["$prefix/", "${prefix}/"].iter().find_map(|p| path.strip_prefix(p)).unwrap_or(path);
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in full.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
