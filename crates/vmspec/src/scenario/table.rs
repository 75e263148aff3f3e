//! The scenarios of all systems.

use super::{BIOS, Hardware, Offer, Proof, SECURE, Sabotage, Scenario, Scheme, Start, UEFI};
use crate::{Attach, Firmware};

const fn iso(
    name: &'static str,
    firmware: Firmware,
    attach: Attach,
    proof: Proof,
    about: &'static str,
) -> Scenario {
    let start = Start::Iso(attach);
    Scenario { name, about, firmware, start, proof, hardware: Hardware::Profile, long: false }
}

const fn netboot(name: &'static str, firmware: Firmware, proof: Proof, about: &'static str) -> Scenario {
    let start = Start::Netboot;
    Scenario { name, about, firmware, start, proof, hardware: Hardware::Profile, long: false }
}

/// iPXE for them is compiled, which takes minutes the first time.
const fn signed(
    name: &'static str,
    firmware: Firmware,
    scheme: Scheme,
    proof: Proof,
    about: &'static str,
) -> Scenario {
    let start = Start::Signed(scheme);
    Scenario { name, about, firmware, start, proof, hardware: Hardware::Profile, long: true }
}

const fn network(name: &'static str, firmware: Firmware, offer: Offer, about: &'static str) -> Scenario {
    let (start, proof) = (Start::Network(offer), Proof::Up);
    Scenario { name, about, firmware, start, proof, hardware: Hardware::Profile, long: false }
}

/// All scenarios. Those that take long come first, so that two at a time end together.
pub const ALL: &[Scenario] = &[
    iso(
        "power-cut",
        BIOS,
        Attach::Cd,
        Proof::PowerCuts(10),
        "ten power cuts in a row, and the state disk counts on",
    ),
    netboot("no-dhcp", BIOS, Proof::Fails(Sabotage::NoDhcp), "without a DHCP server: fails, and is named"),
    iso("iso-usb-uefi", UEFI, Attach::Usb, Proof::Up, "the ISO as a USB stick under UEFI"),
    iso("iso-cd-uefi", UEFI, Attach::Cd, Proof::Up, "the ISO as a CD under UEFI"),
    iso("kargs-uefi", UEFI, Attach::Cd, Proof::Kargs, "arguments edited into the finished ISO, under UEFI"),
    netboot("netboot-uefi", UEFI, Proof::Up, "ipxe.iso, DHCP, HTTP under UEFI"),
    iso("state", BIOS, Attach::Cd, Proof::Counts(3), "the state disk is formatted once and counts boots"),
    iso("secure-boot-cd", SECURE, Attach::Cd, Proof::SecureBoot, "the ISO as a CD with Secure Boot on"),
    iso(
        "secure-boot-usb",
        SECURE,
        Attach::Usb,
        Proof::SecureBoot,
        "the ISO as a USB stick with Secure Boot on",
    ),
    iso(
        "changed-kernel",
        SECURE,
        Attach::Cd,
        Proof::Fails(Sabotage::ChangedKernel),
        "one byte of the kernel changed: GRUB refuses it, and that is named",
    ),
    iso(
        "unsigned-grub",
        SECURE,
        Attach::Cd,
        Proof::Fails(Sabotage::UnsignedGrub),
        "GRUB without its signature: shim refuses it, and that is named",
    ),
    iso(
        "revoked-shim",
        SECURE,
        Attach::Cd,
        Proof::Fails(Sabotage::RevokedShim),
        "the shim is on the firmware's list of revoked programs: it is refused, and that is named",
    ),
    iso(
        "measured-boot",
        SECURE,
        Attach::Cd,
        Proof::Measured,
        "a TPM's registers hold what pcr.json predicts, Secure Boot on",
    ),
    iso(
        "measured-kargs",
        UEFI,
        Attach::Cd,
        Proof::Remeasured,
        "arguments edited into the finished ISO are measured: the registers that differ are named",
    ),
    network("http-boot", UEFI, Offer::Http, "UEFI HTTP Boot of ipxe.efi from `serve --dhcp`"),
    network("http-boot-iso", UEFI, Offer::Iso, "UEFI HTTP Boot of the ISO, as a disk in memory"),
    network("pxe-uefi", UEFI, Offer::Pxe, "PXE under UEFI: TFTP of ipxe.efi from `serve --dhcp`"),
    network("pxe-bios", BIOS, Offer::Pxe, "PXE under BIOS: QEMU's ROM, and the script from `serve --dhcp`"),
    iso(
        "own-key-unknown",
        SECURE,
        Attach::Cd,
        Proof::Fails(Sabotage::UnknownKey),
        "signed by a key that the machine does not know: GRUB refuses the kernel, and that is named",
    ),
    iso(
        "kargs-secure",
        SECURE,
        Attach::Cd,
        Proof::Kargs,
        "arguments edited into the finished ISO, Secure Boot on",
    ),
    netboot("own-key-netboot", SECURE, Proof::SecureBoot, "ipxe.iso signed by a key that the machine knows"),
    netboot("netboot-bios", BIOS, Proof::Up, "ipxe.iso, DHCP, HTTP under BIOS"),
    netboot("netboot-config", BIOS, Proof::CloudConfig, "the cloud-config from the server"),
    netboot(
        "stalled-kernel",
        BIOS,
        Proof::Fails(Sabotage::StalledKernel),
        "the server stops half-way in the kernel: fails, and is named",
    ),
    netboot("script-missing", BIOS, Proof::Fails(Sabotage::NoScript), "no boot script: fails, and is named"),
    netboot(
        "no-cloud-config",
        BIOS,
        Proof::Fails(Sabotage::NoCloudConfig),
        "no cloud-config on the server: fails, and is named",
    ),
    signed("signed-bios", BIOS, Scheme::Http, Proof::Up, "a signed tree under BIOS"),
    signed("signed-uefi", UEFI, Scheme::Http, Proof::Up, "a signed tree under UEFI"),
    signed("https-bios", BIOS, Scheme::Https, Proof::Up, "a signed tree by HTTPS under BIOS"),
    signed("https-uefi", UEFI, Scheme::Https, Proof::Up, "a signed tree by HTTPS under UEFI"),
    signed(
        "https-stranger",
        BIOS,
        Scheme::Https,
        Proof::Fails(Sabotage::StrangeServer),
        "a server whose certificate no root vouches for: iPXE refuses it, and it is named",
    ),
    signed(
        "https-host",
        BIOS,
        Scheme::Https,
        Proof::Fails(Sabotage::OtherHost),
        "a server whose certificate is for another host: iPXE refuses it, and it is named",
    ),
    signed(
        "https-expired",
        BIOS,
        Scheme::Https,
        Proof::Fails(Sabotage::ServerExpired),
        "after the end of the server's certificate: iPXE refuses it, and says so",
    ),
    signed(
        "https-early",
        BIOS,
        Scheme::Https,
        Proof::Fails(Sabotage::ServerEarly),
        "a clock before the beginning of the server's certificate: iPXE refuses it, and says so",
    ),
    signed(
        "signed-rotated",
        BIOS,
        Scheme::Http,
        Proof::Rotated,
        "two roots, and a tree signed under the second",
    ),
    signed(
        "signed-clock",
        BIOS,
        Scheme::Http,
        Proof::OldClock,
        "a signed tree, and a clock that shows the year 2000",
    ),
    signed(
        "signed-kernel",
        UEFI,
        Scheme::Http,
        Proof::Fails(Sabotage::SwappedKernel),
        "a signed tree, and another kernel on the server: iPXE refuses it, and it is named",
    ),
    signed(
        "signed-key",
        BIOS,
        Scheme::Http,
        Proof::Fails(Sabotage::OtherKey),
        "a script signed by another key: iPXE refuses it, and it is named",
    ),
    signed(
        "signed-stripped",
        BIOS,
        Scheme::Http,
        Proof::Fails(Sabotage::NoSignature),
        "an initrd without its signature: iPXE refuses it, and it is named",
    ),
    signed(
        "signed-expired",
        BIOS,
        Scheme::Http,
        Proof::Fails(Sabotage::Expired),
        "after the end of the signer's certificate: iPXE refuses, and says so",
    ),
    iso("iso-cd-bios", BIOS, Attach::Cd, Proof::Up, "the ISO as a CD under BIOS"),
    iso("iso-usb-bios", BIOS, Attach::Usb, Proof::Up, "the ISO as a USB stick under BIOS"),
    iso("kargs-bios", BIOS, Attach::Cd, Proof::Kargs, "arguments edited into the finished ISO, under BIOS"),
    iso("cloud-config", BIOS, Attach::Cd, Proof::CloudConfig, "the medium's own cloud-config, network off"),
    iso("ssh", BIOS, Attach::Cd, Proof::Ssh, "a key made for the test logs in through the forwarded port"),
    iso(
        "damaged-initrd",
        BIOS,
        Attach::Cd,
        Proof::Fails(Sabotage::DamagedInitrd),
        "flipped bytes in the initrd: fails, and is named",
    ),
    iso(
        "guest-panic",
        BIOS,
        Attach::Cd,
        Proof::Fails(Sabotage::Panic),
        "the guest's first process ends: fails, and is named",
    ),
];

/// What `vm test --torture` boots.
pub const TORTURE: &[Scenario] = &[
    iso("torture-iso", BIOS, Attach::Cd, Proof::Torture, "power cuts at random moments, from the ISO"),
    netboot("torture-netboot", BIOS, Proof::Torture, "power cuts at random moments, from the network"),
];

/// What `vm test --disks` boots.
pub const DISKS: &[Scenario] =
    &[iso("disks", BIOS, Attach::Cd, Proof::Disks, "autoformat leaves every disk alone that is not blank")];
