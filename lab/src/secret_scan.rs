//! `cargo xtask secret-scan`: looks for secrets in artifacts.

use anyhow::Result;

use buildexec::ctx::Ctx;
use xtask::cmd::secret_scan::SecretScanArgs;

/// Scans the given files and everything inside them.
///
/// # Errors
/// [`failure::Kind::Leak`] with each find.
pub(crate) fn run(ctx: &Ctx, args: &SecretScanArgs) -> Result<()> {
    let rules = secretscan::rules(ctx);
    let mut all = secretscan::Scan::default();
    for path in &args.paths {
        let path = ctx.absolute(path.clone())?;
        let scan = secretscan::scan(ctx, &format!("looking for secrets in {path}"), &path, &rules)?;
        all.found.extend(scan.found);
        all.unread.extend(scan.unread);
        all.bytes += scan.bytes;
    }
    show(ctx, &all);
    results(ctx, &all);
    if !rules.looks_for_host {
        ctx.report.note("this machine's name was not looked for: it has none of its own");
    }
    all.refuse(secretscan::Allow { secrets: args.secrets, unread: args.allow_unread })
}

/// Names what could not be scanned.
pub(crate) fn show(ctx: &Ctx, scan: &secretscan::Scan) {
    for unread in &scan.unread {
        ctx.report.warn(format!("not looked into: {unread}"));
    }
}

fn results(ctx: &Ctx, scan: &secretscan::Scan) {
    if ctx.globals.json {
        let found: Vec<_> =
            scan.found.iter().map(|(f, at)| serde_json::json!({ "at": at, "find": f })).collect();
        ctx.report
            .out_json(&serde_json::json!({ "found": found, "unread": scan.unread, "bytes": scan.bytes }));
    }
}
