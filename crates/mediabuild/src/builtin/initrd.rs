//! The initrd of the smoke system: BusyBox, `mke2fs` with its libraries, kernel modules, our `init`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use flate2::{Compression, GzBuilder};

use bootiso::cpio::CpioWriter;
use buildexec::action::Call;
use buildexec::tree;
use failure::{Failure, Kind};

/// What `mke2fs` is linked to; its names are the same on every x86-64 Debian and Ubuntu.
const LIBRARIES: &[&str] = &[
    "libext2fs.so.2",
    "libe2p.so.2",
    "libcom_err.so.2",
    "libblkid.so.1",
    "libuuid.so.1",
    "libc.so.6",
    "ld-linux-x86-64.so.2",
];

/// `root` (where the packages were unpacked), `modules`, `init`, `udhcpc`, `to`.
///
/// # Errors
/// When a package lacks a file, or the disk cannot be written.
pub(super) fn smoke(call: &Call<'_>) -> Result<()> {
    let root = call.path("root")?;
    let files = tree::files(root)?;
    let find = |name: &str| -> Result<Utf8PathBuf> {
        let found = files.iter().filter(|f| f.file_name() == Some(name));
        // A library of several architectures or a link to a file of another name: the first real file.
        let mut real = found.map(|f| root.join(f)).filter_map(|f| f.canonicalize_utf8().ok());
        real.find(|f| f.starts_with(root.canonicalize_utf8().unwrap_or_default()) && f.is_file())
            .with_context(|| format!("no package holds {name}"))
            .map_err(|e| Failure::new(Kind::Input, "the smoke system lacks a file").source(e).into())
    };
    let mut archive = CpioWriter::new();
    for dir in
        ["bin", "dev", "etc", "lib", "lib/modules", "lib64", "proc", "root", "sys", "tmp", "mnt", "var"]
    {
        archive.dir(dir);
    }
    archive.file("bin/busybox", 0o755, &fs_err::read(find("busybox")?)?)?;
    archive.file("sbin/mke2fs", 0o755, &fs_err::read(find("mke2fs")?)?)?;
    for library in LIBRARIES {
        let dir = if library.starts_with("ld-") { "lib64" } else { "lib" };
        archive.file(&format!("{dir}/{library}"), 0o755, &fs_err::read(find(library)?)?)?;
    }
    let modules = call.path("modules")?;
    for file in tree::files(modules)? {
        archive.file(&format!("lib/modules/{file}"), 0o644, &fs_err::read(modules.join(&file))?)?;
    }
    archive.file("init", 0o755, &fs_err::read(call.path("init")?)?)?;
    archive.file("etc/udhcpc", 0o755, &fs_err::read(call.path("udhcpc")?)?)?;
    let file = fs_err::File::create(call.out("to")?)?;
    // No name and no time in the header: the same bytes every time.
    let mut gzip = GzBuilder::new().write(file, Compression::best());
    gzip.write_all(&archive.finish()?)?;
    gzip.finish()?;
    Ok(())
}
