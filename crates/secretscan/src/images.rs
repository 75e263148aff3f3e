//! Images, in which one must seek: ISO, FAT, and disks with partitions. Each entry is looked into, and then everything
//! that no entry leads to, so that what one find hides in no other place stays unseen.

use std::{
    fs::File,
    io::{self, Read, Seek as _},
    rc::Rc,
    sync::Arc,
};

use super::{
    formats::Packed,
    input::ScannedBytes,
    squashfs::{SquashEntry, Squashfs},
    walk::ScanWalk,
};
use bootiso::{Entry, Extent, Iso, ReadAt as _, Reader};

/// Bytes of an image inside something else: more than a DVD, and less than a disk.
const SPOOL: u64 = 8 << 30;

impl ScanWalk<'_> {
    /// An image that comes as a stream.
    pub(super) fn spooled(&mut self, kind: Packed, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        let mut file = tempfile::tempfile()?;
        let copied = io::copy(&mut input.take(SPOOL), &mut file);
        file.rewind()?;
        self.image(kind, Arc::new(file))?;
        if copied? == SPOOL {
            self.unread(&format!("an image of {} GiB and more inside something else", SPOOL >> 30));
        }
        Ok(())
    }

    /// A file system of compressed blocks, which say nothing by themselves: a program of many blocks is one. What no
    /// entry leads to cannot be mounted, and stays unseen.
    pub(super) fn squashfs(&mut self, input: &mut ScannedBytes<'_>) -> io::Result<()> {
        let mut file = tempfile::tempfile()?;
        if io::copy(&mut input.take(SPOOL), &mut file)? == SPOOL {
            self.unread(&format!("an image of {} GiB and more inside something else", SPOOL >> 30));
        }
        let result = Squashfs::open(Arc::new(file)).and_then(|image| {
            image.walk(|path, entry| {
                self.way.push(path.trim_start_matches('/').to_owned());
                let result = self.name(path).and_then(|()| match entry {
                    SquashEntry::File(mut content) => self.stream(&mut content),
                    SquashEntry::Link(target) => self.name(&target),
                    SquashEntry::Other => Ok(()),
                });
                let result = self.survive(result);
                self.way.pop();
                result
            })
        });
        self.survive(result.map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::other("a squashfs that ends too early"),
            _ => e,
        }))
    }

    pub(super) fn image(&mut self, kind: Packed, image: Arc<File>) -> io::Result<()> {
        let entries = match kind {
            Packed::Iso => Iso::over(image.clone()).and_then(|iso| iso.walk()),
            Packed::Fat => bootiso::fat_files(&*image, 0),
            _ => Ok(Vec::new()),
        };
        let entries = entries.unwrap_or_else(|e| {
            self.unread(&format!("{e:#}"));
            Vec::new()
        });
        for entry in &entries {
            self.entry(&image, entry)?;
        }
        let known: Vec<Extent> = entries.into_iter().flat_map(|e| e.extents).collect();
        for gap in gaps(known, self.starts(kind, &image), image.size()?) {
            let limit = Rc::clone(&self.limit);
            let extents = [gap];
            // The beginning is that of the image itself; and a partition of an ISO may show the same files again.
            let inside = match kind {
                _ if gap.offset == 0 => &[Packed::Iso, Packed::Fat, Packed::Disk][..],
                Packed::Iso => &[Packed::Iso],
                _ => &[],
            };
            let mut reader = Reader::new(&*image, &extents);
            let result = self.input(&mut ScannedBytes::new(&mut reader, &limit, gap.offset), inside);
            self.survive(result)?;
        }
        Ok(())
    }

    fn entry(&mut self, image: &Arc<File>, entry: &Entry) -> io::Result<()> {
        self.way.push(entry.path.clone());
        let mut result = self.name(&entry.path);
        if let bootiso::EntryKind::Link(target) = &entry.kind {
            result = result.and_then(|()| self.name(target));
        }
        let result = result.and_then(|()| self.stream_once(entry.size, || Ok(Reader::of(&**image, entry))));
        let result = self.survive(result);
        self.moved(entry.size);
        self.way.pop();
        result
    }

    /// Where something may begin that no entry leads to: partitions, and what firmware boots.
    fn starts(&mut self, kind: Packed, image: &Arc<File>) -> Vec<u64> {
        if kind == Packed::Fat {
            return Vec::new();
        }
        let mut starts: Vec<u64> =
            bootiso::partitions(&**image).unwrap_or_default().into_iter().map(|p| p.offset).collect();
        if kind == Packed::Iso {
            match Iso::over(image.clone()).and_then(|iso| iso.boot_entries()) {
                Ok(entries) => starts.extend(entries.into_iter().map(|b| b.offset)),
                Err(e) => self.unread(&format!("{e:#}")),
            }
        }
        starts
    }
}

/// What of `size` bytes is outside of `known`, cut at each of `starts`.
fn gaps(mut known: Vec<Extent>, starts: Vec<u64>, size: u64) -> Vec<Extent> {
    known.extend(starts.into_iter().map(|offset| Extent { offset, length: 0 }));
    known.push(Extent { offset: size, length: 0 });
    known.sort_by_key(|e| e.offset);
    let (mut found, mut at) = (Vec::new(), 0);
    for extent in known.into_iter().filter(|e| e.offset <= size) {
        if extent.offset > at {
            found.push(Extent { offset: at, length: extent.offset - at });
        }
        at = at.max(extent.offset.saturating_add(extent.length));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_all_that_no_entry_has_and_begin_where_a_partition_does() {
        let extent = |offset, length| Extent { offset, length };
        let found = gaps(vec![extent(10, 5), extent(12, 8), extent(90, 20)], vec![0, 15, 40, 500], 100);
        assert_eq!(found, [extent(0, 10), extent(20, 20), extent(40, 50)]);
        assert_eq!(gaps(Vec::new(), Vec::new(), 0), []);
    }
}
