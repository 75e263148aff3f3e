//! zisofs, version 1: a header, a list of block positions, and blocks of zlib (libisofs, `doc/zisofs_format.txt`).
//!
//! What the directory record says of sizes goes before what the file's own header says, as in Linux; where they differ,
//! the file is damaged. A block of no bytes stands for zeros.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Extent, ReadAt};

const MAGIC: [u8; 8] = [0x37, 0xE4, 0x53, 0x96, 0xC9, 0xDB, 0xD6, 0x07];
/// The fields of the header that every file has.
const HEADER: usize = 16;

/// Unpacks a file block by block.
pub(super) struct Zisofs<'a> {
    source: &'a (dyn ReadAt + Send + Sync),
    extents: &'a [Extent],
    size: u64,
    block_bits: u8,
    header: u64,
    checked: bool,
    /// The number of the next block.
    next: u64,
    block: Vec<u8>,
    /// Bytes of the block that were handed out.
    done: usize,
}

impl<'a> Zisofs<'a> {
    pub(super) fn new(
        source: &'a (dyn ReadAt + Send + Sync),
        extents: &'a [Extent],
        size: u32,
        block_bits: u8,
        header: u16,
    ) -> Self {
        let (size, header) = (u64::from(size), u64::from(header));
        Self {
            source,
            extents,
            size,
            block_bits,
            header,
            checked: false,
            next: 0,
            block: Vec::new(),
            done: 0,
        }
    }

    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.checked {
            self.check()?;
            self.checked = true;
        }
        if self.done == self.block.len() {
            if self.next << self.block_bits >= self.size {
                return Ok(0);
            }
            self.block = self.unpacked(self.next)?;
            (self.next, self.done) = (self.next + 1, 0);
        }
        let n = buf.len().min(self.block.len() - self.done);
        buf[..n].copy_from_slice(&self.block[self.done..self.done + n]);
        self.done += n;
        Ok(n)
    }

    /// Holds the file's header against the directory record.
    fn check(&self) -> io::Result<()> {
        let mut head = [0; HEADER];
        self.read_at(&mut head, 0)?;
        let size = u64::from(u32::from_le_bytes([head[8], head[9], head[10], head[11]]));
        let same = (size, u64::from(head[12]) * 4, head[13]) == (self.size, self.header, self.block_bits);
        if head[..8] != MAGIC {
            return Err(damaged("its magic number is missing"));
        }
        if !same || self.header < HEADER as u64 {
            return Err(damaged("its header and its directory record disagree"));
        }
        Ok(())
    }

    fn unpacked(&self, block: u64) -> io::Result<Vec<u8>> {
        let mut positions = [0; 8];
        self.read_at(&mut positions, self.header + 4 * block)?;
        let [a, b, c, d, e, f, g, h] = positions;
        let (start, end) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let most = 1u64 << self.block_bits;
        let length =
            usize::try_from(most.min(self.size - (block << self.block_bits))).map_err(io::Error::other)?;
        let packed = end.checked_sub(start).ok_or_else(|| damaged("a block ends before it starts"))?;
        if packed == 0 {
            return Ok(vec![0; length]);
        }
        // zlib adds a few bytes to what it cannot compress.
        if u64::from(packed) > 2 * most + 64 {
            return Err(damaged("a block is longer than zlib can make one"));
        }
        let mut bytes = vec![0; packed as usize];
        self.read_at(&mut bytes, start.into())?;
        inflated(&bytes, length)
    }

    /// Fills `buf` from a position of the packed file.
    fn read_at(&self, mut buf: &mut [u8], offset: u64) -> io::Result<()> {
        let mut skip = offset;
        for extent in self.extents {
            let here = extent.length.saturating_sub(skip).min(buf.len() as u64);
            if here > 0 {
                let (now, rest) = buf.split_at_mut(usize::try_from(here).map_err(io::Error::other)?);
                self.source.read_exact_at(now, extent.offset + skip)?;
                buf = rest;
            }
            skip = skip.saturating_sub(extent.length);
        }
        if buf.is_empty() { Ok(()) } else { Err(damaged("it ends too early")) }
    }
}

/// Exactly `length` bytes out of a stream of zlib.
fn inflated(bytes: &[u8], length: usize) -> io::Result<Vec<u8>> {
    // One byte more shows a stream that is longer than it should be.
    let mut found = Vec::with_capacity(length + 1);
    let status = Decompress::new(true)
        .decompress_vec(bytes, &mut found, FlushDecompress::Finish)
        .map_err(|e| damaged(&format!("a block cannot be unpacked: {e}")))?;
    if status != Status::StreamEnd || found.len() != length {
        return Err(damaged("a block has the wrong length"));
    }
    Ok(found)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged zisofs file: {what}"))
}
