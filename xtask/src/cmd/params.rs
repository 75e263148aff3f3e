//! `cargo xtask params`: the kernel's command line, read as the OS will read it.

use std::io::Read as _;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{
    ctx::Ctx,
    error::{Explain as _, Kind},
    params::{self, Os},
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
    /// Read command lines from standard input; print what the OS makes of each, one JSON tree a line.
    ///
    /// A line that takes the parser's process down gives "PANIC", one that it never finishes "HANG".
    Parse(ParseArgs),
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
        Action::Parse(args) => parse(ctx, args),
    }
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
