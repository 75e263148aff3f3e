//! `cargo xtask dist`: the main job.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::{
    build::{Build, Selection},
    netboot_key::{self, NetbootKeyArgs},
    password::PasswordArgs,
    secure_boot_key::SecureBootKeyArgs,
    sign::{self, KeyPassword},
};
use buildexec::ctx::Ctx;
use buildexec::{
    regular, schedule,
    store::{Inspection, Store, TEXT_LIMIT},
};
use buildplan::{Keys, NodeId, Plan};
use failure::{Failure, Kind};
use mediabuild::workspace::{
    load::Loaded,
    preflight,
    publish::{Damaged, Published},
};
use mediaplan::{config::Engine, stage::needs};
use report::{Event, table::count};

/// Arguments of `dist`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask dist --install                    # on a fresh machine\n\
\x20 cargo xtask dist rancheros --password-prompt  # with a password of your own\n\
\x20 cargo xtask dist rancheros --engine prebuilt  # Debian's iPXE\n\
\x20 cargo xtask dist rancheros --netboot-key keys/signer.pem  # iPXE verifies it\n\
\x20 cargo xtask dist --explain                    # what would be built, and why")]
pub struct DistArgs {
    /// What to build.
    #[command(flatten)]
    pub selection: Selection,
    /// Source of the login password; without one, no password is set.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// Keep results built with a password in the store, readable only by you, to speed up the next run.
    #[arg(long)]
    pub keep_secrets: bool,
    /// Install missing programs with apt, as root or through sudo.
    #[arg(long)]
    pub install: bool,
    /// Sign SHA256SUMS with this minisign secret key.
    #[arg(long, value_name = "FILE", conflicts_with = "explain")]
    pub sign: Option<Utf8PathBuf>,
    /// Source of that key's password.
    #[command(flatten)]
    pub key_password: KeyPassword,
    /// What signs the netboot tree.
    #[command(flatten)]
    pub netboot_key: NetbootKeyArgs,
    /// What signs programs for Secure Boot.
    #[command(flatten)]
    pub secure_boot_key: SecureBootKeyArgs,
    /// Explain for each node why it would be built; build nothing.
    #[arg(long)]
    pub explain: bool,
}

/// Builds a profile's media into `dist/<profile>/`.
///
/// # Errors
/// When anything fails; `dist/<profile>/` is then unchanged.
pub(crate) fn run(ctx: &Ctx, args: &DistArgs) -> Result<()> {
    let selection = Selection {
        password: args.password.clone(),
        keep_secrets: args.keep_secrets,
        secure_boot_key: args.secure_boot_key.clone(),
        ..args.selection.clone()
    };
    let loaded = mediabuild::workspace::load::load(ctx)?;
    let profile = loaded.config.profile(selection.profile.as_deref())?;
    if args.explain {
        let build = Build::new(ctx, &loaded, profile, &selection)?;
        return super::explain::run(ctx, &build, &build.keys()?);
    }
    // Now rather than after minutes of building.
    args.sign.clone().map(|key| ctx.absolute(key)).transpose()?;
    let signer = args.netboot_key.of(ctx, profile)?;
    let password = if args.sign.is_some() { args.password.once(ctx)? } else { args.password.clone() };
    let selection = Selection { signer: signer.clone(), password: password.clone(), ..selection };
    let built = build_loaded(ctx, &loaded, &selection, args.install)?;
    ctx.report.note(netboot_key::said(profile, signer.as_deref()));
    if let Some(key) = &args.sign {
        sign::with(ctx, &built.dir, key, &args.key_password, &password)?;
    }
    show(ctx, &built)
}

/// What [`build`] left.
pub struct Built {
    /// The folder of the outputs.
    pub dir: Utf8PathBuf,
    /// Whether they are new.
    pub published: Published,
    /// What a machine with Secure Boot does with them.
    secure_boot: &'static str,
}

/// Builds the selected media into the context's output folder.
///
/// # Errors
/// As the command.
pub fn build(ctx: &Ctx, selection: &Selection, install: bool) -> Result<Built> {
    build_loaded(ctx, &mediabuild::workspace::load::load(ctx)?, selection, install)
}

/// As [`build`], of a configuration that may differ from media.toml.
///
/// # Errors
/// As the command.
pub fn build_loaded(ctx: &Ctx, loaded: &Loaded, selection: &Selection, install: bool) -> Result<Built> {
    let profile = loaded.config.profile(selection.profile.as_deref())?;
    let engine = selection.engine.unwrap_or(profile.engine);
    preflight::can_build(std::env::consts::OS, &profile.name)?;
    preflight::check(ctx, &needs::dist(&profile.media, engine), install)
        .map_err(|e| without_compiler(e, &profile.name, engine))?;
    if engine == Engine::Source && !profile.netboot.roots.is_empty() {
        preflight::check(ctx, &needs::openssl(), install)?;
    }
    let ctx = &selection.secure_boot_key.with(ctx, profile)?;
    let build = Build::new(ctx, loaded, profile, selection)?;
    build.check_params()?;
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let dir = ctx.dist.join(&profile.name);
    let secure_boot = profile.secure_boot_outlook();
    let keys = build.keys()?;
    if is_made(ctx, &build, &keys, &store)? {
        store.forget_secrets(selection.keep_secrets)?;
        return Ok(Built { published: Published::Unchanged, dir, secure_boot });
    }
    let made = make(ctx, &build, &keys, &store).map_err(|e| build.explain_unavailable(e));
    // Whatever happened: what holds a password does not stay.
    let forgotten = store.forget_secrets(selection.keep_secrets);
    let published = made?;
    forgotten?;
    Ok(Built { published, dir, secure_boot })
}

/// Adds the way out that needs no compiler.
fn without_compiler(e: anyhow::Error, profile: &str, engine: Engine) -> anyhow::Error {
    if engine != Engine::Source || failure::kind_of(&e) != Some(Kind::MissingTool) {
        return e;
    }
    let help = failure::helps_of(&e).join("\n");
    let other = format!("`cargo xtask dist {profile} --engine prebuilt` compiles no iPXE and needs fewer");
    Failure::new(Kind::MissingTool, e.to_string()).help(format!("{help};\n{other}")).into()
}

/// Whether everything is up to date, judged by sizes and times.
fn is_made(ctx: &Ctx, build: &Build<'_>, keys: &Keys, store: &Store) -> Result<bool> {
    if !build.publish(keys).is_current()? {
        return Ok(false);
    }
    let mut cached = Vec::new();
    for id in build.goals() {
        let node = build.planned.plan.node(id);
        // What holds a secret was not kept; while `dist/` is current, it is not needed.
        if !node.private && store.find(node, keys.key(id), Inspection::Stamps, &ctx.report)?.is_none() {
            return Ok(false);
        }
        cached.push(id);
    }
    cached.sort_unstable();
    cached.dedup();
    say_cached(ctx, &build.planned.plan, &cached);
    Ok(true)
}

/// Names what the store had. The distribution's packages are dozens, and one line tells as much of them.
fn say_cached(ctx: &Ctx, plan: &Plan, cached: &[NodeId]) {
    let (packages, others): (Vec<NodeId>, Vec<_>) =
        cached.iter().partition(|id| schedule::is_package(plan.node(**id)));
    if !packages.is_empty() {
        ctx.report.event(&Event::Cached { label: count(packages.len(), "package") });
    }
    for id in others {
        ctx.report.event(&Event::Cached { label: plan.node(id).label.clone() });
    }
}

/// Builds what is missing and publishes it; repeats if the store changed in between.
fn make(ctx: &Ctx, build: &Build<'_>, keys: &Keys, store: &Store) -> Result<Published> {
    let plan = &build.planned.plan;
    let publish = build.publish(keys);
    let goals = build.goals();
    let mut tries = goals.len();
    loop {
        let summary = schedule::execute(ctx, plan, keys, &goals, build.epoch(), store)?;
        match publish.run(&summary.built) {
            Err(e) if e.is::<Damaged>() && tries > 0 => {
                ctx.report.warn(format!("{e}; rebuilding it"));
                tries -= 1;
            }
            published => {
                say_cached(ctx, plan, &summary.cached);
                return published;
            }
        }
    }
}

/// Prints the output folder and its files.
fn show(ctx: &Ctx, built: &Built) -> Result<()> {
    let Built { dir, published, secure_boot } = built;
    let published = *published;
    let sums = regular::read_text(&dir.join("SHA256SUMS"), TEXT_LIMIT)?;
    if ctx.globals.json {
        let manifest: serde_json::Value =
            serde_json::from_slice(&regular::read(&dir.join("manifest.json"), TEXT_LIMIT)?)?;
        ctx.report.out_json(&serde_json::json!({
            "dir": dir, "changed": published == Published::Written, "manifest": manifest, "secure-boot": secure_boot,
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
    ctx.report.note(*secure_boot);
    Ok(())
}
