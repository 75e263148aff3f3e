//! What the host has: the answers of VBoxManage's lists, and which of our own files exist.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use super::{
    System,
    info::{self, Info},
    records::{self, ManageRecord, Registered},
};

/// One thing to ask VBoxManage before planning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateQuery {
    /// `--version`.
    Version,
    /// `list vms`.
    Machines,
    /// `list ostypes`.
    OsTypes,
    /// `list hdds`.
    Disks,
    /// `list extpacks`; only where a boot ROM matters.
    ExtensionPacks,
    /// `list hostonlyifs`; not on macOS.
    Interfaces,
    /// `list dhcpservers`; not on macOS.
    DhcpServers,
    /// `list hostonlynets`; only macOS has it.
    Networks,
    /// `showvminfo --machinereadable`.
    Info,
    /// `showvminfo` for people.
    Cards,
}

/// A host-only interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOnlyInterface {
    /// Its name, `vboxnet0` or `VirtualBox Host-Only Ethernet Adapter #2`.
    pub name: String,
    /// The host's address on it.
    pub address: Option<Ipv4Addr>,
    /// Network mask, as VBoxManage lists it.
    pub netmask: Option<Ipv4Addr>,
    /// Whether it is up; one that is down keeps an address that the host does not answer on.
    pub up: bool,
    /// What its DHCP server calls the network.
    pub network: String,
}

/// A host-only network of macOS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOnlyNetwork {
    /// Name that VirtualBox gave it.
    pub name: String,
    /// Its lowest address, which is the host's.
    pub lower: Option<Ipv4Addr>,
    /// Highest address of its DHCP range.
    pub upper: Option<Ipv4Addr>,
    /// Network mask, as VBoxManage lists it.
    pub netmask: Option<Ipv4Addr>,
    /// Whether it can be used.
    pub enabled: bool,
}

/// A DHCP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpServer {
    /// The network it serves.
    pub network: String,
    /// Address of the DHCP server itself.
    pub server: Option<Ipv4Addr>,
    /// The first address it gives.
    pub lower: Option<Ipv4Addr>,
    /// The last address it gives.
    pub upper: Option<Ipv4Addr>,
    /// Network mask, as VBoxManage lists it.
    pub netmask: Option<Ipv4Addr>,
    /// Whether it answers.
    pub enabled: bool,
}

/// A hard disk that VirtualBox knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardDisk {
    /// Its UUID, in lower case.
    pub uuid: String,
    /// The disk that it holds the differences to: a snapshot's.
    pub parent: Option<String>,
    /// Path of the disk image, as VirtualBox has it.
    pub location: String,
    /// Whether the image is there and is the one that was registered.
    pub accessible: bool,
    /// Its size in MiB.
    pub mib: Option<u64>,
}

/// A kind of guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsType {
    /// What `--os-type` takes.
    pub id: String,
    /// What `showvminfo` prints; empty when not known.
    pub description: String,
}

/// What is on the disk where the machine lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineFiles {
    /// The machine's settings file.
    pub settings: SettingsFile,
    /// The wanted disks whose image exists.
    pub disks: BTreeMap<String, DiskImage>,
    /// Files of ours in the machine's folders, whether or not VirtualBox knows them.
    pub leftovers: Vec<String>,
}

/// A settings file in the place of the machine's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SettingsFile {
    /// There is none.
    #[default]
    Absent,
    /// It does not say whose it is: damaged or encrypted.
    Unreadable,
    /// Of the machine with this UUID.
    Of(String),
}

/// A disk's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskImage {
    /// It is whole.
    Whole,
    /// It is not; what is wrong with it.
    Damaged(String),
}

/// The host, as far as it matters for one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostState {
    /// VirtualBox's version, when it was asked.
    pub version: Option<[u32; 3]>,
    /// Every registered machine.
    pub machines: Vec<Registered>,
    /// The settings of the machine that is meant.
    pub info: Option<Info>,
    /// Whether the machine's settings file is gone. VirtualBox goes on showing the machine as long as its server
    /// runs, and can change nothing of it.
    pub settings_lost: bool,
    /// The promiscuous policy of its network cards.
    pub promiscuous: BTreeMap<usize, String>,
    /// Host-only interfaces.
    pub interfaces: Vec<HostOnlyInterface>,
    /// The interface that this run made: it does not have the address yet that it could be known by.
    pub created: Option<String>,
    /// Whether the host really has the address that the machine's host-only network gives it. On Linux and macOS,
    /// VirtualBox lists an interface that was never configured with the address it would get when a machine starts
    /// (`vboxnet0`: 192.168.56.1), and a server that is to answer before that finds no such address.
    pub host_answers: bool,
    /// Host-only networks.
    pub networks: Vec<HostOnlyNetwork>,
    /// DHCP servers.
    pub dhcp_servers: Vec<DhcpServer>,
    /// Known hard disks.
    pub disks: Vec<HardDisk>,
    /// Kinds of guests.
    pub os_types: Vec<OsType>,
    /// Whether an Extension Pack is installed and usable.
    pub extension_pack: bool,
    /// Our own files.
    pub files: MachineFiles,
}

impl Default for HostState {
    /// A host where VirtualBox has nothing yet.
    fn default() -> Self {
        Self {
            version: None,
            machines: Vec::new(),
            info: None,
            settings_lost: false,
            promiscuous: BTreeMap::new(),
            interfaces: Vec::new(),
            created: None,
            host_answers: false,
            networks: Vec::new(),
            dhcp_servers: Vec::new(),
            disks: Vec::new(),
            os_types: usual_os_types(),
            extension_pack: false,
            files: MachineFiles::default(),
        }
    }
}

impl HostState {
    /// A host where VirtualBox was just installed, for when it cannot be asked. On Linux, a new registry has a DHCP
    /// server for an interface that does not exist yet.
    #[must_use]
    pub fn just_installed(system: System) -> Self {
        let mut state = Self::default();
        if system == System::Linux {
            let at = |last| Some(Ipv4Addr::new(192, 168, 56, last));
            state.dhcp_servers.push(DhcpServer {
                network: "HostInterfaceNetworking-vboxnet0".to_owned(),
                server: at(100),
                lower: at(101),
                upper: at(254),
                netmask: Some(Ipv4Addr::new(255, 255, 255, 0)),
                enabled: true,
            });
        }
        state
    }

    /// Takes in what VBoxManage answered to `look`.
    pub fn take(&mut self, look: StateQuery, answer: &str) {
        match look {
            StateQuery::Version => self.version = records::version(answer),
            StateQuery::Machines => self.machines = records::machines(answer),
            StateQuery::OsTypes => {
                let types = os_types(answer);
                if !types.is_empty() {
                    self.os_types = types;
                }
            }
            StateQuery::Disks => self.disks = hard_disks(answer),
            StateQuery::ExtensionPacks => self.extension_pack = extension_pack(answer),
            StateQuery::Interfaces => self.interfaces = interfaces(answer),
            StateQuery::DhcpServers => self.dhcp_servers = dhcp_servers(answer),
            StateQuery::Networks => self.networks = networks(answer),
            StateQuery::Info => self.info = Some(Info::parse(answer)),
            StateQuery::Cards => self.promiscuous = info::promiscuous(answer),
        }
    }

    /// The entry of the machine with this UUID.
    #[must_use]
    pub fn registered(&self, uuid: &str) -> Option<&Registered> {
        self.machines.iter().find(|m| m.uuid == uuid)
    }

    /// Whether the machine with this UUID is registered and can be changed.
    #[must_use]
    pub fn is_usable(&self, uuid: &str) -> bool {
        !self.settings_lost && self.registered(uuid).is_some_and(Registered::is_accessible)
    }

    /// The disk whose image is at `location`.
    pub(super) fn disk(&self, system: System, location: &str) -> Option<&HardDisk> {
        self.disks.iter().find(|d| system.same_path(&d.location, location))
    }

    /// The disk at the root of the chain of snapshots that the image at `location` stands on.
    pub(super) fn base(&self, system: System, location: &str) -> Option<&HardDisk> {
        let mut disk = self.disk(system, location)?;
        // No chain has more links than there are disks.
        for _ in &self.disks {
            let Some(parent) = &disk.parent else { break };
            disk = self.disks.iter().find(|d| d.uuid == *parent)?;
        }
        Some(disk)
    }
}

fn address(record: &ManageRecord, names: &[&str]) -> Option<Ipv4Addr> {
    record.get(names)?.parse().ok().filter(|a: &Ipv4Addr| !a.is_unspecified())
}

fn text(record: &ManageRecord, name: &str) -> String {
    record.get(&[name]).unwrap_or_default().to_owned()
}

fn interfaces(answer: &str) -> Vec<HostOnlyInterface> {
    let read = |r: &ManageRecord| HostOnlyInterface {
        name: text(r, "Name"),
        address: address(r, &["IPAddress"]),
        netmask: address(r, &["NetworkMask"]),
        up: r.get(&["Status"]) != Some("Down"),
        network: text(r, "VBoxNetworkName"),
    };
    records::records(answer, "Name").iter().map(read).collect()
}

fn networks(answer: &str) -> Vec<HostOnlyNetwork> {
    let read = |r: &ManageRecord| HostOnlyNetwork {
        name: text(r, "Name"),
        lower: address(r, &["LowerIP"]),
        upper: address(r, &["UpperIP"]),
        netmask: address(r, &["NetworkMask"]),
        enabled: r.get(&["State"]) == Some("Enabled"),
    };
    records::records(answer, "Name").iter().map(read).collect()
}

fn dhcp_servers(answer: &str) -> Vec<DhcpServer> {
    let read = |r: &ManageRecord| DhcpServer {
        network: text(r, "NetworkName"),
        server: address(r, &["Dhcpd IP", "IP"]),
        lower: address(r, &["LowerIPAddress"]),
        upper: address(r, &["UpperIPAddress"]),
        netmask: address(r, &["NetworkMask"]),
        enabled: r.get(&["Enabled"]) == Some("Yes"),
    };
    records::records(answer, "NetworkName").iter().map(read).collect()
}

fn hard_disks(answer: &str) -> Vec<HardDisk> {
    let read = |r: &ManageRecord| HardDisk {
        uuid: text(r, "UUID").to_lowercase(),
        parent: Some(text(r, "Parent UUID").to_lowercase()).filter(|p| records::is_uuid(p)),
        location: text(r, "Location"),
        accessible: r.get(&["State"]) != Some("inaccessible"),
        mib: r.get(&["Capacity"]).and_then(|c| c.strip_suffix(" MBytes")).and_then(|n| n.parse().ok()),
    };
    records::records(answer, "UUID").iter().map(read).collect()
}

fn os_types(answer: &str) -> Vec<OsType> {
    let read = |r: &ManageRecord| {
        Some(OsType { id: r.get(&["ID"])?.to_owned(), description: text(r, "Description") })
    };
    records::records(answer, "ID").iter().filter_map(read).collect()
}

/// `Extension Packs: 1`, then `Pack no. 0:`, …, `Usable: true` for each.
fn extension_pack(answer: &str) -> bool {
    records::records(answer, "Pack no. 0").iter().any(|r| r.get(&["Usable"]) == Some("true"))
}

/// The kinds that a boot medium of ours may be, for when VirtualBox cannot be asked.
fn usual_os_types() -> Vec<OsType> {
    let known = [
        ("Linux_64", "Other Linux (64-bit)"),
        ("Linux", "Other Linux (32-bit)"),
        ("Linux26_64", ""),
        ("Linux26", ""),
        ("Debian_64", ""),
        ("Ubuntu_64", ""),
        ("Fedora_64", ""),
        ("ArchLinux_64", ""),
        ("Gentoo_64", ""),
        ("RedHat_64", ""),
        ("OpenSUSE_64", ""),
        ("Other_64", ""),
        ("Other", ""),
    ];
    known.iter().map(|(id, d)| OsType { id: (*id).to_owned(), description: (*d).to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_without_an_address_has_none() {
        let answer = "Name:            vboxnet0\nGUID:            786f6276-656e-4074-8000-0a0027000000\nDHCP:            Disabled\n\
            IPAddress:       0.0.0.0\nNetworkMask:     0.0.0.0\nIPV6Address:     \nIPV6NetworkMaskPrefixLength: 0\n\
            HardwareAddress: 0a:00:27:00:00:00\nMediumType:      Ethernet\nWireless:        No\nStatus:          Down\n\
            VBoxNetworkName: HostInterfaceNetworking-vboxnet0\n\n";
        let mut state = HostState::default();
        state.take(StateQuery::Interfaces, answer);
        let found = &state.interfaces[0];
        assert_eq!((found.address, found.netmask, found.up), (None, None, false));
        assert_eq!(found.network, "HostInterfaceNetworking-vboxnet0");
        state.take(StateQuery::Interfaces, "");
        assert_eq!(state.interfaces, []);
    }

    #[test]
    fn a_disk_that_was_replaced_is_not_accessible() {
        let answer = "UUID:           1b1c0c0e-aaaa-4bbb-8ccc-0123456789ab\nParent UUID:    base\nState:          inaccessible\n\
            Type:           normal (base)\nLocation:       /vms/a/disk0.vdi\nStorage format: VDI\nCapacity:       10000 MBytes\nEncryption:     disabled\n\n\
            UUID:           2b1c0c0e-aaaa-4bbb-8ccc-0123456789ab\nParent UUID:    1B1C0C0E-aaaa-4bbb-8ccc-0123456789ab\nState:          created\nLocation:       C:\\VMs\\b: c.vdi\nCapacity:       x\n";
        let mut state = HostState::default();
        state.take(StateQuery::Disks, answer);
        assert_eq!(
            state.disks,
            [
                HardDisk {
                    uuid: "1b1c0c0e-aaaa-4bbb-8ccc-0123456789ab".to_owned(),
                    parent: None,
                    location: "/vms/a/disk0.vdi".to_owned(),
                    accessible: false,
                    mib: Some(10_000)
                },
                HardDisk {
                    uuid: "2b1c0c0e-aaaa-4bbb-8ccc-0123456789ab".to_owned(),
                    parent: Some("1b1c0c0e-aaaa-4bbb-8ccc-0123456789ab".to_owned()),
                    location: r"C:\VMs\b: c.vdi".to_owned(),
                    accessible: true,
                    mib: None
                },
            ]
        );
        let base = state.base(System::Windows, r"c:\vms\b: c.vdi").unwrap();
        assert_eq!(base.location, "/vms/a/disk0.vdi");
        state.disks[0].parent = Some(state.disks[1].uuid.clone());
        assert!(state.base(System::Linux, "/vms/a/disk0.vdi").is_some(), "a circle has an end");
    }

    #[test]
    fn an_extension_pack_counts_when_it_is_usable() {
        let mut state = HostState::default();
        for (answer, usable) in [
            ("Extension Packs: 0\n", false),
            (
                "Extension Packs: 1\nPack no. 0:   Oracle VirtualBox Extension Pack\nVersion:        7.2.22\nUsable:         true\nWhy unusable:\n",
                true,
            ),
            (
                "Extension Packs: 1\nPack no. 0:   Old\nUsable:         false\nWhy unusable:   too old\n",
                false,
            ),
        ] {
            state.take(StateQuery::ExtensionPacks, answer);
            assert_eq!(state.extension_pack, usable, "{answer}");
        }
    }

    #[test]
    fn kinds_of_guests_are_those_that_virtualbox_lists_else_the_usual_ones() {
        let mut state = HostState::default();
        state.take(StateQuery::OsTypes, "");
        assert!(state.os_types.iter().any(|t| t.id == "Linux_64"));
        state.take(StateQuery::OsTypes, "ID:            Oracle_64\nDescription:   Oracle Linux (64-bit)\nFamily ID:     Linux\n64 bit:        true\n\n");
        assert_eq!(
            state.os_types,
            [OsType { id: "Oracle_64".to_owned(), description: "Oracle Linux (64-bit)".to_owned() }]
        );
    }
}
