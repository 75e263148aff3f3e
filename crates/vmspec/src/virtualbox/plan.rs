//! From what a host has to what a machine needs: the commands that are missing, in order.

use std::time::Duration;

use super::{
    Act, HostState, ManageStep, Networks, Place, Rule, SettingsFile, System, Todo, check, info::Info,
    network, settings, state::StateQuery, storage,
};
use crate::BootDevice;
use crate::Bus;
use crate::Firmware;
use crate::HostOnly;
use crate::Machine;
use crate::Nic;
use buildplan::Cmd;
use failure::{Failure, Kind};

/// What to ask before planning. The machine's own settings can be asked for only once it is known to be there
/// ([`look_at_machine`]).
#[must_use]
pub fn looks(place: &Place, machine: Option<&Machine>) -> Vec<(StateQuery, Cmd)> {
    let ask =
        |look, args: &[&str]| (look, place.manage("ask VirtualBox what it has").args(args.iter().copied()));
    let mut asked = vec![
        ask(StateQuery::Version, &["--version"]),
        ask(StateQuery::Machines, &["list", "vms"]),
        ask(StateQuery::Disks, &["list", "hdds"]),
    ];
    let Some(machine) = machine else { return asked };
    asked.push(ask(StateQuery::OsTypes, &["list", "ostypes"]));
    if boots_from_network(machine) {
        asked.push(ask(StateQuery::ExtensionPacks, &["list", "extpacks"]));
    }
    if host_only(machine).is_some() {
        match place.system {
            System::MacOs => asked.push(ask(StateQuery::Networks, &["list", "hostonlynets"])),
            System::Linux | System::Windows => {
                asked.push(ask(StateQuery::Interfaces, &["list", "hostonlyifs"]));
                asked.push(ask(StateQuery::DhcpServers, &["list", "dhcpservers"]));
            }
        }
    }
    asked
}

/// What to ask about a registered machine.
#[must_use]
pub fn look_at_machine(place: &Place) -> [(StateQuery, Cmd); 2] {
    let show = place.manage("ask VirtualBox about the machine").args(["showvminfo", &place.uuid]);
    [(StateQuery::Info, show.clone().arg("--machinereadable")), (StateQuery::Cards, show)]
}

/// The host-only network that the machine is plugged into.
#[must_use]
pub fn host_only(machine: &Machine) -> Option<&HostOnly> {
    machine.nics.iter().find_map(|card| match &card.plug {
        Nic::HostOnly(net) => Some(net),
        Nic::Nat { .. } | Nic::Unplugged | Nic::Tap(_) => None,
    })
}

/// Whether a boot ROM is asked for; behind a boot medium it is only a last resort.
#[must_use]
pub fn boots_from_network(machine: &Machine) -> bool {
    let first = machine.boot.iter().find(|d| match d {
        BootDevice::Medium => machine.medium.is_some(),
        BootDevice::Network => true,
        BootDevice::Disk => false,
    });
    first == Some(&BootDevice::Network)
}

/// Plans what makes the machine ready to start: nothing, when all is as it should be.
///
/// Only the machine with our UUID is touched, and the host-only network with our address.
///
/// # Errors
/// [`Kind::Config`] when VirtualBox cannot give what is asked, or something of someone else is in the way.
pub fn plan(
    place: &Place,
    machine: &Machine,
    state: &HostState,
    allowed: &Networks,
) -> Result<Todo, Failure> {
    check(place, machine)?;
    os_type(machine, state)?;
    let mut todo =
        Todo { steps: registration(place, machine, state)?, notes: notes(machine, state), ..Todo::default() };
    if todo.steps.iter().any(|s| s.look_again) {
        // What a machine that comes back from its old settings file needs is seen when it is back.
        return Ok(todo);
    }
    let plug = host_only(machine).map(|net| network::plan(place, net, state, allowed)).transpose()?;
    let name = plug.as_ref().map(|p| p.name.clone());
    todo.steps.extend(plug.into_iter().flat_map(|p| p.steps));
    let known = HostState {
        info: state.is_usable(&place.uuid).then(|| state.info.clone()).flatten(),
        ..state.clone()
    };
    let changes = settings::changes(place, machine, &known, name.as_deref());
    if !changes.is_empty() {
        let cmd = place.manage(format!("set up the machine `{}`", place.name));
        todo.steps
            .push(ManageStep::new(cmd.args(["modifyvm", &place.uuid]).args(changes)).rule(Rule::Unlock));
    }
    if machine.firmware == Firmware::SecureBoot {
        todo.steps.extend(secure_boot(place));
    }
    todo.steps.extend(storage::plan(place, machine, &known)?);
    Ok(todo)
}

/// VirtualBox shows nowhere which keys a machine has, so all is done each time: new variables, Microsoft's keys, Oracle's
/// platform key, and the switch.
fn secure_boot(place: &Place) -> impl Iterator<Item = ManageStep> {
    let steps: [&[&str]; 4] =
        [&["inituefivarstore"], &["enrollmssignatures"], &["enrollorclpk"], &["secureboot", "--enable"]];
    steps.into_iter().map(|args| {
        let cmd = place.manage(format!("switch on Secure Boot of the machine `{}`", place.name));
        ManageStep::new(cmd.args(["modifynvram", &place.uuid]).args(args.iter().copied()))
    })
}

/// `modifyvm` stores any word as the operating system, and says nothing.
fn os_type(machine: &Machine, state: &HostState) -> Result<(), Failure> {
    if state.os_types.iter().any(|t| t.id == machine.os_type) {
        return Ok(());
    }
    let message = format!("VirtualBox has no operating system type `{}`", machine.os_type);
    Err(Failure::new(Kind::Config, message)
        .help("`VBoxManage list ostypes` lists them; `Linux_64` fits any Linux"))
}

/// Where the machine's folder is. VirtualBox moves it when a person renames or moves the machine; the UUID stays.
#[must_use]
pub fn folder(place: &Place, state: &HostState) -> String {
    let settings = state.info.as_ref().and_then(|i| i.get("CfgFile"));
    settings.and_then(|s| place.system.parent(&s).map(str::to_owned)).unwrap_or_else(|| place.folder())
}

/// `machine` with its disks where its folder is.
#[must_use]
pub fn relocated(place: &Place, machine: &Machine, state: &HostState) -> Machine {
    let mut machine = machine.clone();
    let (planned, found) = (place.folder(), folder(place, state));
    for disk in &mut machine.disks {
        if place.system.is_inside(disk.path.as_str(), &planned) {
            let name = place.system.file_name(disk.path.as_str());
            disk.path = place.system.join(&found, name).into();
        }
    }
    machine
}

/// Makes the machine known to VirtualBox, and off.
fn registration(place: &Place, machine: &Machine, state: &HostState) -> Result<Vec<ManageStep>, Failure> {
    let mut steps = Vec::new();
    match state.registered(&place.uuid) {
        Some(_) if state.is_usable(&place.uuid) => return Ok(stop(place, state)),
        Some(_) => {
            steps.extend(stop(place, state));
            // With the machine go the disks that it was made with.
            steps.push(forget(place).look_again());
            return Ok(steps);
        }
        None => {}
    }
    match &state.files.settings {
        SettingsFile::Of(uuid) if *uuid == place.uuid => {
            let cmd = place.manage("bring the machine back from its settings file");
            steps.push(ManageStep::new(cmd.args(["registervm", &place.settings_file()])).look_again());
            return Ok(steps);
        }
        SettingsFile::Of(owner) => steps.push(set_aside(place, Some(owner), state)?),
        SettingsFile::Unreadable => steps.push(set_aside(place, None, state)?),
        SettingsFile::Absent => {}
    }
    let cmd = place.manage(format!("create the machine `{}`", place.name));
    let cmd = cmd.args(["createvm", "--name", &place.name, "--platform-architecture", "x86"]);
    let cmd = cmd.args(["--ostype", &machine.os_type, "--basefolder", &place.base]);
    steps.push(ManageStep::new(cmd.args(["--uuid", &place.uuid, "--register"])));
    Ok(steps)
}

/// A machine whose settings file is gone can only be unregistered. With `--delete` that fails after it worked.
pub(super) fn forget(place: &Place) -> ManageStep {
    let cmd = place.manage("unregister the machine, whose settings file cannot be read");
    ManageStep::new(cmd.args(["unregistervm", &place.uuid])).rule(Rule::Forget)
}

/// A settings file without a registered machine of ours makes `createvm` fail. It is kept under another name,
/// unless it belongs to a registered machine.
fn set_aside(place: &Place, owner: Option<&str>, state: &HostState) -> Result<ManageStep, Failure> {
    let from = place.settings_file();
    if let Some(other) = owner.and_then(|u| state.registered(u)).filter(|m| m.is_accessible()) {
        let message = format!("{from} belongs to another machine, `{}` {{{}}}", other.name, other.uuid);
        return Err(
            Failure::new(Kind::Config, message).help("move that machine, or give this one another name")
        );
    }
    let why = "set aside a settings file that is not this machine's".to_owned();
    let act = Act::SetAside { to: format!("{from}.old"), from, why };
    Ok(ManageStep { act, rule: Rule::Plain, look_again: false })
}

/// Switches off a machine that was left running by a run that was killed: each run starts with the machine off.
#[must_use]
pub fn stop(place: &Place, state: &HostState) -> Vec<ManageStep> {
    let vm_state = state.info.as_ref().map(Info::vm_state).unwrap_or_default();
    match vm_state.as_str() {
        "" | "poweroff" | "aborted" | "teleported" => Vec::new(),
        "saved" | "aborted-saved" => {
            let cmd = place.manage("discard the machine's saved state").args(["discardstate", &place.uuid]);
            vec![ManageStep::new(cmd).rule(Rule::Unlock)]
        }
        _ => vec![power_off(place)],
    }
}

fn notes(machine: &Machine, state: &HostState) -> Vec<String> {
    let mut notes = Vec::new();
    if machine.disks.iter().any(|d| d.bus == Bus::Virtio) {
        notes.push(
            "VirtualBox has no virtio disks: they are on IDE, so the guest calls the first one /dev/sda"
                .to_owned(),
        );
    }
    if machine.disks.iter().any(|d| d.bus == Bus::Nvme) {
        notes.push("NVMe disks are on IDE in VirtualBox: the guest calls the first one /dev/sda".to_owned());
    }
    if state.version.is_some_and(|v| v < [7, 0, 0]) {
        notes.push("this VirtualBox is older than 7.0; it may refuse some options".to_owned());
    }
    notes
}

/// Starts the machine, with a window or without.
#[must_use]
pub fn start(place: &Place, window: bool) -> ManageStep {
    let kind = if window { "gui" } else { "headless" };
    let cmd = place.manage(format!("start the machine `{}`", place.name)).deadline(Duration::from_secs(300));
    ManageStep::new(cmd.args(["startvm", &place.uuid, "--type", kind])).rule(Rule::Unlock)
}

/// Presses reset.
#[must_use]
pub fn reset(place: &Place) -> ManageStep {
    ManageStep::new(place.manage("reset the machine").args(["controlvm", &place.uuid, "reset"]))
}

/// Presses the power button, which the guest may heed.
#[must_use]
pub fn press_power(place: &Place) -> ManageStep {
    ManageStep::new(place.manage("press the machine's power button").args([
        "controlvm",
        &place.uuid,
        "acpipowerbutton",
    ]))
}

/// Takes a picture of the screen into the absolute path `file`, once the guest shows something.
#[must_use]
pub fn screenshot(place: &Place, file: &str) -> ManageStep {
    let cmd = place.manage("take a screenshot");
    ManageStep::new(cmd.args(["controlvm", &place.uuid, "screenshotpng", file])).rule(Rule::Picture)
}

/// Pulls the plug; a machine that is off stays so.
#[must_use]
pub fn power_off(place: &Place) -> ManageStep {
    ManageStep::new(place.manage("power off the machine").args(["controlvm", &place.uuid, "poweroff"]))
        .rule(Rule::Stop)
}
