//! `cargo xtask ci`: its arguments. The package `maintain` does it.

use camino::Utf8PathBuf;

use super::build::Selection;

/// Arguments of `ci`.
#[derive(Debug, clap::Args)]
pub struct CiArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CiCommand,
}

/// The commands of `ci`.
#[derive(Debug, clap::Subcommand)]
pub enum CiCommand {
    /// Print the jobs that build media as GitHub's matrix, and set the step's output `matrix`.
    Matrix {
        /// Purpose of the jobs.
        #[arg(long = "for", value_enum, default_value = "ci", value_name = "PURPOSE")]
        purpose: Purpose,
    },
    /// Print the cache key for CI's copy of the store, and set the step's output `key`.
    ///
    /// It covers iPXE's objects, which take minutes to compile; the rest is built in seconds.
    CacheKey {
        /// The build that the key is for.
        #[command(flatten)]
        selection: Selection,
        /// Install missing programs with apt: their versions are part of the key.
        #[arg(long)]
        install: bool,
    },
    /// Check that every job passed, from the variable NEEDS (GitHub's `toJSON(needs)`).
    Finish,
    /// Check that pinned downloads still exist and look for newer versions; prints Markdown.
    Pins {
        /// Open an issue with the result through `gh`, or update the open one. Without GH_TOKEN this is a dry run that
        /// tolerates a missing network.
        #[arg(long)]
        issue: bool,
        /// Open a pull request that records today's packages in media.lock through `gh`, or update the open one; a dry
        /// run without GH_TOKEN.
        #[arg(long)]
        change: bool,
        /// Print the change without opening a pull request.
        #[arg(long, conflicts_with_all = ["issue", "change"])]
        dry_run: bool,
        /// Install with apt what the distribution's signature is verified with.
        #[arg(long)]
        install: bool,
    },
    /// Reduce package indices to what resolving our packages reads: makes the fixtures of tests.
    Relations {
        /// `Packages` files of one release, unpacked: of each suite and component.
        #[arg(required = true, value_name = "PACKAGES")]
        packages: Vec<Utf8PathBuf>,
    },
    /// Build twice in two different environments and compare every byte.
    ///
    /// Another folder, file system, clock (where faketime is installed), umask, locale, number of jobs, environment
    /// and order of files; user and host name where you are root. Exits with 5 when something differs, saying where.
    Reproducible {
        /// What to build.
        #[command(flatten)]
        selection: Selection,
        /// Install missing programs with apt.
        #[arg(long)]
        install: bool,
    },
    /// Lay out the files of a GitHub release in the folder `assets` beside one that `publish` wrote.
    Assets {
        /// Folder of one channel.
        release: Utf8PathBuf,
        /// Folder of programs, as `ci program` writes it; they become files of the release.
        #[arg(long, value_name = "DIR")]
        programs: Option<Utf8PathBuf>,
    },
    /// Compile this program for release, for this operating system.
    Program {
        /// Output folder.
        #[arg(long, value_name = "DIR", default_value = "program")]
        to: Utf8PathBuf,
        /// Install what is missing with apt.
        #[arg(long)]
        install: bool,
    },
    /// Create a GitHub release from the folder `assets`, through `gh`. Uploads nothing unless the push of a tag started
    /// the workflow.
    Upload {
        /// Folder of the channel.
        release: Utf8PathBuf,
        /// Existing tag, such as `v1.2.3` or `refs/tags/v1.2.3`.
        #[arg(long)]
        tag: String,
    },
    /// Run a workflow's steps here, each job in a clean clone of HEAD.
    Run {
        /// Workflow: `ci`, `release` or `nightly`.
        workflow: String,
        /// The part of the workflow to run.
        #[command(flatten)]
        choice: JobChoice,
    },
}

/// Purpose of the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Purpose {
    /// For a change: the profiles made of pinned packages, one of them with both engines.
    Ci,
    /// For people: each profile whose inputs are known, with both engines.
    Release,
}

/// The part of a workflow to run; by default all of it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct JobChoice {
    /// Only this job, and those that it needs.
    #[arg(long)]
    pub job: Option<String>,
    /// Run only the matrix entry of this name, in jobs that have one. Use it to skip media whose inputs are
    /// unavailable; at least one job must match.
    #[arg(long = "matrix", value_name = "NAME")]
    pub run: Option<String>,
}
