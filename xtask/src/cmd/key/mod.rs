//! `cargo xtask key`: keys that a person signs media with. They are written once, readable by their owner alone.

mod netboot;
mod secure_boot;
mod source;

use std::io::Write as _;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use zeroize::Zeroizing;

use super::password;
use buildexec::{ctx::Ctx, run::read_limited};
use failure::{Explain as _, Failure, Kind};
use pki::Chance;
pub(super) use source::KeySource;

/// Arguments of `key`.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum KeyCommand {
    /// Create a key and its certificate.
    New(NewArgs),
}

#[derive(Debug, clap::Args)]
struct NewArgs {
    #[command(subcommand)]
    what: New,
}

#[derive(Debug, clap::Subcommand)]
enum New {
    /// Create a key that signs netboot trees, and the root that iPXE trusts.
    ///
    /// The folder gets `root.crt` for [netboot] in media.toml, `root.pem`, which certifies signers and belongs
    /// offline, and `signer.pem`, which `dist` and `serve` sign with.
    Netboot(netboot::NetbootArgs),
    /// Create a key that signs kernel, loaders and iPXE for Secure Boot.
    ///
    /// The folder gets `secure-boot.crt` for [secure-boot] in media.toml, and `secure-boot.pem`, which `dist` signs with.
    SecureBoot(secure_boot::SecureBootArgs),
}

pub(crate) fn run(ctx: &Ctx, args: &KeyArgs) -> Result<()> {
    let KeyCommand::New(args) = &args.command;
    match &args.what {
        New::Netboot(args) => netboot::run(ctx, args),
        New::SecureBoot(args) => secure_boot::run(ctx, args),
    }
}

/// Password of a new private key; asked for on the terminal by default.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "new_password", multiple = false)]
pub(super) struct NewPassword {
    /// Take the new keys' password from this environment variable.
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
    /// Take the new keys' password from this file's first line.
    #[arg(long, value_name = "FILE")]
    password_file: Option<Utf8PathBuf>,
    /// Write the keys unencrypted, for a secret store that encrypts them itself.
    #[arg(long)]
    no_password: bool,
}

impl NewPassword {
    /// `None` for a key without a password.
    pub(super) fn get(&self, ctx: &Ctx) -> Result<Option<Zeroizing<String>>> {
        if self.no_password {
            return Ok(None);
        }
        let given = read(ctx, self.password_env.as_deref(), self.password_file.as_deref())?;
        let password = match given {
            Some(password) => password,
            None => {
                let first =
                    password::ask(ctx, "Password of the new key", "--password-env or --password-file")?;
                let again = password::ask(ctx, "The same again", "--password-env or --password-file")?;
                if first != again {
                    return Err(Failure::new(Kind::Usage, "the two passwords differ").into());
                }
                Zeroizing::new(first)
            }
        };
        if password.is_empty() {
            return Err(Failure::new(Kind::Usage, "the password is empty")
                .help("--no-password writes a key without one")
                .into());
        }
        Ok(Some(password))
    }
}

/// A secret out of a variable or of a file's first line, whichever is named.
pub(super) fn read(
    ctx: &Ctx,
    variable: Option<&str>,
    file: Option<&Utf8Path>,
) -> Result<Option<Zeroizing<String>>> {
    if let Some(name) = variable {
        let value = ctx
            .env
            .get(name)
            .ok_or_else(|| Failure::new(Kind::Usage, format!("the variable {name} is not set")))?;
        return Ok(Some(Zeroizing::new(value.to_owned())));
    }
    let Some(file) = file else { return Ok(None) };
    let text = Zeroizing::new(
        String::from_utf8(read_limited(file, 4096)?)
            .explain(Kind::Usage, || format!("{file} is not UTF-8"))?,
    );
    Ok(Some(Zeroizing::new(text.lines().next().unwrap_or("").to_owned())))
}

/// Refuses to begin where one of `names` in `dir` would replace a file: it may be the only copy of a key.
pub(super) fn refuse_to_replace(dir: &Utf8Path, names: &[&str]) -> Result<()> {
    for name in names {
        let path = dir.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(Failure::new(Kind::Usage, format!("{path} exists; a key is never replaced"))
                .help("name another folder with --to, or move the file away")
                .into());
        }
    }
    fs_err::create_dir_all(dir).explain(Kind::Storage, || format!("cannot create {dir}"))
}

/// Writes what is for its owner's eyes.
///
/// # Errors
/// When the file is there, or cannot be written.
pub fn write_secret(path: &Utf8Path, text: &str) -> Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(path).explain(Kind::Storage, || format!("cannot write {path}"))?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

/// Fills `bytes` by chance.
fn chance(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| anyhow::anyhow!("no random numbers: {e}"))
}

/// What a new key is made of.
///
/// # Errors
/// When the system has no random numbers.
pub fn random() -> Result<Chance> {
    let mut made = Chance { key: [0; 32].into(), serial: [0; 16], salt: [0; 16], iv: [0; 16] };
    chance(made.key.as_mut_slice())?;
    chance(&mut made.serial)?;
    chance(&mut made.salt)?;
    chance(&mut made.iv)?;
    Ok(made)
}
