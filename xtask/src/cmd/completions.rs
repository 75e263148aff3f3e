//! `cargo xtask completions`.

use anyhow::Result;
use clap_complete::Shell;

use crate::help;
use buildexec::ctx::Ctx;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  cargo xtask completions bash

Cargo's own completion knows no aliases, so this completes a command `xtask`. Give it that name, once:

  bash        alias xtask='cargo xtask' in ~/.bashrc, and
              cargo xtask completions bash > ~/.local/share/bash-completion/completions/xtask
  zsh         alias xtask='cargo xtask' and setopt complete_aliases in ~/.zshrc, and
              cargo xtask completions zsh > DIR/_xtask, where DIR is in $fpath
  fish        alias --save xtask 'cargo xtask'; and
              cargo xtask completions fish > ~/.config/fish/completions/xtask.fish
  powershell  function xtask { cargo xtask @args } in $PROFILE, and
              cargo xtask completions powershell >> $PROFILE")]
pub struct CompletionsArgs {
    /// Shell to print the script for.
    pub shell: Shell,
}

/// Prints a completion script for a command `xtask`.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(ctx: &Ctx, args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut help::command().bin_name("xtask"), "xtask", &mut script);
    ctx.report.out_bytes(&script)
}
