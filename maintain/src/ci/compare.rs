//! Where two builds differ: which file, from which byte on, and in an ISO image in which entry.

use std::{collections::BTreeSet, fmt};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use bootiso::Iso;
use buildexec::tree;
use buildplan::Digest;
use failure::{Failure, Kind};
use report::table;

/// A file of the first build, beside that of the second.
#[derive(Debug)]
pub(crate) struct Same {
    /// Path below the compared folders.
    pub path: Utf8PathBuf,
    /// Bytes in the first build, or in the second if only that has it.
    pub size: u64,
    /// Its digest in the first build.
    pub sha256: Option<Digest>,
    /// How the second one differs, if it does.
    pub difference: Option<Difference>,
}

/// How two files differ.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Only one build has it.
    Missing,
    /// From a byte on.
    Bytes {
        /// The first byte that differs.
        offset: u64,
        /// How many differ; lengths that are not the same count.
        count: u64,
        /// What an ISO image has there.
        entry: Option<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("only one build has it"),
            Self::Bytes { offset, count, entry } => {
                write!(f, "{count} bytes differ from offset {offset} on")?;
                entry.iter().try_for_each(|e| write!(f, ", in {e}"))
            }
        }
    }
}

/// Compares every file of two folders.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn trees(first: &Utf8Path, second: &Utf8Path) -> Result<Vec<Same>> {
    let paths: BTreeSet<_> = tree::files(first)?.into_iter().chain(tree::files(second)?).collect();
    let each = paths.into_iter().map(|path| {
        let (a, b) = (first.join(&path), second.join(&path));
        let is = if a.exists() { &a } else { &b };
        let size = fs_err::metadata(is)?.len();
        let both = a.exists() && b.exists();
        let sha256 = if a.exists() { Some(tree::digest(&a)?.0) } else { None };
        let difference = if both { files(&a, &b)? } else { Some(Difference::Missing) };
        Ok(Same { path, size, sha256, difference })
    });
    each.collect()
}

/// The digests of the first build, and under the title `second` how the second one differs.
#[must_use]
pub(crate) fn table(all: &[Same], second: &str) -> String {
    let row = |s: &Same| {
        let state = s.difference.as_ref().map_or("same".to_owned(), ToString::to_string);
        let sha256 = s.sha256.map(|d| d.to_string()).unwrap_or_default();
        vec![s.path.to_string(), table::bytes(s.size), sha256, state]
    };
    table::table(&["FILE", "SIZE", "SHA-256", second], &all.iter().map(row).collect::<Vec<_>>())
}

/// Fails for the files that differ, by name.
///
/// # Errors
/// [`Kind::Digest`] when a byte differs.
pub(crate) fn judge(all: &[Same]) -> Result<(), Failure> {
    let names: Vec<_> = all.iter().filter(|s| s.difference.is_some()).map(|s| s.path.as_str()).collect();
    if names.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Digest,
        format!("{} of {} files differ: {}", names.len(), all.len(), names.join(", ")),
    ))
}

fn files(a: &Utf8Path, b: &Utf8Path) -> Result<Option<Difference>> {
    let Some((offset, count)) = bytes(&fs_err::read(a)?, &fs_err::read(b)?) else { return Ok(None) };
    let entry = (a.extension() == Some("iso")).then(|| entry_at(a, offset)).transpose()?;
    Ok(Some(Difference::Bytes { offset, count, entry }))
}

/// The first byte that differs, and how many do.
fn bytes(a: &[u8], b: &[u8]) -> Option<(u64, u64)> {
    let longer = a.len().abs_diff(b.len()) as u64;
    let differ = a.iter().zip(b).filter(|(x, y)| x != y).count() as u64 + longer;
    let first = a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len())) as u64;
    (differ > 0).then_some((first, differ))
}

/// Whose bytes are at `offset` of an image.
fn entry_at(image: &Utf8Path, offset: u64) -> Result<String> {
    let entries = Iso::open(image)?.walk()?;
    let has = |e: &bootiso::Entry| {
        e.extents.iter().any(|x| (x.offset..x.offset + x.length.max(1)).contains(&offset))
    };
    let entry = entries.iter().find(|e| has(e)).map(|e| e.path.clone());
    Ok(entry.unwrap_or_else(|| "no file: descriptors, folders, boot catalog or partition tables".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_found_and_lengths_count() {
        assert_eq!(bytes(b"abcdef", b"abxdey"), Some((2, 2)));
        assert_eq!(bytes(b"abc", b"abcde"), Some((3, 2)));
        assert_eq!(bytes(b"abc", b"abc"), None);
    }

    #[test]
    fn a_file_of_one_build_alone_is_a_difference() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |d: &tempfile::TempDir| Utf8PathBuf::from_path_buf(d.path().to_owned()).unwrap();
        fs_err::write(path(&a).join("x"), "1").unwrap();
        fs_err::write(path(&a).join("y"), "1").unwrap();
        fs_err::write(path(&b).join("y"), "2").unwrap();
        let shown: Vec<String> = trees(&path(&a), &path(&b))
            .unwrap()
            .iter()
            .map(|s| format!("{} {}", s.path, s.difference.as_ref().unwrap()))
            .collect();
        assert_eq!(shown, ["x only one build has it", "y 1 bytes differ from offset 0 on"]);
        let all = trees(&path(&a), &path(&b)).unwrap();
        assert_eq!(judge(&all).unwrap_err().to_string(), "2 of 2 files differ: x, y");
        let same = trees(&path(&a), &path(&a)).unwrap();
        assert!(judge(&same).is_ok());
        assert!(table(&same, "HERE").lines().skip(1).all(|line| line.ends_with("  same")), "{same:?}");
    }
}
