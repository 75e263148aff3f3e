//! Takes a file out of an ISO, by our own checked reader.

use std::io;

use anyhow::Result;

use bootiso::Iso;
use buildexec::action::Call;
use failure::{Explain as _, Kind};

/// `iso`, `file` (a path, a final `*` stands for anything), `to`.
///
/// # Errors
/// [`Kind::Input`] when the ISO is damaged, or has no such file or several.
pub(super) fn extract(call: &Call<'_>) -> Result<()> {
    let (path, wanted) = (call.path("iso")?, call.text("file")?);
    let name = path.file_name().unwrap_or("the ISO");
    let message =
        || format!("cannot take {wanted} out of {name}, which is the file that media.lock asks for");
    let open = || {
        let iso = Iso::open(path)?;
        let entry = iso.find(wanted)?;
        Ok::<_, anyhow::Error>((iso, entry))
    };
    let (iso, entry) = open().explain(Kind::Input, message)?;
    let mut file = fs_err::File::create(call.out("to")?)?;
    io::copy(&mut iso.reader(&entry), &mut file).explain(Kind::Input, message)?;
    Ok(())
}
