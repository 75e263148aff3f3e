//! Hands a command over to another package, which cargo compiles when one of its commands is first used: those who build
//! media do without what only that package depends on.

use std::ffi::OsString;

use anyhow::Result;
use camino::Utf8Path;

use buildexec::{
    ctx::{Ctx, Globals},
    run,
};
use failure::{Failure, Kind};

/// A package that has commands of ours.
pub(crate) struct OtherPackage {
    /// Its manifest, from the root.
    manifest: &'static str,
    /// What to do without the sources.
    help: &'static str,
}

/// What maintainers and CI run.
pub(crate) const MAINTAIN: OtherPackage = OtherPackage {
    manifest: "maintain/Cargo.toml",
    help: "`ci`, `codegen` and `test` are for those who change the program: run them by cargo, in a clone of its repository",
};
/// What comes after a build.
pub(crate) const LAB: OtherPackage = OtherPackage {
    manifest: "lab/Cargo.toml",
    help: "run `serve`, `vm`, `secret-scan` and `publish` by cargo, in a clone of its repository, or by the program that a release carries",
};

/// Has cargo run `package` with our own command line, in the place of this process. Returns only when that fails.
///
/// # Errors
/// [`Kind::Usage`] without the sources, [`Kind::MissingTool`] without cargo.
pub(crate) fn hand_over(ctx: &Ctx, package: &OtherPackage) -> Result<()> {
    let file = package.manifest;
    // Where the medium's files are elsewhere (`MEDIA_ROOT`), the sources are still those that cargo ran us from.
    let built_from = ctx.env.get("CARGO_MANIFEST_DIR").and_then(|dir| Utf8Path::new(dir).parent());
    let places = built_from.into_iter().chain([ctx.root.as_path()]);
    let manifest = places.map(|root| root.join(file)).find(|path| path.exists()).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("this command needs the program's sources: no such file: {file}"))
            .help(package.help)
    })?;
    let cargo = ctx.env.get("CARGO").unwrap_or("cargo");
    let words = cargo_words(&ctx.globals, &manifest, std::env::args_os().skip(1));
    Err(run::replace(cargo, words, ctx.env.of_package()))
}

/// What cargo is told. It shows its progress, as it does for `cargo xtask`: the first command compiles for a while.
fn cargo_words(globals: &Globals, manifest: &Utf8Path, own: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let quiet = (globals.quiet || globals.json).then_some("--quiet");
    let offline = globals.offline.then_some("--offline");
    let words = ["run"].into_iter().chain(quiet).chain(offline);
    words.chain(["--manifest-path", manifest.as_str(), "--"]).map(OsString::from).chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_gets_our_command_line_unchanged_and_says_nothing_where_json_or_silence_is_wanted() {
        for package in [MAINTAIN, LAB] {
            let manifest = Utf8Path::new("/r").join(package.manifest);
            let words = |globals: &Globals, own: &[&str]| {
                let own = own.iter().map(OsString::from);
                let words = cargo_words(globals, &manifest, own);
                words.iter().map(|w| w.to_str().unwrap()).collect::<Vec<_>>().join(" ")
            };
            let cargo = format!("--manifest-path {manifest} --");
            let loud = Globals::default();
            assert_eq!(words(&loud, &["test", "--only", "fmt"]), format!("run {cargo} test --only fmt"));
            let json = Globals { json: true, offline: true, ..Globals::default() };
            let own = ["--json", "vm", "ls", "--offline"];
            assert_eq!(words(&json, &own), format!("run --quiet --offline {cargo} {}", own.join(" ")));
            let quiet = Globals { quiet: true, ..Globals::default() };
            assert!(words(&quiet, &["-q", "codegen"]).starts_with("run --quiet "));
        }
    }

    #[test]
    fn the_packages_are_where_they_are_looked_for() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!([MAINTAIN, LAB].iter().all(|package| root.join(package.manifest).is_file()));
    }
}
