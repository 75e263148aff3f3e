//! What media are made of, as stages say it: for the manifest, the SBOM, the provenance and those who verify.

use serde::{Deserialize, Serialize};

use super::{Arg, Digest};

/// Something that a node brings in, or a part that it makes of what others brought in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Material {
    /// A package of the pinned distribution.
    Package {
        /// Name, as media.toml or the package index has it.
        name: String,
        /// Version, as the package index or media.toml has it.
        version: String,
        /// Its package URL.
        purl: String,
        /// Its digest in media.lock.
        sha256: Digest,
        /// Address for downloading it, without credentials.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// One file of a package.
    PackageFile {
        /// The package's name.
        package: String,
        /// The file's path in the package.
        path: String,
        /// The output that it becomes.
        output: String,
        /// Its digest in media.lock.
        sha256: Digest,
    },
    /// A file that somebody releases.
    Download {
        /// Name, as media.toml or the package index has it.
        name: String,
        /// Its digest in media.lock.
        sha256: Digest,
        /// Address for downloading it, without credentials.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// The files of a commit.
    Commit {
        /// The project's name.
        name: String,
        /// The version that people call it.
        version: String,
        /// The commit, in hex.
        commit: String,
    },
    /// A crate that a program is compiled from.
    Crate {
        /// Its name.
        name: String,
        /// Its version in Cargo.lock.
        version: String,
        /// The digest of its archive in Cargo.lock.
        sha256: Digest,
    },
    /// A patch of this repository, applied to what came before.
    Patch {
        /// Its path from the repository's root.
        path: String,
    },
    /// A script or a loader's configuration, filled in from a template.
    Script {
        /// Name, as media.toml or the package index has it.
        name: String,
        /// The template's path from the repository's root.
        template: String,
    },
    /// A boot loader that is put together of a package's modules.
    Loader {
        /// Name, as media.toml or the package index has it.
        name: String,
    },
}

impl Material {
    /// Without its download address, which is not part of what it is.
    #[must_use]
    pub fn content(&self) -> Self {
        let mut content = self.clone();
        if let Self::Package { url, .. } | Self::Download { url, .. } = &mut content {
            *url = None;
        }
        content
    }
}

/// What a node puts together out of named parts: those who look into its output read this, not the arguments that the
/// builtin gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Product {
    /// An ISO image.
    Iso(IsoSpec),
    /// A FAT image: files by their path in it.
    Fat(Vec<(String, Arg)>),
    /// A text.
    Text(TextSpec),
}

/// An ISO image that starts from CD and stick.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IsoSpec {
    /// Volume label of the ISO: at most 32 characters.
    pub label: String,
    /// The code of the first sector.
    pub code: Arg,
    /// The path of the program that BIOS starts.
    pub bios: String,
    /// The path of the boot catalogue.
    pub catalog: String,
    /// The path of the FAT image that UEFI starts from, which is a partition of its own as well.
    pub efi: Option<String>,
    /// Files by their path, in the order in which they lie.
    pub files: Vec<(String, Arg)>,
}

/// A template and what fills it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextSpec {
    /// The template's path from the repository's root.
    pub template: String,
    /// `ipxe` or `config`.
    pub syntax: &'static str,
    /// The variable whose value gets an embed area behind it.
    pub embed_area: Option<&'static str>,
    /// Variables and their values, in order.
    pub variables: Vec<(&'static str, Arg)>,
}

impl Product {
    /// The builtin that makes it as the output `to`, and its arguments.
    pub(super) fn call(&self, to: Arg) -> (&'static str, Vec<(&'static str, Arg)>) {
        let parts = |files: &[(String, Arg)]| {
            files
                .iter()
                .flat_map(|(path, content)| [("path", Arg::Lit(path.clone())), ("content", content.clone())])
                .collect::<Vec<_>>()
        };
        match self {
            Self::Fat(files) => ("fat-image", [vec![("to", to)], parts(files)].concat()),
            Self::Iso(iso) => {
                let mut args = vec![
                    ("to", to),
                    ("label", iso.label.as_str().into()),
                    ("epoch", Arg::Epoch),
                    ("code", iso.code.clone()),
                    ("bios", iso.bios.as_str().into()),
                    ("catalog", iso.catalog.as_str().into()),
                ];
                args.extend(iso.efi.iter().map(|efi| ("efi", efi.as_str().into())));
                args.extend(parts(&iso.files));
                ("iso", args)
            }
            Self::Text(text) => {
                let template = Arg::Src(text.template.clone());
                let mut args = vec![("template", template), ("kind", text.syntax.into()), ("to", to)];
                args.extend(text.embed_area.map(|name| ("embed-area", name.into())));
                for (name, value) in &text.variables {
                    args.extend([("name", (*name).into()), ("value", value.clone())]);
                }
                ("template", args)
            }
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A SHA-256, in hex.", "type": "string", "pattern": "^[0-9a-f]{64}$",
        })
    }
}
