//! `cargo xtask bench serve`: our server beside nginx on the same file.

use anyhow::{Context as _, Result};

use buildexec::ctx::Ctx;
use failure::{Failure, Kind};
use netboot::bench::{Load, Measured, compare};
use report::table::table;

/// Arguments of `bench serve`.
#[derive(Debug, clap::Args)]
pub struct ServeBench {
    /// Clients at once.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub clients: usize,
    /// Length of the file in MB.
    #[arg(long, default_value_t = 40, value_name = "MB")]
    pub size: u64,
    /// Rounds for each server; the best counts.
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub rounds: usize,
}

/// Promised in the documentation of `serve`.
const MOST_MEMORY: u64 = 128 << 20;
const LEAST_OF_NGINX: f64 = 0.8;

/// Measures.
///
/// # Errors
/// When a client failed, the server took more memory than it may, or was slower beside nginx than it may.
pub(super) fn run(ctx: &Ctx, args: &ServeBench) -> Result<()> {
    let exe = std::env::current_exe().context("cannot find this program")?;
    let exe = exe.to_str().context("this program's path is not UTF-8")?;
    let nginx = ctx.find_program("nginx");
    if nginx.is_none() {
        ctx.report.warn("nginx is not installed, so there is nothing to compare with");
    }
    let load = Load { clients: args.clients, size: args.size * 1_000_000, rounds: args.rounds };
    let measured = compare(&ctx.runner, exe, nginx.as_deref(), load)?;
    if ctx.globals.json {
        ctx.report.out_json(&measured);
    } else {
        ctx.report.out(&shown(&measured));
    }
    judge(&measured)
}

fn shown(measured: &[Measured]) -> String {
    let row = |m: &Measured| {
        let seconds: Vec<String> = m.seconds.iter().map(|s| format!("{s:.1}")).collect();
        let memory = m.peak_memory.map_or("-".to_owned(), |b| format!("{:.1} MiB", b as f64 / 1048576.0));
        let of = m.rate / measured.last().map_or(m.rate, |last| last.rate);
        let rate = format!("{:.2} GB/s", m.rate / 1e9);
        vec![m.server.clone(), rate, format!("{of:.2}"), seconds.join(" "), m.failed.to_string(), memory]
    };
    let head = ["SERVER", "BEST", "OF NGINX", "SECONDS", "FAILED", "PEAK MEMORY"];
    table(&head, &measured.iter().map(row).collect::<Vec<_>>())
}

fn judge(measured: &[Measured]) -> Result<()> {
    let ours = &measured[0];
    let mut wrong = Vec::new();
    if ours.failed > 0 {
        wrong.push(format!("{} clients failed", ours.failed));
    }
    if ours.peak_memory.is_some_and(|m| m > MOST_MEMORY) {
        wrong.push("the server took more than 128 MiB".to_owned());
    }
    if measured.get(1).is_some_and(|nginx| ours.rate < LEAST_OF_NGINX * nginx.rate) {
        wrong.push(format!("the server is slower than {LEAST_OF_NGINX} of nginx"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::new(Kind::Command, wrong.join("; ")).into()) }
}
