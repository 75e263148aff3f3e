//! Each recorded failure, and what comes of it.

use std::time::Duration;

use failure::{Kind, helps_of, kind_of};
use vmlab::virtualbox::VirtualBox;
use vmspec::virtualbox::System;

use super::{
    machine, place,
    replay::{Recorded, Replay, recorded},
    virtualbox,
};

const RACE: &str = "VBoxManage: error: Failed to create the VirtualBox object!\n\
    VBoxManage: error: Most likely, the VirtualBox COM server is not running or failed to start.\n";
const LOCKED: &str = "VBoxManage: error: The machine 'smoke' is already locked for a session (or being unlocked)\n\
    VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap, interface IMachine, callee nsISupports\n\
    VBoxManage: error: Context: \"LockMachine(a->session, LockType_Write)\" at line 680 of file VBoxManageModifyVM.cpp\n";
const UNREGISTER_LOCKED: &str = "VBoxManage: error: Cannot unregister the machine 'smoke' while it is locked\n\
    VBoxManage: error: Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap, interface IMachine, callee nsISupports\n";
const PENDING: &str = "VBoxManage: error: The machine 'smoke' already has a lock request pending\n";
const DARK: &str = "VBoxManage: error: Unsupported resolution for screen shot: 0x0 (screen 0)\n";
const OFF: &str = "VBoxManage: error: Machine 'smoke' is not currently running.\n";
const TERMINATED: &str = "VBoxManage: error: The virtual machine 'smoke' has terminated unexpectedly during startup with exit code 1 (0x1)\n\
    VBoxManage: error: Details: code NS_ERROR_FAILURE (0x80004005), component MachineWrap, interface IMachine\n";

fn replay(records: Vec<Recorded>) -> VirtualBox<Replay> {
    virtualbox(System::Linux, Replay::of(&place(System::Linux).uuid, records))
}

fn many(count: usize, argv: &str, stderr: &'static str) -> Vec<Recorded> {
    (0..count).map(|_| recorded(argv, 1, "", stderr)).collect()
}

#[test]
fn a_server_that_was_just_ending_is_tried_again() {
    let mut records = many(4, "controlvm _ reset", RACE);
    records.push(recorded("controlvm _ reset", 0, "", ""));
    let mut vm = replay(records);
    vm.reset().unwrap();
    assert!(vm.host.is_over());
    assert_eq!(vm.host.pauses, [Duration::from_secs(1); 4]);
}

#[test]
fn a_server_that_never_comes_is_given_up() {
    let mut vm = replay(many(5, "controlvm _ reset", RACE));
    let error = vm.reset().unwrap_err();
    assert!(vm.host.is_over());
    assert_eq!(kind_of(&error), Some(Kind::Command));
    assert!(
        error.to_string().starts_with("could not reset the machine: VBoxManage says: Failed to create"),
        "{error}"
    );
    assert!(helps_of(&error)[0].contains("must be writable"));
}

#[test]
fn a_lock_that_outlives_the_power_off_is_waited_for() {
    let mut records = many(3, "startvm _ --type headless", LOCKED);
    records.extend(many(1, "startvm _ --type headless", PENDING));
    records.push(recorded(
        "startvm _ --type headless",
        0,
        "Waiting for VM \"smoke\" to power on...\nVM \"smoke\" has been successfully started.\n",
        "",
    ));
    let mut vm = replay(records);
    vm.start(false).unwrap();
    assert!(vm.host.is_over());
    assert_eq!(vm.host.pauses, [Duration::from_millis(500); 4]);
}

#[test]
fn a_lock_that_stays_is_given_up() {
    let mut vm = replay(many(20, "startvm _ --type gui", LOCKED));
    let error = vm.start(true).unwrap_err();
    assert!(vm.host.is_over());
    assert!(error.to_string().contains("already locked for a session"), "{error}");
}

#[test]
fn a_screen_without_a_picture_is_waited_for() {
    let mut records = many(5, "controlvm _ screenshotpng /tmp/s.png", DARK);
    records.push(recorded("controlvm _ screenshotpng /tmp/s.png", 0, "", ""));
    let mut vm = replay(records);
    vm.screenshot("/tmp/s.png".into()).unwrap();
    assert!(vm.host.is_over());
    assert_eq!(vm.host.pauses.len(), 5);
}

#[test]
fn pictures_that_cannot_be_written_fail_at_once() {
    let wrong = "VBoxManage: error: Failed to create file '/none/s.png'. VERR_PATH_NOT_FOUND\n";
    let mut vm = replay(vec![recorded("controlvm _ screenshotpng /none/s.png", 1, "", wrong)]);
    let error = vm.screenshot("/none/s.png".into()).unwrap_err();
    assert!(helps_of(&error)[0].contains("writable"), "{error}");
}

#[test]
fn a_machine_that_is_off_needs_no_power_off_but_cannot_be_reset() {
    replay(vec![recorded("controlvm _ poweroff", 1, "", OFF)]).power_off().unwrap();
    let error = replay(vec![recorded("controlvm _ reset", 1, "", OFF)]).reset().unwrap_err();
    assert!(error.to_string().ends_with("is not currently running."), "{error}");
}

#[test]
fn progress_on_standard_error_is_no_failure() {
    let progress = "0%...10%...20%...30%...40%...50%...60%...70%...80%...90%...100%\n";
    replay(vec![recorded("controlvm _ poweroff", 0, "", progress)]).power_off().unwrap();
}

#[test]
fn an_error_with_exit_status_0_is_a_failure() {
    let error = "VBoxManage: error: Invalid NIC number 9\n";
    let error = replay(vec![recorded("controlvm _ reset", 0, "", error)]).reset().unwrap_err();
    assert!(error.to_string().ends_with("Invalid NIC number 9"), "{error}");
}

#[test]
fn a_start_that_ends_without_a_reason_names_the_driver() {
    let records = vec![recorded(
        "startvm _ --type headless",
        1,
        "Waiting for VM \"smoke\" to power on...\n",
        TERMINATED,
    )];
    let error = replay(records).start(false).unwrap_err();
    assert!(helps_of(&error)[0].contains("modprobe vboxdrv"), "{error}");
}

#[test]
fn starts_that_cannot_work_say_what_would() {
    let cases = [
        (
            "VBoxManage.exe: error: Failed to open/create the internal network 'HostInterfaceNetworking-VirtualBox Host-Only Ethernet Adapter' (VERR_INTNET_FLT_IF_NOT_FOUND).\r\nVBoxManage.exe: error: Details: code E_FAIL (0x80004005), component ConsoleWrap, interface IConsole\r\n",
            "NDIS6",
        ),
        (
            "VBoxManage: error: Host-only adapters are no longer supported!\nVBoxManage: error: For your current host-only networks, you need to switch to 'Host-only Network' (VERR_NOT_FOUND)\n",
            "host-only network instead",
        ),
        (
            "VBoxManage: error: Cannot run the machine because its platform architecture x86 is not supported on ARM\nVBoxManage: error: Details: code VBOX_E_PLATFORM_ARCH_NOT_SUPPORTED (0x80bb0012), component MachineWrap, interface IMachine\n",
            "--backend qemu",
        ),
    ];
    for (said, help) in cases {
        let error =
            replay(vec![recorded("startvm _ --type headless", 1, "", said)]).start(false).unwrap_err();
        assert!(helps_of(&error)[0].contains(help), "{error}: {:?}", helps_of(&error));
        assert!(!error.to_string().contains("0x80004005"), "details of its sources are left out: {error}");
    }
}

fn registered(uuid: &str) -> &'static str {
    format!("\"other\" {{11111111-2222-3333-4444-555555555555}}\n\"smoke\" {{{uuid}}}\n").leak()
}

/// What is asked once the machine is gone.
fn gone() -> [Recorded; 3] {
    [
        recorded("--version", 0, "7.2.22r170000\n", ""),
        recorded("list vms", 0, "\"other\" {11111111-2222-3333-4444-555555555555}\n", ""),
        recorded("list hdds", 0, "", ""),
    ]
}

fn removal(unregister: Vec<Recorded>) -> VirtualBox<Replay> {
    let listed = registered(&place(System::Linux).uuid);
    let mut records = vec![
        recorded("--version", 0, "7.2.22r170000\n", ""),
        recorded("list vms", 0, listed, ""),
        recorded("list hdds", 0, "", ""),
        recorded("showvminfo _ --machinereadable", 0, "VMState=\"poweroff\"\n", ""),
        recorded("showvminfo _", 0, "", ""),
    ];
    records.extend(unregister);
    replay(records)
}

#[test]
fn a_removal_waits_for_the_lock() {
    let mut records = many(3, "unregistervm _ --delete", UNREGISTER_LOCKED);
    records.push(recorded("unregistervm _ --delete", 0, "", "0%...100%\n"));
    records.extend(gone());
    let mut vm = removal(records);
    vm.remove().unwrap();
    assert!(vm.host.is_over());
}

#[test]
fn a_removal_that_failed_after_it_worked_is_done() {
    let failed = "VBoxManage: error: The object functionality is limited\n\
        VBoxManage: error: Details: code E_ACCESSDENIED (0x80070005), component MachineWrap, interface IMachine, callee nsISupports\n";
    let mut records = vec![recorded("unregistervm _ --delete", 1, "", failed)];
    records.extend(gone().into_iter().chain(gone()));
    let mut vm = removal(records);
    vm.remove().unwrap();
    assert!(vm.host.is_over());
}

#[test]
fn a_removal_that_failed_and_did_nothing_is_an_error() {
    let failed = "VBoxManage: error: Could not find file for the medium\n";
    let listed = registered(&place(System::Linux).uuid);
    let mut vm = removal(vec![
        recorded("unregistervm _ --delete", 1, "", failed),
        recorded("--version", 0, "7.2.22r170000\n", ""),
        recorded("list vms", 0, listed, ""),
        recorded("list hdds", 0, "", ""),
        recorded("showvminfo _ --machinereadable", 0, "VMState=\"poweroff\"\n", ""),
        recorded("showvminfo _", 0, "", ""),
    ]);
    assert!(vm.remove().unwrap_err().to_string().starts_with("could not remove the machine `smoke`"));
    assert!(vm.host.is_over());
}

/// What is asked before planning on a Linux host, with nothing there.
fn empty_host() -> Vec<Recorded> {
    vec![
        recorded("--version", 0, "7.2.22r170000\n", ""),
        recorded("list vms", 0, "", ""),
        recorded("list hdds", 0, "", ""),
        recorded("list ostypes", 2, "", "VBoxManage: error: Invalid command\n"),
        recorded("list hostonlyifs", 0, "", ""),
        recorded("list dhcpservers", 0, "", ""),
    ]
}

#[test]
fn a_missing_host_only_module_is_named_before_and_after() {
    let failed = "0%...NS_ERROR_FAILURE\nVBoxManage: error: Failed to create the host-only adapter\n\
        VBoxManage: error: VBoxNetAdpCtl: Error while adding new interface: failed to open /dev/vboxnetctl: No such file or directory\n\
        VBoxManage: error: Details: code NS_ERROR_FAILURE (0x80004005), component HostNetworkInterfaceWrap, interface IHostNetworkInterface\n";
    let place = place(System::Linux);
    let mut records = empty_host();
    let create = format!(
        "createvm --name smoke --platform-architecture x86 --ostype Linux_64 --basefolder {} --uuid _ --register",
        place.base
    );
    records.push(recorded(&create, 0, "Virtual machine 'smoke' is created and registered.\n", ""));
    records.push(recorded("hostonlyif create", 1, "", failed));
    let mut vm = replay(records);
    let error = vm.prepare(&machine(System::Linux)).unwrap_err();
    assert!(vm.host.is_over());
    assert!(helps_of(&error)[0].contains("modprobe vboxnetadp"));
    let warned: Vec<_> = vm.host.said.iter().filter(|s| s.starts_with("warning")).collect();
    assert_eq!(warned.len(), 2, "{warned:?}");
    assert!(warned[0].contains("/dev/vboxdrv") && warned[1].contains("/dev/vboxnetctl"), "{warned:?}");
    let mut vm = replay(empty_host());
    vm.host.paths = vec!["/dev/vboxdrv".to_owned(), "/dev/vboxnetctl".to_owned()];
    assert_eq!(vm.plan(&machine(System::Linux)).unwrap().notes, Vec::<String>::new());
}

#[test]
fn a_boot_from_the_network_alone_wants_the_extension_pack() {
    let mut machine = machine(System::Linux);
    machine.medium = None;
    let asked = |packs: &'static str| {
        let mut records = empty_host();
        records.insert(4, recorded("list extpacks", 0, packs, ""));
        let mut vm = replay(records);
        vm.host.paths = vec!["/dev/vboxdrv".to_owned(), "/dev/vboxnetctl".to_owned()];
        let notes = vm.plan(&machine).unwrap().notes;
        assert!(vm.host.is_over());
        notes
    };
    let notes = asked("Extension Packs: 0\n");
    assert!(notes[0].contains("Extension Pack, which is not installed"), "{notes:?}");
    assert!(notes[0].contains("VBoxManage extpack install"), "{notes:?}");
    let there = "Extension Packs: 1\nPack no. 0:   Oracle VirtualBox Extension Pack\nUsable:         true\n";
    assert_eq!(asked(there), Vec::<String>::new());
}

#[test]
fn an_old_virtualbox_and_virtio_disks_are_remarked_on() {
    let mut records = empty_host();
    records[0] = recorded("--version", 0, "6.1.50r161033\n", "");
    let mut vm = replay(records);
    vm.host.paths = vec!["/dev/vboxdrv".to_owned(), "/dev/vboxnetctl".to_owned()];
    let mut machine = machine(System::Linux);
    machine.disks[0].bus = vmspec::Bus::Virtio;
    let notes = vm.plan(&machine).unwrap().notes;
    assert!(notes[0].contains("/dev/sda") && notes[1].contains("older than 7.0"), "{notes:?}");
}

#[test]
fn a_network_that_the_host_forbids_is_refused_before_anything_is_made() {
    let mut vm = replay(empty_host());
    let mut machine = machine(System::Linux);
    machine.nics[0].plug = vmspec::Nic::HostOnly(vmspec::HostOnly {
        host: "10.9.0.1".parse().unwrap(),
        prefix: 24,
        dhcp_server: "10.9.0.2".parse().unwrap(),
        dhcp_first: "10.9.0.10".parse().unwrap(),
        dhcp_last: "10.9.0.20".parse().unwrap(),
    });
    let error = vm.prepare(&machine).unwrap_err();
    assert_eq!(kind_of(&error), Some(Kind::Config));
    assert!(helps_of(&error)[0].contains("* 192.168.56.0/21 10.9.0.0/24"), "{error}");
    assert!(vm.host.is_over());
}

#[test]
fn an_unreadable_list_stops_everything() {
    let denied = "VBoxManage: error: Code NS_ERROR_UNEXPECTED (0x8000ffff) - Unexpected (extended info not available)\n";
    let mut vm =
        replay(vec![recorded("--version", 0, "7.2.22r170000\n", ""), recorded("list vms", 1, "", denied)]);
    assert!(vm.prepare(&machine(System::Linux)).unwrap_err().to_string().contains("0x8000ffff"));
    assert!(vm.host.is_over());
}
