//! What people do to a machine behind its back, and what a killed run leaves: nothing of it may lose data or lock
//! anybody out. Each was seen with VirtualBox 7.2.22.

use failure::{Kind, helps_of, kind_of};
use vmlab::virtualbox::VirtualBox;
use vmspec::{Disk, DiskFormat, virtualbox::System};

use super::{
    machine, place,
    registry::{VboxRegistry, Vm},
    virtualbox,
};

const SYSTEMS: [System; 3] = [System::Linux, System::Windows, System::MacOs];
const OTHER: &str = "00000000-1111-4222-8333-444444444444";

fn ready(system: System) -> VirtualBox<VboxRegistry> {
    let mut vm = virtualbox(system, VboxRegistry::new(system));
    vm.prepare(&machine(system)).unwrap();
    vm.host.log.clear();
    vm
}

fn disk(system: System, n: usize) -> String {
    system.join(&place(system).folder(), &format!("disk{n}.vdi"))
}

#[test]
fn a_list_that_is_cut_off_is_an_error_and_never_a_shorter_list() {
    let mut vm = ready(System::Linux);
    vm.host.vms.insert(OTHER.to_owned(), Vm::new("Büro", "Linux_64"));
    vm.host.only_ascii = true;
    let errors = [vm.prepare(&machine(System::Linux)).unwrap_err(), vm.remove().unwrap_err()];
    for error in errors {
        assert_eq!(kind_of(&error), Some(Kind::Command));
        assert!(
            error.to_string().ends_with("of `list vms` ends in the middle of a line, at `\"B`"),
            "{error}"
        );
        assert!(helps_of(&error)[0].contains("C.UTF-8"));
    }
    assert_eq!(vm.host.log, [] as [&str; 0]);
    vm.host.only_ascii = false;
    vm.remove().unwrap();
    assert_eq!(vm.host.vms.len(), 1);
}

#[test]
fn a_machine_that_a_killed_run_left_on_is_switched_off_before_its_ports_are_looked_at() {
    let mut vm = ready(System::Linux);
    let uuid = vm.place.uuid.clone();
    assert!(!vm.take_back().unwrap());
    vm.host.vms.get_mut(&uuid).unwrap().state = "running".to_owned();
    assert!(vm.take_back().unwrap());
    assert_eq!(vm.host.log, [format!("controlvm {uuid} poweroff")]);
    assert!(!vm.take_back().unwrap());
}

#[test]
fn a_removal_takes_the_disks_that_a_profile_no_longer_has() {
    for system in SYSTEMS {
        let mut vm = ready(system);
        let mut more = machine(system);
        let path = disk(system, 1).into();
        more.disks.push(Disk { path, size_mib: 64, format: DiskFormat::Vdi, ..more.disks[0].clone() });
        vm.prepare(&more).unwrap();
        vm.prepare(&machine(system)).unwrap();
        // One that VirtualBox never heard of, a settings file set aside, and a person's own file.
        let aside = format!("{}.old", vm.place.settings_file());
        let mine = system.join(&vm.place.folder(), "mine.vdi");
        for file in [disk(system, 2), aside, mine.clone()] {
            vm.host.files.insert(file, None);
        }
        assert_eq!(vm.remove().unwrap(), [vm.place.folder()]);
        assert_eq!(vm.host.files.keys().collect::<Vec<_>>(), [&mine], "{:?}", vm.host.log);
        assert!(vm.host.hdds.is_empty());
    }
}

#[test]
fn a_disk_that_another_machine_uses_stays() {
    let mut vm = ready(System::Linux);
    let used = disk(System::Linux, 1);
    vm.host.add_disk(&used, 64);
    let slots = [((0, 0), used.clone())].into();
    vm.host.vms.insert(OTHER.to_owned(), Vm { slots, ..Vm::new("other", "Linux_64") });
    vm.remove().unwrap();
    assert!(vm.host.files.contains_key(&used) && vm.host.hdds.contains_key(&used), "{:?}", vm.host.log);
}

/// VirtualBox calls one that ends in its block table inaccessible, and opens one whose last block is missing.
#[test]
fn a_truncated_disk_is_named_and_can_be_removed() {
    for accessible in [true, false] {
        let mut vm = ready(System::Linux);
        let path = disk(System::Linux, 0);
        vm.host.damaged.insert(path.clone(), "it ends at byte 600, and its blocks at 1052672".to_owned());
        vm.host.hdds.get_mut(&path).unwrap().accessible = accessible;
        let error = vm.prepare(&machine(System::Linux)).unwrap_err();
        let wanted = format!("the disk `{path}` is damaged: it ends at byte 600, and its blocks at 1052672");
        assert_eq!((kind_of(&error), error.to_string()), (Some(Kind::Storage), wanted));
        assert!(helps_of(&error)[0].ends_with("`cargo xtask vm rm smoke --backend virtualbox`"));
        assert_eq!(vm.host.log, [] as [&str; 0]);
        vm.remove().unwrap();
        assert!(vm.host.files.is_empty() && vm.host.hdds.is_empty(), "{:?}", vm.host.files);
        vm.host.damaged.clear();
        vm.prepare(&machine(System::Linux)).unwrap();
    }
}

/// `cargo clean` while VirtualBox's server runs: it goes on showing the machine, and can save nothing of it.
#[test]
fn a_machine_whose_folder_was_removed_is_made_again() {
    for (running, accessible) in [(false, true), (true, true), (false, false)] {
        let mut vm = ready(System::Linux);
        let uuid = vm.place.uuid.clone();
        vm.host.files.clear();
        for hdd in vm.host.hdds.values_mut() {
            hdd.accessible = false;
        }
        let state = if running { "running" } else { "poweroff" };
        let lost = vm.host.vms.get_mut(&uuid).unwrap();
        (lost.state, lost.accessible) = (state.to_owned(), accessible);
        vm.prepare(&machine(System::Linux)).unwrap();
        assert!(vm.host.files.contains_key(&vm.place.settings_file()), "{:?}", vm.host.log);
        assert!(vm.host.hdds[&disk(System::Linux, 0)].accessible);
        vm.host.files.clear();
        vm.remove().unwrap();
        assert!(vm.host.vms.is_empty(), "{:?}", vm.host.log);
    }
}

#[test]
fn a_persons_snapshot_keeps_what_was_written_since() {
    for system in SYSTEMS {
        let mut vm = ready(system);
        let uuid = vm.place.uuid.clone();
        let current = vm.host.take_snapshot(&uuid, (0, 0));
        vm.prepare(&machine(system)).unwrap();
        assert_eq!(vm.host.log, [] as [&str; 0]);
        assert_eq!(vm.host.vms[&uuid].slots[&(0, 0)], current);
        // And of a snapshot's difference another one.
        let newest = vm.host.take_snapshot(&uuid, (0, 0));
        let mut larger = machine(system);
        larger.disks[0].size_mib = 3000 * 1024;
        vm.prepare(&larger).unwrap();
        let (first, bytes) = (&vm.host.log[0], 3000_u64 << 30);
        assert_eq!(*first, format!("modifymedium disk {newest} --resizebyte {bytes}"));
        assert_eq!(vm.host.log.len(), 1);
        assert_eq!(vm.host.vms[&uuid].slots[&(0, 0)], newest);
        assert_eq!(vm.remove().unwrap(), [vm.place.folder()]);
        assert!(vm.host.files.is_empty() && vm.host.hdds.is_empty(), "{:?}", vm.host.files);
    }
}

/// Then only the snapshot names it, and VirtualBox takes it along.
#[test]
fn a_disk_that_only_a_snapshot_names_goes_with_the_machine() {
    let mut vm = ready(System::Linux);
    let uuid = vm.place.uuid.clone();
    vm.host.take_snapshot(&uuid, (0, 0));
    vm.host.vms.get_mut(&uuid).unwrap().slots.remove(&(0, 0));
    vm.remove().unwrap();
    assert!(vm.host.files.is_empty() && vm.host.hdds.is_empty(), "{:?}", vm.host.files);
}

#[test]
fn a_snapshot_whose_image_cannot_be_read_is_refused() {
    let mut vm = ready(System::Linux);
    let uuid = vm.place.uuid.clone();
    let current = vm.host.take_snapshot(&uuid, (0, 0));
    vm.host.hdds.get_mut(&current).unwrap().accessible = false;
    let error = vm.prepare(&machine(System::Linux)).unwrap_err();
    assert!(error.to_string().starts_with(&format!("the disk `{current}` is damaged: ")), "{error}");
    assert_eq!(vm.host.log, [] as [&str; 0]);
}

#[test]
fn a_renamed_machine_keeps_its_disk() {
    for system in SYSTEMS {
        let mut vm = ready(system);
        let uuid = vm.place.uuid.clone();
        vm.host.rename_machine(&uuid, "Mein Rechner");
        vm.prepare(&machine(system)).unwrap();
        assert_eq!(vm.host.log, [] as [&str; 0]);
        let folder = system.join(super::base(system), "Mein Rechner");
        assert_eq!(vm.host.vms[&uuid].slots[&(0, 0)], system.join(&folder, "disk0.vdi"));
        vm.host.take_snapshot(&uuid, (0, 0));
        vm.prepare(&machine(system)).unwrap();
        assert_eq!(vm.host.log, [] as [&str; 0]);
        assert_eq!(vm.remove().unwrap(), [vm.place.folder(), folder]);
        assert!(vm.host.files.is_empty() && vm.host.hdds.is_empty(), "{:?}", vm.host.files);
    }
}

#[test]
fn a_disk_that_cannot_shrink_names_the_command_that_removes_it() {
    let mut vm = virtualbox(System::Linux, VboxRegistry::new(System::Linux));
    vm.place.name = vmspec::machine_name("smoke");
    let mut machine = machine(System::Linux);
    machine.disks[0].path = vm.place.system.join(&vm.place.folder(), "disk0.vdi").into();
    vm.prepare(&machine).unwrap();
    machine.disks[0].size_mib -= 1;
    let error = vm.prepare(&machine).unwrap_err();
    assert!(helps_of(&error)[0].ends_with("`cargo xtask vm rm smoke --backend virtualbox`"), "{error:?}");
}
