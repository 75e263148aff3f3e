//! `cargo xtask key new netboot`: a root and a signer below it, or another signer below a root that exists.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use camino::Utf8PathBuf;
use zeroize::Zeroizing;

use super::{NewPassword, random, read, refuse_to_replace, write_secret};
use crate::cmd::password;
use buildexec::{ctx::Ctx, run::read_limited};
use failure::{Explain as _, Failure, Kind};
use pki::{Lifetime, NewKey};

const DAY: u64 = 86_400;
/// The root outlives every medium that has it built in: 20 years.
const ROOT_DAYS: u64 = 20 * 365;
/// No key file is longer.
const KEY_LIMIT: u64 = 256 << 10;

/// Arguments of `key new netboot`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask key new netboot --to keys              # a root and a signer\n\
\x20 cargo xtask key new netboot --to keys/2028 --root keys/root.pem  # the next")]
pub(super) struct NetbootArgs {
    /// Folder for the new files.
    #[arg(long, value_name = "DIR")]
    to: Utf8PathBuf,
    /// Name of the signer, which the certificates hold and iPXE shows.
    #[arg(long, value_name = "NAME", default_value = "netboot")]
    name: String,
    /// Days until iPXE refuses what the signer signs.
    #[arg(long, value_name = "N", default_value_t = 730, value_parser = clap::value_parser!(u64).range(1..=ROOT_DAYS))]
    days: u64,
    /// Certify the new signer with this root instead of making one.
    #[arg(long, value_name = "FILE")]
    root: Option<Utf8PathBuf>,
    /// Take the password of --root from this environment variable.
    #[arg(long, value_name = "NAME", requires = "root")]
    root_password_env: Option<String>,
    #[command(flatten)]
    password: NewPassword,
}

/// Makes the keys and names the next step.
pub(super) fn run(ctx: &Ctx, args: &NetbootArgs) -> Result<()> {
    let dir = &args.to;
    let names: &[&str] =
        if args.root.is_some() { &["signer.pem"] } else { &["root.crt", "root.pem", "signer.pem"] };
    refuse_to_replace(dir, names)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let until = |days| Lifetime { until: now + days * DAY };
    let (root, root_password) = match &args.root {
        Some(file) => open_root(ctx, args, file)?,
        None => (Zeroizing::new(String::new()), None),
    };
    let password = args.password.get(ctx)?;
    let password = password.as_ref().map(|p| p.as_str());
    let wrong = |e: String| match &args.root {
        Some(root) => Failure::new(Kind::Usage, format!("cannot certify a signer with {root}: {e}")),
        None => Failure::new(Kind::Usage, e),
    };
    let made_root = match &args.root {
        Some(_) => None,
        None => Some(
            pki::authority(&format!("{} root", args.name), until(ROOT_DAYS), &random()?, password)
                .map_err(wrong)?,
        ),
    };
    let by = match &made_root {
        Some(made) => (made.secret.as_str(), password),
        None => (root.as_str(), root_password.as_ref().map(|p| p.as_str())),
    };
    let signer = pki::signer(&args.name, until(args.days), &random()?, password, by).map_err(wrong)?;
    if let Some(NewKey { certificate, secret }) = &made_root {
        write_secret(&dir.join("root.pem"), secret)?;
        fs_err::write(dir.join("root.crt"), certificate)?;
        ctx.report.out(dir.join("root.crt").as_str());
        ctx.report.out(dir.join("root.pem").as_str());
    }
    write_secret(&dir.join("signer.pem"), &signer.secret)?;
    ctx.report.out(dir.join("signer.pem").as_str());
    ctx.report.note(next_step(made_root.is_some()));
    Ok(())
}

fn next_step(root: bool) -> &'static str {
    if root {
        "keep root.pem offline; [netboot] in media.toml takes root.crt, `dist --netboot-key` takes signer.pem"
    } else {
        "`dist --netboot-key` takes signer.pem; media that trust this root need no change"
    }
}

fn open_root(
    ctx: &Ctx,
    args: &NetbootArgs,
    file: &Utf8PathBuf,
) -> Result<(Zeroizing<String>, Option<Zeroizing<String>>)> {
    let text = String::from_utf8(read_limited(&ctx.absolute(file.clone())?, KEY_LIMIT)?);
    let text = Zeroizing::new(text.explain(Kind::Usage, || format!("{file} is not a key in PEM"))?);
    if !pki::Signer::is_locked(&text) {
        return Ok((text, None));
    }
    let given = read(ctx, args.root_password_env.as_deref(), None)?;
    let password = match given {
        Some(password) => password,
        None => Zeroizing::new(password::ask(ctx, &format!("Password of {file}"), "--root-password-env")?),
    };
    Ok((text, Some(password)))
}
