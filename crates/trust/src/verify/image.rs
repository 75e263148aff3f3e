//! What is inside an ISO of ours: every entry is one that the plan puts there, and nothing else can be started.

use std::{collections::BTreeMap, io};

use anyhow::{Context as _, Result, bail, ensure};
use camino::Utf8Path;

use super::{
    Checks, Subject, TEXT_LIMIT,
    expect::{Expected, KnownDigest},
    inside::{CheckResult, KERNEL_LIMIT, PROGRAM_LIMIT, beside, carries},
    own_key, signatures,
};
use attest::MANIFEST;
use bootiso::{Entry, EntryKind, Iso, SECTOR, embed};
use buildplan::{Action, Arg, Artifact, Digest, IsoSpec, Product};
use mediabuild::builtin::{fat, iso};

/// How long isohdpfx.bin is.
const CODE: u64 = 432;
/// The FAT image holds a loader or two.
const IMAGE_LIMIT: u64 = 64 << 20;

/// An ISO under examination.
struct ExaminedIso<'a> {
    subject: &'a Subject<'a>,
    expected: &'a Expected,
    iso: Iso,
    /// Its path among the outputs.
    path: &'a str,
    /// In sentences.
    name: &'a str,
    spec: &'a IsoSpec,
    /// What the plan puts in, by path.
    planned: BTreeMap<&'a str, &'a Arg>,
    /// What is there.
    entries: BTreeMap<String, Entry>,
}

/// Opens an image, and nothing but a file.
pub(super) fn open(path: &Utf8Path) -> Result<Iso> {
    ensure!(fs_err::metadata(path)?.is_file(), "{path} is not a file");
    Ok(Iso::open(path)?)
}

/// Checks `iso`, which is planned as `path`.
pub(super) fn check(
    subject: &Subject<'_>,
    expected: &Expected,
    (path, iso): (&str, Result<Iso>),
    artifact: &Artifact,
    checks: &mut Checks,
) {
    let name = if path == "ipxe.iso" { path } else { "the ISO" };
    let Some(Product::Iso(spec)) = &expected.planned.plan.node(artifact.node).product else {
        return checks.add("iso", Err(format!("the plan has no ISO called {path}")));
    };
    let planned = spec.files.iter().map(|(path, content)| (path.as_str(), content)).collect();
    let image = iso.and_then(|iso| {
        let entries = iso.walk()?.into_iter().map(|e| (e.path.clone(), e)).collect();
        Ok(ExaminedIso { subject, expected, iso, path, name, spec, planned, entries })
    });
    match image {
        Ok(image) => image.check(checks),
        Err(e) => checks.add("iso", Err(format!("{e:#}"))),
    }
}

impl ExaminedIso<'_> {
    fn check(&self, checks: &mut Checks) {
        let mut fine = Vec::new();
        for (path, arg) in &self.planned {
            let check = self.check_of(path);
            match self.entry(path, arg) {
                Ok(Some(_)) if check == self.general() => fine.push(path.trim_start_matches('/')),
                Ok(Some(said)) => checks.add(check, Ok(said)),
                Ok(None) => checks.skip(check, self.unknown(path)),
                Err(e) => checks.add(check, Err(e)),
            }
        }
        if !fine.is_empty() {
            checks.add(self.general(), Ok(format!("{} of {} are as expected", fine.join(", "), self.name)));
        }
        if let Some(entry) = self.stranger() {
            let text = format!("{} has {entry}, which this repository does not put there", self.name);
            checks.add(self.general(), Err(text));
        }
        // Where a file is another, so is what leads to it: that was said.
        if !checks.has_failed(self.general()) {
            checks.add(self.general(), self.every_byte().map_err(|e| format!("{e:#}")));
        }
        self.signatures(checks);
        match self.boot_sector() {
            Ok(Some(said)) => checks.add(self.general(), Ok(said)),
            Ok(None) => {
                checks.skip(
                    self.general(),
                    format!(
                        "the boot sector of {}: its source is not at hand; --rebuild compares it",
                        self.name
                    ),
                );
            }
            Err(e) => checks.add(self.general(), Err(format!("{e:#}"))),
        }
    }

    /// Who signed what UEFI starts, where the profile has it signed.
    fn signatures(&self, checks: &mut Checks) {
        let Some(loaded) = self.subject.loaded else { return };
        let Ok(profile) = loaded.config.profile(self.subject.profile.as_deref()) else { return };
        let chain = signatures::Chain { profile, root: &self.subject.ctx.root, iso: &self.iso };
        match chain.check(self.path == "ipxe.iso") {
            Ok(lines) => lines.into_iter().for_each(|line| checks.add("signed by", Ok(line))),
            Err(e) => checks.add("signed by", Err(format!("{e:#}"))),
        }
    }

    /// An entry that is neither planned nor the boot catalogue nor a folder of one of these.
    fn stranger(&self) -> Option<&str> {
        let made: Vec<&str> = self.planned.keys().copied().chain([self.spec.catalog.as_str()]).collect();
        let leads = |folder: &str| {
            made.iter().any(|path| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
        };
        let known = |e: &Entry| match e.kind {
            EntryKind::Folder => e.path == "/" || leads(&e.path),
            _ => made.contains(&e.path.as_str()),
        };
        self.entries.values().find(|e| !known(e)).map(|e| e.path.as_str())
    }

    /// The check that the other entries belong to.
    fn general(&self) -> &'static str {
        if self.path == "ipxe.iso" { "ipxe.iso" } else { "loaders" }
    }

    fn check_of(&self, path: &str) -> &'static str {
        match path {
            "/embed.ipxe" => "iPXE script",
            "/isolinux.cfg" | "/boot/grub/grub.cfg" if self.path != "ipxe.iso" => "parameters",
            "/vmlinuz" => "kernel",
            "/initrd" => "initrd",
            "/seed.cpio" => "config initrd",
            embed::LAYOUT => "embed areas",
            _ => self.general(),
        }
    }

    fn unknown(&self, path: &str) -> String {
        match path {
            "/vmlinuz" | "/initrd" if self.subject.only.is_some() && self.subject.manifest.is_some() => {
                format!("the source of {path} is not at hand; --fetch gets it")
            }
            "/vmlinuz" => format!("netboot/vmlinuz, which {path} is compared with, is missing"),
            "/initrd" => format!("netboot/initrd, which {path} is compared with, is missing"),
            _ if self.subject.manifest.is_none() => {
                format!("{path} cannot be checked without {MANIFEST}")
            }
            _ => format!("{path} of {}: its source is not at hand; --rebuild compares it", self.name),
        }
    }

    /// The check of a planned entry; `None` when it is unknown what it must be.
    fn entry(&self, path: &str, arg: &Arg) -> Result<Option<String>, String> {
        let entry = self.entries.get(path).filter(|e| e.kind == EntryKind::File);
        let entry = entry.ok_or_else(|| format!("{} has no {path}", self.name))?;
        if self.check_of(path) == "parameters" {
            return self.parameters(entry, path, arg).map(Some);
        }
        if path == embed::LAYOUT {
            layout(&self.iso).map_err(|e| format!("{e:#}"))?;
        }
        let Some((want, what)) = self.known(arg) else {
            return match self.signed(entry, arg) {
                Some(found) => found
                    .map(|said| Some(format!("{path} of {} {said}", self.name)))
                    .map_err(|why| format!("{path} of {} {why}", self.name)),
                None => self.efi(entry, path, arg),
            };
        };
        let have = if path == self.spec.bios { self.isolinux(entry) } else { self.digest(entry) };
        match have.map_err(|e| format!("{e:#}"))? == want {
            true => Ok(Some(format!("{path} of {} is {what}", self.name))),
            false => Err(format!("{path} of {} is not {what}", self.name)),
        }
    }

    fn known(&self, arg: &Arg) -> Option<KnownDigest> {
        let there = match arg {
            Arg::In(artifact) => {
                self.expected.picked(artifact).or_else(|| beside(self.subject, self.expected, artifact))
            }
            _ => None,
        };
        there.or_else(|| self.expected.arg(&self.subject.ctx.root, arg))
    }

    /// What is found of a program that a person's key signed.
    fn signed(&self, entry: &Entry, arg: &Arg) -> Option<CheckResult> {
        let Arg::In(artifact) = arg else { return None };
        let read = || self.iso.read(entry, KERNEL_LIMIT).map_err(|e| format!("{e:#}"));
        own_key::check(self.expected, &self.subject.ctx.root, artifact, read)
    }

    fn digest(&self, entry: &Entry) -> Result<Digest> {
        Ok(Digest::read(&mut self.iso.reader(entry))?.0)
    }

    /// A loader's file is the one that the profile's parameters make.
    fn parameters(&self, entry: &Entry, path: &str, arg: &Arg) -> CheckResult {
        let bytes = self.iso.read(entry, TEXT_LIMIT).map_err(|e| format!("{e:#}"))?;
        let text = self
            .expected
            .text_of(arg)
            .ok_or_else(|| format!("this repository does not produce {path}"))??;
        let profile = self.subject.profile.as_deref().unwrap_or_default();
        if bytes == text.as_bytes() {
            return Ok(format!("{path} has the parameters of profile {profile}"));
        }
        let there = String::from_utf8_lossy(&bytes);
        let pair = there.lines().zip(text.lines()).position(|(a, b)| a != b);
        let line = pair.unwrap_or_else(|| there.lines().count().min(text.lines().count())) + 1;
        Err(format!("{path} differs from profile {profile} from line {line} on"))
    }

    /// The digest of isolinux.bin as it was before its boot info table was filled in: where the file is, and zeros
    /// for what the package has as `0xdeadbeef`. isolinux loads the rest of itself from where the table says.
    fn isolinux(&self, entry: &Entry) -> Result<Digest> {
        let mut bytes = self.iso.read(entry, PROGRAM_LIMIT)?;
        let (table, at) = (bytes.get_mut(8..64).context("isolinux.bin is too short")?, sector(entry)?);
        ensure!(
            table[4..8] == at.to_le_bytes(),
            "isolinux.bin of {} loads the rest of itself from another sector",
            self.name
        );
        ensure!(
            table[16..].iter().all(|b| *b == 0),
            "the boot info table of {} holds unexpected data",
            self.name
        );
        table[4..8].fill(0);
        table[16..].chunks_exact_mut(4).for_each(|word| word.copy_from_slice(&0xDEAD_BEEF_u32.to_le_bytes()));
        Ok(Digest::of(&bytes))
    }

    /// A FAT image, file by file.
    fn efi(&self, entry: &Entry, name: &str, arg: &Arg) -> Result<Option<String>, String> {
        let Arg::In(artifact) = arg else { return Ok(None) };
        let Some(Product::Fat(parts)) = &self.expected.planned.plan.node(artifact.node).product else {
            return Ok(None);
        };
        let name = format!("{name} of {}", self.name);
        let offset = entry.extents.first().map_or(0, |e| e.offset);
        let files = self.iso.fat_files(offset).map_err(|e| format!("{e:#}"))?;
        let mut known = true;
        for (path, content) in parts {
            let path = format!("/{path}");
            let file = files.iter().find(|f| f.path.eq_ignore_ascii_case(&path));
            let file = file.ok_or_else(|| format!("{name} has no {path}"))?;
            known &= self.program(file, &name, content)?;
        }
        if files.len() != parts.len() {
            return Err(format!("{name} has files that this repository does not put there"));
        }
        self.every_sector(entry, &name, parts, &files).map_err(|e| format!("{e:#}"))?;
        Ok(known.then(|| format!("{name} has {} files, each as expected", parts.len())))
    }

    /// The FAT is the one that its files make, byte for byte.
    fn every_sector(
        &self,
        entry: &Entry,
        name: &str,
        parts: &[(String, Arg)],
        files: &[Entry],
    ) -> Result<()> {
        let mut contents = Vec::new();
        for path in parts.iter().map(|(path, _)| path.as_str()) {
            let named = |f: &&Entry| f.path.trim_start_matches('/').eq_ignore_ascii_case(path);
            let file = files.iter().find(named).with_context(|| format!("{name} has no {path}"))?;
            contents.push((path, self.iso.read(file, PROGRAM_LIMIT)?));
        }
        let same = fat::bytes(&contents)? == self.iso.read(entry, IMAGE_LIMIT)?;
        ensure!(same, "{name} has bytes that its files do not explain");
        Ok(())
    }

    /// Whether a file of the FAT image is known to be what it must be. GRUB that was made elsewhere is only known to
    /// carry our script.
    fn program(&self, file: &Entry, image: &str, content: &Arg) -> Result<bool, String> {
        let inside = format!("{} in {image}", file.path);
        if let Some((want, what)) = self.known(content) {
            let same = self.digest(file).map_err(|e| format!("{e:#}"))? == want;
            return if same { Ok(true) } else { Err(format!("{inside} is not {what}")) };
        }
        if let Some(found) = self.signed(file, content) {
            return found.map(|_| true).map_err(|why| format!("{inside} {why}"));
        }
        if let Arg::In(artifact) = content
            && let Some(Action::Write { text, .. }) =
                self.expected.planned.plan.node(artifact.node).actions.first()
        {
            let script: String = text.iter().map(ToString::to_string).collect();
            let bytes = self.iso.read(file, PROGRAM_LIMIT).map_err(|e| format!("{e:#}"))?;
            carries(&bytes, &script, &inside)?;
        }
        Ok(false)
    }

    /// The image is the one that its parts make, byte for byte: its descriptors, tables, records, boot catalogue and
    /// partitions are what `dist` writes around them, and nothing lies between or behind.
    fn every_byte(&self) -> Result<String> {
        let entry =
            |path: &str| self.entries.get(path).with_context(|| format!("{} has no {path}", self.name));
        let code = self.iso.bytes(0, CODE)?;
        let spec = iso::spec(self.spec, self.expected.epoch, |path| Ok(entry(path)?.size), code)?;
        let image = iso::plan(&spec)?;
        let size = self.iso.size()?;
        ensure!(size == image.size(), "{} has {size} bytes; its parts make {}", self.name, image.size());
        let mut held = Held { iso: &self.iso, at: 0, differs: None };
        let open = |path: &str| -> io::Result<Box<dyn io::Read + '_>> {
            match self.entries.get(path) {
                Some(entry) => Ok(Box::new(self.iso.reader(entry))),
                None => Err(io::ErrorKind::NotFound.into()),
            }
        };
        let written = image.write(&mut held, open);
        if let Some(at) = held.differs {
            bail!(
                "byte {at} of {} ({}) does not follow from its parts",
                self.name,
                self.whereabouts(&image, at)
            );
        }
        written?;
        Ok(format!("all {size} bytes of {} follow from its parts", self.name))
    }

    /// What lies at a byte of the image that is planned, for a person.
    fn whereabouts(&self, image: &bootiso::write::ImageLayout, at: u64) -> &str {
        let places = || self.planned.keys().filter_map(|path| Some((*path, image.place(path)?)));
        let first = places().map(|(_, (from, _))| from).min().unwrap_or(0);
        match places().find(|(_, (from, length))| (*from..from + length).contains(&at)) {
            Some((path, _)) => path,
            None if at < 512 => "the boot sector and its partitions",
            None if at < 16 * SECTOR => "the system area",
            None if at < 20 * SECTOR => "the volume descriptors",
            None if at < first => "the path tables, folders and boot catalogue",
            None => "between or behind its files",
        }
    }

    /// The code of the first sector is the distribution's. `None` when nothing tells which code it must be.
    fn boot_sector(&self) -> Result<Option<String>> {
        let Some((want, what)) = self.known(&self.spec.code) else { return Ok(None) };
        ensure!(
            Digest::of(&self.iso.bytes(0, CODE)?) == want,
            "the boot sector of {} is not {what}",
            self.name
        );
        Ok(Some(format!("the boot sector of {} is {what}", self.name)))
    }
}

/// Holds what is written against an image.
struct Held<'a> {
    iso: &'a Iso,
    at: u64,
    differs: Option<u64>,
}

impl io::Write for Held<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let there = self.iso.bytes(self.at, bytes.len() as u64).map_err(io::Error::other)?;
        if let Some(n) = bytes.iter().zip(&there).position(|(a, b)| a != b) {
            self.differs = Some(self.at + n as u64);
            return Err(io::Error::other("another byte"));
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a file begins, in sectors, as the boot info table has it.
fn sector(entry: &Entry) -> Result<u32> {
    let first = entry.extents.first().context("isolinux.bin is empty")?;
    Ok(u32::try_from(first.offset / SECTOR)?)
}

/// `/media.json` is true of the loaders' files that are there.
pub(super) fn layout(iso: &Iso) -> Result<String> {
    let read = |path: &str| iso.read(&iso.find(path)?, TEXT_LIMIT);
    let layout = embed::MediaLayout::from_json(&read(embed::LAYOUT)?)?;
    for region in &layout.regions {
        let bytes = read(&region.file)?;
        let end = region.offset.checked_add(region.length).context("a region that never ends")?;
        let range = usize::try_from(region.offset)?..usize::try_from(end)?;
        let bytes = bytes.get(range).with_context(|| format!("a region of {} lies outside", region.file))?;
        let args = embed::args(bytes).with_context(|| format!("a region of {} is damaged", region.file))?;
        ensure!(args == region.args, "the parameters in {} were changed after the build", region.file);
    }
    Ok(format!("{} regions are as {} says", layout.regions.len(), embed::LAYOUT))
}
