//! `manifest.json`: every output and what it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use buildplan::{Digest, Input};
use mediaplan::config::Engine;

/// Every output and what it came from. It names no folder, host or time, so that the same inputs give the same
/// manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// 1.
    pub format: u32,
    /// The profile.
    pub profile: String,
    /// The version in file names.
    pub version: String,
    /// How iPXE was had.
    pub engine: Engine,
    /// Seconds since 1970 that stood for "now".
    pub epoch: u64,
    /// The files by path; those that are written from this one, and checksums and signatures, are left out.
    pub outputs: BTreeMap<String, Output>,
    /// The nodes that the outputs came from, by key.
    pub nodes: BTreeMap<Digest, ManifestNode>,
}

impl Manifest {
    /// Profile and version become names of files and folders: each must be one, and lead nowhere else.
    ///
    /// # Errors
    /// Which is none, as text.
    pub fn check_names(&self) -> Result<(), String> {
        for (what, name) in [("profile", &self.profile), ("version", &self.version)] {
            if !is_name(name) {
                return Err(format!("the manifest's {what} {name:?} is no plain name"));
            }
        }
        Ok(())
    }
}

/// Whether `text` is one plain component of a path, the same everywhere: ASCII letters, digits and `.+~_-`, no dot
/// in front.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".+~_-".contains(&b);
    !text.is_empty() && !text.starts_with('.') && text.bytes().all(plain)
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Digest,
    /// The key of the node that made it.
    pub key: Digest,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestNode {
    /// Its stage.
    pub stage: String,
    /// What it made, for people.
    pub label: String,
    /// Sources by digest, tools by version, nodes by key.
    pub inputs: Vec<Input>,
    /// The digest of the text, of a node that fills in a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Digest>,
}

impl ManifestNode {
    /// The value of the input `label`.
    #[must_use]
    pub fn input(&self, label: &str) -> Option<&str> {
        self.inputs.iter().find(|i| i.label == label).map(|i| i.value.as_str())
    }

    /// The inputs whose label begins with `kind` and a space, with the rest of the label.
    pub fn inputs_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let rest = move |label: &'a str| label.strip_prefix(kind)?.strip_prefix(' ');
        self.inputs.iter().filter_map(move |i| Some((rest(&i.label)?, i.value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_in_its_folder() {
        for good in ["1.5.8", "smoke", "0.0.1-old", "6.1~rc1+b2", "v1_2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".git", "/x", "a/b", "../x", "a\\b", "a:b", "a\nb", "a b", "ä"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
