//! This program as a file of a release, for people who only want `iso`, `kargs`, `params` or `verify`.

use anyhow::Result;
use camino::Utf8Path;
use xshell::cmd;

use crate::dev::shell;
use buildexec::{ctx::Ctx, paths};
use failure::{Explain as _, Kind};

/// For Linux, a program that needs no library of the system, so that its age does not matter.
const STATIC: &str = "x86_64-unknown-linux-musl";

/// Compiles the program for this system into the folder `to`, and runs it once.
///
/// # Errors
/// When it does not compile or does not run.
pub(crate) fn build(ctx: &Ctx, to: &Utf8Path) -> Result<()> {
    let sh = shell(ctx)?;
    let target = if cfg!(target_os = "linux") { Some(STATIC) } else { None };
    if let Some(target) = target {
        cmd!(sh, "rustup target add {target}")
            .run()
            .explain(Kind::MissingTool, || format!("rustup has no {target}"))?;
    }
    let arguments = target.iter().flat_map(|t| ["--target", t]);
    let mut build = cmd!(sh, "cargo build --locked --release --package lab").args(arguments);
    if cfg!(windows) {
        // Without it, the program wants a runtime library that a fresh Windows lacks.
        build = build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    }
    build.run().explain(Kind::Command, || "the program does not compile".to_owned())?;
    let extension = std::env::consts::EXE_SUFFIX;
    let folder = ctx.work.parent().unwrap_or(&ctx.root).join(target.unwrap_or("")).join("release");
    fs_err::create_dir_all(to)?;
    let path = to.join(name());
    fs_err::copy(folder.join(format!("lab{extension}")), &path)?;
    let path = paths::real(&path)?;
    cmd!(sh, "{path} --version").run().explain(Kind::Command, || format!("{path} does not run"))?;
    ctx.report.out(path.as_str());
    Ok(())
}

/// `boot-media-linux-x86_64`, with `.exe` on Windows.
fn name() -> String {
    use std::env::consts::{ARCH, EXE_SUFFIX, OS};
    format!("boot-media-{OS}-{ARCH}{EXE_SUFFIX}")
}
