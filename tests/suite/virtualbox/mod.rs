//! The VirtualBox back end against test doubles: a registry that behaves as VirtualBox does, and replays of
//! recorded texts. The texts were recorded from VirtualBox 7.2.22 on Linux; those of Windows and macOS come from
//! its sources and from bug reports.

mod people;
mod plans;
#[cfg(unix)]
mod real;
mod registry;
mod replay;
mod retries;

use std::time::Duration;

use buildexec::run::CommandOutput;
use vmlab::virtualbox::{ManageHost, VirtualBox};
use vmspec::{
    Attach, DiskFormat, Machine, Medium, VmSpec,
    virtualbox::{Networks, Place, System, machine_uuid},
};

/// The machine that every test is about.
const NAME: &str = "smoke";

fn base(system: System) -> &'static str {
    match system {
        System::Linux => "/src/media/target/media/vm",
        System::Windows => r"C:\src\media\target\media\vm",
        System::MacOs => "/Users/me/media/target/media/vm",
    }
}

fn place(system: System) -> Place {
    Place {
        system,
        program: "VBoxManage".to_owned(),
        base: base(system).to_owned(),
        name: NAME.to_owned(),
        uuid: machine_uuid(base(system), NAME),
    }
}

/// The machine of the old scripts, with the medium of a profile.
fn machine(system: System) -> Machine {
    let folder = place(system).folder();
    let iso = system.join(base(system), "smoke-1.0-x86_64.iso");
    let medium = Medium { path: iso.into(), attach: Attach::Cd };
    let mut machine = VmSpec::default().machine(NAME, "".into(), Some(medium), DiskFormat::Vdi);
    machine.serial = system.join(&folder, "serial.log").into();
    machine.disks[0].path = system.join(&folder, "disk0.vdi").into();
    machine
}

fn virtualbox<H: ManageHost>(system: System, host: H) -> VirtualBox<H> {
    let allowed = if system == System::Windows { Networks::Any } else { Networks::Usual };
    VirtualBox { host, place: place(system), allowed }
}

fn output(code: i32, stdout: &str, stderr: &str) -> CommandOutput {
    CommandOutput { code: Some(code), stdout: stdout.into(), stderr: stderr.into() }
}

/// Waits of a test take no time; they are written down.
type Pauses = Vec<Duration>;
