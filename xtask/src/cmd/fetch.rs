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
    let recorded = match args.update {
        true => Some(record(ctx, &mut loaded, &profile, args.artifacts.as_deref())?),
        false => None,
    };
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
    let (fetched, cached) = (done.built.len(), done.cached.len());
    if ctx.globals.json {
        ctx.report.out_json(&serde_json::json!({
            "profile": profile.name, "fetched": fetched, "cached": cached, "recorded": recorded,
        }));
    } else {
        ctx.report.out(&format!("{}: {fetched} fetched, {cached} there already", profile.name));
    }
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

/// What `--update` recorded in media.lock, for a script.
#[derive(Debug, Default, serde::Serialize)]
struct RecordedPins {
    files: Vec<RecordedFile>,
    packages: Option<RecordedPackages>,
}

#[derive(Debug, serde::Serialize)]
struct RecordedFile {
    name: String,
    sha256: String,
    vouched_by: String,
}

#[derive(Debug, serde::Serialize)]
struct RecordedPackages {
    recorded: usize,
    changes: Vec<String>,
    signers: Vec<String>,
}

/// Tells a person at once; a script gets one document at the end.
fn tell(ctx: &Ctx, text: &str) {
    if !ctx.globals.json {
        ctx.report.out(text);
    }
}

fn record(
    ctx: &Ctx,
    loaded: &mut Loaded,
    profile: &Profile,
    artifacts: Option<&Utf8Path>,
) -> Result<RecordedPins> {
    let mut pins = RecordedPins::default();
    let version = profile.version.as_deref().unwrap_or("");
    let artifacts = artifacts.map(|dir| ctx.absolute(dir.to_owned())).transpose()?;
    for released in profile.released() {
        let known = loaded.lock.get(&profile.name, &released.name, version);
        let locked = update::update(ctx, released, version, artifacts.as_deref(), known)?;
        let text = format!("{}: {} SHA-256 {}", profile.name, released.name, locked.sha256);
        tell(ctx, &format!("{text}\n  vouched for by {}", locked.vouched_by));
        pins.files.push(RecordedFile {
            name: released.name.clone(),
            sha256: locked.sha256.to_string(),
            vouched_by: locked.vouched_by.to_string(),
        });
        let files = loaded.lock.files.entry(profile.name.clone()).or_default();
        files.insert(released.name.clone(), locked);
    }
    // Who records a released file does not ask for other packages as well.
    if profile.media.released().is_empty() {
        pins.packages = Some(record_packages(ctx, loaded)?);
    }
    let path = ctx.root.join("media.lock");
    let new = ctx.root.join(".media.lock.new");
    fs_err::write(&new, loaded.lock.render())
        .and_then(|()| fs_err::rename(&new, &path))
        .explain(Kind::Storage, || format!("cannot write {path}"))?;
    Ok(pins)
}

/// Today's packages of the distribution, for all profiles at once: media of one day go together.
fn record_packages(ctx: &Ctx, loaded: &mut Loaded) -> Result<RecordedPackages> {
    let Loaded { config, lock, .. } = loaded;
    let today = archive::today(ctx, &config.distribution)?;
    let wanted = config.profiles().flat_map(|p| packages::wanted(&p.media, p.secure_boot)).collect();
    let mut new = today.resolve(&wanted, &lock.packages)?;
    archive::pick(ctx, &config.distribution, &mut new)?;
    let changes: Vec<_> = archive::changes(&lock.packages, &new).iter().map(ToString::to_string).collect();
    for change in &changes {
        tell(ctx, change);
    }
    let signers: Vec<String> = today.signers.iter().map(ToString::to_string).collect();
    let text = format!(
        "{} {}: {} recorded, {} changed; signed by {}",
        config.distribution.id,
        config.distribution.release,
        count(new.len(), "package"),
        changes.len(),
        signers.join(" and ")
    );
    tell(ctx, &text);
    let recorded = new.len();
    lock.packages = new;
    Ok(RecordedPackages { recorded, changes, signers })
}
