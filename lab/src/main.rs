//! Every command but the maintainers', in one program: what `cargo xtask` hands some of them to, and what a release
//! carries.

use std::process::ExitCode;

fn main() -> ExitCode {
    report::program::started_as(&std::env::args_os().next().unwrap_or_default());
    xtask::start(lab::run)
}
