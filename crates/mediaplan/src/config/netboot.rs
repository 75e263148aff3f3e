//! `[netboot]`: what iPXE believes of what a server sends.

use serde::Deserialize;

use super::is_plain_path;

/// `[netboot]`, for all profiles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Netboot {
    /// Whether iPXE loads only what is signed.
    #[serde(default)]
    pub trust: Trust,
    /// Certificates, PEM, by their path from the repository's root: iPXE trusts what they certify, both signers of
    /// files and HTTPS servers, and nobody else. Two of them while one replaces the other.
    #[serde(default)]
    pub roots: Vec<String>,
}

/// Whether iPXE loads only what is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// It loads whatever the server sends.
    #[default]
    Off,
    /// It refuses a boot script, kernel or initrd without a signature that one of the roots vouches for.
    Signed,
}

impl Netboot {
    /// Whether iPXE loads only what is signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.trust == Trust::Signed
    }

    /// What is wrong with its values.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.is_signed() && self.roots.is_empty() {
            let how = "netboot.trust is \"signed\", but netboot.roots names no certificate; \
                       `cargo xtask key new netboot --to keys` makes one, keys/root.crt";
            wrong.push(how.to_owned());
        }
        for root in self.roots.iter().filter(|r| !is_plain_path(r)) {
            wrong.push(format!("netboot.roots: `{root}` is not a path inside the repository"));
        }
        wrong
    }
}
