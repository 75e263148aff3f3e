//! What is inside the media: kernel and initrd, parameters, scripts, iPXE.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use super::{Checks, Subject, TEXT_LIMIT};
use crate::{
    config::{Engine, Media},
    exec::{run::read_limited, store::read_entry, tree},
    iso::{self, Iso, room},
    plan::Digest,
};

/// No iPXE program is larger.
const PROGRAM_LIMIT: u64 = 16 << 20;

type Said = Result<String, String>;

/// Checks the ISO and the scripts, as far as they are there.
pub(super) fn check(subject: &Subject<'_>, checks: &mut Checks) {
    if let Some(path) = medium(subject) {
        match Iso::open(&path) {
            Ok(iso) => boot_iso(subject, &iso, checks),
            Err(e) => checks.add("iso", Err(format!("{e:#}"))),
        }
    }
    if subject.only.is_some() {
        return;
    }
    released(subject, checks);
    for name in ["netboot/boot.ipxe", "netboot/boot.html"] {
        let text = subject.text("boot.ipxe");
        checks.add("boot script", text.and_then(|text| same_text(&subject.dir.join(name), name, text)));
    }
    ipxe(subject, checks);
}

/// The profile's own ISO: the file that is looked at, or the one in the manifest.
fn medium(subject: &Subject<'_>) -> Option<Utf8PathBuf> {
    let name = match (&subject.only, &subject.manifest) {
        (Some(only), _) => Some(only.clone()).filter(|n| n.ends_with(".iso") && n != "ipxe.iso"),
        (None, Some(m)) => m.outputs.keys().find(|p| p.ends_with("-x86_64.iso")).cloned(),
        (None, None) => None,
    };
    name.map(|name| subject.dir.join(name))
}

fn boot_iso(subject: &Subject<'_>, iso: &Iso, checks: &mut Checks) {
    for (promise, inside, beside) in [
        ("kernel", "/vmlinuz", "netboot/vmlinuz"),
        ("initrd", "/initrd", "netboot/initrd"),
        ("seed", "/seed.cpio", "netboot/seed.cpio"),
    ] {
        let Some(beside_digest) = subject.digest(beside) else {
            if promise != "seed" {
                checks.skip(promise, format!("there is no {beside} to hold {inside} against"));
            }
            continue;
        };
        let same = entry_digest(iso, inside).map_err(|e| format!("{e:#}"));
        checks.add(promise, same.and_then(|d| equal(d, beside_digest, inside, beside)));
    }
    for (name, path) in [("isolinux.cfg", "/isolinux.cfg"), ("grub.cfg", "/boot/grub/grub.cfg")] {
        match (subject.text(name), &subject.profile) {
            (Ok(text), Some(profile)) => checks.add("parameters", parameters(iso, path, text, profile)),
            (Err(e), _) => checks.skip("parameters", e),
            (_, None) => checks.skip("parameters", "the file's name tells no profile"),
        }
    }
    checks.add("room", layout(iso).map_err(|e| format!("{e:#}")));
}

fn equal(a: Digest, b: Digest, inside: &str, beside: &str) -> Said {
    if a == b {
        return Ok(format!("{inside} of the ISO is {beside}"));
    }
    Err(format!("{inside} of the ISO is another file than {beside}"))
}

fn entry_digest(iso: &Iso, path: &str) -> Result<Digest> {
    let entry = iso.find(path)?;
    Ok(Digest::read(&mut iso.reader(&entry))?.0)
}

fn read(iso: &Iso, path: &str) -> Result<Vec<u8>> {
    iso.read(&iso.find(path)?, TEXT_LIMIT)
}

/// A loader's file is the one that the profile's parameters make.
fn parameters(iso: &Iso, path: &str, text: &str, profile: &str) -> Said {
    let bytes = read(iso, path).map_err(|e| format!("{e:#}"))?;
    if bytes == text.as_bytes() {
        return Ok(format!("{path} has the parameters of profile {profile}"));
    }
    let there = String::from_utf8_lossy(&bytes);
    let pair = there.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = pair.unwrap_or_else(|| there.lines().count().min(text.lines().count())) + 1;
    Err(format!("{path} is not what profile {profile} says, from line {line} on"))
}

/// `/media.json` is true of the loaders' files that are there.
fn layout(iso: &Iso) -> Result<String> {
    let layout = room::Layout::from_json(&read(iso, room::LAYOUT)?)?;
    for region in &layout.regions {
        let bytes = read(iso, &region.file)?;
        let end = region.offset.checked_add(region.length).context("a region that never ends")?;
        let range = usize::try_from(region.offset)?..usize::try_from(end)?;
        let bytes = bytes.get(range).with_context(|| format!("a region of {} lies outside", region.file))?;
        let args = room::args(bytes).with_context(|| format!("a region of {} is damaged", region.file))?;
        anyhow::ensure!(
            args == region.args,
            "the parameters in {} were changed after the build",
            region.file
        );
    }
    Ok(format!("{} regions are as {} says", layout.regions.len(), room::LAYOUT))
}

/// Kernel and initrd are the ones that somebody released, as far as that can be known without a build.
fn released(subject: &Subject<'_>, checks: &mut Checks) {
    let Some(manifest) = &subject.manifest else { return };
    let Ok(profile) = subject.loaded.config.profile(Some(&manifest.profile)) else { return };
    let locked = |name: &str| {
        let file = subject.loaded.lock.files.get(&profile.name).and_then(|f| f.get(name));
        file.map(|l| l.sha256).ok_or_else(|| format!("media.lock has no {name}"))
    };
    if let Media::Files { kernel, initrd } = &profile.media {
        for (path, released) in [("netboot/vmlinuz", kernel), ("netboot/initrd", initrd)] {
            let same = locked(&released.name).and_then(|want| match subject.digest(path) {
                Some(have) if have == want => {
                    Ok(format!("{path} is the {} that media.lock has", released.name))
                }
                _ => Err(format!("{path} is not the {} that media.lock has", released.name)),
            });
            checks.add("released", same);
        }
        return;
    }
    for path in ["netboot/vmlinuz", "netboot/initrd"] {
        match made_here(subject, path) {
            Some(want) if Some(want) == subject.digest(path) => {
                checks.add(
                    "released",
                    Ok(format!("{path} is what this machine took out of its verified source")),
                );
            }
            Some(_) => checks.add("released", Err(format!("{path} is not what its source holds"))),
            None => {
                checks.skip("released", format!("the source of {path} is not at hand; --rebuild gets it"))
            }
        }
    }
}

/// What the store of this machine has for an output, under the same key.
fn made_here(subject: &Subject<'_>, path: &str) -> Option<Digest> {
    let manifest = subject.manifest.as_ref()?;
    let output = manifest.outputs.get(path)?;
    let stage = &manifest.nodes.get(&output.key)?.stage;
    let known = ["kernel", "initrd", "os", "download"].contains(&stage.as_str());
    let dir = subject.ctx.work.join("store").join(format!("{stage}-{}", output.key.short(16)));
    let entry = read_entry(&dir).filter(|e| known && e.key == output.key)?;
    let name = path.rsplit('/').next()?;
    let file = dir.join("out").join(name);
    let made = entry.outputs.get(name)?.sha256;
    (tree::digest(&file).ok()?.0 == made).then_some(made)
}

fn same_text(path: &camino::Utf8Path, name: &str, text: &str) -> Said {
    let bytes = read_limited(path, TEXT_LIMIT).map_err(|e| format!("{e:#}"))?;
    if bytes == text.as_bytes() {
        return Ok(format!("{name} is what this repository makes"));
    }
    Err(format!("{name} is not the script that this repository makes"))
}

/// iPXE carries this script: beside the distribution's binaries on `ipxe.iso`, or inside those compiled from source.
fn ipxe(subject: &Subject<'_>, checks: &mut Checks) {
    const PROMISE: &str = "iPXE script";
    let Some(manifest) = &subject.manifest else { return };
    let text = match subject.text("embed.ipxe") {
        Ok(text) => text,
        Err(e) => return checks.skip(PROMISE, e),
    };
    if manifest.engine == Engine::Prebuilt {
        let there = Iso::open(&subject.dir.join("ipxe.iso")).and_then(|iso| read(&iso, "/embed.ipxe"));
        checks.add(
            PROMISE,
            match there {
                Ok(bytes) if bytes == text.as_bytes() => {
                    Ok("/embed.ipxe of ipxe.iso is what this repository makes".to_owned())
                }
                Ok(_) => Err("/embed.ipxe of ipxe.iso is not what this repository makes".to_owned()),
                Err(e) => Err(format!("{e:#}")),
            },
        );
        return checks.skip(PROMISE, "the other binaries are the distribution's and carry none");
    }
    for name in ["ipxe.efi", "snponly.efi"] {
        let bytes = read_limited(&subject.dir.join(name), PROGRAM_LIMIT).map_err(|e| format!("{e:#}"));
        checks.add(PROMISE, bytes.and_then(|b| carries(&b, text, name)));
    }
    let in_iso = efi_of_iso(&subject.dir.join("ipxe.iso")).map_err(|e| format!("{e:#}"));
    checks.add(PROMISE, in_iso.and_then(|b| carries(&b, text, "the UEFI program of ipxe.iso")));
    checks.skip(
        PROMISE,
        "ipxe.lkrn and undionly.kpxe are compressed by iPXE's own packer; --rebuild compares them",
    );
}

fn carries(program: &[u8], text: &str, name: &str) -> Said {
    if memchr::memmem::find(program, text.as_bytes()).is_some() {
        return Ok(format!("{name} carries the script that this repository makes"));
    }
    Err(format!("{name} does not carry the script that this repository makes"))
}

fn efi_of_iso(path: &camino::Utf8Path) -> Result<Vec<u8>> {
    let iso = Iso::open(path)?;
    let boot =
        iso.boot_entries()?.into_iter().find(|b| b.platform == "efi").context("ipxe.iso starts no UEFI")?;
    let files = iso.fat_files(boot.offset)?;
    let file = files.iter().find(|f: &&iso::Entry| f.path.eq_ignore_ascii_case("/EFI/BOOT/BOOTX64.EFI"));
    let file = file.context("ipxe.iso has no EFI/BOOT/BOOTX64.EFI")?;
    let mut bytes = Vec::new();
    iso.reader(file).take(PROGRAM_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}
