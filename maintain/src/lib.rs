//! The commands that only maintainers and CI use: `ci`, `codegen` and `test`. Their arguments, and with them their help,
//! are those of `xtask`, which hands them over.
//!
//! A package of its own, because nobody who builds media should wait for what only these commands need.

pub mod ci;
mod cmd;
mod dev;

use anyhow::Result;
use buildexec::ctx::Ctx;
use xtask::cli::Command;

/// Runs a command. Those that are none of ours are what they are in `lab`: the reproducible pair is built by this program.
///
/// # Errors
/// The command's.
pub fn run(ctx: &Ctx, command: &Command) -> Result<()> {
    match command {
        Command::Ci(args) => ctx.require_repository().and_then(|()| cmd::ci::run(ctx, args)),
        Command::Codegen(args) => ctx.require_repository().and_then(|()| cmd::codegen::run(ctx, args)),
        Command::Test(args) => ctx.require_repository().and_then(|()| cmd::test::run(ctx, args)),
        other => lab::run(ctx, other),
    }
}
