//! `cargo xtask codegen`: its arguments. The package `maintain` does it.

/// Arguments of `codegen`.
#[derive(Debug, clap::Args)]
pub struct CodegenArgs {
    /// Write nothing; fail if a file is out of date.
    #[arg(long)]
    pub check: bool,
}
