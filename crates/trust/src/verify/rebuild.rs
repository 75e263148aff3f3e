//! The strongest check: a rebuild gives these bytes. The first difference is reported by file, byte and entry.

use std::io::Read as _;

use anyhow::Result;
use camino::Utf8Path;

use super::{Check, Checks, Verdict};
use attest::Manifest;
use bootiso::{EntryKind, Iso};

/// Compares what was built in `new` with what was published in `dir`, file by file.
///
/// # Errors
/// When the disk cannot be read.
pub fn compare(dir: &Utf8Path, new: &Utf8Path, manifest: &Manifest, checks: &mut Checks) -> Result<()> {
    let mut same = 0;
    for path in manifest.outputs.keys().map(String::as_str).chain([attest::MANIFEST]) {
        let (published, built) = (dir.join(path), new.join(path));
        let difference = if published.is_file() && built.is_file() {
            first_difference(&published, &built)?
                .map(|at| format!("differs from byte {at} on{}", entry(&published, at)))
        } else if published.is_file() {
            Some("is no longer built".to_owned())
        } else {
            Some("is missing".to_owned())
        };
        match difference {
            None => same += 1,
            Some(how) => checks.0.push(Check {
                name: "rebuild",
                verdict: Verdict::Fail,
                reason: format!("{path} {how}"),
            }),
        }
    }
    if same == manifest.outputs.len() + 1 {
        checks.add("rebuild", Ok(format!("{same} files are identical, byte for byte, when rebuilt")));
    }
    Ok(())
}

/// The first byte at which two files differ, their ends included.
///
/// # Errors
/// When one cannot be read.
pub(crate) fn first_difference(a: &Utf8Path, b: &Utf8Path) -> Result<Option<u64>> {
    let (mut a, mut b) = (fs_err::File::open(a)?, fs_err::File::open(b)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        for (file, buffer) in [(&mut a, &mut left), (&mut b, &mut right)] {
            buffer.clear();
            file.take(1 << 20).read_to_end(buffer)?;
        }
        if left != right {
            let common = left.iter().zip(&right).take_while(|(x, y)| x == y).count();
            return Ok(Some(at + common as u64));
        }
        if left.is_empty() {
            return Ok(None);
        }
        at += left.len() as u64;
    }
}

/// Which entry of an ISO a byte belongs to, in words to be appended.
#[must_use]
pub(crate) fn entry(path: &Utf8Path, at: u64) -> String {
    let entries = Iso::open(path).and_then(|iso| iso.walk()).unwrap_or_default();
    let holds = |e: &&bootiso::Entry| e.extents.iter().any(|x| (x.offset..x.offset + x.length).contains(&at));
    match entries.iter().filter(|e| e.kind == EntryKind::File).find(holds) {
        Some(entry) => format!(", in {}", entry.path),
        None if entries.is_empty() => String::new(),
        None => ", outside of any file of the image".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use attest::{MANIFEST, Output};
    use buildplan::Digest;
    use camino::Utf8PathBuf;
    use mediaplan::config::Engine;

    /// What is said of two folders with these files, of which the manifest has `a` and `b`.
    fn said(published: &[(&str, &[u8])], built: &[(&str, &[u8])]) -> Vec<(Verdict, String)> {
        let digest = Digest::of(b"");
        let output = |name: &str| (name.to_owned(), Output { size: 0, sha256: digest, key: digest });
        let manifest = Manifest {
            format: 0,
            profile: "p".to_owned(),
            version: "1".to_owned(),
            engine: Engine::Prebuilt,
            epoch: 1,
            outputs: ["a", "b"].map(output).into(),
            nodes: BTreeMap::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let dirs = [("published", published), ("built", built)].map(|(name, files)| {
            let dir = Utf8PathBuf::try_from(folder.path().join(name)).unwrap();
            fs_err::create_dir(&dir).unwrap();
            files.iter().for_each(|(name, bytes)| fs_err::write(dir.join(name), bytes).unwrap());
            dir
        });
        let mut checks = Checks::default();
        compare(&dirs[0], &dirs[1], &manifest, &mut checks).unwrap();
        checks.0.into_iter().map(|c| (c.verdict, c.reason)).collect()
    }

    #[test]
    fn a_file_that_only_one_of_the_two_has_differs() {
        let all: &[(&str, &[u8])] = &[("a", b"1"), ("b", b"2"), (MANIFEST, b"3")];
        let same = "3 files are identical, byte for byte, when rebuilt".to_owned();
        assert_eq!(said(all, all), [(Verdict::Pass, same)]);
        assert_eq!(said(&all[1..], all), [(Verdict::Fail, "a is missing".to_owned())]);
        assert_eq!(said(all, &all[1..]), [(Verdict::Fail, "a is no longer built".to_owned())]);
        let other = [("a", &b"1"[..]), ("b", b"2!"), (MANIFEST, b"4")];
        let reasons = ["b differs from byte 1 on", "manifest.json differs from byte 0 on"];
        assert_eq!(said(all, &other), reasons.map(|reason| (Verdict::Fail, reason.to_owned())));
    }

    #[test]
    fn the_first_difference_is_counted_from_the_beginning_of_the_file() {
        let mut bytes = vec![7; (2 << 20) + 10];
        let good = bytes.clone();
        bytes[(2 << 20) + 3] = 8;
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = Utf8PathBuf::try_from(folder.path().join(name)).unwrap();
            fs_err::write(&path, bytes).unwrap();
            path
        };
        let (a, b, c) = (file("a", &good), file("b", &bytes), file("c", &good[..good.len() - 1]));
        assert_eq!(first_difference(&a, &a).unwrap(), None);
        assert_eq!(first_difference(&a, &b).unwrap(), Some((2 << 20) + 3));
        assert_eq!(first_difference(&a, &c).unwrap(), Some(good.len() as u64 - 1));
        assert_eq!(entry(&a, 5), "", "not an image");
    }
}
