//! `cargo xtask dist`: the main job.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::{
    build::{Build, Selection},
    password::PasswordArgs,
    sign::{self, KeyPassword},
};
use buildexec::ctx::Ctx;
use buildexec::{schedule, store::Store};
use mediabuild::site::{preflight, publish::Published};
use mediaplan::stage::needs;
use report::Event;

/// Arguments of `dist`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask dist --install                    # on a fresh machine: the default profile\n\
\x20 cargo xtask dist rancheros --password-prompt  # with a password of your own\n\
\x20 cargo xtask dist rancheros --engine prebuilt  # iPXE as the distribution has it\n\
\x20 cargo xtask dist --explain                    # which node would be built, and why")]
pub struct DistArgs {
    /// What to build.
    #[command(flatten)]
    pub selection: Selection,
    /// Where the login password comes from; none is set unless it is given.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Install missing programs with apt, as root or through sudo.
    #[arg(long)]
    pub install: bool,
    /// Sign SHA256SUMS with this minisign secret key.
    #[arg(long, value_name = "FILE", conflicts_with = "explain")]
    pub sign: Option<Utf8PathBuf>,
    /// Where that key's password comes from.
    #[command(flatten)]
    pub key_password: KeyPassword,
    /// Say for each node what changed since it was last built, and build nothing.
    #[arg(long)]
    pub explain: bool,
}

/// Builds a profile's media into `dist/<profile>/`.
///
/// # Errors
/// Whatever stands in the way; `dist/<profile>/` is then as it was.
pub fn run(ctx: &Ctx, args: &DistArgs) -> Result<()> {
    let selection = Selection { password: args.password.clone(), ..args.selection.clone() };
    if args.explain {
        let loaded = mediabuild::site::load::load(ctx)?;
        let profile = loaded.config.profile(selection.profile.as_deref())?;
        let build = Build::new(ctx, &loaded, profile, &selection)?;
        return super::explain::run(ctx, &build, &build.keys()?);
    }
    let built = build(ctx, &selection, args.install)?;
    if let Some(key) = &args.sign {
        sign::with(ctx, &built.dir, key, &args.key_password)?;
    }
    show(ctx, &built.dir, built.published)
}

/// What [`build`] left.
pub(super) struct Built {
    /// The folder of the outputs.
    pub(super) dir: Utf8PathBuf,
    /// Whether they are new.
    pub(super) published: Published,
}

/// Builds what is selected, and puts it where the context says.
///
/// # Errors
/// As [`run`].
pub(super) fn build(ctx: &Ctx, selection: &Selection, install: bool) -> Result<Built> {
    let loaded = mediabuild::site::load::load(ctx)?;
    let profile = loaded.config.profile(selection.profile.as_deref())?;
    let engine = selection.engine.unwrap_or(profile.engine);
    preflight::check(ctx, &needs::dist(engine), install)?;
    let build = Build::new(ctx, &loaded, profile, selection)?;
    build.check_params()?;
    let keys = build.keys()?;
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let summary = schedule::realize(ctx, &build.planned.plan, &keys, &build.goals(), build.epoch(), &store)?;
    for id in &summary.cached {
        ctx.report.event(&Event::Cached { label: build.planned.plan.node(*id).label.clone() });
    }
    let publish = build.publish(&keys);
    Ok(Built { published: publish.run()?, dir: publish.dir() })
}

/// The result: where it is, and what it holds.
fn show(ctx: &Ctx, dir: &Utf8PathBuf, published: Published) -> Result<()> {
    let sums = fs_err::read_to_string(dir.join("SHA256SUMS"))?;
    if ctx.globals.json {
        let manifest: serde_json::Value = serde_json::from_slice(&fs_err::read(dir.join("manifest.json"))?)?;
        ctx.report.out_json(&serde_json::json!({
            "dir": dir, "changed": published == Published::Written, "manifest": manifest,
        }));
        return Ok(());
    }
    let shown = dir.strip_prefix(&ctx.root).unwrap_or(dir);
    let state = if published == Published::Written { "" } else { " (unchanged)" };
    let mut text = format!("{shown}/{state}\n");
    for line in sums.lines() {
        let (sha256, path) = line.split_once("  ").unwrap_or(("", line));
        let size = fs_err::metadata(dir.join(path))?.len();
        text += &format!("  {:>9}  {}…  {path}\n", report::table::bytes(size), &sha256[..12]);
    }
    ctx.report.out(&text);
    Ok(())
}
