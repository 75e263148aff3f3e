//! Writes an ISO that starts from CD and stick under BIOS (ISOLINUX) and UEFI (a FAT image), the same bytes each time.
//!
//! A [`Spec`] says what is in the image, [`ImageLayout::plan`] where each byte lies, [`ImageLayout::write`] writes them.
//! Nothing is taken from the machine: no clock, no locale, no program. So the image that a specification makes is known
//! before it is made, and an image that somebody offers can be compared with it, byte by byte.
//!
//! Names: Rock Ridge for Linux and GRUB, Joliet for Windows, plain upper-case ones for ISOLINUX. Left out: links,
//! permissions other than read-only, files of 4 GiB and more, volumes of more than one medium.

mod records;
mod system;
mod tree;

use std::{
    io::{self, Read, Write},
    ops::Range,
};

use crate::SECTOR;
use records::{NameSet, Record, catalog, descriptor, path_table};
use tree::{Folder, FolderTree};

/// Bytes that come from a loader's program, whose own table of where it lies is filled in.
const LOADER_LIMIT: u64 = 1 << 20;

/// Why an image cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A path, a name or a label cannot be put into an image.
    #[error("cannot put {0:?} into an ISO: {1}")]
    Name(String, &'static str),
    /// A part that the specification names is not among its files.
    #[error("{0} is not among the files of the image")]
    Missing(String),
    /// Something is larger than the format allows.
    #[error("{0} is too large for an ISO image")]
    TooLarge(String),
    /// A file changed while it was written, or its length was wrong.
    #[error("{path} does not have the {expected} bytes that the image has room for")]
    Length {
        /// The file's path in the image.
        path: String,
        /// Bytes that were planned.
        expected: u64,
    },
    /// Reading a file or writing the image failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What is in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The volume's label: up to 32 ASCII letters, digits and `_`.
    pub label: String,
    /// Seconds since 1970: the date of everything.
    pub time: u64,
    /// What names the disk and its partitions; two images that may be in one machine should differ in it.
    pub id: [u8; 16],
    /// Files, in the order in which they lie.
    pub files: Vec<FileSpec>,
    /// What BIOS and UEFI start.
    pub boot: BootImage,
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// The path, from `/` on; a name has up to 60 bytes and none of `*:;?\` and control characters.
    pub path: String,
    /// Bytes; below 4 GiB.
    pub length: u64,
}

/// What firmware starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootImage {
    /// The code of the first sector, for a stick: ISOLINUX's `isohdpfx.bin`, 432 bytes at most.
    pub code: Vec<u8>,
    /// The path of ISOLINUX's program.
    pub bios: String,
    /// The path of the boot catalogue, which is written here.
    pub catalog: String,
    /// The path of the FAT image for UEFI.
    pub efi: Option<String>,
}

/// An image of which each byte has its place.
#[derive(Debug)]
pub struct ImageLayout {
    /// Descriptors, tables and folders, by where they begin.
    fixed: Vec<(u64, Vec<u8>)>,
    /// Files by where they begin.
    files: Vec<FileExtent>,
    /// What lies behind the last file, up to the end.
    tail: (u64, Vec<u8>),
    bios: String,
}

#[derive(Clone, Debug)]
struct FileExtent {
    path: String,
    start: u64,
    length: u64,
}

impl ImageLayout {
    /// Gives everything its place.
    ///
    /// # Errors
    /// When a name or a size cannot be put into an image.
    pub fn plan(spec: &Spec) -> Result<Self, WriteError> {
        check(spec)?;
        let mut names: Vec<&str> = spec.files.iter().map(|f| f.path.as_str()).collect();
        names.push(&spec.boot.catalog);
        let tree = FolderTree::of(&names)?;
        // System area, four descriptors.
        let mut next = 20;
        let tables: Vec<NameTables> =
            [NameSet::Plain, NameSet::Joliet].map(|names| NameTables::at(&tree, names, &mut next)).into();
        let continuation = take(&mut next, 1);
        let catalog_at = take(&mut next, 1);
        let mut files =
            vec![FileExtent { path: spec.boot.catalog.clone(), start: catalog_at, length: SECTOR }];
        for file in &spec.files {
            let start = take(&mut next, file.length.div_ceil(SECTOR));
            files.push(FileExtent { path: file.path.clone(), start, length: file.length });
        }
        let used = next * SECTOR;
        let size = system::whole_cylinders(used);
        if u32::try_from(size / 512).is_err() {
            return Err(WriteError::TooLarge("everything together".to_owned()));
        }
        let mut image =
            Self { fixed: Vec::new(), files, tail: (used, Vec::new()), bios: spec.boot.bios.clone() };
        image.describe(spec, &tree, &tables, continuation, size)?;
        image.system(spec, size)?;
        image.files.remove(0);
        Ok(image)
    }

    /// The size of the image in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tail.0 + self.tail.1.len() as u64
    }

    /// Where the content of the file `path` begins, and how long it is, in bytes.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<(u64, u64)> {
        self.files.iter().find(|f| f.path == path).map(|f| (f.start * SECTOR, f.length))
    }

    /// The path of each file with where its content begins and how long it is, in the order in which they lie.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.files.iter().map(|f| (f.path.as_str(), f.start * SECTOR, f.length))
    }

    /// What lies in front of the files: descriptors, tables and folders, each with where it begins.
    pub fn head(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.fixed.iter().map(|(start, bytes)| (*start, bytes.as_slice()))
    }

    /// Whether the content of the file `path` gets the table of where it lies, and so is not what was given.
    #[must_use]
    pub fn is_loader(&self, path: &str) -> bool {
        path == self.bios
    }

    /// Writes the image; `open` gives the content of the file at a path.
    ///
    /// # Errors
    /// When reading or writing fails, or a file has another length than was planned.
    pub fn write<'r>(
        &self,
        out: &mut impl Write,
        open: impl FnMut(&str) -> io::Result<Box<dyn Read + 'r>>,
    ) -> Result<(), WriteError> {
        self.write_range(0..self.size(), out, open)
    }

    /// Writes a range of the image. At its start and its end a file begins, or the image does or ends.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_range<'r>(
        &self,
        range: Range<u64>,
        out: &mut impl Write,
        mut open: impl FnMut(&str) -> io::Result<Box<dyn Read + 'r>>,
    ) -> Result<(), WriteError> {
        let mut at = range.start;
        for (start, bytes) in self.fixed.iter().filter(|(start, _)| range.contains(start)) {
            zeros(out, start - at)?;
            out.write_all(bytes)?;
            at = start + bytes.len() as u64;
        }
        for file in self.files.iter().filter(|f| range.contains(&(f.start * SECTOR))) {
            zeros(out, file.start * SECTOR - at)?;
            let mut content = open(&file.path)?;
            if file.path == self.bios {
                content = Box::new(io::Cursor::new(loader(file, content)?));
            }
            let copied = io::copy(&mut content.by_ref().take(file.length), out)?;
            if copied != file.length || content.read(&mut [0])? != 0 {
                return Err(WriteError::Length { path: file.path.clone(), expected: file.length });
            }
            at = file.start * SECTOR + file.length;
        }
        if range.contains(&self.tail.0) {
            zeros(out, self.tail.0 - at)?;
            out.write_all(&self.tail.1)?;
            return Ok(());
        }
        Ok(zeros(out, range.end - at)?)
    }

    /// Volume descriptors, path tables, folders, boot catalogue.
    fn describe(
        &mut self,
        spec: &Spec,
        tree: &FolderTree,
        tables: &[NameTables],
        continuation: u64,
        size: u64,
    ) -> Result<(), WriteError> {
        let place = |path: &str| {
            let found = self.files.iter().find(|f| f.path == path);
            found.map(|f| (f.start, f.length)).ok_or_else(|| WriteError::Missing(path.to_owned()))
        };
        let (bios, _) = place(&spec.boot.bios)?;
        let (catalog_at, _) = place(&spec.boot.catalog)?;
        let efi = spec.boot.efi.as_deref().map(place).transpose()?;
        let mut fixed = Vec::new();
        for (number, table) in [16, 18].into_iter().zip(tables) {
            fixed.push((number, descriptor(spec, table.names, table, size / SECTOR)));
        }
        fixed.push((17, records::boot_record(catalog_at)));
        fixed.push((19, records::terminator()));
        for table in tables {
            for (at, big) in [(table.little, false), (table.big, true)] {
                fixed.push((at, path_table(tree, table, big)));
            }
            for (number, folder) in tree.folders.iter().enumerate() {
                let bytes = table.folder(spec, tree, number, folder, continuation, &place)?;
                fixed.push((table.starts[number], bytes));
            }
        }
        fixed.push((continuation, records::extension()));
        fixed.push((catalog_at, catalog(bios, efi)?));
        fixed.sort_by_key(|(sector, _)| *sector);
        self.fixed = fixed.into_iter().map(|(sector, bytes)| (sector * SECTOR, bytes)).collect();
        Ok(())
    }

    /// What a disk's first and last sectors say.
    fn system(&mut self, spec: &Spec, size: u64) -> Result<(), WriteError> {
        let find = |path: &str| self.files.iter().find(|f| f.path == path);
        let bios = find(&spec.boot.bios).ok_or_else(|| WriteError::Missing(spec.boot.bios.clone()))?.start;
        let efi = spec
            .boot
            .efi
            .as_deref()
            .and_then(find)
            .map(|f| system::BlockRange { first: f.start * 4, blocks: f.length.div_ceil(512) });
        let disk = system::DiskLayout { id: spec.id, blocks: size / 512, bios: bios * 4, efi };
        self.fixed.insert(0, (0, disk.head(&spec.boot.code)));
        let mut tail = vec![0; usize::try_from(size - self.tail.0).expect("the padding is short")];
        disk.backup(&mut tail);
        self.tail.1 = tail;
        Ok(())
    }
}

/// Where the tables and folders of one set of names lie, in sectors.
#[derive(Debug)]
struct NameTables {
    names: NameSet,
    little: u64,
    big: u64,
    /// Bytes of a path table.
    length: u64,
    /// By the number of the folder.
    starts: Vec<u64>,
    sizes: Vec<u64>,
}

impl NameTables {
    fn at(tree: &FolderTree, names: NameSet, next: &mut u64) -> Self {
        let length = records::path_table_length(tree, names);
        let sectors = length.div_ceil(SECTOR);
        let (little, big) = (take(next, sectors), take(next, sectors));
        let sizes: Vec<u64> = tree
            .folders
            .iter()
            .enumerate()
            .map(|(number, folder)| records::folder_length(tree, number, folder, names))
            .collect();
        let starts = sizes.iter().map(|size| take(next, size / SECTOR)).collect();
        Self { names, little, big, length, starts, sizes }
    }

    /// The records of a folder: itself, the one above, what is in it.
    fn folder(
        &self,
        spec: &Spec,
        tree: &FolderTree,
        number: usize,
        folder: &Folder,
        continuation: u64,
        place: &impl Fn(&str) -> Result<(u64, u64), WriteError>,
    ) -> Result<Vec<u8>, WriteError> {
        let record = |name: &[u8], n: usize| Record {
            identifier: name.to_vec(),
            rock: None,
            start: self.starts[n],
            length: self.sizes[n],
            folders_in: tree.folders[n].folders(),
            is_folder: true,
            time: spec.time,
            continuation: None,
        };
        let mut own = record(&[0], number);
        own.continuation = (number == 0).then_some(continuation);
        let mut records = vec![own, record(&[1], folder.parent)];
        for entry in folder.ordered(self.names) {
            let mut made = match entry.folder {
                Some(n) => record(&[], n),
                None => {
                    let (start, length) = place(&entry.path)?;
                    Record { start, length, is_folder: false, folders_in: 0, ..record(&[], number) }
                }
            };
            made.identifier = records::identifier(entry, self.names);
            made.rock = Some(entry.name.clone());
            records.push(made);
        }
        Ok(records::lay_out(&records, self.names, self.sizes[number]))
    }
}

fn take(next: &mut u64, sectors: u64) -> u64 {
    let at = *next;
    *next += sectors;
    at
}

fn check(spec: &Spec) -> Result<(), WriteError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if spec.label.is_empty() || spec.label.len() > 32 || !spec.label.chars().all(plain) {
        return Err(WriteError::Name(spec.label.clone(), "a label has 1 to 32 letters, digits and _"));
    }
    if spec.boot.code.len() > system::CODE {
        return Err(WriteError::TooLarge("the boot sector's code".to_owned()));
    }
    let large = spec.files.iter().find(|f| u32::try_from(f.length).is_err());
    large.map_or(Ok(()), |file| Err(WriteError::TooLarge(file.path.clone())))
}

fn zeros(out: &mut impl Write, mut count: u64) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let now = count.min(ZEROS.len() as u64);
        out.write_all(&ZEROS[..usize::try_from(now).expect("it is at most 4096")])?;
        count -= now;
    }
    Ok(())
}

/// ISOLINUX's program with the table of where it lies: the descriptor's sector, its own, its length, and the sum of
/// the words behind the table.
fn loader(file: &FileExtent, content: Box<dyn Read + '_>) -> Result<Vec<u8>, WriteError> {
    if file.length > LOADER_LIMIT {
        return Err(WriteError::TooLarge(file.path.clone()));
    }
    let mut bytes = Vec::new();
    content.take(file.length + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != file.length || bytes.len() < 64 {
        return Err(WriteError::Length { path: file.path.clone(), expected: file.length });
    }
    let sum = bytes[64..].chunks(4).fold(0_u32, |sum, word| {
        let mut four = [0; 4];
        four[..word.len()].copy_from_slice(word);
        sum.wrapping_add(u32::from_le_bytes(four))
    });
    let start = u32::try_from(file.start).map_err(|_| WriteError::TooLarge(file.path.clone()))?;
    let length = u32::try_from(file.length).map_err(|_| WriteError::TooLarge(file.path.clone()))?;
    for (at, word) in [16, start, length, sum].into_iter().enumerate() {
        bytes[8 + at * 4..12 + at * 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes[24..64].fill(0);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
