//! Paths as they are shown and listed: alike on every system.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::tree;

/// All files and links below `root`, as [`tree::files`] finds them, with `/` between folders as lists of checksums and
/// manifests have it.
///
/// # Errors
/// As [`tree::files`].
pub fn listed(root: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut files: Vec<Utf8PathBuf> = tree::files(root)?.iter().map(|f| slashed(f).into()).collect();
    files.sort();
    Ok(files)
}

/// A relative path with `/` between its parts.
#[must_use]
pub fn slashed(path: &Utf8Path) -> String {
    path.components().map(|part| part.as_str()).collect::<Vec<_>>().join("/")
}

/// The absolute path of what must exist, without links. Windows puts `\\?\` in front, which neither its shells nor
/// every program take: that goes where nothing needs it.
///
/// # Errors
/// When it does not exist, or its path is not UTF-8.
pub fn real(path: &Utf8Path) -> std::io::Result<Utf8PathBuf> {
    let real = path.canonicalize_utf8()?;
    Ok(Utf8Path::from_path(dunce::simplified(real.as_std_path())).map(Utf8Path::to_owned).unwrap_or(real))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists and manifests say `a/b`; on Windows, so must what is found.
    #[test]
    fn names_of_files_are_written_alike_on_every_system() {
        let dir = tempfile::tempdir().unwrap();
        let root = real(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        assert!(!root.as_str().starts_with(r"\\?\"), "{root}");
        let folder = root.join("a").join("b");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join("c"), "").unwrap();
        assert_eq!(listed(&root).unwrap()[0].as_str(), "a/b/c");
        assert_eq!(slashed(folder.strip_prefix(&root).unwrap()), "a/b");
    }
}
