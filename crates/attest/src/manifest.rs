//! `manifest.json`: every output and what it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MANIFEST;
use buildplan::{Digest, Input, Material};
use mediaplan::config::Engine;

/// The format that this program writes and reads.
pub const FORMAT: u32 = 2;

/// Every output and what it came from. It names no folder, host or time, so that the same inputs give the same
/// manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of the profile in media.toml that was built.
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

/// What every format of the manifest has.
#[derive(Deserialize)]
struct AnyManifest {
    format: u32,
}

impl Manifest {
    /// Reads `manifest.json`.
    ///
    /// # Errors
    /// What is wrong with it, as text; of another format, which one it has.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let unreadable = |e: serde_json::Error| format!("{MANIFEST} cannot be read: {e}");
        let AnyManifest { format } = serde_json::from_slice(bytes).map_err(unreadable)?;
        if format != FORMAT {
            return Err(format!(
                "{MANIFEST} has format {format}, and this program reads {FORMAT}: use the program that wrote it, or \
                 build the media again"
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(unreadable)?;
        match super::json(&manifest).as_bytes() == bytes {
            true => Ok(manifest),
            false => Err(format!("{MANIFEST} is not formatted as this program writes it")),
        }
    }

    /// Profile and version become names of files and folders: each must be one, and lead nowhere else.
    ///
    /// # Errors
    /// Which is none, as text.
    pub fn check_names(&self) -> Result<(), String> {
        for (what, name) in [("profile", &self.profile), ("version", &self.version)] {
            if !is_name(name) {
                return Err(format!("the manifest's {what} {name:?} is not a plain name"));
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 of the file's bytes.
    pub sha256: Digest,
    /// The key of the node that made it.
    pub key: Digest,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ManifestNode {
    /// Name of the stage that planned the node, such as `kernel`.
    pub stage: String,
    /// What it made, for people.
    pub label: String,
    /// What it brought in, and which parts of media it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub materials: Vec<Material>,
    /// Whether its outputs were made from its inputs, rather than hold them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub derived: bool,
    /// The image that it put together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageParts>,
    /// Everything that its key depends on.
    pub inputs: Vec<Input>,
    /// The digest of the text, of a node that fills in a template without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Digest>,
}

/// An image and where its parts are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "format", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ImageParts {
    /// An ISO image that starts from CD and stick.
    Iso {
        /// The volume label.
        label: String,
        /// The code of the first sector.
        code: Part,
        /// The path of the program that BIOS starts.
        bios: String,
        /// The path of the boot catalogue.
        catalog: String,
        /// The path of the FAT image that UEFI starts from, which is a partition of its own as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        efi: Option<String>,
        /// The files, in the order in which they lie.
        files: Vec<ImageFile>,
    },
    /// A FAT image.
    Fat {
        /// The files.
        files: Vec<ImageFile>,
    },
}

/// A file of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ImageFile {
    /// Its path in the image.
    pub path: String,
    /// Where it is from.
    pub part: Part,
}

/// Where a part of an image is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Part {
    /// A file of the repository.
    Source {
        /// Its path from the root.
        path: String,
    },
    /// An output of a node.
    Output {
        /// The node's key.
        key: Digest,
        /// The output's name.
        name: String,
    },
    /// Something else, as plans print it.
    Text {
        /// Its text; a secret's is hidden.
        text: String,
    },
}

impl ManifestNode {
    /// The files of the repository that it was made from: path and digest.
    pub fn sources(&self) -> impl Iterator<Item = (&str, Digest)> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Source { path, sha256 } => Some((path.as_str(), *sha256)),
            _ => None,
        })
    }

    /// The programs of the build machine that it was made with: name and version.
    pub fn tools(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Tool { name, version } => Some((name.as_str(), version.as_str())),
            _ => None,
        })
    }

    /// The outputs of other nodes that it was made from: key and name. Programs that were run are none.
    pub fn parts(&self) -> impl Iterator<Item = (Digest, &str)> {
        self.inputs.iter().filter_map(|input| match input {
            Input::Node { key, output, tool: false, .. } => Some((*key, output.as_str())),
            _ => None,
        })
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
