//! A release's folder, as `publish` writes it, becomes a release at GitHub.
//!
//! GitHub keeps files, not folders: each medium goes up as its ISO, which people take, and as one archive of its whole
//! folder, which `verify` takes. GitHub's own `latest` is the channel of that name; a tag is the dated one.

use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::{NOTES, digests, notes, write_sums};
use crate::verify::sums::{self, SHA256, SHA512};
use buildexec::ctx::Ctx;
use buildexec::{paths, tree};
use buildplan::Cmd;
use failure::{Explain as _, Failure, Kind};

/// An ISO has some hundred megabytes, and runners upload a megabyte a second at worst.
const DEADLINE: Duration = Duration::from_secs(3600);
/// What `gh` reads to know where and as whom it acts (`gh help environment`).
const FOR_GH: &[&str] = &["GH_TOKEN", "GH_HOST", "GH_REPO", "GITHUB_ACTIONS"];

/// Lays out what is uploaded of `release` in the folder `assets` beside it, so that it can be attested first; the
/// files of `programs` too.
///
/// # Errors
/// When something cannot be read or archived; [`Kind::Digest`] when two media would have one name.
pub fn assets(ctx: &Ctx, release: &Utf8Path, programs: Option<&Utf8Path>, epoch: u64) -> Result<()> {
    let assets = beside(release)?;
    tree::remove(&assets)?;
    fs_err::create_dir_all(&assets)?;
    for entry in release.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.is_dir() {
            archive(ctx, &path, &assets, epoch)?;
            image(&path, &assets)?;
        }
    }
    for file in programs.map(tree::files).transpose()?.unwrap_or_default() {
        let name = file.file_name().context("no name")?;
        fs_err::copy(programs.unwrap_or(&assets).join(&file), assets.join(name))?;
    }
    write_sums(&assets)?;
    let names: Vec<String> = paths::listed(&assets)?.into_iter().map(Utf8PathBuf::into_string).collect();
    ctx.report.out(&names.join("\n"));
    Ok(())
}

/// Creates the release `tag` of the assets beside `release`, in a workflow that the push of a tag has started: one
/// that a person starts is a rehearsal, on whatever it is started.
///
/// # Errors
/// [`Kind::Digest`] when the assets are not as their list says, [`Kind::Network`] when they cannot be uploaded.
pub fn run(ctx: &Ctx, release: &Utf8Path, tag: &str) -> Result<()> {
    let assets = beside(release)?;
    let mut there = digests(&assets)?;
    there.retain(|name, _| ![SHA256, SHA512].contains(&name.as_str()));
    if sums::read(&assets, SHA256, 64).as_ref() != Ok(&there) {
        return Err(Failure::new(Kind::Digest, format!("{assets} is not as its {SHA256} says"))
            .help("`cargo xtask ci assets` lays it out")
            .into());
    }
    let pushed = ctx.env.get("GITHUB_EVENT_NAME") == Some("push") && ctx.env.get("GH_TOKEN").is_some();
    let Some(tag) = notes::tag(tag).filter(|_| pushed) else {
        ctx.report.note("dry run: only a workflow that a pushed tag started uploads");
        return Ok(());
    };
    let notes = release.join(NOTES);
    let files = paths::listed(&assets)?.into_iter().map(|f| assets.join(f));
    let words = ["release", "create", tag, "--verify-tag", "--title", tag, "--notes-file", notes.as_str()];
    let mut cmd = Cmd::new("gh", "create the release").args(words).args(files).deadline(DEADLINE);
    for name in FOR_GH {
        cmd.env.extend(ctx.env.get(name).map(|value| ((*name).to_owned(), value.to_owned())));
    }
    ctx.runner
        .run(&cmd)
        .map(drop)
        .explain(Kind::Network, || format!("the release {tag} could not be created"))
}

fn beside(release: &Utf8Path) -> Result<Utf8PathBuf> {
    Ok(release.parent().context("a release is in a folder")?.join("assets"))
}

/// One archive of a folder, the same from everybody.
fn archive(ctx: &Ctx, folder: &Utf8Path, assets: &Utf8Path, epoch: u64) -> Result<()> {
    let (parent, name) = (folder.parent().context("no parent")?, folder.file_name().context("no name")?);
    let cmd = Cmd::new("tar", format!("archive {folder}"))
        .args(["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg("--mode=u=rwX,go=rX")
        .arg(format!("--mtime=@{epoch}"))
        .arg(format!("--file={}", assets.join(format!("{name}.tar"))))
        // A colon in the archive's path would name another host.
        .args(["--force-local", "--directory", parent.as_str(), "--", name]);
    ctx.runner.run(&cmd)?;
    Ok(())
}

/// The medium itself: `<profile>-<version>-x86_64.iso`. It does not depend on the engine, which makes what iPXE is in,
/// so that the parts of both engines hold the same one.
fn image(folder: &Utf8Path, assets: &Utf8Path) -> Result<()> {
    for file in paths::listed(folder)?.into_iter().filter(|f| f.as_str().ends_with("-x86_64.iso")) {
        let (from, to) = (folder.join(&file), assets.join(&file));
        if to.exists() && tree::digest(&from)? != tree::digest(&to)? {
            let text = format!("two parts of the release have different files {file}");
            return Err(Failure::new(Kind::Digest, text).into());
        }
        fs_err::copy(from, to)?;
    }
    Ok(())
}
