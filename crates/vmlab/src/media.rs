//! Copies of built media, changed for one boot: kernel arguments added in place, an initrd damaged.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;

use bootiso::{
    Iso,
    kargs::{self, Edit, Flush},
};
use buildplan::Digest;
use failure::{Failure, Kind};
use secureboot::{Program, variables::Variables};

/// No loader is larger.
const LOADER_LIMIT: u64 = 16 << 20;

/// Copies `from` (as a reflink where the file system can), adds `args` behind its kernel arguments and puts
/// `config` into its area for a cloud-config.
///
/// # Errors
/// When the image is malformed, has no embed areas, or they do not fit.
pub(crate) fn copy(from: &Utf8Path, to: &Utf8Path, args: &[&str], config: Option<&str>) -> Result<()> {
    let words = args.iter().map(|w| (*w).to_owned()).collect();
    kargs::plan(&Iso::open(from)?, &Edit::Append(words), None)?.copy(from, to)?;
    if let Some(config) = config {
        kargs::embed(&Iso::open(to)?, config)?.apply(to, Flush::No)?;
    }
    Ok(())
}

/// Undoes [`copy`] in the image at `copied`, and says whether it is `from` again, byte for byte.
///
/// # Errors
/// When an image cannot be read or changed.
pub(crate) fn restores(from: &Utf8Path, copied: &Utf8Path) -> Result<bool> {
    kargs::reset(copied)?;
    let digest = |path: &Utf8Path| Digest::read(&mut fs_err::File::open(path)?);
    Ok(digest(from)? == digest(copied)?)
}

/// Changes one byte in the middle of the kernel in the image at `path`.
///
/// # Errors
/// When it has none.
pub(crate) fn change_kernel(path: &Utf8Path) -> Result<()> {
    let kernel = Iso::open(path)?.find("/vmlinuz")?;
    let extent = kernel.extents.first().filter(|e| e.length > 0);
    let at = extent.map(|e| e.offset + e.length / 2);
    overwrite(path, at.with_context(|| format!("the kernel in {path} is empty"))?, 1, |b| !b)
}

/// Takes the signature off the second loader, GRUB, in the image at `path`.
///
/// # Errors
/// When it has none.
pub(crate) fn unsign_grub(path: &Utf8Path) -> Result<()> {
    let (grub, at) = loader(path, "/EFI/BOOT/grubx64.efi")?;
    let place = Program::signatures_at(&grub).context("GRUB is not an EFI program")?;
    overwrite(path, at + place.start as u64, place.len(), |_| 0)
}

/// Writes the firmware's variables `vars` to `to`, with the first loader of the image at `path` among what is revoked.
///
/// # Errors
/// When one of them cannot be read, or the variables have no room.
pub(crate) fn revoke(vars: &Utf8Path, path: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let shim = Program::read(&loader(path, "/EFI/BOOT/BOOTX64.EFI")?.0)?;
    let mut variables = Variables::read(fs_err::read(vars)?)?;
    variables.revoke(&shim.digest)?;
    Ok(fs_err::write(to, variables.bytes())?)
}

/// Writes the firmware's variables `vars` to `to`, with the certificate in the file `cer` (DER) among those that it trusts.
///
/// # Errors
/// When one of them cannot be read, or the variables have no room.
pub(crate) fn enrol(vars: &Utf8Path, cer: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let mut variables = Variables::read(fs_err::read(vars)?)?;
    variables.trust(&fs_err::read(cer)?)?;
    Ok(fs_err::write(to, variables.bytes())?)
}

/// A program in the FAT image for UEFI, and where it begins in the image at `path`.
fn loader(path: &Utf8Path, name: &str) -> Result<(Vec<u8>, u64)> {
    let iso = Iso::open(path)?;
    let efi = iso.find("/efi.img")?.extents.first().map_or(0, |e| e.offset);
    let files = iso.fat_files(efi)?;
    let file = files.iter().find(|f| f.path.eq_ignore_ascii_case(name));
    let file = file.with_context(|| format!("{path} has no {name}"))?;
    // Files of our FAT images are written in one go.
    let [extent] = file.extents.as_slice() else { bail!("{name} in {path} is in pieces") };
    Ok((iso.read(file, LOADER_LIMIT)?, extent.offset))
}

fn overwrite(path: &Utf8Path, at: u64, length: usize, change: impl Fn(u8) -> u8) -> Result<()> {
    let mut file: File = fs_err::OpenOptions::new().read(true).write(true).open(path)?.into_parts().0;
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    bytes.iter_mut().for_each(|b| *b = change(*b));
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&bytes)?;
    Ok(())
}

/// Flips the first bytes of the initrd in the image at `path`.
///
/// # Errors
/// When it has none.
pub(crate) fn damage_initrd(path: &Utf8Path) -> Result<()> {
    let iso = Iso::open(path)?;
    let initrd = iso.find("/initrd")?;
    let extent = initrd.extents.first().filter(|e| e.length > 0);
    let extent = extent.ok_or_else(|| Failure::new(Kind::Input, format!("the initrd in {path} is empty")))?;
    overwrite(path, extent.offset, usize::try_from(extent.length.min(4096))?, |b| !b)
}
