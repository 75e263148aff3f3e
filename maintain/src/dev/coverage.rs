//! Line coverage of the pure crates, whose claims need no machine: by their own tests, and by those of the suite that
//! plan and check. Lines of tests do not count.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

use super::{shell, steps::StepEnd};
use buildexec::{ctx::Ctx, tree};
use failure::{Explain as _, Failure, Kind};
use xtask::reliability;

/// The crates that are measured.
const CRATES: &[&str] = &["bootparams", "buildplan", "mediaplan", "vmspec"];
/// Tests of the suite that call them in its own process: what a child runs is not counted.
const SUITE: &[&str] = &["plans::", "params::", "virtualbox::"];
/// Of a hundred lines, so many run in each crate.
const LEAST: u64 = 90;
/// What rustup calls `llvm-cov` and `llvm-profdata`.
const COMPONENT: &str = "llvm-tools";

/// Lines that can run, and how many did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// That can run.
    pub all: u64,
    /// That did.
    pub run: u64,
}

impl Lines {
    fn percent(self) -> u64 {
        (100 * self.run).checked_div(self.all).unwrap_or(0)
    }
}

/// Measures, and with `report` writes the figures to the document.
///
/// # Errors
/// When a test fails, when a crate has less than it must, and when the tools are missing though `MEDIA_REQUIRE_VM` is
/// set.
pub(crate) fn check(ctx: &Ctx, install: bool, report: bool) -> Result<StepEnd> {
    let sh = shell(ctx)?;
    let Some(tools) = tools(&sh, install)? else {
        let lacks = format!("the toolchain has no {COMPONENT}; `rustup component add {COMPONENT}`");
        return match ctx.env.flag("MEDIA_REQUIRE_VM") {
            true => Err(Failure::new(Kind::MissingTool, lacks).into()),
            false => Ok(StepEnd::Skipped(lacks)),
        };
    };
    let dir = ctx.work.join("coverage");
    tree::remove(&dir.join("profiles"))?;
    let programs = run(&sh, &dir)?;
    let text = lcov(&sh, &tools, &dir, &programs)?;
    let lines = count(&text, |path| fs_err::read_to_string(path).unwrap_or_default());
    let rows: Vec<String> = lines
        .iter()
        .map(|(name, l)| format!("| `{name}` | {} | {} | {} % |", l.all, l.run, l.percent()))
        .collect();
    ctx.report.out(&rows.join("\n"));
    if report {
        reliability::write_section(ctx, "Line coverage", &section(&rows))?;
    }
    let low: Vec<String> = CRATES
        .iter()
        .map(|name| (name, lines.get(*name).copied().unwrap_or_default().percent()))
        .filter(|(_, percent)| *percent < LEAST)
        .map(|(name, percent)| format!("{name} ({percent} %)"))
        .collect();
    match low.is_empty() {
        true => Ok(StepEnd::Passed),
        false => {
            Err(Failure::new(Kind::Command, format!("line coverage is below {LEAST} %: {}", low.join(", ")))
                .into())
        }
    }
}

fn section(rows: &[String]) -> String {
    format!(
        "Of the pure crates, by their own tests and those of the suite that plan and check; lines of tests do not count, \
         nor what a child\nran. `cargo xtask test --long --report --only coverage` writes this.\n\n\
         | crate | lines | run | |\n| --- | --- | --- | --- |\n{}\n",
        rows.join("\n")
    )
}

/// Where the toolchain's `llvm-cov` is.
fn tools(sh: &Shell, install: bool) -> Result<Option<Utf8PathBuf>> {
    if install {
        // Without rustup, or where its server cannot be reached, the look below says what is missing.
        _ = cmd!(sh, "rustup component add {COMPONENT}").quiet().ignore_stdout().ignore_stderr().run();
    }
    let libraries = cmd!(sh, "rustc --print target-libdir").quiet().read()?;
    let bin = Utf8Path::new(&libraries).parent().context("rustc names no folder of libraries")?.join("bin");
    let there = ["llvm-cov", "llvm-profdata"]
        .iter()
        .all(|tool| bin.join(tool).with_extension(std::env::consts::EXE_EXTENSION).exists());
    Ok(there.then_some(bin))
}

/// Runs the tests below `dir`, and hands back their programs.
fn run(sh: &Shell, dir: &Utf8Path) -> Result<Vec<String>> {
    let target = dir.join("target");
    let profiles = dir.join("profiles/%p-%m.profraw");
    let envs = [
        ("CARGO_TARGET_DIR", target.as_str()),
        ("RUSTFLAGS", "-C instrument-coverage"),
        ("LLVM_PROFILE_FILE", profiles.as_str()),
    ];
    let crates: Vec<&str> = CRATES.iter().flat_map(|name| ["--package", *name]).collect();
    let (crates, suite) = (crates.as_slice(), SUITE);
    let own = || cmd!(sh, "cargo test --locked {crates...}").envs(envs);
    let plans = || cmd!(sh, "cargo test --locked --package xtask --test suite").envs(envs);
    own().run().explain(Kind::Command, || "a test failed".to_owned())?;
    plans().args(["--"]).args(suite).run().explain(Kind::Command, || "a test failed".to_owned())?;
    let json = ["--no-run", "--message-format=json"];
    let built = [own().args(json).quiet().read()?, plans().args(json).quiet().read()?];
    Ok(built.iter().flat_map(|said| executables(said)).collect())
}

/// The programs in cargo's messages.
fn executables(said: &str) -> Vec<String> {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages.filter_map(|m| Some(m["executable"].as_str()?.to_owned())).collect()
}

fn lcov(sh: &Shell, tools: &Utf8Path, dir: &Utf8Path, programs: &[String]) -> Result<String> {
    let all = dir.join("all.profdata");
    let profiles: Vec<Utf8PathBuf> =
        tree::files(&dir.join("profiles"))?.into_iter().map(|f| dir.join("profiles").join(f)).collect();
    let (profdata, cov) = (tools.join("llvm-profdata"), tools.join("llvm-cov"));
    cmd!(sh, "{profdata} merge --sparse --output {all} {profiles...}").quiet().run()?;
    let objects: Vec<String> = programs.iter().map(|p| format!("--object={p}")).collect();
    Ok(cmd!(sh, "{cov} export --format=lcov --instr-profile={all} {objects...}")
        .quiet()
        .ignore_stderr()
        .read()?)
}

/// The lines of each crate in an lcov text, those of tests left out; `read` gives a source.
fn count(lcov: &str, read: impl Fn(&str) -> String) -> BTreeMap<&'static str, Lines> {
    let mut of: BTreeMap<(&'static str, String), BTreeMap<usize, bool>> = BTreeMap::new();
    let mut file = None;
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            file = crate_of(path).map(|name| (name, path.to_owned()));
        } else if let (Some(file), Some((number, times))) =
            (&file, line.strip_prefix("DA:").and_then(|data| data.split_once(',')))
            && let Ok(number) = number.parse()
        {
            *of.entry(file.clone()).or_default().entry(number).or_default() |= times != "0";
        }
    }
    let mut crates: BTreeMap<&'static str, Lines> = BTreeMap::new();
    for ((name, path), lines) in of {
        let source = read(&path);
        let tests = source.lines().position(|l| l.trim() == "#[cfg(test)]").map_or(usize::MAX, |at| at + 1);
        let sum = crates.entry(name).or_default();
        for ran in lines.range(..tests).map(|(_, ran)| *ran) {
            sum.all += 1;
            sum.run += u64::from(ran);
        }
    }
    crates
}

/// The measured crate of which a path is a source, unless it is one of tests.
fn crate_of(path: &str) -> Option<&'static str> {
    let path = path.replace('\\', "/");
    let (_, below) = path.rsplit_once("/crates/")?;
    let parts: BTreeSet<&str> = below.split('/').skip(2).collect();
    let is_source =
        below.split('/').nth(1) == Some("src") && !parts.contains("tests.rs") && !parts.contains("tests");
    CRATES.iter().copied().find(|name| is_source && below.split('/').next() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_crates_count_once_and_those_of_tests_never() {
        let lcov = "SF:/r/crates/bootparams/src/a.rs\nDA:1,0\nDA:2,5\nDA:4,9\nend_of_record\n\
                    SF:/r/crates/bootparams/src/a/tests.rs\nDA:1,1\nend_of_record\n\
                    SF:/r/crates/trust/src/lib.rs\nDA:1,0\nend_of_record\n\
                    SF:/r/crates/bootparams/src/a.rs\nDA:1,1\nDA:2,0\nDA:3,0\nend_of_record\n";
        let read = |_: &str| "a\nb\nc\n  #[cfg(test)]\nmod tests {}\n".to_owned();
        let counted = count(lcov, read);
        assert_eq!(counted, BTreeMap::from([("bootparams", Lines { all: 3, run: 2 })]));
        assert_eq!(counted["bootparams"].percent(), 66);
        assert_eq!(Lines::default().percent(), 0);
    }

    #[test]
    fn the_programs_are_those_that_cargo_names() {
        let said = "{\"reason\":\"compiler-artifact\",\"executable\":null}\nwarning: x\n\
                    {\"reason\":\"compiler-artifact\",\"executable\":\"/t/suite-1\"}\n";
        assert_eq!(executables(said), ["/t/suite-1"]);
    }
}
