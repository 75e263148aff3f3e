//! Files of the served folder: found without leaving it, opened once, hashed once.

use std::{
    collections::HashMap,
    fs::{File, Metadata},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::wire::read_at;
use buildexec::{paths::real, run::read_limited};
use buildplan::Digest;
use failure::{Failure, Kind};

/// Larger than any script or cloud-config.
const MAX_TEXT: u64 = 1 << 20;

/// The served folder and the folder of per-machine texts.
pub(super) struct ServedTree {
    root: Utf8PathBuf,
    machines: Option<Utf8PathBuf>,
    /// Files kept open at most; beyond it, the oldest knowledge is thrown away as a whole.
    most: usize,
    open: Mutex<HashMap<Utf8PathBuf, Arc<OpenFile>>>,
}

/// An open file.
pub(super) struct OpenFile {
    pub(super) file: Arc<File>,
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
    etag: tokio::sync::OnceCell<String>,
}

impl ServedTree {
    /// Fails when `root` is not a folder.
    pub(super) fn new(root: &Utf8Path, machines: Option<&Utf8Path>, most: usize) -> Result<Self> {
        let root = real(root).ok().filter(|r| r.is_dir()).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("no such folder: {root}"))
                .help("build it with `cargo xtask dist`")
        })?;
        let machines = machines.and_then(|m| real(m).ok());
        Ok(Self { root, machines, most, open: Mutex::default() })
    }

    /// The file at a checked path ([`super::target::tree_path`]); links may not lead out of the folder.
    pub(super) fn find(&self, path: &str) -> Option<Arc<OpenFile>> {
        self.open(inside(&self.root, path)?)
    }

    /// Whether `found` is the file at one of these paths as well: under another name, a link's or one that differs in
    /// case where the file system sees no difference.
    pub(super) fn is_one_of(&self, found: &OpenFile, paths: &[&str]) -> bool {
        let at = |path: &&str| inside(&self.root, path).and_then(|path| fs_err::metadata(path).ok());
        paths.iter().filter_map(at).any(|meta| same_file(&found.file, &meta))
    }

    /// A regular file, wherever it lies.
    pub(super) fn open(&self, path: Utf8PathBuf) -> Option<Arc<OpenFile>> {
        let now = fs_err::metadata(&path).ok().filter(Metadata::is_file)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // A rebuild replaces files by rename while we serve: what we hold is current only if it looks the same.
        if let Some(entry) = open.get(&path).filter(|e| e.is(&now)) {
            return Some(Arc::clone(entry));
        }
        let file = File::open(&path).ok()?;
        let meta = file.metadata().ok()?;
        let entry = Arc::new(OpenFile {
            file: Arc::new(file),
            len: meta.len(),
            modified: meta.modified().ok(),
            etag: tokio::sync::OnceCell::new(),
        });
        if open.len() >= self.most {
            open.clear();
        }
        open.insert(path, Arc::clone(&entry));
        Some(entry)
    }

    /// A small text of the tree.
    pub(super) fn text(&self, path: &str) -> Option<Vec<u8>> {
        read_limited(&inside(&self.root, path)?, MAX_TEXT).ok()
    }

    /// The first text of a machine that has one of these names.
    pub(super) fn machine_text(&self, names: &[String], extension: &str) -> Option<Vec<u8>> {
        let machines = self.machines.as_ref()?;
        let found = names.iter().find_map(|n| inside(machines, &format!("{n}.{extension}")))?;
        read_limited(&found, MAX_TEXT).ok()
    }
}

/// The real path of a regular file, when it is below `root`.
fn inside(root: &Utf8Path, path: &str) -> Option<Utf8PathBuf> {
    let real = real(&root.join(path)).ok()?;
    // Opening a pipe would block, and a device has no length: ask before opening.
    (real.starts_with(root) && real.is_file()).then_some(real)
}

impl OpenFile {
    fn is(&self, now: &Metadata) -> bool {
        self.len == now.len() && self.modified == now.modified().ok() && same_file(&self.file, now)
    }

    /// The entity tag, quotes included, made from the content: equal files built twice have equal tags, so an
    /// interrupted download can go on after a rebuild that changed nothing.
    pub(super) async fn etag(self: &Arc<Self>) -> std::io::Result<String> {
        let this = Arc::clone(self);
        let hash = || async move {
            let digest = tokio::task::spawn_blocking(move || Digest::read(&mut FromStart(&this.file, 0)));
            let (digest, _) = digest.await.map_err(std::io::Error::other)??;
            Ok::<_, std::io::Error>(etag(&digest))
        };
        self.etag.get_or_try_init(hash).await.cloned()
    }
}

/// The entity tag of content with this digest.
pub(super) fn etag(digest: &Digest) -> String {
    format!("\"sha256-{}\"", digest.short(32))
}

#[cfg(unix)]
fn same_file(file: &File, now: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|m| (m.dev(), m.ino()) == (now.dev(), now.ino()))
}

#[cfg(not(unix))]
fn same_file(file: &File, now: &Metadata) -> bool {
    let times = |m: &Metadata| (m.len(), m.created().ok(), m.modified().ok());
    file.metadata().is_ok_and(|m| times(&m) == times(now))
}

/// Reads a shared file without moving its cursor.
struct FromStart<'a>(&'a File, u64);

impl std::io::Read for FromStart<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = read_at(self.0, buf, self.1)?;
        self.1 += n as u64;
        Ok(n)
    }
}
