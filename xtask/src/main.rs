//! `cargo xtask`.

use std::process::ExitCode;

fn main() -> ExitCode {
    report::program::started_as(&std::env::args_os().next().unwrap_or_default());
    xtask::start(xtask::cmd::run)
}
