//! `cargo xtask plan`.

use anyhow::Result;

use super::build::{Build, Selection};
use buildexec::ctx::Ctx;
use buildplan::{Format, render};
use mediabuild::workspace::load;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask plan rancheros     # each node, with what it needs and runs\n\
\x20 cargo xtask plan --format dot  # the graph, for Graphviz")]
pub struct PlanArgs {
    /// What to plan.
    #[command(flatten)]
    pub selection: Selection,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// Prints the plan of a profile's media.
///
/// # Errors
/// When the profile cannot be made here.
pub(crate) fn run(ctx: &Ctx, args: &PlanArgs) -> Result<()> {
    let loaded = load::load(ctx)?;
    let profile = loaded.config.profile(args.selection.profile.as_deref())?;
    let build = Build::new(ctx, &loaded, profile, &args.selection)?;
    let format = if ctx.globals.json { Format::Json } else { args.format };
    ctx.report.out(&render(&build.planned.plan, format));
    Ok(())
}
