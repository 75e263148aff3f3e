//! The command line: clap types and nothing else. Each command's arguments stand beside its code in `cmd/`.

use clap::{Args, Parser, Subcommand};

use crate::cmd;
use buildexec::ctx::Globals;

/// Makes small, customised, verified boot media.
///
/// `cargo xtask dist --install` on a fresh Debian 12 or Ubuntu 24.04 builds the default profile.
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

/// Options of every command.
#[derive(Args, Debug)]
pub struct GlobalArgs {
    /// Print results as JSON on standard output, and events as JSON lines on standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only results, warnings and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Use no network: take everything from the store and from given folders, or say what is missing.
    #[arg(long, global = true)]
    pub offline: bool,
    /// Run this many jobs at once (0: one a core).
    #[arg(short, long, global = true, default_value_t = 0, value_name = "N")]
    pub jobs: usize,
    /// Keep the folder of a node that failed, and say where it is.
    #[arg(long, global = true)]
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
    /// Build a profile's media into dist/: ISO, iPXE, netboot tree, checksums, manifest.
    Dist(cmd::dist::DistArgs),
    /// Run virtual machines from what was built, and prove that it boots.
    Vm(cmd::vm::VmArgs),
    /// Serve a profile's netboot tree over HTTP, and show which machine is how far in its boot.
    Serve(cmd::serve::ServeArgs),
    /// Parse, check, explain and look up kernel parameters.
    Params(cmd::params::ParamsArgs),
    /// Show and change the kernel arguments of a finished ISO image, in place.
    Kargs(cmd::kargs::KargsArgs),
    /// List and take out what is in an ISO image, whoever made it.
    Iso(cmd::iso::IsoArgs),
    /// Print what `dist` would do, as text, JSON or DOT; nothing is built.
    Plan(cmd::plan::PlanArgs),
    /// Download and verify what a profile is made of; with --update, record it in media.lock.
    Fetch(cmd::fetch::FetchArgs),
    /// Check that media are what was promised: checksums, signature, manifest, and what is inside.
    Verify(cmd::verify::VerifyArgs),
    /// Sign what `dist` wrote with a minisign key.
    Sign(cmd::sign::SignArgs),
    /// Look for passwords, keys, tokens and traces of this machine in artifacts and in what they hold.
    Guard(cmd::guard::GuardArgs),
    /// Verify, look for secrets, and write a release: what the release job does. Without --execute, print the plan.
    Publish(cmd::publish::PublishArgs),
    /// List the tools that are needed, with the versions found and how to install what is missing.
    Doctor(cmd::doctor::DoctorArgs),
    /// Remove what the store keeps and no profile needs any more.
    Gc(cmd::gc::GcArgs),
    /// Run every check: format, lints, generated documents, workflows, tests, and boots.
    Test(cmd::test::TestArgs),
    /// What the workflows call; a workflow on this machine; two builds that have to be the same.
    Ci(cmd::ci::CiArgs),
    /// Measure what the documentation claims.
    Bench(cmd::bench::BenchArgs),
    /// Write the documentation that follows from the code: command reference, schema of media.toml.
    Codegen(cmd::codegen::CodegenArgs),
    /// Print a completion script for a shell.
    Completions(cmd::completions::CompletionsArgs),
}
