//! What runs machines: QEMU or VirtualBox.

use core::net::Ipv4Addr;

use anyhow::Result;
use camino::Utf8Path;

use super::{
    host,
    session::{self, Session, make_disk},
    virtualbox::{self, Running, VirtualBox, preflight},
};
use buildexec::{ctx::Ctx, leftovers};
use vmspec::{
    Machine,
    boot::Want,
    choice::BackendChoice,
    qemu::{self, Watch},
    quote::{self, Shell},
    scenario::Scenario,
    virtualbox::{System, Todo, fitted, host_only, script as virtualbox_script},
};

/// A back end of this host.
pub(crate) enum Backend {
    /// QEMU.
    Qemu(qemu::QemuHost),
    /// VirtualBox.
    VirtualBox,
}

impl Backend {
    /// Finds the back end on this host.
    ///
    /// # Errors
    /// [`failure::Kind::MissingTool`] when it is not installed.
    pub(crate) fn find(ctx: &Ctx, choice: BackendChoice) -> Result<Self> {
        Ok(match choice {
            BackendChoice::Qemu => Self::Qemu(session::backend(ctx)?),
            BackendChoice::Virtualbox => {
                preflight::find(ctx, System::current())?;
                Self::VirtualBox
            }
        })
    }

    /// Why it cannot show `scenario`, if it cannot.
    #[must_use]
    pub(crate) fn obstacle(&self, scenario: &Scenario) -> Option<String> {
        match self {
            Self::Qemu(host) => scenario.obstacle_of_qemu(host.ovmf.is_some(), host.secure.is_some()),
            Self::VirtualBox => scenario.obstacle_of_virtualbox(System::current()),
        }
    }

    /// What runs the guest's code, which decides how long a boot may take.
    #[must_use]
    pub(crate) fn accel(&self) -> qemu::Accel {
        match self {
            Self::Qemu(host) => host.accel,
            // It may itself run in a virtual machine.
            Self::VirtualBox => qemu::Accel::Tcg,
        }
    }

    /// How many machines run at once at most. Two that set up VirtualBox's host-only network at the same time would
    /// make two of them.
    #[must_use]
    pub(crate) fn at_once(&self, jobs: usize) -> usize {
        match self {
            Self::Qemu(_) => jobs.min(2),
            Self::VirtualBox => 1,
        }
    }

    /// Switches off the machine `name` in `dir`, which is held, where a run that was killed left it on, and says whether
    /// it was.
    ///
    /// # Errors
    /// When it cannot be switched off.
    pub(crate) fn take_back(&self, ctx: &Ctx, name: &str, dir: &Utf8Path) -> Result<bool> {
        match self {
            Self::Qemu(_) => {
                let left = session::left_running(ctx, dir)?;
                leftovers::end(ctx, &left)?;
                Ok(!left.is_empty())
            }
            Self::VirtualBox => {
                let mut vm = VirtualBox::open(ctx, dir, name)?;
                vm.host.hold(&vm.place)?;
                vm.take_back()
            }
        }
    }

    /// The machine as it is run here, with its disks in `dir` made, its network there, and the address of this host
    /// at which the guest finds a server.
    ///
    /// # Errors
    /// When something cannot be made.
    pub(crate) fn ready(&self, ctx: &Ctx, machine: Machine, dir: &Utf8Path) -> Result<(Machine, Ipv4Addr)> {
        match self {
            Self::Qemu(_) => {
                machine.disks.iter().try_for_each(make_disk)?;
                // QEMU's user network leads there.
                Ok((machine, Ipv4Addr::LOCALHOST))
            }
            Self::VirtualBox => {
                let mut vm = VirtualBox::open(ctx, dir, &machine.name)?;
                let machine = fitted(&vm.place, machine);
                let address = host_only(&machine).map_or(Ipv4Addr::LOCALHOST, |n| n.host);
                vm.host.hold(&vm.place)?;
                vm.host.write_down(dir.join("command.txt"));
                vm.prepare(&machine)?;
                Ok((machine, address))
            }
        }
    }

    /// Switches on a machine that is [`Self::ready`] in `dir`, with transcripts in `boot`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        &self,
        ctx: &Ctx,
        machine: &Machine,
        dir: &Utf8Path,
        boot: &Utf8Path,
        want: Want,
        window: bool,
    ) -> Result<Session> {
        match self {
            Self::Qemu(host) => Session::start(ctx, machine, host, boot, want, window),
            Self::VirtualBox => Session::with(&machine.serial, boot, want, None, || {
                Ok(Box::new(Running::on(ctx, machine, dir, boot, window)?))
            }),
        }
    }

    /// The commands that make and start `machine` with its files in `dir`, as text; nothing is run but questions.
    /// `serve` is the command of the server that it boots from.
    ///
    /// # Errors
    /// When the machine is refused.
    pub(crate) fn script(
        choice: BackendChoice,
        ctx: &Ctx,
        machine: Machine,
        dir: &Utf8Path,
        shell: Shell,
        window: bool,
        serve: Option<String>,
    ) -> Result<String> {
        match choice {
            BackendChoice::Qemu => {
                let host = host::find_or_guess(ctx)?;
                let disks = machine.disks.iter().filter(|d| !d.path.exists()).map(qemu::create_disk);
                let run = qemu::command(&machine, &host, &Watch { window, ..Watch::default() })?;
                let lines = disks.chain([run]).map(|cmd| quote::line(&cmd, shell) + "\n");
                Ok(serve.map(|s| format!("# in another shell: {s}\n")).into_iter().chain(lines).collect())
            }
            BackendChoice::Virtualbox => {
                let name = machine.name.clone();
                let todo = virtualbox::dry_run(ctx, dir, &name, machine, window)?;
                let todo = Todo { serve, ..todo };
                Ok(virtualbox_script(&todo, shell))
            }
        }
    }

    /// The commands of [`Self::forget`] as text; nothing is run but questions.
    ///
    /// # Errors
    /// When VirtualBox cannot be asked.
    pub(crate) fn forget_script(
        choice: BackendChoice,
        ctx: &Ctx,
        name: &str,
        dir: &Utf8Path,
        shell: Shell,
    ) -> Result<String> {
        match choice {
            BackendChoice::Qemu => Ok(String::new()),
            BackendChoice::Virtualbox => {
                Ok(virtualbox_script(&virtualbox::dry_removal(ctx, dir, name)?, shell))
            }
        }
    }

    /// Removes what the back end keeps of the machine `name` beyond files in `dir`, also after an interrupt.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn forget(&self, ctx: &Ctx, name: &str, dir: &Utf8Path) -> Result<()> {
        match self {
            Self::Qemu(_) => Ok(()),
            Self::VirtualBox => {
                let mut vm = VirtualBox::open(ctx, dir, name)?;
                vm.host.ignore_interrupt();
                vm.host.hold(&vm.place)?;
                for folder in vm.remove()? {
                    // What is not ours stays, and its folder with it.
                    for part in ["Logs", "Snapshots", ""] {
                        _ = fs_err::remove_dir(Utf8Path::new(&folder).join(part));
                    }
                }
                Ok(())
            }
        }
    }
}
