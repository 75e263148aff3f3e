//! `cargo xtask store`: is what is kept between runs still what it was?

use anyhow::Result;
use camino::Utf8PathBuf;

use buildexec::{
    ctx::Ctx,
    store::{Inspection, Store, StoreEntry, whole},
    tree,
};
use buildplan::Material;
use failure::{Failure, Kind};
use report::table::bytes;

/// Arguments of `store`.
#[derive(Debug, clap::Args)]
pub struct StoreArgs {
    /// Operation on the store.
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What `store` can do.
#[derive(Debug, clap::Subcommand)]
pub enum StoreCommand {
    /// Read every byte of the store and compare it with what was built.
    ///
    /// `dist` without work compares sizes and times and reads no contents. What it builds from or copies into dist/ it
    /// reads and compares; this reads the rest as well.
    #[command(after_help = "Examples:\n\
\x20 cargo xtask store check           # name what is damaged\n\
\x20 cargo xtask store check --remove  # remove it: `dist` builds it again")]
    Check {
        /// Delete damaged entries, so that the next `dist` rebuilds them.
        #[arg(long)]
        remove: bool,
    },
}

/// Runs a command of `store`.
///
/// # Errors
/// [`Kind::Digest`] when an entry is damaged and stays.
pub(crate) fn run(ctx: &Ctx, args: &StoreArgs) -> Result<()> {
    let StoreCommand::Check { remove } = args.command;
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let entries = store.entries()?;
    let mut damaged: Vec<(&Utf8PathBuf, String)> = Vec::new();
    for (dir, _) in &entries {
        ctx.check_interrupt()?;
        if let Err(e) = whole(dir, Inspection::Contents).and_then(|entry| as_recorded(&entry)) {
            damaged.push((dir, format!("{e:#}")));
        }
    }
    if remove {
        damaged.iter().try_for_each(|(dir, _)| tree::remove(dir))?;
    }
    show(ctx, &entries, &damaged, remove);
    match damaged.len() {
        n if n > 0 && !remove => Err(Failure::new(Kind::Digest, format!("{} damaged", entries_are(n)))
            .help("`cargo xtask store check --remove` removes them; `dist` builds again what it needs")
            .into()),
        _ => Ok(()),
    }
}

fn entries_are(n: usize) -> String {
    if n == 1 { "1 entry of the store is".to_owned() } else { format!("{n} entries of the store are") }
}

/// A download's own manifest says which digest it was made for.
fn as_recorded(entry: &StoreEntry) -> Result<()> {
    let wanted = entry.materials.iter().find_map(|material| match material {
        Material::Package { sha256, .. } | Material::Download { sha256, .. } => Some(*sha256),
        _ => None,
    });
    if let (Some(wanted), [output]) = (wanted, entry.outputs.values().collect::<Vec<_>>().as_slice()) {
        let have = output.sha256;
        anyhow::ensure!(have == wanted, "it has SHA-256 {have}, and should have {wanted}");
    }
    Ok(())
}

fn show(ctx: &Ctx, entries: &[(Utf8PathBuf, u64)], damaged: &[(&Utf8PathBuf, String)], removed: bool) {
    let size = entries.iter().map(|(_, size)| size).sum();
    if ctx.globals.json {
        let list: Vec<_> = damaged
            .iter()
            .map(|(dir, reason)| serde_json::json!({ "folder": dir, "reason": reason, "removed": removed }))
            .collect();
        ctx.report.out_json(&serde_json::json!({ "entries": entries.len(), "size": size, "damaged": list }));
        return;
    }
    let verb = if removed { "removed" } else { "damaged" };
    let lines: String = damaged.iter().map(|(dir, reason)| format!("{verb} {dir}: {reason}\n")).collect();
    let read = format!("read {}, {}: {} damaged", entry_count(entries.len()), bytes(size), damaged.len());
    ctx.report.out(&format!("{lines}{read}"));
}

fn entry_count(n: usize) -> String {
    if n == 1 { "1 entry".to_owned() } else { format!("{n} entries") }
}
