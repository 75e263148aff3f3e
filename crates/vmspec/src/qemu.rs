//! A [`Machine`] as a QEMU command line.

use std::time::Duration;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Attach, BootDevice, Bus, Card, Disk, Firmware, Forward, HostOnly, Machine, Medium, Nic, NicModel, Tap,
};
use buildplan::Cmd;
use failure::{Failure, Kind};

/// What QEMU can use of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QemuHost {
    /// `qemu-system-x86_64`, or where it is.
    pub program: String,
    /// What runs the guest's code.
    pub accel: Accel,
    /// The UEFI firmware, where there is one.
    pub ovmf: Option<Ovmf>,
    /// The same with Secure Boot on and Microsoft's keys enrolled.
    pub secure: Option<Ovmf>,
}

/// What runs the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// The processor, through Linux.
    Kvm,
    /// A translator; works everywhere, about ten times slower.
    Tcg,
}

/// Files of the UEFI firmware for QEMU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ovmf {
    /// Code and variables in one file.
    Whole(Utf8PathBuf),
    /// As distributions ship it for machines that keep their variables.
    Split {
        /// The code.
        code: Utf8PathBuf,
        /// A template of the variables, which is not written to.
        vars: Utf8PathBuf,
    },
}

/// Where Debian and Ubuntu put [`Ovmf`], best first; a second name is the file of the variables.
///
/// One whole file goes first, because nothing here keeps UEFI variables between boots.
pub const OVMF_PLACES: &[(&str, Option<&str>)] = &[
    ("/usr/share/ovmf/OVMF.fd", None),
    ("/usr/share/qemu/OVMF.fd", None),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", Some("/usr/share/OVMF/OVMF_VARS_4M.fd")),
    ("/usr/share/OVMF/OVMF_CODE.fd", Some("/usr/share/OVMF/OVMF_VARS.fd")),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", Some("/usr/share/edk2/x64/OVMF_VARS.4m.fd")),
];

/// Where Debian and Ubuntu put [`Ovmf`] with Secure Boot: code that keeps its variables to itself (SMM), and variables with
/// Microsoft's keys.
pub const SECURE_OVMF: (&str, &str) =
    ("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd");

/// How a machine is watched while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Speak QEMU's control protocol on standard input and output.
    ///
    /// Pipes and not a socket: nothing stays behind whatever happens, no path is too long for a socket
    /// address (108 bytes), and it is the same on Windows.
    pub control: bool,
    /// Show a window.
    pub window: bool,
    /// Write the packets of the first network card to this file, cut to what DHCP needs.
    pub trace: Option<Utf8PathBuf>,
}

/// The command that runs `machine`.
///
/// # Errors
/// [`Kind::MissingTool`] when it has UEFI and the host has no firmware for it.
pub fn command(machine: &Machine, host: &QemuHost, watch: &Watch) -> Result<Cmd> {
    let mut cmd = Cmd::new(&host.program, format!("run the machine {}", machine.name))
        .deadline(Duration::from_secs(24 * 3600))
        .args(["-name", &escape(&machine.name)])
        // Only what is listed here: a distribution's default devices differ.
        .args(["-no-user-config", "-nodefaults", "-machine", chipset(machine), "-vga", "std"])
        .args(["-accel", accelerator(host.accel)])
        .args(["-m", &machine.memory_mib.to_string(), "-smp", &machine.cpus.to_string()])
        .args(["-rtc", &format!("base={}", machine.clock.as_deref().unwrap_or("utc")), "-boot", "strict=on"]);
    if machine.firmware != Firmware::Bios {
        cmd = cmd.args(firmware(machine, host)?);
    }
    if machine.disks.iter().any(|d| d.bus == Bus::Sata) {
        cmd = cmd.args(["-device", "ich9-ahci,id=sata"]);
    }
    if let Some(socket) = &machine.tpm {
        cmd = cmd.args(["-chardev", &format!("socket,id=tpm,path={}", path_arg(socket))]).args([
            "-tpmdev",
            "emulator,id=tpm0,chardev=tpm",
            "-device",
            "tpm-tis,tpmdev=tpm0",
        ]);
    }
    if machine.usb_keyboard {
        cmd = cmd.args(["-device", "qemu-xhci,id=keys", "-device", "usb-kbd,bus=keys.0"]);
    }
    for (i, disk) in machine.disks.iter().enumerate() {
        cmd = cmd.args(disk_args(machine, i, disk, index(machine, BootDevice::Disk).filter(|_| i == 0)));
    }
    if let Some(medium) = &machine.medium {
        cmd = cmd.args(medium_args(medium, index(machine, BootDevice::Medium)));
    }
    for (i, card) in machine.nics.iter().enumerate() {
        let boot = index(machine, BootDevice::Network).filter(|_| i == 0);
        cmd = cmd.args(nic_args(i, card, boot, machine.firmware));
    }
    if machine.http_boot {
        // OVMF's own switches (OvmfPkg/README); PXE comes first on every card, and waits for a minute.
        for which in ["IPv4PXESupport", "IPv6PXESupport"] {
            cmd = cmd.args(["-fw_cfg", &format!("name=opt/org.tianocore/{which},string=no")]);
        }
    }
    if let (Some(trace), false) = (&watch.trace, machine.nics.is_empty()) {
        // A DHCP message ends before byte 590 of its frame.
        cmd = cmd.args([
            "-object",
            &format!("filter-dump,id=trace,netdev=net0,maxlen=600,file={}", path_arg(trace)),
        ]);
    }
    cmd = cmd
        .args(["-chardev", &format!("file,id=serial0,path={}", path_arg(&machine.serial))])
        .args(["-serial", "chardev:serial0"]);
    if !watch.window {
        // Not -nographic: it mirrors the firmware's screen into the serial line, so letters arrive doubled.
        cmd = cmd.args(["-display", "none"]);
    }
    cmd.start.through = machine.nics.iter().find_map(|card| tap(&card.plug)).map(enter).unwrap_or_default();
    Ok(if watch.control { cmd.args(["-qmp", "stdio"]) } else { cmd })
}

/// The command that makes a disk's image. A raw image is a sparse file, which the runner makes itself.
#[must_use]
pub fn create_disk(disk: &Disk) -> Cmd {
    Cmd::new("qemu-img", format!("make the disk {}", disk.path)).args([
        "create",
        "-q",
        "-f",
        disk.format.extension(),
        disk.path.as_str(),
        &format!("{}M", disk.size_mib),
    ])
}

/// Only this chipset has what keeps the system away from the firmware's variables.
/// All emulated processors share a thread: with one each, Linux panics once in some dozens of boots (`Oops: int3`), when
/// QEMU runs code that another processor has just patched, or hangs because a timer is lost.
fn accelerator(accel: Accel) -> &'static str {
    match accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "tcg,thread=single",
    }
}

fn chipset(machine: &Machine) -> &'static str {
    if machine.firmware == Firmware::SecureBoot { "q35,smm=on" } else { "pc" }
}

fn firmware(machine: &Machine, host: &QemuHost) -> Result<Vec<String>> {
    let flash = |unit: u8, path: &Utf8Path, how: &str| {
        ["-drive".to_owned(), format!("if=pflash,format=raw,unit={unit},{how}=on,file={}", path_arg(path))]
    };
    let secure = machine.firmware == Firmware::SecureBoot;
    match if secure { &host.secure } else { &host.ovmf } {
        Some(Ovmf::Whole(path)) => Ok(vec!["-bios".to_owned(), path.to_string()]),
        Some(Ovmf::Split { code, vars }) => {
            let vars = machine.variables.as_ref().unwrap_or(vars);
            let flash = [flash(0, code, "readonly"), flash(1, vars, "snapshot")].concat();
            // Writes to the flash are taken from the firmware alone.
            let only = ["-global", "driver=cfi.pflash01,property=secure,value=on"].map(str::to_owned);
            Ok(if secure { [&only[..], &flash].concat() } else { flash })
        }
        None => Err(Failure::new(Kind::MissingTool, "no UEFI firmware for QEMU was found")
            .help("apt-get install ovmf")
            .into()),
    }
}

/// The place of `device` in the boot order.
fn index(machine: &Machine, device: BootDevice) -> Option<usize> {
    machine.boot.iter().position(|d| *d == device)
}

fn boot_index(index: Option<usize>) -> String {
    index.map(|i| format!(",bootindex={i}")).unwrap_or_default()
}

fn disk_args(machine: &Machine, i: usize, disk: &Disk, boot: Option<usize>) -> Vec<String> {
    // VirtualBox's format is readable too, so one disk can be tried in both.
    let how = if disk.read_only { "readonly=on," } else { "" };
    let (format, path) = (disk.format.extension(), path_arg(&disk.path));
    let drive = format!("if=none,id=disk{i},format={format},{how}file={path}");
    let device = match disk.bus {
        Bus::Sata => format!("ide-hd,drive=disk{i},bus=sata.{i}"),
        Bus::Nvme => format!("nvme,drive=disk{i},serial=disk{i}"),
        Bus::Virtio => format!("virtio-blk-pci,drive=disk{i}"),
        // The CD has the secondary master, so disks take the other three places in order.
        Bus::Ide => {
            // Ports of the other chipset's SATA take one device each.
            let places = match machine.firmware {
                Firmware::SecureBoot => [(0, 0), (2, 0), (3, 0)],
                Firmware::Bios | Firmware::Uefi => [(0, 0), (0, 1), (1, 1)],
            };
            let (bus, unit) = places[i.min(2)];
            format!("ide-hd,drive=disk{i},bus=ide.{bus},unit={unit}")
        }
    };
    vec!["-drive".to_owned(), drive, "-device".to_owned(), device + &boot_index(boot)]
}

fn medium_args(medium: &Medium, boot: Option<usize>) -> Vec<String> {
    let drive = format!("if=none,id=medium,format=raw,readonly=on,file={}", path_arg(&medium.path));
    let mut args = vec!["-drive".to_owned(), drive];
    match medium.attach {
        Attach::Cd => args.extend([
            "-device".to_owned(),
            format!("ide-cd,drive=medium,bus=ide.1,unit=0{}", boot_index(boot)),
        ]),
        Attach::Usb => args.extend([
            "-device".to_owned(),
            "qemu-xhci,id=usb".to_owned(),
            "-device".to_owned(),
            format!("usb-storage,bus=usb.0,drive=medium{}", boot_index(boot)),
        ]),
    }
    args
}

fn tap(plug: &Nic) -> Option<&Tap> {
    if let Nic::Tap(tap) = plug { Some(tap) } else { None }
}

/// What starts a program in the namespace of a tap device. It becomes that program, so nothing stands in between.
fn enter(tap: &Tap) -> Vec<String> {
    let mut words = vec!["nsenter".to_owned(), format!("--target={}", tap.process), "--net".to_owned()];
    if tap.user {
        words.extend(["--user", "--preserve-credentials"].map(str::to_owned));
    }
    words.push("--".to_owned());
    words
}

fn nic_args(i: usize, card: &Card, boot: Option<usize>, firmware: Firmware) -> Vec<String> {
    let peer = match &card.plug {
        Nic::HostOnly(net) => format!("user,id=net{i},{}", host_only(net)),
        Nic::Nat { network, forwards } => {
            let network = network.map(|n| format!(",net={n}")).unwrap_or_default();
            format!("user,id=net{i}{network}{}", forwards.iter().map(forward).collect::<String>())
        }
        Nic::Unplugged => format!("hubport,id=net{i},hubid={i}"),
        // Without the header that virtio puts in front of packets, which would stand in the trace as well.
        Nic::Tap(tap) => {
            let device = escape(&tap.device);
            format!("tap,id=net{i},ifname={device},script=no,downscript=no,vnet_hdr=off")
        }
    };
    let model = match card.model {
        NicModel::Virtio => "virtio-net-pci",
        NicModel::E1000 => "e1000",
        NicModel::E1000e => "e1000e",
    };
    // QEMU's own network boot ROM would greet first and blur who it was that booted. SeaBIOS has nothing else to boot from
    // a network with; UEFI firmware has, and the ROM would stand in front of it.
    let rom = if boot.is_none() || firmware != Firmware::Bios { ",romfile=" } else { "" };
    vec![
        "-netdev".to_owned(),
        peer,
        "-device".to_owned(),
        format!("{model},netdev=net{i}{rom}{}", boot_index(boot)),
    ]
}

/// QEMU's user network knows only the first address of the DHCP range; it hands out sixteen.
fn host_only(net: &HostOnly) -> String {
    format!("net={}/{},host={},dhcpstart={}", net.network(), net.prefix, net.host, net.dhcp_first)
}

fn forward(f: &Forward) -> String {
    format!(",hostfwd=tcp:127.0.0.1:{}-:{}", f.host_port, f.guest_port)
}

/// A path as the value of an option: there, a comma is written twice.
fn path_arg(path: &Utf8Path) -> String {
    escape(path.as_str())
}

fn escape(text: &str) -> String {
    text.replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DiskFormat, VmSpec, quote};

    fn host() -> QemuHost {
        QemuHost {
            program: "qemu-system-x86_64".to_owned(),
            accel: Accel::Tcg,
            ovmf: Some(Ovmf::Split { code: "CODE.fd".into(), vars: "VARS.fd".into() }),
            secure: Some(Ovmf::Split { code: "SECURE.fd".into(), vars: "KEYS.fd".into() }),
        }
    }

    fn text(machine: &Machine, host: &QemuHost) -> String {
        let watch = Watch { control: true, window: false, trace: Some("d/net,0.pcap".into()) };
        quote::line(&command(machine, host, &watch).unwrap(), quote::Shell::Sh).replace(" -", "\n-")
    }

    fn machine(attach: Attach) -> Machine {
        let medium = Medium { path: "d/a, b.iso".into(), attach };
        VmSpec::default().machine("m", "d".into(), Some(medium), DiskFormat::Qcow2)
    }

    #[test]
    fn the_default_machine_with_a_cd() {
        insta::assert_snapshot!(text(&machine(Attach::Cd), &host()));
    }

    #[test]
    fn a_uefi_machine_with_a_stick_and_a_virtio_disk() {
        let mut m = machine(Attach::Usb);
        m.firmware = Firmware::Uefi;
        m.disks[0].bus = Bus::Virtio;
        m.nics.truncate(1);
        m.nics[0].plug = Nic::Unplugged;
        insta::assert_snapshot!(text(&m, &host()));
    }

    #[test]
    fn a_machine_with_secure_boot_keeps_its_variables_from_the_guest() {
        let mut m = machine(Attach::Cd);
        m.firmware = Firmware::SecureBoot;
        m.nics.clear();
        insta::assert_snapshot!(text(&m, &host()));
        m.variables = Some("OWN.fd".into());
        assert!(text(&m, &host()).contains("unit=1,snapshot=on,file=OWN.fd"));
    }

    #[test]
    fn a_card_has_its_own_model_and_its_own_network() {
        let mut m = machine(Attach::Cd);
        m.nics[1].model = NicModel::E1000;
        let Nic::Nat { network, .. } = &mut m.nics[1].plug else { panic!("the second card is NAT") };
        *network = Some(crate::Subnet { address: [192, 168, 0, 0].into(), prefix: 16 });
        let text = text(&m, &host());
        assert!(text.contains("user,id=net1,net=192.168.0.0/16,hostfwd=tcp:127.0.0.1:2222-:22"), "{text}");
        assert!(text.contains("virtio-net-pci,netdev=net0") && text.contains("e1000,netdev=net1"), "{text}");
    }

    #[test]
    fn a_card_in_a_namespace_is_reached_through_a_process_in_it() {
        let mut m = machine(Attach::Cd);
        let tap = Tap { device: "media0".to_owned(), process: 42, user: false };
        m.nics[0].plug = Nic::Tap(tap.clone());
        (m.firmware, m.http_boot, m.boot) = (Firmware::Uefi, true, vec![BootDevice::Network]);
        let cmd = |m: &Machine| command(m, &host(), &Watch::default()).unwrap();
        assert_eq!(cmd(&m).start.through, ["nsenter", "--target=42", "--net", "--"]);
        let text = cmd(&m).args.join(" ");
        assert!(text.contains("tap,id=net0,ifname=media0,script=no,downscript=no,vnet_hdr=off"), "{text}");
        assert!(text.contains("virtio-net-pci,netdev=net0,romfile=,bootindex=0"), "{text}");
        assert!(text.contains("name=opt/org.tianocore/IPv4PXESupport,string=no"), "{text}");
        m.nics[0].plug = Nic::Tap(Tap { user: true, ..tap });
        assert!(cmd(&m).start.through.contains(&"--user".to_owned()));
        m.firmware = Firmware::Bios;
        assert!(cmd(&m).args.join(" ").contains("virtio-net-pci,netdev=net0,bootindex=0"));
    }

    #[test]
    fn disks_hang_on_the_controller_that_is_asked_for() {
        let mut m = machine(Attach::Cd);
        m.usb_keyboard = true;
        m.tpm = Some("t,pm".into());
        m.disks[0].bus = Bus::Sata;
        m.disks.push(Disk { bus: Bus::Nvme, read_only: true, ..m.disks[0].clone() });
        m.nics[1].model = NicModel::E1000e;
        let text = text(&m, &host());
        for wanted in [
            "ich9-ahci,id=sata",
            "ide-hd,drive=disk0,bus=sata.0",
            "nvme,drive=disk1,serial=disk1",
            "id=disk1,format=qcow2,readonly=on,",
            "usb-kbd,bus=keys.0",
            "socket,id=tpm,path=t,,pm",
            "tpm-tis,tpmdev=tpm0",
            "e1000e,netdev=net1",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }

    #[test]
    fn uefi_without_firmware_is_a_missing_tool() {
        let m = Machine { firmware: Firmware::Uefi, ..machine(Attach::Cd) };
        let error = command(&m, &QemuHost { ovmf: None, ..host() }, &Watch::default()).unwrap_err();
        assert_eq!(failure::kind_of(&error), Some(Kind::MissingTool));
    }

    #[test]
    fn a_disk_is_made_with_its_size() {
        let line = quote::line(&create_disk(&machine(Attach::Cd).disks[0]), quote::Shell::Sh);
        assert_eq!(line, "qemu-img create -q -f qcow2 d/disk0.qcow2 10000M");
    }
}
