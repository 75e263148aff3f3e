//! A pinned commit out of a repository, and patches on top of it.

use anyhow::{Result, anyhow};
use camino::Utf8Path;

use buildexec::action::Call;
use buildexec::ctx::Ctx;
use buildexec::tree;
use buildplan::{Cmd, shown_url};
use failure::{Failure, Kind};
use mediaplan::config::repository;

/// `commit`, `repository` (several, tried in order), `to`.
///
/// The commit's id vouches for its files: git checks every object it receives against its name.
///
/// # Errors
/// [`Kind::Network`] with what each repository said, [`Kind::Digest`] when one gave another commit.
pub(super) fn checkout(call: &Call<'_>) -> Result<()> {
    let (ctx, commit, to) = (call.job.ctx, call.text("commit")?, call.out("to")?);
    let mut said = Vec::new();
    for repository in call.all("repository") {
        ctx.check_interrupt()?;
        if ctx.globals.offline && repository.contains("://") && !repository.starts_with("file://") {
            said.push(format!("{}: not tried, because of --offline", shown_url(repository)));
            continue;
        }
        tree::remove(&to)?;
        match clone(ctx, repository, commit, &to, call) {
            Ok(()) => return finish(ctx, commit, &to),
            Err(e) if failure::kind_of(&e) == Some(Kind::Interrupted) => return Err(e),
            Err(e) => said.push(format!("{}: {e:#}", shown_url(repository))),
        }
    }
    Err(Failure::new(Kind::Network, format!("no repository has the commit {commit}"))
        .help(match ctx.globals.offline {
            true => {
                "run it once without --offline, or name a clone that has this commit with --ipxe-repo PATH"
            }
            false => "check the network, or name a clone that has this commit with --ipxe-repo PATH",
        })
        .source(anyhow!(said.join("\n")))
        .into())
}

fn git(to: &Utf8Path, why: &str) -> Cmd {
    // No configuration of the person or the machine: line ends, hooks and templates change files.
    Cmd::new("git", why)
        .cwd(to)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        // No `ext::`, nor where a server leads on to.
        .env("GIT_ALLOW_PROTOCOL", repository::TRANSPORTS.join(":"))
        .deadline(std::time::Duration::from_secs(30 * 60))
}

/// Fetches one commit and nothing before it; a server that gives commits by their branch only is asked for all.
fn clone(ctx: &Ctx, repository: &str, commit: &str, to: &Utf8Path, call: &Call<'_>) -> Result<()> {
    repository::check(repository).map_err(|e| anyhow!("the address {e}"))?;
    fs_err::create_dir_all(to)?;
    let why = format!("fetch {}", shown_url(repository));
    // A path is relative to where the person stands, not to the scratch folder.
    let repository = if repository.contains("://") || repository.starts_with('/') {
        repository.to_owned()
    } else {
        ctx.root.join(repository).into_string()
    };
    let log = call.job.scratch.join("log");
    let run = |cmd: Cmd| ctx.runner.logged(&cmd, &log, &mut |_| {});
    run(git(to, &why).args(["init", "--quiet", "--template="]))?;
    // Another user's clone is harmless here: nothing of it is run, and the commit's id vouches for its files.
    let fetch = |options: &[&str], what: &str| {
        let cmd = git(to, &why).args(["-c", "safe.directory=*", "-c", "protocol.file.allow=always"]);
        let cmd = cmd.args(["fetch", "--quiet", "--no-tags"]).args(options.iter().copied());
        run(cmd.args(["--", &repository, what]))
    };
    fetch(&["--depth=1"], commit).or_else(|_| fetch(&[], "+refs/*:refs/remotes/all/*"))?;
    run(git(to, "check out the pinned commit").args([
        "-c",
        "core.autocrlf=false",
        "checkout",
        "--quiet",
        "--detach",
        commit,
    ]))
}

fn finish(ctx: &Ctx, commit: &str, to: &Utf8Path) -> Result<()> {
    let head = ctx.runner.run(&git(to, "read HEAD").args(["rev-parse", "HEAD"]))?.text();
    if head.trim() != commit {
        let message = format!("the repository returned commit {} instead of {commit}", head.trim());
        return Err(Failure::new(Kind::Digest, message).into());
    }
    // The history is not what is built; GITVERSION is passed on the command line.
    tree::remove(&to.join(".git"))
}

/// `tree`, `patch`. Nothing is changed unless the whole patch fits.
///
/// # Errors
/// [`Kind::Config`] with the patch and what git says of file and hunk.
pub(super) fn apply(call: &Call<'_>) -> Result<()> {
    let (tree, patch) = (call.path("tree")?, call.path("patch")?);
    let ctx = call.job.ctx;
    // Outside a repository `git apply` works on the folder it stands in; a repository around the store would
    // make it skip everything silently.
    let cmd = git(tree, "apply a patch")
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(tree).as_str())
        .args(["apply", "--verbose", "--whitespace=nowarn"])
        .arg(patch.as_str());
    let output = ctx.runner.output(&cmd)?;
    if output.success() {
        return Ok(());
    }
    let name = patch.strip_prefix(&ctx.root).unwrap_or(patch);
    // `error: patch failed: FILE:LINE` is the hunk; what it looked for stands below "while searching for".
    let error = |line: &str| Some(line.strip_prefix("error: ")?.to_owned());
    let said = output.error_text();
    let said: Vec<String> =
        said.lines().filter_map(error).filter(|l| !l.starts_with("while searching for")).collect();
    Err(Failure::new(Kind::Config, format!("{name} does not apply to the pinned iPXE"))
        .help("renew the patch against the commit in media.toml, or remove it")
        .source(anyhow!(said.join("\n")))
        .into())
}
