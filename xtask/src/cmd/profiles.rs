//! `cargo xtask profiles`: what can be built, and what is.

use anyhow::Result;
use serde::Serialize;

use buildexec::{ctx::Ctx, paths};
use mediabuild::workspace::load;
use report::table::bytes;

/// Arguments of `profiles`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask profiles\n  cargo xtask profiles --json")]
pub struct ProfilesArgs {}

/// One profile.
#[derive(Debug, Serialize)]
struct ProfileRow {
    name: String,
    about: String,
    default: bool,
    /// Bytes in `dist/<name>/`, if it was built.
    built: Option<u64>,
}

/// Lists the profiles.
///
/// # Errors
/// When `media.toml` is invalid or `dist/` cannot be read.
pub(crate) fn run(ctx: &Ctx, _: &ProfilesArgs) -> Result<()> {
    let loaded = load::load(ctx)?;
    let default = loaded.config.default_profile.as_str();
    let rows: Vec<ProfileRow> = loaded
        .config
        .profiles()
        .map(|p| {
            Ok(ProfileRow {
                name: p.name.clone(),
                about: p.about.clone(),
                default: p.name == default,
                built: size(ctx, &p.name)?,
            })
        })
        .collect::<Result<_>>()?;
    if ctx.globals.json {
        ctx.report.out_json(&rows);
        return Ok(());
    }
    let cells: Vec<_> = rows.iter().map(cells).collect();
    ctx.report.out_table(&["PROFILE", "BUILT", "ABOUT"], &cells);
    Ok(())
}

fn cells(row: &ProfileRow) -> Vec<String> {
    let name = if row.default { format!("{} (default)", row.name) } else { row.name.clone() };
    vec![name, row.built.map_or_else(|| "no".to_owned(), bytes), row.about.clone()]
}

fn size(ctx: &Ctx, name: &str) -> Result<Option<u64>> {
    let dir = ctx.dist.join(name);
    if !dir.join(attest::MANIFEST).exists() {
        return Ok(None);
    }
    let mut sum = 0;
    for file in paths::listed(&dir)? {
        sum += fs_err::symlink_metadata(dir.join(file))?.len();
    }
    Ok(Some(sum))
}
