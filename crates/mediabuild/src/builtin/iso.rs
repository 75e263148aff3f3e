//! An ISO out of its parts, and what it must be, for those who hold one against its parts.

use anyhow::{Context as _, Result};

use super::iso_file::IsoParts;
use bootiso::write::{BootImage, ImageFile as Part, ImageLayout, Spec};
use buildexec::action::Call;
use buildplan::Digest;
use failure::{Failure, Kind};

/// `label`, `epoch`, `code` (of the first sector), `bios`, `catalog`, maybe `efi`; pairs of `path` and `content` in the
/// order in which they lie; `to`.
///
/// # Errors
/// When a part cannot be read or put into an image, or the image cannot be written.
pub(super) fn image(call: &Call<'_>) -> Result<()> {
    let code = fs_err::read(call.text("code")?)?;
    let length = |file: &String| Ok(fs_err::metadata(file)?.len());
    let spec = spec(&call.args, Clone::clone, length, code)?;
    let layout = plan(&spec)?;
    let to = call.out("to")?;
    let files = call.all("path").zip(call.all("content")).collect();
    let sums = IsoParts { layout: &layout, files }.write(&call.job.ctx.work, &to)?;
    call.job.written(&to, sums);
    Ok(())
}

/// The image of a specification.
///
/// # Errors
/// [`Kind::Config`] when a name or a size cannot be put into an image.
pub fn plan(spec: &Spec) -> Result<ImageLayout> {
    ImageLayout::plan(spec).map_err(|e| Failure::new(Kind::Config, e.to_string()).into())
}

/// The specification that the arguments of this builtin give. `text` reads an argument, `length` is the size of a part.
///
/// # Errors
/// When an argument is missing, or `length` fails.
pub fn spec<T>(
    args: &[(&'static str, T)],
    text: impl Fn(&T) -> String,
    length: impl Fn(&T) -> Result<u64>,
    code: Vec<u8>,
) -> Result<Spec> {
    let all = |label: &'static str| args.iter().filter(move |(l, _)| *l == label).map(|(_, arg)| arg);
    let find = |label: &'static str| all(label).next().map(&text);
    let need = |label: &'static str| find(label).with_context(|| format!("an ISO without `{label}`"));
    let (label, epoch) = (need("label")?, need("epoch")?);
    let files = all("path")
        .zip(all("content"))
        .map(|(path, content)| Ok(Part { path: text(path), length: length(content)? }))
        .collect::<Result<Vec<_>>>()?;
    let digest = Digest::of(format!("{label}\0{epoch}").as_bytes());
    Ok(Spec {
        label,
        time: epoch.parse().context("the date of an ISO is not a number")?,
        id: digest.bytes()[..16].try_into().expect("a digest has 32 bytes"),
        files,
        boot: BootImage { code, bios: need("bios")?, catalog: need("catalog")?, efi: find("efi") },
    })
}
