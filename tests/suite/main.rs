//! The integration tests, in one binary: linking is the slow part of a test build. One file per subject.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(clippy::disallowed_macros, clippy::print_stdout, reason = "tests print what they counted")]

// Its `#[test]` takes the place of libtest's.
#[macro_use]
extern crate test_attribute;

mod alterations;
#[cfg(unix)]
mod ci;
#[cfg(unix)]
mod completions;
#[cfg(unix)]
mod damage;
mod downloads;
mod efi;
mod english;
#[cfg(unix)]
mod executor;
mod fixtures;
#[cfg(target_os = "linux")]
mod guest_scripts;
mod harness;
mod hiding;
mod hostile;
#[cfg(unix)]
mod hostile_config;
mod injection;
mod iso;
mod iso_cli;
mod kargs;
mod key;
#[cfg(target_os = "linux")]
mod kills;
mod loaders;
mod measured;
mod output;
mod own_key;
mod packages;
mod params;
mod params_cli;
mod places;
mod plans;
#[cfg(unix)]
mod proxy;
mod readme;
mod refusals;
mod release;
mod released;
#[cfg(unix)]
mod repeatable;
mod repo;
mod secret_scan;
mod secure_boot;
mod serve;
#[cfg(unix)]
mod signed;
#[cfg(unix)]
mod source_engine;
mod thief;
mod tidy;
#[cfg(unix)]
mod variants;
mod virtualbox;
mod vm;
mod web;
mod workflows;

fn main() -> std::process::ExitCode {
    if let Some(code) = buildexec::keeper::keep(std::env::args_os()) {
        return code;
    }
    match repo::is_the_program() {
        true => xtask::start(maintain::run),
        false => harness::main(),
    }
}

/// The repository that is tested.
fn repository() -> camino::Utf8PathBuf {
    let package = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap().to_owned()
}

/// Whether the long form of a test runs.
#[expect(clippy::disallowed_methods, reason = "a test is told by `cargo xtask test --long`")]
fn long() -> bool {
    std::env::var_os("MEDIA_LONG").is_some()
}
