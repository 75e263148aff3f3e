//! What VirtualBox needs of this host: VBoxManage itself, drivers, networks. Says what is missing and what mends it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use buildexec::ctx::Ctx;
use vmspec::{
    Machine,
    virtualbox::{HostState, ManageStep, Networks, System, Todo, boots_from_network},
};

/// Where a host allows host-only networks.
const NETWORKS_CONF: &str = "/etc/vbox/networks.conf";

/// [`vmspec::virtualbox::find`] on this host.
///
/// # Errors
/// [`failure::Kind::MissingTool`] with how to install it.
pub(crate) fn find(ctx: &Ctx, system: System) -> Result<Utf8PathBuf> {
    let found =
        vmspec::virtualbox::find(system, |name| ctx.env.get(name), |program| ctx.find_program(program));
    Ok(found?)
}

/// Which host-only networks this host allows.
///
/// # Errors
/// When the file that says so is there and cannot be read.
pub(crate) fn allowed_networks(system: System) -> Result<Networks> {
    let file = Utf8Path::new(NETWORKS_CONF);
    if system == System::Windows {
        return Ok(Networks::Any);
    }
    if !file.exists() {
        return Ok(Networks::Usual);
    }
    let text = buildexec::run::read_limited(file, 1 << 16)?;
    Ok(Networks::parse(&String::from_utf8_lossy(&text)))
}

/// What will or may be in the way of `todo`, each with what mends it. `exists` says whether a path exists.
///
/// A missing driver is told and not refused: if this VirtualBox runs guests without it, all is well, and if not,
/// the start fails within a second.
#[must_use]
pub(crate) fn missing(
    system: System,
    machine: &Machine,
    state: &HostState,
    todo: &Todo,
    exists: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let makes_interface = todo.steps.iter().any(ManageStep::makes_interface);
    let mut missing = Vec::new();
    if system == System::Linux && !exists("/dev/vboxdrv") {
        missing.push(no_module(
            "kernel driver",
            "/dev/vboxdrv",
            "vboxdrv",
            "machines will not start",
            exists,
        ));
    }
    if system == System::Linux && makes_interface && !exists("/dev/vboxnetctl") {
        let so = "no host-only interface can be made";
        missing.push(no_module("host-only module", "/dev/vboxnetctl", "vboxnetadp", so, exists));
    }
    if system == System::Windows && makes_interface {
        missing.push(ADMINISTRATOR.to_owned());
    }
    if boots_from_network(machine) && !state.extension_pack {
        missing.push(NO_BOOT_ROM.to_owned());
    }
    missing
}

/// Oracle's packages bring a script that builds the drivers; those of Debian and Ubuntu have them built by DKMS.
const ORACLE_BUILD: &str = "/sbin/vboxconfig";

fn no_module(what: &str, device: &str, module: &str, so: &str, exists: &dyn Fn(&str) -> bool) -> String {
    let build =
        if exists(ORACLE_BUILD) { "run `sudo /sbin/vboxconfig`" } else { "install `virtualbox-dkms`" };
    format!(
        "VirtualBox's {what} is not loaded (no {device}), so {so}; load it with `sudo modprobe {module}`, or, if it \
         was never built, {build}"
    )
}

const ADMINISTRATOR: &str =
    "Windows asks for an administrator's permission to make a host-only adapter; without it that fails";
const NO_BOOT_ROM: &str = "the boot ROM for network cards is in VirtualBox's Extension Pack, which is not installed; \
    get it from https://www.virtualbox.org/wiki/Downloads and run `VBoxManage extpack install FILE`, or boot from \
    ipxe.iso";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_built_as_its_package_does() {
        let said = |there: &str| no_module("kernel driver", "/d", "vboxdrv", "x", &|path| path == there);
        assert!(said("").ends_with("install `virtualbox-dkms`"));
        assert!(said(ORACLE_BUILD).ends_with("run `sudo /sbin/vboxconfig`"));
    }
}
