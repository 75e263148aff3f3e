//! The parts of an ISO that stay changeable: the config initrd, and the list of regions.

use anyhow::{Context as _, Result};

use bootiso::embed::{ConfigArea, Loader, MediaLayout, REGION};
use buildexec::action::Call;
use failure::{Explain as _, Kind};

/// `path`, `length`, maybe `config`, `to`.
///
/// # Errors
/// [`Kind::Config`] when the cloud-config cannot be read or does not fit.
pub(super) fn config_initrd(call: &Call<'_>) -> Result<()> {
    let Some(area) = read_config_area(call)? else { return Ok(()) };
    let bytes = area.archive(area.config.as_deref())?;
    fs_err::write(call.out("to")?, bytes)
        .explain(Kind::Storage, || "cannot write the config initrd".to_owned())
}

fn read_config_area(call: &Call<'_>) -> Result<Option<ConfigArea>> {
    let Some(path) = call.find("path") else { return Ok(None) };
    let read = |file: &str| {
        fs_err::read_to_string(file).explain(Kind::Config, || format!("cannot read the cloud-config {file}"))
    };
    let config = call.find("config").map(read).transpose()?;
    let length = call.text("length")?.parse()?;
    Ok(Some(ConfigArea { file: "/seed.cpio".to_owned(), length, path: path.to_owned(), config }))
}

/// `os`; `file`, `content`, `loader` and `args` for each of the loaders' files; the config initrd's arguments; `to`.
///
/// # Errors
/// [`Kind::Config`] when a file, made from a template of the profile's own, has no region.
pub(super) fn layout(call: &Call<'_>) -> Result<()> {
    let mut layout = MediaLayout::default();
    layout.os = Some(call.text("os")?.to_owned());
    layout.config_initrd = read_config_area(call)?;
    let fields = call.all("file").zip(call.all("content")).zip(call.all("loader").zip(call.all("args")));
    for ((file, content), (loader, args)) in fields {
        let text = fs_err::read_to_string(content).with_context(|| format!("cannot read {file}"))?;
        let loader = if loader == "grub" { Loader::Grub } else { Loader::Isolinux };
        layout.add(file, loader, &text, args, REGION)?;
    }
    fs_err::write(call.out("to")?, layout.to_json()).explain(Kind::Storage, || "cannot write it".to_owned())
}
