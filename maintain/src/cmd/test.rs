//! `cargo xtask test`: everything that has to hold before a change is handed in. CI runs the same.

use anyhow::Result;
use camino::Utf8PathBuf;
use xshell::cmd;

use crate::dev::{
    codegen, coverage, distribution, gates, lint, shell,
    steps::{StepEnd, Steps},
    xtask,
};
use buildexec::ctx::Ctx;
use buildexec::tree;
use failure::{Explain as _, Failure, Kind};
use mediabuild::workspace::preflight;
use mediaplan::stage::needs;
use vmspec::scenario;
use xtask::{
    cmd::test::TestArgs,
    reliability::{self, Attack, ROWS},
};

/// The profile that quick tests boot: it is up in seconds, and says what it found.
const SMOKE: &str = "smoke";
/// The profile whose containers are looked at.
const DOCKER: &str = "docker";

/// Runs every check, all of them even when one fails, and sums them up.
///
/// # Errors
/// The kind of the first failure.
pub(crate) fn run(ctx: &Ctx, args: &TestArgs) -> Result<()> {
    if !args.row.is_empty() {
        return attack(ctx, &args.row);
    }
    if let Some(release) = &args.distribution {
        return distribution::run(ctx, release, &passed_on(args), args.install);
    }
    let mut steps = Steps::new(ctx, &args.only);
    steps.step("tools", |ctx| tools(ctx, args.install));
    steps.step("fmt", lint::fmt);
    steps.step("clippy", lint::clippy);
    steps.step("dependencies", |ctx| gates::dependencies(ctx, args.install));
    steps.step("advisories", |ctx| gates::advisories(ctx, args.install));
    steps.step("spelling", |ctx| gates::spelling(ctx, args.install));
    steps.step("docs", gates::docs);
    steps.step("oldest-rust", |ctx| gates::oldest_rust(ctx, args.install));
    steps.step("windows", gates::windows);
    steps.step("codegen", |ctx| codegen::check(ctx).map(|()| StepEnd::Passed));
    steps.step("workflows", |ctx| lint::workflows(ctx, args.install));
    steps.step("cargo-test", |ctx| cargo_test(ctx, args));
    steps.step("dist", |ctx| xtask(ctx, &["dist"]));
    steps.step("dist-smoke", |ctx| xtask(ctx, &["dist", SMOKE]));
    steps.step("statements", |ctx| lint::statements(ctx, args.install));
    steps.step("vm-test", |ctx| vm_test(ctx, args.long));
    steps.step("vm-test-docker", |ctx| vm_test_docker(ctx, args));
    if args.long {
        steps.step("coverage", |ctx| coverage::check(ctx, args.install, args.report));
        steps.step("fuzz-images", |ctx| fuzz_images(ctx, args.report));
        steps.step("torture", |ctx| boots(ctx, SMOKE, &["--torture", "100"], args.report));
        steps.step("disks", |ctx| boots(ctx, SMOKE, &["--disks"], args.report));
        steps.step("fuzz-parameters", fuzz_parameters);
    }
    steps.finish()
}

/// What `test` is given in another release.
fn passed_on(args: &TestArgs) -> Vec<String> {
    let only = args.only.iter().flat_map(|step| ["--only".to_owned(), step.clone()]);
    only.chain(args.long.then(|| "--long".to_owned())).collect()
}

/// Runs what tries these rows, each attack once.
fn attack(ctx: &Ctx, rows: &[String]) -> Result<()> {
    let find = |name: &String| {
        ROWS.iter().find(|row| row.name == name).ok_or_else(|| {
            let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            Failure::new(Kind::Usage, format!("no such row: `{name}`"))
                .help(format!("the rows are: {}", names.join("; ")))
        })
    };
    let mut steps = Steps::new(ctx, &[]);
    let mut done: Vec<Attack> = Vec::new();
    for row in rows.iter().map(find).collect::<Result<Vec<_>, _>>()? {
        if done.contains(&row.attack) {
            continue;
        }
        done.push(row.attack);
        steps.step(row.name, |ctx| match row.attack {
            Attack::Test(tests) => suite(ctx, tests),
            Attack::Images => fuzz_images(ctx, true),
            Attack::PowerCuts => boots(ctx, SMOKE, &["--torture", "100"], true),
            Attack::ContainerCuts => boots(ctx, DOCKER, &["--long", "--scenario", "power-cut"], true),
            Attack::Disks => boots(ctx, SMOKE, &["--disks"], true),
        });
    }
    steps.finish()
}

/// Tests of the suite, with all their cases.
fn suite(ctx: &Ctx, tests: &str) -> Result<StepEnd> {
    let sh = shell(ctx)?;
    let test = cmd!(sh, "cargo test --locked --package xtask --test suite -- {tests} --show-output");
    run_and_report(ctx, test.env("MEDIA_LONG", "1"), true, "a test failed")
}

/// All scenarios, or those that a change is likely to break.
fn vm_test(ctx: &Ctx, long: bool) -> Result<StepEnd> {
    let chosen = scenario::ALL.iter().filter(|s| long || !s.is_long());
    let names = chosen.flat_map(|s| ["--scenario", s.name]);
    xtask(ctx, &["vm", "test", SMOKE].into_iter().chain(names).collect::<Vec<_>>())
}

/// Everything, or containers and the cure of what a power cut breaks; ten power cuts in a row are CI's.
fn vm_test_docker(ctx: &Ctx, args: &TestArgs) -> Result<StepEnd> {
    let words: &[&str] =
        if args.long { &["--long"] } else { &["--scenario", "containers-usb-uefi", "--scenario", "heal"] };
    boots(ctx, DOCKER, words, args.long && args.report)
}

/// What is missing fails here only when it was to be installed: the tests that need it say so by name.
fn tools(ctx: &Ctx, install: bool) -> Result<StepEnd> {
    match preflight::check(ctx, &needs::all(), install) {
        Err(e) if !install && !ctx.env.flag("MEDIA_REQUIRE_VM") => Ok(StepEnd::Skipped(e.to_string())),
        other => other.map(|()| StepEnd::Passed),
    }
}

/// With `long`, tests that try many cases try all they know; each says how many those were.
fn cargo_test(ctx: &Ctx, args: &TestArgs) -> Result<StepEnd> {
    let sh = shell(ctx)?;
    let mut test = cmd!(sh, "cargo test --locked --workspace --no-fail-fast");
    if args.long {
        test = test.env("MEDIA_LONG", "1").args(["--", "--show-output"]);
    }
    run_and_report(ctx, test, args.report, "a test failed")
}

/// Runs a command whose lines are rows of the report, when one is wanted.
fn run_and_report(
    ctx: &Ctx,
    command: xshell::Cmd<'_>,
    report: bool,
    failed: &'static str,
) -> Result<StepEnd> {
    if !report {
        command.run().explain(Kind::Command, || failed.to_owned())?;
        return Ok(StepEnd::Passed);
    }
    let output = command.ignore_status().output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ctx.report.out(&said);
    ctx.report.note(String::from_utf8_lossy(&output.stderr));
    // Also of a run that failed, the rows are true.
    reliability::take(ctx, &said)?;
    if output.status.success() {
        Ok(StepEnd::Passed)
    } else {
        Err(Failure::new(Kind::Command, failed).into())
    }
}

/// Boots that are rows of the report.
fn boots(ctx: &Ctx, profile: &str, words: &[&str], report: bool) -> Result<StepEnd> {
    let report = report.then_some("--report");
    xtask(
        ctx,
        &["vm", "test", profile].into_iter().chain(words.iter().copied()).chain(report).collect::<Vec<_>>(),
    )
}

/// A minute of damage to what was just built.
fn fuzz_images(ctx: &Ctx, report: bool) -> Result<StepEnd> {
    let dir = ctx.dist.join(SMOKE);
    let files = tree::files(&dir)?.into_iter().filter(|f| f.extension() == Some("iso"));
    let images: Vec<_> = files.map(|f| dir.join(f)).collect();
    fuzz(ctx, "images", &images, report)
}

/// A minute of damage to lines that the genuine parsers were asked about, and a hundred times as many cases of each
/// property as on other days.
fn fuzz_parameters(ctx: &Ctx) -> Result<StepEnd> {
    fuzz(ctx, "params", &[ctx.root.join("tests/fixtures/params/cmdline.json")], false)?;
    let sh = shell(ctx)?;
    let test =
        cmd!(sh, "cargo test --locked --package bootparams --package fuzz").env("PROPTEST_CASES", "25600");
    test.run().explain(Kind::Command, || "a property does not hold".to_owned())?;
    Ok(StepEnd::Passed)
}

fn fuzz(ctx: &Ctx, what: &str, files: &[Utf8PathBuf], report: bool) -> Result<StepEnd> {
    let sh = shell(ctx)?;
    let run = cmd!(sh, "cargo run --quiet --locked --package fuzz -- {what} {files...}");
    run_and_report(ctx, run, report, "a fuzzer found something")
}
