//! `cargo xtask fetch`: released files, and with `--update` their entries in `media.lock`.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::build::{Build, Selection};
use buildexec::ctx::Ctx;
use buildexec::{schedule, store::Store};
use buildplan::{Action, NodeId};
use failure::{Explain as _, Kind};
use mediabuild::workspace::{
    archive,
    load::{self, Loaded},
    update,
};
use mediaplan::{
    config::{Engine, Profile},
    stage::packages,
};
use report::table::count;

/// Arguments of `fetch`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask fetch rancheros                       # for `dist --offline`\n\
\x20 cargo xtask fetch --update                        # record today's packages\n\
\x20 cargo xtask fetch --update rancheros              # record a new version\n\
\x20 cargo xtask fetch --update linux --artifacts DIR  # record files of your own")]
pub struct FetchArgs {
    /// Profile [default: default-profile in media.toml].
    pub profile: Option<String>,
    /// Record in media.lock what media.toml asks for, and print what vouches for it.
    #[arg(long)]
    pub update: bool,
    /// Where iPXE comes from [default: the profile's engine]. With --update, the sources of iPXE are fetched only if
    /// this says so.
    #[arg(long, value_enum)]
    pub engine: Option<Engine>,
    /// Look for release files here before downloading.
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<Utf8PathBuf>,
}

/// Downloads and verifies what a profile needs, so that `dist --offline` works afterwards.
///
/// # Errors
/// When a file is unavailable or does not match the lock.
pub(crate) fn run(ctx: &Ctx, args: &FetchArgs) -> Result<()> {
    // Before anything is downloaded: another run may be at it.
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let mut loaded = load::load(ctx)?;
    let profile = loaded.config.profile(args.profile.as_deref())?.clone();
    if args.update {
        record(ctx, &mut loaded, &profile, args.artifacts.as_deref())?;
    }
    let selection = Selection {
        profile: args.profile.clone(),
        artifacts: args.artifacts.clone(),
        engine: args.engine,
        ..Selection::default()
    };
    let build = Build::new(ctx, &loaded, &profile, &selection)?;
    let downloads = downloads(&build, !args.update || args.engine == Some(Engine::Source));
    let keys = build.keys_of(&downloads)?;
    let done = schedule::execute(ctx, &build.planned.plan, &keys, &downloads, build.epoch(), &store)?;
    ctx.report.out(&format!(
        "{}: {} fetched, {} there already",
        profile.name,
        done.built.len(),
        done.cached.len()
    ));
    warn_of_unknown_sizes(ctx, &loaded, &profile);
    Ok(())
}

/// Names released files whose length is not recorded: only their digests tell, at the end, that a server sent others.
fn warn_of_unknown_sizes(ctx: &Ctx, loaded: &Loaded, profile: &Profile) {
    let version = profile.version.as_deref().unwrap_or("");
    for released in profile.released() {
        let known = loaded.lock.get(&profile.name, &released.name, version);
        if known.is_some_and(|known| known.size.is_none()) {
            ctx.report.warn(format!(
                "media.lock has no size for {}; `cargo xtask fetch --update {}` records it",
                released.name, profile.name
            ));
        }
    }
}

/// The nodes that need the network and nothing else; `sources` adds those of iPXE.
fn downloads(build: &Build<'_>, sources: bool) -> Vec<NodeId> {
    let plan = &build.planned.plan;
    let from_outside = |action: &Action| match action {
        Action::Fetch(_) => true,
        Action::Builtin { name, .. } => sources && *name == "git-checkout",
        _ => false,
    };
    plan.ids().filter(|id| plan.node(*id).actions.iter().any(from_outside)).collect()
}

fn record(ctx: &Ctx, loaded: &mut Loaded, profile: &Profile, artifacts: Option<&Utf8Path>) -> Result<()> {
    let version = profile.version.as_deref().unwrap_or("");
    let artifacts = artifacts.map(|dir| ctx.absolute(dir.to_owned())).transpose()?;
    for released in profile.released() {
        let known = loaded.lock.get(&profile.name, &released.name, version);
        let locked = update::update(ctx, released, version, artifacts.as_deref(), known)?;
        ctx.report.out(&format!(
            "{}: {} SHA-256 {}\n  vouched for by {}",
            profile.name, released.name, locked.sha256, locked.vouched_by
        ));
        let files = loaded.lock.files.entry(profile.name.clone()).or_default();
        files.insert(released.name.clone(), locked);
    }
    // Who records a released file does not ask for other packages as well.
    if profile.media.released().is_empty() {
        record_packages(ctx, loaded)?;
    }
    let path = ctx.root.join("media.lock");
    let new = ctx.root.join(".media.lock.new");
    fs_err::write(&new, loaded.lock.render())
        .and_then(|()| fs_err::rename(&new, &path))
        .explain(Kind::Storage, || format!("cannot write {path}"))
}

/// Today's packages of the distribution, for all profiles at once: media of one day go together.
fn record_packages(ctx: &Ctx, loaded: &mut Loaded) -> Result<()> {
    let Loaded { config, lock, .. } = loaded;
    let today = archive::today(ctx, &config.distribution)?;
    let wanted = config.profiles().flat_map(|p| packages::wanted(&p.media, p.secure_boot)).collect();
    let mut new = today.resolve(&wanted, &lock.packages)?;
    archive::pick(ctx, &config.distribution, &mut new)?;
    let changes = archive::changes(&lock.packages, &new);
    for change in &changes {
        ctx.report.out(&change.to_string());
    }
    let signers: Vec<&str> = today.signers.iter().map(String::as_str).collect();
    ctx.report.out(&format!(
        "{} {}: {} recorded, {} changed; signed by {}",
        config.distribution.id,
        config.distribution.release,
        count(new.len(), "package"),
        changes.len(),
        signers.join(" and ")
    ));
    lock.packages = new;
    Ok(())
}
