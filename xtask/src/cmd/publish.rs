//! `cargo xtask publish`: what the release job does, outside GitHub as well. A folder is the target: a registry
//! would need a client that nobody keeps well and small, and any web server serves a folder.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{build::Selection, dist, guard as guard_cmd, password::PasswordArgs, verify as verify_cmd};
use crate::{
    ctx::Ctx,
    error::{Failure, Kind},
    guard,
    site::{load, load::Loaded},
    verify::{self, release},
};

/// Arguments of `publish`.
#[derive(Debug, clap::Args)]
pub struct PublishArgs {
    /// The profile; the default one of media.toml unless named.
    #[arg(conflicts_with = "from")]
    pub profile: Option<String>,
    /// Take these folders, each as `dist` wrote it, instead of building: what the jobs of a matrix made.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub from: Vec<Utf8PathBuf>,
    /// The folder of the release.
    #[arg(long, value_name = "DIR")]
    pub to: Utf8PathBuf,
    /// The dated channel's name, such as 2025-11-25; the date of media.lock unless given.
    #[arg(long, value_name = "NAME")]
    pub channel: Option<String>,
    /// A minisign public key that each folder must be signed by.
    #[arg(long, value_name = "PUB")]
    pub key: Option<Utf8PathBuf>,
    /// Do it. Without this, everything is checked and the plan is printed.
    #[arg(long)]
    pub execute: bool,
}

/// Verifies, guards, collects; with --execute, writes.
///
/// # Errors
/// [`Kind::Digest`] for a broken promise, [`Kind::Leak`] for a secret; then nothing is written.
pub fn run(ctx: &Ctx, args: &PublishArgs) -> Result<()> {
    let loaded = load::load(ctx)?;
    let mut parts = Vec::new();
    for dir in folders(ctx, args)? {
        parts.push(checked(ctx, &loaded, &dir, args)?);
    }
    let dated = args.channel.clone().unwrap_or_else(|| crate::attest::date(loaded.lock.epoch));
    if !verify::sums::is_plain(&dated) || dated.contains('/') || dated.starts_with('.') {
        return Err(Failure::new(Kind::Usage, format!("`{dated}` cannot be a channel's name")).into());
    }
    let channels = [dated.as_str(), "latest"];
    let changelog = fs_err::read_to_string(ctx.root.join("CHANGELOG.md")).unwrap_or_default();
    let verb = if args.execute { "wrote" } else { "would write" };
    if args.execute {
        fs_err::create_dir_all(&args.to)?;
        let to = ctx.absolute(args.to.clone())?;
        release::write(&to, &channels, &parts, &release::notes(&changelog))?;
    }
    let lines = channels.iter().flat_map(|channel| {
        parts.iter().map(move |p| {
            format!("{verb} {}/{channel}/{}/ ({} files)", args.to, p.name(), p.manifest.outputs.len())
        })
    });
    ctx.report.out(&lines.collect::<Vec<_>>().join("\n"));
    if !args.execute {
        ctx.report.note("nothing was written; --execute writes it");
    }
    Ok(())
}

fn folders(ctx: &Ctx, args: &PublishArgs) -> Result<Vec<Utf8PathBuf>> {
    if args.from.is_empty() {
        let selection = Selection { profile: args.profile.clone(), ..Selection::default() };
        return Ok(vec![dist::build(ctx, &selection, false)?.dir]);
    }
    args.from.iter().map(|dir| ctx.absolute(dir.clone())).collect()
}

/// Verifies one folder and looks through it for secrets.
fn checked(ctx: &Ctx, loaded: &Loaded, dir: &Utf8Path, args: &PublishArgs) -> Result<release::Part> {
    let key = args.key.clone().map(|key| ctx.absolute(key)).transpose()?;
    let subject = verify_cmd::subject(ctx, loaded, dir.to_owned(), None, &PasswordArgs::default());
    let checks = subject.run(key.as_deref())?;
    checks.judge()?;
    let manifest =
        subject.manifest.ok_or_else(|| Failure::new(Kind::Digest, format!("{dir} has no manifest")))?;
    let profile = loaded.config.profile(Some(&manifest.profile))?;
    let scan = guard::scan(ctx, dir, &guard::rules(ctx))?;
    guard_cmd::show(ctx, &scan);
    scan.refuse(profile.publish_secrets)?;
    Ok(release::Part { dir: dir.to_owned(), manifest })
}
