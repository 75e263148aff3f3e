//! A release's folder, as `publish` writes it, becomes a release at GitHub.
//!
//! GitHub keeps files, not folders: each medium goes up as its ISO, which people take, and as one archive of its whole
//! folder, which `verify` takes. GitHub's own `latest` is the channel of that name; a tag is the dated one.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::cmd;

use crate::{
    ctx::Ctx,
    dev::shell,
    error::{Explain as _, Kind},
    exec::tree,
    plan::Cmd,
};

/// Lays out the files in `assets` beside `release`, and creates the release `tag` with them in a workflow that a tag
/// has started.
///
/// # Errors
/// When something cannot be read, archived or uploaded.
pub fn run(ctx: &Ctx, release: &Utf8Path, tag: &str, epoch: u64) -> Result<()> {
    let assets = release.parent().context("a release is in a folder")?.join("assets");
    tree::remove(&assets)?;
    fs_err::create_dir_all(&assets)?;
    for entry in release.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.is_dir() {
            archive(ctx, &path, &assets, epoch)?;
            image(&path, &assets)?;
        }
    }
    sums(&assets)?;
    let files: Vec<Utf8PathBuf> = tree::files(&assets)?.into_iter().map(|f| assets.join(f)).collect();
    let names: Vec<_> = files.iter().filter_map(|f| f.file_name()).collect();
    ctx.report.out(&format!("{tag}:\n  {}", names.join("\n  ")));
    let tagged = ctx.env.get("GITHUB_REF").is_some_and(|r| r.starts_with("refs/tags/"));
    if ctx.env.get("GH_TOKEN").is_none() || !tagged {
        ctx.report.note("a rehearsal: only a workflow that a tag started uploads");
        return Ok(());
    }
    let sh = shell(ctx)?;
    let notes = release.join("NOTES.md");
    cmd!(sh, "gh release create {tag} --verify-tag --title {tag} --notes-file {notes} {files...}")
        .run()
        .explain(Kind::Network, || format!("the release {tag} could not be created"))
}

/// One archive of a folder, the same from everybody.
fn archive(ctx: &Ctx, folder: &Utf8Path, assets: &Utf8Path, epoch: u64) -> Result<()> {
    let (parent, name) = (folder.parent().context("no parent")?, folder.file_name().context("no name")?);
    let cmd = Cmd::new("tar", format!("archive {folder}"))
        .args(["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg("--mode=u=rwX,go=rX")
        .arg(format!("--mtime=@{epoch}"))
        .arg(format!("--file={}", assets.join(format!("{name}.tar"))))
        .args(["--directory", parent.as_str(), name]);
    ctx.runner.run(&cmd)?;
    Ok(())
}

/// The medium itself: `<profile>-<version>-x86_64.iso`.
fn image(folder: &Utf8Path, assets: &Utf8Path) -> Result<()> {
    for file in tree::files(folder)?.into_iter().filter(|f| f.as_str().ends_with("-x86_64.iso")) {
        fs_err::copy(folder.join(&file), assets.join(&file))?;
    }
    Ok(())
}

/// `SHA256SUMS` of the files as they are downloaded; those inside each archive are their own.
fn sums(assets: &Utf8Path) -> Result<()> {
    let mut text = String::new();
    for file in tree::files(assets)? {
        text += &format!("{}  {file}\n", tree::digest(&assets.join(&file))?.0);
    }
    Ok(fs_err::write(assets.join("SHA256SUMS"), text)?)
}
