//! Kernel and initrd: a base that mounts the system's image, and the image as it is behind it.

use std::io::Write as _;

use anyhow::Result;
use bootiso::cpio::CpioWriter;
use buildexec::{action::Call, tree};
use camino::Utf8Path;
use failure::{Failure, Kind};
use liblzma::{
    stream::{Check, Stream},
    write::XzEncoder,
};

use super::modules::KernelModules;

/// `kernel` and `packages` (unpacked), `init`, `image`, `containers` (may be missing), `module` (several), `vmlinuz`,
/// `to`.
///
/// # Errors
/// When a package lacks a file, or the disk cannot be written.
pub(in super::super) fn initrd(call: &Call<'_>) -> Result<()> {
    let root = call.path("kernel")?;
    let vmlinuz = tree::files(root)?.into_iter().find(|f| f.as_str().starts_with("boot/vmlinuz-"));
    let Some(vmlinuz) = vmlinuz else {
        return Err(Failure::new(Kind::Input, "the kernel package holds no boot/vmlinuz-*").into());
    };
    fs_err::copy(root.join(vmlinuz), call.out("vmlinuz")?)?;
    let mut out = fs_err::File::create(call.out("to")?)?;
    out.write_all(&base(call, &KernelModules::new(root)?)?)?;
    let mut images = CpioWriter::new();
    images.file("system.squashfs", 0o644, &fs_err::read(call.path("image")?)?)?;
    if let Some(containers) = call.find("containers") {
        images.file("containers.squashfs", 0o644, &fs_err::read(containers)?)?;
    }
    // Not compressed: it was, and the kernel leaves it as it is.
    out.write_all(&images.finish()?)?;
    Ok(())
}

/// BusyBox and the modules of the first mount, packed for the kernel, which knows CRC32 alone.
fn base(call: &Call<'_>, kernel: &KernelModules) -> Result<Vec<u8>> {
    let chosen = kernel.choose(call.all("module"))?;
    let mut archive = CpioWriter::new();
    let busybox = call.path("packages")?.join("usr/bin/busybox");
    archive.file("bin/busybox", 0o755, &fs_err::read(busybox)?)?;
    archive.file("init", 0o755, &fs_err::read(Utf8Path::new(call.text("init")?))?)?;
    let mut order = String::new();
    for name in &chosen.order {
        archive.file(&format!("modules/{name}.ko"), 0o644, &chosen.modules[name].bytes)?;
        order += &format!("{name}.ko\n");
    }
    archive.file("modules/order", 0o644, order.as_bytes())?;
    let mut xz = XzEncoder::new_stream(Vec::new(), Stream::new_easy_encoder(9, Check::Crc32)?);
    xz.write_all(&archive.finish()?)?;
    let mut bytes = xz.finish()?;
    // The kernel looks for the next archive at a multiple of four.
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Ok(bytes)
}
