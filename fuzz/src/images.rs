//! Damaged images by the thousand: the reader and the edits must end, with or without an error, and never panic.
//!
//! The bytes that a sound image makes the reader look at are noted, and those are damaged; numbers that are
//! recorded in both byte orders are often changed in both, or else no damage would get past the comparison.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anyhow::Result;

use bootiso::{
    Iso, ReadAt, SECTOR,
    kargs::{self, Edit},
};
use failure::{Failure, Kind};

use crate::random::Random;

/// One image, damaged or not, must be read within this time, in a build without optimisation on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// Damages `images` in turn until `time` is over and `least` were read, and hands back how many were. The same `seed` gives the
/// same damage.
///
/// # Errors
/// When reading one took too long; the seed of that round is named. A panic is left to the caller.
pub fn run(images: &[Vec<u8>], seed: u64, time: Duration, least: u64) -> Result<u64> {
    let targets: Vec<_> = images.iter().map(|image| DamageTarget::of(image)).collect::<Result<_>>()?;
    let start = Instant::now();
    let mut rounds = 0;
    while (start.elapsed() < time || rounds < least) && !targets.is_empty() {
        let round = seed.wrapping_add(rounds);
        let damaged = targets[rounds as usize % targets.len()].damaged(round);
        let begun = Instant::now();
        exercise(Arc::new(damaged));
        if begun.elapsed() > LONGEST {
            let text = format!("reading the image damaged with seed {round} took {:?}", begun.elapsed());
            return Err(Failure::new(Kind::Input, text).into());
        }
        rounds += 1;
    }
    Ok(rounds)
}

/// Asks everything of an image that this program can ask. Errors are expected; what they say is tested elsewhere.
pub fn exercise(source: Arc<dyn ReadAt + Send + Sync>) {
    let Ok(iso) = Iso::over(source) else { return };
    _ = (iso.boot_entries(), iso.partitions(), iso.naming(), iso.walk_all());
    for entry in iso.walk().unwrap_or_default().iter().take(64) {
        _ = iso.find(&entry.path);
        _ = iso.read(entry, 1 << 16);
    }
    _ = kargs::show(&iso, None);
    let words = || vec!["quiet=yes".to_owned(), "a=\"b c\"".to_owned()];
    for edit in [Edit::Append(words()), Edit::Delete(words()), Edit::Replace(words()), Edit::Reset] {
        _ = kargs::plan(&iso, &edit, None);
    }
    _ = kargs::embed(&iso, "hostname: a\n");
}

/// A sound image, and where damage is worth it.
struct DamageTarget {
    image: Vec<u8>,
    /// Positions that the reader looks at.
    read: Vec<usize>,
    /// Positions of numbers in both byte orders.
    both: Vec<usize>,
}

/// Notes what is read. Reads of more than a folder are file contents.
struct Noting {
    image: Vec<u8>,
    read: Mutex<Vec<(usize, usize)>>,
}

impl ReadAt for Noting {
    fn size(&self) -> io::Result<u64> {
        self.image.size()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.image.read_exact_at(buf, offset)?;
        if let (Ok(at), Ok(mut read)) = (usize::try_from(offset), self.read.lock()) {
            read.push((at, buf.len().min(4096)));
        }
        Ok(())
    }
}

impl DamageTarget {
    fn of(image: &[u8]) -> Result<Self> {
        let noting = Arc::new(Noting { image: image.to_vec(), read: Mutex::default() });
        Iso::over(Arc::clone(&noting) as Arc<dyn ReadAt + Send + Sync>)?;
        exercise(Arc::clone(&noting) as Arc<dyn ReadAt + Send + Sync>);
        let ranges = noting.read.lock().map(|r| r.clone()).unwrap_or_default();
        let mut read: Vec<usize> = ranges.into_iter().flat_map(|(at, n)| at..at + n).collect();
        read.sort_unstable();
        read.dedup();
        let is_both = |at: &usize| {
            let field = image.get(*at..at + 8).unwrap_or_default();
            field.iter().any(|b| *b != 0) && field.iter().take(4).eq(field.iter().skip(4).rev())
        };
        let both = read.iter().copied().filter(is_both).collect();
        Ok(Self { image: image.to_vec(), read, both })
    }

    fn damaged(&self, seed: u64) -> Vec<u8> {
        let mut random = Random(seed);
        let mut image = self.image.clone();
        for _ in 0..=random.below(4) {
            if random.below(2) == 0 && !self.both.is_empty() {
                let at = self.both[random.below(self.both.len())];
                let sectors = image.len() / SECTOR as usize;
                let number = match random.below(4) {
                    0 => random.below(sectors + 2) as u32,
                    1 => random.below(image.len()) as u32,
                    2 => {
                        u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]])
                            ^ 1 << random.below(32)
                    }
                    _ => random.next() as u32,
                };
                image[at..at + 4].copy_from_slice(&number.to_le_bytes());
                image[at + 4..at + 8].copy_from_slice(&number.to_be_bytes());
            } else if !self.read.is_empty() {
                let at = self.read[random.below(self.read.len())];
                image[at] = match random.below(4) {
                    0 => 0,
                    1 => 0xFF,
                    2 => image[at] ^ 1 << random.below(8),
                    _ => random.next() as u8,
                };
            }
        }
        if random.below(16) == 0 {
            image.truncate(random.below(image.len()));
        }
        image
    }
}
