//! `cargo xtask`: parse, build the context, dispatch, exit code.

use mediabuild::builtin::BUILTINS;
use std::process::ExitCode;

use buildexec::{
    ctx::{Ctx, Env},
    run::Runner,
};
use clap::FromArgMatches as _;
use report::{Mode, Reporter};
use xtask::cli::Cli;
use xtask::{cmd, help};

fn main() -> ExitCode {
    if let Some(code) = buildexec::keeper::keep(std::env::args_os()) {
        return code;
    }
    let cli = Cli::from_arg_matches(&help::command().get_matches()).unwrap_or_else(|e| e.exit());
    let globals = (&cli.globals).into();
    let ctx = match Ctx::new(globals, Env::read(), BUILTINS) {
        Ok(ctx) => Ctx { runner: Runner { keeper: true, ..ctx.runner }, ..ctx },
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
    failure::kind_of(e).map_or(1, failure::Kind::exit_code).into()
}
