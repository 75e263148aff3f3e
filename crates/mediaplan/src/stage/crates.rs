//! The crates that a program of ours is compiled from, by Cargo's own lock.

use std::collections::{BTreeMap, BTreeSet};

use buildplan::Digest;
use serde::Deserialize;
use toml::Value;

/// A crate of others, as Cargo.lock pins it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinnedCrate {
    /// Name, as Cargo.lock has it.
    pub name: String,
    /// Version, as Cargo.lock has it.
    pub version: String,
    /// The SHA-256 of its archive.
    pub sha256: Digest,
}

#[derive(Deserialize)]
struct LockFile {
    #[serde(default)]
    package: Vec<LockedCrate>,
}

#[derive(Deserialize)]
struct LockedCrate {
    name: String,
    version: String,
    checksum: Option<Digest>,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
struct CrateManifest {
    package: CratePackage,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct CratePackage {
    name: String,
}

impl LockFile {
    /// The entry of `name`, or of `name version` where there are several.
    fn find(&self, dependency: &str) -> Option<&LockedCrate> {
        let mut words = dependency.split(' ');
        let (name, version) = (words.next(), words.next());
        self.package.iter().find(|e| Some(e.name.as_str()) == name && version.is_none_or(|v| e.version == v))
    }
}

/// The crates behind the `[dependencies]` of these manifests of ours, macros and build scripts included. Those of tests are
/// left out, which the lock does not tell apart.
///
/// # Errors
/// When the lock or a manifest is not what Cargo writes.
pub fn behind<'m>(
    lock: &str,
    manifests: impl IntoIterator<Item = &'m str>,
) -> Result<Vec<PinnedCrate>, toml::de::Error> {
    let lock: LockFile = toml::from_str(lock)?;
    let mut todo = Vec::new();
    for text in manifests {
        let manifest: CrateManifest = toml::from_str(text)?;
        let own = lock.find(&manifest.package.name).map(|e| e.dependencies.as_slice()).unwrap_or_default();
        let name = |d: &str| d.split(' ').next().unwrap_or_default().to_owned();
        todo.extend(own.iter().filter(|d| manifest.dependencies.contains_key(&name(d))).map(String::as_str));
    }
    let mut found = BTreeSet::new();
    while let Some(dependency) = todo.pop() {
        let Some(entry) = lock.find(dependency) else { continue };
        // Without a checksum it is one of ours, whose manifest is looked at by itself.
        let Some(sha256) = entry.checksum else { continue };
        let (name, version) = (entry.name.clone(), entry.version.clone());
        if found.insert(PinnedCrate { name, version, sha256 }) {
            todo.extend(entry.dependencies.iter().map(String::as_str));
        }
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_tests_are_left_out_and_versions_are_told_apart() {
        let sum = Digest::of(b"x").to_string();
        let entry = |name: &str, version: &str, needs: &str| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nchecksum = \"{sum}\"\ndependencies = [{needs}]\n"
            )
        };
        let lock = "[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\ndependencies = [\"a 2.0.0\", \"lib\", \"test\"]\n\
                    [[package]]\nname = \"lib\"\nversion = \"0.1.0\"\n"
            .to_owned()
            + &entry("a", "1.0.0", "")
            + &entry("a", "2.0.0", "\"b\"")
            + &entry("b", "1.0.0", "\"a 2.0.0\"")
            + &entry("test", "1.0.0", "");
        let manifest = "[package]\nname = \"ours\"\n[dependencies]\na = \"2\"\nlib.workspace = true\n\
                        [dev-dependencies]\ntest = \"1\"\n";
        let found = behind(&lock, [manifest]).unwrap();
        let names: Vec<_> = found.iter().map(|c| format!("{} {}", c.name, c.version)).collect();
        assert_eq!(names, ["a 2.0.0", "b 1.0.0"]);
        assert!(behind("package = 1", [manifest]).is_err());
    }
}
