//! Builds the same media twice under conditions that have nothing in common (`varied`), and compares every
//! byte.

use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::{
    compare::{self, Same},
    varied::{self, Conditions, NOBODY, VariedBuild},
};
use buildexec::ctx::Ctx;
use buildexec::tree;
use buildplan::Cmd;
use mediaplan::config::Engine;
use report::table::table;

/// What is built twice.
pub(crate) struct Pair<'a> {
    /// Name of the profile to build twice.
    pub profile: &'a str,
    /// Where iPXE comes from.
    pub engine: Engine,
    /// A clone of iPXE, if given.
    pub ipxe_repo: Option<&'a str>,
    /// A folder of released files, if given; absolute.
    pub artifacts: Option<&'a Utf8Path>,
}

/// Builds both, compares, and prints the digests.
///
/// # Errors
/// [`failure::Kind::Digest`] when a byte differs; what the builds say when one fails.
pub(crate) fn run(ctx: &Ctx, pair: &Pair<'_>) -> Result<()> {
    let dir = ctx.work.join("reproducible");
    tree::remove(&dir)?;
    let mut named = tempfile::Builder::new();
    named.prefix("media-the-second-build-in-a-longer-folder-");
    let other = match varied::memory() {
        Some(memory) => named.tempdir_in(memory),
        None => named.tempdir(),
    }?;
    let other = Utf8Path::from_path(other.path()).context("the temporary folder is not UTF-8")?;
    let Conditions { mut first, mut second, rows } = varied::conditions(ctx, &dir, other)?;
    if let Some(repository) = pair.ipxe_repo {
        first.repository = Some(repository.to_owned());
        second.repository = Some(clone_for(ctx, repository, other)?);
    }
    ctx.report.note(table(&["VARIED", "FIRST", "SECOND"], &rows));
    // Both before either is built: an edit or a compile in between is not a difference of the two.
    populate(ctx, &first, false)?;
    populate(ctx, &second, true)?;
    for (name, build) in [("first", &first), ("second", &second)] {
        ctx.report.task(&format!("the {name} build"), || {
            make(ctx, pair, build, &dir.join(format!("{name}.log")))
        })?;
    }
    let of = |build: &VariedBuild| build.root.join("dist").join(pair.profile);
    let same = compare::trees(&of(&first), &of(&second))?;
    ctx.report.out(&compare::table(&same, "SECOND BUILD"));
    let Err(failure) = compare::judge(&same) else { return Ok(()) };
    let kept = dir.join("differences");
    for file in same.iter().filter(|s| s.difference.is_some()) {
        keep(ctx, file, &of(&first), &of(&second), &kept)?;
    }
    Err(failure.help(format!("both are kept in {kept}")).into())
}

/// git takes nothing from a folder that belongs to somebody else, so the other user gets a clone of their own.
fn clone_for(ctx: &Ctx, repository: &str, other: &Utf8Path) -> Result<String> {
    if repository.contains("://") {
        return Ok(repository.to_owned());
    }
    let to = other.join("ipxe.git");
    let from = ctx.absolute(repository.into())?;
    ctx.runner.run(&Cmd::new("git", "clone iPXE").args([
        "clone",
        "--quiet",
        "--bare",
        from.as_str(),
        to.as_str(),
    ]))?;
    Ok(to.into_string())
}

/// Copies what git has under its care, and the running program, so that both builds stand alone.
fn populate(ctx: &Ctx, build: &VariedBuild, reverse: bool) -> Result<()> {
    let cmd = Cmd::new("git", "list the repository's files").args(["ls-files", "-z"]);
    let listed = ctx.runner.run(&cmd)?.text();
    let mut files: Vec<&str> = listed.split('\0').filter(|f| !f.is_empty()).collect();
    if reverse {
        files.reverse();
    }
    for file in files {
        let to = build.root.join(file);
        fs_err::create_dir_all(to.parent().expect("a file is in a folder"))?;
        fs_err::copy(ctx.root.join(file), to)?;
    }
    let program = std::env::current_exe().context("cannot find the running program")?;
    fs_err::copy(program, build.root.join("xtask-program"))?;
    if build.wrappers.iter().any(|w| w == "setpriv") {
        let folder = build.root.parent().expect("it is in the temporary folder");
        let owner = format!("{NOBODY}:{NOBODY}");
        ctx.runner.run(&Cmd::new("chown", "give the files away").args(["-R", &owner, folder.as_str()]))?;
    }
    Ok(())
}

fn make(ctx: &Ctx, pair: &Pair<'_>, build: &VariedBuild, log: &Utf8Path) -> Result<()> {
    let jobs = build.jobs.to_string();
    let engine = if pair.engine == Engine::Source { "source" } else { "prebuilt" };
    let program = build.root.join("xtask-program");
    let mut words: Vec<&str> = build.wrappers.iter().map(String::as_str).collect();
    words.extend([program.as_str(), "--jobs", &jobs, "dist", pair.profile, "--engine", engine]);
    words.extend(build.repository.iter().flat_map(|r| ["--ipxe-repo", r.as_str()]));
    words.extend(pair.artifacts.iter().flat_map(|dir| ["--artifacts", dir.as_str()]));
    let mut cmd = Cmd::new("sh", format!("build in {}", build.root))
        .arg("-c")
        .arg(format!("umask {}; exec \"$@\"", build.umask))
        .arg("sh")
        .args(words)
        .env("MEDIA_ROOT", build.root.as_str())
        .cwd(&build.root)
        .deadline(Duration::from_secs(45 * 60));
    for (name, value) in &build.env {
        cmd = cmd.env(name, value);
    }
    ctx.runner.logged(&cmd, log, &mut |_| {})
}

/// Keeps both files, and what diffoscope has to say where it is installed.
fn keep(ctx: &Ctx, file: &Same, first: &Utf8Path, second: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let name = file.path.as_str().replace('/', "_");
    let (a, b) = (to.join(format!("first-{name}")), to.join(format!("second-{name}")));
    fs_err::create_dir_all(to)?;
    for (from, copy) in [(first, &a), (second, &b)] {
        let from = from.join(&file.path);
        if from.exists() {
            fs_err::copy(from, copy)?;
        }
    }
    if ctx.find_program("diffoscope").is_none() || !a.exists() || !b.exists() {
        return Ok(());
    }
    let text = to.join(format!("{name}.diffoscope.txt"));
    let cmd =
        Cmd::new("diffoscope", "compare two files").args(["--text", text.as_str(), a.as_str(), b.as_str()]);
    // It exits with 1 when files differ, as they do.
    let said = ctx.runner.output(&cmd)?;
    if said.code != Some(1) {
        let why = said.error_text();
        ctx.report.warn(format!("diffoscope could not compare {name}: {}", why.lines().last().unwrap_or("")));
    }
    Ok(())
}
