//! The index of a suite: `Packages`, and `Release` that has its digest. Both are deb822: paragraphs of `Field: value`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::version;
use buildplan::Digest;

/// What the index says of one package at one version.
#[derive(Clone, Debug, Default)]
pub(super) struct PackageRecord {
    pub(super) version: String,
    /// Its subject: libraries are in `libs`.
    pub(super) section: String,
    /// The source that it is built from.
    pub(super) source: String,
    /// `Pre-Depends`, as written.
    pub(super) pre_depends: String,
    /// `Depends`, as written.
    pub(super) depends: String,
    /// `Provides`, as written.
    pub(super) provides: String,
    /// Where it is in its archive.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) sha256: Option<Digest>,
    /// The name of its archive.
    pub(super) archive: String,
}

impl PackageRecord {
    /// What must be there, each with its alternatives.
    pub(super) fn needs(&self) -> impl Iterator<Item = &str> {
        let both = [&self.pre_depends, &self.depends].into_iter();
        both.flat_map(|list| list.split(',')).map(str::trim).filter(|group| !group.is_empty())
    }
}

/// The newest version of each package, by name.
#[derive(Debug, Default)]
pub(super) struct Index(pub(super) BTreeMap<String, PackageRecord>);

impl Index {
    /// Adds the packages of a suite of `archive`; of equal versions the first stays.
    pub(super) fn add(&mut self, archive: &str, packages: &str) {
        for paragraph in packages.split("\n\n") {
            let Some((name, mut entry)) = entry(paragraph) else { continue };
            archive.clone_into(&mut entry.archive);
            match self.0.get(&name) {
                Some(old) if version::compare(&old.version, &entry.version).is_ge() => {}
                _ => drop(self.0.insert(name, entry)),
            }
        }
    }
}

/// The fields of one paragraph, continued lines left out.
fn fields(paragraph: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = paragraph.lines().filter(|l| !l.starts_with([' ', '\t']));
    lines.filter_map(|l| l.split_once(':')).map(|(field, value)| (field, value.trim()))
}

fn entry(paragraph: &str) -> Option<(String, PackageRecord)> {
    let (mut name, mut entry) = (None, PackageRecord::default());
    for (field, value) in fields(paragraph) {
        match field {
            "Package" => name = Some(value.to_owned()),
            "Version" => value.clone_into(&mut entry.version),
            "Section" => value.clone_into(&mut entry.section),
            // `grub2 (2.12-9)` when its version is another.
            "Source" => value.split(' ').next().unwrap_or(value).clone_into(&mut entry.source),
            "Pre-Depends" => value.clone_into(&mut entry.pre_depends),
            "Depends" => value.clone_into(&mut entry.depends),
            "Provides" => value.clone_into(&mut entry.provides),
            "Filename" => value.clone_into(&mut entry.path),
            "Size" => entry.size = value.parse().ok()?,
            "SHA256" => entry.sha256 = Some(value.parse().ok()?),
            _ => {}
        }
    }
    let name = name?;
    if entry.source.is_empty() {
        entry.source.clone_from(&name);
    }
    Some((name, entry))
}

/// What a suite's signed `Release` says.
pub(super) struct ReleaseIndex<'t>(&'t str);

impl<'t> ReleaseIndex<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self(text)
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&'t str> {
        fields(self.0).find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// Digest and size of one of the suite's files.
    ///
    /// # Errors
    /// When it is not listed.
    pub(super) fn file(&self, path: &str) -> Result<(Digest, u64)> {
        let list = self.0.lines().skip_while(|l| *l != "SHA256:").skip(1).take_while(|l| l.starts_with(' '));
        let listed = list.map(str::split_whitespace).find_map(|mut words| {
            let (digest, size, name) = (words.next()?, words.next()?, words.next()?);
            (name == path).then_some((digest, size))
        });
        let (digest, size) = listed.with_context(|| format!("the suite's Release does not list {path}"))?;
        Ok((digest.parse()?, size.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_kept_and_of_equal_ones_the_first() {
        let mut index = Index::default();
        index.add("debian", "Package: a\nVersion: 1.9\nDescription: x\n more: x\n\nPackage: b\nVersion: 1\n");
        index.add("debian-security", "Package: a\nVersion: 1.10\n\nPackage: b\nVersion: 1\n");
        assert_eq!(
            (index.0["a"].version.as_str(), index.0["a"].archive.as_str()),
            ("1.10", "debian-security")
        );
        assert_eq!(index.0["b"].archive, "debian");
    }

    #[test]
    fn a_paragraph_gives_what_is_needed_and_the_rest_is_passed_over() {
        let text = "Package: grub-common\nSource: grub2 (2.12-9)\nVersion: 2.12-9+b1\nSection: admin\n\
                    Pre-Depends: x\nDepends: libc6 (>= 2.38), y | z\nFilename: pool/g.deb\nSize: 12\n\
                    SHA256: 00be21c0c17f08ddf26e82d3b53fe7a41efa4a288938da6bb69e89c4b25c281d\nTag: a,\n b: c";
        let (name, entry) = entry(text).unwrap();
        assert_eq!((name.as_str(), entry.source.as_str(), entry.size), ("grub-common", "grub2", 12));
        assert_eq!(entry.needs().collect::<Vec<_>>(), ["x", "libc6 (>= 2.38)", "y | z"]);
        assert!(entry.sha256.is_some());
        let broken = text.replace("Size: 12", "Size: many");
        assert!(super::entry(&broken).is_none());
    }

    #[test]
    fn a_release_lists_its_files_by_sha256_alone() {
        let digest = Digest::of(b"x");
        let text =
            format!("Codename: trixie\nMD5Sum:\n 00 1 main/P.xz\nSHA256:\n {digest}    7 main/P.xz\nX: y\n");
        let release = ReleaseIndex::new(&text);
        assert_eq!(release.field("Codename"), Some("trixie"));
        assert_eq!(release.file("main/P.xz").unwrap(), (digest, 7));
        assert!(release.file("main/P").is_err());
    }
}
