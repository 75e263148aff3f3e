//! `cargo xtask vm`: machines that boot what was built.

use anyhow::Result;

use crate::{
    ctx::Ctx,
    error::{self, Kind},
    exec::load,
    machine::scenario::ALL,
    report::table::table,
    vm::{backend::Choice, test},
};

/// Arguments of `vm`.
#[derive(Debug, clap::Args)]
pub struct VmArgs {
    #[command(subcommand)]
    command: VmCommand,
}

#[derive(Debug, clap::Subcommand)]
enum VmCommand {
    /// Boot a profile's media in every way, and prove that failures are noticed.
    ///
    /// Exits with 10 when a scenario failed. With MEDIA_REQUIRE_VM=1 in the environment, a missing QEMU or UEFI
    /// firmware is a failure too.
    Test(TestArgs),
}

#[derive(Debug, clap::Args)]
struct TestArgs {
    /// The profile (the default one, unless given).
    profile: Option<String>,
    /// Only this scenario; may come more than once.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// What runs the machines.
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    backend: Choice,
    /// List the scenarios, and boot nothing.
    #[arg(long)]
    list: bool,
}

/// Runs a subcommand of `vm`.
///
/// # Errors
/// Whatever the subcommand meets.
pub fn run(ctx: &Ctx, args: &VmArgs) -> Result<()> {
    match &args.command {
        VmCommand::Test(args) => run_test(ctx, args),
    }
}

fn run_test(ctx: &Ctx, args: &TestArgs) -> Result<()> {
    if args.list {
        let rows: Vec<Vec<String>> =
            ALL.iter().map(|s| vec![s.name.to_owned(), s.about.to_owned()]).collect();
        ctx.report.out(&table(&["scenario", "what it shows"], &rows));
        return Ok(());
    }
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(args.profile.as_deref())?;
    let strict = ctx.env.flag("MEDIA_REQUIRE_VM");
    let done = match test::run(ctx, profile, args.backend, &args.scenarios) {
        Err(e) if error::kind_of(&e) == Some(Kind::MissingTool) && !strict => {
            ctx.report.warn(format!("no scenario was tried: {e} ({})", error::helps_of(&e).join("; ")));
            return Ok(());
        }
        other => other?,
    };
    if ctx.globals.json {
        ctx.report.out_json(&done);
    } else {
        ctx.report.out(&test::summary(&done));
    }
    test::judge(&done, strict)
}
