//! Scenarios of a system that runs containers.

use core::net::Ipv4Addr;

use super::{Attach, BIOS, Bus, Firmware, Machine, NicModel, Proof, Scenario, Start, UEFI};
use crate::{Card, Nic, Subnet};

/// What is shown of a system that runs containers. Each boots a medium that carries the image of a small server, which
/// counts in a volume and shows the number on a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The carried image runs, its page is fetched from this host, and another image is pulled and run.
    Run,
    /// The server runs again after each of so many power cuts, half of them while it was being started, and its number
    /// never goes back.
    Cuts(u64),
    /// A cut left the server's port reserved: the next boot puts that right.
    Heals,
    /// The power button ends containers, Docker and the mount of the disk, in this order.
    PowersOff,
    /// Nothing listens but SSH and what is published, and SSH takes keys alone.
    Closed,
    /// The disk is not as it should be: that is said, and what can run does.
    Disk(DiskTrouble),
    /// A cloud-config of wrong and hostile parts: what is right is applied, the rest is named.
    BadConfig,
    /// A cloud-config on a drive called `config-2` is applied.
    ConfigDrive,
    /// Keys of a cloud-config have the effects that they are documented to have.
    Keys,
    /// Of two network cards, each gets what a cloud-config says for its hardware address.
    Cards,
    /// A disk that an older system filled goes on: its container runs, its images are there.
    Upgrades,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskTrouble {
    /// There is none.
    Missing,
    /// It holds something else.
    Foreign,
    /// It cannot be written.
    ReadOnly,
    /// Nothing more goes on it.
    Full,
    /// RancherOS made it.
    Rancher,
}

/// What a machine has, where it is not what the profile says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hardware {
    /// It is what the profile says.
    #[default]
    Profile,
    /// A SATA disk and an 82540EM, VirtualBox's defaults.
    Sata,
    /// An NVMe disk and an 82574L.
    Nvme,
    /// A USB keyboard and one processor.
    UsbKeyboard,
    /// Four processors.
    Large,
    /// 384 MiB of memory.
    Small,
    /// A second network card, in a network of its own.
    TwoCards,
}

/// Where the second of two cards is. QEMU answers at the second address, as a gateway.
const SECOND_NETWORK: Subnet = Subnet { address: Ipv4Addr::new(10, 0, 9, 0), prefix: 24 };

impl Hardware {
    /// Changes the machine.
    pub(super) fn apply(self, machine: &mut Machine) {
        let fit = |machine: &mut Machine, bus, model| {
            machine.disks.iter_mut().for_each(|d| d.bus = bus);
            machine.nics.iter_mut().for_each(|n| n.model = model);
        };
        match self {
            Self::Profile => {}
            Self::Sata => fit(machine, Bus::Sata, NicModel::E1000),
            Self::Nvme => fit(machine, Bus::Nvme, NicModel::E1000e),
            Self::UsbKeyboard => {
                machine.usb_keyboard = true;
                machine.cpus = 1;
            }
            Self::Large => machine.cpus = 4,
            Self::Small => machine.memory_mib = 384,
            Self::TwoCards => {
                let first = machine.nics.first().cloned();
                let plug = Nic::Nat { network: Some(SECOND_NETWORK), forwards: Vec::new() };
                machine.nics.extend(first.map(|card| Card { plug, ..card }));
            }
        }
    }
}

const fn iso(
    name: &'static str,
    firmware: Firmware,
    attach: Attach,
    shown: Shown,
    about: &'static str,
) -> Scenario {
    let start = Start::Iso(attach);
    let proof = Proof::Containers(shown);
    Scenario { name, about, firmware, start, proof, hardware: Hardware::Profile, long: true }
}

const fn netboot(name: &'static str, firmware: Firmware, about: &'static str) -> Scenario {
    let proof = Proof::Containers(Shown::Run);
    let hardware = Hardware::Profile;
    Scenario { name, about, firmware, start: Start::Netboot, proof, hardware, long: true }
}

/// One that CI runs as well.
const fn always(scenario: Scenario) -> Scenario {
    Scenario { long: false, ..scenario }
}

const fn on(hardware: Hardware, scenario: Scenario) -> Scenario {
    Scenario { hardware, ..scenario }
}

/// All of them. Most start under UEFI, whose loader reads 90 MB in large pieces: those of the BIOS are so small that on a
/// busy host each waits for its turn, five minutes in all.
pub const CONTAINERS: &[Scenario] = &[
    always(iso(
        "power-cut",
        UEFI,
        Attach::Cd,
        Shown::Cuts(10),
        "power cuts, half of them while a container starts: it runs again and counts on",
    )),
    always(iso(
        "containers-usb-uefi",
        UEFI,
        Attach::Usb,
        Shown::Run,
        "a carried image runs, another is pulled: a stick under UEFI",
    )),
    always(iso("heal", UEFI, Attach::Cd, Shown::Heals, "a port that a power cut left reserved is freed")),
    iso("containers-cd-bios", BIOS, Attach::Cd, Shown::Run, "the same from a CD under BIOS"),
    iso("containers-cd-uefi", UEFI, Attach::Cd, Shown::Run, "the same from a CD under UEFI"),
    iso("containers-usb-bios", BIOS, Attach::Usb, Shown::Run, "the same from a stick under BIOS"),
    netboot("containers-netboot-bios", BIOS, "the same from the network under BIOS"),
    netboot("containers-netboot-uefi", UEFI, "the same from the network under UEFI"),
    iso(
        "power-off",
        UEFI,
        Attach::Cd,
        Shown::PowersOff,
        "the power button ends containers, Docker, the disk",
    ),
    iso("closed", UEFI, Attach::Cd, Shown::Closed, "nothing listens but SSH with keys and published ports"),
    iso("bad-config", UEFI, Attach::Cd, Shown::BadConfig, "wrong and hostile cloud-configs stop no boot"),
    iso("config-drive", UEFI, Attach::Cd, Shown::ConfigDrive, "a cloud-config from a configuration drive"),
    iso("disk-none", UEFI, Attach::Cd, Shown::Disk(DiskTrouble::Missing), "without a disk it runs in memory"),
    iso("disk-foreign", UEFI, Attach::Cd, Shown::Disk(DiskTrouble::Foreign), "another's disk is left alone"),
    iso(
        "disk-read-only",
        UEFI,
        Attach::Cd,
        Shown::Disk(DiskTrouble::ReadOnly),
        "a disk that cannot be written is named",
    ),
    iso("disk-full", UEFI, Attach::Cd, Shown::Disk(DiskTrouble::Full), "a full disk is named"),
    iso(
        "disk-rancheros",
        UEFI,
        Attach::Cd,
        Shown::Disk(DiskTrouble::Rancher),
        "RancherOS's disk is mounted and named",
    ),
    iso("keys", UEFI, Attach::Cd, Shown::Keys, "what a cloud-config sets is so in the booted system"),
    on(
        Hardware::TwoCards,
        iso(
            "two-cards",
            UEFI,
            Attach::Cd,
            Shown::Cards,
            "two network cards, told apart by their hardware addresses",
        ),
    ),
    iso("upgrade", UEFI, Attach::Cd, Shown::Upgrades, "an older system's disk goes on (--older DIR)"),
    on(Hardware::Sata, iso("sata-e1000", UEFI, Attach::Cd, Shown::Run, "a SATA disk and an 82540EM")),
    on(Hardware::Nvme, iso("nvme-e1000e", UEFI, Attach::Cd, Shown::Run, "an NVMe disk and an 82574L")),
    on(
        Hardware::UsbKeyboard,
        iso("one-cpu", BIOS, Attach::Usb, Shown::Run, "one processor, a stick, a USB keyboard"),
    ),
    on(Hardware::Large, iso("four-cpus", UEFI, Attach::Cd, Shown::Run, "four processors")),
    on(Hardware::Small, iso("small", UEFI, Attach::Cd, Shown::Run, "384 MiB of memory")),
];
