//! `cargo xtask doctor`.

use anyhow::Result;

use buildexec::ctx::Ctx;
use buildexec::host_inputs::BuildHost;
use buildplan::HostInputs as _;
use mediabuild::workspace::preflight;
use mediaplan::stage::needs::{self, Need};
use report::table::table;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask doctor            # what is there\n\
\x20 cargo xtask doctor --install  # and have the rest installed")]
pub struct DoctorArgs {
    /// Install what is missing with apt, as root or through sudo.
    #[arg(long)]
    pub install: bool,
}

/// Lists everything that any command needs, with the versions found.
///
/// # Errors
/// [`failure::Kind::MissingTool`] when something is missing, with the command that installs it.
pub fn run(ctx: &Ctx, args: &DoctorArgs) -> Result<()> {
    let needs = needs::all();
    if args.install {
        preflight::check(ctx, &needs, true)?;
    }
    let machine = BuildHost::new(ctx, 0);
    let found = |need: &Need| -> Option<String> {
        if need.what.starts_with('/') {
            return preflight::is_there(ctx, need).then(|| "found".to_owned());
        }
        machine.tool(&need.what).ok().map(|t| t.version)
    };
    let rows: Vec<(Need, Option<String>)> = needs.into_iter().map(|n| (n.clone(), found(&n))).collect();
    if ctx.globals.json {
        let list =
            rows.iter().map(|(n, f)| serde_json::json!({ "what": n.what, "package": n.package, "found": f }));
        ctx.report.out_json(&list.collect::<Vec<_>>());
    } else {
        let cells = rows.iter().map(|(n, f)| {
            vec![n.what.clone(), n.package.to_owned(), f.clone().unwrap_or_else(|| "MISSING".to_owned())]
        });
        ctx.report.out(&table(&["NEEDED", "PACKAGE", "FOUND"], &cells.collect::<Vec<_>>()));
    }
    let missing: Vec<&Need> = rows.iter().filter(|(_, f)| f.is_none()).map(|(n, _)| n).collect();
    if missing.is_empty() { Ok(()) } else { Err(preflight::failure(&missing)) }
}
