//! `cargo xtask codegen`.

use anyhow::Result;

use crate::dev::codegen;
use buildexec::ctx::Ctx;
use xtask::cmd::codegen::CodegenArgs;

/// Writes the documentation that follows from the code.
///
/// # Errors
/// When a file is out of date under --check, or cannot be written.
pub(crate) fn run(ctx: &Ctx, args: &CodegenArgs) -> Result<()> {
    if args.check {
        return codegen::check(ctx);
    }
    for path in codegen::write(ctx)? {
        ctx.report.out(path.strip_prefix(&ctx.root).unwrap_or(&path).as_str());
    }
    Ok(())
}
