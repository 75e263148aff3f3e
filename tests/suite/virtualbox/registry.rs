//! A VBoxManage with a memory: it keeps machines, networks and disks, answers lists as VirtualBox prints them, and
//! fails as VirtualBox does. It knows only the options that the planner may use and panics at any other.

mod answers;
mod commands;

use core::net::Ipv4Addr;
use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use buildexec::run::CommandOutput;
use buildplan::Cmd;
use vmlab::virtualbox::ManageHost;
use vmspec::virtualbox::{
    DiskImage, MachineFiles, ManageStep, Place, SettingsFile, System, leftover, machine_uuid,
};

use super::output;

/// A failure: text, and the code it came with.
pub(super) struct Wrong(pub(super) i32, pub(super) String, pub(super) Option<&'static str>);

pub(super) type VboxAnswer = std::result::Result<String, Wrong>;

#[derive(Clone, Default)]
pub(super) struct Vm {
    pub(super) name: String,
    /// Its settings file.
    pub(super) file: String,
    pub(super) accessible: bool,
    pub(super) state: String,
    /// By the keys of `showvminfo`.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) promiscuous: BTreeMap<usize, String>,
    pub(super) rules: BTreeMap<usize, Vec<String>>,
    pub(super) controllers: Vec<String>,
    pub(super) slots: BTreeMap<(u32, u32), String>,
    /// The images that its snapshots need.
    pub(super) snapshots: Vec<String>,
}

pub(super) struct VboxInterface {
    pub(super) name: String,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) netmask: Option<Ipv4Addr>,
    pub(super) up: bool,
    /// Whether the address is the host's, and not only what VirtualBox would give it.
    pub(super) configured: bool,
}

#[derive(Clone)]
pub(super) struct Dhcp {
    pub(super) network: String,
    /// Server, mask, first, last.
    pub(super) addresses: [Ipv4Addr; 4],
    pub(super) enabled: bool,
}

pub(super) struct Net {
    pub(super) name: String,
    /// Mask, first, last.
    pub(super) addresses: [Ipv4Addr; 3],
    pub(super) enabled: bool,
}

pub(super) struct Hdd {
    pub(super) uuid: String,
    /// The disk that it holds the differences to.
    pub(super) parent: Option<String>,
    pub(super) mib: u64,
    pub(super) accessible: bool,
}

pub(super) struct VboxRegistry {
    pub(super) system: System,
    pub(super) vms: BTreeMap<String, Vm>,
    pub(super) interfaces: Vec<VboxInterface>,
    pub(super) dhcp: Vec<Dhcp>,
    pub(super) nets: Vec<Net>,
    /// Known hard disks by location.
    pub(super) hdds: BTreeMap<String, Hdd>,
    /// Files, and for settings files whose they are.
    pub(super) files: BTreeMap<String, Option<String>>,
    /// Images that are not whole, with what is wrong.
    pub(super) damaged: BTreeMap<String, String>,
    /// A locale without these characters: an answer ends in front of the first, with exit code 0.
    pub(super) only_ascii: bool,
    /// Every command that changes something.
    pub(super) log: Vec<String>,
    /// How many commands still meet a locked machine.
    pub(super) locked: u32,
}

/// The UUID of the disk at `location`.
fn disk_uuid(location: &str) -> String {
    machine_uuid("disk", location)
}

impl VboxRegistry {
    /// A new registry. On Linux it has a DHCP server for an interface that does not exist.
    pub(super) fn new(system: System) -> Self {
        let mut new = Self {
            system,
            vms: BTreeMap::new(),
            interfaces: Vec::new(),
            dhcp: Vec::new(),
            nets: Vec::new(),
            hdds: BTreeMap::new(),
            files: BTreeMap::new(),
            damaged: BTreeMap::new(),
            only_ascii: false,
            log: Vec::new(),
            locked: 0,
        };
        if system == System::Linux {
            let at = |d: u8| Ipv4Addr::new(192, 168, 56, d);
            let addresses = [at(100), Ipv4Addr::new(255, 255, 255, 0), at(101), at(254)];
            new.dhcp.push(Dhcp {
                network: "HostInterfaceNetworking-vboxnet0".to_owned(),
                addresses,
                enabled: true,
            });
        }
        new
    }

    /// A disk that VirtualBox knows, with its image.
    pub(super) fn add_disk(&mut self, location: &str, mib: u64) {
        self.files.insert(location.to_owned(), None);
        let hdd = Hdd { uuid: disk_uuid(location), parent: None, mib, accessible: true };
        self.hdds.insert(location.to_owned(), hdd);
    }

    /// What a person does in VirtualBox's window: the disk's differences go to an image of their own from here on.
    pub(super) fn take_snapshot(&mut self, id: &str, slot: (u32, u32)) -> String {
        let base = self.vms[id].slots[&slot].clone();
        let parent = self.hdds[&base].uuid.clone();
        let uuid = disk_uuid(&format!("difference to {base}"));
        let folder = self.system.join(self.system.parent(&self.vms[id].file).unwrap(), "Snapshots");
        let location = self.system.join(&folder, &format!("{{{uuid}}}.vdi"));
        self.files.insert(location.clone(), None);
        let mib = self.hdds[&base].mib;
        self.hdds.insert(location.clone(), Hdd { uuid, parent: Some(parent), mib, accessible: true });
        let vm = self.vms.get_mut(id).unwrap();
        vm.slots.insert(slot, location.clone());
        vm.snapshots.extend([base, location.clone()]);
        location
    }

    /// `modifyvm --name`: the machine's folder and settings file get the new name, and its disks move along.
    pub(super) fn rename_machine(&mut self, id: &str, name: &str) {
        let system = self.system;
        let vm = self.vms.get_mut(id).unwrap();
        let old = system.parent(&vm.file).unwrap().to_owned();
        let new = system.join(system.parent(&old).unwrap(), name);
        let old_settings = std::mem::replace(&mut vm.file, system.join(&new, &format!("{name}.vbox")));
        name.clone_into(&mut vm.name);
        let moved = |path: &str| match path {
            p if p == old_settings => vm.file.clone(),
            p if system.is_inside(p, &old) => p.replacen(&old, &new, 1),
            p => p.to_owned(),
        };
        self.files = std::mem::take(&mut self.files).into_iter().map(|(p, o)| (moved(&p), o)).collect();
        self.hdds = std::mem::take(&mut self.hdds).into_iter().map(|(p, h)| (moved(&p), h)).collect();
        let slots = vm.slots.iter().map(|(slot, p)| (*slot, moved(p))).collect();
        let snapshots = vm.snapshots.iter().map(|p| moved(p)).collect();
        let vm = self.vms.get_mut(id).unwrap();
        (vm.slots, vm.snapshots) = (slots, snapshots);
    }

    pub(super) fn vm(&mut self, id: &str) -> std::result::Result<&mut Vm, Wrong> {
        let known = self.vms.get_mut(id);
        known.ok_or_else(|| wrong(&format!("Could not find a registered machine named '{id}'"), NOT_FOUND))
    }

    fn run(&mut self, args: &[&str]) -> VboxAnswer {
        if let Some(answer) = self.answer(args) {
            return answer;
        }
        self.log.push(args.join(" "));
        self.change(args)
    }
}

pub(super) const NOT_FOUND: &str = "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)";
pub(super) const FILE_ERROR: &str = "VBOX_E_FILE_ERROR (0x80bb0004)";
pub(super) const INVALID_STATE: &str = "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)";
pub(super) const IN_USE: &str = "VBOX_E_OBJECT_IN_USE (0x80bb000c)";
pub(super) const INVALID_ARG: &str = "NS_ERROR_INVALID_ARG (0x80070057)";

pub(super) fn wrong(text: &str, code: &'static str) -> Wrong {
    Wrong(1, text.to_owned(), Some(code))
}

/// A `dhcpserver` failure: exit code 2 and no result code.
pub(super) fn wrong_argument(text: &str) -> Wrong {
    Wrong(2, text.to_owned(), None)
}

impl ManageHost for VboxRegistry {
    fn call(&mut self, cmd: &Cmd) -> Result<CommandOutput> {
        let args: Vec<&str> = cmd.args.iter().map(String::as_str).collect();
        let windows = self.system == System::Windows;
        let ends = |text: String| if windows { text.replace('\n', "\r\n") } else { text };
        Ok(match self.run(&args) {
            Ok(stdout) if self.only_ascii => {
                let end = stdout.find(|c: char| !c.is_ascii()).unwrap_or(stdout.len());
                output(0, &ends(stdout[..end].to_owned()), "")
            }
            Ok(stdout) => output(0, &ends(stdout), ""),
            Err(Wrong(exit, text, code)) => {
                let program = if windows { "VBoxManage.exe" } else { "VBoxManage" };
                let mut stderr = format!("{program}: error: {text}\n");
                if let Some(code) = code {
                    stderr += &format!(
                        "{program}: error: Details: code {code}, component MachineWrap, interface IMachine\n"
                    );
                    stderr +=
                        &format!("{program}: error: Context: \"X(...)\" at line 1 of file VBoxManageX.cpp\n");
                }
                output(exit, "", &ends(stderr))
            }
        })
    }

    fn pause(&mut self, _: Duration) -> Result<()> {
        Ok(())
    }

    fn files(&mut self, place: &Place, disks: &[&str], folders: &[String]) -> Result<MachineFiles> {
        let settings = match self.files.get(&place.settings_file()) {
            None => SettingsFile::Absent,
            Some(None) => SettingsFile::Unreadable,
            Some(Some(uuid)) => SettingsFile::Of(uuid.clone()),
        };
        let there = disks.iter().filter(|d| self.files.contains_key(**d));
        let image = |d: &str| self.damaged.get(d).cloned().map_or(DiskImage::Whole, DiskImage::Damaged);
        let disks = there.map(|d| ((*d).to_owned(), image(d))).collect();
        let is_ours = |(file, owner): &(&String, &Option<String>)| {
            folders.iter().filter(|f| self.system.is_inside(file, f)).any(|f| {
                let name = file[f.len() + 1..].replace('\\', "/");
                leftover(place, &name, owner.as_deref())
            })
        };
        let leftovers = self.files.iter().filter(is_ours).map(|(file, _)| file.clone()).collect();
        Ok(MachineFiles { settings, disks, leftovers })
    }

    fn exists(&self, path: &str) -> bool {
        path.starts_with("/dev/vbox") || self.files.contains_key(path)
    }

    fn has_address(&self, address: Ipv4Addr) -> bool {
        self.interfaces.iter().any(|i| i.configured && i.address == Some(address))
    }

    fn doing(&mut self, _: &ManageStep) -> Result<()> {
        Ok(())
    }

    fn warn(&mut self, _: &str) {}

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.log.push(format!("mv {from} {to}"));
        let owner = self.files.remove(from).expect("only what exists is renamed");
        self.files.insert(to.to_owned(), owner);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.log.push(format!("rm {path}"));
        self.files.remove(path).expect("only what exists is removed");
        Ok(())
    }
}
