//! `media.lock`: what `media.toml` means, byte for byte. Only `fetch --update` writes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use buildplan::Digest;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lock {
    /// Seconds since 1970 that stand for "now" in all outputs.
    pub epoch: u64,
    /// Files, by profile and name.
    #[serde(default, rename = "file")]
    pub files: BTreeMap<String, BTreeMap<String, Locked>>,
    /// The distribution's packages, by name.
    #[serde(default, rename = "package", skip_serializing_if = "BTreeMap::is_empty")]
    pub packages: BTreeMap<String, LockedPackage>,
}

/// What one file must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Locked {
    /// The version it was recorded for.
    pub version: String,
    /// SHA-256 that the downloaded file must have.
    pub sha256: Digest,
    /// Its length in bytes, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where the digest was found, such as the release's own list of checksums.
    pub vouched_by: String,
}

/// One package of the distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedPackage {
    /// Its version, with epoch.
    pub version: String,
    /// The digest that the signed index gives.
    pub sha256: Digest,
    /// The length that the signed index gives, in bytes.
    pub size: u64,
    /// Which of the distribution's archives has it.
    pub archive: String,
    /// Where it is in that archive.
    pub path: String,
    /// When it was recorded, as snapshot archives name times: `20261128T053000Z`.
    pub snapshot: String,
    /// The recorded packages that it needs: libraries, and what comes from the same source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Digests of its files that land in media as they are, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Digest>,
}

const HEAD: &str = "\
# What media.toml means, byte for byte. `cargo xtask fetch --update PROFILE` writes this file, nothing else does.
";

impl Lock {
    /// Reads the text of a lock.
    ///
    /// # Errors
    /// When it is not TOML of this shape; the message has line and column.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The text of this lock.
    #[must_use]
    pub fn render(&self) -> String {
        format!("{HEAD}\n{}", toml::to_string(self).expect("a lock is plain data"))
    }

    /// What `name` of `profile` must be, when it is recorded for `version`.
    #[must_use]
    pub fn get(&self, profile: &str, name: &str, version: &str) -> Option<&Locked> {
        self.files.get(profile)?.get(name).filter(|l| l.version == version)
    }
}
