//! `cargo xtask completions`.

use anyhow::Result;
use clap_complete::Shell;

use crate::help;
use buildexec::ctx::Ctx;
use report::program;

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

/// What `--help` says behind the options where a release brought the program, whose file's name is `name`.
#[must_use]
pub(crate) fn scripts_of(name: &str) -> String {
    format!(
        "\
Where each shell looks for a script:

  bash        {name} completions bash > ~/.local/share/bash-completion/completions/{name}
  zsh         {name} completions zsh > DIR/_{name}, where DIR is in $fpath
  fish        {name} completions fish > ~/.config/fish/completions/{name}.fish
  powershell  {name} completions powershell >> $PROFILE"
    )
}

/// Prints a completion script for a command `xtask`, or for the program that a release brought.
///
/// # Errors
/// When standard output cannot be written.
pub(crate) fn run(ctx: &Ctx, args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    let name = program::typed().map_or("xtask", file_name);
    clap_complete::generate(args.shell, &mut help::command().bin_name(name), name, &mut script);
    ctx.report.out_bytes(&script)
}

/// What a shell calls the program at `path`.
pub(crate) fn file_name(path: &str) -> &str {
    let name = path.rsplit(std::path::is_separator).next().unwrap_or(path);
    name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(name)
}
