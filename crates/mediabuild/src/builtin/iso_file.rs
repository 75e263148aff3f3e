//! Writes an ISO whose beginning may have been written before: such a beginning is copied inside the kernel, and its
//! digests are taken from where they were kept.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek as _, SeekFrom, Write},
    ops::Range,
};

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use bootiso::write::ImageLayout;
use buildexec::hash::{PIECE, Sums, SumsHasher};
use buildexec::tree;
use buildexec::{midstates, store};
use buildplan::{Digest, digest::Fields};
use failure::{Explain as _, Kind};

/// A file of at least this length ends the beginning: what lies behind the last such file is little to hash.
const LARGE: u64 = 1 << 20;

/// An image, and the file that each of its files is made of.
pub(crate) struct IsoParts<'a> {
    /// Where everything lies.
    pub layout: &'a ImageLayout,
    /// Paths in the image and files that hold the content.
    pub files: Vec<(&'a str, &'a str)>,
}

impl IsoParts<'_> {
    /// Writes the image to the new file `to`; digests of its beginning are kept in the folder `work`.
    ///
    /// # Errors
    /// [`Kind::Storage`] when a part cannot be read or the image not be written.
    pub(crate) fn write(&self, work: &Utf8Path, to: &Utf8Path) -> Result<Sums> {
        self.try_write(work, to).explain(Kind::Storage, || format!("cannot write {to}"))
    }

    fn try_write(&self, work: &Utf8Path, to: &Utf8Path) -> Result<Sums> {
        let (end, size) = (self.beginning(), self.layout.size());
        let key = self.key(end)?;
        let file = fs_err::File::create(to)?;
        let hasher = match midstates::find(work, key).filter(|state| state.size() == end) {
            Some(state) => {
                self.copy_beginning(end, &file)?;
                SumsHasher::resume(state)
            }
            None => {
                let hasher = self.write_range(0..end, file.file(), SumsHasher::both())?;
                let state = hasher.pause().context("an image is hashed by both digests")?;
                if end > 0 {
                    midstates::keep(work, key, &state);
                }
                SumsHasher::resume(state)
            }
        };
        (&mut file.file()).seek(SeekFrom::Start(end))?;
        Ok(self.write_range(end..size, file.file(), hasher)?.finish())
    }

    /// Writes a range where the file stands, and hashes it meanwhile.
    fn write_range(&self, range: Range<u64>, file: &File, hasher: SumsHasher) -> Result<SumsHasher> {
        let mut out = BufWriter::with_capacity(PIECE, Tee { file, hasher });
        self.layout.write_range(range, &mut out, |path| self.open(path))?;
        Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.hasher)
    }

    /// Where the beginning ends: behind the last large file, where the next one starts.
    fn beginning(&self) -> u64 {
        let files: Vec<_> = self.layout.files().collect();
        let large = files.iter().rposition(|(_, _, length)| *length >= LARGE);
        large.and_then(|n| files.get(n + 1)).map_or(0, |(_, start, _)| *start)
    }

    /// What the beginning is made of.
    fn key(&self, end: u64) -> Result<Digest> {
        let mut fields = Fields::default();
        fields.add("end", &end.to_le_bytes());
        for (start, bytes) in self.layout.head() {
            fields.add("at", &start.to_le_bytes());
            fields.add("bytes", bytes);
        }
        for (path, start, length) in self.layout.files().filter(|(_, start, _)| *start < end) {
            let file = self.file(path);
            let digest = match store::digest_of(file.into()) {
                Some(digest) => digest,
                None => tree::digest(file.into())?.0,
            };
            fields.add(path, digest.bytes());
            fields.add("at", &[start.to_le_bytes(), length.to_le_bytes()].concat());
        }
        Ok(fields.finish())
    }

    fn copy_beginning(&self, end: u64, to: &fs_err::File) -> Result<()> {
        // Between files there are zeros, as in a file that was made longer.
        to.set_len(end)?;
        let first = self.layout.files().next().map_or(end, |(_, start, _)| start);
        let mut out = BufWriter::new(to.file());
        self.layout.write_range(0..first, &mut out, |path| self.open(path))?;
        out.flush()?;
        for (path, start, length) in self.layout.files().filter(|(_, start, _)| *start < end) {
            if self.layout.is_loader(path) {
                out.seek(SeekFrom::Start(start))?;
                self.layout.write_range(start..start + length, &mut out, |path| self.open(path))?;
                out.flush()?;
            } else {
                tree::copy_into(self.file(path).into(), to, start, length)?;
            }
        }
        Ok(())
    }

    fn file(&self, path: &str) -> &str {
        self.files.iter().find(|(p, _)| *p == path).map_or("", |(_, file)| file)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(self.file(path))?))
    }
}

/// Hashes what it writes.
struct Tee<'f> {
    file: &'f File,
    hasher: SumsHasher,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
