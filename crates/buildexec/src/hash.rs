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
use sha2::{
    Digest as _, Sha256, Sha512,
    digest::common::hazmat::{SerializableState, SerializedState},
};

use buildplan::Digest;

/// Bytes handed over at once.
pub const PIECE: usize = 1 << 18;
/// Pieces on their way to a thread: a disk or a line that is faster than hashing waits.
const AHEAD: usize = 8;

/// Length and digests of what was hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Length in bytes.
    pub size: u64,
    /// The SHA-256.
    pub sha256: Digest,
    /// The SHA-512 in hex, where it was asked for.
    pub sha512: Option<String>,
}

/// Where both digests stand behind some bytes. Whatever comes next, those bytes need not be read again.
#[derive(Clone)]
pub struct Midstate {
    size: u64,
    sha256: Sha256,
    sha512: Sha512,
}

impl Midstate {
    /// Bytes that were hashed.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// It in bytes, which [`Self::from_bytes`] reads.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.sha256.serialize());
        bytes.extend_from_slice(&self.sha512.serialize());
        bytes
    }

    /// Nothing when the bytes are of another length, or not a state.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, states) = bytes.split_first_chunk()?;
        let (sha256, sha512) = states.split_at_checked(SerializedState::<Sha256>::default().len())?;
        let sha256 = SerializableState::deserialize(&sha256.try_into().ok()?).ok()?;
        let sha512 = SerializableState::deserialize(&sha512.try_into().ok()?).ok()?;
        Some(Self { size: u64::from_le_bytes(*size), sha256, sha512 })
    }
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

    /// Both digests, of bytes that follow those of `state`.
    #[must_use]
    pub fn resume(state: Midstate) -> Self {
        let Midstate { size, sha256, sha512 } = state;
        Self { size, sha256: Worker::start(sha256), sha512: Some(Worker::start(sha512)) }
    }

    /// Where both digests stand; nothing where only one is computed.
    #[must_use]
    pub fn pause(self) -> Option<Midstate> {
        let (size, sha256) = (self.size, self.sha256.state());
        self.sha512.map(|worker| Midstate { size, sha256, sha512: worker.state() })
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
            sha256: Digest::from(<[u8; 32]>::from(self.sha256.state().finalize())),
            sha512: self.sha512.map(|w| w.state().finalize().iter().map(|b| format!("{b:02x}")).collect()),
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

    fn state(self) -> H {
        drop(self.pieces);
        self.thread.join().expect("hashing does not panic")
    }
}

/// Length and both digests of the file at `path`, which is read once, and has `limit` bytes at most.
///
/// # Errors
/// When it cannot be read or is longer; as `interrupted`.
pub fn sums(path: &Utf8Path, limit: u64, interrupted: impl Fn() -> Result<()>) -> Result<Sums> {
    let source = super::regular::open(path)?;
    let length = source.metadata()?.len();
    anyhow::ensure!(length <= limit, "{path} has {length} bytes, more than the {limit} that are read");
    let mut source = source.take(limit + 1);
    let mut hasher = SumsHasher::both();
    let mut buffer = vec![0; PIECE];
    loop {
        interrupted()?;
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
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
        let dir = tempfile::tempdir().unwrap();
        let file = Utf8Path::from_path(dir.path()).unwrap().join("file");
        fs_err::write(&file, &bytes).unwrap();
        assert_eq!(super::sums(&file, 1_000_003, || Ok(())).unwrap(), sums);
        let refused = super::sums(&file, 1_000_002, || Ok(())).unwrap_err().to_string();
        assert!(refused.ends_with("has 1000003 bytes, more than the 1000002 that are read"), "{refused}");
        assert!(super::sums(&file, u64::MAX - 1, || anyhow::bail!("Ctrl-C")).is_err());
        let mut rest = SumsHasher::after(Sha256::new().chain_update(&bytes[..5000]), 5000);
        rest.update(&bytes[5000..]);
        assert_eq!(rest.finish(), Sums { sha512: None, ..sums });
    }

    #[test]
    fn hashing_goes_on_from_a_kept_state_and_from_no_damaged_one() {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| n.to_le_bytes()[1]).collect();
        for cut in [0, 1, 64, 127, 128, 2048, 299_999, 300_000] {
            let mut beginning = SumsHasher::both();
            beginning.update(&bytes[..cut]);
            let kept = beginning.pause().unwrap().to_bytes();
            let mut rest = SumsHasher::resume(Midstate::from_bytes(&kept).unwrap());
            rest.update(&bytes[cut..]);
            let mut whole = SumsHasher::both();
            whole.update(&bytes);
            assert_eq!(rest.finish(), whole.finish(), "{cut}");
            assert!(Midstate::from_bytes(&kept[..kept.len() - 1]).is_none());
            assert!(Midstate::from_bytes(&[kept, vec![0]].concat()).is_none());
        }
    }
}
