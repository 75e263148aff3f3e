//! The command line: clap types and nothing else. Each command's arguments stand beside its code in `cmd/`.

use clap::{Args, Parser, Subcommand};

use crate::cmd;
use buildexec::ctx::Globals;

/// Makes small, customised, verified boot media.
///
/// `cargo xtask dist --install` builds the default profile on a bare Debian 12, Debian 13 or Ubuntu 24.04.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The heading of options that every command has.
const GLOBAL: &str = "Global options";

/// Options of every command.
#[derive(Args, Debug)]
pub struct GlobalArgs {
    /// Print results as JSON on standard output, events as JSON lines on standard error.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// Print only results, warnings and errors.
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub quiet: bool,
    /// Do not use the network; fail if anything is missing.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub offline: bool,
    /// Jobs to run at once; 0 = one per core.
    #[arg(short, long, global = true, default_value_t = 0, value_name = "N", help_heading = GLOBAL)]
    pub jobs: usize,
    /// Keep a failed step's working directory and print its path.
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub keep_failed: bool,
}

impl From<&GlobalArgs> for Globals {
    fn from(a: &GlobalArgs) -> Self {
        Self { json: a.json, quiet: a.quiet, offline: a.offline, jobs: a.jobs, keep_failed: a.keep_failed }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build media into dist/: ISO, iPXE, netboot tree, checksums.
    #[command(visible_alias = "build")]
    Dist(Box<cmd::dist::DistArgs>),
    /// Build many ISOs of a profile that differ in kernel parameters.
    Variants(cmd::variants::VariantsArgs),
    /// List the profiles of media.toml, and what is built of them.
    Profiles(cmd::profiles::ProfilesArgs),
    /// Boot what was built in virtual machines, by hand or as tests.
    Vm(cmd::vm::VmArgs),
    /// Serve a netboot tree over HTTP; show each machine's boot progress.
    Serve(cmd::serve::ServeArgs),
    /// Check, explain and list kernel parameters.
    Params(cmd::params::ParamsArgs),
    /// Show or change the kernel arguments of a finished ISO, in place.
    Kargs(cmd::kargs::KargsArgs),
    /// List or extract the files of any ISO image.
    Iso(cmd::iso::IsoArgs),
    /// Show what `dist` would do, without doing it.
    Plan(cmd::plan::PlanArgs),
    /// Download and verify inputs; --update records them in media.lock.
    Fetch(cmd::fetch::FetchArgs),
    /// Check media: checksums, signature, manifest, every byte inside.
    Verify(cmd::verify::VerifyArgs),
    /// Make keys that media are signed with.
    Key(cmd::key::KeyArgs),
    /// Sign the checksums that `dist` wrote with a minisign key.
    Sign(cmd::sign::SignArgs),
    /// Scan artifacts for secrets and traces of the build machine.
    #[command(visible_alias = "guard")]
    SecretScan(cmd::secret_scan::SecretScanArgs),
    /// Verify, scan and write a release (dry run without --execute).
    Publish(cmd::publish::PublishArgs),
    /// List the tools needed, what is missing, how to install it.
    Doctor(cmd::doctor::DoctorArgs),
    /// Delete cached results that no profile uses.
    Gc(cmd::gc::GcArgs),
    /// Check that cached results are still what was built.
    Store(cmd::store::StoreArgs),
    /// Run every check of this repository, real boots included.
    Test(cmd::test::TestArgs),
    /// CI helpers: matrix, local workflow runs, reproducibility check.
    Ci(cmd::ci::CiArgs),
    /// Write the documentation that is generated from the code.
    Codegen(cmd::codegen::CodegenArgs),
    /// Print a completion script for a shell.
    Completions(cmd::completions::CompletionsArgs),
}
