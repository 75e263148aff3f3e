//! What comes after a build: `serve`, `vm`, `secret-scan` and `publish`. Their arguments, and with them their help, are those of `xtask`, which hands
//! them over.
//!
//! A package of its own, because a build of media needs neither a server nor machines nor patterns of secrets, and what these
//! depend on is a fifth of all that would be compiled first.

mod publish;
mod secret_scan;
mod serve;
mod signed_media;
mod vm;

use anyhow::Result;
use buildexec::ctx::Ctx;
use xtask::cli::Command;

/// Runs a command. Those that are none of ours are what they are in `xtask`.
///
/// # Errors
/// The command's.
pub fn run(ctx: &Ctx, command: &Command) -> Result<()> {
    match command {
        Command::Publish(args) => ctx.require_repository().and_then(|()| publish::run(ctx, args)),
        Command::SecretScan(args) => secret_scan::run(ctx, args),
        Command::Serve(args) => ctx.require_repository().and_then(|()| serve::run(ctx, args)),
        Command::Vm(args) => ctx.require_repository().and_then(|()| vm::run(ctx, args)),
        other => xtask::cmd::run(ctx, other),
    }
}
