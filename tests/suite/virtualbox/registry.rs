//! A VBoxManage with a memory: it keeps machines, networks and disks, answers lists as VirtualBox prints them, and
//! fails as VirtualBox does. It knows only the options that the planner may use and panics at any other.

mod answers;
mod commands;

use core::net::Ipv4Addr;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use buildexec::run::Output;
use buildplan::Cmd;
use vmlab::virtualbox::Host;
use vmspec::{
    Machine,
    virtualbox::{Files, Place, Step, System},
};

use super::output;

/// A failure: text, and the code it came with.
pub(super) struct Wrong(pub(super) i32, pub(super) String, pub(super) Option<&'static str>);

pub(super) type Answer = std::result::Result<String, Wrong>;

#[derive(Clone, Default)]
pub(super) struct Vm {
    pub(super) name: String,
    pub(super) accessible: bool,
    pub(super) state: String,
    /// By the keys of `showvminfo`.
    pub(super) settings: BTreeMap<String, String>,
    pub(super) promiscuous: BTreeMap<usize, String>,
    pub(super) rules: BTreeMap<usize, Vec<String>>,
    pub(super) controllers: Vec<String>,
    pub(super) slots: BTreeMap<(u32, u32), String>,
}

pub(super) struct Interface {
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
    pub(super) mib: u64,
    pub(super) accessible: bool,
}

pub(super) struct Registry {
    pub(super) system: System,
    pub(super) vms: BTreeMap<String, Vm>,
    pub(super) interfaces: Vec<Interface>,
    pub(super) dhcp: Vec<Dhcp>,
    pub(super) nets: Vec<Net>,
    /// Known hard disks by location.
    pub(super) hdds: BTreeMap<String, Hdd>,
    /// Files, and for settings files whose they are.
    pub(super) files: BTreeMap<String, Option<String>>,
    /// Every command that changes something.
    pub(super) log: Vec<String>,
    /// How many commands still meet a locked machine.
    pub(super) locked: u32,
}

impl Registry {
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

    pub(super) fn vm(&mut self, id: &str) -> std::result::Result<&mut Vm, Wrong> {
        let known = self.vms.get_mut(id);
        known.ok_or_else(|| wrong(&format!("Could not find a registered machine named '{id}'"), NOT_FOUND))
    }

    fn run(&mut self, args: &[&str]) -> Answer {
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

impl Host for Registry {
    fn call(&mut self, cmd: &Cmd) -> Result<Output> {
        let args: Vec<&str> = cmd.args.iter().map(String::as_str).collect();
        let windows = self.system == System::Windows;
        let ends = |text: String| if windows { text.replace('\n', "\r\n") } else { text };
        Ok(match self.run(&args) {
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

    fn files(&mut self, place: &Place, machine: &Machine) -> Result<Files> {
        let settings = self.files.get(&place.settings_file()).cloned();
        let disks: BTreeSet<String> =
            machine.disks.iter().map(|d| d.path.to_string()).filter(|p| self.files.contains_key(p)).collect();
        Ok(Files { settings, disks })
    }

    fn exists(&self, path: &str) -> bool {
        path.starts_with("/dev/vbox")
    }

    fn has_address(&self, address: Ipv4Addr) -> bool {
        self.interfaces.iter().any(|i| i.configured && i.up && i.address == Some(address))
    }

    fn doing(&mut self, _: &Step) -> Result<()> {
        Ok(())
    }

    fn warn(&mut self, _: &str) {}

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.log.push(format!("mv {from} {to}"));
        let owner = self.files.remove(from).expect("only what exists is renamed");
        self.files.insert(to.to_owned(), owner);
        Ok(())
    }
}
