//! Hands a value to the steps and jobs that follow.

use std::io::Write as _;

use anyhow::Result;

use buildexec::ctx::Ctx;

/// Prints `value`, and sets the step's output `name` where GitHub, or a local run, asks for outputs.
///
/// # Errors
/// When the file of outputs cannot be written.
pub(crate) fn set(ctx: &Ctx, name: &str, value: &str) -> Result<()> {
    ctx.report.out(value);
    if let Some(file) = ctx.env.get("GITHUB_OUTPUT") {
        let mut file = fs_err::OpenOptions::new().append(true).create(true).open(file)?;
        writeln!(file, "{name}={value}")?;
    }
    Ok(())
}

/// Adds to the page that GitHub shows for the run.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn summary(ctx: &Ctx, markdown: &str) -> Result<()> {
    if let Some(file) = ctx.env.get("GITHUB_STEP_SUMMARY") {
        let mut file = fs_err::OpenOptions::new().append(true).create(true).open(file)?;
        writeln!(file, "{markdown}")?;
    }
    Ok(())
}
