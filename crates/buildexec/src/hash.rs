//! Digests computed on threads of their own, while the bytes are read, sent or written: nothing is read twice.

use std::{
    io::{Read as _, Write as _},
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use anyhow::Result;
use camino::Utf8Path;
use sha2::{Digest as _, Sha256, Sha512};

use buildplan::Digest;

/// Bytes handed over at once.
pub(crate) const PIECE: usize = 1 << 18;
/// Pieces on their way to a thread: a disk or a line that is faster than hashing waits.
const AHEAD: usize = 8;

/// Length and digests of what was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Bytes.
    pub size: u64,
    /// The SHA-256.
    pub sha256: Digest,
    /// The SHA-512 in hex, where it was asked for.
    pub sha512: Option<String>,
}

/// Hashes what it is given, in order.
pub struct SumsHasher {
    size: u64,
    sha256: Worker<Sha256>,
    sha512: Option<Worker<Sha512>>,
}

impl SumsHasher {
    /// A SHA-256 alone.
    #[must_use]
    pub fn sha256() -> Self {
        Self::after(Sha256::new(), 0)
    }

    /// Goes on from a SHA-256 of `size` bytes.
    pub(crate) fn after(sha256: Sha256, size: u64) -> Self {
        Self { size, sha256: Worker::start(sha256), sha512: None }
    }

    /// Both digests, of bytes that are read once.
    #[must_use]
    pub fn both() -> Self {
        Self { size: 0, sha256: Worker::start(Sha256::new()), sha512: Some(Worker::start(Sha512::new())) }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let piece: Arc<[u8]> = Arc::from(bytes);
        if let Some(worker) = &self.sha512 {
            worker.send(Arc::clone(&piece));
        }
        self.sha256.send(piece);
    }

    /// The digests of everything that was added.
    #[must_use]
    pub fn finish(self) -> Sums {
        Sums {
            size: self.size,
            sha256: Digest::from(<[u8; 32]>::from(self.sha256.finish())),
            sha512: self.sha512.map(|w| w.finish().iter().map(|b| format!("{b:02x}")).collect()),
        }
    }
}

/// One digest on one thread.
struct Worker<H> {
    pieces: SyncSender<Arc<[u8]>>,
    thread: JoinHandle<H>,
}

impl<H: sha2::Digest + Send + 'static> Worker<H> {
    fn start(mut state: H) -> Self {
        let (pieces, received) = sync_channel::<Arc<[u8]>>(AHEAD);
        let thread = std::thread::spawn(move || {
            received.iter().for_each(|piece| state.update(&piece));
            state
        });
        Self { pieces, thread }
    }

    fn send(&self, piece: Arc<[u8]>) {
        self.pieces.send(piece).expect("the thread reads until this end is dropped");
    }

    fn finish(self) -> sha2::digest::Output<H> {
        drop(self.pieces);
        self.thread.join().expect("hashing does not panic").finalize()
    }
}

/// Copies the file `from` to the new file `to`, with its modification time, and hashes what is written.
///
/// # Errors
/// When one cannot be read or the other not written.
pub fn copy(from: &Utf8Path, to: &Utf8Path, mut hasher: SumsHasher) -> Result<Sums> {
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let mut source = fs_err::File::open(from)?;
    let mut target = fs_err::File::create(to)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let n = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        };
        hasher.update(&buffer[..n]);
        target.write_all(&buffer[..n])?;
    }
    target.file().set_modified(source.metadata()?.modified()?)?;
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_digests_are_those_of_all_pieces_in_order() {
        let bytes: Vec<u8> = (0..1_000_003u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
        let mut hasher = SumsHasher::both();
        bytes.chunks(7001).for_each(|piece| hasher.update(piece));
        let sums = hasher.finish();
        assert_eq!((sums.size, sums.sha256), (1_000_003, Digest::of(&bytes)));
        assert_eq!(sums.sha512, buildplan::digest::sha512(&mut bytes.as_slice()).ok());
        let mut rest = SumsHasher::after(Sha256::new().chain_update(&bytes[..5000]), 5000);
        rest.update(&bytes[5000..]);
        assert_eq!(rest.finish(), Sums { sha512: None, ..sums });
    }
}
