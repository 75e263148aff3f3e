//! Copies of built media, changed for one boot: kernel arguments added in place, an initrd damaged.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use crate::{
    error::{Explain as _, Failure, Kind},
    iso::{Iso, room},
};

/// Copies `from` (as a reflink where the file system can), adds `args` behind its kernel arguments and puts
/// `config` into its area for a cloud-config. An image without room for arguments is copied as it is.
///
/// # Errors
/// When the image is malformed, or they do not fit.
pub fn copy(from: &Utf8Path, to: &Utf8Path, args: &str, config: Option<&str>) -> Result<()> {
    fs_err::copy(from, to)?;
    writable(to)?;
    change(to, args, config).explain(Kind::Input, || format!("cannot change a copy of {from}"))
}

fn change(path: &Utf8Path, args: &str, config: Option<&str>) -> Result<()> {
    let iso = Iso::open(path)?;
    let Some(layout) = super::dist::layout(&iso)? else { return Ok(()) };
    let mut file = fs_err::OpenOptions::new().read(true).write(true).open(path)?;
    let mut put = |at: u64, bytes: &[u8]| -> Result<()> {
        file.seek(SeekFrom::Start(at))?;
        Ok(file.write_all(bytes)?)
    };
    let start = |name: &str| -> Result<u64> {
        Ok(iso.find(name)?.extents.first().with_context(|| format!("{name} is empty"))?.offset)
    };
    for region in &layout.regions {
        let at = start(&region.file)? + region.offset;
        let old = iso.bytes(at, region.length)?;
        let old = room::args(&old).with_context(|| format!("{} holds no arguments", region.file))?;
        put(at, room::region(&format!("{old} {args}"), usize::try_from(region.length)?)?.as_bytes())?;
    }
    if let (Some(config), Some(seed)) = (config, &layout.seed) {
        put(start(&seed.file)?, &seed.archive(Some(config))?)?;
    }
    Ok(())
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

/// Outputs in `dist/` may be read-only, and a copy takes that over.
fn writable(path: &Utf8Path) -> Result<()> {
    let mut permissions = fs_err::metadata(path)?.permissions();
    if permissions.readonly() {
        #[expect(clippy::permissions_set_readonly_false, reason = "a copy of our own, in our own folder")]
        permissions.set_readonly(false);
        fs_err::set_permissions(path, permissions)?;
    }
    Ok(())
}
