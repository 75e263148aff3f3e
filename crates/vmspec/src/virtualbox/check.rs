//! What is refused before VBoxManage is run at all: wishes that it accepts in silence and that fail later, and
//! those that leave something half-made behind.

use core::net::Ipv4Addr;

use super::{Place, System};
use crate::Attach;
use crate::Disk;
use crate::DiskFormat;
use crate::HostOnly;
use crate::Machine;
use crate::Nic;
use failure::{Failure, Kind};

/// The most network cards a machine with the PIIX3 chipset has; `--nic9` is an error with exit code 0.
const MAX_NICS: usize = 8;
/// Places for disks beside the DVD drive on the one IDE controller that PIIX3 allows.
pub(super) const DISK_SLOTS: [(u32, u32); 3] = [(0, 0), (0, 1), (1, 1)];

/// Which host-only networks the host allows: `/etc/vbox/networks.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Networks {
    /// There is no such file: 192.168.56.0/21 alone.
    Usual,
    /// What the file lists; nothing, when no line of it is valid. It replaces the usual range.
    Listed(Vec<(Ipv4Addr, u8)>),
    /// Windows has no such limit.
    Any,
}

impl Networks {
    /// Reads the file: lines of `* 10.0.0.0/8 192.168.0.0/16`. IPv6 ranges are of no use here.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|l| l.trim().strip_prefix('*'));
        Self::Listed(lines.flat_map(str::split_whitespace).filter_map(range).collect())
    }

    /// Whether the whole of a network is allowed; a mask wider than the range is refused too.
    #[must_use]
    pub(crate) fn allows(&self, net: &HostOnly) -> bool {
        let usual = [(Ipv4Addr::new(192, 168, 56, 0), 21)];
        let ranges = match self {
            Self::Usual => &usual[..],
            Self::Listed(ranges) => ranges,
            Self::Any => return true,
        };
        ranges.iter().any(|(network, prefix)| {
            let mask = mask(*prefix);
            *prefix <= net.prefix && network.to_bits() & mask == net.host.to_bits() & mask
        })
    }

    /// Refuses a network that the host does not allow.
    ///
    /// # Errors
    /// [`Kind::Config`] with the line that would allow it.
    pub(crate) fn check(&self, net: &HostOnly) -> Result<(), Failure> {
        if self.allows(net) {
            return Ok(());
        }
        let wanted = format!("{}/{}", net.network(), net.prefix);
        let message = format!("VirtualBox does not allow the host-only network {wanted} on this host");
        let (line, allowed) = match self {
            Self::Listed(ranges) if !ranges.is_empty() => {
                let ranges: Vec<String> =
                    ranges.iter().map(|(at, prefix)| format!("{at}/{prefix}")).collect();
                (format!("* {wanted}"), ranges.join(" or "))
            }
            // A file without a valid line forbids all, and one more line is then the only one.
            Self::Listed(_) => (format!("* {wanted}"), String::new()),
            Self::Usual | Self::Any => (format!("* 192.168.56.0/21 {wanted}"), "192.168.56.0/21".to_owned()),
        };
        let inside =
            if allowed.is_empty() { String::new() } else { format!("take a network inside {allowed}, or ") };
        let help = format!(
            "{inside}allow this one:\n\
             sudo mkdir -p /etc/vbox && echo '{line}' | sudo tee -a /etc/vbox/networks.conf"
        );
        Err(Failure::new(Kind::Config, message).help(help))
    }
}

fn range(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    Some((address.parse().ok()?, prefix.parse().ok().filter(|p| *p <= 32)?))
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// Refuses what can be refused without asking VirtualBox; names every problem at once.
///
/// # Errors
/// [`Kind::Config`].
pub fn check(place: &Place, machine: &Machine) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    wrong.extend(name(&place.name));
    let paths = [("folder", place.base.as_str()), ("serial log", machine.serial.as_str())];
    wrong.extend(paths.iter().filter_map(|(what, path)| relative(place.system, what, path)));
    wrong.extend(media(place.system, machine));
    wrong.extend(cards(machine));
    if machine.boot.len() > 4 {
        wrong.push(format!("{} boot devices, but VirtualBox takes 4", machine.boot.len()));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!("VirtualBox cannot run the machine `{}`: {}", place.name, wrong.join("; "));
    Err(Failure::new(Kind::Config, message)
        .help("change `[profile.NAME.vm]` in media.toml, or use `--backend qemu`"))
}

/// VirtualBox takes any name and writes `_` for what a file name cannot hold; then its folder is not the one
/// that we expect. A name such as `-x` is read as an option, `{uuid}` as an identity.
fn name(name: &str) -> Option<String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    if name.is_empty() || name.len() > 200 {
        Some("its name must have 1 to 200 characters".to_owned())
    } else if name.starts_with(['-', '.']) || name.ends_with('.') || !name.chars().all(safe) {
        Some(format!(
            "its name `{name}` must be of letters, digits, `.`, `_`, `-`, `@` and `+`, a letter or digit first"
        ))
    } else {
        None
    }
}

fn relative(system: System, what: &str, path: &str) -> Option<String> {
    (!system.is_absolute(path)).then(|| format!("its {what} `{path}` is not an absolute path"))
}

fn media(system: System, machine: &Machine) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Some(medium) = &machine.medium {
        wrong.extend(relative(system, "boot medium", medium.path.as_str()));
        if medium.attach == Attach::Usb {
            wrong.push("it cannot present an image as a USB stick".to_owned());
        }
    }
    if machine.disks.len() > DISK_SLOTS.len() {
        wrong.push(format!("{} disks, but one IDE controller with a DVD drive takes 3", machine.disks.len()));
    }
    wrong.extend(machine.disks.iter().filter_map(|d| disk(system, d)));
    wrong
}

/// A name without extension would become `x.vdi`; a size of 0 an unusable image.
fn disk(system: System, disk: &Disk) -> Option<String> {
    if disk.format != DiskFormat::Vdi || disk.path.extension() != Some("vdi") {
        return Some(format!("its disk `{}` must be a .vdi image", disk.path));
    }
    if disk.size_mib == 0 {
        return Some(format!("its disk `{}` has no size", disk.path));
    }
    relative(system, "disk", disk.path.as_str())
}

fn cards(machine: &Machine) -> Vec<String> {
    let mut wrong = Vec::new();
    if machine.nics.len() > MAX_NICS {
        wrong.push(format!("{} network cards, but VirtualBox takes {MAX_NICS}", machine.nics.len()));
    }
    for card in &machine.nics {
        match &card.plug {
            Nic::HostOnly(net) => wrong.extend(dhcp_range(net)),
            Nic::Nat { forwards, .. } => {
                let ports = forwards.iter().flat_map(|f| [f.host_port, f.guest_port]);
                if ports.clone().any(|p| p == 0) {
                    wrong.push("forwarded ports run from 1 to 65535".to_owned());
                }
                // `--nat-pf2 delete NAME` is how a rule is deleted, and commas part a rule's fields.
                let plain =
                    |n: &str| n != "delete" && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                let bad = forwards.iter().find(|f| f.name.is_empty() || !plain(&f.name));
                wrong.extend(bad.map(|f| format!("`{}` is not a name for a forwarded port", f.name)));
            }
            Nic::Unplugged => {}
            Nic::Tap(tap) => wrong.push(format!("the card {} is QEMU's alone", tap.device)),
        }
    }
    wrong
}

/// VirtualBox refuses a range from high to low as well, but leaves a DHCP server of 0.0.0.0 behind, and then
/// every corrected `add` fails because there is one already.
fn dhcp_range(net: &HostOnly) -> Option<String> {
    let (first, last) = (net.dhcp_first, net.dhcp_last);
    if first > last {
        return Some(format!("its DHCP range runs from high to low; swap it: {last} to {first}"));
    }
    let outside = [net.dhcp_server, first, last].into_iter().find(|a| !net.contains(*a));
    outside.map(|a| format!("{a} of its DHCP server is not a host of {}/{}", net.network(), net.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Forward, Medium, VmSpec};

    fn machine() -> Machine {
        VmSpec::default().machine("smoke", "/vms/smoke".into(), None, DiskFormat::Vdi)
    }

    fn place() -> Place {
        Place {
            system: System::Linux,
            program: "VBoxManage".to_owned(),
            base: "/vms".to_owned(),
            name: "smoke".to_owned(),
            uuid: super::super::machine_uuid("/", "smoke"),
        }
    }

    fn net(host: &str, prefix: u8) -> HostOnly {
        let host: Ipv4Addr = host.parse().unwrap();
        HostOnly { host, prefix, dhcp_server: host, dhcp_first: host, dhcp_last: host }
    }

    #[test]
    fn without_networks_conf_only_the_usual_range_is_allowed() {
        for (host, prefix, allowed) in [
            ("192.168.56.1", 24, true),
            ("192.168.63.254", 24, true),
            ("192.168.64.1", 24, false),
            ("10.0.0.1", 24, false),
            ("192.168.56.1", 21, true),
            ("192.168.56.1", 16, false),
        ] {
            assert_eq!(Networks::Usual.allows(&net(host, prefix)), allowed, "{host}/{prefix}");
        }
        assert!(Networks::Any.allows(&net("10.0.0.1", 8)));
        let error = Networks::Usual.check(&net("10.0.0.1", 24)).unwrap_err();
        assert!(error.help_text().unwrap().contains("echo '* 192.168.56.0/21 10.0.0.0/24'"));
    }

    #[test]
    fn networks_conf_replaces_the_usual_range() {
        let listed = Networks::parse(
            "# comment\n * 10.0.0.0/8 192.168.0.0/16 2001::/64 junk 1.2.3.4/40\n10.1.0.0/8\n",
        );
        assert!(listed.allows(&net("10.9.9.9", 24)) && listed.allows(&net("192.168.1.1", 16)));
        assert!(!listed.allows(&net("172.16.0.1", 24)));
        assert!(Networks::parse("* 0.0.0.0/0 ::/0").allows(&net("8.8.8.8", 8)));
        assert!(
            !Networks::parse("192.168.56.0/21\n").allows(&net("192.168.56.1", 24)),
            "no valid line forbids all"
        );
        assert!(!Networks::parse("").allows(&net("192.168.56.1", 24)));
        let help = |text: &str| {
            let error = Networks::parse(text).check(&net("192.168.56.1", 24)).unwrap_err();
            error.help_text().unwrap().to_owned()
        };
        assert!(
            help("* 10.0.0.0/8 172.16.0.0/12")
                .starts_with("take a network inside 10.0.0.0/8 or 172.16.0.0/12")
        );
        assert!(help("junk").starts_with("allow this one:"));
        assert!(Networks::parse("* 10.0.0.5").allows(&net("10.0.0.5", 32)));
    }

    #[test]
    fn the_default_machine_is_fine() {
        check(&place(), &machine()).unwrap();
    }

    #[test]
    fn what_virtualbox_would_take_in_silence_is_refused() {
        type Change = fn(&mut Place, &mut Machine);
        let cases: &[(&str, Change)] = &[
            ("`-x` must be of", |p, _| p.name = "-x".to_owned()),
            ("1 to 200", |p, _| p.name = String::new()),
            ("1 to 200", |p, _| p.name = "n".repeat(300)),
            ("`a/b` must be of", |p, _| p.name = "a/b".to_owned()),
            ("`{u}` must be of", |p, _| p.name = "{u}".to_owned()),
            ("folder `vms` is not an absolute", |p, _| p.base = "vms".to_owned()),
            ("serial log `s` is not an absolute", |_, m| m.serial = "s".into()),
            ("must be a .vdi image", |_, m| m.disks[0].path = "/vms/smoke/x".into()),
            ("must be a .vdi image", |_, m| m.disks[0].format = DiskFormat::Raw),
            ("has no size", |_, m| m.disks[0].size_mib = 0),
            ("disk `d.vdi` is not an absolute", |_, m| m.disks[0].path = "d.vdi".into()),
            ("4 disks", |_, m| m.disks = vec![m.disks[0].clone(); 4]),
            ("boot medium `x.iso` is not", |_, m| {
                m.medium = Some(Medium { path: "x.iso".into(), attach: Attach::Cd })
            }),
            ("USB stick", |_, m| m.medium = Some(Medium { path: "/x.iso".into(), attach: Attach::Usb })),
            ("9 network cards", |_, m| m.nics = vec![m.nics[0].clone(); 9]),
            ("1 to 65535", |_, m| forward(m, "guestssh", 0)),
            ("`delete` is not a name", |_, m| forward(m, "delete", 1)),
            ("`a,b` is not a name", |_, m| forward(m, "a,b", 1)),
            ("swap it: 192.168.56.200 to 192.168.56.254", |_, m| range(m, 254, 200)),
            ("192.168.56.255 of its DHCP server is not a host", |_, m| range(m, 254, 255)),
            ("5 boot devices", |_, m| m.boot = vec![m.boot[0]; 5]),
        ];
        for (expected, change) in cases {
            let (mut place, mut machine) = (place(), machine());
            change(&mut place, &mut machine);
            let error = check(&place, &machine).unwrap_err();
            assert!(error.to_string().contains(expected), "{expected}: {error}");
        }
    }

    fn forward(machine: &mut Machine, name: &str, host_port: u16) {
        machine.nics[1].plug = Nic::Nat {
            network: None,
            forwards: vec![Forward { name: name.to_owned(), host_port, guest_port: 22 }],
        };
    }

    fn range(machine: &mut Machine, first: u8, last: u8) {
        let Nic::HostOnly(net) = &mut machine.nics[0].plug else { panic!("the first card is host-only") };
        net.dhcp_first = Ipv4Addr::new(192, 168, 56, first);
        net.dhcp_last = Ipv4Addr::new(192, 168, 56, last);
    }
}
