//! ISO images: a checked reader, embed areas for kernel arguments, and edits in place.
//!
//! An image comes from anywhere, so nothing in it is trusted: each read is checked against the length of the
//! file, both-endian copies are compared, and depth, entries and bytes read are limited, so that the reader
//! always ends. What is wrong is an [`Error`] that names the byte. Symbolic links are shown and
//! never followed. [`mod@write`] makes images of ours, the same bytes on every machine.
//!
//! ```
//! use std::{io::Read as _, sync::Arc};
//!
//! # fn smallest() -> Vec<u8> {
//! #     let mut image = vec![0; 21 * 2048];
//! #     let both = |n: u32| [n.to_le_bytes(), n.to_be_bytes()].concat();
//! #     let record = |name: &[u8], sector: u32, length: u32, flags: u8| {
//! #         let mut r = vec![0; (33 + name.len()).next_multiple_of(2)];
//! #         (r[0], r[25], r[32]) = (r.len() as u8, flags, name.len() as u8);
//! #         r[2..10].copy_from_slice(&both(sector));
//! #         r[10..18].copy_from_slice(&both(length));
//! #         r[33..33 + name.len()].copy_from_slice(name);
//! #         r
//! #     };
//! #     let root = [record(&[0], 18, 2048, 2), record(&[1], 18, 2048, 2), record(b"ISOLINUX.CFG;1", 20, 45, 0)].concat();
//! #     image[16 * 2048..][..6].copy_from_slice(b"\x01CD001");
//! #     image[16 * 2048 + 80..][..8].copy_from_slice(&both(21));
//! #     image[16 * 2048 + 128..][..4].copy_from_slice(&[0, 8, 8, 0]);
//! #     image[16 * 2048 + 156..][..34].copy_from_slice(&record(&[0], 18, 2048, 2));
//! #     image[17 * 2048..][..6].copy_from_slice(b"\xFFCD001");
//! #     image[18 * 2048..][..root.len()].copy_from_slice(&root);
//! #     image[20 * 2048..][..45].copy_from_slice(b"label live\n kernel /vmlinuz\n append quiet   \n");
//! #     image
//! # }
//! # fn main() -> bootiso::Result<()> {
//! use bootiso::{Iso, kargs};
//!
//! // `Iso::open` takes a path; an image in memory does as well.
//! let iso = Iso::over(Arc::new(smallest()))?;
//! for entry in iso.walk()? {
//!     println!("{} bytes: {}", entry.size, entry.path);
//! }
//! let mut text = String::new();
//! iso.reader(&iso.find("/isolinux.cfg")?).read_to_string(&mut text)?;
//!
//! let state = kargs::show(&iso, None)?;
//! assert_eq!(state.slots[0].args, "quiet");
//! let plan = kargs::plan(&iso, &kargs::Edit::Append(vec!["panic=10".to_owned()]), None)?;
//! assert_eq!(plan.after.slots[0].args, "quiet panic=10");
//! assert!(plan.unreached.is_empty());
//! # Ok(())
//! # }
//! ```

pub mod config_initrd;
pub mod cpio;
mod dir;
mod eltorito;
pub mod embed;
mod error;
mod fat;
mod hybrid;
pub mod kargs;
mod reader;
mod source;
mod susp;
mod udf;
mod volume;
pub mod write;
mod zisofs;

pub use dir::{Entry, EntryKind, Extent};
pub use eltorito::BootEntry;
pub use error::{Error, ErrorKind, Result};
use error::{ErrorContext as _, cannot_open};
pub use hybrid::{Partition, PartitionScheme};
pub use reader::Reader;
pub use source::ReadAt;
pub use susp::Packing;

use std::{collections::BTreeSet, io, sync::Arc};

use camino::Utf8Path;

/// Bytes of a sector. Every image on the market uses this size; others are refused.
pub const SECTOR: u64 = 2048;

/// An opened image.
pub struct Iso {
    source: Arc<dyn ReadAt + Send + Sync>,
    volumes: volume::Volumes,
}

impl Iso {
    /// Opens the image at `path` and reads its descriptors.
    ///
    /// # Errors
    /// [`ErrorKind::Image`] when it is not an ISO 9660 image or is shorter than it says; else what the file
    /// system says.
    pub fn open(path: &Utf8Path) -> Result<Self> {
        let file = fs_err::File::open(path).map_err(|e| cannot_open(&path, e))?.into_parts().0;
        if file.metadata()?.is_dir() {
            return Err(Error::new(ErrorKind::Request, format!("{path} is a folder, not an image")));
        }
        Self::over(Arc::new(file)).explain(ErrorKind::Image, || format!("cannot read {path} as an ISO image"))
    }

    /// Reads the descriptors of an image that is at hand in some other way.
    ///
    /// # Errors
    /// As [`Iso::open`].
    pub fn over(source: Arc<dyn ReadAt + Send + Sync>) -> Result<Self> {
        let volumes = volume::read(&*source)?;
        Ok(Self { source, volumes })
    }

    /// The length of the file in bytes, which may be more than the volume's.
    ///
    /// # Errors
    /// When the file system does not tell.
    pub fn size(&self) -> Result<u64> {
        Ok(self.source.size()?)
    }

    /// The volume's name, without trailing spaces.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.volumes.label
    }

    /// How names are recorded: `rock ridge`, `joliet` or `iso 9660`.
    ///
    /// # Errors
    /// As [`Iso::walk`].
    pub fn naming(&self) -> Result<&'static str> {
        Ok(dir::best(&*self.source, &self.volumes)?.naming())
    }

    /// Every entry below the root, folders before what they hold, each folder in the order of the image.
    ///
    /// # Errors
    /// When a record is malformed, lies outside the file, or there are too many.
    pub fn walk(&self) -> Result<Vec<Entry>> {
        dir::best(&*self.source, &self.volumes)?.walk()
    }

    /// What [`Iso::walk`] finds in each tree of the image: an edit of a record must change all of them. A partition
    /// that does not begin where the image does may have trees of its own for the same files, by which a stick is
    /// mounted (xorriso's `-partition_offset`, as Ubuntu, Fedora and Arch use it).
    ///
    /// # Errors
    /// As [`Iso::walk`].
    pub fn walk_all(&self) -> Result<Vec<Vec<Entry>>> {
        let mut found = Vec::new();
        for tree in dir::all(&*self.source, &self.volumes)? {
            found.push(tree.walk()?);
        }
        for base in self.partitions_with_trees()? {
            let tail = source::PartitionBytes { source: &*self.source, from: base };
            for tree in dir::all(&tail, &volume::read(&tail)?)? {
                found.push(tree.walk()?.into_iter().map(|entry| entry.based(base)).collect());
            }
        }
        Ok(found)
    }

    /// Every file by the names of ISO 9660 alone, which a loader that knows no Rock Ridge goes by.
    fn walk_plain(&self) -> Result<Vec<Entry>> {
        dir::plain_tree(&*self.source, &self.volumes).walk()
    }

    /// Where partitions with a primary descriptor of their own begin.
    fn partitions_with_trees(&self) -> Result<BTreeSet<u64>> {
        let starts = self.partitions()?.into_iter().map(|p| p.offset).filter(|at| *at > 0);
        let has_tree = |at: &u64| {
            let descriptor = at.checked_add(16 * SECTOR);
            descriptor.is_some_and(|at| self.bytes(at, 6).is_ok_and(|id| id == b"\x01CD001"))
        };
        Ok(starts.filter(has_tree).collect())
    }

    /// The one entry at `pattern`, such as `/boot/vmlinuz-*`: upper and lower case are equal, and a `*` at the
    /// end of a name stands for anything. Reads only the folders on the way.
    ///
    /// # Errors
    /// When nothing or more than one entry matches (a name in exactly this case goes first), or a record on
    /// the way is malformed.
    pub fn find(&self, pattern: &str) -> Result<Entry> {
        let mut found = dir::best(&*self.source, &self.volumes)?.matching(pattern)?;
        match found.len() {
            0 => Err(Error::image(format!("{pattern} is not in the image"))
                .help("`cargo xtask iso ls` lists its files")),
            1 => Ok(found.remove(0)),
            _ => {
                let names: Vec<_> = found.iter().map(|e| e.path.as_str()).collect();
                let text = format!("{pattern} may mean any of {}", names.join(", "));
                Err(Error::image(text))
            }
        }
    }

    /// The entry at `pattern` as [`Iso::find`] looks it up, or nothing when there is none.
    ///
    /// # Errors
    /// As [`Iso::find`], but for an entry that is missing.
    pub fn find_opt(&self, pattern: &str) -> Result<Option<Entry>> {
        let found = dir::best(&*self.source, &self.volumes)?.matching(pattern)?;
        if found.is_empty() { Ok(None) } else { self.find(pattern).map(Some) }
    }

    /// Streams the contents of a file, as Linux shows them: unpacked where they are packed. Reading a file whose
    /// packing is not known is an error.
    #[must_use]
    pub fn reader<'a>(&'a self, entry: &'a Entry) -> Reader<'a> {
        Reader::of(&*self.source, entry)
    }

    /// The contents of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is not a file, is longer, or cannot be read.
    pub fn read(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>> {
        let path = &entry.path;
        if entry.kind != EntryKind::File {
            return Err(Error::image(format!("{path} is not a file")));
        }
        if entry.size > limit {
            let text = format!("{path} has {} bytes, more than the {limit} allowed", entry.size);
            return Err(Error::image(text));
        }
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut self.reader(entry), &mut bytes)
            .explain(ErrorKind::Image, || format!("cannot read {path} from the image"))?;
        Ok(bytes)
    }

    /// `length` bytes from `offset` of the image.
    ///
    /// # Errors
    /// When they are not all inside the image.
    pub fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        source::bytes(&*self.source, offset, length)
    }

    /// What firmware may start, as the El Torito catalog lists it; none without a catalog.
    ///
    /// # Errors
    /// When the catalog is malformed or an image lies outside the file.
    pub fn boot_entries(&self) -> Result<Vec<BootEntry>> {
        eltorito::read(&*self.source, self.volumes.catalogs.first().copied())
    }

    /// Where every slot of every boot catalog leads that is marked bootable, also one that no section has.
    fn marked_bootable(&self) -> Result<BTreeSet<u64>> {
        let mut found = BTreeSet::new();
        for sector in &self.volumes.catalogs {
            found.extend(eltorito::marked(&*self.source, *sector)?);
        }
        Ok(found)
    }

    /// The files of the FAT image that begins at `offset`, as entries with their place in this image; none when
    /// there is no FAT image.
    ///
    /// # Errors
    /// When the FAT image is malformed or lies outside the file.
    pub fn fat_files(&self, offset: u64) -> Result<Vec<Entry>> {
        fat_files(&*self.source, offset)
    }

    /// The partitions that the image shows when it is written to a disk.
    ///
    /// # Errors
    /// When the file cannot be read. A table that contradicts itself is not listed: the image is usable as
    /// a disc without it.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
        partitions(&*self.source)
    }
}

/// As [`Iso::fat_files`], in an image of any kind.
///
/// # Errors
/// As [`Iso::fat_files`].
pub fn fat_files(source: &dyn ReadAt, offset: u64) -> Result<Vec<Entry>> {
    let files = fat::walk(source, offset)?.unwrap_or_default();
    Ok(files.into_iter().map(fat::FatFile::into_entry).collect())
}

/// As [`Iso::partitions`], of an image of any kind.
///
/// # Errors
/// As [`Iso::partitions`].
pub fn partitions(source: &dyn ReadAt) -> Result<Vec<Partition>> {
    hybrid::read(source)
}

/// What is wrong with an image, and at which byte.
fn bad(offset: u64, what: impl std::fmt::Display) -> Error {
    Error::image(format!("malformed image at byte {offset}: {what}"))
}
