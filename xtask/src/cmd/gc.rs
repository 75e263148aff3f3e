//! `cargo xtask gc`: removes store entries that no current plan needs.

use std::collections::BTreeSet;

use anyhow::Result;

use super::build::{Build, Selection};
use buildexec::ctx::Ctx;
use buildexec::{
    midstates, objects,
    store::{Store, entry_dir},
    tree,
};
use mediabuild::workspace::load;
use mediaplan::config::Engine;
use report::table::{bytes, count};

/// Arguments of `gc`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask gc --dry-run  # what would go\n\
\x20 cargo xtask gc            # remove it\n\
\x20 cargo xtask gc --all      # downloads, too")]
pub struct GcArgs {
    /// Delete everything kept between runs, including downloads.
    #[arg(long)]
    pub all: bool,
    /// Only print what would be deleted.
    #[arg(long)]
    pub dry_run: bool,
}

/// Deletes what is not needed any more and prints its size.
///
/// # Errors
/// When the configuration or the disk cannot be read.
pub(crate) fn run(ctx: &Ctx, args: &GcArgs) -> Result<()> {
    let store = Store::open(&ctx.work, &ctx.report, &ctx.runner.interrupt)?;
    let needed = if args.all { BTreeSet::new() } else { needed(ctx)? };
    let mut gone = Vec::new();
    let mut remove = |path: &camino::Utf8Path, size: u64| -> Result<()> {
        gone.push((path.to_owned(), size));
        if args.dry_run {
            ctx.report.note(format!("would remove {path} ({})", bytes(size)));
            return Ok(());
        }
        tree::remove(path)
    };
    for (path, size) in store.entries()?.iter().filter(|(p, _)| !needed.contains(p)) {
        remove(path, *size)?;
    }
    let (kept, rests) = (["downloads", objects::FOLDER], ["logs", midstates::FOLDER, "tmp"]);
    for rest in kept.into_iter().filter(|_| args.all).chain(rests) {
        let dir = ctx.work.join(rest);
        if dir.exists() {
            remove(&dir, tree::size(&dir).unwrap_or(0))?;
        }
    }
    let freed = gone.iter().map(|(_, size)| size).sum();
    if ctx.globals.json {
        let list: Vec<_> =
            gone.iter().map(|(path, size)| serde_json::json!({ "path": path, "size": size })).collect();
        ctx.report.out_json(&serde_json::json!({ "removed": !args.dry_run, "folders": list, "size": freed }));
    } else {
        let verb = if args.dry_run { "would remove" } else { "removed" };
        ctx.report.out(&format!("{verb} {}, {}", count(gone.len(), "folder"), bytes(freed)));
    }
    Ok(())
}

/// The entries that the profiles need as they stand, by either engine. A profile that cannot be planned here keeps
/// nothing.
fn needed(ctx: &Ctx) -> Result<BTreeSet<camino::Utf8PathBuf>> {
    let loaded = load::load(ctx)?;
    let mut needed = BTreeSet::new();
    for profile in loaded.config.profiles() {
        for engine in [Engine::Source, Engine::Prebuilt] {
            let selection = Selection { engine: Some(engine), ..Selection::default() };
            let Ok(build) = Build::new(ctx, &loaded, profile, &selection) else { continue };
            let Ok(keys) = build.keys() else { continue };
            needed
                .extend(keys.ids().map(|id| entry_dir(&ctx.work, build.planned.plan.node(id), keys.key(id))));
        }
    }
    Ok(needed)
}
