//! `cargo xtask test`: its arguments. The package `maintain` does it.

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Install missing programs with apt, as root or through sudo, and linters below target/.
    #[arg(long)]
    pub install: bool,
    /// Also run the long checks: each fuzzer for a minute, the Docker system with a hundred power cuts, line coverage.
    #[arg(long)]
    pub long: bool,
    /// Record the attacks and their results in docs/reliability.md.
    #[arg(long, requires = "long")]
    pub report: bool,
    /// Run only this step (repeatable).
    #[arg(long, value_name = "STEP")]
    pub only: Vec<String>,
    /// Run only the attacks of this row of docs/reliability.md (repeatable); other rows are unchanged.
    #[arg(long, value_name = "ROW", requires = "report", conflicts_with = "only")]
    pub row: Vec<String>,
    /// Run the README's commands in a new installation of this release instead.
    ///
    /// One of bookworm, trixie, noble and resolute. The results are compared with a build on this machine. Needs root,
    /// and debootstrap, which --install installs. Uncommitted changes are left out; --only and --long apply to the
    /// `test` that runs there.
    #[arg(long, value_name = "RELEASE", conflicts_with = "report")]
    pub distribution: Option<String>,
}
