//! Scenarios: boots that prove, or must fail to prove, what was built. A table; `vm/` carries it out.

mod containers;
mod sabotage;
mod table;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{
    Attach, BootDevice, Bus, Disk, DiskFormat, Firmware, HostOnly, Machine, Medium, Nic, NicModel, VmSpec,
    boot::Want,
    qemu::Accel,
    spec::{boot_limit, serial_log},
    virtualbox::System,
};
pub use containers::{CONTAINERS, DiskTrouble, Hardware, Shown};

pub use sabotage::Sabotage;
pub use table::{ALL, DISKS, TORTURE};

/// Why a guest that is not one of ours shows little.
const SILENT: &str = "this guest prints no `media: ` facts";

/// One boot, or a row of boots, to prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name, for `--scenario`.
    pub name: &'static str,
    /// What a passed run proves, for people.
    pub about: &'static str,
    /// The machine's firmware.
    pub firmware: Firmware,
    /// What it starts from.
    pub start: Start,
    /// What is shown with the started guest.
    pub proof: Proof,
    /// What its machine has.
    pub hardware: Hardware,
    /// Whether it runs only when it is named, or when everything is asked for.
    pub long: bool,
}

/// What a machine starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The profile's ISO.
    Iso(Attach),
    /// `ipxe.iso`, then DHCP and HTTP.
    Netboot,
    /// As [`Self::Netboot`], of media that `vm test` makes with keys of its own: iPXE loads only what is signed.
    Signed(Scheme),
    /// Nothing of its own: the firmware asks a network in which `serve --dhcp` answers.
    Network(Offer),
}

/// How the server of signed media is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In plain text.
    Http,
    /// By TLS, with a certificate that one of the roots vouches for.
    Https,
}

/// What firmware is offered that asks the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// iPXE by PXE: DHCP and TFTP.
    Pxe,
    /// iPXE by UEFI HTTP Boot.
    Http,
    /// The profile's ISO by UEFI HTTP Boot, which the firmware mounts as a disk in memory.
    Iso,
}

impl Start {
    /// Whether kernel and initrd come out of the netboot tree.
    fn loads_tree(self) -> bool {
        self.is_ipxe_iso() || matches!(self, Self::Network(Offer::Pxe | Offer::Http))
    }

    /// Whether the medium is `ipxe.iso`.
    #[must_use]
    pub fn is_ipxe_iso(self) -> bool {
        matches!(self, Self::Netboot | Self::Signed(_))
    }
}

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It comes up.
    Up,
    /// The state disk is formatted once and counts this many boots, with a reset between them.
    Counts(u64),
    /// The counter survives so many power cuts in a row.
    PowerCuts(u64),
    /// It survives power cuts at random moments, and its disk is clean after each.
    Torture,
    /// `autoformat` changes no byte of a disk that is not blank.
    Disks,
    /// Arguments that were added to the finished ISO arrive, and taking them away restores it.
    Kargs,
    /// A cloud-config arrives: that inside the ISO without any network, or the server's.
    CloudConfig,
    /// A key in a cloud-config opens the guest's SSH through the forwarded port.
    Ssh,
    /// It comes up although its clock was never set: it shows the year 2000.
    OldClock,
    /// It comes up of a tree that the second of iPXE's two roots vouches for.
    Rotated,
    /// It comes up, and the guest says that Secure Boot is on and that its kernel is locked down.
    SecureBoot,
    /// It comes up as it was built, and a TPM's registers hold what the build predicted.
    Measured,
    /// It comes up with other arguments, and the registers hold what is predicted of the edited image.
    Remeasured,
    /// It fails, and we say why.
    Fails(Sabotage),
    /// Containers run.
    Containers(Shown),
}

const BIOS: Firmware = Firmware::Bios;
const UEFI: Firmware = Firmware::Uefi;
const SECURE: Firmware = Firmware::SecureBoot;

/// The argument that shows an edit in place.
const PROOF: &str = "media.proof=edited-in-place";

/// The line of a cloud-config that shows which one it is.
#[must_use]
pub fn config_line(nonce: &str) -> String {
    format!("# nonce {nonce}")
}

/// The host name of a boot's cloud-config.
#[must_use]
pub fn host_name(nonce: &str) -> String {
    format!("media-{nonce}")
}

/// The boot files found in `dist/<profile>/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dist {
    /// The profile's ISO.
    pub iso: Utf8PathBuf,
    /// The iPXE medium, when it was built.
    pub ipxe_iso: Option<Utf8PathBuf>,
    /// Whether `ipxe.iso` has something that UEFI can start.
    pub ipxe_uefi: bool,
    /// Whether iPXE for firmware that boots from the network was built, for BIOS and UEFI.
    pub ipxe_programs: bool,
    /// The network in which the profile's base URL leads to this host; without one, why not.
    pub network: Result<HostOnly, String>,
    /// Whether the ISO has an area for a cloud-config.
    pub config_initrd: bool,
    /// Whether the ISO has embed areas for kernel arguments.
    pub embed_areas: bool,
    /// What a guest says of the cloud-config that the netboot tree carries, if it carries one.
    pub netboot_config: Option<String>,
    /// Whether iPXE loads only what is signed.
    pub signed: bool,
    /// Whether the guest prints `media: ` facts about state and cloud-config.
    pub speaks: bool,
    /// Who logs in over SSH with a key of the cloud-config, which also sets the host name at the login prompt.
    pub login: Option<String>,
    /// The label of the state disk in the kernel arguments.
    pub state_label: Option<String>,
    /// Whether Secure Boot lets the ISO start.
    pub secure_boot: bool,
    /// The certificate of the person's key that signed it, DER.
    pub own_key: Option<Utf8PathBuf>,
    /// Whether the kernel's only signature is by that key.
    pub own_kernel: bool,
    /// Whether its guest says whether Secure Boot is on, and what a TPM's registers hold.
    pub tells_secure_boot: bool,
    /// Whether the build predicted what a TPM's registers hold.
    pub registers: bool,
    /// The size of the initrd, which decides how long a boot takes.
    pub initrd_bytes: u64,
}

impl Scenario {
    /// Whether it is left out of a quick run: others show nearly the same, in less time.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.long || ["secure-boot-usb", "unsigned-grub", "kargs-secure"].contains(&self.name)
    }

    /// Why QEMU cannot show this scenario, if it cannot; `uefi` and `secure` say whether there is firmware for it.
    #[must_use]
    pub fn obstacle_of_qemu(&self, uefi: bool, secure: bool) -> Option<String> {
        let missing = self.firmware == UEFI && !uefi || self.firmware == SECURE && !secure;
        missing.then(|| "no UEFI firmware for QEMU was found (apt-get install ovmf)".to_owned())
    }

    /// Why VirtualBox cannot show this scenario, if it cannot.
    #[must_use]
    pub fn obstacle_of_virtualbox(&self, system: System) -> Option<String> {
        let why = match (self.start, self.proof) {
            (Start::Iso(Attach::Usb), _) => "VirtualBox cannot present an image as a USB stick",
            _ if self.clock().is_some() => "only QEMU's clock is set here",
            _ if self.is_measured() => "only QEMU is given a TPM here",
            (_, Proof::Fails(Sabotage::RevokedShim)) => {
                "VirtualBox cannot be given a list of revoked programs"
            }
            (Start::Netboot, _) if self.firmware == SECURE => "VirtualBox cannot be given keys",
            (_, Proof::Fails(Sabotage::NoDhcp)) => "VirtualBox shows no packets to detect it by",
            (_, Proof::Containers(_)) => "the disks and cards of these machines are QEMU's",
            (Start::Network(_), _) => "the network of these boots is made for QEMU",
            // The host gets its address only when a machine starts, and the server must be there before.
            (start, _) if start.is_ipxe_iso() && system == System::MacOs => {
                "macOS has no host-only address to serve at yet"
            }
            _ => return None,
        };
        Some(why.to_owned())
    }

    /// Which signature `dist` lacks for this scenario.
    fn obstacle_of_secure_boot(&self, dist: &Dist) -> Option<&'static str> {
        if self.firmware != SECURE {
            return None;
        }
        if !dist.secure_boot {
            return Some("nothing of this profile is signed (secure-boot = \"off\")");
        }
        if self.start == Start::Netboot && dist.own_key.is_none() {
            return Some("ipxe.iso is not signed (secure-boot = \"own-key\" signs it)");
        }
        let unknown = self.proof == Proof::Fails(Sabotage::UnknownKey);
        (unknown && !dist.own_kernel).then_some("its kernel is not signed by a key of your own alone")
    }

    /// What `dist` lacks where a TPM is looked at.
    fn obstacle_of_a_tpm(&self, dist: &Dist) -> Option<&'static str> {
        match self.is_measured() {
            true if !dist.registers => {
                Some("the build predicts no registers of a TPM (secure-boot = \"off\")")
            }
            true if !dist.tells_secure_boot => Some("this guest does not say what a TPM's registers hold"),
            _ => None,
        }
    }

    /// Why this scenario cannot be shown with `dist`, if it cannot.
    #[must_use]
    pub fn obstacle(&self, dist: &Dist) -> Option<String> {
        let of_guest = self
            .obstacle_of_secure_boot(dist)
            .or_else(|| self.obstacle_of_a_tpm(dist))
            .or_else(|| self.obstacle_of_the_guest(dist));
        let is_local = matches!(self.start, Start::Iso(_));
        let of_network = || dist.network.as_ref().err().filter(|_| !is_local).cloned();
        let of_media = || self.obstacle_of_ipxe(dist).or_else(|| self.obstacle_of_embed_areas(dist));
        of_guest.map(str::to_owned).or_else(of_network).or_else(|| of_media().map(str::to_owned))
    }

    /// What the guest does not say or have.
    fn obstacle_of_the_guest(&self, dist: &Dist) -> Option<&'static str> {
        if dist.speaks && self.proof != Proof::Ssh {
            return None;
        }
        match self.proof {
            Proof::Counts(_) if dist.state_label.is_none() => {
                Some("its kernel arguments name no state disk (rancher.state.dev=LABEL=…)")
            }
            Proof::CloudConfig if dist.login.is_none() => Some(SILENT),
            Proof::Ssh if dist.login.is_none() => Some("this guest has no SSH login"),
            Proof::PowerCuts(_) | Proof::Torture | Proof::Disks => Some(SILENT),
            Proof::Up
            | Proof::OldClock
            | Proof::Rotated
            | Proof::Fails(_)
            | Proof::Kargs
            | Proof::Containers(_)
            | Proof::Measured
            | Proof::Remeasured
            | Proof::SecureBoot
            | Proof::Counts(_)
            | Proof::CloudConfig
            | Proof::Ssh => None,
        }
    }

    /// What of iPXE is missing.
    fn obstacle_of_ipxe(&self, dist: &Dist) -> Option<&'static str> {
        let changes_script = self.fetches_config() || matches!(self.proof, Proof::Containers(_));
        if matches!(self.start, Start::Network(_)) && !dist.ipxe_programs {
            Some("undionly.kpxe or ipxe.efi is missing")
        } else if !self.start.is_ipxe_iso() {
            None
        } else if dist.ipxe_iso.is_none() {
            Some("ipxe.iso is missing")
        } else if dist.signed && changes_script {
            Some("the netboot tree is signed, and this would change its script")
        } else if self.firmware == UEFI && !dist.ipxe_uefi {
            Some("ipxe.iso has nothing for UEFI to start; build it with --engine source")
        } else {
            None
        }
    }

    /// What the ISO has no place for.
    fn obstacle_of_embed_areas(&self, dist: &Dist) -> Option<&'static str> {
        match self.proof {
            Proof::CloudConfig | Proof::Ssh | Proof::Containers(_)
                if matches!(self.start, Start::Iso(_)) && !dist.config_initrd =>
            {
                Some("the ISO has no area for a cloud-config")
            }
            Proof::Kargs | Proof::Remeasured | Proof::Fails(Sabotage::Panic) if !dist.embed_areas => {
                Some("the ISO has no embed areas for kernel arguments")
            }
            Proof::Fails(Sabotage::Panic | Sabotage::NoCloudConfig) if !dist.speaks => Some(SILENT),
            _ => None,
        }
    }

    /// What its machine is called.
    #[must_use]
    pub fn machine_name(&self) -> String {
        crate::machine_name(self.name)
    }

    /// The machine, with its files in `dir` and `medium` as what it starts from.
    #[must_use]
    pub fn machine(
        &self,
        spec: &VmSpec,
        network: Option<&HostOnly>,
        dir: &Utf8Path,
        medium: &Utf8Path,
    ) -> Machine {
        let attach = match self.start {
            Start::Iso(attach) => Some(attach),
            Start::Netboot | Start::Signed(_) => Some(Attach::Cd),
            Start::Network(_) => None,
        };
        let keeps_state = match self.proof {
            Proof::Counts(_) | Proof::PowerCuts(_) | Proof::Torture | Proof::Disks => true,
            Proof::Containers(shown) => shown != Shown::Disk(DiskTrouble::Missing),
            _ => false,
        };
        let disks = spec.disks.first().filter(|_| keeps_state).map(|d| Disk {
            path: dir.join("disk0.raw"),
            bus: d.bus,
            size_mib: d.size_mib,
            format: DiskFormat::Raw,
            read_only: false,
        });
        let nic = match (self.start, self.proof) {
            // A card in a namespace is plugged in once there is one.
            (Start::Iso(_) | Start::Network(_), _) => None,
            (_, Proof::Fails(Sabotage::NoDhcp)) => Some(Nic::Unplugged),
            (Start::Netboot | Start::Signed(_), _) => network.cloned().map(Nic::HostOnly),
        };
        let nic = nic.map(|plug| spec.card(plug));
        Machine {
            name: self.machine_name(),
            firmware: self.firmware,
            variables: None,
            tpm: None,
            memory_mib: spec.memory_mib,
            cpus: spec.cpus,
            disks: disks.into_iter().collect(),
            medium: attach.map(|attach| Medium { path: medium.to_owned(), attach }),
            nics: nic.into_iter().collect(),
            boot: vec![if attach.is_some() { BootDevice::Medium } else { BootDevice::Network }],
            serial: serial_log(dir),
            clock: self.clock().map(str::to_owned),
            os_type: spec.os_type.clone(),
            usb_keyboard: false,
            http_boot: matches!(self.start, Start::Network(Offer::Http | Offer::Iso)),
        }
    }

    /// Whether a TPM is looked at.
    fn is_measured(&self) -> bool {
        matches!(self.proof, Proof::Measured | Proof::Remeasured)
    }

    /// Whether it is about containers.
    #[must_use]
    pub fn of_containers(&self) -> bool {
        matches!(self.proof, Proof::Containers(_))
    }

    /// Gives the machine, which has all its cards, what the scenario wants of it.
    pub fn fit(&self, machine: &mut Machine) {
        self.hardware.apply(machine);
    }

    /// What a boot of it must come to.
    #[must_use]
    pub fn want(&self, dist: &Dist, spec: &VmSpec, nonce: &str, accel: Accel) -> Want {
        let cloud_config = match (self.start, self.proof) {
            _ if !dist.speaks => None,
            (Start::Iso(_), Proof::CloudConfig | Proof::Containers(_)) => {
                Some(format!("seed {}", config_line(nonce)))
            }
            (start, Proof::Up | Proof::OldClock | Proof::Rotated) if start.loads_tree() => {
                dist.netboot_config.clone()
            }
            _ if self.fetches_config() => Some(format!("url {}", config_line(nonce))),
            _ => None,
        };
        let usual = || boot_limit(self.firmware, accel, dist.initrd_bytes);
        // A guest that tells nothing shows the host name of its cloud-config at the login prompt.
        let by_name = !dist.speaks && matches!(self.proof, Proof::CloudConfig | Proof::Ssh);
        Want {
            netboot: !matches!(self.start, Start::Iso(_)),
            // The script of a signed tree stays as it is, and so does an ISO whose measurements were predicted.
            nonce: Some(nonce.to_owned())
                .filter(|_| self.proof != Proof::Measured && (!self.start.loads_tree() || !dist.signed)),
            ready: if by_name { format!("{} login:", host_name(nonce)) } else { spec.ready.clone() },
            cloud_config,
            cmdline: match self.proof {
                Proof::Kargs => vec![PROOF.to_owned()],
                _ => Vec::new(),
            },
            facts: match self.proof {
                Proof::SecureBoot if dist.tells_secure_boot => {
                    vec![("secure-boot", "on"), ("lockdown", "integrity")]
                }
                _ => Vec::new(),
            },
            limit: spec.boot_timeout.unwrap_or_else(usual).max(self.shortest_limit()),
        }
    }

    /// What the machine's clock shows, where it is not today.
    fn clock(&self) -> Option<&'static str> {
        match self.proof {
            Proof::OldClock | Proof::Fails(Sabotage::ServerEarly) => Some("2000-01-01"),
            // Our roots last, and no server's certificate.
            Proof::Fails(Sabotage::ServerExpired) => Some("2040-01-01"),
            // No signer of ours lasts so long.
            Proof::Fails(Sabotage::Expired) => Some("2060-01-01"),
            _ => None,
        }
    }

    /// What a boot may take at least: with containers it does much, and hosts are busy.
    fn shortest_limit(&self) -> Duration {
        Duration::from_secs(if self.of_containers() { 1800 } else { 0 })
    }

    /// Whether its guest is told to fetch its cloud-config from the server.
    #[must_use]
    pub fn fetches_config(&self) -> bool {
        self.start == Start::Netboot
            && matches!(
                self.proof,
                Proof::CloudConfig | Proof::Containers(_) | Proof::Fails(Sabotage::NoCloudConfig)
            )
    }

    /// Kernel arguments that a boot of it is started with, besides the nonce.
    #[must_use]
    pub fn extra_args(&self) -> Option<&'static str> {
        match self.proof {
            // BusyBox without an applet's name prints its usage and ends.
            Proof::Fails(Sabotage::Panic) => Some("rdinit=/bin/busybox"),
            Proof::Kargs => Some(PROOF),
            // The kernel's words about the bridge, by which the start of a container is seen.
            Proof::Containers(Shown::Cuts(_)) => Some("loglevel=7"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
