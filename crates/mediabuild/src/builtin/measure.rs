//! What a TPM will have measured once an image was started.

use anyhow::Result;

use bootiso::Iso;
use buildexec::action::Call;
use failure::{Explain as _, Kind};
use secureboot::measured::Prediction;

/// `iso`, `to`.
///
/// # Errors
/// [`Kind::Input`] when no shim starts the image; [`Kind::Storage`] when the answer cannot be written.
pub(super) fn predict(call: &Call<'_>) -> Result<()> {
    let path = call.path("iso")?;
    let iso = Iso::open(path)?;
    let text = Prediction::of(&iso)
        .and_then(|prediction| prediction.to_json())
        .explain(Kind::Input, || format!("cannot predict what a TPM measures of {path}"))?;
    let to = call.out("to")?;
    fs_err::write(&to, text).explain(Kind::Storage, || format!("cannot write {to}"))
}
