//! The store: one folder a node, named by its key, written elsewhere and renamed into place when whole.
//!
//! ```text
//! target/media/store/<stage>-<16 hex digits of the key>/
//!     out/…            the outputs
//!     manifest.json    key, labelled inputs, digest and size of each output
//!     stamp.json       size and modification time of each file when it was last found right
//! ```
//! An entry is used while sizes and times agree with the stamp; otherwise its digests are computed again, as
//! after a CI cache came back, and an entry that is not what its manifest says is built anew.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{signals::Interrupt, tree};
use buildplan::{Digest, Input, Keys, Node, NodeId};
use failure::{Explain as _, Kind};
use report::Reporter;

/// The store's folder, locked for this process.
pub struct Store {
    dir: Utf8PathBuf,
    tmp: Utf8PathBuf,
    _lock: std::fs::File,
}

/// What `manifest.json` of an entry says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The stage's name.
    pub stage: String,
    /// What it is, for people.
    pub label: String,
    /// The node's key.
    pub key: Digest,
    /// What went into the key.
    pub inputs: Vec<Input>,
    /// Its outputs, by name.
    pub outputs: BTreeMap<String, Output>,
}

/// One output of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Bytes; of a folder, of all its files.
    pub size: u64,
    /// Its digest; of a folder, that of a sorted listing with modes and digests.
    pub sha256: Digest,
}

/// Where an entry's outputs are.
#[must_use]
pub fn entry_dir(work: &Utf8Path, node: &Node, key: Digest) -> Utf8PathBuf {
    work.join("store").join(format!("{}-{}", node.stage, key.short(16)))
}

impl Store {
    /// Opens the store in `work`, waiting for another process that has it.
    ///
    /// # Errors
    /// When it cannot be created or locked, or on Ctrl-C while waiting.
    pub fn open(work: &Utf8Path, report: &Reporter, interrupt: &Interrupt) -> Result<Self> {
        let dir = work.join("store");
        let tmp = work.join("tmp");
        fs_err::create_dir_all(&dir).explain(Kind::Storage, || format!("cannot create the store {dir}"))?;
        let lock = fs_err::File::create(work.join("store.lock"))?.into_parts().0;
        let mut told = false;
        while let Err(e) = lock.try_lock() {
            if let std::fs::TryLockError::Error(e) = e {
                return Err(e.into());
            }
            if !told {
                report.note("waiting for another `cargo xtask` that uses the store");
                told = true;
            }
            interrupt.check()?;
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let store = Self { dir, tmp, _lock: lock };
        store.sweep()?;
        Ok(store)
    }

    /// Removes what a killed run left; the lock says that no one else is at work.
    fn sweep(&self) -> Result<()> {
        if self.tmp.exists() {
            for entry in fs_err::read_dir(&self.tmp)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if !name.starts_with("failed-") {
                    tree::remove(&self.tmp.join(name))?;
                }
            }
        }
        fs_err::create_dir_all(&self.tmp)?;
        Ok(())
    }

    /// A new empty folder for a node under way, on the store's file system.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn scratch(&self, name: &str) -> Result<Utf8PathBuf> {
        let dir = self.tmp.join(name);
        tree::remove(&dir)?;
        fs_err::create_dir_all(dir.join("out")).explain(Kind::Storage, || format!("cannot create {dir}"))?;
        fs_err::create_dir_all(dir.join("work"))?;
        Ok(dir)
    }

    /// The entry of `key`, when it is there and whole.
    ///
    /// # Errors
    /// When the disk cannot be read or a bad entry cannot be removed.
    pub fn find(&self, node: &Node, key: Digest, report: &Reporter) -> Result<Option<Entry>> {
        let dir = self.path(node, key);
        let Some(entry) = read_entry(&dir) else { return Ok(None) };
        let now = tree::stamp(&dir.join("out"))?;
        let then = fs_err::read(dir.join("stamp.json")).ok().and_then(|b| serde_json::from_slice(&b).ok());
        if entry.key == key && then.as_ref() == Some(&now) {
            return Ok(Some(entry));
        }
        if entry.key == key && outputs(&dir.join("out"), node)? == entry.outputs {
            write_json(&dir.join("stamp.json"), &now)?;
            return Ok(Some(entry));
        }
        report.warn(format!("{dir} is not what its manifest says; building it again"));
        tree::remove(&dir)?;
        Ok(None)
    }

    /// Puts a finished scratch folder into the store.
    ///
    /// # Errors
    /// When an output is missing or the disk cannot be written.
    pub fn keep(&self, scratch: &Utf8Path, node: &Node, id: NodeId, keys: &Keys) -> Result<Entry> {
        let entry = Entry {
            stage: node.stage.to_owned(),
            label: node.label.clone(),
            key: keys.key(id),
            inputs: keys.inputs(id).to_vec(),
            outputs: outputs(&scratch.join("out"), node)?,
        };
        tree::remove(&scratch.join("work"))?;
        write_json(&scratch.join("manifest.json"), &entry)?;
        write_json(&scratch.join("stamp.json"), &tree::stamp(&scratch.join("out"))?)?;
        let dir = self.path(node, entry.key);
        tree::remove(&dir)?;
        fs_err::rename(scratch, &dir)?;
        Ok(entry)
    }

    /// Every entry's folder, with the bytes it takes.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn entries(&self) -> Result<Vec<(Utf8PathBuf, u64)>> {
        let mut all = Vec::new();
        for item in fs_err::read_dir(&self.dir)? {
            let path = self.dir.join(item?.file_name().to_string_lossy().as_ref());
            all.push((path.clone(), tree::size(&path)?));
        }
        all.sort();
        Ok(all)
    }

    /// Every entry's manifest, oldest first.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn all(&self) -> Result<Vec<Entry>> {
        let mut all = Vec::new();
        for item in fs_err::read_dir(&self.dir)? {
            let dir = self.dir.join(item?.file_name().to_string_lossy().as_ref());
            let time = fs_err::metadata(&dir)?.modified()?;
            all.extend(read_entry(&dir).map(|entry| (time, entry)));
        }
        all.sort_by_key(|(time, _)| *time);
        Ok(all.into_iter().map(|(_, entry)| entry).collect())
    }

    fn path(&self, node: &Node, key: Digest) -> Utf8PathBuf {
        self.dir.join(format!("{}-{}", node.stage, key.short(16)))
    }
}

/// Reads an entry's manifest.
#[must_use]
pub fn read_entry(dir: &Utf8Path) -> Option<Entry> {
    serde_json::from_slice(&fs_err::read(dir.join("manifest.json")).ok()?).ok()
}

fn outputs(out: &Utf8Path, node: &Node) -> Result<BTreeMap<String, Output>> {
    let each = node.outputs.iter().map(|name| {
        let (sha256, size) = tree::digest(&out.join(name))
            .explain(Kind::Input, || format!("`{}` has no output {name}", node.label))?;
        Ok((name.clone(), Output { size, sha256 }))
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
    fs_err::write(&new, text)?;
    fs_err::rename(&new, path)?;
    Ok(())
}
