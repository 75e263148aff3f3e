//! The key that signs programs for Secure Boot: from a file or the environment, checked against media.toml.

use std::sync::Arc;

use anyhow::Result;
use camino::Utf8PathBuf;

use super::key::KeySource;
use buildexec::ctx::{Ctx, SigningKey};
use failure::{Explain as _, Failure, Kind};
use mediabuild::builtin::sign::read_certificate;
use mediaplan::config::Profile;
use pki::Signer;

/// Sources of the key that signs programs of profiles with `secure-boot = "own-key"`, and of its password.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SecureBootKeyArgs {
    /// Sign programs for Secure Boot with this PEM file: the private key, followed by its certificate [default: the
    /// text in the variable MEDIA_SECURE_BOOT_KEY].
    #[arg(long, value_name = "FILE")]
    pub secure_boot_key: Option<Utf8PathBuf>,
    /// Take that key's password from this environment variable [default: MEDIA_SECURE_BOOT_PASSWORD].
    #[arg(long, value_name = "NAME", conflicts_with = "secure_boot_password_file")]
    pub secure_boot_password_env: Option<String>,
    /// Take that key's password from this file's first line.
    #[arg(long, value_name = "FILE")]
    pub secure_boot_password_file: Option<Utf8PathBuf>,
}

impl SecureBootKeyArgs {
    /// The context with the key in it, where `profile` is signed by one and one is given. What was signed before needs
    /// none.
    ///
    /// # Errors
    /// [`Kind::Usage`] when the key cannot be opened, is not that of the profile's certificate, or signs nothing.
    pub(super) fn with(&self, ctx: &Ctx, profile: &Profile) -> Result<Ctx> {
        let Some(path) = &profile.certificate else {
            if self.secure_boot_key.is_none() {
                return Ok(ctx.clone());
            }
            let text = format!("--secure-boot-key signs nothing of profile {}", profile.name);
            return Err(Failure::new(Kind::Usage, text)
                .help("set secure-boot = \"own-key\" in the profile, and certificate in [secure-boot]")
                .into());
        };
        let source = KeySource {
            file: self.secure_boot_key.as_ref(),
            variable: "MEDIA_SECURE_BOOT_KEY",
            password_env: self.secure_boot_password_env.as_deref(),
            password_file: self.secure_boot_password_file.as_ref(),
            password_variable: "MEDIA_SECURE_BOOT_PASSWORD",
            options: "--secure-boot-password-env or --secure-boot-password-file",
        };
        let Some(key) = source.read(ctx)? else { return Ok(ctx.clone()) };
        let signer = Signer::open_for_firmware(&key.text, key.password());
        let signer =
            signer.explain(Kind::Usage, || format!("{} cannot sign programs for Secure Boot", key.name))?;
        let certificate = read_certificate(&ctx.root.join(path))?.to_der()?;
        if signer.certificate().der() != certificate {
            let text = format!("{} is not the key of {path}, which media.toml names", key.name);
            return Err(Failure::new(Kind::Usage, text)
                .help("give the key that belongs to that certificate, or name this key's in [secure-boot]")
                .into());
        }
        let sign = Box::new(move |data: &[u8]| signer.sign_bare(data));
        Ok(Ctx { key: Some(Arc::new(SigningKey { certificate, sign })), ..ctx.clone() })
    }
}
