//! The store: one folder a node, named by its key, written elsewhere and renamed into place when whole.
//!
//! ```text
//! target/media/store/<stage>-<16 hex digits of the key>/
//!     out/…            the outputs
//!     manifest.json    key, labelled inputs, digest and size of each output
//!     stamp.json       mode, size and modification time of each file when it was last found right
//! target/media/private/…   the same of nodes that hold a secret: for their owner's eyes, and gone after the run
//! target/media/tmp/run-…/  work in progress, one folder per run
//! ```
//! An entry is used while modes, sizes and times agree with the stamp; otherwise its digests are computed again, as
//! after a CI cache came back. One that a node reads, or that is copied into `dist/`, is read and compared in any case.
//! One that is incomplete or does not match its manifest is removed and rebuilt.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{action::NodeRun, regular, signals::Interrupt, tree};
use buildplan::{Digest, Input, Material, Node};
use failure::{Explain as _, Failure, Kind};
use report::Reporter;

/// No file in which this program keeps what it knows is larger.
pub const TEXT_LIMIT: u64 = 16 << 20;
/// In `private/`: what is there was asked to stay.
const STAYS: &str = ".stays";

/// The store's folder, locked for this process.
pub struct Store {
    work: Utf8PathBuf,
    tmp: Utf8PathBuf,
    /// This run's own folder in `tmp`, made when it is first needed.
    run: Mutex<Option<Utf8PathBuf>>,
    _lock: std::fs::File,
}

/// What `manifest.json` of an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreEntry {
    /// The stage's name.
    pub stage: String,
    /// What it is, for people.
    pub label: String,
    /// The node's key.
    pub key: Digest,
    /// What went into the key, for people.
    pub inputs: Vec<StoredInput>,
    /// What it brought in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<Material>,
    /// Its outputs, by name.
    pub outputs: BTreeMap<String, StoredOutput>,
}

/// One input of an entry, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredInput {
    /// What it is: [`buildplan::Input::label`].
    pub label: String,
    /// Its digest, key or version.
    pub value: String,
}

impl StoredInput {
    fn new(input: &Input) -> Self {
        Self { label: input.label(), value: input.value() }
    }
}

/// One output of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredOutput {
    /// Bytes; of a folder, of all its files.
    pub size: u64,
    /// Its digest; of a folder, that of a sorted listing with modes and digests.
    pub sha256: Digest,
    /// The SHA-512 of a file that was hashed while it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
}

/// How an entry is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inspection {
    /// Modes, sizes and times; contents only where those differ from the stamp.
    Stamps,
    /// Every byte.
    Contents,
}

/// Where an entry's outputs are.
#[must_use]
pub fn entry_dir(work: &Utf8Path, node: &Node, key: Digest) -> Utf8PathBuf {
    let folder = if node.private { "private" } else { "store" };
    work.join(folder).join(format!("{}-{}", node.stage, key.short(16)))
}

/// Where a node leaves the output `name` in its scratch folder.
#[must_use]
pub fn in_scratch(scratch: &Utf8Path, name: &str) -> Utf8PathBuf {
    scratch.join("out").join(name)
}

impl Store {
    /// Opens the store in `work`, waiting for another process that has it.
    ///
    /// # Errors
    /// When it cannot be created or locked, or on Ctrl-C while waiting.
    pub fn open(work: &Utf8Path, report: &Reporter, interrupt: &Interrupt) -> Result<Self> {
        let dir = work.join("store");
        fs_err::create_dir_all(&dir).explain(Kind::Storage, || format!("cannot create the store {dir}"))?;
        let (lock, _) = regular::open_lock(&work.join("store.lock"))
            .explain(Kind::Storage, || "cannot lock the store".to_owned())?
            .into_parts();
        let mut told = false;
        while let Err(e) = lock.try_lock() {
            if let std::fs::TryLockError::Error(e) = e {
                return Err(e.into());
            }
            if !told {
                report.note("waiting for another `cargo xtask` to release the store");
                told = true;
            }
            interrupt.check()?;
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let tmp = work.join("tmp");
        let store = Self { work: work.to_owned(), tmp, run: Mutex::new(None), _lock: lock };
        store.sweep();
        Ok(store)
    }

    /// Removes what a killed run left; the lock says that no one else is at work. What a process that outlived its
    /// run still writes to goes next time: this run has a folder of its own.
    fn sweep(&self) {
        for name in names(&self.tmp).iter().filter(|name| !name.starts_with("failed-")) {
            _ = tree::remove(&self.tmp.join(name));
        }
        let private = self.work.join("private");
        if !private.join(STAYS).exists() {
            _ = tree::remove(&private);
        }
    }

    /// A new empty folder for a node under way, on the store's file system.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) fn scratch(&self, name: &str) -> Result<Utf8PathBuf> {
        let dir = self.run_folder()?.join(name);
        fs_err::create_dir_all(dir.join("out")).explain(Kind::Storage, || format!("cannot create {dir}"))?;
        fs_err::create_dir_all(dir.join("work"))?;
        Ok(dir)
    }

    fn run_folder(&self) -> Result<Utf8PathBuf> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = &*run {
            return Ok(run.clone());
        }
        if self.tmp.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
            tree::remove(&self.tmp)?;
        }
        fs_err::create_dir_all(&self.tmp).explain(Kind::Storage, || format!("cannot create {}", self.tmp))?;
        // Only its owner enters it: some of what is made there may be secret.
        let new = tempfile::Builder::new().prefix("run-").tempdir_in(&self.tmp);
        let new = new.explain(Kind::Storage, || format!("cannot create a folder in {}", self.tmp))?;
        let new = Utf8PathBuf::try_from(new.keep())?;
        Ok(run.insert(new).clone())
    }

    /// Puts the folder of a failed node where no later run removes it.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub(crate) fn put_aside(&self, scratch: &Utf8Path) -> Result<Utf8PathBuf> {
        let kept = self.tmp.join(format!("failed-{}", scratch.file_name().unwrap_or("node")));
        tree::remove(&kept)?;
        fs_err::rename(scratch, &kept)?;
        Ok(kept)
    }

    /// The entry of `key`, when it is there and whole; one that is not is removed.
    ///
    /// # Errors
    /// When a bad entry cannot be removed.
    pub fn find(
        &self,
        node: &Node,
        key: Digest,
        look: Inspection,
        report: &Reporter,
    ) -> Result<Option<StoreEntry>> {
        let dir = entry_dir(&self.work, node, key);
        if dir.symlink_metadata().is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let found = whole(&dir, look).and_then(|entry| {
            anyhow::ensure!(entry.key == key, "its key differs");
            let names = entry.outputs.keys().map(String::as_str);
            anyhow::ensure!(names.eq(sorted(&node.outputs)), "its outputs differ");
            let is_wanted = |(name, output): (&String, &StoredOutput)| {
                node.wanted(name).is_none_or(|sha256| sha256 == output.sha256)
            };
            anyhow::ensure!(entry.outputs.iter().all(is_wanted), "it is not what the plan expects");
            Ok(entry)
        });
        if let Ok(entry) = found {
            return Ok(Some(entry));
        }
        report.warn(format!("{dir} does not match its manifest; rebuilding it"));
        tree::remove(&dir)?;
        Ok(None)
    }

    /// Puts a finished scratch folder into the store.
    ///
    /// # Errors
    /// When an output is missing, or another than the plan wants, or the disk cannot be written.
    pub(crate) fn keep(&self, run: &NodeRun<'_>) -> Result<StoreEntry> {
        let (scratch, node, keys) = (run.scratch, run.plan.node(run.id), run.keys);
        let entry = StoreEntry {
            stage: node.stage.to_owned(),
            label: node.label.clone(),
            key: keys.key(run.id),
            inputs: keys.inputs(run.id).iter().map(StoredInput::new).collect(),
            materials: node.materials.clone(),
            outputs: made(run, node)?,
        };
        tree::remove(&scratch.join("work"))?;
        write_json(&scratch.join("manifest.json"), &entry)?;
        if node.private {
            tree::private(scratch)?;
        }
        write_json(&scratch.join("stamp.json"), &tree::stamp(&scratch.join("out"))?)?;
        let dir = entry_dir(&self.work, node, entry.key);
        if let Some(parent) = dir.parent().filter(|_| node.private) {
            fs_err::create_dir_all(parent)?;
            tree::for_owner_alone(parent)?;
        }
        tree::remove(&dir)?;
        fs_err::rename(scratch, &dir)?;
        Ok(entry)
    }

    /// Removes what holds secrets, unless it was asked for to stay until the next run without this wish.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn forget_secrets(&self, stay: bool) -> Result<()> {
        let private = self.work.join("private");
        if !stay {
            return tree::remove(&private);
        }
        if private.exists() {
            fs_err::write(private.join(STAYS), "")?;
        }
        Ok(())
    }

    /// Every entry's folder, with the bytes it takes; those with secrets first.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn entries(&self) -> Result<Vec<(Utf8PathBuf, u64)>> {
        let folders = ["private", "store"].map(|folder| self.work.join(folder));
        let is_entry = |name: &String| name != STAYS;
        let all =
            folders.iter().flat_map(|dir| names(dir).into_iter().filter(is_entry).map(|name| dir.join(name)));
        // The size of an unreadable one is unknown; it can still be removed.
        Ok(all.map(|path| (path.clone(), tree::size(&path).unwrap_or(0))).collect())
    }

    /// Every entry's manifest, oldest first.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn all(&self) -> Result<Vec<StoreEntry>> {
        let mut all = Vec::new();
        for (dir, _) in self.entries()? {
            let time = dir.symlink_metadata().and_then(|meta| meta.modified());
            all.extend(time.ok().zip(read_entry(&dir)));
        }
        all.sort_by_key(|(time, _)| *time);
        Ok(all.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// The folder of this run goes with it.
impl Drop for Store {
    fn drop(&mut self) {
        if let Some(run) = self.run.get_mut().ok().and_then(|run| run.take()) {
            _ = tree::remove(&run);
        }
    }
}

/// The names in a folder, sorted; none where it cannot be read.
fn names(dir: &Utf8Path) -> Vec<String> {
    let entries = fs_err::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// The entry in `dir`, when it is what its manifest says.
///
/// # Errors
/// Why it is not.
pub fn whole(dir: &Utf8Path, look: Inspection) -> Result<StoreEntry> {
    anyhow::ensure!(dir.symlink_metadata()?.is_dir(), "it is not a folder");
    let entry = read_entry(dir).context("its manifest cannot be read")?;
    let name = format!("{}-{}", entry.stage, entry.key.short(16));
    anyhow::ensure!(dir.file_name() == Some(name.as_str()), "its manifest is of {name}");
    let out = dir.join("out");
    anyhow::ensure!(out.symlink_metadata()?.is_dir(), "it has no outputs");
    let now = tree::stamp(&out)?;
    let known = read_regular(&dir.join("stamp.json"));
    let known = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let as_left = known.as_ref() == Some(&now);
    if !as_left || look == Inspection::Contents {
        for (name, output) in &entry.outputs {
            let (sha256, size) = tree::digest(&out.join(name))?;
            anyhow::ensure!(
                (size, sha256) == (output.size, output.sha256),
                "{name} has SHA-256 {sha256}, and should have {}",
                output.sha256
            );
        }
    }
    if !as_left {
        // Not being able to remember costs time, nothing else.
        _ = write_json(&dir.join("stamp.json"), &now);
    }
    Ok(entry)
}

/// The digest of an output of an entry, as the entry's manifest has it; nothing for a file elsewhere.
#[must_use]
pub fn digest_of(path: &Utf8Path) -> Option<Digest> {
    let out = path.parent().filter(|out| out.file_name() == Some("out"))?;
    let entry = read_entry(out.parent()?)?;
    entry.outputs.get(path.file_name()?).map(|output| output.sha256)
}

/// Reads an entry's manifest.
#[must_use]
pub fn read_entry(dir: &Utf8Path) -> Option<StoreEntry> {
    serde_json::from_slice(&read_regular(&dir.join("manifest.json"))?).ok()
}

/// The bytes of a small file; none of what is another kind of thing, which might be read without an end.
pub(crate) fn read_regular(path: &Utf8Path) -> Option<Vec<u8>> {
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    is_file.then(|| regular::read(path, TEXT_LIMIT).ok()).flatten()
}

/// What a node made, compared with what the plan expects.
fn made(run: &NodeRun<'_>, node: &Node) -> Result<BTreeMap<String, StoredOutput>> {
    let each = node.outputs.iter().map(|name| {
        let path = in_scratch(run.scratch, name);
        let output = match run.hashed(&path) {
            Some(sums) => StoredOutput { size: sums.size, sha256: sums.sha256, sha512: sums.sha512 },
            None => {
                let (sha256, size) = tree::digest(&path)
                    .explain(Kind::Input, || format!("`{}` has no output {name}", node.label))?;
                StoredOutput { size, sha256, sha512: None }
            }
        };
        match node.wanted(name).filter(|wanted| *wanted != output.sha256) {
            None => Ok((name.clone(), output)),
            Some(wanted) => {
                let message = format!("{name} has SHA-256 {} instead of {wanted}", output.sha256);
                Err(Failure::new(Kind::Digest, message).into())
            }
        }
    });
    each.collect()
}

/// Writes a value as JSON, through a temporary file.
///
/// # Errors
/// When the disk cannot be written.
pub fn write_json(path: &Utf8Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    let new = Utf8PathBuf::from(format!("{path}.new"));
    let written = fs_err::write(&new, text).map_err(Into::into).and_then(|()| tree::put(&new, path));
    if written.is_err() {
        _ = tree::remove(&new);
    }
    written
}
