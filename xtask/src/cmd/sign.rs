//! `cargo xtask sign`: a person's signature over what `dist` wrote.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    password::PasswordArgs,
    verify::{self, VerifyArgs},
};
use buildexec::ctx::Ctx;
use buildexec::run::read_limited;
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::load;
use trust::verify::sign;

/// Arguments of `sign`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask sign dist/rancheros --key release.key  # asks for its password")]
pub struct SignArgs {
    /// Folder with `SHA256SUMS`.
    #[arg(value_name = "DIR")]
    pub dir: Utf8PathBuf,
    /// Minisign secret key.
    #[arg(long, value_name = "FILE")]
    pub key: Utf8PathBuf,
    /// Source of the key's password.
    #[command(flatten)]
    pub key_password: KeyPassword,
    /// Password that the media were built with.
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// Sources of a key's password. Without one, a key that has a password is asked for it on the terminal.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(id = "key_password", multiple = false)]
pub struct KeyPassword {
    /// Take the password of the signing key from this environment variable.
    #[arg(long, value_name = "NAME")]
    pub key_password_env: Option<String>,
    /// Take the password of the signing key from this file's first line.
    #[arg(long, value_name = "FILE")]
    pub key_password_file: Option<Utf8PathBuf>,
}

impl KeyPassword {
    fn get(&self, ctx: &Ctx) -> Result<Option<String>> {
        if let Some(name) = &self.key_password_env {
            let value = ctx.env.get(name).map(str::to_owned);
            return value
                .map(Some)
                .ok_or_else(|| Failure::new(Kind::Usage, format!("the variable {name} is not set")).into());
        }
        let Some(file) = &self.key_password_file else { return Ok(None) };
        let text = String::from_utf8(read_limited(file, 4096)?);
        let text = text.explain(Kind::Usage, || format!("{file} is not UTF-8"))?;
        Ok(Some(text.lines().next().unwrap_or("").to_owned()))
    }
}

/// Verifies and signs a folder.
///
/// # Errors
/// [`Kind::Usage`] for a wrong key or password; [`Kind::Digest`] when the media are not what they should be.
pub(crate) fn run(ctx: &Ctx, args: &SignArgs) -> Result<()> {
    let path = with(ctx, &args.dir, &args.key, &args.key_password, &args.password)?;
    ctx.report.out(path.as_str());
    Ok(())
}

/// Verifies `dir`, signs it with the key in the file `key`, and says where the signature is. `password` is what the media
/// were built with.
///
/// # Errors
/// As [`run`].
pub(super) fn with(
    ctx: &Ctx,
    dir: &Utf8Path,
    key: &Utf8Path,
    key_password: &KeyPassword,
    password: &PasswordArgs,
) -> Result<Utf8PathBuf> {
    let (what, password) = (dir.to_string(), password.clone());
    let asked = VerifyArgs { what, password, fetch: ctx.has_repository, ..VerifyArgs::default() };
    let loaded = if ctx.has_repository { Some(load::load(ctx)?) } else { None };
    let dir = ctx.absolute(dir.to_owned())?;
    sign::sign(&dir, &ctx.absolute(key.to_owned())?, key_password.get(ctx)?, || {
        let verified = verify::vouch(ctx, loaded.as_ref(), &dir, &asked)?;
        verified.list().map_err(anyhow::Error::msg)
    })?;
    Ok(dir.join(sign::SIGNATURE))
}
