//! The file that a download grows in, and who may write to it.

use std::{
    collections::BTreeSet,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    sync::{Mutex, PoisonError},
};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest as _, Sha256};

use crate::hash::{PIECE, Sums, SumsHasher};
use buildplan::Digest;
use failure::{Explain as _, Kind};

/// The files that downloads of this process write to.
static TAKEN: Mutex<BTreeSet<Utf8PathBuf>> = Mutex::new(BTreeSet::new());

/// A name that no other download of this process has, as long as this lives.
pub(super) struct Claim(Utf8PathBuf);

impl Claim {
    /// `<digest>.part`; while another download of an equal digest has that, one with a number.
    pub(super) fn new(dir: &Utf8Path, sha256: Digest) -> Self {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = (1..).map(|n| dir.join(format!("{sha256}.{n}.part")));
        let mut names = std::iter::once(dir.join(format!("{sha256}.part"))).chain(numbered);
        let free = names.find(|name| !taken.contains(name)).expect("there are names without an end");
        taken.insert(free.clone());
        Self(free)
    }

    pub(super) fn path(&self) -> &Utf8Path {
        &self.0
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// A file that grows, hashed as it does.
pub(super) struct PartialFile {
    path: Utf8PathBuf,
    file: fs_err::File,
    hasher: SumsHasher,
    /// The digest of what an earlier run left.
    left: Digest,
    /// Bytes that are there.
    pub(super) have: u64,
    /// How many answers it was put together from; what was there before counts as one.
    pub(super) pieces: u32,
    /// What tells the server which file the beginning is of: an `ETag` or a date.
    pub(super) validator: Option<String>,
    /// Whether the last answer was a page for browsers.
    pub(super) is_page: bool,
}

impl PartialFile {
    /// Opens the file, and hashes what an earlier run left in it. More than `limit` bytes cannot be the beginning of it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn open(path: &Utf8Path, limit: u64) -> Result<Self> {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.create(true).read(true).write(true).truncate(false).open(path)?;
        if file.metadata()?.len() > limit {
            file.set_len(0)?;
        }
        let mut state = Sha256::new();
        let mut buffer = vec![0; PIECE];
        let mut have = 0;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => {
                    state.update(&buffer[..n]);
                    have += n as u64;
                }
            }
        }
        let left = Digest::from(<[u8; 32]>::from(state.clone().finalize()));
        let hasher = SumsHasher::after(state, have);
        let pieces = u32::from(have > 0);
        Ok(Self { path: path.to_owned(), file, hasher, left, have, pieces, validator: None, is_page: false })
    }

    /// Whether an earlier run left the whole file.
    pub(super) fn is_whole(&self, digest: Digest) -> bool {
        self.have > 0 && self.left == digest
    }

    /// Begins from nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = SumsHasher::sha256();
        (self.have, self.pieces, self.validator) = (0, 0, None);
        Ok(())
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`Kind::Storage`] when they cannot be written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).explain(Kind::Storage, || format!("cannot write {}", self.path))?;
        self.have += bytes.len() as u64;
        Ok(())
    }

    /// What the file is as it stands. To go on, it has to be restarted.
    pub(super) fn sums(&mut self) -> Sums {
        std::mem::replace(&mut self.hasher, SumsHasher::sha256()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_downloads_of_one_digest_write_to_two_files() {
        let (dir, digest) = (Utf8Path::new("/d"), Digest::of(b"two"));
        let first = Claim::new(dir, digest);
        let second = Claim::new(dir, digest);
        assert_eq!(first.path(), dir.join(format!("{digest}.part")));
        assert_eq!(second.path(), dir.join(format!("{digest}.1.part")));
        drop(first);
        assert_eq!(Claim::new(dir, digest).path(), dir.join(format!("{digest}.part")));
    }
}
