//! Chores of contributors: what `cargo xtask test` runs besides the tests themselves.
//!
//! Short foreground tools, run with xshell so that their own output is what the person sees. What a stage needs is
//! run by `buildexec` instead, with a deadline and a cleared environment; a chore is cargo or a linter, which are
//! to see the environment of the person who calls them.

pub(crate) mod codegen;
pub(crate) mod coverage;
pub(crate) mod distribution;
pub(crate) mod gates;
pub(crate) mod lint;
pub(crate) mod steps;

use anyhow::Result;
use clap::Parser as _;
use xshell::Shell;

use self::steps::StepEnd;
use buildexec::ctx::Ctx;
use xtask::cli::Cli;

/// A shell in the repository's root.
///
/// # Errors
/// When the working folder is missing.
pub(crate) fn shell(ctx: &Ctx) -> Result<Shell> {
    let sh = Shell::new()?;
    sh.change_dir(&ctx.root);
    Ok(sh)
}

/// Runs another command as a person would call it.
///
/// # Errors
/// The command's.
pub(crate) fn xtask(ctx: &Ctx, words: &[&str]) -> Result<StepEnd> {
    let cli = Cli::try_parse_from(["xtask"].iter().chain(words))?;
    lab::run(ctx, &cli.command).map(|()| StepEnd::Passed)
}
