//! What a person's key signs for Secure Boot. The key comes from the context, and what comes out is a function of the
//! node's inputs alone: of all keys, one fits the certificate.

use anyhow::Result;
use camino::Utf8Path;
use secureboot::{RsaCertificate, sign};

use buildexec::{action::Call, ctx::SigningKey};
use failure::{Explain as _, Failure, Kind};

/// `program`, `certificate`, `to`.
///
/// # Errors
/// [`Kind::Usage`] without the certificate's key; [`Kind::Config`] when it is not an EFI program.
pub(super) fn program(call: &Call<'_>) -> Result<()> {
    let certificate = certificate(call)?;
    let key = key(call, &certificate)?;
    let file = call.path("program")?;
    let signed = sign::sign(&fs_err::read(file)?, &certificate, &*key.sign).explain(Kind::Config, || {
        let name = file.file_name().unwrap_or_default();
        format!("{name} cannot be signed for Secure Boot; a kernel must be built with CONFIG_EFI_STUB")
    })?;
    write(call, "to", &signed)
}

/// `certificate`; `cer`, `list`.
///
/// # Errors
/// [`Kind::Config`] when the certificate cannot be read.
pub(super) fn firmware_key(call: &Call<'_>) -> Result<()> {
    let certificate = certificate(call)?;
    write(call, "cer", &certificate.to_der()?)?;
    write(call, "list", &sign::key_list(&certificate)?)
}

/// `certificate`, `to`.
///
/// # Errors
/// As [`program`].
pub(super) fn key_update(call: &Call<'_>) -> Result<()> {
    let certificate = certificate(call)?;
    let key = key(call, &certificate)?;
    write(call, "to", &sign::key_update(&certificate, &*key.sign, call.job.epoch)?)
}

fn write(call: &Call<'_>, to: &str, bytes: &[u8]) -> Result<()> {
    let to = call.out(to)?;
    fs_err::write(&to, bytes).explain(Kind::Storage, || format!("cannot write {to}"))
}

fn certificate(call: &Call<'_>) -> Result<RsaCertificate> {
    read_certificate(call.path("certificate")?)
}

/// The one certificate in a PEM file.
///
/// # Errors
/// [`Kind::Config`] when it cannot be read, or holds another number of them.
pub fn read_certificate(path: &Utf8Path) -> Result<RsaCertificate> {
    let text = fs_err::read_to_string(path).explain(Kind::Config, || format!("cannot read {path}"))?;
    let mut all = RsaCertificate::from_pem(&text).explain(Kind::Config, || format!("cannot read {path}"))?;
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (_, more) => {
            let text = format!("{path} holds {} certificates; secure-boot takes one", more + 1);
            Err(Failure::new(Kind::Config, text).into())
        }
    }
}

fn key<'c>(call: &'c Call<'_>, certificate: &RsaCertificate) -> Result<&'c SigningKey> {
    let key = call.job.ctx.key.as_deref();
    match key.filter(|key| RsaCertificate::from_der(&key.certificate).as_ref() == Ok(certificate)) {
        Some(key) => Ok(key),
        None => {
            let text =
                format!("only the key of `{}` makes this: {}", certificate.subject(), call.job.label());
            Err(Failure::new(Kind::Usage, text)
                .help("give the key with --secure-boot-key FILE or in the variable MEDIA_SECURE_BOOT_KEY")
                .into())
        }
    }
}
