//! What is planned on the three systems, and that carrying it out leaves nothing to do.

use vmlab::virtualbox::VirtualBox;
use vmspec::{
    BootDevice, Disk, DiskFormat, Firmware, Forward, Machine, Nic, Promiscuous, Subnet,
    quote::{self, Shell},
    virtualbox::{Act, Networks, System, Todo},
};

use super::{
    base, machine, place,
    registry::{Dhcp, VboxInterface, VboxRegistry, Vm},
    virtualbox,
};

const SYSTEMS: [(System, &str); 3] =
    [(System::Linux, "linux"), (System::Windows, "windows"), (System::MacOs, "macos")];

/// A comment with the reason above each command, long ones an option a line.
fn text(system: System, todo: &Todo) -> String {
    let shell = if system == System::Windows { Shell::PowerShell } else { Shell::Sh };
    let steps = todo.steps.iter().map(|step| {
        let line = match &step.act {
            Act::Manage(cmd) => quote::line(cmd, shell).replace(" --", "\n    --"),
            Act::SetAside { from, to, .. } => format!("rename {from}\n    {to}"),
            Act::Remove { path, .. } => format!("remove {path}"),
        };
        format!(
            "# {}: {:?}{}\n{line}\n",
            step.why(),
            step.rule,
            if step.look_again { ", then look again" } else { "" }
        )
    });
    let notes = todo.notes.iter().map(|n| format!("note: {n}\n"));
    let text: String = notes.chain(steps).collect();
    if text.is_empty() { "nothing to do\n".to_owned() } else { text }
}

/// Plans, carries out, and plans again: then nothing is left.
fn settled(vm: &mut VirtualBox<VboxRegistry>, machine: &Machine) -> String {
    let system = vm.place.system;
    let todo = vm.plan(machine).unwrap();
    vm.prepare(machine).unwrap();
    assert_eq!(vm.plan(machine).unwrap().steps, []);
    let before = vm.host.log.len();
    vm.prepare(machine).unwrap();
    assert_eq!(vm.host.log[before..], [] as [&str; 0], "a second run changes nothing");
    text(system, &todo)
}

fn ready(system: System) -> VirtualBox<VboxRegistry> {
    let mut vm = virtualbox(system, VboxRegistry::new(system));
    vm.prepare(&machine(system)).unwrap();
    vm.host.log.clear();
    vm
}

fn snapshot(case: &str, of: impl Fn(System) -> String) {
    for (system, name) in SYSTEMS {
        insta::assert_snapshot!(format!("{case}_{name}"), of(system));
    }
}

#[test]
fn a_fresh_host_gets_everything() {
    snapshot("fresh", |system| settled(&mut virtualbox(system, VboxRegistry::new(system)), &machine(system)));
}

#[test]
fn a_second_run_has_nothing_to_do() {
    snapshot("second_run", |system| settled(&mut ready(system), &machine(system)));
}

/// Which keys a machine has, VirtualBox shows nowhere: they are enrolled each time.
#[test]
fn secure_boot_is_switched_on_with_keys_of_the_factory() {
    snapshot("secure_boot", |system| {
        let mut vm = ready(system);
        let machine = Machine { firmware: Firmware::SecureBoot, ..machine(system) };
        text(system, &vm.plan(&machine).unwrap())
    });
}

#[test]
fn a_changed_profile_changes_what_differs() {
    snapshot("changed", |system| {
        let mut machine = machine(system);
        machine.memory_mib = 1024;
        machine.firmware = Firmware::Uefi;
        machine.boot = vec![BootDevice::Medium, BootDevice::Disk];
        machine.disks[0].size_mib = 20_480;
        machine.medium.as_mut().unwrap().path = system.join(base(system), "smoke-1.1-x86_64.iso").into();
        machine.nics[1].plug = Nic::Nat {
            network: None,
            forwards: vec![Forward { name: "guestssh".to_owned(), host_port: 2223, guest_port: 22 }],
        };
        let Nic::HostOnly(net) = &mut machine.nics[0].plug else { panic!("the first card is host-only") };
        net.dhcp_last = "192.168.56.200".parse().unwrap();
        settled(&mut ready(system), &machine)
    });
}

#[test]
fn one_changed_word_is_one_command() {
    let mut machine = machine(System::Linux);
    machine.memory_mib = 513;
    let mut vm = ready(System::Linux);
    vm.prepare(&machine).unwrap();
    assert_eq!(vm.host.log, [format!("modifyvm {} --memory 513", vm.place.uuid)]);
}

#[test]
fn a_cards_network_and_whose_traffic_it_sees_can_be_changed_and_taken_back() {
    let mut vm = ready(System::Linux);
    let first = machine(System::Linux);
    let mut recipe = first.clone();
    let Nic::Nat { network, .. } = &mut recipe.nics[1].plug else { panic!("the second card is NAT") };
    *network = Some(Subnet { address: [192, 168, 0, 0].into(), prefix: 16 });
    recipe.nics[1].promiscuous = Promiscuous::AllowAll;
    settled(&mut vm, &recipe);
    let uuid = vm.place.uuid.clone();
    let changed = format!("modifyvm {uuid} --nat-net2 192.168.0.0/16 --nic-promisc2 allow-all");
    assert_eq!(vm.host.log, [changed]);
    settled(&mut vm, &first);
    assert_eq!(vm.host.log[1], format!("modifyvm {uuid} --nat-net2 default --nic-promisc2 deny"));
}

#[test]
fn a_card_that_was_nat_leaves_no_rule_in_the_way() {
    let mut vm = ready(System::Linux);
    let first = machine(System::Linux);
    let mut swapped = first.clone();
    swapped.nics.swap(0, 1);
    settled(&mut vm, &swapped);
    settled(&mut vm, &first);
    let mut fewer = first.clone();
    fewer.nics.truncate(1);
    settled(&mut vm, &fewer);
    let mut unplugged = first.clone();
    unplugged.nics[1].plug = Nic::Unplugged;
    settled(&mut vm, &unplugged);
    settled(&mut vm, &first);
}

/// What is left when a run is killed at a bad moment, or a person deletes files by hand.
#[test]
fn half_made_leftovers_are_cleaned_up_first() {
    snapshot("leftovers", |system| {
        let mut host = VboxRegistry::new(system);
        let place = place(system);
        // A `createvm` of another repository failed and left its settings file.
        host.files.insert(place.settings_file(), Some("00000000-1111-4222-8333-444444444444".to_owned()));
        // The disk was replaced behind VirtualBox's back.
        let disk = machine(system).disks[0].path.to_string();
        host.add_disk(&disk, 10_000);
        host.hdds.get_mut(&disk).unwrap().accessible = false;
        match system {
            System::MacOs => {
                let addresses =
                    ["255.255.255.0", "192.168.56.1", "192.168.56.199"].map(|a| a.parse().unwrap());
                host.nets.push(super::registry::Net {
                    name: "HostNetwork".to_owned(),
                    addresses,
                    enabled: false,
                });
            }
            _ => half_made_network(&mut host),
        }
        settled(&mut virtualbox(system, host), &machine(system))
    });
}

/// An interface without an address, and what a refused `dhcpserver add` leaves.
fn half_made_network(host: &mut VboxRegistry) {
    let name = match host.system {
        System::Windows => "VirtualBox Host-Only Ethernet Adapter #2",
        _ => "vboxnet0",
    };
    host.interfaces.push(VboxInterface {
        name: name.to_owned(),
        address: None,
        netmask: None,
        up: false,
        configured: false,
    });
    let network = format!("HostInterfaceNetworking-{name}");
    host.dhcp.retain(|d| d.network != network);
    host.dhcp.push(Dhcp { network, addresses: ["0.0.0.0".parse().unwrap(); 4], enabled: false });
}

#[test]
fn a_machine_whose_settings_file_was_left_is_brought_back() {
    let mut vm = ready(System::Linux);
    vm.host.vms.clear();
    vm.prepare(&machine(System::Linux)).unwrap();
    assert_eq!(vm.host.log[0], format!("registervm {}", vm.place.settings_file()));
    assert!(vm.host.log.iter().all(|l| !l.starts_with("createvm") && !l.starts_with("createmedium")));
    assert_eq!(text(System::Linux, &vm.plan(&machine(System::Linux)).unwrap()), "nothing to do\n");
}

#[test]
fn a_settings_file_of_a_registered_machine_is_left_alone() {
    let mut vm = virtualbox(System::Linux, VboxRegistry::new(System::Linux));
    let other = "00000000-1111-4222-8333-444444444444";
    vm.host.vms.insert(other.to_owned(), Vm::new("smoke", "Linux_64"));
    vm.host.files.insert(vm.place.settings_file(), Some(other.to_owned()));
    let error = vm.prepare(&machine(System::Linux)).unwrap_err();
    assert!(error.to_string().contains("belongs to another machine, `smoke` {00000000-"), "{error}");
    assert_eq!(vm.host.log, [] as [&str; 0]);
}

#[test]
fn a_running_or_saved_machine_is_left_over_from_a_killed_run() {
    for (state, first) in [("running", "controlvm _ poweroff"), ("saved", "discardstate _")] {
        let mut vm = ready(System::Linux);
        let uuid = vm.place.uuid.clone();
        vm.host.vms.get_mut(&uuid).unwrap().state = state.to_owned();
        let mut machine = machine(System::Linux);
        machine.memory_mib = 700;
        vm.prepare(&machine).unwrap();
        assert_eq!(vm.host.log[0], first.replace('_', &uuid));
        let modified = vm.host.log.iter().filter(|l| l.contains("--memory 700")).count();
        // After the power-off the lock is met three times.
        assert_eq!(modified, if state == "running" { 4 } else { 1 });
    }
}

#[test]
fn other_interfaces_and_machines_are_not_touched() {
    for system in [System::Linux, System::Windows] {
        let mut host = VboxRegistry::new(system);
        let address = "192.168.99.1".parse().ok();
        let netmask = "255.255.255.0".parse().ok();
        let names = ["vboxnet0", "VirtualBox Host-Only Ethernet Adapter"];
        let name = names[usize::from(system == System::Windows)].to_owned();
        host.interfaces.push(VboxInterface {
            name: name.clone(),
            address,
            netmask,
            up: true,
            configured: true,
        });
        host.vms.insert("11111111-2222-4333-8444-555555555555".to_owned(), Vm::new("smoke", "Other"));
        let mut vm = virtualbox(system, host);
        settled(&mut vm, &machine(system));
        assert_eq!(vm.host.interfaces[0].address, address, "{name} is another program's");
        assert_eq!(vm.host.interfaces[1].address, "192.168.56.1".parse().ok());
        assert!(vm.host.log.iter().all(|l| !l.contains("11111111-")), "{:?}", vm.host.log);
    }
}

/// VirtualBox calls an interface `Down` while nothing is plugged in, though the host answers there.
#[test]
fn an_interface_at_which_the_host_answers_is_left_as_it_is() {
    let mut vm = ready(System::Linux);
    vm.host.interfaces[0].up = false;
    vm.prepare(&machine(System::Linux)).unwrap();
    assert_eq!(vm.host.log, [] as [&str; 0]);
}

/// A bridge of that name, or a module that was just loaded: VirtualBox shows the address it would give.
#[test]
fn an_address_that_only_virtualbox_believes_in_is_set() {
    let mut vm = ready(System::Linux);
    vm.host.interfaces[0].configured = false;
    vm.prepare(&machine(System::Linux)).unwrap();
    assert_eq!(vm.host.log, ["hostonlyif ipconfig vboxnet0 --ip 192.168.56.1 --netmask 255.255.255.0"]);
    // The address would have to be set, so it must be allowed, and the error says how.
    vm.host.interfaces[0].configured = false;
    vm.allowed = Networks::parse("* 10.0.0.0/8\n");
    let error = vm.prepare(&machine(System::Linux)).unwrap_err();
    assert!(failure::helps_of(&error)[0].contains("echo '* 192.168.56.0/24' | sudo tee -a"), "{error:?}");
}

#[test]
fn a_removal_deletes_our_disk_and_no_other() {
    for (system, _) in SYSTEMS {
        let mut vm = ready(system);
        let foreign = system.join(base(system), "precious.vdi");
        vm.host.add_disk(&foreign, 1);
        let uuid = vm.place.uuid.clone();
        let own = vm.host.vms.get_mut(&uuid).unwrap();
        own.slots.insert((1, 1), foreign.clone());
        own.state = "running".to_owned();
        vm.remove().unwrap();
        assert!(vm.host.vms.is_empty());
        assert!(vm.host.files.contains_key(&foreign), "{:?}", vm.host.log);
        assert!(!vm.host.files.contains_key(&machine(system).disks[0].path.to_string()));
        assert_eq!(vm.vm_state().unwrap(), None);
        vm.host.log.clear();
        vm.remove().unwrap();
        assert_eq!(vm.host.log, [] as [&str; 0], "there is nothing left to remove");
    }
}

#[test]
fn a_machine_that_cannot_be_read_is_only_unregistered() {
    let mut vm = ready(System::Linux);
    let uuid = vm.place.uuid.clone();
    vm.host.vms.get_mut(&uuid).unwrap().accessible = false;
    vm.host.files.clear();
    assert_eq!(vm.vm_state().unwrap().as_deref(), Some("inaccessible"));
    vm.remove().unwrap();
    assert_eq!(vm.host.log[0], format!("unregistervm {uuid}"));
    assert!(vm.host.vms.is_empty());
}

#[test]
fn disks_move_grow_and_never_shrink() {
    let mut vm = ready(System::Linux);
    let mut machine = machine(System::Linux);
    let second = vm.place.system.join(&vm.place.folder(), "disk1.vdi");
    let disk =
        Disk { path: second.into(), size_mib: 64, format: DiskFormat::Vdi, ..machine.disks[0].clone() };
    machine.disks.push(disk);
    settled(&mut vm, &machine);
    machine.disks[1].size_mib = 65;
    settled(&mut vm, &machine);
    machine.disks[1].size_mib = 63;
    let error = vm.prepare(&machine).unwrap_err();
    assert!(error.to_string().contains("cannot shrink to 63 MiB"), "{error}");
    machine.disks.pop();
    machine.medium = None;
    settled(&mut vm, &machine);
    assert!(vm.host.files.keys().any(|f| f.ends_with("disk1.vdi")), "a detached disk is kept");
}

#[test]
fn an_operating_system_that_is_not_listed_is_refused() {
    let mut machine = machine(System::Linux);
    machine.os_type = "NoSuchOS".to_owned();
    let mut vm = ready(System::Linux);
    let error = vm.prepare(&machine).unwrap_err();
    assert_eq!(error.to_string(), "VirtualBox has no operating system type `NoSuchOS`");
    assert_eq!(vm.host.log, [] as [&str; 0]);
}
