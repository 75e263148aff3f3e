//! Copies of built media, changed for one boot: kernel arguments added in place, an initrd damaged.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

use anyhow::Result;
use camino::Utf8Path;

use bootiso::{
    Iso,
    kargs::{self, Edit, Flush},
};
use buildplan::Digest;
use failure::{Failure, Kind};

/// Copies `from` (as a reflink where the file system can), adds `args` behind its kernel arguments and puts
/// `config` into its area for a cloud-config.
///
/// # Errors
/// When the image is malformed, has no embed areas, or they do not fit.
pub fn copy(from: &Utf8Path, to: &Utf8Path, args: &[&str], config: Option<&str>) -> Result<()> {
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
pub fn restores(from: &Utf8Path, copied: &Utf8Path) -> Result<bool> {
    kargs::reset(copied)?;
    let digest = |path: &Utf8Path| Digest::read(&mut fs_err::File::open(path)?);
    Ok(digest(from)? == digest(copied)?)
}

/// Flips the first bytes of the initrd in the image at `path`.
///
/// # Errors
/// When it has none.
pub fn damage_initrd(path: &Utf8Path) -> Result<()> {
    let iso = Iso::open(path)?;
    let initrd = iso.find("/initrd")?;
    let extent = initrd.extents.first().filter(|e| e.length > 0);
    let extent = extent.ok_or_else(|| Failure::new(Kind::Input, format!("the initrd in {path} is empty")))?;
    let length = usize::try_from(extent.length.min(4096))?;
    let mut file: File = fs_err::OpenOptions::new().read(true).write(true).open(path)?.into_parts().0;
    let mut bytes = vec![0; length];
    file.seek(SeekFrom::Start(extent.offset))?;
    file.read_exact(&mut bytes)?;
    bytes.iter_mut().for_each(|b| *b = !*b);
    file.seek(SeekFrom::Start(extent.offset))?;
    file.write_all(&bytes)?;
    Ok(())
}
