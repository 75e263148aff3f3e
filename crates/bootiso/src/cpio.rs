//! cpio archives in the "newc" form that the kernel unpacks (`Documentation/driver-api/early-userspace/buffer-format.rst`).
//!
//! Every entry is root's, its time is 0 and its inode number its place, so that the same files give the same bytes.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
};

use cpio::newc;

/// An archive being written.
#[derive(Default)]
pub struct CpioWriter {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
}

impl CpioWriter {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a folder and those it is in, unless they are there. The kernel makes no folder by itself.
    pub fn dir(&mut self, path: &str) {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let dir = &path[..end];
            if self.names.insert(dir.to_owned()) {
                let builder = newc::Builder::new(dir).mode(0o040_755).nlink(2);
                self.add(builder, &[]).expect("writing to memory cannot fail");
            }
        }
    }

    /// Adds a file with these permission bits, and the folders it is in.
    ///
    /// # Errors
    /// When it is larger than the format can say (4 GiB) or the name is taken.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        if let Some((dir, _)) = path.rsplit_once('/') {
            self.dir(dir);
        }
        if !self.names.insert(path.to_owned()) {
            return Err(io::Error::other(format!("{path} is in the archive already")));
        }
        self.add(newc::Builder::new(path).mode(0o100_000 | mode & 0o7777).nlink(1), content)
    }

    fn add(&mut self, builder: newc::Builder, content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len()).map_err(io::Error::other)?;
        let ino = u32::try_from(self.names.len()).map_err(io::Error::other)?;
        let mut writer = builder.ino(ino).write(&mut self.bytes, size);
        // In one call: the crate pads with zeros, and says nothing, when less is written than was declared.
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    /// The archive's bytes, its trailer included.
    ///
    /// # Errors
    /// Never in practice: it is written to memory.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        newc::trailer(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn folders_come_before_their_files_and_content_comes_back() {
        let mut archive = CpioWriter::new();
        archive.file("a/b/c", 0o755, b"hello").unwrap();
        archive.file("a/d", 0o644, &[]).unwrap();
        assert!(archive.file("a/d", 0o644, &[]).is_err());
        let bytes = archive.finish().unwrap();
        let mut rest = bytes.as_slice();
        let mut found = Vec::new();
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            found.push((name, mode, content));
            rest = reader.finish().unwrap();
        }
        let names: Vec<_> = found.iter().map(|(n, m, _)| (n.as_str(), *m)).collect();
        assert_eq!(names, [("a", 0o040_755), ("a/b", 0o040_755), ("a/b/c", 0o100_755), ("a/d", 0o100_644)]);
        assert_eq!(found[2].2, "hello");
    }
}
