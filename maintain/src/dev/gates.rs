//! Checks of the source as a whole: dependencies, documentation, spelling, the oldest Rust.
//!
//! The programs come from the Python registry, with the linters of `lint`. What needs more than that (RustSec's
//! database is on GitHub, an older toolchain comes by rustup) is skipped by name where it is unavailable.

use anyhow::Result;
use xshell::cmd;

use super::{lint, shell, steps::StepEnd};
use buildexec::ctx::Ctx;
use failure::{Explain as _, Kind};

/// Licences, bans and sources of every dependency, and dependencies that no code uses.
///
/// # Errors
/// When one is not allowed or not used; when the tools are missing though `MEDIA_REQUIRE_VM` is set.
pub(crate) fn dependencies(ctx: &Ctx, install: bool) -> Result<StepEnd> {
    let tools = ["cargo-deny", "cargo-shear"];
    lint::with_tools(ctx, install, &tools, |sh, bin| {
        cmd!(sh, "{bin}/cargo-deny --locked --log-level error check licenses bans sources")
            .run()
            .explain(Kind::Command, || {
                "cargo-deny found something (deny.toml says what may be)".to_owned()
            })?;
        cmd!(sh, "{bin}/cargo-shear shear --locked")
            .run()
            .explain(Kind::Command, || "a dependency is not used".to_owned())?;
        Ok(StepEnd::Passed)
    })
}

/// Whether everything compiles for Windows, without warnings, where its target and a C compiler for it are there.
///
/// # Errors
/// When it does not.
pub(crate) fn windows(ctx: &Ctx) -> Result<StepEnd> {
    const TARGET: &str = "x86_64-pc-windows-gnu";
    const CC: &str = "x86_64-w64-mingw32-gcc";
    let sh = shell(ctx)?;
    let sysroot = cmd!(sh, "rustc --print sysroot").quiet().read()?;
    if !camino::Utf8Path::new(&sysroot).join("lib/rustlib").join(TARGET).exists() {
        return Ok(StepEnd::Skipped(format!("`rustup target add {TARGET}` brings what is missing")));
    }
    if ctx.find_program(CC).is_none() {
        return Ok(StepEnd::Skipped(format!("{CC} is missing (package gcc-mingw-w64-x86-64)")));
    }
    cmd!(sh, "cargo clippy --quiet --locked --workspace --target {TARGET} -- -D warnings")
        .run()
        .explain(Kind::Command, || format!("it does not compile for {TARGET}"))?;
    Ok(StepEnd::Passed)
}

/// Known vulnerabilities of dependencies, by RustSec's database.
///
/// # Errors
/// When a dependency has one.
pub(crate) fn advisories(ctx: &Ctx, install: bool) -> Result<StepEnd> {
    if ctx.globals.offline {
        return Ok(StepEnd::Skipped("RustSec's database needs the network".to_owned()));
    }
    lint::with_tools(ctx, install, &["cargo-deny"], |sh, bin| {
        let fetched = cmd!(sh, "{bin}/cargo-deny --locked fetch db").ignore_stdout().ignore_stderr().run();
        if fetched.is_err() {
            return Ok(StepEnd::Skipped("RustSec's database on GitHub cannot be reached".to_owned()));
        }
        cmd!(sh, "{bin}/cargo-deny --locked --log-level error check --disable-fetch advisories")
            .run()
            .explain(Kind::Command, || "a dependency has a known vulnerability".to_owned())?;
        Ok(StepEnd::Passed)
    })
}

/// Spelling, in source and documents.
///
/// # Errors
/// When a word is misspelt; when the tool is missing though `MEDIA_REQUIRE_VM` is set.
pub(crate) fn spelling(ctx: &Ctx, install: bool) -> Result<StepEnd> {
    lint::with_tools(ctx, install, &["typos"], |sh, bin| {
        cmd!(sh, "{bin}/typos --format brief").run().explain(Kind::Command, || {
            "a word is misspelt ([workspace.metadata.typos] has ours)".to_owned()
        })?;
        Ok(StepEnd::Passed)
    })
}

/// The documentation of every item, private ones included, with warnings denied.
///
/// # Errors
/// When a link leads nowhere or an example does not parse.
pub(crate) fn docs(ctx: &Ctx) -> Result<StepEnd> {
    let sh = shell(ctx)?;
    cmd!(sh, "cargo doc --quiet --locked --workspace --no-deps --document-private-items")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
        .explain(Kind::Command, || "rustdoc found something".to_owned())?;
    Ok(StepEnd::Passed)
}

/// Whether the oldest Rust that `Cargo.toml` names compiles everything.
///
/// # Errors
/// When it does not.
pub(crate) fn oldest_rust(ctx: &Ctx, install: bool) -> Result<StepEnd> {
    let sh = shell(ctx)?;
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    if install && !ctx.globals.offline {
        // Without rustup, or where its server cannot be reached, the next command says that it is missing.
        let get = cmd!(sh, "rustup toolchain install {oldest} --profile minimal --no-self-update");
        _ = get.quiet().ignore_stdout().ignore_stderr().run();
    }
    if cmd!(sh, "cargo +{oldest} --version").ignore_stdout().ignore_stderr().run().is_err() {
        return Ok(StepEnd::Skipped(format!(
            "Rust {oldest} is not installed: `rustup toolchain install {oldest}`"
        )));
    }
    cmd!(sh, "cargo +{oldest} check --quiet --locked --workspace --all-targets --target-dir target/oldest")
        .run()
        .explain(Kind::Command, || {
            format!("this does not compile with Rust {oldest}, the minimum in Cargo.toml")
        })?;
    Ok(StepEnd::Passed)
}
