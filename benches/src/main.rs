//! `cargo run -p benches -- [ROW…]`: this program beside what a user would pick instead.
//!
//! Ours and the alternative run in turn, several times, in one run: a busy machine slows both, and the ratio holds
//! where seconds do not. `docs/performance.json` keeps one entry a release, `docs/performance.md` shows it.

mod history;
mod lab;
mod machine;
mod page;
mod rows;
mod series;

use std::process::ExitCode;

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Parser;

use buildexec::ctx::{Ctx, Env, Globals};
use failure::{Failure, Kind};
use history::History;
use lab::BenchLab;
use rows::Row;
use series::RowResult;

/// Measures this program beside what a user would pick instead.
#[derive(Debug, Parser)]
#[command(name = "benches", max_term_width = 100)]
pub(crate) struct Args {
    /// Rows to measure, by name or number [default: all that take less than a minute].
    pub(crate) rows: Vec<String>,
    /// List the rows.
    #[arg(long)]
    pub(crate) list: bool,
    /// Fewer rounds and smaller files where that keeps the ratio meaningful.
    #[arg(long)]
    pub(crate) quick: bool,
    /// A clone of iPXE's repository, for the rows that compile it.
    #[arg(long, value_name = "PATH")]
    pub(crate) ipxe_repo: Option<Utf8PathBuf>,
    /// Install the alternatives with apt-get first.
    #[arg(long)]
    pub(crate) install: bool,
    /// Record the results in docs/performance.json and write docs/performance.md.
    #[arg(long)]
    pub(crate) write: bool,
    /// Warn of each ratio that is more than a third worse than the recorded one.
    #[arg(long)]
    pub(crate) check: bool,
    /// Print the results as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let globals = Globals { json: args.json, ..Globals::default() };
    let ctx = match Ctx::new(globals, Env::read(), &[]) {
        Ok(ctx) => ctx,
        Err(e) => {
            let report = report::Reporter::new(report::Mode::Human { terminal: false }, false);
            report.error(&e);
            return ExitCode::FAILURE;
        }
    };
    match ctx.report.finish(run(&ctx, &args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            ctx.report.error(&e);
            failure::kind_of(&e).map_or(1, Kind::exit_code).into()
        }
    }
}

fn run(ctx: &Ctx, args: &Args) -> Result<()> {
    if args.list {
        ctx.report.out(&rows::list());
        return Ok(());
    }
    let chosen = rows::choose(&args.rows)?;
    let mut history = History::read(&ctx.root)?;
    let lab = BenchLab::new(ctx.clone(), args)?;
    if args.install {
        lab.install()?;
    }
    let (lines, failed) = measure(ctx, &lab, &chosen)?;
    if args.check {
        history.worse(&lines).into_iter().for_each(|text| ctx.report.warn(text));
    }
    if args.json {
        ctx.report.out_json(&lines);
    } else {
        ctx.report.out(&page::terminal(&lines));
    }
    if args.write {
        history.record(machine::describe(ctx), lines);
        history.write(&ctx.root)?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Command, format!("rows that could not be measured: {}", failed.join(", ")))
        .help("the reasons stand above; run those rows again by name")
        .into())
}

/// What the rows gave, and the names of those that failed. A row that fails, or lacks an alternative on this machine, leaves
/// the others alone.
fn measure(ctx: &Ctx, lab: &BenchLab, rows: &[&Row]) -> Result<(Vec<RowResult>, Vec<&'static str>)> {
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for row in rows {
        ctx.check_interrupt()?;
        ctx.report.note(format!("{}. {}: {}", row.number, row.name, row.about));
        match (row.run)(lab) {
            Ok(measured) => lines.extend(measured),
            Err(e) if failure::kind_of(&e) == Some(Kind::Interrupted) => return Err(e),
            Err(e) => {
                ctx.report.warn(format!("{}: {e:#}", row.name));
                if failure::kind_of(&e) != Some(Kind::MissingTool) {
                    failed.push(row.name);
                }
            }
        }
    }
    Ok((lines, failed))
}

/// A row that cannot be measured here, and what it needs.
pub(crate) fn missing(what: &str, help: &str) -> anyhow::Error {
    Failure::new(Kind::MissingTool, format!("{what}, so this row is not measured")).help(help).into()
}
