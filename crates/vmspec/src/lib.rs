//! Virtual machines as data, and what a back end makes of them.
//!
//! A [`Machine`] says what a machine has; [`VmSpec`] is how a profile of `media.toml` asks for one. Nothing here
//! runs, opens or names anything of the host by itself: paths and facts about the host (is KVM usable, where
//! is the UEFI firmware) are handed in, so that each command line is tested without the tool.

pub mod boot;
pub mod choice;
pub mod qemu;
pub mod quote;
pub mod scenario;
pub mod spec;
pub mod trace;
pub mod virtualbox;

// `core` and not `std`: an address is data, and the pure modules name nothing that could open a socket.
use core::{fmt, net::Ipv4Addr};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

pub use spec::VmSpec;

/// One virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Its name: unique on the host, safe as a file name.
    pub name: String,
    /// What starts the boot loader.
    pub firmware: Firmware,
    /// UEFI variables to start with, in place of those that come with the firmware.
    pub variables: Option<Utf8PathBuf>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Number of processors.
    pub cpus: u8,
    /// Disks, in the order the guest sees them.
    pub disks: Vec<Disk>,
    /// The boot medium, if any.
    pub medium: Option<Medium>,
    /// Network cards, in the order the guest sees them.
    pub nics: Vec<Card>,
    /// The socket by which an emulated TPM 2.0 (swtpm) is told what to do, where the machine has one; QEMU's only.
    pub tpm: Option<Utf8PathBuf>,
    /// What the firmware tries, first to last.
    pub boot: Vec<BootDevice>,
    /// The date that its clock shows when it is switched on, as `2000-01-01`; today unless given. QEMU's alone.
    pub clock: Option<String>,
    /// The file that takes what the guest writes to its first serial port (0x3f8, IRQ 4).
    pub serial: Utf8PathBuf,
    /// VirtualBox's name for the guest's operating system, such as `Linux_64`; QEMU has no use for it.
    pub os_type: String,
    /// Whether its keyboard is a USB one, besides the PC's own; QEMU's only.
    pub usb_keyboard: bool,
    /// Whether its UEFI firmware boots from the network by HTTP alone, and not by PXE, which goes first; QEMU's only.
    pub http_boot: bool,
}

/// What the machine of a profile is called on this host.
#[must_use]
pub fn machine_name(profile: &str) -> String {
    format!("{NAME_PREFIX}{profile}")
}

/// The profile whose machine is called `name`.
#[must_use]
pub fn profile_of(name: &str) -> &str {
    name.strip_prefix(NAME_PREFIX).unwrap_or(name)
}

const NAME_PREFIX: &str = "media-";

/// What starts the boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// The PC BIOS (SeaBIOS in QEMU).
    Bios,
    /// UEFI (OVMF in QEMU), without Secure Boot.
    Uefi,
    /// UEFI with Secure Boot on and Microsoft's keys, as machines are shipped.
    SecureBoot,
}

/// A hard disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    /// Path of the disk image on this machine.
    pub path: Utf8PathBuf,
    /// What it hangs on.
    pub bus: Bus,
    /// Its size in MiB, for when it has to be made.
    pub size_mib: u64,
    /// The image's format.
    pub format: DiskFormat,
    /// Whether the guest cannot write to it.
    pub read_only: bool,
}

/// What a disk hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Bus {
    /// virtio: `/dev/vda` in Linux.
    Virtio,
    /// The PIIX IDE controller: `/dev/sda` in Linux.
    Ide,
    /// An AHCI controller: `/dev/sda` in Linux.
    Sata,
    /// A controller of its own: `/dev/nvme0n1` in Linux.
    Nvme,
}

/// The format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskFormat {
    /// The bare bytes.
    Raw,
    /// QEMU's sparse format.
    Qcow2,
    /// VirtualBox's sparse format.
    Vdi,
}

impl DiskFormat {
    /// The file name extension, which is also what both back ends call the format.
    #[must_use]
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vdi => "vdi",
        }
    }
}

/// A boot medium: an ISO that is never written to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Medium {
    /// The ISO.
    pub path: Utf8PathBuf,
    /// How the machine sees it.
    pub attach: Attach,
}

/// How a machine sees its medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attach {
    /// A CD-ROM.
    Cd,
    /// A USB stick with the same bytes.
    Usb,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Card {
    /// What it is plugged into.
    pub plug: Nic,
    /// Emulated network card.
    pub model: NicModel,
    /// Whose traffic it sees; QEMU's networks have one guest, so there is nothing to see.
    pub promiscuous: Promiscuous,
}

/// Whose traffic a network card sees that asks for all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Promiscuous {
    /// Its own.
    Deny,
    /// That of other machines.
    AllowVms,
    /// All of it, the host's included.
    AllowAll,
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subnet {
    /// Its own address: the host part is zero.
    pub address: Ipv4Addr,
    /// Bits of the network part.
    pub prefix: u8,
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What a network card is plugged into.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Nic {
    /// A network of the host and its guests, where netboot happens.
    ///
    /// VirtualBox has such networks. QEMU imitates one without privileges: its user network with the same
    /// addresses, in which the host's address leads to 127.0.0.1 of the host.
    HostOnly(HostOnly),
    /// The way out, and in through forwarded ports.
    Nat {
        /// The guest's network; `None` is the back end's own.
        network: Option<Subnet>,
        /// Ports of the host that lead into the guest.
        forwards: Vec<Forward>,
    },
    /// A card without a DHCP server.
    Unplugged,
    /// A device of Linux in a network namespace; QEMU's only.
    Tap(Tap),
}

/// A tap device in another process's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tap {
    /// Name of the device in that namespace.
    pub device: String,
    /// A process in that namespace.
    pub process: u32,
    /// Whether that process is in a user namespace of its own, too.
    pub user: bool,
}

/// The model of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NicModel {
    /// virtio-net; distributions' cloud kernels know no other.
    Virtio,
    /// Intel's 82540EM, VirtualBox's own default.
    E1000,
    /// Intel's 82574L, as servers had it; QEMU's only.
    E1000e,
}

/// A host-only network. The ranges are checked: inside the network, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostOnly {
    /// The host's address in it.
    pub host: Ipv4Addr,
    /// Bits of the network part, 1 to 30.
    pub prefix: u8,
    /// The DHCP server's own address.
    pub dhcp_server: Ipv4Addr,
    /// The first address it hands out.
    pub dhcp_first: Ipv4Addr,
    /// The last address it hands out.
    pub dhcp_last: Ipv4Addr,
}

impl HostOnly {
    /// The network of 256 addresses around `host`, with the ranges that VirtualBox's own has.
    #[must_use]
    pub fn around(host: Ipv4Addr) -> Self {
        let [a, b, c, d] = host.octets();
        let at = |last| Ipv4Addr::new(a, b, c, last);
        let (server, first, last) = if d < 100 { (100, 101, 254) } else { (9, 10, 99) };
        Self { host, prefix: 24, dhcp_server: at(server), dhcp_first: at(first), dhcp_last: at(last) }
    }

    /// The mask of the network part.
    #[must_use]
    pub(crate) fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX << (32 - u32::from(self.prefix)))
    }

    /// The address of the network itself.
    #[must_use]
    pub(crate) fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.host.to_bits() & self.netmask().to_bits())
    }

    /// Whether `address` belongs to a host or the host's own guests in this network.
    #[must_use]
    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        let mask = self.netmask().to_bits();
        let host_part = address.to_bits() & !mask;
        address.to_bits() & mask == self.network().to_bits() && host_part != 0 && host_part != !mask
    }
}

/// A TCP port of the host's loopback that leads to a port of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Forward {
    /// Its name, unique in the machine.
    pub name: String,
    /// The port on 127.0.0.1; never on all addresses, since the guest may have a password everyone knows.
    pub host_port: u16,
    /// The port in the guest.
    pub guest_port: u16,
}

/// Something a firmware can boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BootDevice {
    /// The boot medium.
    Medium,
    /// The first disk.
    Disk,
    /// The first network card.
    Network,
}
