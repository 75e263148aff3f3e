//! `cargo xtask key new secure-boot`: an RSA key and its certificate, for firmware.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use camino::Utf8PathBuf;
use zeroize::Zeroizing;

use super::{NewPassword, random, refuse_to_replace, write_secret};
use buildexec::ctx::Ctx;
use buildplan::Cmd;
use failure::{Failure, Kind};
use mediabuild::workspace::preflight;
use mediaplan::stage::needs;
use pki::Lifetime;

/// Firmware asks for no date; programs that list its keys show one. 20 years.
const SECONDS: u64 = 20 * 365 * 86_400;

/// Arguments of `key new secure-boot`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask key new secure-boot --to keys  # certificate and key")]
pub(super) struct SecureBootArgs {
    /// Folder for the new files.
    #[arg(long, value_name = "DIR")]
    to: Utf8PathBuf,
    /// Name of the signer, which the certificate holds and firmware shows.
    #[arg(long, value_name = "NAME", default_value = "boot media")]
    name: String,
    #[command(flatten)]
    password: NewPassword,
}

/// Makes the key and names the next step.
pub(super) fn run(ctx: &Ctx, args: &SecureBootArgs) -> Result<()> {
    let dir = &args.to;
    preflight::check(ctx, &needs::openssl(), false)?;
    refuse_to_replace(dir, &["secure-boot.crt", "secure-boot.pem"])?;
    let password = args.password.get(ctx)?;
    // 2048 bits: not all firmware takes more.
    let cmd = Cmd::new("openssl", "make an RSA key").args([
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
    ]);
    let key = Zeroizing::new(ctx.runner.run(&cmd)?.stdout);
    let key = std::str::from_utf8(&key)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let lifetime = Lifetime { until: now + SECONDS };
    let password = password.as_ref().map(|p| p.as_str());
    let made = pki::firmware_key(&args.name, lifetime, key, &random()?, password)
        .map_err(|e| Failure::new(Kind::Usage, e))?;
    write_secret(&dir.join("secure-boot.pem"), &made.secret)?;
    fs_err::write(dir.join("secure-boot.crt"), &made.certificate)?;
    ctx.report.out(dir.join("secure-boot.crt").as_str());
    ctx.report.out(dir.join("secure-boot.pem").as_str());
    ctx.report.note(
        "[secure-boot] in media.toml takes secure-boot.crt, `dist --secure-boot-key` takes secure-boot.pem; \
         a profile asks for it with secure-boot = \"own-key\"",
    );
    Ok(())
}
