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
