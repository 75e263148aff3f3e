//! `cargo xtask vm`: machines that boot what was built.

use anyhow::Result;
use camino::Utf8Path;

use crate::signed_media;
use bootparams::Os;
use buildexec::ctx::Ctx;
use failure::{Failure, Kind};
use mediabuild::workspace::load;
use mediaplan::config::Profile;
use vmlab::{
    dist,
    machines::{self, Home},
    run::{self, Wish},
    scenario::{FinishedScenario, Samples},
    test,
};
use vmspec::{
    quote::Shell,
    scenario::{ALL, CONTAINERS, DISKS, Scenario, Start, TORTURE},
};
use xtask::{
    cmd::{
        build::Selection,
        dist as build,
        vm::{RmArgs, RunArgs, ScriptShell, VmArgs, VmCommand, VmTestArgs},
    },
    reliability,
};

pub(crate) fn run(ctx: &Ctx, args: &VmArgs) -> Result<()> {
    match &args.command {
        VmCommand::Run(args) => run_one(ctx, args),
        VmCommand::Test(args) => run_test(ctx, args),
        VmCommand::Ls => list(ctx),
        VmCommand::Rm(args) => remove(ctx, args),
    }
}

fn run_one(ctx: &Ctx, args: &RunArgs) -> Result<()> {
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(args.profile.as_deref())?;
    let wish = Wish {
        choice: args.backend,
        from: args.from,
        firmware: args.firmware,
        ssh_port: args.ssh_port,
        window: args.gui,
        screenshot: args.screenshot.as_deref().map(|p| run::absolute_picture(ctx, p)).transpose()?,
        boots: args.reset_loop.unwrap_or(u32::from(args.once)),
    };
    if !args.dry_run {
        return run::run(ctx, profile, &wish);
    }
    print_script(ctx, args.shell, |shell| run::script(ctx, profile, &wish, shell))
}

/// Prints a script for one shell; as JSON, for both.
fn print_script(
    ctx: &Ctx,
    shell: Option<ScriptShell>,
    script: impl Fn(Shell) -> Result<String>,
) -> Result<()> {
    if ctx.globals.json {
        let (sh, powershell) = (script(Shell::Sh)?, script(Shell::PowerShell)?);
        ctx.report.out_json(&serde_json::json!({ "sh": sh, "powershell": powershell }));
        return Ok(());
    }
    let own = if cfg!(windows) { Shell::PowerShell } else { Shell::Sh };
    ctx.report.out(&script(shell.map_or(own, Shell::from))?);
    Ok(())
}

fn run_test(ctx: &Ctx, args: &VmTestArgs) -> Result<()> {
    if args.list {
        return list_scenarios(ctx);
    }
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(args.profile.as_deref())?;
    let strict = ctx.env.flag("MEDIA_REQUIRE_VM");
    let chosen = match (args.torture, args.disks) {
        (Some(_), _) => TORTURE.iter().collect(),
        (None, true) => DISKS.iter().collect(),
        (None, false) => test::choose(profile.os, &args.scenarios, args.long)?,
    };
    let samples = match chosen.iter().any(|s| s.of_containers()) {
        true => Some(samples(ctx, profile, args.older.as_deref())?),
        false => None,
    };
    let signed = match chosen.iter().any(|s| matches!(s.start, Start::Signed(_))) {
        true => signed_media::build(ctx, profile, args.ipxe_repo.clone())?,
        false => Err("no chosen scenario needs signed media".to_owned()),
    };
    let cuts = args.torture.unwrap_or(0);
    let order = test::Order { chosen, samples, signed, long: args.long, cuts };
    let done = match test::run(ctx, profile, args.backend, order) {
        Err(e) if failure::kind_of(&e) == Some(Kind::MissingTool) && !strict => {
            ctx.report.warn(format!("no scenario was tried: {e} ({})", failure::helps_of(&e).join("; ")));
            return Ok(());
        }
        other => other?,
    };
    if ctx.globals.json {
        ctx.report.out_json(&done);
    } else {
        ctx.report.out(&test::summary(&done));
    }
    report(ctx, args, profile.os, &done)?;
    test::judge(&done, strict)
}

/// A row of docs/reliability.md.
fn report(ctx: &Ctx, args: &VmTestArgs, os: Os, done: &[FinishedScenario]) -> Result<()> {
    let what = match args.torture {
        Some(_) => "power cuts",
        None if args.disks => "disks",
        None if os == Os::Docker => "power cuts, containers",
        None => return Ok(()),
    };
    let sum = |of: fn(&FinishedScenario) -> u64| done.iter().map(of).sum::<u64>();
    let (tried, held) = (sum(|d| d.cases.tried), sum(|d| d.cases.held));
    let line = format!("reliability: {what}: {tried} tried, {held} held");
    if tried > 0 && !ctx.globals.json {
        ctx.report.out(&line);
    }
    if args.report && tried > 0 { reliability::take(ctx, &line) } else { Ok(()) }
}

fn list_scenarios(ctx: &Ctx) -> Result<()> {
    let all = || CONTAINERS.iter().chain(ALL);
    if ctx.globals.json {
        let row = |s: &Scenario| serde_json::json!({ "name": s.name, "about": s.about, "containers": s.of_containers(), "long": s.long });
        ctx.report.out_json(&all().map(row).collect::<Vec<_>>());
        return Ok(());
    }
    let row = |s: &Scenario| {
        let which = match (s.of_containers(), s.long) {
            (false, false) => "every",
            (false, true) => "every, --long",
            (true, false) => "docker",
            (true, true) => "docker, --long",
        };
        vec![s.name.to_owned(), which.to_owned(), s.about.to_owned()]
    };
    let rows: Vec<Vec<String>> = all().map(row).collect();
    ctx.report.out_table(&["scenario", "profiles", "what it shows"], &rows);
    Ok(())
}

/// The profile's media once more, with a sample image in them.
fn samples(ctx: &Ctx, profile: &Profile, older: Option<&Utf8Path>) -> Result<Samples> {
    let older = older.map(|dir| dist::find_in(&ctx.absolute(dir.to_owned())?, profile)).transpose()?;
    let ctx = Ctx { dist: ctx.work.join("vm").join("samples"), ..ctx.clone() };
    let selection = Selection { profile: Some(profile.name.clone()), samples: true, ..Selection::default() };
    let built = build::build(&ctx, &selection, false)?;
    Ok(Samples {
        dist: dist::find(&ctx, profile)?,
        tree: dist::tree(&ctx, profile),
        images: built.dir.join("sample"),
        older,
    })
}

fn list(ctx: &Ctx) -> Result<()> {
    // A configuration with an error hides no machine that has a folder.
    let profiles = load::load(ctx).map(|l| l.config.profiles().map(|p| p.name.clone()).collect::<Vec<_>>());
    let listed = Home::list(ctx, &profiles.unwrap_or_default())?;
    if ctx.globals.json {
        ctx.report.out_json(&listed);
    } else {
        let rows = machines::rows(&listed, &ctx.root);
        ctx.report.out_table(&["PROFILE", "BACKEND", "STATE", "ON DISK", "FOLDER"], &rows);
    }
    Ok(())
}

fn remove(ctx: &Ctx, args: &RmArgs) -> Result<()> {
    let home = Home::of(ctx, &args.profile, args.backend);
    if !Home::all(ctx)?.contains(&home) && !home.is_known(ctx)? {
        let text = format!("no machine of `{}` in {}", args.profile, args.backend.name());
        return Err(Failure::new(Kind::Usage, text)
            .help("list the machines with `cargo xtask vm ls`")
            .into());
    }
    if args.dry_run {
        return print_script(ctx, args.shell, |shell| machines::removal(ctx, &home, shell));
    }
    let left = home.remove(ctx)?;
    if left.is_empty() {
        ctx.report.note(format!("removed {}", home.dir));
    } else {
        ctx.report.warn(format!("{} keeps files that are not ours: {}", home.dir, left.join(", ")));
    }
    Ok(())
}
