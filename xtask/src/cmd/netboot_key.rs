//! The key that signs a netboot tree: from a file or the environment, checked against the roots of media.toml.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use camino::Utf8PathBuf;

use super::key::KeySource;
use buildexec::ctx::Ctx;
use failure::{Explain as _, Failure, Kind};
use mediaplan::config::Profile;
use pki::{Certificate, Signer};

/// A signer that ends sooner is worth a warning.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Sources of the key that signs a netboot tree, and of its password.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct NetbootKeyArgs {
    /// Sign the netboot tree with this PEM file: the private key, followed by its certificates [default: the text in
    /// the variable MEDIA_NETBOOT_KEY].
    #[arg(long, value_name = "FILE")]
    pub netboot_key: Option<Utf8PathBuf>,
    /// Take that key's password from this environment variable [default: MEDIA_NETBOOT_PASSWORD].
    #[arg(long, value_name = "NAME", conflicts_with = "netboot_password_file")]
    pub netboot_password_env: Option<String>,
    /// Take that key's password from this file's first line.
    #[arg(long, value_name = "FILE")]
    pub netboot_password_file: Option<Utf8PathBuf>,
}

impl NetbootKeyArgs {
    /// The key, when one is given.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it cannot be read or cannot sign files for iPXE.
    pub fn open(&self, ctx: &Ctx) -> Result<Option<Arc<Signer>>> {
        let source = KeySource {
            file: self.netboot_key.as_ref(),
            variable: "MEDIA_NETBOOT_KEY",
            password_env: self.netboot_password_env.as_deref(),
            password_file: self.netboot_password_file.as_ref(),
            password_variable: "MEDIA_NETBOOT_PASSWORD",
            options: "--netboot-password-env or --netboot-password-file",
        };
        let Some(key) = source.read(ctx)? else { return Ok(None) };
        let signer = Signer::open(&key.text, key.password());
        Ok(Some(Arc::new(
            signer.explain(Kind::Usage, || format!("{} cannot sign a netboot tree", key.name))?,
        )))
    }

    /// The key that `profile` is signed with: `None` for one that is not signed.
    ///
    /// # Errors
    /// [`Kind::Usage`] when a signed profile has no key, an unsigned one has one, or iPXE would refuse what the key
    /// signs.
    pub fn of(&self, ctx: &Ctx, profile: &Profile) -> Result<Option<Arc<Signer>>> {
        let signer =
            if profile.netboot.is_signed() || self.netboot_key.is_some() { self.open(ctx)? } else { None };
        match (&signer, profile.netboot.is_signed()) {
            (Some(signer), true) => check(ctx, profile, signer)?,
            (None, true) => {
                return Err(Failure::new(Kind::Usage, "netboot.trust in media.toml is \"signed\", and no key is given")
                    .help("sign with --netboot-key FILE; `cargo xtask key new netboot --to keys` makes keys/signer.pem")
                    .into());
            }
            (Some(_), false) => {
                let text = "--netboot-key signs nothing: netboot.trust in media.toml is \"off\"";
                return Err(Failure::new(Kind::Usage, text)
                    .help("set trust = \"signed\" and roots = [\"keys/root.crt\"] in [netboot]")
                    .into());
            }
            (None, false) => {}
        }
        Ok(signer)
    }
}

/// The certificates that iPXE of `profile` trusts.
///
/// # Errors
/// [`Kind::Config`] when one cannot be read, or a file holds more than one: iPXE would take the first alone.
pub(super) fn roots(ctx: &Ctx, profile: &Profile) -> Result<Vec<Certificate>> {
    let one = |path: &String| {
        let text = fs_err::read_to_string(ctx.root.join(path))
            .explain(Kind::Config, || format!("cannot read {path}, which netboot.roots names"))?;
        match pki::certificates(&text).unwrap_or_default().as_slice() {
            [one] => Ok(one.clone()),
            other => {
                let text =
                    format!("{path} holds {} certificates; netboot.roots takes files with one", other.len());
                Err(Failure::new(Kind::Config, text).into())
            }
        }
    };
    profile.netboot.roots.iter().map(one).collect()
}

/// Seconds since 1970.
pub fn now() -> pki::Seconds {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Whether iPXE will believe what `signer` signs, before anything is built.
fn check(ctx: &Ctx, profile: &Profile, signer: &Signer) -> Result<()> {
    let trusted = roots(ctx, profile)?;
    let proof = signer.sign(b"").explain(Kind::Usage, || "the key signs nothing".to_owned())?;
    pki::verify(b"", &proof, &trusted, now()).map_err(|refusal| {
        Failure::new(Kind::Usage, format!("iPXE would refuse what this key signs: {refusal}")).help(format!(
            "netboot.roots is {:?}; `cargo xtask key new netboot --root` certifies another signer",
            profile.netboot.roots
        ))
    })?;
    if signer.until() < now() + SOON.as_secs() {
        ctx.report.warn(format!(
            "iPXE refuses this tree from {} on: certify another signer with `cargo xtask key new netboot --root`",
            signer.certificate().last_day()
        ));
    }
    Ok(())
}

/// What decides about the netboot tree of `profile`, in one line.
pub(super) fn said(profile: &Profile, signer: Option<&Signer>) -> String {
    match signer {
        None => format!(
            "netboot/ is not signed: machines run whatever answers at {} (docs/netboot.md)",
            profile.base_url
        ),
        Some(signer) => format!(
            "netboot/ is signed by {} until {}; iPXE trusts {}",
            signer.certificate().subject(),
            signer.certificate().last_day(),
            profile.netboot.roots.join(", ")
        ),
    }
}
