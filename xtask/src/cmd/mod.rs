//! One thin file a subcommand.

use anyhow::Result;

use crate::cli::Command;
use buildexec::ctx::Ctx;
use hand_over::{LAB, MAINTAIN, hand_over};

pub mod build;
pub mod ci;
pub mod codegen;
pub(crate) mod completions;
pub mod dist;
pub(crate) mod doctor;
mod explain;
pub(crate) mod fetch;
pub(crate) mod gc;
mod hand_over;
pub(crate) mod iso;
pub(crate) mod kargs;
mod kargs_lists;
pub mod key;
pub mod netboot_key;
pub(crate) mod params;
pub mod password;
mod pattern;
pub(crate) mod plan;
pub(crate) mod profiles;
pub mod publish;
mod render_system;
pub mod secret_scan;
pub(crate) mod secure_boot_key;
pub mod serve;
pub(crate) mod sign;
pub(crate) mod store;
pub mod test;
pub(crate) mod variants;
pub mod verify;
pub mod vm;

/// Runs a command, or hands it over to the package that does.
pub fn run(ctx: &Ctx, command: &Command) -> Result<()> {
    if needs_repository(command) {
        ctx.require_repository()?;
    }
    match command {
        Command::Ci(_) | Command::Codegen(_) | Command::Test(_) => hand_over(ctx, &MAINTAIN),
        Command::Completions(args) => completions::run(ctx, args),
        Command::Dist(args) => dist::run(ctx, args),
        Command::Doctor(args) => doctor::run(ctx, args),
        Command::Fetch(args) => fetch::run(ctx, args),
        Command::Gc(args) => gc::run(ctx, args),
        Command::Params(args) => params::run(ctx, args),
        Command::Plan(args) => plan::run(ctx, args),
        Command::Profiles(args) => profiles::run(ctx, args),
        Command::Iso(args) => iso::run(ctx, args),
        Command::Kargs(args) => kargs::run(ctx, args),
        Command::Key(args) => key::run(ctx, args),
        Command::Publish(_) | Command::SecretScan(_) | Command::Serve(_) | Command::Vm(_) => {
            hand_over(ctx, &LAB)
        }
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
