//! `media.toml` as it is written: serde types, no checks beyond their shape.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Distribution, Netboot};
use bootparams::Params;
use vmspec::VmSpec;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", schemars(rename = "media.toml"))]
pub struct MediaToml {
    /// The profile that commands take when none is named.
    pub default_profile: String,
    /// Where iPXE comes from.
    pub ipxe: Ipxe,
    /// Whose packages media are made of.
    pub distribution: Distribution,
    /// What iPXE believes of what a server sends.
    #[serde(default)]
    pub netboot: Netboot,
    /// Whose key signs programs of profiles with `secure-boot = "own-key"`.
    #[serde(default)]
    pub secure_boot: OwnKey,
    /// The profiles, by name.
    #[serde(rename = "profile")]
    pub profiles: BTreeMap<String, ProfileToml>,
}

/// `[ipxe]`: the pinned source.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ipxe {
    /// The version the commit stands for, for people.
    pub version: String,
    /// The commit, 40 hex digits. Tags of iPXE are not signed: this is all that can be verified.
    pub commit: String,
    /// Repositories, tried in order.
    pub repositories: Vec<String>,
}

/// `[profile.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", schemars(rename = "Profile"))]
pub struct ProfileToml {
    /// One line for people.
    pub about: String,
    /// Whose rules the parameters follow: `rancheros-1.5.8`, `burmillaos-1.9.3`, `smoke`, `linux`.
    pub os: String,
    /// The version in file names; `smoke` takes its kernel's.
    pub version: Option<String>,
    /// Where iPXE comes from.
    pub engine: Engine,
    /// Kernel parameters, in order.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "params_schema"))]
    pub params: Params,
    /// Where the netboot tree is served.
    #[serde(default = "default_base_url")]
    pub base_url: String,
    /// The network interface iPXE asks on: `net0`; unset, all are tried.
    pub nic: Option<String>,
    /// Milliseconds that iPXE waits for its failsafe key.
    #[serde(default = "default_timeout")]
    pub timeout: u32,
    /// The cloud-config carried in the medium, a file below `isofs/<profile>/`.
    pub cloud_config: Option<String>,
    /// Lets a password or key into artifacts that are published.
    #[serde(default)]
    pub publish_secrets: bool,
    /// Who signs what UEFI starts from the profile's ISO; by default the distribution where kernel and loaders are its
    /// packages' own, else unsigned.
    pub secure_boot: Option<SecureBoot>,
    /// Where kernel and initrd come from.
    pub media: Media,
    /// iPXE that somebody else signed.
    #[serde(default)]
    pub ipxe: OthersIpxe,
    /// The machine that its guest needs.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "vmspec::spec::RawVm"))]
    pub vm: VmSpec,
}

/// Words as they stand, and tables of typed parameters; the crate `bootparams` knows which keys exist.
#[cfg(feature = "schema")]
fn params_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "items": { "anyOf": [{ "type": "string" }, { "type": "object", "minProperties": 1 }] },
    })
}

fn default_base_url() -> String {
    "http://192.168.56.1:8089".to_owned()
}

fn default_timeout() -> u32 {
    2000
}

/// `[profile.NAME.ipxe]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OthersIpxe {
    /// Programs that UEFI starts in place of the engine's, as a release has them.
    pub signed: Option<SignedIpxe>,
}

/// iPXE for UEFI that starts with Secure Boot on. Its digests are in `media.lock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SignedIpxe {
    /// What firmware starts: a shim that Microsoft signed.
    pub shim: Released,
    /// What that shim starts: an iPXE that it trusts, and that reads `autoexec.ipxe`.
    pub program: Released,
    /// The name under which the shim looks for it.
    #[serde(default = "default_loads")]
    pub loads: String,
}

fn default_loads() -> String {
    "ipxe.efi".to_owned()
}

/// `[secure-boot]`: a key of the person's.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OwnKey {
    /// Its certificate, PEM, by its path from the repository's root; `cargo xtask key new secure-boot` makes one.
    pub certificate: Option<String>,
}

/// Who signs what UEFI starts, so that a machine with Secure Boot starts it too.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SecureBoot {
    /// The distribution: its shim, which Microsoft signed, its GRUB and its kernel, each as the package has it.
    Distribution,
    /// You: the kernel, the distribution's shim and GRUB, and iPXE, by the key of `[secure-boot]`. A machine starts them
    /// once it trusts your certificate.
    OwnKey,
    /// Unsigned: a GRUB of 0.7 MB made for this ISO. Secure Boot refuses it.
    Off,
}

/// Where iPXE comes from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Compile the pinned commit with our patches and embed the script.
    Source,
    /// Use the distribution's package, with the script beside it: no compiler, under a second.
    Prebuilt,
}

/// `[profile.NAME.media]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "kind")]
pub enum Media {
    /// The pinned distribution's kernel, and an initrd of ours around its BusyBox.
    Distribution {
        /// Which kernel.
        kernel: KernelFlavour,
    },
    /// The system of this project that runs Docker, out of the pinned distribution's packages.
    Docker {
        /// How its image is packed.
        #[serde(default)]
        compress: Compress,
        /// Archives of container images, as `docker save` writes them, below `isofs/<profile>/`: they are carried in
        /// the medium and loaded when Docker does not have them.
        #[serde(default)]
        containers: Vec<String>,
    },
    /// A released ISO that holds kernel and initrd.
    Iso {
        /// The ISO.
        file: Released,
        /// Where the kernel is in it; a final `*` stands for anything.
        kernel: String,
        /// Where the initrd is in it.
        initrd: String,
    },
    /// Kernel and initrd as files of their own.
    Files {
        /// Kernel image, in any format that the loaders start.
        kernel: Released,
        /// Initial RAM disk; the cloud-config goes in front of it.
        initrd: Released,
    },
}

/// How an image is packed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Compress {
    /// Read quickly; a few megabytes larger than xz.
    #[default]
    Zstd,
    /// As small as it gets; programs start later.
    Xz,
    /// Packed in seconds, a third larger: for work on the system.
    Fast,
}

/// Which of the distribution's kernels.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum KernelFlavour {
    /// For virtual machines: small, virtio and IDE only.
    Cloud,
    /// For all machines.
    Generic,
}

/// A file that somebody releases. Its digest is in `media.lock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Released {
    /// Its name, also in a folder given by `--artifacts`.
    pub name: String,
    /// Addresses, tried in order; `{version}` is the profile's.
    #[serde(default)]
    pub urls: Vec<String>,
}

impl Released {
    /// The same with the version filled in where names and addresses have `{version}`.
    pub(super) fn at(&self, version: &str) -> Self {
        Self {
            name: self.name.replace("{version}", version),
            urls: self.urls.iter().map(|u| u.replace("{version}", version)).collect(),
        }
    }
}
