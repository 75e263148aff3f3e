//! A program with our command line: parse, build the context, dispatch, exit code.

use std::process::ExitCode;

use anyhow::Result;
use clap::FromArgMatches as _;

use buildexec::{
    ctx::{Ctx, Env},
    run::Runner,
};
use failure::{Failure, Kind};
use mediabuild::builtin::BUILTINS;
use report::{Mode, Reporter, program};

use crate::{
    cli::{Cli, Command},
    help,
};

/// The whole of a `main`, where `run` is what each command does.
pub fn start(run: impl FnOnce(&Ctx, &Command) -> Result<()>) -> ExitCode {
    if let Some(code) = buildexec::keeper::keep(std::env::args_os()) {
        return code;
    }
    buildexec::keeper::bind_children();
    let parsed = help::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() && std::env::args_os().any(|arg| arg == "--json") => return misused(&e),
        Err(e) => return answered(&e),
    };
    let globals = (&cli.globals).into();
    let ctx = match Ctx::new(globals, Env::read(), BUILTINS) {
        Ok(ctx) => Ctx { runner: Runner { keeper: true, ..ctx.runner }, ..ctx },
        Err(e) => return fail(&Reporter::new(Mode::Human { terminal: false }, false), &e),
    };
    match ctx.report.finish(run(&ctx, &cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => fail(&ctx.report, &e),
    }
}

/// Help, the version, or what is wrong with a command line, for people.
fn answered(e: &clap::Error) -> ExitCode {
    if program::typed().is_none() {
        e.exit();
    }
    let report = Reporter::new(Mode::Human { terminal: false }, false);
    let text = e.to_string();
    let text = program::spelled(text.trim_end());
    match e.use_stderr() {
        true => report.err_line(&text),
        false => report.out(&text),
    }
    u8::try_from(e.exit_code()).unwrap_or(2).into()
}

/// What clap says of a command line, for a script that reads JSON.
fn misused(e: &clap::Error) -> ExitCode {
    let text = e.to_string();
    let mut parts = text.trim().splitn(2, "\n\n");
    let message = parts.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let failure = Failure::new(Kind::Usage, message).help(parts.next().unwrap_or_default().to_owned());
    fail(&Reporter::new(Mode::Json, false), &failure.into())
}

fn fail(report: &Reporter, e: &anyhow::Error) -> ExitCode {
    report.clear();
    report.error(e);
    failure::kind_of(e).map_or(1, failure::Kind::exit_code).into()
}
