//! `cargo xtask publish`: its arguments. The package `lab` does it.

use camino::Utf8PathBuf;

use super::netboot_key::NetbootKeyArgs;
use mediaplan::config::Engine;

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub struct PublishArgs {
    /// Profile [default: default-profile in media.toml].
    #[arg(conflicts_with = "from")]
    pub profile: Option<String>,
    /// Where iPXE comes from [default: the profile's engine].
    #[arg(long, value_enum, conflicts_with = "from")]
    pub engine: Option<Engine>,
    /// What signs the netboot tree.
    #[command(flatten)]
    pub netboot_key: NetbootKeyArgs,
    /// Publish these folders, written by `dist`, instead of building: the results of matrix jobs.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub from: Vec<Utf8PathBuf>,
    /// Folder of the release.
    #[arg(long, value_name = "DIR")]
    pub to: Utf8PathBuf,
    /// Tag to release: its section of CHANGELOG.md becomes the notes, and it is part of the dated channel's
    /// name. Full refs (`refs/tags/v1.2.3`) are accepted; a branch, `refs/heads/main`, counts as no tag. Without a tag, the notes
    /// are the newest section.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// The dated channel's name; by default the date of media.lock, and the tag if there is one:
    /// `2025-11-25-v1.2.3`.
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
    /// Minisign public key that must have signed each folder.
    #[arg(long, value_name = "PUB")]
    pub key: Option<Utf8PathBuf>,
    /// Write the release. Without this, check everything and print the plan.
    #[arg(long)]
    pub execute: bool,
}
