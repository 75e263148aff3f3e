//! `cargo xtask test`: everything that has to hold before a change is handed in. CI runs the same.

use anyhow::Result;
use clap::Parser as _;
use xshell::cmd;

use crate::{
    cli::Cli,
    ctx::Ctx,
    dev::{
        codegen, lint, shell,
        steps::{End, Steps},
    },
    error::{Explain as _, Kind},
    exec::preflight,
    stage::needs,
};

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Install missing programs with apt, as root or through sudo, and linters below target/.
    #[arg(long)]
    pub install: bool,
}

/// Runs every check, all of them even when one fails, and sums them up.
///
/// # Errors
/// The kind of the first failure.
pub fn run(ctx: &Ctx, args: &TestArgs) -> Result<()> {
    let mut steps = Steps::new(ctx);
    steps.step("tools", |ctx| tools(ctx, args.install));
    steps.step("fmt", lint::fmt);
    steps.step("clippy", lint::clippy);
    steps.step("codegen", |ctx| codegen::check(ctx).map(|()| End::Passed));
    steps.step("workflows", |ctx| lint::workflows(ctx, args.install));
    steps.step("cargo test", cargo_test);
    steps.step("dist", |ctx| xtask(ctx, &["dist"]));
    steps.step("vm test", |ctx| xtask(ctx, &["vm", "test"]));
    steps.finish()
}

/// What is missing fails here only when it was to be installed: the tests that need it say so by name.
fn tools(ctx: &Ctx, install: bool) -> Result<End> {
    match preflight::check(ctx, &needs::all(), install) {
        Err(e) if !install && !ctx.env.flag("MEDIA_REQUIRE_VM") => Ok(End::Skipped(e.to_string())),
        other => other.map(|()| End::Passed),
    }
}

fn cargo_test(ctx: &Ctx) -> Result<End> {
    let sh = shell(ctx)?;
    cmd!(sh, "cargo test --locked --workspace --no-fail-fast")
        .run()
        .explain(Kind::Command, || "a test failed".to_owned())?;
    Ok(End::Passed)
}

/// Runs another command as a person would call it.
fn xtask(ctx: &Ctx, words: &[&str]) -> Result<End> {
    let cli = Cli::try_parse_from(["xtask"].iter().chain(words))?;
    super::run(ctx, &cli.command).map(|()| End::Passed)
}
