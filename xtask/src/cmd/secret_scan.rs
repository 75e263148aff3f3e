//! `cargo xtask secret-scan`: looks for secrets in artifacts.

use anyhow::Result;
use camino::Utf8PathBuf;

use buildexec::ctx::Ctx;
use trust::secret_scan;

/// Arguments of `secret-scan`.
#[derive(Debug, clap::Args)]
pub struct SecretScanArgs {
    /// Folders or files to scan.
    #[arg(required = true, value_name = "DIR|FILE")]
    pub paths: Vec<Utf8PathBuf>,
    /// Allow passwords, keys and tokens, as `publish-secrets = true` in a profile does.
    #[arg(long)]
    pub secrets: bool,
    /// Warn about unreadable content instead of failing.
    #[arg(long)]
    pub allow_unread: bool,
}

/// Scans the given files and everything inside them.
///
/// # Errors
/// [`failure::Kind::Leak`] with each find.
pub(crate) fn run(ctx: &Ctx, args: &SecretScanArgs) -> Result<()> {
    let rules = secret_scan::rules(ctx);
    let mut all = secret_scan::Scan::default();
    for path in &args.paths {
        let path = ctx.absolute(path.clone())?;
        let scan = secret_scan::scan(ctx, &format!("looking for secrets in {path}"), &path, &rules)?;
        all.found.extend(scan.found);
        all.unread.extend(scan.unread);
        all.bytes += scan.bytes;
    }
    show(ctx, &all);
    results(ctx, &all);
    if !rules.looks_for_host {
        ctx.report.note("this machine's name was not looked for: it has none of its own");
    }
    all.refuse(secret_scan::Allow { secrets: args.secrets, unread: args.allow_unread })
}

/// Names what could not be scanned.
pub(super) fn show(ctx: &Ctx, scan: &secret_scan::Scan) {
    for unread in &scan.unread {
        ctx.report.warn(format!("not looked into: {unread}"));
    }
}

fn results(ctx: &Ctx, scan: &secret_scan::Scan) {
    if ctx.globals.json {
        let found: Vec<_> =
            scan.found.iter().map(|(f, at)| serde_json::json!({ "at": at, "find": f })).collect();
        ctx.report
            .out_json(&serde_json::json!({ "found": found, "unread": scan.unread, "bytes": scan.bytes }));
    }
}
