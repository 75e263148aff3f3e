//! A reader that can look ahead and take back, over bytes of any origin, with a limit that a whole scan shares.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
};

use buildexec::signals::Interrupt;

const CHUNK: usize = 1 << 16;
/// What even the smallest artifact may unpack to, and spell in other ways.
const ANY_UNPACKS: u64 = 32 << 20;
/// What else an artifact may unpack to, times its length: packages of static libraries need three quarters of it.
const UNPACKS: u64 = 20;
const ANY_SPELLS: u64 = 8 << 20;
pub(super) const ZEROS: [u8; 512] = [0; 512];

/// What ends a scan: too many bytes, or a person.
pub(super) struct Limit {
    all: u64,
    left: Cell<u64>,
    /// What the artifact under way may still unpack to, and spell in other ways.
    artifact: Cell<u64>,
    spelled: Cell<u64>,
    interrupt: Interrupt,
}

impl Limit {
    pub(super) fn new(bytes: u64, interrupt: Interrupt) -> Self {
        let [left, artifact, spelled] = [bytes, bytes, bytes].map(Cell::new);
        Self { all: bytes, left, artifact, spelled, interrupt }
    }

    /// Bytes that were counted so far.
    pub(super) fn taken(&self) -> u64 {
        self.all - self.left.get()
    }

    /// An artifact of this length comes. Real ones unpack to a few times their length, and spell less than it.
    pub(super) fn begin(&self, length: u64) {
        self.artifact.set(ANY_UNPACKS + length.saturating_mul(UNPACKS));
        self.spelled.set(ANY_SPELLS + length);
    }

    /// Whether the artifact is what ended the scan, and no other needs to be left out.
    pub(super) fn is_bomb(&self) -> bool {
        self.artifact.get() == 0 && self.left.get() > 0 && !self.interrupt.is_set()
    }

    /// Counts what a text spells in another way.
    pub(super) fn spell(&self, n: usize) -> io::Result<()> {
        self.spelled.set(self.spelled.get().saturating_sub(n as u64));
        if self.spelled.get() > 0 {
            Ok(())
        } else {
            Err(io::Error::other("it spells more than can be followed"))
        }
    }

    /// Whether the scan must end. Readers and decoders on the way change the kind of an error, so that none can
    /// tell from it.
    pub(super) fn reached(&self) -> bool {
        self.left.get() == 0 || self.artifact.get() == 0 || self.interrupt.is_set()
    }

    /// Counts bytes that were read. Blocks of zeros are an eighth of the work, and images of disks are full of them.
    fn take(&self, bytes: &[u8]) -> io::Result<()> {
        let zeros: usize =
            bytes.chunks(ZEROS.len()).filter(|c| **c == ZEROS[..c.len()]).map(<[u8]>::len).sum();
        self.left.set(self.left.get().saturating_sub(bytes.len() as u64));
        self.work(bytes.len() - zeros + zeros / 8)
    }

    /// Counts work as so many bytes, where what is done is more than reading them.
    pub(super) fn work(&self, n: usize) -> io::Result<()> {
        self.artifact.set(self.artifact.get().saturating_sub(n as u64));
        if self.reached() { Err(io::ErrorKind::QuotaExceeded.into()) } else { Ok(()) }
    }
}

/// Bytes being looked through.
pub(super) struct ScannedBytes<'a> {
    inner: &'a mut dyn Read,
    pub(super) limit: &'a Limit,
    buffer: Vec<u8>,
    at: usize,
    position: u64,
    /// Whether all of it is a program; set by the code that read its beginning.
    pub(super) is_program: bool,
    /// Whether it all is there to be read, as manuals are.
    pub(super) is_documentation: bool,
}

impl<'a> ScannedBytes<'a> {
    /// Reads `inner`, whose first byte is the one at `position` of what it is a part of.
    pub(super) fn new(inner: &'a mut dyn Read, limit: &'a Limit, position: u64) -> Self {
        Self { inner, limit, buffer: Vec::new(), at: 0, position, is_program: false, is_documentation: false }
    }

    /// Where the next byte is.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Up to `n` bytes that come next, fewer only at the end.
    pub(super) fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        while self.buffer.len() - self.at < n && self.more()? {}
        let end = (self.at + n).min(self.buffer.len());
        Ok(&self.buffer[self.at..end])
    }

    /// Takes back what was read last.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.buffer = [bytes, &self.buffer[self.at..]].concat();
        self.at = 0;
        self.position -= bytes.len() as u64;
    }

    /// Passes over zeros, as they pad archives.
    pub(super) fn skip_zeros(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.fill_buf()?;
            // Compared in blocks: a disk may hold gigabytes of them.
            let blocks = buffer.chunks(ZEROS.len()).take_while(|c| **c == ZEROS[..c.len()]);
            let zeros: usize = blocks.map(<[u8]>::len).sum();
            let rest = buffer[zeros..].iter().take_while(|b| **b == 0).count();
            let end = zeros + rest < buffer.len() || buffer.is_empty();
            self.consume(zeros + rest);
            if end {
                return Ok(());
            }
        }
    }

    /// Appends a chunk to the buffer; `false` at the end.
    fn more(&mut self) -> io::Result<bool> {
        // Zeroed by the allocator: a buffer that grows is zeroed byte by byte where nothing is optimised.
        let mut chunk = vec![0; CHUNK];
        let n = loop {
            match self.inner.read(&mut chunk) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        chunk.truncate(n);
        self.limit.take(&chunk)?;
        self.buffer.drain(..self.at);
        self.at = 0;
        if self.buffer.is_empty() {
            self.buffer = chunk;
        } else {
            self.buffer.extend_from_slice(&chunk);
        }
        Ok(n > 0)
    }
}

impl Read for ScannedBytes<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for ScannedBytes<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.more()?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(self.buffer.len() - self.at);
        self.at += n;
        self.position += n as u64;
    }
}
