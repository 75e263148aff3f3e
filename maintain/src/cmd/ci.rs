//! `cargo xtask ci`: what the workflows call, and the workflows themselves on this machine.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::ci::{
    change, finish, issue, local,
    matrix::matrix,
    output,
    pins::{self, PinReport},
    program,
    reproducible::{self, Pair},
};
use buildexec::ctx::Ctx;
use buildplan::{NodeId, Resource};
use failure::{Kind, kind_of};
use mediabuild::workspace::{
    archive,
    load::{self, Loaded},
    preflight,
};
use mediaplan::config::{Lock, LockedPackage};
use mediaplan::stage::{needs, packages};
use trust::release::upload;
use vmspec::scenario;
use xtask::cmd::{
    build::{Build, Selection},
    ci::{CiArgs, CiCommand, Purpose},
};

pub(crate) fn run(ctx: &Ctx, args: &CiArgs) -> Result<()> {
    match &args.command {
        CiCommand::Matrix { purpose } => print_matrix(ctx, *purpose),
        CiCommand::CacheKey { selection, install } => cache_key(ctx, selection, *install),
        CiCommand::Finish => finish::check(ctx.env.get("NEEDS")),
        CiCommand::Pins { issue, change, dry_run, install } => {
            print_pins(ctx, PinActions { issue: *issue, change: *change, dry_run: *dry_run }, *install)
        }
        CiCommand::Relations { packages } => relations(ctx, packages),
        CiCommand::Reproducible { selection, install } => build_twice(ctx, selection, *install),
        CiCommand::Assets { release, programs } => {
            let release = ctx.absolute(release.clone())?;
            let programs = programs.clone().map(|dir| ctx.absolute(dir)).transpose()?;
            upload::assets(ctx, &release, programs.as_deref(), load::load(ctx)?.lock.epoch)
        }
        CiCommand::Program { to, install } => {
            if cfg!(target_os = "linux") {
                preflight::check(ctx, &needs::program(), *install)?;
            }
            program::build(ctx, to)
        }
        CiCommand::Upload { release, tag } => upload::run(ctx, &ctx.absolute(release.clone())?, tag),
        CiCommand::Run { workflow, choice } => local::run(ctx, workflow, choice),
    }
}

fn print_matrix(ctx: &Ctx, purpose: Purpose) -> Result<()> {
    let loaded = load::load(ctx)?;
    let mut firmware: Vec<String> =
        scenario::ALL.iter().map(|s| format!("{:?}", s.firmware).to_lowercase()).collect();
    firmware.sort();
    firmware.dedup();
    let matrix = matrix(&loaded.config, &loaded.lock, purpose, &firmware.join("+"));
    output::set(ctx, "matrix", &serde_json::to_string(&matrix)?)
}

fn cache_key(ctx: &Ctx, selection: &Selection, install: bool) -> Result<()> {
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(selection.profile.as_deref())?;
    let engine = selection.engine.unwrap_or(profile.engine);
    preflight::check(ctx, &needs::dist(&profile.media, engine), install)?;
    let build = Build::new(ctx, &loaded, profile, selection)?;
    let keys = build.keys()?;
    let slow = |id: &NodeId| build.planned.plan.node(*id).resource == Resource::AllCpus;
    let objects = keys.ids().find(slow);
    let node = objects.or_else(|| build.goals().first().copied()).expect("every profile has an output");
    output::set(
        ctx,
        "key",
        &format!("store-{}-{}", build.planned.plan.node(node).stage, keys.key(node).short(16)),
    )
}

fn relations(ctx: &Ctx, files: &[Utf8PathBuf]) -> Result<()> {
    let wanted = packages::all_wanted();
    let read = |path: &Utf8PathBuf| fs_err::read_to_string(path).map_err(anyhow::Error::from);
    let texts = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    ctx.report.out(archive::reduced(&texts, &wanted)?.trim_end());
    Ok(())
}

fn build_twice(ctx: &Ctx, selection: &Selection, install: bool) -> Result<()> {
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(selection.profile.as_deref())?;
    let engine = selection.engine.unwrap_or(profile.engine);
    let mut needs = needs::dist(&profile.media, engine);
    if install {
        // Without them less is varied, which is said.
        needs.extend(needs::pair());
    }
    preflight::check(ctx, &needs, install)?;
    let artifacts = selection.artifacts.clone().or(ctx.env.get("MEDIA_ARTIFACTS").map(Into::into));
    let artifacts = artifacts.map(|dir| ctx.absolute(dir)).transpose()?;
    let pair = Pair {
        profile: &profile.name,
        engine,
        ipxe_repo: selection.ipxe_repo.as_deref().or(ctx.env.get("MEDIA_IPXE_REPO")),
        artifacts: artifacts.as_deref(),
    };
    reproducible::run(ctx, &pair)
}

/// What to do about pins that are not as they were.
#[derive(Clone, Copy)]
struct PinActions {
    issue: bool,
    change: bool,
    dry_run: bool,
}

fn print_pins(ctx: &Ctx, actions: PinActions, install: bool) -> Result<()> {
    let loaded = load::load(ctx)?;
    if install {
        preflight::check(ctx, &needs::update(&loaded.config.distribution.keyring), install)?;
    }
    let writes = actions.issue || actions.change;
    let rehearsal = writes && ctx.env.get("GH_TOKEN").is_none();
    let report = match pins::report(ctx, &loaded) {
        // The nightly's steps are run where GitHub cannot be reached, too.
        Err(e) if rehearsal && kind_of(&e) == Some(Kind::Network) => {
            ctx.report.warn(format!("{e}; with GH_TOKEN this would fail"));
            return Ok(());
        }
        other => other?,
    };
    let Some(PinReport { body, packages }) = report else {
        ctx.report.out("every pin exists, and nothing newer was found");
        return Ok(());
    };
    ctx.report.out(&body);
    output::summary(ctx, &body)?;
    let lock = packages.map(|packages| new_lock(ctx, &loaded, packages)).transpose()?;
    match lock {
        Some(lock) if actions.dry_run => change::show(ctx, &lock, &body)?,
        Some(lock) if actions.change && !rehearsal => change::open(ctx, &lock, &body)?,
        _ => {}
    }
    if actions.issue && !rehearsal { issue::write(ctx, &body) } else { Ok(()) }
}

/// media.lock with these packages, as `fetch --update` writes it.
fn new_lock(ctx: &Ctx, loaded: &Loaded, mut packages: BTreeMap<String, LockedPackage>) -> Result<String> {
    archive::pick(ctx, &loaded.config.distribution, &mut packages)?;
    Ok(Lock { packages, ..loaded.lock.clone() }.render())
}
