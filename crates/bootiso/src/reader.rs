//! The contents of a file as a stream: extent after extent, unpacked where they are packed.

use std::io;

use super::{Entry, Extent, Packing, ReadAt, zisofs::Zisofs};

/// Reads the contents of a file.
pub struct Reader<'a>(ReaderKind<'a>);

enum ReaderKind<'a> {
    Plain(PlainReader<'a>),
    Zisofs(Box<Zisofs<'a>>),
    Unknown(&'a str),
}

/// Reads extents one after the other.
struct PlainReader<'a> {
    source: &'a (dyn ReadAt + Send + Sync),
    extents: &'a [Extent],
    /// Bytes of the first extent that were read.
    done: u64,
}

impl<'a> Reader<'a> {
    /// A reader of these parts of an image, as they stand there.
    #[must_use]
    pub fn new(source: &'a (dyn ReadAt + Send + Sync), extents: &'a [Extent]) -> Self {
        Self(ReaderKind::Plain(PlainReader { source, extents, done: 0 }))
    }

    /// A reader of the contents of `entry`.
    #[must_use]
    pub fn of(source: &'a (dyn ReadAt + Send + Sync), entry: &'a Entry) -> Self {
        match &entry.packing {
            None => Self::new(source, &entry.extents),
            Some(Packing::Zisofs { size, block_bits, header }) => {
                let zisofs = Zisofs::new(source, &entry.extents, *size, *block_bits, *header);
                Self(ReaderKind::Zisofs(Box::new(zisofs)))
            }
            Some(Packing::Unknown(how)) => Self(ReaderKind::Unknown(how)),
        }
    }
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            ReaderKind::Plain(plain) => plain.read(buf),
            ReaderKind::Zisofs(zisofs) => zisofs.read(buf),
            ReaderKind::Unknown(how) => {
                let text = format!("the file is packed in an unsupported way: {how}");
                Err(io::Error::new(io::ErrorKind::Unsupported, text))
            }
        }
    }
}

impl io::Read for PlainReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(extent) = self.extents.first() {
            let left = extent.length.saturating_sub(self.done);
            if left > 0 {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
                self.source.read_exact_at(&mut buf[..n], extent.offset + self.done)?;
                self.done += n as u64;
                return Ok(n);
            }
            self.extents = &self.extents[1..];
            self.done = 0;
        }
        Ok(0)
    }
}
