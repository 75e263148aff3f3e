//! `cargo xtask doctor`.

use anyhow::Result;

use crate::ctx::Ctx;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {}

/// Lists the tools.
///
/// # Errors
/// None yet.
pub fn run(ctx: &Ctx, _args: &DoctorArgs) -> Result<()> {
    ctx.report.out("");
    Ok(())
}
