//! Which packages come along: the libraries that a package needs, and what is built from its own source.
//!
//! All that a package depends on would bring `debconf`, `perl` and `adduser`, whose work is done at installation;
//! nothing is installed here. A program that another one starts must be requested by name. With a package that is taken
//! alone, nothing comes along.

use std::collections::BTreeMap;

use mediaplan::stage::packages::{alone, number_in};

use super::{
    index::{Index, PackageRecord},
    version,
};

/// A package and the names of those that come along.
pub(super) type Resolved<'i> = BTreeMap<&'i str, (&'i PackageRecord, Vec<&'i str>)>;

/// Resolves `wanted`.
///
/// # Errors
/// Everything that the index does not have.
pub(super) fn resolve<'i>(
    index: &'i Index,
    wanted: impl IntoIterator<Item = &'i str>,
) -> Result<Resolved<'i>, Vec<String>> {
    let mut todo: Vec<&str> = wanted.into_iter().collect();
    let (mut found, mut lacks) = (Resolved::new(), Vec::new());
    while let Some(name) = todo.pop() {
        if found.contains_key(name) {
            continue;
        }
        let Some((called, entry)) = named(index, name) else {
            lacks.push(format!("no package `{name}`"));
            continue;
        };
        let (name, alone) = (called, alone(name));
        let mut needs = Vec::new();
        for group in entry.needs().filter(|_| !alone) {
            match group.split('|').find_map(|relation| satisfying(index, relation)) {
                Some((other, needed)) if comes_along(entry, other, needed) => needs.push(other),
                Some(_) => {}
                None => lacks.push(format!("no package satisfies `{group}`, which {name} needs")),
            }
        }
        needs.sort_unstable();
        needs.dedup();
        todo.extend(&needs);
        found.insert(name, (entry, needs));
    }
    if lacks.is_empty() { Ok(found) } else { Err(lacks) }
}

/// The first package of the names; of several whose number stands for a `*`, the one with the highest.
fn named<'i>(index: &'i Index, wanted: &str) -> Option<(&'i str, &'i PackageRecord)> {
    let one = |wanted: &str| {
        let number = |name: &String| number_in(wanted, name).and_then(|n| n.parse::<u64>().ok());
        let numbered = index.0.iter().filter_map(|(name, entry)| Some((number(name)?, name, entry)));
        let highest = || numbered.max_by_key(|(number, ..)| *number).map(|(_, name, entry)| (name, entry));
        index.0.get_key_value(wanted).or_else(highest)
    };
    let found = wanted.split('|').find_map(|wanted| one(wanted.trim()));
    found.map(|(name, entry)| (name.as_str(), entry))
}

fn comes_along(entry: &PackageRecord, name: &str, needed: &PackageRecord) -> bool {
    // Ubuntu's kernels are of three sources: the name that stands for the newest, the image, its modules.
    if ["linux-image-", "linux-modules-"].iter().any(|kernel| name.starts_with(kernel)) {
        return true;
    }
    // `contrib/libs` is a library as well.
    needed.section.rsplit('/').next() == Some("libs") || needed.source == entry.source
}

/// The package that satisfies `name (>= version)`: of that name, or else the first that provides it.
fn satisfying<'i>(index: &'i Index, relation: &str) -> Option<(&'i str, &'i PackageRecord)> {
    let (name, constraint) = parse(relation);
    let real = index.0.get_key_value(name).filter(|(_, e)| holds(Some(&e.version), constraint));
    let provider = || {
        index.0.iter().find(|(_, e)| {
            let mut provided = e.provides.split(',').map(parse);
            // Most provide nothing: to look for the name first is quicker than to take all apart.
            e.provides.contains(name)
                && provided.any(|(n, version)| n == name && holds(version.map(|(_, v)| v), constraint))
        })
    };
    real.or_else(provider).map(|(name, entry)| (name.as_str(), entry))
}

/// `name:any (>= 1.0)` to name, comparison and version.
pub(super) fn parse(relation: &str) -> (&str, Option<(&str, &str)>) {
    let (name, rest) = relation.split_once('(').unwrap_or((relation, ""));
    let name = name.split(':').next().unwrap_or(name).trim();
    let constraint = rest.trim().trim_end_matches(')');
    let end = constraint.find(|c: char| !matches!(c, '<' | '>' | '=')).unwrap_or(0);
    let (comparison, version) = constraint.split_at(end);
    (name, (end > 0).then_some((comparison, version.trim())))
}

fn holds(version: Option<&str>, constraint: Option<(&str, &str)>) -> bool {
    let Some((comparison, wanted)) = constraint else { return true };
    // What is provided without a version satisfies no constraint (deb policy 7.5).
    let Some(version) = version else { return false };
    let order = version::compare(version, wanted);
    match comparison {
        "<<" => order.is_lt(),
        "<=" => order.is_le(),
        "=" => order.is_eq(),
        ">=" => order.is_ge(),
        ">>" => order.is_gt(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(packages: &[(&str, &str, &str, &str)]) -> Index {
        let mut index = Index::default();
        for (name, version, section, more) in packages {
            index.add("a", &format!("Package: {name}\nVersion: {version}\nSection: {section}\n{more}"));
        }
        index
    }

    fn names(index: &Index, wanted: &[&'static str]) -> Result<Vec<String>, Vec<String>> {
        let wanted = wanted.iter().map(|w| index.0.get_key_value(*w).map_or(*w, |(k, _)| k.as_str()));
        Ok(resolve(index, wanted)?.into_keys().map(str::to_owned).collect())
    }

    #[test]
    fn libraries_and_the_same_source_come_along_and_nothing_else() {
        let index = index(&[
            (
                "grub",
                "2",
                "admin",
                "Source: grub2\nPre-Depends: debconf\nDepends: grub-common (= 2), libc6 (>= 2.38)",
            ),
            ("grub-common", "2", "admin", "Source: grub2\nDepends: gettext"),
            ("libc6", "2.41", "libs", "Depends: libgcc"),
            ("libgcc", "1", "libs", "Depends: libc6"),
            ("gettext", "1", "utils", ""),
            ("debconf", "1", "admin", ""),
        ]);
        assert_eq!(names(&index, &["grub"]).unwrap(), ["grub", "grub-common", "libc6", "libgcc"]);
        assert_eq!(resolve(&index, ["grub"]).unwrap()["grub"].1, ["grub-common", "libc6"]);
    }

    #[test]
    fn an_alternative_is_the_first_whose_version_fits_and_a_provider_fits_too() {
        let index = index(&[
            ("a", "1", "x", "Depends: libold (>= 2) | libnew:any, libvirtual (>= 3)"),
            ("libold", "1", "libs", ""),
            ("libnew", "1", "libs", ""),
            ("libreal", "1", "libs", "Provides: libother, libvirtual (= 3.1)"),
            ("libunversioned", "1", "libs", "Provides: libvirtual"),
        ]);
        assert_eq!(names(&index, &["a"]).unwrap(), ["a", "libnew", "libreal"]);
    }

    #[test]
    fn of_numbered_packages_the_highest_is_taken_and_alone_when_that_is_enough() {
        let index = index(&[
            ("libgcc-9-dev", "9", "libdevel", ""),
            ("libgcc-14-dev", "14", "libdevel", "Depends: libasan8"),
            ("libgcc-s1-dev", "15", "libdevel", ""),
            ("libasan8", "14", "libs", ""),
        ]);
        assert_eq!(names(&index, &["libgcc-*-dev"]).unwrap(), ["libgcc-14-dev"]);
        assert_eq!(names(&index, &["libx-*-dev"]).unwrap_err(), ["no package `libx-*-dev`"]);
    }

    #[test]
    fn everything_that_is_not_there_is_named() {
        let index = index(&[("a", "1", "x", "Depends: b (<< 1)"), ("b", "1", "libs", "")]);
        let lacks = names(&index, &["a", "c"]).unwrap_err();
        assert_eq!(lacks, ["no package `c`", "no package satisfies `b (<< 1)`, which a needs"]);
    }
}
