//! `cargo xtask publish`: what the release job does, outside GitHub as well. A folder is the target: a registry
//! would need a client, and no small, well-kept one exists, and any web server serves a folder.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::secret_scan::show;
use buildexec::ctx::Ctx;
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::{load, load::Loaded};
use trust::release::{self, Channel, ReleaseFolder, notes};
use xtask::cmd::{
    build::Selection,
    dist,
    publish::PublishArgs,
    verify::{self as verify_cmd, VerifyArgs},
};

/// Verifies, scans for secrets, collects; with --execute, writes.
///
/// # Errors
/// [`Kind::Digest`] for a failed check, [`Kind::Leak`] for a secret, [`Kind::Usage`] where something else is in the
/// way, [`Kind::Config`] without notes; then nothing is written.
pub(crate) fn run(ctx: &Ctx, args: &PublishArgs) -> Result<()> {
    let loaded = load::load(ctx)?;
    args.from.iter().try_for_each(|dir| ctx.absolute(dir.clone()).map(|_| ()))?;
    let tag = args.tag.as_deref().and_then(notes::tag);
    let date = attest::date(loaded.lock.epoch);
    let dated = tag.map_or(date.clone(), |tag| format!("{date}-{tag}"));
    let dated = args.channel.as_ref().unwrap_or(&dated);
    // Before the media are built and scanned, which takes long.
    release::check_channel_name(dated)?;
    let notes = read_notes(ctx, tag)?;
    let mut parts = Vec::new();
    for dir in if args.from.is_empty() { vec![build(ctx, &loaded, args)?] } else { args.from.clone() } {
        parts.push(checked(ctx, &loaded, &dir, args)?);
    }
    let to = std::path::absolute(&args.to).map(Utf8PathBuf::try_from)??;
    let channels = release::plan(&to, dated, &parts)?;
    if args.execute {
        release::write(&to, &channels, &parts, &notes)?;
    } else {
        ctx.report.note("nothing was written; --execute writes the release");
    }
    if ctx.globals.json {
        ctx.report.out_json(&described(args, &channels, &parts));
        return Ok(());
    }
    let verb = if args.execute { "wrote" } else { "would write" };
    let line = |verb: &str, channel: &Channel, part: &ReleaseFolder| {
        let files = part.manifest.outputs.len();
        format!("{verb} {}/{}/{}/ ({files} files)", args.to, channel.name, part.name())
    };
    let lines = channels.iter().flat_map(|channel| {
        let new = parts.iter().map(|part| line(verb, channel, part));
        new.chain(channel.kept.iter().map(|part| line("kept", channel, part))).collect::<Vec<_>>()
    });
    ctx.report.out(&lines.collect::<Vec<_>>().join("\n"));
    Ok(())
}

/// The release for a script.
fn described(args: &PublishArgs, channels: &[Channel], parts: &[ReleaseFolder]) -> serde_json::Value {
    let folders = |parts: &[ReleaseFolder]| -> Vec<_> {
        let row = |part: &ReleaseFolder| serde_json::json!({ "name": part.name(), "files": part.manifest.outputs.len() });
        parts.iter().map(row).collect()
    };
    let row = |channel: &Channel| serde_json::json!({ "name": channel.name, "written": folders(parts), "kept": folders(&channel.kept) });
    let channels: Vec<_> = channels.iter().map(row).collect();
    serde_json::json!({ "executed": args.execute, "to": args.to, "channels": channels })
}

/// The notes, looked through as the media are: they are published as well.
fn read_notes(ctx: &Ctx, tag: Option<&str>) -> Result<String> {
    let changelog = fs_err::read_to_string(ctx.root.join("CHANGELOG.md"));
    let none = || "cannot read CHANGELOG.md, which holds the release notes".to_owned();
    let notes = notes::section(&changelog.explain(Kind::Config, none)?, tag)?;
    let dir = ctx.temporary("notes-")?;
    fs_err::write(dir.path().join(release::NOTES), &notes)?;
    let dir = Utf8Path::from_path(dir.path()).expect("it is in a folder whose name is UTF-8");
    secretscan::scan(ctx, "looking for secrets in the notes", dir, &secretscan::rules(ctx))?
        .refuse(secretscan::Allow::default())?;
    Ok(notes)
}

/// Builds what is to be published, and returns its folder.
fn build(ctx: &Ctx, loaded: &Loaded, args: &PublishArgs) -> Result<Utf8PathBuf> {
    let (profile, engine) = (args.profile.clone(), args.engine);
    let signer = args.netboot_key.of(ctx, loaded.config.profile(profile.as_deref())?)?;
    let selection = Selection { profile, engine, signer, ..Selection::default() };
    Ok(dist::build(ctx, &selection, false)?.dir)
}

/// Verifies one folder and looks through it for secrets.
fn checked(ctx: &Ctx, loaded: &Loaded, dir: &Utf8Path, args: &PublishArgs) -> Result<ReleaseFolder> {
    let what = dir.to_string();
    let asked = VerifyArgs { what, key: args.key.clone(), fetch: true, ..VerifyArgs::default() };
    let subject = verify_cmd::vouch(ctx, Some(loaded), dir, &asked)?;
    let verified = Some(subject.digests()?);
    let manifest =
        subject.manifest.ok_or_else(|| Failure::new(Kind::Digest, format!("{dir} has no manifest")))?;
    manifest.check_names().map_err(|e| Failure::new(Kind::Digest, format!("{dir}: {e}")))?;
    let profile = loaded.config.profile(Some(&manifest.profile))?;
    let label = format!("looking for secrets in {dir}");
    let scan = secretscan::scan(ctx, &label, dir, &secretscan::rules(ctx))?;
    show(ctx, &scan);
    scan.refuse(secretscan::Allow { secrets: profile.publish_secrets, unread: false })?;
    Ok(ReleaseFolder { dir: dir.to_owned(), manifest, verified })
}
