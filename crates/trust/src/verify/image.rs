//! What is inside an ISO of ours: every entry is one that the plan puts there, and nothing else can be started.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use camino::Utf8Path;

use super::{
    Checks, Subject, TEXT_LIMIT,
    expect::{Expected, Known},
    inside::{PROGRAM_LIMIT, Said, beside, carries},
};
use attest::MANIFEST;
use bootiso::{Entry, Iso, Kind, SECTOR, room};
use buildplan::{Action, Arg, Artifact, Digest};

const ISOLINUX: &str = "/isolinux/isolinux.bin";
const CATALOG: &str = "/isolinux/boot.cat";
const EFI: &str = "/efi.img";
/// How long isohdpfx.bin is; what is behind it in the first sector, xorriso fills in.
const MBR_CODE: usize = 432;

/// An ISO under examination.
struct Image<'a> {
    subject: &'a Subject<'a>,
    expected: &'a Expected,
    iso: Iso,
    /// Its path among the outputs.
    path: &'a str,
    /// In sentences.
    name: &'a str,
    /// What the plan puts in, by path.
    planned: BTreeMap<&'a str, &'a Arg>,
    /// What is there.
    entries: BTreeMap<String, Entry>,
}

/// Opens an image, and nothing but a file.
pub(super) fn open(path: &Utf8Path) -> Result<Iso> {
    ensure!(fs_err::metadata(path)?.is_file(), "{path} is no file");
    Iso::open(path)
}

/// Checks the planned ISO `path`, which is in `file`.
pub(super) fn check(
    subject: &Subject<'_>,
    expected: &Expected,
    (path, file): (&str, &str),
    artifact: &Artifact,
    checks: &mut Checks,
) {
    let name = if path == "ipxe.iso" { path } else { "the ISO" };
    let args = xorriso(expected, artifact);
    let planned = args.iter().skip_while(|a| **a != Arg::from("-graft-points")).filter_map(graft).collect();
    let image = open(&subject.dir.join(file)).and_then(|iso| {
        let entries = iso.walk()?.into_iter().map(|e| (e.path.clone(), e)).collect();
        Ok(Image { subject, expected, iso, path, name, planned, entries })
    });
    match image {
        Ok(image) => image.check(args, checks),
        Err(e) => checks.add("iso", Err(format!("{e:#}"))),
    }
}

/// The arguments of the program that makes the image.
fn xorriso<'a>(expected: &'a Expected, artifact: &Artifact) -> &'a [Arg] {
    match expected.planned.plan.node(artifact.node).actions.as_slice() {
        [Action::Run(cmd)] => &cmd.args,
        _ => &[],
    }
}

/// `/path=` and what is put there.
fn graft(arg: &Arg) -> Option<(&str, &Arg)> {
    match arg {
        Arg::Join(parts) => match parts.as_slice() {
            [Arg::Lit(path), from] => Some((path.strip_suffix('=')?, from)),
            _ => None,
        },
        _ => None,
    }
}

impl Image<'_> {
    fn check(&self, args: &[Arg], checks: &mut Checks) {
        let mut fine = Vec::new();
        for (path, arg) in &self.planned {
            let promise = self.promise(path);
            match self.entry(path, arg) {
                Ok(Some(_)) if promise == self.general() => fine.push(path.trim_start_matches('/')),
                Ok(Some(said)) => checks.add(promise, Ok(said)),
                Ok(None) => checks.skip(promise, self.unknown(path)),
                Err(e) => checks.add(promise, Err(e)),
            }
        }
        if !fine.is_empty() {
            checks.add(
                self.general(),
                Ok(format!("{} of {} are what they must be", fine.join(", "), self.name)),
            );
        }
        checks.add(self.general(), self.nothing_else().map_err(|e| format!("{e:#}")));
        match self.boot_sector(args) {
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

    /// The promise that the other entries are under.
    fn general(&self) -> &'static str {
        if self.path == "ipxe.iso" { "ipxe.iso" } else { "loaders" }
    }

    fn promise(&self, path: &str) -> &'static str {
        match path {
            "/embed.ipxe" => "iPXE script",
            "/isolinux.cfg" | "/boot/grub/grub.cfg" if self.path != "ipxe.iso" => "parameters",
            "/vmlinuz" => "kernel",
            "/initrd" => "initrd",
            "/seed.cpio" => "seed",
            room::LAYOUT => "room",
            _ => self.general(),
        }
    }

    fn unknown(&self, path: &str) -> String {
        match path {
            "/vmlinuz" => format!("there is no netboot/vmlinuz to hold {path} against"),
            "/initrd" => format!("there is no netboot/initrd to hold {path} against"),
            _ if self.subject.manifest.is_none() => {
                format!("which {path} it should be, {MANIFEST} would say")
            }
            _ => format!("{path} of {}: what made it is not at hand; --rebuild compares it", self.name),
        }
    }

    /// What there is to say of a planned entry; `None` when nothing tells what it must be.
    fn entry(&self, path: &str, arg: &Arg) -> Result<Option<String>, String> {
        let entry = self.entries.get(path).filter(|e| e.kind == Kind::File);
        let entry = entry.ok_or_else(|| format!("{} has no {path}", self.name))?;
        if self.promise(path) == "parameters" {
            return self.parameters(entry, path).map(Some);
        }
        if path == room::LAYOUT {
            layout(&self.iso).map_err(|e| format!("{e:#}"))?;
        }
        let Some((want, what)) = self.known(arg) else {
            return if path == EFI { self.efi(entry, arg) } else { Ok(None) };
        };
        let have = if path == ISOLINUX { self.isolinux(entry) } else { self.digest(entry) };
        match have.map_err(|e| format!("{e:#}"))? == want {
            true => Ok(Some(format!("{path} of {} is {what}", self.name))),
            false => Err(format!("{path} of {} is another file than {what}", self.name)),
        }
    }

    fn known(&self, arg: &Arg) -> Option<Known> {
        let there = match arg {
            Arg::In(artifact) => {
                self.expected.picked(artifact).or_else(|| beside(self.subject, self.expected, artifact))
            }
            _ => None,
        };
        there.or_else(|| self.expected.arg(&self.subject.ctx.root, arg))
    }

    fn digest(&self, entry: &Entry) -> Result<Digest> {
        Ok(Digest::read(&mut self.iso.reader(entry))?.0)
    }

    /// A loader's file is the one that the profile's parameters make.
    fn parameters(&self, entry: &Entry, path: &str) -> Said {
        let bytes = self.iso.read(entry, TEXT_LIMIT).map_err(|e| format!("{e:#}"))?;
        let text = self.expected.text(path.rsplit('/').next().unwrap_or(path))?;
        let profile = self.subject.profile.as_deref().unwrap_or_default();
        if bytes == text.as_bytes() {
            return Ok(format!("{path} has the parameters of profile {profile}"));
        }
        let there = String::from_utf8_lossy(&bytes);
        let pair = there.lines().zip(text.lines()).position(|(a, b)| a != b);
        let line = pair.unwrap_or_else(|| there.lines().count().min(text.lines().count())) + 1;
        Err(format!("{path} is not what profile {profile} says, from line {line} on"))
    }

    /// The digest of isolinux.bin as it was before xorriso filled in its boot info table: where the file is, and zeros
    /// for what the package has as `0xdeadbeef`. isolinux loads the rest of itself from where the table says.
    fn isolinux(&self, entry: &Entry) -> Result<Digest> {
        let mut bytes = self.iso.read(entry, PROGRAM_LIMIT)?;
        let (table, at) = (bytes.get_mut(8..64).context("isolinux.bin is too short")?, sector(entry)?);
        ensure!(
            table[4..8] == at.to_le_bytes(),
            "isolinux.bin of {} loads the rest of itself from elsewhere",
            self.name
        );
        ensure!(table[16..].iter().all(|b| *b == 0), "the boot info table of {} has more in it", self.name);
        table[4..8].fill(0);
        table[16..].chunks_exact_mut(4).for_each(|word| word.copy_from_slice(&0xDEAD_BEEF_u32.to_le_bytes()));
        Ok(Digest::of(&bytes))
    }

    /// The FAT image, file by file.
    fn efi(&self, entry: &Entry, arg: &Arg) -> Result<Option<String>, String> {
        let Arg::In(artifact) = arg else { return Ok(None) };
        let [Action::Builtin { args, .. }] =
            self.expected.planned.plan.node(artifact.node).actions.as_slice()
        else {
            return Ok(None);
        };
        let offset = entry.extents.first().map_or(0, |e| e.offset);
        let files = self.iso.fat_files(offset).map_err(|e| format!("{e:#}"))?;
        let of = |label: &'static str| args.iter().filter(move |(l, _)| *l == label).map(|(_, arg)| arg);
        let mut known = true;
        let mut count = 0;
        for (path, content) in of("path").zip(of("content")) {
            let path = format!("/{path}");
            let file = files.iter().find(|f| f.path.eq_ignore_ascii_case(&path));
            let file = file.ok_or_else(|| format!("{EFI} of {} has no {path}", self.name))?;
            known &= self.program(file, content)?;
            count += 1;
        }
        match files.len() == count {
            true => {
                Ok(known.then(|| format!("{EFI} of {} has {count} files, each what it must be", self.name)))
            }
            false => Err(format!("{EFI} of {} has files that this repository does not put there", self.name)),
        }
    }

    /// Whether a file of the FAT image is known to be what it must be. GRUB that was made elsewhere is only known to
    /// carry our script.
    fn program(&self, file: &Entry, content: &Arg) -> Result<bool, String> {
        let inside = format!("{} in {EFI} of {}", file.path, self.name);
        if let Some((want, what)) = self.known(content) {
            let same = self.digest(file).map_err(|e| format!("{e:#}"))? == want;
            return if same { Ok(true) } else { Err(format!("{inside} is another file than {what}")) };
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

    /// No entry is there that is not planned, and firmware starts only what is.
    fn nothing_else(&self) -> Result<String> {
        let name = self.name;
        let mut extents = BTreeSet::new();
        for entry in self.entries.values() {
            let path = entry.path.as_str();
            let holds = |p: &&str| p.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
            let planned = match entry.kind {
                Kind::File => path == CATALOG || self.planned.contains_key(path),
                Kind::Folder => self.planned.keys().any(holds),
                Kind::Link(_) => false,
            };
            ensure!(planned, "{name} has {path}, which this repository does not put there");
            extents.extend(entry.extents.iter().copied());
        }
        for tree in self.iso.walk_all()? {
            let files = tree.iter().filter(|e| e.kind != Kind::Folder);
            ensure!(files.clone().count() < self.planned.len() + 2, "{name} has a file twice");
            let strange = files.flat_map(|e| &e.extents).any(|e| !extents.contains(e));
            ensure!(!strange, "{name} shows other files to those who read other names");
        }
        let mut starts = vec![("bios".to_owned(), self.offset(ISOLINUX))];
        starts.extend(self.planned.contains_key(EFI).then(|| ("efi".to_owned(), self.offset(EFI))));
        let entries = self.iso.boot_entries()?;
        ensure!(entries.iter().all(|e| e.emulation == "none"), "{name} emulates a disk");
        let there: Vec<_> = entries.into_iter().map(|e| (e.platform, Some(e.offset))).collect();
        ensure!(there == starts, "firmware starts something else from {name} than this repository says");
        let begins = |p: &bootiso::Partition| p.offset == 0 || Some(p.offset) == self.offset(EFI);
        ensure!(
            self.iso.partitions()?.iter().all(begins),
            "{name} shows a partition that this repository does not make"
        );
        Ok(format!("{name} holds nothing else, and firmware starts nothing else"))
    }

    fn offset(&self, path: &str) -> Option<u64> {
        Some(self.entries.get(path)?.extents.first()?.offset)
    }

    /// The code of the first sector is the distribution's, and goes on with isolinux.bin. `None` when nothing tells
    /// which code it must be.
    fn boot_sector(&self, args: &[Arg]) -> Result<Option<String>> {
        let source = args.iter().skip_while(|a| **a != Arg::from("-isohybrid-mbr")).nth(1);
        let Some((want, what)) = source.and_then(|arg| self.known(arg)) else { return Ok(None) };
        // Behind the code: the place of isolinux.bin in sectors of 512 bytes, a disk id, the partitions.
        let head = self.iso.bytes(0, 440)?;
        let same = Digest::of(&head[..MBR_CODE]) == want;
        ensure!(same, "the boot sector of {} is another than {what}", self.name);
        let next = self.offset(ISOLINUX).unwrap_or_default() / 512;
        ensure!(head[MBR_CODE..] == next.to_le_bytes(), "the boot sector of {} goes on elsewhere", self.name);
        Ok(Some(format!("the boot sector of {} is {what}", self.name)))
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
    let layout = room::Layout::from_json(&read(room::LAYOUT)?)?;
    for region in &layout.regions {
        let bytes = read(&region.file)?;
        let end = region.offset.checked_add(region.length).context("a region that never ends")?;
        let range = usize::try_from(region.offset)?..usize::try_from(end)?;
        let bytes = bytes.get(range).with_context(|| format!("a region of {} lies outside", region.file))?;
        let args = room::args(bytes).with_context(|| format!("a region of {} is damaged", region.file))?;
        ensure!(args == region.args, "the parameters in {} were changed after the build", region.file);
    }
    Ok(format!("{} regions are as {} says", layout.regions.len(), room::LAYOUT))
}
