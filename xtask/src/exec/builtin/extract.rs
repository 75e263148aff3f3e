//! Takes a file out of an ISO, by our own checked reader.

use std::io;

use anyhow::Result;

use super::Call;
use crate::{
    error::{Explain as _, Kind},
    iso::Iso,
};

/// `iso`, `file` (a path, a final `*` stands for anything), `to`.
///
/// # Errors
/// [`Kind::Input`] when the ISO is damaged, or has no such file or several.
pub(super) fn extract(call: &Call<'_>) -> Result<()> {
    let iso = Iso::open(call.path("iso")?)?;
    let entry = iso.find(call.text("file")?)?;
    let mut file = fs_err::File::create(call.out("to")?)?;
    io::copy(&mut iso.reader(&entry), &mut file)
        .explain(Kind::Input, || format!("cannot take {} out of the ISO", call.args[1].1))?;
    Ok(())
}
