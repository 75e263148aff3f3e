//! Statements about finished media, for other people's tools: what is in them (SPDX) and what they were made from
//! (in-toto, SLSA). Both are functions of the manifest alone, so anyone who holds one can make and compare them.
//! Pure: `mediabuild` writes the files.

pub mod manifest;
pub mod provenance;
pub mod spdx;

pub use manifest::{Manifest, ManifestNode, Output, is_name};
pub use spdx::utc;

/// The SBOM's name in `dist/<profile>/`.
pub const SBOM: &str = "sbom.spdx.json";
/// The provenance's name in `dist/<profile>/`.
pub const PROVENANCE: &str = "provenance.intoto.json";
/// The name of a minisign signature over `SHA256SUMS`, where somebody signed.
pub const SIGNATURE: &str = "SHA256SUMS.minisig";
/// The manifest's name in `dist/<profile>/`.
pub const MANIFEST: &str = "manifest.json";

/// Who wrote a statement. The number at the end is raised when statements of the same manifest come out otherwise, so
/// that older ones are told from false ones.
pub const GENERATOR: &str = concat!("xtask-", env!("CARGO_PKG_VERSION"), "+statements.1");

/// What is written beside the media, by name: the manifest, and what follows from it.
#[must_use]
pub fn statements(manifest: &Manifest) -> [(&'static str, String); 3] {
    [
        (MANIFEST, json(manifest)),
        (SBOM, json(&spdx::document(manifest))),
        (PROVENANCE, json(&provenance::statement(manifest))),
    ]
}

/// The day of `epoch`, in seconds since 1970: `2025-11-25`.
#[must_use]
pub fn date(epoch: u64) -> String {
    spdx::utc(epoch).split('T').next().unwrap_or_default().to_owned()
}

/// `value` as these files have it: indented, with a final newline, keys in the order of the types.
#[must_use]
pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).expect("statements are plain data") + "\n"
}
