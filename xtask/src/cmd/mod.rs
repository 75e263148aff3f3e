//! One thin file a subcommand.

use anyhow::Result;

use crate::{cli::Command, ctx::Ctx};

pub mod doctor;

/// Runs a command.
///
/// # Errors
/// Whatever the command meets.
pub fn run(ctx: &Ctx, command: &Command) -> Result<()> {
    match command {
        Command::Doctor(args) => doctor::run(ctx, args),
    }
}
