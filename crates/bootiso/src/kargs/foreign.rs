//! Anybody's images: which loader files there are, and how a file that gets longer finds its room.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::{
    Change, Slot,
    config::{self, Config},
    patch::Patch,
    words::{Edit, Reader},
};
use crate::Entry;
use crate::Extent;
use crate::Iso;
use crate::SECTOR;
use crate::fat;
use crate::room::Loader;
use bootparams::Os;
use failure::{Failure, Kind};

/// Loader files are a few KiB.
const LONGEST: u64 = 1 << 20;
/// Loader files of one image, and files that they name.
const MOST: usize = 256;
/// Places with arguments in one file.
const MOST_LINES: usize = 1024;

/// A file with kernel arguments in it.
pub(super) struct ConfigFile {
    /// `/isolinux.cfg`, or `/efi.img:/EFI/BOOT/grub.cfg` for a file of a FAT image.
    name: String,
    loader: Loader,
    text: Text,
    config: Config,
    place: Place,
}

/// Where a file is, and how it may grow.
#[derive(Clone)]
struct Place {
    size: u64,
    /// What belongs to the file, up to the end of its last sector or cluster.
    extents: Vec<Extent>,
    length_fields: Vec<LengthField>,
}

#[derive(Clone, Copy)]
enum LengthField {
    /// A directory record of ISO 9660: both byte orders at 10.
    Iso(u64),
    /// A directory entry of FAT: little-endian at 28.
    Fat(u64),
}

/// A file's text. Menus drawn in an old code page are no UTF-8; those are read byte for character.
struct Text {
    text: String,
    is_utf8: bool,
}

impl Text {
    fn decode(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, is_utf8: true },
            Err(e) => Self { text: e.into_bytes().into_iter().map(char::from).collect(), is_utf8: false },
        }
    }

    fn encode(&self, text: &str) -> Result<Vec<u8>> {
        if self.is_utf8 {
            return Ok(text.as_bytes().to_vec());
        }
        let byte = |c| u8::try_from(u32::from(c));
        text.chars().map(byte).collect::<Result<_, _>>().map_err(|_| {
            Failure::new(Kind::Params, "the loader's file is not UTF-8, so that only Latin-1 can be put in")
                .into()
        })
    }
}

/// Every loader file with kernel arguments, in the ISO tree and in FAT images that firmware may start.
pub(super) fn find(iso: &Iso) -> Result<Vec<ConfigFile>> {
    let (trees, entries) = (iso.walk_all()?, iso.walk()?);
    // Hard links and the Joliet tree have records of their own for the same bytes.
    let mut records: BTreeMap<Extent, Vec<LengthField>> = BTreeMap::new();
    for entry in trees.iter().flatten().filter(|e| e.extents.len() == 1) {
        records.entry(entry.extents[0]).or_default().push(LengthField::Iso(entry.records[0]));
    }
    let in_tree = entries.iter().filter(|e| e.kind == crate::Kind::File && e.extents.len() == 1);
    let in_tree = in_tree.map(|e| (e.path.clone(), iso_place(e.extents[0], &records))).collect();
    let mut found = configs(iso, "", in_tree)?;
    for (base, name) in fat_images(iso, &entries)? {
        let Some(files) = fat::walk(&*iso.source, base)? else { continue };
        let place = |f: &fat::FatFile| Place {
            size: f.size,
            extents: f.clusters.clone(),
            length_fields: vec![LengthField::Fat(f.record)],
        };
        let in_fat = files.iter().map(|f| (f.path.clone(), place(f))).collect();
        found.extend(configs(iso, &name, in_fat)?);
    }
    Ok(found)
}

/// What in an image speaks of its other bytes and is not changed with them.
pub(super) fn stale(iso: &Iso) -> Result<Vec<String>> {
    let mut stale = Vec::new();
    for name in ["/md5sum.txt", "/sha256sum.txt", "/.disk/md5sum.txt"] {
        if let Some(entry) = iso.find_opt(name)? {
            stale.push(format!("{} in the image may list the old contents", entry.path));
        }
    }
    // `implantisomd5` writes into the primary descriptor's field for applications (ECMA-119, 8.4.32).
    let field = iso.bytes(16 * SECTOR + 883, 512)?;
    if field.windows(12).any(|w| w == b"ISO MD5SUM =") {
        stale.push("the checksum that `implantisomd5` wrote into the image no longer matches".to_owned());
    }
    Ok(stale)
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

fn iso_place(extent: Extent, records: &BTreeMap<Extent, Vec<LengthField>>) -> Place {
    let length = extent.length.next_multiple_of(SECTOR);
    let length_fields = records.get(&extent).cloned().unwrap_or_default();
    Place { size: extent.length, extents: vec![Extent { offset: extent.offset, length }], length_fields }
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
            let text = Text::decode(read(iso, place, place.size)?);
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

/// The first `length` bytes of what belongs to a file.
fn read(iso: &Iso, place: &Place, length: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for extent in &place.extents {
        let left = length - bytes.len() as u64;
        bytes.extend(iso.bytes(extent.offset, extent.length.min(left))?);
    }
    Ok(bytes)
}

impl ConfigFile {
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> {
        self.config.lines.iter().map(|line| Slot {
            file: self.name.clone(),
            entry: line.entry.clone(),
            loader: self.loader,
            args: arguments(self.loader, &self.text.text[line.range.clone()]).to_owned(),
        })
    }

    /// Adds what `edit` makes of this file.
    pub(super) fn change(&self, iso: &Iso, edit: &Edit, os: Os, change: &mut Change) -> Result<()> {
        let mut text = self.text.text.clone();
        let mut matched = false;
        let first = change.expected.len();
        for line in self.config.lines.iter().rev() {
            let old = arguments(self.loader, &text[line.range.clone()]).to_owned();
            let new = Reader { loader: self.loader, os }.edited(&old, edit)?;
            change.expected.insert(first, new.clone().unwrap_or(old));
            let Some(mut args) = new else { continue };
            matched = true;
            if args.is_empty() && self.loader == Loader::Isolinux && line.lead.is_empty() {
                // Without a `-`, the arguments for all labels would apply.
                "-".clone_into(&mut args);
            }
            text.replace_range(line.range.clone(), &format!("{}{args}", line.lead));
        }
        if matched {
            let new = self.fitted(text, &self.slack(iso)?)?;
            let old = self.text.encode(&self.text.text)?;
            change.patches.extend(self.place.patches(iso, &old, &new)?);
            change.matched = true;
        }
        Ok(())
    }

    /// How far the file may grow, or why not.
    fn slack(&self, iso: &Iso) -> Result<Slack> {
        let room: u64 = self.place.extents.iter().map(|e| e.length).sum();
        if self.place.extents.is_empty() {
            return Ok(Slack::None("it has no sector of its own"));
        }
        if self.place.length_fields.iter().any(|f| matches!(f, LengthField::Iso(_))) {
            if let Some(other) = other_tree(iso)? {
                return Ok(Slack::None(other));
            }
            let Ok(all) = read(iso, &self.place, room) else {
                return Ok(Slack::None("the image ends with the file"));
            };
            if all[usize::try_from(self.place.size)?..].iter().any(|b| *b != 0) {
                return Ok(Slack::None("something stands behind it in its last sector"));
            }
        }
        Ok(Slack::Bytes(room - self.place.size))
    }

    /// The new text at the old length if that can be, else longer within the slack, else without comments.
    fn fitted(&self, mut text: String, slack: &Slack) -> Result<Vec<u8>> {
        let old = usize::try_from(self.place.size)?;
        let more = if let Slack::Bytes(n) = slack { usize::try_from(*n)? } else { 0 };
        let padded = |mut bytes: Vec<u8>| {
            bytes.resize(bytes.len().max(old), b'\n');
            bytes
        };
        let shorter = self.text.encode(text.trim_end())?;
        let end = text.trim_end().len();
        if shorter.len() <= old {
            return Ok(padded(shorter));
        }
        text.truncate(end);
        text.push('\n');
        let bytes = self.text.encode(&text)?;
        if bytes.len() <= old + more {
            return Ok(bytes);
        }
        let text = self.without_comments(&text, bytes.len() - old)?;
        let bytes = self.text.encode(text.trim_end())?;
        if bytes.len() <= old + more {
            return Ok(padded(bytes));
        }
        let missing = bytes.len() - old - more;
        let why =
            if let Slack::None(why) = slack { format!(", and it cannot grow: {why}") } else { String::new() };
        let text = format!("{} has {missing} bytes too little room for this{why}", self.name);
        Err(Failure::new(Kind::Input, text).help("rebuild the image, or delete other arguments first").into())
    }
}

impl ConfigFile {
    /// The text without its last comments, as many as have `bytes` bytes together.
    fn without_comments(&self, text: &str, bytes: usize) -> Result<String> {
        let mut freed = 0;
        let mut gone = Vec::new();
        for comment in config::parse(self.loader, text).comments.into_iter().rev() {
            if freed < bytes {
                freed += self.text.encode(&text[comment.clone()])?.len();
                gone.push(comment);
            }
        }
        let mut left = String::new();
        let mut from = 0;
        for comment in gone.into_iter().rev() {
            left += &text[from..comment.start];
            from = comment.end;
        }
        Ok(left + &text[from..])
    }
}

enum Slack {
    Bytes(u64),
    None(&'static str),
}

/// The arguments of a line; `-` is how ISOLINUX writes that there are none.
fn arguments(loader: Loader, text: &str) -> &str {
    if loader == Loader::Isolinux && text == "-" { "" } else { text }
}

/// Another file system over the same bytes, whose record of the length would be left behind.
fn other_tree(iso: &Iso) -> Result<Option<&'static str>> {
    // HFS keeps its header 1024 bytes into its volume, which is the image or a partition of it.
    let starts = iso.partitions()?.into_iter().map(|p| p.offset).chain([0]);
    let is_hfs = |id: Vec<u8>| matches!(&id[..], b"H+" | b"HX" | b"BD");
    if starts.filter_map(|at| iso.bytes(at.checked_add(1024)?, 2).ok()).any(is_hfs) {
        return Ok(Some("the image has an HFS tree too, which records the length"));
    }
    for sector in 17..64 {
        match iso.bytes(sector * SECTOR + 1, 5) {
            Ok(id) if id.starts_with(b"NSR") => {
                return Ok(Some("the image has a UDF tree too, which records the length"));
            }
            _ => {}
        }
    }
    Ok(None)
}

impl Place {
    /// The patches for new contents.
    fn patches(&self, iso: &Iso, old: &[u8], new: &[u8]) -> Result<Vec<Patch>> {
        let mut patches = Vec::new();
        let mut at = 0;
        for extent in &self.extents {
            let end = new.len().min(at + usize::try_from(extent.length)?);
            let new = &new[at..end];
            let offset = extent.offset;
            patches.push(Patch::new(offset, iso.bytes(offset, new.len() as u64)?, new.to_vec()));
            at = end;
        }
        if new.len() != old.len() {
            for field in &self.length_fields {
                patches.push(field.patch(iso, u32::try_from(new.len())?)?);
            }
        }
        Ok(patches)
    }
}

impl LengthField {
    fn patch(self, iso: &Iso, length: u32) -> Result<Patch> {
        let (offset, new) = match self {
            Self::Iso(at) => (at + 10, [length.to_le_bytes(), length.to_be_bytes()].concat()),
            Self::Fat(at) => (at + 28, length.to_le_bytes().to_vec()),
        };
        Ok(Patch { offset, old: iso.bytes(offset, new.len() as u64)?, new, is_length: true })
    }
}
