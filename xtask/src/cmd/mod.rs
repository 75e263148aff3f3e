//! One thin file a subcommand.

use anyhow::Result;

use crate::cli::Command;
use buildexec::ctx::Ctx;

pub mod build;
pub mod ci;
pub mod codegen;
pub(crate) mod completions;
pub(crate) mod dist;
pub(crate) mod doctor;
mod explain;
pub(crate) mod fetch;
pub(crate) mod gc;
pub(crate) mod iso;
pub(crate) mod kargs;
mod kargs_lists;
pub(crate) mod key;
mod maintain;
mod netboot_key;
pub(crate) mod params;
pub mod password;
mod pattern;
pub(crate) mod plan;
pub(crate) mod profiles;
pub(crate) mod publish;
mod render_system;
pub(crate) mod secret_scan;
pub(crate) mod secure_boot_key;
pub(crate) mod serve;
pub(crate) mod sign;
mod signed_media;
pub(crate) mod store;
pub mod test;
pub(crate) mod variants;
pub mod verify;
pub(crate) mod vm;

/// Runs a command.
pub fn run(ctx: &Ctx, command: &Command) -> Result<()> {
    if needs_repository(command) {
        ctx.require_repository()?;
    }
    match command {
        Command::Ci(_) | Command::Codegen(_) | Command::Test(_) => maintain::hand_over(ctx),
        Command::Completions(args) => completions::run(ctx, args),
        Command::Dist(args) => dist::run(ctx, args),
        Command::Doctor(args) => doctor::run(ctx, args),
        Command::Fetch(args) => fetch::run(ctx, args),
        Command::Gc(args) => gc::run(ctx, args),
        Command::SecretScan(args) => secret_scan::run(ctx, args),
        Command::Params(args) => params::run(ctx, args),
        Command::Plan(args) => plan::run(ctx, args),
        Command::Profiles(args) => profiles::run(ctx, args),
        Command::Publish(args) => publish::run(ctx, args),
        Command::Iso(args) => iso::run(ctx, args),
        Command::Kargs(args) => kargs::run(ctx, args),
        Command::Key(args) => key::run(ctx, args),
        Command::Serve(args) => serve::run(ctx, args),
        Command::Vm(args) => vm::run(ctx, args),
        Command::Store(args) => store::run(ctx, args),
        Command::Sign(args) => sign::run(ctx, args),
        Command::Variants(args) => variants::run(ctx, args),
        Command::Verify(args) => verify::run(ctx, args),
    }
}

/// Whether a command is about this repository. Commands for the images, parameters and folders of anybody say
/// themselves what they miss without one.
fn needs_repository(command: &Command) -> bool {
    !matches!(
        command,
        Command::Completions(_)
            | Command::SecretScan(_)
            | Command::Iso(_)
            | Command::Kargs(_)
            | Command::Key(_)
            | Command::Params(_)
            | Command::Sign(_)
            | Command::Verify(_)
    )
}
