//! `cargo xtask params`: the kernel's command line, read as the OS will read it.

use std::io::Read as _;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    ctx::Ctx,
    error::{Explain as _, Failure, Kind},
    params::{self, Context, Diagnostic, Os, Severity, Source, Target},
};

/// Arguments of `params`.
#[derive(Args, Debug)]
pub struct ParamsArgs {
    /// What to do with the parameters.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what is wrong with parameters, what the boot would make of it, and what to do.
    Check(CheckArgs),
    /// Read command lines from standard input; print what the OS makes of each, one JSON tree a line.
    ///
    /// A line that takes the parser's process down gives "PANIC", one that it never finishes "HANG".
    Parse(ParseArgs),
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// The line.
    #[arg(long, requires = "os", allow_hyphen_values = true)]
    line: String,
    /// Who reads it: `rancheros-1.5.8`, `burmillaos-1.9.3`, `smoke`, `linux`.
    #[arg(long)]
    os: Option<Os>,
}

#[derive(Args, Debug)]
struct ParseArgs {
    /// Whose parser: `rancheros-1.5.8`, `burmillaos-1.9.3`, `smoke`, `linux`.
    #[arg(long)]
    os: Os,
}

/// Runs `params`.
///
/// # Errors
/// When standard input cannot be read.
pub fn run(ctx: &Ctx, args: &ParamsArgs) -> Result<()> {
    match &args.action {
        Action::Check(args) => check(ctx, args),
        Action::Parse(args) => parse(ctx, args),
    }
}

fn check(ctx: &Ctx, args: &CheckArgs) -> Result<()> {
    let os = args.os.unwrap_or(Os::Linux);
    let context = Context { targets: Target::ALL.to_vec(), on_medium: true, nics: Vec::new() };
    let found = params::check(&args.line, os, &context);
    let name = os.to_string();
    // The line is its writer's own, so that nothing in it need be hidden on this terminal.
    show(ctx, Source { name: &name, text: &args.line }, &found)
}

/// Prints diagnostics and fails when there are errors among them.
fn show(ctx: &Ctx, source: Source<'_>, found: &[Diagnostic]) -> Result<()> {
    if ctx.globals.json {
        let reports: Vec<_> = found.iter().map(|d| source.report(d)).collect();
        ctx.report.out_json(&reports);
    } else {
        let texts: Vec<String> = found.iter().map(|d| source.show(d)).collect();
        ctx.report.out(&texts.join("\n"));
    }
    let count = |severity| found.iter().filter(|d| d.severity() == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors > 0 {
        let message = format!("{errors} errors and {warnings} warnings in the parameters of {}", source.name);
        return Err(Failure::new(Kind::Params, message).help("docs/params.md explains each code").into());
    }
    ctx.report.note(format!("no errors, {warnings} warnings"));
    Ok(())
}

fn parse(ctx: &Ctx, args: &ParseArgs) -> Result<()> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .explain(Kind::Input, || "cannot read lines".to_owned())?;
    let mut out = String::new();
    for line in String::from_utf8_lossy(&bytes).split_terminator('\n') {
        match params::parse(line, args.os) {
            Ok(tree) => out += &tree.to_json(),
            Err(crash) => out += &format!("\"{}\"", crash.word()),
        }
        out.push('\n');
    }
    ctx.report.out_bytes(out.as_bytes()).explain(Kind::Storage, || "cannot write the trees".to_owned())
}
