//! `cargo xtask verify`: are these the media that were promised?

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    build::{Build, Selection},
    dist,
    password::PasswordArgs,
};
use crate::{
    attest::Manifest,
    config::Engine,
    ctx::Ctx,
    error::{Failure, Kind},
    exec::builtin,
    report::table::table,
    site::{load, load::Loaded},
    stage::host::Host,
    verify::{self, Checks, Subject, Verdict, rebuild, remote, sums},
};

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// A folder as `dist` writes it, one file of such a folder, an ISO alone, or the address of a folder.
    #[arg(value_name = "DIR|FILE|URL")]
    pub what: String,
    /// A minisign public key: the media must be signed by it.
    #[arg(long, value_name = "PUB")]
    pub key: Option<Utf8PathBuf>,
    /// Build the media again from what the manifest names, in a folder of its own, and compare every byte.
    #[arg(long)]
    pub rebuild: bool,
    /// The password that the media were made with, which the parameters hold.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// With --rebuild: a clone of iPXE's repository, tried instead of those in media.toml.
    #[arg(long, value_name = "PATH|URL", requires = "rebuild")]
    pub ipxe_repo: Option<String>,
    /// With --rebuild: a folder that is searched for released files before the network is.
    #[arg(long, value_name = "DIR", requires = "rebuild")]
    pub artifacts: Option<Utf8PathBuf>,
}

/// Checks each promise and shows how it stands.
///
/// # Errors
/// [`Kind::Digest`], naming the promises that are broken.
pub fn run(ctx: &Ctx, args: &VerifyArgs) -> Result<()> {
    let loaded = load::load(ctx)?;
    let downloaded = temporary(ctx)?;
    let (dir, only) = if args.what.contains("://") {
        let dir = Utf8PathBuf::try_from(downloaded.path().to_owned())?;
        remote::get(ctx, &args.what, &dir)?;
        (dir, None)
    } else {
        local(ctx, &args.what)?
    };
    let key = args.key.clone().map(|key| ctx.absolute(key)).transpose()?;
    let subject = subject(ctx, &loaded, dir, only, &args.password);
    let mut checks = subject.run(key.as_deref())?;
    if args.rebuild {
        build_again(ctx, &subject, args, &mut checks)?;
    }
    show(ctx, &checks);
    checks.judge()
}

/// A folder that goes away at the end, on the file system of the store.
fn temporary(ctx: &Ctx) -> Result<tempfile::TempDir> {
    fs_err::create_dir_all(&ctx.work)?;
    Ok(tempfile::Builder::new().prefix("verify-").tempdir_in(&ctx.work)?)
}

/// The folder, and the file in it when one is meant.
fn local(ctx: &Ctx, what: &str) -> Result<(Utf8PathBuf, Option<String>)> {
    let path = ctx.absolute(what.into())?;
    if path.is_dir() {
        return Ok((path, None));
    }
    // A file below `netboot/` is listed in the folder above.
    let listing = path.ancestors().skip(1).take(2).find(|d| d.join(sums::SHA256).is_file());
    let dir = listing.or(path.parent()).map_or_else(Utf8PathBuf::new, Utf8Path::to_owned);
    let name = path.strip_prefix(&dir).unwrap_or(&path).to_string();
    Ok((dir, Some(name)))
}

/// What there is to check in `dir`, or of the file `only` in it.
pub(super) fn subject<'a>(
    ctx: &'a Ctx,
    loaded: &'a Loaded,
    dir: Utf8PathBuf,
    only: Option<String>,
    password: &PasswordArgs,
) -> Subject<'a> {
    let manifest = verify::read_manifest(&dir).ok().flatten();
    let by_name = |name: &String| {
        let of = |p: &&crate::config::Profile| {
            name.strip_prefix(&p.name).is_some_and(|rest| rest.starts_with('-'))
        };
        loaded.config.profiles().filter(of).max_by_key(|p| p.name.len()).map(|p| p.name.clone())
    };
    let profile = manifest.as_ref().map(|m| m.profile.clone()).or_else(|| only.as_ref().and_then(by_name));
    let engine = manifest.as_ref().map(|m| m.engine);
    let texts = match &profile {
        Some(profile) => texts(ctx, loaded, profile, engine, password).map_err(|e| format!("{e:#}")),
        None => Err("nothing tells which profile it is".to_owned()),
    };
    Subject { ctx, loaded, dir, only, texts, manifest, profile }
}

/// What this repository makes of its templates. The machine does not matter to them: one is made up.
fn texts(
    ctx: &Ctx,
    loaded: &Loaded,
    profile: &str,
    engine: Option<Engine>,
    password: &PasswordArgs,
) -> Result<std::collections::BTreeMap<String, String>> {
    let profile = loaded.config.profile(Some(profile))?;
    let selection = Selection { engine, password: password.clone(), ..Selection::default() };
    let build = Build::on(ctx, loaded, profile, &selection, &Host::sample())?;
    build.planned.plan.nodes.iter().filter_map(|node| builtin::text(&ctx.root, node).transpose()).collect()
}

/// Builds into a target folder of its own, so that nothing that was built before is believed.
fn build_again(ctx: &Ctx, subject: &Subject<'_>, args: &VerifyArgs, checks: &mut Checks) -> Result<()> {
    let Some(manifest) = &subject.manifest else {
        return Err(
            Failure::new(Kind::Digest, "without a manifest there is nothing to build again from").into()
        );
    };
    let own = temporary(ctx)?;
    let own_dir = Utf8PathBuf::try_from(own.path().to_owned())?;
    let inner = Ctx { work: own_dir.join("media"), dist: own_dir.join("dist"), ..ctx.clone() };
    let built = dist::build(&inner, &selection(manifest, args), false)?;
    rebuild::compare(&subject.dir, &built.dir, manifest, checks)
}

fn selection(manifest: &Manifest, args: &VerifyArgs) -> Selection {
    Selection {
        profile: Some(manifest.profile.clone()),
        engine: Some(manifest.engine),
        ipxe_repo: args.ipxe_repo.clone(),
        password: args.password.clone(),
        artifacts: args.artifacts.clone(),
    }
}

fn show(ctx: &Ctx, checks: &Checks) {
    if ctx.globals.json {
        return ctx.report.out_json(&checks.0);
    }
    let rows = checks.0.iter().map(|c| {
        let verdict = match c.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "skip",
        };
        vec![c.promise.to_owned(), verdict.to_owned(), c.reason.clone()]
    });
    ctx.report.out(&table(&["PROMISE", "", "SEEN"], &rows.collect::<Vec<_>>()));
}
