//! `cargo xtask completions`.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{cli::Cli, ctx::Ctx};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: Shell,
}

/// Prints a completion script.
///
/// It completes the binary `xtask` (`cargo install --path xtask`, or an alias to `target/debug/xtask`): what follows
/// `cargo` is completed by cargo's own script, which knows no aliases.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(ctx: &Ctx, args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command().bin_name("xtask"), "xtask", &mut script);
    ctx.report.out_bytes(&script)
}
