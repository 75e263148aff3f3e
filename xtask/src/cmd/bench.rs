//! `cargo xtask bench`: measurements that a claim in the documentation rests on.

use anyhow::Result;

use super::{
    bench_kargs::{self, KargsBench},
    bench_params::{self, ParamsBench},
    bench_serve::{self, ServeBench},
};
use buildexec::ctx::Ctx;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: Bench,
}

/// The measurements.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Kernel parameters of a large image are changed in place, and by a rebuild with xorriso.
    Kargs(KargsBench),
    /// A line of many parameters is checked.
    Params(ParamsBench),
    /// Many clients fetch one file from `serve` and, where it is installed, from nginx with `sendfile`.
    Serve(ServeBench),
}

/// Measures.
///
/// # Errors
/// When something failed, or took longer than it may.
pub fn run(ctx: &Ctx, args: &BenchArgs) -> Result<()> {
    match &args.what {
        Bench::Kargs(args) => bench_kargs::run(ctx, args),
        Bench::Params(args) => bench_params::run(ctx, args),
        Bench::Serve(args) => bench_serve::run(ctx, args),
    }
}
