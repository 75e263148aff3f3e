//! SHA-256 values, and hashing that names and measures each field.

use std::{fmt, io::Read, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha512};

/// A SHA-256 value; printed and parsed as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest and the length of everything `reader` gives.
    ///
    /// # Errors
    /// Passes on the reader's errors.
    pub fn read(reader: &mut impl Read) -> std::io::Result<(Self, u64)> {
        let mut hasher = Sha256::new();
        let total = each_block(reader, |block| hasher.update(block))?;
        Ok((Self(hasher.finalize().into()), total))
    }

    /// The first `n` hex digits, for names that people read.
    #[must_use]
    pub fn short(&self, n: usize) -> String {
        let mut hex = self.to_string();
        hex.truncate(n);
        hex
    }

    /// The 32 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The SHA-512 of everything `reader` gives, in hex: for `SHA512SUMS`, which nothing of ours depends on.
///
/// # Errors
/// Passes on the reader's errors.
pub fn sha512(reader: &mut impl Read) -> std::io::Result<String> {
    let mut hasher = Sha512::new();
    each_block(reader, |block| hasher.update(block))?;
    Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Calls `f` with everything `reader` gives, block by block, and returns how many bytes that were.
fn each_block(reader: &mut impl Read, mut f: impl FnMut(&[u8])) -> std::io::Result<u64> {
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(n) => {
                f(&buffer[..n]);
                total += n as u64;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// The text is not 64 hex digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a SHA-256 (64 hex digits)")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(s: &str) -> Result<Self, NotADigest> {
        let bad = || NotADigest(s.chars().take(80).collect());
        if s.len() != 64 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let mut out = [0; 32];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(out))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes labelled, length-prefixed fields, so that no two different lists of fields look alike.
#[derive(Default)]
pub struct Fields(Sha256);

impl Fields {
    /// Adds one field.
    pub fn add(&mut self, label: &str, value: &[u8]) {
        for part in [label.as_bytes(), value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    /// The digest of all fields.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes three at a time, interrupted before each piece, and fails at the end where it should.
    struct Pieces(&'static [u8], bool, bool);

    impl Read for Pieces {
        fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(std::io::ErrorKind::Interrupted.into());
            }
            if self.0.is_empty() && self.2 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let n = self.0.len().min(3);
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn a_digest_is_that_of_all_bytes_however_they_come() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(format!("{:?}", Digest::of(b"abc")), abc);
        let read = Digest::read(&mut Pieces(b"abcdefgh", false, false)).unwrap();
        assert_eq!(read, (Digest::of(b"abcdefgh"), 8));
        let long = sha512(&mut Pieces(b"abc", false, false)).unwrap();
        assert!(long.starts_with("ddaf35a193617aba") && long.ends_with("2a9ac94fa54ca49f"), "{long}");
        assert_eq!(long.len(), 128);
        for failed in [
            Digest::read(&mut Pieces(b"abc", false, true)).map(|_| ()),
            sha512(&mut Pieces(b"abc", false, true)).map(|_| ()),
        ] {
            assert_eq!(failed.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn only_64_hex_digits_are_a_digest() {
        let good: String = (0..32_u8).map(|i| format!("{:02x}", i * 7)).collect();
        let digest: Digest = good.parse().unwrap();
        assert_eq!(digest.to_string(), good);
        assert_eq!(*digest.bytes(), std::array::from_fn(|i| i as u8 * 7));
        let bad = [
            "",
            &good[1..],
            &format!("{good}0"),
            &good.replace('0', "g"),
            &good.replacen("00", "é", 1),
            &good.replacen("00", "+0", 1),
        ];
        for bad in bad {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        let said = "z".repeat(1000).parse::<Digest>().unwrap_err().to_string();
        assert_eq!(said.matches('z').count(), 80);
    }
}
