//! `cargo xtask verify`: are these the expected media?

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    build::{Build, Selection},
    dist, netboot_key,
    password::PasswordArgs,
    secure_boot_key::SecureBootKeyArgs,
};
use attest::{MANIFEST, Manifest};
use buildexec::ctx::Ctx;
use buildexec::{paths, schedule, store::Store};
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::{load, load::Loaded};
use trust::verify::{
    self, Checks, FilesRead, Subject, Verdict,
    changes::Snapshot,
    expect::Expected,
    profile::{self, Wanted},
    rebuild, remote, set, sums,
};

/// Arguments of `verify`.
#[derive(Debug, Default, clap::Args)]
pub struct VerifyArgs {
    /// Folder written by `dist` or `publish`, one file of it, a single ISO, or the address of a folder.
    #[arg(value_name = "DIR|FILE|URL")]
    pub what: String,
    /// Profile that the media must be of [default: any; of a folder that is called as one is, that one].
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Minisign public key that must have signed the media.
    #[arg(long, value_name = "PUB")]
    pub key: Option<Utf8PathBuf>,
    /// Certificate that the iPXE of these media trusts [default: netboot.roots of media.toml].
    #[arg(long, value_name = "FILE")]
    pub netboot_root: Vec<Utf8PathBuf>,
    /// PCR values of a machine that booted the ISO under UEFI, as `grep . /sys/class/tpm/tpm0/pcr-sha256/*` prints
    /// them.
    #[arg(long, value_name = "FILE")]
    pub booted: Option<Utf8PathBuf>,
    /// Rebuild the media from the manifest's inputs in a separate folder, and compare every byte.
    #[arg(long, group = "sources")]
    pub rebuild: bool,
    /// Fetch the sources of kernel, initrd and GRUB and compare them (if tool versions match).
    #[arg(long, group = "sources")]
    pub fetch: bool,
    /// Treat skipped checks as failures, except an unrequested signature.
    #[arg(long)]
    pub strict: bool,
    /// Password that the media were built with.
    #[command(flatten)]
    pub password: PasswordArgs,
    /// With --rebuild: what signs programs for Secure Boot.
    #[command(flatten)]
    pub secure_boot_key: SecureBootKeyArgs,
    /// With --rebuild: clone of iPXE's repository to use instead of those in media.toml.
    #[arg(long, value_name = "PATH|URL", requires = "rebuild")]
    pub ipxe_repo: Option<String>,
    /// With --fetch or --rebuild: look for release files here before downloading.
    #[arg(long, value_name = "DIR", requires = "sources")]
    pub artifacts: Option<Utf8PathBuf>,
}

/// Makes each check and shows how it ended.
///
/// # Errors
/// [`Kind::Digest`], naming the checks that failed, with --strict also those that could not be made.
pub fn run(ctx: &Ctx, args: &VerifyArgs) -> Result<()> {
    if args.rebuild || args.fetch {
        ctx.require_repository()?;
    }
    let loaded = if ctx.has_repository { Some(load::load(ctx)?) } else { None };
    if let (Some(loaded), Some(profile)) = (&loaded, &args.profile) {
        loaded.config.profile(Some(profile))?;
    }
    let downloaded = ctx.temporary("verify-")?;
    let (dir, only) = if args.what.contains("://") {
        let dir = Utf8PathBuf::try_from(downloaded.path().to_owned())?;
        remote::get(ctx, &args.what, &dir, &remote::RemoteLimits::default())?;
        (dir, None)
    } else {
        local(ctx, &args.what)?
    };
    let whole = subject(ctx, loaded.as_ref(), dir, only, args);
    let checks = look_at(ctx, &whole, args)?;
    show(ctx, &checks);
    if whole.only.is_some() && whole.manifest.is_none() && !sums::is_there(&whole.dir, sums::SHA256) {
        ctx.report.warn("no list or manifest beside this file: only the checks shown were made");
    }
    if args.strict { checks.judge_strictly() } else { checks.judge() }
}

/// Verifies a folder that is about to be signed or published: as `verify --fetch`, with a warning about what only a
/// rebuild tells.
///
/// # Errors
/// [`Kind::Digest`], naming the checks that failed; nothing may be done with the folder then.
pub fn vouch<'a>(
    ctx: &'a Ctx,
    loaded: Option<&'a Loaded>,
    dir: &Utf8Path,
    args: &VerifyArgs,
) -> Result<Subject<'a>> {
    let whole = subject(ctx, loaded, ctx.absolute(dir.to_owned())?, None, args);
    let checks = look_at(ctx, &whole, args)?;
    checks.judge()?;
    if let Some(unknown) = checks.unknown() {
        ctx.report.warn(format!("{dir}: {unknown}"));
    }
    Ok(whole)
}

/// Every check of `whole`, also where it is a release.
fn look_at(ctx: &Ctx, whole: &Subject<'_>, args: &VerifyArgs) -> Result<Checks> {
    let key = args.key.clone().map(|key| ctx.absolute(key)).transpose()?;
    let mut checks = Checks::default();
    whole.lists(key.as_deref(), &mut checks)?;
    let parts = set::parts(whole);
    if parts.is_empty() {
        look_into(ctx, whole, args, &mut checks)?;
    } else {
        checks.add("release", set::complete(whole, &parts));
    }
    for part in &parts {
        let mut found = Checks::default();
        look_into(ctx, &subject(ctx, whole.loaded, part.dir.clone(), None, args), args, &mut found)?;
        set::add(&mut checks, part, found);
    }
    whole.unchanged(&mut checks);
    Ok(checks)
}

/// Checks one folder of media beyond its lists.
fn look_into(ctx: &Ctx, subject: &Subject<'_>, args: &VerifyArgs, checks: &mut Checks) -> Result<()> {
    if let (true, Some(manifest), Some(loaded)) = (args.fetch, &subject.manifest, subject.loaded) {
        fetch(ctx, loaded, manifest, args)?;
    }
    subject.contents(checks)?;
    verify::netboot::check(subject, roots(ctx, subject, args)?.as_deref(), netboot_key::now(), checks);
    if let Some(file) = &args.booted {
        let path = ctx.absolute(file.clone())?;
        let text = fs_err::read_to_string(&path).explain(Kind::Usage, || format!("cannot read {path}"))?;
        verify::measured::booted(subject, &text, checks);
    }
    if args.rebuild {
        build_again(ctx, subject, args, checks)?;
    }
    Ok(())
}

/// The certificates that iPXE trusts: as given, else as this repository says.
fn roots(ctx: &Ctx, subject: &Subject<'_>, args: &VerifyArgs) -> Result<Option<Vec<pki::Certificate>>> {
    let read = |file: &Utf8PathBuf| {
        let text = fs_err::read_to_string(file).unwrap_or_default();
        pki::certificates(&text)
            .filter(|c| !c.is_empty())
            .ok_or_else(|| Failure::new(Kind::Usage, format!("{file} is not a certificate in PEM")).into())
    };
    if !args.netboot_root.is_empty() {
        let all = args.netboot_root.iter().map(read).collect::<Result<Vec<_>>>()?;
        return Ok(Some(all.concat()));
    }
    let profile = subject.manifest.as_ref().map(|m| m.profile.as_str());
    let profile = subject.loaded.and_then(|l| l.config.profile(profile).ok());
    profile.filter(|p| !p.netboot.roots.is_empty()).map(|p| netboot_key::roots(ctx, p)).transpose()
}

/// Brings into the store what this machine makes of the very inputs that the manifest names: kernel and initrd out of
/// what was released, GRUB. Which packages and files those are is asked of this machine, never of the manifest; what
/// cannot be made here stays unknown.
fn fetch(ctx: &Ctx, loaded: &Loaded, manifest: &Manifest, args: &VerifyArgs) -> Result<()> {
    let profile = loaded.config.profile(Some(&manifest.profile))?;
    let build = Build::new(ctx, loaded, profile, &selection(manifest, args))?;
    let plan = &build.planned.plan;
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    for id in
        plan.ids().filter(|id| ["os", "kernel", "initrd", "grub", "files"].contains(&plan.node(*id).stage))
    {
        if let Ok(keys) = build.keys_of(&[id])
            && manifest.nodes.contains_key(&keys.key(id))
        {
            schedule::execute(ctx, plan, &keys, &[id], build.epoch(), &store)?;
        }
    }
    Ok(())
}

/// The folder, and the file in it when one is meant.
fn local(ctx: &Ctx, what: &str) -> Result<(Utf8PathBuf, Option<String>)> {
    let path = ctx.absolute(what.into())?;
    if path.is_dir() {
        refuse_folder_of_media(ctx, &path)?;
        return Ok((path, None));
    }
    // A file below `netboot/` is listed in the folder above.
    let lists = |d: &&Utf8Path| [sums::SHA256, MANIFEST].iter().any(|list| sums::is_there(d, list));
    let listing = path.ancestors().skip(1).take(2).find(lists);
    let dir = listing.or(path.parent()).map_or_else(Utf8PathBuf::new, Utf8Path::to_owned);
    let name = paths::slashed(path.strip_prefix(&dir).unwrap_or(&path));
    Ok((dir, Some(name)))
}

/// A folder that holds folders of media is a mistake of the person, not of the media. A release is listed as a whole.
fn refuse_folder_of_media(ctx: &Ctx, dir: &Utf8Path) -> Result<()> {
    let lists =
        |d: &Utf8Path| [sums::SHA256, sums::SHA512, MANIFEST].iter().any(|list| sums::is_there(d, list));
    if lists(dir) {
        return Ok(());
    }
    let mut below = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = Utf8PathBuf::try_from(entry?.path())?;
        if path.is_dir() && lists(&path) {
            below.push(path.strip_prefix(&ctx.root).unwrap_or(&path).to_string());
        }
    }
    below.sort();
    let failure = Failure::new(
        Kind::Usage,
        format!("no media in {dir}: it has neither {} nor {MANIFEST}", sums::SHA256),
    );
    Err(match below.as_slice() {
        [] => failure.help("give the folder that `dist` or `publish` wrote, such as dist/smoke"),
        [one] => failure.help(format!("did you mean {one}?")),
        several => failure.help(format!("did you mean one of {}?", several.join(", "))),
    }
    .into())
}

/// The checks of `dir`, or of the file `only` in it.
#[must_use]
pub fn subject<'a>(
    ctx: &'a Ctx,
    loaded: Option<&'a Loaded>,
    dir: Utf8PathBuf,
    only: Option<String>,
    args: &VerifyArgs,
) -> Subject<'a> {
    let before = Snapshot::of(&dir, only.as_deref());
    let manifest = verify::read_manifest(&dir).ok().flatten();
    let alone = || {
        let (config, only) = (&loaded?.config, only.as_ref()?);
        let by_name = args.profile.clone().or_else(|| profile::of_file(config, only));
        by_name.or_else(|| profile::of_iso(config, &dir.join(only)))
    };
    let profile = manifest.as_ref().map(|m| m.profile.clone()).or_else(alone);
    let expected = match (loaded, &profile) {
        (None, _) => Err(anyhow::anyhow!(verify::NO_REPOSITORY)),
        (Some(loaded), Some(profile)) => expected(ctx, loaded, profile, manifest.as_ref(), &args.password),
        (Some(_), None) => Err(anyhow::anyhow!("the profile is unknown")),
    };
    let expected = expected.map_err(|e| format!("{e:#}"));
    let wanted = wanted(args, &dir, only.is_none());
    Subject {
        ctx,
        loaded,
        dir,
        only,
        expected,
        manifest,
        profile,
        wanted,
        before,
        read: FilesRead::default(),
    }
}

/// What a person said that the media in `dir` are: by an option, or by the folder's name as they wrote it.
fn wanted(args: &VerifyArgs, dir: &Utf8Path, is_folder: bool) -> Wanted {
    let written = args.what.rsplit(['/', std::path::MAIN_SEPARATOR]).find(|part| !part.is_empty());
    let folder = written.filter(|name| ![".", ".."].contains(name)).or(dir.file_name());
    match (&args.profile, folder) {
        (Some(profile), _) => Wanted::Profile(profile.clone()),
        (None, Some(folder)) if is_folder => Wanted::Folder(folder.to_owned()),
        _ => Wanted::Anything,
    }
}

/// What this repository makes, by the engine that the manifest names.
fn expected(
    ctx: &Ctx,
    loaded: &Loaded,
    profile: &str,
    manifest: Option<&Manifest>,
    password: &PasswordArgs,
) -> Result<Expected> {
    let profile = loaded.config.profile(Some(profile))?;
    let engine = manifest.map(|m| m.engine);
    let selection = Selection { engine, password: password.clone(), ..Selection::default() };
    let build = Build::new(ctx, loaded, profile, &selection)?;
    Expected::new(ctx, build.planned, loaded.lock.epoch, manifest)
}

/// Builds into a target folder of its own, so that nothing that was built before is believed.
fn build_again(ctx: &Ctx, subject: &Subject<'_>, args: &VerifyArgs, checks: &mut Checks) -> Result<()> {
    let Some(manifest) = &subject.manifest else {
        return Err(Failure::new(Kind::Digest, "rebuilding needs a manifest").into());
    };
    let own = ctx.temporary("verify-")?;
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
        keep_secrets: false,
        samples: false,
        signer: None,
        secure_boot_key: args.secure_boot_key.clone(),
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
        vec![c.name.to_owned(), verdict.to_owned(), c.reason.clone()]
    });
    ctx.report.out_table(&["CHECK", "RESULT", "FINDING"], &rows.collect::<Vec<_>>());
}
