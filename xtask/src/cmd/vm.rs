//! `cargo xtask vm`: its arguments. The package `lab` does it.

use camino::Utf8PathBuf;

use vmspec::{
    Firmware,
    choice::{BackendChoice, BootMedium},
    quote::Shell,
};

/// Arguments of `vm`.
#[derive(Debug, clap::Args)]
pub struct VmArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: VmCommand,
}

/// The commands of `vm`.
#[derive(Debug, clap::Subcommand)]
pub enum VmCommand {
    /// Run a profile's machine: serve its netboot tree and show its console.
    ///
    /// Its disk stays in target/media/vm/machines until `vm rm`. Ctrl-C switches the machine off.
    Run(RunArgs),
    /// Boot a profile's media in every way, and check that failures are detected.
    ///
    /// Exits with 10 when a scenario failed. With MEDIA_REQUIRE_VM=1 in the environment, a missing QEMU or UEFI
    /// firmware is a failure too.
    Test(VmTestArgs),
    /// List the machines that `vm run` created.
    Ls,
    /// Remove a machine of `vm run` and its disks; other files in the folder are kept.
    Rm(RmArgs),
}

/// Arguments of `vm run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask vm run                                 # until Ctrl-C\n\
\x20 cargo xtask vm run rancheros --from cd             # its ISO, without iPXE\n\
\x20 cargo xtask vm run --firmware uefi --gui           # with UEFI, and a window\n\
\x20 cargo xtask vm run --backend virtualbox --dry-run  # what VBoxManage is given")]
pub struct RunArgs {
    /// Profile [default: default-profile in media.toml].
    pub profile: Option<String>,
    /// Virtual machine monitor.
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    pub backend: BackendChoice,
    /// Boot medium.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub from: BootMedium,
    /// Firmware [default: the profile's].
    #[arg(long, value_enum)]
    pub firmware: Option<Firmware>,
    /// Port on 127.0.0.1 that leads to the guest's SSH, 0 for none [default: `ssh-port` of the profile].
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
    /// Show the machine's screen in a window.
    #[arg(long)]
    pub gui: bool,
    /// Save a screenshot once the guest is up (PNG; PPM with an old QEMU).
    #[arg(long, value_name = "FILE")]
    pub screenshot: Option<Utf8PathBuf>,
    /// Reset the machine each time it is up; exit after N boots.
    #[arg(long, value_name = "N", conflicts_with = "once")]
    pub reset_loop: Option<u32>,
    /// Exit once the guest is up.
    #[arg(long)]
    pub once: bool,
    /// Print the commands without running them.
    #[arg(long)]
    pub dry_run: bool,
    /// Shell to print commands for [default: powershell on Windows, else sh].
    #[arg(long, value_enum, requires = "dry_run", value_name = "SHELL")]
    pub shell: Option<ScriptShell>,
}

/// Arguments of `vm test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n\
\x20 cargo xtask vm test                                   # the default profile\n\
\x20 cargo xtask vm test smoke                             # every way of booting\n\
\x20 cargo xtask vm test --list                            # list the scenarios\n\
\x20 cargo xtask vm test rancheros --scenario iso-cd-uefi  # one of them")]
pub struct VmTestArgs {
    /// Profile [default: default-profile in media.toml].
    pub profile: Option<String>,
    /// Only this scenario (repeatable).
    #[arg(long = "scenario", value_name = "NAME")]
    pub scenarios: Vec<String>,
    /// Virtual machine monitor.
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    pub backend: BackendChoice,
    /// Also run long scenarios, and a hundred power cuts instead of ten.
    #[arg(long)]
    pub long: bool,
    /// Cut the power N times at random moments, booting from the ISO and from the network; check that the guest's
    /// counter never goes back and its file system stays clean.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with_all = ["scenarios", "long"])]
    pub torture: Option<u64>,
    /// Boot with each kind of disk that is not blank: `autoformat` must change nothing of it.
    #[arg(long, conflicts_with_all = ["scenarios", "long", "torture"])]
    pub disks: bool,
    /// Record the number of cases, and how many passed, in docs/reliability.md.
    #[arg(long)]
    pub report: bool,
    /// Folder of older media of the profile, for the scenario `upgrade`: the new ones take over their disk.
    #[arg(long, value_name = "DIR")]
    pub older: Option<Utf8PathBuf>,
    /// Clone of iPXE's repository for the signed media of long scenarios, instead of those in media.toml.
    #[arg(long, value_name = "PATH|URL")]
    pub ipxe_repo: Option<String>,
    /// List the scenarios without booting.
    #[arg(long)]
    pub list: bool,
}

/// Arguments of `vm rm`.
#[derive(Debug, clap::Args)]
pub struct RmArgs {
    /// Profile that the machine was made from.
    pub profile: String,
    /// Virtual machine monitor.
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    pub backend: BackendChoice,
    /// Print the commands without running them.
    #[arg(long)]
    pub dry_run: bool,
    /// Shell to print commands for [default: powershell on Windows, else sh].
    #[arg(long, value_enum, requires = "dry_run", value_name = "SHELL")]
    pub shell: Option<ScriptShell>,
}

/// Shells whose commands can be printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum ScriptShell {
    /// Any POSIX shell.
    Sh,
    /// PowerShell.
    #[value(name = "powershell")]
    PowerShell,
}

impl From<ScriptShell> for Shell {
    fn from(shell: ScriptShell) -> Self {
        match shell {
            ScriptShell::Sh => Self::Sh,
            ScriptShell::PowerShell => Self::PowerShell,
        }
    }
}
