//! `cargo xtask bench params`: how long the check of a long line takes.

use std::time::{Duration, Instant};

use anyhow::Result;

use bootparams::{Context, Os, Target, check};
use buildexec::ctx::Ctx;
use failure::{Failure, Kind};
use report::table::table;

/// Promised in the documentation.
const MOST: Duration = Duration::from_millis(20);

/// Arguments of `bench params`.
#[derive(Debug, clap::Args)]
pub struct ParamsBench {
    /// Parameters in the line.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub count: usize,
    /// Rounds; the best counts.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub rounds: usize,
}

/// Measures.
///
/// # Errors
/// When it took longer than it may.
pub(super) fn run(ctx: &Ctx, args: &ParamsBench) -> Result<()> {
    let line = (0..args.count).map(word).collect::<Vec<_>>().join(" ");
    let context =
        Context { targets: Target::ALL.to_vec(), on_medium: true, nics: Vec::new(), secure_boot: true };
    let mut found = 0;
    let mut times: Vec<Duration> = (0..args.rounds.max(1))
        .map(|_| {
            let start = Instant::now();
            found = check(&line, Os::Smoke, &context).len();
            start.elapsed()
        })
        .collect();
    times.sort();
    let ms = |d: Duration| format!("{:.1} ms", d.as_secs_f64() * 1e3);
    let (best, median) = (times[0], times[times.len() / 2]);
    let row = vec![args.count.to_string(), found.to_string(), ms(best), ms(median)];
    ctx.report.out(&table(&["PARAMETERS", "REMARKS", "BEST", "MEDIAN"], &[row]));
    if best <= MOST {
        return Ok(());
    }
    Err(Failure::new(Kind::Command, format!("the check took longer than {}", ms(MOST))).into())
}

/// Some of each kind: known and unknown keys, quotes, lists, modules' options.
fn word(i: usize) -> String {
    match i % 4 {
        0 => format!("rancher.services_include.s{i}=true"),
        1 => format!("rancher.environment.V{i}=\"a b {i}\""),
        2 => format!("rancher.network.interfaces.eth{i}.addresses=[10.0.0.{i}/24]"),
        _ => format!("module{i}.option=0x{i:x}"),
    }
}
