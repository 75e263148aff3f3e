//! A distribution's index cut down to what resolving our packages reads, for tests of releases that are not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use failure::{Failure, Kind};

use super::{
    index::{Index, PackageRecord},
    resolve::{parse, resolve},
};

/// Of `packages` (texts of `Packages` files) what `wanted` leads to: whole relations of what is taken, and names of all
/// that these relations mention. It resolves to the same.
///
/// # Errors
/// [`Kind::Config`] with everything that is missing.
pub fn reduced(packages: &[String], wanted: &BTreeSet<&str>) -> Result<String> {
    let mut index = Index::default();
    for text in packages {
        index.add("a", text);
    }
    let lacks = |lacks: Vec<String>| {
        Failure::new(Kind::Config, "these indices lack packages that media need")
            .source(anyhow!(lacks.join("\n")))
    };
    let found = resolve(&index, wanted.iter().copied()).map_err(lacks)?;
    let mut shown: BTreeMap<&str, String> = BTreeMap::new();
    for (name, (record, _)) in &found {
        shown.insert(name, paragraph(name, record, true, ""));
    }
    let mentioned: BTreeSet<&str> = found
        .values()
        .flat_map(|(r, _)| r.needs())
        .flat_map(|g| g.split('|'))
        .map(|r| parse(r.trim()).0)
        .collect();
    for (name, record) in &index.0 {
        if shown.contains_key(name.as_str()) {
            continue;
        }
        let provided = record.provides.split(',').map(str::trim).filter(|p| mentioned.contains(parse(p).0));
        let provided = provided.collect::<Vec<_>>().join(", ");
        if mentioned.contains(name.as_str()) || !provided.is_empty() {
            shown.insert(name, paragraph(name, record, false, &provided));
        }
    }
    Ok(shown.into_values().collect::<Vec<_>>().join("\n"))
}

fn paragraph(name: &str, record: &PackageRecord, relations: bool, provides: &str) -> String {
    let related = |list| if relations { list } else { "" };
    let mut text = format!("Package: {name}\n");
    let source = if record.source == name { "" } else { &record.source };
    let fields = [
        ("Source", source),
        ("Version", &record.version),
        ("Section", &record.section),
        ("Pre-Depends", related(&record.pre_depends)),
        ("Depends", related(&record.depends)),
        ("Provides", provides),
    ];
    for (field, value) in fields {
        if !value.is_empty() {
            _ = writeln!(text, "{field}: {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaplan::stage::packages::all_wanted;

    /// Recorded with `cargo xtask ci relations` of each release's `Packages`.
    const RELEASES: [(&str, &str); 4] = [
        ("Debian 12", include_str!("../../../../../tests/fixtures/relations/debian-12.txt")),
        ("Debian 13", include_str!("../../../../../tests/fixtures/relations/debian-13.txt")),
        ("Ubuntu 24.04", include_str!("../../../../../tests/fixtures/relations/ubuntu-24.04.txt")),
        ("Ubuntu 26.04", include_str!("../../../../../tests/fixtures/relations/ubuntu-26.04.txt")),
    ];

    fn names((release, text): (&str, &str)) -> BTreeSet<String> {
        let mut index = Index::default();
        index.add("a", text);
        let found = resolve(&index, all_wanted()).unwrap_or_else(|lacks| panic!("{release}: {lacks:?}"));
        found.into_keys().map(str::to_owned).collect()
    }

    #[test]
    fn every_release_from_debian_12_and_ubuntu_24_04_on_has_what_media_are_made_of() {
        for release in RELEASES {
            let names = names(release);
            for program in ["libc6", "docker.io", "squashfs-tools", "grub-common"] {
                assert!(names.contains(program), "{}: {program}: {names:?}", release.0);
            }
            // What works at an installation alone stays away.
            for other in ["debconf", "perl", "adduser", "init-system-helpers", "linux-firmware"] {
                assert!(!names.contains(other), "{}: {other}", release.0);
            }
        }
    }

    #[test]
    fn libraries_go_by_the_name_that_each_release_gives_them() {
        // e2fsprogs names its libraries in Pre-Depends alone.
        let libraries = ["libext2fs2", "libext2fs2t64", "libext2fs2t64", "libext2fs2t64"];
        for (release, library) in RELEASES.into_iter().zip(libraries) {
            let names = names(release);
            let found: Vec<_> = names.iter().filter(|n| n.starts_with("libext2fs2")).collect();
            assert_eq!(found, [library], "{}", release.0);
        }
    }

    #[test]
    fn the_newest_kernel_comes_with_its_modules_on_every_release() {
        for (release, client) in RELEASES.into_iter().zip([false, true, false, false]) {
            let (name, names) = (release.0, names(release));
            let numbered = |prefix: &str| {
                let mut rest = names.iter().filter_map(|n| n.strip_prefix(prefix));
                rest.any(|n| n.starts_with(|c: char| c.is_ascii_digit()))
            };
            assert!(numbered("linux-image-"), "{name}: {names:?}");
            assert_eq!(numbered("linux-modules-"), name.starts_with("Ubuntu"), "{name}: {names:?}");
            assert_eq!(names.contains("docker-cli"), client, "{name}");
        }
    }

    #[test]
    fn a_reduced_index_is_reduced_to_itself() {
        for (name, text) in RELEASES {
            assert_eq!(reduced(&[text.to_owned()], &all_wanted()).unwrap(), text, "{name}");
        }
    }

    #[test]
    fn providers_of_what_is_mentioned_stay_and_all_else_goes() {
        let text = "Package: a\nVersion: 1\nDepends: b | mail, c (>= 1)\n\nPackage: c\nVersion: 2\nSection: libs\n\n\
                    Package: post\nVersion: 1\nDepends: x\nProvides: news, mail\n\nPackage: z\nVersion: 1\n";
        let kept = reduced(&[text.to_owned()], &BTreeSet::from(["a"])).unwrap();
        assert_eq!(
            kept,
            "Package: a\nVersion: 1\nDepends: b | mail, c (>= 1)\n\nPackage: c\nVersion: 2\nSection: libs\n\n\
             Package: post\nVersion: 1\nProvides: mail\n"
        );
        let error = reduced(&[text.to_owned()], &BTreeSet::from(["y"])).unwrap_err();
        assert!(format!("{error:#}").ends_with("no package `y`"), "{error:#}");
    }
}
