//! `cargo xtask secret-scan`: its arguments. The package `lab` does it.

use camino::Utf8PathBuf;

/// Arguments of `secret-scan`.
#[derive(Debug, clap::Args)]
pub struct SecretScanArgs {
    /// Folders or files to scan.
    #[arg(required = true, value_name = "DIR|FILE")]
    pub paths: Vec<Utf8PathBuf>,
    /// Allow passwords, keys and tokens, as `publish-secrets = true` in a profile does.
    #[arg(long)]
    pub secrets: bool,
    /// Warn about unreadable content instead of failing.
    #[arg(long)]
    pub allow_unread: bool,
}
