//! `cargo xtask`: parse, build the context, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::{
    cli::Cli,
    cmd,
    ctx::{Ctx, Env},
    error,
    report::{Mode, Reporter},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let globals = (&cli.globals).into();
    let ctx = match Ctx::new(globals, Env::read()) {
        Ok(ctx) => ctx,
        Err(e) => return fail(&Reporter::new(Mode::Human { terminal: false }, false), &e),
    };
    match ctx.report.finish(cmd::run(&ctx, &cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&ctx.report, &e),
    }
}

fn fail(report: &Reporter, e: &anyhow::Error) -> ExitCode {
    report.clear();
    report.error(e);
    error::kind_of(e).map_or(1, error::Kind::exit_code).into()
}
