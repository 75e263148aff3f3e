//! Files and folders: digests, stamps, copies, removal. Links are never followed.

use std::{collections::BTreeMap, io::ErrorKind, path::Path};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use buildplan::{Digest, digest::Fields};

/// Kind and mode, size, and modification time (nanoseconds since 1970) of each file below a folder.
pub type Stamp = BTreeMap<String, (u32, u64, u128)>;

/// All files and links below `root` (or `root` itself when it is a file), sorted, relative to it.
///
/// # Errors
/// When a folder cannot be read or a name is not UTF-8.
pub fn files(root: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![Utf8PathBuf::new()];
    while let Some(rel) = todo.pop() {
        let path = below(root, &rel);
        if !fs_err::symlink_metadata(&path)?.is_dir() {
            found.push(rel);
            continue;
        }
        for entry in fs_err::read_dir(&path)? {
            let name = entry?.file_name().into_string();
            let name =
                name.map_err(|n| anyhow::anyhow!("{path} has a name that is not UTF-8: {}", n.display()))?;
            todo.push(rel.join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// `rel` below `root`; joining nothing would end the path in a slash, which no file has.
fn below(root: &Utf8Path, rel: &Utf8Path) -> Utf8PathBuf {
    if rel.as_str().is_empty() { root.to_owned() } else { root.join(rel) }
}

/// The digest and size of a file, or of a folder: of a sorted listing of its files with kind and digest.
///
/// # Errors
/// When something cannot be read, or is neither file, folder nor link: opening a pipe or a device may never end.
pub fn digest(path: &Utf8Path) -> Result<(Digest, u64)> {
    if fs_err::symlink_metadata(path)?.is_file() {
        let mut file = fs_err::File::open(path)?;
        return Ok(Digest::read(&mut file)?);
    }
    let mut fields = Fields::default();
    let mut total = 0;
    for rel in files(path)? {
        let full = below(path, &rel);
        let meta = fs_err::symlink_metadata(&full)?;
        if meta.is_symlink() {
            let target = fs_err::read_link(&full)?;
            fields.add("link", rel.as_str().as_bytes());
            fields.add("target", target.as_os_str().as_encoded_bytes());
            continue;
        }
        anyhow::ensure!(meta.is_file(), "{full} is neither a file, a folder nor a link");
        let (sha256, size) = Digest::read(&mut fs_err::File::open(&full)?)?;
        total += size;
        fields.add(if executable(&full, &meta)? { "program" } else { "file" }, rel.as_str().as_bytes());
        fields.add("sha256", sha256.bytes());
    }
    Ok((fields.finish(), total))
}

#[cfg(unix)]
fn executable(_: &Utf8Path, meta: &std::fs::Metadata) -> Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(meta.permissions().mode() & 0o100 != 0)
}

/// Windows keeps no such bit: what begins as programs of Linux do is one, so that a folder of programs has the same
/// digest there.
#[cfg(not(unix))]
fn executable(path: &Utf8Path, _: &std::fs::Metadata) -> Result<bool> {
    use std::io::Read as _;
    let mut head = Vec::new();
    fs_err::File::open(path)?.take(4).read_to_end(&mut head)?;
    Ok(head == *b"\x7fELF" || head.starts_with(b"#!/"))
}

/// The stamp of a folder.
///
/// # Errors
/// When it cannot be read.
pub fn stamp(root: &Utf8Path) -> Result<Stamp> {
    let mut stamp = Stamp::new();
    for rel in files(root)? {
        let meta = fs_err::symlink_metadata(below(root, &rel))?;
        let time = meta.modified()?.duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        stamp.insert(rel.into_string(), (mode(&meta), meta.len(), time));
    }
    Ok(stamp)
}

#[cfg(unix)]
fn mode(meta: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(meta)
}

#[cfg(not(unix))]
fn mode(meta: &std::fs::Metadata) -> u32 {
    u32::from(meta.is_file())
}

/// Bytes of all files below `root`.
///
/// # Errors
/// When it cannot be read.
pub fn size(root: &Utf8Path) -> Result<u64> {
    files(root)?.iter().map(|rel| Ok(fs_err::symlink_metadata(below(root, rel))?.len())).sum()
}

/// Puts the first `length` bytes of the file `from` at `offset` into `to`. On Linux they do not pass through this process,
/// and become shared extents where the file system can.
///
/// # Errors
/// When one cannot be read or the other not written, or `from` is shorter.
pub fn copy_into(from: &Utf8Path, to: &fs_err::File, offset: u64, length: u64) -> Result<()> {
    let source = fs_err::File::open(from)?;
    let copied = copy_range(source.file(), to.file(), offset, length)
        .with_context(|| format!("cannot copy {from}"))?;
    anyhow::ensure!(copied == length, "{from} has {copied} bytes, and {length} are needed");
    Ok(())
}

#[cfg(target_os = "linux")]
fn copy_range(from: &std::fs::File, to: &std::fs::File, offset: u64, length: u64) -> std::io::Result<u64> {
    let (mut read, mut written) = (0, offset);
    while read < length {
        let left = usize::try_from(length - read).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(from, Some(&mut read), to, Some(&mut written), left) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Between some file systems the kernel does not copy.
            Err(_) if read == 0 => return copy_through(from, to, offset, length),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(read)
}

#[cfg(not(target_os = "linux"))]
fn copy_range(from: &std::fs::File, to: &std::fs::File, offset: u64, length: u64) -> std::io::Result<u64> {
    copy_through(from, to, offset, length)
}

fn copy_through(
    mut from: &std::fs::File,
    mut to: &std::fs::File,
    offset: u64,
    length: u64,
) -> std::io::Result<u64> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    to.seek(SeekFrom::Start(offset))?;
    std::io::copy(&mut from.by_ref().take(length), &mut to)
}

/// Copies a file or folder. Modification times stay, since make looks at them; links stay links. Files become
/// reflinks where the file system can (`std::fs::copy` asks the kernel to). `fs_extra` is for trees without
/// links and modes: it follows the former and loses the latter.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    for rel in files(from)? {
        let (source, target) = (below(from, &rel), below(to, &rel));
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let meta = fs_err::symlink_metadata(&source)?;
        if meta.is_symlink() {
            link(&fs_err::read_link(&source)?, &target)?;
            continue;
        }
        fs_err::copy(&source, &target)?;
        fs_err::OpenOptions::new()
            .append(true)
            .open(&target)
            .and_then(|f| f.file().set_modified(meta.modified()?))
            .with_context(|| format!("cannot set the time of {target}"))?;
    }
    Ok(())
}

/// Makes the link `at` to `target`.
///
/// # Errors
/// When the system cannot.
#[cfg(unix)]
pub fn link(target: &std::path::Path, at: &Utf8Path) -> Result<()> {
    Ok(fs_err::os::unix::fs::symlink(target, at)?)
}

/// Makes the link `at` to `target`.
///
/// # Errors
/// When the system cannot.
#[cfg(not(unix))]
pub fn link(target: &std::path::Path, at: &Utf8Path) -> Result<()> {
    anyhow::bail!("cannot make the link {at} to {}", target.display())
}

/// Removes a file or folder, if it is there, whatever its modes are. Into a folder that something still writes to it
/// looks again for a second.
///
/// # Errors
/// When it cannot be removed, with the path inside it that stands in the way and the system's reason.
pub fn remove(path: &Utf8Path) -> Result<()> {
    let is_folder = match fs_err::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.into()),
        Ok(meta) => meta.is_dir(),
    };
    if is_folder && fs_extra::dir::remove(path).is_ok() {
        return Ok(());
    }
    remove_with_retries(path.as_std_path()).with_context(|| format!("cannot remove {path}"))
}

/// As [`remove`], entry by entry.
fn remove_with_retries(path: &Path) -> std::io::Result<()> {
    let meta = match fs_err::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !meta.is_dir() {
        return present(fs_err::remove_file(path));
    }
    open_up(path);
    let mut tries = 0;
    loop {
        for entry in fs_err::read_dir(path)? {
            remove_with_retries(&entry?.path())?;
        }
        match present(fs_err::remove_dir(path)) {
            Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty && tries < 50 => tries += 1,
            other => return other,
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// What is gone already need not be removed.
fn present(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Lets us into a folder of ours whose mode keeps everybody out.
#[cfg(unix)]
fn open_up(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    // What this cannot change, the removal reports.
    _ = fs_err::set_permissions(folder, std::fs::Permissions::from_mode(0o700));
}

#[cfg(not(unix))]
fn open_up(_: &Path) {}

/// Puts the finished file `new` in the place of whatever is at `path`.
///
/// # Errors
/// When that cannot be removed, or the rename fails.
pub fn put(new: &Utf8Path, path: &Utf8Path) -> Result<()> {
    if path.is_dir() {
        remove(path)?;
    }
    Ok(fs_err::rename(new, path)?)
}

/// Puts the finished folder `new` in the place of `dir`. Two renames: for a moment there is no `dir`, but never half
/// of one.
///
/// # Errors
/// When a rename fails; `dir` is then as it was.
pub fn swap(new: &Utf8Path, dir: &Utf8Path) -> Result<()> {
    let old = old_name(dir);
    remove(&old)?;
    if dir.exists() {
        fs_err::rename(dir, &old)?;
    }
    if let Err(e) = fs_err::rename(new, dir) {
        _ = fs_err::rename(&old, dir);
        return Err(e.into());
    }
    remove(&old)
}

/// Where [`swap`] puts what was there, for a moment.
fn old_name(dir: &Utf8Path) -> Utf8PathBuf {
    dir.with_file_name(format!(".{}.old", dir.file_name().unwrap_or("dir")))
}

/// Puts back what a [`swap`] that was killed between its renames took away.
///
/// # Errors
/// When it cannot be renamed.
pub fn put_back(dir: &Utf8Path) -> Result<()> {
    let old = old_name(dir);
    if old.is_dir() && !dir.exists() {
        fs_err::rename(&old, dir)?;
    }
    Ok(())
}

/// Makes a folder accessible to its owner only.
///
/// # Errors
/// When its mode cannot be set.
#[cfg(unix)]
pub(crate) fn for_owner_alone(dir: &Utf8Path) -> Result<()> {
    Ok(set_mode(dir, 0o700)?)
}

/// As on Unix, where there are modes.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub(crate) fn for_owner_alone(_: &Utf8Path) -> Result<()> {
    Ok(())
}

/// Makes everything below `dir` readable by its owner only.
///
/// # Errors
/// When a mode cannot be set.
#[cfg(unix)]
pub fn private(dir: &Utf8Path) -> Result<()> {
    for_owner_alone(dir)?;
    for file in files(dir)? {
        let path = below(dir, &file);
        if !fs_err::symlink_metadata(&path)?.is_symlink() {
            set_mode(&path, 0o600)?;
        }
        for folder in file.ancestors().skip(1) {
            set_mode(&below(dir, folder), 0o700)?;
        }
    }
    Ok(())
}

/// As on Unix, where there are modes.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn private(_: &Utf8Path) -> Result<()> {
    Ok(())
}

#[cfg(unix)]
fn set_mode(path: &Utf8Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Makes everything below `dir` readable by all: a web server under another user reads it, whatever the umask was.
///
/// # Errors
/// When a mode cannot be set.
#[cfg(unix)]
pub fn readable_by_all(dir: &Utf8Path) -> Result<()> {
    set_mode(dir, 0o755)?;
    for file in files(dir)? {
        set_mode(&dir.join(&file), 0o644)?;
        for folder in file.ancestors().skip(1) {
            set_mode(&below(dir, folder), 0o755)?;
        }
    }
    Ok(())
}

/// As on Unix, where there are modes.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn readable_by_all(_: &Utf8Path) -> Result<()> {
    Ok(())
}
