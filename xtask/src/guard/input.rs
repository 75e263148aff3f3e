//! A reader that can look ahead, over bytes of any origin, with a budget.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
};

const CHUNK: usize = 1 << 16;

/// Bytes being looked through.
pub(super) struct Input<'a> {
    inner: &'a mut dyn Read,
    budget: &'a Cell<u64>,
    buffer: Vec<u8>,
    at: usize,
}

impl<'a> Input<'a> {
    /// Reads `inner`; each byte is taken from `budget`, which all inputs of a scan share.
    pub(super) fn new(inner: &'a mut dyn Read, budget: &'a Cell<u64>) -> Self {
        Self { inner, budget, buffer: Vec::new(), at: 0 }
    }

    /// Up to `n` bytes that come next, fewer only at the end.
    pub(super) fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        while self.buffer.len() - self.at < n && self.more()? {}
        let end = (self.at + n).min(self.buffer.len());
        Ok(&self.buffer[self.at..end])
    }

    /// Passes over zeros, as they pad archives.
    pub(super) fn skip_zeros(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.fill_buf()?;
            let zeros = buffer.iter().take_while(|b| **b == 0).count();
            if zeros == 0 {
                return Ok(());
            }
            self.consume(zeros);
        }
    }

    /// Appends a chunk to the buffer; `false` at the end.
    fn more(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let n = loop {
            match self.inner.read(&mut self.buffer[old..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(old + *n.as_ref().unwrap_or(&0));
        let n = n?;
        let left = self.budget.get().checked_sub(n as u64);
        self.budget.set(left.ok_or_else(|| io::Error::from(io::ErrorKind::QuotaExceeded))?);
        Ok(n > 0)
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.more()?;
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.buffer.len());
    }
}
