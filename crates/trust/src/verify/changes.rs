//! Files that change while they are verified: what one check read is not what another did.

use std::{collections::BTreeMap, time::SystemTime};

use camino::Utf8Path;

use super::sums;
use attest::{MANIFEST, PROVENANCE, SBOM};
use buildexec::tree;

/// What tells that a file is still the one that was looked at before.
type Identity = (u64, Option<SystemTime>, [u64; 4]);

/// Which files there are, and what tells each from another.
#[derive(Debug)]
pub struct Snapshot(BTreeMap<String, Option<Identity>>);

impl Snapshot {
    /// Everything below `dir`, or the file `only` with those that speak of it.
    #[must_use]
    pub fn of(dir: &Utf8Path, only: Option<&str>) -> Self {
        let about = [sums::SHA256, sums::SHA512, super::sign::SIGNATURE, MANIFEST, SBOM, PROVENANCE];
        let names: Vec<String> = match only {
            Some(only) => about.into_iter().chain([only]).map(str::to_owned).collect(),
            // A folder that cannot be read fails other checks.
            None => tree::files(dir).into_iter().flatten().map(Into::into).collect(),
        };
        Self(names.into_iter().map(|name| (name.clone(), identity(&dir.join(&name)))).collect())
    }

    /// A file that differs between the two, or is in one of them alone.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        let names = self.0.keys().chain(other.0.keys());
        names.into_iter().find(|name| self.0.get(*name) != other.0.get(*name)).cloned()
    }
}

fn identity(path: &Utf8Path) -> Option<Identity> {
    let meta = fs_err::symlink_metadata(path).ok()?;
    Some((meta.len(), meta.modified().ok(), more(&meta)))
}

/// Device, number and time of the last change of anything, which nobody can set back.
#[cfg(unix)]
fn more(meta: &std::fs::Metadata) -> [u64; 4] {
    use std::os::unix::fs::MetadataExt as _;
    [meta.dev(), meta.ino(), meta.ctime().cast_unsigned(), meta.ctime_nsec().cast_unsigned()]
}

#[cfg(not(unix))]
fn more(_: &std::fs::Metadata) -> [u64; 4] {
    [0; 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_another_or_gone_or_new_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        fs_err::create_dir(dir.join("netboot")).unwrap();
        for name in ["a.iso", "netboot/initrd", sums::SHA256] {
            fs_err::write(dir.join(name), name).unwrap();
        }
        let before = Snapshot::of(dir, None);
        let alone = Snapshot::of(dir, Some("a.iso"));
        assert_eq!(before.difference(&Snapshot::of(dir, None)), None);
        // Of the same length and time.
        let time = fs_err::metadata(dir.join("netboot/initrd")).unwrap().modified().unwrap();
        fs_err::write(dir.join("new"), "netboot/INITRD").unwrap();
        fs_err::OpenOptions::new()
            .append(true)
            .open(dir.join("new"))
            .unwrap()
            .file()
            .set_modified(time)
            .unwrap();
        fs_err::rename(dir.join("new"), dir.join("netboot/initrd")).unwrap();
        assert_eq!(before.difference(&Snapshot::of(dir, None)).as_deref(), Some("netboot/initrd"));
        assert_eq!(alone.difference(&Snapshot::of(dir, Some("a.iso"))), None);
        let before = Snapshot::of(dir, None);
        fs_err::write(dir.join("more"), "").unwrap();
        assert_eq!(before.difference(&Snapshot::of(dir, None)).as_deref(), Some("more"));
        fs_err::remove_file(dir.join("a.iso")).unwrap();
        assert_eq!(alone.difference(&Snapshot::of(dir, Some("a.iso"))).as_deref(), Some("a.iso"));
    }
}
