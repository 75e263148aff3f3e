//! `modifyvm`: one command with every setting that differs. It saves all of them or, when one is wrong, none.

use super::{HostState, Place, System, info::Info};
use crate::{BootDevice, Card, Firmware, Forward, Machine, Nic, NicModel, Promiscuous, Subnet};

/// The options of `modifyvm` that turn what `state` shows into `machine`; none when nothing differs. `plug` is the
/// name of the host-only network.
pub(super) fn changes(
    place: &Place,
    machine: &Machine,
    state: &HostState,
    plug: Option<&str>,
) -> Vec<String> {
    let mut options = Options { info: state.info.as_ref(), args: Vec::new() };
    hardware(&mut options, machine, state);
    boot_order(&mut options, &machine.boot);
    for (i, wanted) in machine.nics.iter().enumerate() {
        card(&mut options, place.system, i + 1, wanted, plug);
        promiscuous(&mut options, state, i + 1, wanted.promiscuous);
    }
    surplus_cards(&mut options, machine.nics.len());
    serial(&mut options, machine.serial.as_str());
    options.args
}

struct Options<'a> {
    info: Option<&'a Info>,
    args: Vec<String>,
}

impl Options<'_> {
    /// Adds `option` with `values` unless the machine has it.
    fn set(&mut self, option: &str, values: &[&str], has: impl Fn(&Info) -> bool) {
        if !self.info.is_some_and(has) {
            self.args.push(option.to_owned());
            self.args.extend(values.iter().map(|v| (*v).to_owned()));
        }
    }

    /// Adds `option` with `value` unless the machine has that value under `key`.
    fn set_as(&mut self, option: &str, value: &str, key: &str) {
        self.set(option, &[value], |info| info.is(key, value));
    }
}

fn hardware(options: &mut Options<'_>, machine: &Machine, state: &HostState) {
    // `showvminfo` prints a description where `--os-type` takes a name; an unknown name is printed as it is.
    let described = state.os_types.iter().find(|t| t.id == machine.os_type).map_or("", |t| &t.description);
    options.set("--os-type", &[&machine.os_type], |info| {
        described.is_empty() || info.is("ostype", described) || info.is("ostype", &machine.os_type)
    });
    options.set_as("--memory", &machine.memory_mib.to_string(), "memory");
    options.set_as("--cpus", &machine.cpus.to_string(), "cpus");
    options.set_as("--acpi", "on", "acpi");
    if machine.cpus > 1 || machine.firmware != Firmware::Bios {
        options.set_as("--ioapic", "on", "ioapic");
    }
    let firmware = match machine.firmware {
        Firmware::Bios => "bios",
        Firmware::Uefi | Firmware::SecureBoot => "efi",
    };
    options.set("--firmware", &[firmware], |info| {
        info.printed("firmware").is_some_and(|f| f.eq_ignore_ascii_case(firmware))
    });
}

/// All four places are set: the default is floppy, dvd, disk, none.
fn boot_order(options: &mut Options<'_>, boot: &[BootDevice]) {
    for place in 0..4 {
        let device = match boot.get(place) {
            Some(BootDevice::Medium) => "dvd",
            Some(BootDevice::Disk) => "disk",
            Some(BootDevice::Network) => "net",
            None => "none",
        };
        let key = format!("boot{}", place + 1);
        options.set_as(&format!("--{key}"), device, &key);
    }
}

fn card(options: &mut Options<'_>, system: System, n: usize, card: &Card, plug: Option<&str>) {
    let kind = format!("--nic{n}");
    let key = format!("nic{n}");
    match &card.plug {
        Nic::HostOnly(_) => {
            let plug = plug.unwrap_or_default();
            if system == System::MacOs {
                // The option and `showvminfo` have different words for it.
                options.set(&kind, &["hostonlynet"], |info| info.is(&key, "hostonlynetwork"));
                options.set_as(&format!("--host-only-net{n}"), plug, &format!("hostonly-network{n}"));
            } else {
                options.set_as(&kind, "hostonly", &key);
                options.set_as(&format!("--host-only-adapter{n}"), plug, &format!("hostonlyadapter{n}"));
            }
        }
        Nic::Nat { network, .. } => {
            options.set_as(&kind, "nat", &key);
            nat_network(options, n, *network);
        }
        Nic::Unplugged | Nic::Tap(_) => options.set_as(&kind, "null", &key),
    }
    let model = match card.model {
        NicModel::Virtio => "virtio",
        // It has no 82574L; this is the nearest.
        NicModel::E1000 | NicModel::E1000e => "82540EM",
    };
    options.set_as(&format!("--nic-type{n}"), model, &format!("nictype{n}"));
    cable(options, n, !matches!(card.plug, Nic::Unplugged | Nic::Tap(_)));
    let wanted = match &card.plug {
        Nic::Nat { forwards, .. } => forwards.as_slice(),
        Nic::HostOnly(_) | Nic::Unplugged | Nic::Tap(_) => &[],
    };
    forwards(options, n, wanted);
}

/// A new machine's cables are connected.
fn cable(options: &mut Options<'_>, n: usize, connected: bool) {
    let (option, key) = (format!("--cable-connected{n}"), format!("cableconnected{n}"));
    if !connected {
        options.set_as(&option, "off", &key);
    } else if options.info.is_some_and(|info| info.is(&key, "off")) {
        options.set_as(&option, "on", &key);
    }
}

/// A rule cannot be added while one of its name exists, so what differs is deleted first. A card that is no
/// longer NAT keeps its rules out of sight, and they would be in the way when it is NAT again.
fn forwards(options: &mut Options<'_>, n: usize, wanted: &[Forward]) {
    let rule = |f: &Forward| format!("{},tcp,127.0.0.1,{},,{}", f.name, f.host_port, f.guest_port);
    let wanted: Vec<String> = wanted.iter().map(rule).collect();
    let there = options.info.map(|info| info.forwards(n)).unwrap_or_default();
    let option = format!("--nat-pf{n}");
    for rule in there.iter().filter(|r| !wanted.contains(r)) {
        let name = rule.split(',').next().unwrap_or_default();
        // Two words: the `delete=NAME` of VirtualBox's own help is refused.
        options.args.extend([option.clone(), "delete".to_owned(), name.to_owned()]);
    }
    for rule in wanted.into_iter().filter(|r| !there.contains(r)) {
        options.args.extend([option.clone(), rule]);
    }
}

/// Cards beyond the wanted ones are switched off.
fn surplus_cards(options: &mut Options<'_>, wanted: usize) {
    let Some(info) = options.info else { return };
    let on = |n: &usize| info.printed(&format!("nic{n}")).is_some_and(|kind| kind != "none");
    for n in (wanted + 1..=8).filter(on) {
        forwards(options, n, &[]);
        options.args.extend([format!("--nic{n}"), "none".to_owned()]);
    }
}

/// VirtualBox's own network is told apart by a word, which has one spelling in the option and another when shown.
fn nat_network(options: &mut Options<'_>, n: usize, network: Option<Subnet>) {
    let (option, key) = (format!("--nat-net{n}"), format!("natnet{n}"));
    match network {
        Some(network) => options.set_as(&option, &network.to_string(), &key),
        None if options.info.is_some_and(|i| i.printed(&key).is_some_and(|shown| shown != "nat")) => {
            options.args.extend([option, "default".to_owned()]);
        }
        None => {}
    }
}

/// A new card is denied what is not its own.
fn promiscuous(options: &mut Options<'_>, state: &HostState, n: usize, wanted: Promiscuous) {
    let wanted = match wanted {
        Promiscuous::Deny => "deny",
        Promiscuous::AllowVms => "allow-vms",
        Promiscuous::AllowAll => "allow-all",
    };
    if state.promiscuous.get(&n).map_or("deny", String::as_str) != wanted {
        options.args.extend([format!("--nic-promisc{n}"), wanted.to_owned()]);
    }
}

/// The first serial port of a PC, written to a file.
fn serial(options: &mut Options<'_>, path: &str) {
    options.set("--uart1", &["0x3F8", "4"], |info| info.is("uart1", "0x03f8,4"));
    options.set("--uart-mode1", &["file", path], |info| info.is("uartmode1", &format!("file,{path}")));
}
