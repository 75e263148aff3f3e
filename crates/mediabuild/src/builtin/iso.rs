//! An ISO out of its parts, and what it must be, to compare an existing one with.

use anyhow::{Result, bail};

use super::iso_file::IsoParts;
use bootiso::write::{BootImage, FileSpec, ImageLayout, Spec};
use buildexec::action::Call;
use buildplan::{Arg, Digest, IsoSpec, Product};
use failure::{Failure, Kind};

/// The node's [`IsoSpec`], `to`.
///
/// # Errors
/// When a part cannot be read or put into an image, or the image cannot be written.
pub(super) fn image(call: &Call<'_>) -> Result<()> {
    let Some(Product::Iso(iso)) = &call.node().product else { bail!("`{}` plans no ISO", call.job.label()) };
    let part = |(path, content): &(String, Arg)| Ok((path.clone(), call.job.text(content)?));
    let parts = iso.files.iter().map(part).collect::<Result<Vec<_>>>()?;
    let files: Vec<(&str, &str)> = parts.iter().map(|(path, file)| (path.as_str(), file.as_str())).collect();
    let code = fs_err::read(call.job.text(&iso.code)?)?;
    let length = |path: &str| {
        let file = files.iter().find(|(p, _)| *p == path).map_or("", |(_, file)| file);
        Ok(fs_err::metadata(file)?.len())
    };
    let layout = plan(&spec(iso, call.job.epoch, length, code)?)?;
    let to = call.out("to")?;
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

/// How the writer is told of `iso`. `length` is the size of the file at a path, `code` the code of the first sector.
///
/// # Errors
/// When `length` fails.
pub fn spec(iso: &IsoSpec, epoch: u64, length: impl Fn(&str) -> Result<u64>, code: Vec<u8>) -> Result<Spec> {
    let part = |path: &String| Ok(FileSpec { path: path.clone(), length: length(path)? });
    let digest = Digest::of(format!("{}\0{epoch}", iso.label).as_bytes());
    Ok(Spec {
        label: iso.label.clone(),
        time: epoch,
        id: digest.bytes()[..16].try_into().expect("a digest has 32 bytes"),
        files: iso.files.iter().map(|(path, _)| part(path)).collect::<Result<_>>()?,
        boot: BootImage { code, bios: iso.bios.clone(), catalog: iso.catalog.clone(), efi: iso.efi.clone() },
    })
}
