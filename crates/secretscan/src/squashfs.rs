//! Squashfs 4.0, the file system in which a live system lies: its files by their names, as
//! `Documentation/filesystems/squashfs.rst` and the kernel's `squashfs_fs.h` describe it. Packed with zlib, xz or zstd.

use std::{
    cell::RefCell,
    collections::HashSet,
    fs::File,
    io::{self, Read},
    rc::Rc,
    sync::Arc,
};

use super::formats;
use bootiso::ReadAt as _;

/// The largest block that the format knows, and the size of a block of metadata.
const BLOCK: u32 = 1 << 20;
const METADATA: usize = 8192;
/// More entries than any system has: an end to images that are made never to end.
const ENTRIES: usize = 1 << 20;
/// In the length of a block of data: it is not packed.
const PLAIN: u32 = 1 << 24;

/// An image.
#[derive(Clone)]
pub(super) struct Squashfs {
    file: Arc<File>,
    block: u32,
    compressor: u16,
    root: u64,
    inodes: u64,
    directories: u64,
    fragments: u64,
    /// The fragment that was read last: small files beside each other share one.
    last: Rc<RefCell<(u32, Vec<u8>)>>,
}

/// What a name stands for.
pub(super) enum SquashEntry {
    /// A file, to be read.
    File(Blocks),
    /// A link to this.
    Link(String),
    /// A folder, a device, a pipe.
    Other,
}

fn damaged(what: &str) -> io::Error {
    io::Error::other(format!("a damaged squashfs: {what}"))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> io::Result<u64> {
    let field = bytes.get(at..at + N).ok_or_else(|| damaged("it ends too early"))?;
    Ok(field.iter().rev().fold(0, |all, b| all << 8 | u64::from(*b)))
}

fn long(bytes: &[u8], at: usize) -> io::Result<u32> {
    number::<4>(bytes, at).map(|n| n as u32)
}

fn short(bytes: &[u8], at: usize) -> io::Result<u16> {
    number::<2>(bytes, at).map(|n| n as u16)
}

impl Squashfs {
    /// # Errors
    /// When it is not one, or of a kind that is not known here.
    pub(super) fn open(file: Arc<File>) -> io::Result<Self> {
        let mut head = [0; 96];
        file.read_exact_at(&mut head, 0)?;
        let (block, compressor, version) = (long(&head, 12)?, short(&head, 20)?, short(&head, 28)?);
        if !(4096..=BLOCK).contains(&block) || version != 4 || !head.starts_with(b"hsqs") {
            return Err(damaged("its header"));
        }
        if !matches!(compressor, 1 | 4 | 6) {
            return Err(io::Error::other(
                "a squashfs packed with lzma, lzo or lz4, which is not unpacked here",
            ));
        }
        let at = |offset| number::<8>(&head, offset);
        let (root, inodes, directories, fragments) = (at(32)?, at(64)?, at(72)?, at(80)?);
        let last = Rc::new(RefCell::new((u32::MAX, Vec::new())));
        Ok(Self { file, block, compressor, root, inodes, directories, fragments, last })
    }

    fn unpacked(&self, packed: &[u8], most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let most = most as u64 + 1;
        match self.compressor {
            1 => formats::zlib(packed).take(most).read_to_end(&mut bytes)?,
            4 => formats::xz(packed)?.take(most).read_to_end(&mut bytes)?,
            _ => formats::zstd(packed)?.take(most).read_to_end(&mut bytes)?,
        };
        if bytes.len() as u64 == most { Err(damaged("a block that is too long")) } else { Ok(bytes) }
    }

    /// A block of data of this length on disk.
    fn data(&self, at: u64, size: u32) -> io::Result<Vec<u8>> {
        let length = size & (PLAIN - 1);
        if length > BLOCK {
            return Err(damaged("a block that is too long"));
        }
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        if size & PLAIN == 0 { self.unpacked(&bytes, self.block as usize) } else { Ok(bytes) }
    }

    /// `length` bytes of metadata from `offset` in the block at `at`, and of those behind it.
    fn metadata(&self, mut at: u64, mut offset: usize, length: usize) -> io::Result<Vec<u8>> {
        let mut found = Vec::new();
        while found.len() < length {
            let mut head = [0; 2];
            self.file.read_exact_at(&mut head, at)?;
            let size = u16::from_le_bytes(head);
            let mut bytes = vec![0; usize::from(size & 0x7FFF).min(METADATA)];
            self.file.read_exact_at(&mut bytes, at + 2)?;
            at += 2 + bytes.len() as u64;
            let block = if size & 0x8000 == 0 { self.unpacked(&bytes, METADATA)? } else { bytes };
            let rest = block.get(offset..).filter(|b| !b.is_empty());
            found.extend_from_slice(rest.ok_or_else(|| damaged("its metadata"))?);
            offset = 0;
        }
        found.truncate(length);
        Ok(found)
    }

    /// A part of the inode that `reference` (block and offset) leads to.
    fn inode(&self, reference: u64, length: usize) -> io::Result<Vec<u8>> {
        self.metadata(self.inodes + (reference >> 16), (reference & 0xFFFF) as usize, length)
    }

    /// Calls `each` with the path of every entry, in the order of folders, and what it is.
    ///
    /// # Errors
    /// Those of the image, and of `each`.
    pub(super) fn walk(&self, mut each: impl FnMut(&str, SquashEntry) -> io::Result<()>) -> io::Result<()> {
        let (mut todo, mut seen, mut entries) = (vec![(String::new(), self.root)], HashSet::new(), 0);
        while let Some((folder, reference)) = todo.pop() {
            if !seen.insert(reference) {
                return Err(damaged("a folder inside itself"));
            }
            for (name, reference, is_folder) in self.folder(reference)? {
                let path = format!("{folder}/{name}");
                entries += 1;
                if entries > ENTRIES {
                    return Err(damaged("too many entries"));
                }
                each(&path, self.entry(reference)?)?;
                if is_folder {
                    todo.push((path, reference));
                }
            }
        }
        Ok(())
    }

    /// The entries of a folder: name, reference, whether it is a folder.
    fn folder(&self, reference: u64) -> io::Result<Vec<(String, u64, bool)>> {
        let head = self.inode(reference, 32)?;
        let (start, size, offset) = match short(&head, 0)? {
            1 => (long(&head, 16)?, u32::from(short(&head, 24)?), short(&head, 26)?),
            8 => {
                let head = self.inode(reference, 40)?;
                (long(&head, 24)?, long(&head, 20)?, short(&head, 34)?)
            }
            _ => return Err(damaged("not a folder")),
        };
        // Three bytes for `.` and `..`, which are not stored.
        let size = (size as usize).saturating_sub(3);
        let list = self.metadata(self.directories + u64::from(start), usize::from(offset), size)?;
        let (mut found, mut at) = (Vec::new(), 0);
        while at < list.len() {
            let (count, block) = (long(&list, at)?.saturating_add(1), long(&list, at + 4)?);
            at += 12;
            for _ in 0..count {
                let (offset, kind, length) =
                    (short(&list, at)?, short(&list, at + 4)?, short(&list, at + 6)?);
                let name = list.get(at + 8..at + 9 + usize::from(length));
                let name = String::from_utf8_lossy(name.ok_or_else(|| damaged("a name"))?).into_owned();
                at += 9 + usize::from(length);
                found.push((name, u64::from(block) << 16 | u64::from(offset), kind == 1));
            }
        }
        Ok(found)
    }

    fn entry(&self, reference: u64) -> io::Result<SquashEntry> {
        let kind = short(&self.inode(reference, 16)?, 0)?;
        let (fields, at) = match kind {
            2 => (self.inode(reference, 32)?, [16, 28, 20, 24]),
            9 => (self.inode(reference, 56)?, [16, 24, 44, 48]),
            3 | 10 => {
                let length = long(&self.inode(reference, 24)?, 20)?.min(u32::from(u16::MAX)) as usize;
                let target = self.inode(reference, 24 + length)?;
                return Ok(SquashEntry::Link(String::from_utf8_lossy(&target[24..]).into_owned()));
            }
            _ => return Ok(SquashEntry::Other),
        };
        let [start, size, fragment, offset] = at;
        let (start, size) = if kind == 2 {
            (u64::from(long(&fields, start)?), u64::from(long(&fields, size)?))
        } else {
            (number::<8>(&fields, start)?, number::<8>(&fields, size)?)
        };
        let fragment = Some((long(&fields, fragment)?, long(&fields, offset)?)).filter(|f| f.0 != u32::MAX);
        let block = u64::from(self.block);
        let blocks = if fragment.is_some() { size / block } else { size.div_ceil(block) };
        if blocks > self.file.size()? {
            return Err(damaged("a file of too many blocks"));
        }
        let sizes = self.inode(reference, fields.len() + 4 * blocks as usize)?;
        let sizes = sizes[fields.len()..].chunks(4).map(|b| long(b, 0)).collect::<io::Result<Vec<_>>>()?;
        let image = self.clone();
        Ok(SquashEntry::File(Blocks {
            image,
            sizes: sizes.into_iter(),
            fragment,
            at: start,
            left: size,
            ready: io::Cursor::default(),
        }))
    }

    /// What is shared by small files, from `offset`.
    fn fragment(&self, index: u32, offset: usize) -> io::Result<Vec<u8>> {
        if self.last.borrow().0 != index {
            let block = self.shared(index)?;
            *self.last.borrow_mut() = (index, block);
        }
        let last = self.last.borrow();
        last.1.get(offset..).map(<[u8]>::to_vec).ok_or_else(|| damaged("the end of a file"))
    }

    fn shared(&self, index: u32) -> io::Result<Vec<u8>> {
        let mut table = [0; 8];
        self.file.read_exact_at(&mut table, self.fragments + 8 * u64::from(index / 512))?;
        let entry = self.metadata(u64::from_le_bytes(table), 16 * (index % 512) as usize, 16)?;
        self.data(number::<8>(&entry, 0)?, long(&entry, 8)?)
    }
}

/// The content of a file.
pub(super) struct Blocks {
    image: Squashfs,
    sizes: std::vec::IntoIter<u32>,
    fragment: Option<(u32, u32)>,
    at: u64,
    left: u64,
    ready: io::Cursor<Vec<u8>>,
}

impl Blocks {
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let most = self.left.min(u64::from(self.image.block)) as usize;
        let mut bytes = match (self.sizes.next(), self.fragment.take()) {
            (Some(0), fragment) => {
                self.fragment = fragment;
                vec![0; most]
            }
            (Some(size), fragment) => {
                self.fragment = fragment;
                let block = self.image.data(self.at, size)?;
                self.at += u64::from(size & (PLAIN - 1));
                block
            }
            (None, Some((index, offset))) => self.image.fragment(index, offset as usize)?,
            (None, None) => return Err(damaged("a file ends too early")),
        };
        bytes.truncate(most);
        if bytes.is_empty() { Err(damaged("an empty block")) } else { Ok(bytes) }
    }
}

impl Read for Blocks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.ready.read(buf)?;
        if n > 0 || self.left == 0 || buf.is_empty() {
            return Ok(n);
        }
        let block = self.next()?;
        self.left -= block.len() as u64;
        self.ready = io::Cursor::new(block);
        self.ready.read(buf)
    }
}
