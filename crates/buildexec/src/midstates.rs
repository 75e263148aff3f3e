//! Where the digests of beginnings stand, kept from run to run: of an image whose end alone changed, only the end is
//! hashed.
//!
//! A state is found by the digest of what the beginning is made of, and is used only if its own digest is right. It is
//! believed as much as the store's manifests are: `verify` reads what comes out of it.

use camino::{Utf8Path, Utf8PathBuf};

use super::{hash::Midstate, store::read_regular, tree};
use buildplan::Digest;

/// The states' folder in the work folder.
pub const FOLDER: &str = "midstates";

fn path(work: &Utf8Path, beginning: Digest) -> Utf8PathBuf {
    work.join(FOLDER).join(beginning.short(32))
}

/// The state behind a beginning, if one is kept.
#[must_use]
pub fn find(work: &Utf8Path, beginning: Digest) -> Option<Midstate> {
    let bytes = read_regular(&path(work, beginning))?;
    let (check, state) = bytes.split_first_chunk::<32>()?;
    (*check == *sealed(beginning, state).bytes()).then(|| Midstate::from_bytes(state)).flatten()
}

/// Keeps a state. One that cannot be written costs time later, and nothing else.
pub fn keep(work: &Utf8Path, beginning: Digest, state: &Midstate) {
    let (to, state) = (path(work, beginning), state.to_bytes());
    let new = Utf8PathBuf::from(format!("{to}.{}.new", std::process::id()));
    let bytes = [sealed(beginning, &state).bytes().as_slice(), &state].concat();
    let written = fs_err::create_dir_all(work.join(FOLDER))
        .and_then(|()| fs_err::write(&new, bytes))
        .and_then(|()| fs_err::rename(&new, &to));
    if written.is_err() {
        _ = tree::remove(&new);
    }
}

/// The digest of a state and of what it is the state of.
fn sealed(beginning: Digest, state: &[u8]) -> Digest {
    Digest::of(&[beginning.bytes().as_slice(), state].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::SumsHasher;

    #[test]
    fn a_state_is_found_for_its_beginning_alone_and_not_once_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let work = Utf8Path::from_path(dir.path()).unwrap();
        let mut hasher = SumsHasher::both();
        hasher.update(b"the beginning");
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        keep(work, one, &hasher.pause().unwrap());
        assert_eq!(find(work, one).unwrap().size(), 13);
        assert!(find(work, other).is_none());
        fs_err::copy(path(work, one), path(work, other)).unwrap();
        assert!(find(work, other).is_none(), "of another beginning");
        let mut bytes = fs_err::read(path(work, one)).unwrap();
        bytes[50] ^= 1;
        fs_err::write(path(work, one), bytes).unwrap();
        assert!(find(work, one).is_none());
    }
}
