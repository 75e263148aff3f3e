//! A release as `publish` writes it: lists over folders, each with a manifest of its own.

use super::{Checks, Subject, read_manifest, sums};
use crate::release::{NOTES, ReleaseFolder};
use buildexec::paths;

/// The folders of a release in `subject`: those with a manifest, when the folder itself has none.
#[must_use]
pub fn parts(subject: &Subject<'_>) -> Vec<ReleaseFolder> {
    if subject.only.is_some() || !matches!(read_manifest(&subject.dir), Ok(None)) {
        return Vec::new();
    }
    let entries = subject.dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut parts: Vec<ReleaseFolder> = entries
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| {
            let manifest = read_manifest(e.path()).ok()??;
            Some(ReleaseFolder { dir: e.path().to_owned(), manifest, verified: None })
        })
        .collect();
    parts.sort_by(|a, b| a.dir.cmp(&b.dir));
    parts
}

/// Everything in the release is one of its folders, each under its own name, or is about all of them.
///
/// # Errors
/// What it is instead.
pub fn complete(subject: &Subject<'_>, parts: &[ReleaseFolder]) -> Result<String, String> {
    if let Some(part) = parts.iter().find(|p| p.dir.file_name() != Some(p.name().as_str())) {
        return Err(format!("{} holds {}", part.dir.file_name().unwrap_or_default(), part.name()));
    }
    let files = paths::listed(&subject.dir).map_err(|e| format!("{e:#}"))?;
    let part = |f: &str| f.split_once('/').is_some_and(|(top, _)| parts.iter().any(|p| p.name() == top));
    let about = |f: &str| f == NOTES || sums::is_list(f);
    match files.iter().map(|f| f.as_str()).find(|f| !part(f) && !about(f)) {
        Some(file) => Err(format!("{file} is not covered by any manifest")),
        None => Ok(format!("{} folders of media and nothing else", parts.len())),
    }
}

/// Adds what was found in one folder, under its name.
pub fn add(checks: &mut Checks, part: &ReleaseFolder, found: Checks) {
    checks.0.extend(found.0.into_iter().map(|mut check| {
        check.reason = format!("{}: {}", part.name(), check.reason);
        check
    }));
}
