//! Changed bytes of an image: laid over it for checking and streaming, written in place, or into a copy.

use crate::error::{Error, ErrorContext as _, ErrorKind, Result, nameless};
use std::{fs::File, io, sync::Arc};

use camino::Utf8Path;

use crate::Iso;
use crate::source::ReadAt;

/// Bytes that change, with what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) offset: u64,
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
    /// Whether it is a field that says a length.
    pub(super) is_length: bool,
}

impl Patch {
    pub(super) fn new(offset: u64, old: Vec<u8>, new: Vec<u8>) -> Self {
        Self { offset, old, new, is_length: false }
    }
}

/// Whether a write is on the disk when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It is.
    Yes,
    /// The system writes it when it likes; for measuring.
    No,
}

/// An image with patches over it.
struct Overlay {
    base: Arc<dyn ReadAt + Send + Sync>,
    patches: Vec<Patch>,
}

impl ReadAt for Overlay {
    fn size(&self) -> io::Result<u64> {
        self.base.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.base.read_exact_at(buf, offset)?;
        let end = offset + buf.len() as u64;
        for patch in &self.patches {
            let (from, to) = (patch.offset.max(offset), (patch.offset + patch.new.len() as u64).min(end));
            if from < to {
                // Both ranges are inside of buffers in memory, so they fit into usize.
                let part = |at: u64| (from - at) as usize..(to - at) as usize;
                buf[part(offset)].copy_from_slice(&patch.new[part(patch.offset)]);
            }
        }
        Ok(())
    }
}

/// The image as it will be.
pub(super) fn overlaid(iso: &Iso, patches: &[Patch]) -> Result<Iso> {
    Iso::over(Arc::new(Overlay { base: Arc::clone(&iso.source), patches: patches.to_vec() }))
}

/// Writes every patch, or puts back what was there. The order is kept: fields that say a length come last.
pub(super) fn write(path: &Utf8Path, patches: &[Patch], flush: Flush) -> Result<()> {
    let cannot = || format!("cannot change {path}");
    let file = File::options().read(true).write(true).open(path).explain(ErrorKind::Storage, cannot)?;
    if file.try_lock().is_err() {
        return Err(Error::new(ErrorKind::Storage, format!("another program holds a lock on {path}")));
    }
    if !is_as_it_was(&file, patches).explain(ErrorKind::Storage, cannot)? {
        return Err(Error::new(ErrorKind::Storage, format!("{path} was changed while it was read")));
    }
    let Err(error) = write_in_order(&file, patches, flush) else { return Ok(()) };
    for patch in patches.iter().rev() {
        // What could not be written can often not be written back either, and need not; the reading tells.
        _ = write_at(&file, &patch.old, patch.offset);
    }
    let state = match is_as_it_was(&file, patches) {
        Ok(true) => "it is unchanged",
        _ => "it may be partly changed; `kargs reset` repairs our images",
    };
    Err(Error::new(ErrorKind::Storage, format!("cannot change {path}: {state}")).source(error))
}

/// Contents are on the disk before a length says that they are there.
fn write_in_order(file: &File, patches: &[Patch], flush: Flush) -> io::Result<()> {
    let first_length = patches.iter().position(|p| p.is_length).unwrap_or(patches.len());
    for part in [&patches[..first_length], &patches[first_length..]] {
        part.iter().try_for_each(|p| write_at(file, &p.new, p.offset))?;
        if flush == Flush::Yes && !part.is_empty() {
            file.sync_data()?;
        }
    }
    Ok(())
}

fn is_as_it_was(file: &File, patches: &[Patch]) -> io::Result<bool> {
    for patch in patches {
        let mut now = vec![0; patch.old.len()];
        file.read_exact_at(&mut now, patch.offset)?;
        if now != patch.old {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

/// Copies `from` to `to` with the patches. The copy shares its blocks with the original where the file system
/// can; it appears under its name when it is complete.
pub(super) fn copy(from: &Utf8Path, to: &Utf8Path, patches: &[Patch]) -> Result<()> {
    let folder = to.parent().filter(|p| !p.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let cannot = || format!("cannot write {to}");
    let temp = tempfile::Builder::new()
        .prefix(".kargs-")
        .tempfile_in(folder)
        .map_err(|e| nameless(&e))
        .explain(ErrorKind::Storage, cannot)?;
    let temp_path =
        Utf8Path::from_path(temp.path()).ok_or_else(|| Error::new(ErrorKind::Storage, cannot()))?;
    fs_err::copy(from, temp_path).explain(ErrorKind::Storage, cannot)?;
    write(temp_path, patches, Flush::Yes)?;
    temp.persist(to).explain(ErrorKind::Storage, cannot)?;
    Ok(())
}

/// Hands the image with the patches over in pieces.
pub(super) fn stream<E: From<Error>>(
    iso: &Iso,
    patches: &[Patch],
    out: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let iso = overlaid(iso, patches)?;
    let size = iso.size()?;
    let mut buf = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        let n = usize::try_from(size - at).unwrap_or(usize::MAX).min(buf.len());
        iso.source.read_exact_at(&mut buf[..n], at).map_err(Error::from)?;
        out(&buf[..n])?;
        at += n as u64;
    }
    Ok(())
}
