//! `cargo run --package fuzz -- images FILE… | params FILE`: damages what the files hold for a minute or longer, from
//! another seed each time. `params` takes a JSON list of objects whose `in` is a line of parameters.

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};
use report::{Mode, Reporter};

/// How long one run damages at least.
const MINUTE: Duration = Duration::from_secs(60);
/// And how many images.
const IMAGES: u64 = 20_000;

fn main() -> ExitCode {
    let report = Reporter::new(Mode::Human { terminal: false }, false);
    match run(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            report.error(&e);
            ExitCode::FAILURE
        }
    }
}

fn run(report: &Reporter) -> Result<()> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let read = match words.split_first() {
        Some((what, files)) if what == "images" && !files.is_empty() => images(files, seed)?,
        Some((what, [file])) if what == "params" => params(file, seed)?,
        _ => bail!("usage: fuzz images FILE… | fuzz params FILE"),
    };
    if words[0] == "images" {
        // What could not be survived ended the run.
        report.out(&format!("reliability: mutated images: {read} tried, {read} held"));
    }
    report.note(format!("{read} damaged inputs were read, starting from seed {seed}"));
    Ok(())
}

fn images(files: &[String], seed: u64) -> Result<u64> {
    let images: Vec<_> = files.iter().map(fs_err::read).collect::<Result<_, _>>()?;
    fuzz::images::run(&images, seed, MINUTE, IMAGES)
}

fn params(file: &str, seed: u64) -> Result<u64> {
    let vectors: Vec<serde_json::Value> = serde_json::from_slice(&fs_err::read(file)?)?;
    let lines: Vec<&str> = vectors.iter().filter_map(|v| v["in"].as_str()).collect();
    let start = Instant::now();
    Ok(fuzz::params::run(&lines, seed, || start.elapsed() < MINUTE))
}
