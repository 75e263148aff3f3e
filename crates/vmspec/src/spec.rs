//! `[profile.X.vm]` of `media.toml`: the machine a profile's guest needs.
//!
//! What is not given is what the project's old scripts made: 512 MiB, a 10 GB IDE disk, a host-only card with
//! the host at 192.168.56.1, a NAT card with SSH forwarded from port 2222.

mod cards;

use core::net::Ipv4Addr;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::{
    BootDevice, Bus, Card, Disk, DiskFormat, Firmware, Forward, HostOnly, Machine, Medium, Nic, NicModel,
    Promiscuous, qemu::Accel,
};
pub use cards::{CardSpec, NicKind, RawCard, RawNic};

/// A profile's machine, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "RawVm")]
pub struct VmSpec {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Number of processors.
    pub cpus: u8,
    /// What starts the boot loader.
    pub firmware: Firmware,
    /// Disks, in order.
    pub disks: Vec<DiskSpec>,
    /// Network cards, in order.
    pub nics: Vec<CardSpec>,
    /// The model of network cards that name none.
    pub nic_model: NicModel,
    /// Addresses of the network between host and guests.
    pub host_only: HostOnly,
    /// The port on 127.0.0.1 that leads to the guest's port 22; `None` forwards nothing.
    pub ssh_port: Option<u16>,
    /// Ports on 127.0.0.1 and the guest's that they lead to, as pairs.
    pub ports: Vec<(u16, u16)>,
    /// What the firmware tries, first to last.
    pub boot: Vec<BootDevice>,
    /// VirtualBox's name of the operating system.
    pub os_type: String,
    /// A part of the line by which the guest says on its console that it is up.
    pub ready: String,
    /// How long a boot may take, unless it is left to [`boot_limit`].
    pub boot_timeout: Option<Duration>,
}

/// A disk that a profile asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiskSpec {
    /// Its size in MiB.
    pub size_mib: u64,
    /// What it hangs on.
    pub bus: Bus,
}

/// `[profile.X.vm]` as written.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RawVm {
    /// Memory in MiB.
    pub memory: u32,
    /// Number of processors.
    pub cpus: u8,
    /// `"bios"`, `"uefi"` or `"secure-boot"`.
    pub firmware: Firmware,
    /// Disks, such as `{ size = "10G", bus = "ide" }`.
    pub disks: Vec<RawDisk>,
    /// Network cards in order: `"host-only"`, `"nat"`, `"unplugged"`, or a table such as
    /// `{ plug = "nat", network = "192.168.0.0/16", promiscuous = "allow-all", model = "e1000" }`.
    pub nics: Vec<RawNic>,
    /// The model of network cards: `"virtio"`, `"e1000"` or, in QEMU, `"e1000e"`.
    pub nic_model: NicModel,
    /// Addresses of the network between host and guests.
    pub host_only: RawHostOnly,
    /// The port on 127.0.0.1 that leads to the guest's SSH; 0 forwards nothing.
    pub ssh_port: u16,
    /// More ports on 127.0.0.1 that lead to the guest's, such as `"8080:80"` for port 80 of the guest.
    pub ports: Vec<String>,
    /// What the firmware tries: `"medium"`, `"disk"`, `"network"`.
    pub boot: Vec<BootDevice>,
    /// VirtualBox's name of the operating system.
    pub os_type: String,
    /// A part of the line by which the guest says on its console that it is up, such as `login:`.
    pub ready: String,
    /// Seconds that a boot may take in `vm run` and `vm test`; by default, the accelerator and the size of the initrd
    /// decide.
    pub boot_timeout: Option<u32>,
}

/// What our own guest says when it is up; it also tells about nonce, state disk and cloud-config.
const READY: &str = "media: done";

impl Default for RawVm {
    fn default() -> Self {
        Self {
            memory: 512,
            cpus: 1,
            firmware: Firmware::Bios,
            disks: vec![RawDisk { size: "10000M".to_owned(), bus: Bus::Ide }],
            nics: vec![RawNic::Plug(NicKind::HostOnly), RawNic::Plug(NicKind::Nat)],
            nic_model: NicModel::Virtio,
            host_only: RawHostOnly::default(),
            ssh_port: 2222,
            ports: Vec::new(),
            boot: vec![BootDevice::Medium, BootDevice::Disk, BootDevice::Network],
            os_type: "Linux_64".to_owned(),
            ready: READY.to_owned(),
            boot_timeout: None,
        }
    }
}

/// A disk as written.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RawDisk {
    /// A number of MiB or GiB, such as `512M` or `10G`.
    pub size: String,
    /// `"virtio"`, `"ide"`, `"sata"` or `"nvme"`; VirtualBox has all on IDE.
    pub bus: Bus,
}

/// The host-only network as written.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RawHostOnly {
    /// The host's address and the network's size, such as `192.168.56.1/24`.
    pub host: String,
    /// The DHCP server's own address.
    pub dhcp_server: Ipv4Addr,
    /// The first and the last address it hands out.
    pub dhcp_range: [Ipv4Addr; 2],
}

impl Default for RawHostOnly {
    fn default() -> Self {
        Self {
            host: "192.168.56.1/24".to_owned(),
            dhcp_server: Ipv4Addr::new(192, 168, 56, 100),
            dhcp_range: [Ipv4Addr::new(192, 168, 56, 101), Ipv4Addr::new(192, 168, 56, 254)],
        }
    }
}

impl Default for VmSpec {
    fn default() -> Self {
        RawVm::default().try_into().expect("the defaults are checked by a test")
    }
}

/// What is wrong with a `[profile.X.vm]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongVm(String);

impl TryFrom<RawVm> for VmSpec {
    type Error = WrongVm;

    fn try_from(raw: RawVm) -> Result<Self, WrongVm> {
        within("memory", u64::from(raw.memory), 64, 1 << 20)?;
        within("cpus", u64::from(raw.cpus), 1, 64)?;
        within("disks", raw.disks.len() as u64, 0, 3)?;
        within("nics", raw.nics.len() as u64, 0, 8)?;
        let nics = raw.nics.iter().map(cards::card).collect::<Result<Vec<_>, _>>()?;
        if nics.iter().filter(|n| n.kind == NicKind::HostOnly).count() > 1 {
            return Err(WrongVm("nics: there is one host-only network, so one card at most".to_owned()));
        }
        if raw.os_type.is_empty() || !raw.os_type.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(WrongVm(format!("os-type `{}` is not a name such as `Linux_64`", raw.os_type)));
        }
        if raw.ready.trim().is_empty() {
            return Err(WrongVm("ready is empty, so every line would match".to_owned()));
        }
        if let Some(seconds) = raw.boot_timeout {
            within("boot-timeout in seconds", u64::from(seconds), 1, 24 * 3600)?;
        }
        let repeated = (1..raw.boot.len()).find(|i| raw.boot[..*i].contains(&raw.boot[*i]));
        if let Some(i) = repeated {
            return Err(WrongVm(format!("boot names {:?} twice", raw.boot[i])));
        }
        Ok(Self {
            memory_mib: raw.memory,
            cpus: raw.cpus,
            firmware: raw.firmware,
            disks: raw.disks.iter().map(disk).collect::<Result<_, _>>()?,
            nics,
            nic_model: raw.nic_model,
            host_only: host_only(&raw.host_only)?,
            ssh_port: Some(raw.ssh_port).filter(|p| *p != 0),
            ports: ports(&raw.ports, raw.ssh_port)?,
            boot: raw.boot,
            os_type: raw.os_type,
            ready: raw.ready,
            boot_timeout: raw.boot_timeout.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

fn within(what: &str, value: u64, least: u64, most: u64) -> Result<(), WrongVm> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(WrongVm(format!("{what} is {value}, not between {least} and {most}")))
}

/// Pairs of ports; each of this host leads to one of the guest.
fn ports(raw: &[String], ssh_port: u16) -> Result<Vec<(u16, u16)>, WrongVm> {
    within("ports", raw.len() as u64, 0, 32)?;
    let mut pairs: Vec<(u16, u16)> = Vec::new();
    for text in raw {
        let number = |port: &str| port.parse::<u16>().ok().filter(|p| *p != 0);
        let pair = text.split_once(':').and_then(|(host, guest)| Some((number(host)?, number(guest)?)));
        let pair =
            pair.ok_or_else(|| WrongVm(format!("port `{text}` is not HOST:GUEST, such as `8080:80`")))?;
        if pair.0 == ssh_port || pairs.iter().any(|p| p.0 == pair.0) {
            return Err(WrongVm(format!("port {} of this host is forwarded twice", pair.0)));
        }
        pairs.push(pair);
    }
    Ok(pairs)
}

fn disk(raw: &RawDisk) -> Result<DiskSpec, WrongVm> {
    let wrong = || WrongVm(format!("disk size `{}` is not a number of M or G, such as `10G`", raw.size));
    let (number, unit) = raw.size.split_at_checked(raw.size.len().saturating_sub(1)).ok_or_else(wrong)?;
    let factor = match unit {
        "M" => 1,
        "G" => 1024,
        _ => return Err(wrong()),
    };
    let size_mib = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wrong)?;
    within("disk size in MiB", size_mib, 1, 1 << 22)?;
    Ok(DiskSpec { size_mib, bus: raw.bus })
}

fn host_only(raw: &RawHostOnly) -> Result<HostOnly, WrongVm> {
    let parts =
        raw.host.split_once('/').and_then(|(host, bits)| Some((host.parse().ok()?, bits.parse().ok()?)));
    let (host, prefix) = parts
        .ok_or_else(|| WrongVm(format!("host `{}` is not an address such as 192.168.56.1/24", raw.host)))?;
    within("the prefix of host-only.host", u64::from(prefix), 1, 30)?;
    let [dhcp_first, dhcp_last] = raw.dhcp_range;
    if dhcp_first > dhcp_last {
        // VirtualBox refuses this too, but leaves a half-made DHCP server behind that blocks the next try.
        return Err(WrongVm(format!(
            "dhcp-range runs from high to low; write [\"{dhcp_last}\", \"{dhcp_first}\"]"
        )));
    }
    let net = HostOnly { host, prefix, dhcp_server: raw.dhcp_server, dhcp_first, dhcp_last };
    for (what, address) in [
        ("host", host),
        ("dhcp-server", raw.dhcp_server),
        ("dhcp-range", dhcp_first),
        ("dhcp-range", dhcp_last),
    ] {
        if !net.contains(address) {
            return Err(WrongVm(format!("{what} {address} is not a host of {}/{prefix}", net.network())));
        }
    }
    for (what, address) in [("host", host), ("dhcp-server", raw.dhcp_server)] {
        if (dhcp_first..=dhcp_last).contains(&address) {
            return Err(WrongVm(format!(
                "{what} {address} is inside dhcp-range and could be assigned to a guest"
            )));
        }
    }
    Ok(net)
}

impl VmSpec {
    /// Whether the guest tells about nonce, state disk and cloud-config in `media: ` lines, as ours does.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.ready == READY
    }

    /// The machine `name` whose disks and serial log lie in `dir`.
    #[must_use]
    pub fn machine(&self, name: &str, dir: &Utf8Path, medium: Option<Medium>, format: DiskFormat) -> Machine {
        let disk = |(i, d): (usize, &DiskSpec)| Disk {
            path: dir.join(format!("disk{i}.{}", format.extension())),
            bus: d.bus,
            size_mib: d.size_mib,
            format,
            read_only: false,
        };
        Machine {
            name: name.to_owned(),
            firmware: self.firmware,
            variables: None,
            memory_mib: self.memory_mib,
            cpus: self.cpus,
            disks: self.disks.iter().enumerate().map(disk).collect(),
            medium,
            nics: self.nics.iter().map(|spec| self.planned(spec)).collect(),
            boot: self.boot.clone(),
            serial: serial_log(dir),
            clock: None,
            os_type: self.os_type.clone(),
            usb_keyboard: false,
            http_boot: false,
            tpm: None,
        }
    }

    /// A card of the profile's model, on the profile's terms.
    #[must_use]
    pub fn card(&self, plug: Nic) -> Card {
        let promiscuous = match plug {
            // The old scripts' setting, which bridges in guests need.
            Nic::HostOnly(_) => Promiscuous::AllowAll,
            Nic::Nat { .. } | Nic::Unplugged | Nic::Tap(_) => Promiscuous::Deny,
        };
        Card { plug, model: self.nic_model, promiscuous }
    }

    fn forwards(&self) -> Vec<Forward> {
        let ssh = |host_port| Forward { name: "guestssh".to_owned(), host_port, guest_port: 22 };
        let port = |&(host_port, guest_port): &(u16, u16)| Forward {
            name: format!("port{host_port}"),
            host_port,
            guest_port,
        };
        self.ssh_port.map(ssh).into_iter().chain(self.ports.iter().map(port)).collect()
    }

    fn planned(&self, spec: &CardSpec) -> Card {
        let plug = match spec.kind {
            NicKind::HostOnly => Nic::HostOnly(self.host_only.clone()),
            NicKind::Unplugged => Nic::Unplugged,
            NicKind::Nat => Nic::Nat { network: spec.network, forwards: self.forwards() },
        };
        let usual = self.card(plug);
        Card {
            model: spec.model.unwrap_or(usual.model),
            promiscuous: spec.promiscuous.unwrap_or(usual.promiscuous),
            ..usual
        }
    }
}

/// How long a boot may take that names no limit itself.
///
/// Under TCG our own small guest is up after 5 to 25 seconds, and RancherOS, whose initrd of 80 MB is unpacked and
/// then loaded into Docker, after 226 to 380.
#[must_use]
pub fn boot_limit(firmware: Firmware, accel: Accel, initrd_bytes: u64) -> Duration {
    let (base, per_mib) = match (firmware, accel) {
        (Firmware::Bios, Accel::Tcg) => (120, 8),
        (Firmware::Uefi | Firmware::SecureBoot, Accel::Tcg) => (180, 8),
        (_, Accel::Kvm) => (60, 1),
    };
    Duration::from_secs(base + (initrd_bytes >> 20) * per_mib)
}

/// Where a machine that lives in `dir` keeps its serial log.
#[must_use]
pub fn serial_log(dir: &Utf8Path) -> Utf8PathBuf {
    dir.join("serial.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VmSpec, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_table_is_the_machine_of_the_old_scripts() {
        let spec = parse("").unwrap();
        assert_eq!(spec, VmSpec::default());
        let m = spec.machine("m", "d".into(), None, DiskFormat::Vdi);
        assert_eq!(
            (m.memory_mib, m.disks[0].size_mib, m.disks[0].path.as_str()),
            (512, 10_000, "d/disk0.vdi")
        );
        assert_eq!(spec.host_only.netmask(), Ipv4Addr::new(255, 255, 255, 0));
        let Nic::Nat { forwards, network: None } = &m.nics[1].plug else { panic!("{:?}", m.nics) };
        assert_eq!((forwards[0].host_port, forwards[0].guest_port), (2222, 22));
    }

    #[test]
    fn what_a_profile_says_replaces_the_default() {
        let spec = parse(
            "memory = 1024\nfirmware = 'uefi'\ndisks = [{ size = '2G', bus = 'virtio' }]\nssh-port = 0\n\
             nics = ['host-only']\nboot = ['network']",
        )
        .unwrap();
        assert_eq!(spec.disks, [DiskSpec { size_mib: 2048, bus: Bus::Virtio }]);
        assert_eq!((spec.memory_mib, spec.firmware, spec.ssh_port), (1024, Firmware::Uefi, None));
    }

    #[test]
    fn forwarded_ports_are_those_of_ssh_and_of_the_profile() {
        let m = parse("ports = ['8080:80']").unwrap().machine("m", "d".into(), None, DiskFormat::Vdi);
        let Nic::Nat { forwards, .. } = &m.nics[1].plug else { panic!("{:?}", m.nics) };
        let shown: Vec<_> = forwards.iter().map(|f| (f.name.as_str(), f.host_port, f.guest_port)).collect();
        assert_eq!(shown, [("guestssh", 2222, 22), ("port8080", 8080, 80)]);
    }

    /// The first recipe of the project, word by word; docs/virtualbox.md has the table.
    #[test]
    fn the_original_recipe_can_be_said() {
        let spec = parse(
            "os-type = 'Linux'\nnic-model = 'e1000'\n\
             nics = ['host-only', { plug = 'nat', network = '192.168/16', promiscuous = 'allow-all' }]",
        )
        .unwrap();
        let m = spec.machine("m", "d".into(), None, DiskFormat::Vdi);
        assert_eq!(
            (m.os_type.as_str(), m.nics[0].model, m.nics[1].model),
            ("Linux", NicModel::E1000, NicModel::E1000)
        );
        assert!(m.nics.iter().all(|card| card.promiscuous == Promiscuous::AllowAll));
        let Nic::Nat { network: Some(network), .. } = &m.nics[1].plug else { panic!("{:?}", m.nics) };
        assert_eq!(network.to_string(), "192.168.0.0/16");
        let mixed =
            parse("nics = [{ plug = 'host-only', promiscuous = 'deny', model = 'e1000' }, 'nat']").unwrap();
        let m = mixed.machine("m", "d".into(), None, DiskFormat::Vdi);
        let cards: Vec<_> = m.nics.iter().map(|card| (card.model, card.promiscuous)).collect();
        assert_eq!(cards, [(NicModel::E1000, Promiscuous::Deny), (NicModel::Virtio, Promiscuous::Deny)]);
    }

    #[test]
    fn a_boot_has_the_time_that_its_initrd_takes() {
        let seconds = |accel, mib: u64| boot_limit(Firmware::Bios, accel, mib << 20).as_secs();
        assert_eq!((seconds(Accel::Tcg, 3), seconds(Accel::Kvm, 3)), (144, 63));
        assert!(seconds(Accel::Tcg, 80) > 380);
        assert_eq!(parse("boot-timeout = 900").unwrap().boot_timeout, Some(Duration::from_secs(900)));
    }

    #[test]
    fn wrong_values_are_named_with_what_would_be_right() {
        let cases = [
            ("memory = 3", "memory is 3, not between 64"),
            ("memori = 512", "unknown field `memori`"),
            ("disks = [{ size = '10T', bus = 'ide' }]", "disk size `10T`"),
            ("disks = [{ size = '99999999999999999999G', bus = 'ide' }]", "disk size"),
            ("disks = [{ size = 'é', bus = 'ide' }]", "disk size `é`"),
            ("boot = ['disk', 'disk']", "boot names Disk twice"),
            ("os-type = 'Linux; rm'", "os-type"),
            ("ssh-port = 70000", "u16"),
            ("ports = ['80']", "port `80` is not HOST:GUEST, such as `8080:80`"),
            ("ports = ['0:80']", "port `0:80` is not"),
            ("ports = ['8080:80', '8080:81']", "port 8080 of this host is forwarded twice"),
            ("ports = ['2222:80']", "port 2222 of this host is forwarded twice"),
            ("boot-timeout = 0", "boot-timeout in seconds is 0"),
            ("boot-timeout = '10m'", "u32"),
            ("ready = ' '", "ready is empty"),
            ("nics = ['host-only', 'host-only']", "one host-only network"),
            ("nics = ['wifi']", "unknown variant `wifi`"),
            ("nics = [{ plug = 'nat', mode = 'x' }]", "unknown field `mode`"),
            ("nics = [{ model = 'e1000' }]", "missing field `plug`"),
            ("nics = [1]", "a word such as \"nat\""),
            ("nics = [{ plug = 'nat', promiscuous = 'yes' }]", "unknown variant `yes`"),
            (
                "nics = [{ plug = 'host-only', network = '10.0.0.0/24' }]",
                "only a card that is plugged into `nat`",
            ),
            ("nics = [{ plug = 'nat', network = 'banana' }]", "`banana` is not a network"),
            ("nics = [{ plug = 'nat', network = '10.0.0.0.0/8' }]", "is not a network"),
            ("nics = [{ plug = 'nat', network = '10.0.0.0/28' }]", "not between 8 and 27"),
            ("nics = [{ plug = 'nat', network = '192.168.1.0/16' }]", "a host of the network 192.168.0.0/16"),
            ("[host-only]\nhost = '192.168.56.1'", "is not an address"),
            (
                "[host-only]\ndhcp-range = ['192.168.56.254', '192.168.56.200']",
                "write [\"192.168.56.200\", \"192.168.56.254\"]",
            ),
            (
                "[host-only]\nhost = '192.168.57.1/24'",
                "dhcp-server 192.168.56.100 is not a host of 192.168.57.0/24",
            ),
            ("[host-only]\ndhcp-server = '192.168.56.150'", "inside dhcp-range"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
